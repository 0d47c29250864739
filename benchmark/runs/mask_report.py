"""`python -m benchmark.masks CELL [CELL]`: what trained cells' masks open, and how far masks agree beyond
chance.

One cell: density by dataset, layer and kind of tensor, and the overlap of every two datasets. Two cells, for
instance two seeds of an arm:
the overlap of each dataset's two masks. Chance is what independent masks with the same density in every
tensor would have.
"""

from __future__ import annotations

import json

from benchmark.cli.advice import TRAIN, advice
from benchmark.config.cells import Cell
from benchmark.config.folders import Places
from benchmark.config.params import Config
from bmt.errors import ModelError
from bmt.masks import Masks


def masks_of(config: Config, cell: Cell) -> Masks:
    """The masks that a trained cell has kept.

    Raises:
        ModelError: the cell was not trained, or its arm has no fixed masks.
    """
    folder = Places.of(config).run(cell) / "masks"
    if (folder / "masks.json").is_file() and not (folder / "masks.safetensors").is_file():
        kind = (json.loads((folder / "masks.json").read_text(encoding="utf-8")) or {}).get("kind", "no")
        raise ModelError(
            f"{folder}: the arm {cell.arm} has {kind} masks, none that stay: name a cell with learned, Fisher or fixed random ones"
        )
    with advice(TRAIN):
        return Masks.load(folder / "masks.safetensors")


def one_cell(masks: Masks) -> list[str]:
    """Densities and overlaps of one cell's masks, as Markdown tables."""
    lines = []
    for group in ("layer", "kind"):
        table = masks.density_by(group)
        keys = list(next(iter(table.values())))
        lines += [
            f"| density by {group} | all | {' | '.join(keys)} |",
            "| --- | " + " | ".join(["---:"] * (len(keys) + 1)) + " |",
        ]
        for dataset, row in table.items():
            lines.append(
                f"| {dataset} | {masks.density(dataset):.3f} | {' | '.join(f'{row[key]:.3f}' for key in keys)} |"
            )
        lines.append("")
    lines += [f"union density {masks.union_density():.3f}", ""]
    pairs = [(a, b) for i, a in enumerate(masks.datasets) for b in masks.datasets[i + 1 :]]
    return lines + overlap_table(
        [(f"{a}, {b}", masks.jaccard(a, b), masks.chance_jaccard(a, b)) for a, b in pairs], "two datasets"
    )


def two_cells(a: Masks, b: Masks) -> list[str]:
    """Overlap of each dataset's masks in two cells."""
    shared = [dataset for dataset in a.datasets if dataset in b.datasets]
    if not shared:
        raise ModelError(f"the cells share no dataset: {', '.join(a.datasets)} and {', '.join(b.datasets)}")
    return overlap_table(
        [(name, a.jaccard(name, name, b), a.chance_jaccard(name, name, b)) for name in shared],
        "one dataset in two cells",
    )


def overlap_table(rows: list[tuple[str, float, float]], title: str) -> list[str]:
    """Jaccard overlap beside chance."""
    lines = (
        [f"| overlap of {title} | Jaccard | by chance | ratio |", "| --- | ---: | ---: | ---: |"]
        if rows
        else []
    )
    return lines + [
        f"| {name} | {found:.4f} | {chance:.4f} | {found / chance if chance else float('nan'):.3f} |"
        for name, found, chance in rows
    ]
