"""Several processes that train one model: who this one is, what they tell each other, and the sum of their
gradients.

Every rank draws the same windows and the same masks, for both are keyed by (seed, step), and runs its share
of the windows (`bmt.training.microbatches`). Once per step the masked gradients are summed, so that every
optimizer takes the same step. What is written, printed or tracked is the first rank's.

    with launched() as ranks:              # `accelerate launch` or torchrun started the process; without them
    it is alone
        train(model, ..., ranks=ranks)
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from bmt.errors import ConfigError

T = TypeVar("T")

# Elements that are summed at once: 32 MB in fp32, where a copy is small and a network is used in full.
BUCKET = 8 << 20
# The others wait while the first learns masks; a rank that dies ends the wait at once.
PATIENCE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process's number among `world`; the default is a process alone, for which nothing here waits or
    talks.
    """

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes, prints and tracks."""
        return self.rank == 0

    def gathered(self, value: T) -> list[T]:
        """Every rank's `value` (anything that pickles), in the order of ranks, on every rank."""
        if self.world == 1:
            return [value]
        values: list[T] = [value] * self.world
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until every rank is here."""
        self.gathered(None)

    def of_first(self, value: T) -> T:
        """The first rank's `value`, on every rank."""
        if self.world == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    @contextmanager
    def first_before_others(self, needed: bool = True) -> Iterator[None]:
        """The block runs on the first rank, then on the others, which find in files what it has made.

        Not `needed`: on all at once.
        """
        if needed and not self.first:
            self.wait()
        yield
        if needed and self.first:
            self.wait()

    @torch.no_grad()
    def share_weights(self, model: nn.Module) -> None:
        """Give every rank the first one's parameters."""
        if self.world > 1:
            for parameter in model.parameters():
                value = parameter.detach().contiguous()
                dist.broadcast(value, src=0)
                parameter.copy_(value)


class GradientSum:
    """Sums a model's gradients over the ranks, in place, once per step.

    A parameter that has a gradient on any rank has one on every rank afterwards: a rank without windows in a
    step adds nothing and steps with the others.
    """

    def __init__(self, ranks: Ranks, model: nn.Module) -> None:
        self._ranks = ranks
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._used: list[nn.Parameter] | None = None

    @torch.no_grad()
    def __call__(self, loss: Tensor) -> None:
        """Sum the gradients, and with them this rank's part of the step's loss, a scalar."""
        if self._ranks.world == 1:
            return
        if self._used is None:
            self._used = self._agreed()
        for parameter in self._used:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        sums = []
        for bucket in buckets(
            [loss, *(parameter.grad for parameter in self._used if parameter.grad is not None)], BUCKET
        ):
            flat = torch.cat([part.reshape(-1) for part in bucket])
            sums.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
        for bucket, flat, work in sums:
            work.wait()
            for part, value in zip(bucket, flat.split([part.numel() for part in bucket]), strict=True):
                part.copy_(value.view_as(part))

    def _agreed(self) -> list[nn.Parameter]:
        """The parameters that have a gradient on some rank.

        The rest (a pooler that nothing reads) never gets one.
        """
        every = self._ranks.gathered([parameter.grad is not None for parameter in self._parameters])
        return [parameter for parameter, *has in zip(self._parameters, *every, strict=True) if any(has)]


def buckets(tensors: Sequence[Tensor], size: int) -> list[list[Tensor]]:
    """`tensors` in order, in lists of one dtype that hold at most `size` elements, or one tensor."""
    lists: list[list[Tensor]] = []
    held = 0
    for tensor in tensors:
        if not lists or held + tensor.numel() > size or lists[-1][0].dtype != tensor.dtype:
            lists.append([])
            held = 0
        lists[-1].append(tensor)
        held += tensor.numel()
    return lists


@contextmanager
def launched() -> Iterator[Ranks]:
    """The ranks that `accelerate launch` or torchrun has started this process among; alone where neither has.

    Raises:
        ConfigError: another launcher has started several processes, each of which would take itself for the
            only one.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) < 2:
        for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE"):
            if int(os.environ.get(name) or 1) > 1:
                raise ConfigError(
                    f"{name} is {os.environ[name]} and WORLD_SIZE is not set: start the ranks with torchrun "
                    "or accelerate launch"
                )
        yield Ranks()
        return
    if not _on_cpu():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("gloo" if _on_cpu() else "nccl", timeout=PATIENCE)
    ranks = Ranks(dist.get_rank(), dist.get_world_size())
    yield ranks
    ranks.wait()  # while the first writes: a launcher takes a rank that is gone for the end
    dist.destroy_process_group()  # not after an error: the others may be waiting in a call that will not come


def rank_device() -> torch.device:
    """The GPU of this process's rank, the first one for a process alone, or the CPU."""
    return torch.device("cpu") if _on_cpu() else torch.device("cuda", torch.cuda.current_device())


def _on_cpu() -> bool:
    """Whether there is no GPU, or `accelerate launch --cpu` leaves it alone."""
    return not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() in (
        "1",
        "true",
        "yes",
    )
