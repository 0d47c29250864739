"""docs/calibration.md, and the table of promises in the README."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tools.calibration.promises import Bound
from tools.calibration.worlds import RateTable, Row

BEGIN, END = "<!-- calibration:begin -->", "<!-- calibration:end -->"
"""Around the table of promises, in docs/calibration.md and in the README."""


def bounds_markdown(promises: Sequence[Bound]) -> str:
    """The promises as a markdown table (the README's)."""
    lines = ["| promise | simulated | bound | kept |", "| --- | ---: | --- | --- |"]
    for entry in promises:
        if (entry.low, entry.high) == (0, 1):
            lines.append(f"| {entry.text} | {entry.value:.1%} | none | - |")
            continue
        allowed = (
            f"at most {entry.high:.0%}"
            if entry.low == 0
            else f"at least {entry.low:.0%}"
            if entry.high == 1
            else ""
        )
        allowed = allowed or f"{entry.low:.0%} to {entry.high:.0%}"
        lines.append(
            f"| {entry.text} | {entry.value:.1%} | {allowed} | {'yes' if entry.holds else '**no**'} |"
        )
    return "\n".join(lines)


def table_markdown(table: RateTable) -> str:
    """One table as markdown; shares in percent with one decimal."""

    def shown(row: Row, key: str) -> str:
        value = row[key]
        if isinstance(value, str):
            return value
        return f"{value:.3g}" if key in table.plain else f"{100 * value:.1f}"

    lines = ["| " + " | ".join(heading for _, heading in table.columns) + " |"]
    lines.append(
        "|"
        + "|".join(" --- " if isinstance(table.rows[0][key], str) else " ---: " for key, _ in table.columns)
        + "|"
    )
    lines += ["| " + " | ".join(shown(row, key) for key, _ in table.columns) + " |" for row in table.rows]
    return f"## {table.title}\n\n{table.note}\n\n" + "\n".join(lines)


def document(filled: Sequence[RateTable], promises: Sequence[Bound], repetitions: int, seed: int) -> str:
    """docs/calibration.md: the promises between markers, then every table. Figures are percent unless the
    heading says otherwise.
    """
    command = f"python -m tools.calibration --repetitions {repetitions} --seed {seed}"
    return (
        "\n\n".join(
            [
                "# How often the verdicts are wrong",
                "Written by the command below; do not edit. It simulates reproductions with known truth and "
                "judges them with the functions that `benchmark.compare` calls.",
                f"```\n{command}\n```",
                f"{repetitions:,} tables per row, {max(1, repetitions // 10):,} claims (or tables of "
                f"claims) per row; numpy {np.__version__}. Figures are percent unless the heading says "
                "otherwise. A promise counts as kept within three standard errors of the simulation.",
                f"{BEGIN}\n{bounds_markdown(promises)}\n{END}",
                *(table_markdown(table) for table in filled),
            ]
        )
        + "\n"
    )


def with_promises(text: str, document_text: str) -> str:
    """`text` with the table of promises of `document_text` between its markers; as it was if it has none."""
    table = document_text.partition(BEGIN)[2].partition(END)[0]
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}{table}{end}{after}" if end else text
