"""Progress: exact lines without a terminal, rich's bar in one."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmark.cli.progress import duration, progress


class FakeClock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_at_start_every_30_seconds_and_at_the_end():
    clock, stream = FakeClock(), io.StringIO()
    with progress("train", total=900, unit="windows", stream=stream, clock=clock) as bar:
        for second in range(90):
            clock.now = 101.0 + second
            bar.advance(10, note=f"loss {second}")
    assert stream.getvalue().splitlines() == [
        "train: 0 of 900 windows",
        "train: 300 of 900 windows, 10 windows/s, 60.0 s left, loss 29",
        "train: 600 of 900 windows, 10 windows/s, 30.0 s left, loss 59",
        "train: 900 of 900 windows, 10 windows/s, 0.0 s left, loss 89",
        "train: 900 windows in 90.0 s, 10 windows/s, loss 89",
    ]


def test_short_work_is_two_lines_and_an_empty_note_keeps_the_last_one():
    clock, stream = FakeClock(), io.StringIO()
    with progress("evaluate", total=3, unit="batches", stream=stream, clock=clock) as bar:
        bar.advance(2, "F1 41.0")
        bar.advance()
        clock.now += 0.5
    assert stream.getvalue().splitlines() == [
        "evaluate: 0 of 3 batches",
        "evaluate: 3 batches in 0.5 s, 6 batches/s, F1 41.0",
    ]


def test_resumed_work_counts_its_rate_without_what_was_done_before(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmark.cli.progress.EVERY", 10)
    clock, stream = FakeClock(), io.StringIO()
    with progress("train", total=100, stream=stream, clock=clock) as bar:
        bar.resume_at(60, total=100)
        assert bar.rate() is None  # as long as no time is over,
        clock.now += 10
        assert bar.rate() is None and bar.seconds_left() is None  # or nothing is counted
        bar.advance(20)
        assert bar.rate() == 2.0
        assert bar.seconds_left() == 10.0
    assert stream.getvalue().splitlines() == [
        "train: 0 of 100 steps",
        "train: 80 of 100 steps, 2 steps/s, 10.0 s left",
        "train: 20 steps in 10.0 s, 2 steps/s",
    ]


def test_unknown_total_and_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmark.cli.progress.EVERY", 1)
    clock, stream = FakeClock(), io.StringIO()
    with progress("fetch", unit="bytes", stream=stream, clock=clock) as bar:
        clock.now += 2
        bar.advance(3_000_000)
        assert bar.seconds_left() is None
    assert stream.getvalue().splitlines() == [
        "fetch: 0 bytes",
        "fetch: 3.0 MB, 1.5 MB/s",
        "fetch: 3.0 MB in 2.0 s, 1.5 MB/s",
    ]


def test_an_error_is_no_completion():
    clock, stream = FakeClock(), io.StringIO()
    with (
        pytest.raises(KeyError),
        progress("prepare", total=5, unit="files", stream=stream, clock=clock) as bar,
    ):
        bar.advance(2)
        clock.now += 3
        raise KeyError
    assert stream.getvalue().splitlines() == [
        "prepare: 0 of 5 files",
        "prepare: stopped at 2 of 5 files after 3.0 s",
    ]


def test_parallel_tasks_lose_no_count():
    stream = io.StringIO()
    with progress("fetch", total=8000, unit="blocks", stream=stream) as bar:

        def work(name: str) -> None:
            with bar.task(name, total=1000, unit="lines") as part:
                for _ in range(1000):
                    part.advance()
                    bar.advance()
                assert part.count == 1000

        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(work, [f"file {i}" for i in range(8)]):
                pass
        assert bar.count == 8000
    assert stream.getvalue().splitlines()[0] == "fetch: 0 of 8,000 blocks"
    assert stream.getvalue().splitlines()[-1].startswith("fetch: 8,000 blocks in ")


def test_a_nested_task_says_its_end_when_it_took_a_second():
    clock, stream = FakeClock(), io.StringIO()
    with progress("fetch", total=3, unit="files", stream=stream, clock=clock) as bar:
        for seconds in (0.5, 2.0):
            with bar.task(f"file of {seconds} s", unit="bytes") as part:
                part.resume_at(400, total=1400)
                clock.now += seconds
                part.advance(1000)
            bar.advance()
        with pytest.raises(OSError, match="disk"), bar.task("broken", total=2):
            clock.now += 1
            raise OSError("disk")
    assert stream.getvalue().splitlines() == [
        "fetch: 0 of 3 files",
        "file of 2.0 s: 1.0 kB in 2.0 s, 500 bytes/s",
        "broken: stopped at 0 of 2 files after 1.0 s",
        "fetch: 2 files in 3.5 s, 0.571 files/s",
    ]


def test_a_count_that_is_set_back_keeps_the_rate_of_the_work_done():
    clock = FakeClock()
    with progress("fetch", unit="bytes", stream=io.StringIO(), clock=clock) as bar:
        bar.resume_at(300, total=1000)
        clock.now += 10
        bar.advance(500)
        assert (bar.count, bar.rate(), bar.seconds_left()) == (800, 50.0, 4.0)
        bar.resume_at(0, total=1000)
        assert (bar.count, bar.rate(), bar.seconds_left()) == (0, 50.0, 20.0)


def test_bytes_are_told_in_the_largest_unit_that_they_fill_and_more_than_all_leaves_no_time():
    clock, stream = FakeClock(), io.StringIO()
    with progress("fetch", total=2_500_000_000, unit="bytes", stream=stream, clock=clock) as bar:
        told = [bar.counted]
        for count in (999, 1000, 999_999, 1_000_000, 1_000_000_000, 3_000_000_000):
            bar.resume_at(count, bar.total)
            told.append(bar.counted.partition(" of ")[0])
        assert told == [
            "0 bytes of 2.5 GB",
            "999 bytes",
            "1.0 kB",
            "1000.0 kB",
            "1.0 MB",
            "1.0 GB",
            "3.0 GB",
        ]
        assert bar.rate() is None and bar.seconds_left() is None and bar.speed == ""
        clock.now += 2
        bar.advance(1)
        assert (bar.rate(), bar.seconds_left()) == (0.5, 0.0)
        bar.resume_at(5, None)
        assert (bar.counted, bar.seconds_left(), bar.seconds()) == ("5 bytes", None, 2.0)


SPEEDS = (
    (1, "1,234"),
    (0.9, "1,371"),
    (10, "123"),
    (100, "12.3"),
    (12.4, "99.5"),
    (12.3, "100"),
    (10_000, "0.123"),
)


def test_counts_and_rates_have_as_many_digits_as_can_be_read():
    clock = FakeClock()
    with progress("x", total=12_345, unit="windows", stream=io.StringIO(), clock=clock) as bar:
        bar.advance(1234)
        assert bar.counted == "1,234 of 12,345 windows"
        for seconds, speed in SPEEDS:
            clock.now = 100.0 + seconds
            assert bar.speed == f"{speed} windows/s"


def test_lines_go_to_stderr_and_a_first_note_stays(capsys: pytest.CaptureFixture[str]):
    with progress("masks", total=2) as bar:
        bar.advance(1, "loss 2")
        bar.advance()
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[0] == "masks: 0 of 2 steps"
    assert bar.note == "loss 2" and err.splitlines()[1].endswith(", loss 2")


def test_a_silent_bar_counts_and_shows_nothing(capsys: pytest.CaptureFixture[str]):
    with progress("all", total=2, shown=False) as bar:
        with bar.task("part", total=4) as part:
            part.advance(4, "note")
        bar.advance(2)
    assert (bar.count, part.count) == (2, 4)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_with_count_rate_time_left_and_note(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    clock, stream = FakeClock(), Terminal()
    with progress("train [mt]", total=40, unit="windows", stream=stream, clock=clock) as bar:
        with bar.task("part", total=2) as part:
            part.advance(2)
        for _ in range(5):
            clock.now += 1
            bar.advance(2, note="loss 2.31")
    text = stream.getvalue()
    assert "train [mt]" in text and "10 of 40 windows" in text and "━" in text
    assert "2 windows/s" in text and "00:15" in text and "loss 2.31" in text
    assert "train [mt]: " not in text


def test_a_terminal_s_bar_stands_where_the_work_stands_and_a_part_goes_when_it_is_over(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("TERM", "xterm")
    with progress("fetch", total=3, unit="files", stream=Terminal(), clock=FakeClock()) as bar:
        shown = bar._display._progress  # type: ignore[attr-defined]
        with bar.task("part", total=100, unit="bytes") as part:
            part.resume_at(40, 400)
            tasks = [(task.description, task.completed, task.total) for task in shown.tasks]
            assert tasks == [("fetch", 0, 3), ("  part", 40, 400)]
        bar.advance(2)
        assert [(task.description, task.completed) for task in shown.tasks] == [("fetch", 2)]
        assert shown.live.is_started
    assert not shown.live.is_started


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with progress("fetch", total=1, unit="files", stream=stream) as bar:
        bar.advance()
    assert stream.getvalue().splitlines()[0] == "fetch: 0 of 1 files"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (99.94, "99.9 s"),
        (99.949, "99.9 s"),
        (99.96, "1 min 40 s"),
        (185, "3 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7620, "2 h 07 min"),
    ],
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text


@pytest.mark.parametrize("terminal", [False, True])
def test_a_name_and_a_note_from_a_file_steer_no_terminal(terminal: bool) -> None:
    stream = Terminal() if terminal else io.StringIO()
    with progress("a\x1b[31mname", total=1, unit="files", stream=stream) as bar:
        bar.advance(note="a\x1b]0;note\nb")
        with bar.task("in\x9b2Jner"):
            pass
    printed = stream.getvalue()
    assert "a\ufffd[31mname" in printed and "a\ufffd]0;note b" in printed
    assert not any(part in printed for part in ("\x1b[31mname", "\x1b]0;note", "\x9b"))
