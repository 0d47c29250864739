"""A training that is stopped or killed on the device and goes on: the weights of the run in one piece.

On a CPU bit for bit. On a GPU to rounding, because two runs in one piece differ by it there as well: the
backward pass of attention and of the embeddings adds in any order.

    python -m tools.gpu_day.checks.resumption FOLDER DEVICE     the run that kills itself
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.config.params import repository_root
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.stopping import StoppedError
from tools.gpu_day.checks.closeness import count, differing, error, relative_error
from tools.gpu_day.checks.subjects import CheckScale, placed, span_model, values
from tools.gpu_day.checks.training import SETTINGS, WAY, trained, way
from tools.performance.figures import MeasuredFigure, Measurement

STEPS, EVERY, ENDED = 9, 3, 5
"""Steps of the run, from one checkpoint to the next, and until it ends too early."""
KILLED, STOPPED = "six masks", "random mask"
CHILD_SECONDS = 60.0
"""Its imports and its start on the device are most of what it takes."""


def subject(device: torch.device) -> nn.Module:
    """The model that is trained, with dropout: what it drops is keyed too."""
    return placed(span_model("BERT", 32, layers=1, dropout=0.1), device)


def run_to(folder: Path, kind: str, model: nn.Module, end: int | None = None, kill: bool = False) -> int:
    """Train from the newest checkpoint of a folder on, to its last step or, by a stop or a kill, to `end`.

    Returns:
        steps taken.
    """
    taken = 0

    def progress(windows: int, note: str) -> None:
        nonlocal taken
        taken += windows == SETTINGS.batch and not note  # a resumed run tells its earlier windows with a note
        if kill and taken == end:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = replace(SETTINGS, evaluate_every=EVERY)
    with suppress(StoppedError):
        trained(model, kind, settings, STEPS, folder=folder, progress=progress, stop=lambda: taken == end)
    return taken


def last_checkpoint(folder: Path, kind: str) -> tuple[int, dict[str, Tensor]]:
    """The step and the weights of a folder's newest checkpoint; 0 and nothing where there is none."""
    saved = Checkpoints(folder, kind).newest()
    return (0, {}) if saved is None else (saved.step, saved.tensors("model"))


@dataclass(frozen=True, slots=True)
class DyingRun:
    """A process of its own that trains and is killed by SIGKILL at step `ENDED`."""

    folder: Path
    process: subprocess.Popen[bytes]

    def status(self) -> int:
        """Its exit status, -9 by SIGKILL. Raises TimeoutExpired."""
        return self.process.wait(CHILD_SECONDS)


@contextmanager
def dying_run(device: torch.device) -> Iterator[DyingRun]:
    """Start it beside what else is checked; it is gone when the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", __name__, folder, device.type]
        process = subprocess.Popen(command, cwd=repository_root(), env=environment)
        try:
            yield DyingRun(Path(folder), process)
        finally:
            process.kill()
            process.wait()


def stopped_and_resumed(scale: CheckScale) -> Measurement:
    """A run that is stopped between two checkpoints and goes on."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "stopped"
        first = run_to(folder, STOPPED, subject(scale.device), ENDED)
        rest = run_to(folder, STOPPED, subject(scale.device))
        figures = [
            count("steps taken twice or not at all", abs(first - ENDED) + abs(first + rest - STEPS)),
            *against_one_piece(folder, STOPPED, scale, Path(place)),
        ]
    notes = (
        f"A BERT of one layer with dropout under the {STOPPED}; {STEPS} steps, stopped at step {ENDED}. On "
        "a GPU the promise is equality to rounding; whether it is bit for bit, and whether a second run "
        "in one piece is, is counted without a bound.",
    )
    return Measurement("Stop and resume", figures, notes)


def killed_and_resumed(scale: CheckScale, killed: DyingRun) -> Measurement:
    """A process that was killed by SIGKILL in the middle, and this one, which goes on."""
    status = killed.status()
    at, _ = last_checkpoint(killed.folder, KILLED)
    run_to(killed.folder, KILLED, subject(scale.device))
    with tempfile.TemporaryDirectory() as place:
        figures = [
            count("ends of the process other than by SIGKILL", int(status != -signal.SIGKILL)),
            MeasuredFigure("step of its last checkpoint", float(at), EVERY, at_least=True, unit="n"),
            *against_one_piece(killed.folder, KILLED, scale, Path(place)),
        ]
    notes = (f"As before, under {KILLED}; killed after step {ENDED}, with a checkpoint every {EVERY}.",)
    return Measurement("Kill and resume", figures, notes)


def against_one_piece(folder: Path, kind: str, scale: CheckScale, place: Path) -> list[MeasuredFigure]:
    """What a folder's run has come to against a run in one piece; on a GPU two of these too."""
    exactly = scale.device.type == "cpu"
    pieces = [place / "one piece", *([] if exactly else [place / "another"])]
    for piece in pieces:
        run_to(piece, kind, subject(scale.device))
    start = values(subject(torch.device("cpu")))
    (step, right), (reached, result) = last_checkpoint(pieces[0], kind), last_checkpoint(folder, kind)
    apart = relative_error(way(result, start), way(right, start))
    figures = [
        count("steps short of the end", abs(STEPS - reached) + abs(STEPS - step)),
        error("way of the weights, relative in the 2-norm", apart, 0.0 if exactly else WAY),
    ]
    bits = differing(result, right)
    if exactly:
        return [*figures, count("weights that differ", bits)]
    again = differing(last_checkpoint(pieces[1], kind)[1], right)
    return [
        *figures,
        MeasuredFigure("weights that differ", float(bits), unit="n"),
        MeasuredFigure("weights that differ in a second run in one piece", float(again), unit="n"),
    ]


def main(arguments: Sequence[str]) -> None:
    """The run that kills itself."""
    folder, device = arguments
    run_to(Path(folder), KILLED, subject(torch.device(device)), ENDED, kill=True)


if __name__ == "__main__":
    main(sys.argv[1:])
