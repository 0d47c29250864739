"""Checkpoints of a run: complete or absent, verified on load, the newest two kept.

<folder>/step-0000040/ {model, optimizer, more}.safetensors, state.json         state.json holds their digests and the fingerprint
<folder>/best.safetensors                                                       the best model so far, a hard link to a checkpoint's file
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bmt.errors import ModelError
from bmt.files import file_digest, write_aside, write_folder_aside, write_json

KEEP = 2


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoint folder of one run.

    Attributes:
        folder: where they are kept.
        fingerprint: digest of everything that decides the run; a checkpoint with another one is refused.
    """

    folder: Path
    fingerprint: str

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: Mapping[str, Any],
        best: bool,
        more: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write the checkpoint of `step`, with `more` tensors; with `best`, its model becomes the best one. Older ones but the last go."""
        target = self.folder / f"step-{step:07d}"
        with write_folder_aside(target) as aside:
            save_file(tensors(model), aside / "model.safetensors")
            save_file(optimizer_tensors(optimizer), aside / "optimizer.safetensors")
            save_file({name: value.detach().contiguous() for name, value in (more or {}).items()}, aside / "more.safetensors")
            digests = {path.name: file_digest(path) for path in sorted(aside.glob("*.safetensors"))}
            write_json(aside / "state.json", {"step": step, "fingerprint": self.fingerprint, "digests": digests, "state": dict(state)})
        if best:
            with write_aside(self.best_path) as aside:
                try:
                    os.link(target / "model.safetensors", aside)
                except OSError:  # a file system without hard links
                    shutil.copyfile(target / "model.safetensors", aside)
        for old in self._folders()[:-KEEP]:
            shutil.rmtree(old)

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Load the newest whole checkpoint into model and optimizer: its state and further tensors, or None where there is none.

        Raises:
            ModelError: the newest whole checkpoint was made with another configuration.
        """
        for folder in reversed(self._folders()):
            try:
                record = json.loads((folder / "state.json").read_text(encoding="utf-8"))
                whole = all(file_digest(folder / name) == digest for name, digest in record["digests"].items())
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if not whole:
                continue
            if record["fingerprint"] != self.fingerprint:
                raise ModelError(f"{folder}: this checkpoint was made with another configuration; remove {self.folder} to start again")
            load_tensors(model, load_file(folder / "model.safetensors"))
            load_optimizer_tensors(optimizer, load_file(folder / "optimizer.safetensors"))
            return record["state"], load_file(folder / "more.safetensors")
        return None

    @property
    def best_path(self) -> Path:
        """File of the best model's weights."""
        return self.folder / "best.safetensors"

    def load_best(self, model: nn.Module) -> None:
        """Load the best model's weights."""
        load_tensors(model, load_file(self.best_path))

    def remove(self) -> None:
        """Remove everything, once the run's outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir()) if self.folder.is_dir() else []


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter that is trained, by name; shared ones once. Frozen ones (theta in adapter tuning) are what they were."""
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def load_tensors(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy values into the model's trained parameters; names and shapes must be the same (ModelError)."""
    parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if parameters.keys() != values.keys():
        odd = sorted(parameters.keys() ^ values.keys())[0]
        raise ModelError(f"this checkpoint is of another architecture than {type(model).__name__}: tensor {odd} is on one side only")
    for name, parameter in parameters.items():
        if parameter.shape != values[name].shape:
            raise ModelError(
                f"this checkpoint is of another architecture: tensor {name} is {list(values[name].shape)}, "
                f"the model's {list(parameter.shape)}"
            )
        parameter.copy_(values[name])


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as tensors named `<parameter number>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value).detach().contiguous()
        for number, entries in state.items()
        for name, value in entries.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, values: Mapping[str, Tensor]) -> None:
    """The inverse of `optimizer_tensors`, for an optimizer over the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in values.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
