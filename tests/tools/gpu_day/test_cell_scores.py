"""What a finished cell has come to, from its files, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools.gpu_day.cell_process import CellEnd
from tools.gpu_day.cell_scores import CellScores, as_record, cell_scores, from_record, of_arms

SCORED = {
    "em": {"in_domain": 20.0, "out_of_domain": 10.0, "all": 15.0},
    "f1": {"in_domain": 30.0},
    "union_density": 0.7,
    "relative_deviation": 0.02,
}
BUDGET = {"steps": 419, "mask_steps": 200}


def scores(root: Path, cell: str, mask: dict[str, Any] | None) -> CellScores:
    """Of a cell whose training took 20 seconds and whose evaluation took 8."""
    run = root / "runs" / "p" / cell
    run.mkdir(parents=True)
    (run / "training.json").write_text(json.dumps({"mask": mask, "budget": BUDGET}))
    (run / "metrics.json").write_text(json.dumps(SCORED))
    return cell_scores(root, "p", CellEnd(cell, 20.0, 8.0, 512.0))


@pytest.mark.parametrize(
    ("mask", "density", "union"),
    [
        ({"density": {"SQuAD": 0.2, "NewsQA": 0.4}}, 0.3, 0.7),
        ({"p_f": 0.5}, 0.5, 0.7),  # the random mask
        (None, None, None),
    ],
)
def test_scores_of_a_cell_by_hand(
    tmp_path: Path, mask: dict[str, Any] | None, density: float | None, union: float | None
) -> None:
    one = scores(tmp_path, "minilm-fp16.mt.bmt.s3", mask)
    assert one == CellScores(
        "minilm-fp16.mt.bmt.s3",
        "bmt",
        3,
        {"in_domain": 20.0, "out_of_domain": 10.0},
        {"in_domain": 30.0, "out_of_domain": None},
        density if density is None else pytest.approx(density),
        union,
        0.02,
        419,
        200,
        28.0,  # to train and to evaluate
        512.0,
    )
    assert from_record(json.loads(json.dumps(as_record([one])))) == [one]


def test_an_arm_with_adapters_is_another(tmp_path: Path) -> None:
    cells = [scores(tmp_path, f"minilm-fp16.mt.{arm}.s0", None) for arm in ("none", "none.adapter")]
    assert list(of_arms(cells)) == ["none", "none.adapter"]
