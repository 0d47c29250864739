"""Which texts were there before, at eight bytes each: a million question ids take eight megabytes, not a
hundred.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left

import numpy as np

RECENT = 1 << 16  # keys in a set of Python integers, before they join the sorted array


def key(text: str) -> int:
    """64 bits of a digest of `text`: the chance that any two of a million different texts have the same is
    3e-8.
    """
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class KeySet:
    """A set of 64-bit keys that only grows."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self._sorted = array("Q")

    def __contains__(self, key: int) -> bool:
        if key in self._recent:
            return True
        at = bisect_left(self._sorted, key)
        return at < len(self._sorted) and self._sorted[at] == key

    def __len__(self) -> int:
        return len(self._recent) + len(self._sorted)

    def add(self, key: int) -> None:
        """Put in a key that is not in it."""
        self._recent.add(key)
        if len(self._recent) >= RECENT:
            recent = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._sorted = array(
                "Q", np.sort(np.concatenate([np.frombuffer(self._sorted, np.uint64), recent])).tobytes()
            )
            self._recent.clear()
