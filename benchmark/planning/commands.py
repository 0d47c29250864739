"""The command lines that make what a table needs: one place where each is spelled."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

Command = tuple[str, ...]


def train(cell: str, params: str | None) -> Command:
    """Train a cell; it resumes from its checkpoints by itself."""
    return ("python", "-m", "benchmark.train", cell, *_params(params))


def evaluate(cell: str, params: str | None) -> Command:
    """Score a trained cell on the dev sets; those out of domain are its zero-shot scores."""
    return ("python", "-m", "benchmark.evaluate", cell, *_params(params))


def transfer(cell: str, K: int, seed: int, params: str | None) -> Command:
    """Few-shot transfer of an adapter cell to the datasets out of domain: K examples each, sampled with
    `seed`.
    """
    return ("python", "-m", "benchmark.transfer", cell, "--k", str(K), "--seed", str(seed), *_params(params))


def unifiedqa(backbone: str, params: str | None) -> Command:
    """Score a published model that writes its answers on the datasets out of domain."""
    return ("python", "-m", "benchmark.unifiedqa", backbone, *_params(params))


def data(params: str | None) -> tuple[Command, ...]:
    """Get the files and make the features."""
    return tuple(("python", "-m", f"benchmark.{verb}", *_params(params)) for verb in ("fetch", "prepare"))


def counted_table(command: str, params: str | None) -> Command:
    """The command of a table of counted numbers, with the params file behind its module: `python -m
    benchmark.data --params F stats --json`.
    """
    words = shlex.split(command)
    place = words.index("-m") + 2 if "-m" in words else len(words)
    return (*words[:place], *_params(params), *words[place:])


def shown(commands: Sequence[Command]) -> str:
    """As one types them."""
    return " && ".join(map(shlex.join, commands))


def _params(params: str | None) -> Command:
    return ("--params", params) if params else ()
