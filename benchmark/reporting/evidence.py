"""What the report shows of runs beyond their scores: masks, deviations, cost, environment; from the fields
that benchmark.evaluate adds.

All of it is optional in a results file. What is absent stays absent; what is not what it should be is left
out, and a note says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, TypeGuard

from benchmark.runs.results import Identity, Results, Run
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

Matrix = dict[str, dict[str, float]]
DOMAINS = ("in_domain", "out_of_domain")
FARTHEST = 1e6
"""A relative deviation beyond this is no distance of weights, and is not drawn."""
FIGURES = ("seconds", "tokens_per_second", "peak_memory_mb")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One run. density: {dataset: share of weights open}; by_layer: {dataset: {layer: share}}; overlap:
    Jaccard {dataset: {dataset: …}}; deviation: relative, by layer; domains: {dataset: its domain}; figures:
    seconds, tokens_per_second,
        peak_memory_mb, where known;
    environment: where it was trained (else: evaluated).
    """

    run: Run
    kind: str | None = None
    p_f: float | None = None
    density: dict[str, float] = field(default_factory=dict)
    union: float | None = None
    by_layer: Matrix = field(default_factory=dict)
    overlap: Matrix = field(default_factory=dict)
    deviation: dict[str, float] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    steps: int | None = None
    best_step: int | None = None
    device: str | None = None
    environment: dict[str, Any] = field(default_factory=dict)
    tracked: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def arm(self) -> str:
        """The arm, with adapters and few-shot examples where there are any: `bmt`, `bmt + adapter`, `bmt +
        adapter, K = 16`.
        """
        return arm_of(self.run.identity)

    @property
    def place(self) -> str:
        """What runs of an arm share: backbone and regime."""
        return f"{self.run.identity.backbone} · {self.run.identity.regime}"

    def mean_f1(self, datasets: Sequence[str]) -> float:
        """Mean F1 over `datasets`, all of which the run must have."""
        return fmean(self.run.datasets[name].f1 for name in datasets)


def arm_of(identity: Identity) -> str:
    """An arm's name, with what else tells its runs apart."""
    adapter = " + adapter" if identity.adapter else ""
    shots = f", K = {identity.K}" if identity.K else ""
    return f"{identity.arm}{adapter}{shots}"


def read(results: Results, seeds: tuple[int, ...] | None) -> list[Evidence]:
    """The evidence of every usable run with one of `seeds` (None: any), by backbone, regime, arm and seed."""
    runs = [run for run in results.runs if seeds is None or run.seed in seeds]
    ordered = sorted(
        runs, key=lambda run: (run.identity.backbone, run.identity.regime, arm_of(run.identity), run.seed)
    )
    return [_evidence(run, json.loads((results.folder / f"{run.cell}.json").read_bytes())) for run in ordered]


def by_arm(all_of_them: Sequence[Evidence]) -> dict[tuple[str, str], list[Evidence]]:
    """{(backbone and regime, arm): the runs of all seeds}."""
    groups: dict[tuple[str, str], list[Evidence]] = {}
    for one in all_of_them:
        groups.setdefault((one.place, one.arm), []).append(one)
    return groups


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
    known = [*IN_DOMAIN, *OUT_OF_DOMAIN]
    unique = list(dict.fromkeys(datasets))
    return [name for name in known if name in unique] + [name for name in unique if name not in known]


def layer_order(layers: Sequence[str]) -> list[str]:
    """Embeddings first, then the numbered layers, then the rest."""
    return sorted(
        dict.fromkeys(layers), key=lambda name: (name != "embeddings", not name.startswith("layer_"), name)
    )


def layer_name(layer: str) -> str:
    """`layer_03` as `layer 3`."""
    digits = layer.removeprefix("layer_")
    return f"layer {int(digits)}" if digits != layer and digits.isdecimal() else layer


def _evidence(run: Run, values: Mapping[str, Any]) -> Evidence:
    """The fields of one results file that `results.read_run` has accepted."""
    notes: list[str] = []
    mask = _object(values, "mask")
    budget = _object(values, "budget")
    by = {
        key.removeprefix("layer/"): entry.get("relative")
        for key, entry in _object(values, "deviation_by").items()
        if key.startswith("layer/") and isinstance(entry, dict)
    }
    return Evidence(
        run=run,
        kind=mask.get("kind") if isinstance(mask.get("kind"), str) else None,
        p_f=_number(mask, "p_f"),
        density=_numbers(mask.get("density"), f"{run.cell}: mask.density", notes, 1.0),
        union=_number(mask, "union_density"),
        by_layer=_matrix(mask.get("by_layer"), f"{run.cell}: mask.by_layer", notes),
        overlap=_matrix(mask.get("overlap"), f"{run.cell}: mask.overlap", notes),
        deviation=_numbers(by, f"{run.cell}: deviation_by", notes, FARTHEST),
        domains={name: _domain(name, entry) for name, entry in _object(values, "datasets").items()},
        figures={key: value for key in FIGURES if (value := _number(values, key)) is not None},
        steps=_whole(budget, "steps"),
        best_step=_whole(budget, "best_step"),
        device=values["device"] if isinstance(values.get("device"), str) else None,
        environment=_object(values, "trained_with") or _object(values, "environment"),
        tracked=values["mlflow_run_id"] if isinstance(values.get("mlflow_run_id"), str) else None,
        notes=tuple(notes),
    )


def _domain(name: str, entry: Any) -> str:
    said = entry.get("domain") if isinstance(entry, dict) else None
    return said if said in DOMAINS else "out_of_domain" if name in OUT_OF_DOMAIN else "in_domain"


def _object(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = values.get(key)
    return value if isinstance(value, dict) else {}


def _number(values: Mapping[str, Any], key: str) -> float | None:
    value = values.get(key)
    return float(value) if is_finite(value) else None


def _whole(values: Mapping[str, Any], key: str) -> int | None:
    value = values.get(key)
    return int(value) if isinstance(value, int) and is_finite(value) else None


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a value from a file is a finite number that a float can hold (JSON's integers have no end)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _numbers(value: Any, where: str, notes: list[str], top: float) -> dict[str, float]:
    """The numbers of 0 to `top` in a mapping of names to numbers; one note for all that is not."""
    if value is None:
        return {}
    entries = value if isinstance(value, dict) else {"": None}
    good = {
        str(key): float(number) for key, number in entries.items() if is_finite(number) and 0 <= number <= top
    }
    if len(good) < len(entries):
        lost = len(entries) - len(good)
        notes.append(
            f"{where}: {lost} of {len(entries)} entries are not names and numbers of 0 to {top:g}, and are "
            "left out"
        )
    return good


def _matrix(value: Any, where: str, notes: list[str]) -> Matrix:
    """`_numbers` of 0 to 1, row by row."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        notes.append(f"{where} is not datasets and their numbers, and is left out")
        return {}
    rows = {str(name): _numbers(row, f"{where}.{name}", notes, 1.0) for name, row in value.items()}
    return {name: row for name, row in rows.items() if row}
