"""What is printed besides documents: on the right stream, one line each, harmless."""

from __future__ import annotations

import pytest

from benchmark.cli.messages import say, tell


def test_lines_go_to_stdout_or_stderr_and_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("one", "  a\x1b[31mred\nerror: no line of its own")
    tell("two\x9b2J", "three")
    printed = capsys.readouterr()
    assert printed.out == "one\n  a\ufffd[31mred error: no line of its own\n"
    assert printed.err == "two\ufffd2J\nthree\n"
