"""A call that runs trials: what its options come to, its workers, its database, a worker's loop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import optuna
import pytest
import sqlalchemy.exc
from optuna.trial import TrialState

from benchmark.studies import mlflow_runs, storage, study_run, worker
from benchmark.studies.identity import identity_of
from benchmark.studies.objective import Objective
from benchmark.studies.request import check_validation, read_request
from benchmark.studies.samplers import sampler
from benchmark.studies.search_options import parse_arguments
from benchmark.studies.settings import read_settings
from benchmark.studies.space import Range, Space, present, space_of, words
from benchmark.studies.status import front, status_document
from benchmark.studies.storage import open_storage, reachable, storage_url
from benchmark.studies.training import Trained, union_density
from benchmark.studies.worker import TrialBudget, trial_line, work
from bmt.errors import BMTError, ConfigError, ModelError
from bmt.random_mask import RandomMask
from tests.support.repository import ROOT
from tests.support.study_maker import SPACE, Formula, enter, search, unrecorded

SAMPLE = ROOT / "profiles" / "sample.yaml"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the sample profile and no tracking server."""
    shutil.copyfile(SAMPLE, tmp_path / "params.yaml")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    return tmp_path


# --- a call -------------------------------------------------------------------------------------------------

Works = list[tuple[optuna.Study, Objective, TrialBudget]]


@pytest.fixture
def works(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Works:
    """What the worker of each call was given, in place of its work; the cell needs no data."""
    kept: Works = []

    def cell_run(config: Any, cell: Any, ranks: Any) -> Any:
        data = SimpleNamespace(digest="data of " + cell.name, rows={"SQuAD": [], "DROP": []})
        backbone = SimpleNamespace(identity="weights of " + cell.backbone)
        return SimpleNamespace(config=config, cell=cell, steps=61, data=data, backbone=backbone)

    monkeypatch.setattr(study_run, "CellRun", SimpleNamespace(of=cell_run))
    monkeypatch.setattr(mlflow_runs, "trial_runs", lambda *given: unrecorded)
    monkeypatch.setattr(study_run, "work", lambda *given: kept.append(given))
    monkeypatch.setattr(study_run, "keep_freed_memory", lambda: None)
    return kept


def call(*words: str) -> None:
    arguments = ["--study", "first", *words]
    study_run.run(read_request(parse_arguments(arguments)), arguments)


def test_a_call_s_options_reach_the_study_and_its_worker(works: Works, repository: Path) -> None:
    call(
        "--trials",
        "3",
        "--seeds",
        "7,5",
        "--pruner",
        "wilcoxon",
        "--startup",
        "9",
        "--sampler",
        "gp",
        "--sampler-seed",
        "4",
        "--finished",
        "2",
        "--timeout",
        "9.5",
        "--heartbeat",
        "7",
        "--arm",
        "mask",
        "--regime",
        "st-SQuAD",
        "--set",
        "training.lr=0.002",
    )
    study, objective, budget = works.pop()
    assert budget == TrialBudget(3, 2, 9.5, 7)
    assert (objective.seeds, objective.objective, objective.pruner) == ([7, 5], "f1", "wilcoxon")
    identity = identity_of(study)
    assert (identity.profile, identity.cell, identity.seeds) == ("sample", "minilm.st-SQuAD.mask", [7, 5])
    assert (identity.data, identity.weights) == ("data of minilm.st-SQuAD.mask.s7", "weights of minilm")
    assert identity.changed == {"training.lr": 0.002} and identity.pruner == "wilcoxon"
    assert study.sampler._seed == 4 and study.sampler._own._n_startup_trials == 9
    assert study._storage._backend.heartbeat_interval == 7 and study._storage._backend.grace_period == 21
    assert (repository / "studies" / "first.db").is_file()


def test_without_options_a_study_is_bmt_s_by_hyperband_and_begins_with_the_file_s_own_values(
    works: Works, capsys: pytest.CaptureFixture[str]
) -> None:
    call("--trials", "3")
    call("--trials", "4")
    (study, objective, budget), (again, _, more) = works
    assert (budget, more) == (TrialBudget(3, 0, None, 20), TrialBudget(4))
    assert (objective.seeds, objective.pruner, objective.measure.evaluations) == ([100], "hyperband", 3)
    assert objective.measure.datasets == ["SQuAD", "DROP"]
    assert isinstance(study.pruner, optuna.pruners.HyperbandPruner)
    (first,) = again.get_trials()  # once, whoever comes later
    assert first.state == TrialState.WAITING and first.user_attrs == {"from": "params"}
    assert first.system_attrs["fixed_params"] == {"lam": 1.25e-7, "gamma": -1.5, "zeta": 1.5}
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"study first: minilm.mt.bmt, {objective.space.text}; 1 queued so far"
    assert out[1] == "study first: 1 queued; none finished"


def test_a_search_for_f1_and_density_has_no_pruner_unless_one_is_refused(works: Works) -> None:
    call("--trials", "1", "--objective", "f1_density")
    study, objective, _ = works.pop()
    assert objective.pruner == "none" and len(study.directions) == 2
    assert [part.name for part in objective.space.ranges] == ["lam", "gamma", "zeta", "density"]
    with pytest.raises(ConfigError, match="--pruner wilcoxon: not with --objective f1_density"):
        call("--trials", "1", "--objective", "f1_density", "--pruner", "wilcoxon")


def test_a_study_is_another_one_on_other_data_and_under_other_settings_but_not_other_searched_values(
    works: Works, repository: Path
) -> None:
    call("--trials", "1")
    text = SAMPLE.read_text()
    (repository / "params.yaml").write_text("# a remark\n" + text.replace("gamma: -1.5", "gamma: -1.25"))
    call("--trials", "1")
    for old, new, said in (
        ("beta: 1.0", "beta: 0.5", "it has settings"),
        ("lr: 1.5e-4", "lr: 1.6e-4", "it has settings"),
    ):
        (repository / "params.yaml").write_text(text.replace(old, new))
        with pytest.raises(ConfigError, match=said):
            call("--trials", "1")
    assert len(works) == 2


# --- workers ------------------------------------------------------------------------------------------------


class Child:
    """A worker that ends with a status of its own, or when it is asked to."""

    made: ClassVar[list[Child]] = []
    statuses: ClassVar[list[int | BaseException]] = []

    def __init__(self, command: list[str], env: dict[str, str], start_new_session: bool) -> None:
        self.command, self.env, self.apart = command, env, start_new_session
        self.status, self.ended = self.statuses[len(self.made)], False
        self.made.append(self)

    def wait(self) -> int:
        if isinstance(self.status, BaseException):
            error, self.status = self.status, -15
            raise error
        self.ended = True
        return self.status

    def poll(self) -> int | None:
        return self.status if self.ended and isinstance(self.status, int) else None

    def terminate(self) -> None:
        self.status = -15


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Child]]:
    def start(*statuses: int | BaseException) -> list[Child]:
        Child.made, Child.statuses = [], list(statuses)
        return Child.made

    monkeypatch.setattr(subprocess, "Popen", Child)
    monkeypatch.setattr(study_run, "cpu_count", lambda: 7)
    return start


def test_workers_get_the_call_s_database_whatever_the_environment_names_and_share_the_cores(
    children: Callable[..., list[Child]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", "sqlite:///another.db")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    made = children(0, 1, 0)
    study_run._start_workers(["--study", "x", "--workers", "3"], 3, "sqlite:///mine.db")  # one failed
    assert [child.command for child in made] == [
        [sys.executable, "-m", "benchmark.search", "--study", "x"]
    ] * 3
    assert {child.env["OPTUNA_STORAGE"] for child in made} == {"sqlite:///mine.db"}
    assert {child.env["OMP_NUM_THREADS"] for child in made} == {"2"} and all(child.apart for child in made)
    assert made[0].env["PATH"] == os.environ["PATH"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    made = children(*[0] * 9)
    study_run._start_workers([], 9, "u")
    assert {child.env["OMP_NUM_THREADS"] for child in made} == {"5"}
    monkeypatch.delenv("OMP_NUM_THREADS")
    made = children(*[0] * 9)
    study_run._start_workers([], 9, "u")
    assert {child.env["OMP_NUM_THREADS"] for child in made} == {"1"}  # more workers than cores


def test_workers_end_with_the_call_that_is_interrupted(children: Callable[..., list[Child]]) -> None:
    made = children(0, KeyboardInterrupt(), 0)
    with pytest.raises(KeyboardInterrupt):
        study_run._start_workers([], 3, "u")
    assert [child.poll() for child in made] == [0, -15, -15]  # asked to end, and waited for
    children(1, 2)
    with pytest.raises(BMTError, match="all 2 workers failed: what happened to each stands above"):
        study_run._start_workers([], 2, "u")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--status", "--apply", "--yes", "--trials=3"], ["--trials=3"]),
        (["--export", "--trial=4", "--seeds", "1,2"], ["--seeds", "1,2"]),
        (["--storage", "a", "--storage=b", "--workers", "2", "--workers=3"], []),
        (["--figures", "--set", "training.lr=0.1"], ["--set", "training.lr=0.1"]),
    ],
)
def test_a_worker_only_runs_trials(given: list[str], kept: list[str]) -> None:
    assert study_run._for_worker(given) == kept


# --- a worker's loop ----------------------------------------------------------------------------------------


def test_failures_count_only_one_after_the_other(url: str) -> None:
    outcomes = iter((True, True, False, True, True, False))
    study = enter(url)
    search(study, 2, Formula(fails=lambda values: next(outcomes)))
    states = [trial.state for trial in study.get_trials()]
    fail, complete = TrialState.FAIL, TrialState.COMPLETE
    assert states == [fail, fail, complete, fail, fail, complete]


def test_a_defect_is_no_failed_trial(url: str) -> None:
    errors = iter((ValueError("our own"), AssertionError("it went on")))

    def breaks(values: Any) -> bool:
        raise next(errors)

    with pytest.raises(ValueError, match="our own"):
        search(enter(url), 1, Formula(fails=breaks))


def test_a_study_that_has_enough_trials_is_left_at_once(url: str) -> None:
    study = enter(url)
    assert len(search(study, 2)) == 2 and search(study, 2) == search(study, 1) == []
    assert len(search(study, 3)) == 1 and len(study.get_trials()) == 3


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_only_an_old_trial_without_values_counts_as_one_whose_worker_died(url: str) -> None:
    study = enter(url)
    drawn = study.ask()
    drawn.suggest_float("gamma", -3, -0.1)
    study.ask()
    worker._fail_unborn(study, study.get_trials(), 3600.0)
    assert Counter(trial.state for trial in study.get_trials()) == {TrialState.RUNNING: 2}
    worker._fail_unborn(study, study.get_trials(), 0.0)
    assert [trial.state for trial in study.get_trials()] == [TrialState.RUNNING, TrialState.FAIL]


def trial(number: int, state: TrialState, value: Any = None, **more: Any) -> Any:
    begin = datetime(2026, 1, 1)
    values = value if isinstance(value, list) else None if value is None else [value]
    fields = {
        "number": number,
        "state": state,
        "value": value if not isinstance(value, list) else None,
        "values": values,
        "params": {"gamma": -1.23456},
        "user_attrs": {},
        "system_attrs": {},
        "duration": timedelta(seconds=65),
        "datetime_start": begin,
        "datetime_complete": begin + timedelta(seconds=65),
    }
    return SimpleNamespace(**(fields | more))


@pytest.mark.parametrize(
    ("ended", "line"),
    [
        (
            trial(3, TrialState.COMPLETE, 50.125),
            "trial 3: macro F1 50.12 (best 61.00, trial 2); gamma -1.235; 65.0 s",
        ),
        (trial(2, TrialState.COMPLETE, 61.0), "trial 2: macro F1 61.00 (the best); gamma -1.235; 65.0 s"),
        (
            trial(4, TrialState.COMPLETE, [50.0, 0.25]),
            "trial 4: macro F1 50.00, union density 0.250; gamma -1.235; 65.0 s",
        ),
        (trial(5, TrialState.PRUNED, 12.0), "trial 5: pruned at macro F1 12.00; gamma -1.235; 65.0 s"),
        (trial(6, TrialState.PRUNED), "trial 6: pruned; gamma -1.235; 65.0 s"),
        (
            trial(7, TrialState.PRUNED, 0.0, duration=None),
            "trial 7: pruned at macro F1 0.00; gamma -1.235; -",
        ),
        (trial(8, TrialState.FAIL, user_attrs={"failure": "nan"}), "trial 8: failed: nan; gamma -1.235"),
        (trial(9, TrialState.FAIL), "trial 9: failed: no reason known; gamma -1.235"),
    ],
)
def test_a_line_says_what_a_trial_came_to(ended: Any, line: str) -> None:
    study = SimpleNamespace(best_trial=SimpleNamespace(number=2, value=61.0))
    assert trial_line(study, ended) == line


@pytest.mark.parametrize(
    ("finished", "pruned", "enough"),
    [(0, 0, False), (3, 2, True), (2, 3, True), (1, 9, False), (2, 2, False), (5, 0, True)],
)
def test_a_budget_is_reached_by_both_of_its_numbers(finished: int, pruned: int, enough: bool) -> None:
    assert TrialBudget(5, 2).reached(finished, pruned) is enough


def test_a_sampler_is_keyed_by_its_seed_and_the_trial_s_number(url: str) -> None:
    study = enter(url)

    def seed_of(own: int, number: int) -> int:
        keyed, made = sampler("tpe", own, 5), []
        keyed._make = lambda seed: made.append(seed) or optuna.samplers.RandomSampler(seed)
        keyed.before_trial(study, SimpleNamespace(number=number))
        return made[0]

    seeds = [seed_of(own, number) for own in (0, 1) for number in range(4)]
    assert len(set(seeds)) == 8 and seeds[:4] == [seed_of(0, number) for number in range(4)]
    made = sampler("tpe", 0, 7)._make(1)
    assert made._n_startup_trials == 7 and made._multivariate


# --- what is shown ------------------------------------------------------------------------------------------


def test_status_tells_every_state_and_why(url: str) -> None:
    study = enter(url)
    study.enqueue_trial({"gamma": -1.0}, user_attrs={"from": "params"})
    trials = [
        trial(0, TrialState.COMPLETE, 50.0, user_attrs={"from": "params", "density": 0.5}),
        trial(1, TrialState.PRUNED, 12.5),
        trial(2, TrialState.FAIL, user_attrs={"failure": "nan"}, system_attrs={"failed_trial": 0}),
        trial(3, TrialState.WAITING, datetime_start=None, params={}),
    ]
    study = SimpleNamespace(
        study_name="first",
        user_attrs=study.user_attrs,
        directions=[1],
        best_trials=[trials[0]],
        get_trials=lambda **given: trials,
    )
    table, *lines = status_document(study).blocks
    shown = [
        [cell if isinstance(cell, str) else cell.text for cell in row.cells] for row in table.groups[0].rows
    ]
    empty = ["-"] * 2
    assert shown == [
        ["0", "finished", "50.00", "0.500", "-", "-1.235", *empty, "65.0 s", "the params file's own values"],
        ["1", "pruned", "12.50", "-", "-", "-1.235", *empty, "65.0 s", ""],
        ["2", "failed", "-", "-", "-", "-1.235", *empty, "65.0 s", "again for trial 0, nan"],
        ["3", "queued", "-", "-", "-", "-", *empty, "-", ""],
    ]
    assert [line.text for line in lines] == ["1 finished, 1 pruned, 1 failed, 1 queued", "best: trial 0"]


def test_a_front_is_told_best_f1_first_and_one_value_has_one_best() -> None:
    def study(*best: Any, directions: int) -> Any:
        return SimpleNamespace(best_trials=list(best), directions=[0] * directions)

    a, b = trial(4, TrialState.COMPLETE, [50.0, 0.2]), trial(1, TrialState.COMPLETE, [60.0, 0.9])
    c, d = trial(3, TrialState.COMPLETE, [50.0, 0.1]), trial(2, TrialState.COMPLETE, [50.0, 0.1])
    assert front(study(a, b, c, d, directions=2)) == [b, d, c, a]
    same = [trial(number, TrialState.COMPLETE, [50.0]) for number in (7, 3)]
    assert front(study(*same, directions=1)) == [same[1]] and front(study(directions=1)) == []


# --- values -------------------------------------------------------------------------------------------------


def test_a_trial_s_values_do_not_reach_the_next_trial(repository: Path) -> None:
    settings = read_settings(changes=["arms.mask.p_f=0.25"])
    assert settings.config({"mask.lam": 3e-7, "arms.mask.p_f": 0.75}).arms["mask"].p_f == 0.75
    again = settings.config()
    assert (again.mask.lam, again.arms["mask"].p_f) == (1.25e-7, 0.25)
    assert settings.changed == {"arms.mask.p_f": 0.25}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("maskx.lam=1", "a study cannot change maskx.lam: only mask, tuning"),
        ("data.train_capped=1", "a study cannot change data.train_capped"),
        ("backbones.minilm.name=x", "a study cannot change backbones.minilm.name"),
        ("fewshot.steps=1", "a study cannot change fewshot.steps"),
        ("mask.lam.x=1", "mask.lam.x: the params file has no such key"),
        ("mask.lam=[1", "--set mask.lam=\\[1: no YAML value"),
        ("=1", "--set =1: a study cannot change"),
    ],
)
def test_only_keys_of_what_a_study_may_change_are_set(repository: Path, change: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_settings(changes=[change])


def test_a_params_file_is_read_where_it_is_named_and_must_hold_keys(repository: Path) -> None:
    other = repository / "other.yaml"
    other.write_text(SAMPLE.read_text().replace("profile: sample", "profile: mine"))
    read = read_settings(str(other))
    assert (read.path, read.config().profile) == (other, "mine")
    other.write_text("- 1\n")
    with pytest.raises(
        ConfigError,
        match=r"whole file: \[1\] is not allowed: keys and values; profiles/sample.yaml shows the form$",
    ):
        read_settings(str(other))


def test_a_space_s_ends_are_the_stated_ones(repository: Path) -> None:
    config = read_settings().config()
    ends = {
        name: (part.low, part.high, part.log)
        for arm, names in (
            ("bmt", ["lam", "gamma", "zeta", "alpha_lr", "density", "steps"]),
            ("mask", ["p_f"]),
        )
        for name, part in ((one.name, one) for one in space_of(config, arm, names).ranges)
    }
    assert ends == {
        "lam": (1e-9, 1e-5, True),
        "gamma": (-3.0, -0.1, False),
        "zeta": (1.1, 4.0, False),
        "alpha_lr": (0.01, 1.0, True),
        "density": (0.05, 0.9, False),
        "steps": (2, 8, True),
        "p_f": (0.1, 0.9, False),
    }
    one = space_of(read_settings(changes=["mask.steps=1"]).config(), "bmt", ["steps", "steps"])
    assert [(part.low, part.high) for part in one.ranges] == [(1, 2)]
    free = read_settings(changes=["mask.density=null"]).config()
    assert [part.name for part in space_of(free, "bmt", density=True).ranges] == ["lam", "gamma", "zeta"]
    assert [part.name for part in space_of(config, "bmt", [], [" zeta =1.2:1.4"]).ranges] == ["zeta"]


def test_values_are_suggested_on_their_scale_and_put_under_their_keys() -> None:
    asked: list[Any] = []
    fake = SimpleNamespace(
        suggest_int=lambda *given, log: asked.append((*given, log)) or 3,
        suggest_float=lambda *given, log: asked.append((*given, log)) or 1.23456789e-7,
    )
    space = Space(
        (Range("steps", "mask.steps", 2, 8, True, True), Range("lam", "mask.lam", 1e-9, 1e-5, True))
    )
    values = space.suggest(fake)
    assert values == {"steps": 3, "lam": 1.235e-7} and isinstance(values["steps"], int)
    assert asked == [("steps", 2, 8, True), ("lam", 1e-9, 1e-5, True)]
    assert space.changes(values) == {"mask.steps": 3, "mask.lam": 1.235e-7}
    assert words(values) == "steps 3, lam 1.235e-07"


@pytest.mark.parametrize(
    ("density", "inside"), [("0.05", True), ("0.9", True), ("0.04", False), ("0.95", False), ("null", False)]
)
def test_the_file_s_own_values_are_tried_first_where_all_lie_within_the_ends(
    repository: Path, density: str, inside: bool
) -> None:
    values = present(read_settings(changes=[f"mask.density={density}"]).config(), SPACE)
    assert (values is not None) is inside and (values is None or values["density"] == float(density))


# --- databases ----------------------------------------------------------------------------------------------


def test_a_database_is_the_named_one_then_the_environment_s_then_the_study_s_file(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert storage_url("a") == f"sqlite:///{repository}/studies/a.db"
    monkeypatch.setenv("OPTUNA_STORAGE", "sqlite:///env.db")
    assert storage_url("a") == "sqlite:///env.db" and storage_url("a", "sqlite:///x.db") == "sqlite:///x.db"
    monkeypatch.chdir(repository)
    for same in ("sqlite:///mlflow.db", f"sqlite+pysqlite:///{repository}/mlflow.db"):  # another spelling
        with pytest.raises(ConfigError, match="this is MLflow's database"):
            storage_url("a", same)
    monkeypatch.delenv("OPTUNA_STORAGE")
    odd = repository / "a b?c#d"
    odd.mkdir()
    monkeypatch.setenv("BMT_ROOT", str(odd))
    enter(storage_url("a"))
    assert (odd / "studies" / "a.db").is_file()  # whatever its folder is called


def test_several_that_make_the_tables_at_once_try_again_and_other_errors_are_told_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    waited: list[float] = []

    def failing(message: str, times: int) -> Callable[..., str]:
        def make(*given: Any, **named: Any) -> str:
            tries.append(message)
            if len(tries) <= times:
                raise sqlalchemy.exc.DatabaseError("SQL", None, Exception(message))
            assert (named["heartbeat_interval"], named["grace_period"]) == (7, 21)
            assert named["heartbeat_stale_trial_callback"] is storage.requeue
            return "storage"

        return make

    monkeypatch.setattr("time.sleep", waited.append)
    for message in ("table studies already exists", "Duplicate key", "UNIQUE constraint failed"):
        monkeypatch.setattr(storage, "RDBStorage", failing(message, 4))
        assert open_storage(url, 7) == "storage" and len(tries) == 5
        tries.clear()
    assert waited[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    for message, times in (("table studies already exists", 5), ("disk I/O error", 1)):
        monkeypatch.setattr(storage, "RDBStorage", failing(message, times))
        with pytest.raises(BMTError, match=f"{message}; run the same command again when it answers"):
            open_storage(url, 7)
        assert len(tries) == times
        tries.clear()


def test_a_database_s_error_is_one_short_line_behind_whatever_hides_it_and_others_pass() -> None:
    before = threading.excepthook
    cause = sqlalchemy.exc.OperationalError("SELECT secret", None, Exception("gone\n  away " + "x" * 400))
    with pytest.raises(BMTError) as told, reachable("postgresql://me:pass@host/d"):
        assert threading.excepthook is not before
        try:
            raise cause
        except sqlalchemy.exc.OperationalError:
            raise UnboundLocalError("study") from None
    line = str(told.value)
    assert line.startswith("the study's database postgresql://host/d: gone away xxx") and "SELECT" not in line
    assert len(line) < 400 and "pass" not in line and threading.excepthook is before
    for error in (KeyError("x"), ModelError("mine"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as kept, reachable("sqlite:///x.db"):
            raise error
        assert kept.value is error and threading.excepthook is before


def test_a_sign_of_life_that_fails_is_a_line_and_another_thread_s_error_a_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(error: BaseException) -> str:
        def work() -> None:
            raise error

        with reachable("sqlite:///x.db"):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        return capsys.readouterr().err

    gone = sqlalchemy.exc.OperationalError("S", None, Exception("server closed"))
    assert fail(gone) == "study: no sign of life could be written: server closed\n"
    assert "Traceback" in fail(KeyError("x"))


# --- tracking and training ----------------------------------------------------------------------------------


def test_the_study_s_course_is_each_finished_trial_and_the_best_so_far(url: str) -> None:
    made = enter(url)
    for value, density in ((50.0, 0.5), (None, None), (40.0, None), (60.0, 0.25)):
        one = made.ask()
        if density is not None:
            one.set_user_attr("density", density)
        if value is None:
            made.tell(one, state=TrialState.FAIL)
        else:
            made.tell(one, value)
    logged: list[Any] = []
    tags: dict[str, Any] = {}
    run = SimpleNamespace(log=lambda values, step: logged.append((step, values)), tag=tags.__setitem__)
    mlflow_runs.log_course(run, made)
    assert logged == [
        (0, {"study/f1": 50.0, "study/best_f1": 50.0, "study/union_density": 0.5}),
        (2, {"study/f1": 40.0, "study/best_f1": 50.0, "study/union_density": None}),
        (3, {"study/f1": 60.0, "study/best_f1": 60.0, "study/union_density": 0.25}),
    ]
    assert tags == {
        "trials.finished": 3,
        "trials.pruned": 0,
        "trials.failed": 1,
        "trials.running": 0,
        "trials.queued": 0,
        "best.trial": "3",
    }


def test_a_worker_waits_a_while_for_the_study_s_run_and_goes_on_without_it(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, now = enter(url), [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    assert mlflow_runs.reference(made) is None and now[0] == 30.0
    made.set_user_attr(mlflow_runs.REFERENCE, "r1")
    assert mlflow_runs.reference(made) == "r1" and now[0] == 30.0


def test_a_dead_trial_s_run_is_ended_only_where_its_journal_is_here_and_a_tracker_is_wanted(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(mlflow_runs.tracking, "connect", lambda: "store")
    monkeypatch.setattr(mlflow_runs.delivery, "sync", lambda places, store: synced.extend(places))
    place = repository / "runs" / "studies" / "first" / "t007"
    monkeypatch.setenv("BMT_TRACKING", "mlflow")
    mlflow_runs.bury("first", 7)
    place.mkdir(parents=True)
    mlflow_runs.bury("first", 7)
    assert synced == [place]
    monkeypatch.setenv("BMT_TRACKING", "journal")
    mlflow_runs.bury("first", 7)
    assert synced == [place]
    monkeypatch.setenv("BMT_TRACKING", "mlflow")

    def down() -> None:
        raise BMTError("down")

    monkeypatch.setattr(mlflow_runs.tracking, "connect", down)
    mlflow_runs.bury("first", 7)  # the trial is queued again all the same


def test_a_page_without_the_study_s_experiment_goes_to_the_profile_s(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, started = enter(url), []
    run = SimpleNamespace(
        log=lambda *given: None, tag=lambda *given: None, artifact=lambda path: started.append(path)
    )

    def start(*given: Any, **named: Any) -> Any:
        started.append((given[:2], named["run_id"]))
        return nullcontext(run)

    monkeypatch.setattr(mlflow_runs.tracking, "start", start)
    mlflow_runs.log_files(made, [Path("a"), Path("b")])
    made.set_user_attr(mlflow_runs.EXPERIMENT, "mine")
    made.set_user_attr(mlflow_runs.REFERENCE, "r1")
    mlflow_runs.log_files(made, [])
    assert started == [
        (("first", "bmt-tiny-studies"), None),
        Path("a"),
        Path("b"),
        (("first", "mine"), "r1"),
    ]


def test_the_density_of_a_study_is_of_what_masks_open_or_a_step_does() -> None:
    assert union_density(None) == 1.0
    assert union_density(RandomMask(0.3)) == 0.3
    learned = SimpleNamespace(masks=lambda: SimpleNamespace(union_density=lambda: 0.75))
    assert union_density(learned) == 0.75


def test_evaluations_are_those_of_a_whole_training_the_last_part_included(repository: Path) -> None:
    config = read_settings().config()
    for steps, evaluations in ((29, 1), (30, 1), (31, 2), (90, 3), (91, 4)):
        run = SimpleNamespace(steps=steps, config=config, data=SimpleNamespace(rows={"B": 1, "A": 2}))
        trained = Trained(read_settings(), SPACE, run)
        assert trained.evaluations == evaluations and list(trained.datasets) == ["B", "A"]
    check_validation(config)


def test_a_budget_of_time_ends_between_trials(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    made = enter(url)
    clock = iter((0.0, 1.0, 11.0))
    monkeypatch.setattr(worker.time, "monotonic", lambda: next(clock, 11.0))
    monkeypatch.setattr(optuna.Study, "optimize", lambda *given, **named: lines.append("trial"))
    work(
        made,
        Objective(SPACE, Formula(), [100], "f1", "none", unrecorded),
        TrialBudget(5, timeout=10.0),
        lines.append,
    )
    assert lines == ["trial", "study first: the time is over"]
