"""A published model's run in its parts: which model, which questions, what is kept and what is told."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.config.backbones import Located
from benchmark.config.cells import Cell
from benchmark.config.params import Config, load
from benchmark.runs import published_run
from benchmark.runs.published_run import Generator
from bmt.errors import DataError
from bmt.qa.generation_settings import GenerationSettings
from bmt.qa.mrqa import Example
from bmt.runtime.files import write_json
from tests.support.repository import ROOT

RECORD = {"answers": ["a", "b"], "tokens": 9, "cut": 1, "seconds": 2.0}


def config_with(**heads: str) -> Config:
    """The sample profile with backbones of these heads."""
    config = load(ROOT / "profiles" / "sample.yaml")
    minilm = config.backbones["minilm"]
    return replace(config, backbones={name: replace(minilm, head=head) for name, head in heads.items()})


@pytest.mark.parametrize(
    ("source", "revision", "commit", "identity"),
    [
        ("hub", "pinned", "noted", "located"),
        ("hub", None, "noted", "org/name@noted"),
        ("hub", None, None, "org/name@unknown"),
        ("folder", None, "noted", "located"),
    ],
)
def test_a_model_is_named_by_its_pin_its_weights_or_the_commit_that_was_there(
    source: str, revision: str | None, commit: str | None, identity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_with(writer="generate")
    backbone = replace(config.backbones["writer"], source=source, name="org/name", revision=revision)
    moved: list[Any] = []
    model = SimpleNamespace(to=moved.append, config=SimpleNamespace(_commit_hash=commit))
    monkeypatch.setattr(published_run, "locate", lambda *given: Located("place", revision, "located"))
    monkeypatch.setattr(
        published_run, "open_generator", lambda place, revision: (model, f"of {place} {revision}")
    )
    monkeypatch.setattr(published_run, "rank_device", lambda: "device")
    settings = GenerationSettings(beams=3)
    generator = published_run._open(config, "writer", backbone, settings)
    assert generator == Generator(
        model, f"of place {revision}", identity, settings, config.training.evaluation_batch
    )
    assert moved == ["device"]


def example(row: int) -> Example:
    return Example(f"q{row}", "DROP", f"Which {row}?", f"Context {row}.", f"c{row}", (f"a{row}", "b"), ())


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Generator:
    """One whose answers count the calls."""
    calls: list[Any] = []

    def write(model: Any, tokenizer: Any, texts: list[str], settings: Any, batch: int, progress: Any) -> Any:
        assert (tokenizer, batch) == ("tokenizer", 4)
        calls.append(texts)
        progress(len(texts), "a note")
        return [SimpleNamespace(text=f"{len(calls)}", tokens=5, cut=row == 1) for row in range(len(texts))]

    monkeypatch.setattr(published_run, "write_answers", write)
    return Generator(calls, "tokenizer", "w", GenerationSettings(), 4)


def test_a_dataset_s_answers_are_kept_under_all_that_decides_them(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Any] = []
    bar: Any = SimpleNamespace(advance=lambda count, note: bars.append((count, note)))
    examples = [example(row) for row in (0, 1)]

    def record(of: Generator = generator, name: str = "DROP", sha256: str = "s", count: int = 2) -> Any:
        return published_run._record(of, tmp_path, name, sha256, examples[:count], bar)

    first = record()
    assert first["answers"] == ["1", "1"] and (first["tokens"], first["cut"]) == (10, 1)
    assert first["seconds"] >= 0 and set(first) == {"answers", "tokens", "cut", "seconds"}
    assert generator.model == [["which 0? \\n context 0.", "which 1? \\n context 1."]]
    assert record() == first and len(generator.model) == 1  # it is read again
    assert bars == [(2, "DROP"), (2, "DROP")]
    others = [
        record(replace(generator, identity="v")),
        record(replace(generator, settings=GenerationSettings(answer_tokens=3))),
        record(name="RACE"),
        record(sha256="t"),
        record(count=1),
    ]
    monkeypatch.setattr(published_run, "stage_code", lambda stage: {stage: "edited"})
    others.append(record())
    assert [other["answers"][0] for other in others] == ["2", "3", "4", "5", "6", "7"]
    assert len(list(tmp_path.glob("DROP-*.json"))) == 6


def test_a_result_names_the_files_of_the_hub_s_copy_and_its_run_and_keeps_no_record_beside_it(
    generator: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    config = config_with(writer="generate")
    config = replace(config, data=replace(config.data, evaluate=["SQuAD", "DROP", "RACE"], dev_cap=2))
    sources = {"BioASQ": "hub", "DROP": "http", "RACE": "sample", "DuoRC": "file", "TextbookQA": "by hand"}
    written: list[Any] = []
    inputs: list[Any] = []
    tracker = SimpleNamespace(
        reference="its run",
        log=lambda *given, **named: None,
        data_input=lambda name, folder, **more: inputs.append((name, more)),
    )
    patch = monkeypatch.setattr
    patch(published_run, "use_threads", lambda config: None)
    patch(published_run, "_open", lambda *given: generator)
    patch(published_run, "dev_files", lambda *given: {name: Path(name) for name in (*sources, "unknown")})
    patch(published_run, "file_digest", lambda path: str(path)[:1] * 64)
    patch(published_run, "read_mrqa", lambda path: map(example, range(3)))
    patch(published_run, "origins", lambda raw: {name[:1] * 64: source for name, source in sources.items()})
    patch(published_run, "tracked_run", lambda *given: nullcontext(tracker))
    patch(published_run, "keep_results", lambda *given: written.append(given))
    published_run.score_published(config, None, GenerationSettings(), "p.yaml")
    ((_, scores, params, record),) = written
    assert (params, record["profile"], record["mlflow_run_id"]) == ("p.yaml", "sample", "its run")
    assert record["from_hub"] == ["BioASQ.dev"]
    assert [len(texts) for texts in generator.model] == [2] * 6  # dev_cap of the three
    assert inputs[0] == ("BioASQ.dev", {"digest": "B" * 32, "context": "evaluation"})
    assert len(inputs) == 6 and scores.datasets["BioASQ"]["data_sha256"] == "B" * 64
    assert not list((tmp_path / ".checkpoints" / "zero_shot").iterdir())


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        ({}, True),
        ({"answers": ["a"]}, False),
        ({"answers": None}, False),
        ({"tokens": ...}, False),
        ({"cut": ...}, False),
        ({"seconds": ...}, False),
        ({"answers": ...}, False),
    ],
)
def test_a_kept_record_is_whole_or_none(change: dict[str, Any], whole: bool, tmp_path: Path) -> None:
    values = {key: value for key, value in (RECORD | change).items() if value is not ...}
    write_json(tmp_path / "r.json", values)
    assert published_run.read_kept(tmp_path / "r.json", 2) == (values if whole else None)
    (tmp_path / "r.json").write_text("[]")
    assert published_run.read_kept(tmp_path / "r.json", 2) is None
    assert published_run.read_kept(tmp_path / "none.json", 2) is None


def test_the_result_sums_its_datasets_and_has_no_seed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_run.environment, "peak_memory_mb", lambda: 7.5)
    generator = Generator(None, None, "the weights", GenerationSettings(beams=2), 4)
    records = {"DROP": RECORD, "RACE": RECORD | {"tokens": 3, "cut": 0, "seconds": 4.0}}
    cell = Cell("writer", "mt", "zero_shot", False, 0)
    record = published_run.result_record(cell, generator, records)
    assert record == {
        "cell": "writer.mt.zero_shot.s0",
        "backbone": "writer",
        "regime": "mt",
        "arm": "zero_shot",
        "adapter": False,
        "seed": 0,
        "K": None,
        "p_f": None,
        "mask": None,
        "regularizer": None,
        "backbone_revision": "the weights",
        "generation": asdict(generator.settings) | {"cut": {"DROP": 1, "RACE": 0}},
        "seconds": 6.0,
        "tokens_per_second": 2.0,
        "peak_memory_mb": 7.5,
    }
    at_once = {"DROP": RECORD | {"seconds": 0.0}}
    assert published_run.result_record(cell, generator, at_once)["tokens_per_second"] == 0.0


def test_the_dev_files_out_of_domain_that_the_profile_scores_and_has(tmp_path: Path) -> None:
    config = config_with(writer="generate")
    config = replace(config, data=replace(config.data, evaluate=["SQuAD", "RACE", "DROP"]))
    with pytest.raises(DataError) as caught:
        published_run.dev_files(config, tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: no dev file of DROP, RACE: name some in data.evaluate")
    none = replace(config, data=replace(config.data, evaluate=["SQuAD"]))
    for name in ("in_domain/SQuAD.dev", "out_of_domain/RACE.dev", "out_of_domain/BioASQ.dev"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.jsonl.gz").touch()
    path = tmp_path / "out_of_domain" / "RACE.dev.jsonl.gz"
    assert published_run.dev_files(config, tmp_path) == {"RACE": path}
    with pytest.raises(DataError, match="no dev file of a dataset out of domain: name some"):
        published_run.dev_files(none, tmp_path)


def test_examples_as_a_table_have_ids_contexts_and_every_answer() -> None:
    assert published_run.table_of([example(3), example(1)]).to_pylist() == [
        {"id": "q3", "context_id": "c3", "answers": ["a3", "b"]},
        {"id": "q1", "context_id": "c1", "answers": ["a1", "b"]},
    ]
