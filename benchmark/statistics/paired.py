"""What a claim is judged on: two arms' scores of the same examples, and the interval that comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.statistics.t_tests import Array


@dataclass(frozen=True, slots=True, eq=False)
class PairedScores:
    """Two arms on one dataset: a (S_a, N) and b (S_b, N), percent; a row per seed, a column per example, the
    same columns in both.

    clusters (N,): the context of each example, any labels that sort. Contexts, not examples, are the units
    that would be drawn anew.

    Raises:
        ValueError: naming the dataset, where a score is not finite, shapes disagree or there is no example.
    """

    dataset: str
    a: Array
    b: Array
    clusters: NDArray[np.generic]

    def __post_init__(self) -> None:
        for name in ("a", "b"):
            scores = np.asarray(getattr(self, name), float)
            object.__setattr__(self, name, scores)
            if scores.ndim != 2 or not scores.shape[0]:
                raise ValueError(
                    f"{self.dataset}: arm {name} has shape {scores.shape}; "
                    "it must be (seeds, examples), one seed or more"
                )
            if not np.isfinite(scores).all():
                raise ValueError(f"{self.dataset}: arm {name} has a score that is not a finite number")
        object.__setattr__(self, "clusters", np.asarray(self.clusters))
        if not self.a.shape[1] == self.b.shape[1] == self.clusters.size == len(self.clusters):
            raise ValueError(
                f"{self.dataset}: arm a has {self.a.shape[1]} examples, arm b {self.b.shape[1]}, "
                f"clusters {self.clusters.shape}; they must be the same examples"
            )
        if not self.a.shape[1]:
            raise ValueError(f"{self.dataset}: no examples")


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference a - b and its interval at `LEVEL`.

    Attributes:
        low, high: None where one seed of a scalar allows none.
        p: two-sided, of no difference.
        n_seeds: of the arm (and dataset) that has fewest.
        se, df: standard error and (Satterthwaite) degrees of freedom, None for resampling.
        seed_sd: standard deviation of one seed's difference (its part of se is seed_sd / sqrt(n_seeds)).
        example_se: the part of se that comes from the choice of examples, which more seeds do not shrink.
    """

    estimate: float
    low: float | None
    high: float | None
    p: float | None
    n_seeds: int
    method: str
    se: float | None = None
    df: float | None = None
    seed_sd: float | None = None
    example_se: float | None = None


def context_sums(scores: PairedScores) -> tuple[Array, Array, Array]:
    """Sums of the scores over each of C contexts, arm a (S_a, C) and arm b (S_b, C), and each context's
    examples (C,).
    """
    _, index = np.unique(scores.clusters, return_inverse=True)
    sizes = np.bincount(index).astype(np.float64)
    sums_a, sums_b = (
        np.stack([np.bincount(index, weights=row) for row in arm]).astype(np.float64)
        for arm in (scores.a, scores.b)
    )
    return sums_a, sums_b, sizes


def seed_count(scores: Sequence[PairedScores]) -> int:
    """Seeds of the arm and dataset that has fewest."""
    return min(len(arm) for entry in scores for arm in (entry.a, entry.b))


def check_scores(scores: Sequence[PairedScores]) -> None:
    """Raises ValueError without datasets, or for a dataset given twice."""
    names = [entry.dataset for entry in scores]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"a claim needs at least one dataset and each only once; found {', '.join(names) or 'none'}"
        )
