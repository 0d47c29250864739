"""A backbone's weights rounded to fp16: half of what has to travel. They are opened, and trained, in fp32."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

from benchmark.config.backbones import TOKENIZER_FILES
from bmt.errors import ModelError
from bmt.runtime.files import file_digest, write_folder_aside, write_json

WEIGHTS = "model.safetensors"


def write_half_precision(source: Path, target: Path, sha256: str | None = None) -> str:
    """Write the model folder `target`: that of `source` with fp16 weights, the same bytes on every machine.

    A `target` whose weights have the digest `sha256` is left as it is.

    Returns:
        The sha256 of its weights.

    Raises:
        ModelError: a value does not fit fp16, or the weights have another digest than `sha256`.
    """
    made = target / WEIGHTS
    if sha256 is not None and made.is_file() and file_digest(made) == sha256:
        return sha256
    weights = load_file(source / WEIGHTS)
    halved = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    for name, value in halved.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise ModelError(f"{source / WEIGHTS}: {name}: values beyond 65504, which fp16 does not have")
    with write_folder_aside(target) as aside:
        save_file(halved, aside / WEIGHTS, metadata={"format": "pt"})
        for name in TOKENIZER_FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, aside / name)
        config = json.loads((source / "config.json").read_text(encoding="utf-8"))
        config.pop("torch_dtype", None)  # the key of older versions
        write_json(aside / "config.json", {**config, "dtype": "float16"})
        digest = file_digest(aside / WEIGHTS)
        if sha256 not in (None, digest):
            raise ModelError(
                f"{source / WEIGHTS}: sha256 {digest} in fp16, the params file has {sha256}: other "
                "weights, or another safetensors"
            )
    return digest
