"""What the tests of `benchmark.compare` share: a comparison's JSON taken apart, and folders changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmark.compare import main
from benchmark.paper.tables import load

CELL_KEYS = [
    "row",
    "model",
    "arm",
    "K",
    "p_f",
    "dataset",
    "metric",
    "paper",
    "ours_mean",
    "ours_sd",
    "n",
    "delta",
    "pi95",
    "ci90",
    "cv_star",
    "p_holm",
    "verdict",
    "reason",
    "runs",
]
CLAIM_KEYS = ["id", "quote", "paper_delta", "our_delta", "ci95", "p", "verdict", "seeds_needed"]
PUBLISHED = {
    (table.table, row.row): row.values.get("F1", {})
    for table in load().tables.values()
    for row in table.rows
    if table.kind == "scores"
}


def copy_of(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def compared(
    capsys, results: Path, paper: Path | None, table: str = "3", *more: str, status: int | None = None
) -> dict[str, Any]:
    """The JSON of a comparison, with its keys checked."""
    arguments = ["--paper-table", table, "--results", str(results), "--format", "json", *more]
    found = main([*arguments, *(["--paper", str(paper)] if paper else [])])
    report = strict_json(capsys.readouterr().out)
    assert status is None or found == status
    assert list(report) == ["table", "profile", "cells", "claims", "summary"]
    assert all(list(cell) == CELL_KEYS for cell in report["cells"])
    assert all(list(claim) == CLAIM_KEYS for claim in report["claims"])
    return report


def strict_json(text: str) -> dict[str, Any]:
    """The JSON of `text`, in which NaN and infinities are errors."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in the JSON")

    return json.loads(text, parse_constant=refuse)


def cells_of(report: dict[str, Any], row: str, metric: str = "F1") -> dict[str, dict[str, Any]]:
    return {
        cell["dataset"]: cell for cell in report["cells"] if cell["row"] == row and cell["metric"] == metric
    }


def claim_of(report: dict[str, Any], name: str) -> dict[str, Any]:
    found = next(claim for claim in report["claims"] if claim["id"] == name)
    return found | {"details": report["summary"]["claim_details"][name]}


def read(folder: Path, cell: str) -> dict[str, Any]:
    return json.loads((folder / f"{cell}.json").read_text())


def edit(folder: Path, cell: str, change) -> None:
    record = read(folder, cell)
    change(record)
    (folder / f"{cell}.json").write_text(json.dumps(record))


def rewrite(folder: Path, cell: str, change) -> None:
    path = folder / f"{cell}.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def facts(folder: Path, table: str, rows: dict[str, Any], **more: Any) -> None:
    (folder / f"table_{table}.json").write_text(
        json.dumps({"schema": 1, "table": table, "profile": "paper", "rows": rows} | more)
    )


def hold_out(folder: Path, cell: str, out: dict[str, list[int]]) -> None:
    """Score a run without some examples of each dataset: those that it was tuned on."""
    path = folder / f"{cell}.parquet"
    table = pq.read_table(path)
    dropped = {f"{dataset}-{number:06d}" for dataset, numbers in out.items() for number in numbers}
    table = table.filter(pa.array([name not in dropped for name in table["example_id"].to_pylist()]))
    pq.write_table(table, path)

    def rescore(record: dict[str, Any]) -> None:
        for name, own in record["datasets"].items():
            kept = table.filter(pc.equal(table["dataset"], name))
            own |= {metric: 100 * fmean(kept[metric].to_pylist()) for metric in ("em", "f1")} | {
                "examples": len(kept)
            }

    edit(folder, cell, rescore)
