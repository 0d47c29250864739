"""Features on disk: the same bytes for any number of workers, reused under the same key only; subsets and the
split by context.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bmt.qa.features
from bmt.errors import ConfigError, DataError
from bmt.qa.features import MAKERS, BuildOptions, build, carve, load, outdated
from bmt.qa.mrqa import passages, read_mrqa
from bmt.qa.tokenizer import encoder, text_tokenizer
from bmt.qa.windows import EXAMPLES, WINDOWS, Cut, cut_chunk
from bmt.runtime.files import file_digest, json_digest
from bmt.runtime.source_code import source_digest
from bmt.settings import DataSettings
from tests.support.mrqa_files import HEADER, corpus, passage, question, write
from tests.support.tiny_tokenizers import MARKERS, fast, minilm

DATA = DataSettings(window=40, overlap=8, question=16)


@pytest.fixture(scope="module")
def tokenizer():
    return fast("bert")


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "SQuAD.train.jsonl.gz", corpus(20))


def digests(folder):
    return {path.name: file_digest(path) for path in sorted(folder.iterdir())}


def test_what_a_folder_holds(file, tokenizer, tmp_path):
    made = build(file, tokenizer, DATA, tmp_path / "out", train=False)
    examples = list(read_mrqa(file))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "examples.arrow",
        "features.json",
        "windows.arrow",
    ]
    assert made.windows.schema == WINDOWS and made.examples.schema == EXAMPLES
    assert made.examples.to_pylist() == [
        {
            "id": one.id,
            "context_id": one.context_id,
            "question": one.question,
            "context": one.context,
            "answers": list(one.answers),
        }
        for one in examples
    ]
    rows = made.windows["example"].to_pylist()
    assert rows == sorted(rows) and set(rows) == set(range(len(examples)))
    meta = made.meta
    assert (meta["schema"], meta["file"], meta["dataset"], meta["split"]) == (
        1,
        "SQuAD.train.jsonl.gz",
        "SQuAD",
        "train",
    )
    assert meta["key"] == json_digest(meta["inputs"])
    assert meta["inputs"]["file_sha256"] == file_digest(file)
    assert meta["counts"] == {
        "examples": len(examples),
        "windows": len(made.windows),
        "windows_with_answer": sum(bool(spans) for spans in made.windows["spans"].to_pylist()),
        "tokens": sum(len(ids) for ids in made.windows["input_ids"].to_pylist()),
        "truncated_questions": 0,
    }
    assert len(made.windows) > len(examples), "the contexts are long enough for several windows"
    assert (meta["dropped"], meta["dropped_questions"], meta["irregularities"]) == ({}, [], {})
    assert json.loads((tmp_path / "out" / "features.json").read_text(encoding="utf-8")) == meta
    assert str(tmp_path) not in (tmp_path / "out" / "features.json").read_text(encoding="utf-8")


def test_any_number_of_workers_gives_the_same_bytes(file, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(bmt.qa.features, "CHUNK_CHARACTERS", 300)  # more chunks than are in flight
    calls = []
    for workers in (1, 2, 3):
        build(
            file,
            tokenizer,
            DATA,
            tmp_path / str(workers),
            train=True,
            options=BuildOptions(workers, progress=lambda n, note: calls.append((n, note))),
        )
    assert digests(tmp_path / "1") == digests(tmp_path / "2") == digests(tmp_path / "3")
    questions = sum(1 for _ in read_mrqa(file))
    assert sum(n for n, _ in calls) == 3 * questions
    assert calls[-1][1] == f"{len(load(tmp_path / '1').windows)} windows" and len(calls) > 3 * 9


def test_chunks_change_neither_windows_nor_examples(file, tokenizer, tmp_path, monkeypatch):
    whole = build(file, tokenizer, DATA, tmp_path / "whole", train=True)
    monkeypatch.setattr(bmt.qa.features, "CHUNK_CHARACTERS", 1)
    single = build(file, tokenizer, DATA, tmp_path / "single", train=True)
    assert single.windows.column("input_ids").num_chunks == 20 > whole.windows.column("input_ids").num_chunks
    assert single.windows.equals(whole.windows) and single.examples.equals(whole.examples)
    assert single.meta["counts"] == whole.meta["counts"] and single.meta["key"] == whole.meta["key"]


def test_the_tables_are_memory_mapped(file, tokenizer, tmp_path):
    build(file, tokenizer, DATA, tmp_path / "out", train=True)
    before = pa.total_allocated_bytes()
    made = load(tmp_path / "out")
    assert made.windows["input_ids"].nbytes > 1000 and pa.total_allocated_bytes() == before
    assert sum(made.windows["input_ids"].combine_chunks().flatten().to_pylist()) > 0


def test_the_same_key_reuses_and_touches_nothing(file, tokenizer, tmp_path):
    build(file, tokenizer, DATA, tmp_path / "out", train=True)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    build(
        file,
        tokenizer,
        DATA,
        tmp_path / "out",
        train=True,
        options=BuildOptions(2, progress=lambda *_: pytest.fail("made again")),
    )
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before


def key_of(path: Path, tokenizer: Any, data: DataSettings, train: bool, limit: int | None = None) -> str:
    """The key of the features that are made anew of a file."""
    with tempfile.TemporaryDirectory() as folder:
        return build(path, tokenizer, data, folder, train=train, limit=limit).meta["key"]


def change_code(patch, folder, module, more):
    """Let a module that makes features have more source than it has."""
    place = folder / f"{module}.py"
    source = Path(str(sys.modules[f"bmt.qa.{module}"].__file__))
    place.write_text(source.read_text(encoding="utf-8") + more, encoding="utf-8")
    digest = source_digest.__wrapped__  # without what it has kept
    patch.setattr(bmt.qa.features, "source_digest", lambda path: digest(place if path == source else path))


def test_everything_that_features_depend_on_is_in_the_key(file, tokenizer, tmp_path, monkeypatch):
    write(tmp_path / "other.jsonl.gz", corpus(20, seed=1))
    changes = {
        "file": lambda: key_of(tmp_path / "other.jsonl.gz", tokenizer, DATA, True),
        "window": lambda: key_of(file, tokenizer, replace(DATA, window=41), True),
        "overlap": lambda: key_of(file, tokenizer, replace(DATA, overlap=9), True),
        "question": lambda: key_of(file, tokenizer, replace(DATA, question=15), True),
        "markers": lambda: key_of(file, tokenizer, replace(DATA, special_tokens=MARKERS[:2]), True),
        "tokenizer": lambda: key_of(file, fast("t5"), DATA, True),
        "train": lambda: key_of(file, tokenizer, DATA, False),
        "limit": lambda: key_of(file, tokenizer, DATA, True, 5),
    }
    keys = {name: change() for name, change in changes.items()}
    keys["none"] = key_of(file, tokenizer, DATA, True)
    monkeypatch.setattr(bmt.qa.features.tokenizers, "__version__", "0.0")
    keys["library"] = key_of(file, tokenizer, DATA, True)
    monkeypatch.undo()
    for module in MAKERS:
        with monkeypatch.context() as patch:
            change_code(patch, tmp_path, module, "\nCHANGED = 1\n")
            keys[module] = key_of(file, tokenizer, DATA, True)
    with monkeypatch.context() as patch:
        change_code(patch, tmp_path, "mrqa", "\n# a comment\n")
        assert key_of(file, tokenizer, DATA, True) == keys["none"]
    assert len(set(keys.values())) == len(keys)
    same = replace(DATA, train=["SQuAD"], dev_cap=3, validation_cap=7)
    assert key_of(file, fast("bert"), same, True) == keys["none"], (
        "what features do not depend on is not in it"
    )


def test_a_stale_folder_is_never_taken(file, tokenizer, tmp_path):
    out = tmp_path / "out"
    old = build(file, tokenizer, DATA, out, train=True)
    key = key_of(file, tokenizer, replace(DATA, window=48), True)
    with pytest.raises(
        DataError,
        match=r"out: features of another file, tokenizer, window, overlap or code \(key [0-9a-f]{12}, not ",
    ):
        load(out, key)
    new = build(file, tokenizer, replace(DATA, window=48), out, train=True)
    assert (
        new.meta["key"] == key != old.meta["key"]
        and max(len(ids) for ids in new.windows["input_ids"].to_pylist()) > 40
    )
    assert load(out, key).meta == new.meta


@pytest.mark.parametrize(
    "damage", ["cut", "longer", "gone", "text", "json", "list", "counts", "rows", "schema"]
)
def test_a_damaged_folder_is_refused_and_made_again(file, tokenizer, tmp_path, damage):
    out = tmp_path / "out"
    build(file, tokenizer, DATA, out, train=True)
    before = digests(out)
    windows, meta = out / "windows.arrow", out / "features.json"
    values = json.loads(meta.read_text(encoding="utf-8"))
    if damage == "cut":
        windows.write_bytes(windows.read_bytes()[:-900])
    elif damage == "longer":  # what follows an Arrow stream's end is not read
        windows.write_bytes(windows.read_bytes() + b"\0")
    elif damage == "gone":
        (out / "examples.arrow").unlink()
    elif damage == "text":
        windows.write_bytes(b"x" * windows.stat().st_size)
    elif damage == "json":
        meta.write_text("{")
    elif damage == "list":
        meta.write_text("[]")
    elif damage == "counts":
        meta.write_text(json.dumps(values | {"counts": {}}))
    elif damage == "rows":
        meta.write_text(json.dumps(values | {"counts": values["counts"] | {"windows": 1}}))
    else:
        windows.write_bytes((out / "examples.arrow").read_bytes())
    with pytest.raises(DataError, match="make the features") as raised:
        load(out)
    assert "\n" not in str(raised.value) and str(out) in str(raised.value)
    build(file, tokenizer, DATA, out, train=True)
    assert digests(out) == before


def test_a_failed_build_leaves_what_was_there(file, tokenizer, tmp_path):
    out = tmp_path / "out"
    build(file, tokenizer, DATA, out, train=True)
    before = digests(out)
    broken = write(tmp_path / "broken.jsonl.gz", [*corpus(20), b"{"])
    with pytest.raises(DataError, match=r"broken\.jsonl\.gz, line 22: not JSON"):
        build(broken, tokenizer, DATA, out, train=True)
    assert digests(out) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_training_lists_what_it_drops_and_a_dev_file_keeps_it(tokenizer, tmp_path):
    context = " ".join(["rain"] * 60 + ["1804"])
    lines = [
        HEADER,
        passage(
            context,
            question(context, "1804", "good"),
            question(context, "absent", "lost"),
            question(context, context, "long"),
        ),
    ]
    file = write(tmp_path / "x.jsonl", lines)
    made = build(file, tokenizer, DATA, tmp_path / "train", train=True)
    assert made.examples["id"].to_pylist() == ["good"]
    assert made.meta["dropped"] == {"no usable span": 1, "span in no window": 1}
    assert made.meta["dropped_questions"] == [["lost", "no usable span"], ["long", "span in no window"]]
    assert made.meta["irregularities"] == {"question without a usable span": 1}
    assert made.meta["irregular_places"] == [
        [2, "question without a usable span", "lost", "answers ['absent']"]
    ]
    dev = build(file, tokenizer, DATA, tmp_path / "dev", train=False)
    assert dev.examples["id"].to_pylist() == ["good", "lost", "long"] and dev.meta["dropped"] == {}
    assert [any(spans) for spans in dev.windows["spans"].to_pylist()].count(True) == 1


def test_strict_raises_at_the_first_irregularity(tokenizer, tmp_path):
    file = write(
        tmp_path / "x.jsonl",
        [HEADER, passage("old mill", question("old mill", "old"), question("old mill", "absent", "q2"))],
    )
    with pytest.raises(DataError, match=r"x\.jsonl, line 2: question 'q2': question without a usable span"):
        build(file, tokenizer, DATA, tmp_path / "out", train=True, options=BuildOptions(strict=True))
    assert not (tmp_path / "out").exists()
    build(file, tokenizer, DATA, tmp_path / "out", train=True)
    with pytest.raises(
        DataError, match=r"x\.jsonl, line 2: question 'q2'"
    ):  # features that are there do not hide it
        build(file, tokenizer, DATA, tmp_path / "out", train=True, options=BuildOptions(strict=True))
    assert load(tmp_path / "out").examples["id"].to_pylist() == ["q1"], "they stay"


def test_features_know_what_of_theirs_has_changed(file, tokenizer, tmp_path, monkeypatch):
    meta = build(file, tokenizer, DATA, tmp_path / "out", train=True).meta
    assert outdated(meta, DATA) == outdated(meta, replace(DATA, dev_cap=3)) == []
    changed = replace(DATA, window=41, overlap=9, question=15, special_tokens=MARKERS[:2])
    settings = ["window", "overlap", "question", "special_tokens"]
    assert outdated(meta, changed) == settings
    change_code(monkeypatch, tmp_path, "windows", "\nCHANGED = 1\n")
    assert outdated(meta, DATA) == ["code_sha256"]
    assert len(outdated({}, DATA)) == 5


def test_a_file_of_which_nothing_is_usable_is_an_error(tokenizer, tmp_path):
    file = write(tmp_path / "x.jsonl", [HEADER, passage("old mill", question("old mill", "absent"))])
    with pytest.raises(DataError, match=r"x\.jsonl: no usable question in 1 contexts"):
        build(file, tokenizer, DATA, tmp_path / "out", train=True)


def test_settings_that_leave_no_room(file, tokenizer, tmp_path):
    with pytest.raises(
        ConfigError, match=r"data\.window 40 leaves room for 21 context tokens .* data\.overlap is 21"
    ):
        build(file, tokenizer, replace(DATA, overlap=21), tmp_path / "out", train=True)
    with pytest.raises(ConfigError, match="the tokenizer lacks"):
        build(file, fast("bert", []), DATA, tmp_path / "out", train=True)
    with pytest.raises(DataError, match=r"absent\.jsonl: cannot be read: No such file"):
        build(tmp_path / "absent.jsonl", tokenizer, DATA, tmp_path / "out", train=True)


def test_a_limit_takes_a_fixed_subset_that_grows_with_it(file, tokenizer, tmp_path):
    everything = build(file, tokenizer, DATA, tmp_path / "all", train=True).examples["id"].to_pylist()
    taken = {}
    for limit in (3, 10, 1000):
        made = build(file, tokenizer, DATA, tmp_path / str(limit), train=True, limit=limit)
        taken[limit] = made.examples["id"].to_pylist()
        assert made.meta["inputs"]["limit"] == limit
    assert len(taken[3]) == 3 and len(taken[10]) == 10 and taken[1000] == everything
    assert set(taken[3]) < set(taken[10]) < set(everything)
    assert taken[10] == [one for one in everything if one in taken[10]], "in the file's order"
    assert taken[10] != everything[:10], "not the head of the file"
    shuffled = write(tmp_path / "shuffled.jsonl.gz", [HEADER, *reversed(corpus(20)[1:])])
    assert set(
        build(shuffled, tokenizer, DATA, tmp_path / "s", train=True, limit=10).examples["id"].to_pylist()
    ) == set(taken[10])


def test_a_limit_for_training_is_of_usable_questions(tokenizer, tmp_path):
    context = "old mill"
    lost = [question(context, "absent", f"lost{row}") for row in range(20)]
    file = write(
        tmp_path / "x.jsonl",
        [HEADER, passage(context, *lost, question(context, "old", "a"), question(context, "mill", "b"))],
    )
    assert build(file, tokenizer, DATA, tmp_path / "train", train=True, limit=2).examples[
        "id"
    ].to_pylist() == ["a", "b"]
    assert len(build(file, tokenizer, DATA, tmp_path / "dev", train=False, limit=2).examples) == 2


def test_reading_features_imports_neither_torch_nor_datasets(root):
    large = "{'torch', 'datasets', 'transformers', 'mlflow', 'pandas'}"
    code = f"import sys, bmt.qa.features; print(sorted({large} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


context_lists = st.lists(st.sampled_from("abcdefgh"), max_size=60)


@given(
    context_lists,
    st.integers(0, 40),
    st.none() | st.integers(1, 40),
    st.sampled_from(["", "validation:SQuAD"]),
)
def test_carve_splits_by_context(contexts, validation, train, salt):
    rest, held = carve(contexts, validation, train, salt)
    assert not {contexts[row] for row in rest} & {contexts[row] for row in held}
    assert len(set(rest)) == len(rest) and len(set(held)) == len(held)
    assert len(held) == min(validation, len(contexts)), "exactly as many as asked for, if there are"
    touched = {contexts[row] for row in held}
    remaining = sum(context not in touched for context in contexts)
    assert len(rest) == (remaining if train is None else min(train, remaining))
    sizes = Counter(contexts)
    partial = [
        context for context in touched if Counter(contexts[row] for row in held)[context] < sizes[context]
    ]
    assert len(partial) <= 1, "validation takes whole contexts but for the last"


@given(context_lists.filter(lambda contexts: len(set(contexts)) > 1), st.integers(1, 20))
def test_carve_depends_on_the_contexts_and_the_salt_alone(contexts, validation):
    names = [{contexts[row] for row in rows} for rows in carve(contexts, validation, None, "s")]
    again = [{contexts[::-1][row] for row in rows} for rows in carve(contexts[::-1], validation, None, "s")]
    assert names == again


def test_carve_by_hand():
    contexts = ["a", "b", "a", "c", "b", "c", "c"]  # in the order of sha256("s0" + context): a, c, b
    rest, held = carve(contexts, 3, None, "s0")
    assert (rest.tolist(), held.tolist()) == ([1, 4], [0, 2, 3]), "the rest of c is in neither"
    rest, held = carve(contexts, 2, 4, "s0")
    assert (rest.tolist(), held.tolist()) == ([3, 5, 6, 1], [0, 2])
    rest, held = carve(contexts, 0, None, "s0")
    assert (rest.tolist(), held.tolist()) == ([0, 2, 3, 5, 6, 1, 4], [])
    assert rest.dtype == held.dtype == np.int64


def test_another_salt_is_another_split():
    contexts = [str(number) for number in range(200)]
    splits = [
        set(carve(contexts, 50, None, salt)[1].tolist()) for salt in ("validation:SQuAD", "validation:NewsQA")
    ]
    assert 0 < len(splits[0] & splits[1]) < 40


def test_real_files_become_features_without_a_drop(real_data, tokenizer, tmp_path):
    """Every question of four small files with texts of all kinds has a window that holds an answer; spans
    decode to their texts.
    """
    for name in (
        "in_domain/SQuAD.dev",
        "out_of_domain/DROP.dev",
        "out_of_domain/RelationExtraction.dev",
        "in_domain/HotpotQA.dev",
    ):
        file = real_data / f"{name}.jsonl.gz"
        made = build(file, tokenizer, replace(DATA, window=512, overlap=128), tmp_path / name, train=True)
        examples = list(read_mrqa(file))
        assert (
            made.meta["dropped"] == made.meta["irregularities"] == {}
            and made.meta["spans_lost"]["no token"] == 0
        )
        assert made.examples["id"].to_pylist() == [example.id for example in examples]
        exact = total = 0
        for row in made.windows.to_pylist():
            example, first = examples[row["example"]], row["context_start"]
            gold = {example.context[start:end].strip() for start, end in example.spans}
            for i, j in zip(row["spans"][::2], row["spans"][1::2], strict=True):
                text = example.context[row["offsets"][2 * (i - first)] : row["offsets"][2 * (j - first) + 1]]
                assert any(one in text for one in gold)
                exact += text in gold
                total += 1
        assert exact / total > 0.95, "MRQA's spans are mostly whole words"


@cache
def question_count(file: Path) -> int:
    """Of a real file, which is read once for all settings."""
    return sum(1 for _ in read_mrqa(file))


@pytest.mark.parametrize(
    ("window", "overlap", "question"), [(256, 64, 64), (512, 256, 64)]
)  # profiles mini and paper
def test_no_question_of_the_real_files_is_dropped(real_data, tmp_path, window, overlap, question):
    """The drops of all 17 files by kind: none. Three long questions of TriviaQA are cut, and counted."""
    settings = DataSettings(window=window, overlap=overlap, question=question)
    files = sorted(real_data.glob("*/*.jsonl.gz"))
    assert len(files) == 17
    for file in files:
        made = build(file, minilm(), settings, tmp_path / file.name, train=True)
        assert (made.meta["dropped"], made.meta["irregularities"], made.meta["irregular_places"]) == (
            {},
            {},
            [],
        ), file
        assert made.meta["spans_lost"] == {"no token": 0, "in no window": 0}, file
        assert (
            made.meta["counts"]["examples"]
            == question_count(file)
            == len(set(made.examples["id"].to_pylist()))
        )
        assert made.meta["counts"]["truncated_questions"] == (
            3 if file.name.startswith("TriviaQA.train") else 0
        ), file


INTERRUPTED = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any
import bmt.qa.features as features
from bmt.settings import DataSettings
from tests.support.tiny_tokenizers import fast

class Pool(ProcessPoolExecutor):
    futures = []
    def submit(self, *given):
        self.futures.append(super().submit(*given))
        if len(self.futures) == int(sys.argv[3]):
            if len(self.futures) > 1:
                wait(self.futures[:1])
            os.killpg(0, signal.SIGINT)
        return self.futures[-1]

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    features.ProcessPoolExecutor, features.CHUNK_CHARACTERS = Pool, 300
    try:
        options = features.BuildOptions(2)
        data, out = DataSettings(window=40, overlap=8, question=16), Path(sys.argv[2])
        features.build(sys.argv[1], fast("bert"), data, out, train=True, options=options)
    except KeyboardInterrupt:
        print("interrupted")
"""


@pytest.mark.parametrize("submit", [1, 2], ids=["the worker is starting", "the worker waits for work"])
def test_ctrl_c_reaches_the_parent_alone(submit: int, file, tmp_path) -> None:
    """A terminal sends it to the whole group. The workers say nothing, and end with the pool."""
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(
        [sys.executable, str(script), str(file), str(tmp_path / "out"), str(submit)],
        env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
    assert not (tmp_path / "out").exists()


def test_a_limit_is_of_the_questions_whose_digests_come_first(file, tokenizer, tmp_path):
    """By context id and question id: the subset that every machine takes, whatever else is in the file."""
    examples = list(read_mrqa(file))
    digest = {one.id: hashlib.sha256(f"{one.context_id}\0{one.id}".encode()).digest() for one in examples}
    want = sorted(digest, key=digest.__getitem__)[:5]
    made = build(file, tokenizer, DATA, tmp_path / "out", train=False, limit=5)
    assert sorted(made.examples["id"].to_pylist()) == sorted(want)


def test_what_is_counted_of_a_file_does_not_depend_on_its_chunks(tokenizer, tmp_path, monkeypatch):
    """Two contexts with, each, a span in no window, a question without a span and a long question."""
    lines = [HEADER]
    for row in range(2):
        context = " ".join([f"rain{row}"] * 60 + ["1804"])
        long = question(context, "1804", f"cut{row}", question="the old mill by the river " * 9)
        lines.append(
            passage(
                context,
                question(context, "1804", f"good{row}"),
                question(context, "absent", f"lost{row}"),
                question(context, context, f"long{row}"),
                long,
            )
        )
    file = write(tmp_path / "x.jsonl", lines)
    metas = []
    for size in (1, 10**6):
        monkeypatch.setattr(bmt.qa.features, "CHUNK_CHARACTERS", size)
        metas.append(build(file, tokenizer, DATA, tmp_path / str(size), train=True).meta)
    for meta in metas:
        assert meta["spans_lost"] == {"no token": 0, "in no window": 2}
        assert meta["dropped"] == {"no usable span": 2, "span in no window": 2}
        names = [name for name, _ in meta["dropped_questions"]]
        assert names == ["lost0", "long0", "lost1", "long1"]
        assert meta["counts"]["examples"] == 4 and meta["counts"]["truncated_questions"] == 2
        assert meta["counts"]["windows_with_answer"] == 4 < meta["counts"]["windows"]
    assert metas[0]["counts"] == metas[1]["counts"]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_as_it_was_after_a_build_that_ends_or_fails(enabled, file, tokenizer, tmp_path):
    before = gc.isenabled()
    seen = []
    broken = write(tmp_path / "broken.jsonl.gz", [*corpus(3), b"{"])
    try:
        (gc.enable if enabled else gc.disable)()
        options = BuildOptions(progress=lambda *_: seen.append(gc.isenabled()))
        build(file, tokenizer, DATA, tmp_path / "out", train=True, options=options)
        assert gc.isenabled() == enabled and seen == [False]
        with pytest.raises(DataError):
            build(broken, tokenizer, DATA, tmp_path / "other", train=True)
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_a_worker_that_is_killed_is_one_line_and_leaves_nothing(file, tokenizer, tmp_path, monkeypatch):
    ended = []

    class Pool:
        """A pool whose worker is killed at the second chunk."""

        def __init__(self, *_):
            self.count = 0

        def submit(self, *_):
            self.count += 1
            future = Future()
            if self.count > 1:
                future.set_exception(BrokenProcessPool("killed"))
            else:
                spec = encoder(tokenizer, DATA.special_tokens)
                chunk = next(bmt.qa.features._chunks(passages(file)))
                future.set_result(cut_chunk(chunk, spec, text_tokenizer(spec), Cut(40, 8, 16), True))
            return future

        def shutdown(self, cancel_futures=False):
            ended.append(cancel_futures)

    monkeypatch.setattr(bmt.qa.features, "CHUNK_CHARACTERS", 300)
    monkeypatch.setattr(bmt.qa.features, "ProcessPoolExecutor", Pool)
    with pytest.raises(
        DataError,
        match=r"^a worker process was killed, or could not start: fewer workers need less memory$",
    ):
        build(file, tokenizer, DATA, tmp_path / "out", train=True, options=BuildOptions(2))
    assert ended == [True] and not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_at_most_three_chunks_per_worker_are_in_flight_and_come_back_in_order(monkeypatch):
    flight, most = [], []

    class Pool:
        def __init__(self, *_):
            pass

        def submit(self, _, chunk):
            flight.append(chunk)
            most.append(len(flight))
            future = Future()
            future.result = lambda: flight.pop(flight.index(chunk))
            return future

        def shutdown(self, cancel_futures=False):
            pass

    monkeypatch.setattr(bmt.qa.features, "ProcessPoolExecutor", Pool)
    done = list(bmt.qa.features._work(iter(range(20)), None, None, True, 2))
    assert done == list(range(20)) and max(most) == 6


def test_the_features_name_what_they_were_made_from(file, tokenizer, tmp_path):
    meta = build(file, tokenizer, DATA, tmp_path / "out", train=True, limit=7).meta
    assert {name: meta["inputs"][name] for name in ("train", "limit", "window", "overlap", "question")} == {
        "train": True,
        "limit": 7,
        "window": 40,
        "overlap": 8,
        "question": 16,
    }
    assert meta["inputs"]["special_tokens"] == MARKERS
    assert meta["files"] == {
        name: (tmp_path / "out" / name).stat().st_size for name in ("windows.arrow", "examples.arrow")
    }
    assert not outdated(meta, DATA)
    for name in ("train", "limit", "file_sha256", "tokenizer_sha256", "tokenizers"):
        assert name in meta["inputs"], name
