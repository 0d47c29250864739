"""The name of a cell, one training run of the benchmark: `<backbone>.<regime>.<arm>[.adapter].s<seed>`.

    minilm.mt.bmt.s0                    multi-data (MT) tuning of the backbone `minilm` with BMT, seed 0
    roberta-base.st-SQuAD.none.s1       single-data (ST) tuning on SQuAD without a mask, seed 1
    roberta-base.mt.bmt.adapter.s0      as the first, with adapters

What a backbone and an arm are stands in params.yaml; the name is a folder's name too, so it holds letters,
digits, `-` and `_` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmark.cli.text import nearest
from bmt.errors import ConfigError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

FORM = "<backbone>.<mt|st-Dataset>.<arm>[.adapter].s<seed>, for example minilm.mt.bmt.s0"
MAX_SEED = 2**32 - 1
ZERO_SHOT = "zero_shot"
"""In the place of an arm: a model that is scored as it was published, and not trained here; its seed means
nothing.
"""
WORD = r"^[A-Za-z0-9][A-Za-z0-9_-]*\Z"
_SEED = re.compile(r"s(0|[1-9][0-9]{0,9})")


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run.

    `regime` is `mt` or `st-<Dataset>`; `seed` draws the head, the batches and the masks.
    """

    backbone: str
    regime: str
    arm: str
    adapter: bool
    seed: int

    @property
    def name(self) -> str:
        """The cell's name; `parse` reads it back."""
        adapter = ".adapter" if self.adapter else ""
        return f"{self.backbone}.{self.regime}.{self.arm}{adapter}.s{self.seed}"

    @property
    def dataset(self) -> str | None:
        """The one source dataset of an ST cell; None for MT."""
        return self.regime.removeprefix("st-") if self.regime.startswith("st-") else None


def parse(name: str) -> Cell:
    """The cell that `name` names.

    Raises:
        ConfigError: the name does not have the form, or its regime or dataset does not exist.
    """
    parts = name.split(".")
    adapter = len(parts) == 5 and parts[3] == "adapter"
    if adapter:
        del parts[3]
    if len(parts) != 4:
        raise ConfigError(f"cell {name!r}: not of the form {FORM}")
    backbone, regime, arm, seed = parts
    for what, word in (("backbone", backbone), ("arm", arm)):
        if not is_word(word):
            raise ConfigError(
                f"cell {name!r}: {what} {word!r}: letters, digits, - and _ only; the form is {FORM}"
            )
    if not _SEED.fullmatch(seed) or int(seed[1:]) > MAX_SEED:
        raise ConfigError(
            f"cell {name!r}: seed {seed!r}: s followed by a whole number from 0 to {MAX_SEED}, as in s0"
        )
    if regime != "mt":
        if not regime.startswith("st-"):
            raise ConfigError(f"cell {name!r}: regime {regime!r}: mt or st-<Dataset>, as in st-SQuAD")
        known_name(regime.removeprefix("st-"), (*IN_DOMAIN, *OUT_OF_DOMAIN), f"cell {name!r}: dataset")
    return Cell(backbone, regime, arm, adapter, int(seed[1:]))


def is_word(word: str) -> bool:
    """Whether `word` can be a part of a cell's name (and so of a folder's)."""
    return bool(re.search(WORD, word))


def known_name(name: str, known: tuple[str, ...], where: str) -> None:
    """Check that `name` is one of `known`.

    Raises:
        ConfigError: `where`, the name, the nearest known one and all of them.
    """
    if name not in known:
        raise ConfigError(f"{where}: {name!r} is not known{nearest(name, known)}: one of {', '.join(known)}")


def domain_of(dataset: str) -> str:
    """`in_domain` or `out_of_domain`."""
    return "in_domain" if dataset in IN_DOMAIN else "out_of_domain"
