"""Predictions of several runs held against one another and scored again, on tables made in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.cli.progress import progress
from benchmark.results_check.copies import check_copies
from benchmark.results_check.examples import check_examples
from benchmark.results_check.findings import Findings
from benchmark.results_check.records import Record
from benchmark.results_check.scoring import check_scores
from benchmark.results_check.tables import (
    PredictionTables,
    RunPart,
    SharedExamples,
    read_table,
    row_count,
    take,
)
from benchmark.runs.seal import OWNER
from tests.support.records import make_record, said

A, B, C, D = (f"m.mt.none.s{seed}" for seed in range(4))
Columns = dict[str, Any]


def columns(count: int = 4, **changed: Any) -> Columns:
    """A run's predictions of one dataset: `count` answers that are right, two a context."""
    made = {
        "dataset": ["one"] * count,
        "example_id": [f"q{number}" for number in range(count)],
        "context_id": [f"c{number // 2}" for number in range(count)],
        "prediction": [f"word {number}" for number in range(count)],
        "answers": [[f"word {number}", "more"] for number in range(count)],
        "em": [1.0] * count,
        "f1": [1.0] * count,
    }
    return made | changed


def entry(count: int = 4, score: float = 100.0, **fields: Any) -> dict[str, Any]:
    return {"datasets": {"one": {"em": score, "f1": score, "examples": count} | fields}}


def read(folder: Path, *runs: tuple[Record, Columns]) -> tuple[list[Record], PredictionTables, Findings]:
    """The runs' tables, written and read."""
    findings, tables = Findings(), PredictionTables()
    for record, made in runs:
        pq.write_table(pa.table(made), folder / f"{record.cell}.parquet")
        read_table(record, tables, findings)
    return [record for record, _ in runs], tables, findings


def faults(folder: Path, *runs: tuple[Record, Columns]) -> list[str]:
    """All that is said of the runs' tables, their examples and scores."""
    records, tables, findings = read(folder, *runs)
    check_examples(records, tables, findings)
    with progress("score", 0, "predictions", shown=False) as bar:
        check_scores(records, tables, findings, bar)
    return said(findings)


def whole(cell: str, folder: Path, count: int = 4, **fields: Any) -> Record:
    return make_record(cell, folder, **(entry(count) | fields))


# --- one table ----------------------------------------------------------------------------------------------


def test_a_table_that_agrees_with_its_json_has_no_fault(tmp_path):
    assert faults(tmp_path, (whole(A, tmp_path), columns())) == []
    stated = whole(A, tmp_path, **entry(contexts=2))
    assert faults(tmp_path, (stated, columns())) == []
    assert row_count(stated) == 4
    assert row_count(whole(B, tmp_path)) == 0
    (tmp_path / f"{B}.parquet").write_text("no Parquet")
    assert row_count(whole(B, tmp_path)) == 0


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        (entry(5), f"{A}.json: datasets.one.examples: 5; its predictions are of 4"),
        (entry(contexts=3), f"{A}.json: datasets.one.contexts: 3; its predictions are of 2"),
        (entry(em=99.9951), ""),
        (entry(em=99.994), f"{A}.json: datasets.one.em: 99.994; the mean of its predictions is 100"),
        (entry(f1=99.994), f"{A}.json: datasets.one.f1: 99.994; the mean of its predictions is 100"),
        (
            {"datasets": entry()["datasets"] | {"two": {"em": 1.0, "f1": 1.0, "examples": 3}}},
            f"{A}.parquet: two: no examples; the JSON scores them",
        ),
        ({"datasets": entry()["datasets"] | {"two": {"examples": 0}}}, ""),
        (
            {"datasets": {"two": {"examples": 0}}},
            f"{A}.parquet: one: 4 examples; the JSON does not score this dataset",
        ),
    ],
)
def test_counts_and_means_are_those_of_the_table(tmp_path, stated, fault):
    assert faults(tmp_path, (make_record(A, tmp_path, **stated), columns())) == ([fault] if fault else [])


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"em": [1.0, 1.0, None, 1.0]}, 'em: null for "q2"; allowed: a value in every row'),
        (
            {"example_id": ["q0", None, "q2", "q3"]},
            "example_id: null for null; allowed: a value in every row",
        ),
        (
            {"answers": [["x"], ["x"], [None], ["x"]]},
            "answers: a null among the answers; allowed: lists of texts",
        ),
        ({"f1": [1.0, -0.1, 1.0, 1.0]}, 'f1: -0.1 for "q1"; allowed: a number of 0 to 1'),
        ({"em": [1.0, 1.0, 1.0, 1.0000001]}, 'em: 1.0000001 for "q3"; allowed: a number of 0 to 1'),
        (
            {"score": [None, float("nan"), 1.0, float("inf")]},
            'score: not finite for "q1", "q3"; allowed: a finite number, or null',
        ),
        ({"score": [None, -700.5, 1.0, 2.0]}, ""),
        (
            {"example_id": ["q0", "q1", "q1", "q0"]},
            'one: "q0", "q1" more than once; one row per example',
        ),
    ],
)
def test_every_value_of_a_table_is_there_and_in_its_range(tmp_path, change, fault):
    _, _, findings = read(tmp_path, (whole(A, tmp_path), columns(**change)))
    assert said(findings) == ([f"{A}.parquet: {fault}"] if fault else [])


def test_an_exact_match_is_at_most_its_f1_but_where_neither_has_a_word(tmp_path):
    """Of texts of articles and marks alone an exact match may have F1 0, as in the official scorer."""
    made = columns(em=[1.0, 1.0, 0.5, 1.0], f1=[0.0, 0.9951, 0.4, 0.9])
    _, _, findings = read(tmp_path, (whole(A, tmp_path, **entry(em=87.5, f1=57.3775)), made))
    assert said(findings) == [
        f'{A}.parquet: one: em 0.5, f1 0.4 for "q2", "q3"; an exact match shares every word: em is at most f1'
    ]


def test_columns_that_are_needed_stand_once_and_those_that_are_not_are_left_where_their_type_is_another(
    tmp_path,
):
    bare = {name: columns()[name] for name in ("dataset", "example_id", "context_id", "em")}
    _, tables, findings = read(tmp_path, (whole(A, tmp_path), bare))
    assert said(findings) == [
        f"{A}.parquet: columns: no f1; needs dataset, example_id, context_id, em, f1, each once"
    ]
    assert tables.parts == {}
    _, tables, findings = read(tmp_path, (whole(A, tmp_path), columns(score=["a", "b", "c", "d"])))
    assert said(findings) == [] and tables.parts[A]["one"].score is None
    assert [(note.check, note.text) for note in findings.notes] == [
        ("scores", f"column score of {A}.parquet is string, not double: not looked at")
    ]


def test_whose_predictions_a_table_holds_and_its_digest_are_held_against_the_json(tmp_path):
    path = tmp_path / f"{A}.parquet"
    for owner, fault in (
        (f"theirs/{A}", []),
        (f"other/{A}", [f'{A}.parquet: bmt.cell: "other/{A}"; the JSON beside it is "theirs/{A}"']),
    ):
        pq.write_table(pa.table(columns()).replace_schema_metadata({OWNER: owner}), path)
        findings = Findings()
        read_table(whole(A, tmp_path), PredictionTables(), findings)
        assert said(findings) == fault
    digest = "0" * 64
    findings = Findings()
    read_table(whole(A, tmp_path, predictions_sha256=digest), PredictionTables(), findings)
    assert said(findings, "digests")[0].startswith(
        f"{A}.json: predictions_sha256: 000000000000…; {A}.parquet has "
    )


def test_rows_are_taken_in_the_order_asked_for():
    column = pa.array(["a", "b", "c", "d"])
    for rows in ([1, 2], [0], [], [2, 1], [0, 2], [0, 2, 1, 3], [1, 1, 3]):
        assert take(column, np.array(rows, np.int64)).to_pylist() == ["abcd"[row] for row in rows]


# --- examples of all runs -----------------------------------------------------------------------------------


def rows_of(made: Columns, *rows: int) -> Columns:
    return {name: [column[row] for row in rows] for name, column in made.items()}


def test_the_examples_are_those_of_most_runs_and_of_equally_many_those_that_are_more(tmp_path):
    short = rows_of(columns(), 0, 2, 3)
    lacks = '{}.parquet: one: lacks 1 ("q1"); 1 run as {} answered 4'
    few, many = (
        (lambda cell: (whole(cell, tmp_path, 3), short)),
        (lambda cell: (whole(cell, tmp_path), columns())),
    )
    assert faults(tmp_path, few(A), many(B)) == [lacks.format(A, B)]
    assert faults(tmp_path, many(A), few(B)) == [lacks.format(B, A)]
    assert faults(tmp_path, few(A), many(B), few(C)) == [
        f'{B}.parquet: one: has besides 1 ("q1"); 2 runs as {A} answered 3'
    ]
    other = columns(example_id=["q0", "q1", "x", "q3"])
    assert faults(tmp_path, many(A), many(B), (whole(C, tmp_path), other)) == [
        f'{C}.parquet: one: lacks 1 ("q2") and has besides 1 ("x"); 2 runs as {A} answered 4'
    ]


def test_few_shot_runs_may_lack_examples_and_have_no_others_and_never_say_what_the_examples_are(tmp_path):
    short = rows_of(columns(), 0, 2)
    shots = [(whole(cell, tmp_path, 2, K=4), short) for cell in (B, C)]
    assert faults(tmp_path, (whole(A, tmp_path), columns()), *shots) == []
    extra = (whole(D, tmp_path, K=4), columns(example_id=["q0", "q1", "x", "q3"]))
    assert faults(tmp_path, (whole(A, tmp_path), columns()), extra) == [
        f'{D}.parquet: one: has besides 1 ("x"); 1 run as {A} answered 4'
    ]
    assert faults(tmp_path, *shots, extra) == []  # nothing to hold them against


def test_contexts_and_answers_are_those_of_most_runs(tmp_path):
    def runs(change: Columns, odd: str) -> list[str]:
        return faults(
            tmp_path,
            *((whole(cell, tmp_path), columns(**(change if cell == odd else {}))) for cell in (A, B, C)),
        )

    contexts = {"context_id": ["c0", "c1", "c1", "c1"]}
    answers = {"answers": [["word 0"], ["word 1", "more"], ["word 2", "more"], ["more", "word 3", "more"]]}
    for odd in (A, B, C):
        assert runs(contexts, odd) == [
            f'{odd}.parquet: context_id: "c1" for "q1" of one; "c0" in the other runs'
        ]
        assert runs(answers, odd) == [
            f'{odd}.parquet: answers: ["word 0"] for "q0" of one; ["more", "word 0"] in the other runs'
        ]
    shuffled = rows_of(columns(), 3, 1, 0, 2)
    assert faults(tmp_path, (whole(A, tmp_path), columns()), (whole(B, tmp_path), shuffled)) == []


def test_what_was_looked_at_is_counted_and_one_run_alone_has_nothing_to_be_compared_with(tmp_path):
    records, tables, findings = read(tmp_path, (whole(A, tmp_path), columns()))
    check_examples(records, tables, findings)
    assert findings.looked == {"examples": "4 examples of 1 dataset in 1 run", "means": "1 dataset of 1 run"}
    assert [note.text for note in findings.notes] == ["one run only: nothing to compare its examples with"]
    records, tables, findings = read(
        tmp_path, (whole(A, tmp_path), columns()), (whole(B, tmp_path), columns(example_id=list("wxyz")))
    )
    check_examples(records, tables, findings)
    assert findings.looked["examples"] == "8 examples of 1 dataset in 2 runs"
    assert findings.notes == []


# --- scores -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "right"),
    [
        (0.67, True),
        (0.667, True),
        (0.666667, True),
        (float(np.float32(2 / 3)), True),
        (2 / 3 + 2e-7, True),
        (2 / 3 - 3e-7, False),
        (0.7, False),
        (0.66, False),
        (0.68, False),
        (0.666, False),
        (0.6666664, False),
        (1.0, False),
    ],
)
def test_a_stored_score_is_the_right_one_or_the_right_one_rounded_to_two_to_six_decimals(
    tmp_path, stored, right
):
    """F1 of `a b` against `a`, two thirds; one decimal is no rounding of it."""
    made = columns(1, prediction=["word two"], answers=[["word"]], em=[0.0], f1=[stored])
    lines = faults(tmp_path, (whole(A, tmp_path, **entry(1, em=0.0, f1=100 * stored)), made))
    wrong = f'{A}.parquet: one.f1: {stored:.6g} for "q0"; the prediction "word two" has 0.666667'
    assert lines == ([] if right else [wrong])


def test_a_score_between_two_rounded_ones_may_be_either(tmp_path):
    """F1 of one word of 15 against one: 2/16."""
    for stored, right in ((0.12, True), (0.13, True), (0.125, True), (0.11, False), (0.14, False)):
        text = " ".join(f"w{n}" for n in range(15))
        made = columns(1, prediction=[text], answers=[["w3"]], em=[0.0], f1=[stored])
        lines = faults(tmp_path, (whole(A, tmp_path, **entry(1, em=0.0, f1=100 * stored)), made))
        assert (lines == []) == right


def test_a_run_is_scored_by_its_own_answers_where_they_are_others(tmp_path):
    """Its answers are a fault, its scores are not: they are right by them."""
    answers = [["word 0", "more"], ["word 1", "more"], ["barn"], ["word 3", "more"]]
    own = columns(answers=answers, prediction=["word 0", "word 1", "barn", "word 3"])
    runs = [(whole(cell, tmp_path), columns()) for cell in (A, B)]
    assert faults(tmp_path, *runs, (whole(C, tmp_path), own)) == [
        f'{C}.parquet: answers: ["barn"] for "q2" of one; ["more", "word 2"] in the other runs'
    ]
    lines = faults(tmp_path, *runs, (whole(C, tmp_path), columns(answers=answers)))
    assert lines[1:] == [
        f'{C}.parquet: one.{m}: 1 for "q2"; the prediction "word 2" has 0' for m in ("em", "f1")
    ]


def test_each_run_is_held_against_its_own_predictions(tmp_path):
    """Two runs that answer alike are scored once, and each that stores it wrong is told."""
    wrong = columns(prediction=["word 0", "wrong", "word 2", "word 3"])
    right = wrong | {"em": [1.0, 0.0, 1.0, 1.0], "f1": [1.0, 0.0, 1.0, 1.0]}
    lines = faults(
        tmp_path,
        (whole(A, tmp_path), columns()),
        (whole(B, tmp_path), wrong),
        (whole(C, tmp_path, **entry(score=75.0)), right),
        (whole(D, tmp_path), wrong),
    )
    assert lines == [
        f'{cell}.parquet: one.{m}: 1 for "q1"; the prediction "wrong" has 0'
        for cell in (B, D)
        for m in ("em", "f1")
    ]


def test_what_is_scored_and_what_is_taken_on_trust_is_said(tmp_path):
    without = {name: column for name, column in columns().items() if name != "answers"}
    records, tables, findings = read(
        tmp_path,
        (whole(A, tmp_path, evaluator_version="mrqa-2019/1"), columns()),
        (whole(B, tmp_path), columns()),
        (whole(C, tmp_path, evaluator_version="squad/2"), columns(prediction=["x"] * 4)),
        (whole(D, tmp_path), without),
    )
    with progress("score", 0, "predictions", shown=False) as bar:
        check_scores(records, tables, findings, bar)
    assert said(findings) == []
    assert findings.looked["scores"] == "8 predictions, 4 distinct"
    assert [note.text for note in findings.notes] == [
        f"scored by another evaluator than mrqa-2019/1, so not scored again: {C}",
        f"no usable columns prediction and answers in {D} (1 of 4 runs): their EM and F1 are taken on trust",
    ]
    records, tables, findings = read(tmp_path, (whole(D, tmp_path), without))
    with progress("score", 0, "predictions", shown=False) as bar:
        check_scores(records, tables, findings, bar)
    assert findings.looked["scores"] == "nothing"


# --- copies -------------------------------------------------------------------------------------------------


def shared(count: int) -> SharedExamples:
    ids = pa.array([str(number) for number in range(count)])
    return SharedExamples(ids, ids, [None] * count)


def part(count: int, same: int, scores: bool = True, codes: bool = True) -> RunPart:
    """Answers that are `same` in the first and unlike in the others, each with a score of its own."""
    number = np.arange(count)
    text = np.where(number < same, number, number + count).astype(np.int32)
    zero = (number % 2).astype(float)
    return RunPart(
        number.astype(np.int64),
        zero,
        zero,
        score=number / count if scores else None,
        codes=text if codes else None,
    )


def copied(count: int, *parts: tuple[Record, RunPart]) -> list[str]:
    tables = PredictionTables({"one": shared(count)}, {record.cell: {"one": one} for record, one in parts})
    findings = Findings()
    check_copies([record for record, _ in parts], tables, findings)
    return said(findings)


@pytest.mark.parametrize(
    ("same", "share"), [(1000, "all"), (999, "99.9%"), (990, "99.0%"), (989, ""), (0, "")]
)
def test_a_run_that_shares_99_percent_of_its_answers_with_another_is_its_copy(same, share):
    lines = copied(1000, (make_record(A), part(1000, 1000)), (make_record(B), part(1000, same)))
    says = f"{B}.parquet: the predictions of {A}, {share} of them the same; two seeds never answer alike"
    assert lines == ([says] if share else [])


def test_equal_answers_with_other_scores_are_no_copy_and_so_are_answers_that_all_score_the_same():
    first, second = part(1000, 1000), part(1000, 1000)
    second.score = first.score + 1e-9
    assert copied(1000, (make_record(A), first), (make_record(B), second)) == []
    first.score = second.score = np.zeros(1000)
    assert copied(1000, (make_record(A), first), (make_record(B), second)) == []
    first.score = second.score = np.where(np.arange(1000) % 3, np.arange(1000.0), np.nan)
    assert len(copied(1000, (make_record(A), first), (make_record(B), second))) == 1


def test_few_shot_runs_are_compared_with_those_of_their_k_and_open_masks_with_other_seeds_only():
    def pair(one: Record, other: Record) -> int:
        return len(copied(1000, (one, part(1000, 1000)), (other, part(1000, 1000))))

    assert pair(make_record(A, K=4), make_record(A)) == 0
    assert pair(make_record(A, K=4), make_record(B, K=4)) == 1
    assert pair(make_record(A, K=4), make_record(B, K=8)) == 0
    opened = {"mask": {"density": {"a": 1.0, "b": 1.0}}}
    assert pair(make_record("m.mt.bmt.s0", **opened), make_record(A)) == 0
    assert pair(make_record(A), make_record("m.mt.bmt.s0", **opened)) == 0
    assert pair(make_record("m.mt.bmt.s0", **opened), make_record(B)) == 1
    assert pair(make_record("m.mt.bmt.s0", mask={"density": {"a": 1.0, "b": 0.9}}), make_record(A)) == 1
    assert pair(make_record("m.mt.mask.s0", p_f=1.0), make_record(A)) == 0
    assert pair(make_record("m.mt.mask.s0", p_f=0.9), make_record(A)) == 1
    assert copied(
        1000, (make_record(A), part(1000, 1000)), (make_record("m.mt.bmt.s0"), part(1000, 1000))
    ) == [f"m.mt.bmt.s0.parquet: the predictions of {A}, all of them the same; two runs never answer alike"]


@pytest.mark.parametrize("codes", [True, False])
def test_without_the_model_s_scores_equal_answers_are_a_copy_where_they_are_300_and_vary(codes):
    def pair(count: int, second: RunPart | None = None) -> int:
        first = part(count, count, scores=False, codes=codes)
        other = second or part(count, count, scores=codes, codes=codes)
        return len(copied(count, (make_record(A), first), (make_record(B), other)))

    assert (pair(300), pair(299)) == (1, 0)
    unlike = part(300, 299, scores=False, codes=codes)
    unlike.em = unlike.em.copy()
    unlike.em[0] = 1.0
    assert pair(300, unlike) == 0


def test_copies_are_told_by_the_answers_that_two_runs_have_in_common_over_all_datasets():
    """The second run lacks the first dataset; of large folders a sample tells most pairs apart."""
    tables = PredictionTables({"one": shared(50), "two": shared(10_240)}, {})
    tables.parts[A] = {"one": part(50, 0), "two": part(10_240, 10_240)}
    for same, told in ((10_240, "all"), (10_150, "99.1%"), (10_130, "")):
        tables.parts[B] = {"two": part(10_240, same)}
        findings = Findings()
        check_copies([make_record(A), make_record(B), make_record(C)], tables, findings)
        lines = [line.split(", ")[1] for line in said(findings)]
        assert lines == ([f"{told} of them the same; two seeds never answer alike"] if told else [])
        assert findings.looked["seeds"] == "2 runs, pair by pair"
    tables.parts[B] = {"one": part(50, 50), "two": part(10_240, 0)}
    findings = Findings()
    check_copies([make_record(A), make_record(B)], tables, findings)
    assert said(findings) == []
