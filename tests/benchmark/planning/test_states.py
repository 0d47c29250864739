"""What exists of a planned run, what a plan makes of it, and which runs a row needs."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.config.digests import section_digest
from benchmark.config.folders import Folders
from benchmark.config.params import load
from benchmark.planning import cells
from benchmark.planning.assembly import DATA, READING, TablePlan, assemble, jobs_of
from benchmark.planning.cells import PlannedRun, UnavailableRow, identity_of
from benchmark.planning.commands import shown, with_params
from benchmark.planning.states import ProfileFiles, RunState, being_made, run_state
from benchmark.planning.table_plan import PlanRequest, chosen_gpus, chosen_jobs
from benchmark.planning.throughput import Machine
from benchmark.runs.results import DatasetScore, Fault, Identity, Results, Run
from bmt.errors import ConfigError
from tests.support import project

CELL = "bert.mt.bmt.s0"
OTHER = "bert.mt.none.s0"
TRANSFER = "bert.mt.none.k16.s7"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    project.write_params(tmp_path, project.params(["bert"], [CELL]))
    return tmp_path


def present(root: Path, *runs: Run, faults: tuple[Fault, ...] = ()) -> ProfileFiles:
    """The profile's files with these results."""
    return ProfileFiles(load(), Folders(root, "tiny"), Results(root / "results" / "tiny", runs, faults))


def scored(name: str, *datasets: str, empty: tuple[str, ...] = ()) -> Run:
    """A run's results on these datasets."""
    scores = {dataset: DatasetScore(1.0, 2.0, 3) for dataset in datasets}
    identity, seed = identity_and_seed(name)
    return Run(name, "tiny", identity, seed, scores, empty)


def identity_and_seed(name: str) -> tuple[Identity, int]:
    if ".k" in name:
        return Identity("bert", "mt", "none", K=16), int(name.rpartition(".s")[2])
    return identity_of(parse(name)), parse(name).seed


def needed(name: str, **more: Any) -> PlannedRun:
    identity, seed = identity_and_seed(name)
    return PlannedRun(name, identity, seed, ("row",), **more)


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def train(root: Path, *names: str) -> None:
    """Trained cells as far as a plan looks."""
    for name in names:
        write(root, f"runs/tiny/{name}/training.json", f"runs/tiny/{name}/model/config.json")


def prepare(root: Path, *names: str) -> None:
    counts = {"examples": 1, "windows": 1, "windows_with_answer": 1, "tokens": 1}
    for name in names:
        path = root / "data" / "features" / "tiny" / "bert" / name / "features.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"counts": counts}))


ALL = ("SQuAD.train", "HotpotQA.train", "DROP.dev", "SQuAD.dev")


# --- states -------------------------------------------------------------------------------------------------


def test_a_dataset_without_questions_to_score_and_one_without_features_lack_nothing(root: Path) -> None:
    prepare(root, "SQuAD.dev", "HotpotQA.dev", "DROP.dev", "RACE.dev")
    wanted = needed(CELL, datasets=("DROP", "SQuAD", "BioASQ", "RACE", "HotpotQA"))
    assert present(root, scored(CELL, "SQuAD")).lacking(wanted) == ["DROP", "HotpotQA"]
    assert present(root, scored(CELL, "SQuAD", empty=("DROP",))).lacking(wanted) == ["HotpotQA"]
    whole = present(root, scored(CELL, "SQuAD", "HotpotQA", empty=("DROP",)))
    assert whole.lacking(wanted) == [] and run_state(wanted, whole, False) == RunState("results")
    # of another seed, another arm or no results at all
    for name in ("bert.mt.bmt.s1", "bert.mt.none.s0", "bert.mt.bmt.adapter.s0"):
        assert present(root, scored(name, "SQuAD")).lacking(wanted) is None


def test_a_counted_table_is_there_when_its_file_is(root: Path) -> None:
    table = PlannedRun("table_1", None, 0, ("row",), command="python -m benchmark.data stats --json")
    assert run_state(table, present(root), False) == RunState("missing")
    write(root, "results/tiny/table_1.json")
    assert run_state(table, present(root), False) == RunState("results")


@pytest.mark.parametrize(
    ("results", "files", "model", "state"),
    [
        (False, (), False, RunState("missing")),
        (True, (), False, RunState("results")),
        (True, (), True, RunState("missing", "its model was deleted, and transfers need it")),
        (True, ("training.json", "model/x"), True, RunState("results")),
        (False, ("training.json", "model/x"), False, RunState("trained")),
        (False, ("training.json",), False, RunState("missing")),  # without its model
        (False, ("model/x",), False, RunState("missing")),  # cut off while it was written
        (False, ("training.json", "model"), False, RunState("missing")),  # no folder
    ],
)
def test_a_cell_is_as_far_as_its_files_say(
    root: Path, results: bool, files: tuple[str, ...], model: bool, state: RunState
) -> None:
    write(root, *(f"runs/tiny/{CELL}/{file}" for file in files))
    there = present(root, *([scored(CELL, "SQuAD")] if results else []))
    assert run_state(needed(CELL, datasets=("SQuAD",)), there, model) == state


def test_a_cell_that_need_not_be_scored_is_done_when_it_is_trained(root: Path) -> None:
    source = needed(CELL, scored=False)
    assert run_state(source, present(root), True) == RunState("missing")
    train(root, CELL)
    assert run_state(source, present(root), True) == RunState("trained")
    assert run_state(source, present(root, scored(CELL)), True) == RunState("results")


def test_unreadable_results_are_told_of_the_run_that_they_are_of(root: Path) -> None:
    fault = Fault(f"{CELL}.json", "line 1: no JSON", identity_of(parse(CELL)), 0)
    there = present(root, faults=(Fault("x.json", "other", identity_of(parse(CELL)), 1), fault))
    assert run_state(needed(CELL), there, False).note == "results unreadable: line 1: no JSON"
    assert run_state(needed("bert.mt.bmt.s2"), there, False).note == ""
    transfer = Fault("t.json", "cut", Identity("bert", "mt", "none", K=16), 7)
    assert run_state(needed(TRANSFER), present(root, faults=(transfer,)), False) == RunState(
        "missing", "results unreadable: cut"
    )


def test_the_newest_checkpoint_of_these_settings_is_gone_on_from(root: Path) -> None:
    there, prepared = present(root), needed(CELL, datasets=("DROP",))
    digest = section_digest(there.config, CELL)[:12]
    assert there.checkpoint(CELL) is None
    for name in (
        f"{CELL}-{digest}-aaaaaaaa/step-0000008",
        f"{CELL}-{digest}-aaaaaaaa/phase1/step-0000100",
        f"{CELL}-{digest}-bbbbbbbb/step-0000020",
        f"{CELL}-{digest}-bbbbbbbb/step-0009999.tmp",  # half-written
        f"{CELL}-{'0' * 12}-aaaaaaaa/step-0000500",  # of other settings
        f"{OTHER}-{digest}-aaaaaaaa/step-0000700",
    ):
        (root / ".checkpoints" / name).mkdir(parents=True)
    write(root, f".checkpoints/{CELL}-{digest}-aaaaaaaa/step-0000900")  # a file
    assert there.checkpoint(CELL) == 100
    assert run_state(prepared, there, False) == RunState("checkpoint", "resumes at step 100")
    prepare(root, "DROP.dev")
    half = present(root, scored(CELL, "SQuAD"))
    assert run_state(prepared, half, False).note == "results without DROP; resumes at step 100"
    train(root, CELL)
    assert run_state(prepared, half, False) == RunState("trained", "results without DROP")


def test_a_run_whose_log_is_locked_is_being_made(root: Path) -> None:
    there = present(root, scored(CELL, "SQuAD"))
    log = root / "runs" / "tiny" / ".plan" / f"{CELL}.log"
    assert not being_made(log)
    write(root, f"runs/tiny/.plan/{CELL}.log")
    assert not being_made(log)
    with open(log, "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert being_made(log)
        assert run_state(needed(CELL), there, False).kind == "running"
        assert run_state(needed(OTHER), there, False).kind == "missing"
    with open(log, "rb") as first:
        fcntl.flock(first, fcntl.LOCK_SH)  # another plan's look is no work
        assert not being_made(log)
    assert run_state(needed(CELL), there, False).kind == "results"


# --- the plan -----------------------------------------------------------------------------------------------

MACHINE = Machine("cpu", False, ())


def plan(runs: list[PlannedRun], there: ProfileFiles) -> TablePlan:
    return assemble(runs, [], there, MACHINE, [])


def commands(made: TablePlan) -> dict[str, list[str]]:
    """The verbs by run."""
    return {item.needed.name: [command[2] for command in item.commands] for item in made.items}


TRAIN = ["benchmark.train", "benchmark.evaluate"]


def test_a_source_is_made_for_transfers_that_are_missing_and_for_no_others(root: Path) -> None:
    prepare(root, *ALL)
    source, transfer = (
        needed(OTHER, scored=False),
        needed(TRANSFER, datasets=("DROP",), source=OTHER),
    )
    made = plan([source, transfer], present(root))
    assert commands(made) == {OTHER: TRAIN, TRANSFER: ["benchmark.transfer"]}
    assert made.items[1].needs == {OTHER} and not made.items[0].needs and not made.preparation
    assert made.items[1].commands[0][2:] == ("benchmark.transfer", OTHER, "--k", "16", "--seed", "7")
    assert commands(plan([source, transfer], present(root, scored(TRANSFER, "DROP")))) == {TRANSFER: []}
    train(root, OTHER)
    made = plan([source, transfer], present(root))
    assert commands(made) == {OTHER: [], TRANSFER: ["benchmark.transfer"]} and not made.items[1].needs
    assert made.items[0].seconds == 0.0 and made.items[0].state.kind == "trained"


def test_what_waits_for_a_run_of_another_process_is_not_run(root: Path) -> None:
    prepare(root, *ALL)
    write(root, f"runs/tiny/.plan/{OTHER}.log")
    with open(root / "runs" / "tiny" / ".plan" / f"{OTHER}.log", "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        runs = [needed(OTHER, scored=False), needed(TRANSFER, datasets=("DROP",), source=OTHER)]
        made = plan([*runs, needed(CELL, datasets=("DROP",))], present(root))
    assert commands(made) == {OTHER: [], TRANSFER: [], CELL: TRAIN}
    assert made.items[1].seconds == 0.0 and made.items[1].state.note == (
        f"waits for {OTHER}, which another process makes now: run this again then"
    )
    assert [item.needed.name for item in made.to_run] == [CELL]


def test_references_are_trained_before_the_cell_that_is_held_against_them_and_only_then(root: Path) -> None:
    prepare(root, *ALL)
    singles = ("bert.st-SQuAD.none.s0", "bert.st-HotpotQA.none.s0")
    runs = [*(needed(name, scored=False) for name in singles), needed(OTHER, references=singles)]
    made = plan(runs, present(root))
    assert commands(made) == {singles[0]: TRAIN, singles[1]: TRAIN, OTHER: TRAIN}
    assert made.items[2].needs == set(singles)
    # one has told its validation scores, though its model is gone: it is not made again
    write(root, f"runs/tiny/{singles[0]}/training.json")
    made = plan(runs, present(root))
    assert commands(made) == {singles[1]: TRAIN, OTHER: TRAIN} and made.items[1].needs == {singles[1]}
    for there in (present(root, scored(OTHER)),):
        assert commands(plan(runs, there)) == {
            OTHER: []
        }  # the cell is there, so nothing is held against them
    train(root, OTHER)
    assert commands(plan(runs, present(root))) == {OTHER: ["benchmark.evaluate"]}


def test_a_trained_cell_is_evaluated_alone_and_costs_no_training(root: Path) -> None:
    prepare(root, *ALL)
    whole = plan([needed(CELL, datasets=("DROP",))], present(root)).items[0]
    train(root, CELL)
    left = plan([needed(CELL, datasets=("DROP",))], present(root)).items[0]
    assert [command[2] for command in left.commands] == ["benchmark.evaluate"]
    assert left.work == whole.work and left.work is not None
    assert left.seconds == pytest.approx(10 + left.work.evaluation / 3 / 2000)
    assert whole.seconds == pytest.approx(20 + left.work.passes / 2000)


@pytest.mark.parametrize(
    ("cell", "absent", "first"),
    [
        (CELL, "", False),
        (CELL, "HotpotQA.train", True),
        ("bert.st-SQuAD.none.s0", "HotpotQA.train", False),  # which it does not read
        ("bert.st-SQuAD.none.s0", "SQuAD.train", True),
        (CELL, "DROP.dev", False),  # another dev set is there
        (CELL, "DROP.dev SQuAD.dev", True),
    ],
)
def test_data_is_fetched_and_prepared_first_where_a_run_lacks_it(
    root: Path, cell: str, absent: str, first: bool
) -> None:
    prepare(root, *(name for name in ALL if name not in absent.split()))
    trained = needed("bert.mt.mask.s0", datasets=())
    there = present(root, scored(trained.name))
    made = plan([trained, needed(cell)], there)
    assert [shown([command]) for command in made.preparation] == (
        ["python -m benchmark.fetch", "python -m benchmark.prepare"] if first else []
    )
    assert [item.needs for item in made.items] == [frozenset(), frozenset({DATA} if first else ())]
    assert not plan([trained], there).preparation  # nothing to run: nothing to fetch
    jobs = jobs_of(made, there)
    assert [job.name for job in jobs] == [*([DATA] if first else []), cell]
    if first:
        assert (jobs[0].seconds, jobs[0].guessed, jobs[0].commands) == (READING, True, made.preparation)


def test_a_counted_table_and_a_published_model_read_the_raw_files(root: Path) -> None:
    table = PlannedRun("table_1", None, 0, ("row",), command="python -m benchmark.data stats --json")
    values = project.params(["bert"], [CELL])
    values["backbones"]["t5"] = values["backbones"]["bert"] | {"head": "generate"}
    project.write_params(root, values)
    zero = PlannedRun("t5.mt.zero_shot.s0", Identity("t5", "mt", "zero_shot"), 0, ("row",), ("DROP",))
    assert plan([table], present(root)).preparation and plan([zero], present(root)).preparation
    write(root, "data/raw/tiny/in_domain/SQuAD.train.jsonl.gz")
    assert not plan([table], present(root)).preparation and plan([zero], present(root)).preparation
    write(root, "data/raw/tiny/out_of_domain/DROP.dev.jsonl.gz")
    made = plan([table, zero], present(root))
    assert not made.preparation
    assert [shown(item.commands) for item in made.items] == [
        "python -m benchmark.data stats --json",
        "python -m benchmark.unifiedqa t5",
    ]
    assert (made.items[0].seconds, made.items[0].work, made.items[0].disk) == (READING, None, None)
    assert (
        made.items[1].work is not None and made.items[1].work.tuning == 0 and made.items[1].disk is not None
    )
    assert (made.items[1].disk.model, made.items[1].disk.predictions) == (0, 6 * 250 + 40_000)
    jobs = {job.name: job for job in jobs_of(made, present(root))}
    results = root / "results" / "tiny"
    assert jobs["table_1"].expects == (results / "table_1.json",) and jobs["table_1"].guessed
    assert jobs[zero.name].expects == (results / f"{zero.name}.json", results / f"{zero.name}.parquet")
    assert jobs["table_1"].model is jobs[zero.name].model is None and not jobs[zero.name].guessed


def test_jobs_say_what_they_leave_and_which_model_may_go(root: Path) -> None:
    prepare(root, *ALL)
    there = present(root)
    made = plan([needed(OTHER), needed(TRANSFER, datasets=("DROP",), source=OTHER), needed(CELL)], there)
    jobs = {job.name: job for job in jobs_of(made, there)}
    assert list(jobs) == [OTHER, TRANSFER, CELL]
    results = root / "results" / "tiny"
    for name, job in jobs.items():
        assert job.expects == (results / f"{name}.json", results / f"{name}.parquet") and not job.guessed
        assert job.seconds == next(item.seconds for item in made.items if item.needed.name == name) > 0
    assert jobs[OTHER].model == root / "runs" / "tiny" / OTHER / "model" and jobs[TRANSFER].model is None
    assert jobs[TRANSFER].needs == {OTHER}


def test_a_transfer_is_scored_on_its_row_s_datasets_that_the_profile_evaluates(root: Path) -> None:
    prepare(root, *ALL, "BioASQ.dev")
    train(root, OTHER)
    transfer = needed(TRANSFER, datasets=("DROP", "RACE", "BioASQ"), source=OTHER)
    (item,) = plan([transfer], present(root)).items
    assert item.work is not None and item.work.steps == 2 * 20  # RACE is none of the profile's
    assert item.disk is not None and item.disk.predictions == 2 * 250 + 40_000


def test_masks_are_shared_only_where_they_are_kept(root: Path) -> None:
    prepare(root, *ALL)
    others = ["bert.mt.bmt.adapter.s0", "bert.mt.fixed_random.s0", "bert.mt.bmt.s1", "bert.mt.mask.s0"]

    def leaders(*names: str) -> dict[str, set[str]]:
        made = plan([needed(name) for name in names or (*others, CELL)], present(root))
        return {item.needed.name: set(item.after) for item in made.items if item.after}

    assert leaders() == {others[0]: {CELL}, others[1]: {CELL}}
    values = project.params(["bert"], [CELL])
    values["mask"] |= {"schedule": "alternating"}
    project.write_params(root, values)
    assert not leaders(others[0], CELL)  # such masks change with the weights
    project.write_params(root, project.params(["bert"], [CELL]))
    train(root, CELL)
    assert leaders() == {others[1]: {others[0]}}  # of those that are still to be trained


def test_a_named_params_file_stands_in_every_command_and_before_a_subcommand(root: Path) -> None:
    prepare(root, "SQuAD.dev")
    table = PlannedRun("table_1", None, 0, ("row",), command="python -m benchmark.data stats --json")
    made = plan([needed(CELL), table], present(root))
    named = made.on("my profiles/x.yaml")
    assert shown(named.preparation) == (
        "python -m benchmark.fetch --params 'my profiles/x.yaml' && "
        "python -m benchmark.prepare --params 'my profiles/x.yaml'"
    )
    assert [shown(item.commands) for item in named.items] == [
        f"python -m benchmark.train {CELL} --params 'my profiles/x.yaml' && "
        f"python -m benchmark.evaluate {CELL} --params 'my profiles/x.yaml'",
        "python -m benchmark.data --params 'my profiles/x.yaml' stats --json",
    ]
    assert made.on(None) == made and named.unavailable == made.unavailable
    assert [replace(item, commands=()) for item in named.items] == [
        replace(item, commands=()) for item in made.items
    ]
    assert with_params(("python", "-m", "benchmark.data"), "") == ("python", "-m", "benchmark.data")


# --- which runs ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(True, False), (False, True), (True, True), (False, False)])
def test_a_run_that_several_rows_need_is_one_and_scored_where_any_of_them_scores_it(
    order: tuple[bool, bool],
) -> None:
    runs: dict[str, PlannedRun] = {}
    first, second = (
        PlannedRun(CELL, identity_of(parse(CELL)), 0, rows, datasets, scored=is_scored)
        for rows, datasets, is_scored in (
            (("b", "a"), ("SQuAD",), order[0]),
            (("a", "c"), ("DROP", "SQuAD"), order[1]),
        )
    )
    cells._add(runs, first)
    cells._add(runs, replace(first, name=OTHER))
    cells._add(runs, second)
    assert list(runs) == [CELL, OTHER]
    assert (runs[CELL].rows, runs[CELL].datasets) == (("b", "a", "c"), ("SQuAD", "DROP"))
    assert runs[CELL].scored is (order[0] or order[1]) and runs[OTHER].rows == ("b", "a")


def test_a_cell_comes_behind_what_its_sampling_is_held_against(root: Path) -> None:
    values = project.params(["bert"], [CELL])
    values["sampling"] |= {"kind": "dynamic_single_task", "single_task_arm": "none"}
    project.write_params(root, values)
    runs: dict[str, PlannedRun] = {}
    cells._add_cell(runs, load(), needed("bert.mt.bmt.adapter.s3", datasets=("DROP",)))
    singles = ("bert.st-SQuAD.none.s3", "bert.st-HotpotQA.none.s3")
    assert list(runs) == [*singles, "bert.mt.bmt.adapter.s3"]
    assert runs["bert.mt.bmt.adapter.s3"].references == singles and runs["bert.mt.bmt.adapter.s3"].scored
    for name in singles:
        assert not runs[name].scored and runs[name].rows == ("row",) and not runs[name].datasets
        assert runs[name].identity == identity_of(parse(name)) and runs[name].seed == 3


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (Identity("bert", "mt", "bmt"), ""),
        (Identity("bert", "st-SQuAD", "bmt"), ""),
        (Identity("bart", "mt", "bmt"), "profile tiny has no bart"),
        (Identity("bert", "mt", "bmtt"), "profile tiny has no arm bmtt"),
        (Identity("bert", "st-NewsQA", "bmt"), "profile tiny does not train on NewsQA"),
        (Identity("t5", "mt", "zero_shot"), ""),
        (
            Identity("bert", "mt", "zero_shot"),
            "backbones.bert.head: span, and generate is needed to score it as published",
        ),
    ],
)
def test_what_a_profile_cannot_make_is_said_with_the_reason(
    root: Path, identity: Identity, reason: str
) -> None:
    values = project.params(["bert"], [CELL])
    values["backbones"]["t5"] = values["backbones"]["bert"] | {"head": "generate"}
    project.write_params(root, values)
    assert cells._refusal(load(), identity, 0) == reason
    trained = cells._refusal(load(), Identity("t5", "mt", "bmt"), 0)
    assert trained and "t5" in trained  # a model that writes its answers is not trained


def test_only_what_is_trained_is_a_cell() -> None:
    assert needed(CELL).is_cell and not needed(TRANSFER).is_cell
    assert not PlannedRun("t", Identity("t5", "mt", "zero_shot"), 0, ()).is_cell
    assert not PlannedRun("table_1", None, 0, ()).is_cell


def test_seeds_are_those_asked_for_in_their_order_then_the_listed_then_0(root: Path) -> None:
    config = replace(load(), cells=["bert.mt.bmt.s10", "bert.mt.bmt.s9", "bert.mt.bmt.adapter.s4"])
    identity = identity_of(parse(CELL))
    assert cells.seeds_of(identity, config, None) == (9, 10)  # by number
    assert cells.seeds_of(identity, config, (3, 1)) == (3, 1)
    assert cells.seeds_of(replace(identity, arm="none"), config, None) == (0,)
    assert cells.seeds_of(replace(identity, arm="zero_shot"), config, (3, 1)) == (0,)


# --- what is asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        (None, ()),
        ("0", ("0",)),
        ("1, 0", ("1", "0")),
        ("GPU-8932f937-d72c,MIG-1/2/3", ("GPU-8932f937-d72c", "MIG-1/2/3")),
    ],
)
def test_gpus_are_numbers_or_uuids_in_the_given_order(text: str | None, gpus: tuple[str, ...]) -> None:
    assert chosen_gpus(text) == gpus


@pytest.mark.parametrize("text", ["", "0,", "a", "-1", "0 1", "0,0", "1234", "GPU-", "0;1"])
def test_anything_else_is_no_list_of_gpus(text: str) -> None:
    with pytest.raises(ConfigError, match="numbers of GPUs with commas between, each once, as 0,1"):
        chosen_gpus(text)


@pytest.mark.parametrize(
    ("jobs", "gpus", "slots"),
    [(None, (), 1), (None, ("0", "3"), 2), (1, (), 1), (5, (), 5), (2, ("0", "3"), 2)],
)
def test_as_many_runs_at_a_time_as_asked_for_else_one_per_gpu(
    jobs: int | None, gpus: tuple[str, ...], slots: int
) -> None:
    assert chosen_jobs(jobs, gpus) == slots
    assert PlanRequest("3") == PlanRequest("3", None, None, (), "best", 1, (), False)


def test_a_row_that_cannot_be_made_is_one_line_whatever_its_datasets() -> None:
    assert len({UnavailableRow("a", "x"), UnavailableRow("a", "x"), UnavailableRow("a", "y")}) == 2
