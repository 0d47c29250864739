"""Reproduction: is the published number what this pipeline gives?

Both sides score the same test examples, so example noise is shared, and the seeds (ours and theirs) and the
rounding are the noise. n seeds give mean m and standard deviation s; P is the published value, h half its
rounding unit, n_pub the runs behind P; d = m - P.

    moderated variance    s~^2 = (d0 s_pool^2 + (n-1) s^2) / (d0 + n - 1), pooled over the table's cells,
                          averages apart from cells (limma: Smyth 2004, with d0 given);
                          df = min(d0 + n - 1, sum of n - 1 over the pool)
    prediction interval   m -+ t.975 s~ sqrt(1/n + 1/n_pub): where another n_pub runs' mean would lie
    reproduced            |d| + h + t.95 s~ sqrt(1/n) < margin: two one-sided tests; P taken as fixed
    not reproduced        p = 2 P(T > max(|d| - h, 0) / (s~ sqrt(1/n + 1/n_pub))) below ALPHA, by Holm over
                          all judged cells
    inconclusive          neither, with the seeds that would settle it

`judge_cells` is what a table calls. `judge_arrays` is the same arithmetic on arrays with any leading axes:
`tools.calibration` runs it on thousands of simulated tables at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmark.statistics.effect_sizes import cv_star
from benchmark.statistics.t_tests import ALPHA, Array, fewest_seeds, holm, t_quantile, t_two_sided

Estimand = Literal["printed", "mean"]
REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE = "reproduced", "not reproduced", "inconclusive"
NOT_COMPARABLE, MISSING = "not comparable", "missing"
SMALLEST_GAIN_MARGIN = 0.3
"""Half of a claimed gain smaller than this is no margin: rounding and seeds alone would fill it."""


@dataclass(frozen=True, slots=True)
class ReproductionRule:
    """What the verdicts rest on.

    margin_cell, margin_average: points within which a number is reproduced. d0: prior degrees of freedom of
    the pooled variance; 0: each cell's own. n_pub: runs behind a printed number. estimand: what our mean is
    held against, the number as printed or the mean behind it, which carries the paper's own run noise.

    Raises:
        ValueError: naming the field that is not finite or out of range.
    """

    margin_cell: float = 1.0
    margin_average: float = 0.5
    d0: float = 4.0
    n_pub: int = 1
    estimand: Estimand = "printed"

    def __post_init__(self) -> None:
        for name, fits, allowed in (
            ("margin_cell", 0 < self.margin_cell < math.inf, "be above 0"),
            ("margin_average", 0 < self.margin_average < math.inf, "be above 0"),
            ("d0", 0 <= self.d0 < math.inf, "be at least 0"),
            ("n_pub", self.n_pub >= 1, "be at least 1"),
            ("estimand", self.estimand in ("printed", "mean"), "be 'printed' or 'mean'"),
        ):
            if not fits:
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must {allowed}")

    def margin(self, cell: CellData) -> float:
        """The margin of a cell: that of its kind, tightened to half of a claimed gain unless that is too
        small to be one.
        """
        default = self.margin_average if cell.kind == "average" else self.margin_cell
        half_gain = abs(cell.claimed_gain or 0.0) / 2
        return min(default, half_gain) if half_gain >= SMALLEST_GAIN_MARGIN else default

    def equivalence_se(self, spread: ArrayLike, n: ArrayLike) -> Array:
        """Standard error of m about the estimand: the printed number is fixed, the mean behind it is not."""
        noise = 1 / self.n_pub if self.estimand == "mean" else 0.0
        return np.asarray(spread) * np.sqrt(1 / np.asarray(n, float) + noise)


PLAIN_RULE = ReproductionRule()
"""The rule with its defaults."""


@dataclass(frozen=True, slots=True)
class CellData:
    """One printed number and our runs of it.

    Attributes:
        published: the paper's value, printed with `decimals` decimals.
        values: ours, one per seed, same unit (percent).
        kind: "average" for a mean over datasets.
        claimed_gain: the gain over another row that the paper claims for this cell, or None.
        gate: why this cell cannot be compared (profile, backbone, data digest, …), or None; a gated cell is
            described but never judged.
    """

    key: str
    published: float
    decimals: int
    values: tuple[float, ...]
    kind: Literal["cell", "average"] = "cell"
    claimed_gain: float | None = None
    gate: str | None = None

    @property
    def half_unit(self) -> float:
        """Half of the printed number's rounding unit."""
        return 0.5 * 10.0**-self.decimals


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """What is said about one cell. Intervals are (low, high); None where the runs do not allow the figure.

    Attributes:
        mean, sd, n: of our seeds.
        delta: mean - published.
        pi95: 95 % prediction interval of the paper's value, around our mean.
        ci90: 90 % interval of delta, widened by the rounding; inside (-margin, margin) means reproduced.
        seeds_needed: for an inconclusive cell, the seeds of ours at which it would be settled with 80 %
            probability if the truth were what we see now; None: no number does (the paper's run noise is too
            large).
    """

    verdict: str
    reason: str
    mean: float | None = None
    sd: float | None = None
    n: int = 0
    delta: float | None = None
    pi95: tuple[float, float] | None = None
    ci90: tuple[float, float] | None = None
    margin: float | None = None
    cv_star: float | None = None
    p_holm: float | None = None
    seeds_needed: int | None = None


@dataclass(frozen=True, slots=True)
class TableStatistics:
    """`judge_arrays` on tables of C cells: every field has the shape (..., C)."""

    delta: Array
    sd: Array
    prediction_half_width: Array
    equivalence_half_width: Array
    p_holm: Array
    reproduced: NDArray[np.bool_]
    not_reproduced: NDArray[np.bool_]


def moderated_sd(sd: ArrayLike, n: ArrayLike, groups: ArrayLike, d0: float = 4.0) -> tuple[Array, Array]:
    """(s~, df), both (..., C), from the seeds' sd (..., C), numbers of seeds n (C,) and group labels (C,);
    variances pool within a group.

    s_pool^2 = sum (n-1) s^2 / sum (n-1) over the group; s~^2 = (d0 s_pool^2 + (n-1) s^2) / (d0 + n - 1). d0 =
    0 is the plain sd. df = d0 + n - 1, but never more than the group's sum (n-1): two averages of three seeds
    hold 4 degrees of freedom, not 6 (limma does the same; without it a table's lone average at n = 3 would be
    covered 86 % of the time instead of 95 %).
    """
    variance, n, groups = np.asarray(sd, float) ** 2, np.asarray(n, float), np.asarray(groups)
    pooled, held = np.empty_like(variance), np.empty_like(n)
    for group in np.unique(groups):
        members = groups == group
        held[members] = (n[members] - 1).sum()
        pooled[..., members] = (variance[..., members] @ (n[members] - 1) / (n[members] - 1).sum())[..., None]
    moderated = np.sqrt((d0 * pooled + (n - 1) * variance) / (d0 + n - 1))
    return moderated, np.broadcast_to(np.minimum(d0 + n - 1, held), variance.shape)


def judge_arrays(
    mean: ArrayLike,
    sd: ArrayLike,
    n: ArrayLike,
    published: ArrayLike,
    half_unit: ArrayLike,
    margin: ArrayLike,
    groups: ArrayLike,
    rule: ReproductionRule = PLAIN_RULE,
) -> TableStatistics:
    """Judge tables of C comparable cells: mean, sd, published (..., C); n, half_unit, margin, groups (C,);
    every s~ must be above 0. The margins are these, not those of the rule.
    """
    n, half_unit = np.asarray(n, float), np.asarray(half_unit, float)
    delta = np.asarray(mean, float) - np.asarray(published, float)
    spread, df = moderated_sd(sd, n, groups, rule.d0)
    both = spread * np.sqrt(1 / n + 1 / rule.n_pub)
    p_holm = holm(t_two_sided(np.maximum(np.abs(delta) - half_unit, 0) / both, df))
    half_width = half_unit + t_quantile(1 - ALPHA, df) * rule.equivalence_se(spread, n)
    reproduced = np.abs(delta) + half_width < margin
    return TableStatistics(
        delta=delta,
        sd=spread,
        prediction_half_width=t_quantile(0.975, df) * both,
        equivalence_half_width=half_width,
        p_holm=p_holm,
        reproduced=reproduced,
        not_reproduced=(p_holm < ALPHA) & ~reproduced,
    )


def judge_cells(cells: Sequence[CellData], rule: ReproductionRule = PLAIN_RULE) -> list[CellVerdict]:
    """Judge one table's cells, in their order: missing, not comparable, reproduced, not reproduced,
    inconclusive.

    Variances pool and Holm runs over the comparable cells only, so the verdicts do not depend on gated cells
    or on the cells' order. A cell with one seed, or whose seeds (and all others of its kind) give identical
    values, is not comparable. Where the paper claims a gain, half of it is the margin if that is at least .3
    and tighter than the rule's.

    Raises:
        ValueError: naming the cell whose number is not finite.
    """
    reasons = _gates(cells, rule.d0)
    comparable = [cell for cell, reason in zip(cells, reasons, strict=True) if reason is None]
    judged = iter(_judged(comparable, rule) if comparable else ())
    return [
        next(judged) if reason is None else _described(cell, reason, rule.n_pub)
        for cell, reason in zip(cells, reasons, strict=True)
    ]


def _gates(cells: Sequence[CellData], d0: float) -> list[str | None]:
    """Why cells are not judged, or None.

    With d0 = 0 each cell stands on its own variance; otherwise one varying cell lends the others some.
    """
    reasons = [_gate(cell) for cell in cells]
    for kind in ("cell", "average"):
        open_cells = [i for i, cell in enumerate(cells) if reasons[i] is None and cell.kind == kind]
        alike = [i for i in open_cells if min(cells[i].values) == max(cells[i].values)]
        for i in alike if d0 == 0 or len(alike) == len(open_cells) else ():
            reasons[i] = "every seed gives the same value: no variance to judge with (is the seed used?)"
    return reasons


def _judged(cells: Sequence[CellData], rule: ReproductionRule) -> list[CellVerdict]:
    """The verdicts of comparable cells."""
    margin = np.array([rule.margin(cell) for cell in cells])
    table = judge_arrays(
        mean=[np.mean(cell.values) for cell in cells],
        sd=[_sd(cell.values) for cell in cells],
        n=[len(cell.values) for cell in cells],
        published=[cell.published for cell in cells],
        half_unit=[cell.half_unit for cell in cells],
        margin=margin,
        groups=[cell.kind for cell in cells],
        rule=rule,
    )
    return [_judged_cell(cells, j, float(margin[j]), table, rule) for j in range(len(cells))]


def _judged_cell(
    cells: Sequence[CellData], j: int, margin: float, table: TableStatistics, rule: ReproductionRule
) -> CellVerdict:
    """The verdict of comparable cell `j` of its table."""
    cell, seeds = cells[j], None
    mean, delta = float(np.mean(cell.values)), float(table.delta[j])
    away, width = float(table.prediction_half_width[j]), float(table.equivalence_half_width[j])
    if table.reproduced[j]:
        verdict = REPRODUCED
        reason = f"the {1 - 2 * ALPHA:.0%} interval of the difference lies within ±{margin:g}"
    elif table.not_reproduced[j]:
        verdict, side = NOT_REPRODUCED, "above" if delta > 0 else "below"
        reason = f"ours is {abs(delta):.1f} {side} the paper (Holm p {table.p_holm[j]:.2g})"
    else:
        pool = sum(other.kind == cell.kind for other in cells)
        seeds = _seeds_to_settle(cell, delta, float(table.sd[j]), rule, len(cells), pool)
        verdict, more = INCONCLUSIVE, "no number of our seeds settles it against one printed value"
        if seeds:
            more = f"{seeds} seeds would settle it"
        reason = f"neither within ±{margin:g} nor different; {more}"
    return CellVerdict(
        verdict,
        reason,
        mean,
        _sd(cell.values),
        len(cell.values),
        delta,
        pi95=(mean - away, mean + away),
        ci90=(delta - width, delta + width),
        margin=margin,
        cv_star=cv_star(cell.values),
        p_holm=float(table.p_holm[j]),
        seeds_needed=seeds,
    )


def _gate(cell: CellData) -> str | None:
    """Why a cell is not judged, or None. Raises ValueError for a number that is none."""
    numbers = {"published value": cell.published} | {
        f"value of run {i}": value for i, value in enumerate(cell.values)
    }
    if cell.claimed_gain is not None:
        numbers["claimed gain"] = cell.claimed_gain
    for name, value in numbers.items():
        if not math.isfinite(value):
            raise ValueError(f"cell {cell.key}: the {name} is {value}; it must be a finite number")
    if cell.gate is not None:
        return cell.gate
    return "no runs" if not cell.values else "fewer than 2 seeds" if len(cell.values) < 2 else None


def _described(cell: CellData, reason: str, n_pub: int) -> CellVerdict:
    """The verdict of a gated cell: its figures rest on its seeds alone (sd, n - 1 degrees of freedom)."""
    n = len(cell.values)
    if not n:
        return CellVerdict(MISSING, reason)
    mean = float(np.mean(cell.values))
    delta = mean - cell.published
    if n < 2:
        return CellVerdict(NOT_COMPARABLE, reason, mean, None, n, delta)
    sd = _sd(cell.values)
    away = float(t_quantile(0.975, n - 1)) * sd * math.sqrt(1 / n + 1 / n_pub)
    pi95 = (mean - away, mean + away)
    return CellVerdict(NOT_COMPARABLE, reason, mean, sd, n, delta, pi95, cv_star=cv_star(cell.values))


def _sd(values: Sequence[float]) -> float:
    """Sample standard deviation; exactly 0 for identical values, whatever the mean rounds to."""
    return 0.0 if min(values) == max(values) else float(np.std(values, ddof=1))


def _seeds_to_settle(
    cell: CellData, delta: float, sd: float, rule: ReproductionRule, cells: int, pool: int
) -> int | None:
    """Seeds of ours, more than there are, at which the cell would be reproduced or not reproduced with
    probability `POWER`.

    The printed value stays as it is and our seeds vary around the delta and sd seen now; Holm counts as
    Bonferroni over `cells`, and the variance is pooled over `pool` of them with as many seeds each.
    """
    from scipy.special import ndtr

    half_unit, margin = cell.half_unit, rule.margin(cell)

    def settled(n: Array) -> Array:
        se, df = sd / np.sqrt(n), np.minimum(rule.d0 + n - 1, pool * (n - 1))
        room = margin - half_unit - t_quantile(1 - ALPHA, df) * rule.equivalence_se(sd, n)
        same = np.where(room > 0, ndtr((room - delta) / se) - ndtr((-room - delta) / se), 0.0)
        both = sd * np.sqrt(1 / n + 1 / rule.n_pub)
        bar = half_unit + t_quantile(1 - ALPHA / (2 * cells), df) * both
        return np.maximum(same, ndtr((delta - bar) / se) + ndtr((-bar - delta) / se))

    return fewest_seeds(settled, len(cell.values) + 1)
