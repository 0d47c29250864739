"""Which cell is begun, in what order, and when none is."""

from __future__ import annotations

from tools.gpu_day.cell_queue import CellQueue, by_seed

CELLS = ["none.s0", "bmt.s0", "fixed.s0", "none.s1", "bmt.s1", "fixed.s1"]
SHARED = {"bmt.s0": "a", "fixed.s0": "a", "bmt.s1": "b", "fixed.s1": "b"}


def queue() -> CellQueue:
    return CellQueue(list(CELLS), SHARED)


def begun(cells: CellQueue, count: int, now: float = 0.0, left: float = 100.0) -> list[str | None]:
    return [cells.begin(now, left) for _ in range(count)]


def test_cells_are_ordered_by_seed_and_keep_their_order_in_it() -> None:
    cells = [("b.s10", 10), ("b.s2", 2), ("a.s10", 10), ("a.s2", 2)]
    assert by_seed(cells) == ["b.s2", "a.s2", "b.s10", "a.s10"]


def test_a_cell_waits_while_another_learns_its_masks() -> None:
    cells = queue()
    assert begun(cells, 4) == ["none.s0", "bmt.s0", "none.s1", "bmt.s1"]
    assert cells.begin(1, 100) is None and not cells.ended
    cells.finish("bmt.s0", 5)
    assert begun(cells, 2, 5) == ["fixed.s0", None]
    cells.finish("bmt.s1", 6)
    assert cells.begin(6, 100) == "fixed.s1"


def test_a_cell_learns_its_masks_itself_where_the_other_has_failed() -> None:
    cells = queue()
    begun(cells, 4)
    cells.fail("bmt.s0", "why")
    assert cells.begin(5, 100) == "fixed.s0"
    assert cells.failed == {"bmt.s0": "why"}


def test_none_is_begun_that_would_not_be_done() -> None:
    cells = queue()
    assert cells.begin(0, 0.1) == "none.s0", "nobody knows yet how long one takes"
    assert cells.begin(30, 29) is None, "the first has taken 30 seconds already"
    assert cells.begin(30, 30) == "bmt.s0"
    cells.finish("none.s0", 40)
    assert cells.begin(45, 39) is None and cells.begin(45, 40) == "none.s1"
    assert cells.seconds == {"none.s0": 40}


def test_a_dead_process_costs_a_cell_one_attempt() -> None:
    cells = queue()
    begun(cells, 2)
    cells.lose("bmt.s0", "killed")
    assert cells.waiting[0] == "bmt.s0" and not cells.failed
    assert cells.begin(1, 100) == "bmt.s0"
    cells.lose("bmt.s0", "killed")
    assert cells.failed == {"bmt.s0": "killed, 2 times"} and "bmt.s0" not in cells.waiting


def test_it_ends_when_nothing_runs_and_nothing_waits() -> None:
    cells = CellQueue(["x"])
    assert not cells.ended
    cells.begin(0, 1)
    assert not cells.ended
    cells.finish("x", 1)
    assert cells.ended
