"""prepare: what it says of files that are not as they should be, what it lists, and `--strict`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import bmt.qa.model
from benchmark import prepare as command
from benchmark.acquisition import feature_files
from benchmark.acquisition.feature_files import content_digest, prepare, said_of, wanted_files
from benchmark.config.backbones import Located
from benchmark.config.params import load
from bmt.errors import ConfigError, DataError
from bmt.runtime.files import file_digest
from tests.support import project
from tests.support.mrqa_files import HEADER, passage, question, write
from tests.support.tiny_tokenizers import fast

CONTEXT = "The old mill was built in 1804. It was old."
GOOD = question(CONTEXT, "old", "good")
RACE = {"header": {"dataset": "RACE", "split": "dev"}}
DROP = {"header": {"dataset": "DROP", "split": "dev"}}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one train and two dev files, with a tiny tokenizer in the backbone's place."""
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setattr(feature_files, "locate", lambda name, settings: Located("nowhere", None, "sha256:0"))
    monkeypatch.setattr(bmt.qa.model, "open_tokenizer", lambda *given, **options: fast("bert"))
    values = project.params(["bert"], ["bert.mt.none.s0"])
    values["data"] |= {"train": ["SQuAD"], "evaluate": ["SQuAD", "DROP"]}
    project.write_params(tmp_path, values)
    raw = tmp_path / "data" / "raw" / "tiny"
    write(raw / "in_domain" / "SQuAD.train.jsonl.gz", [HEADER, passage(CONTEXT, GOOD)])
    write(
        raw / "in_domain" / "SQuAD.dev.jsonl.gz", [HEADER, passage(CONTEXT, question(CONTEXT, "mill", "dev"))]
    )
    write(
        raw / "out_of_domain" / "DROP.dev.jsonl.gz",
        [DROP, passage("in 1804", question("in 1804", "1804", "drop"))],
    )
    return tmp_path


def spoil(root: Path) -> None:
    """Questions that cannot be used, one that is too long, and one that only a dev file keeps."""
    long = question(CONTEXT, "1804", "long", question=" ".join(["When was the old mill built?"] * 12))
    absent = question(CONTEXT, "castle", "absent")
    lines = [
        HEADER,
        passage(CONTEXT, GOOD, absent, long),
        b"\n",
        passage(CONTEXT, GOOD, question(CONTEXT, "mill", "blank", question=" ")),
    ]
    write(root / "data/raw/tiny/in_domain/SQuAD.train.jsonl.gz", lines)
    write(root / "data/raw/tiny/in_domain/SQuAD.dev.jsonl.gz", [HEADER, passage(CONTEXT, GOOD, absent)])


SAID = [
    "SQuAD.train: blank line: 1 (skipped)",
    "SQuAD.train: duplicate question id: 1 (question dropped, the first is kept)",
    "SQuAD.train: empty question: 1 (question dropped)",
    "SQuAD.train: question without a usable span: 1 (question dropped from training, scored in a dev file)",
    "SQuAD.train: 1 questions cut to their first 32 tokens (data.question)",
    "SQuAD.train: 1 questions dropped from training: 1 no usable span",
    "SQuAD.dev: question without a usable span: 1 (question dropped from training, scored in a dev file)",
    "data/features/tiny/bert/<file>/features.json lists each",
    "prepared 5 questions as 5 windows of at most 128 tokens for bert",
]


def test_files_in_order_are_said_to_be(root, capsys):
    prepare(load(), workers=1)
    assert capsys.readouterr().out.splitlines() == [
        "nothing irregular, no question cut or dropped",
        "prepared 3 questions as 3 windows of at most 128 tokens for bert",
    ]


def test_nothing_is_dropped_in_silence(root, capsys):
    spoil(root)
    for _ in range(2):  # made, then taken as they are
        prepare(load(), workers=1)
        assert capsys.readouterr().out.splitlines() == SAID
    features = root / "data" / "features" / "tiny" / "bert"
    meta = json.loads((features / "SQuAD.train" / "features.json").read_text())
    assert meta["irregular_places"] == [
        [2, "question without a usable span", "absent", "answers ['castle']"],
        [3, "blank line", None, "1 bytes"],
        [4, "duplicate question id", "good", "'Where is old?'"],
        [4, "empty question", "blank", "' '"],
    ]
    assert meta["dropped_questions"] == [["absent", "no usable span"]]
    brief = json.loads((features / "features.json").read_text())["files"]["SQuAD.train"]
    assert set(meta) - set(brief) == {"dropped_questions", "irregular_places"} and brief["dropped"] == {
        "no usable span": 1
    }
    assert brief["source"] is None, "no fetch.json says where the file came from"


def test_what_came_from_the_hub_is_said_and_recorded(root, capsys):
    raw = root / "data" / "raw" / "tiny"
    files = {
        name: {"sha256": file_digest(raw / f"{name}.jsonl.gz"), "source": source, "url": "u"}
        for name, source in (
            ("in_domain/SQuAD.train", "hub"),
            ("in_domain/SQuAD.dev", "http"),
            ("out_of_domain/DROP.dev", "hub"),
        )
    }
    files["out_of_domain/DROP.dev"]["sha256"] = "0" * 64  # another file stood there when fetch looked
    (raw / "fetch.json").write_text(json.dumps({"files": files}))
    prepare(load(), workers=1)
    assert capsys.readouterr().out.splitlines()[1] == (
        "from the hub: SQuAD.train: not comparable with the paper until its examples equal the official ones"
    )
    recorded = json.loads((root / "data/features/tiny/bert/features.json").read_text())["files"]
    assert {name: meta["source"] for name, meta in recorded.items()} == {
        "SQuAD.train": "hub",
        "SQuAD.dev": "http",
        "DROP.dev": None,
    }


def test_strict_stops_at_the_first_also_where_features_are_there(root, monkeypatch):
    prepare(load(), workers=1, strict=True)
    spoil(root)
    for _ in range(2):
        with pytest.raises(
            DataError,
            match=r"SQuAD\.train\.jsonl\.gz, line 2: question 'absent': question without a usable span: ",
        ):
            prepare(load(), workers=1, strict=True)
        prepare(load(), workers=1)
    monkeypatch.setattr(sys, "argv", ["prepare", "--strict", "--workers", "1"])
    with pytest.raises(
        DataError, match="strict; otherwise: question dropped from training, scored in a dev file"
    ):
        command.main()
    monkeypatch.setattr(sys, "argv", ["prepare", "--workers", "0"])
    with pytest.raises(ConfigError, match=r"^--workers: 0 is not allowed: at least 1$"):
        command.main()


def test_one_backbone_is_prepared_alone_and_every_dev_file_that_is_there(root, capsys):
    raw = root / "data" / "raw" / "tiny"
    write(
        raw / "out_of_domain" / "RACE.dev.jsonl.gz",
        [RACE, passage("in 1804", question("in 1804", "1804", "race"))],
    )
    values = project.params(["bert", "roberta", "t5"], ["bert.mt.none.s0"])
    values["data"] |= {"train": ["SQuAD"], "evaluate": ["SQuAD"]}
    values["backbones"]["t5"]["head"] = "generate"
    project.write_params(root, values)
    prepare(load(), workers=1, only="bert")
    features = root / "data" / "features" / "tiny"
    assert [path.name for path in features.iterdir()] == ["bert"]
    names = ["DROP.dev", "RACE.dev", "SQuAD.dev", "SQuAD.train"]
    assert sorted(path.name for path in (features / "bert").iterdir() if path.is_dir()) == names
    digests = {
        name: meta["content_sha256"]
        for name, meta in json.loads((features / "bert" / "features.json").read_text())["files"].items()
    }
    assert sorted(digests) == names and len(set(digests.values())) == 4
    prepare(load(), workers=1, only="t5")
    assert json.loads((features / "t5" / "features.json").read_text()) == {"files": {}}
    assert capsys.readouterr().out.splitlines()[-1] == "t5 reads whole contexts as text: nothing to prepare"
    with pytest.raises(
        ConfigError, match=r"^backbone: 'brt' is not known \(did you mean bert\?\): one of bert, roberta, t5$"
    ):
        prepare(load(), workers=1, only="brt")


def test_every_dev_file_is_wanted_and_the_datasets_to_score_without_one_are_named(root: Path) -> None:
    raw = root / "data" / "raw" / "tiny"
    race = write(raw / "out_of_domain" / "RACE.dev.jsonl.gz", [RACE])
    values = project.params(["bert"], ["bert.mt.none.s0"])
    values["data"] |= {"train": ["SQuAD"], "evaluate": ["NewsQA", "SQuAD", "DROP", "BioASQ"]}
    project.write_params(root, values)
    files, absent = wanted_files(load(), raw)
    assert [(dataset, split) for dataset, split, _ in files] == [
        ("SQuAD", "train"),
        ("SQuAD", "dev"),
        ("DROP", "dev"),
        ("RACE", "dev"),
    ]
    assert files[-1][2] == race and files[0][2] == raw / "in_domain" / "SQuAD.train.jsonl.gz"
    assert absent == ["NewsQA", "BioASQ"]
    values["data"]["evaluate"] = ["NewsQA", "BioASQ"]
    project.write_params(root, values)
    with pytest.raises(
        DataError,
        match=r"tiny: none of the dev files of data\.evaluate is there: run `python -m benchmark\.fetch`$",
    ):
        wanted_files(load(), raw)


def test_a_dataset_without_a_dev_file_is_said_to_be(root: Path, capsys) -> None:
    (root / "data/raw/tiny/out_of_domain/DROP.dev.jsonl.gz").unlink()
    prepare(load(), workers=1)
    assert capsys.readouterr().out.splitlines()[0] == (
        "DROP: no dev file in this profile's data: shown as no data, left out of the averages"
    )


def test_processes_are_started_for_large_files_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import bmt.qa.features as made_by

    asked: dict[str, tuple[int, bool, bool]] = {}
    original = made_by.build

    def build(path: Path, *given, train: bool, options: made_by.BuildOptions):
        asked[path.name.removesuffix(".jsonl.gz")] = (options.workers, options.strict, train)
        return original(path, *given, train=train)

    monkeypatch.setattr(made_by, "build", build)
    raw = root / "data" / "raw" / "tiny"
    size = (raw / "in_domain" / "SQuAD.train.jsonl.gz").stat().st_size
    larger = passage(CONTEXT, question(CONTEXT, "mill", "dev"), question(CONTEXT, "old", "more"))
    write(raw / "in_domain" / "SQuAD.dev.jsonl.gz", [HEADER, larger])
    monkeypatch.setattr(feature_files, "WORTH_PROCESSES", size)
    prepare(load(), workers=3, strict=True)
    assert (asked["SQuAD.train"], asked["SQuAD.dev"]) == ((1, True, True), (3, True, False))


def test_what_is_said_of_a_file_by_hand() -> None:
    meta = {
        "irregularities": {"empty question": 2, "blank line": 3},
        "counts": {"truncated_questions": 4},
        "inputs": {"question": 32},
        "dropped": {"no usable span": 5, "cut away": 6},
    }
    assert said_of("A.train", meta) == [
        "A.train: blank line: 3 (skipped)",
        "A.train: empty question: 2 (question dropped)",
        "A.train: 4 questions cut to their first 32 tokens (data.question)",
        "A.train: 11 questions dropped from training: 6 cut away, 5 no usable span",
    ]
    assert said_of("A", {"irregularities": {}, "counts": {"truncated_questions": 0}, "dropped": {}}) == []


def test_the_digest_of_the_content_covers_windows_and_examples(tmp_path: Path) -> None:
    (tmp_path / "features.json").write_text("x")
    digests = []
    for windows, examples in (("1", "2"), ("1", "3"), ("4", "2"), ("2", "1")):
        (tmp_path / "windows.arrow").write_text(windows)
        (tmp_path / "examples.arrow").write_text(examples)
        digests.append(content_digest(tmp_path))
    assert len(set(digests)) == 4
    (tmp_path / "features.json").write_text("made by other code")
    assert content_digest(tmp_path) == digests[-1]
