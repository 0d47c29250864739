"""The fields of a result's JSON, `<cell>.json`: which must be there, of what type, in what range
(docs/compare.md).

Foreign fields are left alone, except that no number anywhere may be NaN or infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta

from benchmark.config.schema import Count, Flag, Keys, SchemaFault, Text, convert

SCHEMA = 1
KEPT = (
    "cell",
    "profile",
    "backbone",
    "backbone_revision",
    "regime",
    "arm",
    "adapter",
    "seed",
    "p_f",
    "mask",
    "budget",
    "mlflow_run_id",
)
"""Fields that a result takes over from its training as they are."""
ROUNDING = 1e-9
"""A share, a percentage or a cosine that was computed in floating point may leave its range by this."""

Amount = Annotated[float, Meta(ge=0, description="a finite number, at least 0")]
Share = Annotated[float, Meta(ge=-ROUNDING, le=1 + ROUNDING, description="a number of 0 to 1")]
Percent = Annotated[float, Meta(ge=-ROUNDING, le=100 + ROUNDING, description="a number of 0 to 100")]
Cosine = Annotated[float, Meta(ge=-1 - ROUNDING, le=1 + ROUNDING, description="a number of -1 to 1")]
OpenShare = Annotated[float, Meta(gt=0, le=1, description="a number above 0, at most 1")]
Regime = Annotated[str, Meta(pattern=r"^(mt\Z|st-)", description="mt or st-<dataset>")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z", description="64 hexadecimal digits")]
Texts = Annotated[list[str], Meta(description="a list of texts")]


@dataclass(frozen=True, slots=True)
class DatasetFields:
    """`datasets.*`: the scores are percent, and may be null only where there are no examples."""

    examples: Count
    em: Percent | None = None
    f1: Percent | None = None
    contexts: Count | None = None
    data_sha256: Text | None = None
    domain: Text | None = None


@dataclass(frozen=True, slots=True)
class AverageFields:
    """`averages.*`, by domain."""

    em: Percent | None = None
    f1: Percent | None = None
    datasets: Texts | None = None


@dataclass(frozen=True, slots=True)
class MaskOriginFields:
    """`mask.about`: how the masks were made."""

    seed: Count | None = None


@dataclass(frozen=True, slots=True)
class MaskFields:
    """`mask`: shares of open weights, by dataset and by parts of the encoder."""

    kind: Text | None = None
    p_f: OpenShare | None = None
    seed: Count | None = None
    union_density: Share | None = None
    density: dict[str, Share] | None = None
    overlap: dict[str, dict[str, Share]] | None = None
    by_layer: dict[str, dict[str, Share]] | None = None
    by_kind: dict[str, dict[str, Share]] | None = None
    about: MaskOriginFields | None = None


@dataclass(frozen=True, slots=True)
class RegularizerFields:
    """`regularizer`."""

    kind: Text | None = None
    strength: Amount | None = None


@dataclass(frozen=True, slots=True)
class BudgetFields:
    """`budget`; epochs as planned."""

    epochs: Amount | None = None
    mask_steps: Count | None = None
    steps: Amount | None = None
    best_step: Amount | None = None
    windows: Amount | None = None
    tokens: Amount | None = None


@dataclass(frozen=True, slots=True)
class DistanceFields:
    """`deviation_by.*`: how far weights moved."""

    l2: Amount | None = None
    relative: Amount | None = None
    changed: Share | None = None
    cosine: Cosine | None = None


@dataclass(frozen=True, slots=True)
class DeviationFields(DistanceFields):
    """`deviation`: the distances of the whole encoder, here or under `total`."""

    total: DistanceFields | None = None


@dataclass(frozen=True, slots=True)
class GitFields:
    """`git`."""

    commit: Text | None = None
    dirty: Flag | None = None


@dataclass(frozen=True, slots=True)
class ResultFields:
    """A whole `<cell>.json`. None: absent or null."""

    schema: Annotated[Literal[1], Meta(description=str(SCHEMA))]
    cell: Text
    profile: Text
    backbone: Text
    regime: Regime
    arm: Text
    seed: Count
    datasets: Annotated[dict[str, DatasetFields], Meta(min_length=1)]
    adapter: Flag | None = None
    K: Count | None = None
    p_f: OpenShare | None = None
    backbone_revision: Text | None = None
    evaluator_version: Text | None = None
    mlflow_run_id: Text | None = None
    predictions_sha256: Sha256 | None = None
    params_sha256: Sha256 | None = None
    record_sha256: Sha256 | None = None
    missing_datasets: Texts | None = None
    from_hub: Texts | None = None
    source_cell: Text | None = None
    averages: dict[str, AverageFields] | None = None
    mask: MaskFields | None = None
    regularizer: RegularizerFields | None = None
    budget: BudgetFields | None = None
    deviation: DeviationFields | None = None
    deviation_by: dict[str, DistanceFields] | None = None
    train_data_sha256: dict[str, Text] | None = None
    git: GitFields | None = None
    seconds: Amount | None = None
    tokens_per_second: Amount | None = None
    peak_memory_mb: Amount | None = None


@dataclass(frozen=True, slots=True)
class FactsFields:
    """The numbers of a `table_<id>.json`, by row and metric."""

    rows: dict[str, dict[str, Annotated[float, Meta(description="a finite number")] | None]] | None = None


def hold(values: Any) -> tuple[ResultFields, list[SchemaFault]]:
    """A result's plain values as fields, and all that does not fit; with a fault the fields are of no use."""
    result, faults = convert(ResultFields, values, foreign=True)
    if not faults:
        faults += _scores_missing(result)
    known = {fault.path for fault in faults}
    faults += [
        SchemaFault(path, "value", number, "a finite number", optional=path)
        for path, number in _not_finite(values, ())
        if path not in known
    ]
    return result, faults


def take_out(values: dict[str, Any], fault: SchemaFault) -> None:
    """Remove the optional part of `values` that a fault lies in, so that the rest can be used."""
    parent: Any = values
    *path, last = fault.optional or ("",)
    for key in path:
        parent = parent.get(key) if isinstance(parent, dict) else None
    if isinstance(parent, dict):
        parent.pop(last, None)


def in_words(fault: SchemaFault) -> str:
    """What is allowed where a fault is."""
    if fault.problem != "object":
        return fault.wanted
    if fault.path == ("datasets",):
        return "an object with at least one dataset"
    entry = {"datasets": "em, f1 and examples", "rows": "metrics and numbers"}
    return entry.get(fault.path[0], "an object") if len(fault.path) == 2 else "an object"


def _scores_missing(result: ResultFields) -> Iterator[SchemaFault]:
    for name, entry in result.datasets.items():
        for key in ("em", "f1"):
            if entry.examples and getattr(entry, key) is None:
                yield SchemaFault(("datasets", name, key), "missing", None, "a number of 0 to 100")


def _not_finite(node: Any, path: Keys) -> Iterator[tuple[Keys, float]]:
    """Every NaN and infinity, with its path."""
    if isinstance(node, float) and not math.isfinite(node):
        yield path, node
    elif isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _not_finite(value, (*path, str(key)))
