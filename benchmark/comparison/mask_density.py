"""How much of the weights learned masks leave open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from benchmark.runs.results import Run

NEARLY_INACTIVE = 0.95


@dataclass(frozen=True, slots=True)
class Density:
    """Means over the runs that learned masks. union None: no run has it."""

    by_dataset: dict[str, float]
    union: float | None

    @property
    def nearly_inactive(self) -> bool:
        """Whether the masks are plain fine-tuning in disguise."""
        return self.union is not None and self.union > NEARLY_INACTIVE


def mask_density(runs: Iterable[Run]) -> Density | None:
    """The density of the runs that learned masks; None where there are none."""
    masks = [run.mask for run in runs if run.mask and run.mask.get("kind") == "learned"]
    by_dataset: dict[str, list[float]] = {}
    for mask in masks:
        for name, value in (mask.get("density") or {}).items():
            by_dataset.setdefault(name, []).append(value)
    unions = [mask["union_density"] for mask in masks if mask.get("union_density") is not None]
    means = {name: fmean(values) for name, values in by_dataset.items()}
    return Density(means, fmean(unions) if unions else None) if masks else None
