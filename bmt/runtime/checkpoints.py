"""Checkpoints of a run: complete or absent, verified on load, the newest two kept.

<folder>/step-0000040/ {model, optimizer, more, best}.safetensors, state.json     state.json holds their
digests and the fingerprint

`best` is the best model up to that step: a hard link to this checkpoint's `model` or to the `best` of the one
before. So a checkpoint is one rename, and needs no file outside its folder: from whichever is the newest
whole one, the run goes on as if it had never stopped.
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
from bmt.runtime.files import file_digest, file_name, remove_half_written, write_folder_aside

KEEP = 2
FORMAT = 2
BEST = "best.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read and found whole.

    Attributes:
        folder: where it is.
        state: the part of it that is no tensor.
    """

    folder: Path
    step: int
    state: dict[str, Any]

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of `<name>.safetensors`."""
        return load_file(self.folder / f"{name}.safetensors")


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoint folder of one run.

    Attributes:
        folder: where they are kept.
        fingerprint: digest of everything that decides the run; a checkpoint with another one is refused.
    """

    folder: Path
    fingerprint: str

    def within(self, name: str) -> Checkpoints:
        """Those of a part of the run, in a folder of its own, whatever its name."""
        return Checkpoints(self.folder / file_name(name), self.fingerprint)

    def save(
        self,
        step: int,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        state: Mapping[str, Any],
        best: bool,
        more: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Write the checkpoint of `step`, with `more` tensors; with `best`, its model is the best so far.

        Older ones but the last go.
        """
        self.write(
            step,
            {"model": tensors(model), "optimizer": optimizer_tensors(optimizer), "more": more or {}},
            state,
            best,
        )

    def write(
        self,
        step: int,
        files: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
        best: bool = False,
        keep: int = KEEP,
    ) -> None:
        """Write the checkpoint of `step` from tensors by file and name; with `best`, the file "model" is the
        best so far. `keep` stay.
        """
        remove_half_written(self.folder, "step-*")  # what a killed process was writing: no other writes here
        older = [folder for folder in self._folders() if _step(folder) < step and (folder / BEST).is_file()]
        with write_folder_aside(self.folder / f"step-{step:07d}") as aside:
            for name, values in files.items():
                save_file(
                    {key: value.detach().contiguous() for key, value in values.items()},
                    aside / f"{name}.safetensors",
                )
            digests = {path.name: file_digest(path) for path in sorted(aside.glob("*.safetensors"))}
            if best:
                _link(aside / "model.safetensors", aside / BEST)
                digests[BEST] = digests["model.safetensors"]
            elif older:
                _link(older[-1] / BEST, aside / BEST)
                digests[BEST] = _record(older[-1])["digests"][BEST]
            record = {
                "format": FORMAT,
                "step": step,
                "fingerprint": self.fingerprint,
                "digests": digests,
                "state": dict(state),
            }
            text = json.dumps(record, allow_nan=False)  # keys in order, which is that of a curve's columns
            (aside / "state.json").write_text(text, encoding="utf-8")
        for old in self._folders()[:-keep]:
            shutil.rmtree(old)

    def newest(self) -> Checkpoint | None:
        """The newest whole checkpoint, or None where there is none.

        A truncated or damaged one is passed over.

        Raises:
            ModelError: the newest whole checkpoint was made with another configuration.
        """
        for folder in reversed(self._folders()):
            try:
                record = _record(folder)
                whole = record["format"] == FORMAT and all(
                    file_digest(folder / name) == digest for name, digest in record["digests"].items()
                )
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if not whole:
                continue
            if record["fingerprint"] != self.fingerprint:
                raise ModelError(
                    f"{folder}: this checkpoint was made with another configuration; remove {self.folder} "
                    "to start again"
                )
            return Checkpoint(folder, record["step"], record["state"])
        return None

    def restore(
        self, model: nn.Module, optimizer: torch.optim.Optimizer
    ) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Load the newest whole checkpoint into model and optimizer: its state and further tensors, or None
        where there is none.

        Raises:
            ModelError: the newest whole checkpoint was made with another configuration.
        """
        saved = self.newest()
        if saved is None:
            return None
        load_tensors(model, saved.tensors("model"))
        load_optimizer_tensors(optimizer, saved.tensors("optimizer"))
        return saved.state, saved.tensors("more")

    def discard_after(self, step: int) -> None:
        """Remove the checkpoints of later steps than the one that was restored (0: none was): they were
        passed over as damaged.
        """
        for folder in self._folders():
            if _step(folder) > step:
                shutil.rmtree(folder)

    def load_best(self, model: nn.Module) -> None:
        """Load the weights of the best model up to the newest checkpoint."""
        load_tensors(model, load_file(self._folders()[-1] / BEST))

    def remove(self) -> None:
        """Remove everything, once the run's outputs are written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("step-*") if path.is_dir())


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step-"))


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    return record


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter that is trained, by name; shared ones once.

    Frozen ones (theta in adapter tuning) are what they were.
    """
    return {name: parameter.detach().contiguous() for name, parameter in _trained(model).items()}


@torch.no_grad()
def load_tensors(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Copy values into the model's trained parameters; names and shapes must be the same (ModelError)."""
    parameters = _trained(model)
    if parameters.keys() != values.keys():
        odd = sorted(parameters.keys() ^ values.keys())[0]
        raise ModelError(
            f"this checkpoint is of another architecture than {type(model).__name__}: tensor {odd} is on "
            "one side only"
        )
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
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in values.items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        if value.shape == parameter.shape and value.stride() != parameter.stride():
            # A fused kernel goes through parameter and moments in the order of memory.
            value = torch.empty_like(parameter, dtype=value.dtype, device=value.device).copy_(value)
        state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
