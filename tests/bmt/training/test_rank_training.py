"""The loop on two ranks (gloo, CPU) as on one: the same windows, masks, scores and losses; the first rank
alone writes.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
import torch.distributed as dist

import bmt.runtime.ranks
from bmt.errors import ModelError
from bmt.qa.batches import Windows
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.ranks import Ranks, buckets
from bmt.settings import MaskSettings, TrainingSettings
from bmt.training.loop import train
from bmt.training.mask_schedules import mask_schedule
from bmt.training.plan import Plan
from bmt.training.sampling import Sampler
from bmt.training.validation import answers
from tests.support import tiny
from tests.support.forks import two_ranks
from tests.support.random_masks import masks_for

NAMES = ("A", "B", "C")
STEPS = 8
FIXED = ("none", "random", "several", "tokens", "lonely")
CHANGING = ("refresh", "alternating")


def sets() -> list[Windows]:
    return [tiny.windows(name, 40, number, cue=7 + number) for number, name in enumerate(NAMES)]


def plan_of(arm: str) -> Plan:
    size: dict[str, Any] = {"tokens": {"batch_tokens": 150}, "lonely": {"batch": 1}}.get(arm, {"batch": 9})
    return Plan(TrainingSettings(**size, lr=1e-3, head_lr=1e-3, evaluate_every=3, patience=50))


def digest(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.detach().contiguous().numpy().tobytes()).hexdigest()[:16]


def run(arm: str, ranks: Ranks, folder: Path, stop: int | None = None) -> dict[str, Any]:
    """Train an arm in `folder`, or up to the report of step `stop`: the windows, masks, losses, scores and
    weights of this rank.
    """
    plan, model = plan_of(arm), tiny.bert()
    data = tiny.training_data(sets(), dict.fromkeys(NAMES, np.arange(30)), np.arange(30, 40))
    found: dict[str, Any] = {"picks": [], "masks": [], "losses": {}, "scores": {}}
    masks: Any = None
    if arm == "random":
        masks = RandomMask(0.5, 3)
    elif arm in CHANGING:
        settings = MaskSettings(alpha0=0.0, steps=2, batch=4, density=0.4, schedule=arm)
        masks = mask_schedule(
            model, data, settings, plan, seed=0, control=RunControl(checkpoints=Checkpoints(folder, ""))
        )
    elif arm != "none":
        masks = masks_for(model, 0.4, "ABC")
    draw, draw_mask = Sampler.draw, RandomMask.draw

    def drawn(sampler: Sampler, step: int) -> Any:
        found["picks"].append([list(pick) for pick in draw(sampler, step)])
        return [tuple(pick) for pick in found["picks"][-1]]

    def mask_drawn(mask: RandomMask, name: str, shape: Any, step: int, device: Any = "cpu") -> torch.Tensor:
        made = draw_mask(mask, name, shape, step, device)
        found["masks"].append([step, name, digest(made)])
        return made

    def report(step: int, metrics: dict[str, float]) -> None:
        if "train/loss" in metrics:
            found["losses"][str(step)] = metrics["train/loss"]
            if step == stop:
                raise InterruptedError
        else:
            found["scores"] |= {
                f"{step} {name}": value
                for name, value in metrics.items()
                if name.startswith(("validation/", "sampling/"))
            }

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Sampler, "draw", drawn))
        stack.enter_context(mock.patch.object(RandomMask, "draw", mask_drawn))
        stack.enter_context(
            mock.patch.object(bmt.runtime.ranks, "BUCKET", 3000)
        )  # several buckets, and tensors that are larger
        try:
            control = RunControl(report, checkpoints=Checkpoints(folder, "f"), ranks=ranks)
            outcome = train(model, data, plan, steps=STEPS, seed=0, masks=masks, control=control)
        except InterruptedError:
            return found
    found |= {
        "windows": outcome.windows,
        "tokens": outcome.tokens,
        "waste": outcome.padding_waste,
        "best": outcome.best_step,
    }
    found["weights"] = {name: digest(parameter) for name, parameter in model.named_parameters()}
    if arm in CHANGING:
        now = masks.masks()
        found["masks"] = [
            [dataset, name, digest(now.mask(dataset, name))]
            for dataset in now.datasets
            for name in now.shapes
        ]
    return found


def work(rank: int, folder: str) -> None:
    """One of two ranks: every arm, runs that are cut off, runs that go on; what it found is kept as
    rank-<n>.json.
    """
    torch.set_num_threads(1)
    where, wrote = Path(folder), []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event in ("os.mkdir", "os.rename", "os.link", "os.remove") or (
            event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        )
        if writes and str(arguments[0]).startswith(folder):
            wrote.append(f"{event} {arguments[0]}")

    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    sys.addaudithook(watch)
    ranks = Ranks(rank, 2)
    found: dict[str, Any] = {arm: run(arm, ranks, where / "two" / arm) for arm in (*FIXED, *CHANGING)}
    run("several", ranks, where / "two then one", stop=5)
    found["one then two"] = run("several", ranks, where / "one then two")
    own = tiny.as_questions(sets()[0], np.arange(30, 40))
    shared = answers(tiny.bert(), own, tiny.VOCAB, Plan(), ranks=ranks)
    found["answers"] = [[one.example, one.text] for one in shared]
    found["read"] = own.shared(ranks).tolist()
    try:
        apart = Checkpoints(where / "one" / "none" if rank else where / "nothing", "f")
        few = tiny.training_data(sets(), dict.fromkeys(NAMES, np.arange(9)))
        control = RunControl(checkpoints=apart, ranks=ranks)
        train(tiny.bert(), few, Plan(), steps=9, seed=0, control=control)
    except ModelError as error:
        found["apart"] = str(error)
    found["wrote"] = list(wrote)
    (where / f"rank-{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[dict[str, Any]]]:
    """The folder, what one process found, and what each of two ranks found."""
    folder = tmp_path_factory.mktemp("ranks")
    one: dict[str, Any] = {arm: run(arm, Ranks(), folder / "one" / arm) for arm in FIXED}
    run("several", Ranks(), folder / "one then two", stop=5)
    two_ranks(work, str(folder))
    one["two then one"] = run("several", Ranks(), folder / "two then one")
    return (
        folder,
        one,
        [json.loads((folder / f"rank-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)],
    )


def same_losses(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert one["losses"].keys() == two["losses"].keys()
    assert list(two["losses"].values()) == pytest.approx(list(one["losses"].values()), abs=1e-5)


@pytest.mark.parametrize("arm", FIXED)
def test_two_ranks_train_as_one(both: Any, arm: str) -> None:
    _, one, ranks = both
    want = one[arm]
    assert list(want["losses"]) == [str(step) for step in range(1, STEPS + 1)]
    assert [name for name in want["scores"] if name.endswith("f1/macro")] == [
        f"{step} validation/f1/macro" for step in (3, 6, 8)
    ]
    for found in (rank[arm] for rank in ranks):
        assert found["picks"] == want["picks"]
        assert sorted(found["masks"]) == sorted(want["masks"]) and bool(want["masks"]) == (arm == "random")
        assert found["scores"] == pytest.approx(want["scores"], abs=1e-9)
        same_losses(want, found)
        assert (found["windows"], found["tokens"], found["best"]) == (
            want["windows"],
            want["tokens"],
            want["best"],
        )
        assert 0 <= found["waste"] <= 0.08
    assert ranks[0][arm]["weights"] == ranks[1][arm]["weights"]  # bit for bit


@pytest.mark.parametrize("arm", CHANGING)
def test_masks_that_change_are_the_same_on_both_ranks(both: Any, arm: str) -> None:
    folder, _, (first, second) = both
    assert first[arm]["masks"] == second[arm]["masks"] and len(first[arm]["masks"]) > 50
    assert first[arm]["weights"] == second[arm]["weights"] and first[arm]["losses"] == second[arm]["losses"]
    if arm == "refresh":  # 90 windows are an epoch of 10 steps
        assert [path.name for path in (folder / "two" / arm).glob("masks-*")] == ["masks-0000.safetensors"]


def test_the_first_rank_alone_writes(both: Any) -> None:
    folder, _, (first, second) = both
    assert second["wrote"] == []
    for arm in (*FIXED, *CHANGING):
        assert any(f"{folder}/two/{arm}/" in line for line in first["wrote"]), arm
        assert {"step-0000006", "step-0000008"} <= {path.name for path in (folder / "two" / arm).iterdir()}


def test_a_run_resumes_on_another_number_of_ranks(both: Any) -> None:
    _, one, ranks = both
    later = {
        step: loss for step, loss in one["several"]["losses"].items() if int(step) > 3
    }  # the checkpoint is that of step 3
    for resumed in (one["two then one"], *(rank["one then two"] for rank in ranks)):
        assert resumed["picks"] == one["several"]["picks"][3:]
        same_losses({"losses": later}, resumed)
        assert (resumed["windows"], resumed["tokens"]) == (
            one["several"]["windows"],
            one["several"]["tokens"],
        )


def test_ranks_share_the_questions_and_agree_on_the_answers(both: Any) -> None:
    _, _, ranks = both
    own = tiny.as_questions(sets()[0], np.arange(30, 40))
    want = [[one.example, one.text] for one in answers(tiny.bert(), own, tiny.VOCAB, Plan())]
    assert ranks[0]["answers"] == ranks[1]["answers"] == want and [example for example, _ in want] == list(
        range(30, 40)
    )
    assert (
        sorted(ranks[0]["read"] + ranks[1]["read"]) == list(range(30, 40)) and 3 <= len(ranks[0]["read"]) <= 7
    )


def test_ranks_that_do_not_see_the_same_checkpoint_say_so(both: Any) -> None:
    for rank in both[2]:
        assert rank["apart"].endswith("the ranks resume at steps [0, 8]: let all of them share the folder")


def test_buckets_hold_one_dtype_and_at_most_their_size() -> None:
    a, b, c, d = torch.zeros(3), torch.zeros(4), torch.zeros(9), torch.zeros(1, dtype=torch.float64)
    assert buckets([a, b, c, d, a], 7) == [[a, b], [c], [d], [a]]
    assert buckets([], 7) == []
