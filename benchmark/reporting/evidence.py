"""What the report shows of runs beyond their scores: masks, deviations, cost, environment; from the fields
that benchmark.evaluate adds.

All of it is optional in a results file, and what is absent stays absent. `results.read` has refused what is
not what it should be.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeVar

from benchmark.runs.results import Identity, Results, Run
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

T = TypeVar("T")
K = TypeVar("K")
Matrix = dict[str, dict[str, float]]
DOMAINS = ("in_domain", "out_of_domain")
FARTHEST = 1e6
"""A relative deviation beyond this is no distance of weights, and is not drawn."""
FIGURES = ("seconds", "tokens_per_second", "peak_memory_mb")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run. density: {dataset: share of weights open}; by_layer: {dataset: {layer: share}}; overlap:
    Jaccard {dataset: {dataset: …}}; deviation: relative, by layer; domains: {dataset: its domain}; figures:
    seconds, tokens_per_second, peak_memory_mb, where known; environment: where it was trained (else:
    evaluated); tracked: its id in MLflow.
    """

    run: Run
    kind: str | None
    p_f: float | None
    density: dict[str, float]
    union: float | None
    by_layer: Matrix
    overlap: Matrix
    deviation: dict[str, float]
    domains: dict[str, str]
    figures: dict[str, float]
    steps: float | None
    best_step: float | None
    device: str | None
    environment: dict[str, Any]
    tracked: str | None
    notes: tuple[str, ...]

    @property
    def arm(self) -> str:
        """The arm, as `arm_of` names it."""
        return arm_of(self.run.identity)

    @property
    def place(self) -> str:
        """What runs of an arm share, as `place_of` names it."""
        return place_of(self.run.identity)

    def mean_f1(self, datasets: Sequence[str]) -> float:
        """Mean F1 over `datasets`, all of which the run must have."""
        return fmean(self.run.datasets[name].f1 for name in datasets)


def arm_of(identity: Identity) -> str:
    """An arm, with adapters and few-shot examples where there are any: `bmt`, `bmt + adapter`, `bmt +
    adapter, K = 16`.
    """
    adapter = " + adapter" if identity.adapter else ""
    shots = f", K = {identity.K}" if identity.K else ""
    return f"{identity.arm}{adapter}{shots}"


def place_of(identity: Identity) -> str:
    """Backbone and regime: `minilm · mt`."""
    return f"{identity.backbone} · {identity.regime}"


def read(results: Results, seeds: tuple[int, ...] | None) -> list[Evidence]:
    """The evidence of every usable run with one of `seeds` (None: any), by backbone, regime, arm and seed."""
    runs = (run for run in results.runs if seeds is None or run.seed in seeds)
    ordered = sorted(
        runs, key=lambda run: (run.identity.backbone, run.identity.regime, arm_of(run.identity), run.seed)
    )
    return [_evidence(run, json.loads((results.folder / f"{run.cell}.json").read_bytes())) for run in ordered]


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """The items by their keys, both in the order first met."""
    groups: dict[K, list[T]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def by_arm(runs: Iterable[Evidence]) -> dict[tuple[str, str], list[Evidence]]:
    """{(backbone and regime, arm): the runs of all seeds}."""
    return grouped(runs, lambda one: (one.place, one.arm))


def mean_by_key(mappings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each key over the mappings that have it, in the order first met."""
    keys = dict.fromkeys(key for mapping in mappings for key in mapping)
    return {key: fmean(mapping[key] for mapping in mappings if key in mapping) for key in keys}


def mean_matrix(matrices: Sequence[Matrix]) -> Matrix:
    """`mean_by_key`, row by row."""
    rows = dict.fromkeys(row for matrix in matrices for row in matrix)
    return {row: mean_by_key([matrix[row] for matrix in matrices if row in matrix]) for row in rows}


def in_order(datasets: Sequence[str]) -> list[str]:
    """Datasets in the paper's order, the others after them as they come."""
    rank = {name: place for place, name in enumerate((*IN_DOMAIN, *OUT_OF_DOMAIN))}
    return sorted(dict.fromkeys(datasets), key=lambda name: rank.get(name, len(rank)))


def _evidence(run: Run, values: Mapping[str, Any]) -> Evidence:
    """The fields of one results file that `results.read` has accepted."""
    mask, budget = run.mask or {}, values.get("budget") or {}
    moved = {
        key.removeprefix("layer/"): entry.get("relative")
        for key, entry in (values.get("deviation_by") or {}).items()
        if key.startswith("layer/")
    }
    near = {layer: share for layer, share in moved.items() if share is not None and share <= FARTHEST}
    notes = []
    if lost := len(moved) - len(near):
        notes.append(
            f"{run.cell}: deviation_by: {lost} of {len(moved)} entries are not names and numbers of 0 to "
            f"{FARTHEST:g}, and are left out"
        )
    described = (values.get(key) for key in ("trained_with", "environment"))
    return Evidence(
        run=run,
        kind=mask.get("kind"),
        p_f=mask.get("p_f"),
        density=mask.get("density") or {},
        union=mask.get("union_density"),
        by_layer=mask.get("by_layer") or {},
        overlap=mask.get("overlap") or {},
        deviation=near,
        domains={name: _domain(name, entry.get("domain")) for name, entry in values["datasets"].items()},
        figures={key: number for key in FIGURES if (number := values.get(key)) is not None},
        steps=budget.get("steps"),
        best_step=budget.get("best_step"),
        device=device if isinstance(device := values.get("device"), str) else None,
        environment=next((each for each in described if each and isinstance(each, dict)), {}),
        tracked=values.get("mlflow_run_id"),
        notes=tuple(notes),
    )


def _domain(name: str, stated: str | None) -> str:
    known = DOMAINS[name in OUT_OF_DOMAIN]
    return stated if stated in DOMAINS else known
