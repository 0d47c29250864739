from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import track
from benchmark.rendering import render
from benchmark.tracking import journal_overview
from benchmark.tracking.journal import FOLDER, Journal, journals, write_state
from benchmark.tracking.journal_overview import overview
from benchmark.tracking.journal_upload import SyncResult
from bmt.errors import BMTError, DataError
from tests.support.tracking_store import contents, make


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(tmp_path)
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    for name in ("a", "b"):
        opened = Journal(tmp_path / "runs" / "sample" / name / FOLDER / f"{name}.jsonl")
        opened.append(
            "run", key=name, name=name, experiment="bmt-test", params={}, tags={}, resume=None, parent=None
        )
        if name == "a":
            opened.append("end", status="FINISHED", failure=None)
        opened.close()
    return tmp_path


def test_sync_delivers_what_waits_and_list_shows_it(repository, capsys):
    assert track.main(["list"]) == 0
    before = capsys.readouterr().out.splitlines()
    assert before[:3] == [f"store: sqlite:///{repository}/mlflow.db", "", before[2]]
    assert before[2].split() == ["run", "status", "entries", "delivered", "MLflow", "run", "journal"]
    assert [line.split()[:5] for line in before[3:]] == [
        ["a", "FINISHED", "2", "0", "-"],
        ["b", "RUNNING", "1", "0", "-"],
    ]
    assert track.main(["sync", str(repository / "runs" / "sample" / "a")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 journals: 1 delivered"
    assert track.main(["sync"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 journals: 1 delivered, 1 up to date"
    assert track.main(["sync"]) == 0
    assert capsys.readouterr().out == "2 journals: 2 up to date\n"
    runs = contents(f"sqlite:///{repository / 'mlflow.db'}")
    assert {name: run["status"] for name, run in runs.items()} == {"a": "FINISHED", "b": "KILLED"}
    track.main(["list"])
    after = capsys.readouterr().out.splitlines()
    assert [line.split()[:5] for line in after[3:]] == [
        ["a", "FINISHED", "2", "2", runs["a"]["id"]],
        ["b", "KILLED", "1", "1", runs["b"]["id"]],
    ]


def test_the_list_asks_no_store_and_shows_no_password(repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ann:secret@127.0.0.1:1")
    Journal(repository / "runs" / "sample" / "c" / FOLDER / "c.jsonl").close()
    state = {"run_id": "f" * 32, "delivered": 1, "status": "KILLED"}
    write_state(journals([repository])[1], "http://127.0.0.1:1", state)
    document, good = overview([repository])
    lines = render(document, "terminal").splitlines()
    assert good and lines[0] == "store: http://127.0.0.1:1"
    assert [line.split()[:5] for line in lines[3:]] == [
        ["a", "FINISHED", "2", "0", "-"],
        ["b", "KILLED", "1", "1", "f" * 32],
        ["?", "empty", "0", "0", "-"],
    ]


def test_every_outcome_but_that_nothing_was_to_do_has_its_line(monkeypatch):
    outcomes = [
        SyncResult(Path("a"), "up to date"),
        SyncResult(Path("b"), "up to date", 0, "r", "metric x: refused"),
        SyncResult(Path("c"), "delivered", 3, "r"),
        SyncResult(Path("d"), "live"),
        SyncResult(Path("e"), "deleted", detail="restore it"),
    ]
    monkeypatch.setattr(journal_overview, "connect", lambda: None)
    monkeypatch.setattr(journal_overview, "sync", lambda folders, store: outcomes)
    assert journal_overview.deliver([]) == (
        [
            "b: up to date, r, metric x: refused",
            "c: delivered, 3 entries, r",
            "d: live",
            "e: deleted, restore it",
            "5 journals: 1 deleted, 1 delivered, 1 live, 2 up to date",
        ],
        True,
    )
    outcomes.append(SyncResult(Path("f"), "failed", detail="damaged"))
    assert journal_overview.deliver([])[1] is False


def test_an_unreachable_store_is_one_line_and_a_failure(repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(
        BMTError, match=r"http://127\.0\.0\.1:1: .*nothing is lost, run the same command again"
    ) as failed:
        track.main(["sync"])
    assert failed.value.status == 1
    assert "\n" not in str(failed.value)


def test_a_damaged_journal_is_named_and_a_failure(repository, capsys):
    journals([repository])[0].write_text("x\n")
    assert track.main(["sync"]) == 1
    assert "a.jsonl, line 1: not an entry of a journal" in capsys.readouterr().out.replace("\n", " ")
    assert track.main(["list"]) == 1
    assert "a.jsonl, line 1: not an entry of a journal" in capsys.readouterr().out.splitlines()[-1]


def test_the_name_of_a_run_steers_no_terminal(tmp_path, monkeypatch, capsys):
    make(tmp_path)
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    opened = Journal(tmp_path / "runs" / "sample" / "a" / FOLDER / "a.jsonl")
    name = "a\x1b[31mred"
    opened.append("run", key="a", name=name, experiment="x", params={}, tags={}, resume=None, parent=None)
    opened.close()
    assert track.main(["list"]) == 0
    assert "a\ufffd[31mred  RUNNING" in capsys.readouterr().out


def test_a_folder_that_is_not_there_and_one_without_journals(repository, tmp_path, capsys):
    with pytest.raises(DataError, match="absent: no such folder"):
        track.main(["sync", str(tmp_path / "absent")])
    empty = tmp_path / "empty"
    empty.mkdir()
    assert track.main(["sync", str(empty)]) == 0
    assert capsys.readouterr().out == f"no journal below {empty}\n"
