"""docs/calibration.md, and the table of promises in the README."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.rendering.document import (
    Column,
    Document,
    Heading,
    Inline,
    Paragraph,
    Phrase,
    TextTable,
    text_table,
    with_code,
)
from benchmark.rendering.markdown import to_markdown
from tools.calibration.promises import Bound, Rows
from tools.calibration.rate_tables import PLAIN, RateTable
from tools.markers import between_markers

HEAD = """# How often the verdicts are wrong

Written by the command below; do not edit. It simulates reproductions with known truth and judges them with \
the functions that `benchmark.compare` calls.

```
python -m tools.calibration --repetitions {repetitions} --seed {seed}
```

{repetitions:,} tables per row, {claims:,} claims (or tables of claims) per row; numpy {numpy}. Figures are \
percent unless the heading says otherwise. A promise counts as kept within three standard errors of the \
simulation.

{promises}

"""


def bounds_markdown(promises: Sequence[Bound]) -> str:
    """The promises as a markdown table (the README's)."""
    columns = (Column("promise", "left"), "simulated", Column("bound", "left"), Column("kept", "left"))
    rows = [(with_code(entry.text), f"{entry.value:.1%}", *_kept(entry)) for entry in promises]
    return to_markdown(Document("", (text_table(columns, rows),))).strip()


def _kept(entry: Bound) -> tuple[Inline, Inline]:
    """The bound, and whether it is kept."""
    low, high = (f"{edge:.0%}" for edge in (entry.low, entry.high))
    if (entry.low, entry.high) == (0, 1):
        return "none", "-"
    allowed = f"at most {high}" if entry.low == 0 else f"at least {low}" if entry.high == 1 else ""
    return allowed or f"{low} to {high}", "yes" if entry.holds else Phrase("no", "strong")


def rates_table(table: RateTable, rows: Rows) -> TextTable:
    """The simulated rows of a table; shares in percent with one decimal."""
    worlds = list(table.simulations[0][0])
    columns = [Column(table.heading(key), "left") for key in worlds]
    columns += [Column(table.heading(key)) for key in table.rates]
    keys = (*worlds, *table.rates)
    return text_table(columns, [[_shown(key, row[key]) for key in keys] for row in rows[table.key]])


def _shown(key: str, value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if key in PLAIN else f"{100 * value:.1f}"


def document(
    tables: Sequence[RateTable],
    rows: Rows,
    promises: Sequence[Bound],
    repetitions: int,
    claims: int,
    seed: int,
) -> str:
    """docs/calibration.md: the promises between markers, then every table. Figures are percent unless the
    heading says otherwise.
    """
    head = HEAD.format(
        repetitions=repetitions,
        claims=claims,
        seed=seed,
        numpy=np.__version__,
        promises=between_markers("calibration", bounds_markdown(promises)),
    )
    blocks = (
        block
        for table in tables
        for block in (Heading(table.title), Paragraph(with_code(table.note)), rates_table(table, rows))
    )
    return head + to_markdown(Document("", tuple(blocks)))
