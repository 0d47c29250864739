"""Soft masks, M_d = s_d in [0, 1], and masks that meet the gradient after it was clipped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bmt.errors import ConfigError
from bmt.layers import target_names
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from tests.support import tiny
from tests.support.logit_regression import ids, loss_on
from tests.support.random_masks import masks_for

NAME = "bert.encoder.layer.0.intermediate.dense.weight"


def soft_masks(model: torch.nn.Module, datasets: str = "ABC") -> Masks:
    """A third of the gates at 0, some at 1, the rest between; values that float16 holds exactly."""
    draw, parameters = torch.Generator().manual_seed(5), dict(model.named_parameters())
    values = {
        d: {
            name: ((torch.rand(parameters[name].shape, generator=draw) * 12).floor() / 8 - 0.5).clamp(0, 1)
            for name in target_names(model)
        }
        for d in datasets
    }
    return Masks.of(values, model)


def test_soft_masks_count_and_compare_by_their_open_weights_and_come_back_from_a_file(tmp_path: Path) -> None:
    model = tiny.bert()
    masks = soft_masks(model)
    value = masks.mask("B", NAME)
    assert value.dtype == torch.float16 and set(value.unique().tolist()) == {k / 8 for k in range(8)}
    binary = Masks.of(
        {d: {name: masks.mask(d, name) > 0 for name in masks.shapes} for d in masks.datasets}, model
    )
    assert (
        masks.densities() == binary.densities()
        and masks.overlaps() == binary.overlaps()
        and not masks.equals(binary)
    )
    assert not masks.union().levels and masks.union().equals(binary.union())
    masks.save(tmp_path / "soft.safetensors")
    again = Masks.load(tmp_path / "soft.safetensors", model)
    assert again.equals(masks) and torch.equal(again.unpacked(dict(model.named_parameters()))[NAME][1], value)
    moved = masks.permuted(3)
    assert moved.densities() == masks.densities() and not torch.equal(moved.mask("B", NAME), value)
    assert torch.equal(moved.mask("B", NAME).flatten().sort().values, value.flatten().sort().values)
    assert torch.equal(
        moved.mask("B", NAME) > 0,
        Masks(moved.datasets, moved.shapes, moved.bits, moved.identity, {}).mask("B", NAME),
    )
    parts = [
        Masks.of({d: {name: masks.mask(d, name) for name in masks.shapes}}, model) for d in masks.datasets
    ]
    assert Masks.joined(parts).equals(masks)


@pytest.mark.parametrize("datasets", ["A", "ABC"])
def test_a_gradient_meets_its_soft_mask_once_over_several_backward_passes(datasets: str) -> None:
    model = tiny.bert()
    masks = soft_masks(model, datasets)
    owner = [0, 0, 1, 1, 2, 2, 2] if len(datasets) > 1 else [0] * 7
    tokens, attention, target = ids()
    parameters = dict(model.named_parameters())
    want = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for d, dataset in enumerate(masks.datasets):
        rows = [i for i, o in enumerate(owner) if o == d]
        loss_on(model, tokens[rows], attention[rows], target[rows]).backward()
        for name, p in parameters.items():
            want[name] += 2 * p.grad * masks.mask(dataset, name) if name in masks.shapes else 2 * p.grad
        model.zero_grad()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks) as masked:
        for _ in range(2):
            masked.rows(owner)
            loss_on(model, tokens, attention, target).backward()
    for name, p in parameters.items():
        torch.testing.assert_close(p.grad, want[name], rtol=2e-4, atol=1e-6)


def test_a_soft_mask_on_the_update_is_a_share_of_the_step() -> None:
    moved = []
    for masks in (None, soft_masks(tiny.bert(), "A")):
        model = tiny.bert()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        if masks is None:
            loss_on(model, *ids()).backward()
            optimizer.step()
        else:
            with mask_updates(optimizer, model, masks, apply="update"):
                loss_on(model, *ids()).backward()
                optimizer.step()
        moved.append(
            dict(model.named_parameters())[NAME].detach()
            - dict(tiny.bert().named_parameters())[NAME].detach()
        )
    share = soft_masks(tiny.bert(), "A").mask("A", NAME).float()
    torch.testing.assert_close(moved[1], share * moved[0], rtol=1e-3, atol=1e-7)
    assert bool((moved[1][share == 0] == 0).all()) and torch.equal(moved[1][share == 1], moved[0][share == 1])


@pytest.mark.parametrize("masks", [masks_for(tiny.bert(), 0.3, "A"), RandomMask(0.3, 1)])
def test_a_mask_after_the_clip_leaves_the_norm_of_the_whole_gradient_to_it(masks: Masks | RandomMask) -> None:
    """SGD at rate 1: the step is M g min(1, c / |g|) after the clip, M g min(1, c / |M g|) before it."""

    def opened(name: str, p: torch.Tensor) -> torch.Tensor:
        if name.startswith("qa_outputs"):
            return torch.ones_like(p)
        return (
            masks.mask("A", name).float()
            if isinstance(masks, Masks)
            else masks.draw(name, p.shape, 0).float()
        )

    model, clip = tiny.bert(), 0.01
    loss_on(model, *ids()).backward()
    grads = {name: p.grad.clone() for name, p in model.named_parameters()}
    for before in (True, False):
        model = tiny.bert()
        start = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        with mask_updates(optimizer, model, masks, before_clip=before):
            loss_on(model, *ids()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
        masked = {name: grad * opened(name, grad) for name, grad in grads.items()}
        norm = torch.cat([grad.flatten() for grad in (masked if before else grads).values()]).norm()
        for name, p in model.named_parameters():
            torch.testing.assert_close(
                start[name] - p.detach(), masked[name] * clip / norm, rtol=1e-3, atol=1e-7
            )


def test_several_masks_cannot_wait_for_the_clip() -> None:
    model = tiny.bert()
    with (
        pytest.raises(ConfigError, match="before_clip: false needs one mask"),
        mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks_for(model), before_clip=False),
    ):
        pass


def test_compact_state_meets_a_soft_mask_that_waits_for_the_clip() -> None:
    """What the optimizer takes of a whole gradient at its step is masked already."""
    after = []
    for compact in (False, True):
        model = tiny.bert()
        draw, parameters = torch.Generator().manual_seed(5), dict(model.named_parameters())
        values = {
            n: (torch.rand(parameters[n].shape, generator=draw) - 0.7).clamp(0, 1)
            for n in target_names(model)
        }
        masks = Masks.of({"A": values}, model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with mask_updates(optimizer, model, masks, compact=compact, before_clip=False):
            loss_on(model, *ids()).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        after.append(dict(model.named_parameters()))
    start = dict(tiny.bert().named_parameters())
    for name, p in after[0].items():
        torch.testing.assert_close(p, after[1][name], rtol=1e-6, atol=1e-8)
        assert not torch.equal(p, start[name]) or name.endswith("key.bias")


def test_masks_that_are_changed_on_the_way_leave_their_object_as_it_was() -> None:
    model = tiny.bert()
    masks = soft_masks(model, "A")
    before = masks.mask("A", NAME).clone()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks) as masked:
        masked.use({"A": {NAME: torch.zeros_like(before)}})
        assert not masked.unpacked[NAME].any()
    assert torch.equal(masks.mask("A", NAME), before) and before.any()
