"""Ctrl-C, as a real signal, from the first moment on."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.cli.signals import ended, interruptible
from tests.support.repository import ROOT

F_SETPIPE_SZ = 1031


def interrupted_after(module: str, *words: str, root: Path) -> tuple[int, list[str]]:
    """Exit status and stderr of a command that gets SIGINT once it has imported `module`.

    `-X importtime` writes a line for each module to a pipe of one page, so that the command cannot be far
    ahead.
    """
    read, write = os.pipe()
    fcntl.fcntl(read, F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", *words],
        cwd=ROOT,
        env=os.environ | {"BMT_ROOT": str(root), "BMT_TRACKING": "journal"},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=write,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(write)
    rest, sent = [], False
    with open(read, encoding="utf-8") as stream:
        for line in stream:
            if not line.startswith("import time:"):
                rest.append(line)
            elif not sent and line.rpartition("|")[2].strip() == module:
                process.send_signal(signal.SIGINT)
                sent = True
    assert process.stdin is not None
    status = process.wait()
    process.stdin.close()
    assert sent, f"{module} was never imported: {rest}"
    return status, rest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a run that looks trained."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "profiles" / "sample.yaml").read_bytes())
    (tmp_path / "runs" / "sample" / "minilm.mt.bmt.s0" / "model").mkdir(parents=True)
    return tmp_path


TRAIN = ("benchmark.train", "minilm.mt.bmt.s0")
ASK = ("benchmark.ask", "minilm.mt.bmt.s0", "--question", "Who?")  # which then waits for its text


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("benchmark.cli", TRAIN),  # the package has just begun
        ("argparse", TRAIN),  # before main
        ("benchmark.config.params", TRAIN),  # inside main
        ("numpy", TRAIN),
        ("torch.nn", TRAIN),
        ("benchmark.runs.trained_runs", ASK),  # at work
        ("argparse", ("benchmark", "ask", *ASK[1:])),
        ("benchmark.cli.verbs", ("benchmark", "ask", *ASK[1:])),
        ("benchmark.cli", ("tools.performance", "core")),
        ("numpy", ("tools.performance", "core")),
        ("torch.nn", ("tools.performance", "core")),
        ("numpy", ("tools.calibration", "--quick")),
        ("msgspec", ("tools.deviations",)),
    ],
)
def test_one_line_and_status_130_at_any_moment(module: str, words: tuple[str, ...], root: Path) -> None:
    assert interrupted_after(module, *words, root=root) == (130, ["interrupted\n"])


PRESSED = (
    "import os, signal\ntry:\n    os.kill(os.getpid(), signal.SIGINT)\nexcept KeyboardInterrupt:\n    pass\n"
)
"""A module of a library that swallows KeyboardInterrupt while it is imported."""


@pytest.mark.parametrize(
    ("block", "status", "out", "err"),
    [
        ("nullcontext()", 130, "", "interrupted\n"),
        ("ended()", 0, "went on, pressed: True\n", ""),  # a run is open: its end is to be recorded
    ],
)
def test_while_a_module_is_imported_the_end_is_at_once_unless_a_run_is_open(
    block: str, status: int, out: str, err: str, tmp_path: Path
) -> None:
    (tmp_path / "pressed.py").write_text(PRESSED)
    code = (
        "import signal\nfrom contextlib import nullcontext\n"
        "from benchmark.cli.signals import ended, interruptible\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"with interruptible() as pressed, {block}:\n    import pressed as module\n"
        "    print('went on, pressed:', pressed())"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, out, err)


def test_where_ctrl_c_is_ignored_it_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as pressed:
            os.kill(os.getpid(), signal.SIGINT)
            assert not pressed() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_open_run_ends_by_sigterm_and_handlers_are_put_back() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as left, ended():
            os.kill(os.getpid(), signal.SIGTERM)
        assert left.value.code == 143 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        mine = lambda number, frame: None  # noqa: E731
        signal.signal(signal.SIGTERM, mine)
        with ended():
            assert signal.getsignal(signal.SIGTERM) is mine  # another's is left alone
    finally:
        signal.signal(signal.SIGTERM, before)
