"""How an experiment is run: in how many rounds, where, and its variants timed in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.cli.progress import Bar

Seconds = dict[str, list[float]]
"""Seconds of each variant, round by round."""


def turns(names: Sequence[str], rounds: int, warm: bool = True) -> Iterator[tuple[int, str]]:
    """Whose turn it is: the round's number, -1 for one before that does not count, and a name; the order
    turns by one each round.
    """
    for number in range(-1 if warm else 0, rounds):
        turn = max(0, number) % len(names)
        yield from ((number, name) for name in [*names[turn:], *names[:turn]])


@dataclass(frozen=True, slots=True)
class Bench:
    """Rounds that count, the bar that shows them, a folder for what an experiment writes, and the seconds of
    every variant that has been timed.
    """

    rounds: int
    bar: Bar
    folder: Path
    seconds: Seconds = field(default_factory=dict)

    def take_turns(
        self,
        variants: Mapping[str, Callable[[], Any]],
        *,
        wait: Callable[[], None] = lambda: None,
        clock: Callable[[], float] | None = None,
        warm: bool = True,
        after: Callable[[Seconds], bool] = lambda _: True,
    ) -> Seconds:
        """Time the rounds of every variant after one that does not count; the order turns by one each round.

        Args:
            wait: waits until the work is done (a GPU's queue).
            clock: seconds; default: of the wall. `time.process_time` leaves out what else the machine does.
            warm: the round that does not count comes first; without it every round counts.
            after: called with the seconds so far after each round that counts; where it says no, that was the
                last round.
        """
        clock = clock or time.perf_counter
        seconds: Seconds = {name: [] for name in variants}
        if self.bar.total is None:
            self.bar.resume_at(0, len(variants) * (self.rounds + warm))
        for number, name in turns(list(variants), self.rounds, warm):
            wait()
            began = clock()
            variants[name]()
            wait()
            if number >= 0:
                seconds[name].append(clock() - began)
            self.bar.advance(1, name)
            if number >= 0 and len({len(taken) for taken in seconds.values()}) == 1 and not after(seconds):
                break
        self.seconds.update(seconds)
        return seconds


def ratios(seconds: Seconds, name: str, base: str) -> list[float]:
    """Of one variant to another, within each round."""
    return [one / other for one, other in zip(seconds[name], seconds[base], strict=True)]
