"""Tokens of a cell, a transfer and a published model, by hand; bytes on the disk; speeds and where they are
from.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.config.folders import Folders
from benchmark.config.params import Config, load
from benchmark.planning import throughput as speed
from benchmark.planning.disk import Disk, RunFolder, disk_of, run_folders, weights_of
from benchmark.planning.throughput import Machine, SpeedRecord, speed_of, speed_records
from benchmark.planning.workload import (
    FileCounts,
    cell_work,
    scored_questions,
    sizes,
    transfer_work,
    written_work,
)
from benchmark.tracking import environment
from tests.support import project

BERT_BYTES = 124_645_632 * 4
"""RoBERTa-base in fp32, for weights that nobody knows."""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with features of every dataset but what a test changes."""
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    write_counts(tmp_path, "SQuAD.train", 20, 40, 25, 4000)  # 2 windows a question, 100 tokens each
    write_counts(tmp_path, "HotpotQA.train", 40, 40, 40, 2000)  # 1 and 50
    for dataset in (*project.DATASETS, "DROP"):
        write_counts(tmp_path, f"{dataset}.dev", 12, 24, 20, 2400)  # 2 and 100
    write_counts(tmp_path, "BioASQ.dev", 4, 8, 8, 400)  # 2 and 50; fewer questions than are scored
    return tmp_path


def features(root: Path) -> Path:
    return root / "data" / "features" / "tiny" / "bert"


def write_counts(root: Path, name: str, questions: int, windows: int, answered: int, tokens: int) -> None:
    folder = features(root) / name
    folder.mkdir(parents=True, exist_ok=True)
    counts = {"examples": questions, "windows": windows, "windows_with_answer": answered, "tokens": tokens}
    (folder / "features.json").write_text(json.dumps({"counts": counts}))


def config_of(root: Path, **sections: dict[str, Any]) -> Config:
    values = project.params(["bert"], ["bert.mt.bmt.s0"])
    values["training"]["epochs_st"] = 3
    for section, keys in sections.items():
        values[section] |= keys
    project.write_params(root, values)
    return load()


UNCAPPED = {"train_cap": None}
TUNED = 8 * 8 * 75
"""32 windows x 2 epochs / 8 = 8 steps of 8 windows of (100 + 50) / 2 tokens."""


@pytest.mark.parametrize(
    ("cell", "sections", "steps", "windows", "tuning", "masks", "validation"),
    [
        ("bert.mt.bmt.s0", {}, 8, 32, TUNED, 1200, 8 * 1000),
        ("bert.mt.bmt.adapter.s0", {}, 16, 32, 2 * TUNED, 1200, 16 * 1000),  # two phases, masks once
        ("bert.st-SQuAD.bmt.s0", {}, 6, 16, 6 * 8 * 100, 800, 6 * 800),
        ("bert.st-HotpotQA.bmt.s0", {}, 6, 16, 6 * 8 * 50, 400, 6 * 200),
        ("bert.mt.bmt.s0", {"training": {"evaluate_every": 3}}, 8, 32, TUNED, 1200, 3 * 1000),
        ("bert.mt.bmt.s0", {"data": {"validation_cap": 30}}, 3, 11, 3 * 8 * 75, 1200, 3 * (4000 + 1500)),
        ("bert.mt.bmt.s0", {"data": UNCAPPED}, 13, 52, 13 * 8 * 75, 1200, 13 * 1000),
        ("bert.mt.bmt.s0", {"data": UNCAPPED | {"val_source": "dev"}}, 15, 60, 9000, 1200, 15 * 1000),
        ("bert.mt.none.s0", {"mask": {"head_warmup": 3}}, 8, 32, TUNED, 0, 8000),
        ("bert.mt.mask.s0", {}, 8, 32, TUNED, 0, 8000),
        ("bert.mt.magnitude.s0", {}, 8, 32, TUNED, 0, 8000),
        ("bert.mt.fisher.s0", {"mask": {"head_warmup": 3}}, 8, 32, TUNED, 1200, 8000),
        ("bert.mt.fixed_random.s0", {}, 8, 32, TUNED, 1200, 8000),
        (
            "bert.mt.bmt.s0",
            {"mask": {"scope": "per_batch", "schedule": "alternating"}},
            8,
            32,
            TUNED,
            2 * TUNED,
            8000,
        ),
        ("bert.st-SQuAD.bmt.s0", {"mask": {"schedule": "refresh"}}, 6, 16, 4800, 3 * 800, 4800),
    ],
)
def test_the_work_of_a_cell_is_the_stated_arithmetic(
    root: Path,
    cell: str,
    sections: dict[str, Any],
    steps: int,
    windows: int,
    tuning: float,
    masks: float,
    validation: float,
) -> None:
    work = cell_work(config_of(root, **sections), parse(cell), features(root))
    assert (work.steps, work.windows, work.tuning, work.masks, work.validation) == (
        steps,
        windows,
        tuning,
        masks,
        validation,
    )
    assert work.evaluation == 3 * 6 * 200 + 4 * 100 and work.prepared


@pytest.mark.parametrize(
    ("sampling", "length"),
    [
        ({"kind": "uniform"}, 75),
        ({"kind": "dynamic"}, 75),
        ({"kind": "size"}, (16 * 100 + 36 * 50) / 52),
        ({"kind": "temperature", "temperature": 2.0}, (4 * 100 + 6 * 50) / 10),  # 16 and 36 windows
        ({"kind": "uniform", "temperature": 2.0}, 75),
    ],
)
def test_a_sampled_window_is_as_long_as_the_sampling_has_it(
    root: Path, sampling: dict[str, Any], length: float
) -> None:
    work = cell_work(
        config_of(root, data=UNCAPPED, sampling=sampling), parse("bert.mt.none.s0"), features(root)
    )
    assert work.tuning == pytest.approx(13 * 8 * length, rel=1e-12)


def test_masks_that_another_cell_makes_cost_neither_their_steps_nor_the_warm_up(root: Path) -> None:
    config, cell = config_of(root, mask={"head_warmup": 3}), parse("bert.mt.bmt.s0")
    assert cell_work(config, cell, features(root)).masks == 1200 + 3 * 8 * 75
    made = cell_work(config, cell, features(root), masks_made=True)
    assert made.masks == 0 and made.tuning == TUNED


def test_all_dev_questions_are_scored_where_there_is_no_cap(root: Path) -> None:
    work = cell_work(config_of(root, data={"dev_cap": None}), parse("bert.mt.none.s0"), features(root))
    assert work.evaluation == 3 * 2400 + 400
    file = FileCounts(10, 10, 10, 10)
    assert scored_questions(config_of(root), file) == 6
    assert scored_questions(config_of(root, data={"dev_cap": None}), file) == 10


@pytest.mark.parametrize(
    ("arm", "masks"),
    [("bmt", 8), ("fisher", 8), ("fixed_random", 8), ("none", 0), ("mask", 0), ("magnitude", 0)],
)
def test_a_transfer_takes_every_step_on_every_dataset(root: Path, arm: str, masks: int) -> None:
    work = transfer_work(
        config_of(root, fewshot={"steps": 5, "batch": 3}), arm, ["DROP", "BioASQ"], features(root)
    )
    assert (work.steps, work.windows) == (5 * 2, 15 * 2)
    assert work.tuning == work.validation == 15 * (100 + 50)
    assert work.masks == masks * (100 + 50) and work.evaluation == 6 * 200 + 4 * 100 and work.prepared


def test_a_published_model_reads_a_question_three_times_and_trains_nothing(root: Path) -> None:
    work = written_work(config_of(root), ["DROP", "BioASQ"], features(root))
    assert (work.steps, work.windows, work.tuning, work.masks, work.validation) == (0, 0, 0, 0, 0)
    assert work.evaluation == 3 * 1600 and work.passes == pytest.approx(1600) and work.prepared
    assert not written_work(config_of(root), ["DROP", "RACE"], features(root)).prepared


def test_a_file_that_is_not_prepared_has_the_papers_questions_of_its_split(root: Path) -> None:
    folder = features(root)
    assert sizes(folder, "TriviaQA", "train", 384) == FileCounts(61688, 61688, 61688, 61688 * 384, False)
    assert sizes(folder, "TriviaQA", "dev", 100) == FileCounts(7785, 7785, 7785, 778500, False)
    assert sizes(folder, "Mine", "dev", 100) == FileCounts(1500, 1500, 1500, 150_000, False)
    (folder / "Mine.dev").mkdir()
    for text in ("{", "[]", '{"counts": {"examples": 1}}', '{"counts": null}'):
        (folder / "Mine.dev" / "features.json").write_text(text)
        assert not sizes(folder, "Mine", "dev", 100).prepared
    assert not cell_work(
        config_of(root, data={"evaluate": ["SQuAD", "RACE"]}), parse("bert.mt.none.s0"), folder
    ).prepared


def test_features_that_are_made_anew_are_read_anew(root: Path) -> None:
    assert sizes(features(root), "DROP", "dev", 100) == FileCounts(12, 24, 20, 2400)
    path = features(root) / "DROP.dev" / "features.json"
    changed = path.stat().st_mtime_ns + 1
    write_counts(root, "DROP.dev", 1, 2, 3, 4)

    os.utime(path, ns=(changed, changed))
    assert sizes(features(root), "DROP", "dev", 100) == FileCounts(1, 2, 3, 4)


def test_a_file_without_questions_has_no_tokens() -> None:
    empty = FileCounts(0, 0, 0, 0)
    assert (empty.tokens_per_window, empty.windows_per_question, empty.tokens_of(5)) == (0, 0, 0)


# --- disk ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "mask", "model", "masks"),
    [
        ("bert.mt.none.s0", {}, 1_000_000, 0),
        ("bert.mt.mask.s0", {}, 1_000_000, 0),  # drawn, not kept
        ("bert.mt.bmt.s0", {}, 1_000_000, 2 * 2 * 31_250),  # a bit a weight and dataset, twice
        ("bert.mt.fixed_random.s0", {}, 1_000_000, 2 * 2 * 31_250),
        ("bert.mt.bmt.s0", {"scope": "global"}, 1_000_000, 2 * 31_250),
        ("bert.mt.magnitude.s0", {}, 1_000_000, 2 * 31_250),  # one for all
        ("bert.st-SQuAD.bmt.s0", {}, 1_000_000, 2 * 31_250),
        ("bert.mt.bmt.adapter.s0", {}, 1_040_000, 2 * 2 * 31_250),
        ("bert.mt.none.adapter.s0", {}, 1_040_000, 0),
    ],
)
def test_a_cell_leaves_its_weights_and_a_bit_per_weight_of_its_masks(
    root: Path, cell: str, mask: dict[str, Any], model: int, masks: int
) -> None:
    disk = disk_of(config_of(root, mask=mask), parse(cell), [], 1_000_000, scored=4)
    assert disk == Disk(model, masks, 41_000, 10 * model)
    assert (disk.kept("best"), disk.kept("none")) == (model + masks + 41_000, masks + 41_000)


def test_runs_of_the_same_kind_tell_the_size_and_others_do_not(root: Path) -> None:
    config = config_of(root)

    def folder(cell: str, model: int, masks: int = 0) -> RunFolder:
        return RunFolder(parse(cell), model, masks)

    there = [
        folder("bert.mt.bmt.s3", 100, 10),
        folder("bert.mt.bmt.s4", 300, 30),
        folder("bert.mt.none.s0", 800),
        folder("bert.st-SQuAD.bmt.s0", 100, 7),
        folder("bert.mt.bmt.adapter.s0", 5, 5),
        folder("roberta.mt.bmt.s0", 7, 7),
    ]
    assert disk_of(config, parse("bert.mt.bmt.s0"), there, None, 0) == Disk(200, 40, 40_000, 2000)
    assert disk_of(config, parse("bert.st-HotpotQA.bmt.s0"), there, 320, 0).masks == 14
    assert disk_of(config, parse("bert.mt.fixed_random.s0"), there, 320, 0).masks == 2 * 20  # of no such run
    assert disk_of(config, parse("bert.mt.none.adapter.s0"), there, None, 0).model == 5
    assert disk_of(config, parse("bert.mt.none.s0"), [], None, 0).model == BERT_BYTES


def test_run_folders_are_those_of_the_profile_s_cells_that_have_a_model(root: Path) -> None:
    for name, content in (
        ("tiny/bert.mt.bmt.s0/model/model.safetensors", b"12345"),
        ("tiny/bert.mt.bmt.s0/model/tokenizer/vocab.txt", b"123"),
        ("tiny/bert.mt.bmt.s0/masks/SQuAD/x.bin", b"12"),
        ("tiny/bert.mt.bmt.s0/training.json", b"{}"),
        ("tiny/bert.mt.none.s0/training.json", b"{}"),  # its model was deleted
        ("tiny/studies/model/x", b"1"),  # no cell
        ("other/bert.mt.none.s1/model/x", b"1"),
    ):
        path = root / "runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert run_folders(Folders(root, "tiny")) == [RunFolder(parse("bert.mt.bmt.s0"), 8, 2)]


@pytest.mark.parametrize(
    ("backbone", "weights"),
    [
        ({"source": "folder", "name": "backbones/bert"}, 5),
        ({"source": "folder", "name": "backbones/absent"}, None),
        ({"source": "package", "name": "bmt_test_backbone"}, 7),
        ({"source": "package", "name": "bmt_test_absent"}, None),
        ({"source": "hub", "name": "FacebookAI/roberta-large"}, 355_359_744 * 4),
        ({"source": "hub", "name": "google-t5/t5-base"}, 109_628_544 * 4),  # its encoder
        ({"source": "hub", "name": "google-t5/t5-base", "head": "span_decoder"}, 222_903_552 * 4),
        ({"source": "hub", "name": "allenai/unifiedqa-t5-base", "head": "generate"}, 222_903_552 * 4),
        ({"source": "hub", "name": "some/model"}, None),
    ],
)
def test_the_weights_of_a_backbone_are_known_without_reading_them(
    root: Path, monkeypatch: pytest.MonkeyPatch, backbone: dict[str, Any], weights: int | None
) -> None:
    for folder, content in (("backbones/bert", b"12345"), ("packages/bmt_test_backbone/model", b"1234567")):
        (root / folder).mkdir(parents=True)
        (root / folder / "model.safetensors").write_bytes(content)
    (root / "packages" / "bmt_test_backbone" / "__init__.py").touch()
    monkeypatch.syspath_prepend(root / "packages")
    values = project.params(["bert"], ["bert.mt.bmt.s0"])
    revision = "0" * 40 if backbone["source"] == "hub" else None
    values["backbones"]["other"] = values["backbones"]["bert"] | {"revision": revision} | backbone
    project.write_params(root, values)
    assert weights_of(load(), "other") == weights


# --- speed --------------------------------------------------------------------------------------------------


def test_a_device_is_told_as_runs_record_it_and_asked_of_torch_where_a_driver_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def describe() -> dict[str, Any]:
        asked.append(1)
        return {"device": "Card 1", "gpu_count": len(asked) - 1}

    monkeypatch.setattr(environment, "describe", describe)
    monkeypatch.setattr(environment, "cpu_name", lambda: "CPU 9")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert speed.this_device() == ("CPU 9", False) and not asked
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert speed.this_device() == ("Card 1", False)  # a driver, and no GPU of it is seen
    assert speed.this_device() == ("Card 1", True)


def test_every_usable_measurement_is_read_and_no_other(tmp_path: Path) -> None:
    record = {
        "cell": "bert.mt.bmt.s0",
        "profile": "tiny",
        "backbone": "bert",
        "regime": "mt",
        "arm": "bmt",
        "seed": 0,
        "tokens_per_second": 50.0,
        "environment": {"device": "here"},
    }

    def write(folder: str, **changes: Any) -> None:
        path = tmp_path / folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record | changes))

    write("runs/tiny/bert.mt.bmt.s0/training.json")
    write("results/tiny/bert.mt.bmt.s0.json", tokens_per_second=1.0)  # the same cell: its training's stands
    write("results/mini/bert.mt.bmt.s0.json", profile="mini", trained_with={"device": "there"})
    adapter = {"cell": "bert.st-SQuAD.none.adapter.s12", "regime": "st-SQuAD", "arm": "none", "adapter": True}
    write("results/tiny/a.json", **adapter, seed=12, environment={}, device="old")
    for number, value in enumerate((0, -1, float("nan"), float("inf"), None, "x")):
        write(f"results/tiny/bad{number}.json", cell=f"bad{number}", tokens_per_second=value)
    write("results/tiny/transfer.json", cell="transfer", K=16)
    (tmp_path / "results" / "tiny" / "list.json").write_text("[1]")
    (tmp_path / "results" / "tiny" / "cut.json").write_text('{"cell": ')
    assert speed_records(tmp_path) == [
        SpeedRecord("tiny", parse("bert.mt.bmt.s0"), "here", 50.0),
        SpeedRecord("mini", parse("bert.mt.bmt.s0"), "there", 50.0),
        SpeedRecord("tiny", parse("bert.st-SQuAD.none.adapter.s12"), "old", 50.0),
    ]


def test_speeds_are_of_the_same_machine_and_backbone_and_their_median(root: Path) -> None:
    config = config_of(root)

    def record(cell: str, value: float, device: str = "cpu", profile: str = "tiny") -> SpeedRecord:
        return SpeedRecord(profile, parse(cell), device, value)

    def of(cell: str, *records: SpeedRecord, weights: int | None = None, gpu: bool = False) -> Any:
        return speed_of(parse(cell), config, Machine("cpu", gpu, records), weights)

    others = (record("bert.mt.bmt.s0", 9e9, device="gpu"), record("roberta.mt.bmt.s0", 9e9))
    three = [
        record(f"bert.st-{name}.bmt.s0", x) for name, x in (("SQuAD", 10), ("HotpotQA", 1000), ("NewsQA", 20))
    ]
    told = of("bert.st-SQuAD.bmt.s0", *others, *three)
    assert told.tokens_per_second == 20 and told.measured
    assert told.basis == "bert: 20 tokens/s, median of 3 runs of this arm"
    assert of("bert.mt.bmt.s1", *three).basis.endswith("median of 3 runs of this arm in the other regime")
    assert of("bert.mt.fixed_random.s0", *three).basis.endswith("of other arms")
    assert of("bert.mt.bmt.adapter.s0", *three).basis.endswith("3 runs without adapters")
    gone = record("bert.mt.long_gone.s0", 7.0)
    assert of("bert.mt.bmt.s0", gone).basis == "bert: 7 tokens/s, 1 run of other arms"  # an arm of old params
    assumed = of("bert.mt.bmt.s0", *others, gpu=True)
    assert (assumed.tokens_per_second, assumed.measured) == (100_000.0, False)
    assert assumed.basis == "bert: 100,000 tokens/s ASSUMED for a GPU: none of its runs was timed here"
    assert of("bert.mt.bmt.s0", weights=249_300_000, gpu=True).tokens_per_second == 200_000
    assert of("bert.mt.bmt.s0", weights=90_900_000).tokens_per_second == 2_000
