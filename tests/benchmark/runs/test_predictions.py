"""The scores of single examples: in one order for all runs, held against the JSON, and told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.runs.predictions import FEWEST_TO_MATCH, read
from benchmark.runs.results import DatasetScore, Identity, Results, Run

CELL = Identity("b", "mt", "bmt")
SQUAD = ("SQuAD",)


def table_of(name: str, ids: Sequence[str], scores: Sequence[float], **more: Any) -> pa.Table:
    """Examples of a dataset whose F1 is `scores`, and their EM a half of it."""
    columns = {
        "dataset": [name] * len(ids),
        "example_id": list(ids),
        "context_id": [f"c{one}" for one in ids],
        "em": [score / 2 for score in scores],
        "f1": list(scores),
    }
    return pa.table(columns | more)


def run_of(cell: str, seed: int = 0, identity: Identity = CELL, **scores: Sequence[float]) -> Run:
    """A run that states the scores that its examples have."""
    datasets = {
        name: DatasetScore(50 * float(np.mean(values)), 100 * float(np.mean(values)), len(values))
        for name, values in scores.items()
    }
    return Run(cell, "p", identity, seed, datasets)


def write(folder: Path, cell: str, *tables: pa.Table) -> None:
    pq.write_table(pa.concat_tables(tables), folder / f"{cell}.parquet")


def scores_of(predictions: Any, cell: str, dataset: str = "SQuAD") -> list[float]:
    return [round(value, 6) for value in predictions.scores[cell][dataset]["F1"].tolist()]


def test_examples_in_any_order_are_put_into_the_first_run_s(tmp_path: Path) -> None:
    f1 = {"q0": 0.0, "q1": 0.25, "q2": 0.5, "q3": 1.0}
    orders = {"a": "q2 q0 q3 q1", "b": "q0 q1 q2 q3", "c": "q1 q3 q2 q0", "d": "q2 q0 q3 q1"}
    runs = []
    for seed, (cell, order) in enumerate(orders.items()):
        ids = order.split()
        write(tmp_path, cell, table_of("SQuAD", ids, [f1[one] for one in ids]))
        runs.append(run_of(cell, seed, SQuAD=list(f1.values())))
    got = read(Results(tmp_path, ()), runs, SQUAD)
    assert got.faults == [] and got.different == {} and got.copies == {}
    assert [scores_of(got, cell) for cell in orders] == [[50.0, 0.0, 100.0, 25.0]] * 4
    assert got.scores["c"]["SQuAD"]["EM"].tolist() == [25.0, 0.0, 50.0, 12.5]
    examples = got.examples["SQuAD"]
    assert (examples.source, examples.ids.to_pylist(), examples.left_out) == ("a", orders["a"].split(), 0)
    assert examples.contexts.tolist() == [0, 1, 2, 3]


def test_contexts_are_numbered_and_rows_of_datasets_may_be_mixed(tmp_path: Path) -> None:
    squad = table_of("SQuAD", ["q0", "q1", "q2"], [0.0, 0.5, 1.0], context_id=["x", "y", "x"])
    drop = table_of("DROP", ["d0", "d1"], [1.0, 0.5])
    mixed = pa.concat_tables([squad, drop]).take([0, 3, 1, 4, 2])
    write(tmp_path, "a", mixed)
    run = run_of("a", SQuAD=[0.0, 0.5, 1.0], DROP=[1.0, 0.5])
    got = read(Results(tmp_path, ()), [run], SQUAD)
    assert list(got.scores["a"]) == ["SQuAD"] and scores_of(got, "a") == [0.0, 50.0, 100.0]
    assert got.examples["SQuAD"].contexts.tolist() == [0, 1, 0]
    both = read(Results(tmp_path, ()), [run], ("DROP", "SQuAD"))
    assert scores_of(both, "a", "DROP") == [100.0, 50.0]


def test_other_examples_are_told_with_the_run_and_the_first_one(tmp_path: Path) -> None:
    write(tmp_path, "a", table_of("SQuAD", ["q0", "q1"], [0.0, 1.0]))
    write(tmp_path, "b", table_of("SQuAD", ["q0", "q2"], [0.0, 1.0]))
    runs = [run_of("a", SQuAD=[0.0, 1.0]), run_of("b", 1, SQuAD=[0.0, 1.0])]
    got = read(Results(tmp_path, ()), runs, SQUAD)
    assert got.different == {"SQuAD": "the examples of b are not those of a"}


def test_few_shot_runs_leave_what_all_have_in_the_first_one_s_order(tmp_path: Path) -> None:
    f1 = {"q0": 0.0, "q1": 0.25, "q2": 0.5, "q3": 0.75, "q4": 1.0}
    orders = {"a": "q3 q0 q4 q1 q2", "b": "q4 q1 q3 q2", "c": "q2 q3 q4 q0"}
    runs = []
    for seed, (cell, order) in enumerate(orders.items()):
        ids = order.split()
        scores = [f1[one] for one in ids]
        write(tmp_path, cell, table_of("SQuAD", ids, scores))
        runs.append(run_of(cell, seed, replace(CELL, K=None if cell == "a" else 2), SQuAD=scores))
    got = read(Results(tmp_path, ()), runs, SQUAD)
    assert got.different == {}
    assert [scores_of(got, cell) for cell in orders] == [[75.0, 100.0, 50.0]] * 3
    examples = got.examples["SQuAD"]
    assert (examples.source, examples.ids.to_pylist(), examples.left_out) == ("a", ["q3", "q4", "q2"], 2)
    assert examples.contexts.tolist() == [0, 2, 4]


@pytest.mark.parametrize(
    ("off", "refused"), [(0.0049, False), (-0.0049, False), (0.0051, True), (-0.0051, True)]
)
@pytest.mark.parametrize("metric", ["em", "f1"])
def test_a_mean_may_be_rounded_to_two_decimals_and_no_more(
    metric: str, off: float, refused: bool, tmp_path: Path
) -> None:
    write(tmp_path, "a", table_of("SQuAD", ["q0", "q1"], [0.5, 1.0]))
    run = run_of("a", SQuAD=[0.5, 1.0])
    stated = run.datasets["SQuAD"]
    stated = replace(stated, **{metric: getattr(stated, metric) + off})
    got = read(Results(tmp_path, ()), [replace(run, datasets={"SQuAD": stated})], SQUAD)
    assert (got.scores == {}) == refused
    mean = {"em": 37.5, "f1": 75.0}[metric]
    words = f"SQuAD: the predictions have {metric.upper()} {mean:.2f}, but the JSON says {mean + off}"
    assert [fault.reason for fault in got.faults] == ([words] if refused else [])


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (table_of("SQuAD", ["q0", "q0"], [0.0, 1.0]), "SQuAD: the example 'q0' stands twice"),
        (table_of("SQuAD", ["q0"], [0.5]), "1 examples of SQuAD, but the JSON says 2"),
        (table_of("DROP", ["q0", "q1"], [0.0, 1.0]), "2 examples of DROP, which the JSON does not score"),
        (table_of("SQuAD", ["q0", "q1"], [0.0, 1.0], em=[None, 0.5]), "a value is missing (null)"),
        (table_of("SQuAD", ["q0", None], [0.0, 1.0]), "a value is missing (null)"),  # type: ignore[list-item]
        (table_of("SQuAD", ["q0", "q1"], [0.0, 1.5]), "f1 has a value that is not a number of 0 to 1"),
        (
            table_of("SQuAD", ["q0", "q1"], [0.0, 1.0], em=[-0.5, 1.0]),
            "em has a value that is not a number of 0 to 1",
        ),
        (
            table_of("SQuAD", ["q0", "q1"], [0.0, float("nan")], em=[0.0, 0.5]),
            "f1 has a value that is not a number of 0 to 1",
        ),
        (
            table_of("SQuAD", ["q0", "q1"], [0.0, 1.0]).drop_columns(["f1", "context_id"]),
            "no column context_id, f1: needs dataset, example_id, context_id, em, f1, each once",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_a_fault_of_its_run_and_the_others_are_read(
    table: pa.Table, reason: str, tmp_path: Path
) -> None:
    write(tmp_path, "b.mt.bmt.s0", table)
    write(tmp_path, "b.mt.bmt.s1", table_of("SQuAD", ["q0", "q1"], [0.0, 1.0]))
    runs = [run_of(f"b.mt.bmt.s{seed}", seed, SQuAD=[0.0, 1.0]) for seed in (0, 1, 2)]
    got = read(Results(tmp_path, ()), runs, SQUAD)
    assert list(got.scores) == ["b.mt.bmt.s1"]
    first, last = got.faults
    assert (first.file, first.reason) == ("b.mt.bmt.s0.parquet", reason)
    assert first.seed == 0 and first.identity is not None and first.identity.arm == "bmt"
    assert last.reason == "absent: the run's per-example predictions belong beside its JSON"


def test_a_dataset_of_the_json_without_examples_and_a_torn_file_are_faults(tmp_path: Path) -> None:
    write(tmp_path, "a", table_of("SQuAD", ["q0", "q1"], [0.0, 1.0]))
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    runs = [run_of("a", SQuAD=[0.0, 1.0], DROP=[1.0], RACE=[1.0]), run_of("b", SQuAD=[0.0, 1.0])]
    first, torn = read(Results(tmp_path, ()), runs, SQUAD).faults
    assert first.reason == "no examples of DROP, RACE, which the JSON scores"
    assert torn.reason.startswith("unreadable (") and torn.reason.endswith("evaluate the run again")


@pytest.mark.parametrize(
    ("count", "last", "arm", "copies"),
    [
        (FEWEST_TO_MATCH, 1.0, "bmt", {"b": "a"}),
        (FEWEST_TO_MATCH - 1, 1.0, "bmt", {}),  # so few may well agree by chance
        (FEWEST_TO_MATCH, 0.5, "bmt", {}),  # one score is another
        (FEWEST_TO_MATCH, 1.0, "none", {}),  # of another arm
    ],
)
def test_a_run_whose_every_score_is_another_seed_s_is_a_copy(
    count: int, last: float, arm: str, copies: dict[str, str], tmp_path: Path
) -> None:
    ids = [f"q{row}" for row in range(count)]
    f1 = [float(row % 3 == 0) for row in range(count - 1)]
    runs = []
    for seed, (cell, end) in enumerate((("a", 1.0), ("b", last))):
        write(tmp_path, cell, table_of("SQuAD", ids, [*f1, end]))
        runs.append(run_of(cell, seed, replace(CELL, arm="bmt" if cell == "a" else arm), SQuAD=[*f1, end]))
    assert read(Results(tmp_path, ()), runs, SQUAD).copies == copies
    write(tmp_path, "a", table_of("SQuAD", ids, [1.0] * count))
    write(tmp_path, "b", table_of("SQuAD", ids, [1.0] * count))
    alike = [run_of(cell, seed, SQuAD=[1.0] * count) for seed, cell in enumerate("ab")]
    assert read(Results(tmp_path, ()), alike, SQUAD).copies == {}  # one score throughout says nothing
