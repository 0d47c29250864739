"""`benchmark.masks` on kept masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import masks as command
from benchmark.runs.mask_report import masks_document, overlap_document, overlap_table
from bmt.errors import ConfigError, DataError, ModelError
from bmt.masks import Masks
from bmt.runtime.files import write_json
from tests.support import project, tiny
from tests.support.random_masks import learned_masks


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    project.write_params(tmp_path, project.params(["bert"], ["bert.mt.bmt.s0"], manifest="corpus"))
    for seed, density in ((0, 0.3), (1, 0.5)):
        folder = tmp_path / "runs" / "tiny" / f"bert.mt.bmt.s{seed}" / "masks"
        learned_masks(density, seed, tiny.bert()).save(folder / "masks.safetensors")
        write_json(folder / "masks.json", {"kind": "learned"})  # as training leaves it beside every mask
    write_json(
        tmp_path / "runs" / "tiny" / "bert.mt.mask.s0" / "masks" / "masks.json",
        {"kind": "random", "p_f": 0.5},
    )
    return tmp_path


def test_one_cell_and_two(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = learned_masks(0.3, 0, tiny.bert()), learned_masks(0.5, 1, tiny.bert())
    assert command.main(["bert.mt.bmt.s0"]) == 0
    out = capsys.readouterr().out
    assert f"| A, B | {a.jaccard('A', 'B'):.4f} | {a.chance_jaccard('A', 'B'):.4f} |" in out
    assert f"union density {a.union_density():.3f}" in out and "| density by layer | A | B | C |" in out
    densities = a.density_by("layer")
    for name, of in (
        ("all", {dataset: a.density(dataset) for dataset in "ABC"}),
        *((layer, {dataset: densities[dataset][layer] for dataset in "ABC"}) for layer in densities["A"]),
    ):
        assert f"| {name} | {' | '.join(f'{of[dataset]:.3f}' for dataset in 'ABC')} |" in out
    assert command.main(["bert.mt.bmt.s0", "bert.mt.bmt.s1"]) == 0
    assert (
        f"| C | {a.jaccard('C', 'C', b):.4f} | {a.chance_jaccard('C', 'C', b):.4f} |"
        in capsys.readouterr().out
    )


def test_what_it_cannot_show_is_named(root: Path) -> None:
    with pytest.raises(ModelError, match="the arm mask has random masks, none that stay"):
        command.main(["bert.mt.mask.s0"])
    with pytest.raises(ModelError, match="no masks there: train the cell"):
        command.main(["bert.mt.bmt.s7"])
    with pytest.raises(ConfigError, match="3 cells: not allowed"):
        command.main(["bert.mt.bmt.s0"] * 3)


def test_masks_of_one_dataset_overlap_with_none_and_cells_may_share_no_dataset(root: Path) -> None:
    model = tiny.bert()
    whole = learned_masks(0.3, 0, model)
    of = {
        name: Masks.of(
            {name: {key: whole.mask(name, key) for key in whole.shapes}}, model, {"kind": "learned"}
        )
        for name in ("A", "B")
    }
    assert [type(block).__name__ for block in masks_document(of["A"]).blocks] == [
        "TextTable",
        "TextTable",
        "Paragraph",
    ]
    with pytest.raises(ModelError, match=r"^the cells share no dataset: A and B$"):
        overlap_document(of["A"], of["B"])
    write_json(root / "runs" / "tiny" / "bert.mt.none.s0" / "masks" / "masks.json", None)
    with pytest.raises(ModelError, match="the arm none has no masks, none that stay"):
        command.main(["bert.mt.none.s0"])
    for damaged, line in (
        ([1], r"the whole file: \[1\] is not allowed: keys and values"),
        ({"kind": 3}, "kind: 3 is not allowed: a text"),
    ):
        write_json(root / "runs" / "tiny" / "bert.mt.none.s0" / "masks" / "masks.json", damaged)
        with pytest.raises(DataError, match=rf"masks\.json: {line}: train the cell again$"):
            command.main(["bert.mt.none.s0"])


def test_a_ratio_is_of_the_overlap_to_that_of_independent_masks() -> None:
    table = overlap_table([("A, B", 0.25, 0.125), ("B, C", 0.0, 0.0)], "two datasets")
    text = "\n".join(map(str, [table]))
    for words in ("overlap of two datasets", "0.2500", "0.1250", "2.000", "0.0000", "nan"):
        assert words in text
