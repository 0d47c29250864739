"""Whether all runs answer the same examples, of the same contexts, with the same gold answers."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from benchmark.rendering.phrases import counted
from benchmark.results_check.findings import Findings, quoted, shown
from benchmark.results_check.records import Record
from benchmark.results_check.tables import DROPPED, PredictionTables, RunPart, SharedExamples, take

OTHER_DATA = "other data, or an edit: evaluate the run again, on the data of the others"


def check_examples(records: list[Record], tables: PredictionTables, findings: Findings) -> None:
    """Compare what every run answered, dataset by dataset."""
    shots = {record.cell for record in records if record.run.identity.K is not None}
    for name, shared in tables.examples.items():
        parts = {cell: by_dataset[name] for cell, by_dataset in tables.parts.items() if name in by_dataset}
        _same_set(name, shared, parts, shots, findings)
        _same_values("context_id", name, shared, parts, findings)
        answered = {cell: part for cell, part in parts.items() if part.has_answers}
        _same_values("answers", name, shared, answered, findings)
    total = sum(len(shared.ids) for shared in tables.examples.values())
    runs = counted(len(tables.parts), "run")
    findings.looked["examples"] = (
        f"{total:,} examples of {counted(len(tables.examples), 'dataset')} in {runs}"
    )
    findings.looked["means"] = f"{counted(sum(map(len, tables.parts.values())), 'dataset')} of {runs}"
    if len(records) == 1:
        findings.note("examples", "one run only: nothing to compare its examples with")


def _same_set(
    name: str, shared: SharedExamples, parts: dict[str, RunPart], shots: set[str], findings: Findings
) -> None:
    """The examples are those that most runs have, the larger set where there is a tie.

    A few-shot run leaves out the examples that it was tuned on; it must have no others.
    """
    sets = {cell: np.sort(part.rows) for cell, part in parts.items()}
    keys = {cell: rows.tobytes() for cell, rows in sets.items() if cell not in shots}
    counts = Counter(keys.values())
    if not keys:
        return
    usual = max(keys, key=lambda cell: (counts[keys[cell]], len(sets[cell])))
    for cell, rows in sets.items():
        if rows.tobytes() == keys[usual]:
            continue
        none: NDArray[np.int64] = np.zeros(0, np.int64)
        lacking = none if cell in shots else np.setdiff1d(sets[usual], rows)
        texts = [
            f"{word} {len(these):,} ({quoted(take(shared.ids, these).to_pylist())})"
            for word, these in (("lacks", lacking), ("has besides", np.setdiff1d(rows, sets[usual])))
            if len(these)
        ]
        if texts:
            expected = f"{counted(counts[keys[usual]], 'run')} as {usual} answered {len(sets[usual]):,}"
            findings.fault("examples", f"{cell}.parquet", name, " and ".join(texts), expected, DROPPED)


def _same_values(
    column: str, name: str, shared: SharedExamples, parts: dict[str, RunPart], findings: Findings
) -> None:
    """A column is what it is in most runs: of each run is known what differs from `shared`, which the first
    run gave.
    """
    differing = {
        cell: {
            int(part.rows[position]): value
            for position, value in (part.odd_answers if column == "answers" else part.odd_contexts).items()
        }
        for cell, part in parts.items()
    }
    rows = sorted({row for values in differing.values() for row in values})
    if not rows:
        return
    known = shared.answers if column == "answers" else shared.contexts.to_pylist()
    has = {cell: np.isin(rows, part.rows) for cell, part in parts.items()}
    blamed: dict[str, list[tuple[int, str, str]]] = {}
    for number, row in enumerate(rows):
        values = {cell: differing[cell].get(row, known[row]) for cell in parts if has[cell][number]}
        texts = {
            cell: shown(sorted(value) if isinstance(value, list) else value) for cell, value in values.items()
        }
        usual = Counter(texts.values()).most_common(1)[0][0]
        for cell, text in texts.items():
            if text != usual:
                blamed.setdefault(cell, []).append((row, text, usual))
    for cell, differences in blamed.items():
        _, mine, usual = differences[0]
        ids = quoted(shared.ids[row].as_py() for row, *_ in differences)
        stands, expected = f"{mine} for {ids} of {name}", f"{usual} in the other runs"
        findings.fault("examples", f"{cell}.parquet", column, stands, expected, OTHER_DATA)
