"""How much of what a training step computes is padding: 1 - real tokens / tokens of the padded batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from bmt.qa.batches import Windows
from bmt.settings import SamplingSettings
from bmt.training.sampling import Sampler

AT_MOST = 0.08
RANDOM, TO_THE_WINDOW, OURS = (
    "a step's windows padded to the longest of them",
    "every window padded to the longest allowed",
    "ours",
)
Pick = tuple[int, int]


def waste(parts: Iterable[Sequence[int]]) -> float:
    """The share of padding where each part, the tokens of its windows, is padded to its longest window."""
    real = padded = 0
    for lengths in parts:
        real += sum(lengths)
        padded += len(lengths) * max(lengths)
    return 1 - real / padded


def padding(
    sets: Sequence[Windows],
    rows: Mapping[str, np.ndarray],
    split: Callable[[Sequence[Windows], Sequence[Pick]], Sequence[Sequence[Pick]]],
    *,
    window: int,
    batch: int,
    steps: int,
    seed: int = 0,
) -> tuple[dict[str, float], float]:
    """Shares of padding over `steps` steps as training draws them, and how many parts a step was split into
    on average.

    Args:
        rows: training windows of each dataset, by name, in the order of `sets`.
        split: a step's windows as the parts that pass the model together.
        window: the longest window allowed.
    """
    sampler = Sampler(rows, batch, SamplingSettings(), seed)
    lengths = [windows.lengths for windows in sets]
    whole: list[list[int]] = []
    ours: list[list[int]] = []
    for step in range(steps):
        picks = sampler.draw(step)
        whole.append([int(lengths[which][row]) for which, row in picks])
        ours += [[int(lengths[which][row]) for which, row in part] for part in split(sets, picks)]
    drawn = sum(map(sum, whole))
    shares = {RANDOM: waste(whole), TO_THE_WINDOW: 1 - drawn / (steps * batch * window), OURS: waste(ours)}
    return shares, len(ours) / steps
