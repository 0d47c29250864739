"""What a table needs, what exists of it, what the rest costs by hand-computed arithmetic, and a real run of
what is missing.
"""

from __future__ import annotations

import fcntl
import functools
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest

from benchmark import fetch, plan
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.cli.progress import duration
from benchmark.config.cells import parse
from benchmark.config.digests import section_digest
from benchmark.config.params import load
from benchmark.paper import tables as papers
from benchmark.planning import execution, table_plan
from benchmark.planning import throughput as speed
from benchmark.planning.assembly import seconds_of
from benchmark.planning.disk import disk_of
from benchmark.planning.plan_document import plan_json, size
from benchmark.planning.processes import Processes
from benchmark.planning.schedule import DONE, FAILED, NOT_RUN, JobOutcome
from benchmark.planning.states import CHECKPOINT, MISSING, TRAINED, RunState
from benchmark.planning.table_plan import PlanRequest, make_missing_runs, plan_table
from benchmark.planning.throughput import Speed
from benchmark.planning.workload import Workload, cell_work
from bmt.errors import ConfigError
from tests.support import project
from tests.support.in_process import InProcess
from tests.support.results_maker import make_results

CELLS = ["bert.mt.mask.s0", "bert.mt.mask.s1", "bert.mt.bmt.s0"]
DEVICE = "a test's device"
SCORED = dict.fromkeys((*project.DATASETS, *project.OTHERS), 6)


once = functools.cache(papers.load)  # it is read by every plan, and takes half a second


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project on a tiny BERT with nothing but its params file."""
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    monkeypatch.setattr(speed, "this_device", lambda: (DEVICE, False))
    monkeypatch.setattr(papers, "load", once)
    values = project.params(["bert"], CELLS)
    values["fewshot"]["sizes"] = [16, 64, 256]
    project.write_params(tmp_path, values)
    return tmp_path


def planned(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, Any]:
    """The JSON of a plan, and its runs by name."""
    assert plan.main([*arguments, "--json"]) == status
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found | {"by_name": {run["run"]: run for run in found["runs"]}}


def write_features(
    root: Path, dataset: str, split: str, questions: int, windows: int, answered: int, tokens: int
) -> None:
    """A features.json with these counts."""
    folder = root / "data" / "features" / "tiny" / "bert" / f"{dataset}.{split}"
    folder.mkdir(parents=True)
    counts = {"examples": questions, "windows": windows, "windows_with_answer": answered, "tokens": tokens}
    (folder / "features.json").write_text(json.dumps({"key": "0", "counts": counts}))


def write_training(
    root: Path,
    cell: str,
    tokens_per_second: float,
    device: str = DEVICE,
    profile: str = "tiny",
    model: int = 0,
) -> None:
    """A trained cell as far as a plan looks: training.json, and a model of so many bytes."""
    own = parse(cell)
    folder = root / "runs" / profile / cell
    folder.mkdir(parents=True)
    record = {
        "cell": cell,
        "profile": profile,
        "backbone": own.backbone,
        "regime": own.regime,
        "arm": own.arm,
        "adapter": own.adapter,
        "seed": own.seed,
        "tokens_per_second": tokens_per_second,
        "environment": {"device": device},
    }
    (folder / "training.json").write_text(json.dumps(record))
    if model:
        (folder / "model").mkdir()
        (folder / "model" / "model.safetensors").write_bytes(bytes(model))


def test_table_3_needs_the_cells_that_compare_looks_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan.main(["--paper-table", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Table 3 on profile tiny; bert stands in for roberta-base: 3 runs, 0 there, 3 to run"
    assert lines[2] == "first: python -m benchmark.fetch && python -m benchmark.prepare"
    assert lines[4].split() == ["state", "run", "time", "disk", "command"]
    assert [line.split()[:2] for line in lines[5:8]] == [["missing", cell] for cell in CELLS]
    assert lines[5].endswith(
        "  python -m benchmark.train bert.mt.mask.s0 && python -m benchmark.evaluate bert.mt.mask.s0"
    )
    assert lines[9:11] == [
        "roberta-large.mt.mask, roberta-large.mt.bmt: profile tiny has no roberta-large",
        "t5-base.mt.mask, t5-base.mt.bmt: profile tiny has no t5-base",
    ]
    assert "ASSUMED for a CPU: none of its runs was timed here" in lines[11]


def test_seeds_are_the_listed_ones_else_0_unless_asked_for(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = planned(capsys, "--paper-table", "A.10")["by_name"]
    assert list(runs) == ["bert.mt.mask_p30.s0", "bert.mt.mask.s0", "bert.mt.mask.s1", "bert.mt.mask_p70.s0"]
    runs = planned(capsys, "--paper-table", "A.10", "--seeds", "4,3")["by_name"]
    assert list(runs) == [
        f"bert.mt.{arm}.s{seed}" for arm in ("mask_p30", "mask", "mask_p70") for seed in (3, 4)
    ]


def test_an_st_row_is_a_cell_a_dataset(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = planned(capsys, "--paper-table", "5", "--seeds", "0")
    single = [
        f"bert.st-{dataset}.{arm}.s0" for arm in ("none", "mask", "bmt") for dataset in project.DATASETS
    ]
    assert list(found["by_name"]) == [*single, *(f"bert.mt.{arm}.s0" for arm in ("none", "mask", "bmt"))]
    assert found["by_name"]["bert.st-SQuAD.bmt.s0"]["datasets"] == ["SQuAD"]
    assert {"row": "roberta-base.st.bmt", "reason": "profile tiny does not train on NewsQA"} in found[
        "unavailable"
    ]
    assert len(found["unavailable"]) == 3 * 4


def test_few_shot_rows_are_transfers_of_one_adapter_cell(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = planned(capsys, "--paper-table", "9")["by_name"]
    sources = ["bert.mt.none.adapter.s0", "bert.mt.bmt.adapter.s0"]
    transfers = [
        f"bert.mt.{arm}.adapter.k{K}.s{seed}"
        for K in (16, 64, 256)
        for arm in ("none", "bmt")
        for seed in (7, 19, 29)
    ]
    assert sorted(runs) == sorted([*sources, *transfers])
    one = runs["bert.mt.bmt.adapter.k64.s19"]
    assert one["command"] == "python -m benchmark.transfer bert.mt.bmt.adapter.s0 --k 64 --seed 19"
    assert one["needs"] == ["bert.mt.bmt.adapter.s0", "data"] and runs[sources[0]]["needs"] == ["data"]
    assert list(runs).index(sources[1]) < list(runs).index("bert.mt.bmt.adapter.k16.s7")
    assert one["tokens"]["steps"] == 20 * 2  # DROP and BioASQ are what this profile evaluates of the six


def test_a_k_or_seed_that_the_profile_does_not_ask_for_is_not_planned(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = project.params(["bert"], CELLS)
    values["fewshot"] |= {"sizes": [8, 64], "seeds": [5]}
    project.write_params(root, values)
    found = planned(capsys, "--paper-table", "9")
    arms = ("none", "bmt")
    names = [name for arm in arms for name in (f"bert.mt.{arm}.adapter.s0", f"bert.mt.{arm}.adapter.k64.s5")]
    assert sorted(found["by_name"]) == sorted(names)
    assert found["unavailable"] == [
        {"row": f"roberta-base.mt.{arm}.adapter.k{K}", "reason": "profile tiny asks for K = 8, 64"}
        for K in (16, 256)
        for arm in arms
    ]


def test_tables_of_facts_have_a_command_or_need_none(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        planned(capsys, "--paper-table", "1")["by_name"]["table_1"]["command"]
        == "python -m benchmark.data stats --json"
    )
    assert (
        planned(capsys, "--paper-table", "7")["unavailable"][0]["reason"]
        == "counted by benchmark.compare itself: no run, no file"
    )
    (root / "profiles").mkdir()
    shutil.move(root / "params.yaml", root / "profiles" / "tiny.yaml")
    project.write_params(root, project.params(["bert"], CELLS, profile="other"))
    own = planned(capsys, "--paper-table", "1", "--profile", "tiny")["by_name"]["table_1"]["commands"]
    assert own == [
        [
            "python",
            "-m",
            "benchmark.data",
            "--params",
            str(root / "profiles" / "tiny.yaml"),
            "stats",
            "--json",
        ]
    ]


def test_what_exists_is_seen(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_results(
        root / "results" / "tiny", profile="tiny", backbone="bert", arms=["mask"], seeds=[0], sizes=SCORED
    )
    write_training(root, "bert.mt.mask.s1", 100.0, model=1000)
    config = load()
    for step in (8, 16):
        (
            root
            / ".checkpoints"
            / f"bert.mt.bmt.s0-{section_digest(config, 'bert.mt.bmt.s0')[:12]}-12345678"
            / f"step-{step:07d}"
        ).mkdir(parents=True)
    found = planned(capsys, "--paper-table", "3", "--also", "bert.mt.none.s7")
    seen = {name: (run["state"], run["command"], run["note"]) for name, run in found["by_name"].items()}
    assert seen == {
        "bert.mt.mask.s0": ("results", None, None),
        "bert.mt.mask.s1": ("trained", "python -m benchmark.evaluate bert.mt.mask.s1", None),
        "bert.mt.bmt.s0": (
            "checkpoint",
            "python -m benchmark.train bert.mt.bmt.s0 && python -m benchmark.evaluate bert.mt.bmt.s0",
            "resumes at step 16",
        ),
        "bert.mt.none.s7": (
            "missing",
            "python -m benchmark.train bert.mt.none.s7 && python -m benchmark.evaluate bert.mt.none.s7",
            None,
        ),
    }
    assert found["totals"]["there"] == 1 and found["totals"]["to_run"] == 3
    costs = {
        name: [run[key] is not None for key in ("seconds", "bytes")] for name, run in found["by_name"].items()
    }
    assert costs == {name: [name != "bert.mt.mask.s0"] * 2 for name in seen}  # what is there costs nothing
    (root / "results" / "tiny" / "bert.mt.mask.s0.json").write_text("{")
    broken = planned(capsys, "--paper-table", "3")["by_name"]["bert.mt.mask.s0"]
    assert broken["state"] == "missing" and broken["note"].startswith("results unreadable: line 1: no JSON")


def test_scores_out_of_domain_are_a_further_evaluation_of_the_same_cell(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_domain = dict.fromkeys(project.DATASETS, 6)
    for arm, model in (("none", 1000), ("bmt", 0)):
        make_results(
            root / "results" / "tiny", profile="tiny", backbone="bert", arms=[arm], seeds=[0], sizes=in_domain
        )
        write_training(root, f"bert.mt.{arm}.s0", 100.0, model=model)
    write_features(root, "DROP", "dev", 6, 6, 6, 600)
    runs = planned(capsys, "--paper-table", "8", "--seeds", "0")["by_name"]
    assert runs["bert.mt.none.s0"]["command"] == "python -m benchmark.evaluate bert.mt.none.s0"
    assert (
        runs["bert.mt.none.s0"]["note"] == "results without DROP"
    )  # BioASQ has no features: no data, not a missing score
    assert runs["bert.mt.bmt.s0"]["state"] == "missing"  # its model was deleted
    assert (
        planned(capsys, "--paper-table", "6", "--seeds", "0")["by_name"]["bert.mt.bmt.s0"]["state"]
        == "results"
    )


def test_a_transfer_wants_its_source_back_and_a_made_one_does_not(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_results(
        root / "results" / "tiny",
        profile="tiny",
        backbone="bert",
        arms=["none"],
        adapter=True,
        seeds=[0],
        sizes=SCORED,
    )

    def transfers(K: int) -> None:
        sizes = dict.fromkeys(project.OTHERS, 6)
        folder = root / "results" / "tiny"
        make_results(
            folder,
            profile="tiny",
            backbone="bert",
            arms=["none"],
            adapter=True,
            K=K,
            seeds=[7, 19, 29],
            sizes=sizes,
        )

    transfers(16)
    transfers(64)
    source = planned(capsys, "--paper-table", "9")["by_name"]["bert.mt.none.adapter.s0"]
    assert source["state"] == "missing" and source["note"] == "its model was deleted, and transfers need it"
    transfers(256)
    assert "bert.mt.none.adapter.s0" not in planned(capsys, "--paper-table", "9")["by_name"]


def test_estimates_are_the_stated_arithmetic(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """2 datasets, 16 questions each of 20 less 4: 32 windows x 2 epochs / 8 = 8 steps, 8 evaluations; mean
    window (100 + 50) / 2 = 75.
    """
    write_features(root, "SQuAD", "train", 20, 40, 25, 4000)  # 100 tokens a window
    write_features(root, "HotpotQA", "train", 40, 40, 40, 2000)  # 50
    for dataset in SCORED:
        write_features(root, dataset, "dev", 12, 24, 20, 2400)  # 2 windows a question, 100 tokens each
    write_training(root, "bert.mt.bmt.s3", 300.0, model=4_000_000)
    write_training(root, "bert.mt.bmt.s4", 100.0, model=5_000_000)
    write_training(root, "bert.mt.bmt.s5", 7.0, device="another machine", model=6_000_000)
    found = planned(capsys, "--paper-table", "3", "--jobs", "2")
    own, plain = found["by_name"]["bert.mt.bmt.s0"], found["by_name"]["bert.mt.mask.s0"]
    tuning = 8 * 8 * 75
    masks = 2 * 2 * 4 * 75  # datasets x steps x batch
    validation = 8 * (4 * 2 * 100 + 4 * 1 * 50)
    evaluation = 4 * 6 * 2 * 100
    expected = {
        "tuning": tuning,
        "masks": masks,
        "validation": validation,
        "evaluation": evaluation,
        "steps": 8,
        "prepared": True,
    }
    assert own["tokens"] == expected and plain["tokens"] == expected | {"masks": 0}
    assert (
        own["tokens_per_second"] == 200.0
        and own["speed_basis"] == "bert: 200 tokens/s, median of 2 runs of this arm"
    )
    scored = (validation + evaluation) / 3
    assert own["seconds"] == round((tuning + 1.25 * masks + scored) / 200 + 2 * 10, 1)
    assert plain["seconds"] == round((tuning + scored) / 200 + 2 * 10, 1) and plain["speed_basis"].endswith(
        "median of 2 runs of other arms"
    )
    predictions = 4 * 6 * 250 + 40_000
    assert own["bytes"] == 5_000_000 + predictions and plain["bytes"] == 5_000_000 + predictions
    assert found["totals"]["bytes"] == {
        "best": 3 * (5_000_000 + predictions),
        "none": 3 * predictions,
        "while_running": 2 * 50_000_000,
    }
    assert found["totals"]["seconds"] == pytest.approx(own["seconds"] + 2 * plain["seconds"], abs=0.2)
    # on one CPU the two runs at a time are each half as fast; the third comes when the first is over
    assert found["totals"]["wall_seconds"] == pytest.approx(2 * (plain["seconds"] + own["seconds"]), abs=0.3)
    apart = planned(capsys, "--paper-table", "3", "--gpus", "0,1")["totals"]["wall_seconds"]
    assert apart == pytest.approx(20 * 2 + (2 * tuning + 2 * scored + 1.25 * masks) / 200, abs=0.3)


@pytest.mark.parametrize(
    ("changes", "tuning", "masks"),
    [
        ({}, 8 * 8 * 75, 2 * 2 * 4 * 75),
        ({"data": {"windows": "all"}}, 9 * 8 * 75, 1200),  # 16 x 25/20 = 20 and 16: 36 windows, 9 steps
        ({"data": {"windows": "all", "negatives": "keep"}}, (32 + 16) * 2 * 75, 1200),  # 12 steps
        ({"sampling": {"kind": "size"}}, 8 * 8 * 75, 1200),  # as many windows of each: the same mean
        ({"training": {"batch_tokens": 500}}, 500 * 10, 1200),  # 64 windows x 75 tokens / 500 = 9.6
        ({"mask": {"scope": "global"}}, 8 * 8 * 75, 600),
        ({"mask": {"schedule": "alternating"}}, 8 * 8 * 75, 8 * 8 * 75),
        ({"mask": {"schedule": "refresh"}}, 8 * 8 * 75, 2 * 1200),
        ({"mask": {"head_warmup": 3}}, 8 * 8 * 75, 1200 + 3 * 8 * 75),
    ],
)
def test_every_setting_that_changes_the_work_is_counted(
    root: Path, changes: dict[str, dict[str, Any]], tuning: float, masks: float
) -> None:
    write_features(root, "SQuAD", "train", 20, 40, 25, 4000)
    write_features(root, "HotpotQA", "train", 40, 40, 40, 2000)
    values = project.params(["bert"], CELLS)
    for section, keys in changes.items():
        values[section] |= keys
    project.write_params(root, values)
    work = cell_work(load(), parse("bert.mt.bmt.s0"), root / "data" / "features" / "tiny" / "bert")
    assert (work.tuning, work.masks) == (tuning, masks) and not work.prepared  # no dev features


def test_without_features_the_papers_counts_are_assumed(root: Path) -> None:
    """80,000 of 86,588 - 4 and 72,928 - 4 questions: one window of 128 tokens each."""
    values = project.params(["bert"], CELLS)
    values["data"]["train_cap"] = 80_000
    project.write_params(root, values)
    work = cell_work(load(), parse("bert.mt.mask.s0"), root / "nothing")
    assert work.windows == 80_000 + 72_924 and work.steps == 38_231 and work.tuning == 38_231 * 8 * 128


def test_the_nearest_runs_give_the_speed(root: Path) -> None:
    config, cell = load(), parse("bert.mt.mask.s0")
    measured: list[speed.SpeedRecord] = []
    machine = speed.Machine(DEVICE, False, measured)

    def now() -> tuple[float, str]:
        found = speed.speed_of(cell, config, machine, None)
        return found.tokens_per_second, found.basis.partition(" tokens/s")[2].removeprefix(", ")

    assert now() == (2000.0, " ASSUMED for a CPU: none of its runs was timed here")
    scaled = speed.speed_of(cell, config, machine, 181_800_000)
    assert scaled.tokens_per_second == 1000.0 and not scaled.measured
    for name, profile, value, words in (
        ("bert.mt.mask.s1", "large", 10.0, "1 run of other profiles"),
        ("bert.mt.bmt.adapter.s0", "tiny", 20.0, "1 run with adapters"),
        ("bert.mt.none.s0", "tiny", 30.0, "1 run of other arms"),
        ("bert.mt.mask_p30.s0", "tiny", 40.0, "1 run of arms with such a mask"),
        ("bert.st-SQuAD.mask.s0", "tiny", 50.0, "1 run of this arm in the other regime"),
        ("bert.mt.mask.s1", "tiny", 60.0, "1 run of this arm"),
    ):
        measured.append(speed.SpeedRecord(profile, parse(name), DEVICE, value))
        assert now() == (value, words)


def test_only_what_was_timed_counts_and_a_cell_once(root: Path) -> None:
    make_results(
        root / "results" / "tiny", profile="tiny", backbone="bert", arms=["mask"], seeds=[0, 1], sizes=SCORED
    )
    make_results(
        root / "results" / "tiny",
        profile="tiny",
        backbone="bert",
        arms=["bmt"],
        adapter=True,
        K=16,
        seeds=[7],
        sizes=SCORED,
    )
    (root / "results" / "tiny" / "table_1.json").write_text('{"schema": 1}')
    write_training(root, "bert.mt.mask.s0", 250.0)
    for seed, no_speed in ((2, 0.0), (3, float("nan")), (4, float("inf"))):
        write_training(root, f"bert.mt.mask.s{seed}", no_speed)
    assert sorted((record.cell.name, record.tokens_per_second) for record in speed.speed_records(root)) == [
        ("bert.mt.mask.s0", 250.0),
        ("bert.mt.mask.s1", 1.0),
    ]


def test_a_result_s_speed_is_of_the_device_that_trained_it_and_not_of_the_one_that_scored_it() -> None:
    trained = {"profile": "tiny", "backbone": "bert", "regime": "mt", "arm": "mask", "seed": 0}
    trained |= {"tokens_per_second": 9.0, "environment": {"device": "scored here"}}
    assert [
        speed._record(trained | more).device  # type: ignore[union-attr]
        for more in ({"trained_with": {"device": "trained here"}}, {"trained_with": None}, {})
    ] == ["trained here", "scored here", "scored here"]
    published = trained | {"environment": {"torch": "2"}, "device": "its own key"}
    assert speed._record(published).device == "its own key"  # type: ignore[union-attr]


def test_cells_that_learn_the_same_masks_wait_for_bmt_which_alone_pays(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    controls = [
        "bert.mt.fixed_random.s0",
        "bert.mt.bmt.adapter.s0",
        "bert.mt.fixed_random.s9",
        "bert.mt.child_f.s0",
    ]
    arguments = [word for name in controls for word in ("--also", name)]
    runs = planned(capsys, "--paper-table", "3", *arguments)["by_name"]
    assert {name: run["after"] for name, run in runs.items() if run["after"]} == {
        name: ["bert.mt.bmt.s0"] for name in controls[:2]
    }
    charged = {name: run["tokens"]["masks"] > 0 for name, run in runs.items()}
    assert charged == dict.fromkeys(CELLS[:2], False) | {"bert.mt.bmt.s0": True} | dict(
        zip(controls, (False, False, True, False))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper-table", "12"], "--paper-table 12: not allowed: one of 1, 2, 3, 4, 5, 6, 7, 8, 9, a10"),
        (
            ["--paper-table", "3", "--profile", "huge"],
            "--profile huge: not allowed: one of those with a file in profiles/",
        ),
        (["--paper-table", "3", "--jobs", "0"], "--jobs 0: not allowed: at least 1"),
        (
            ["--paper-table", "3", "--gpus", "0,0"],
            "--gpus '0,0': not allowed: numbers of GPUs with commas between, each once, as 0,1",
        ),
        (
            ["--paper-table", "3", "--gpus", "0,1", "--jobs", "3"],
            "--jobs 3: not allowed with --gpus 0,1: 2, one on each GPU; leave it out",
        ),
        (
            ["--paper-table", "3", "--gpus", "0", "--run"],
            "--gpus 0: not allowed with --run: no GPU is seen on this machine",
        ),
        (["--paper-table", "3", "--seeds", "x"], "--seeds 'x': not allowed"),
        (["--paper-table", "3", "--also", "bert.mt.bmtt.s0"], "did you mean bmt"),
    ],
)
def test_bad_input_is_one_line(root: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan.main(arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_gpus_are_run_on_where_there_are_some_and_planned_for_anywhere(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert plan_table(PlanRequest("3", gpus=("0",))).plan.to_run
    monkeypatch.setattr(speed, "this_device", lambda: ("a GPU", True))
    requested = plan_table(PlanRequest("3", gpus=("0", "1"), slots=2, run=True))
    assert [item.needed.name for item in requested.plan.to_run] == CELLS


def test_a_params_file_that_is_named_is_named_in_the_commands(
    root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text((root / "params.yaml").read_text().replace("profile: tiny", "profile: mine"))
    plan_of_file = planned(capsys, "--paper-table", "3", "--params", str(file))
    assert (plan_of_file["profile"], plan_of_file["params"]) == ("mine", str(file))
    commands = [command for run in plan_of_file["runs"] for command in run["commands"]]
    assert commands and all(command[-2:] == ["--params", str(file)] for command in commands)


def test_a_transfer_leaves_its_predictions_alone(root: Path) -> None:
    """No model, no masks, no checkpoints: 250 bytes per scored question and a JSON of 40 kB."""
    disk = disk_of(load(), parse("bert.mt.bmt.adapter.s0"), [], 1_000_000, scored=100, trains=False)
    assert (disk.model, disk.masks, disk.predictions, disk.checkpoints) == (0, 0, 65_000, 0)
    trained = disk_of(load(), parse("bert.mt.none.s0"), [], 1_000_000, scored=100)
    assert (trained.model, trained.masks, trained.checkpoints) == (1_000_000, 0, 10_000_000)
    assert (trained.kept("best"), trained.kept("none")) == (1_065_000, 65_000)


@pytest.mark.parametrize(
    ("state", "commands", "done", "seconds"),
    [
        (MISSING, 2, 0, 162 + 20),  # (1000 + 1.25 x 400 + (300 + 60) / 3) / 10, and 10 s per command
        (CHECKPOINT, 2, 25, 84.5 + 20),  # masks are made; 3/4 of tuning and validation, and the evaluation
        (CHECKPOINT, 2, 120, 2 + 20),  # a checkpoint beyond the steps now planned leaves none of them
        (TRAINED, 1, 0, 2 + 10),
        (TRAINED, 0, 0, 0),
    ],
)
def test_seconds_are_those_of_what_is_left(state: str, commands: int, done: int, seconds: float) -> None:
    work = Workload(
        steps=100, windows=800, tuning=1000, masks=400, validation=300, evaluation=60, prepared=True
    )
    speed_of_run = Speed(10.0, "measured")
    assert seconds_of(work, speed_of_run, commands, RunState(state), done) == pytest.approx(seconds)


def closing(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What a plan says below its table, from the assumed speed on."""
    assert plan.main(list(arguments)) == 0
    lines = capsys.readouterr().out.splitlines()
    return lines[next((i for i, line in enumerate(lines) if line.startswith("time: ")), -1) :]


def test_a_plan_says_below_its_table_what_is_to_be_known_of_the_whole(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    values = project.params(["bert"], CELLS[:2])
    values["training"]["threads"] = 3
    project.write_params(root, values)
    for split in ("train", "dev"):
        for dataset in SCORED:
            write_features(root, dataset, split, 40, 40, 40, 4000)
    (root / "backbones" / "bert").mkdir(parents=True)
    (root / "backbones" / "bert" / "model.safetensors").write_bytes(bytes(1_000_000))
    free = SimpleNamespace(free=20_041_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free if path == root else None)
    sums = planned(capsys, "--paper-table", "3", "--jobs", "2", "--keep", "none")["totals"]
    kept = 3 * 46_000 + 2 * 2 * 31_250  # predictions of 4 x 6 questions, and the masks of BMT
    assert sums["bytes"] == {"best": 3_000_000 + kept, "none": kept, "while_running": 2 * 11_000_000}
    one, wall = (duration(sums[key]) for key in ("seconds", "wall_seconds"))
    assert closing(capsys, "--paper-table", "3", "--jobs", "2", "--keep", "none") == [
        f"time: {one} one after the other; {wall} with 2 at a time (they share this machine's device); "
        "early stopping makes it less",
        "disk: 263 kB in the end (--keep best: 3.3 MB), and up to 22.0 MB more while they run",
        "disk: only 20.0 MB are free here",
        "training.threads: each of the 2 runs takes 3 threads; null lets them share the cores",
        "keep none: no model stays, so neither `benchmark.ask` nor a later transfer has one",
        "keep none: dvc.yaml has the models of 2 of these cells as outs: `dvc repro` would train them again",
    ]
    free.free = 13_263_000  # what stays and one run's checkpoints: enough
    assert closing(capsys, "--paper-table", "3") == [
        f"time: {one} one after the other; early stopping makes it less",
        "disk: 3.3 MB in the end (--keep none: 263 kB), and up to 10.0 MB more while they run",
    ]
    apart = closing(capsys, "--paper-table", "3", "--gpus", "4,5")
    assert apart[0].endswith(" with 2 on 2 GPUs; early stopping makes it less")
    assert apart[2].startswith("disk: only 13.3 MB") and apart[3].startswith("training.threads: ")


def test_a_row_says_what_it_waits_for_and_from_where_it_goes_on(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"bert.mt.mask.s1-{section_digest(load(), 'bert.mt.mask.s1')[:12]}-12345678"
    (root / ".checkpoints" / name / "step-0000016").mkdir(parents=True)
    write_training(root, "bert.mt.mask.s0", 100.0)
    assert plan.main(["--paper-table", "3", "--also", "bert.mt.fixed_random.s0"]) == 0
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines() if "bert.mt." in line}
    assert lines["bert.mt.fixed_random.s0"].endswith(
        "benchmark.evaluate bert.mt.fixed_random.s0  [after bert.mt.bmt.s0]"
    )
    assert lines["bert.mt.mask.s1"].split()[0] == "checkpoint"
    assert lines["bert.mt.mask.s1"].endswith("benchmark.evaluate bert.mt.mask.s1  [resumes at step 16]")


def test_where_nothing_is_to_be_run_the_comparison_is_what_comes_next(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare = "python -m benchmark.compare --paper-table"
    assert closing(capsys, "--paper-table", "7") == [f"nothing is to be run: {compare} 7"]
    (root / "results" / "tiny").mkdir(parents=True)
    (root / "results" / "tiny" / "table_1.json").write_text("{}")
    assert closing(capsys, "--paper-table", "1") == [f"nothing is missing: {compare} 1"]
    named = closing(capsys, "--paper-table", "1", "--params", str(root / "params.yaml"))
    assert named == [f"nothing is missing: {compare} 1 --profile tiny"]


def test_runs_that_another_process_makes_are_neither_there_nor_to_be_run(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = root / "runs" / "tiny" / ".plan"
    logs.mkdir(parents=True)
    with ExitStack() as held:
        for cell in CELLS:
            log = held.enter_context(open(logs / f"{cell}.log", "wb"))
            fcntl.flock(log, fcntl.LOCK_EX)
        assert plan.main(["--paper-table", "3"]) == 0
        lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": 3 runs, 0 there, 0 to run")
    assert lines[-1] == "nothing is to be run: python -m benchmark.compare --paper-table 3"
    assert planned(capsys, "--paper-table", "3")["totals"]["to_run"] == 3  # it was the locks


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 kB"),
        (40_499, "40 kB"),
        (999_999, "1000 kB"),
        (1_000_000, "1.0 MB"),
        (99_949_999, "99.9 MB"),
        (310_000_000, "310 MB"),
        (1_000_000_000, "1.0 GB"),
        (123_400_000_000, "123 GB"),
    ],
)
def test_bytes_are_told_in_decimal_units(count: int, text: str) -> None:
    assert size(count) == text


def test_the_json_of_a_plan_has_how_its_runs_ended(root: Path) -> None:
    outcome = JobOutcome(FAILED, "exit status 1: x\n    log", 1.26)
    said = plan_json(plan_table(PlanRequest("3", slots=2)), {CELLS[1]: outcome})
    assert [run["outcome"] for run in said["runs"]] == [
        None,
        {"state": "failed", "seconds": 1.3, "text": "exit status 1: x\n    log"},
        None,
    ]
    assert {key: said[key] for key in ("format", "table", "profile", "params", "jobs", "gpus", "keep")} == {
        "format": 1,
        "table": "3",
        "profile": "tiny",
        "params": None,
        "jobs": 2,
        "gpus": (),
        "keep": "best",
    }
    assert said["stand_in"] == {"roberta-base": "bert"}


def test_missing_runs_are_made_on_a_copy_of_the_params_file_that_is_meant(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(execution, "run_jobs", lambda *given: calls.append(given) or {"x": "made"})
    other = root / "other.yaml"
    other.write_text((root / "params.yaml").read_text() + "# another\n")
    logs = root / "runs" / "tiny" / ".plan"
    for request, file in (
        (PlanRequest("3", keep="none", slots=2, gpus=("1", "0")), root / "params.yaml"),
        (PlanRequest("3", str(other), slots=3), other),
    ):
        assert make_missing_runs(plan_table(request)) == {"x": "made"}
        jobs, gpus, slots, keep, folder = calls.pop()
        assert (gpus, slots, keep, folder) == (request.gpus, request.slots, request.keep, logs)
        assert [job.name for job in jobs] == ["data", *CELLS]
        (copy,) = {command[-1] for job in jobs for command in job.commands}
        assert {command[-2] for job in jobs for command in job.commands} == {"--params"}
        assert Path(copy).name.startswith("params-") and Path(copy).read_bytes() == file.read_bytes()
        assert Path(copy).resolve().parent == logs
        shutil.rmtree(logs)
    assert make_missing_runs(plan_table(PlanRequest("7"))) == {} and not calls and not logs.exists()


@pytest.mark.parametrize(
    ("states", "status", "told"),
    [
        ((DONE, DONE), 0, ""),
        ((FAILED, DONE), 1, f"error: {CELLS[0]}: failed: why\n"),
        ((DONE, NOT_RUN), 1, f"error: {CELLS[1]}: not run: why\n"),
    ],
)
def test_a_plan_s_status_is_1_unless_all_was_made(
    states: tuple[str, str],
    status: int,
    told: str,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ended = dict(zip(CELLS, (JobOutcome(state, "why\n    a log's tail") for state in states), strict=False))
    monkeypatch.setattr(table_plan, "make_missing_runs", lambda requested: ended)
    assert plan.main(["--paper-table", "3", "--run"]) == status
    assert capsys.readouterr().err == told


def test_run_makes_what_is_missing_and_a_failure_does_not_stop_the_rest(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ST cells are missing in Table 5; the features of one dataset are damaged. That cell is tried by a
    real process; the other is made where the test runs, so that its two commands import nothing again.
    """

    class OneChild(InProcess):
        def _run(self, command: tuple[str, ...], slot: str | None, log: BinaryIO) -> int | None:
            child = "bert.st-SQuAD.none.s0" in command
            return Processes._run(self, command, slot, log) if child else super()._run(command, slot, log)

    monkeypatch.setattr(execution, "Processes", OneChild)
    write_corpus(root / "corpus")
    project.write_bert(root / "backbones" / "bert", project.corpus_texts(root / "corpus"))
    values = project.params(["bert"], CELLS, manifest=str(root / "corpus"))
    values["training"] |= {"epochs_st": 1}
    project.write_params(root, values)
    assert fetch.main([]) == 0
    prepare(load(), workers=1)
    capsys.readouterr()
    (root / "data" / "features" / "tiny" / "bert" / "SQuAD.train" / "windows.arrow").write_bytes(b"no Arrow")
    for arm, regimes in (
        ("none", ("mt",)),
        ("mask", ("mt", "st-SQuAD", "st-HotpotQA")),
        ("bmt", ("mt", "st-SQuAD", "st-HotpotQA")),
    ):
        for regime in regimes:
            make_results(
                root / "results" / "tiny",
                profile="tiny",
                backbone="bert",
                regime=regime,
                arms=[arm],
                seeds=[0],
                sizes=SCORED,
            )
    missing = ["bert.st-SQuAD.none.s0", "bert.st-HotpotQA.none.s0"]
    before = planned(capsys, "--paper-table", "5", "--seeds", "0")["by_name"]
    assert [name for name, run in before.items() if run["command"]] == missing
    after = planned(capsys, "--paper-table", "5", "--seeds", "0", "--run", "--keep", "none", status=1)[
        "by_name"
    ]
    assert [after[name]["outcome"]["state"] for name in missing] == [FAILED, DONE]
    assert "SQuAD.train/windows.arrow" in after[missing[0]]["outcome"]["text"]
    made = json.loads((root / "results" / "tiny" / f"{missing[1]}.json").read_text())
    assert (
        made["regime"] == "st-HotpotQA"
        and made["budget"]["steps"] == 2
        and set(made["datasets"]) == set(SCORED)
    )
    run = root / "runs" / "tiny" / missing[1]
    assert (run / "training.json").is_file() and not (run / "model").exists()
    monkeypatch.setattr(speed, "this_device", lambda: (made["trained_with"]["device"], False))
    again = planned(capsys, "--paper-table", "5", "--seeds", "0")["by_name"]
    assert [again[name]["state"] for name in missing] == ["missing", "results"]
    assert again[missing[0]]["tokens_per_second"] == pytest.approx(made["tokens_per_second"], abs=0.1)
    assert plan.main(["--paper-table", "3", "--seeds", "0"]) == 0
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == "nothing is missing: python -m benchmark.compare --paper-table 3"
    )
