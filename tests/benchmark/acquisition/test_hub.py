"""The hub's copy: rows back into MRQA lines, checked by counts and ids, and never mistaken for the official
files.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmark.acquisition import manifest as manifests
from benchmark.acquisition.download import Network, Patience
from benchmark.acquisition.fetch import NOT_COMPARABLE, fetch
from benchmark.acquisition.hub import Converted, _records, convert, parquet_url
from benchmark.acquisition.manifest import Entry, HubRows, read_local
from benchmark.fetch import main
from bmt.errors import DataError
from bmt.qa import mrqa
from tests.support.file_server import FileServer, running, served, status, truncated
from tests.support.silent_bar import silent_bar

QUICK = Patience(timeout=60.0, attempts=3, first_wait=0.001, longest_wait=0.002)
INT, TEXT = pa.int32(), pa.string()
TOKENS, SPANS = {"tokens": TEXT, "offsets": INT}, {"start": INT, "end": INT}


def row(subset: str, number: int, qid: str | None = None) -> dict[str, Any]:
    """Two questions share a context. Values as a list of structs."""
    context = f"Größe {number // 2} is blue, blue."
    spans = [{"start": 11, "end": 14}, {"start": 17, "end": 20}]
    return {
        "subset": subset,
        "context": context,
        "context_tokens": [{"tokens": "Größe", "offsets": 0}, {"tokens": "is", "offsets": 8}],
        "qid": f"{subset}-{number}" if qid is None else qid,
        "question": f"Which colour, {number}?",
        "question_tokens": [{"tokens": "Which", "offsets": 0}],
        "detected_answers": [
            {
                "text": "blue",
                "char_spans": spans,
                "token_spans": [{"start": 2, "end": 2}, {"start": 4, "end": 4}],
            }
        ],
        "answers": ["blue", "Blue"],
    }


def parquet(rows: list[dict[str, Any]], as_lists: bool = True) -> bytes:
    """Parquet with the hub's columns; sequences of structs are structs of lists (`as_lists`: what `datasets`
    wrote) or lists of structs.
    """

    def kind(fields: dict[str, Any]) -> pa.DataType:
        return (
            pa.struct({name: pa.list_(inner) for name, inner in fields.items()})
            if as_lists
            else pa.list_(pa.struct(fields))
        )

    def value(items: list[dict[str, Any]]) -> Any:
        return {name: [item[name] for item in items] for name in items[0]} if as_lists else items

    answers = {"text": TEXT, "char_spans": kind(SPANS), "token_spans": kind(SPANS)}
    schema = pa.schema(
        {
            "subset": TEXT,
            "context": TEXT,
            "context_tokens": kind(TOKENS),
            "qid": TEXT,
            "question": TEXT,
            "question_tokens": kind(TOKENS),
            "detected_answers": kind(answers),
            "answers": pa.list_(TEXT),
        }
    )
    stored = []
    for item in rows:
        detected = [
            {k: v if k == "text" else value(v) for k, v in answer.items()}
            for answer in item["detected_answers"]
        ]
        tokens = {key: value(item[key]) for key in ("context_tokens", "question_tokens")}
        stored.append(item | tokens | {"detected_answers": value(detected)})
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(stored, schema=schema), stream, row_group_size=3)
    return stream.getvalue()


def entry(
    dataset: str, split: str, hub_split: str, questions: int | None, domain: str = "in_domain"
) -> Entry:
    subsets = ("TriviaQA-web", "TriviaQA") if dataset == "TriviaQA" else (dataset,)
    rows = HubRows(hub_split, subsets)
    url = "http://nowhere/f"
    return Entry(
        dataset=dataset,
        domain=domain,
        split=split,
        url=url,
        shown_url=url,
        md5="0" * 32,
        questions=questions,
        hub=rows,
    )


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


@pytest.mark.parametrize("as_lists", [True, False])
def test_rows_become_mrqa_lines(as_lists: bool, tmp_path: Path):
    rows = [row("SQuAD", 0), row("SQuAD", 1), row("TriviaQA-web", 0), row("SQuAD", 2), row("NewsQA", 0)]
    (tmp_path / "a.parquet").write_bytes(parquet(rows[:2], as_lists))
    (tmp_path / "b.parquet").write_bytes(parquet(rows[2:], as_lists))
    squad, trivia = entry("SQuAD", "train", "train", 3), entry("TriviaQA", "train", "train", 1)
    outputs = {squad: tmp_path / "SQuAD.train.jsonl.gz", trivia: tmp_path / "TriviaQA.train.jsonl.gz"}
    bar = silent_bar()
    converted = convert([tmp_path / "a.parquet", tmp_path / "b.parquet"], outputs, bar)
    assert bar.count == 5
    assert lines(outputs[trivia])[0] == {"header": {"dataset": "TriviaQA", "split": "train"}}
    answer = {"text": "blue", "char_spans": [[11, 14], [17, 20]], "token_spans": [[2, 2], [4, 4]]}
    assert lines(outputs[squad])[1] == {
        "context": "Größe 0 is blue, blue.",
        "context_tokens": [["Größe", 0], ["is", 8]],
        "qas": [
            {
                "qid": f"SQuAD-{number}",
                "question": f"Which colour, {number}?",
                "question_tokens": [["Which", 0]],
                "detected_answers": [answer],
                "answers": ["blue", "Blue"],
            }
            for number in (0, 1)
        ],
    }
    assert (converted[squad].contexts, converted[squad].questions, converted[squad].ids) == (
        2,
        3,
        {"SQuAD-0", "SQuAD-1", "SQuAD-2"},
    )
    assert converted[squad].ids_sha256 == hashlib.sha256(b"SQuAD-0\nSQuAD-1\nSQuAD-2\n").hexdigest()
    examples = list(mrqa.read_mrqa(outputs[squad], strict=True))
    assert [(example.id, example.dataset, example.answers, example.spans) for example in examples] == [
        (f"SQuAD-{number}", "SQuAD", ("blue", "Blue"), ((11, 15), (17, 21))) for number in range(3)
    ]


def test_the_bytes_depend_on_the_rows_alone(tmp_path: Path):
    squad = entry("SQuAD", "train", "train", 8)
    (tmp_path / "whole.parquet").write_bytes(parquet([row("SQuAD", number) for number in range(8)]))
    for part in range(2):
        (tmp_path / f"{part}.parquet").write_bytes(
            parquet([row("SQuAD", number) for number in range(4 * part, 4 * part + 4)])
        )
    convert([tmp_path / "whole.parquet"], {squad: tmp_path / "one.gz"}, silent_bar())
    convert([tmp_path / "0.parquet", tmp_path / "1.parquet"], {squad: tmp_path / "two.gz"}, silent_bar())
    made = (tmp_path / "one.gz").read_bytes()
    assert made == (tmp_path / "two.gz").read_bytes()
    assert (made[3], made[4:8]) == (0, bytes(4)), "no name of a file and no time"
    assert "Größe" in gzip.decompress(made).decode(), "characters as they are, not escaped"


def test_what_is_no_copy_of_mrqa_is_refused(tmp_path: Path):
    squad, file = entry("SQuAD", "train", "train", 1), tmp_path / "a.parquet"
    file.write_bytes(parquet([row("Squad", 0), row("NewsQA", 0)]))
    with pytest.raises(
        DataError, match=r"^SQuAD: the hub's split 'train' has no rows of subset SQuAD; it has NewsQA, Squad$"
    ):
        convert([file], {squad: tmp_path / "out.gz"}, silent_bar())
    pq.write_table(pa.table({"subset": ["SQuAD"], "qid": ["1"]}), file)
    with pytest.raises(
        DataError, match=r"^a\.parquet: no column answers, context, .*: it is another data set$"
    ):
        convert([file], {squad: tmp_path / "out.gz"}, silent_bar())
    file.write_bytes(b"<html>")
    with pytest.raises(DataError, match=r"^a\.parquet: no Parquet file: "):
        convert([file], {squad: tmp_path / "out.gz"}, silent_bar())


def test_a_row_without_answers_or_id_is_taken_as_it_is():
    stream = io.BytesIO()
    converted = Converted(stream, entry("SQuAD", "dev", "dev", None))
    columns = row("SQuAD", 0) | {"detected_answers": None, "qid": None, "question_tokens": []}
    converted.add(columns.__getitem__)
    converted.flush()
    converted.flush()
    line = json.loads(stream.getvalue().splitlines()[1])
    assert (converted.contexts, converted.questions, converted.ids) == (1, 1, {""})
    assert [(qa["qid"], qa["detected_answers"], qa["question_tokens"]) for qa in line["qas"]] == [
        ("", [], [])
    ]


def test_sequences_of_structs_are_read_in_either_form():
    for stored in ({"a": [1, 2], "b": [3, 4]}, [{"a": 1, "b": 3}, {"a": 2, "b": 4}]):
        assert list(_records(stored, "a", "b")) == [(1, 3), (2, 4)]
    for nothing in (None, [], {"a": None, "b": []}):
        assert list(_records(nothing, "a", "b")) == []
    with pytest.raises(ValueError, match="shorter"):
        list(_records({"a": [1, 2], "b": [3]}, "a", "b"))


def test_no_questions_have_the_digest_of_nothing():
    assert (
        Converted(io.BytesIO(), entry("SQuAD", "dev", "dev", None)).ids_sha256
        == hashlib.sha256(b"").hexdigest()
    )


def test_the_official_manifest_says_where_each_file_stands_in_the_copy():
    manifest = read_local("mrqa2019", manifests.OFFICIAL.as_uri())
    assert manifest.hub is not None
    assert {split: len(files) for split, files in manifest.hub.files.items()} == {
        "train": 9,
        "validation": 1,
        "test": 1,
    }
    expected = {
        (e.dataset, e.split): "train"
        if e.split == "train"
        else "validation"
        if e.domain == "in_domain"
        else "test"
        for e in manifest.entries
    }
    assert {(e.dataset, e.split): e.hub.split for e in manifest.entries if e.hub} == expected
    names = {e.dataset: e.hub.subset[0] for e in manifest.entries if e.hub and e.hub.subset[0] != e.dataset}
    assert names == {
        "TriviaQA": "TriviaQA-web",
        "NaturalQuestions": "NaturalQuestionsShort",
        "DuoRC": "DuoRC.ParaphraseRC",
    }
    # the hub's own numbers of rows: https://huggingface.co/datasets/mrqa-workshop/mrqa
    sums = {
        split: sum(e.questions or 0 for e in manifest.entries if expected[e.dataset, e.split] == split)
        for split in manifest.hub.files
    }
    assert sums == {"train": 516_819, "validation": 58_221, "test": 9_633}


def test_the_address_of_a_parquet_file(monkeypatch: pytest.MonkeyPatch):
    hub = read_local("mrqa2019", manifests.OFFICIAL.as_uri()).hub
    assert hub is not None
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    folder = "/datasets/mrqa-workshop/mrqa/resolve/f3178d9888471dfb2b67c93de14f0ddf499a8d9f"
    path = f"{folder}/plain_text/test-00000-of-00001.parquet"
    assert parquet_url(hub, hub.files["test"][0]) == "https://huggingface.co" + path
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    assert parquet_url(hub, hub.files["test"][0]) == "https://mirror.example" + path


BASE = "/datasets/some/mrqa/resolve/abc/"
OFFICIAL = {
    "in_domain/SQuAD.train.jsonl.gz": gzip.compress(b'{"qas": [' + b'{"qid": "q"}' * 4, mtime=0),
    "out_of_domain/DROP.dev.jsonl.gz": gzip.compress(b"official DROP", mtime=0),
}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with running() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        server.files = {
            f"{BASE}data/train-0.parquet": parquet([row("SQuAD", number) for number in range(3)]),
            f"{BASE}data/train-1.parquet": parquet([row("SQuAD", 3), row("NewsQA", 0)]),
            f"{BASE}data/test-0.parquet": parquet([row("DROP", number) for number in range(5)]),
            **{f"/files/{name}": content for name, content in OFFICIAL.items()},
        }
        yield server


@pytest.fixture
def folder(tmp_path: Path, server: FileServer) -> Path:
    """A folder with a manifest of two files, one in each of the hub's splits."""
    write_manifest(tmp_path / "source", server.url)
    return tmp_path / "source"


def write_manifest(folder: Path, url: str, questions: int = 4, version: str = "v", **drop: Any) -> None:
    common = {"SQuAD": ("in_domain", "train", "train"), "DROP": ("out_of_domain", "dev", "test")}
    files = [
        {
            "dataset": dataset,
            "domain": domain,
            "split": split,
            "path": f"{domain}/{dataset}.{split}.jsonl.gz",
            "md5": hashlib.md5(OFFICIAL[f"{domain}/{dataset}.{split}.jsonl.gz"]).hexdigest(),
            "hub": {"split": hub, "subset": [dataset]},
        }
        for dataset, (domain, split, hub) in common.items()
    ]
    files[0] |= {"questions": questions}  # DROP's are not stated
    files[1] |= drop
    hub = {
        "repo": "some/mrqa",
        "revision": "abc",
        "files": {"train": ["data/train-0.parquet", "data/train-1.parquet"], "test": ["data/test-0.parquet"]},
    }
    folder.mkdir(exist_ok=True)
    (folder / "manifest.yaml").write_text(
        yaml.safe_dump({"version": version, "base_url": f"{url}/files/", "files": files, "hub": hub})
    )


def names(out: Path) -> list[str]:
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_fetch_from_the_hub_is_recorded_as_such(server: FileServer, folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    server.will(f"{BASE}data/train-0.parquet", status(503), truncated(1000))
    report = fetch(folder, out, source="hub", patience=QUICK)
    assert report.missing == ()
    assert names(out) == [
        "fetch.json",
        "in_domain/SQuAD.train.jsonl.gz",
        "manifest.yaml",
        "out_of_domain/DROP.dev.jsonl.gz",
    ]
    assert server.ranges(f"{BASE}data/train-0.parquet") == [None, None, "bytes=1000-"]
    record = json.loads((out / "fetch.json").read_text())["files"]["in_domain/SQuAD.train.jsonl.gz"]
    content = (out / "in_domain/SQuAD.train.jsonl.gz").read_bytes()
    assert record == {
        "dataset": "SQuAD",
        "domain": "in_domain",
        "split": "train",
        "source": "hub",
        "manifest_version": "v",
        "contexts": 2,
        "questions": 4,
        "url": "https://huggingface.co/datasets/some/mrqa/tree/abc",
        "bytes": len(content),
        "md5": hashlib.md5(content).hexdigest(),
        "sha256": hashlib.sha256(content).hexdigest(),
        "ids_sha256": hashlib.sha256(b"SQuAD-0\nSQuAD-1\nSQuAD-2\nSQuAD-3\n").hexdigest(),
    }
    assert [
        example.id for example in mrqa.read_mrqa(out / "in_domain/SQuAD.train.jsonl.gz", strict=True)
    ] == [f"SQuAD-{n}" for n in range(4)]


def test_the_hubs_files_stay_until_the_official_ones_are_asked_for(
    server: FileServer, folder: Path, tmp_path: Path, capsys
):
    out = tmp_path / "out"
    fetch(folder, out, source="hub", patience=QUICK)
    before, asked = {name: (out / name).read_bytes() for name in names(out)}, len(server.requests)
    for source, offline in ((None, False), ("hub", False), (None, True), ("hub", True)):
        report = fetch(folder, out, source=source, offline=offline, patience=QUICK)
        assert [(file.record["source"], file.action) for file in report.files] == [("hub", "kept")] * 2
        assert {name: (out / name).read_bytes() for name in names(out)} == before
    assert len(server.requests) == asked
    assert main(["--manifest", str(folder), "--out", str(out)]) == 0
    assert f"from the hub: SQuAD train, DROP dev: {NOT_COMPARABLE}\n" in capsys.readouterr().out

    report = fetch(folder, out, source="files", offline=True)
    assert [missing.reason for missing in report.missing] == [
        "the file in its place belongs to v (source hub)"
    ] * 2
    report = fetch(folder, out, source="files", patience=QUICK)
    assert [(file.record["source"], file.action) for file in report.files] == [("http", "fetched")] * 2
    assert {name: (out / name).read_bytes() for name in OFFICIAL} == OFFICIAL
    assert names(out) == [
        "fetch.json",
        "in_domain/SQuAD.train.jsonl.gz",
        "manifest.yaml",
        "out_of_domain/DROP.dev.jsonl.gz",
    ]
    report = fetch(folder, out, source="hub", patience=QUICK)  # the official file is the better one
    assert [(file.record["source"], file.action) for file in report.files] == [("http", "kept")] * 2


def test_the_hubs_files_do_not_stay_for_another_manifest(server: FileServer, folder: Path, tmp_path: Path):
    """Of another revision, perhaps: what is here is verified for the one that it came for alone."""
    out = tmp_path / "out"
    fetch(folder, out, source="hub", patience=QUICK)
    write_manifest(folder, server.url, version="w")
    report = fetch(folder, out, source="hub", offline=True)
    assert [missing.reason for missing in report.missing] == [
        "the file in its place belongs to v (source hub)"
    ] * 2
    report = fetch(folder, out, source="hub", patience=QUICK)
    assert [(file.record["manifest_version"], file.action) for file in report.files] == [("w", "fetched")] * 2
    (out / "in_domain/SQuAD.train.jsonl.gz").write_bytes(b"changed by hand")
    report = fetch(folder, out, source="hub", offline=True)
    assert [missing.entry.dataset for missing in report.missing] == ["SQuAD"]
    assert "is another: its md5 is" in report.missing[0].reason


@pytest.mark.parametrize("rows", ["", {"split": "dev", "subset": ["DROP"]}])
def test_a_file_whose_rows_the_manifest_does_not_name_is_missing(
    rows: Any, server: FileServer, folder: Path, tmp_path: Path
):
    write_manifest(folder, server.url, hub=rows)
    report = fetch(folder, tmp_path / "out", source="hub", patience=QUICK)
    assert [(missing.entry.dataset, missing.reason) for missing in report.missing] == [
        ("DROP", "the manifest does not say where its rows stand in the hub's copy")
    ]
    assert [file.entry.dataset for file in report.files] == ["SQuAD"]


def test_a_full_disk_leaves_none_of_the_hubs_files(
    server: FileServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, original = tmp_path / "out", Network.download

    def full(self: Network, url: str, part: Path, meter: Any) -> bool:
        if url.endswith("train-1.parquet"):
            part.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, url, part, meter)

    monkeypatch.setattr(Network, "download", full)
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(folder, out, source="hub", patience=replace(QUICK, jobs=1))
    assert caught.value.filename == str(out / ".hub/train-1.parquet")
    assert names(out) == ["fetch.json", "manifest.yaml", "out_of_domain/DROP.dev.jsonl.gz"]
    recorded = json.loads((out / "fetch.json").read_text())["files"]
    assert list(recorded) == ["out_of_domain/DROP.dev.jsonl.gz"], "of the split that came whole before"


@pytest.mark.parametrize("stated", [3, 5])
def test_a_copy_with_fewer_or_more_questions_than_are_stated_is_kept_aside(
    stated: int, server: FileServer, folder: Path, tmp_path: Path
):
    out = tmp_path / "out"
    write_manifest(folder, server.url, questions=stated)
    report = fetch(folder, out, source="hub", patience=QUICK)
    assert [missing.reason for missing in report.missing] == [
        f"the hub's copy holds 4 questions, the manifest says {stated}; kept aside as "
        "SQuAD.train.jsonl.gz.bad"
    ]
    assert names(out) == [
        "fetch.json",
        "in_domain/SQuAD.train.jsonl.gz.bad",
        "manifest.yaml",
        "out_of_domain/DROP.dev.jsonl.gz",
    ]


@pytest.mark.parametrize("qid", ["SQuAD-0", ""])
def test_a_copy_with_repeated_or_empty_ids_is_kept_aside(
    qid: str, server: FileServer, folder: Path, tmp_path: Path
):
    server.files[f"{BASE}data/train-1.parquet"] = parquet([row("SQuAD", 3, qid)])
    report = fetch(folder, tmp_path / "out", source="hub", patience=QUICK)
    assert [missing.reason for missing in report.missing] == [
        "the hub's copy holds 4 questions but 3 ids; kept aside as SQuAD.train.jsonl.gz.bad"
    ]


def test_shards_that_arrived_wait_for_the_one_that_did_not(server: FileServer, folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    server.will(f"{BASE}data/train-1.parquet", status(404))
    report = fetch(folder, out, source="hub", patience=QUICK)
    assert [(missing.entry.dataset, missing.reason) for missing in report.missing] == [
        ("SQuAD", f"{server.url}{BASE}data/train-1.parquet: HTTP 404 Not Found")
    ]
    assert (out / "out_of_domain/DROP.dev.jsonl.gz").exists()
    server.requests.clear()
    assert fetch(folder, out, source="hub", patience=QUICK).missing == ()
    assert server.requests == [(f"{BASE}data/train-1.parquet", None)]
    assert not (out / ".hub").exists()


def test_a_shard_that_is_no_parquet_is_asked_for_anew(server: FileServer, folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    server.will(f"{BASE}data/test-0.parquet", served(b"<html>"))
    (missing,) = fetch(folder, out, source="hub", patience=QUICK).missing
    assert missing.reason.startswith("test-0.parquet: no Parquet file: ")
    assert names(out) == ["fetch.json", "in_domain/SQuAD.train.jsonl.gz", "manifest.yaml"]
    assert fetch(folder, out, source="hub", patience=QUICK).missing == ()


def test_only_and_offline_hold_for_the_hub(server: FileServer, folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert fetch(folder, out, ["DROP"], source="hub", patience=QUICK).missing == ()
    assert server.requests == [(f"{BASE}data/test-0.parquet", None)]
    (missing,) = fetch(folder, out, source="hub", offline=True).missing
    assert (missing.entry.dataset, missing.reason) == (
        "SQuAD",
        "it is not there, and --offline forbids to download it",
    )
    assert os.listdir(out / "in_domain") == []
    server.requests.clear()
    write_manifest(folder, "file:///nowhere")  # the manifest's own files need no network, the hub's do
    (missing,) = fetch(folder, out, ["SQuAD"], source="hub", offline=True).missing
    assert "--offline forbids to download it" in missing.reason and server.requests == []
