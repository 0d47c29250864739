"""No synchronisation in a step: what makes the host wait for the device, each with its place.

torch's debug mode   warns where an operation waits                                     on a GPU
the profiler         calls of the CUDA runtime that wait, copies from pageable memory   on a GPU
the dispatcher       operations that would wait if the CPU were a GPU                   in a rehearsal
"""

from __future__ import annotations

import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.utils._python_dispatch import TorchDispatchMode

from bmt.layers import target_names
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.qa.batches import collate
from bmt.qa.model import batch_loss
from bmt.random_mask import RandomMask
from bmt.settings import MaskSettings, TrainingSettings
from bmt.training.plan import Plan, autocast_for
from bmt.training.step import Stepper, adamw
from tools.gpu_day.checks.closeness import count
from tools.gpu_day.checks.mask_learning import KEY, learner_of
from tools.gpu_day.checks.subjects import (
    DATASETS,
    VOCAB,
    CheckScale,
    placed,
    random_masks,
    small_model,
    training_data,
)
from tools.performance.figures import MeasuredFigure, Measurement

WARM_UP, COUNTED = 3, 3
"""Steps before and while it is counted. More than a few would fill the queue of norms that are on their way
(`bmt.runtime.finite_gradients`), where the host is meant to wait.
"""
STEP = "step of the day"
WARNING = "called a synchronizing"
RUNTIME_WAITS = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
    "cudaMemcpy",
    "cudaMemcpy2D",
)
"""Calls that return when the device is done. `cudaMemcpyAsync` is none, unless the memory is pageable."""
ALLOCATIONS = ("cudaMalloc", "cudaFree", "cudaHostAlloc", "cudaFreeHost")
"""Calls of which a run makes fewer and fewer: torch keeps what it has had."""
READS = (
    "aten::_local_scalar_dense",
    "aten::item",
    "aten::nonzero",
    "aten::masked_select",
    "aten::_unique2",
    "aten::unique_dim",
    "aten::is_nonzero",
    "aten::equal",
)
INDEXED = ("aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
READ_ON_A_CPU = ("bmt/runtime/finite_gradients.py", " in lam")
"""Where the CPU reads what a GPU has sent some steps before (`bmt.runtime.devices.HostReads`), and lambda,
which stays on a GPU.
"""
Step = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class HostWait:
    """One wait: the operation or call, and the line of the project that made it, `file:line in function`."""

    what: str
    place: str


@dataclass(frozen=True, slots=True)
class TimedEvent:
    """A line of a profile: name, when it begins and ends in nanoseconds, and whether a GPU did it."""

    name: str
    start: int
    end: int
    on_gpu: bool = False


def place_in(stack: Sequence[traceback.FrameSummary]) -> str:
    """The innermost line of `bmt` in a stack; where there is none, the innermost that is not Python's own."""
    inside = [frame for frame in stack if "/bmt/" in frame.filename]
    frame = (inside or [frame for frame in stack if not frame.filename.endswith("/warnings.py")])[-1]
    path = frame.filename
    file = f"bmt/{path.rpartition('/bmt/')[2]}" if inside else path.rpartition("/")[2]
    return f"{file}:{frame.lineno} in {frame.name}"


def wait_of_warning(text: str, stack: Sequence[traceback.FrameSummary]) -> HostWait | None:
    """What a warning of torch's debug mode says; None for other warnings."""
    return HostWait(text.split(" (Triggered")[0], place_in(stack)) if WARNING in text else None


def waits_of_events(events: Iterable[TimedEvent]) -> Counter[str]:
    """Calls that wait, by name, in the steps of a profile; copies between the device and pageable memory
    wherever they are: the device may get to them after the step.
    """
    listed = list(events)
    # A range is noted twice, on the host and, from its first kernel to its last, on the GPU: there the last
    # step goes on while the host already waits for the profile's end.
    within = [(event.start, event.end) for event in listed if event.name == STEP and not event.on_gpu]
    counted: Counter[str] = Counter()
    for event in listed:
        inside = any(start <= event.start <= end for start, end in within)
        if (event.name in RUNTIME_WAITS and inside) or (
            event.name.startswith("Memcpy") and "Pageable" in event.name
        ):
            counted[event.name] += 1
    return counted


def calls_of_events(events: Iterable[TimedEvent]) -> Counter[str]:
    """Calls of the CUDA runtime, by name, wherever they are."""
    return Counter(event.name for event in events if event.name.startswith("cuda"))


class WaitingOperations(TorchDispatchMode):
    """Notes each operation that would make a GPU's host wait: values that are read, sizes that depend on
    values.

    Attributes:
        waits: in the order in which they came.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[HostWait] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation."""
        name = func._schema.name
        waits = name in READS
        if name in INDEXED:
            waits = any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])
        if waits:
            place = place_in(traceback.extract_stack()[:-1])
            if not any(where in place for where in READ_ON_A_CPU):
                self.waits.append(HostWait(name, place))
        return func(*args, **(kwargs or {}))


def dispatched_waits(take: Step, steps: range) -> list[HostWait]:
    """What the dispatcher sees of some steps."""
    with WaitingOperations() as operations:
        for step in steps:
            take(step)
    return operations.waits


@contextmanager
def noted_warnings() -> Iterator[list[HostWait]]:
    """While the block runs, the waits that torch's debug mode warns of are noted; other warnings pass by."""
    noted: list[HostWait] = []

    def note(message: Any, *_: Any, **__: Any) -> None:
        wait = wait_of_warning(str(message), traceback.extract_stack()[:-1])
        if wait is not None:
            noted.append(wait)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        yield noted


def warned_waits(take: Step, steps: range) -> list[HostWait]:
    """What torch's debug mode sees of some steps; its mode is as before afterwards."""
    before = torch.cuda.get_sync_debug_mode()
    with noted_warnings() as noted:
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for step in steps:
                take(step)
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return noted


def profiled(take: Step, steps: range) -> list[TimedEvent]:
    """The profile of some steps, each a range named `STEP`."""
    kinds = torch.profiler.ProfilerActivity
    cuda = [kinds.CUDA] if torch.cuda.is_available() else []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that events of one cycle are kept: there is one
        with torch.profiler.profile(activities=[kinds.CPU, *cuda]) as profile:
            for step in steps:
                with torch.profiler.record_function(STEP):
                    take(step)
            if cuda:
                torch.cuda.synchronize()
    # As they were noted: `profile.events()` builds a tree of them first, which takes twenty times as long.
    events = profile.profiler.kineto_results.events()
    return [
        TimedEvent(event.name(), event.start_ns(), event.end_ns(), event.device_type() != DeviceType.CPU)
        for event in events
    ]


@contextmanager
def tuning(
    scale: CheckScale, masks_of: Callable[[Any], Masks | RandomMask | None], compact: bool
) -> Iterator[Step]:
    """Steps of tuning as the loop takes them, in bf16 by autocast."""
    # On a CPU dropout has a way of its own, which reads a number on purpose.
    plain = small_model("RoBERTa", scale, dropout=0.0 if scale.device.type == "cpu" else 0.1)
    masks, model = masks_of(plain), placed(plain, scale.device)
    plan = Plan(TrainingSettings(precision="bf16", batch=12))
    optimizer, data = adamw(model, plan.training), training_data()
    picks = [(which, row) for which in range(len(DATASETS)) for row in (0, 1)]
    if masks is None:
        stepper = Stepper(model, optimizer, data, plan, 0, None)
        yield lambda step: stepper.take(step, picks)
        return
    with mask_updates(optimizer, model, masks, compact=compact) as handle:
        stepper = Stepper(model, optimizer, data, plan, 0, handle)
        yield lambda step: stepper.take(step, picks)


@contextmanager
def learning(scale: CheckScale, settings: MaskSettings) -> Iterator[Step]:
    """Steps of mask learning as the harness takes them."""
    plain = small_model("RoBERTa", scale, dropout=0.0 if scale.device.type == "cpu" else 0.1)
    model, part = placed(plain, scale.device), training_data(DATASETS[:1])
    learner = learner_of(model, target_names(model), settings, KEY)
    cast = autocast_for("bf16", scale.device)
    picks = [(0, row) for row in range(8)]

    def loss() -> Tensor:
        batch = collate(part.sets, picks, VOCAB).to(scale.device)
        with cast():
            return batch_loss(model, batch)

    yield lambda step: learner.step(loss, count=False)


def subjects_of(scale: CheckScale) -> dict[str, Any]:
    """The kinds of step, each a context that gives it."""
    return {
        "plain step": tuning(scale, lambda model: None, False),
        "random mask": tuning(scale, lambda model: RandomMask(0.5), False),
        "one mask": tuning(scale, lambda model: random_masks(model, DATASETS[:1]), False),
        "six masks": tuning(scale, random_masks, False),
        "six masks, compact state": tuning(scale, lambda model: random_masks(model, density=0.05), True),
        "mask learning": learning(scale, MaskSettings(density=0.3)),
        "mask learning, lagrangian": learning(scale, MaskSettings(density=0.3, density_by="lagrangian")),
    }


def step_waits(scale: CheckScale) -> Measurement:
    """Waits per step of every kind, by what sees them."""
    figures, notes, record = [], [], {}
    on_gpu = scale.device.type == "cuda"
    counted = COUNTED if on_gpu else 1  # on a CPU all steps are alike
    for name, subject in subjects_of(scale).items():
        with subject as take:
            for step in range(WARM_UP):
                take(step)
            first, second = (range(at, at + counted) for at in (WARM_UP, WARM_UP + counted))
            if on_gpu:
                torch.cuda.synchronize()
                waits, seen_by = warned_waits(take, first), "torch's debug mode"
                torch.cuda.synchronize()
            else:
                waits, seen_by = dispatched_waits(take, first), "the dispatcher"
            events = profiled(take, second)
        called = waits_of_events(events)
        figures += [
            count(f"{name}: waits, {seen_by}", len(waits)),
            count(f"{name}: waits, the profiler", called.total()),
        ]
        if on_gpu:
            allocated = sum(calls_of_events(events)[call] for call in ALLOCATIONS)
            figures.append(MeasuredFigure(f"{name}: allocations", float(allocated), unit="n"))
        places = Counter(f"{wait.what} at {wait.place}" for wait in waits)
        notes += [f"{name}: {number} x {place}." for place, number in places.most_common(5)]
        notes += [f"{name}: {number} x {call}, the profiler." for call, number in called.most_common(5)]
        record[name] = {"places": dict(places), "waits": dict(called), "calls": dict(calls_of_events(events))}
    first_note = (
        f"{counted} steps each after {WARM_UP}; a RoBERTa of {scale.layers} layers of {scale.hidden}, bf16 "
        "by autocast."
    )
    return Measurement("No synchronisation in a step", figures, (first_note, *notes), record)
