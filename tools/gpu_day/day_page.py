"""The records of a day as parts of docs/performance.md."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import inf, nan
from typing import Any

from benchmark.rendering.document import Column, Document, Heading, Paragraph, text_table
from benchmark.rendering.markdown import to_markdown
from tools.gpu_day.cell_scores import DOMAINS, Spread, from_record, of_arms
from tools.performance.figures import MeasuredFigure, Measurement

Record = Mapping[str, Any]
PARTS = {
    "machine": "machine cuda",
    "right": "right cuda",
    "core": "core cuda",
    "loop": "train cuda",
    "cells": "cells cuda",
}
"""The page's part, by the record that it is made of."""
COMMAND = "python -m tools.gpu_day"


def part_text(record: Record, driver: str | None) -> str:
    """A part of the page: where it was measured, what was, and what failed or was not come to."""
    if record["part"] == "right":
        blocks = to_markdown(checks_document(record))
    else:
        blocks = "\n\n".join(to_markdown(one.document()) for one in measurements(record))
    tables = [to_markdown(arms_document(record))] if record["part"] == "cells" else []
    return "\n\n".join(
        filter(None, [origin(record, driver), *_shortcomings(record), blocks, *tables])
    ).strip()


def origin(record: Record, driver: str | None) -> str:
    """The command, the machine, the versions, the commit and the day."""
    said = record["environment"]
    git, packages = said["git"], said["packages"]
    words = [
        said["device"],
        driver and f"driver {driver}",
        said.get("cuda") and f"CUDA {said['cuda']}",
        *(f"{name} {packages[name]}" for name in ("torch", "transformers") if name in packages),
        f"{said['cpu_count']} cores of {said['cpu']}",
        f"commit {str(git['commit'])[:7]}{', with uncommitted changes' if git['dirty'] else ''}",
        time.strftime("%Y-%m-%d", time.gmtime(record["began"])),
    ]
    return f"`{COMMAND}` on {', '.join(word for word in words if word)}."


def measurements(record: Record) -> list[Measurement]:
    """What a record holds, as it was kept."""
    return [
        Measurement(one["title"], [figure(each) for each in one["figures"]], one["notes"], one["record"])
        for one in record["measurements"]
    ]


def figure(values: Record) -> MeasuredFigure:
    """A figure as it was kept; one that was not finite is no number."""
    measured = values["measured"]
    several = [
        nan if one is None else one for one in (measured if isinstance(measured, list) else [measured])
    ]
    return MeasuredFigure(
        values["name"],
        several if isinstance(measured, list) else several[0],
        values["target"],
        values["at_least"],
        values["unit"],
    )


def checks_document(record: Record) -> Document:
    """Checks of rightness, a row for each group of them: of the errors the one nearest to its bound."""
    columns = ("checks", "not kept", Column("nearest to its bound", "left"), "error", "bound")
    rows = []
    for one in measurements(record):
        checks = [each for each in one.figures if each.target is not None]
        if not checks:
            continue
        worst = max(checks, key=_share_of_bound)
        _, error, _, bound, _ = worst.cells()
        missed = sum(not each.kept for each in checks)
        rows.append((one.title, str(len(checks)), str(missed), worst.name, error, bound))
    return Document("", (text_table((Column("", "left"), *columns), rows),))


def _share_of_bound(check: MeasuredFigure) -> float:
    if not check.kept:
        return inf
    if not check.target:
        return 0.0
    return check.target / check.value if check.at_least else abs(check.value) / check.target


def arms_document(record: Record) -> Document:
    """Real cells by arm: mean and sd over seeds."""
    cells = [one for each in record["measurements"] for one in each["record"].get("cells", [])]
    if not cells:
        return Document("", (Paragraph("No cell is done."),))
    heads = [f"{metric} {words}" for words in DOMAINS.values() for metric in ("EM", "F1")]
    columns: list[Column | str] = [Column("arm", "left"), "seeds", *heads]
    columns += ["relative deviation", "density", "union", "seconds"]
    rows = []
    for arm, spreads in of_arms(from_record(cells)).items():
        scores = [
            _text(spreads.get(f"{metric} {domain}"), 1) for domain in DOMAINS for metric in ("em", "f1")
        ]
        rest = (("deviation", 4), ("density", 3), ("union_density", 3), ("seconds", 1))
        others = [_text(spreads.get(key), digits) for key, digits in rest]
        rows.append((arm, str(spreads["deviation"].count), *scores, *others))
    profile = next(
        each["record"]["profile"] for each in record["measurements"] if each["record"].get("cells")
    )
    ends = Paragraph(
        f"Mean ± sd over seeds; macro averages on the whole dev sets. The cells are in results/{profile}: "
        f"python -m benchmark.contrast bmt none --profile {profile}."
    )
    return Document("", (Heading("By arm", 3), text_table(columns, rows), ends))


def _text(spread: Spread | None, digits: int) -> str:
    return "" if spread is None else spread.text(digits)


def _shortcomings(record: Record) -> Sequence[str]:
    """Lines on what failed, was skipped, or ended too early."""
    lines = []
    if record["state"] != "done":
        state = "cut off" if record["state"] == "running" else record["state"]
        lines.append(f"The part did not come to a good end: {state}.")
    lines += [f"{one['title']}: failed: {one['error']}".replace("\n", " ") for one in record["errors"]]
    if record["skipped"]:
        lines.append(f"Not measured for want of time: {', '.join(record['skipped'])}.")
    return lines
