"""Commands that are killed at random moments and in tender places end, once restarted, as those that ran in
one piece, bit for bit.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import bmt.qa.decoding
import bmt.training.step
import bmt.training.validation
import bmt.transfer.few_shot
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.tracking import journal
from bmt.gate_learner import GateLearner
from bmt.runtime.checkpoints import Checkpoints
from bmt.training.step import Stepper
from tests.support import killing
from tests.support.killing import CELL, child, products

pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")

Hook = Callable[[], contextlib.AbstractContextManager[Any]]


class Uninterrupted:
    """A project whose two commands ran in one piece: where it is, what they left, seconds of work."""

    def __init__(self, root: Path) -> None:
        self.root, self.seconds = root, {}
        for verb in ("train", "transfer"):
            began = time.monotonic()
            assert child(root, verb) == 0, (root / f"{verb}.told").read_text()
            self.seconds[verb] = time.monotonic() - began
        self.products = products(root)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Uninterrupted:
    root = tmp_path_factory.mktemp("project")
    write_corpus(root / "corpus")
    killing.make(root, root / "corpus")
    return Uninterrupted(root)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def before(
    owner: Any,
    name: str,
    when: Callable[..., bool],
    act: Callable[[], None] = die,
    at: int = 1,
    after: bool = False,
) -> Hook:
    """`act` before (or after) the `at`-th call of `owner.name` for whose arguments `when` holds."""

    @contextlib.contextmanager
    def hook() -> Iterator[None]:
        real, seen = getattr(owner, name), 0

        def watched(*arguments: Any, **options: Any) -> Any:
            nonlocal seen
            matches = when(*arguments)
            seen += matches
            if matches and seen == at and not after:
                act()
            result = real(*arguments, **options)
            if matches and seen == at and after:
                act()
            return result

        with mock.patch.object(owner, name, watched):
            yield

    return hook


def renaming(text: str, at: int = 1, after: bool = False) -> Hook:
    """A kill when a file or folder whose path has `text` in it gets its name."""
    return before(
        os,
        "replace",
        lambda source, target: text in str(target) and str(source).endswith(".part"),
        at=at,
        after=after,
    )


def learning(dataset: str) -> Callable[..., bool]:
    return lambda learner, *_: dataset in learner.key


def tuning(*datasets: str) -> Callable[..., bool]:
    return lambda stepper, *_: tuple(stepper.names) == datasets


def answering(dataset: str) -> Callable[..., bool]:
    return lambda model, windows, *_: windows.dataset == dataset


def steps(root: Path) -> dict[str, int]:
    """How many steps of mask learning and of tuning were taken, in all starts together."""
    lines = (root / "steps.txt").read_text().split()
    return {name: lines.count(name) for name in ("step", "take")}


def fewest(root: Path) -> dict[str, int]:
    """The steps that a run in one piece takes, by what it says of itself."""
    trained = json.loads((root / "runs" / "tiny" / CELL / "training.json").read_text())
    tuned = [trained["budget"]["steps"]] + [one["steps"] for one in trained["adapters"]["tuned"].values()]
    shots = 0
    for path in sorted((root / "results" / "tiny").glob("*.json")):
        runs = json.loads(path.read_text())["few_shot"]["runs"]
        tuned += [one["steps"] for one in runs.values()]
        shots += len(runs)
    return {"step": 6 * (2 + shots), "take": sum(tuned)}


def test_a_run_in_one_piece_meets_every_phase(uninterrupted: Uninterrupted) -> None:
    """Otherwise nothing below says anything."""
    found = uninterrupted.products
    trained = found["training.json"]
    assert trained["mask"]["kind"] == "learned" and set(trained["mask"]["density"]) == {"SQuAD", "HotpotQA"}
    assert trained["budget"]["steps"] == 16 and [
        one["steps"] for one in trained["adapters"]["tuned"].values()
    ] == [4, 4]
    assert {
        f"bert.mt.bmt.adapter.k4.s{seed}.{kind}" for seed in (7, 19) for kind in ("json", "parquet")
    } < set(found)
    assert killing.leftovers(uninterrupted.root) == []
    assert fewest(uninterrupted.root) == {"step": 36, "take": 16 + 8 + 16}


def killed_at_random(uninterrupted: Uninterrupted, root: Path, kills: dict[str, int], seed: int) -> None:
    generator = random.Random(seed)
    for verb, count in kills.items():
        killed = 0
        while killed < count:
            process = killing.start(root, verb)
            began = killing.working(root, verb, process)
            wait = generator.uniform(0, uninterrupted.seconds[verb] * (1 if killed == 0 else 0.5))
            with contextlib.suppress(Exception):
                process.wait(max(0.0, began + wait - time.monotonic()))
            process.kill()
            killed += process.wait() == -signal.SIGKILL
            assert process.returncode in (0, -signal.SIGKILL), (root / f"{verb}.told").read_text()
            print(f"seed {seed}: {verb} after {wait:.3f} s: {process.returncode}")
        assert child(root, verb) == 0, (root / f"{verb}.told").read_text()
    assert products(root) == uninterrupted.products
    assert killing.leftovers(root) == []


def test_three_kills_at_random(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    killed_at_random(
        uninterrupted, killing.copy(uninterrupted.root, tmp_path), {"train": 2, "transfer": 1}, seed=3
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_at_random(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    killed_at_random(
        uninterrupted, killing.copy(uninterrupted.root, tmp_path), {"train": 13, "transfer": 7}, seed=20
    )


TENDER: list[tuple[str, str, Hook]] = [
    ("train", "masks of one dataset", before(GateLearner, "step", learning("HotpotQA"), at=3)),
    ("train", "masks learned, not named yet", renaming(".checkpoints/masks/")),
    (
        "train",
        "masks named, what they were learned from not gone",
        before(Checkpoints, "remove", lambda own: "learning" in str(own.folder)),
    ),
    ("train", "a checkpoint that has no name yet", renaming("/step-0000003")),
    ("train", "a step", before(bmt.training.step, "span_nll", lambda *_: True, at=5)),
    (
        "train",
        "a checkpoint that has its name, the best not noted elsewhere",
        renaming("/step-0000006", after=True),
    ),
    ("train", "an evaluation", before(bmt.training.validation, "predict", answering("HotpotQA"))),
    (
        "train",
        "an older checkpoint half gone",
        before(bmt.runtime.checkpoints.shutil, "rmtree", lambda path, *_, **__: "step-" in Path(path).name),
    ),
    ("train", "phase 2 of the second dataset", before(Stepper, "take", tuning("HotpotQA"), at=2)),
    ("train", "the model written, the masks not", renaming(f"{CELL}/masks")),
    (
        "train",
        "all written, the checkpoints not gone",
        before(Checkpoints, "remove", lambda own: own.folder.name.startswith("bert")),
    ),
    ("transfer", "few-shot mask learning", before(GateLearner, "step", learning("BioASQ"), at=4)),
    ("transfer", "a few-shot update", before(Stepper, "take", tuning("DROP"), at=2)),
    ("transfer", "a few-shot record that has no name yet", renaming("DROP.k4.s7-")),
    ("transfer", "the predictions written, the scores not", renaming(".k4.s19.json")),
]


def test_a_kill_in_every_tender_place(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    """One run that is killed in one place after the other, each start going on from the last."""
    root = killing.copy(uninterrupted.root, tmp_path)
    verb = "train"
    for which, place, hook in TENDER:
        if which != verb:
            assert child(root, verb) == 0
            verb = which
        assert child(root, which, hook) == -signal.SIGKILL, f"{place}: {(root / f'{which}.told').read_text()}"
    assert child(root, verb) == 0
    assert products(root) == uninterrupted.products
    assert killing.leftovers(root) == []


ASKED: list[tuple[str, str, Hook]] = [
    ("train", "step 4 of 6 of mask learning", before(GateLearner, "step", learning("SQuAD"), ask, at=4)),
    ("train", "step 2 of 6 of mask learning", before(GateLearner, "step", learning("HotpotQA"), ask, at=2)),
    ("train", "step 2 of 16", before(Stepper, "take", tuning("SQuAD", "HotpotQA"), ask, at=2)),
    ("train", "step 6 of 16", before(bmt.training.validation, "predict", answering("SQuAD"), ask, at=2)),
    ("train", "step 7 of 16", before(Stepper, "take", tuning("SQuAD", "HotpotQA"), ask, at=1)),
    ("train", "step 2 of 4", before(Stepper, "take", tuning("HotpotQA"), ask, at=2)),
    ("transfer", "step 3 of 6 of mask learning", before(GateLearner, "step", learning("BioASQ"), ask, at=3)),
    ("transfer", "update 2 of 4 on BioASQ", before(Stepper, "take", tuning("BioASQ"), ask, at=2)),
    (
        "transfer",
        "update 3 of 4 on BioASQ",
        before(bmt.training.validation, "predict", answering("BioASQ"), ask, at=2),
    ),
    (
        "transfer",
        "an evaluation, which starts again",
        before(
            bmt.transfer.few_shot,
            "answers",
            lambda model, questions, *_: questions.windows.dataset == "BioASQ",
            ask,
        ),
    ),
]


def test_sigterm_keeps_the_step_that_it_meets(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    """Every start is asked to stop, in all phases; no step is taken twice, and the end is that of a run in
    one piece.
    """
    root = killing.copy(uninterrupted.root, tmp_path)
    verb = "train"
    for which, place, hook in ASKED:
        if which != verb:
            assert child(root, verb) == 0
            verb = which
        told = root / f"{which}.told"
        told.unlink(missing_ok=True)
        assert child(root, which, hook) == 143, told.read_text()
        assert f"stopped at {place}" in told.read_text() or f"stopped during {place}" in told.read_text()
        assert told.read_text().count("SIGTERM: ending at the next step") == 1
        if which == "train":
            [path] = journal.journals([root / "runs" / "tiny" / CELL / "journal"])
            last = journal.read_entries(path)[0][-1]
            assert (last["kind"], last["status"], last["failure"]) == ("end", "KILLED", "SIGTERM")
    assert child(root, verb) == 0
    assert products(root) == uninterrupted.products
    assert killing.leftovers(root) == []
    assert steps(root) == fewest(root)


def test_a_second_sigterm_ends_at_once(uninterrupted: Uninterrupted, tmp_path: Path) -> None:
    def twice() -> None:
        ask()
        ask()

    root = killing.copy(uninterrupted.root, tmp_path)
    assert child(root, "train", before(Stepper, "take", tuning("SQuAD", "HotpotQA"), twice, at=5)) == 143
    assert [path.name for path in root.rglob("step-*")] == ["step-0000003"]
    assert "stopped at step" not in (root / "train.told").read_text()
