"""Whether processes live: they hold one end of a pipe with a name as long as one of them does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LifeLine:
    """The other end."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path, self._end = path, os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def said(self) -> bytes:
        """What was written to it by now, once something is."""
        os.set_blocking(self._end, True)
        return os.read(self._end, 1000)

    def wait(self) -> None:
        """Return once nobody holds it; pytest's own timeout ends what never lets go."""
        os.set_blocking(self._end, True)
        while os.read(self._end, 1000):
            pass

    def close(self) -> None:
        """Nothing more is read."""
        os.close(self._end)


@contextmanager
def life_line(path: Path) -> Iterator[LifeLine]:
    """A new one, which a shell takes by `exec 9>PATH`."""
    line = LifeLine(path)
    try:
        yield line
    finally:
        line.close()
