"""The command lines that make what a table needs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

Command = tuple[str, ...]


def benchmark_command(verb: str, *arguments: str) -> Command:
    """`python -m benchmark.<verb>`, on the root's params.yaml."""
    return ("python", "-m", f"benchmark.{verb}", *arguments)


def with_params(command: Command, params: str | None) -> Command:
    """The command on the params file `params` (None: as it is): behind the arguments, but before the
    subcommand of a table of counted numbers, `python -m benchmark.data --params F stats --json`.
    """
    place = 3 if command[2:3] == ("benchmark.data",) else len(command)
    return (*command[:place], "--params", params, *command[place:]) if params else command


def shown(commands: Sequence[Command]) -> str:
    """As one types them."""
    return " && ".join(map(shlex.join, commands))
