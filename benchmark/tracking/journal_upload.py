"""From journals (benchmark/tracking/journal.py) to a tracking store, each entry once. Knows no MLflow:
`mlflow_store.MlflowStore` says what a store does.

Why nothing is doubled: the run carries its journal's key (tag `journal.id`), so it is found again and not
made twice; it carries the last entry delivered (tag `journal.delivered`, written in the request that delivers
it), so a lost state file is no harm; and what one broken request may have delivered already (a metric with
its time, a parameter, a tag, an input, a file) is the same when it is sent again.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.tracking.journal import journals, locked, read_entries, read_state, write_state
from bmt.errors import BMTError

if TYPE_CHECKING:
    from benchmark.tracking.mlflow_store import MlflowStore

FLUSH_SECONDS = 5.0  # between two deliveries of a live run
RETRY_SECONDS = (15.0, 300.0)  # after a failed delivery: the first pause, the longest pause
LAST_SECONDS = 60.0  # for the last delivery, when the run has ended
ITEMS = 900  # metrics per request; MLflow allows 1,000
FEW_ITEMS = 90  # parameters or tags per request; MLflow allows 100
MARK = "journal.delivered"
SILENT_DEATH = "the process ended without a word: killed, out of memory or the machine stopped"

Item = tuple[Any, ...]  # ("metric", name, value, ms, step), ("param", name, value) or ("tag", name, value)


class UnreachableError(BMTError):
    """The store cannot be used now; it may be later."""


class RejectedError(BMTError):
    """The store refuses what it was sent, and will again."""


class DeletedError(BMTError):
    """The journal's run was deleted in the store."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run as the store has it."""

    id: str
    active: bool
    status: str
    tags: dict[str, str]
    params: dict[str, str]


@dataclass(slots=True)
class JournalUpload:
    """Brings one journal to one store. What was delivered when a method raises stays delivered, and is not
    sent again.
    """

    path: Path
    store: MlflowStore
    run_id: str = ""
    rejected: list[str] = field(default_factory=list)  # what the store refused, one line each
    _state: dict[str, Any] = field(default_factory=dict)
    _header: dict[str, Any] = field(default_factory=dict)
    _pending: list[dict[str, Any]] = field(default_factory=list)
    _offset: int = 0
    _last: dict[str, Any] = field(default_factory=dict)

    def deliver(self, deadline: float = float("inf")) -> int:
        """Deliver what is not delivered, or as much as `deadline` (time.monotonic()) allows; returns the
        number of entries.
        """
        entries, self._offset = read_entries(self.path, self._offset)
        if entries:
            self._header, self._last = self._header or entries[0], entries[-1]
            self._pending += entries
        if not self.run_id:
            if not self._header:
                return 0
            self._settle_run()
        self._pending = [entry for entry in self._pending if entry["seq"] > self._state["delivered"]]
        before = len(self._pending)
        while self._pending and time.monotonic() < deadline:
            self._next()
        return before - len(self._pending)

    @property
    def waiting(self) -> int:
        """Entries read and not delivered."""
        return len(self._pending)

    def bury(self) -> bool:
        """End the run of a dead process, whose journal has no end, as KILLED at its last entry's time. False:
        nothing to do.
        """
        if not self._last or self._last["kind"] == "end" or self._state.get("status") == "KILLED":
            return False
        self._finish({**self._last, "status": "KILLED", "failure": SILENT_DEATH})
        return True

    def _note(self, **changes: Any) -> None:
        self._state |= changes
        write_state(self.path, self.store.uri, self._state)

    def _settle_run(self) -> None:
        """Find this journal's run in the store, or make it."""
        self._state = read_state(self.path, self.store.uri)
        key, resumes = self._header["key"], self._header["resume"]
        run = self.store.run(self._state["run_id"]) if self._state.get("run_id") else None
        run = run or self._find(key)
        if run is not None and not run.active:
            raise DeletedError(f"run {run.id} was deleted in MLflow: restore it there, or remove {self.path}")
        if run is None and resumes:
            resumed = self._find(resumes)
            run = resumed if resumed and resumed.active else None
        if run is None:
            # a request to make it has failed, but may yet have been heard
            doubt = self._state.get("creating", False)
            self._state = {}
            self._note(creating=True)
            tags = {"journal.id": key} | ({"restored_from": resumes} if resumes else {})
            run = self.store.create(
                self._header["experiment"], self._header["name"], self._header["time"], tags
            )
            self._state["creating"] = doubt
        marked, _, seq = run.tags.get(MARK, "").partition(":")
        delivered = int(seq) if marked == key and seq.isdigit() else 0
        if self._state.get("run_id") == run.id:
            delivered = max(delivered, self._state.get("delivered", 0))
        self.run_id = run.id
        self._note(run_id=run.id, delivered=delivered)

    def _find(self, reference: str) -> StoredRun | None:
        """The run with this MLflow id or journal key."""
        if re.fullmatch("[0-9a-f]{32}", reference):
            return self.store.run(reference)
        runs = self.store.runs_of(self._header["experiment"], reference)
        # Where a slow server has made a run twice, the one with entries is it; else any, but always the same.
        return min(runs, key=lambda run: (not run.active, MARK not in run.tags, run.id), default=None)

    def _next(self) -> None:
        """Deliver the next entries that go in one request."""
        items: list[Item] = []
        count = 0
        for entry in self._pending:
            if entry["kind"] not in ("metrics", "tag") or len(items) >= ITEMS:
                break
            if entry["kind"] == "tag":
                items.append(("tag", entry["name"], entry["value"]))
            else:
                items += [
                    ("metric", name, float(value), entry["time"], entry["step"])
                    for name, value in entry["values"].items()
                ]
            count += 1
        last = self._pending[max(count, 1) - 1]
        if count:
            self._send(items, last["seq"])
        else:
            try:
                self._alone(last)
            except RejectedError as error:
                name = last.get("file") or last.get("name") or ""
                self.rejected.append(f"{last['kind']} {name}: {error}")
        self._note(delivered=last["seq"])
        del self._pending[: max(count, 1)]

    def _alone(self, entry: dict[str, Any]) -> None:
        match entry["kind"]:
            case "run" | "resume":
                self._begin(entry)
            case "artifact":
                path = self.path.with_suffix("") / entry["file"]
                folder = Path(entry["file"]).parent.as_posix()
                if path.is_file():
                    self.store.artifact(self.run_id, path, "" if folder == "." else folder)
                else:
                    self.rejected.append(f"{path}: gone")
            case "input":
                self.store.data_input(
                    self.run_id, entry["name"], entry["source"], entry["digest"], entry["context"]
                )
            case "end":
                self._finish(entry)

    def _begin(self, entry: dict[str, Any]) -> None:
        """Parameters and tags of a process. MLflow's parameters cannot change: what a later process has
        otherwise becomes a tag.
        """
        run = self._stored()
        items: list[Item] = [
            ("tag", f"resumed.{name}", value) if name in run.params else ("param", name, value)
            for name, value in entry["params"].items()
            if run.params.get(name) != value
        ]
        items += [("tag", name, value) for name, value in entry["tags"].items()]
        self._send(items + self._parent())
        if run.status != "RUNNING":
            self.store.status(run.id, "RUNNING")
        self._note(status="RUNNING")
        self._send([], entry["seq"])  # the mark last: it says that all of this is done

    def _finish(self, entry: dict[str, Any]) -> None:
        run, failure = self._stored(), entry["failure"]
        if self._state.get("creating"):
            for double in self.store.runs_of(self._header["experiment"], self._header["key"]):
                if double.id != run.id and double.active and MARK not in double.tags:
                    self.store.remove(double.id)
            self._note(creating=False)
        items: list[Item] = []
        if failure:
            items = [("tag", "failure", failure), ("tag", "mlflow.note.content", f"Failed: {failure}")]
        self._send(items + self._parent())
        if not failure and "failure" in run.tags:  # an earlier process of this run failed, this one did not
            self.store.untag(run.id, "failure")
            if run.tags.get("mlflow.note.content", "").startswith("Failed: "):
                self.store.untag(run.id, "mlflow.note.content")
        self.store.status(run.id, entry["status"], entry["time"])
        self._note(status=entry["status"])
        self._send([], entry["seq"])

    def _stored(self) -> StoredRun:
        run = self.store.run(self.run_id)
        if run is None or not run.active:
            raise DeletedError(
                f"run {self.run_id} was deleted in MLflow: restore it there, or remove {self.path}"
            )
        return run

    def _parent(self) -> list[Item]:
        """The tag that nests this run; a parent that is itself nested hands on to its own, so that there are
        two levels at most.
        """
        reference = self._header["parent"]
        parent = self._find(reference) if reference else None
        if parent is None or parent.id == self.run_id:
            return []  # perhaps not delivered yet: asked again at the end
        return [("tag", "mlflow.parentRunId", parent.tags.get("mlflow.parentRunId", parent.id))]

    def _send(self, items: list[Item], seq: int | None = None) -> None:
        """Send items in requests of the size that MLflow allows; the last one marks `seq`, if given, as
        delivered.
        """
        chunks: list[list[Item]] = [[]]
        counts = {"metric": 0, "param": 0, "tag": 0}
        for item in items:
            if counts[item[0]] >= (ITEMS if item[0] == "metric" else FEW_ITEMS):
                chunks.append([])
                counts = dict.fromkeys(counts, 0)
            chunks[-1].append(item)
            counts[item[0]] += 1
        mark: list[Item] = [("tag", MARK, f"{self._header['key']}:{seq}")] if seq else []
        for number, chunk in enumerate(chunks, 1):
            extra = mark if number == len(chunks) else []
            try:
                if chunk or extra:
                    self.store.send(self.run_id, chunk + extra)
            except RejectedError:
                self._stored()
                self._sift(chunk)
                if extra:
                    self.store.send(self.run_id, extra)

    def _sift(self, items: list[Item]) -> None:
        """Send what the store takes of items that it refused together."""
        for part in (items[: len(items) // 2], items[len(items) // 2 :]):
            try:
                if part:
                    self.store.send(self.run_id, part)
            except RejectedError as error:
                if len(part) > 1:
                    self._sift(part)
                else:
                    self.rejected.append(f"{part[0][0]} {part[0][1]}: {error}")


class Courier:
    """The thread that delivers a live run's journal. It never raises, and `tell`s of a change once."""

    def __init__(self, path: Path, connect: Callable[[], MlflowStore], tell: Callable[[str], None]) -> None:
        self.path, self._connect, self._tell = path, connect, tell
        self.settled = threading.Event()  # the first attempt has succeeded or failed
        self.failure: str | None = None
        self._delivery: JournalUpload | None = None
        self._wake, self._stopping = threading.Event(), False
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()

    @property
    def run_id(self) -> str:
        """The run's id in the store, once it is known there."""
        return self._delivery.run_id if self._delivery else ""

    def close(self) -> bool:
        """Deliver the rest. True: everything is delivered and the thread has ended."""
        self._stopping = True
        self._wake.set()
        # Each request ends by its own time limit and the first failure ends the thread: the wait here is a
        # backstop.
        self._thread.join(LAST_SECONDS * 2)
        delivered = self._delivery is not None and not self._delivery.waiting
        return delivered and self.failure is None and not self._thread.is_alive()

    def _work(self) -> None:
        pause, next_try = RETRY_SECONDS[0], 0.0
        while True:
            stopping = self._stopping
            if stopping or time.monotonic() >= next_try:
                try:
                    self._attempt(LAST_SECONDS if stopping else float("inf"))
                    pause = RETRY_SECONDS[0]
                except Exception as error:  # whatever a store, a driver or a disk raises: the run goes on
                    text = str(error) if isinstance(error, BMTError) else f"{type(error).__name__}: {error}"
                    self.failure = " ".join(text.split())[:300]
                    self._say(f"{self.failure}; the run goes on, its journal waits in {self.path}")
                    next_try, pause = time.monotonic() + pause, min(2 * pause, RETRY_SECONDS[1])
                    stopping = stopping or self._stopping
                self.settled.set()
            if stopping:
                return
            self._wake.wait(FLUSH_SECONDS)

    def _attempt(self, seconds: float) -> None:
        delivery = self._delivery = self._delivery or JournalUpload(self.path, self._connect())
        delivery.deliver(time.monotonic() + seconds)
        if self.failure is not None:
            self._say("MLflow answers again")
        self.failure = None
        for line in delivery.rejected:
            self._say(f"not delivered: {line}")
        delivery.rejected.clear()

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What `sync` did with a journal: state "delivered", "up to date", "live", "deleted", "failed"; entries
    delivered; a detail.
    """

    path: Path
    state: str
    entries: int = 0
    run_id: str = ""
    detail: str = ""


def sync(folders: Iterable[Path], store: MlflowStore) -> list[SyncResult]:
    """Deliver every journal below `folders` that no live run holds, oldest first.

    Raises:
        UnreachableError: the store fails; what was delivered stays delivered, and the same call goes on from
            there.
    """
    return [_sync(path, store) for path in journals(folders)]


def _sync(path: Path, store: MlflowStore) -> SyncResult:
    with locked(path) as free:
        if not free:
            return SyncResult(path, "live")
        delivery = JournalUpload(path, store)
        try:
            entries = delivery.deliver()
            buried = delivery.bury()
        except UnreachableError:
            raise
        except (BMTError, OSError) as error:
            state = "deleted" if isinstance(error, DeletedError) else "failed"
            return SyncResult(path, state, detail=str(error))
        detail = "; ".join(delivery.rejected) or ("ended as KILLED" if buried else "")
        state = "delivered" if entries or buried else "up to date"
        return SyncResult(path, state, entries, delivery.run_id, detail)
