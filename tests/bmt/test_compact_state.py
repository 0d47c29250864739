"""Optimizer state for open weights alone: the same steps, less memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.runtime.checkpoints import load_optimizer_tensors, optimizer_tensors
from tests.support import tiny
from tests.support.logit_regression import ids, loss_on
from tests.support.random_masks import masks_for


def go(
    model: nn.Module, optimizer: torch.optim.Optimizer, masks: Masks, compact: bool, steps: int
) -> dict[str, torch.Tensor]:
    with mask_updates(optimizer, model, masks, compact=compact) as masked:
        for step in range(steps):
            masked.rows([0, 0, 1, 1, 2, 2, 2])
            loss_on(model, *ids(seed=step)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            if compact:
                assert all(
                    p.grad is None for n, p in model.named_parameters() if not n.startswith("qa_outputs")
                )
        return optimizer_tensors(optimizer)


@pytest.mark.parametrize("kind", ["adamw", "adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("datasets", ["A", "ABC"])
def test_the_steps_are_the_same(kind: str, datasets: str) -> None:
    make = {
        "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.1, fused=True),
        "adam": lambda p: torch.optim.Adam(p, lr=1e-3, foreach=False),
        "sgd": lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-4),
    }[kind]
    masks = masks_for(tiny.bert(), 0.12, datasets)
    plain, small = tiny.bert(), tiny.bert()
    go(plain, make(plain.parameters()), masks, False, 4)
    go(small, make(small.parameters()), masks, True, 4)
    for (name, p), q in zip(plain.named_parameters(), small.parameters(), strict=True):
        torch.testing.assert_close(
            p, q, rtol=1e-5, atol=1e-7, msg=name
        )  # vectors have other tails: the last bit may differ


def test_moments_take_the_open_weights_and_come_back_dense() -> None:
    model, masks = tiny.bert(), masks_for(tiny.bert(), 0.1, "A")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inside = go(model, optimizer, masks, True, 2)
    held = sum(value.numel() for key, value in inside.items() if key.endswith(("exp_avg", "exp_avg_sq")))
    head = 2 * sum(p.numel() for n, p in model.named_parameters() if n.startswith("qa_outputs"))
    opened = sum(int(masks.mask("A", name).sum()) for name in masks.shapes)
    assert (
        2 * opened + head <= held <= 2 * opened + head + 2 * masks.total * 0.01
    )  # a few tiny tensors are more than half open
    groups = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in groups} == {id(p) for p in model.parameters()}
    for name, p in model.named_parameters():
        average = optimizer.state[p]["exp_avg"]
        assert average.shape == p.shape
        if name in masks.shapes:
            assert not average[~masks.mask("A", name)].any() and average[masks.mask("A", name)].any()


def test_it_goes_on_from_saved_state() -> None:
    masks = masks_for(tiny.bert(), 0.12, "ABC")
    whole, cut = tiny.bert(), tiny.bert()
    go(whole, torch.optim.AdamW(whole.parameters(), lr=1e-3), masks, True, 2)
    first = torch.optim.AdamW(cut.parameters(), lr=1e-3)
    saved = go(cut, first, masks, True, 1)
    again = torch.optim.AdamW(cut.parameters(), lr=1e-3)
    load_optimizer_tensors(again, saved)
    with mask_updates(again, cut, masks, compact=True) as masked:
        masked.rows([0, 0, 1, 1, 2, 2, 2])
        loss_on(cut, *ids(seed=1)).backward()
        torch.nn.utils.clip_grad_norm_(cut.parameters(), 1.0)
        again.step()
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), cut.parameters(), strict=True))


def test_a_mask_that_opens_nothing_of_a_tensor_is_fine() -> None:
    model = tiny.bert()
    some = masks_for(model, 0.1, "A")
    bools = {name: some.mask("A", name) for name in some.shapes}
    bools["bert.embeddings.word_embeddings.weight"] = torch.zeros_like(
        bools["bert.embeddings.word_embeddings.weight"]
    )
    before = model.bert.embeddings.word_embeddings.weight.detach().clone()
    go(model, torch.optim.AdamW(model.parameters(), lr=1e-3), Masks.of({"A": bools}, model), True, 2)
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, before)


def test_only_tensors_of_which_less_than_half_is_open_are_exchanged() -> None:
    """A vector with its index and moments takes 16 bytes per open weight, the dense moments 8 per weight."""
    model = tiny.bert()
    names = [name for name, _ in model.named_parameters() if "dense.weight" in name]
    shares = dict(zip(names, (0.25, 0.5, 0.75, 0.45), strict=False))
    bits = {}
    for name, share in shares.items():
        shape = dict(model.named_parameters())[name].shape
        bits[name] = (torch.arange(shape.numel()) < share * shape.numel()).view(shape)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with mask_updates(optimizer, model, Masks.of({"A": bits}, model), compact=True):
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        exchanged = {name for name, p in model.named_parameters() if id(p) not in held}
    assert len(shares) == 4 and exchanged == {names[0], names[3]}


def half_open(model: nn.Module) -> Masks:
    return Masks.of({"A": {"weight": torch.tensor([[False, True, False, False]])}}, model)


def one_map() -> nn.Module:
    model = nn.Linear(4, 1, bias=False)
    nn.init.ones_(model.weight)
    return model


def test_dense_state_is_taken_over_and_made_dense_again_after_an_error_too() -> None:
    model = one_map()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.state[model.weight]["momentum_buffer"] = torch.tensor([[0.0, 5.0, 0.0, 0.0]])
    with pytest.raises(KeyError), mask_updates(optimizer, model, half_open(model), compact=True):
        [vector] = [p for group in optimizer.param_groups for p in group["params"]]
        assert vector.tolist() == [1.0] and optimizer.state[vector]["momentum_buffer"].tolist() == [5.0]
        model(torch.full((1, 4), 2.0)).sum().backward()
        optimizer.step()
        assert model.weight.tolist() == [[1.0, pytest.approx(1 - 0.1 * (0.9 * 5 + 2)), 1.0, 1.0]]
        raise KeyError
    assert [p for group in optimizer.param_groups for p in group["params"]] == [model.weight]
    assert list(optimizer.state) == [model.weight] and not optimizer._optimizer_step_pre_hooks
    buffer = optimizer.state[model.weight]["momentum_buffer"]
    assert buffer.tolist() == [[0.0, 6.5, 0.0, 0.0]] and buffer.shape == model.weight.shape
    model(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    assert bool((model.weight != 1).all())


def test_a_step_without_a_gradient_moves_nothing_and_counts_of_steps_stay_numbers() -> None:
    model = one_map()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    with mask_updates(optimizer, model, half_open(model), compact=True):
        optimizer.step()
        assert model.weight.tolist() == [[1.0] * 4]
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        assert model.weight.grad is None
        optimizer.step()  # the gradient was of one step
        assert float(next(iter(optimizer.state.values()))["step"]) == 1
    assert optimizer.state[model.weight]["step"].shape == ()
