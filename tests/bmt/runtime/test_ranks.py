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

from bmt.errors import ConfigError
from bmt.masked_updates import mask_updates
from bmt.random_mask import RandomMask
from bmt.runtime.ranks import launched, rank_device
from tests.bmt.test_masked_updates import ids, loss_on, masks_for
from tests.support import tiny
from tests.support.forks import two_ranks

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
