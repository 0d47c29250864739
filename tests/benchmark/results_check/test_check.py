"""`python -m benchmark.check`: honest folders pass, and every kind of doctored one is caught."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark import check
from benchmark.config import yaml_file
from benchmark.results_check import folder_check
from benchmark.results_check.findings import CHECKS
from benchmark.results_check.folder_check import check_folder
from benchmark.runs.seal import OWNER, SEAL, seal
from bmt.errors import ConfigError
from tests.support.repository import ROOT
from tests.support.results_maker import make_results, seed_noise

SIZES = {"SQuAD": 60, "HotpotQA": 40, "BioASQ": 30}
NONE, MASK, BMT = "roberta-base.mt.none.s0", "roberta-base.mt.mask.s0", "roberta-base.mt.bmt.s0"
SEVEN = "roberta-base.mt.none.s7"
ALL = tuple(f"{cell[:-1]}{seed}" for cell in (BMT, MASK, NONE) for seed in (0, 1))
Record = dict[str, Any]
Columns = dict[str, list[Any]]
Doctor = Callable[[Path], object]


# --- folders ------------------------------------------------------------------------------------------------


def read(folder: Path, cell: str) -> Record:
    return json.loads((folder / f"{cell}.json").read_text())


def write(folder: Path, cell: str, record: Record, sealed: bool = True) -> None:
    (folder / f"{cell}.json").write_text(json.dumps(record | ({SEAL: seal(record)} if sealed else {})))


def columns_of(folder: Path, cell: str) -> Columns:
    return pq.read_table(folder / f"{cell}.parquet").to_pydict()


def write_columns(folder: Path, cell: str, columns: Columns) -> None:
    pq.write_table(pa.table(columns), folder / f"{cell}.parquet", compression="zstd")


def settle(folder: Path, cell: str) -> None:
    """Make a JSON agree with its Parquet: counts, means, averages, digest and seal."""
    record, columns = read(folder, cell), columns_of(folder, cell)
    for name, entry in record["datasets"].items():
        rows = [row for row, dataset in enumerate(columns["dataset"]) if dataset == name]
        entry |= {
            metric: 100 * float(np.mean([columns[metric][row] for row in rows])) for metric in ("em", "f1")
        }
        entry |= {"examples": len(rows), "contexts": len({columns["context_id"][row] for row in rows})}
    for own in record["averages"].values():
        own |= {
            metric: float(np.mean([record["datasets"][name][metric] for name in own["datasets"]]))
            for metric in ("em", "f1")
        }
    record["predictions_sha256"] = hashlib.sha256((folder / f"{cell}.parquet").read_bytes()).hexdigest()
    write(folder, cell, record)


def answer(folder: Path, cell: str) -> None:
    """Give a fabricated result answers that score as it says: right, in part (F1 2/3) or wrong, each run
    wrong in its own way.
    """
    columns = columns_of(folder, cell)
    whole, part = np.array(columns["em"]) >= 0.5, np.array(columns["f1"]) >= 0.5
    draws = np.random.default_rng(int.from_bytes(hashlib.sha256(cell.encode()).digest()[:8], "big")).integers(
        0, 10**6, len(whole)
    )
    columns |= {
        "prediction": [
            f"The mill of {name}." if right else "mill" if half else f"house {draw}"
            for name, right, half, draw in zip(columns["example_id"], whole, part, draws, strict=True)
        ],
        "answers": [[f"mill of {name}", "an older mill"] for name in columns["example_id"]],
        "em": whole.astype(float),
        "f1": np.where(whole, 1.0, np.where(part, 2 / 3, 0.0)),
    }
    write_columns(folder, cell, columns)
    settle(folder, cell)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms by two seeds; every field is true of its predictions."""
    folder = tmp_path_factory.mktemp("honest")
    for cell in make_results(
        folder, seeds=(0, 1), sizes=SIZES, f1=lambda arm, name, seed: 60.0 + 5 * seed_noise(arm, name, seed)
    ):
        answer(folder, cell)
    return folder


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    return Path(shutil.copytree(honest, tmp_path / "results"))


def faults(folder: Path) -> list[str]:
    return [str(fault) for fault in check_folder(folder).findings.faults]


def notes(folder: Path) -> list[str]:
    return [note.text for note in check_folder(folder).findings.notes]


# --- doctors ------------------------------------------------------------------------------------------------


def edit(change: Callable[[Record], object], *cells: str, sealed: bool = True) -> Doctor:
    """Change the JSON of `cells` (default: NONE); sealed: as by one who computes its seal anew."""

    def doctor(folder: Path) -> None:
        for cell in cells or (NONE,):
            record = read(folder, cell)
            change(record)
            write(folder, cell, record, sealed)

    return doctor


def rewrite(change: Callable[[Columns], object], cell: str = NONE, settled: bool = True) -> Doctor:
    """Change a Parquet; settled: as by one who makes its JSON agree."""

    def doctor(folder: Path) -> None:
        columns = columns_of(folder, cell)
        change(columns)
        write_columns(folder, cell, columns)
        if settled:
            settle(folder, cell)

    return doctor


def value(column: str, row: int, new: Any) -> Callable[[Columns], None]:
    return lambda columns: columns[column].__setitem__(row, new)


def first(column: str, old: Any, other: str, new: Any) -> Callable[[Columns], None]:
    """Set `other` of the first row whose `column` is `old`."""
    return lambda columns: columns[other].__setitem__(columns[column].index(old), new)


def rows_dropped(low: int, high: int) -> Callable[[Columns], None]:
    return lambda columns: [column.__delitem__(slice(low, high)) for column in columns.values()] and None


def cut(name: str) -> Doctor:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:1000])


def text(name: str, content: str) -> Doctor:
    return lambda folder: (folder / name).write_text(content)


def remove(*names: str) -> Doctor:
    return lambda folder: [(folder / name).unlink() for name in names]


def passed_off(old: str, new: str, **fields: Any) -> Doctor:
    """Put a result under another name or in another's place, as its own: cell, `fields`, digest and seal made
    to fit.
    """

    def doctor(folder: Path) -> None:
        shutil.copy(folder / f"{old}.parquet", folder / f"{new}.parquet")
        write(folder, new, read(folder, old) | {"cell": new} | fields)

    return doctor


def after(*doctors: Doctor) -> Doctor:
    return lambda folder: [doctor(folder) for doctor in doctors]


def exchanged(a: str, b: str, sealed: bool) -> Doctor:
    """Exchange all that was measured between two runs; what they are called and were trained with stays."""

    def doctor(folder: Path) -> None:
        records, tables = (
            [read(folder, cell) for cell in (a, b)],
            [(folder / f"{cell}.parquet").read_bytes() for cell in (a, b)],
        )
        measured = [
            {key: record[key] for key in ("datasets", "averages", "predictions_sha256")} for record in records
        ]
        for cell, record, other, table in zip(
            (a, b), records, reversed(measured), reversed(tables), strict=True
        ):
            write(folder, cell, record | other, sealed)
            (folder / f"{cell}.parquet").write_bytes(table)

    return doctor


OVERLAP = {"SQuAD": {"SQuAD": 1.0, "HotpotQA": 0.1}, "HotpotQA": {"SQuAD": 0.1, "HotpotQA": 1.0}}

# check: what was done: (who did it, what the fault says; " … " stands for anything)
DOCTORED: dict[str, dict[str, tuple[Doctor, str]]] = {
    "files": {
        "a JSON cut short": (
            cut(f"{NONE}.json"),
            "none.s0.json: line 1: no JSON … ; needs one JSON object: an interrupted",
        ),
        "a Parquet cut short": (
            cut(f"{NONE}.parquet"),
            "none.s0.parquet: unreadable ( … ); truncated, no Parquet, or columns",
        ),
        "a Parquet removed": (
            remove(f"{NONE}.parquet"),
            "none.s0.parquet: absent; a run's per-example predictions belong beside its JSON",
        ),
        "a JSON removed": (
            remove(f"{NONE}.json"),
            "none.s0.parquet: no JSON beside it; predictions belong to a " + NONE,
        ),
        "no object": (
            text(f"{NONE}.json", "[1]"),
            "none.s0.json: [1] is not allowed: an object; needs one JSON object",
        ),
        "nested without end": (
            text(f"{NONE}.json", "[" * 10**5 + "]" * 10**5),
            "none.s0.json: no results: nested too deeply",
        ),
        "a key twice": (
            text(f"{NONE}.json", '{"arm": "none", "arm": "bmt"}'),
            "none.s0.json: arm: stands twice; allowed: once",
        ),
        "damaged facts": (
            text("table_7.json", "{}"),
            "table_7.json: schema null, table null are not allowed",
        ),
    },
    "fields": {
        "a field missing": (
            edit(lambda r: r.pop("seed")),
            "none.s0.json: seed: missing; allowed: a whole number, at least 0",
        ),
        "no name": (edit(lambda r: r.pop("cell")), "none.s0.json: cell: missing; allowed: a text"),
        "another type": (edit(lambda r: r.update(arm=7)), "none.s0.json: arm: 7; allowed: a text"),
        "NaN": (
            edit(lambda r: r["datasets"]["SQuAD"].update(f1=np.nan)),
            "datasets.SQuAD.f1: NaN; allowed: a number of 0 to 100",
        ),
        "infinity anywhere": (
            edit(lambda r: r["environment"].update(load=[1, np.inf])),
            "environment.load.1: Infinity; allowed: a finite",
        ),
        "out of range": (
            edit(lambda r: r["datasets"]["SQuAD"].update(em=130)),
            "datasets.SQuAD.em: 130; allowed: a number of 0 to 100",
        ),
        "no such regime": (
            edit(lambda r: r.update(regime="multi")),
            'regime: "multi"; allowed: mt or st-<dataset>',
        ),
        "no digest": (
            edit(lambda r: r.update(predictions_sha256="abc")),
            'predictions_sha256: "abc"; allowed: 64 hexadecimal digits',
        ),
        "a density above 1": (
            edit(lambda r: r["mask"].update(by_kind={"SQuAD": {"query": 2}}), BMT),
            "by_kind.SQuAD.query: 2; allowed",
        ),
        "a distance below 0": (
            edit(lambda r: r["deviation"].update(l2=-1)),
            "deviation.l2: -1; allowed: a finite number, at least 0",
        ),
        "NaN in the Parquet": (
            rewrite(value("em", 3, np.nan), settled=False),
            'em: nan for "SQuAD-000003"; allowed: a number of 0 to 1',
        ),
        "a score above 1": (
            rewrite(value("f1", 3, 1.5), settled=False),
            'f1: 1.5 for "SQuAD-000003"; allowed: a number of 0 to 1',
        ),
        "an infinite log-probability": (
            rewrite(value("score", 4, -np.inf)),
            'score: not finite for "SQuAD-000004"',
        ),
        "a null prediction": (
            rewrite(value("prediction", 3, None)),
            'prediction: null for "SQuAD-000003"; allowed: a value in every row',
        ),
        "a null answer": (
            rewrite(value("answers", 3, [None])),
            "answers: a null among the answers; allowed: lists of texts",
        ),
        "a column lost": (
            rewrite(lambda c: c.pop("f1"), settled=False),
            "none.s0.parquet: columns: no f1; needs dataset, example_id, ",
        ),
    },
    "digests": {
        "predictions behind the digest": (
            rewrite(value("prediction", 0, "mills"), settled=False),
            "sha256: … none.s0.parquet has",
        ),
        "a field behind the seal": (
            edit(lambda r: r.update(seconds=2.0), sealed=False),
            "record_sha256: … ; the fields have … was edited",
        ),
        "scores of two arms exchanged": (
            exchanged(NONE, BMT, sealed=False),
            "none.s0.json: record_sha256: … : a field was edited",
        ),
    },
    "means": {
        "a metric edited": (
            edit(lambda r: r["datasets"]["SQuAD"].update(f1=r["datasets"]["SQuAD"]["f1"] + 0.01)),
            "none.s0.json: datasets.SQuAD.f1: … ; the mean of its predictions is ",
        ),
        "an average edited": (
            edit(lambda r: r["averages"]["in_domain"].update(em=99)),
            "in_domain.em: 99; the mean of its 2 datasets",
        ),
        "a dataset left out of the average": (
            edit(
                lambda r: r["averages"]["in_domain"].update(
                    datasets=["SQuAD"], f1=r["datasets"]["SQuAD"]["f1"]
                )
            ),
            "averages.in_domain.datasets: over SQuAD; the datasets of this domain are SQuAD, HotpotQA",
        ),
        "an average of nothing": (
            edit(lambda r: r["averages"]["in_domain"].update(datasets=["RACE"])),
            "datasets: RACE; there are scores",
        ),
        "missing and there": (
            edit(lambda r: r["missing_datasets"].append("SQuAD")),
            "missing_datasets: SQuAD; these are scored under",
        ),
    },
    "scores": {
        "em and f1 edited": (
            rewrite(lambda c: c.update(em=[1.0] * 9 + c["em"][9:], f1=[1.0] * 9 + c["f1"][9:])),
            'SQuAD.em: 1 for "SQuAD- … has 0: restore',
        ),
        "f1 edited": (
            rewrite(first("f1", 0.0, "f1", 0.5)),
            'SQuAD.f1: 0.5 for "SQuAD- … ; the prediction "house … " has 0:',
        ),
        "a prediction edited": (
            rewrite(first("em", 1.0, "prediction", "mill")),
            'SQuAD.f1: 1 for … the prediction "mill" has 0.666667:',
        ),
        "em above f1": (
            rewrite(first("f1", 2 / 3, "em", 1.0)),
            "SQuAD: em 1, f1 0.666667 for … ; an exact match shares every word",
        ),
        "a little for every example": (
            rewrite(lambda c: c.update(f1=[max(0, f1 - 4e-4) for f1 in c["f1"]])),
            "f1: 0.9996 for … has 1:",
        ),
    },
    "examples": {
        "dropped": (
            rewrite(rows_dropped(2, 4), settled=False),
            "none.s0.json: datasets.SQuAD.examples: 60; its predictions are of 58",
        ),
        "dropped, and the figures with them": (
            rewrite(rows_dropped(2, 4)),
            'none.s0.parquet: SQuAD: lacks 2 ("SQuAD-000002", "SQuAD-000003"); 5 runs as '
            "roberta-base.mt.bmt.s0 answered 60: ",
        ),
        "exchanged": (
            rewrite(value("example_id", 2, "x")),
            'SQuAD: lacks 1 ("SQuAD-000002") and has besides 1 ("x"); 5 runs as',
        ),
        "twice": (
            rewrite(value("example_id", 2, "SQuAD-000003")),
            'SQuAD: "SQuAD-000003" more than once; one row per example',
        ),
        "of another context": (
            rewrite(value("context_id", 2, "SQuAD-c000009")),
            'context_id: "SQuAD-c000009" for "SQuAD-000002" of SQuAD; "SQuAD-c0',
        ),
        "with more answers": (
            rewrite(lambda c: c["answers"][2].append("house")),
            '"house", … ] for "SQuAD-000002" of SQuAD; ["an older mill',
        ),
        "a dataset dropped": (
            after(
                edit(lambda r: (r["datasets"].pop("BioASQ"), r["averages"].pop("out_of_domain"))),
                rewrite(rows_dropped(100, 130)),
            ),
            "none.s0.json: datasets: no BioASQ; roberta-base.mt.bmt.s0, … and 2 others have it",
        ),
        "a dataset without predictions": (
            rewrite(rows_dropped(100, 130), settled=False),
            "none.s0.parquet: BioASQ: no examples; the JSON",
        ),
        "a dataset without a score": (
            rewrite(value("dataset", 129, "x"), settled=False),
            "none.s0.parquet: x: 1 example; the JSON",
        ),
        "contexts miscounted": (
            edit(lambda r: r["datasets"]["SQuAD"].update(contexts=9)),
            "SQuAD.contexts: 9; its predictions are of 20",
        ),
    },
    "agreement": {
        "evaluator": (
            edit(lambda r: r.update(evaluator_version="squad/2")),
            'evaluator_version: "squad/2"; "mrqa-2019/1" in ',
        ),
        "profile": (
            edit(lambda r: r.update(profile="mini")),
            'none.s0.json: profile: "mini"; "paper" in roberta-base.mt.bmt.s0, ',
        ),
        "dev set": (
            edit(lambda r: r["datasets"]["SQuAD"].update(data_sha256="1" * 64)),
            "none.s0.json: datasets.SQuAD.data_sha256: ",
        ),
        "size": (
            rewrite(rows_dropped(2, 4)),
            "none.s0.json: datasets.SQuAD.examples: 58; 60 in roberta-base.mt.bmt.s0",
        ),
        "backbone": (
            edit(lambda r: r.update(backbone_revision="x@1")),
            'none.s0.json: backbone_revision: "x@1"; "FacebookAI/',
        ),
        "training set": (
            after(
                edit(lambda r: r.update(train_data_sha256={"SQuAD.train": "2"}), *ALL),
                edit(lambda r: r["train_data_sha256"].update({"SQuAD.train": "1"})),
            ),
            'none.s0.json: train_data_sha256.SQuAD.train: "1"; "2" in ',
        ),
    },
    "seeds": {
        "twice": (
            passed_off(NONE, "mine"),
            "roberta-base.mt.none.s0.json: seed: 0, as in mine; one file per run of roberta-base.mt.none",
        ),
        "copied under another number": (
            passed_off(NONE, SEVEN, seed=7),
            "none.s7.parquet: the predictions of roberta-base.mt.none.s0, all of them the same; two seeds "
            "never answer alike: one is",
        ),
        "copied and touched up": (
            after(passed_off(NONE, SEVEN, seed=7), rewrite(first("em", 0.0, "prediction", "barn"), SEVEN)),
            "none.s7.parquet: the predictions of roberta-base.mt.none.s0, 99.2% of them the same",
        ),
        "copied as another arm": (
            passed_off(NONE, MASK),
            "none.s0.parquet: the predictions of roberta-base.mt.mask.s0, all",
        ),
        "one tracked run in two files": (
            edit(lambda r: r.update(mlflow_run_id="f00"), NONE, BMT),
            "none.s0.json: mlflow_run_id: that of roberta-base.mt.bmt.s0; each",
        ),
    },
    "masks": {
        "a union below a density": (
            edit(lambda r: r["mask"].update(union_density=0.2), BMT),
            "union_density: 0.2; allowed: from 0.3 (the",
        ),
        "a union above the sum": (
            edit(lambda r: r["mask"].update(union_density=0.7), BMT),
            "union_density: 0.7; … to 0.6 (their sum)",
        ),
        "an overlap that the union excludes": (
            edit(lambda r: r["mask"].update(overlap=OVERLAP), BMT),
            "mask.overlap.HotpotQA.SQuAD: 0.1; then these two alone would open 0.5455, more than the union "
            "of all (0.45)",
        ),
        "an overlap on one side": (
            edit(
                lambda r: r["mask"].update(overlap={"SQuAD": {"HotpotQA": 0.5}, "HotpotQA": {"SQuAD": 0.6}}),
                BMT,
            ),
            "mask.overlap.SQuAD.HotpotQA: 0.5; the other way round it is 0.6",
        ),
        "a mask unlike itself": (
            edit(lambda r: r["mask"].update(overlap={"SQuAD": {"SQuAD": 0.5}}), BMT),
            "SQuAD.SQuAD: 0.5; a mask",
        ),
        "a density that no layer has": (
            edit(lambda r: r["mask"].update(by_layer={"SQuAD": {"layer_00": 0.4, "layer_01": 0.5}}), BMT),
            "mask.density.SQuAD: 0.3; mask.by_layer has 0.4 to 0.5",
        ),
        "another p_F": (
            edit(lambda r: r["mask"].update(p_f=0.3), MASK),
            "mask.s0.json: mask.p_f: 0.3; p_f of the run is 0.5",
        ),
        "another seed": (
            edit(lambda r: r["mask"].update(seed=4), MASK),
            "mask.s0.json: mask.seed: 4; the run's seed is 0",
        ),
        "closed weights that moved": (
            edit(lambda r: r["deviation"].update(changed=0.6), BMT),
            "changed: 0.6; the masks open 0.45 of",
        ),
        "a distance edited": (
            edit(lambda r: r["deviation"].update(l2=r["deviation"]["l2"] / 2), BMT),
            "bmt.s0.json: deviation: l2 / relative is 5; the pretrained weights of this backbone have the "
            "norm 10 in the other runs",
        ),
        "a whole that its layers do not make": (
            edit(
                lambda r: r.update(
                    deviation={"l2": 5.0}, deviation_by={"layer/a": {"l2": 3.0}, "layer/b": {"l2": 3.0}}
                ),
                BMT,
            ),
            "deviation.l2: 5; those of deviation_by.layer/* make 4.24264",
        ),
        "near and far": (
            edit(lambda r: r["deviation"].update(relative=0), BMT),
            "deviation.relative: 0; l2 is … : both are 0 or neither",
        ),
        "moved, and nothing changed": (
            edit(lambda r: r["deviation"].update(changed=0), BMT),
            "deviation.changed: 0; weights moved by ",
        ),
        "p_F without a mask": (
            edit(lambda r: r.update(p_f=0.5)),
            "none.s0.json: p_f: 0.5; a run without a mask has none",
        ),
        "mask steps without a mask": (
            edit(lambda r: r["budget"].update(mask_steps=18)),
            "budget.mask_steps: 18; a run without a",
        ),
    },
    "names": {
        "an arm's files renamed": (
            lambda folder: [
                (folder / f"{NONE}{kind}").replace(folder / f"{BMT}{kind}") for kind in (".json", ".parquet")
            ],
            'bmt.s0.json: cell: "roberta-base.mt.none.s0"; the file is called roberta-base.mt.bmt.s0: a '
            "renamed or relabelled file",
        ),
        "and its cell edited": (
            passed_off(NONE, BMT),
            'bmt.s0.json: arm: "none"; its name says "bmt": a result under another\'s name',
        ),
        "another seed's name": (
            passed_off(NONE, "roberta-base.mt.none.s3"),
            "none.s3.json: seed: 0; its name says 3",
        ),
        "a few-shot run's name": (
            passed_off(NONE, "roberta-base.mt.none.k16.s0"),
            "none.k16.s0.json: K: null; its name says 16",
        ),
    },
    "arms": {
        "no mask relabelled as BMT": (
            after(passed_off(NONE, BMT, arm="bmt"), remove(f"{NONE}.json", f"{NONE}.parquet")),
            'bmt.s0.json: mask.kind: "none"; profile paper declares the arm bmt with mask: learned: a file '
            "of another arm under this name",
        ),
        "random mask relabelled as BMT": (
            after(passed_off(MASK, BMT, arm="bmt"), remove(f"{MASK}.json", f"{MASK}.parquet")),
            "bmt.s0.json: p_f: 0.5; profile paper declares the arm bmt with p_f: null",
        ),
        "relabelled under a foreign profile": (
            after(edit(lambda r: r.update(profile="theirs"), *ALL), passed_off(BMT, NONE, arm="none")),
            'none.s1.json: mask.kind: "none"; "learned" in roberta-base.mt.none.s0',
        ),
        "multi-data relabelled as single-data": (
            edit(
                lambda r: r.update(
                    regime="st-SQuAD", train_data_sha256={"SQuAD.train": "1", "HotpotQA.train": "2"}
                )
            ),
            "train_data_sha256: SQuAD.train, HotpotQA.train; st-SQuAD trains on SQuAD.train alone",
        ),
        "a regularizer relabelled as no mask": (
            edit(lambda r: r.update(regularizer={"kind": "mixout", "strength": 0.9})),
            'none.s0.json: regularizer.kind: "mixout"; profile paper declares the arm none with '
            "regularizer: none",
        ),
        "another budget": (
            edit(lambda r: r["budget"].update(epochs=30)),
            "none.s1.json: budget.epochs: 3.0; 30.0 in roberta-base.mt.none",
        ),
    },
}


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, cases in DOCTORED.items() for name in cases]
)
def test_a_doctored_folder_is_caught(
    kind: str, name: str, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    doctor, said = DOCTORED[kind][name]
    doctor(copy)
    pattern = ".*".join(map(re.escape, said.split(" … ")))
    found = [fault for fault in check_folder(copy).findings.faults if fault.check == kind]
    assert any(re.search(pattern, str(fault)) for fault in found), faults(copy)
    assert check.main([str(copy)]) == 1
    out = capsys.readouterr().out
    assert re.search(f"^fault: .*{pattern}", out, re.MULTILINE)
    assert re.search(rf"^  {CHECKS[kind]} .* {len(found)} faults?$", out, re.MULTILINE)


def test_predictions_exchanged_under_new_digests_and_seals_are_told_by_their_own_metadata(copy: Path) -> None:
    """As evaluate writes it: whose predictions a Parquet holds stands in the file itself."""
    for cell in ALL:
        table = pq.read_table(copy / f"{cell}.parquet")
        pq.write_table(table.replace_schema_metadata({OWNER: f"paper/{cell}"}), copy / f"{cell}.parquet")
        settle(copy, cell)
    assert faults(copy) == []
    exchanged(NONE, BMT, sealed=True)(copy)
    assert [fault.split(": the predictions of another run")[0] for fault in faults(copy)] == [
        f'{BMT}.parquet: bmt.cell: "paper/{NONE}"; the JSON beside it is "paper/{BMT}"',
        f'{NONE}.parquet: bmt.cell: "paper/{BMT}"; the JSON beside it is "paper/{NONE}"',
    ]


@pytest.mark.parametrize(
    ("what", "doctor"),
    [
        (SEAL, edit(lambda r: r.pop(SEAL), sealed=False)),
        ("predictions_sha256", edit(lambda r: r.pop("predictions_sha256"))),
        ("usable columns prediction and answers", rewrite(lambda c: c.pop("prediction"))),
    ],
)
def test_what_a_run_of_the_same_commit_has_was_taken_out(what: str, doctor: Doctor, copy: Path) -> None:
    doctor(copy)
    last = f"{NONE[:-1]}1"
    assert (
        f"{NONE}.json: {what}: absent; {last}, of the same commit, has it: it was taken out: "
        in "\n".join(faults(copy))
    )
    edit(lambda r: r["git"].update(dirty=True), sealed=what != SEAL)(copy)
    assert faults(copy) == [] and notes(copy)[0].startswith(f"no {what} in {NONE} (1 of 6 runs): ")


def test_the_first_run_is_told_too_when_its_data_is_not_that_of_the_others(copy: Path) -> None:
    rewrite(value("answers", 2, ["house"]), BMT)(copy)
    rewrite(value("context_id", 4, "SQuAD-c000009"), BMT)(copy)
    told = [fault.split(": other data")[0] for fault in faults(copy) if "in the other runs" in fault]
    assert told == [
        f'{BMT}.parquet: context_id: "SQuAD-c000009" for "SQuAD-000004" of SQuAD; "SQuAD-c000001" in the '
        "other runs",
        f'{BMT}.parquet: answers: ["house"] for "SQuAD-000002" of SQuAD; ["an older mill", "mill of '
        'SQuAD-000002"] in the other runs',
    ]


def test_fabricated_scores_without_answers_that_have_them_are_told(tmp_path: Path) -> None:
    """The folders of the tests of compare have means, and no answers to show for them."""
    make_results(tmp_path, sizes={"SQuAD": 10}, seeds=[0], arms=["none"], f1=lambda *_: 50.0)
    columns = columns_of(tmp_path, NONE)
    wrong = {
        m: [name for name, score in zip(columns["example_id"], columns[m], strict=True) if score < 1]
        for m in ("em", "f1")
    }
    assert (len(wrong["em"]), len(wrong["f1"])) == (6, 5)
    assert [
        re.sub("[0-9a-f]{12}…", "…", fault).removesuffix(": restore the file, or evaluate the run again")
        for fault in faults(tmp_path)
    ] == [
        f"{NONE}.json: predictions_sha256: …; {NONE}.parquet has …",
        *(
            f'{NONE}.parquet: SQuAD.{m}: 0 for "{a}", "{b}", "{c}" and {len(rest)} others; the prediction '
            '"an answer" has 1'
            for m, (a, b, c, *rest) in wrong.items()
        ),
    ]


def test_mixed_profiles_are_told_from_the_one_that_is_asked_for(copy: Path) -> None:
    edit(lambda r: r.update(profile="mini"), *ALL)(copy)
    assert [str(fault) for fault in check_folder(copy).findings.faults if fault.check == "agreement"] == []
    asked = [
        str(fault) for fault in check_folder(copy, "paper").findings.faults if fault.check == "agreement"
    ]
    assert len(asked) == 6 and asked[0].startswith(
        'roberta-base.mt.bmt.s0.json: profile: "mini"; this folder is of "paper": '
    )


# --- what must pass -----------------------------------------------------------------------------------------


def test_an_honest_folder_has_no_fault_and_nothing_unchecked(
    honest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checked = check_folder(honest)
    assert checked.findings.faults == []
    assert checked.findings.notes == []
    assert (checked.runs, checked.predictions, checked.profile) == (6, 6 * 130, "paper")
    assert check.main([str(honest), "--strict"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.endswith("\n\nno fault\n")
    pairs = {
        (name, answer)
        for cell in ALL
        for name, answer in zip(*map(columns_of(honest, cell).get, ("example_id", "prediction")))
    }
    assert re.search(f"780 predictions, {len(pairs)} distinct +ok\n", said.out) and "\x1b" not in said.out


def test_rows_may_stand_in_any_order_and_columns_have_any_text_type(copy: Path) -> None:
    def shuffled(columns: Columns) -> None:
        order = np.random.default_rng(0).permutation(130)
        columns.update({key: [column[row] for row in order] for key, column in columns.items()})

    rewrite(shuffled)(copy)
    table = pq.read_table(copy / f"{BMT}.parquet")
    large = table["answers"].cast(pa.large_list(pa.large_string()))
    small = {
        "dataset": table["dataset"].cast(pa.dictionary(pa.int32(), pa.string())),
        "f1": table["f1"].cast(pa.float32()),
    }
    columns = {name: small.get(name, table[name]) for name in table.column_names} | {"answers": large}
    pq.write_table(pa.table(columns), copy / f"{BMT}.parquet")
    settle(copy, BMT)
    assert faults(copy) == []


def test_results_of_anybody_s_code_pass_and_what_could_not_be_checked_is_said(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fields that docs/compare.md requires and no others, names of somebody's own, means rounded."""
    kept = ("schema", "profile", "backbone", "regime", "arm", "seed")
    for number, cell in enumerate(ALL):
        record, columns = read(copy, cell), columns_of(copy, cell)
        scores = {
            name: {"em": round(entry["em"], 2), "f1": round(entry["f1"], 2), "examples": entry["examples"]}
            for name, entry in record["datasets"].items()
        }
        write(
            copy,
            f"run {number}",
            {key: record[key] for key in kept} | {"cell": f"run {number}", "datasets": scores},
            sealed=False,
        )
        write_columns(
            copy,
            f"run {number}",
            {key: columns[key] for key in ("dataset", "example_id", "context_id", "em", "f1")},
        )
        remove(f"{cell}.json", f"{cell}.parquet")(copy)
    assert faults(copy) == []
    assert notes(copy) == [
        "no record_sha256 in any run: an edit of a JSON that agrees with itself is not seen",
        "no predictions_sha256 in any run: an edit of a Parquet that agrees with itself is not seen",
        "no usable columns prediction and answers in any run: their EM and F1 are taken on trust",
        "no evaluator_version in any run: that one evaluator scored them all is taken on trust",
        "no data_sha256 in any run: which data was scored is known by its examples only",
        "no deviation in any run: how far these runs moved is not known",
        "no mask beside budget.mask_steps in any run: an arm under another's name is not seen by it",
        "no trained run (runs/<profile>/<cell>), and no record_sha256, in any run: "
        "that scores were not exchanged between arms is taken on trust",
    ]
    assert check.main([str(copy)]) == 0
    assert check.main([str(copy), "--strict"]) == 1
    assert "no fault, but --strict: 8 things could not be checked" in capsys.readouterr().out


def test_rounded_scores_are_those_of_their_predictions(copy: Path) -> None:
    for decimals in (5, 4, 3, 2):
        rewrite(lambda columns, d=decimals: columns.update(f1=[round(f1, d) for f1 in columns["f1"]]))(copy)
        assert faults(copy) == []
    rewrite(first("f1", 0.67, "f1", 0.66))(copy)
    assert len(faults(copy)) == 1 and " has 0.666667: " in faults(copy)[0]


@pytest.mark.parametrize("decimals", range(2, 7))
@pytest.mark.parametrize("units", [-1, 1])
def test_a_rounded_score_off_by_one_unit_is_told(decimals: int, units: int, copy: Path) -> None:
    """Of 2/3, and of a whole score where there is room below it."""
    wrong = round(2 / 3, decimals) + units / 10**decimals
    rewrite(first("f1", 2 / 3, "f1", wrong))(copy)
    assert [fault for fault in faults(copy) if f"f1: {wrong:.6g} for " in fault and "0.666667" in fault]
    rewrite(first("em", 1.0, "em", 1 - 1 / 10**decimals))(copy)
    assert [fault for fault in faults(copy) if f"em: {1 - 1 / 10**decimals:.6g} for " in fault]


def test_scores_in_single_precision_and_rounded_in_it_are_the_right_ones(copy: Path) -> None:
    for decimals in (8, 6, 5, 4, 3, 2):
        rewrite(
            lambda columns, d=decimals: columns.update(
                f1=np.round(np.array(columns["f1"], np.float32), d).astype(float).tolist()
            )
        )(copy)
        assert faults(copy) == []


def test_scores_of_another_evaluator_are_not_scored_again(copy: Path) -> None:
    rewrite(first("em", 1.0, "prediction", "mill"))(copy)
    edit(lambda r: r.update(evaluator_version="squad/2"), *ALL)(copy)
    assert faults(copy) == []
    assert f"scored by another evaluator than mrqa-2019/1, so not scored again: {', '.join(ALL)}" in notes(
        copy
    )


@pytest.mark.parametrize("kept", [("prediction", "answers"), ()])
def test_answers_without_model_scores_are_a_copy_only_where_they_are_many(
    kept: tuple[str, ...], tmp_path: Path
) -> None:
    """300 equal answers are no chance, 299 may be."""
    for size, expected in (
        (100, [f"{NONE[:-1]}1.parquet: the predictions of {NONE}, all of them the same"]),
        (99, []),
    ):
        folder = tmp_path / str(size)
        for cell in make_results(
            folder, arms=["none"], seeds=(0, 1), sizes={"SQuAD": 100, "HotpotQA": 100, "BioASQ": size}
        ):
            answer(folder, cell)
        bare = {
            key: columns_of(folder, NONE)[key]
            for key in ("dataset", "example_id", "context_id", "em", "f1", *kept)
        }
        for cell in (NONE, f"{NONE[:-1]}1"):
            write_columns(folder, cell, bare)
            settle(folder, cell)
        assert [fault.split(";")[0] for fault in faults(folder)] == expected


def test_masks_that_change_while_theta_is_tuned_may_have_let_more_weights_move(copy: Path) -> None:
    for about in (
        {"schedule": "two_phase"},
        {"schedule": "refresh"},
        {"scope": "per_batch"},
        {"targets": ["x"]},
    ):
        edit(lambda r, about=about: (r["deviation"].update(changed=0.9), r["mask"].update(about=about)), BMT)(
            copy
        )
        told = [fault for fault in faults(copy) if "deviation.changed: 0.9" in fault]
        assert told == faults(copy) and len(told) == (about == {"schedule": "two_phase"})


def test_few_shot_runs_leave_out_what_they_were_tuned_on(tmp_path: Path) -> None:
    full = make_results(tmp_path, arms=["bmt"], sizes=SIZES, seeds=[0, 1])
    shots = make_results(
        tmp_path, arms=["bmt"], sizes=SIZES, seeds=[0, 1], K=4, f1=lambda arm, name, seed: 50.0 + seed
    )
    for cell in (*full, *shots):
        answer(tmp_path, cell)
    for seed, cell in enumerate(shots):
        rewrite(rows_dropped(4 * seed, 4 * seed + 4), cell)(tmp_path)
    assert faults(tmp_path) == []
    rewrite(value("example_id", 0, "mine"), shots[0])(tmp_path)
    assert [fault for fault in faults(tmp_path) if "examples" in fault] == [
        f'{shots[0]}.parquet: SQuAD: has besides 1 ("mine"); 2 runs as {full[0]} answered 60: '
        "examples were dropped or added: evaluate the run again, on the same data"
    ]


def test_a_mask_that_lets_all_through_may_answer_as_no_mask(copy: Path) -> None:
    """p_F 1 is no mask, bit for bit; the same under another seed is a copy."""
    edit(lambda r: r.update(profile="theirs"), *ALL)(copy)
    passed_off(
        NONE, "theirs.mt.all.s0", arm="all", backbone="theirs", p_f=1.0, mask={"kind": "random", "p_f": 1.0}
    )(copy)
    assert faults(copy) == []
    edit(lambda r: r.update(p_f=0.9, mask={"kind": "random", "p_f": 0.9}), "theirs.mt.all.s0")(copy)
    assert [fault.split(";")[0] for fault in faults(copy)] == [
        "theirs.mt.all.s0.parquet: the predictions of roberta-base.mt.none.s0, all of them the same"
    ]


def test_a_mask_that_lets_all_through_under_another_seed_is_a_copy(copy: Path) -> None:
    edit(lambda r: r.update(profile="theirs"), *ALL)(copy)
    fields = {"arm": "all", "backbone": "theirs", "p_f": 1.0, "mask": {"kind": "random", "p_f": 1.0}}
    passed_off(NONE, "theirs.mt.all.s7", seed=7, **fields)(copy)
    assert [fault.split(";")[0] for fault in faults(copy)] == [
        "theirs.mt.all.s7.parquet: the predictions of roberta-base.mt.none.s0, all of them the same"
    ]


# --- this project's own results -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three cells of a tiny BERT, trained and evaluated by its own commands."""
    from benchmark import fetch
    from benchmark.acquisition.feature_files import prepare
    from benchmark.acquisition.sample_corpus import write as write_corpus
    from benchmark.config.cells import parse
    from benchmark.config.params import load
    from benchmark.runs.evaluation_run import evaluate_cell
    from benchmark.runs.training_run import train_cell
    from tests.support import project

    root, corpus = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(root))
        patch.setenv("BMT_TRACKING", "journal")
        project.write_bert(root / "backbones" / "bert", project.corpus_texts(corpus))
        cells = [f"bert.mt.{arm}.s0" for arm in ("none", "mask", "bmt")]
        project.write_params(root, project.params(["bert"], cells, manifest=str(corpus)))
        assert fetch.main([]) == 0
        prepare(load(), workers=1)
        for name in cells:
            train_cell(load(), parse(name))
            evaluate_cell(load(), parse(name))
    return root


@pytest.fixture
def project_copy(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "root"
    shutil.copytree(trained / "results", root / "results")
    shutil.copytree(trained / "runs", root / "runs", ignore=shutil.ignore_patterns("model", "journal"))
    shutil.copy(trained / "params.yaml", root)
    monkeypatch.setenv("BMT_ROOT", str(root))
    return root


def test_results_as_evaluate_writes_them_pass(project_copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main([]) == 0
    said = capsys.readouterr().out
    assert "3 runs of profile tiny, 72 predictions" in said and "fault: " not in said
    assert re.search(r"results against the trained runs +3 of 3 runs +ok", said)
    unchecked = [line for line in said.splitlines() if line.startswith("not checked: ")]
    assert all("record_sha256" in line for line in unchecked)  # none at all once evaluate seals its results
    assert check.main(["--profile", "tiny"]) == 0


def test_arms_exchanged_under_a_new_seal_are_told_by_the_trained_runs(project_copy: Path) -> None:
    folder, run = project_copy / "results" / "tiny", project_copy / "runs" / "tiny" / "bert.mt.none.s0"
    rewrite(
        lambda columns: columns["prediction"].__setitem__(0, columns["answers"][0][0]),
        "bert.mt.none.s0",
        settled=False,
    )(folder)
    rewrite(
        lambda columns: [columns[metric].__setitem__(0, 1.0) for metric in ("em", "f1")], "bert.mt.none.s0"
    )(folder)
    averages = read(folder, "bert.mt.none.s0")[
        "averages"
    ]  # these tiny models all answer alike: let one know one answer
    (run / "metrics.json").write_text(
        json.dumps({metric: {key: own[metric] for key, own in averages.items()} for metric in ("em", "f1")})
    )
    assert faults(folder) == []
    before = {cell: read(folder, cell)["averages"] for cell in ("bert.mt.none.s0", "bert.mt.bmt.s0")}
    exchanged(*before, sealed=True)(folder)
    expected = {
        f"{cell}.json: averages.{domain}.{metric}: {json.dumps(theirs[domain][metric])}"
        for (cell, mine), theirs in zip(before.items(), reversed(before.values()), strict=True)
        for domain in mine
        for metric in ("em", "f1")
        if mine[domain][metric] != theirs[domain][metric]
    }
    assert (
        len(expected) >= 4
        and {fault.split(";")[0] for fault in faults(folder) if "metrics.json" in fault} == expected
    )


def test_results_of_another_training_are_told(project_copy: Path) -> None:
    path = project_copy / "runs" / "tiny" / "bert.mt.bmt.s0" / "training.json"
    record = json.loads(path.read_text())
    record["deviation"]["total"]["l2"] *= 2
    path.write_text(json.dumps(record | {"mlflow_run_id": "f00"}))
    found = faults(project_copy / "results" / "tiny")
    assert [re.sub(r".*json: (\w+): .*", r"\1", fault) for fault in found] == ["mlflow_run_id", "deviation"]
    assert (
        '; bert.mt.bmt.s0/training.json of the trained run has "f00": the scores of another training'
        in found[0]
    )


def test_averages_other_than_those_that_evaluation_wrote_for_dvc_are_told(project_copy: Path) -> None:
    """Also where the result has none at all."""
    path = project_copy / "runs" / "tiny" / "bert.mt.bmt.s0" / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps(metrics | {"f1": {**metrics["f1"], "nowhere": 12.5}}))
    assert [fault.split(": the scores")[0] for fault in faults(project_copy / "results" / "tiny")] == [
        "bert.mt.bmt.s0.json: averages.nowhere.f1: null; "
        "bert.mt.bmt.s0/metrics.json of the trained run has 12.5"
    ]


def paths(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every field of a record, nested ones too."""
    if not isinstance(node, dict):
        return []
    return [place for key, value in node.items() for place in [(*path, key), *paths(value, (*path, key))]]


@pytest.mark.parametrize(
    "junk", [None, -1.5, [[]], {"": None}, 10**400, "\ud800"], ids=lambda junk: repr(junk)[:12]
)
def test_whatever_stands_in_a_field_gives_lines_and_no_traceback(
    junk: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = make_results(
        tmp_path, arms=["bmt"], seeds=[0], sizes={"SQuAD": 3, "BioASQ": 3}, change=more_fields
    )
    answer(tmp_path, cell)
    # The profiles that the check reads stay as they are: their YAML is parsed once, not for every field.
    parse = functools.cache(yaml_file.parse_yaml)
    monkeypatch.setattr(yaml_file, "parse_yaml", lambda *given: deepcopy(parse(*given)))
    assert faults(tmp_path) == []
    whole = read(tmp_path, cell)
    for *parents, last in paths(whole):
        record = json.loads(json.dumps(whole))
        parent = record
        for key in parents:
            parent = parent[key]
        if junk is None and (parent[last] is None or last == SEAL):
            continue  # as it is; and a result need not be sealed
        parent[last] = junk
        (tmp_path / f"{cell}.json").write_text(json.dumps(record))
        assert check.main([str(tmp_path)]) == 1
        said = capsys.readouterr().out.splitlines()
        assert any(line.startswith(f"fault: {cell}.json: ") for line in said)  # the seal, if nothing else


def more_fields(record: Record) -> None:
    """What evaluate writes besides."""
    record["mask"] |= {
        "union_density": 0.3,
        "overlap": {"SQuAD": {"SQuAD": 1.0}},
        "by_layer": {"SQuAD": {"a": 0.3}},
        "about": {"seed": 0},
    }
    record |= {
        "deviation_by": {"total": record["deviation"], "layer/a": record["deviation"]},
        "regularizer": None,
    }
    record["train_data_sha256"] = {"SQuAD.train": "1"}


# --- the command --------------------------------------------------------------------------------------------


def test_the_json_is_whole(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(lambda r: r.update(arm=7))(copy)
    assert check.main([str(copy), "--format", "json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert list(said) == [
        "folder",
        "profile",
        "runs",
        "predictions",
        "status",
        "checks",
        "faults",
        "not_checked",
    ]
    assert (said["folder"], said["profile"], said["runs"], said["status"]) == (str(copy), "paper", 5, 1)
    assert [entry["check"] for entry in said["checks"]] == list(CHECKS)
    assert [entry["faults"] for entry in said["checks"] if entry["check"] == "fields"] == [1]
    assert said["faults"] == [
        {
            "check": "fields",
            "file": f"{NONE}.json",
            "where": "arm",
            "found": "7",
            "expected": "allowed: a text",
            "advice": "restore the file, or evaluate the run again",
            "line": f"{NONE}.json: arm: 7; allowed: a text: restore the file, or evaluate the run again",
        }
    ]


def test_usage_and_unreadable_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ConfigError, match=r"nowhere: no such folder: name one of <cell>\.json and <cell>\.parquet"
    ):
        check.main([str(tmp_path / "nowhere")])
    with pytest.raises(ConfigError, match=r"no results there: needs <cell>\.json and <cell>\.parquet"):
        check.main([str(tmp_path)])
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    with pytest.raises(ConfigError, match=r"^--profile mini: not allowed: .* a folder results/mini$"):
        check.main(["--profile", "mini"])
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "mini.yaml").write_bytes((ROOT / "profiles" / "mini.yaml").read_bytes())
    for option, value in (("--profile", "mini"), ("--params", str(tmp_path / "profiles" / "mini.yaml"))):
        with pytest.raises(ConfigError, match=r"^--profile mini: .*results/mini: no such folder"):
            check.main([option, value])
    with pytest.raises(SystemExit) as left:
        check.main([str(tmp_path), "--format", "html"])
    assert left.value.code == 2


def test_the_command_starts_without_torch_and_leaves_with_its_status(copy: Path, tmp_path: Path) -> None:
    script = "import sys; sys.argv[0] = 'check'; from benchmark import check; s = check.main(sys.argv[1:]); "
    script += "print(sorted({'torch', 'mlflow', 'dvc', 'transformers'} & set(sys.modules)), s)"
    done = subprocess.run(
        [sys.executable, "-c", script, str(copy)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("[] 0\n") and done.stderr == ""
    (copy / os.fsdecode(b"\xff.json")).write_text("{")
    for arguments, status in (([str(copy)], 1), ([str(tmp_path / "nowhere")], 2)):
        done = subprocess.run(
            [sys.executable, "-m", "benchmark.check", *arguments], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == status and "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_large_folders_show_progress(
    honest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folder_check, "LARGE", 780)
    assert check.main([str(honest)]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.split(" in ")[0] for line in said] == [
        "read: 0 of 780 predictions",
        "read: 780 predictions",
        "score: 0 of 780 predictions",
        "score: 780 predictions",
    ]


def test_a_terminal_gets_colours(
    honest: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert check.main([str(honest)]) == 0
    said = capsys.readouterr().out
    assert "\x1b[1;32mno fault\x1b[0m" in said and "\x1b[32mok " in said


def test_the_seal_is_a_digest_of_all_fields_but_itself(tmp_path: Path) -> None:
    record = {"b": [1, 2.5], "a": {"x": None, "é": True}}
    assert seal(record) == hashlib.sha256('{"a":{"x":null,"é":true},"b":[1,2.5]}'.encode()).hexdigest()
    assert (
        seal(record | {SEAL: "0" * 64}) == seal(record) == seal({"a": {"é": True, "x": None}, "b": (1, 2.5)})
    )
