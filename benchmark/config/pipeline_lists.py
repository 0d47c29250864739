"""The lists of a params file that say what `dvc repro` makes beside its cells: reference cells, few-shot
transfers, published models, compared tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from benchmark.config.cells import Cell, known_name, parse
from bmt.errors import ConfigError

SOURCE_SEED = 0
"""Of the trained cell that a transfer starts from: `benchmark.plan` and `benchmark.compare` name the same."""


def check_references(names: Sequence[str], cells: Sequence[str], check: Callable[[Cell], None]) -> None:
    """Check the list `references`: the ST cells that are trained first, because the sampling of MT cells is
    held against them.

    Args:
        check: raises ConfigError for a cell that the profile cannot have.

    Raises:
        ConfigError: key, value and what is allowed.
    """
    named_once("references", names)
    for index, name in enumerate(names):
        where = f"references[{index}]"
        try:
            cell = parse(name)
            check(cell)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        if cell.dataset is None:
            raise ConfigError(f"{where}: {name!r} is not allowed: an ST cell, as minilm.st-SQuAD.none.s0")
        if name in cells:
            raise ConfigError(f"{where}: {name!r} stands in cells too: take it out of one of them")


def check_transfers(names: Sequence[str], cells: Sequence[str], regularized: Sequence[str]) -> None:
    """Check the list `transfers`: cells without their seed, as minilm.mt.bmt.adapter, the trained one being
    in `cells`.

    Args:
        regularized: the arms that have a regularizer, and so no few-shot transfer.

    Raises:
        ConfigError: key, value and what is allowed.
    """
    named_once("transfers", names)
    for index, name in enumerate(names):
        where = f"transfers[{index}]: {name!r} is not allowed"
        if re.fullmatch(r".*\.s\d+", name):
            raise ConfigError(
                f"{where}: without the seed, as minilm.mt.bmt.adapter: a transfer starts from seed "
                f"{SOURCE_SEED} of the cell"
            )
        source = f"{name}.s{SOURCE_SEED}"
        if source not in cells:
            raise ConfigError(f"{where}: {source}, which it starts from, is not in cells: list it there too")
        if (arm := name.split(".")[2]) in regularized:
            raise ConfigError(f"{where}: arm {arm} has a regularizer, and so no few-shot transfer")


def check_published(names: Sequence[str], generators: Sequence[str]) -> None:
    """Check the list `published`: backbones that write their answers, scored as they are.

    Args:
        generators: the backbones with `head: generate`.

    Raises:
        ConfigError: key, value and what is allowed.
    """
    named_once("published", names)
    for index, name in enumerate(names):
        if name not in generators:
            want = (
                f"one of {', '.join(generators)}"
                if generators
                else "no backbone of this profile has head generate"
            )
            raise ConfigError(f"published[{index}]: {name!r} is not allowed: {want}")


def check_tables(names: Sequence[str]) -> None:
    """Check the list `tables`: ids of the paper's tables, as "3" and "a10".

    Raises ConfigError: key, value and what is allowed.
    """
    named_once("tables", names)
    for index, name in enumerate(names):
        known_name(name, known_tables(), f"tables[{index}]")


@cache
def known_tables() -> tuple[str, ...]:
    """The ids of the tables in benchmark/paper/, in their order."""
    names = [
        path.stem.removeprefix("table_")
        for path in (Path(__file__).parent.parent / "paper").glob("table_*.yaml")
    ]
    return tuple(sorted(names, key=lambda name: (not name.isdecimal(), len(name), name)))


def named_once(key: str, names: Sequence[str]) -> None:
    """Check that a list has no name twice. Raises ConfigError: key, name, how often."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"{key}: {twice[0]!r} stands {names.count(twice[0])} times: name each once")
