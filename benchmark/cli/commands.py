"""What every `python -m benchmark.<verb>` shares: one-line errors and exit statuses."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable

from bmt.errors import BMTError


def command_parser(verb: str, description: str, example: str) -> argparse.ArgumentParser:
    """The parser of `python -m benchmark.<verb>`; `--help` ends with `example`."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmark.{verb}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run_command(main: Callable[[], int | None]) -> None:
    """Run `main` and leave with its status: 0 done, 1 failure, 2 usage or bad configuration, 130 interrupted.

    A `BMTError` or an operating-system error is one line on stderr; anything else is a defect of ours and
    keeps its traceback.
    """
    try:
        status = main() or 0
        sys.stdout.flush()
    except BMTError as error:
        print(f"error: {error}", file=sys.stderr)
        status = error.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except OSError as error:
        print(f"error: {os_error_line(error)}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = 130
    sys.exit(status)


def os_error_line(error: OSError) -> str:
    """One line for an operating-system error: the file, what happened and, for a full disk, what to do."""
    where = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return (
            f"{where}{reason}: free some space and run the same command again; nothing half-written was kept"
        )
    return f"{where}{reason}"
