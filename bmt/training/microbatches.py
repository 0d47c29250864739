"""How a step's windows are shared out over ranks and cut into forward passes, by their lengths alone.

A pass pads its windows to the longest of them. In order of falling length the best passes are contiguous,
whatever the caps: two windows that stand the wrong way round can change places without making a pass longer.
Dynamic programming finds them:

    padded[k][i] = min over j < i of  padded[k - 1][j] + (i - j) * length[j]          tokens of the i longest
    windows in k passes

How many passes: the fewest whose padding keeps to a share (a CPU, where tokens alone cost); or, where a pass
has a price of its own (a GPU, whose kernels wait to be started), the number with the lowest total
padded[k] + k * price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bmt.qa.batches import Windows


@dataclass(frozen=True, slots=True)
class Limits:
    """What the passes of a step may be.

    Attributes:
        waste: share of padded positions that the passes of a step may have together, in [0, 1); None: any.
            It does not bind where a pass has a price.
        rows, tokens: windows, and tokens with their padding, that a pass may have; None: any. A window of
            more tokens is a pass alone.
        price: what a pass costs beside its tokens, in tokens; 0: nothing, and `waste` decides.
    """

    waste: float | None = None
    rows: int | None = None
    tokens: int | None = None
    price: float = 0.0


@dataclass(frozen=True, slots=True)
class RankPasses:
    """One rank's part of a step.

    Attributes:
        parts: positions of the windows of each pass.
        padded: tokens of the passes of all ranks, padding included.
    """

    parts: list[np.ndarray]
    padded: int


def cut(lengths: np.ndarray, limits: Limits) -> list[np.ndarray]:
    """The passes of some windows within `limits`: positions in `lengths`, longest windows first.

    Without a price of a pass the fewest passes that keep to `waste`, and of these the ones with the least
    padding. With one the passes of the lowest total of padded tokens and prices, of equal ones the fewest.

    Args:
        lengths: tokens of each window (n,). Time is O(n^2) a pass.
    """
    order = np.argsort(-lengths, kind="stable")
    falling = lengths[order].astype(np.float64)
    count = len(falling)
    if count == 0:
        return []
    rows = (
        np.arange(1, count + 1) - np.arange(count)[:, None]
    )  # of a pass from window j (down) to before window i (across)
    cost = rows * falling[:, None]
    allowed = (
        (rows >= 1) & (rows <= (limits.rows or count)) & ((cost <= (limits.tokens or np.inf)) | (rows == 1))
    )
    cost[~allowed] = np.inf
    padded = [cost[0]]
    while not _enough([part[-1] for part in padded], falling.sum(), count, limits):
        padded.append(
            (padded[-1][:-1, None] + cost[1:]).min(0)
        )  # the last pass begins at window j = 1 ... count - 1
    if limits.price:
        totals = [part[-1] + passes * limits.price for passes, part in enumerate(padded, 1)]
        padded = padded[: int(np.argmin(totals)) + 1]
    ends = [count]
    for before in reversed(padded[:-1]):
        ends.append(int((before[:-1] + cost[1:, ends[-1] - 1]).argmin()) + 1)
    return [order[begin:end] for end, begin in pairwise([*ends, 0])][::-1]


def _enough(padded: Sequence[float], tokens: float, count: int, limits: Limits) -> bool:
    """Whether no more passes are to be tried.

    Args:
        padded: tokens with padding of all windows in 1, 2, ... passes; infinite where the limits forbid it.
        tokens: of the windows, which no number of passes undercuts.
        count: of the windows.
    """
    if not limits.price:
        most = np.inf if limits.waste is None else tokens / (1 - limits.waste) + 1e-6
        return bool(np.isfinite(padded[-1]) and padded[-1] <= most)
    best = min(part + passes * limits.price for passes, part in enumerate(padded, 1))
    return len(padded) == count or tokens + (len(padded) + 1) * limits.price >= best


def micro_batches(
    sets: Sequence[Windows], picks: Sequence[tuple[int, int]], limits: Limits
) -> list[list[tuple[int, int]]]:
    """The passes of a process alone on the windows `picks`, (position in `sets`, row) each."""
    lengths = np.array([len(sets[which].input_ids[row]) for which, row in picks])
    return [[picks[position] for position in part.tolist()] for part in cut(lengths, limits)]


def shares(lengths: np.ndarray, world: int) -> list[np.ndarray]:
    """Positions of each rank's windows, rising: the longest window left goes to the rank with the fewest
    tokens so far.

    The ranks' tokens then differ by at most one window's; a rank may get none where there are fewer windows
    than ranks.
    """
    if world == 1:
        return [np.arange(len(lengths))]
    owner, tokens = np.zeros(len(lengths), dtype=np.int64), np.zeros(world, dtype=np.int64)
    for position in np.argsort(-lengths, kind="stable"):
        owner[position] = tokens.argmin()
        tokens[owner[position]] += lengths[position]
    return [np.flatnonzero(owner == rank) for rank in range(world)]


def passes(lengths: np.ndarray, limits: Limits, rank: int = 0, world: int = 1) -> RankPasses:
    """The passes of one of `world` ranks on a step's windows; every rank finds the same shares, without a
    word between them.
    """
    parts: list[list[np.ndarray]] = [
        [share[part] for part in cut(lengths[share], limits)] for share in shares(lengths, world)
    ]
    padded = sum(len(part) * int(lengths[part].max()) for share in parts for part in share)
    return RankPasses(parts[rank], padded)
