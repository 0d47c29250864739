"""Studies on a closed form: spaces, samplers, pruners, what is exported, applied and drawn, and what bad
input gives.
"""

from __future__ import annotations

import math
import shutil
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from benchmark import search as command
from benchmark.config.params import load
from benchmark.studies import apply, status, study_page
from benchmark.studies.identity import identity_of
from benchmark.studies.objective import Objective
from benchmark.studies.pruning import check_pruner
from benchmark.studies.settings import read_settings
from benchmark.studies.space import Range, Space, present, space_of
from benchmark.studies.storage import find_study, open_storage, storage_url
from benchmark.studies.study_page import interpolated
from benchmark.studies.worker import TrialBudget, work
from bmt.errors import BMTError, ConfigError, ModelError
from tests.support.html_tree import parse
from tests.support.repository import ROOT
from tests.support.study_maker import DATASETS, EVALUATIONS, SPACE, Formula, enter, macro, search, unrecorded

SAMPLE = ROOT / "profiles" / "sample.yaml"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with the sample profile and no tracking server."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copyfile(SAMPLE, tmp_path / "params.yaml")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)
    return tmp_path


def run(*arguments: str) -> int:
    return command.main(["--study", "first", *arguments])


# --- what is searched ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arm", "density", "names"),
    [
        ("bmt", False, ["lam", "gamma", "zeta"]),
        ("bmt", True, ["lam", "gamma", "zeta", "density"]),
        ("fixed_random", False, ["lam", "gamma", "zeta"]),
        ("mask", False, ["p_f"]),
        ("child_f", True, ["p_f"]),
        ("fisher", False, ["steps", "density"]),
        ("magnitude", False, ["density"]),
    ],
)
def test_an_arm_is_searched_over_what_matters_for_it(arm: str, density: bool, names: list[str]) -> None:
    assert [own.name for own in space_of(load(SAMPLE), arm, density=density).ranges] == names


def test_ranges_and_names_make_the_space() -> None:
    config = load(SAMPLE)
    space = space_of(config, "bmt", ["zeta", "steps"], ["lam=1e-8:1e-6", "zeta=1.2:1.4"])
    assert space.ranges == (
        Range("zeta", "mask.zeta", 1.2, 1.4),
        Range("steps", "mask.steps", 2, 8, log=True, whole=True),  # half to twice the file's 4
        Range("lam", "mask.lam", 1e-8, 1e-6, log=True),
    )
    assert Space.read(space.plain()) == space
    assert space_of(config, "mask_p30").ranges[0].key == "arms.mask_p30.p_f"
    assert space.text == "zeta 1.2 to 1.4, steps 2 to 8 (log, whole), lam 1e-08 to 1e-06 (log)"
    assert present(config, SPACE) == {"lam": 1.25e-7, "gamma": -1.5, "zeta": 1.5, "density": 0.3}
    assert present(config, space) is None  # zeta 1.5 lies outside


def test_values_have_four_digits_and_stay_within_the_ends() -> None:
    own = Range("zeta", "mask.zeta", 1.00001, 2.0)
    assert own.rounded(1.234567) == 1.235 and own.rounded(1.00001) == 1.00001  # 1.000 would not be allowed
    assert Range("lam", "mask.lam", 1e-9, 1e-5, log=True).rounded(1.23456e-7) == 1.235e-7


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        (
            "gamma=-1:0.5",
            r"--range gamma=-1:0.5: mask.gamma 0.5 is not allowed: below 0; gamma < 0 < 1 < zeta",
        ),
        ("gamma=-1:0", r"mask.gamma 0 is not allowed: below 0"),
        ("zeta=0.5:2", r"--range zeta=0.5:2: mask.zeta 0.5 is not allowed: above 1; gamma < 0 < 1 < zeta"),
        ("zeta=3:2", r"--range zeta=3:2: the range is empty: LOW must be below HIGH"),
        ("gamma=-1:-1", r"the range is empty.*to hold a value fixed, --set mask.gamma=-1"),
        ("lam=0:1e-6", r"mask.lam 0 is not allowed: above 0, for the search is on a log scale"),
        ("lam=1e-8:inf", r"inf is not allowed: a number"),
        ("steps=1.5:4", r"1.5 is not allowed: a whole number"),
        ("steps=1:inf", r"inf is not allowed: a whole number"),
        ("density=0.1:1.5", r"mask.density 1.5 is not allowed: above 0 and at most 1"),
        ("gamma=-1", r"--range gamma=-1: not of the form NAME=LOW:HIGH"),
        (
            "p_f=0.1:0.5",
            r"search parameter p_f: changes nothing for arm bmt \(mask learned\): one of lam, gamma",
        ),
        ("gama=-2:-1", r"search parameter: 'gama' is not known \(did you mean gamma\?\)"),
    ],
)
def test_a_range_that_cannot_be_searched_is_refused(ranges: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        space_of(load(SAMPLE), "bmt", ranges=[ranges])


def test_an_arm_without_parameters_is_refused() -> None:
    for arm in ("none", "mixout"):
        with pytest.raises(ConfigError, match=f"arm {arm}: mask none has no parameter to search"):
            space_of(load(SAMPLE), arm)


def test_settings_are_changed_by_key_and_checked_by_the_files_own_rules(repository: Path) -> None:
    settings = read_settings(None, None, ["training.epochs_mt=0.5", "data.train_cap=20", "mask.density=null"])
    config = settings.config({"mask.lam": 2e-7, "arms.mask.p_f": 0.25})
    assert (config.training.epochs_mt, config.data.train_cap, config.mask.density, config.mask.lam) == (
        0.5,
        20,
        None,
        2e-7,
    )
    assert (
        config.arms["mask"].p_f == 0.25 and config.arms["mask_p30"].p_f == 0.3 and load().mask.density == 0.3
    )
    with pytest.raises(
        ConfigError, match=r"params.yaml with mask.beta=0: mask.beta: 0.0 is not allowed: above 0"
    ):
        read_settings(None, None, ["mask.beta=0"]).config()
    for change, said in (
        ("data.window=64", "a study cannot change data.window"),
        ("profile=mini", "a study cannot change profile"),
        ("mask.gama=1", r"the params file has no such key \(did you mean gamma\?\)"),
        ("mask.gamma", "not of the form KEY=VALUE"),
    ):
        with pytest.raises(ConfigError, match=said):
            read_settings(None, None, [change])


# --- samplers and pruners -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_every_sampler_is_keyed_by_the_trial_and_finds_better_values_than_its_first(
    url: str, tmp_path: Path, sampler: str
) -> None:
    whole = enter(url, sampling=(sampler, 3, 3))
    search(whole, 5)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    for trials in (4, 5):  # in two calls, as after a stop
        in_parts = enter(other, sampling=(sampler, 3, 3))
        search(in_parts, trials)
    assert [trial.params for trial in in_parts.trials] == [trial.params for trial in whole.trials]
    assert len({trial.params["gamma"] for trial in whole.trials}) == 5
    for trial in whole.trials:
        assert trial.value == pytest.approx(macro(used(trial)))
    if sampler != "nsga2":  # its first generation is drawn at random
        assert max(trial.value for trial in whole.trials[3:]) > max(trial.value for trial in whole.trials[:3])


def used(trial: Any) -> dict[str, float]:
    """The values that a trial was run with."""
    return {own.name: own.rounded(trial.params[own.name]) for own in SPACE.ranges}


def test_hyperband_gives_up_trials_early_and_never_at_the_last_evaluation(url: str) -> None:
    study = enter(url, pruner="hyperband", sampling=("tpe", 0, 12))
    lines = search(study, 12)
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert pruned and all(trial.last_step in (1, 3) for trial in pruned)  # rungs 1, 3 (and 9, the end)
    assert any(line.startswith(f"trial {pruned[0].number}: pruned at macro F1 ") for line in lines)
    for trial in study.trials:
        score = macro(used(trial))
        course = {step: score * step / EVALUATIONS for step in range(1, (trial.last_step or 0) + 1)}
        assert trial.intermediate_values == pytest.approx(
            {step: max(list(course.values())[:step]) for step in course}
        )
    assert study.best_trial.value == max(
        trial.value for trial in study.trials if trial.state == TrialState.COMPLETE
    )


def test_a_number_of_finished_trials_can_be_asked_for(url: str) -> None:
    study = enter(url, pruner="hyperband", sampling=("tpe", 0, 12))
    search(study, 3, finished=4)
    counted = status.counts(study)
    assert counted["finished"] == 4 and counted["pruned"] >= 1
    assert (
        TrialBudget(3, 2).reached(2, 1)
        and not TrialBudget(3, 2).reached(1, 5)
        and not TrialBudget(3, 2).reached(2, 0)
    )


def test_hyperband_goes_on_over_the_seeds_as_one_course(url: str) -> None:
    study = enter(url, pruner="hyperband", seeds=[100, 105])
    search(study, 1)
    trial = study.trials[0]
    first, second = macro(used(trial), 100), macro(used(trial), 105)
    assert list(trial.intermediate_values) == list(range(1, 2 * EVALUATIONS + 1))
    assert trial.intermediate_values[EVALUATIONS] == pytest.approx(first)
    assert (
        trial.intermediate_values[2 * EVALUATIONS]
        == pytest.approx((first + second) / 2)
        == pytest.approx(trial.value)
    )


def test_wilcoxon_gives_up_between_seeds_and_pairs_datasets_and_seeds(url: str) -> None:
    study = enter(url, pruner="wilcoxon", seeds=[100, 105], sampling=("tpe", 0, 9))
    search(study, 9)
    n = len(DATASETS)
    states = {trial.state for trial in study.trials}
    assert states == {TrialState.COMPLETE, TrialState.PRUNED}
    best = -math.inf
    for trial in study.trials:
        scores = {seed: macro(used(trial), seed) for seed in (100, 105)}
        if trial.state == TrialState.COMPLETE:
            expected = {
                place * n + i: scores[seed] + i - 2.5
                for place, seed in enumerate((100, 105))
                for i in range(n)
            }
            assert trial.intermediate_values == pytest.approx(expected)
            best = max(best, trial.value)
            continue
        seed = (100, 105)[trial.number % 2]  # trials begin with another seed in turn
        assert scores[seed] < best  # six pairs, all below: p = 1/64
        own = {(seed == 105) * n + i: scores[seed] + i - 2.5 for i in range(n)}
        assert trial.intermediate_values == pytest.approx(own | {2 * n: scores[seed]})
        assert trial.value == pytest.approx(scores[seed])  # what the samplers rank a pruned trial by
    assert study.best_value == best


def test_a_search_for_f1_and_density_keeps_the_front(url: str) -> None:
    study = enter(url, objective="f1_density")
    search(study, 8)
    front = status.front(study)
    for trial in study.trials:
        assert trial.values == pytest.approx([macro(used(trial)), used(trial)["density"]])
        beaten = any(
            o.values[0] >= trial.values[0] and o.values[1] <= trial.values[1] and o.values != trial.values
            for o in study.trials
        )
        assert beaten != (trial.number in {one.number for one in front})
    assert [trial.values[0] for trial in front] == sorted((trial.values[0] for trial in front), reverse=True)
    assert {trial.number for trial in study_page.not_beaten(study.trials)} == {
        trial.number for trial in front
    }


def test_a_pruner_with_nothing_to_decide_on_is_refused() -> None:
    for arguments, said in (
        (("wilcoxon", "f1", 1, 4), "--pruner wilcoxon: one seed is not enough"),
        (("hyperband", "f1", 1, 1), "--pruner hyperband: a training has one evaluation only"),
        (("hyperband", "f1_density", 1, 4), "--pruner hyperband: not with --objective f1_density"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_pruner(*arguments)
    for enough in (
        ("none", "f1_density", 1, 1),
        ("wilcoxon", "f1", 2, 1),
        ("hyperband", "f1", 1, 2),
        ("hyperband", "f1", 2, 1),  # it goes on over the seeds
    ):
        check_pruner(*enough)


# --- failures and identity ----------------------------------------------------------------------------------


def test_a_failed_trial_is_followed_by_others_and_three_in_a_row_end_the_worker(
    url: str, tmp_path: Path
) -> None:
    study = enter(url)
    lines = search(study, 4, Formula(fails=lambda values: values["gamma"] < -2.5))
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert (
        status.counts(study)["finished"] == 4
        and failed
        and all(trial.params["gamma"] < -2.5 for trial in failed)
    )
    assert f"trial {failed[0].number}: failed: the training loss is nan near step 7; lam" in "\n".join(lines)
    other = enter(f"sqlite:///{tmp_path / 'other.db'}")
    with pytest.raises(
        ModelError, match="3 trials failed one after the other, the last: the training loss is nan"
    ):
        search(other, 4, Formula(fails=lambda values: True))
    assert status.counts_text(other) == "3 failed"


def test_an_interrupted_trial_is_left_for_the_next_worker(url: str) -> None:
    def interrupt(values: Any) -> bool:
        raise KeyboardInterrupt

    study = enter(url)
    with pytest.raises(SystemExit, match="130"):
        search(study, 1, Formula(fails=interrupt))
    assert study.trials[0].state == TrialState.RUNNING


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"space": Space(SPACE.ranges[:2]).plain()},
            "it has space lam 1e-09 to 1e-05, gamma -3 to -0.1, zeta 1.1 to 4.* here lam 1e-09",
        ),
        (
            {"cell": "bert.mt.fixed_random"},
            "it has cell bert.mt.bmt, here bert.mt.fixed_random. Take another --study name",
        ),
        ({"profile": "mini"}, "it has profile tiny, here mini"),
        ({"seeds": [101]}, "it has seeds 100, here 101"),
        ({"objective": "f1_density"}, "it has objective f1, here f1_density"),
        ({"settings": "e" * 64}, "it has settings aaaaaaaaaaaa, here eeeeeeeeeeee"),
        ({"data": "d" * 64}, "it has data .*, here dddddddddddd. Take"),
        ({"weights": "other"}, "it has weights .*, here other. Take"),
    ],
)
def test_a_name_of_another_study_is_refused(url: str, change: dict[str, Any], said: str) -> None:
    search(enter(url), 1)
    with pytest.raises(ConfigError, match=f"study 'first' is another one: {said}"):
        enter(url, **change)
    assert (
        len(enter(url, params_sha256="9" * 64, sampling=("gp", 1, 2)).trials) == 1
    )  # neither a comment nor the sampler makes another


def test_a_study_of_another_program_is_refused(url: str) -> None:
    optuna.create_study(study_name="first", storage=url).optimize(
        lambda trial: trial.suggest_float("x", 0, 1), n_trials=1
    )
    with pytest.raises(ConfigError, match="study 'first': not made by this command"):
        enter(url)


# --- databases ----------------------------------------------------------------------------------------------


def test_a_database_that_cannot_be_used_is_one_line(repository: Path) -> None:
    for bad, kind, said in (
        ("postgresql+psycopg2://user:secret@127.0.0.1:1/none", BMTError, "psycopg2|127.0.0.1"),
        ("nonsense", ConfigError, "--storage nonsense: no URL of a database"),
        ("oracle+nodriver://host/x", ConfigError, "."),
        (f"sqlite:///{repository / 'params.yaml'}", BMTError, "file is not a database"),
        (f"sqlite:///{repository}", BMTError, "unable to open database file"),
    ):
        with pytest.raises(kind, match=said) as caught:
            open_storage(bad)
        assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_mlflows_database_is_refused(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="this is MLflow's database: a study needs one of its own"):
        storage_url("first", f"sqlite:///{repository / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql://u@host/one")
    with pytest.raises(ConfigError, match="MLflow's database"):
        storage_url("first", "postgresql://u@host/one")
    assert storage_url("first") == f"sqlite:///{repository}/studies/first.db"
    monkeypatch.setenv("OPTUNA_STORAGE", "postgresql://u@host/two")
    assert storage_url("first") == "postgresql://u@host/two"


def test_a_study_that_does_not_exist_is_named_with_those_that_do(repository: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"study 'first': not in sqlite:///.*: there is none at all; `--trials N` starts one",
    ):
        run("--status")
    assert not (repository / "studies").exists()
    url = storage_url("first")
    enter(url, "second")
    with pytest.raises(ConfigError, match="there are second"):
        find_study("first", url)


# --- the command's other halves -----------------------------------------------------------------------------


@pytest.fixture
def study(repository: Path) -> optuna.Study:
    """A study of the sample profile whose first trial has the params file's own values."""
    made = enter(
        storage_url("first"), profile="sample", cell="minilm.mt.bmt", changed={"training.epochs_mt": 0.5}
    )
    made.enqueue_trial(
        {"lam": 1.25e-7, "gamma": -1.5, "zeta": 1.5, "density": 0.3}, user_attrs={"from": "params"}
    )
    search(made, 6)
    return made


def test_status_is_a_table_of_the_trials(study: optuna.Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--status") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "study first: minilm.mt.bmt, profile sample, objective f1, pruner none, seeds 100"
    assert lines[2].split() == [
        "trial",
        "state",
        "macro",
        "F1",
        "union",
        "density",
        "lam",
        "gamma",
        "zeta",
        "density",
        "time",
    ]
    first = lines[3].split()
    assert (
        first[:2] == ["0", "finished"]
        and first[2] == f"{macro({'lam': 1.25e-7, 'gamma': -1.5, 'zeta': 1.5, 'density': 0.3}):.2f}"
    )
    assert first[3:8] == ["0.300", "1.25e-07", "-1.5", "1.5", "0.3"] and lines[3].endswith(
        "the params file's own values"
    )
    assert lines[-2:] == ["6 finished", f"best: trial {study.best_trial.number}"]


def test_the_best_values_are_exported_and_applied_after_the_difference_is_shown(
    study: optuna.Study, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--export") == 0
    said = yaml.safe_load((repository / "studies" / "first.best.yaml").read_text())
    best = study.best_trial
    values = {f"mask.{name}": value for name, value in used(best).items()}
    assert (said["study"], said["profile"], said["cell"], said["trial"]) == (
        "first",
        "sample",
        "minilm.mt.bmt",
        best.number,
    )
    assert said["values"] == values and said["score"]["macro_f1"] == pytest.approx(best.value, abs=1e-4)
    assert (
        said["trials"] == {"finished": 6}
        and said["seeds"] == [100]
        and said["changed"] == {"training.epochs_mt": 0.5}
    )
    assert said["study_digest"] == identity_of(study).digest and said["params_sha256"] == "d" * 64
    assert said["params_file"]["trial"] == 0 and said["space"]["lam"] == {
        "low": 1e-9,
        "high": 1e-5,
        "log": True,
    }
    capsys.readouterr()
    before = (repository / "params.yaml").read_text()
    assert run("--apply") == 0
    out = capsys.readouterr().out
    changed = [line for line in out.splitlines() if line[:1] in "+-" and not line.startswith(("+++", "---"))]
    assert (repository / "params.yaml").read_text() == before and out.endswith(
        "nothing written: the same command with --yes writes it\n"
    )
    assert (
        len(changed) == 8 and "-  gamma: -1.5" in changed and f"+  gamma: {values['mask.gamma']}" in changed
    )
    assert "training.epochs_mt=0.5; that is not applied" in out
    assert run("--apply", "--yes") == 0
    after = (repository / "params.yaml").read_text()
    mask = load().mask
    assert {f"mask.{name}": getattr(mask, name) for name in used(best)} == values
    strip = [
        line
        for line in before.splitlines()
        if not line.strip().startswith(("lam:", "gamma:", "zeta:", "density:"))
    ]
    assert strip == [
        line
        for line in after.splitlines()
        if not line.strip().startswith(("lam:", "gamma:", "zeta:", "density:"))
    ]
    assert (
        "density: " in after and "# so few steps order the gates" in after
    )  # the comment behind the value is kept
    capsys.readouterr()
    assert (
        run("--apply") == 0
        and capsys.readouterr().out == "params.yaml has the values of study first already\n"
    )


def test_what_the_study_alone_was_run_with_is_told_and_not_applied(
    study: optuna.Study, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--export")
    capsys.readouterr()
    assert run("--apply", "--yes") == 0
    told = capsys.readouterr().out
    assert "\nthe study itself ran with training.epochs_mt=0.5; that is not applied\n" in told
    assert load().training == load(SAMPLE).training and load().mask != load(SAMPLE).mask
    assert run("--apply", "--yes") == 0
    assert capsys.readouterr().out == "params.yaml has the values of study first already\n"


def test_a_call_s_time_is_over_before_its_next_trial_and_not_in_one(url: str) -> None:
    lines: list[str] = []
    objective = Objective(SPACE, Formula(), [100], "f1", "none", unrecorded)
    made = enter(url)
    work(made, objective, TrialBudget(3, timeout=0.0), lines.append)
    assert not made.trials and lines == ["study first: the time is over"]
    work(made, objective, TrialBudget(3, timeout=3600.0), lines.append)
    assert len(made.trials) == 3 and len(lines) == 4  # a line each, and the time was not over


def test_another_trial_can_be_exported(study: optuna.Study, repository: Path) -> None:
    assert run("--export", "--trial", "0") == 0
    assert (
        yaml.safe_load((repository / "studies" / "first.best.yaml").read_text())["values"]["mask.gamma"]
        == -1.5
    )
    with pytest.raises(ConfigError, match="--trial 9: not a finished trial: one of 0, 1, 2, 3, 4, 5"):
        run("--export", "--trial", "9")


def test_applying_is_refused_where_it_makes_no_sense(study: optuna.Study, repository: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"studies/first.best.yaml: no such file; `python -m benchmark.search --study first --export`",
    ):
        run("--apply")
    run("--export")
    with pytest.raises(
        ConfigError,
        match=r"profile mini, but the study ran on sample: `python -m benchmark.profile sample` first",
    ):
        run("--apply", "--profile", "mini", "--yes")
    with pytest.raises(ConfigError, match=r"mask.beto: the file has no such value"):
        apply.difference(repository / "params.yaml", "params.yaml", "sample", {"mask.beto": 1.0})
    with pytest.raises(ConfigError, match=r"^params.yaml: mask.gamma: 2.0 is not allowed"):
        apply.difference(repository / "params.yaml", "params.yaml", "sample", {"mask.gamma": 2.0})
    (repository / "studies" / "first.best.yaml").write_text("study: first\n")
    with pytest.raises(
        ConfigError, match=r"studies/first.best.yaml: profile: missing: a text; .* --export` writes it"
    ):
        run("--apply")


def test_a_value_in_a_line_of_braces_is_replaced_in_place() -> None:
    text = "arms:\n  mask: {mask: random, p_f: 0.5, rescale: false} # eq. 16\n"
    assert apply.replaced(text, "arms.mask.p_f", 0.25, "x") == text.replace("0.5", "0.25")
    assert (
        apply.written(1e-07) == "1.0e-07"
        and yaml.safe_load(apply.written(1.2345e-8)) == 1.2345e-8
        and apply.written(12) == "12"
    )


def test_nothing_is_exported_or_drawn_without_a_finished_trial(repository: Path) -> None:
    made = enter(storage_url("first"))
    for action in ("--export", "--figures"):
        with pytest.raises(
            BMTError, match=r"study 'first': no finished trial \(no trial\): run `--trials N` first"
        ):
            run(action)
    with pytest.raises(ModelError):
        search(made, 1, Formula(fails=lambda values: True))
    with pytest.raises(BMTError, match=r"no finished trial \(3 failed\)") as caught:
        run("--export")
    assert caught.value.status == 1 and not list((repository / "studies").glob("*.yaml"))


def test_the_figures_are_one_page_that_loads_nothing(study: optuna.Study, repository: Path) -> None:
    assert run("--figures") == 0
    text = (repository / "studies" / "first.html").read_text()
    page = parse(text)
    assert (
        "<script" not in text
        and "http://" not in text.replace("http://www.w3.org", "")
        and "https://" not in text
    )
    assert [node.text for node in page.all("h2")] == [
        "History",
        "Importance",
        "Gamma and zeta",
        "F1 against density",
    ]
    drawn = page.one("section", id_="history")
    assert len(list(drawn.all("path", "mark"))) == 6 + 2  # two in the legend
    places = [place.split() for place in drawn.one("path", "line")["d"][1:].split("L")]
    assert all(x == u or y == v for (x, y), (u, v) in pairwise(places))  # the best so far: steps
    history = drawn.one("table").rows()
    assert [row[:3] for row in history[1:]] == [
        [str(t.number), "complete", f"{t.value:.2f}".replace("-", "−")] for t in study.trials
    ]
    shares = {row[0]: float(row[1]) for row in page.one("section", id_="importance").one("table").rows()[1:]}
    assert set(shares) == set(used(study.best_trial)) and sum(shares.values()) == pytest.approx(1, abs=0.01)
    stretches = page.one("section", id_="stretches")
    assert (
        len(list(stretches.all("path", "mark"))) == 6 + 2
        and [  # two in the legend
            row[0] for row in stretches.one("table").rows()[1:]
        ]
        == [f"trial {number}" for number in range(6)]
    )
    pareto = page.one("section", id_="pareto").one("table").rows()[1:]
    assert {int(row[0]) for row in pareto if row[3] == "yes"} == {
        trial.number for trial in study_page.not_beaten(study.trials)
    }


def test_a_field_is_linear_between_its_points_and_unknown_outside() -> None:
    from benchmark.reporting.plots import HEIGHT, Axes
    from benchmark.reporting.scales import Scale

    axes = Axes(Scale(0, 1), Scale(0, 1, HEIGHT, 0), "x", "y")
    corners = [(x, y, 10 * x + y) for x in (0.0, 1.0) for y in (0.0, 1.0)]
    field = interpolated(corners, axes)
    rows, columns = field.shape
    for row, column in ((0, 0), (rows - 1, columns - 1), (3, 7)):
        x, y = (column + 0.5) / columns, 1 - (row + 0.5) / rows
        assert field[row, column] == pytest.approx(10 * x + y)
    half = interpolated(corners[:3], axes)
    assert math.isnan(half[0, columns - 1]) and not math.isnan(half[rows - 1, 0])
    assert all(math.isnan(value) for value in interpolated(corners[:2], axes).flat)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to do: --trials N runs trials"),
        (("--status", "--yes"), "--yes: belongs to --apply"),
        (("--status", "--trial", "3"), "--trial: belongs to --export"),
        (("--trials", "2", "--arm", "none"), "arm none: mask none has no parameter to search"),
        (("--trials", "2", "--arm", "nowhere"), "arm: 'nowhere' is not known"),
        (("--trials", "2", "--range", "gamma=-1:0.5"), "gamma < 0 < 1 < zeta"),
        (("--trials", "2", "--set", "data.val_source=dev"), "a study cannot change data.val_source"),
        (("--trials", "2", "--profile", "nowhere"), "--profile nowhere: not allowed: one of"),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    repository: Path, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        run(*arguments)
    assert not (repository / "studies").exists()


def test_dev_sets_are_never_validation(repository: Path) -> None:
    text = SAMPLE.read_text().replace("val_source: train", "val_source: dev")
    (repository / "params.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"data.val_source: dev is not allowed for a study: train"):
        run("--trials", "2")


def test_arguments_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--trials", "0"], "'0' is not allowed: a whole number, at least 1"),
        (["--trials", "2", "--seeds", "1,1"], "'1,1' is not allowed: different whole numbers"),
        (["--trials", "2", "--sampler", "grid"], "invalid choice: 'grid'"),
    ):
        with pytest.raises(SystemExit, match="2"):
            run(*arguments)
        assert said in capsys.readouterr().err
    with pytest.raises(ConfigError, match="--study 'a/b': letters, digits, - and _ only"):
        command.main(["--study", "a/b", "--status"])


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_commands_choices_are_the_rooms_own() -> None:
    from optuna import pruners, samplers

    from benchmark.studies import pruning, search_options
    from benchmark.studies import samplers as rooms

    made = [type(rooms.sampler(kind, 0, 5)._make(1)) for kind in search_options.SAMPLERS]
    assert made == [samplers.TPESampler, samplers.GPSampler, samplers.NSGAIISampler]
    given = [type(pruning.pruner(kind, 2, 4)) for kind in search_options.PRUNERS]
    assert given == [pruners.HyperbandPruner, pruners.WilcoxonPruner, pruners.NopPruner]
    assert "example:" in search_options.parser().format_help()


def test_a_study_and_mlflow_share_no_table_file(repository: Path) -> None:
    search(enter(storage_url("first")), 1)
    with sqlite3.connect(repository / "studies" / "first.db") as database:
        tables = {row[0] for row in database.execute("select name from sqlite_master where type = 'table'")}
    assert "trials" in tables and "experiments" not in tables and "runs" not in tables
