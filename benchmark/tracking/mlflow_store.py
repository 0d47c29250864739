"""MLflow tracking that never loses a run and never stops one. The only file that imports mlflow.

    with tracking.start("minilm.mt.bmt.s0", "bmt-sample", folder, params=params, tags=tags) as run:
        run.log({"f1/HotpotQA": 41.0, "train/loss": 2.3}, step=12)

Everything goes to the run's journal first (benchmark/tracking/journal.py); a thread delivers it in batches
(benchmark/tracking/journal_upload.py). Where mlflow is missing, down, slow, locked or out of disk, the run
goes on and `python -m benchmark.track sync` delivers the journal later, once.

The store is MLflow's own default, taken from the repository's root and not from the working directory:
`mlflow.db`, artifacts under `mlruns/`; so plain `mlflow ui` in the root shows every run. MLFLOW_TRACKING_URI
overrides it. BMT_TRACKING=journal keeps the journal only.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from benchmark.cli.messages import tell
from benchmark.cli.signals import ended
from benchmark.config.params import repository_root
from benchmark.tracking import environment as machine
from benchmark.tracking.journal import (
    FOLDER,
    Journal,
    allowed_name,
    find,
    milliseconds,
    new_key,
    text_of,
)
from benchmark.tracking.journal_upload import (
    Courier,
    Item,
    RejectedError,
    StoredRun,
    UnreachableError,
)
from benchmark.tracking.machine_samples import sampled
from bmt.errors import DataError

PROBE_SECONDS = 5.0
"""How long a locked database is waited for; MLflow itself would try for 100."""
SETTLE_SECONDS = 120.0
"""How long `TrackedRun.id` waits at most for the store's first answer or failure; they come sooner, for each
request has its time limit."""
DEFAULTS = {
    # seconds; with MLflow's 120 and 7 retries a dead server would hold a run for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # the journal retries, and knows which request must not be made twice
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
NOISY = (
    "alembic",
    "mlflow.store.db.utils",
    "mlflow.utils.rest_utils",
    "mlflow.tracking.client",
    "urllib3.connectionpool",
)
DATABASES = ("sqlite:", "postgresql", "mysql", "mssql")


def store_uri() -> str:
    """MLFLOW_TRACKING_URI, or the repository's own mlflow.db."""
    return os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///" + quote(str(repository_root() / "mlflow.db"))


def public(uri: str) -> str:
    """`uri` without a user's name and password: this is what messages and state files show."""
    return re.sub(r"://[^/@]*@", "://", uri)


def connect(uri: str | None = None) -> MlflowStore:
    """Open the store at `uri` (default: `store_uri()`), making its database first if need be.

    Raises:
        UnreachableError: mlflow is not installed, or the store cannot be opened.
    """
    uri = uri or store_uri()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    path = Path(unquote(uri.removeprefix("sqlite:///"))).absolute() if uri.startswith("sqlite:///") else None
    home = path.parent if path else repository_root()
    try:
        if path:
            home.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(path, timeout=PROBE_SECONDS)) as database:
                database.execute("PRAGMA schema_version").fetchone()
        import mlflow.tracking
    except ImportError as error:
        raise UnreachableError(f"mlflow cannot be imported ({_line(error)}): pip install mlflow") from None
    except (OSError, sqlite3.Error) as error:
        raise UnreachableError(f"MLflow's {path}: {_line(error)}") from None
    for name in NOISY:
        logging.getLogger(name).setLevel(
            logging.CRITICAL
        )  # tracebacks, migrations and retries; we tell one line
    with _translated(public(uri)):
        if not uri.startswith(DATABASES):
            return MlflowStore(mlflow.tracking.MlflowClient(uri), uri)
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        with open(home / "mlflow.db.lock", "ab") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)  # of 8 processes that open an empty database at once, 7 die
            # MLflow takes the artifacts' place from the working directory unless it is told, and decodes "%"
            # in it
            tables = SqlAlchemyStore(uri, str(home / "mlruns").replace("%", "%25"))
            return MlflowStore(mlflow.tracking.MlflowClient(uri), uri, tables.create_experiment)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """MLflow's errors as ours: RejectedError for what it will never take, UnreachableError for the rest."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        permanent = error.error_code in ("INVALID_PARAMETER_VALUE", "BAD_REQUEST", "MALFORMED_REQUEST")
        raise (RejectedError if permanent else UnreachableError)(
            f"MLflow at {uri}: {_cause(error)}"
        ) from error
    except (RejectedError, UnreachableError):
        raise
    except Exception as error:  # sqlalchemy, requests, urllib3, the disk: each has its own
        raise UnreachableError(f"MLflow at {uri}: {_cause(error)}") from error


def _cause(error: BaseException) -> str:
    """The operating system's or database's own word where there is one below the layers, else the error's."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, sqlite3.Error | ConnectionError | TimeoutError) or (
            isinstance(inner, OSError) and inner.errno
        ):
            return _line(inner)
        inner = inner.__cause__ or inner.__context__
    return _line(error)


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


class MlflowStore:
    """An MLflow store in plain terms; raises RejectedError or UnreachableError only."""

    def __init__(self, client: Any, uri: str, create_experiment: Callable[[str], str] | None = None) -> None:
        self.client, self.uri = client, public(uri)
        self._create_experiment = create_experiment or client.create_experiment
        self._experiments: dict[str, str] = {}

    def run(self, run_id: str) -> StoredRun | None:
        """The run, deleted or not, or None."""
        from mlflow.exceptions import MlflowException

        with _translated(self.uri):
            try:
                return _stored(self.client.get_run(run_id))
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise

    def runs_of(self, experiment: str, key: str) -> list[StoredRun]:
        """The runs, deleted or not, that were made for the journal `key`."""
        from mlflow.entities import ViewType

        with _translated(self.uri):
            known = self.client.get_experiment_by_name(experiment)
            if known is None or not re.fullmatch(r"[\w.-]+", key):
                return []
            runs = self.client.search_runs(
                [known.experiment_id], f"tags.`journal.id` = '{key}'", ViewType.ALL
            )
            return [_stored(run) for run in runs]

    def create(self, experiment: str, name: str, start: int, tags: dict[str, str]) -> StoredRun:
        """A new run with its start in ms since 1970."""
        with _translated(self.uri):
            return _stored(self.client.create_run(self._experiment(experiment), start, tags, name))

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        if name not in self._experiments:
            known = self.client.get_experiment_by_name(name)
            if known is None:
                try:
                    self._experiments[name] = self._create_experiment(name)
                    return self._experiments[name]
                except MlflowException as error:
                    if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was faster
                        raise
                    known = self.client.get_experiment_by_name(name)
            if known.lifecycle_stage == "deleted":
                raise UnreachableError(
                    f"MLflow experiment {name} is deleted: "
                    f"mlflow experiments restore -x {known.experiment_id}"
                )
            self._experiments[name] = known.experiment_id
        return self._experiments[name]

    def remove(self, run_id: str) -> None:
        """Delete a run (MLflow can restore it)."""
        with _translated(self.uri):
            self.client.delete_run(run_id)

    def send(self, run_id: str, items: list[Item]) -> None:
        """Metrics, parameters and tags in one request; tags last, so that a mark says that the rest has
        arrived.
        """
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*item[1:]) for item in items if item[0] == "metric"]
        params = {item[1]: item[2] for item in items if item[0] == "param"}
        tags = {item[1]: item[2] for item in items if item[0] == "tag"}
        with _translated(self.uri):
            self.client.log_batch(
                run_id,
                metrics,
                [Param(name, value) for name, value in params.items()],
                [RunTag(name, value) for name, value in tags.items()],
                synchronous=True,
            )

    def untag(self, run_id: str, name: str) -> None:
        """Remove a tag."""
        with _translated(self.uri):
            self.client.delete_tag(run_id, name)

    def artifact(self, run_id: str, path: Path, folder: str) -> None:
        """Copy a file to the run's artifacts."""
        with _translated(self.uri):
            self.client.log_artifact(run_id, str(path), folder or None)

    def data_input(self, run_id: str, name: str, source: str, digest: str, context: str) -> None:
        """A data set that the run read. MLflow keeps 36 characters of a digest; the whole of it is a tag of
        the input.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        kind, key = ("http", "url") if source.startswith(("http://", "https://")) else ("local", "uri")
        tags = [InputTag("mlflow.data.context", context), InputTag("digest", digest)]
        with _translated(self.uri):
            self.client.log_inputs(
                run_id, [DatasetInput(Dataset(name, digest[:36], kind, json.dumps({key: source})), tags)]
            )

    def status(self, run_id: str, status: str, end: int | None = None) -> None:
        """Set a run's status and, in ms since 1970, its end."""
        with _translated(self.uri):
            if end is None:
                self.client.update_run(run_id, status=status)
            else:
                self.client.set_terminated(run_id, status, end)


def _stored(run: Any) -> StoredRun:
    return StoredRun(
        run.info.run_id,
        run.info.lifecycle_stage == "active",
        run.info.status,
        dict(run.data.tags),
        dict(run.data.params),
    )


class TrackedRun:
    """What a run records. No method raises for the store's or the disk's sake, and none waits for the store
    except `id`.
    """

    def __init__(self, journal: Journal | None, courier: Courier | None) -> None:
        self._journal, self._courier = journal, courier

    @property
    def id(self) -> str | None:
        """The MLflow run id; None when the run is not tracked (yet). Waits for the store's first answer or
        failure.
        """
        if self._courier is None:
            return None
        self._courier.settled.wait(SETTLE_SECONDS)
        return self._courier.run_id or None

    @property
    def reference(self) -> str:
        """What `start(run_id=…)` goes on with: the MLflow run id, or the journal's key where the run is not
        tracked (yet).
        """
        return self.id or (self._journal.key if self._journal else "")

    def log(self, values: Mapping[str, Any], step: int = 0) -> None:
        """Metrics by name, e.g. `f1/HotpotQA`; None and what is no number is left out."""
        numbers = {
            allowed_name(name): number
            for name, value in values.items()
            if (number := _number(value)) is not None
        }
        if self._journal and numbers:
            self._journal.metrics(numbers, int(step))

    def figure(self, name: str, figure: Any) -> None:
        """A matplotlib figure under `name`, e.g. `mask/density_by_layer.png`."""
        if self._journal:
            self._journal.keep(name, figure.savefig)

    def text(self, name: str, text: str) -> None:
        """A text file under `name`."""
        if self._journal:
            self._journal.keep(name, lambda path: path.write_text(text, encoding="utf-8"))

    def artifact(self, path: str | Path, folder: str = "") -> None:
        """A copy of a (small) file under `folder`. Models and predictions are DVC's."""
        if self._journal:
            self._journal.keep_copy(Path(path), folder)

    def data_input(self, name: str, source: str | Path, digest: str, context: str) -> None:
        """A data set that the run reads: its URL or path, its digest, and what for ("training",
        "evaluation").
        """
        if self._journal:
            self._journal.append("input", name=name[:500], source=str(source), digest=digest, context=context)

    def tag(self, name: str, value: Any) -> None:
        """A tag, which may change later."""
        if self._journal:
            self._journal.append("tag", name=name[:250], value=text_of(value, 8000))


def untracked() -> AbstractContextManager[TrackedRun]:
    """A run that records nothing: of every rank but the first."""
    return nullcontext(TrackedRun(None, None))


@contextmanager
def start(
    name: str,
    experiment: str,
    folder: str | Path,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    run_id: str | None = None,
    parent: str | None = None,
    environment: Mapping[str, Any] | None = None,
) -> Iterator[TrackedRun]:
    """Record a run: ends FINISHED, FAILED with the reason when the block raises, or KILLED on Ctrl-C and
    SIGTERM.

    Args:
        name: the run's name, e.g. the cell's.
        folder: the run's own folder; the journal is its `journal/`.
        params: flat scalars; fixed for good (what a resumed run has otherwise becomes a tag
            `resumed.<name>`).
        run_id: go on with this run: an MLflow run id, `TrackedRun.reference`, or
            `journal.interrupted(folder)` after a crash. Where the store has none such, a new run is made with
            the tag `restored_from`.
        parent: nest under the run of this `TrackedRun.reference`; two levels at most.
        environment: `environment.describe()`, if it is known already.
    """
    folder = Path(folder)
    described = dict(environment) if environment is not None else machine.describe()
    said = {
        "params": {allowed_name(key): text_of(value, 6000) for key, value in (params or {}).items()},
        "tags": {
            key[:250]: text_of(value, 8000)
            for key, value in {**machine.provenance(described), **(tags or {})}.items()
        },
    }
    journal = _continued(folder, run_id)
    if journal:
        journal.append("resume", **said)
    else:
        journal = Journal(folder / FOLDER / f"{new_key()}.jsonl", _tell)
        journal.append(
            "run",
            key=journal.key,
            name=name,
            experiment=experiment,
            resume=run_id or None,
            parent=parent or None,
            **said,
        )
    courier = None
    if os.environ.get("BMT_TRACKING") != "journal":
        courier = Courier(journal.path, connect, _tell)
    run = TrackedRun(journal, courier)
    run.text("environment.json", json.dumps(described, indent=1, sort_keys=True, default=str) + "\n")
    status, failure = "FAILED", "the run was left in an unusual way"
    try:
        with ended(), sampled(lambda: _sample(journal)):
            yield run
        status, failure = "FINISHED", ""
    except BaseException as error:
        status, failure = _verdict(error)
        raise
    finally:
        journal.append("end", status=status, failure=failure or None)
        if courier and not courier.close():
            later = f"deliver it later with `python -m benchmark.track sync {folder}`"
            _tell(f"not everything has reached MLflow: {later}")
        if journal.lost:
            _tell(f"{journal.path}: {journal.lost} entries could not be written and are lost")
        journal.close()


def _continued(folder: Path, run_id: str | None) -> Journal | None:
    """The journal in `folder` of the run `run_id`, or None: there is none, another process holds it, or it is
    damaged.
    """
    path = find(folder, run_id) if run_id else None
    try:
        return Journal(path, _tell) if path else None
    except (BlockingIOError, DataError) as error:
        _tell(f"{error}; the run goes on in a new journal")
        return None


def _sample(journal: Journal) -> None:
    journal.metrics(machine.system_metrics(), (milliseconds() - journal.started) // 1000)


def _verdict(error: BaseException) -> tuple[str, str]:
    """Status and reason of a run that ended by `error`."""
    if isinstance(error, KeyboardInterrupt):
        return "KILLED", "KeyboardInterrupt"
    if isinstance(error, SystemExit | GeneratorExit):
        code = getattr(error, "code", None)
        killed = {128 + signal.SIGTERM: "SIGTERM", 128 + signal.SIGINT: "SIGINT"}
        if code in killed:
            return "KILLED", killed[code]
        return ("FAILED", f"SystemExit: {code}") if code else ("FINISHED", "")
    return "FAILED", _line(error)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        _tell(f"{value!r} is no number: not recorded")
        return None


def _tell(line: str) -> None:
    tell(f"tracking: {line}")
