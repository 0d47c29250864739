"""What finished cells have come to: each by itself, and the seeds of an arm together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmark.config.cells import parse
from tools.gpu_day.cell_process import CellEnd

DOMAINS = {"in_domain": "in domain", "out_of_domain": "out of domain"}


@dataclass(frozen=True, slots=True)
class CellScores:
    """A finished cell.

    Attributes:
        arm: with `.adapter`, where it has one.
        em, f1: macro averages by domain, in percent.
        density, union_density: mean share of weights that a dataset's mask leaves open, and that any does;
            None without masks.
        deviation: relative distance from the pretrained weights.
        seconds: to train and to evaluate. gpu_megabytes: the most that its process has held; None on a CPU.
    """

    cell: str
    arm: str
    seed: int
    em: dict[str, float | None]
    f1: dict[str, float | None]
    density: float | None
    union_density: float | None
    deviation: float
    steps: int
    mask_steps: int
    seconds: float
    gpu_megabytes: float | None


def cell_scores(root: Path, profile: str, end: CellEnd) -> CellScores:
    """The scores of a cell that is done, from its files in the project `root`."""
    run, cell = root / "runs" / profile / end.cell, parse(end.cell)
    trained = json.loads((run / "training.json").read_text(encoding="utf-8"))
    scored = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    mask = trained["mask"] or {}
    densities = list(mask.get("density", {}).values()) or [mask["p_f"]] if mask else []
    return CellScores(
        end.cell,
        cell.arm + (".adapter" if cell.adapter else ""),
        cell.seed,
        {domain: scored["em"].get(domain) for domain in DOMAINS},
        {domain: scored["f1"].get(domain) for domain in DOMAINS},
        fmean(densities) if densities else None,
        scored["union_density"] if mask else None,
        scored["relative_deviation"],
        trained["budget"]["steps"],
        trained["budget"]["mask_steps"],
        end.seconds_to_train + end.seconds_to_evaluate,
        end.gpu_megabytes,
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation (None of a single value) of `count` values."""

    mean: float
    sd: float | None
    count: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))

    def text(self, digits: int) -> str:
        """As `29.51 ± 0.71`."""
        return f"{self.mean:.{digits}f}" + (f" ± {self.sd:.{digits}f}" if self.sd is not None else "")


def of_arms(cells: Iterable[CellScores]) -> dict[str, dict[str, Spread]]:
    """Of each arm the spread over its seeds of F1 and EM by domain, deviation, density and seconds."""
    by_arm: dict[str, list[CellScores]] = {}
    for one in cells:
        by_arm.setdefault(one.arm, []).append(one)
    return {arm: _spreads(ones) for arm, ones in by_arm.items()}


def _spreads(cells: Sequence[CellScores]) -> dict[str, Spread]:
    values: dict[str, list[float | None]] = {
        **{f"f1 {domain}": [one.f1[domain] for one in cells] for domain in DOMAINS},
        **{f"em {domain}": [one.em[domain] for one in cells] for domain in DOMAINS},
        **{
            key: [getattr(one, key) for one in cells]
            for key in ("deviation", "density", "union_density", "seconds")
        },
    }
    known = {key: [value for value in of if value is not None] for key, of in values.items()}
    return {key: Spread.of(of) for key, of in known.items() if of}


def as_record(cells: Iterable[CellScores]) -> list[dict[str, Any]]:
    """As plain values."""
    return [asdict(one) for one in cells]


def from_record(values: Iterable[dict[str, Any]]) -> list[CellScores]:
    """What `as_record` was given."""
    return [CellScores(**one) for one in values]
