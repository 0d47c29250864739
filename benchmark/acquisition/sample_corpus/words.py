"""The words the sample corpus is made of (words.yaml), the seeded draw, and the cut between train and dev.

A pool is cut once: each third word is for dev, the others for train, and numbers are cut by their remainder
modulo 3. Whatever holds at least one such word or number, an answer, a sentence or a question, can therefore
not stand on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Words:
    """What words.yaml holds."""

    pools: dict[str, tuple[str, ...]]
    dev_pools: dict[str, tuple[str, ...]]
    meanings: dict[str, str]
    shared: dict[str, tuple[str, ...]]
    kinds: dict[str, str]
    numbers: dict[str, tuple[int, int]]


WORDS = msgspec.yaml.decode(Path(__file__).with_name("words.yaml").read_bytes(), type=Words)
DEV_POOLS = {"term": tuple(WORDS.meanings)} | WORDS.dev_pools


def kept(split: str, index: int) -> bool:
    """Whether the word at `index` of a pool, or the number `index`, belongs to `split` ("train" or "dev")."""
    return (index % 3 == 2) == (split == "dev")


class Draw:
    """A stream of choices that depends on `key` alone: sha256 of the key and a counter, on every Python
    alike.
    """

    def __init__(self, *key: str | int) -> None:
        self._key = "/".join(map(str, key))
        self._count = 0

    def below(self, limit: int) -> int:
        """An integer in 0 .. limit - 1, uniform (up to 2^-64)."""
        self._count += 1
        digest = hashlib.sha256(f"{self._key}/{self._count}".encode()).digest()
        return int.from_bytes(digest[:12], "big") % limit

    def pick(self, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """`items` in a random order (Fisher–Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order


class Cast:
    """The fillers of one passage: no pool word and no number of its `split` is given out twice."""

    def __init__(self, draw: Draw, split: str) -> None:
        self._draw, self._split = draw, split
        self._taken: set[str] = set()

    def name(self, kind: str) -> dict[str, str]:
        """A new name of `kind`: its parts by pool, and the whole under "whole"."""
        pattern = WORDS.kinds.get(kind, f"{{{kind}}}")
        parts = {
            key: self._part(key)
            for key in (*WORDS.shared, *WORDS.pools, *DEV_POOLS, *WORDS.numbers)
            if f"{{{key}}}" in pattern
        }
        return {**parts, "whole": pattern.format(**parts)}

    def _part(self, key: str) -> str:
        if key in WORDS.shared:
            return self._draw.pick(WORDS.shared[key])
        while True:  # pools are several times larger than a passage needs
            if key in WORDS.numbers:
                low, high = WORDS.numbers[key]
                index = low + self._draw.below(high - low + 1)
                word = f"{index:,}" if high > 2000 else str(index)
            else:
                pool = WORDS.pools.get(key) or DEV_POOLS[key]
                index = self._draw.below(len(pool))
                word = pool[index]
            if (key in DEV_POOLS or kept(self._split, index)) and word.lower() not in self._taken:
                self._taken.add(word.lower())
                return word
