"""Which windows a step trains on: heterogeneous batches whose dataset shares follow eq. 15.

    weight_i = |acc_i - previous acc_i| / sum_j |acc_j - previous acc_j|        acc = EM + F1 on dataset i's
                                                                                validation questions
Uniform until two evaluations exist; where no dataset moved the old weights stay; `floor` is the least weight.
The same against a fixed reference, the scores of single-task runs,

    weight_i = |acc_i - reference_i| / sum_j |acc_j - reference_j|              from the first evaluation on.

Or weights that never move: uniform, the datasets' shares of the windows (size), or what a temperature makes
of them. A step's draws depend on (seed, step), the weights and how many windows each dataset has given so
far: a few numbers, which a checkpoint keeps.

A step has `batch` windows, or as many as a budget of tokens holds. Either way the weights alone decide whose
the windows are: the draw that no longer fits a budget is the next step's first, so that long windows are not
passed over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bmt.errors import ConfigError
from bmt.runtime.keyed_random import choice, permutation
from bmt.settings import SamplingSettings


def dynamic_weights(
    now: Sequence[float], before: Sequence[float], old: Sequence[float], floor: float
) -> np.ndarray:
    """Eq. 15 with a floor: shares (datasets,) that sum to 1.

    A dataset below the floor is lifted to it; the others share the rest in proportion.
    """
    moved = np.abs(np.asarray(now, dtype=np.float64) - np.asarray(before, dtype=np.float64))
    weights = moved / moved.sum() if moved.sum() > 0 else np.asarray(old, dtype=np.float64)
    low = np.zeros(len(weights), dtype=bool)
    while True:
        rest = weights[~low].sum()
        scaled = np.where(low, floor, weights * ((1 - floor * low.sum()) / rest if rest > 0 else 0.0))
        newly = ~low & (scaled < floor)
        if not newly.any():
            return scaled / scaled.sum()
        low |= newly


def size_weights(sizes: Sequence[int], temperature: float = 1.0) -> np.ndarray:
    """n_i^(1/T) / sum_j n_j^(1/T), (datasets,): shares of the windows at temperature 1, uniform as it grows.

    Args:
        sizes: windows of each dataset, at least 1.
    """
    logs = np.log(np.asarray(sizes, dtype=np.float64)) / temperature
    weights: np.ndarray = np.exp(logs - logs.max())
    return weights / weights.sum()


def check_rows(rows: Mapping[str, np.ndarray]) -> None:
    """Raise ConfigError where a dataset has no training window."""
    for name, windows in rows.items():
        if len(windows) == 0:
            raise ConfigError(
                f"dataset {name} has no training window: raise data.train_cap, keep negatives, or leave "
                "it out of data.train"
            )


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """Tokens per step, padding not counted.

    Attributes:
        tokens: what a step holds at most.
        lengths: tokens of every window of each dataset, by name and row.
    """

    tokens: int
    lengths: Mapping[str, np.ndarray]

    def check(self, rows: Mapping[str, np.ndarray]) -> None:
        """Raise ConfigError where one of the windows `rows` does not fit, or a dataset has none."""
        check_rows(rows)
        for name, windows in rows.items():
            longest = int(self.lengths[name][windows].max())
            if longest > self.tokens:
                raise ConfigError(
                    f"training.batch_tokens: {self.tokens} is not allowed: at least {longest}, the tokens of "
                    f"the longest window of {name}"
                )

    def steps(self, rows: Mapping[str, np.ndarray], epochs: float) -> int:
        """Steps that `epochs` passes over the windows `rows` take, at least 1: one pass in a random order is
        cut as the steps are.

        Raises:
            ConfigError: a window that does not fit the budget.
        """
        self.check(rows)
        lengths = np.concatenate([self.lengths[name][windows] for name, windows in rows.items()])
        filled = np.cumsum(lengths[permutation(len(lengths), ("steps of a pass",))])
        steps, before = 0.0, 0
        while True:
            end = int(np.searchsorted(filled, before + self.tokens, side="right"))
            if end == len(filled):
                return max(1, math.ceil(epochs * (steps + (int(filled[-1]) - before) / self.tokens)))
            steps, before = steps + 1, int(filled[end - 1])


class Sampler:
    """Draws the windows of each step and follows the validation scores.

    Args:
        rows: training windows of each dataset, by name.
        batch: windows per step, or its budget of tokens.

    Raises:
        ConfigError: a dataset without training windows, a floor that the datasets cannot all have, a window
            that does not fit the budget, a dataset without the single-task score that it is to be held
            against.
    """

    def __init__(
        self, rows: Mapping[str, np.ndarray], batch: int | TokenBudget, settings: SamplingSettings, seed: int
    ) -> None:
        self.datasets = tuple(rows)
        check_rows(rows)
        if settings.floor * len(rows) > 1:
            raise ConfigError(
                f"sampling.floor: {settings.floor!r} is not allowed: {len(rows)} datasets can have at most "
                f"{1 / len(rows):g} each"
            )
        self._rows, self._batch, self._settings, self._seed = dict(rows), batch, settings, seed
        self._shortest, self._held = 1, -1
        if isinstance(batch, TokenBudget):
            batch.check(rows)
            self._shortest = min(int(batch.lengths[name][windows].min()) for name, windows in rows.items())
        sizes = [len(windows) for windows in rows.values()]
        self.weights = np.full(len(sizes), 1 / len(sizes))
        if settings.kind in ("size", "temperature"):
            self.weights = size_weights(
                sizes, settings.temperature if settings.kind == "temperature" else 1.0
            )
        self._reference = _reference(self.datasets, settings)
        self._given = dict.fromkeys(self.datasets, 0)
        self._scores: list[float] | None = None
        self._orders: dict[tuple[str, int], np.ndarray] = {}

    def draw(self, step: int) -> list[tuple[int, int]]:
        """(position of the dataset, window row) of each of a step's windows. A dataset's windows all come
        once before any comes again.
        """
        if isinstance(self._batch, TokenBudget):
            return self._fill(self._batch, step)
        which = choice(self.weights, self._batch, (self._seed, "dataset", step))
        return [self._next(index, take=True) for index in np.sort(which).tolist()]

    def _fill(self, budget: TokenBudget, step: int) -> list[tuple[int, int]]:
        """Draws until the next window would exceed the budget; its dataset comes first in the step after."""
        drawn = choice(
            self.weights, budget.tokens // self._shortest + 1, (self._seed, "dataset", step)
        ).tolist()
        picks, tokens = [], 0
        for index in ([self._held] if self._held >= 0 else []) + drawn:
            tokens += int(budget.lengths[self.datasets[index]][self._next(index)[1]])
            if tokens > budget.tokens:
                self._held = index
                break
            picks.append(self._next(index, take=True))
        return sorted(picks, key=lambda pick: pick[0])

    def _next(self, index: int, take: bool = False) -> tuple[int, int]:
        """The next window of a dataset; with `take` it is given away."""
        name = self.datasets[index]
        passes, at = divmod(self._given[name], len(self._rows[name]))
        self._given[name] += int(take)
        return index, int(self._rows[name][self._order(name, passes)[at]])

    def _order(self, name: str, passes: int) -> np.ndarray:
        if (name, passes) not in self._orders:
            self._orders = {key: value for key, value in self._orders.items() if key[0] != name}
            self._orders[name, passes] = permutation(
                len(self._rows[name]), (self._seed, "order", name, passes)
            )
        return self._orders[name, passes]

    def update(self, scores: Mapping[str, float]) -> None:
        """Take an evaluation: EM + F1 of each dataset, in percent."""
        now = [float(scores[name]) for name in self.datasets]
        against = self._scores if self._settings.kind == "dynamic" else self._reference
        if against is not None:
            self.weights = dynamic_weights(now, against, self.weights.tolist(), self._settings.floor)
        self._scores = now

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "weights": self.weights.tolist(),
            "given": dict(self._given),
            "scores": self._scores,
            "held": self._held,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's state."""
        self.weights = np.asarray(state["weights"], dtype=np.float64)
        self._given, self._scores, self._held = dict(state["given"]), state["scores"], int(state["held"])


def _reference(datasets: Sequence[str], settings: SamplingSettings) -> list[float] | None:
    """The single-task scores that several datasets are held against, in their order; None for the other kinds
    and for one dataset alone.
    """
    if settings.kind != "dynamic_single_task" or len(datasets) == 1:
        return None
    scores = settings.single_task_scores or {}
    if lacking := [name for name in datasets if name not in scores]:
        raise ConfigError(
            f"sampling.single_task_scores: no score of {', '.join(lacking)}: kind dynamic_single_task needs "
            "the EM + F1 of a single-task run on every dataset"
        )
    return [float(scores[name]) for name in datasets]
