"""A group of processes that nothing outlives: neither its own end, nor that of the process that made it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

GUARD = "trap '' TERM INT HUP; read -r line; kill -KILL 0"
"""Waits until the pipe that it reads is closed, be it by a kill of whoever holds its other end, and then ends
its group. In the shell, since a thread of the group's process might wait for Python's lock, or for a GPU.
"""


@contextmanager
def guarded_group() -> Iterator[int]:
    """A new process group, by its number; whatever is in it is killed when the block ends, in any way."""
    guard = subprocess.Popen(["sh", "-c", GUARD], stdin=subprocess.PIPE, process_group=0)
    assert guard.stdin is not None
    try:
        yield guard.pid
    finally:
        guard.stdin.close()
        guard.wait()


def run_in_group(
    command: Sequence[str], environment: Mapping[str, str], output: int, *, seconds: float, grace: float
) -> int | None:
    """Run a command, and all that it starts, for at most `seconds`.

    Then, and where an error or a signal leaves this function, comes SIGTERM; after `grace` more seconds, or
    once the command has ended, SIGKILL for what is left.

    Args:
        output: the file descriptor of its stdout and stderr.

    Returns:
        Its exit status, minus the signal that ended it; None where its time was up.
    """
    with guarded_group() as group:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=group,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(group, signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(grace)
