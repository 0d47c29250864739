from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmark.tracking import journal
from benchmark.tracking import journal_upload as delivery
from benchmark.tracking import mlflow_store as tracking
from benchmark.tracking.journal import Journal
from benchmark.tracking.journal_upload import (
    DeletedError,
    Item,
    JournalUpload,
    RejectedError,
    StoredRun,
    UnreachableError,
)
from tests.support.tracking_store import contents, make


def header(key: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "key": key,
        "name": key,
        "experiment": "bmt-test",
        "params": {"lr": "1e-05"},
        "tags": {"arm": "bmt"},
        "resume": None,
        "parent": None,
    }
    return fields | changes


def write(
    folder: Path, key: str = "k1", end: str | None = "FINISHED", failure: str | None = None, **changes: Any
) -> Path:
    """A journal with an entry of every kind."""
    opened = Journal(folder / key / journal.FOLDER / f"{key}.jsonl")
    opened.append("run", **header(key, **changes))
    for step in range(3):
        opened.metrics({"train/loss": 2.0 - step, "f1/SQuAD": 10.0}, step)
    opened.keep("mask/a.txt", lambda path: path.write_text("one"))
    opened.append("tag", name="device", value="EPYC")
    opened.metrics({"train/loss": 0.5, "nan": float("nan")}, 9)
    opened.append("input", name="SQuAD.train", source="https://a.b/c.gz", digest="d" * 40, context="training")
    opened.append("input", name="SQuAD.dev", source="data/raw/x.gz", digest="e" * 32, context="evaluation")
    if end:
        opened.append("end", status=end, failure=failure)
    opened.close()
    return opened.path


def entries(path: Path) -> list[dict[str, Any]]:
    return journal.read_entries(path)[0]


class Faulty:
    """A store whose call number `fail` fails, before it is carried out or after (the answer is lost)."""

    def __init__(self, store: Any, fail: int, after: bool) -> None:
        self.store, self.uri, self.calls, self.fail, self.after = store, store.uri, 0, fail, after

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.store, name)

        def counted(*arguments: Any) -> Any:
            self.calls += 1
            failing = self.calls == self.fail
            if failing and not self.after:
                raise UnreachableError("lost before")
            result = call(*arguments)
            if failing:
                raise UnreachableError("lost after")
            return result

        return counted


def test_a_delivered_journal_is_all_there_with_its_own_times(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    assert JournalUpload(path, tracking.connect(uri)).deliver() == 10
    lines = entries(path)
    run = contents(uri)["k1"]
    assert run["status"] == "FINISHED"
    assert run["times"] == (lines[0]["time"], lines[-1]["time"])
    assert run["params"] == {"lr": "1e-05"}
    assert {"arm": "bmt", "device": "EPYC", "journal.id": "k1", "journal.delivered": "k1:10"}.items() <= run[
        "tags"
    ].items()
    assert run["metrics"]["train/loss"] == [
        (0, 2.0, lines[1]["time"]),
        (1, 1.0, lines[2]["time"]),
        (2, 0.0, lines[3]["time"]),
        (9, 0.5, lines[6]["time"]),
    ]
    assert len(run["metrics"]["nan"]) == 1
    assert run["artifacts"] == {"mask/a.txt": b"one"}
    assert run["inputs"] == [
        (
            "SQuAD.dev",
            "e" * 32,
            '{"uri": "data/raw/x.gz"}',
            (("digest", "e" * 32), ("mlflow.data.context", "evaluation")),
        ),
        (
            "SQuAD.train",
            "d" * 36,
            '{"url": "https://a.b/c.gz"}',
            (("digest", "d" * 40), ("mlflow.data.context", "training")),
        ),
    ]


@pytest.mark.parametrize("after", [False, True])
def test_an_interruption_at_any_request_doubles_and_loses_nothing(tmp_path, after):
    """A journal for each request of a delivery, which fails there; then one repetition, for half of them
    without the state.
    """
    uri = make(tmp_path)
    store = tracking.connect(uri)
    clean = Faulty(store, 0, False)
    JournalUpload(write(tmp_path, "clean", end="FAILED", failure="ValueError: x"), clean).deliver()
    for fail in range(1, clean.calls + 1):
        path = write(tmp_path, f"k{fail}", end="FAILED", failure="ValueError: x")
        with pytest.raises(UnreachableError, match="lost after" if after else "lost before"):
            JournalUpload(path, Faulty(store, fail, after)).deliver()
        if fail % 2:
            journal.state_path(path).unlink(missing_ok=True)
        JournalUpload(path, store).deliver()
        assert JournalUpload(path, store).deliver() == 0
    runs = contents(uri)
    wanted = runs.pop("clean")
    assert len(runs) == clean.calls >= 12
    for run in runs.values():
        assert all(run[name] == wanted[name] for name in ("status", "stage", "params", "inputs", "artifacts"))
        assert {key: [point[:2] for point in history] for key, history in run["metrics"].items()} == {
            key: [point[:2] for point in history] for key, history in wanted["metrics"].items()
        }
        assert {**run["tags"], "journal.id": "", "journal.delivered": ""} == {
            **wanted["tags"],
            "mlflow.runName": run["tags"]["mlflow.runName"],
            "journal.id": "",
            "journal.delivered": "",
        }
        assert run["tags"]["journal.delivered"] == f"{run['tags']['journal.id']}:10"


def test_a_second_sync_adds_nothing_and_a_lost_state_is_no_harm(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    store = tracking.connect(uri)
    assert [(outcome.state, outcome.entries) for outcome in delivery.sync([tmp_path], store)] == [
        ("delivered", 10)
    ]
    first = contents(uri)
    assert [(outcome.state, outcome.entries) for outcome in delivery.sync([tmp_path], store)] == [
        ("up to date", 0)
    ]
    journal.state_path(path).unlink()
    assert [(outcome.state, outcome.entries) for outcome in delivery.sync([tmp_path], store)] == [
        ("up to date", 0)
    ]
    assert contents(uri) == first


def test_another_or_a_new_store_gets_the_whole_run(tmp_path):
    write(tmp_path)
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    delivery.sync([tmp_path], tracking.connect(one))
    delivery.sync([tmp_path], tracking.connect(two))
    assert contents(one)["k1"]["metrics"] == contents(two)["k1"]["metrics"]
    tracking.connect(one).client._tracking_client.store._dispose_engine()
    (tmp_path / "one" / "mlflow.db").unlink()
    make(tmp_path / "one")
    assert [outcome.state for outcome in delivery.sync([tmp_path], tracking.connect(one))] == ["delivered"]
    assert contents(one)["k1"]["metrics"] == contents(two)["k1"]["metrics"]


def test_a_run_deleted_in_mlflow_stays_deleted(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    store = tracking.connect(uri)
    delivery.sync([tmp_path], store)
    store.client.delete_run(contents(uri)["k1"]["id"])
    for _ in range(2):
        assert [outcome.state for outcome in delivery.sync([tmp_path], store)] == ["deleted"]
        journal.state_path(path).unlink(missing_ok=True)
    assert contents(uri)["k1"]["stage"] == "deleted"
    with pytest.raises(DeletedError, match="was deleted in MLflow"):
        JournalUpload(path, store).deliver()


def test_a_dead_process_is_ended_as_killed_at_its_last_entry(tmp_path):
    path, uri = write(tmp_path, end=None), make(tmp_path)
    store = tracking.connect(uri)
    assert [(outcome.state, outcome.detail) for outcome in delivery.sync([tmp_path], store)] == [
        ("delivered", "ended as KILLED")
    ]
    assert [outcome.state for outcome in delivery.sync([tmp_path], store)] == ["up to date"]
    run = contents(uri)["k1"]
    assert (run["status"], run["times"][1]) == ("KILLED", entries(path)[-1]["time"])
    assert run["tags"]["failure"] == delivery.SILENT_DEATH
    opened = Journal(path)
    opened.append("resume", params={"lr": "1e-05", "batch": "8"}, tags={})
    opened.append("end", status="FINISHED", failure=None)
    opened.close()
    assert [outcome.entries for outcome in delivery.sync([tmp_path], store)] == [2]
    run = contents(uri)["k1"]
    assert (run["status"], run["params"]) == ("FINISHED", {"lr": "1e-05", "batch": "8"})
    assert "failure" not in run["tags"]
    assert "mlflow.note.content" not in run["tags"]


def test_a_note_that_a_person_wrote_outlives_the_failure_before_it(tmp_path):
    path, uri = write(tmp_path, end="FAILED", failure="ValueError: x"), make(tmp_path)
    store = tracking.connect(uri)
    upload = JournalUpload(path, store)
    upload.deliver()
    store.send(upload.run_id, [("tag", "mlflow.note.content", "the learning rate was too high")])
    opened = Journal(path)
    opened.append("resume", params={}, tags={})
    opened.append("end", status="FINISHED", failure=None)
    opened.close()
    JournalUpload(path, store).deliver()
    tags = contents(uri)["k1"]["tags"]
    assert tags["mlflow.note.content"] == "the learning rate was too high" and "failure" not in tags


def test_a_run_to_go_on_with_that_was_deleted_is_not_gone_on_with(tmp_path):
    write(tmp_path, "k1")
    uri = make(tmp_path)
    store = tracking.connect(uri)
    delivery.sync([tmp_path], store)
    store.remove(contents(uri)["k1"]["id"])
    JournalUpload(write(tmp_path / "other", "k2", resume="k1"), store).deliver()
    runs = contents(uri)
    assert (runs["k1"]["stage"], runs["k2"]["stage"]) == ("deleted", "active")
    assert (runs["k2"]["tags"]["restored_from"], runs["k2"]["tags"]["journal.id"]) == ("k1", "k2")


def test_what_a_store_raises_never_leaves_the_thread(tmp_path):
    told: list[str] = []

    def connect() -> Any:
        raise RuntimeError("two\n lines")

    path = write(tmp_path)
    courier = delivery.Courier(path, connect, told.append)
    assert courier.close() is False and courier.run_id == ""
    assert courier.failure == "RuntimeError: two lines"
    assert told == [f"RuntimeError: two lines; the run goes on, its journal waits in {path}"]


def test_a_live_run_is_left_alone(tmp_path):
    path, uri = write(tmp_path, end=None), make(tmp_path)
    opened = Journal(path)
    assert [outcome.state for outcome in delivery.sync([tmp_path], tracking.connect(uri))] == ["live"]
    opened.close()
    assert contents(uri) == {}


def test_a_damaged_journal_stops_no_other(tmp_path):
    write(tmp_path, "k1").write_text("{}\n")
    write(tmp_path, "k2")
    uri = make(tmp_path)
    outcomes = delivery.sync([tmp_path], tracking.connect(uri))
    assert [outcome.state for outcome in outcomes] == ["failed", "delivered"]
    assert "k1.jsonl, line 1: not an entry" in outcomes[0].detail
    assert set(contents(uri)) == {"k2"}


def test_a_parameter_that_changed_on_resume_becomes_a_tag(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    opened = Journal(path)
    opened.append("resume", params={"lr": "2e-05"}, tags={"arm": "bmt2"})
    opened.append("end", status="FINISHED", failure=None)
    opened.close()
    JournalUpload(path, tracking.connect(uri)).deliver()
    run = contents(uri)["k1"]
    assert run["params"] == {"lr": "1e-05"}
    assert (run["tags"]["resumed.lr"], run["tags"]["arm"]) == ("2e-05", "bmt2")


def test_more_than_a_request_holds_arrives_complete(tmp_path):
    uri = make(tmp_path)
    opened = Journal(tmp_path / journal.FOLDER / "k1.jsonl")
    wanted = {f"p{number}": str(number) for number in range(250)}
    opened.append("run", **header("k1", params=wanted, tags=wanted))
    for step in range(30):
        opened.metrics({f"m{number}": float(step) for number in range(100)}, step)
    opened.close()
    sizes: list[Counter[str]] = []

    class Counting(Faulty):
        def send(self, run_id: str, items: list[Item]) -> None:
            sizes.append(Counter(item[0] for item in items))
            self.store.send(run_id, items)

    JournalUpload(opened.path, Counting(tracking.connect(uri), 0, False)).deliver()
    for kind, most in (("metric", 1000), ("param", 100), ("tag", 100)):  # that MLflow takes in one request
        assert most // 2 < max(size[kind] for size in sizes) <= most
    run = contents(uri)["k1"]
    assert run["params"] == wanted
    assert wanted.items() <= run["tags"].items()
    assert [point[:2] for point in run["metrics"]["m99"]] == [(step, float(step)) for step in range(30)]
    assert sum(map(len, run["metrics"].values())) == 3000


def test_what_the_store_refuses_does_not_hold_up_the_rest(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)

    class Picky(Faulty):
        def send(self, run_id: str, items: list[Item]) -> None:
            if any(item[1] == "f1/SQuAD" for item in items):
                raise RejectedError("no such name")
            self.store.send(run_id, items)

        def artifact(self, run_id: str, path: Path, folder: str) -> None:
            raise RejectedError("no such place")

    delivered = JournalUpload(path, Picky(tracking.connect(uri), 0, False))
    assert delivered.deliver() == 10
    assert delivered.rejected == ["metric f1/SQuAD: no such name"] * 3 + [
        "artifact mask/a.txt: no such place"
    ]
    run = contents(uri)["k1"]
    assert (run["status"], run["artifacts"], set(run["metrics"])) == ("FINISHED", {}, {"train/loss", "nan"})
    assert len(run["metrics"]["train/loss"]) == 4


def test_entries_in_two_requests_count_as_delivered_after_the_second(tmp_path):
    uri = make(tmp_path)
    opened = Journal(tmp_path / journal.FOLDER / "k1.jsonl")
    opened.append("run", **header("k1"))
    for number in range(delivery.FEW_ITEMS + 5):
        opened.append("tag", name=f"t{number}", value=str(number))
    opened.close()
    last = f"t{delivery.FEW_ITEMS + 4}"

    class Broken(Faulty):
        def send(self, run_id: str, items: list[Item]) -> None:
            if any(item[1] == last for item in items):
                raise UnreachableError("lost before")
            self.store.send(run_id, items)

    store = tracking.connect(uri)
    with pytest.raises(UnreachableError):
        JournalUpload(opened.path, Broken(store, 0, False)).deliver()
    tags = contents(uri)["k1"]["tags"]
    assert ("t0" in tags, last in tags, tags[delivery.MARK]) == (True, False, "k1:1")
    JournalUpload(opened.path, store).deliver()
    tags = contents(uri)["k1"]["tags"]
    assert (tags[last], tags[delivery.MARK]) == (str(delivery.FEW_ITEMS + 4), f"k1:{delivery.FEW_ITEMS + 6}")


def test_what_the_store_refuses_of_a_live_run_is_told_once(tmp_path):
    path, store = write(tmp_path), tracking.connect(make(tmp_path))

    class Picky(Faulty):
        def send(self, run_id: str, items: list[Item]) -> None:
            if any(item[1] == "f1/SQuAD" for item in items):
                raise RejectedError("no such name")
            self.store.send(run_id, items)

    told: list[str] = []
    courier = delivery.Courier(path, lambda: Picky(store, 0, False), told.append)
    assert courier.close()
    assert told == ["not delivered: metric f1/SQuAD: no such name"]  # of three steps


def test_a_run_that_a_slow_server_made_twice_is_one_in_the_end(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    store = tracking.connect(uri)

    class Slow(Faulty):
        """`create` gives up waiting, and what it made is seen only later."""

        def create(self, *arguments: Any) -> StoredRun:
            self.store.create(*arguments)
            raise UnreachableError("timed out")

        def runs_of(self, experiment: str, key: str) -> list[StoredRun]:
            return []

    with pytest.raises(UnreachableError):
        JournalUpload(path, Slow(store, 0, False)).deliver()

    class Late(Faulty):
        """The first search still does not see it."""

        def runs_of(self, experiment: str, key: str) -> list[StoredRun]:
            self.calls += 1
            return [] if self.calls == 1 else self.store.runs_of(experiment, key)

        def create(self, *arguments: Any) -> StoredRun:
            return self.store.create(*arguments)

    JournalUpload(path, Late(store, -1, False)).deliver()
    experiment = store.client.get_experiment_by_name("bmt-test")
    runs = store.client.search_runs([experiment.experiment_id])
    assert [(run.info.status, len(run.data.metrics)) for run in runs] == [("FINISHED", 3)]


def test_what_another_run_was_delivered_does_not_count_for_the_one_that_is_found(tmp_path):
    """The state is of a run that the store has no more; the one with this journal's key has nothing yet."""
    path, uri = write(tmp_path), make(tmp_path)
    store = tracking.connect(uri)
    made = store.create("bmt-test", "k1", entries(path)[0]["time"], {"journal.id": "k1"})
    journal.write_state(path, store.uri, {"run_id": "0" * 32, "delivered": 7, "status": "RUNNING"})
    upload = JournalUpload(path, store)
    assert (upload.deliver(), upload.run_id) == (10, made.id)
    assert len(contents(uri)["k1"]["metrics"]["train/loss"]) == 4


def test_of_two_runs_that_both_have_entries_none_is_removed(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    store = tracking.connect(uri)
    ours, other, _ = (store.create("bmt-test", name, 1, {"journal.id": "k1"}) for name in ("k1", "k2", "k3"))
    store.send(other.id, [("tag", delivery.MARK, "k1:3")])
    journal.write_state(path, store.uri, {"run_id": ours.id, "delivered": 0, "creating": True})
    JournalUpload(path, store).deliver()
    stages = {name: run["stage"] for name, run in contents(uri).items()}
    assert stages == {"k1": "active", "k2": "active", "k3": "deleted"}


def test_nesting_has_two_levels_also_from_journals_alone(tmp_path):
    write(tmp_path, "20260101T000000-00000001")
    write(tmp_path, "20260101T000000-00000002", parent="20260101T000000-00000001")
    write(tmp_path, "20260101T000000-00000003", parent="20260101T000000-00000002")
    write(tmp_path, "20260101T000000-00000004", parent="absent")
    uri = make(tmp_path)
    delivery.sync([tmp_path], tracking.connect(uri))
    runs = list(contents(uri).values())
    runs.sort(key=lambda run: run["tags"]["journal.id"])
    parents = [run["tags"].get("mlflow.parentRunId") for run in runs]
    assert parents == [None, runs[0]["id"], runs[0]["id"], None]


def test_a_parent_that_comes_later_is_found_at_the_end(tmp_path):
    uri = make(tmp_path)
    store = tracking.connect(uri)
    opened = Journal(write(tmp_path, "child", end=None, parent="parent"))
    child = JournalUpload(opened.path, store)
    child.deliver()
    JournalUpload(write(tmp_path, "parent"), store).deliver()
    opened.append("end", status="FINISHED", failure=None)
    child.deliver()
    opened.close()
    runs = contents(uri)
    assert runs["child"]["tags"]["mlflow.parentRunId"] == runs["parent"]["id"]


def test_a_missing_file_is_told_and_skipped(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    (path.with_suffix("") / "mask" / "a.txt").unlink()
    [outcome] = delivery.sync([tmp_path], tracking.connect(uri))
    assert (outcome.state, outcome.detail) == ("delivered", f"{path.with_suffix('') / 'mask/a.txt'}: gone")
    assert contents(uri)["k1"]["status"] == "FINISHED"


def test_entries_written_after_a_deadline_wait(tmp_path):
    path, uri = write(tmp_path), make(tmp_path)
    one = JournalUpload(path, tracking.connect(uri))
    assert one.deliver(deadline=0) == 0
    assert one.waiting == 10
    assert one.deliver() == 10
    assert one.waiting == 0
