"""fetch: what ends up in the folder, what is said about what does not, and how the command ends."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import as_completed, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmark.acquisition import acquisition
from benchmark.acquisition.acquisition import FetchedFile, FetchReport, MissingFile
from benchmark.acquisition.download import Network, Patience, UnavailableError
from benchmark.acquisition.fetch import fetch, print_report
from benchmark.acquisition.manifest import parse
from benchmark.cli.commands import run_command
from benchmark.fetch import main
from bmt.errors import ConfigError, DataError
from tests.support.file_server import (
    FileServer,
    redirected,
    running,
    served,
    stalled,
    status,
    truncated,
    without_length,
)
from tests.support.repository import ROOT
from tests.support.waiting import wait_until

QUICK = Patience(timeout=60.0, attempts=3, first_wait=0.001, longest_wait=0.002)
FILES = {"in_domain/SQuAD.train": 3, "in_domain/SQuAD.dev": 2, "out_of_domain/DROP.dev": 4}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def mrqa(name: str, questions: int) -> bytes:
    """A small MRQA file: one context a question."""
    lines: list[dict[str, Any]] = [
        {"header": {"dataset": name.split("/")[1].split(".")[0], "split": name.split(".")[1]}}
    ]
    for number in range(questions):
        answer = {"text": "blue", "char_spans": [[11, 14]], "token_spans": [[3, 3]]}
        qa = {
            "qid": f"{name}-{number}",
            "question": 'a "qid": ?',
            "question_tokens": [],
            "detected_answers": [answer],
            "answers": ["blue"],
        }
        lines.append({"context": f"The sky is blue {number}", "context_tokens": [["The", 0]], "qas": [qa]})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return gzip.compress(text.encode() + b" " * 3000, compresslevel=0, mtime=0)


CONTENT = {f"{name}.jsonl.gz": mrqa(name, questions) for name, questions in FILES.items()}


def manifest_text(base: str = ".", version: str = "test-1", **changes: dict[str, Any]) -> str:
    """A manifest of CONTENT; `changes` by dataset and split (`SQuAD_dev={"bytes": 3}`)."""
    files = []
    for path, content in CONTENT.items():
        domain, name = path.split("/")
        dataset, split = name.split(".")[:2]
        entry = {
            "dataset": dataset,
            "domain": domain,
            "split": split,
            "path": path,
            "md5": md5(content),
            "sha256": sha256(content),
            "contexts": FILES[path.removesuffix(".jsonl.gz")],
            "questions": FILES[path.removesuffix(".jsonl.gz")],
        }
        files.append(entry | changes.get(f"{dataset}_{split}", {}))
    return yaml.safe_dump({"version": version, "base_url": base, "files": files, "by_hand": "ask the author"})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for path, content in CONTENT.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "manifest.yaml").write_text(manifest_text())
    return folder


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running() as server:
        server.files = {f"/{path}": content for path, content in CONTENT.items()} | {
            "/manifest.yaml": manifest_text().encode()
        }
        yield server


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below `folder`, hidden ones too, but for the two records."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if not path.is_dir()}
    assert not any(path.is_symlink() for path in files.values())
    return {
        name: path.read_bytes() for name, path in files.items() if name not in ("fetch.json", "manifest.yaml")
    }


def record(out: Path) -> dict[str, Any]:
    return json.loads((out / "fetch.json").read_text())


def actions(report: FetchReport) -> dict[str, tuple[str, str]]:
    return {
        f"{file.entry.dataset}.{file.entry.split}": (file.record["source"], file.action)
        for file in report.files
    }


def test_a_folder_is_copied_verified_and_recorded(source: Path, out: Path):
    report = fetch(source, out)
    assert tree(out) == CONTENT
    assert actions(report) == dict.fromkeys(("SQuAD.train", "SQuAD.dev", "DROP.dev"), ("file", "fetched"))
    assert [file.entry.label for file in report.files] == ["SQuAD train", "SQuAD dev", "DROP dev"]
    assert report.missing == ()
    assert report.manifest.unlisted() == (
        "HotpotQA",
        "TriviaQA",
        "NewsQA",
        "SearchQA",
        "NaturalQuestions",
        "BioASQ",
        "DuoRC",
        "RACE",
        "RelationExtraction",
        "TextbookQA",
    )
    content = CONTENT["out_of_domain/DROP.dev.jsonl.gz"]
    assert record(out)["files"]["out_of_domain/DROP.dev.jsonl.gz"] == {
        "dataset": "DROP",
        "domain": "out_of_domain",
        "split": "dev",
        "source": "file",
        "url": "out_of_domain/DROP.dev.jsonl.gz",
        "md5": md5(content),
        "sha256": sha256(content),
        "bytes": len(content),
        "contexts": 4,
        "questions": 4,
        "manifest_version": "test-1",
    }
    assert record(out) | {"files": None} == {
        "schema": 1,
        "manifest": str(source),
        "version": "test-1",
        "files": None,
    }
    assert (out / "manifest.yaml").read_text() == manifest_text()


def test_what_is_there_is_not_fetched_again_and_the_record_does_not_change(server: FileServer, out: Path):
    fetch(f"{server.url}/", out, patience=QUICK)
    asked, before = len(server.requests), (out / "fetch.json").read_bytes()
    (out / "in_domain/SQuAD.dev.jsonl.gz").unlink()
    report = fetch(f"{server.url}/", out, patience=QUICK)
    assert server.requests[asked:] == [("/manifest.yaml", None), ("/in_domain/SQuAD.dev.jsonl.gz", None)]
    assert actions(report) == {
        "SQuAD.train": ("http", "kept"),
        "SQuAD.dev": ("http", "fetched"),
        "DROP.dev": ("http", "kept"),
    }
    assert (out / "fetch.json").read_bytes() == before
    assert tree(out) == CONTENT


def test_a_bad_day_on_the_network_ends_with_the_right_files(server: FileServer, out: Path):
    squad, dev, drop = (f"/{path}" for path in CONTENT)
    server.will("/manifest.yaml", status(503))
    server.will(squad, status(500), truncated(500), stalled(700), served(ranges=False))
    server.will(dev, redirected("/elsewhere"))
    server.files["/elsewhere"] = server.files[dev]
    server.will(drop, without_length(900))  # looks complete; its digest tells
    report = fetch(f"{server.url}/manifest.yaml", out, patience=QUICK)
    assert report.missing == ()
    assert tree(out) == CONTENT
    assert server.ranges(squad) == [None, None, "bytes=500-", "bytes=1200-"]
    assert server.ranges(drop) == [None, None]
    assert record(out)["files"]["in_domain/SQuAD.train.jsonl.gz"]["url"] == f"{server.url}{squad}"


def test_files_come_at_the_same_time(server: FileServer, out: Path):
    """Each answer waits until all three files were asked for."""
    together = threading.Barrier(3, timeout=20)

    def wait_for_the_others(handler: Any, body: bytes) -> None:
        together.wait()
        handler.wfile.write(handler.begin(body))

    for path in CONTENT:
        server.will(f"/{path}", wait_for_the_others)
    assert fetch(f"{server.url}/", out, patience=Patience(jobs=3, timeout=20, attempts=1)).missing == ()
    assert tree(out) == CONTENT and len(server.requests) == 4


def test_a_killed_fetch_goes_on_where_it_ended(server: FileServer, tmp_path: Path):
    path = "/in_domain/SQuAD.train.jsonl.gz"
    server.will(path, stalled(1500))
    run = [
        sys.executable,
        "-m",
        "benchmark.fetch",
        "--manifest",
        f"{server.url}/",
        "--out",
        "raw",
        "--jobs",
        "1",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    part = tmp_path / "raw/in_domain/.SQuAD.train.jsonl.gz.part"
    first = subprocess.Popen(
        run, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: part.exists() and part.stat().st_size == 1500, lambda: first.poll() is None)
    finally:
        first.kill()
        first.wait()
    assert not (tmp_path / "raw/in_domain/SQuAD.train.jsonl.gz").exists(), (
        "what is not verified has not the file's name"
    )
    again = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0, again.stderr
    assert server.ranges(path) == [None, "bytes=1500-"]
    assert tree(tmp_path / "raw") == CONTENT


def test_a_partial_file_is_continued_and_a_stale_one_thrown_away(server: FileServer, out: Path):
    squad, dev, _ = CONTENT
    (out / "in_domain").mkdir(parents=True)
    (out / "in_domain/.SQuAD.train.jsonl.gz.part").write_bytes(CONTENT[squad][:1000])
    (out / "in_domain/.SQuAD.dev.jsonl.gz.part").write_bytes(b"of another version")
    fetch(f"{server.url}/", out, patience=QUICK)
    assert tree(out) == CONTENT
    assert server.ranges(f"/{squad}") == ["bytes=1000-"]
    assert server.ranges(f"/{dev}") == ["bytes=18-", None]


def test_wrong_bytes_are_kept_aside_and_both_digests_named(server: FileServer, out: Path):
    dev = "/in_domain/SQuAD.dev.jsonl.gz"
    server.files[dev] = b"<html>please register</html>"
    report = fetch(f"{server.url}/", out, patience=QUICK)
    (missing,) = report.missing
    found, stated = md5(server.files[dev]), md5(CONTENT[dev[1:]])
    assert missing.reason == (
        f"not the right file: its md5 is {found}, the manifest says {stated} (it is no gzip file: "
        "perhaps a web page that asks for "
        "something); kept aside as SQuAD.dev.jsonl.gz.bad"
    )
    assert (missing.entry.shown_url, missing.entry.md5) == (server.url + dev, stated)
    assert tree(out) == {name: content for name, content in CONTENT.items() if name != dev[1:]} | {
        dev[1:] + ".bad": server.files[dev]
    }
    assert server.ranges(dev) == [None]
    assert list(record(out)["files"]) == ["in_domain/SQuAD.train.jsonl.gz", "out_of_domain/DROP.dev.jsonl.gz"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"questions": 7}, "it holds 2 questions, the manifest says 7"),
        ({"contexts": 7}, "it holds 2 contexts, the manifest says 7"),
        ({"bytes": 7}, f"it has {len(CONTENT['in_domain/SQuAD.dev.jsonl.gz'])} bytes, the manifest says 7"),
        (
            {"bytes": 7, "md5": "0" * 32},
            f"it has {len(CONTENT['in_domain/SQuAD.dev.jsonl.gz'])} bytes, the manifest says 7; "
            f"its md5 is {md5(CONTENT['in_domain/SQuAD.dev.jsonl.gz'])}, the manifest says {'0' * 32}",
        ),
        (
            {"sha256": "0" * 64},
            f"its sha256 is {sha256(CONTENT['in_domain/SQuAD.dev.jsonl.gz'])}, the manifest says {'0' * 64}",
        ),
    ],
)
def test_everything_that_is_stated_is_checked(change: dict[str, Any], reason: str, source: Path, out: Path):
    (source / "manifest.yaml").write_text(manifest_text(SQuAD_dev=change))
    (missing,) = fetch(source, out).missing
    assert missing.reason == f"not the right file: {reason}; kept aside as SQuAD.dev.jsonl.gz.bad"


def test_a_truncated_gzip_file_with_the_stated_digest_is_refused(source: Path, out: Path):
    cut = CONTENT["in_domain/SQuAD.dev.jsonl.gz"][:-20]
    (source / "in_domain/SQuAD.dev.jsonl.gz").write_bytes(cut)
    digests = {"md5": md5(cut), "sha256": None}
    (source / "manifest.yaml").write_text(manifest_text(SQuAD_dev=digests).replace("sha256: null", "sha256:"))
    (missing,) = fetch(source, out).missing
    assert "it is no whole gzip file (Compressed file ended before" in missing.reason


def test_a_file_put_by_hand_is_verified_and_accepted(server: FileServer, out: Path):
    name = "in_domain/SQuAD.dev.jsonl.gz"
    server.will(f"/{name}", *[status(404)] * 2)
    (missing,) = fetch(f"{server.url}/", out, patience=QUICK).missing
    assert missing.reason == "HTTP 404 Not Found"
    (out / missing.entry.name).write_bytes(CONTENT[name])
    report = fetch(f"{server.url}/", out, patience=QUICK)
    assert actions(report)["SQuAD.dev"] == ("by hand", "kept")
    assert server.ranges(f"/{name}") == [None]
    assert record(out)["files"][name]["source"] == "by hand"


def test_a_wrong_file_put_by_hand_is_moved_aside_and_the_right_one_fetched(server: FileServer, out: Path):
    name = "in_domain/SQuAD.dev.jsonl.gz"
    (out / "in_domain").mkdir(parents=True)
    (out / name).write_bytes(b"mine")
    report = fetch(f"{server.url}/", out, patience=QUICK)
    assert actions(report)["SQuAD.dev"] == ("http", "fetched")
    assert tree(out) == CONTENT | {f"{name}.bad": b"mine"}
    (out / name).write_bytes(b"mine again")
    server.will(f"/{name}", status(403))
    (missing,) = fetch(f"{server.url}/", out, patience=QUICK).missing
    found, stated = md5(b"mine again"), md5(CONTENT[name])
    assert missing.reason == (
        f"HTTP 403 Forbidden; the file in its place is another: its md5 is {found}, "
        f"the manifest says {stated}; kept aside as SQuAD.dev.jsonl.gz.bad"
    )


def test_a_file_of_an_older_manifest_is_replaced_without_a_trace(source: Path, out: Path):
    fetch(source, out)
    newer = mrqa("in_domain/SQuAD.dev", 5)
    (source / "in_domain/SQuAD.dev.jsonl.gz").write_bytes(newer)
    change = {"md5": md5(newer), "sha256": sha256(newer), "questions": 5, "contexts": 5}
    (source / "manifest.yaml").write_text(manifest_text(version="test-2", SQuAD_dev=change))
    report = fetch(source, out)
    assert actions(report) == {
        "SQuAD.train": ("file", "kept"),
        "SQuAD.dev": ("file", "fetched"),
        "DROP.dev": ("file", "kept"),
    }
    assert tree(out) == CONTENT | {"in_domain/SQuAD.dev.jsonl.gz": newer}
    assert {entry["manifest_version"] for entry in record(out)["files"].values()} == {"test-2"}


def test_a_manifest_that_states_more_has_what_is_there_counted_anew(source: Path, out: Path):
    """The same digests, and now a number of questions that the files do not have: the files stay until the
    right ones are here.
    """
    change = {"contexts": None, "questions": None}
    clean = manifest_text(SQuAD_dev=change, DROP_dev=change).replace(": null", ":")
    (source / "manifest.yaml").write_text(clean)
    fetch(source, out)
    name = "in_domain/SQuAD.dev.jsonl.gz"
    assert not {"contexts", "questions"} & record(out)["files"][name].keys()
    (source / "manifest.yaml").write_text(manifest_text(version="test-2", SQuAD_dev={"questions": 7}))
    report = fetch(source, out)
    [missing] = report.missing
    assert missing.reason == (
        "not the right file: it holds 2 questions, the manifest says 7; kept aside as SQuAD.dev.jsonl.gz.bad"
    )
    assert actions(report) == {"SQuAD.train": ("file", "kept"), "DROP.dev": ("file", "kept")}
    assert record(out)["files"]["out_of_domain/DROP.dev.jsonl.gz"]["questions"] == 4
    assert tree(out) == CONTENT | {f"{name}.bad": CONTENT[name]}
    assert record(out)["files"][name]["manifest_version"] == "test-1", (
        "what is there is of the manifest before"
    )
    (source / name).unlink()
    [missing] = fetch(source, out).missing
    assert missing.reason == (
        "no such file or directory; the file in its place belongs to test-1 (source file)"
    )


def test_a_folder_may_have_any_name(source: Path, out: Path, tmp_path: Path):
    odd = source.rename(tmp_path / "a b%20c#d?é")
    assert fetch(odd, out).missing == ()
    assert tree(out) == CONTENT
    assert fetch("a b%20c#d?é", tmp_path / "again", root=tmp_path).missing == (), "a path seen from `root`"


def test_what_an_interrupted_fetch_has_brought_is_recorded_and_its_part_stays(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    original = acquisition.copy

    def interrupted(path: Path, part: Path, *rest: Any) -> None:
        if path.name == "DROP.dev.jsonl.gz":
            part.write_bytes(path.read_bytes()[:100])
            raise KeyboardInterrupt
        original(path, part, *rest)

    monkeypatch.setattr(acquisition, "copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(source, out, patience=Patience(jobs=1))
    squad, dev, drop = CONTENT
    assert list(record(out)["files"]) == sorted([squad, dev])
    assert record(out)["files"][dev]["source"] == "file"
    part = "out_of_domain/.DROP.dev.jsonl.gz.part"
    assert tree(out) == {squad: CONTENT[squad], dev: CONTENT[dev], part: CONTENT[drop][:100]}


def test_a_file_that_is_gone_by_hand_is_not_recorded_any_more(source: Path, out: Path):
    fetch(source, out)
    (out / "out_of_domain" / "DROP.dev.jsonl.gz").unlink()
    fetch(source, out, only=["SQuAD"])
    assert list(record(out)["files"]) == sorted(set(CONTENT) - {"out_of_domain/DROP.dev.jsonl.gz"})


def test_only_takes_the_named_datasets_and_keeps_the_others_recorded(source: Path, out: Path):
    fetch(source, out, only=["DROP"])
    assert list(tree(out)) == ["out_of_domain/DROP.dev.jsonl.gz"]
    fetch(source, out, only=["SQuAD"])
    assert tree(out) == CONTENT
    assert list(record(out)["files"]) == sorted(CONTENT)
    with pytest.raises(
        ConfigError, match=r"^--only Squad: manifest .* \(test-1\) has no such dataset; it has DROP, SQuAD$"
    ):
        fetch(source, out, only=["Squad"])


def test_offline_verifies_and_asks_for_nothing(server: FileServer, out: Path):
    url = f"{server.url}/"
    with pytest.raises(DataError, match=r"manifest\.yaml: no such file: offline, http://.* cannot be read"):
        fetch(url, out, offline=True)
    assert server.requests == []
    fetch(url, out, patience=QUICK)
    server.requests.clear()
    (out / "in_domain/SQuAD.dev.jsonl.gz").unlink()
    (out / "out_of_domain/DROP.dev.jsonl.gz").write_bytes(b"broken")
    report = fetch(url, out, offline=True)
    assert server.requests == []
    assert actions(report) == {"SQuAD.train": ("http", "kept")}
    assert [missing.reason.partition(":")[0] for missing in report.missing] == [
        "it is not there, and --offline forbids to download it",
        "the file in its place is another",
    ]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_offline_holds_whatever_the_scheme_and_a_local_folder_is_no_network(
    scheme: str, source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
):
    (source / "manifest.yaml").write_text(manifest_text(f"{scheme}://host/data/"))
    asked: list[str] = []

    def download(self: Network, url: str, part: Path, meter: Any) -> bool:
        asked.append(url)
        part.write_bytes(CONTENT[url.removeprefix(f"{scheme}://host/data/")])
        return True

    monkeypatch.setattr(Network, "download", download)
    report = fetch(source, out, offline=True)
    assert [missing.reason for missing in report.missing] == [
        "it is not there, and --offline forbids to download it"
    ] * 3
    assert asked == [] and tree(out) == {}
    assert actions(fetch(source, out))["DROP.dev"] == ("http", "fetched"), "https is recorded as http"
    assert sorted(asked) == sorted(f"{scheme}://host/data/{path}" for path in CONTENT)
    (source / "manifest.yaml").write_text(manifest_text())
    assert fetch(source, out.parent / "copy", offline=True).missing == ()


def test_an_unreachable_source_lists_each_file(out: Path, tmp_path: Path):
    (tmp_path / "manifest.yaml").write_text(manifest_text("http://127.0.0.1:1/data/"))
    report = fetch(tmp_path, out, patience=QUICK)
    assert report.files == ()
    assert [missing.entry.shown_url for missing in report.missing] == [
        f"http://127.0.0.1:1/data/{path}" for path in CONTENT
    ]
    assert all("Connection refused" in missing.reason for missing in report.missing)
    with pytest.raises(
        UnavailableError, match=r"^manifest http://127\.0\.0\.1:1/manifest\.yaml: .*Connection refused"
    ):
        fetch("http://127.0.0.1:1", out, patience=QUICK)


@pytest.mark.parametrize("by_http", [False, True])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    by_http, source, server, out, monkeypatch, capsys
):
    (out / "in_domain").mkdir(parents=True)
    (out / "in_domain/.SQuAD.dev.jsonl.gz.part").write_bytes(CONTENT["in_domain/SQuAD.dev.jsonl.gz"][:800])
    original = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(bytes(data)[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return (
            Full(self, mode.replace("b", ""))
            if self.name == ".SQuAD.train.jsonl.gz.part"
            else original(self, mode, *args, **kwargs)
        )

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(SystemExit) as ended:
        run_command(
            lambda: main(
                ["--manifest", f"{server.url}/" if by_http else str(source), "--out", str(out), "--jobs", "1"]
            )
        )
    assert ended.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {out}/in_domain/SQuAD.train.jsonl.gz: No space left on device: "
        "free some space and run the same command again; "
        "nothing half-written was kept"
    )
    assert tree(out) == {}
    monkeypatch.undo()
    assert fetch(source, out).missing == ()
    assert tree(out) == CONTENT


@pytest.mark.parametrize(("jobs", "number"), [(1, errno.ENOSPC), (2, errno.ENOSPC), (1, errno.EDQUOT)])
def test_no_file_is_begun_after_the_disk_is_full_however_late_the_main_thread_looks(
    jobs, number, source, out, monkeypatch
):
    """The main thread sees the error only when every file is done: the worker has set the stop by then."""
    begun, original, barrier = [], acquisition.copy, threading.Barrier(jobs)

    def full(path: Path, part: Path, *rest: Any) -> None:
        begun.append(part.name)
        part.write_bytes(b"x")
        barrier.wait(60)  # as many as there are threads are at work when the disk is full
        raise OSError(number, os.strerror(number))

    def all_done(futures: Any) -> Any:
        wait(futures)
        return as_completed(futures)

    monkeypatch.setattr(acquisition, "copy", full)
    monkeypatch.setattr(acquisition, "as_completed", all_done)
    with pytest.raises(OSError, match=os.strerror(number)):
        fetch(source, out, patience=Patience(jobs=jobs))
    assert len(begun) == jobs < len(CONTENT)
    assert tree(out) == {}
    monkeypatch.setattr(acquisition, "copy", original)
    assert fetch(source, out).missing == ()


def test_an_error_in_one_file_stops_the_others_and_is_the_one_reported(server: FileServer, out: Path):
    (out / "in_domain/SQuAD.train.jsonl.gz").mkdir(parents=True)  # a folder where a file belongs
    server.will("/out_of_domain/DROP.dev.jsonl.gz", *[stalled(10)] * 3)
    with pytest.raises(IsADirectoryError):
        fetch(f"{server.url}/", out, patience=replace(QUICK, jobs=3))


def test_progress_shows_files(source: Path, out: Path, capsys: pytest.CaptureFixture[str]):
    fetch(source, out)
    assert capsys.readouterr().err.startswith("fetch: 0 of 3 files\nfetch: 3 files in ")


def test_the_sample_is_generated_verified_and_recorded_without_a_path(
    out: Path, monkeypatch: pytest.MonkeyPatch, source: Path
):
    from benchmark.acquisition import sample_corpus

    written = []

    def write(folder: Path) -> None:
        written.append(folder)
        for path, content in CONTENT.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        (folder / "manifest.yaml").write_text(manifest_text())

    monkeypatch.setattr(sample_corpus, "write", write)
    report = fetch("sample", out, offline=True)
    assert tree(out) == CONTENT
    assert actions(report)["DROP.dev"] == ("sample", "fetched")
    assert (
        record(out)["files"]["out_of_domain/DROP.dev.jsonl.gz"]["url"]
        == "sample:out_of_domain/DROP.dev.jsonl.gz"
    )
    assert not written[0].exists()
    assert actions(fetch("sample", out))["DROP.dev"] == ("sample", "kept")


def test_the_command_lists_what_is_missing_and_fails(server: FileServer, tmp_path: Path):
    server.will("/in_domain/SQuAD.dev.jsonl.gz", status(404))
    arguments = ["--manifest", f"{server.url}/manifest.yaml", "--out", "raw", "--jobs", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = [sys.executable, "-m", "benchmark.fetch", *arguments]
    result = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    stated = CONTENT["in_domain/SQuAD.dev.jsonl.gz"]
    assert result.returncode == 1
    size = sum(len(content) for content in CONTENT.values() if content is not stated) / 1e6
    assert result.stdout.splitlines() == [
        f"raw: 2 of 3 files of {server.url}/manifest.yaml (test-1) verified, {size:.1f} MB: "
        "2 fetched, 0 already there",
        "not in this manifest: HotpotQA, TriviaQA, NewsQA, SearchQA, NaturalQuestions, BioASQ, DuoRC, "
        "RACE, RelationExtraction, TextbookQA",
    ]
    assert [line for line in result.stderr.splitlines() if not line.startswith("fetch: ")] == [
        "missing: SQuAD dev: HTTP 404 Not Found",
        f"  from {server.url}/in_domain/SQuAD.dev.jsonl.gz",
        f"  or by hand as raw/in_domain/SQuAD.dev.jsonl.gz (md5 {md5(stated)}, sha256 {sha256(stated)})",
        "by hand: ask the author",
        "error: 1 of 3 files are missing in raw: run the same command again, or put them there by hand",
    ]
    again = subprocess.run(
        [*run, "--only", "SQuAD"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert again.returncode == 0
    assert tree(tmp_path / "raw") == CONTENT


def test_what_is_missing_is_told_with_all_that_helps_to_get_it(capsys: pytest.CaptureFixture[str]):
    """Digests that are stated, and how a person gets the file where that is not the same for all."""
    common = {"domain": "in_domain", "split": "dev"}
    files = [
        {"dataset": "SQuAD", "url": "http://h/s", "md5": "A" * 32, "by_hand": "register there", **common},
        {"dataset": "NewsQA", "url": "http://h/n", "sha256": "b" * 64, "by_hand": "ask the author", **common},
        {"dataset": "HotpotQA", "url": "http://h/h", "md5": "c" * 32, **common},
    ]
    text = yaml.safe_dump({"version": "v", "by_hand": "ask the author", "files": files})
    manifest = parse(text, "mine", "http://h/manifest.yaml")
    squad, news, hotpot = manifest.entries
    kept = FetchedFile(hotpot, "kept", {"source": "hub", "bytes": 2_340_000})
    report = FetchReport(manifest, (kept,), (MissingFile(squad, "gone"), MissingFile(news, "lost")))
    with pytest.raises(DataError, match=r"^2 of 3 files are missing in raw: run the same command again, or"):
        print_report(report, Path("raw"))
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "missing: SQuAD dev: gone",
        "  from http://h/s",
        f"  or by hand as raw/in_domain/SQuAD.dev.jsonl.gz (md5 {'a' * 32})",
        "  by hand: register there",
        "missing: NewsQA dev: lost",
        "  from http://h/n",
        f"  or by hand as raw/in_domain/NewsQA.dev.jsonl.gz (sha256 {'b' * 64})",
        "by hand: ask the author",
    ]
    lines = told.out.splitlines()
    assert lines[0] == "raw: 1 of 3 files of mine (v) verified, 2.3 MB: 0 fetched, 1 already there"
    assert lines[2].startswith("from the hub: HotpotQA dev: not comparable with the paper")
    assert print_report(replace(report, missing=()), Path("raw")) == 0


def test_every_option_of_the_command_is_heeded(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def noted(*arguments: Any, **options: Any) -> Any:
        asked.append((arguments, options))
        return FetchReport(parse(manifest_text(), "mine", "http://h/manifest.yaml"), (), ())

    monkeypatch.setattr("benchmark.acquisition.fetch.fetch", noted)
    given = ["--manifest", "m", "--out", "o"]
    assert main([*given, "--source", "hub", "--only", "SQuAD", "DROP", "--offline", "--jobs", "7"]) == 0
    assert main(given) == 0
    assert asked == [
        (
            ("m", "o", ["SQuAD", "DROP"], True),
            {"source": "hub", "patience": Patience(jobs=7), "root": Path()},
        ),
        (("m", "o", None, False), {"source": None, "patience": Patience(jobs=4), "root": Path()}),
    ]
    for option in ("--params", "--profile"):
        with pytest.raises(ConfigError, match=rf"^{option}: --manifest and --out leave nothing to read from"):
            main([*given, option, "mini"])


def test_the_command_takes_manifest_and_profile_from_the_params(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from types import SimpleNamespace

    asked = []

    def load(path: str | None) -> Any:
        asked.append(path)
        return SimpleNamespace(profile="tiny", source=SimpleNamespace(manifest="source"))

    monkeypatch.setattr("benchmark.config.profiles.load", load)
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    assert main(["--params", "mine.yaml", "--jobs", "1"]) == 0
    assert asked == ["mine.yaml"]
    assert tree(tmp_path / "data/raw/tiny") == CONTENT


def test_usage_errors(source: Path, out: Path):
    with pytest.raises(ConfigError, match=r"^--jobs 0: at least 1$"):
        fetch(source, out, patience=Patience(jobs=0))
    with pytest.raises(
        ConfigError, match=r"^--source hub: manifest .* \(test-1\) names no copy on the hub; mrqa2019 does$"
    ):
        fetch(source, out, source="hub")
    with pytest.raises(ConfigError, match=r"^--source moon: one of files, hub$"):
        fetch(source, out, source="moon")
    with pytest.raises(
        ConfigError,
        match=r"^source\.manifest 'nowhere': no such file .*nowhere/manifest\.yaml: give a folder",
    ):
        fetch("nowhere", out)
    assert not out.exists()


REAL = Path(os.environ.get("BMT_REAL_DATA") or ROOT / "../shared/data/mrqa_real")


@pytest.mark.skipif(not (REAL / "manifest.yaml").exists(), reason="the real subset is absent (BMT_REAL_DATA)")
def test_the_real_subset(out: Path):
    report = fetch("real", out, only=["RelationExtraction", "DuoRC"])
    assert {
        file.entry.dataset: (file.record["contexts"], file.record["questions"]) for file in report.files
    } == {
        "DuoRC": (31, 258),
        "RelationExtraction": (173, 177),
    }
    assert report.manifest.unlisted() == ("TextbookQA",)
