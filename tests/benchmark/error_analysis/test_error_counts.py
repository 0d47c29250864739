"""Which runs and datasets `benchmark.errors` looks at, how it counts them, and how it shows an example: on
values of a few lines.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.error_analysis import outcomes
from benchmark.error_analysis.analysis import DatasetCounts, ErrorAnalysis, ListedExample
from benchmark.error_analysis.arms import ArmChoice, ArmRuns, choose_arms, seeds_text, short_name
from benchmark.error_analysis.error_document import answer_line, error_document, gold_in_context, shortened
from benchmark.error_analysis.outcomes import (
    ALL_RIGHT,
    ALL_WRONG,
    DIFFER,
    MIXED,
    RIGHT,
    UNSETTLED,
    WRONG,
    RunAnswer,
    ScoredExamples,
    WrongCriterion,
    read_answers,
    read_texts,
    score_examples,
)
from benchmark.error_analysis.raw_examples import dev_file, read_examples
from benchmark.error_analysis.rules import NO_RULE, SEVERAL, UNDECIDED
from benchmark.rendering import render
from benchmark.rendering.document import plain_text
from benchmark.runs.predictions import Examples, Predictions
from benchmark.runs.results import DatasetScore, Fault, Identity, Results, Run
from bmt.errors import ConfigError, DataError
from bmt.qa.mrqa import Example
from bmt.runtime.files import file_digest
from tests.support.mrqa_files import passage, write


def run(
    arm: str, seed: int, backbone: str = "mini", datasets: Sequence[str] = ("SQuAD",), **more: Any
) -> Run:
    identity = Identity(backbone, more.pop("regime", "mt"), arm, **more)
    scored = {name: DatasetScore(1.0, 2.0, 3) for name in datasets}
    return Run(f"{identity.stem}.s{seed}", "sample", identity, seed, scored)


def results_of(*runs: Run, faults: Sequence[Fault] = ()) -> Results:
    return Results(Path("results"), runs, tuple(faults))


def chosen(
    results: Results,
    names: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    backbone: str | None = None,
) -> ArmChoice:
    return choose_arms(results, names, seeds, backbone, "results/x")


def cells(choice: ArmChoice) -> list[list[str]]:
    return [[one.cell for one in arm.runs] for arm in choice.arms]


# --- arms and seeds -----------------------------------------------------------------------------------------


def test_names_of_arms_and_seeds():
    assert short_name(Identity("m", "mt", "bmt", True, 16)) == "bmt.adapter.k16"
    assert (seeds_text([3]), seeds_text([0, 2])) == ("seed 3", "seeds 0, 2")


def test_runs_stand_in_the_order_of_the_seeds_and_arms_in_that_of_the_paper():
    results = results_of(*(run(arm, seed) for arm in ("zeta", "bmt", "none") for seed in (10, 2)))
    choice = chosen(results)
    assert cells(choice) == [["mini.mt.none.s2", "mini.mt.none.s10"], ["mini.mt.bmt.s2", "mini.mt.bmt.s10"]]
    assert (choice.seeds, choice.notes, len(choice.runs)) == ((2, 10), (), 4)
    assert cells(chosen(results, ["zeta", "none"], [10])) == [["mini.mt.zeta.s10"], ["mini.mt.none.s10"]]
    assert chosen(results, None, [10, 2]).seeds == (10, 2)  # as they were asked for
    assert chosen(results, None, [10]).notes == ()  # nothing was left out that was asked for
    with pytest.raises(ConfigError, match=r"^--arms mini.mt.none: stands twice: each arm once$"):
        chosen(results, ["none", "mini.mt.none"])
    several = r"^--seeds: none has no run of seed 3: none has 2, 10; bmt has 2, 10$"
    with pytest.raises(ConfigError, match=several):
        chosen(results, None, [2, 3])


def test_without_an_arm_of_the_paper_every_multi_data_arm_is_looked_at():
    results = results_of(run("x", 0), run("y", 0, adapter=True), run("z", 0, regime="st-SQuAD"))
    assert [arm.name for arm in chosen(results).arms] == ["x", "y.adapter"]
    single = results_of(run("z", 0, regime="st-SQuAD"))
    with pytest.raises(
        ConfigError, match=r"--arms: needed, as mini has no multi-data run: of mini.st-SQuAD.z"
    ):
        chosen(single)
    assert cells(chosen(single, ["mini.st-SQuAD.z"])) == [["mini.st-SQuAD.z.s0"]]


def test_the_backbone_with_most_runs_is_meant_and_said_where_a_short_name_needs_it():
    results = results_of(run("none", 0, "alpha"), run("none", 0, "beta"), run("none", 1, "beta"))
    choice = chosen(results)
    assert [arm.identity.backbone for arm in choice.arms] == ["beta"]
    assert choice.notes == ("of the backbones beta, alpha the one with most runs: beta",)
    named = chosen(results, backbone="alpha")
    assert (cells(named), named.notes) == ([["alpha.mt.none.s0"]], ())
    whole = chosen(results, ["alpha.mt.none", "beta.mt.none"])
    assert (whole.seeds, whole.notes) == ((0,), ("beta.mt.none: seed 1 left out: not every arm has them",))
    with pytest.raises(ConfigError, match=r"--backbone: 'gamma' is not known.*: one of beta, alpha"):
        chosen(results, backbone="gamma")


def test_an_arm_that_has_only_files_that_cannot_be_used_is_named_by_them():
    lost = Fault("mini.mt.bmt.s1.json", "no JSON", Identity("mini", "mt", "bmt"), 1)
    other = Fault("notes.json", "no JSON")
    results = results_of(run("none", 0), run("none", 1), run("bmt", 0), faults=(other, lost))
    message = (
        r"^results/x/mini.mt.bmt.s1.json: no JSON; evaluate it again, or leave it out with --arms or --seeds$"
    )
    for names, seeds in ((None, None), (["bmt"], None), (["bmt"], [1])):
        with pytest.raises(DataError, match=message):
            chosen(results, names, seeds)
    assert cells(chosen(results, ["none"])) == [["mini.mt.none.s0", "mini.mt.none.s1"]]
    assert cells(chosen(results, None, [0])) == [["mini.mt.none.s0"], ["mini.mt.bmt.s0"]]
    with pytest.raises(ConfigError, match=r"^results/x: no results: `python -m benchmark.train CELL`"):
        chosen(results_of())
    with pytest.raises(DataError, match=r"mini.mt.bmt.s1.json: no JSON"):
        chosen(results_of(faults=(lost,)))
    no_cell = results_of(faults=(other,))
    for names in (None, ["bmt"]):
        with pytest.raises(ConfigError) as caught:
            chosen(no_cell, names)
        assert str(caught.value) == (
            f"results/x: no usable result: `python -m benchmark.check {no_cell.folder}` says why"
        )


# --- datasets and outcomes ----------------------------------------------------------------------------------


def choice_of(*arms: Sequence[Run], notes: tuple[str, ...] = ()) -> ArmChoice:
    made = tuple(ArmRuns(short_name(runs[0].identity), runs[0].identity, tuple(runs)) for runs in arms)
    return ArmChoice(made, tuple(one.seed for one in arms[0]), notes)


def scored(
    monkeypatch: pytest.MonkeyPatch, choice: ArmChoice, wanted: Any = None, **more: Any
) -> ScoredExamples:
    """Every run scored EM 0, 100 and 0 on q1 to q3 of every dataset, but for `scores`, by cell."""
    scores = more.pop("scores", {})
    usual = {"EM": np.array([0.0, 100.0, 0.0]), "F1": np.array([0.0, 100.0, 50.0])}

    def read(results: Results, runs: list[Run], names: tuple[str, ...]) -> Predictions:
        examples = {
            name: Examples("m", pa.array(["q1", "q2", "q3"]), np.arange(3, dtype=np.int32)) for name in names
        }
        by_cell = {one.cell: {name: usual | scores.get(one.cell, {}) for name in names} for one in runs}
        made = Predictions(by_cell, examples)
        for key, value in more.items():
            setattr(made, key, value)
        return made

    monkeypatch.setattr(outcomes.predictions, "read", read)
    return score_examples(results_of(), choice, more.pop("wrong", WrongCriterion("em")), wanted, "results/x")


def test_datasets_stand_in_the_papers_order_and_those_that_not_all_have_are_left_out(monkeypatch):
    names = ("Other", "DROP", "NewsQA", "SQuAD", "Another")
    choice = choice_of([run("none", 0, datasets=names)], [run("bmt", 0, datasets=names[:4])])
    whole = scored(monkeypatch, choice)
    assert list(whole.outcomes) == ["SQuAD", "NewsQA", "DROP", "Other"]
    assert whole.notes == ("Another left out: not every run was scored on it",)
    some = scored(monkeypatch, choice, ["DROP", "SQuAD"])
    assert (list(some.outcomes), some.notes) == (["SQuAD", "DROP"], ())
    shared = "SQuAD, NewsQA, DROP, Other"
    with pytest.raises(ConfigError, match=rf"--dataset Another: not scored by mini.mt.bmt.s0: of {shared}$"):
        scored(monkeypatch, choice, ["SQuAD", "Another"])
    with pytest.raises(
        ConfigError, match=rf"--dataset NewQA: not scored \(did you mean NewsQA\?\): of {shared}$"
    ):
        scored(monkeypatch, choice, ["NewQA"])
    apart = choice_of([run("none", 0, datasets=["SQuAD"])], [run("bmt", 0, datasets=["DROP"])])
    with pytest.raises(ConfigError, match="--arms: no dataset was scored by all these runs: choose others"):
        scored(monkeypatch, apart)
    with pytest.raises(ConfigError, match=r"of none, as no dataset was scored by all$"):
        scored(monkeypatch, apart, ["SQuAD"])


def test_an_arm_is_wrong_where_all_its_seeds_are_and_right_where_none_is(monkeypatch):
    choice = choice_of([run("none", seed) for seed in range(3)], [run("bmt", seed) for seed in range(3)])
    scores = {
        "mini.mt.none.s1": {"EM": np.array([0.0, 0.0, 100.0]), "F1": np.array([0.0, 9.0, 100.0])},
        "mini.mt.bmt.s2": {"EM": np.array([0.0, 100.0, 0.0]), "F1": np.array([0.0, 100.0, 70.0])},
    }
    em = scored(monkeypatch, choice, scores=scores)
    assert em.outcomes["SQuAD"] == {"q1": (WRONG, WRONG), "q2": (MIXED, RIGHT), "q3": (MIXED, WRONG)}
    below = scored(monkeypatch, choice, scores=scores, wrong=WrongCriterion("f1", 60.0))
    assert below.outcomes["SQuAD"] == {"q1": (WRONG, WRONG), "q2": (MIXED, RIGHT), "q3": (MIXED, MIXED)}


def test_what_is_odd_about_the_predictions_is_said(monkeypatch):
    choice = choice_of([run("none", 0)], [run("bmt", 0)])
    left_out = {"SQuAD": Examples("m", pa.array(["q1", "q2", "q3"]), np.arange(3, dtype=np.int32), 16)}
    whole = scored(monkeypatch, choice, examples=left_out, copies={"mini.mt.bmt.s0": "mini.mt.none.s0"})
    assert whole.notes == (
        "mini.mt.bmt.s0 has the scores of mini.mt.none.s0 throughout: one run under two seeds",
        "SQuAD: 16 examples left out, on which few-shot runs were tuned",
    )
    with pytest.raises(DataError, match=r"^results/x/a.parquet: absent$"):
        scored(monkeypatch, choice, faults=[Fault("a.parquet", "absent")])
    with pytest.raises(
        DataError, match=r"^results/x: SQuAD: the ids differ: evaluate both on the same data, or "
    ):
        scored(monkeypatch, choice, different={"SQuAD": "the ids differ"})


def test_the_criterion_of_wrong_answers_is_checked():
    for metric, below, message in (
        ("em", 50.0, "--below 50: not allowed with --metric em, which is 0 or 100: add --metric f1"),
        ("f1", 0.0, "--below 0: not allowed: percent of F1, above 0 and at most 100"),
        ("f1", 100.5, "--below 100.5: not allowed: percent of F1, above 0 and at most 100"),
        ("f1", float("nan"), "--below nan: not allowed"),
    ):
        with pytest.raises(ConfigError, match=message):
            WrongCriterion(metric, below)
    assert WrongCriterion("f1", 100.0).of(np.array([99.9, 100.0])).tolist() == [True, False]


def predictions_file(
    path: Path, rows: Sequence[tuple[str, str, str | None]], dictionary: bool = False
) -> None:
    columns = {
        name: pa.array([row[index] for row in rows], pa.string())
        for index, name in enumerate(("dataset", "example_id", "prediction"))
    }
    if dictionary:
        columns["dataset"] = columns["dataset"].dictionary_encode()
    pq.write_table(pa.table(columns), path)


@pytest.mark.parametrize("dictionary", [False, True])
def test_texts_are_those_of_the_wanted_examples_by_dataset_and_id(tmp_path, dictionary):
    rows = [("SQuAD", "q", "one"), ("DROP", "q", "two"), ("SQuAD", "r", None), ("SQuAD", "s", "not wanted")]
    predictions_file(tmp_path / "a.parquet", rows, dictionary)
    wanted = {("SQuAD", "q"), ("DROP", "q"), ("SQuAD", "r"), ("SQuAD", "absent")}
    assert read_texts(tmp_path / "a.parquet", wanted) == {
        ("SQuAD", "q"): "one",
        ("DROP", "q"): "two",
        ("SQuAD", "r"): "",
    }


def test_answers_are_each_runs_own_with_its_scores_and_only_to_listed_examples(tmp_path):
    choice = choice_of([run("none", 0), run("none", 1)], [run("bmt", 0), run("bmt", 1)])
    keys = ["q1", "q2", "q3"]
    for index, one in enumerate(choice.runs):
        answers = [("SQuAD", key, f"{one.cell} {key}") for key in keys]
        predictions_file(tmp_path / f"{one.cell}.parquet", answers[:: -1 if index % 2 else 1])
    states = {"q1": (RIGHT, RIGHT), "q2": (WRONG, RIGHT), "q3": (MIXED, WRONG)}
    by_cell = {
        one.cell: {
            "SQuAD": {"EM": np.array([1.0, 2.0, 3.0]) + 10 * i, "F1": np.array([4.0, 5.0, 6.0]) + 10 * i}
        }
        for i, one in enumerate(choice.runs)
    }
    answers = read_answers(
        Results(tmp_path, choice.runs), choice, ScoredExamples({"SQuAD": states}, by_cell, ())
    )
    assert answers == {
        ("SQuAD", "q2"): (
            (
                RunAnswer(0, "mini.mt.none.s0 q2", 2.0, 5.0),
                RunAnswer(1, "mini.mt.none.s1 q2", 12.0, 15.0),
            ),
            (
                RunAnswer(0, "mini.mt.bmt.s0 q2", 22.0, 25.0),
                RunAnswer(1, "mini.mt.bmt.s1 q2", 32.0, 35.0),
            ),
        )
    }


# --- raw files ----------------------------------------------------------------------------------------------


def test_the_dev_file_of_a_dataset_is_found_in_any_folder_and_is_the_only_one(tmp_path):
    for name in (
        "b/SQuAD.dev.jsonl.gz",
        "SQuAD.train.jsonl.gz",
        "SQuAD2.dev.jsonl.gz",
        "c/SQuAD.devel.jsonl",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert dev_file(tmp_path, "SQuAD", "raw") == tmp_path / "b" / "SQuAD.dev.jsonl.gz"
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "SQuAD.dev.jsonl").touch()
    with pytest.raises(
        DataError, match=r"^raw: 2 dev files of SQuAD \(a/SQuAD.dev.jsonl, b/SQuAD.dev.jsonl.gz\), one"
    ):
        dev_file(tmp_path, "SQuAD", "raw")
    with pytest.raises(
        DataError, match=r"^raw: no DROP.dev.jsonl.gz there: `python -m benchmark.fetch` makes"
    ):
        dev_file(tmp_path, "DROP", "raw")


def test_examples_are_those_asked_for_from_the_file_that_every_run_names(tmp_path):
    questions = [{"qid": key, "question": "Who?", "answers": ["x"], "detected_answers": []} for key in "abc"]
    write(tmp_path / "SQuAD.dev.jsonl.gz", [{"header": {"dataset": "SQuAD"}}, passage("x y", *questions)])
    digest = file_digest(tmp_path / "SQuAD.dev.jsonl.gz")

    def of(*digests: str | None, ids: set[str] | None = None) -> dict[str, Example]:
        runs = [
            replace(run("none", seed), datasets={"SQuAD": DatasetScore(1.0, 2.0, 3, stated)})
            for seed, stated in enumerate(digests)
        ]
        return read_examples(tmp_path, "SQuAD", ids or {"a", "c"}, runs, "raw")

    assert list(of(digest, None)) == ["a", "c"]
    other = "0" * 64
    with pytest.raises(DataError) as failed:
        of(digest, other)
    assert str(failed.value).startswith(
        "raw/SQuAD.dev.jsonl.gz: not the file that mini.mt.none.s1 was scored on "
        f"(sha256 {digest[:12]}…, not 000000000000…): "
    )
    with pytest.raises(
        DataError, match=r"raw/SQuAD.dev.jsonl.gz: 2 of the 3 scored examples are not in it, y for one"
    ):
        of(None, ids={"a", "z", "y"})


# --- counts -------------------------------------------------------------------------------------------------


def example(
    key: str, question: str = "Who?", answers: Sequence[str] = ("red mill",), dataset: str = "SQuAD"
) -> Example:
    context = f"{question} {answers[0]}"
    at = context.index(answers[0])
    return Example(key, dataset, question, context, "c", tuple(answers), ((at, at + len(answers[0])),))


def analysis_of(
    limit: int = 5, arms: int = 2, seeds: tuple[int, ...] = (0,), notes: tuple[str, ...] = ()
) -> ErrorAnalysis:
    names = ("none", "bmt", "mask", "l2_sp")[:arms]
    choice = replace(choice_of(*([run(name, seed) for seed in seeds] for name in names)), notes=notes)
    return ErrorAnalysis("sample", "results/x", "raw", choice, WrongCriterion("em"), limit, notes)


def answer(text: str, em: float = 0.0, f1: float = 0.0, seed: int = 0) -> RunAnswer:
    return RunAnswer(seed, text, em, f1)


def test_rules_look_at_the_answers_of_the_arms_that_are_wrong_alone():
    analysis = analysis_of()
    outcomes_ = {"w": (WRONG, WRONG), "d": (RIGHT, WRONG), "o": (WRONG, RIGHT)}
    answers = {
        ("SQuAD", "w"): ((answer("mill"),), (answer("rain"),)),  # half of the wrong ones: boundary
        ("SQuAD", "d"): ((answer("mill"),), (answer("rain"),)),  # the wrong one is not
        ("SQuAD", "o"): ((answer("mill"),), (answer("rain"),)),
    }
    analysis.add("SQuAD", outcomes_, {key: example(key) for key in outcomes_}, answers)
    assert analysis.rules == {("boundary", ALL_WRONG): 1, ("boundary", DIFFER): 1}
    assert analysis.counts["SQuAD"].categories == {
        (ALL_WRONG, "annotation"): 1,
        (DIFFER, NO_RULE): 1,
        (DIFFER, "annotation"): 1,
    }
    assert analysis.patterns == {(WRONG, WRONG): 1, (RIGHT, WRONG): 1, (WRONG, RIGHT): 1}


def test_counts_are_by_group_and_several_categories_are_told_from_none():
    analysis = analysis_of()
    question = "How many mills burned?"
    examples = {
        "several": example("several", question),
        "none": example("none"),
        "right": example("right", question),
        "open": example("open", question),
    }
    outcomes_ = {
        "several": (WRONG, WRONG),
        "none": (WRONG, WRONG),
        "right": (RIGHT, RIGHT),
        "open": (MIXED, WRONG),
    }
    answers = {("SQuAD", key): ((answer("mill"),), (answer("mill"),)) for key in ("several",)}
    answers["SQuAD", "none"] = ((answer("rain"),), (answer("rain"),))
    analysis.add("SQuAD", outcomes_, examples, answers)
    analysis.add("DROP", {"right": (RIGHT, RIGHT)}, {"right": example("right", dataset="DROP")}, {})
    assert analysis.groups == {ALL_WRONG: 2, ALL_RIGHT: 2, UNSETTLED: 1}
    assert analysis.counts["SQuAD"].categories == {(ALL_WRONG, SEVERAL): 1, (ALL_WRONG, NO_RULE): 1}
    assert analysis.rules["number", ALL_RIGHT] == 1 and analysis.rules["number", UNSETTLED] == 0
    assert analysis.rules["DROP", ALL_RIGHT] == 1 and analysis.rules["boundary", ALL_WRONG] == 1
    metrics = analysis.metrics()
    assert metrics["wrong_in_all_arms/category/undecided"] == 2
    assert metrics["wrong_in_all_arms/category/annotation"] == 0 == metrics["arms_differ/all"]
    assert (metrics["right_in_all_arms/SQuAD"], metrics["right_in_all_arms/all"]) == (1, 2)
    assert (metrics["seeds_disagree/DROP"], metrics["seeds_disagree/all"]) == (0, 1)
    assert len(metrics) == 4 * 3 + 2 * 4 and not any(" " in name for name in metrics)


def test_the_examples_shown_have_the_least_digests_of_each_list_and_dataset():
    keys = [f"q{index}" for index in range(20)]
    wrong = dict.fromkeys(keys[:10], (WRONG, WRONG)) | dict.fromkeys(keys[10:], (WRONG, RIGHT))
    for order in (wrong, dict(reversed(wrong.items()))):
        analysis = analysis_of(limit=3)
        for name in ("SQuAD", "DROP"):
            answers = {(name, key): ([answer("x")], [answer("x")]) for key in keys}
            analysis.add(name, order, {key: example(key, dataset=name) for key in keys}, answers)
        for group, its in ((ALL_WRONG, keys[:10]), (DIFFER, keys[10:])):
            least = sorted(its, key=lambda key: hashlib.sha256(key.encode()).hexdigest())[:3]
            listed = analysis.listed[group]
            assert [one.example.id for one in listed] == least * 2
            assert [one.example.dataset for one in listed] == ["SQuAD"] * 3 + ["DROP"] * 3
    nothing = analysis_of(limit=0)
    empty = {("SQuAD", key): ([], []) for key in keys}
    nothing.add("SQuAD", wrong, {key: example(key) for key in keys}, empty)
    assert nothing.listed == {ALL_WRONG: [], DIFFER: []} and nothing.groups.total() == 20
    with pytest.raises(KeyError):  # an example that is listed has its answers
        nothing.add("SQuAD", wrong, {key: example(key) for key in keys}, {})


# --- how it is shown ----------------------------------------------------------------------------------------


def test_an_arms_answers_are_told_apart_by_text_and_score():
    same = [answer("x", 0, 66.6, 0), answer("x", 0, 66.6, 2), answer("y", 100, 100, 1), answer(" ", 0, 0, 3)]
    assert answer_line(same) == "x (F1 67; seeds 0, 2) · y (EM; seed 1) · (nothing) (F1 0; seed 3)"
    assert answer_line([answer("x", 0, 0, 1)]) == "x (F1 0)"
    rescored = [answer("x", 0, 20.0, 0), answer("x", 0, 40.0, 1)]
    assert answer_line(rescored) == "x (F1 20; seed 0) · x (F1 40; seed 1)"
    assert (shortened("x" * 200), shortened("x" * 199 + " yy")) == ("x" * 200, "x" * 199 + " …")


def test_the_gold_answer_is_marked_where_the_question_is_spoken_of():
    context = "In 1804 it rained. Vorn built the mill in 1804." + " word" * 100
    spans = ((3, 7), (42, 46), (42, 45))
    one = Example("q", "SQuAD", "When was the mill built by Vorn?", context, "c", ("1804",), spans)
    shown = plain_text(gold_in_context(one))
    assert shown.startswith("In 1804 it rained. Vorn built the mill in «1804». word")
    assert shown.endswith("word … (2 more places of an answer)") and len(shown) < 320
    assert plain_text(gold_in_context(replace(one, spans=spans[1:2]))).endswith("word …")
    late = replace(one, context="word " * 100 + "the 1804", spans=((504, 508),))
    assert plain_text(gold_in_context(late)).startswith("… word") and gold_in_context(late)[2] == ""
    unmarked = plain_text(gold_in_context(replace(one, spans=())))
    assert unmarked.endswith("… (no place of an answer is marked in the file; the context begins)")
    assert unmarked.startswith("In 1804 it rained.") and 400 < len(unmarked) < 520


def test_the_rarest_combinations_of_arms_share_a_row():
    analysis = analysis_of(arms=3)
    states = [(a, b, c) for a in (RIGHT, WRONG, MIXED) for b in (RIGHT, WRONG, MIXED) for c in (RIGHT, WRONG)]
    for count, one in enumerate(states, 1):
        analysis.patterns[one] = 100 * count
    analysis.counts["SQuAD"] = DatasetCounts()
    text = render(error_document(analysis), "markdown")
    table = text.split("What the arms do together")[1].split("##")[0].strip().splitlines()
    assert table[2:4] == ["| group | none | bmt | mask | examples |", "| --- | ---: | ---: | ---: | ---: |"]
    assert len(table) == 4 + 13 and table[4].endswith("| 1,800 |") and table[15].endswith("| 700 |")
    assert table[-1] == "| 6 others | | | | 2,100 |".replace("| |", "|  |").replace("| |", "|  |")


def test_the_document_says_what_was_looked_at_and_what_is_left_out():
    analysis = analysis_of(limit=1, seeds=(0, 1), notes=("mask: seed 7 left out",))
    keys = ["a", "b"]
    of_arm = (answer("rain"), answer("snow", seed=1))
    answers = {("SQuAD", key): (of_arm, of_arm) for key in keys}
    analysis.add("SQuAD", dict.fromkeys(keys, (WRONG, WRONG)), {key: example(key) for key in keys}, answers)
    text = render(error_document(analysis, "python -m benchmark.errors --limit 1", first=1), "markdown")
    for line in (
        "# Errors of none, bmt (profile sample)\n\n`python -m benchmark.errors --limit 1`\n\n- runs: none = "
        "mini.mt.none, bmt = mini.mt.bmt; seeds 0, 1; results in results/x, questions and contexts in raw\n",
        "- an answer is wrong: EM 0; the paper takes F1 0 (--metric f1)\n- an arm is wrong on an example",
        "- note: mask: seed 7 left out\n",
        "At most 1 per dataset, drawn by a digest of their ids (--limit); of each category 1 here.",
        "## Wrong in all arms (2 examples, 1 in the file)",
        "| boundary | annotation |",
        "| 0 (0.0 %) | 0 | - |",
    ):
        assert line in text, line
    assert "all datasets" not in text and "## Arms differ" not in text
    paper = replace_wrong(analysis, WrongCriterion("f1"))
    assert "- an answer is wrong: F1 0\n" in render(error_document(paper), "markdown")
    assert "drawn by a digest of their ids (--limit).\n" in render(error_document(paper), "markdown")


def replace_wrong(analysis: ErrorAnalysis, wrong: WrongCriterion) -> ErrorAnalysis:
    analysis.wrong = wrong
    return analysis


def test_the_first_examples_of_each_category_are_shown():
    analysis = analysis_of(limit=9)
    listed = [ListedExample(example(f"q{i}"), (WRONG, WRONG), ((), ()), ()) for i in range(3)]
    analysis.listed[ALL_WRONG] = listed
    analysis.counts["SQuAD"] = DatasetCounts()
    analysis.counts["SQuAD"].groups[ALL_WRONG] = 3
    assert {one.category for one in listed} == {UNDECIDED}
    assert "\n### Undecided\n\n#### SQuAD · q0\n" in render(error_document(analysis), "markdown")
    for first, shown in ((1, 1), (2, 2), (None, 3)):
        assert render(error_document(analysis, first=first), "markdown").count("#### SQuAD · q") == shown
