"""Sampling held against single-task runs: the ST cells' validation scores become the reference of eq. 15, on
a tiny model.
"""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark import fetch, plan
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.cells import parse
from benchmark.config.digests import section_digest
from benchmark.config.folders import Folders
from benchmark.config.params import Config, find_cell, load
from benchmark.runs.single_task_reference import reference_cells, validation_scores, with_reference
from benchmark.runs.training_run import train_cell
from bmt.errors import ModelError
from tests.support import project

MT = "bert.mt.none.s0"
SINGLE = ["bert.st-SQuAD.none.s0", "bert.st-HotpotQA.none.s0"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose ST cells on a tiny BERT were trained, and whose sampling is held against them."""
    folder = tmp_path_factory.mktemp("project")
    corpus = tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(folder))
        patch.setenv("BMT_TRACKING", "journal")
        project.write_bert(folder / "backbones" / "bert", project.corpus_texts(corpus))
        values = project.params(["bert"], [MT], manifest=str(corpus))
        values["sampling"] |= {"kind": "dynamic_single_task", "floor": 0.0}
        values["training"] |= {"epochs_st": 2, "lr": 1e-3, "head_lr": 1e-2}
        project.write_params(folder, values)
        assert fetch.main([]) == 0
        prepare(load(), workers=1)
        for name in SINGLE:
            train_cell(load(), parse(name))
    return folder


@pytest.fixture(autouse=True)
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in that project."""
    monkeypatch.setenv("BMT_ROOT", str(root))
    monkeypatch.setenv("BMT_TRACKING", "journal")


def changed(folder: Path, **sampling: Any) -> Config:
    """The project's configuration with other sampling settings."""
    values = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    values["sampling"] |= sampling
    file = folder / "other.yaml"
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load(file)


def rows_of(run: Path) -> list[dict[str, float]]:
    """A run's curve."""
    with (run / "curve.csv").open(encoding="utf-8") as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def kept_scores(root: Path) -> dict[str, float]:
    """EM + F1 of each ST run at the step whose weights it kept, out of its curve."""
    scores = {}
    for name in SINGLE:
        run, dataset = root / "runs" / "tiny" / name, parse(name).dataset
        best = json.loads((run / "training.json").read_text(encoding="utf-8"))["budget"]["best_step"]
        row = next(row for row in rows_of(run) if row["step"] == best)
        scores[str(dataset)] = row[f"em/{dataset}"] + row[f"f1/{dataset}"]
    return scores


def test_an_mt_cell_trains_against_its_st_cells(root: Path) -> None:
    reference = kept_scores(root)
    train_cell(load(), parse(MT))
    run = root / "runs" / "tiny" / MT
    record = json.loads((run / "training.json").read_text(encoding="utf-8"))
    assert (
        record["sampling"]["kind"] == "dynamic_single_task"
        and record["sampling"]["single_task_scores"] == reference
    )
    curve = rows_of(run)
    assert len(curve) >= 4 and curve[0]["weight/SQuAD"] == curve[0]["weight/HotpotQA"] == 0.5
    for before, row in pairwise(curve):
        away = {
            name: abs(before[f"em/{name}"] + before[f"f1/{name}"] - reference[name]) for name in reference
        }
        if total := sum(away.values()):
            assert {name: row[f"weight/{name}"] for name in away} == pytest.approx(
                {name: one / total for name, one in away.items()}
            )
        else:
            assert row["weight/SQuAD"] == before["weight/SQuAD"]
    best = validation_scores(curve, record["budget"]["best_step"])
    assert record["validation"] == {name: pytest.approx(best[name]) for name in project.DATASETS}
    assert record["validation_f1"] == pytest.approx(sum(own["f1"] for own in best.values()) / 2)


def test_the_reference_is_read_from_the_named_arm_s_runs_and_decides_the_digest(
    root: Path, tmp_path: Path
) -> None:
    plain = load()
    cell, folders = find_cell(plain, MT), Folders.of(plain)
    assert [own.name for own in reference_cells(plain, cell)] == SINGLE
    filled = with_reference(plain, cell, folders)
    assert filled.sampling.single_task_scores == kept_scores(root)
    assert section_digest(filled, cell) != section_digest(plain, cell)
    other = changed(root, single_task_arm="none")
    masked = find_cell(other, "bert.mt.mask.s0")
    assert [own.name for own in reference_cells(other, masked)] == SINGLE
    assert [own.name for own in reference_cells(plain, masked)] == [
        name.replace("none", "mask") for name in SINGLE
    ]
    for kind in ("dynamic", "uniform", "size", "temperature"):
        config = changed(root, kind=kind)
        assert with_reference(config, cell, folders) is config
    # an ST cell samples from one dataset
    assert with_reference(plain, find_cell(plain, SINGLE[0]), folders) is plain
    given = changed(root, single_task_scores={"SQuAD": 150, "HotpotQA": 120.5})
    assert with_reference(given, cell, folders) is given and given.sampling.single_task_scores == {
        "SQuAD": 150.0,
        "HotpotQA": 120.5,
    }


def test_keys_of_other_kinds_do_not_decide_a_digest(root: Path) -> None:
    before = section_digest(changed(root, kind="dynamic"), MT)
    assert section_digest(changed(root, kind="dynamic", temperature=3.0, single_task_arm="bmt"), MT) == before
    assert section_digest(changed(root, kind="temperature", temperature=3.0), MT) != section_digest(
        changed(root, kind="temperature"), MT
    )


def test_missing_or_older_st_runs_are_one_line(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kept in ("backbones", "data", "runs"):
        shutil.copytree(root / kept, tmp_path / kept)
    shutil.copy(root / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    config = load()
    lacking = (
        r"cell 'bert\.mt\.mask\.s0': .* has no bert\.st-SQuAD\.mask\.s0, bert\.st-HotpotQA\.mask\.s0: "
        r"`python -m benchmark\.train "
    )
    with pytest.raises(ModelError, match=lacking) as caught:
        train_cell(config, parse("bert.mt.mask.s0"))
    assert "\n" not in str(caught.value) and not (tmp_path / "runs" / "tiny" / "bert.mt.mask.s0").exists()
    path = tmp_path / "runs" / "tiny" / SINGLE[1] / "training.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    del record["validation"]
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(
        ModelError,
        match=r"training\.json: no validation EM and F1 of HotpotQA in it: "
        r"train bert\.st-HotpotQA\.none\.s0 again",
    ):
        train_cell(config, parse(MT))
    path.unlink()
    with pytest.raises(
        ModelError,
        match=r"has no bert\.st-HotpotQA\.none\.s0: "
        r"`python -m benchmark\.train bert\.st-HotpotQA\.none\.s0`, name",
    ):
        train_cell(config, parse(MT))


def plan_of(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """The runs of Table 2's plan by name, in order."""
    assert plan.main(["--paper-table", "2", "--json"]) == 0
    return {run["run"]: run for run in json.loads(capsys.readouterr().out)["runs"]}


def test_a_plan_trains_the_single_task_cells_first(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = plan_of(capsys)  # SINGLE were trained, which is all that is asked of them
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    project.write_params(tmp_path, values)
    runs = plan_of(capsys)
    cells = [name for name in runs if name.startswith("bert.mt.")]
    assert MT in cells and len(cells) > 1 and set(runs) - set(there) == set(SINGLE)
    singles = {
        name: [f"bert.st-{dataset}.{parse(name).arm}.s0" for dataset in project.DATASETS] for name in cells
    }
    assert set(runs) == {*cells, *itertools.chain(*singles.values())}
    for name, own in singles.items():
        assert set(own) <= set(runs[name]["needs"]) and max(map(list(runs).index, own)) < list(runs).index(
            name
        )
    values["sampling"]["kind"] = "dynamic"
    project.write_params(tmp_path, values)
    assert list(plan_of(capsys)) == cells
