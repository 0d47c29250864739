"""Which ST runs a cell's sampling is held against, and what their records say; no training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import Config, load
from benchmark.runs.single_task_reference import reference_cells, validation_scores, with_reference
from bmt.errors import ModelError
from bmt.runtime.files import write_json
from tests.support.repository import ROOT

MT = parse("minilm.mt.bmt.s3")
SINGLE = ["minilm.st-SQuAD.bmt.s3", "minilm.st-NewsQA.bmt.s3"]


def configured(**sampling: Any) -> Config:
    config = load(ROOT / "profiles" / "sample.yaml")
    given = {"kind": "dynamic_single_task", "single_task_scores": None, "single_task_arm": None} | sampling
    return replace(
        config,
        data=replace(config.data, train=["SQuAD", "NewsQA"]),
        sampling=replace(config.sampling, **given),
    )


def write(places: Places, name: str, record: Any) -> None:
    write_json(places.run(parse(name)) / "training.json", record)


def test_the_runs_are_of_the_cell_s_own_backbone_arm_and_seed_without_adapters() -> None:
    config = configured()
    for name in ("minilm.mt.bmt.s3", "minilm.mt.bmt.adapter.s3"):
        assert [cell.name for cell in reference_cells(config, parse(name))] == SINGLE
    named = reference_cells(configured(single_task_arm="none"), parse("minilm.mt.bmt.s12"))
    assert [cell.name for cell in named] == ["minilm.st-SQuAD.none.s12", "minilm.st-NewsQA.none.s12"]


def test_a_cell_that_needs_no_reference_has_none(tmp_path: Path) -> None:
    one = configured()
    one = replace(one, data=replace(one.data, train=["SQuAD"]))
    places = Places(tmp_path, "sample")
    for config, name in (
        (one, "minilm.mt.bmt.s3"),
        (configured(kind="dynamic"), "minilm.mt.bmt.s3"),
        (configured(single_task_scores={"SQuAD": 90.0, "NewsQA": 80.0}), "minilm.mt.bmt.s3"),
        (configured(), "minilm.st-SQuAD.bmt.s3"),
    ):
        assert reference_cells(config, parse(name)) == []
        assert with_reference(config, parse(name), places) is config


def test_the_reference_is_em_and_f1_of_the_run_s_own_dataset(tmp_path: Path) -> None:
    config, places = configured(), Places(tmp_path, "sample")
    for number, name in enumerate(SINGLE):
        scores = {"em": 10.0 + number, "f1": 20.5}
        write(places, name, {"validation": {parse(name).dataset: scores, "DROP": {"em": 1.0, "f1": 1.0}}})
    held = with_reference(config, MT, places)
    assert held.sampling.single_task_scores == {"SQuAD": 30.5, "NewsQA": 31.5}
    assert replace(held, sampling=config.sampling) == config and config.sampling.single_task_scores is None


@pytest.mark.parametrize(
    "validation",
    [
        None,
        {},
        {"NewsQA": {"em": 1.0}},
        {"NewsQA": {"em": "x", "f1": 1.0}},
        {"SQuAD": {"em": 1.0, "f1": 1.0}},
    ],
)
def test_a_record_without_its_dataset_s_scores_is_refused(validation: Any, tmp_path: Path) -> None:
    config, places = configured(), Places(tmp_path, "sample")
    write(places, SINGLE[0], {"validation": {"SQuAD": {"em": 1.0, "f1": 2.0}}})
    write(places, SINGLE[1], {"validation": validation})
    path = places.run(parse(SINGLE[1])) / "training.json"
    message = f"{path}: no validation EM and F1 of NewsQA in it: train {SINGLE[1]} again (--fresh)"
    with pytest.raises(ModelError) as caught:
        with_reference(config, MT, places)
    assert str(caught.value) == message
    for number in ("NaN", "Infinity"):  # as json.loads takes them
        path.write_text(f'{{"validation": {{"NewsQA": {{"em": 1.0, "f1": {number}}}}}}}')
        with pytest.raises(ModelError, match="no validation EM and F1 of NewsQA"):
            with_reference(config, MT, places)


def test_runs_that_are_missing_or_half_written_are_all_named_with_the_first_one_s_command(
    tmp_path: Path,
) -> None:
    config, places = configured(), Places(tmp_path, "sample")
    said = (
        f"cell 'minilm.mt.bmt.s3': sampling.kind dynamic_single_task is held against ST runs, and "
        f"{tmp_path}/runs/sample has no "
    )
    with pytest.raises(ModelError) as caught:
        with_reference(config, MT, places)
    assert str(caught.value).startswith(
        f"{said}{SINGLE[0]}, {SINGLE[1]}: `python -m benchmark.train {SINGLE[0]}` and so on, name another arm"
    )
    write(places, SINGLE[0], {"validation": {"SQuAD": {"em": 1.0, "f1": 2.0}}})
    half = places.run(parse(SINGLE[1])) / "training.json"
    half.parent.mkdir(parents=True)
    half.write_text('{"validation": {"NewsQA"')
    with pytest.raises(ModelError) as caught:
        with_reference(config, MT, places)
    assert str(caught.value).startswith(
        f"{said}{SINGLE[1]}: `python -m benchmark.train {SINGLE[1]}`, name another arm"
    )


def test_validation_scores_are_those_of_the_step_whose_weights_were_kept() -> None:
    curve = [
        {"step": step, "macro_f1": f1, "em/A": em, "f1/A": f1, "f1/B": f1 + 1, "weight/A": 0.5}
        for step, em, f1 in ((2.0, 1.0, 10.0), (4.0, 3.0, 30.0), (6.0, 2.0, 20.0))
    ]
    assert validation_scores(curve, 4) == {"A": {"em": 3.0, "f1": 30.0}, "B": {"f1": 31.0}}
    assert validation_scores(curve, 2) == {"A": {"em": 1.0, "f1": 10.0}, "B": {"f1": 11.0}}
