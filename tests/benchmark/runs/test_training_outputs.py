"""The few lines and numbers that a training and an evaluation end with."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.runs.evaluation_run import headline
from benchmark.runs.training_outputs import CellOutcome, _write_curve, describe_masks, summary
from bmt.deviation import Deviation
from bmt.random_mask import RandomMask
from bmt.training.loop import TrainingOutcome
from tests.bmt.test_masks import made
from tests.support import tiny

RUN: Any = SimpleNamespace(cell=parse("minilm.mt.bmt.s0"))
OUTCOME = TrainingOutcome(
    step=9,
    best_step=6,
    best_f1=41.26,
    windows=72,
    tokens=5000,
    padded=6000,
    seconds=2.0,
    deviation={"total": Deviation(1, 0.01234, 1, 1)},
)


@pytest.mark.parametrize(("density", "inactive"), [(0.3, False), (0.8, True)])
def test_a_training_ends_with_its_scores_and_densities_and_says_where_masks_mask_next_to_nothing(
    density: float, inactive: bool
) -> None:
    masks = made(density, 0, tiny.bert())  # three: open together 1 - (1 - density)^3
    first, second = summary(RUN, CellOutcome(None, None, masks, OUTCOME, None, None, None)).splitlines()
    assert first == (
        "minilm.mt.bmt.s0: validation macro F1 41.3 at step 6 of 9, relative deviation 0.0123, 2,500 tokens/s"
    )
    shares = ", ".join(f"{name} {masks.density(name):.3f}" for name in "ABC")
    assert masks.union_density() == pytest.approx(1 - (1 - density) ** 3, abs=0.01)
    said = f"mask density: {shares}; union {masks.union_density():.3f}"
    assert second == said + (" — mask nearly inactive" if inactive else "")


def test_without_masks_that_stay_there_are_no_densities() -> None:
    for masks in (None, RandomMask(0.4, 3, ["encoder"], False)):
        lines = summary(RUN, CellOutcome(None, None, masks, OUTCOME, None, None, None))
        assert "\n" not in lines
    assert describe_masks(None) is None
    assert describe_masks(masks) == {"kind": "random", "p_f": 0.4, "seed": 3}


@pytest.mark.parametrize(
    ("mask", "share"),
    [(None, 1.0), ({"kind": "random", "p_f": 0.4}, 0.4), ({"kind": "learned", "union_density": 0.6}, 0.6)],
)
def test_the_headline_of_an_evaluation(mask: dict[str, Any] | None, share: float) -> None:
    scores: Any = SimpleNamespace(averages={"all": {"em": 30.0, "f1": 40.0}})
    trained = {"mask": mask, "deviation": {"total": {"l2": 1.0, "relative": 0.01}}}
    assert headline(scores, trained) == {
        "f1": {"all": 40.0},
        "em": {"all": 30.0},
        "relative_deviation": 0.01,
        "union_density": share,
    }


def test_a_course_with_rows_of_an_older_state_keeps_every_column(tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    _write_curve(path, [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.5, "macro_f1": 3.0}])
    with path.open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == [
            {"step": "1", "loss": "2.0", "macro_f1": ""},
            {"step": "2", "loss": "1.5", "macro_f1": "3.0"},
        ]
