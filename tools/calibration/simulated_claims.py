"""Simulated claims with known truth, judged by the very functions that `benchmark.compare` uses.

Contexts hold several questions. On a question two arms with paired seeds differ by -100, 0 or 100 points, as
exact match does; scores of arms whose seeds are not paired are normal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.claims import (
    CONTRADICTED,
    SMALLER,
    UPHELD,
    ClaimData,
    claim_interval,
    judge_claims,
    seed_interval,
)
from benchmark.statistics.paired import Interval, PairedScores
from benchmark.statistics.resampling import paired_bootstrap
from benchmark.statistics.t_tests import Array, seeds_needed
from tools.calibration.rate_tables import Rates

TRUTH = 1.0


@dataclass(frozen=True, slots=True)
class EvaluationSets:
    """The test sets of a claim: D datasets of `contexts` contexts with `questions` questions in all, unevenly
    spread.
    """

    name: str
    datasets: int
    contexts: int
    questions: int


def claim_coverage(
    layout: EvaluationSets, n: int, seed_sd: float, claims: int, rng: np.random.Generator
) -> Rates:
    """Coverage of nominal 95 % intervals of a macro difference by n seeds with paired seeds.

    crossed: `claim_interval`; seeds_only: t over the seeds' macro differences; examples_only:
        `paired_bootstrap`, of every fourth claim;
    width: the crossed interval's mean half width. One seed's difference has standard deviation `seed_sd` on
        each dataset, of which half
    the variance is shared by the datasets.
    """
    hits: dict[str, list[bool]] = {"crossed": [], "seeds_only": [], "examples_only": []}
    widths = []
    for i in range(claims):
        effects = (rng.standard_normal(n) + rng.standard_normal((layout.datasets, n))) * seed_sd / np.sqrt(2)
        scores = [_exact_match(f"{d}", layout, TRUTH + effects[d], rng) for d in range(layout.datasets)]
        by_seed = np.mean([entry.a.mean(1) - entry.b.mean(1) for entry in scores], axis=0)
        crossed = claim_interval(scores)
        hits["crossed"].append(_covers(crossed))
        hits["seeds_only"].append(_covers(seed_interval(by_seed.tolist(), [0.0] * n)))
        if i % 4 == 0:
            hits["examples_only"].append(_covers(paired_bootstrap(scores, 300, rng_seed=i)))
        widths.append(((crossed.high or 0.0) - (crossed.low or 0.0)) / 2)
    return {name: float(np.mean(hit)) for name, hit in hits.items()} | {"width": float(np.mean(widths))}


def separate_coverage(
    layout: EvaluationSets,
    seeds: tuple[int, int],
    separate: tuple[bool, bool],
    paired: bool,
    seed_sd: float,
    claims: int,
    rng: np.random.Generator,
) -> Rates:
    """Coverage of `claim_interval` for arms a and b of `seeds` seeds, independent of each other; a `separate`
    arm (ST) has its own in each dataset, any other (MT) one set for all. `paired` is how the interval is told
    to take the rows."""
    hits = []
    for _ in range(claims):
        effects = []
        for n, is_separate in zip(seeds, separate, strict=True):
            drawn = rng.standard_normal((layout.datasets, n)) * seed_sd
            effects.append(drawn if is_separate else np.broadcast_to(drawn[0], drawn.shape))
        scores = []
        for d in range(layout.datasets):
            context = _contexts(layout, rng)
            difficulty = 70 + 20 * rng.standard_normal(layout.contexts)
            a, b = (_normal_scores(effect[d], difficulty, context, rng) for effect in effects)
            scores.append(PairedScores(f"{d}", a + TRUTH, b, context))
        hits.append(
            _covers(
                claim_interval(scores, paired_seeds=paired, separate_a=separate[0], separate_b=separate[1])
            )
        )
    return {"crossed": float(np.mean(hits))}


def confirmation_rates(effect: float, seed_sd: float, claims: int, rng: np.random.Generator) -> Rates:
    """seeds: what `seeds_needed` answers for a true difference `effect`; power: how often that many seeds
    find it.
    """
    seeds = seeds_needed(effect, seed_sd) or 0
    hits = []
    for _ in range(claims):
        interval = seed_interval((effect + seed_sd * rng.standard_normal(seeds)).tolist(), [0.0] * seeds)
        hits.append(interval.p is not None and interval.p < 0.05)
    return {"seeds": float(seeds), "power": float(np.mean(hits))}


def claim_table_rates(n: int, true_share: float, tables: int, rng: np.random.Generator) -> Rates:
    """Verdicts of `judge_claims` on tables of ten claims of +1.2, n seeds, sd .5, when the true difference
    is `true_share` * 1.2.

    upheld, smaller, contradicted: shares of the claims; any: tables with at least one of the three, which is
        the table-wise false alarm
    where the true difference is 0.
    """
    verdicts = []
    for _ in range(tables):
        draws = true_share * 1.2 + 0.5 * rng.standard_normal((10, n))
        claims = [
            ClaimData(f"{k}", 1, seed_interval(row.tolist(), [0.0] * n), 1.2) for k, row in enumerate(draws)
        ]
        verdicts.append([verdict.verdict for verdict in judge_claims(claims)])
    table = np.array(verdicts)
    shares = {name: float((table == name).mean()) for name in (UPHELD, SMALLER, CONTRADICTED)}
    return shares | {"any": float(np.isin(table, list(shares)).any(1).mean())}


def _covers(interval: Interval) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= TRUTH <= interval.high


def _contexts(layout: EvaluationSets, rng: np.random.Generator) -> NDArray[np.int64]:
    """The context of each question (N,); every context has at least one."""
    return np.concatenate(
        [np.arange(layout.contexts), rng.integers(0, layout.contexts, layout.questions - layout.contexts)]
    )


def _exact_match(name: str, layout: EvaluationSets, means: Array, rng: np.random.Generator) -> PairedScores:
    """Exact match of two arms, (S, N) each, whose mean difference is `means` (S,) points.

    They differ on half of the questions of a quarter of the contexts: 12.5 % of them, so 1 point is a leaning
    of .08 on these.
    """
    context = _contexts(layout, rng)
    disputed = rng.random(layout.contexts) < 0.25
    leaning = np.clip(rng.uniform(-0.75, 0.75, layout.contexts) + means[:, None] / 12.5, -1, 1)
    differ = disputed[context] & (rng.random((len(means), len(context))) < 0.5)
    better = rng.random(differ.shape) < ((1 + leaning) / 2)[:, context]
    return PairedScores(
        name, np.where(differ & better, 100.0, 0.0), np.where(differ & ~better, 100.0, 0.0), context
    )


def _normal_scores(
    effects: Array, difficulty: Array, context: NDArray[np.int64], rng: np.random.Generator
) -> Array:
    """Scores (S, N): the contexts' shared difficulty, the seeds' effects, the arm's own leaning by context,
    and noise.
    """
    leaning = difficulty + 8 * rng.standard_normal(len(difficulty))
    return leaning[context] + effects[:, None] + 30 * rng.standard_normal((len(effects), len(context)))
