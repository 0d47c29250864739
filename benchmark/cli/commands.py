"""What every `python -m benchmark.<verb>` shares: its parser, one-line errors and exit statuses."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmark.cli import signals
from benchmark.cli.messages import tell
from benchmark.cli.text import nearest, printable
from bmt.errors import BMTError

OURS = ("bmt", "benchmark", "tools")
_Subparsers = argparse._SubParsersAction


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose complaint is one line (status 2) with the option that was perhaps meant; an
    option is written out: `--paper` is not short for `--paper-table`.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False} | options)

    def parse_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> Any:
        """The options; leaves with status 2 where one is unknown. That is told before one that is missing: it
        is perhaps the same, misspelt.
        """
        args = sys.argv[1:] if args is None else args
        helps = any(word in ("-h", "--help") for word in args)
        actions = [] if helps else [action for parser in self._family() for action in parser._actions]
        required = [action for action in actions if action.required]
        for action in required:
            action.required = False
        unknown = self.parse_known_args(args)[1]
        for action in required:
            action.required = True
        option = next((word for word in unknown if word.startswith("-")), None)
        if option is None:
            namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            word = (option or unknown[0]).partition("=")[0]
            known = [name for parser in self._family() for name in parser._option_string_actions]
            meant = nearest(word, [name for name in known if name != word])
            self.error(f"unknown: {' '.join(unknown)}{meant}")
        return namespace

    def error(self, message: str) -> NoReturn:
        """Leave with status 2 and one line."""
        self.exit(2, f"error: {printable(message)}; `{self.prog} --help` shows what is allowed\n")

    def _family(self) -> list[Parser]:
        """This parser and those under it."""
        under = [action.choices for action in self._actions if isinstance(action, _Subparsers)]
        return [self, *(parser for choices in under for one in choices.values() for parser in one._family())]


def command_parser(verb: str, description: str | None, example: str, package: str = "benchmark") -> Parser:
    """The parser of `python -m <package>.<verb>`; `--help` ends with `example`."""
    return Parser(
        prog=f"python -m {package}.{verb}",
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_params_options(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, default: str | None = None
) -> None:
    """`--params FILE` or `--profile NAME`, the same in every command (`config.profiles.params_file`).

    default: argparse.SUPPRESS under a parser that has them too, whose values stay where none is given here.
    """
    either = parser.add_mutually_exclusive_group()
    params = "the params file (default: params.yaml at the repository's root)"
    either.add_argument("--params", metavar="FILE", default=default, help=params)
    profile = "a profile's params file: params.yaml where that profile is active, else profiles/NAME.yaml"
    either.add_argument("--profile", metavar="NAME", default=default, help=profile)


def add_results_options(parser: argparse.ArgumentParser) -> None:
    """What commands that judge results share: whose they are, which seeds count, and the results folder."""
    add_params_options(parser)
    parser.add_argument("--seeds", metavar="LIST", help="seeds that count, as 0,1,2 (default: all)")
    folder = "the results folder (default: results/<profile>)"
    parser.add_argument("--results", type=Path, metavar="DIR", help=folder)


def add_format_option(parser: argparse.ArgumentParser) -> None:
    """`--format`, of commands whose document a terminal shows and a pipe gets as Markdown."""
    usual = "default: terminal on a terminal, Markdown elsewhere"
    parser.add_argument("--format", choices=("terminal", "markdown", "latex", "html", "json"), help=usual)


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Run `main` and leave with its status: 0 done, 1 failure, 2 usage or bad configuration, 130 interrupted.

    A `BMTError`, an operating-system error or a package that is not installed is one line on stderr; anything
    else is a defect of ours and keeps its traceback. What stdout's encoding cannot write is shown as "?".
    """
    if sys.stdout is None:  # closed by whoever started the command: what is said goes nowhere
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    # the C locale's own way with what it cannot write raises for a "µ" as strict does
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")
    with signals.interruptible() as interrupted:
        try:
            try:
                status = main() or 0
            except SystemExit as left:  # argparse's, a signal's
                if interrupted() and left.code == 130:
                    tell("interrupted")
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
            tell(line)
        except KeyboardInterrupt:
            tell("interrupted")
            status = 130
    sys.exit(status)


def _line(error: Exception) -> tuple[str, int]:
    """What is said of an error, and the exit status. Raises the error itself where it is a defect of ours."""
    if isinstance(error, BMTError):
        return f"error: {error}", error.status
    if isinstance(error, OSError):
        return f"error: {os_error_line(error)}", 1
    if isinstance(error, ImportError) and (error.name or OURS[0]).partition(".")[0] not in OURS:
        absent = isinstance(error, ModuleNotFoundError)
        what = "is not installed" if absent else f"cannot be imported ({error})"
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
