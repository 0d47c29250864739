"""Where a backbone's weights are: an installed package, the hub at a pinned commit, or a folder; with its
digest checked.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmark.config.params import Backbone, repository_root
from bmt.errors import ModelError
from bmt.runtime.files import file_digest

TOKENIZER_FILES = (
    "added_tokens.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
"""What transformers' tokenizers are read from."""


@dataclass(frozen=True, slots=True)
class Located:
    """What `bmt.qa.model.span_model` takes: a folder or hub name, the hub's commit, and the revision that
    results carry.
    """

    source: str | Path
    revision: str | None
    identity: str


def locate(name: str, backbone: Backbone) -> Located:
    """Find a backbone; where the params file gives a digest, check it before anything is loaded.

    Raises:
        ModelError: the package or folder is absent, or the weights are not the ones that the params file
            names.
    """
    if backbone.source == "hub":
        return Located(backbone.name, backbone.revision, f"{backbone.name}@{backbone.revision}")
    folder = _folder(name, backbone)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ModelError(
            f"backbones.{name}: {weights} does not exist; install the package or put the model there"
        )
    digest = _digest(weights)
    if backbone.sha256 is not None and digest != backbone.sha256:
        raise ModelError(
            f"backbones.{name}: {weights} has sha256 {digest}, the params file {backbone.sha256}: other "
            "weights; install it again"
        )
    return Located(folder, None, f"sha256:{digest}")


def tokenizer_files(name: str, backbone: Backbone) -> list[Path]:
    """The files of a backbone's tokenizer, by name; none where they are not at hand: on the hub, or not
    installed.
    """
    if backbone.source == "hub":
        return []
    try:
        folder = _folder(name, backbone)
    except ModelError:
        return []
    return [folder / file for file in TOKENIZER_FILES if (folder / file).is_file()]


def _folder(name: str, backbone: Backbone) -> Path:
    if backbone.source != "package":
        return repository_root() / backbone.name
    spec = importlib.util.find_spec(backbone.name)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"backbones.{name}: the package {backbone.name} is not installed: `make repro` installs it, or "
            f"pip install {backbone.name.replace('_', '-')}"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "model"


@cache
def _digest(path: Path) -> str:
    return file_digest(path)
