"""Counted parameters, for a table of total_M, trainable_M and trainable_pct: arithmetic on the encoder's
shape, no weights, no torch.

    embeddings   (vocabulary + positions + token types) H + 2 H
    layer        4 (H H + H) + 2 H  +  (H F + F) + (F H + H) + 2 H     attention and feed-forward, with norms
    pooler       H H + H                   left out of span extraction: no gradient, never masked
    head         2 H + 2                   phi; one, or with adapters one per dataset
    adapter      2 L (H m + m + m H + H)   psi, one per dataset: Houlsby's bottlenecks after attention and
                                           after feed-forward, m = H / 16
    delta_d      2 per masked weight       alpha and w of eq. 12, element by element, one per dataset; the
                                           mask that they leave: 1 bit per weight

total: all of it. trainable: all of it without adapters; with adapters what the last phase trains, theta
frozen: one dataset's phi, psi and delta_d. That reading gives the paper's 1.8M and 1.3 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from benchmark.comparison.mask_density import mask_density
from benchmark.paper.tables import Ours, Table
from benchmark.rendering import phrases
from benchmark.runs.results import Results, Run
from bmt.settings import IN_DOMAIN

METRICS = ("total_M", "trainable_M", "trainable_pct")
LEARNED = "bmt"
"""The arm whose rows have a delta_d."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A BERT-like encoder: H hidden, L layers, F intermediate, bottleneck m = H / 16. Counts are numbers of
    parameters.
    """

    vocabulary: int
    positions: int
    token_types: int
    hidden: int
    layers: int
    intermediate: int

    @property
    def encoder(self) -> int:
        """Theta without the pooler: what span extraction trains, and what masks act on."""
        H, F = self.hidden, self.intermediate
        embeddings = (self.vocabulary + self.positions + self.token_types) * H + 2 * H
        layer = 4 * (H * H + H) + 2 * H + (H * F + F) + (F * H + H) + 2 * H
        return embeddings + self.layers * layer

    @property
    def pooler(self) -> int:
        """The dense layer on the first token."""
        return self.hidden * self.hidden + self.hidden

    @property
    def head(self) -> int:
        """Phi: start and end scores."""
        return 2 * self.hidden + 2

    @property
    def bottleneck(self) -> int:
        """Width of an adapter."""
        return self.hidden // 16

    @property
    def adapter(self) -> int:
        """Psi of one dataset."""
        H, m = self.hidden, self.bottleneck
        return 2 * self.layers * (H * m + m + m * H + H)

    @property
    def delta(self) -> int:
        """Delta_d of one dataset, dense: alpha and w of every masked weight."""
        return 2 * self.encoder

    @property
    def mask_bytes(self) -> int:
        """One mask at 1 bit per weight; exact where every tensor has a multiple of 8 weights (each starts a
        byte).
        """
        return -(-self.encoder // 8)


SHAPES = {
    "roberta-base": Shape(
        vocabulary=50265, positions=514, token_types=1, hidden=768, layers=12, intermediate=3072
    )
}
"""By backbone, as its configuration has it; the marker tokens that `bmt.span_model` adds (three rows) are not
counted.
"""


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Numbers of parameters."""

    total: int
    trainable: int

    @property
    def numbers(self) -> dict[str, float]:
        """As the metrics of a table: millions, and percent of all."""
        return {
            "total_M": self.total / 1e6,
            "trainable_M": self.trainable / 1e6,
            "trainable_pct": 100 * self.trainable / self.total,
        }


def count(shape: Shape, *, adapter: bool, learned: bool, pooler: bool = True) -> ParameterCount:
    """The parameters of one setting; `learned`: with delta_d, dense."""
    per_dataset = shape.head + adapter * shape.adapter + learned * shape.delta
    datasets = len(IN_DOMAIN)
    beside_encoder = datasets * per_dataset if adapter else shape.head + learned * datasets * shape.delta
    total = shape.encoder + pooler * shape.pooler + beside_encoder
    return ParameterCount(total, per_dataset if adapter else total)


def counted(table: Table) -> dict[str, Any] | None:
    """Our numbers for a table, as `results.read_facts` gives those of a file; None: no table of parameters,
    or no shape known here.
    """
    backbones = {row.ours.backbone if row.ours else "" for row in table.rows}
    if set(table.metrics) != set(METRICS) or len(backbones) != 1 or not backbones <= set(SHAPES):
        return None
    (backbone,) = backbones
    shape = SHAPES[backbone]
    return {
        "backbone": backbone,
        "rows": {row.row: _count(shape, row.ours).numbers for row in table.rows if row.ours},
    }


def notes(
    table: Table, results: Results, seeds: Sequence[int] | None = None, stored: bool = False
) -> tuple[str, ...]:
    """What stands under a table of parameters; empty where `counted` is None. stored: the table's numbers are
    a file's.
    """
    numbers = counted(table)
    if numbers is None:
        return ()
    backbone, n = numbers["backbone"], len(IN_DOMAIN)
    shape = SHAPES[backbone]
    source = "ours: counted from"
    if stored:
        source = f"ours: the numbers of table_{table.table}.json in the results. Counted from"
    all_adapters = _millions(n * (shape.adapter + shape.head))
    lines = [
        f"{source} {backbone}'s configuration, without weights: encoder {shape.encoder:,}, "
        f"pooler {shape.pooler:,}, span head {shape.head:,}, adapter {shape.adapter:,} "
        f"(bottleneck {shape.bottleneck}, after attention and after feed-forward)",
        f"total: everything, with {n} datasets' adapters, heads and delta_d. trainable: without adapters "
        "everything; with adapters what the phase with a frozen encoder trains: one dataset's adapter, head "
        f"and delta_d (all {n} datasets' without delta_d: {all_adapters})",
    ]
    if stored:
        lines.append(f"counted, total / trainable: {_settings(table, shape, pooler=True)}")
    without = _settings(table, shape, pooler=False)
    lines.append(f"without the pooler (RobertaForQuestionAnswering), total / trainable: {without}")
    if any(row.ours and row.ours.arm == LEARNED for row in table.rows):
        lines += [
            f"delta_d, dense: alpha and w of {shape.encoder:,} masked weights, {_millions(shape.delta)} per "
            f"dataset, {_millions(n * shape.delta)} for {n}; w alone {_millions(shape.encoder)} and "
            f"{_millions(n * shape.encoder)}. Both are gone when tuning starts: the tuned model has as many "
            "weights as without BMT",
            f"delta_d, as masks: 1 bit per weight, {shape.encoder:,} bits = {shape.mask_bytes / 1e6:.1f} MB "
            f"per dataset, {n * shape.mask_bytes / 1e6:.1f} MB for {n}",
            _non_zero(shape, backbone, results, seeds),
            *_printed_delta(table, shape, n),
        ]
    return tuple(lines)


def _count(shape: Shape, ours: Ours, pooler: bool = True) -> ParameterCount:
    return count(shape, adapter=ours.adapter, learned=ours.arm == LEARNED, pooler=pooler)


def _settings(table: Table, shape: Shape, pooler: bool) -> str:
    """Total and trainable of each row, on one line."""
    parts = []
    for row in table.rows:
        if row.ours:
            numbers = _count(shape, row.ours, pooler)
            sums = f"{_millions(numbers.total)} / {_millions(numbers.trainable)}"
            parts.append(f"{row.arm or row.row} {sums}, {numbers.numbers['trainable_pct']:.1f} %")
    return "; ".join(parts)


def _non_zero(shape: Shape, backbone: str, results: Results, seeds: Sequence[int] | None) -> str:
    """The expected number of open gates, at the densities of the runs that learned masks: of this backbone,
    else of the first that has some.
    """
    by_backbone: dict[str, list[Run]] = {}
    for run in results.runs:
        counts = (
            run.identity.regime == "mt" and run.identity.K is None and (seeds is None or run.seed in seeds)
        )
        if counts and (density := mask_density([run])) and density.by_dataset:
            by_backbone.setdefault(run.identity.backbone, []).append(run)
    measured = next((name for name in (backbone, *results.backbones) if name in by_backbone), None)
    density = mask_density(by_backbone[measured]) if measured else None
    if measured is None or density is None:
        return "delta_d, non-zero: not measured, no run in the results has learned masks"
    of = phrases.counted(len(by_backbone[measured]), "run")
    of += "" if measured == backbone else f" of {measured}, which stands in"
    means, union = density.by_dataset.values(), ""
    if density.union is not None:
        open_weights = _millions(density.union * shape.encoder)
        union = f", {open_weights} in their union (density {density.union:.3f})"
    return (
        f"delta_d, non-zero: expected at the measured mask density {fmean(means):.3f} (mean of {of}): "
        f"{_millions(fmean(means) * shape.encoder)} open weights per dataset, "
        f"{_millions(sum(means) * shape.encoder)} for {len(means)}{union}"
    )


def _printed_delta(table: Table, shape: Shape, datasets: int) -> list[str]:
    """The remark on what the paper's rows with BMT have more than those without."""
    totals = {
        (row.ours.adapter, row.ours.arm == LEARNED): row.values["total_M"][""]
        for row in table.rows
        if row.ours
    }
    more = {
        round(with_delta - without, 6)
        for adapter in (False, True)
        if (with_delta := totals.get((adapter, True))) is not None
        and (without := totals.get((adapter, False))) is not None
    }
    if len(more) != 1:
        return []
    (printed,) = more
    share = 1e6 * printed / shape.encoder
    return [
        f"the paper's {printed:.1f}M for delta_d is not derivable: no dense count has that size, and as a "
        f"count of non-zero weights it would need a mask density of {share:.3f} (one delta_d) or "
        f"{share / datasets:.4f} ({datasets}), which the paper does not print; our cells with BMT are the "
        "dense counts"
    ]


def _millions(count: float) -> str:
    return f"{count / 1e6:,.1f}M"
