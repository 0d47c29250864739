"""UnifiedQA's row of Table 8: the exact input, answers as plain transformers writes them, results that
compare, check and plan find.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from benchmark import check, compare, fetch, plan, unifiedqa
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.comparison.matching import Match
from benchmark.comparison.report import CellResult
from benchmark.config.cells import parse
from benchmark.config.params import Config, find_cell, load
from benchmark.paper import tables as papers
from benchmark.runs import published_run
from bmt.errors import ConfigError, DataError, ModelError
from bmt.qa.generation import input_text, open_generator, write_answers
from bmt.qa.generation_settings import GenerationSettings
from bmt.qa.metrics import f1
from bmt.qa.mrqa import read_mrqa
from tests.support import project

CELL = "writer.mt.zero_shot.s0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of profile `paper` with a tiny model that writes, one that does not, and the dev files of two
    datasets out of domain.
    """
    root, corpus = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    texts = project.corpus_texts(corpus)
    project.write_whole_t5(root / "backbones" / "writer", texts)
    project.write_t5(root / "backbones" / "reader", texts)
    project.write_bert(root / "backbones" / "bert", texts)
    values = project.params(
        ["writer", "reader", "bert"], ["bert.mt.none.s0"], manifest=str(corpus), profile="paper"
    )
    values["backbones"]["writer"]["head"] = "generate"
    project.write_params(root, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(root))
        assert fetch.main([]) == 0
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it for one test."""
    for kept in ("backbones", "data"):
        shutil.copytree(made / kept, tmp_path / kept)
    shutil.copy(made / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    return tmp_path


def changed(root: Path, **heads: Any) -> Config:
    """The project with other keys of its backbones: name=head, or name={key: value}."""
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    for name, new in heads.items():
        values["backbones"][name] |= new if isinstance(new, dict) else {"head": new}
    project.write_params(root, values)
    return load()


def result_of(root: Path) -> dict[str, Any]:
    """The result's JSON."""
    record: dict[str, Any] = json.loads(
        (root / "results" / "paper" / f"{CELL}.json").read_text(encoding="utf-8")
    )
    return record


def dev(root: Path, dataset: str) -> list[Any]:
    """The first six dev questions, which `dev_cap` leaves."""
    return list(read_mrqa(root / "data" / "raw" / "paper" / "out_of_domain" / f"{dataset}.dev.jsonl.gz"))[:6]


def test_the_input_is_question_and_context_in_lower_case_around_a_backslash_and_an_n() -> None:
    text = input_text("Which Is Best?", "Iron\nand [SEP] Feathers.")
    assert text == "which is best? \\n iron\nand [sep] feathers."
    assert text[14:18] == " " + chr(92) + "n "


def test_answers_are_those_of_plain_generation_on_each_input_alone(root: Path) -> None:
    model, tokenizer = open_generator(root / "backbones" / "writer")
    texts = [input_text(one.question, one.context) for one in dev(root, "BioASQ") + dev(root, "DROP")]
    settings = GenerationSettings(answer_tokens=7, input_tokens=48)
    seen: list[int] = []
    found = write_answers(model, tokenizer, texts, settings, batch=5, progress=lambda n, _: seen.append(n))
    assert seen == [5, 5, 2] and len({one.text for one in found}) > 1
    for text, one in zip(texts, found, strict=True):
        ids = tokenizer(text, truncation=True, max_length=48, return_tensors="pt")["input_ids"]
        whole = len(tokenizer(text)["input_ids"])
        assert (one.tokens, one.cut) == (min(48, whole), whole > 48) and int(
            ids[0, -1]
        ) == tokenizer.eos_token_id
        out = model.generate(input_ids=ids, num_beams=1, do_sample=False, max_new_tokens=7)
        assert one.text == tokenizer.decode(out[0], skip_special_tokens=True).strip()
    assert {one.cut for one in found} == {True, False} or all(one.cut for one in found)
    beams = write_answers(
        model, tokenizer, texts[:2], GenerationSettings(beams=3, answer_tokens=7, input_tokens=48)
    )
    ids = tokenizer(texts[0], truncation=True, max_length=48, return_tensors="pt")["input_ids"]
    out = model.generate(input_ids=ids, num_beams=3, do_sample=False, max_new_tokens=7)
    assert beams[0].text == tokenizer.decode(out[0], skip_special_tokens=True).strip()
    assert write_answers(model, tokenizer, [], settings) == []


def test_a_result_that_check_compare_and_plan_find(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert unifiedqa.main(["writer", "--answer-tokens", "6"]) == 0
    assert "  BioASQ " in (out := capsys.readouterr().out) and "inputs cut to 512 tokens: none" in out
    record = result_of(root)
    rows = pq.read_table(root / "results" / "paper" / f"{CELL}.parquet").to_pylist()
    assert (record["backbone"], record["regime"], record["arm"], record["seed"], record["mask"]) == (
        "writer",
        "mt",
        "zero_shot",
        0,
        None,
    )
    assert record["generation"] == {
        "beams": 1,
        "answer_tokens": 6,
        "input_tokens": 512,
        "cut": {"BioASQ": 0, "DROP": 0},
    }
    assert set(record["datasets"]) == set(project.OTHERS) and record["missing_datasets"] == []
    model, tokenizer = open_generator(root / "backbones" / "writer")
    for dataset in project.OTHERS:
        own, questions = [row for row in rows if row["dataset"] == dataset], dev(root, dataset)
        assert [row["example_id"] for row in own] == [one.id for one in questions]
        texts = [input_text(one.question, one.context) for one in questions]
        written = write_answers(model, tokenizer, texts, GenerationSettings(answer_tokens=6))
        assert [row["prediction"] for row in own] == [one.text for one in written]
        mean = (
            sum(
                f1(one.text, list(question.answers)) for one, question in zip(written, questions, strict=True)
            )
            / 6
        )
        assert (
            record["datasets"][dataset]["f1"] == pytest.approx(100 * mean, abs=1e-9)
            and record["datasets"][dataset]["examples"] == 6
        )
    assert not list(root.rglob("*.part")) and not (root / ".checkpoints" / "zero_shot" / CELL).exists()
    assert check.main([]) == 0, capsys.readouterr().out
    capsys.readouterr()


def as_unifiedqa(root: Path) -> None:
    """The tiny model under the name that Table 8 has."""
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["backbones"] = {
        "unifiedqa-base": values["backbones"]["writer"],
        "roberta-base": values["backbones"]["bert"],
    }
    values["cells"] = ["roberta-base.mt.none.s0"]
    project.write_params(root, values)


def test_table_8_has_the_row_with_its_command_and_then_its_numbers(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_unifiedqa(root)
    assert plan.main(["--paper-table", "8", "--json"]) == 0
    runs = {run["run"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    own = runs["unifiedqa-base.mt.zero_shot.s0"]
    assert own["state"] == "missing" and own["rows"] == ["unifiedqa-base"]
    assert own["commands"] == [["python", "-m", "benchmark.unifiedqa", "unifiedqa-base"]]
    assert own["seconds"] > 0 and own["tokens"]["steps"] == 0 and own["tokens"]["evaluation"] > 0
    assert compare.main(["--paper-table", "8", "--format", "json"]) in (0, 1)
    cells = {
        cell["dataset"]: cell
        for cell in json.loads(capsys.readouterr().out)["cells"]
        if cell["row"] == "unifiedqa-base"
    }
    assert (
        cells["DROP"]["verdict"] == "missing"
        and "`python -m benchmark.unifiedqa unifiedqa-base`" in cells["DROP"]["reason"]
    )
    assert unifiedqa.main(["--answer-tokens", "6"]) == 0
    capsys.readouterr()
    record = json.loads(
        (root / "results" / "paper" / "unifiedqa-base.mt.zero_shot.s0.json").read_text(encoding="utf-8")
    )
    for seeds in ([], ["--seeds", "1,2"]):  # it has none: those asked for are the other rows'
        compare.main(["--paper-table", "8", "--format", "json", *seeds])
        report = json.loads(capsys.readouterr().out)
        cells = {
            (cell["dataset"], cell["metric"]): cell
            for cell in report["cells"]
            if cell["row"] == "unifiedqa-base"
        }
        assert (
            cells["DROP", "F1"]["ours_mean"] == pytest.approx(record["datasets"]["DROP"]["f1"])
            and cells["DROP", "F1"]["paper"] == 44.9
        )
        assert (
            cells["DROP", "F1"]["verdict"] == "not comparable"
            and "scored as it was published" in cells["DROP", "F1"]["reason"]
        )
        assert (
            "missing runs" not in cells["DROP", "F1"]["reason"]
            and "epochs" not in cells["DROP", "F1"]["reason"]
        )
        assert cells["RACE", "EM"]["verdict"] == "no data"
        assert report["summary"]["stand_in"] == {}
    assert plan.main(["--paper-table", "8", "--json"]) == 0
    runs = {run["run"]: run for run in json.loads(capsys.readouterr().out)["runs"]}
    assert (
        runs["unifiedqa-base.mt.zero_shot.s0"]["state"] == "results"
        and runs["unifiedqa-base.mt.zero_shot.s0"]["commands"] == []
    )


def test_strict_asks_nothing_of_a_row_without_seeds() -> None:
    rows = {row.row: row for row in papers.load().tables["8"].rows}
    match = Match(rows["unifiedqa-base"], "DROP", "F1", 44.9, 1, "not comparable")
    assert not CellResult("not comparable", "", match=match).trainable
    trained = replace(match, row=rows["roberta-base.mt.bmt"])
    assert CellResult("not comparable", "", match=trained).trainable


def test_other_profiles_say_no_data(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["profile"] = "mini"
    del values["backbones"]["writer"]
    project.write_params(root, values)
    assert plan.main(["--paper-table", "8"]) == 0
    assert "unifiedqa-base: profile mini has no unifiedqa-base" in capsys.readouterr().out
    assert compare.main(["--paper-table", "8", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    own = [cell for cell in report["cells"] if cell["row"] == "unifiedqa-base"]
    assert {(cell["verdict"], cell["reason"]) for cell in own} == {
        ("no data", "profile mini names no weights of unifiedqa-base")
    }
    # not for the table's first row, which is trained nowhere
    assert report["summary"]["stand_in"] == {"roberta-base": "bert"}
    with pytest.raises(
        ConfigError, match="of the profile mini those with head generate are none: profile paper has one"
    ):
        unifiedqa.main([])


def test_a_call_that_was_cut_off_goes_on_with_the_next_dataset(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    real = write_answers

    def once(*arguments: Any) -> Any:
        calls.append(len(arguments[2]))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(published_run, "write_answers", once)
    with pytest.raises(KeyboardInterrupt):
        unifiedqa.main(["writer", "--answer-tokens", "6"])
    kept = root / ".checkpoints" / "zero_shot" / CELL
    assert [path.name.split("-")[0] for path in kept.iterdir()] == ["BioASQ"] and not (
        root / "results"
    ).exists()
    assert unifiedqa.main(["writer", "--answer-tokens", "6"]) == 0
    assert len(calls) == 3 and not kept.exists()  # BioASQ once, DROP twice
    resumed = result_of(root)["datasets"], pq.read_table(root / "results" / "paper" / f"{CELL}.parquet")
    monkeypatch.setattr(published_run, "write_answers", real)
    assert unifiedqa.main(["writer", "--answer-tokens", "6"]) == 0
    assert (
        result_of(root)["datasets"],
        pq.read_table(root / "results" / "paper" / f"{CELL}.parquet"),
    ) == resumed


def test_what_was_kept_under_other_settings_or_damaged_is_not_taken_up(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    real = published_run.keep_results
    monkeypatch.setattr(published_run, "keep_results", interrupted)
    with pytest.raises(KeyboardInterrupt):
        unifiedqa.main(["writer", "--answer-tokens", "3"])
    kept = sorted((root / ".checkpoints" / "zero_shot" / CELL).iterdir())
    assert len(kept) == 2
    record = json.loads(kept[0].read_text(encoding="utf-8"))
    # whole: taken up under the same settings only
    kept[0].write_text(json.dumps(record | {"answers": ["wrong"] * 6}), encoding="utf-8")
    kept[1].write_text(kept[1].read_text(encoding="utf-8")[:40], encoding="utf-8")
    monkeypatch.setattr(published_run, "keep_results", real)
    assert unifiedqa.main(["writer", "--answer-tokens", "4"]) == 0
    texts = pq.read_table(root / "results" / "paper" / f"{CELL}.parquet")["prediction"].to_pylist()
    assert "wrong" not in texts and len(texts) == 12
    # all removed at the end
    assert published_run.read_kept(kept[1], 6) is None and published_run.read_kept(kept[0], 6) is None


def test_models_that_write_no_answers_are_refused_by_name(root: Path) -> None:
    def fails(error: type[Exception], match: str, *arguments: str) -> None:
        with pytest.raises(error, match=match) as caught:
            unifiedqa.main(list(arguments))
        assert "\n" not in str(caught.value) and not (root / "results").exists()

    fails(
        ConfigError,
        r"backbones\.bert\.head: span is not allowed here: "
        r"generate, of a model that writes its answers \(writer\)",
        "bert",
    )
    fails(ConfigError, r"backbone: 'writr' is not known \(did you mean writer\?\)", "writr")
    fails(ConfigError, r"generation\.beams: 0 is not allowed: at least 1", "writer", "--beams", "0")
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["backbones"]["other"] = values["backbones"]["bert"] | {}
    values["cells"] = ["other.mt.none.s0"]
    project.write_params(root, values)
    changed(root, bert="generate", reader="generate")
    fails(ConfigError, r"those with head generate are several \(writer, reader, bert\): name one")
    fails(
        ModelError,
        r"backbones/bert: a bert writes no answer: a whole T5ForConditionalGeneration is needed",
        "bert",
    )
    fails(
        ModelError,
        r"backbones/reader: its weights lack decoder\.block\.0\.\S+ and \d+ more: "
        r"an encoder alone writes no answer",
        "reader",
    )
    (root / "backbones" / "writer" / "model.safetensors").unlink()
    fails(ModelError, r"backbones\.writer: .*model\.safetensors does not exist", "writer")
    shutil.rmtree(root / "data" / "raw" / "paper" / "out_of_domain")
    fails(
        DataError,
        r"no dev file of BioASQ, DROP: name some in data\.evaluate, and run `python -m benchmark\.fetch`",
        "writer",
    )


def test_it_is_neither_prepared_nor_trained(root: Path) -> None:
    config = changed(root, reader="generate")
    prepare(config, workers=1)
    features = root / "data" / "features" / "paper"
    assert len(list((features / "bert").glob("*/windows.arrow"))) > 0
    for name in (
        "reader",
        "writer",
    ):  # the pipeline asks for a file per backbone: it says that there are none
        assert [path.name for path in (features / name).iterdir()] == ["features.json"]
        assert json.loads((features / name / "features.json").read_text()) == {"files": {}}
    with pytest.raises(
        ConfigError,
        match=r"backbones\.writer\.head: generate is not trained: `python -m benchmark\.unifiedqa writer`",
    ):
        find_cell(config, "writer.mt.none.s0")
    assert parse(CELL).arm == "zero_shot"
    hub = changed(root, writer={"source": "hub", "name": "allenai/unifiedqa-t5-base"}).backbones["writer"]
    assert hub.revision is None
    with pytest.raises(
        ConfigError, match=r"backbones\.bert\.revision: null is not allowed: the hub's commit"
    ):
        changed(root, bert={"source": "hub"})
