"""SIGTERM as a request to stop: the work ends at its next step, and the status says so."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from benchmark.cli.signals import stoppable
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
