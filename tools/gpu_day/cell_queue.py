"""Which cell is begun next, and whether one is begun at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ATTEMPTS = 2
"""Processes that may die of one cell."""


@dataclass(slots=True)
class CellQueue:
    """The cells of a profile, in its order.

    Attributes:
        waiting: not begun, or to be gone on with.
        shared: of a cell whose masks others use too, what names them: such cells run one after another, so
            that the first learns the masks and the others read them.
        running: when each was begun, in seconds of the caller's clock.
        seconds: of each that is finished.
        failed: why each will not be finished.
    """

    waiting: list[str]
    shared: Mapping[str, str] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Nothing runs, and nothing waits."""
        return not self.running and not self.waiting

    def slowest(self, now: float) -> float:
        """Seconds of the slowest cell, as far as it is known: 0 before the first."""
        return max([*self.seconds.values(), *(now - began for began in self.running.values())], default=0.0)

    def begin(self, now: float, left: float) -> str | None:
        """The next cell, which runs from now on; None where none can be, or none would be done in the `left`
        seconds.
        """
        if left < self.slowest(now):
            return None
        busy = {self.shared[cell] for cell in self.running if cell in self.shared}
        cell = next((cell for cell in self.waiting if self.shared.get(cell) not in busy), None)
        if cell is not None:
            self.waiting.remove(cell)
            self.running[cell] = now
        return cell

    def finish(self, cell: str, now: float) -> None:
        """A cell is done."""
        self.seconds[cell] = now - self.running.pop(cell)

    def fail(self, cell: str, why: str) -> None:
        """A cell has met an error, which it would meet again."""
        self.running.pop(cell)
        self.failed[cell] = why

    def lose(self, cell: str, why: str) -> None:
        """The process of a cell has died: the cell is the next to be begun, or given up after `ATTEMPTS`."""
        self.deaths[cell] = self.deaths.get(cell, 0) + 1
        if self.deaths[cell] < ATTEMPTS:
            self.running.pop(cell)
            self.waiting.insert(0, cell)
        else:
            self.fail(cell, f"{why}, {self.deaths[cell]} times")


def by_seed(cells: Iterable[tuple[str, int]]) -> list[str]:
    """Cells (name, seed) in their order, all of the lowest seed first."""
    return [name for name, _ in sorted(cells, key=lambda cell: cell[1])]
