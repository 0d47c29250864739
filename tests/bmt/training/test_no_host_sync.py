"""No host sync a step: steps on tensors without values, where reading one is an error and copies to the
device are seen; no GPU needed.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import bmt.flat_gate
import bmt.gate_learner
import bmt.qa.decoding
import bmt.random_mask
import bmt.runtime.devices
from bmt.errors import ModelError
from bmt.gate_learner import GateLearner
from bmt.layers import target_names
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.qa.adapters import add_adapters
from bmt.qa.batches import Windows, collate
from bmt.qa.decoding import Passes, predict
from bmt.qa.model import batch_loss
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.devices import HostReads, to_device, to_device_together
from bmt.runtime.finite_gradients import FiniteGradients
from bmt.runtime.keyed_random import key_number
from bmt.settings import DecodeSettings, MaskSettings
from bmt.training.plan import Plan
from bmt.training.step import Stepper
from tests.support import tiny
from tests.support.random_masks import masks_for
from tests.support.tiny_training import data, run

DEVICE = torch.device("meta")
"""Stands for a GPU: it has no values to read. What differs (generators, autocast, reading a scalar later) is
put in its place below.
"""
READS = ("aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2")
INDEXED = ("aten::index", "aten::index_put_", "aten::index_put")
PICKS = [(0, row) for row in range(9)] + [(1, row) for row in range(7)]


class Waits(TorchDispatchMode):
    """Notes what would make the host wait if `device` were a GPU: reading a value or a mask's count, blocking
    copies, indices elsewhere.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device = device
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, there = (
            func._schema.name,
            [isinstance(value, Tensor) and value.device == self.device for value in args],
        )
        waits = name in READS and there[0]
        if not kwargs.get("non_blocking"):
            waits |= (
                name == "aten::_to_copy"
                and kwargs.get("device") is not None
                and (kwargs["device"] == self.device) != there[0]
            )
            waits |= name == "aten::copy_" and there[0] != there[1] and not (len(args) > 2 and args[2])
        if name in INDEXED and there[0]:
            waits |= any(
                index is not None and (index.device != self.device or index.dtype == torch.bool)
                for index in args[1]
            )
        if waits:
            where = [
                f"{frame.name} in {frame.filename.rsplit('/', 1)[-1]}"
                for frame in traceback.extract_stack()
                if "/bmt/" in frame.filename
            ]
            self.found.append(f"{name}: {where[-1] if where else 'here'}")
        return func(*args, **kwargs)


@pytest.fixture
def without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the device that stands for a GPU lacks."""
    monkeypatch.setattr(HostReads, "arrived", lambda self, all_of_them=False: [])
    drawn = lambda shape, *rest: torch.empty(shape, device=DEVICE)  # noqa: E731
    monkeypatch.setattr(bmt.random_mask, "fill_bernoulli", lambda out, *rest: out.fill_(True))
    monkeypatch.setattr(bmt.gate_learner, "uniform", drawn)
    monkeypatch.setattr(bmt.flat_gate, "draw", lambda *given: None)
    real = torch.is_autocast_enabled
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind != DEVICE.type and real(kind))


def sets() -> list[Windows]:
    return [tiny.windows("A", 60, 0, cue=7), tiny.windows("B", 60, 1, cue=8)]


def waits_of(take: Callable[[int], object], device: torch.device) -> list[str]:
    """What the second step would wait for; the first may build things."""
    take(0)
    with Waits(device) as waits:
        take(1)
    return waits.found


def masked_step(
    model: Any, masks: Masks | RandomMask | None, optimizer: torch.optim.Optimizer, compact: bool = False
) -> list[str]:
    """What a step of tuning waits for."""
    with nullcontext() if masks is None else mask_updates(optimizer, model, masks, compact=compact) as handle:
        stepper = Stepper(model, optimizer, data(), Plan(), 0, handle)
        return waits_of(lambda step: stepper.take(step, PICKS), next(model.parameters()).device)


@pytest.mark.parametrize("kind", ["none", "random", "one", "several", "adapters"])
def test_a_step_of_tuning_waits_for_nothing(kind: str, without_values: None) -> None:
    model = tiny.bert(dropout=True, layers=1)
    if kind == "adapters":
        add_adapters(model, ("A", "B"))
    masks: dict[str, Masks | RandomMask] = {
        "random": RandomMask(0.5),
        "one": masks_for(model, 0.4, "A"),
        "several": masks_for(model, 0.4, "AB"),
    }
    model.to(DEVICE)
    optimizer = torch.optim.AdamW(
        model.parameters(), weight_decay=0.0
    )  # not fused: that kernel knows no device without values
    assert masked_step(model, masks.get(kind), optimizer) == []


@pytest.mark.parametrize(("decay", "compact"), [(0.0, True), (0.1, False)])
def test_masks_whose_setting_up_reads_them_wait_for_nothing_in_a_step(
    decay: float, compact: bool, without_values: None
) -> None:
    model = tiny.bert(layers=1)  # on the CPU: reads are seen there as well
    masks = masks_for(model, 0.1, "AB")
    assert (
        masked_step(
            model, masks, torch.optim.AdamW(model.parameters(), weight_decay=decay, fused=True), compact
        )
        == []
    )


@pytest.mark.parametrize("changes", [{}, {"density": 0.3, "density_by": "lagrangian"}])
@pytest.mark.parametrize("granularity", ["element", "row"])
def test_a_step_of_mask_learning_waits_for_nothing(
    granularity: str, changes: dict[str, Any], without_values: None
) -> None:
    model, own = tiny.bert(dropout=True, layers=1).to(DEVICE), sets()
    settings = MaskSettings(granularity=granularity, **changes)
    learner = GateLearner(model, target_names(model), settings, (0, "mask", "A"))
    assert (learner._flat is not None) == (granularity == "element")

    def take(step: int) -> object:
        return learner.step(lambda: batch_loss(model, collate(own, PICKS[:9], tiny.VOCAB).to(DEVICE)))

    assert waits_of(take, DEVICE) == []


def test_dropout_in_mask_learning_is_keyed_on_the_device_of_the_model(
    without_values: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded: list[tuple[int, torch.device]] = []
    monkeypatch.setattr(bmt.gate_learner, "seed_generators", lambda *given: seeded.append(given))
    model, key = tiny.bert(dropout=True, layers=1).to(DEVICE), (0, "mask", "A")
    learner = GateLearner(model, target_names(model), MaskSettings(), key)
    for _ in range(2):
        learner.step(lambda: batch_loss(model, collate(sets(), PICKS[:9], tiny.VOCAB).to(DEVICE)))
    assert seeded == [(key_number((*key, step, "dropout")), DEVICE) for step in range(2)]


def test_an_evaluation_waits_for_nothing_but_its_scores(
    without_values: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bmt.qa.decoding, "best_predictions", lambda *given: [])
    own, model = tiny.windows("A", 40), tiny.bert(layers=1).to(DEVICE)
    assert (
        waits_of(
            lambda _: predict(model, own, tiny.texts(own), tiny.VOCAB, DecodeSettings(), passes=Passes(8)),
            DEVICE,
        )
        == []
    )


def test_an_evaluation_goes_on_while_its_answers_are_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three numbers per window come back, two batches later."""
    own = tiny.windows("A", 40)
    seen: list[str] = []
    put = HostReads.put

    def late(self: Any, value: Tensor, note: Any) -> None:
        assert value.shape == (len(note), 3)
        seen.append("sent")
        put(self, value, note)

    def found(self: Any, all_of_them: bool = False) -> Any:
        while len(self._pending) > (0 if all_of_them else bmt.qa.decoding.AHEAD):
            value, _, note = self._pending.popleft()
            seen.append("read")
            yield value, note

    want = predict(tiny.bert(layers=1), own, tiny.texts(own), tiny.VOCAB, DecodeSettings(), passes=Passes(8))
    monkeypatch.setattr(HostReads, "put", late)
    monkeypatch.setattr(HostReads, "arrived", found)
    assert (
        predict(tiny.bert(layers=1), own, tiny.texts(own), tiny.VOCAB, DecodeSettings(), passes=Passes(8))
        == want
    )
    assert seen == ["sent"] * 3 + ["read", "sent"] * 2 + ["read"] * 3


def test_what_goes_to_a_gpu_together_comes_as_it_was() -> None:
    """Shapes, kinds and values, by one copy; what is there already stays the same tensor."""
    values = [
        torch.arange(6).reshape(2, 3) << 40,
        torch.tensor([[True, False]]),
        torch.full((1, 2, 2), -1),
        torch.tensor([7], dtype=torch.int32),
    ]
    assert all(
        one is other for one, other in zip(to_device_together(values, values[0].device), values, strict=True)
    )
    there = to_device_together(values, DEVICE)
    assert [(v.shape, v.dtype, v.device) for v in there] == [(v.shape, v.dtype, DEVICE) for v in values]
    copies: list[Tensor] = []

    def copied(value: Tensor, device: torch.device) -> Tensor:
        copies.append(value)
        return value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bmt.runtime.devices, "to_device", copied)
        back = to_device_together(values, DEVICE)
    assert len(copies) == 1
    for one, other in zip(back, values, strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_what_would_wait_is_seen() -> None:
    there, on_host = torch.zeros(4, device=DEVICE), torch.zeros(4)
    with Waits(DEVICE) as waits:
        to_device(on_host, DEVICE)
        on_host.to(DEVICE, non_blocking=True)
        there[:2] += 1
        assert waits.found == []
        on_host.to(DEVICE)
        there[torch.tensor([0, 1])]
        there.copy_(on_host)
        for read in (lambda: float(there.sum()), lambda: there[there > 0], lambda: there.nonzero()):
            with pytest.raises((RuntimeError, NotImplementedError)):
                read()
    assert [found.split(":")[2] for found in waits.found] == [
        "_to_copy",
        "index",
        "copy_",
        "_local_scalar_dense",
        "index",
        "nonzero",
    ]


class Event:
    """A CUDA event that has come when `come` says so."""

    def __init__(self) -> None:
        self.come, self.waited = False, False

    def record(self) -> None:
        pass

    def query(self) -> bool:
        return self.come

    def synchronize(self) -> None:
        self.waited = True


class OnGPU:
    """A scalar that says it is on a GPU."""

    device = torch.device("cuda")

    def __init__(self, value: float) -> None:
        self.value = value

    def detach(self) -> OnGPU:
        return self

    def to(self, device: str, non_blocking: bool) -> Tensor:
        assert device == "cpu" and non_blocking
        return torch.tensor(self.value)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """The events that are made, in order."""
    made: list[Event] = []

    def make() -> Event:
        made.append(Event())
        return made[-1]

    monkeypatch.setattr(torch.cuda, "Event", make)
    return made


def test_what_comes_from_a_gpu_is_read_when_it_has_come_and_in_order(events: list[Event]) -> None:
    arriving: HostReads[int] = HostReads(4)
    for step in range(3):
        arriving.put(OnGPU(step / 2), step)  # type: ignore[arg-type]
    assert arriving.arrived() == []
    events[0].come = events[2].come = True
    assert arriving.arrived() == [(0.0, 0)]  # the third waits for its turn
    events[1].come = True
    assert arriving.arrived() == [(0.5, 1), (1.0, 2)] and arriving.arrived() == []
    assert not any(event.waited for event in events)
    for step in range(5):
        assert arriving.arrived() == []
        arriving.put(OnGPU(step), step)  # type: ignore[arg-type]
    assert arriving.arrived() == [(0.0, 0)] and [event.waited for event in events[3:]] == [
        True,
        False,
        False,
        False,
        False,
    ]
    assert arriving.arrived(all_of_them=True) == [(float(step), step) for step in range(1, 5)]


def test_a_gradient_that_is_not_finite_is_found_when_its_norm_comes(
    events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    put: Any = HostReads.put
    monkeypatch.setattr(HostReads, "put", lambda self, value, note: put(self, OnGPU(float(value)), note))
    weights = {name: torch.zeros(2, requires_grad=True) for name in ("a", "b")}
    finite = FiniteGradients("step", "be careful")
    for step in range(3):
        weights["b"].grad = torch.full((2,), float("nan") if step else 1.0)
        finite.look(weights, step)
    events[0].come = True
    finite.look(weights, 3)
    events[1].come = True
    with pytest.raises(ModelError, match=r"^tensor b: the gradient is not finite at step 1: be careful$"):
        finite.look(weights, 4)
    with pytest.raises(
        ModelError, match=r"^tensor all of them together: the gradient is not finite at step 2: be careful$"
    ):
        finite.settle()


def test_on_a_cpu_it_is_found_at_once() -> None:
    weight = torch.zeros(2, requires_grad=True)
    finite = FiniteGradients("step", "be careful")
    assert finite.look({"a": weight}, 0) is None
    weight.grad = torch.tensor([3.0, 4.0])
    assert float(finite.look({"a": weight}, 1) or 0) == 5.0
    weight.grad = torch.tensor([1.0, float("inf")])
    with pytest.raises(ModelError, match=r"^tensor a: the gradient is not finite at step 2: be careful$"):
        finite.look({"a": weight}, 2)


def test_a_gradient_that_comes_late_leaves_no_broken_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step before an evaluation breaks the weights, and its norm has not come when the checkpoint is
    due.
    """
    monkeypatch.setattr(
        HostReads, "arrived", lambda self, all_of_them=False: self._taken() if all_of_them else []
    )
    monkeypatch.setattr(
        HostReads,
        "_taken",
        lambda self: [self._pending.popleft()[::2] for _ in range(len(self._pending))],
        raising=False,
    )
    model, real = tiny.bert(layers=1), Stepper._pass

    def broken(self: Stepper, picks: Any, count: int) -> Tensor:
        loss = real(self, picks, count)
        if self.masked is not None and self.masked.step == 4:
            next(model.parameters()).grad.fill_(float("inf"))  # type: ignore[union-attr]
        return loss

    monkeypatch.setattr(Stepper, "_pass", broken)
    monkeypatch.setattr(
        "bmt.training.model_selection.evaluate", lambda *given: {"A": (0.0, 0.0), "B": (0.0, 0.0)}
    )
    with pytest.raises(ModelError, match="the gradient is not finite at step 4"):
        run(model=model, masks=RandomMask(0.5), checkpoints=Checkpoints(tmp_path, "f"))
    assert not list(tmp_path.rglob("step-*"))
