"""A run's control by default, and stops: nobody listens, nothing is kept, nothing ends it."""

from __future__ import annotations

import pytest

from bmt.runtime.control import RunControl, unheard
from bmt.runtime.ranks import Ranks
from bmt.runtime.stopping import StoppedError, never, until


def test_by_default_nobody_listens_and_nothing_stops_a_run() -> None:
    control = RunControl()
    assert control == RunControl(unheard, unheard, None, Ranks(0, 1), never)
    assert control.report("dataset", 1, {}) is None and control.progress(1, "") is None
    assert not control.stop()


def test_progress_is_left_alone_where_nothing_can_stop_it() -> None:
    def progress(count: int, note: str) -> None: ...

    assert until(never, progress) is progress and until(never) is None


def test_a_stop_is_asked_after_each_report_of_progress_and_names_what_starts_again() -> None:
    told: list[tuple[int, str]] = []
    advance = until(lambda: len(told) == 2, lambda count, note: told.append((count, note)), "the warm-up")
    assert advance is not None
    advance(3, "a")
    with pytest.raises(StoppedError, match=r"^stopped during the warm-up, which starts again$"):
        advance(4, "b")
    assert told == [(3, "a"), (4, "b")]
    alone = until(lambda: True)
    assert alone is not None
    with pytest.raises(StoppedError, match=r"^stopped during an evaluation, which starts again$"):
        alone(1, "")
