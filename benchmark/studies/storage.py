"""Where a study lives: any database that Optuna and SQLAlchemy open; `studies/NAME.db` (SQLite) unless told
otherwise.

SQLite is for the workers of one host; several hosts share a server, e.g.
postgresql+psycopg://user@host/database. A trial's worker gives a sign of life every `heartbeat` seconds.
Where it has been silent for three times as long, the next worker fails its trial and queues the same values
again, three times at most.
"""

from __future__ import annotations

import os
import re
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import optuna
import sqlalchemy.exc
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial

from benchmark.cli.messages import tell
from benchmark.config.params import repository_root
from benchmark.studies import mlflow_runs
from benchmark.tracking import mlflow_store as tracking
from bmt.errors import BMTError, ConfigError

HEARTBEAT = 20  # seconds
SILENCE = 3  # heartbeats missed before a trial counts as dead
RETRIES = 3  # of one trial
OPENINGS = 5  # several processes that make a new database's tables at once disturb each other
CONNECT_SECONDS = 10
SQLITE_SECONDS = 60  # that a locked SQLite file is waited for


def storage_url(name: str, url_option: str | None = None) -> str:
    """The database of the study `name`: as given, or OPTUNA_STORAGE, or `studies/NAME.db`.

    Raises:
        ConfigError: it is MLflow's own database. Both keep their version in a table `alembic_version`.
    """
    default = "sqlite:///" + quote(str(repository_root() / "studies" / f"{name}.db"))
    url = url_option or os.environ.get("OPTUNA_STORAGE") or default
    if url == tracking.store_uri() or (_file(url) is not None and _file(url) == _file(tracking.store_uri())):
        raise ConfigError(
            f"--storage {tracking.public(url)}: this is MLflow's database: a study needs one of its own"
        )
    return url


def open_storage(url: str, heartbeat: int = HEARTBEAT) -> RDBStorage:
    """Open the database, making its tables first if need be. Optuna's own lines end here: ours tell the same.

    Raises:
        ConfigError: no URL of a database, or the driver that it names is not installed.
        BMTError: it cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=ExperimentalWarning)
    path = _file(url)
    options: dict[str, Any] = {"pool_pre_ping": path is None}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        options["connect_args"] = {"timeout": SQLITE_SECONDS}
    elif "psycopg" in url:
        options["connect_args"] = {"connect_timeout": CONNECT_SECONDS}
    with reachable(url):
        for attempt in range(1, OPENINGS + 1):
            try:
                return RDBStorage(
                    url,
                    options,
                    heartbeat_interval=heartbeat,
                    grace_period=SILENCE * heartbeat,
                    heartbeat_stale_trial_callback=requeue,
                )
            except ImportError as error:
                raise ConfigError(f"--storage {tracking.public(url)}: {_no_driver(error)}") from None
            except sqlalchemy.exc.DatabaseError as error:
                raced = re.search("already exists|duplicate|unique", str(error), re.IGNORECASE)
                if attempt == OPENINGS or not raced:
                    raise
                time.sleep(0.2 * attempt)
    raise AssertionError("unreachable")


def requeue(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a dead worker's trial again, and end its MLflow run."""
    mlflow_runs.bury(study.study_name, trial.number)
    RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)(study, trial)


def find_study(name: str, url: str) -> optuna.Study:
    """The study `name`, to be read.

    Raises:
        ConfigError: the database has none of that name; names those that it has.
    """
    path = _file(url)
    names: list[str] = []
    if path is None or path.is_file():
        storage = open_storage(url)
        with reachable(url):
            names = optuna.get_all_study_names(storage)
            if name in names:
                return optuna.load_study(study_name=name, storage=storage)
    there = f"there are {', '.join(sorted(names))}" if names else "there is none at all"
    raise ConfigError(f"study {name!r}: not in {tracking.public(url)}: {there}; `--trials N` starts one")


@contextmanager
def reachable(url: str) -> Iterator[None]:
    """A database's errors within the block as one line.

    Raises:
        ConfigError: no URL of a database, or the driver that it names is not installed.
        BMTError: the database cannot be reached, or not any more.
    """
    where = tracking.public(url)
    before, threading.excepthook = threading.excepthook, _tell_of_silence
    try:
        yield
    except BMTError:
        raise
    except (sqlalchemy.exc.ArgumentError, sqlalchemy.exc.NoSuchModuleError) as error:
        raise ConfigError(
            f"--storage {where}: no URL of a database, such as sqlite:///study.db: {_line(error)}"
        ) from None
    except Exception as error:
        # Optuna's loop can hide a database's error behind a defect of its own (UnboundLocalError, 5.0)
        if (cause := _database_error(error)) is None:
            raise
        raise BMTError(
            f"the study's database {where}: {_line(cause)}; run the same command again when it answers"
        ) from error
    finally:
        threading.excepthook = before


def _database_error(error: BaseException | None) -> BaseException | None:
    """The error of the database behind `error`, or None."""
    while error is not None:
        if isinstance(error, sqlalchemy.exc.SQLAlchemyError):
            return error
        error = error.__cause__ or error.__context__
    return None


def _tell_of_silence(failed: threading.ExceptHookArgs) -> None:
    """A heartbeat that the database did not take is a line; other threads' errors keep their traceback."""
    cause = _database_error(failed.exc_value)
    if cause is None:
        threading.__excepthook__(failed)
    else:
        tell(f"study: no sign of life could be written: {_line(cause)}")


def _no_driver(error: ImportError) -> str:
    missing = getattr(error.__cause__, "name", None) or error.name
    return (
        f"its driver{f' {missing}' if missing else ''} is not installed: for PostgreSQL pip install "
        "'psycopg[binary]' and write postgresql+psycopg://user@host/database"
    )


def _line(error: BaseException) -> str:
    """An error's message without SQL and without SQLAlchemy's address."""
    text = str(getattr(error, "orig", None) or error).split("(Background on this error")[0]
    return " ".join(text.split())[:300]


def _file(url: str) -> Path | None:
    """The file of an SQLite URL; None for a server."""
    if not url.startswith("sqlite"):
        return None
    try:
        path = sqlalchemy.make_url(url).database
    except sqlalchemy.exc.ArgumentError:
        return None
    return Path(path).absolute() if path and path != ":memory:" else None
