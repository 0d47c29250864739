"""`benchmark.plan --run` without processes: its commands are called where the test runs, so that no cell pays
for imports of its own.
"""

from __future__ import annotations

import importlib
import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import BinaryIO

from benchmark.cli.commands import run_command
from benchmark.planning.processes import Processes


class InProcess(Processes):
    """Does jobs as `Processes` does, logs and locks and expected files included, but for the child: `main` of
    the command's module.
    """

    def _run(self, command: tuple[str, ...], slot: str | None, log: BinaryIO) -> int | None:
        assert command[:2] == (sys.executable, "-m") and slot is None
        module = importlib.import_module(command[2])
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            try:
                run_command(lambda: module.main(list(command[3:])))
            except SystemExit as left:
                status = int(left.code or 0)
        log.write(printed.getvalue().encode())
        log.flush()
        return status
