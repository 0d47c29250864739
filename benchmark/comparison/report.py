"""What a comparison finds of a table: its cells, its claims and what stands under it. Every format shows a
`TableReport`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import KW_ONLY, dataclass, field

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.mask_density import Density
from benchmark.comparison.matching import LITERATURE, Match
from benchmark.config.cells import ZERO_SHOT
from benchmark.paper.tables import Row, Table
from benchmark.runs.results import Fault
from benchmark.statistics.reproduction import NOT_REPRODUCED, REPRODUCED, CellVerdict

EXACT, DIFFERS = "exact", "differs"


@dataclass(frozen=True, slots=True)
class CellResult(CellVerdict):
    """One printed number, our runs, and what is said of it; None: a figure that the runs do not allow."""

    _: KW_ONLY
    match: Match

    @property
    def trainable(self) -> bool:
        """Whether this project could reproduce the cell: a printed number of a row that is neither literature
        nor scored as published.
        """
        ours = self.match.row.ours
        scored_only = ours is not None and ours.arm == ZERO_SHOT
        return self.match.state != LITERATURE and not scored_only and self.match.published is not None


@dataclass(frozen=True, slots=True)
class TableReport:
    """A compared table."""

    title: str
    table: Table
    profile: str
    source: str
    seeds: tuple[int, ...]
    stand_in: dict[str, str]
    cells: tuple[CellResult, ...]
    claims: tuple[ClaimResult, ...]
    second_readings: tuple[CellResult, ...] = ()
    densities: dict[str, Density] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    signs: tuple[int, int] = (0, 0)
    effect_ratio: float | None = None
    tau_b: float | None = None

    @property
    def verdicts(self) -> Counter[str]:
        """How many cells have which verdict."""
        return Counter(cell.verdict for cell in self.cells)

    @property
    def claim_verdicts(self) -> Counter[str]:
        """How many claims have which verdict."""
        return Counter(result.verdict for result in self.claims)

    @property
    def by_row(self) -> list[tuple[Row, list[CellResult]]]:
        """The cells of each row of the paper, in their order."""
        cells: dict[str, list[CellResult]] = {row.row: [] for row in self.table.rows}
        for cell in self.cells:
            cells[cell.match.row.row].append(cell)
        return [(row, cells[row.row]) for row in self.table.rows]

    def status(self, strict: bool = False) -> int:
        """Exit status: 0, 1 for a cell that is not reproduced (strict: for any trainable cell that is not), 2
        for unreadable results.
        """
        if self.faults:
            return 2
        if strict:
            return int(any(cell.trainable and cell.verdict not in (REPRODUCED, EXACT) for cell in self.cells))
        return int(any(cell.verdict == NOT_REPRODUCED for cell in self.cells))
