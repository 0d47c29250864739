"""The course of training: `curve.csv` of each cell's run folder, and the command its journal recorded."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.config.cells import parse
from benchmark.reporting.evidence import Evidence, arm_of, place_of
from benchmark.runs.results import Identity
from benchmark.tracking.journal import FOLDER
from bmt.errors import ConfigError

LAST_STEP = 1e12
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One cell: (step, value) at each evaluation. weights: the datasets' sampling weights. best_step: whose
    weights were kept, or None.

    command: as the run's journal has it, or None.
    """

    cell: str
    arm: str
    place: str
    macro: Points
    weights: dict[str, Points]
    best_step: float | None
    command: str | None


def read(
    results: Path, evidence_by_cell: Mapping[str, Evidence], seeds: tuple[int, ...] | None
) -> tuple[list[Curve], list[str]]:
    """The curves of the runs in `<root>/runs/<profile>`, of results in `<root>/results/<profile>` (others
    have none), and why one that is there cannot be shown.

    evidence_by_cell: of the runs; the curve of another training than the one that was evaluated is not shown.
    """
    folder = results.absolute()
    runs = folder.parent.parent / "runs" / folder.name
    curves: list[Curve] = []
    notes: list[str] = []
    for path in sorted(runs.glob("*/curve.csv")) if folder.parent.name == "results" else []:
        try:
            cell = parse(path.parent.name)
        except ConfigError:
            continue
        if seeds is not None and cell.seed not in seeds:
            continue
        evidence, trained = evidence_by_cell.get(cell.name), _json(path.with_name("training.json"))
        if evidence and evidence.tracked and trained.get("mlflow_run_id") not in (None, evidence.tracked):
            notes.append(
                f"{cell.name}: curve.csv is of another training than the results: evaluate the cell again"
            )
            continue
        try:
            columns = read_columns(path)
        except ValueError as error:
            notes.append(f"{cell.name}: curve.csv: {error}; not shown")
            continue
        budget = trained.get("budget")
        stated = budget.get("best_step") if isinstance(budget, dict) else None
        identity = Identity(cell.backbone, cell.regime, cell.arm, cell.adapter)
        macro = columns.pop("macro_f1")
        curves.append(
            Curve(
                cell=cell.name,
                arm=arm_of(identity),
                place=place_of(identity),
                macro=macro,
                weights={name.removeprefix("weight/"): points for name, points in columns.items()},
                best_step=evidence.best_step if evidence else stated if isinstance(stated, int) else None,
                command=recorded_command(path.parent),
            )
        )
    return curves, notes


def read_columns(path: Path) -> dict[str, Points]:
    """{column: its (step, value)} of a curve file: macro F1 and sampling weights.

    Raises:
        ValueError: why it is no curve.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot be read ({type(error).__name__})") from None
    if not rows or not {"step", "macro_f1"} <= set(rows[0]):
        raise ValueError("no lines with step and macro_f1")
    steps = [_number(row, "step", line, LAST_STEP) for line, row in enumerate(rows, 2)]
    columns: dict[str, Points] = {}
    for name in rows[0]:
        if name == "macro_f1" or (name and name.startswith("weight/")):
            top = 100.0 if name == "macro_f1" else 1.0
            values = (_number(row, name, line, top) for line, row in enumerate(rows, 2))
            columns[name] = tuple(zip(steps, values, strict=True))
    return columns


def recorded_command(folder: Path) -> str | None:
    """The command of the newest journal in a run's folder, or None."""
    for path in sorted((folder / FOLDER).glob("*.jsonl"), reverse=True):
        try:
            with open(path, encoding="utf-8") as stream:
                first = json.loads(stream.readline())
            command = first["tags"]["mlflow.source.name"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return command if isinstance(command, str) else None
    return None


def _number(row: Mapping[str, Any], name: str, line: int, top: float) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not 0 <= value <= top * (1 + 1e-9):
        raise ValueError(f"line {line}: {name}: {row[name]!r:.40} is not allowed: a number of 0 to {top:g}")
    return value


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
