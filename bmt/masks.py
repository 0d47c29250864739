"""Binary masks over a model's weights, 1 bit per weight in memory and on disk.

A `Masks` holds, for each dataset d and each masked tensor, M_d = [s_d > 0] of eq. 14. Bits are packed along
the flattened tensor, most significant bit first: weight i of a tensor is bit 7 - i % 8 of byte i // 8. Soft
masks, M_d = s_d, have the values of their open weights beside the bits, 2 bytes per weight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from bmt.errors import ModelError
from bmt.layers import kind_of, layer_of
from bmt.runtime.files import json_digest, write_aside
from bmt.runtime.keyed_random import permutation

FORMAT = "bmt-masks-1"
LEVELS = "levels of "  # stands before the name of a tensor in a file of soft masks


def pack(mask: Tensor) -> Tensor:
    """bool tensor of any shape -> uint8 (ceil(n / 8),), on the CPU."""
    return torch.from_numpy(np.packbits(mask.detach().cpu().numpy().reshape(-1)))


def unpack(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """uint8 (ceil(n / 8),) -> bool tensor of `shape`, on bits' device."""
    count = math.prod(shape)
    if bits.device.type == "cpu":
        return torch.from_numpy(np.unpackbits(bits.numpy(), count=count).view(np.bool_)).reshape(tuple(shape))
    shifts = torch.arange(7, -1, -1, device=bits.device, dtype=torch.uint8)
    return ((bits[:, None] >> shifts) & 1).reshape(-1)[:count].to(torch.bool).reshape(tuple(shape))


def count_open(bits: Tensor) -> int:
    """Number of set bits in packed bits (padding bits are 0)."""
    return int(np.bitwise_count(bits.numpy()).sum(dtype=np.int64))


def architecture(model: nn.Module) -> dict[str, list[int]]:
    """Name and shape of every parameter: what a mask fits to."""
    return {name: list(parameter.shape) for name, parameter in model.named_parameters()}


@dataclass(frozen=True, eq=False)
class Masks:
    """One mask per dataset over the same tensors, binary unless it has levels.

    Attributes:
        datasets: names of the datasets, in order.
        shapes: shape of each masked tensor, by parameter name.
        bits: packed masks, uint8 (datasets, ceil(n / 8)), by parameter name.
        identity: digest of the architecture that the masks fit.
        about: how the masks were made (kind, seed, settings), JSON.
        levels: of soft masks, M_d itself in float16, (datasets, *weight), by parameter name; empty for binary
            ones.
    """

    datasets: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    bits: dict[str, Tensor]
    identity: str
    about: dict[str, Any]
    levels: dict[str, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(
        masks: Mapping[str, Mapping[str, Tensor]], model: nn.Module, about: dict[str, Any] | None = None
    ) -> Masks:
        """Pack `{dataset: {parameter name: tensor}}` made for `model`: bool, or soft masks in [0, 1]."""
        datasets = tuple(masks)
        first = masks[datasets[0]]
        shapes = {name: tuple(mask.shape) for name, mask in first.items()}
        soft = any(mask.is_floating_point() for mask in first.values())
        levels = {
            name: torch.stack([masks[dataset][name].detach().half().cpu() for dataset in datasets])
            for name in first
            if soft
        }
        bits = {
            name: torch.stack(
                [
                    pack(levels[name][row] > 0 if soft else masks[dataset][name])
                    for row, dataset in enumerate(datasets)
                ]
            )
            for name in first
        }
        packed = Masks(datasets, shapes, bits, json_digest(architecture(model)), dict(about or {}), levels)
        packed.check_fits(model)
        return packed

    @staticmethod
    def joined(parts: Sequence[Masks], about: dict[str, Any] | None = None) -> Masks:
        """Masks of several datasets over the same tensors of one model as one object."""
        first = parts[0]
        datasets = tuple(dataset for part in parts for dataset in part.datasets)
        bits = {name: torch.cat([part.bits[name] for part in parts]) for name in first.shapes}
        levels = {name: torch.cat([part.levels[name] for part in parts]) for name in first.levels}
        return Masks(datasets, first.shapes, bits, first.identity, dict(about or {}), levels)

    def check_fits(self, model: nn.Module) -> None:
        """Raise ModelError unless every masked tensor stands in `model` with its shape."""
        have = architecture(model)
        for name, shape in self.shapes.items():
            if have.get(name) != list(shape):
                instead = f"has {have[name]} there" if name in have else "has no such tensor"
                raise ModelError(
                    f"these masks are for another model: tensor {name} is {list(shape)} in the masks, and "
                    f"{type(model).__name__} {instead}; learn masks on this model, or open the model that "
                    "they were learned on"
                )

    def index(self, dataset: str) -> int:
        """Position of a dataset's mask. Raises ModelError where it has none."""
        if dataset not in self.datasets:
            raise ModelError(
                f"dataset {dataset!r} has no mask: there are masks for {', '.join(self.datasets)}"
            )
        return self.datasets.index(dataset)

    def mask(self, dataset: str, name: str) -> Tensor:
        """M_d of one tensor in the tensor's shape: bool, or float16 of soft masks."""
        row = self.index(dataset)
        return self.levels[name][row] if self.levels else unpack(self.bits[name][row], self.shapes[name])

    def unpacked(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every mask as bool (datasets, *weight) on its parameter's device: 1 byte per weight and dataset;
        soft ones as float16.
        """
        if self.levels:
            return {
                name: levels.to(parameters[name].device, copy=True) for name, levels in self.levels.items()
            }
        return {
            name: torch.stack([unpack(row.to(parameters[name].device), shape) for row in self.bits[name]])
            for name, shape in self.shapes.items()
        }

    @property
    def total(self) -> int:
        """Number of masked weights."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def density(self, dataset: str, names: Iterable[str] | None = None) -> float:
        """Share of open weights in a dataset's mask, over all tensors or `names`."""
        row = self.index(dataset)
        names = list(self.shapes if names is None else names)
        return sum(count_open(self.bits[name][row]) for name in names) / sum(
            math.prod(self.shapes[name]) for name in names
        )

    def densities(self) -> dict[str, float]:
        """Density by dataset."""
        return {dataset: self.density(dataset) for dataset in self.datasets}

    def density_by(self, group: str) -> dict[str, dict[str, float]]:
        """`{dataset: {group: density}}` with group "layer", "kind" or "tensor"."""
        grouping: dict[str, Callable[[str], str]] = {"layer": layer_of, "kind": kind_of, "tensor": str}
        groups: dict[str, list[str]] = {}
        for name in self.shapes:
            groups.setdefault(grouping[group](name), []).append(name)
        return {
            dataset: {key: self.density(dataset, names) for key, names in sorted(groups.items())}
            for dataset in self.datasets
        }

    def union(self) -> Masks:
        """The weights that some dataset's mask opens, as one mask named `union`."""
        return self._joined("union", np.bitwise_or)

    def intersection(self) -> Masks:
        """The weights that every dataset's mask opens, as one mask named `intersection`."""
        return self._joined("intersection", np.bitwise_and)

    def _joined(self, name: str, operation: np.ufunc) -> Masks:
        bits = {
            key: torch.from_numpy(operation.reduce(value.numpy(), axis=0, keepdims=True))
            for key, value in self.bits.items()
        }
        return Masks((name,), self.shapes, bits, self.identity, {**self.about, name: list(self.datasets)})

    def union_density(self) -> float:
        """Density of the union of all datasets' masks."""
        return self.union().density("union")

    def shared(self, a: str, b: str, other: Masks | None = None) -> tuple[int, int]:
        """Open weights in both, and in either, of mask `a` here and mask `b` of `other` (default: here)."""
        other = self if other is None else other
        if other.shapes != self.shapes:
            raise ModelError(
                "masks over different tensors cannot be compared: learn both on the same model and targets"
            )
        i, j = self.index(a), other.index(b)
        both = sum(count_open(self.bits[name][i] & other.bits[name][j]) for name in self.shapes)
        either = sum(count_open(self.bits[name][i] | other.bits[name][j]) for name in self.shapes)
        return both, either

    def jaccard(self, a: str, b: str, other: Masks | None = None) -> float:
        """Jaccard overlap |a & b| / |a | b|; 1 where both are empty."""
        both, either = self.shared(a, b, other)
        return both / either if either else 1.0

    def overlaps(self) -> dict[str, dict[str, float]]:
        """Jaccard overlap of every pair of datasets."""
        return {a: {b: self.jaccard(a, b) for b in self.datasets} for a in self.datasets}

    def chance_jaccard(self, a: str, b: str, other: Masks | None = None) -> float:
        """The Jaccard overlap that two independent masks with the densities of `a` here and `b` of `other`,
        tensor by tensor, would have.

        Of expectations, sum n p q / sum n (p + q - p q): what `jaccard` is held against, since masks that
        only agree on how much of each tensor to open overlap by this much.
        """
        other = self if other is None else other
        both = either = 0.0
        for name, shape in self.shapes.items():
            n, p, q = math.prod(shape), self.density(a, [name]), other.density(b, [name])
            both += n * p * q
            either += n * (p + q - p * q)
        return both / either if either else 1.0

    def permuted(self, seed: int) -> Masks:
        """The control "which weights": each tensor's positions permuted, one permutation for all datasets'
        masks.

        Density per tensor and dataset and every overlap stay exactly the same.
        """
        bits, levels = {}, {}
        for name, shape in self.shapes.items():
            order = torch.from_numpy(permutation(math.prod(shape), (seed, "permuted mask", name)))
            rows = [unpack(row, shape).reshape(-1)[order] for row in self.bits[name]]
            bits[name] = torch.stack([pack(row) for row in rows])
            if self.levels:
                levels[name] = self.levels[name].flatten(1)[:, order].view(-1, *shape)
        about = {**self.about, "kind": "fixed_random", "permuted_with": seed}
        return Masks(self.datasets, self.shapes, bits, self.identity, about, levels)

    def equals(self, other: Masks) -> bool:
        """Same datasets, tensors, bits and levels (`about` is not compared)."""
        mine, theirs = ((m.datasets, m.shapes, m.identity, m.levels.keys()) for m in (self, other))
        return mine == theirs and all(
            torch.equal(tensor, tensors[name])
            for tensors_here, tensors in ((self.bits, other.bits), (self.levels, other.levels))
            for name, tensor in tensors_here.items()
        )

    def save(self, path: str | Path) -> None:
        """Write to a .safetensors file, complete or not at all."""
        index = {
            "format": FORMAT,
            "datasets": list(self.datasets),
            "identity": self.identity,
            "about": self.about,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
        }
        with write_aside(path) as aside:
            tensors = {name: bits.contiguous() for name, bits in self.bits.items()}
            tensors |= {f"{LEVELS}{name}": levels.contiguous() for name, levels in self.levels.items()}
            save_file(tensors, aside, metadata={"masks": json.dumps(index)})

    @staticmethod
    def load(path: str | Path, model: nn.Module | None = None) -> Masks:
        """Read masks; with `model`, check that they fit it.

        Raises:
            ModelError: no such file, not a file of masks, or masks for another architecture.
        """
        path = Path(path)
        if not path.is_file():
            raise ModelError(f"{path}: no masks there")
        try:
            with safe_open(path, framework="pt") as stream:
                index = json.loads((stream.metadata() or {})["masks"])
                bits = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 (not a dict)
        except (SafetensorError, KeyError, json.JSONDecodeError, OSError) as error:
            raise ModelError(f"{path}: not a file of masks ({error}); make it again") from error
        if index.get("format") != FORMAT:
            raise ModelError(
                f"{path}: masks of format {index.get('format')!r}; this version reads {FORMAT!r}"
            )
        levels = {name.removeprefix(LEVELS): bits.pop(name) for name in list(bits) if name.startswith(LEVELS)}
        try:
            shapes = {name: tuple(shape) for name, shape in index["shapes"].items()}
            bits = {name: bits[name] for name in shapes}
            masks = Masks(tuple(index["datasets"]), shapes, bits, index["identity"], index["about"], levels)
        except KeyError as error:
            raise ModelError(f"{path}: not a file of masks (no {error}); make it again") from None
        if model is not None:
            masks.check_fits(model)
            if masks.identity != json_digest(architecture(model)):
                raise ModelError(
                    f"{path}: these masks are for another model than this {type(model).__name__}: other "
                    "parameters stand beside"
                )
        return masks
