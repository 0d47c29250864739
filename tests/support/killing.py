"""A tiny project whose commands are killed, stopped and started again; and what they leave, without times."""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from benchmark import fetch, train, transfer
from benchmark.acquisition.feature_files import prepare
from benchmark.cli import allocator  # noqa: F401  (what children import, once and before they are forked)
from benchmark.cli.commands import run_command
from benchmark.config.cells import parse
from benchmark.config.deciding_code import cell_traits, stage_code
from benchmark.config.params import load
from benchmark.runs import training_run, transfer_run  # noqa: F401  (likewise)
from bmt.gate_learner import GateLearner
from bmt.training.step import Stepper
from tests.support import project
from tests.support.repository import ROOT

CELL = "bert.mt.bmt.adapter.s0"
ENVIRONMENT = {"BMT_TRACKING": "journal", "OMP_NUM_THREADS": "1"}
TIMES = (
    "seconds",
    "tokens_per_second",
    "peak_memory_mb",
    "environment",
    "trained_with",
    "mlflow_run_id",
    "source_run_id",
    "record_sha256",
)
MAINS: dict[str, Callable[[], int]] = {"train": train.main, "transfer": transfer.main}


def make(root: Path, corpus: Path, **training: Any) -> None:
    """A project in `root`: a cell with masks and adapters, few-shot transfers of it, its features."""
    project.write_bert(root / "backbones" / "bert", project.corpus_texts(corpus), num_hidden_layers=1)
    values = project.params(["bert"], [CELL], manifest=str(corpus))
    values["mask"] |= {"steps": 6}
    values["training"] |= {
        "epochs_mt": 4,
        "evaluate_every": 3,
        "epochs_adapter": 2,
        "lr": 3.0e-3,
        "head_lr": 3.0e-3,
        **training,
    }
    values["data"] |= {"validation_cap": 12, "dev_cap": None}
    values["fewshot"] |= {"sizes": [4], "seeds": [7, 19], "steps": 4, "lr": 1.0e-3}
    project.write_params(root, values)
    with mock.patch.dict(os.environ, {"BMT_ROOT": str(root), **ENVIRONMENT}):
        assert fetch.main([]) == 0
        config = load()
        prepare(config, workers=1)
    for stage in MAINS:  # kept by this process, and so by its forks: most of a second in each of them
        stage_code(stage, cell_traits(config, parse(CELL)))


def start(root: Path, verb: str) -> subprocess.Popen[bytes]:
    """`python -m benchmark.<verb> CELL` in the project; what it tells goes to `<verb>.told`."""
    environment = os.environ | ENVIRONMENT | {"BMT_ROOT": str(root), "PYTHONPATH": str(ROOT)}
    with (root / f"{verb}.told").open("wb") as told:
        return subprocess.Popen(
            [sys.executable, "-m", f"benchmark.{verb}", CELL],
            cwd=root,
            env=environment,
            stdout=told,
            stderr=told,
        )


def working(root: Path, verb: str, process: subprocess.Popen[bytes]) -> float:
    """Wait until a started command has told of its first work: the time."""
    signs = [f"{word} {CELL}:".encode() for word in ("masks", "train", "transfer")]
    while process.poll() is None and not any(sign in (root / f"{verb}.told").read_bytes() for sign in signs):
        time.sleep(0.02)
    return time.monotonic()


def child(
    root: Path, verb: str, hook: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
) -> int:
    """The command in a forked child, in the context that `hook` makes: its exit status, or minus the signal
    that ended it.

    Each step of mask learning and of tuning that it takes is a line of `steps.txt`.
    """
    process = multiprocessing.get_context("fork").Process(target=_work, args=(root, verb, hook))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _work(root: Path, verb: str, hook: Callable[[], contextlib.AbstractContextManager[Any]]) -> None:
    os.environ.update(ENVIRONMENT, BMT_ROOT=str(root))
    os.chdir(root)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    told = os.open(root / f"{verb}.told", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(told, 1)
    os.dup2(told, 2)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    sys.argv = [verb, CELL]
    with counted(GateLearner, "step", root), counted(Stepper, "take", root), hook():
        run_command(MAINS[verb])


@contextlib.contextmanager
def counted(owner: type, name: str, root: Path) -> Any:
    """Every call of a method that returned is a line `<name>` of `steps.txt`."""
    real = getattr(owner, name)

    def noted(*arguments: Any, **options: Any) -> Any:
        result = real(*arguments, **options)
        with (root / "steps.txt").open("a") as stream:
            stream.write(f"{name}\n")
        return result

    with mock.patch.object(owner, name, noted):
        yield


def products(root: Path) -> dict[str, Any]:
    """What training and transfer leave, by name: digests of files, JSON without times and machines."""
    run, found = root / "runs" / "tiny" / CELL, {}
    for path in (
        run / "model" / "model.safetensors",
        run / "masks" / "masks.safetensors",
        run / "masks" / "masks.json",
        run / "curve.csv",
    ):
        found[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    found["training.json"] = without_times(json.loads((run / "training.json").read_text()))
    for path in sorted((root / "results" / "tiny").iterdir()):
        same = path.suffix == ".json"
        found[path.name] = (
            without_times(json.loads(path.read_text()))
            if same
            else hashlib.sha256(path.read_bytes()).hexdigest()
        )
    return found


def without_times(value: Any) -> Any:
    """JSON without what no two runs share."""
    if isinstance(value, dict):
        return {key: without_times(own) for key, own in value.items() if key not in TIMES}
    return [without_times(own) for own in value] if isinstance(value, list) else value


def leftovers(root: Path) -> list[str]:
    """Half-written files and checkpoints that are still there; of masks, which cells share, such a file goes
    after an hour.
    """
    left = [
        path for path in root.rglob("*") if path.suffix in (".part", ".old") or path.name.startswith("step-")
    ]
    return sorted(
        str(path.relative_to(root)) for path in left if path.parent != root / ".checkpoints" / "masks"
    )


def copy(source: Path, target: Path) -> Path:
    """A project like `source` that has trained nothing yet."""
    for name in ("backbones", "data"):
        shutil.copytree(source / name, target / name)
    shutil.copy(source / "params.yaml", target / "params.yaml")
    return target
