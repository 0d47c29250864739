"""The random mask and per-dataset masks on two ranks (gloo, CPU) as on one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch.nn.parallel import DistributedDataParallel

import bmt.runtime.ranks
from bmt.errors import ConfigError
from bmt.masked_updates import mask_updates
from bmt.random_mask import RandomMask
from bmt.runtime.ranks import GradientSum, Ranks, buckets, launched, rank_device
from tests.support import tiny
from tests.support.forks import two_ranks
from tests.support.logit_regression import ids, loss_on
from tests.support.random_masks import masks_for

OWNER = [0, 0, 1, 1, 2, 2, 2, 0]


def train(rank: int, world: int, kind: str, folder: str) -> None:
    """Three SGD steps on 8 rows, a share of them on each rank; rank r's weights are kept."""
    torch.set_num_threads(1)
    model: Any = tiny.bert()
    if world > 1:
        # a file, not a port: the ranks meet in this test's own folder, whatever else runs on the machine
        dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world)
    masks = (
        RandomMask(0.5, seed=3)
        if kind == "random"
        else masks_for(model, 0.4, "A" if kind == "one" else "ABC")
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    inner, outer = model, DistributedDataParallel(model) if world > 1 else model
    mine = range(rank, 8, world)
    with mask_updates(optimizer, inner, masks) as masked:
        for step in range(3):
            tokens, attention, target = (value[list(mine)] for value in ids(8, seed=step))
            masked.rows([OWNER[row] for row in mine])
            (loss_on(outer, tokens, attention, target) / len(tokens)).backward()
            optimizer.step()
            optimizer.zero_grad()
    save_file(
        {name: p.detach().clone() for name, p in inner.named_parameters()},
        Path(folder) / f"{world}-{rank}.safetensors",
    )
    if world > 1:
        # Without destructors: where a DDP reducer is the last owner of the process group, its destructor
        # joins a thread that waits for the GIL, and the rank never ends (torch 2.13, one run in some
        # hundred).
        os._exit(0)


@pytest.mark.parametrize("kind", ["random", "one", "several"])
def test_two_ranks_train_as_one(kind: str, tmp_path: Path) -> None:
    train(0, 1, kind, str(tmp_path))
    two_ranks(train, 2, kind, str(tmp_path))
    one, a, b = (load_file(tmp_path / f"{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
    start = {name: p.detach() for name, p in tiny.bert().named_parameters()}
    for name in one:
        assert torch.equal(a[name], b[name]), name
        moved = (one[name] - start[name]).norm()
        assert (a[name] - one[name]).norm() <= 2e-3 * moved + 1e-7, name
        if kind == "random" and not name.startswith("qa_outputs"):  # what the three masks close stays on both
            closed = ~torch.stack(
                [RandomMask(0.5, 3).draw(name, one[name].shape, step) for step in range(3)]
            ).any(0)
            assert torch.equal(a[name][closed], start[name][closed])


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"])
def test_ranks_of_every_other_launcher_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv(name, "2")
    with pytest.raises(ConfigError, match=f"^{name} is 2 and WORLD_SIZE is not set"), launched():
        pass


def test_a_rank_has_its_gpu_unless_accelerate_leaves_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    assert rank_device() == torch.device("cuda", 3)
    for value, device in (("true", "cpu"), ("1", "cpu"), ("YES", "cpu"), ("false", "cuda:3"), ("", "cuda:3")):
        monkeypatch.setenv("ACCELERATE_USE_CPU", value)
        assert rank_device() == torch.device(device), value
    monkeypatch.setenv("ACCELERATE_USE_CPU", "false")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert rank_device() == torch.device("cpu")


@pytest.mark.parametrize("values", [{}, {"WORLD_SIZE": ""}, {"WORLD_SIZE": "1"}, {"PMI_SIZE": "1"}])
def test_a_process_that_no_launcher_started_is_alone(
    values: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: pytest.fail("a group of one"))
    with launched() as ranks:
        assert ranks == Ranks(0, 1) and ranks.first
        assert ranks.gathered("x") == ["x"] and ranks.of_first(3) == 3
        ranks.wait()
        ranks.share_weights(torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("gpu", "backend", "world"), [(False, "gloo", 2), (False, "gloo", 4), (True, "nccl", 4)]
)
def test_a_launched_rank_takes_its_gpu_waits_for_the_others_and_leaves_the_group(
    gpu: bool, backend: str, world: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error it leaves nothing: the others may be waiting in a call that will not come."""
    calls: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", str(world))
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.delenv("ACCELERATE_USE_CPU", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: calls.append(("gpu", number)))
    monkeypatch.setattr(dist, "init_process_group", lambda kind, timeout: calls.append((kind, timeout.days)))
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "get_world_size", lambda: world)
    monkeypatch.setattr(dist, "all_gather_object", lambda values, value: calls.append("wait"))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: calls.append("left"))
    began = [("gpu", 1), (backend, 7)] if gpu else [(backend, 7)]
    with launched() as ranks:
        assert ranks == Ranks(1, world) and not ranks.first and calls == began
    assert calls == [*began, "wait", "left"]
    calls.clear()
    with pytest.raises(KeyError), launched():
        raise KeyError
    assert calls == began


@pytest.mark.parametrize(
    ("rank", "needed", "want"),
    [
        (0, True, ["block", "wait"]),
        (1, True, ["wait", "block"]),
        (0, False, ["block"]),
        (1, False, ["block"]),
    ],
)
def test_the_first_runs_a_block_before_the_others(
    rank: int, needed: bool, want: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(Ranks, "wait", lambda self: calls.append("wait"))
    with Ranks(rank, 2).first_before_others(needed):
        calls.append("block")
    assert calls == want


def test_tensors_are_summed_together_up_to_a_size_and_one_type_at_a_time() -> None:
    """A sum of halves in single precision would be rounded otherwise than one by one."""
    full, half = torch.float32, torch.bfloat16
    given = [(2, full), (1, full), (1, full), (9, full), (1, half), (1, half), (1, full)]
    made = buckets([torch.zeros(size, dtype=kind) for size, kind in given], 3)
    assert [[(len(one), one.dtype) for one in together] for together in made] == [
        [(2, full), (1, full)],
        [(1, full)],
        [(9, full)],
        [(1, half), (1, half)],
        [(1, full)],
    ]
    assert buckets([], 3) == []


def test_gradients_are_summed_with_the_loss_over_every_rank_that_has_some(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the second rank of two, the first of which has gradients of 10 everywhere but in the last tensor."""
    model = torch.nn.ParameterList([torch.ones(2), torch.ones(3), torch.ones(1), torch.ones(4)])
    model[2].requires_grad_(False)
    monkeypatch.setattr(bmt.runtime.ranks, "BUCKET", 3)
    monkeypatch.setattr(Ranks, "gathered", lambda self, value: [[True, True, False], value])
    sizes: list[int] = []

    class Done:
        def wait(self) -> None: ...

    def add(flat: torch.Tensor, async_op: bool) -> Done:
        sizes.append(flat.numel())
        flat.add_(10)
        return Done()

    monkeypatch.setattr(dist, "all_reduce", add)
    summed, loss = GradientSum(Ranks(1, 2), model), torch.tensor(0.5)
    model[0].grad = torch.tensor([1.0, 2.0])
    summed(loss)
    assert sizes == [3, 3] and float(loss) == 10.5
    assert model[0].grad.tolist() == [11.0, 12.0] and model[1].grad.tolist() == [10.0] * 3
    assert model[2].grad is None and model[3].grad is None
    GradientSum(Ranks(), model)(loss)
    assert float(loss) == 10.5 and model[0].grad.tolist() == [11.0, 12.0]
