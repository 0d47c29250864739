"""SIGTERM as a request to stop: the work ends at its next step, and the status says so."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from benchmark.cli import signals
from benchmark.cli.signals import ended, interruptible, stoppable
from bmt.errors import ConfigError
from bmt.runtime.stopping import StoppedError, never


def test_sigterm_is_a_request_first_and_an_order_then(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as left, stoppable() as stop:
        assert not stop()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop()
        raise StoppedError("stopped at step 3 of 9")
    assert left.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    told = capfd.readouterr().err.splitlines()
    assert (
        told[0].startswith("SIGTERM: ending at the next step")
        and told[1] == "stopped at step 3 of 9; the same command goes on from there"
    )
    with pytest.raises(SystemExit) as left, stoppable():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        pytest.fail("the second one ends the block")
    assert left.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    with stoppable() as stop:
        os.kill(os.getpid(), signal.SIGTERM)  # the work is done before it asks again
    assert stop()


def test_the_handlers_of_before_are_back_after_the_block_however_it_is_left() -> None:
    """A run's own handler of SIGTERM is to end it in its journal: it must be the one that is back."""

    def earlier(number: int, frame: object) -> None:
        """What handles the signals around the blocks."""

    numbers = (signal.SIGTERM, signal.SIGINT)
    kept = [signal.signal(number, earlier) for number in numbers]
    try:
        for number, block in zip(numbers, (stoppable, interruptible), strict=True):
            with block():
                assert signal.getsignal(number) is not earlier
            assert signal.getsignal(number) is earlier
            with pytest.raises(ConfigError), block():
                raise ConfigError("x")
            assert signal.getsignal(number) is earlier
        with pytest.raises(SystemExit), stoppable():
            raise StoppedError("stopped at step 3 of 9")
        assert signal.getsignal(signal.SIGTERM) is earlier
        with ended():  # handled already: nothing of its own
            assert signal.getsignal(signal.SIGTERM) is earlier
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)


@pytest.mark.parametrize(
    ("alone", "error", "asked", "wanted"),
    [
        (False, RuntimeError("connection closed by peer"), True, SystemExit),
        (False, RuntimeError("connection closed by peer"), False, RuntimeError),
        (True, RuntimeError("x"), True, RuntimeError),
        (False, ConfigError("x"), True, ConfigError),
    ],
)
def test_a_rank_that_loses_its_first_rank_after_sigterm_has_stopped_too(
    alone: bool, error: Exception, asked: bool, wanted: type[BaseException]
) -> None:
    with pytest.raises(wanted), stoppable(alone):
        if asked:
            os.kill(os.getpid(), signal.SIGTERM)
        raise error


def test_no_signal_is_awaited_outside_the_main_thread() -> None:
    stops: list[Callable[[], bool]] = []

    def work() -> None:
        with stoppable() as stop:
            stops.append(stop)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert stops == [never]


def test_outside_the_main_thread_a_command_and_a_run_s_end_change_no_handler() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # not ignored, as under `make test &`
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    kept: list[object] = []

    def work() -> None:
        with interruptible() as pressed, ended(signal.SIGHUP):
            kept.append((pressed(), signals._open_runs))
            kept.extend(signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, before)
    assert kept == [(False, 0), *handlers]


def test_a_run_counts_as_open_until_its_block_is_left_however_it_is() -> None:
    with ended():
        with pytest.raises(ConfigError), ended():
            assert signals._open_runs == 2
            raise ConfigError("x")
        assert signals._open_runs == 1
    assert signals._open_runs == 0


def test_further_signals_end_a_run_with_their_status_and_a_later_handler_stays() -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)

    def another(number: int, frame: object) -> None:
        """What a library installs within the block."""

    try:
        with pytest.raises(SystemExit) as left, ended(signal.SIGUSR1):
            os.kill(os.getpid(), signal.SIGUSR1)
        assert left.value.code == 128 + signal.SIGUSR1
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        with ended(signal.SIGUSR1):
            signal.signal(signal.SIGUSR1, another)
        assert signal.getsignal(signal.SIGUSR1) is another
    finally:
        signal.signal(signal.SIGUSR1, before)
