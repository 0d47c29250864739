"""Read and check a results folder: one `<cell>.json` (and `<cell>.parquet`, see predictions.py) per run.
docs/compare.md has the schema.

Nothing here raises for a bad file: a run that cannot be trusted is a `Fault` with its reason, and the table
shows it where its cell is. Whoever wrote the results, the identity of a run is what its JSON says, not its
name.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.config.cells import ZERO_SHOT, parse
from benchmark.config.schema import SchemaFault
from benchmark.config.schema import read as read_fields
from benchmark.runs.result_schema import (
    SCHEMA,
    BudgetFields,
    DeviationFields,
    FactsFields,
    GitFields,
    ResultFields,
    hold,
    in_words,
)
from bmt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DatasetScore:
    """A run's scores on one dataset: EM and F1 in percent over `examples` questions; sha256: digest of the
    data scored, or None.
    """

    em: float
    f1: float
    examples: int
    sha256: str | None = None

    def metric(self, name: str) -> float | None:
        """The score called `name` (EM or F1, any case), or None."""
        return {"em": self.em, "f1": self.f1}.get(name.lower())


@dataclass(frozen=True, slots=True)
class Identity:
    """What a run is an instance of: everything but its seed and its scores."""

    backbone: str
    regime: str
    arm: str
    adapter: bool = False
    K: int | None = None

    @property
    def stem(self) -> str:
        """The cell's name without its seed."""
        adapter, shots = ".adapter" if self.adapter else "", f".k{self.K}" if self.K else ""
        return f"{self.backbone}.{self.regime}.{self.arm}{adapter}{shots}"

    @property
    def published(self) -> bool:
        """Whether it is a model as it was published, scored and not trained here: there is one such run,
        without seeds.
        """
        return self.arm == ZERO_SHOT


@dataclass(frozen=True, slots=True)
class Run:
    """One `<cell>.json`. Fields that a file may leave out are None; datasets without an example are listed in
    `empty`.
    """

    cell: str
    profile: str
    identity: Identity
    seed: int
    datasets: dict[str, DatasetScore]
    empty: tuple[str, ...] = ()
    revision: str | None = None
    p_f: float | None = None
    evaluator: str | None = None
    mask: dict[str, Any] | None = None
    deviation: dict[str, float] = field(default_factory=dict)
    epochs: float | None = None
    mask_steps: int | None = None
    commit: str | None = None
    dirty: bool | None = None
    from_hub: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that cannot be used. identity, seed: of the cell that its name names, or None where it names
    none.
    """

    file: str
    reason: str
    identity: Identity | None = None
    seed: int | None = None

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Results:
    """A whole folder: the runs, in the order of their names, the files that cannot be used, and the numbers
    of tables of facts.
    """

    folder: Path
    runs: tuple[Run, ...]
    faults: tuple[Fault, ...] = ()

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones of the runs, the one with most runs first."""
        names = [run.identity.backbone for run in self.runs]
        return tuple(sorted(set(names), key=lambda name: (-names.count(name), name)))

    @property
    def profiles(self) -> tuple[str, ...]:
        """The profiles that the runs say they are of."""
        return tuple(sorted({run.profile for run in self.runs}))


class UnusableFileError(Exception):
    """Why a file cannot be used."""


def read(folder: Path) -> Results:
    """Every run of a folder; a folder that does not exist has none.

    Raises:
        ConfigError: the folder may not be read.
    """
    runs: list[Run] = []
    faults: list[Fault] = []
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise ConfigError(f"{folder}: the results cannot be read: {error.strerror}") from None
    for name in sorted(names):
        if not name.endswith(".json") or name.startswith("table_"):
            continue
        try:
            runs.append(read_run(folder / name))
        except UnusableFileError as error:
            faults.append(fault(folder / name, str(error)))
    return Results(folder, tuple(runs), tuple(faults))


def fault(path: Path, reason: str) -> Fault:
    """A fault of the file at `path`, filed under the cell that its name names."""
    # a name need not be UTF-8; what is printed must be
    shown = os.fsencode(path.name).decode("utf-8", "replace")
    shots = re.search(r"\.k([0-9]+)(?=\.s[0-9]+$)", path.stem)
    try:
        cell = parse(path.stem.replace(shots[0], "") if shots else path.stem)
    except ConfigError:
        return Fault(shown, reason)
    K = int(shots[1]) if shots else None
    return Fault(shown, reason, Identity(cell.backbone, cell.regime, cell.arm, cell.adapter, K), cell.seed)


def read_run(path: Path) -> Run:
    """The run of one JSON file.

    Raises:
        UnusableFileError: why it cannot be used.
    """
    values = read_object(path)
    if values.get("schema") != SCHEMA:
        raise UnusableFileError(f"schema {_shown(values.get('schema'))} is not allowed: {SCHEMA}")
    if values.get("cell") != path.stem:
        wanted = f"{path.stem}, as in the file's name"
        raise UnusableFileError(f"cell {_shown(values.get('cell'))} is not allowed: {wanted}")
    result, faults = hold(values)
    if faults:
        raise UnusableFileError(_refusal(faults[0]))
    return run_of(result, values)


def run_of(result: ResultFields, values: dict[str, Any]) -> Run:
    """What compare needs of a result; its mask as the file's `values` have it."""
    budget, git = result.budget or BudgetFields(), result.git or GitFields()
    deviation = result.deviation or DeviationFields()
    moved = deviation.total or deviation
    return Run(
        cell=result.cell,
        profile=result.profile,
        identity=Identity(result.backbone, result.regime, result.arm, bool(result.adapter), result.K),
        seed=result.seed,
        datasets={
            name: DatasetScore(entry.em, entry.f1, entry.examples, entry.data_sha256)
            for name, entry in result.datasets.items()
            if entry.examples and entry.em is not None and entry.f1 is not None
        },
        empty=tuple(name for name, entry in result.datasets.items() if not entry.examples),
        revision=result.backbone_revision,
        p_f=result.p_f,
        evaluator=result.evaluator_version,
        mask=values.get("mask") or None,
        deviation={key: number for key in ("l2", "relative") if (number := getattr(moved, key)) is not None},
        epochs=budget.epochs,
        mask_steps=budget.mask_steps,
        commit=git.commit,
        dirty=git.dirty,
        from_hub=tuple(result.from_hub or ()),
    )


def read_facts(folder: Path, table: str) -> tuple[dict[str, Any] | None, Fault | None]:
    """`table_<id>.json`: {"schema", "table", "profile", "backbone", "rows": {row: {metric: number or null}}};
    or None; or why not.
    """
    path = folder / f"table_{table}.json"
    if not path.exists():
        return None, None
    try:
        values = read_object(path)
        if values.get("schema") != SCHEMA or values.get("table") != table:
            what = f"schema {_shown(values.get('schema'))}, table {_shown(values.get('table'))}"
            raise UnusableFileError(f"{what} are not allowed: {SCHEMA} and {table!r}")
        read_fields(FactsFields, values, lambda fault: UnusableFileError(_refusal(fault)), foreign=True)
    except UnusableFileError as error:
        return None, Fault(path.name, str(error))
    return values, None


def read_object(path: Path, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> dict[str, Any]:
    """The object that a JSON file is.

    Args:
        pairs: makes each object of its keys and values; None: a dict.

    Raises:
        UnusableFileError: it is none, and why.
    """
    try:
        values = json.loads(path.read_bytes(), object_pairs_hook=pairs)
        json.dumps(values, ensure_ascii=False).encode()
    except OSError as error:
        raise UnusableFileError(f"cannot be read: {error.strerror}") from None
    except UnicodeEncodeError:
        raise UnusableFileError("a text in it is no Unicode (half of a surrogate pair)") from None
    except UnicodeDecodeError:
        raise UnusableFileError("no UTF-8 text") from None
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}: no JSON ({error.msg}); an interrupted write or an edit: make it again"
        raise UnusableFileError(reason) from None
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        raise UnusableFileError("no results: nested too deeply, or a number too long") from None
    if not isinstance(values, dict):
        raise UnusableFileError(f"{_shown(values)} is not allowed: an object")
    return values


def _refusal(fault: SchemaFault) -> str:
    if fault.path == ("datasets",) and not fault.value:
        return "datasets: missing: at least one, with em, f1 and examples"
    return f"{fault.key}: {_shown(fault.value)} is not allowed: {in_words(fault)}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
