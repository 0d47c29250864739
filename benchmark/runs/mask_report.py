"""What kept masks open, and how far two of them overlap beyond chance, as a document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from benchmark.cli.advice import TRAIN, advice
from benchmark.config.cells import Cell
from benchmark.config.folders import Places
from benchmark.config.params import Config
from benchmark.config.record_file import read_record
from benchmark.config.schema import Text
from benchmark.rendering.document import Block, Document, Paragraph, TextTable, text_table
from bmt.errors import ModelError
from bmt.masks import Masks


def kept_masks(config: Config, cell: Cell) -> Masks:
    """The masks that a trained cell has kept.

    Raises:
        ModelError: the cell was not trained, or its arm has no fixed masks.
    """
    folder = Places.of(config).run(cell) / "masks"
    if (folder / "masks.json").is_file() and not (folder / "masks.safetensors").is_file():
        kind = _kind(folder / "masks.json")
        raise ModelError(
            f"{folder}: the arm {cell.arm} has {kind} masks, none that stay: "
            "name a cell with learned, Fisher or fixed random ones"
        )
    with advice(TRAIN):
        return Masks.load(folder / "masks.safetensors")


@dataclass(frozen=True, slots=True)
class MasksFields:
    """masks.json, as far as it is read here."""

    kind: Text


def _kind(path: Path) -> str:
    """The kind of masks of which masks.json tells, "no" where it holds null: the arm has none."""
    if path.read_bytes().strip() == b"null":
        return "no"
    return str(read_record(path, MasksFields, "train the cell again")["kind"])


def masks_document(masks: Masks) -> Document:
    """Densities and overlaps of one cell's masks."""
    blocks: list[Block] = []
    for group in ("layer", "kind"):
        densities = masks.density_by(group)
        whole = ["all", *(f"{masks.density(dataset):.3f}" for dataset in densities)]
        rows = [
            [key, *(f"{by_key[key]:.3f}" for by_key in densities.values())]
            for key in next(iter(densities.values()))
        ]
        blocks.append(text_table([f"density by {group}", *densities], [whole, *rows]))
    blocks.append(Paragraph(f"union density {masks.union_density():.3f}"))
    if pairs := list(combinations(masks.datasets, 2)):
        overlaps = ((f"{a}, {b}", masks.jaccard(a, b), masks.chance_jaccard(a, b)) for a, b in pairs)
        blocks.append(overlap_table(overlaps, "two datasets"))
    return Document("", tuple(blocks))


def overlap_document(a: Masks, b: Masks) -> Document:
    """Overlap of each dataset's masks in two cells.

    Raises:
        ModelError: no dataset has masks in both.
    """
    shared = [dataset for dataset in a.datasets if dataset in b.datasets]
    if not shared:
        raise ModelError(f"the cells share no dataset: {', '.join(a.datasets)} and {', '.join(b.datasets)}")
    overlaps = ((name, a.jaccard(name, name, b), a.chance_jaccard(name, name, b)) for name in shared)
    return Document("", (overlap_table(overlaps, "one dataset in two cells"),))


def overlap_table(overlaps: Iterable[tuple[str, float, float]], title: str) -> TextTable:
    """(name, Jaccard overlap, that of independent masks) beside each other."""
    rows = [
        [name, f"{overlap:.4f}", f"{chance:.4f}", f"{overlap / chance if chance else float('nan'):.3f}"]
        for name, overlap, chance in overlaps
    ]
    return text_table([f"overlap of {title}", "Jaccard", "by chance", "ratio"], rows)
