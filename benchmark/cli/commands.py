"""What every `python -m benchmark.<verb>` shares: its parser, one-line errors and exit statuses."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from benchmark.cli import signals
from benchmark.cli.text import nearest, printable
from bmt.errors import BMTError

OURS = ("bmt", "benchmark", "tools")


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose complaint is one line (status 2) with the option that was perhaps meant."""

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """The options; leaves with status 2 where one is unknown."""
        options, rest = self.parse_known_args(args, namespace)
        if rest:
            self.error(
                f"unknown: {' '.join(rest)}{nearest(rest[0].partition('=')[0], self._option_strings())}"
            )
        return options

    def error(self, message: str) -> NoReturn:
        """Leave with status 2 and one line."""
        self.exit(2, f"error: {printable(message)}; `{self.prog} --help` shows what is allowed\n")

    def _option_strings(self) -> list[str]:
        """The options of this parser and of the parsers under it."""
        under = [parser for action in self._actions for parser in _parsers(action)]
        return [
            *self._option_string_actions,
            *(name for parser in under for name in parser._option_strings()),
        ]


def _parsers(action: argparse.Action) -> list[Parser]:
    return list(action.choices.values()) if isinstance(action, argparse._SubParsersAction) else []


def command_parser(verb: str, description: str, example: str, package: str = "benchmark") -> Parser:
    """The parser of `python -m <package>.<verb>`; `--help` ends with `example`."""
    return Parser(
        prog=f"python -m {package}.{verb}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_params_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """`--params FILE` or `--profile NAME`, the same in every command (`config.profiles.params_file`)."""
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--params", metavar="FILE", help="the params file (default: params.yaml at the repository's root)"
    )
    either.add_argument(
        "--profile",
        metavar="NAME",
        help="a profile's params file: params.yaml where that profile is active, else profiles/NAME.yaml",
    )


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and leave with its status: 0 done, 1 failure, 2 usage or bad configuration, 130 interrupted.

    A `BMTError`, an operating-system error or a package that is not installed is one line on stderr; anything
    else is a defect of ours and keeps its traceback.
    """
    with signals.interruptible() as interrupted:
        try:
            try:
                status = main() or 0
            except SystemExit as left:  # argparse's, a signal's
                if interrupted() and left.code == 130:
                    print("interrupted", file=sys.stderr)
                sys.stdout.flush()
                raise
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 1
        except Exception as error:
            if interrupted():  # what a library has made of KeyboardInterrupt
                line, status = "interrupted", 130
            else:
                line, status = _line(error)
            print(line, file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            status = 130
    sys.exit(status)


def _line(error: Exception) -> tuple[str, int]:
    """What is said of an error, and the exit status. Raises the error itself where it is a defect of ours."""
    if isinstance(error, BMTError):
        return f"error: {printable(str(error))}", error.status
    if isinstance(error, OSError):
        return f"error: {printable(os_error_line(error))}", 1
    if isinstance(error, ImportError) and (error.name or OURS[0]).partition(".")[0] not in OURS:
        absent = isinstance(error, ModuleNotFoundError)
        what = "is not installed" if absent else f"cannot be imported ({printable(str(error))})"
        todo = "activate the project's environment (source .venv/bin/activate), which `make setup` makes"
        return f"error: {error.name} {what} in {sys.executable}: {todo}", 1
    raise error


def os_error_line(error: OSError) -> str:
    """One line for an operating-system error: the file, what happened and, for a full disk, what to do."""
    where = f"{error.filename}: " if error.filename else ""
    reason = error.strerror or str(error)
    if error.errno == errno.ENOSPC:
        return (
            f"{where}{reason}: free some space and run the same command again; nothing half-written was kept"
        )
    return f"{where}{reason}"
