"""What a study's file, page and command line say, on trials that are told by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import TrialState

from benchmark.studies import study_page
from benchmark.studies.export import best, best_path, export, read_best, score
from benchmark.studies.identity import claim, identity_of
from benchmark.studies.pruning import REDUCTION, THRESHOLD, pruner
from benchmark.studies.search_options import parse_arguments, parser
from bmt.errors import BMTError, ConfigError
from tests.support.html_tree import parse
from tests.support.study_maker import SPACE, enter, identity


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    return tmp_path


def study_of(
    root: Path, *trials: tuple[TrialState, Any, float | None], objective: str = "f1", **changes: Any
) -> optuna.Study:
    """A study with trials of these states, values and densities; their gamma is -1.11111 less a tenth per
    number.
    """
    made = enter(f"sqlite:///{root / 'study.db'}", objective=objective, **changes)
    for state, value, density in trials:
        one = made.ask()
        for part in SPACE.ranges:
            one.suggest_float(part.name, *(2 * [values_of(one.number)[part.name]]))
        if density is not None:
            one.set_user_attr("density", density)
        if state == TrialState.PRUNED and value is not None:
            one.report(value, 1)
        made.tell(one, value if state == TrialState.COMPLETE else None, state)
    return made


def values_of(number: int) -> dict[str, float]:
    return {"lam": 1.23456e-7, "gamma": -1.11111 - number / 10, "zeta": 1.5 + number / 10, "density": 0.3}


DONE, PRUNED, FAIL = TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL


def test_the_file_has_the_best_trial_rounded_and_what_the_others_came_to(root: Path) -> None:
    made = study_of(
        root,
        (DONE, 50.123456, None),
        (FAIL, None, None),
        (PRUNED, 99.0, 0.9),
        (DONE, 60.123456, 0.12345678),
        (DONE, 60.123456, 0.5),
    )
    path = export(made)
    text = path.read_text()
    assert path == best_path("first") == root / "studies" / "first.best.yaml"
    assert text.startswith("# Written by `python -m benchmark.search --study first --export`: ")
    said = yaml.safe_load(text)
    assert said["trial"] == 3 and said["score"] == {"macro_f1": 60.1235, "union_density": 0.123457}
    assert said["values"] == {
        "mask.lam": 1.235e-7,
        "mask.gamma": -1.411,
        "mask.zeta": 1.8,
        "mask.density": 0.3,
    }
    assert said["trials"] == {"finished": 3, "pruned": 1, "failed": 1}
    assert "pareto" not in said and "params_file" not in said
    assert said["study_digest"] == identity_of(made).digest and list(said)[:6] == [
        "study",
        "profile",
        "cell",
        "objective",
        "trial",
        "values",
    ]
    assert best(made, 0)["score"] == score(made.get_trials()[0]) == {"macro_f1": 50.1235}
    for number in (1, 2, 9):  # failed, pruned, absent
        with pytest.raises(ConfigError, match=rf"--trial {number}: not a finished trial: one of 0, 3, 4$"):
            best(made, number)
    assert read_best("first") == said


def test_the_file_of_a_front_has_all_of_it_best_f1_first(root: Path) -> None:
    made = study_of(
        root,
        (DONE, [50.0, 0.2], 0.2),
        (DONE, [60.0, 0.9], 0.9),
        (DONE, [40.0, 0.3], 0.3),
        objective="f1_density",
    )
    said = best(made)
    assert said["trial"] == 1 and [entry["trial"] for entry in said["pareto"]] == [1, 0]
    assert said["pareto"][1] == {
        "trial": 0,
        "macro_f1": 50.0,
        "union_density": 0.2,
        "values": best(made, 0)["values"],
    }


BEST = {
    "study": "first",
    "profile": "sample",
    "cell": "minilm.mt.bmt",
    "objective": "f1",
    "trial": 3,
    "values": {"mask.lam": 1e-7},
}


@pytest.mark.parametrize(
    ("said", "line"),
    [
        *(
            ({name: value for name, value in BEST.items() if name != key}, f"{key}: missing: ")
            for key in BEST
        ),
        ([1], "the whole file: [1] is not allowed: keys and values"),
        (BEST | {"profile": 3}, "profile: 3 is not allowed: a text"),
        (BEST | {"trial": "x"}, "trial: 'x' is not allowed: a whole number, at least 0"),
        (BEST | {"values": [1]}, "values: [1] is not allowed: names and their numbers"),
        (BEST | {"values": {"mask.lam": "x"}}, "values.mask.lam: 'x' is not allowed: a number"),
        (BEST | {"changed": [1]}, "changed: [1] is not allowed: keys and values"),
    ],
)
def test_a_file_that_is_no_study_s_best_values_is_told_key_and_value(
    root: Path, said: Any, line: str
) -> None:
    path = best_path("first")
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(BEST | {"changed": {}, "more": 1}))
    assert read_best("first") == BEST | {"changed": {}, "more": 1}
    path.write_text(yaml.safe_dump(said))
    with pytest.raises(ConfigError) as refused:
        read_best("first")
    assert str(refused.value).startswith(f"studies/first.best.yaml: {line}")
    assert str(refused.value).endswith(
        "; `python -m benchmark.search --study first --export` writes it from the study's database"
    )


def test_every_field_but_what_is_told_alone_decides_which_study_it_is(root: Path) -> None:
    ours = identity()
    for name, value in (
        ("profile", "x"),
        ("cell", "x"),
        ("space", {}),
        ("objective", "x"),
        ("pruner", "x"),
        ("seeds", [7]),
        ("settings", "x"),
        ("data", "x"),
        ("weights", "x"),
    ):
        assert identity(**{name: value}).digest != ours.digest, name
    assert identity(changed={"a": 1}, params_sha256="x").digest == ours.digest
    made = optuna.create_study(study_name="new", storage=f"sqlite:///{root / 'new.db'}")
    assert claim(made, ours) is True
    assert claim(made, identity(params_sha256="x", changed={"a": 1})) is False  # it has one already
    assert identity_of(made) == ours


# --- the page -----------------------------------------------------------------------------------------------


def page_of(study: optuna.Study) -> Any:
    return parse(study_page.study_page(study))


def test_the_page_s_history_has_every_trial_and_marks_the_first_best_and_the_pruned(root: Path) -> None:
    made = study_of(
        root,
        (DONE, 50.0, None),
        (PRUNED, 20.5, None),
        (PRUNED, None, None),
        (FAIL, None, None),
        (DONE, 60.0, None),
        (DONE, 60.0, None),
        (DONE, 55.0, None),
    )
    page = page_of(made)
    drawn = page.one("section", id_="history")
    rows = drawn.one("table").rows()[1:]
    assert [row[:3] for row in rows] == [
        ["0", "complete", "50.00"],
        ["1", "pruned", "20.50"],
        ["2", "pruned", rows[2][2]],
        ["4", "complete", "60.00"],
        ["5", "complete", "60.00"],
        ["6", "complete", "55.00"],
    ]
    assert not any(digit in rows[2][2] for digit in "0123456789")
    assert rows[3][3] == "lam 1.235e-07, gamma -1.511, zeta 1.9, density 0.3"
    names = [node.text for node in drawn.all("title")]
    assert "trial 4: 60.00, the best" in names and "trial 5: 60.00, finished trial" in names
    assert "trial 1: 20.50, pruned trial, where it stood" in names
    assert not any(name.startswith(("trial 2:", "trial 3:")) for name in names)
    field = page.one("section", id_="stretches").one("table").rows()[1:]
    assert [row[0] for row in field] == [f"trial {number}" for number in (0, 4, 5, 6)]
    assert [node.text for node in page.one("section", id_="pareto").all("table")] == []


def test_an_importance_needs_four_finished_trials_that_differ(root: Path) -> None:
    alike = study_of(root, *[(DONE, 50.0, None)] * 3)
    assert study_page.importances(alike, alike.get_trials()) is None
    one = study_of(root, (DONE, 50.0, None))
    assert len(one.get_trials()) == 4 and study_page.importances(one, one.get_trials()) is None
    more = study_of(root, (DONE, 60.0, None))
    shares = study_page.importances(more, more.get_trials())
    assert shares is not None and list(shares.values()) == sorted(shares.values(), reverse=True)


def test_a_page_says_what_its_study_cannot_show(root: Path) -> None:
    space = {name: ends for name, ends in SPACE.plain().items() if name != "gamma"}
    page = page_of(study_of(root, (DONE, 50.0, None), space=space))
    assert "This study does not search both gamma and zeta." in page.one("section", id_="stretches").text
    assert "No trial says its density." in page.one("section", id_="pareto").text
    said = "1 finished trial: at least 4, not all of one score, are needed"
    assert said in page.one("section", id_="importance").text


def test_a_trial_is_beaten_by_one_that_is_no_worse_in_both_and_better_in_one(root: Path) -> None:
    made = study_of(
        root,
        (DONE, 50.0, 0.5),
        (DONE, 50.0, 0.5),  # the same: neither beats the other
        (DONE, 50.0, 0.6),
        (DONE, 49.0, 0.5),
        (DONE, 40.0, 0.1),
        (DONE, 70.0, 0.9),
    )
    assert [trial.number for trial in study_page.not_beaten(made.get_trials())] == [0, 1, 4, 5]
    rows = page_of(made).one("section", id_="pareto").one("table").rows()[1:]
    assert [row[3] for row in rows] == ["yes", "yes", "no", "no", "yes", "yes"]
    assert rows[4][:3] == ["4", "0.1000", "40.00"]


def test_nothing_is_drawn_of_a_study_without_a_finished_trial(root: Path) -> None:
    with pytest.raises(BMTError, match=r"no finished trial \(1 pruned\)"):
        study_page.study_page(study_of(root, (PRUNED, 5.0, None)))


# --- the command line ---------------------------------------------------------------------------------------


def test_the_defaults_of_a_search_are_those_that_its_help_states() -> None:
    options = vars(parse_arguments(["--study", "a-B_1", "--status"]))
    assert options == {
        "study": "a-B_1",
        "storage": None,
        "trials": None,
        "finished": 0,
        "timeout": None,
        "workers": 1,
        "heartbeat": None,
        "params": None,
        "profile": None,
        "changes": [],
        "arm": "bmt",
        "backbone": None,
        "regime": "mt",
        "search": None,
        "ranges": [],
        "objective": "f1",
        "seeds": [100],
        "sampler": "tpe",
        "sampler_seed": 0,
        "startup": 5,
        "pruner": None,
        "status": True,
        "export": False,
        "trial": None,
        "figures": False,
        "apply": False,
        "yes": False,
    }
    assert parser().parse_args(["--study", "x"]).changes is not options["changes"]
    several = parse_arguments(
        ["--study", "x", "--trials", "1", "--seeds", "3,1", "--set", "a=1", "--set", "b=2"]
    )
    assert (several.seeds, several.changes) == ([3, 1], ["a=1", "b=2"])


@pytest.mark.parametrize(
    "words",
    [
        ["--seeds", ""],
        ["--seeds", "1,"],
        ["--seeds", "-1"],
        ["--seeds", "1, 2"],
        ["--trials", "1.5"],
        ["--workers", "0"],
        ["--startup", "-1"],
        ["--heartbeat", "0"],
        ["--finished", "0"],
        ["--stat"],
        ["--tri", "3"],
        ["--objective", "em"],
        ["--pruner", "median"],
    ],
)
def test_a_malformed_option_or_half_a_name_is_a_usage_error(words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse_arguments(["--study", "x", "--status", *words])
    assert left.value.code == 2


@pytest.mark.parametrize("name", ["a/b", "", "a.b", "..", "a b", "ä/"])
def test_a_study_s_name_can_name_files(name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits, - and _ only: it names files"):
        parse_arguments(["--study", name, "--status"])


def test_pruners_have_the_numbers_that_are_stated() -> None:
    hyperband = pruner("hyperband", 2, 9)
    assert (hyperband._min_resource, hyperband._max_resource, hyperband._reduction_factor) == (1, 18, 3)
    assert (pruner("wilcoxon", 2, 9)._p_threshold, THRESHOLD, REDUCTION) == (0.1, 0.1, 3)
