"""No number of a result may be anything but a number in its range: compare refuses the file, and check names
the field.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.results_check.findings import Findings
from benchmark.results_check.folder_check import check_folder
from benchmark.results_check.records import read_records
from benchmark.runs.results import Fault, read
from benchmark.runs.seal import SEAL, seal
from tests.support.results_maker import make_results

CELL = "roberta-base.mt.bmt.s0"
MOVED = {"l2": 1.5, "relative": 0.01, "changed": 0.25, "cosine": 0.99}
FOREIGN = ("environment", "trained_with", "few_shot")
NAN, INF = math.nan, math.inf


def as_evaluate_writes_it(record: dict[str, Any]) -> None:
    """The fields that `benchmark.evaluate` and `benchmark.transfer` add to a fabricated result."""
    parts = {name: {"layer_00": 0.3, "layer_01": 0.3} for name in ("SQuAD", "HotpotQA")}
    record["datasets"]["BioASQ"] = {
        "domain": "out_of_domain",
        "em": None,
        "f1": None,
        "examples": 0,
        "contexts": 0,
    }
    record["mask"] |= {
        "p_f": 0.5,
        "seed": 0,
        "by_layer": parts,
        "by_kind": {"SQuAD": {"query": 0.3}},
        "overlap": {"SQuAD": {"HotpotQA": 0.5}, "HotpotQA": {"SQuAD": 0.5}},
        "about": {"seed": 0, "schedule": "two_phase", "steps": 18},
    }
    record |= {
        "K": 16,
        "p_f": 0.5,
        "regularizer": {"kind": "mixout", "strength": 0.5},
        "budget": {
            "steps": 120,
            "best_step": 120,
            "windows": 720,
            "tokens": 70172,
            "epochs": 1.5,
            "mask_steps": 18,
        },
        "deviation": {**MOVED, "total": dict(MOVED)},
        "deviation_by": {"total": dict(MOVED), "layer/layer_00": dict(MOVED), "kind/query": dict(MOVED)},
        "environment": {"cpu_count": 2, "memory_mb": 24105, "load": [0.5, 1.5]},
        "trained_with": {"gpus": [{"memory_mb": 81559}]},
        "few_shot": {"runs": {"BioASQ": {"losses": [2.5, 1.25], "best_f1": 40.5}}},
        "seconds": 70.5,
        "tokens_per_second": 995.5,
        "peak_memory_mb": 1846.5,
    }


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("results")
    make_results(
        folder, arms=("bmt",), seeds=(0,), sizes={"SQuAD": 6, "HotpotQA": 4}, change=as_evaluate_writes_it
    )
    return json.loads((folder / f"{CELL}.json").read_text())


def numbers(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every number (no bool) in a JSON value."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from numbers(value, (*path, key))
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield path


def told(
    folder: Path, record: dict[str, Any], path: tuple[Any, ...], value: Any
) -> tuple[str | None, list[str]]:
    """Why compare does not use a result with `value` at `path`, and the fields that check faults in it."""
    changed = copy.deepcopy(record)
    *parents, last = path
    node: Any = changed
    for key in parents:
        node = node[key]
    node[last] = value
    (folder / f"{CELL}.json").write_text(json.dumps(changed | {SEAL: seal(changed)}))
    results = read(folder)
    assert len(results.runs) + len(results.faults) == 1
    reason = results.faults[0].reason if results.faults else None
    assert reason is None or "\n" not in reason
    findings = Findings()
    read_records(folder, findings)
    faults = findings.faults
    return reason, [
        fault.where for fault in faults if fault.check == "fields" and fault.file == f"{CELL}.json"
    ]


def test_the_result_itself_is_as_it_must_be(record: dict[str, Any], tmp_path: Path) -> None:
    assert told(tmp_path, record, ("seconds",), 71) == (None, [])
    assert len(list(numbers(record))) > 60


@pytest.mark.parametrize("value", [NAN, INF, -INF], ids=str)
def test_every_number_that_is_not_finite_is_refused_and_found(
    record: dict[str, Any], tmp_path: Path, value: float
) -> None:
    for path in numbers(record):
        key = ".".join(map(str, path))
        reason, fields = told(tmp_path, record, path, value)
        written = json.dumps(value)
        expected = (
            f"schema {written} is not allowed: 1"
            if path == ("schema",)
            else f"{key}: {written} is not allowed: "
        )
        assert (reason or "").startswith(expected), key
        assert fields == [key]


@pytest.mark.parametrize("value", [True, "1", [1], {"a": 1}, -1, 10**400], ids=lambda value: str(value)[:9])
def test_every_documented_number_is_a_number_in_its_range(
    record: dict[str, Any], tmp_path: Path, value: Any
) -> None:
    for path in numbers(record):
        key = ".".join(map(str, path))
        if path[0] in FOREIGN or path == ("mask", "about", "steps") or (value == -1 and path[-1] == "cosine"):
            continue
        whole = path[-1] in ("seed", "K", "examples", "contexts", "mask_steps")
        if value == 10**400 and whole:
            continue
        reason, fields = told(tmp_path, record, path, value)
        if path == ("schema",):
            assert reason is not None and reason.startswith("schema") and fields == ["schema"]
        else:
            assert reason is not None and reason.startswith(f"{key}: ") and " is not allowed: " in reason, key
            assert fields == [key]


@pytest.mark.parametrize(
    ("path", "least", "most"),
    [
        (("datasets", "SQuAD", "em"), 0, 100),
        (("datasets", "SQuAD", "f1"), 0, 100),
        (("averages", "in_domain", "f1"), 0, 100),
        (("mask", "union_density"), 0, 1),
        (("mask", "density", "SQuAD"), 0, 1),
        (("mask", "by_kind", "SQuAD", "query"), 0, 1),
        (("mask", "overlap", "SQuAD", "HotpotQA"), 0, 1),
        (("deviation", "changed"), 0, 1),
        (("deviation", "total", "cosine"), -1, 1),
        (("deviation_by", "total", "relative"), 0, None),
        (("p_f",), None, 1),
        (("budget", "mask_steps"), 0, None),
        (("budget", "epochs"), 0, None),
        (("seconds",), 0, None),
        (("seed",), 0, None),
    ],
)
def test_the_ends_of_a_range_belong_to_it_and_nothing_beyond(
    record: dict[str, Any], tmp_path: Path, path: tuple[str, ...], least: int | None, most: int | None
) -> None:
    for end, beyond in ((least, -1), (most, 1)):
        if end is not None:
            assert told(tmp_path, record, path, end) == (None, [])
            step = beyond if path[-1] in ("mask_steps", "seed") else beyond * 1e-6
            reason, fields = told(tmp_path, record, path, end + step)
            assert reason is not None and fields == [".".join(path)]
    if path == ("p_f",):
        assert told(tmp_path, record, path, 0)[1] == ["p_f"]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("regime",), "multi", 'regime: "multi" is not allowed: mt or st-<dataset>'),
        (("datasets", "SQuAD"), 3, "datasets.SQuAD: 3 is not allowed: em, f1 and examples"),
        (("datasets", "SQuAD", "em"), None, "datasets.SQuAD.em: null is not allowed: a number of 0 to 100"),
        (("datasets",), {}, "datasets: missing: at least one, with em, f1 and examples"),
        (("datasets",), 3, "datasets: 3 is not allowed: an object with at least one dataset"),
        (("mask", "density"), [1], "mask.density: [1] is not allowed: an object"),
        (("git", "dirty"), 1, "git.dirty: 1 is not allowed: true or false"),
        (("from_hub",), [1], "from_hub: [1] is not allowed: a list of texts"),
        (
            ("predictions_sha256",),
            "0" * 63,
            f'predictions_sha256: "{"0" * 63}" is not allowed: 64 hexadecimal digits',
        ),
        (("predictions_sha256",), "0" * 64 + "\n", "predictions_sha256: "),
        (("arm",), "", 'arm: "" is not allowed: a text'),
    ],
)
def test_every_other_field_is_as_documented(
    record: dict[str, Any], tmp_path: Path, path: tuple[str, ...], value: Any, reason: str
) -> None:
    given, fields = told(tmp_path, record, path, value)
    assert (given or "").startswith(reason[:59])
    assert fields == [".".join(path)]


def test_a_foreign_key_is_left_alone_and_null_is_absent(record: dict[str, Any], tmp_path: Path) -> None:
    assert told(tmp_path, record, ("whatever",), {"deep": [-1, "x", None]}) == (None, [])
    for key in ("K", "p_f", "mask", "budget", "deviation", "git", "regularizer", "deviation_by", "from_hub"):
        assert told(tmp_path, record, (key,), None) == (None, [])


def test_what_is_wrong_and_optional_is_left_out_for_the_later_checks(
    record: dict[str, Any], tmp_path: Path
) -> None:
    """check goes on with what is sound; compare does not use the file."""
    changed = copy.deepcopy(record)
    changed["mask"]["density"]["SQuAD"] = 7
    changed["seconds"] = "long"
    changed["averages"]["in_domain"]["em"] = -3
    changed["budget"]["mask_steps"] = True
    (tmp_path / f"{CELL}.json").write_text(json.dumps(changed | {SEAL: seal(changed)}))
    assert [fault.reason[:12] for fault in read(tmp_path).faults] == ["averages.in_"]
    assert isinstance(read(tmp_path).faults[0], Fault)
    faults = check_folder(tmp_path).findings.faults
    assert sorted(fault.where for fault in faults if fault.check == "fields" and "json" in fault.file) == [
        "averages.in_domain.em",
        "budget.mask_steps",
        "mask.density.SQuAD",
        "seconds",
    ]
    assert [fault.where for fault in faults if fault.check == "files"] == [
        ""
    ]  # the Parquet, which is not there
