"""Variants of one piece of work, timed in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmark.cli.progress import Bar


@dataclass(frozen=True, slots=True)
class Timing:
    """One variant: seconds of each round, and the ratio to the baseline's seconds in the same round."""

    seconds: tuple[float, ...]
    ratios: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median over rounds of the ratio to the baseline."""
        return median(self.ratios)


def turns(names: Sequence[str], rounds: int, warm: bool = True) -> Iterator[tuple[int, str]]:
    """Whose turn it is: the round's number, -1 for one before that does not count, and a name; the order
    turns by one each round.
    """
    for number in range(-1 if warm else 0, rounds):
        turn = max(0, number) % len(names)
        yield from ((number, name) for name in [*names[turn:], *names[:turn]])


def take_turns(
    variants: Mapping[str, Callable[[], Any]],
    baseline: str,
    rounds: int,
    *,
    bar: Bar,
    wait: Callable[[], None] = lambda: None,
    clock: Callable[[], float] | None = None,
    warm: bool = True,
) -> dict[str, Timing]:
    """Time `rounds` rounds of every variant after one that does not count; the order turns by one each round.

    Args:
        warm: the round that does not count comes first; without it every round counts.
        wait: waits until the work is done (a GPU's queue).
        clock: seconds; default: of the wall. `time.process_time` leaves out what else the machine does.
    """
    clock = clock or time.perf_counter
    names = list(variants)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number, name in turns(names, rounds, warm):
        wait()
        began = clock()
        variants[name]()
        wait()
        if number >= 0:
            seconds[name].append(clock() - began)
        bar.advance(1, name)
    base = seconds[baseline]
    return {
        name: Timing(tuple(taken), tuple(a / b for a, b in zip(taken, base, strict=True)))
        for name, taken in seconds.items()
    }
