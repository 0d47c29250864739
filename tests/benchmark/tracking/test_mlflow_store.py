from __future__ import annotations

import ast
import contextlib
import errno
import multiprocessing
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.tracking import journal
from benchmark.tracking import journal_upload as delivery
from benchmark.tracking import mlflow_store as tracking
from benchmark.tracking.mlflow_store import TrackedRun
from bmt.errors import DataError
from tests.support.repository import ROOT
from tests.support.tracking_store import contents, make


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "FLUSH_SECONDS", 0.02)
    monkeypatch.setattr(delivery, "RETRY_SECONDS", (0.02, 0.1))
    monkeypatch.setattr(tracking, "PROBE_SECONDS", 0.05)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository root of its own, with an initialised store, that is not the working directory."""
    folder = tmp_path / "a repository"
    make(folder)
    monkeypatch.setenv("BMT_ROOT", str(folder))
    return folder


def start(folder: Path, name: str = "k1", **options: Any) -> contextlib.AbstractContextManager[TrackedRun]:
    options = {"params": {"lr": 1e-5, "K": None}, "tags": {"arm": "bmt"}, "environment": {}} | options
    return tracking.start(name, "bmt-test", folder / "runs" / name, **options)


def record(run: TrackedRun) -> None:
    """What a small training run records."""
    for step in range(5):
        run.log({"train/loss": 2.0 - step, "f1/SQuAD": float(step)}, step)
    run.text("answer.md", "forty-two")
    run.data_input("SQuAD.train", "https://a.b/c.gz", "d" * 32, "training")
    run.tag("device", "EPYC")


def is_recorded(run: dict[str, Any]) -> bool:
    points = {key: [point[:2] for point in history] for key, history in run["metrics"].items()}
    return (
        points
        == {
            "train/loss": [(step, 2.0 - step) for step in range(5)],
            "f1/SQuAD": [(step, float(step)) for step in range(5)],
        }
        and run["params"] == {"lr": "1e-05", "K": "null"}
        and {"arm": "bmt", "device": "EPYC"}.items() <= run["tags"].items()
        and [entry[:2] for entry in run["inputs"]] == [("SQuAD.train", "d" * 32)]
        and run["artifacts"] == {"answer.md": b"forty-two", "environment.json": b"{}\n"}
    )


def uri(repository: Path) -> str:
    return f"sqlite:///{str(repository / 'mlflow.db').replace(' ', '%20')}"


def sync(repository: Path) -> list[str]:
    return [outcome.state for outcome in delivery.sync([repository / "runs"], tracking.connect())]


# --- a store that works


def test_a_run_is_in_the_store_that_plain_mlflow_opens_in_the_root(repository, monkeypatch):
    with start(repository) as run:
        record(run)
        assert run.id == run.reference
    import mlflow

    monkeypatch.chdir(repository)
    assert tracking.store_uri() == mlflow.get_tracking_uri()
    found = contents(uri(repository))
    assert set(found) == {"k1"}
    assert is_recorded(found["k1"])
    assert (found["k1"]["id"], found["k1"]["status"]) == (run.id, "FINISHED")
    experiment = mlflow.MlflowClient().get_experiment_by_name("bmt-test")
    assert experiment.artifact_location == str(repository / "mlruns" / experiment.experiment_id)
    assert list((repository / "mlruns").rglob("meta.yaml")) == []
    assert sync(repository) == ["up to date"]


def test_every_metric_group_of_the_project_keeps_its_name(repository):
    names = [
        "f1/HotpotQA",
        "em/HotpotQA",
        "f1/avg_id",
        "mask/sparsity",
        "mask/sparsity/layer_00",
        "weights/deviation_l2",
        "train/loss",
        "perf/tokens_per_s",
    ]
    with start(repository) as run:
        run.log(dict.fromkeys(names, 1.0), 1)
        run.log({"none": None, "text": "x", "tensor": Tensor(), "bad%/name": 1})
    assert set(contents(uri(repository))["k1"]["metrics"]) == {*names, "tensor", "bad_/name"}


class Tensor:
    def __float__(self) -> float:
        return 1.5


def test_the_system_is_sampled_and_the_environment_kept(repository):
    with tracking.start("k1", "bmt-test", repository / "runs" / "k1") as run:
        pass
    client = tracking.connect().client
    found = client.get_run(run.id)
    assert found.data.metrics["system/peak_memory_megabytes"] > 10
    assert found.data.tags["package.mlflow"] == sys.modules["mlflow"].__version__
    assert found.data.tags["mlflow.source.name"].startswith("python ")
    assert b'"cpu_count"' in contents(uri(repository))["k1"]["artifacts"]["environment.json"]


def test_a_figure_is_an_artifact(repository):
    from benchmark.tracking.figures import loss_curve

    with start(repository) as run:
        run.figure("mask/loss.png", loss_curve([(0, 1.0), (1, 0.5)]))
        run.artifact(Path(__file__), "code")
    artifacts = contents(uri(repository))["k1"]["artifacts"]
    assert artifacts["mask/loss.png"].startswith(b"\x89PNG")
    assert artifacts["code/test_mlflow_store.py"] == Path(__file__).read_bytes()


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (DataError("a.gz: no such file"), "FAILED", "DataError: a.gz: no such file"),
        (ValueError("two\n lines"), "FAILED", "ValueError: two lines"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt"),
        (SystemExit(143), "KILLED", "SIGTERM"),
        (SystemExit(130), "KILLED", "SIGINT"),
        (SystemExit(2), "FAILED", "SystemExit: 2"),
    ],
)
def test_a_run_that_ends_badly_says_why(repository, error, status, reason):
    with pytest.raises(type(error)), start(repository):
        raise error
    run = contents(uri(repository))["k1"]
    assert (run["status"], run["tags"]["failure"], run["tags"]["mlflow.note.content"]) == (
        status,
        reason,
        f"Failed: {reason}",
    )


def test_leaving_with_status_0_is_no_failure(repository):
    with pytest.raises(SystemExit), start(repository):
        raise SystemExit(0)
    assert contents(uri(repository))["k1"]["status"] == "FINISHED"


def test_sigterm_ends_the_run_as_killed_with_status_143(repository):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, start(repository):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
    assert left.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert contents(uri(repository))["k1"]["status"] == "KILLED"


def test_evaluate_goes_on_with_the_run_of_train(repository):
    with start(repository) as train:
        train.log({"train/loss": 1.0}, 1)
    with start(repository, run_id=train.id, params={"lr": 2e-5, "batch": 8}) as evaluate:
        evaluate.log({"f1/DROP": 30.0})
    assert evaluate.id == train.id
    run = contents(uri(repository))["k1"]
    assert (run["status"], set(run["metrics"])) == ("FINISHED", {"train/loss", "f1/DROP"})
    assert run["params"] == {"lr": "1e-05", "K": "null", "batch": "8"}
    assert run["tags"]["resumed.lr"] == "2e-05"
    assert len(journal.journals([repository])) == 1


def test_a_repeated_evaluation_clears_the_failure_of_the_first(repository):
    with start(repository) as train:
        pass
    with pytest.raises(ValueError, match="x"), start(repository, run_id=train.id):
        raise ValueError("x")
    assert contents(uri(repository))["k1"]["status"] == "FAILED"
    with start(repository, run_id=train.id):
        pass
    run = contents(uri(repository))["k1"]
    assert run["status"] == "FINISHED"
    assert not {"failure", "mlflow.note.content"} & set(run["tags"])


def test_without_its_journal_a_run_is_found_by_its_id(repository):
    with start(repository) as train:
        pass
    with start(repository / "elsewhere", run_id=train.id) as evaluate:
        evaluate.log({"f1/DROP": 30.0})
    assert evaluate.id == train.id
    assert "f1/DROP" in contents(uri(repository))["k1"]["metrics"]


def test_a_run_that_the_store_does_not_have_is_made_anew(repository):
    with start(repository, run_id="0" * 32) as run:
        record(run)
    assert run.id not in (None, "0" * 32)
    found = contents(uri(repository))["k1"]
    assert is_recorded(found)
    assert found["tags"]["restored_from"] == "0" * 32


def test_runs_nest_two_levels_deep_at_most(repository):
    with (
        start(repository, "study") as study,
        start(repository, "trial", parent=study.reference) as trial,
        start(repository, "cell", parent=trial.reference),
    ):
        pass
    runs = contents(uri(repository))
    assert "mlflow.parentRunId" not in runs["study"]["tags"]
    assert {runs[name]["tags"]["mlflow.parentRunId"] for name in ("trial", "cell")} == {study.id}


def test_other_ranks_record_nothing(repository):
    with tracking.untracked() as run:
        record(run)
        run.figure("a.png", None)
        run.artifact("absent")
        assert (run.id, run.reference) == (None, "")
    assert not (repository / "runs").exists()


# --- a store that does not


@pytest.fixture
def server() -> Iterator[dict[str, Any]]:
    """An HTTP server that answers 500, or nothing until `released`."""
    state: dict[str, Any] = {
        "requests": 0,
        "slow": False,
        "released": threading.Event(),
        "asked": threading.Event(),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state["requests"] += 1
            state["asked"].set()
            if state["slow"]:
                state["released"].wait()
            with contextlib.suppress(OSError):  # the client may be gone
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    state["uri"] = f"http://127.0.0.1:{listening.server_address[1]}"
    try:
        yield state
    finally:
        state["released"].set()
        listening.shutdown()
        listening.server_close()
        thread.join()


def closed_port() -> str:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_no_password_is_shown_or_kept(repository, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", closed_port().replace("//", "//ann:secret@"))
    with start(repository) as run:
        assert run.id is None
    told = capsys.readouterr().err
    assert "ConnectionRefusedError" in told
    kept = b"".join(path.read_bytes() for path in (repository / "runs").rglob("*") if path.is_file())
    assert "secret" not in told
    assert b"secret" not in kept
    assert tracking.public("postgresql://ann:secret@host:1/mlflow") == "postgresql://host:1/mlflow"
    assert tracking.public("sqlite:////a@b/mlflow.db") == "sqlite:////a@b/mlflow.db"


@pytest.mark.parametrize("outage", ["missing", "down", "error", "slow", "no store"])
def test_an_outage_loses_nothing_and_sync_delivers_once(repository, monkeypatch, capsys, server, outage):
    with monkeypatch.context() as patch:
        if outage == "missing":
            for name in [name for name in sys.modules if name.partition(".")[0] == "mlflow"]:
                patch.delitem(sys.modules, name)
            patch.setitem(sys.modules, "mlflow", None)
        elif outage == "no store":
            patch.setenv(
                "MLFLOW_TRACKING_URI", str(repository / "mlruns")
            )  # MLflow's file store is gone since 3.13
        else:
            server["slow"] = outage == "slow"
            patch.setenv("MLFLOW_TRACKING_URI", closed_port() if outage == "down" else server["uri"])
        with start(repository) as run:
            if outage == "slow":
                server["asked"].wait()
            record(run)
            if outage == "slow":
                assert not server["released"].is_set()  # recorded while the server was still to answer
            assert run.id is None
            reference = run.reference
    told = capsys.readouterr().err
    assert told.count("the run goes on, its journal waits in") == 1
    assert f"deliver it later with `python -m benchmark.track sync {repository / 'runs' / 'k1'}`" in told
    assert all(line.startswith("tracking: ") for line in told.splitlines())
    assert contents(uri(repository)) == {}
    assert [sync(repository), sync(repository)] == [["delivered"], ["up to date"]]
    found = contents(uri(repository))["k1"]
    lines = journal.read_entries(journal.find(repository / "runs" / "k1", reference))[0]
    assert is_recorded(found)
    assert found["status"] == "FINISHED"
    assert found["times"] == (lines[0]["time"], lines[-1]["time"])


def test_a_run_recorded_offline_is_gone_on_with_offline_and_is_one_run(repository, monkeypatch):
    monkeypatch.setenv("BMT_TRACKING", "journal")
    with start(repository) as train:
        train.log({"train/loss": 1.0}, 1)
    assert train.id is None
    with start(repository, run_id=train.reference) as evaluate:
        evaluate.log({"f1/DROP": 30.0})
    assert evaluate.reference == train.reference
    assert sync(repository) == ["delivered"]
    assert set(contents(uri(repository))["k1"]["metrics"]) == {"train/loss", "f1/DROP"}
    monkeypatch.delenv("BMT_TRACKING")
    with start(repository, run_id=train.reference) as again:
        again.log({"f1/RACE": 20.0})
    assert contents(uri(repository))["k1"]["id"] == again.id
    assert set(contents(uri(repository))["k1"]["metrics"]) == {"train/loss", "f1/DROP", "f1/RACE"}


def test_a_locked_database_stops_no_run(repository, capsys):
    lock = sqlite3.connect(repository / "mlflow.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    with start(repository) as run:
        record(run)
        assert run.id is None
        lock.execute("COMMIT")
        lock.close()
    told = capsys.readouterr().err
    assert "database is locked" in told
    assert "deliver it later" not in told
    assert is_recorded(contents(uri(repository))["k1"])


def test_a_database_locked_during_a_run_delivers_when_it_is_free(repository):
    with start(repository) as run:
        assert run.id
        lock = sqlite3.connect(repository / "mlflow.db", isolation_level=None, timeout=60)
        lock.execute("BEGIN EXCLUSIVE")
        record(run)
        path = journal.find(repository / "runs" / "k1", run.id)
        behind = journal.read_state(path, tracking.store_uri())["delivered"]
        lock.execute("COMMIT")
        lock.close()
        assert behind < len(journal.read_entries(path)[0])
    assert is_recorded(contents(uri(repository))["k1"])


def test_a_full_disk_under_mlruns_stops_no_run(repository, monkeypatch, capsys):
    def full(client: Any, run_id: str, path: str, folder: str | None = None) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.tracking.MlflowClient.log_artifact", full)
        with start(repository) as run:
            record(run)
    told = capsys.readouterr().err
    assert "No space left on device" in told
    assert "deliver it later" in told
    assert [sync(repository), sync(repository)] == [["delivered"], ["up to date"]]
    found = contents(uri(repository))["k1"]
    assert is_recorded(found)
    assert found["status"] == "FINISHED"


def test_a_store_that_comes_back_is_told_and_gets_all(repository, monkeypatch, capsys):
    opened = tracking.connect
    attempts: list[int] = []
    back = threading.Event()

    def connect(*arguments: Any) -> Any:
        attempts.append(1)
        if len(attempts) < 4:
            raise delivery.UnreachableError("MLflow at x: down")
        back.set()
        return opened(*arguments)

    monkeypatch.setattr(tracking, "connect", connect)
    with start(repository) as run:
        record(run)
        assert run.id is None
        assert back.wait(60)
    assert run.id
    told = capsys.readouterr().err.splitlines()
    assert [line.startswith("tracking: MLflow at x: down; the run goes on") for line in told] == [True, False]
    assert told[1] == "tracking: MLflow answers again"
    assert is_recorded(contents(uri(repository))["k1"])


# --- what needs no store


def kept(folder: Path) -> list[dict[str, Any]]:
    """The entries of the only journal below a folder."""
    [path] = journal.journals([folder])
    return journal.read_entries(path)[0]


def test_what_a_run_says_of_itself_is_cut_to_what_mlflow_takes(repository, monkeypatch):
    monkeypatch.setenv("BMT_TRACKING", "journal")
    long = "x" * 9_000
    tags = {"mlflow.user": "somebody else", long: long}
    with start(repository, params={"a%b": long}, tags=tags, parent="p", run_id="r") as run:
        run.tag(long, long)
        run.data_input(long, Path("data/a.gz"), "d" * 40, "training")
        run.log({"f1": 2, "none": None}, step=3.0)
    first, _, _, tag, read, metrics, *_ = kept(repository)
    assert {name: first[name] for name in ("kind", "name", "experiment", "parent", "resume")} == {
        "kind": "run",
        "name": "k1",
        "experiment": "bmt-test",
        "parent": "p",
        "resume": "r",
    }
    assert list(first["params"]) == ["a_b"] and len(first["params"]["a_b"]) == 6_000
    assert first["tags"]["mlflow.user"] == "somebody else", "what is given goes before what is found out"
    assert len(first["tags"]["x" * 250]) == len(tag["value"]) == 8_000 and len(tag["name"]) == 250
    assert (len(read["name"]), read["source"], read["digest"]) == (500, "data/a.gz", "d" * 40)
    assert (metrics["values"], metrics["step"]) == ({"f1": 2.0}, 3)


def test_a_sample_of_the_machine_stands_at_the_runs_second(tmp_path, monkeypatch):
    opened = journal.Journal(tmp_path / "k1.jsonl")
    opened.started = 1_000
    monkeypatch.setattr(tracking, "milliseconds", lambda: 43_999)
    monkeypatch.setattr(tracking.machine, "system_metrics", lambda: {"system/x": 1.0})
    tracking._sample(opened)
    opened.close()
    [entry] = journal.read_entries(opened.path)[0]
    assert (entry["values"], entry["step"]) == ({"system/x": 1.0}, 42)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_journal_that_cannot_be_gone_on_with_is_told_and_a_new_one_begun(
    repository, monkeypatch, capsys, damaged
):
    monkeypatch.setenv("BMT_TRACKING", "journal")
    with start(repository) as run:
        pass
    path = journal.find(repository / "runs" / "k1", run.reference)
    held = None if damaged else journal.Journal(path)
    if damaged:
        path.write_text("x\n")
    with start(repository, run_id=run.reference) as again:
        assert again.reference != run.reference
    assert "the run goes on in a new journal" in capsys.readouterr().err
    if held:
        held.close()
    assert len(journal.journals([repository])) == 2


def test_entries_that_the_disk_refuses_to_the_end_are_counted(repository, monkeypatch, capsys):
    monkeypatch.setenv("BMT_TRACKING", "journal")
    with start(repository) as run:
        run._journal._stream.close()  # as a disk that takes nothing
        run.tag("a", 1)
    told = capsys.readouterr().err
    assert re.search(r"\.jsonl: 3 entries could not be written and are lost", told), told


def test_the_users_own_limits_for_mlflow_stay(repository, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "")  # so that it is put back
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    tracking.connect()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "77"
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"


def test_what_mlflow_will_never_take_is_told_from_what_may_pass_later():
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2 as codes

    for code, kind in (
        (codes.INVALID_PARAMETER_VALUE, delivery.RejectedError),
        (codes.BAD_REQUEST, delivery.RejectedError),
        (codes.MALFORMED_REQUEST, delivery.RejectedError),
        (codes.INTERNAL_ERROR, delivery.UnreachableError),
        (codes.TEMPORARILY_UNAVAILABLE, delivery.UnreachableError),
    ):
        with pytest.raises(kind, match=r"^MLflow at u: MlflowException: no$"), tracking._translated("u"):
            raise MlflowException("no", error_code=code)
    for error in (delivery.RejectedError("a"), delivery.UnreachableError("b")):
        with pytest.raises(type(error)) as caught, tracking._translated("u"):
            raise error
        assert caught.value is error
    full = OSError(errno.ENOSPC, "full")
    said = r"^MLflow at u: OSError: \[Errno 28\] full$"
    with pytest.raises(delivery.UnreachableError, match=said), tracking._translated("u"):
        raise ValueError("of a layer above") from full


class Client:
    """Notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def noted(*arguments: Any, **options: Any) -> Any:
            self.asked.append((name, *arguments, *options.values()))
            return SimpleNamespace(experiment_id="1") if name == "get_experiment_by_name" else None

        return noted


def test_the_stores_terms_are_mlflows():
    client = Client()
    store = tracking.MlflowStore(client, "http://ann:secret@host", lambda name: "1")
    store.status("r", "RUNNING")
    store.status("r", "FINISHED", 0)
    store.artifact("r", Path("a/b.txt"), "")
    store.artifact("r", Path("a/b.txt"), "a")
    store.untag("r", "failure")
    store.remove("r")
    assert client.asked == [
        ("update_run", "r", "RUNNING"),
        ("set_terminated", "r", "FINISHED", 0),
        ("log_artifact", "r", "a/b.txt", None),
        ("log_artifact", "r", "a/b.txt", "a"),
        ("delete_tag", "r", "failure"),
        ("delete_run", "r"),
    ]
    assert store.uri == "http://host"
    client.asked.clear()
    assert store.runs_of("e", "k' or name = 'x") == [], "a key that is no key asks for nothing"
    assert [name for name, *_ in client.asked] == ["get_experiment_by_name"]
    for source, kind, key in (
        ("http://h/a", "http", "url"),
        ("https://h/a", "http", "url"),
        ("data/http", "local", "uri"),
    ):
        client.asked.clear()
        store.data_input("r", "n", source, "d" * 64, "training")
        [(_, _, [read])] = client.asked
        assert (read.dataset.source_type, read.dataset.source) == (kind, f'{{"{key}": "{source}"}}')
        assert (read.dataset.digest, len(read.tags)) == ("d" * 36, 2)


def test_an_experiment_that_another_process_has_just_made_is_taken():
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2 as codes

    known = SimpleNamespace(experiment_id="7", lifecycle_stage="active")
    answers = [None, known]
    client = SimpleNamespace(get_experiment_by_name=lambda name: answers.pop(0))

    def create(name: str) -> str:
        raise MlflowException("there", error_code=code)

    code = codes.RESOURCE_ALREADY_EXISTS
    store = tracking.MlflowStore(client, "u", create)
    assert (store._experiment("e"), store._experiment("e")) == ("7", "7") and answers == []
    code, answers[:] = codes.INTERNAL_ERROR, [None]
    with pytest.raises(MlflowException, match="there"):
        tracking.MlflowStore(client, "u", create)._experiment("e")


def test_the_repository_may_have_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "50%41 #é?"
    make(folder)
    monkeypatch.setenv("BMT_ROOT", str(folder))
    with start(folder) as run:
        run.text("answer.md", "forty-two")
        assert run.id
    assert list(tmp_path.rglob("mlflow.db")) == [folder / "mlflow.db"]
    [answer] = (path for path in tmp_path.rglob("answer.md") if "mlruns" in path.parts)
    assert answer.is_relative_to(folder / "mlruns") and answer.read_text() == "forty-two"


def test_of_a_batch_the_last_value_of_a_name_counts_and_every_metric():
    client = Client()
    store = tracking.MlflowStore(client, "u", lambda name: "1")
    store.send(
        "r",
        [
            ("tag", "a", "1"),
            ("metric", "m", 1.0, 5, 0),
            ("param", "p", "x"),
            ("tag", "a", "2"),
            ("metric", "m", 2.0, 6, 1),
        ],
    )
    [(name, run, metrics, params, tags, synchronous)] = client.asked
    assert (name, run, synchronous) == ("log_batch", "r", True)
    assert [(one.key, one.value, one.timestamp, one.step) for one in metrics] == [
        ("m", 1.0, 5, 0),
        ("m", 2.0, 6, 1),
    ]
    assert [(one.key, one.value) for one in params] == [("p", "x")]
    assert [(one.key, one.value) for one in tags] == [("a", "2")]


# --- many processes


def cell(folder: Path, number: int, barrier: Any) -> None:
    barrier.wait()
    with start(folder, f"k{number}") as run:
        record(run)


def test_eight_cells_that_start_at_once_on_a_fresh_store_all_live(tmp_path, monkeypatch):
    folder = tmp_path / "fresh"
    folder.mkdir()
    monkeypatch.setenv("BMT_ROOT", str(folder))
    monkeypatch.setattr(tracking, "PROBE_SECONDS", 30.0)
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401  (imported once here, not eight times: the race is for the database)

    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(8)
    cells = [context.Process(target=cell, args=(folder, number, barrier)) for number in range(8)]
    for process in cells:
        process.start()
    for process in cells:
        process.join()
    assert [process.exitcode for process in cells] == [0] * 8
    found = contents(uri(folder))
    assert set(found) == {f"k{number}" for number in range(8)}
    assert all(is_recorded(run) and run["status"] == "FINISHED" for run in found.values())
    assert list((folder / "mlruns").rglob("meta.yaml")) == []


def killed(folder: Path) -> None:
    with start(folder) as run:
        for step in range(4):
            run.log({"train/loss": 2.0 - step}, step)
        assert run.id
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_run_is_gone_on_with_and_no_step_is_there_twice(repository):
    process = multiprocessing.get_context("fork").Process(target=killed, args=(repository,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    [path] = journal.journals([repository])
    [run_id] = journal.run_ids(path)
    assert sync(repository) == ["delivered"]
    assert contents(uri(repository))["k1"]["status"] == "KILLED"
    with start(repository, run_id=run_id) as run:
        for step in range(2, 6):  # from the checkpoint of step 2
            run.log({"train/loss": 2.0 - step}, step)
    found = contents(uri(repository))["k1"]
    assert (found["id"], found["status"]) == (run_id, "FINISHED")
    assert [point[:2] for point in found["metrics"]["train/loss"]] == [
        (step, 2.0 - step) for step in range(6)
    ]
    assert "failure" not in found["tags"]


# --- the house's rules


def test_only_tracking_imports_mlflow_and_not_before_it_is_needed():
    found = set()
    for path in [*(ROOT / "bmt").rglob("*.py"), *(ROOT / "benchmark").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "mlflow" for name in names):
                found.add(path.relative_to(ROOT).as_posix())
    assert found == {"benchmark/tracking/mlflow_store.py"}
    code = (
        "import sys; import benchmark.tracking.mlflow_store, benchmark.track; print('mlflow' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
        ).stdout
        == "False\n"
    )


def test_a_deleted_experiment_takes_no_run_and_how_to_restore_it_is_said(tmp_path: Path) -> None:
    uri = make(tmp_path)
    client = tracking.connect(uri).client
    number = client.create_experiment("bmt-test")
    client.delete_experiment(number)
    said = f"experiment bmt-test is deleted: mlflow experiments restore -x {number}$"
    with pytest.raises(delivery.UnreachableError, match=said):
        tracking.connect(uri).create("bmt-test", "k1", 0, {})
    client.restore_experiment(number)
    assert tracking.connect(uri).create("bmt-test", "k1", 0, {}).active
