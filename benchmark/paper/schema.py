"""What the files of a paper's folder may hold, key by key. docs/compare.md is the same for readers."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta

from benchmark.cli.text import nearest
from benchmark.config.schema import Mapping, Number, SchemaFault, Text, read
from bmt.errors import ConfigError

T = TypeVar("T")

OURS = "literature, or {backbone, regime, arm, adapter}"

Words = Annotated[str, Meta(pattern=r"\S", description="a text")]
Texts = Annotated[dict[str, Words], Meta(description="names and texts")]
Names = Annotated[list[Words], Meta(min_length=1, description="a list of names")]
Entries = Annotated[list[Any], Meta(min_length=1, description="a list with at least one entry")]
AtLeastOne = Annotated[int, Meta(ge=1)]
Positive = Annotated[int, Meta(gt=0)] | Annotated[float, Meta(gt=0, le=sys.float_info.max)]
Decimals = Annotated[int, Meta(ge=0, le=6)]
OpenShare = Annotated[float, Meta(gt=0, le=1, description="a number above 0 and at most 1")]
WordsOrNull = Annotated[Words | None, Meta(description="a text, or null")]
CountOrNull = Annotated[AtLeastOne | None, Meta(description="a whole number of at least 1, or null")]


@dataclass(frozen=True, slots=True)
class Ours:
    """The runs that reproduce a row. regime: `mt`, or `st` (the column's own dataset: st-<Dataset>)."""

    backbone: Words
    regime: Annotated[Literal["mt", "st"], Meta(description="one of mt, st")]
    arm: Words
    adapter: bool = False


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a run needs to be compared with the paper; None or an absent key: not required. epochs: planned,
    by regime.
    """

    profile: WordsOrNull = None
    evaluator: WordsOrNull = None
    backbones: Texts = field(default_factory=dict)
    epochs: Annotated[
        dict[Annotated[str, Meta(pattern=r"^(mt|st)\Z")], Positive],
        Meta(description="mt and st, each a number above 0"),
    ] = field(default_factory=dict)
    examples: Annotated[dict[str, AtLeastOne], Meta(description="datasets and their numbers of examples")] = (
        field(default_factory=dict)
    )
    data_sha256: Texts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PaperFile:
    """paper.yaml."""

    paper: Words
    url: Words | None = None
    seeds: Words | None = None
    requires: Requirements = field(default_factory=Requirements)


@dataclass(frozen=True, slots=True)
class TableFile:
    """table_<id>.yaml."""

    table: Words
    caption: Words
    where: Words
    kind: Annotated[Literal["scores", "facts"], Meta(description="one of scores, facts")]
    metrics: Names
    decimals: Annotated[
        Decimals | dict[str, Decimals], Meta(description="a whole number of 0 to 6, or one for each metric")
    ]
    rows: Entries
    notes: Words = ""
    unit: Annotated[Literal["percent"], Meta(description="one of percent")] | None = None
    columns: Texts | None = None
    average: Words | None = None
    published_runs: CountOrNull = None
    command: Words | None = None
    references: Mapping | None = None


@dataclass(frozen=True, slots=True)
class ReferencesEntry:
    """`references` of a table."""

    source: Words
    metric: Words
    columns: Texts
    rows: Entries


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """A row of `references`."""

    system: Words
    values: Mapping


@dataclass(frozen=True, slots=True)
class SecondReading:
    """Another arm that a row's numbers may stand for."""

    arm: Words


@dataclass(frozen=True, slots=True)
class RowEntry:
    """A row of a table."""

    row: Words
    model: Words
    values: Mapping
    arm: WordsOrNull = None
    note: Words = ""
    K: CountOrNull = None
    p_F: OpenShare | None = None  # noqa: N815 (the paper's symbol)
    dataset: Words | None = None
    sources: Mapping | None = None
    marks: Mapping | None = None
    ours: Annotated[Literal["literature"] | dict[Any, Any], Meta(description=OURS)] | None = None
    second_reading: SecondReading | None = None
    printed_gain: Number | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows, `than` of a claim."""

    a: Words
    b: Words


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence and where it stands, `also` of a claim."""

    section: Words
    quote: Words


@dataclass(frozen=True, slots=True)
class ClaimEntry:
    """A claim."""

    id: Words
    table: Words
    section: Words
    quote: Words
    a: Words
    b: Words
    metric: Words
    direction: Annotated[
        Literal["greater", "less", "comparable"], Meta(description="one of greater, less, comparable")
    ]
    reading: Words = ""
    also: Entries | None = None
    than: Pair | None = None
    over: (
        Annotated[Text | Names, Meta(description="average, each, a dataset or a list of datasets")] | None
    ) = None
    size: Annotated[Positive | None, Meta(description="a number above 0, or null")] = None


@dataclass(frozen=True, slots=True)
class UntestableEntry:
    """A sentence that no run can test, and why."""

    section: Words
    quote: Words
    why: Words


@dataclass(frozen=True, slots=True)
class ClaimsFile:
    """claims.yaml."""

    claims: Annotated[list[Any], Meta(description="a list of claims")]
    untestable: Entries | None = None


def checked(kind: type[T], values: Any, where: str) -> T:
    """`values` as the schema `kind`.

    Raises:
        ConfigError: `where` (file and key), what stands there, what is allowed.
    """

    def refusal(fault: SchemaFault) -> ConfigError:
        key = ": ".join((where, *fault.path))
        if fault.problem == "unknown":
            close = nearest(fault.path[-1], fault.known)
            return ConfigError(f"{key}: unknown key{close}: one of {', '.join(fault.known)}")
        if fault.problem == "missing":
            return ConfigError(f"{key}: missing: {fault.wanted}")
        more = " (docs/compare.md)" if fault.problem == "object" and not fault.path else ""
        return ConfigError(f"{key}: {fault.value!r:.60} is not allowed: {fault.wanted}{more}")

    return read(kind, values, refusal)


def same_keys(values: Any, wanted: tuple[str, ...], where: str, what: str) -> dict[str, Any]:
    """`values`, when its keys are exactly `wanted`; `what` names them in the error.

    Raises:
        ConfigError: `where`, the keys that are missing or too many, what is allowed.
    """
    if isinstance(values, dict) and set(values) == set(wanted):
        return values
    keys = set(values) ^ set(wanted) if isinstance(values, dict) else ()
    differs = ", ".join(sorted(map(str, keys))) if isinstance(values, dict) else f"{values!r:.60}"
    want = f"exactly the {what} {', '.join(wanted)} (null where nothing is printed)"
    raise ConfigError(f"{where}: {differs}: {want}")
