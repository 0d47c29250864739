"""What every command shares: exit statuses and one-line errors, tried as a user would."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmark.cli.commands import run_command
from bmt.errors import ConfigError, DataError
from tests.conftest import ROOT


def fails(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


@pytest.mark.parametrize(
    ("main", "status", "line"),
    [
        (lambda: 0, 0, ""),
        (lambda: 3, 3, ""),
        (
            fails(ConfigError("params.yaml: mask.gamma: 0.5 is not allowed: below 0")),
            2,
            "error: params.yaml: mask.gamma: 0.5 is not allowed: below 0\n",
        ),
        (fails(DataError("x.jsonl.gz, line 3: no JSON")), 1, "error: x.jsonl.gz, line 3: no JSON\n"),
        (
            fails(OSError(errno.ENOSPC, "No space left on device", "runs/x")),
            1,
            "error: runs/x: No space left on device: free some space",
        ),
        (
            fails(PermissionError(errno.EACCES, "Permission denied", "runs")),
            1,
            "error: runs: Permission denied\n",
        ),
        (fails(KeyboardInterrupt()), 130, "interrupted\n"),
    ],
)
def test_statuses_and_lines(
    main: Callable[[], int], status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        run_command(main)
    assert left.value.code == status
    err = capsys.readouterr().err
    assert err.startswith(line) and err.count("\n") == bool(line)


def test_a_defect_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(fails(ZeroDivisionError()))


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["benchmark.train", "minilm.mt.nonsense.s0"], 2, "arm: 'nonsense' is not known"),
        (
            ["benchmark.train", "minilm.mt.bmt"],
            2,
            "not of the form <backbone>.<mt|st-Dataset>.<arm>[.adapter].s<seed>",
        ),
        (
            ["benchmark.evaluate", "minilm.mt.bmt.s0", "--params", "nowhere.yaml"],
            2,
            "nowhere.yaml: no such file",
        ),
        (["benchmark.prepare"], 1, "the train file of SQuAD is missing: run `python -m benchmark.fetch`"),
        (["benchmark.evaluate", "minilm.mt.bmt.s0"], 1, "no trained model there"),
        (
            ["benchmark.ask", "sample/minilm.mt.bmt.s0", "--question", "Who?", "--context", "Ada."],
            1,
            "no trained run there",
        ),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_status(
    words: list[str], status: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "profiles" / "sample.yaml").read_bytes())
    environment = os.environ | {"BMT_ROOT": str(tmp_path), "BMT_TRACKING": "journal"}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (
        done.returncode == status
        and done.stderr.count("\n") == 1
        and done.stderr.startswith("error: ")
        and says in done.stderr
    ), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize(
    "verb",
    [
        "fetch",
        "prepare",
        "train",
        "evaluate",
        "compare",
        "ask",
        "data",
        "profile",
        "track",
        "calibrate",
        "deviations",
    ],
)
def test_every_command_has_help_with_an_example(verb: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"benchmark.{verb}", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and f"python -m benchmark.{verb}" in done.stdout.split("example", 1)[1]
