"""`benchmark.plan --run`: the order of jobs with a fake that does them, and children with their logs, locks
and signals.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from benchmark.planning import execution, processes, states
from benchmark.planning.execution import Announcer, frozen_params, run_all, run_jobs
from benchmark.planning.processes import Processes, children_environment
from benchmark.planning.schedule import DONE, FAILED, NOT_RUN, Job, JobOutcome, makespan
from benchmark.tracking import mlflow_store
from benchmark.tracking.journal_upload import UnreachableError
from tests.support.repository import ROOT
from tests.support.waiting import wait_until


class Fake:
    """Does jobs by doing nothing; keeps who began and ended, and how many ran at once.

    together: jobs after the first wait until as many have run at once. endless: they wait to be stopped.
    """

    def __init__(self, fails: tuple[str, ...] = (), together: int = 1, endless: bool = False) -> None:
        self.fails, self.together, self.endless = fails, together, endless
        self.lock = threading.Condition()
        self.events: list[tuple[str, str]] = []
        self.running: dict[str, str | None] = {}
        self.most, self.stopped = 0, threading.Event()

    def __call__(self, job: Job, slot: str | None) -> JobOutcome:
        with self.lock:
            assert slot is None or slot not in self.running.values()  # one job a GPU
            self.running[job.name] = slot
            self.most = max(self.most, len(self.running))
            self.events.append(("begin", job.name))
            self.lock.notify_all()
            if len(self.events) > 1:
                assert self.lock.wait_for(lambda: self.most >= self.together, timeout=120)
        if self.endless:
            self.stopped.wait()
        with self.lock:
            del self.running[job.name]
            self.events.append(("end", job.name))
        return JobOutcome(FAILED, "as asked") if job.name in self.fails else JobOutcome(DONE, seconds=1.0)

    def stop(self) -> None:
        self.stopped.set()

    def kill(self) -> None:
        raise AssertionError("nobody asked twice")


def job(name: str, seconds: float = 1.0, needs: tuple[str, ...] = (), after: tuple[str, ...] = ()) -> Job:
    return Job(name, (), seconds, frozenset(needs), frozenset(after))


JOBS = [
    job("data"),
    job("fixed_random", needs=("data",), after=("bmt",)),
    job("none", needs=("data",)),
    job("bmt", needs=("data",)),
    job("mask", needs=("data",)),
    job("transfer", needs=("bmt",)),
]


@pytest.mark.parametrize("slots", [(None,), (None, None), ("0", "1", "7")])
def test_jobs_run_in_order_within_the_slots_and_wait_for_what_they_need(
    slots: tuple[str | None, ...],
) -> None:
    fake = Fake(together=len(slots))
    outcomes = run_jobs(JOBS, tuple(slot for slot in slots if slot), len(slots), "best", Path(), fake)
    assert {outcome.state for outcome in outcomes.values()} == {DONE} and len(outcomes) == 6
    at = {event: place for place, event in enumerate(fake.events)}
    assert fake.events[:2] == [("begin", "data"), ("end", "data")] and fake.most == len(slots)
    assert at["begin", "fixed_random"] > at["end", "bmt"] and at["begin", "transfer"] > at["end", "bmt"]
    if len(slots) == 1:
        assert [name for what, name in fake.events if what == "begin"] == [
            "data",
            "none",
            "bmt",
            "fixed_random",
            "mask",
            "transfer",
        ]


def test_a_failed_job_stops_only_those_that_need_it(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = run_jobs(JOBS, (), 2, "best", Path(), Fake(fails=("bmt",)))
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "data": DONE,
        "none": DONE,
        "mask": DONE,
        "bmt": FAILED,
        "fixed_random": DONE,
        "transfer": NOT_RUN,
    }
    assert outcomes["transfer"].text == "it needs bmt"
    told = capsys.readouterr().err
    assert "bmt failed: as asked" in told and "transfer not run: it needs bmt" in told


def test_an_interrupt_stops_what_runs_waits_for_it_and_starts_nothing_more() -> None:
    class Interrupting(Announcer):
        def started(self, job: Job, slot: str | None) -> None:
            if job.name == "mask":
                raise KeyboardInterrupt

    fake = Fake(endless=True)
    jobs = [job("bmt"), job("mask"), job("none")]
    with pytest.raises(KeyboardInterrupt):
        run_all(jobs, (None, None), fake, Interrupting(jobs, 2, 1.0, "best"))
    assert fake.stopped.is_set() and not fake.running
    assert {name for _, name in fake.events} == {"bmt", "mask"}


def test_an_interrupt_while_a_job_is_started_waits_for_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(threading.Thread):
        def start(self) -> None:
            super().start()
            wait_until(lambda: bool(fake.events), self.is_alive)
            raise KeyboardInterrupt

    fake = Fake(endless=True)
    monkeypatch.setattr(threading, "Thread", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_all([job("bmt"), job("mask")], (None, None), fake, Announcer([job("bmt")], 1, 1.0, "best"))
    assert fake.stopped.is_set() and fake.events == [("begin", "bmt"), ("end", "bmt")]


def test_an_interrupt_when_a_job_has_ended_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pressed(queue.SimpleQueue[Any]):
        def get(self, *given: Any, **named: Any) -> Any:
            super().get(*given, **named)
            raise KeyboardInterrupt

    monkeypatch.setattr(queue, "SimpleQueue", Pressed)
    with pytest.raises(KeyboardInterrupt):
        run_all([job("bmt")], (None,), Fake(), Announcer([job("bmt")], 1, 1.0, "best"))


def test_the_makespan_is_that_of_the_same_order() -> None:
    jobs = [job("a", 4), job("b", 2), job("c", 3), job("d", 1, needs=("c",)), job("e", 1, after=("a",))]
    assert [makespan(jobs, slots) for slots in (1, 2, 5)] == [11, 6, 5]
    with pytest.raises(ValueError, match="wait for each other: a, b"):
        makespan([job("a", needs=("b",)), job("b", needs=("a",))], 2)


def test_the_time_left_is_corrected_by_what_was_done() -> None:
    jobs = [job("a", 10), job("b", 10), job("c", 20), Job("data", (), 0.0, guessed=True)]
    now = [100.0]
    told = Announcer(jobs, 1, 1.0, "best", clock=lambda: now[0])
    assert told.seconds_left() == 40
    told.ended(jobs[3], JobOutcome(DONE, seconds=500.0))
    told.started(jobs[0], None)
    now[0] += 4
    assert told.seconds_left() == 36
    told.ended(jobs[0], JobOutcome(DONE, seconds=30.0))
    assert told.seconds_left() == 90
    told.started(jobs[1], None)
    now[0] += 12
    assert told.seconds_left() == 78


def test_models_go_when_nothing_needs_them_any_more(tmp_path: Path) -> None:
    def with_model(name: str, needs: tuple[str, ...] = ()) -> Job:
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        return Job(name, (), 1.0, frozenset(needs), model=folder)

    jobs = [
        with_model("source"),
        with_model("plain"),
        with_model("broken"),
        job("transfer", needs=("source",)),
    ]
    jobs += [with_model("held"), job("late", needs=("held",))]
    told = Announcer(jobs, 1, 1.0, "none")
    left = lambda: {path.parent.name for path in tmp_path.glob("*/model")}  # noqa: E731
    for own, state in zip(jobs[:3], (DONE, DONE, FAILED)):
        told.ended(own, JobOutcome(state, "why" if state == FAILED else ""))
    assert left() == {"source", "broken", "held"}
    told.ended(jobs[3], JobOutcome(DONE))
    assert left() == {"broken", "held"}
    told.ended(jobs[4], JobOutcome(DONE))
    told.ended(jobs[5], JobOutcome(FAILED, "why"))
    assert left() == {"broken", "held"}  # to be run again: it needs its source


def script(name: str, *codes: str, expects: tuple[Path, ...] = ()) -> Job:
    return Job(name, tuple(("python", "-c", code) for code in codes), expects=expects)


def test_a_job_is_its_commands_with_its_gpu_its_threads_and_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['OMP_NUM_THREADS'], flush=True)"
    work = Processes(tmp_path, children_environment(3))
    assert work(script("a", show, "print('second')"), "5").state == DONE
    assert [line for line in (tmp_path / "a.log").read_text().splitlines() if line[0] != "$"] == [
        "5 2",
        "second",
    ]
    assert "OMP_NUM_THREADS" not in children_environment(1)
    bad = work(script("b", "print('before'); raise SystemExit(3)", "print('never')"), None)
    first, *tail = bad.text.splitlines()
    assert bad.state == FAILED and first.startswith("exit status 3: python -c ") and tail[1] == "    before"
    assert "never" not in (tmp_path / "b.log").read_text().splitlines()
    lost = work(script("c", "pass", expects=(tmp_path / "c.json",)), None)
    assert lost.state == FAILED and lost.text.startswith(f"it ended well and left no {tmp_path / 'c.json'}")


def test_a_run_that_another_process_makes_is_left_alone_and_stop_ends_it(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    wait = "import signal, sys, time; "
    wait += f"signal.signal(15, lambda *_: (open({str(marks)!r}, 'a').write('ended'), sys.exit(143))); "
    wait += f"open({str(marks)!r}, 'a').write('began '); time.sleep(600)"
    first = Processes(tmp_path, {})
    outcomes: list[JobOutcome] = []
    thread = threading.Thread(
        target=lambda: outcomes.append(first(script("a", wait, "print()"), None)), daemon=True
    )
    thread.start()
    try:
        wait_until(lambda: marks.exists() and marks.read_text() == "began ", thread.is_alive)
        assert states.being_made(tmp_path / "a.log")
        other = Processes(tmp_path, {})(script("a", "print('twice')"), None)
        assert other.state == NOT_RUN and "another process makes it now" in other.text
    finally:
        first.stop()
        thread.join()
    assert marks.read_text() == "began ended"
    assert outcomes[0].state == FAILED and outcomes[0].text.startswith("exit status 143")
    assert not states.being_made(tmp_path / "a.log") and not states.being_made(tmp_path / "b.log")
    assert first(script("b", "print('late')"), None).text == "stopped before it began"


def test_a_plan_runs_on_the_params_that_it_was_made_from(tmp_path: Path) -> None:
    file, logs = tmp_path / "params.yaml", tmp_path / "logs"
    file.write_text("a: 1\n")
    copy = frozen_params(file, logs)
    file.write_text("a: 2\n")
    assert copy.parent == logs and copy.read_text() == "a: 1\n"
    assert frozen_params(file, logs) not in (copy, file) and frozen_params(file, logs).read_text() == "a: 2\n"


def test_a_job_that_was_killed_is_said_to_be_and_one_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = Processes(tmp_path, {})(script("a", "import os; os.kill(os.getpid(), 9)"), None)
    assert killed.state == FAILED and killed.text.startswith("killed by SIGKILL: python -c ")
    monkeypatch.setattr(processes, "GRACE", 0.1)
    mark, outcomes = tmp_path / "mark", list[JobOutcome]()
    deaf = (
        f"import signal, time; signal.signal(15, lambda *_: None); open({str(mark)!r}, 'w'); time.sleep(600)"
    )
    work = Processes(tmp_path, {})
    thread = threading.Thread(target=lambda: outcomes.append(work(script("b", deaf), None)), daemon=True)
    thread.start()
    wait_until(mark.exists, thread.is_alive)
    work.stop()
    thread.join(120)
    assert outcomes and outcomes[0].text.startswith("killed by SIGKILL: ")


def test_a_second_interrupt_kills_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Stubborn(Fake):
        """Its jobs end when they are killed."""

        def stop(self) -> None:
            calls.append("stop")

        def kill(self) -> None:
            calls.append("kill")
            self.stopped.set()

    class Pressed(queue.SimpleQueue[Any]):
        """Ctrl-C in the wait for a job's end."""

        def get(self, *given: Any, **named: Any) -> Any:
            raise KeyboardInterrupt

    class PressedAgain(threading.Thread):
        """Ctrl-C once more in the wait for what was stopped."""

        def join(self, timeout: float | None = None) -> None:
            if "kill" not in calls:
                raise KeyboardInterrupt
            super().join(timeout)

    monkeypatch.setattr(queue, "SimpleQueue", Pressed)
    monkeypatch.setattr(threading, "Thread", PressedAgain)
    with pytest.raises(KeyboardInterrupt):
        run_all([job("bmt")], (None,), Stubborn(endless=True), Announcer([job("bmt")], 1, 1.0, "best"))
    assert calls == ["stop", "kill"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_a_closed_terminal_end_a_plan_with_their_status(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_TRACKING", "journal")
    begun = threading.Event()
    monkeypatch.setattr(Announcer, "started", lambda *_: begun.set())

    class Signalled(Fake):
        def __call__(self, job: Job, slot: str | None) -> JobOutcome:
            assert begun.wait(120)
            if signal.getsignal(number) == signal.SIG_DFL:  # it would end the tests
                return JobOutcome(FAILED, "no handler")
            os.kill(os.getpid(), number)
            return super().__call__(job, slot)

    before = {each: signal.signal(each, signal.SIG_DFL) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        fake = Signalled(endless=True)
        with pytest.raises(SystemExit) as left:
            run_jobs([job("a"), job("b")], (), 1, "best", tmp_path, fake)
        assert left.value.code == 128 + number and fake.stopped.is_set()
        assert [name for _, name in fake.events] == ["a", "a"]
        assert all(signal.getsignal(each) == signal.SIG_DFL for each in before)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_the_tracker_s_store_is_opened_once_before_several_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[str] = []

    def connect() -> None:
        calls.append("open")
        raise UnreachableError("MLflow is down")

    monkeypatch.setattr(mlflow_store, "connect", connect)
    monkeypatch.setattr(execution, "Processes", lambda logs, environment: Fake())
    monkeypatch.delenv("BMT_TRACKING", raising=False)
    assert run_jobs([job("a")], (), 1, "best", tmp_path)["a"].state == DONE and not calls
    outcomes = run_jobs([job("a"), job("b")], (), 2, "best", tmp_path)
    assert calls == ["open"] and {outcome.state for outcome in outcomes.values()} == {DONE}
    assert (
        "tracking: MLflow is down: the runs go on, `python -m benchmark.track sync`"
        in capsys.readouterr().err
    )
    monkeypatch.setenv("BMT_TRACKING", "journal")
    run_jobs([job("a"), job("b")], (), 2, "best", tmp_path)
    assert calls == ["open"]


def test_every_line_tells_what_how_long_and_how_much_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    jobs = [job("a", 10), job("b", 10), job("c", 10)]
    told = Announcer(jobs, 1, 1.0, "best", clock=lambda: now[0])
    told.started(jobs[0], "3")
    now[0] += 4
    told.waiting()
    told.ended(jobs[0], JobOutcome(DONE, seconds=20.0))
    told.started(jobs[1], None)
    now[0] += 7
    told.ended(jobs[1], JobOutcome(FAILED, "exit status 1: x\n    its log", 7.0))
    told.ended(jobs[2], JobOutcome(NOT_RUN, "it needs b"))
    assert capsys.readouterr().err.splitlines() == [
        "start a on GPU 3",
        "running a for 4.0 s; about 26.0 s left",
        "[1 of 3] a in 20.0 s done; about 40.0 s left",  # it took twice its estimate
        "start b",
        "[2 of 3] b in 7.0 s failed: exit status 1: x; about 20.0 s left",  # which says nothing of the rest
        "    its log",
        "[3 of 3] c not run: it needs b",
    ]


def test_estimates_are_stretched_where_runs_share_a_device_until_one_is_done() -> None:
    jobs = [job("a", 10), job("b", 10), job("c", 10)]
    told = Announcer(jobs, 2, 2.0, "best")
    assert told.seconds_left() == 40
    told.ended(jobs[0], JobOutcome(DONE, seconds=15.0))
    assert told.seconds_left() == 15


def test_models_stay_where_the_best_are_kept(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    told = Announcer([Job("a", (), model=tmp_path / "model")], 1, 1.0, "best")
    told.ended(told.jobs[0], JobOutcome(DONE))
    assert (tmp_path / "model").is_dir()


def test_a_sign_of_life_is_given_while_nothing_ends_and_a_defect_of_one_job_is_its_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(execution, "TICK", 0.01)
    alive = threading.Event()

    class Patient(Announcer):
        def waiting(self) -> None:
            alive.set()

    class Broken(Fake):
        def __call__(self, job: Job, slot: str | None) -> JobOutcome:
            assert alive.wait(120)
            if job.name == "a":
                raise ValueError("no such thing")
            return JobOutcome(DONE)

    jobs = [job("a"), job("b"), job("c", needs=("a", "elsewhere")), job("d", needs=("c",))]
    outcomes = run_all(jobs, (None,), Broken(), Patient(jobs, 1, 1.0, "best"))
    assert {name: (one.state, one.text) for name, one in outcomes.items()} == {
        "a": (FAILED, "ValueError: no such thing"),
        "b": (DONE, ""),
        "c": (NOT_RUN, "it needs a"),
        "d": (NOT_RUN, "it needs c"),
    }


def test_every_run_has_a_gpu_of_its_own_where_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slots: list[str | None] = []
    both = threading.Barrier(2)

    class Noting(Fake):
        def __call__(self, job: Job, slot: str | None) -> JobOutcome:
            slots.append(slot)
            both.wait(120)
            return super().__call__(job, slot)

    outcomes = run_jobs([job("a"), job("b")], ("7", "2"), 2, "best", tmp_path, Noting())
    assert [outcome.state for outcome in outcomes.values()] == [DONE, DONE]
    assert sorted(map(str, slots)) == ["2", "7"]
    assert capsys.readouterr().err.splitlines()[0] == f"2 to run, 2 at a time; logs: {tmp_path}"


def test_a_child_has_the_plan_s_environment_a_session_and_no_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
    monkeypatch.setenv("FROM", "the user")
    show = "import os, sys; e = os.environ; print(e['CUDA_VISIBLE_DEVICES'], e['FROM'], "
    show += "os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    work = Processes(tmp_path / "new" / "logs", {"FROM": "the plan"})
    assert work(script("a", show), None).state == DONE  # it sees what this process sees
    log = (tmp_path / "new" / "logs" / "a.log").read_text()
    assert log.splitlines()[1] == "4 the plan True ''" and log.startswith("$ python -c 'import os, sys; ")


def test_a_failure_shows_the_last_lines_of_this_run_s_log_alone(tmp_path: Path) -> None:
    work = Processes(tmp_path, {})
    assert work(script("a", "print('of the first call')"), None).state == DONE
    short = work(script("a", "print('\\r50 %\\r100 %'); raise SystemExit(2)"), None).text.splitlines()
    assert short[0].startswith("exit status 2: python -c ") and short[1].startswith("    $ python -c ")
    assert short[-2:] == ["    100 %", f"    (all of it: {tmp_path / 'a.log'})"]
    assert "of the first call" not in "\n".join(short)
    assert "of the first call" in (tmp_path / "a.log").read_text()
    long = work(script("a", "print(*range(20), sep='\\n'); raise SystemExit(1)"), None).text.splitlines()
    assert long[1:-1] == [f"    {number}" for number in range(8, 20)]


@pytest.mark.parametrize(
    ("limit", "jobs", "threads"),
    [("8", 3, "2"), ("2", 3, "1"), ("", 3, "5"), ("0", 3, "5"), ("many", 3, "5"), ("8", 1, None)],
)
def test_children_share_the_threads_that_this_process_may_have(
    limit: str, jobs: int, threads: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", limit)
    monkeypatch.setenv("PYTHONPATH", "theirs")
    monkeypatch.setattr(processes, "cpu_count", lambda: 16)
    given = children_environment(jobs)
    assert given.get("OMP_NUM_THREADS") == given.get("MKL_NUM_THREADS") == threads
    assert given["PYTHONPATH"] == f"{ROOT}{os.pathsep}theirs"
    assert given["PYTHONUNBUFFERED"] == "1"
    monkeypatch.delenv("PYTHONPATH")
    assert children_environment(jobs)["PYTHONPATH"] == str(ROOT)


def test_the_makespan_takes_jobs_in_their_order_and_waits_for_nothing_that_is_not_among_them() -> None:
    assert makespan([], 3) == 0
    assert makespan([job("a", 1), job("b", 5), job("c", 5)], 2) == 6  # not the longest first
    assert makespan([job("a", 2, needs=("gone",), after=("gone too",))], 1) == 2
    assert makespan([job("a", 2), job("b", 2), job("c", 3, needs=("a", "b"))], 2) == 5
