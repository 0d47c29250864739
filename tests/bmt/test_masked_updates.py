"""Masked updates: the oracle of one backward a dataset, closed weights, the random control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from bmt.errors import ConfigError, ModelError
from bmt.layers import target_names
from bmt.masked_updates import MaskedUpdates, mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.runtime.finite_gradients import FiniteGradients
from tests.support import tiny


def masks_for(model: nn.Module, density: float = 0.3, datasets: str = "ABC") -> Masks:
    generator = torch.Generator().manual_seed(0)
    parameters = dict(model.named_parameters())
    return Masks.of(
        {
            d: {
                name: torch.rand(parameters[name].shape, generator=generator) < density
                for name in target_names(model)
            }
            for d in datasets
        },
        model,
    )


def ids(rows: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(5, 90, (rows, 11), generator=generator)
    attention = torch.ones_like(tokens)
    attention[2, 8:] = 0
    return tokens, attention, torch.randn(rows, 11, 2, generator=generator)


def loss_on(
    model: nn.Module, tokens: torch.Tensor, attention: torch.Tensor, target: torch.Tensor
) -> torch.Tensor:
    out = model(input_ids=tokens, attention_mask=attention)
    logits = (
        torch.stack([out.start_logits, out.end_logits], -1) if hasattr(out, "start_logits") else out.logits
    )
    return ((logits - target) ** 2).sum()


@pytest.mark.parametrize("build", [tiny.bert, tiny.roberta, tiny.t5, tiny.t5_decoder])
@pytest.mark.parametrize("owner", [[0, 2, 0, 1, 2, 2, 0], [0, 0, 0, 1, 2, 2, 2], [1] * 7])
def test_one_backward_equals_one_backward_a_dataset(
    build: Callable[[], PreTrainedModel], owner: list[int]
) -> None:
    model = build().eval()
    masks = masks_for(model)
    tokens, attention, target = ids()
    parameters = dict(model.named_parameters())
    want = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for d, dataset in enumerate(masks.datasets):
        rows = [i for i, o in enumerate(owner) if o == d]
        if rows:
            model.zero_grad()
            loss_on(model, tokens[rows], attention[rows], target[rows]).backward()
            for name, p in parameters.items():
                want[name] += p.grad * masks.mask(dataset, name) if name in masks.shapes else p.grad
    model.zero_grad()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with mask_updates(optimizer, model, masks) as masked:
        masked.rows([masks.datasets[o] for o in owner])
        loss_on(model, tokens, attention, target).backward()
        masked.rows(owner)
    for name, p in parameters.items():
        # The key's bias shifts all scores of a query alike: its gradient is 0 but for rounding, so the bound
        # is absolute there.
        assert (p.grad - want[name]).norm() <= 1e-5 * want[name].norm() + 1e-8, name
    model.zero_grad()
    loss_on(model, tokens, attention, target).backward()  # outside the block nothing is masked
    assert not torch.equal(parameters[next(iter(masks.shapes))].grad, want[next(iter(masks.shapes))])


@pytest.mark.parametrize("datasets", ["A", "ABC"])
@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_weights_closed_in_every_mask_stay_bit_identical(datasets: str, kind: str) -> None:
    """200 steps with weight decay and momentum; open weights move."""
    model = tiny.bert(dropout=True)
    masks = masks_for(model, datasets=datasets)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    if kind == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=0.1)
    tokens, attention, target = ids()
    with mask_updates(optimizer, model, masks) as masked:
        for _ in range(200):
            masked.rows([i % len(datasets) for i in range(7)])
            loss_on(model, tokens, attention, target).backward()
            optimizer.step()
            optimizer.zero_grad()
        assert masked.step == 200
    union = masks.union()
    for name, parameter in model.named_parameters():
        if name in masks.shapes:
            open_ = union.mask("union", name)
            assert torch.equal(parameter[~open_], before[name][~open_]), name
            assert (parameter[open_] != before[name][open_]).any(), name
        else:
            assert not torch.equal(parameter, before[name])


def run_plain(
    masks: Masks | RandomMask | None,
    steps: int = 5,
    apply: str = "gradient",
    first: int = 0,
    model: nn.Module | None = None,
) -> nn.Module:
    model = tiny.bert() if model is None else model
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    tokens, attention, target = ids()
    several = isinstance(masks, Masks) and len(masks.datasets) > 1

    def go(masked: object) -> None:
        for _ in range(steps):
            if several:
                masked.rows([0, 0, 1, 1, 2, 2, 2])  # type: ignore[attr-defined]
            loss_on(model, tokens, attention, target).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    if masks is None:
        go(None)
    else:
        with mask_updates(optimizer, model, masks, apply=apply, first_step=first) as masked:
            go(masked)
    return model


def test_one_all_ones_mask_is_plain_training_bit_for_bit() -> None:
    plain, masked = run_plain(None), run_plain(masks_for(tiny.bert(), 2.0, "A"))
    for (name, a), (_, b) in zip(plain.named_parameters(), masked.named_parameters(), strict=True):
        assert torch.equal(a, b), name


def test_several_all_ones_masks_give_the_plain_gradient() -> None:
    model = tiny.bert()
    tokens, attention, target = ids()
    loss_on(model, tokens, attention, target).backward()
    plain = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    with mask_updates(
        torch.optim.SGD(model.parameters(), lr=0.1), model, masks_for(model, 2.0, "ABCDEF")
    ) as masked:
        masked.rows([0, 1, 2, 3, 4, 5, 5])
        loss_on(model, tokens, attention, target).backward()
    for name, p in model.named_parameters():
        assert (p.grad - plain[name]).norm() <= 1e-5 * plain[name].norm() + 1e-8, name


def test_the_random_mask_is_keyed_by_seed_step_and_tensor() -> None:
    mask = RandomMask(0.3, seed=4)
    a = mask.draw("encoder.weight", (1000, 100), 7)
    assert torch.equal(a, mask.draw("encoder.weight", (1000, 100), 7))
    for other in (
        RandomMask(0.3, seed=5).draw("encoder.weight", (1000, 100), 7),
        mask.draw("encoder.bias", (1000, 100), 7),
        mask.draw("encoder.weight", (1000, 100), 8),
    ):
        assert abs(float((a & other).double().mean()) - 0.09) < 0.005  # independent
    assert abs(float(a.double().mean()) - 0.3) < 5 * (0.21 / 1e5) ** 0.5
    assert bool(RandomMask(1.0).draw("x", (10,), 0).all())


def test_a_resumed_random_mask_goes_on_where_it_was() -> None:
    """Without moments, five steps are three steps and, from there with first_step=3, two more."""

    def go(model: nn.Module, steps: int, first: int) -> nn.Module:
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        with mask_updates(optimizer, model, RandomMask(0.5, 1), first_step=first) as masked:
            for _ in range(steps):
                loss_on(model, *ids()).backward()
                optimizer.step()
                optimizer.zero_grad()
        assert masked.step == first + steps
        return model

    whole, parts, wrong = (
        go(tiny.bert(), 5, 0),
        go(go(tiny.bert(), 3, 0), 2, 3),
        go(go(tiny.bert(), 3, 0), 2, 0),
    )
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), parts.parameters(), strict=True))
    assert not all(torch.equal(p, q) for p, q in zip(whole.parameters(), wrong.parameters(), strict=True))


def test_child_tuning_f_divides_the_gradient_by_p_over_micro_batches() -> None:
    """A step of two backward passes: M (g1 + g2) / p."""
    model, mask = tiny.bert(), RandomMask(0.25, 1, rescale=True)
    tokens, attention, target = ids()
    loss_on(model, tokens, attention, target).backward()
    loss_on(model, tokens[:3], attention[:3], target[:3]).backward()
    want = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, mask):
        loss_on(model, tokens, attention, target).backward()
        loss_on(model, tokens[:3], attention[:3], target[:3]).backward()
    for name, p in model.named_parameters():
        scaled = (
            want[name] * mask.draw(name, p.shape, 0) / 0.25
            if not name.startswith("qa_outputs")
            else want[name]
        )
        torch.testing.assert_close(p.grad, scaled, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("datasets", ["A", "ABC"])
def test_masks_can_be_changed_on_the_way_and_paused(datasets: str) -> None:
    model, first, second = (
        tiny.bert(),
        masks_for(tiny.bert(), 0.3, datasets),
        masks_for(tiny.bert(), 0.6, datasets),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    owner = [0, 0, 1, 1, 2, 2, 2] if len(datasets) > 1 else [0] * 7
    with mask_updates(optimizer, model, first) as masked:

        def step() -> None:
            masked.rows(owner)
            loss_on(model, *ids()).backward()
            optimizer.step()
            optimizer.zero_grad()

        step()
        with masked.paused():  # the plain gradient, and no rows need be said
            loss_on(model, *ids()).backward()
            name = "bert.encoder.layer.0.intermediate.dense.weight"
            assert (dict(model.named_parameters())[name].grad != 0).double().mean() > 0.99
            optimizer.zero_grad()
        middle = {name: p.detach().clone() for name, p in model.named_parameters()}
        masked.use({d: {name: second.mask(d, name) for name in second.shapes} for d in datasets}, settle=True)
        step()
    one, two = first.union(), second.union()
    for name, p in model.named_parameters():
        if name in first.shapes:
            closed, later = ~one.mask("union", name), ~two.mask("union", name)
            assert torch.equal(middle[name][closed], start[name][closed])
            assert torch.equal(p[later], middle[name][later]), (
                name
            )  # momentum of the first mask does not move what the second closes
            assert (p[~later & closed] != middle[name][~later & closed]).any(), name


def test_a_gradient_that_is_not_finite_is_named_with_its_step() -> None:
    model = tiny.bert()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with mask_updates(optimizer, model, masks_for(model, 0.5, "A")):
        loss_on(model, *ids()).backward()
        optimizer.step()
        model.bert.encoder.layer[1].output.dense.weight.grad[0, 0] = float("nan")
        with pytest.raises(
            ModelError,
            match=r"tensor bert\.encoder\.layer\.1\.output\.dense\.weight: "
            r"the gradient is not finite at step 1",
        ):
            optimizer.step()


def test_masked_gradient_steps_equal_masking_by_hand() -> None:
    masks = masks_for(tiny.bert(), 0.4, "A")
    by_hook = run_plain(masks, steps=3)
    model = tiny.bert()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    tokens, attention, target = ids()
    for _ in range(3):
        loss_on(model, tokens, attention, target).backward()
        for name, p in model.named_parameters():
            if name in masks.shapes:
                p.grad *= masks.mask("A", name)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    for p, q in zip(by_hook.parameters(), model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_masking_the_update_moves_open_weights_as_the_unmasked_optimizer_does() -> None:
    """Under Adam a masked update leaves moments unmasked: one step moves open weights exactly as plain
    training, closed ones not at all.
    """
    masks, start = masks_for(tiny.bert(), 0.4, "A"), dict(tiny.bert().named_parameters())
    plain, updated = (
        dict(run_plain(None, 1).named_parameters()),
        dict(run_plain(masks, 1, "update").named_parameters()),
    )
    for name in masks.shapes:
        open_ = masks.mask("A", name)
        assert torch.equal(updated[name][open_], plain[name][open_]) and torch.equal(
            updated[name][~open_], start[name][~open_]
        )
    assert torch.equal(updated["qa_outputs.weight"], plain["qa_outputs.weight"])


def test_a_trainer_batch_may_carry_its_rows() -> None:
    model = tiny.bert()
    masks = masks_for(model)
    tokens, attention, _ = ids()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks):
        model(
            input_ids=tokens, attention_mask=attention, dataset=torch.tensor([0, 1, 2, 0, 1, 2, 0])
        ).start_logits.sum().backward()
    assert all(
        p.grad is not None
        for name, p in model.named_parameters()
        if name in masks.shapes and "token_type" not in name
    )


def test_rows_in_the_inputs_count_for_their_own_training_batch_alone() -> None:
    model = tiny.bert()
    tokens, attention, target = ids()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks_for(model)) as masked:
        with torch.no_grad():
            model(input_ids=tokens, attention_mask=attention, dataset=[0, 1, 2, 0, 1, 2, 0])
        assert masked.groups is None
        with pytest.raises(ModelError, match="does not say whose its rows are"):
            loss_on(model, tokens, attention, target)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_row_s_number_is_that_of_a_dataset_with_a_mask(index: int) -> None:
    model = tiny.bert()
    with (
        mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks_for(model)) as masked,
        pytest.raises(
            ModelError, match=f"row of dataset {index}, which has no mask: there are masks for A, B, C"
        ),
    ):
        masked.rows([0, index])


def test_bad_input_is_named() -> None:
    model = tiny.bert()
    masks, optimizer = masks_for(model), torch.optim.SGD(model.parameters(), lr=0.1)
    tokens, attention, target = ids()
    for p_f in (0.0, 1.2, -0.1):
        with pytest.raises(ConfigError, match=rf"p_f: {p_f} is not allowed: above 0 and at most 1"):
            RandomMask(p_f)
    with mask_updates(optimizer, model, masks) as masked:
        with pytest.raises(ModelError, match="does not say whose its rows are"):
            loss_on(model, tokens, attention, target)
        with pytest.raises(
            ModelError, match="row of dataset 'D', which has no mask: there are masks for A, B, C"
        ):
            masked.rows(["A", "D"])
        masked.rows(["A"] * 6)
        with pytest.raises(ModelError, match="the batch has 7 rows"):
            loss_on(model, tokens, attention, target)
        masked.rows(["A"] * 7)
        loss_on(model, tokens, attention, target)
        with pytest.raises(ModelError, match="does not say whose"):  # rows are said for one batch
            loss_on(model, tokens, attention, target)
        with torch.no_grad():
            loss_on(model, tokens, attention, target)  # no gradient, no rows needed
    with (
        pytest.raises(ModelError, match="these masks are for another model"),
        mask_updates(optimizer, tiny.roberta(), masks),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="'update' needs one mask"),
        mask_updates(optimizer, model, masks, apply="update"),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="apply: 'both' is not allowed"),
        mask_updates(optimizer, model, masks, apply="both"),
    ):
        pass
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)
    with (
        pytest.raises(ModelError, match=r"word_embeddings\.weight is masked but takes no gradient"),
        mask_updates(optimizer, model, masks),
    ):
        pass


def test_a_module_that_cannot_be_split_is_named() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

    model = Odd()
    masks = Masks.of({d: {"scale": torch.tensor([True, False, True])} for d in "AB"}, model)
    with (
        pytest.raises(ModelError, match="tensor scale stands in a Odd, whose gradient cannot be split"),
        mask_updates(torch.optim.SGD(model.parameters(), lr=1), model, masks),
    ):
        pass


@pytest.mark.parametrize(
    "option", [{"scale_grad_by_freq": True}, {"sparse": True}, {"max_norm": 1.0}], ids=lambda o: next(iter(o))
)
def test_an_embedding_whose_gradient_is_no_plain_sum_is_named(option: dict[str, Any]) -> None:
    model = nn.Sequential(nn.Embedding(4, 3, **option))
    masks = Masks.of({d: {"0.weight": torch.rand(4, 3) < 0.5} for d in "AB"}, model)
    with (
        pytest.raises(ModelError, match=r"tensor 0\.weight stands in a Embedding, whose gradient cannot"),
        mask_updates(torch.optim.SGD(model.parameters(), lr=1), model, masks),
    ):
        pass


@pytest.mark.parametrize("datasets", ["A", "ABC"])
@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.SGD(p, lr=1e-3, momentum=0.9),
        lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.0),
        lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    ],
)
def test_a_refresh_leaves_newly_closed_weights_where_they_are(
    make: Callable[..., torch.optim.Optimizer], datasets: str
) -> None:
    """Momentum of weights that were open does not move them once a refresh has closed them in every mask; bit
    for bit, over three steps.

    Without `settle` it does move them: the test would not pass on an optimizer without moments.
    """
    first, second = masks_for(tiny.bert(), 0.5, datasets), masks_for(tiny.bert(), 0.2, datasets)
    owner = [0, 0, 1, 1, 2, 2, 2] if len(datasets) > 1 else [0] * 7
    after: dict[bool, dict[str, torch.Tensor]] = {}
    for settle in (True, False):
        model = tiny.bert()
        optimizer = make(model.parameters())

        def step(model: nn.Module, optimizer: torch.optim.Optimizer, masked: MaskedUpdates) -> None:
            masked.rows(owner)
            loss_on(model, *ids()).backward()
            optimizer.step()
            optimizer.zero_grad()

        with mask_updates(optimizer, model, first) as masked:
            for _ in range(3):
                step(model, optimizer, masked)
            at_refresh = {name: p.detach().clone() for name, p in model.named_parameters()}
            masked.use(
                {d: {name: second.mask(d, name) for name in second.shapes} for d in datasets}, settle=settle
            )
            for _ in range(3):
                step(model, optimizer, masked)
        after[settle] = {name: p.detach().clone() for name, p in model.named_parameters()}
        decays = any(group["weight_decay"] for group in optimizer.param_groups)
    union, moved = second.union(), 0
    for name in second.shapes:
        closed = ~union.mask("union", name)
        assert torch.equal(after[True][name][closed], at_refresh[name][closed]), name
        assert (after[True][name][~closed] != at_refresh[name][~closed]).any() or not (~closed).any(), name
        moved += int((after[False][name][closed] != at_refresh[name][closed]).sum())
    assert decays or moved > 1000  # weight decay's own guard holds closed weights in any case


def test_a_wrapped_optimizer_is_masked_as_the_one_inside() -> None:
    """As accelerate wraps it; twice, to be sure."""

    class Wrapper(torch.optim.Optimizer):
        def __init__(self, optimizer: torch.optim.Optimizer) -> None:
            self.optimizer = optimizer
            self.param_groups = optimizer.param_groups

        def step(self, closure: object = None) -> None:  # type: ignore[override]
            self.optimizer.step()

    model, masks = tiny.bert(), masks_for(tiny.bert(), 0.3, "A")
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    wrapper = Wrapper(Wrapper(torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)))
    with mask_updates(wrapper, model, masks) as masked:
        loss_on(model, *ids()).backward()
        wrapper.step()
    assert masked.step == 1
    for name in masks.shapes:
        closed = ~masks.mask("A", name)
        parameter = dict(model.named_parameters())[name]
        assert torch.equal(parameter[closed], start[name][closed]), name
        assert (parameter[~closed] != start[name][~closed]).any(), name


def test_a_pause_gives_back_the_rows_that_were_said() -> None:
    model, masks = tiny.bert(), masks_for(tiny.bert())
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks) as masked:
        masked.rows([0, 0, 1, 1, 2, 2, 2])
        groups = masked.groups
        with masked.paused():
            assert masked.groups is None and not masked.active
            loss_on(model, *ids()).backward()
        assert masked.groups is groups and masked.active


def test_the_random_mask_of_a_step_is_the_same_in_all_its_backward_passes() -> None:
    """Drawn once per step and tensor: a step of two passes draws as often as a step of one."""
    model, draws = tiny.bert(), []

    class Counted(RandomMask):
        def draw(self, name: str, shape: object, step: int, device: object = "cpu") -> torch.Tensor:
            draws.append((step, name))
            return RandomMask.draw(self, name, shape, step, device)  # type: ignore[arg-type]

    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with mask_updates(optimizer, model, Counted(0.5)):
        for _ in range(2):
            for _ in range(3):
                loss_on(model, *ids()).backward()
            optimizer.step()
            optimizer.zero_grad()
    assert len(draws) == len(set(draws)) and {step for step, _ in draws} == {0, 1}


def test_a_refresh_settles_the_moments_of_weights_that_every_mask_closes_and_of_no_other() -> None:
    first, second = masks_for(tiny.bert(), 0.9), masks_for(tiny.bert(), 0.2)
    model = tiny.bert()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    with mask_updates(optimizer, model, first) as masked:
        masked.rows([0, 0, 1, 1, 2, 2, 2])
        loss_on(model, *ids()).backward()
        optimizer.step()
        before = {
            (name, key): optimizer.state[p][key].clone()
            for name, p in model.named_parameters()
            for key in ("exp_avg", "exp_avg_sq")
        }
        masked.use({d: {name: second.mask(d, name) for name in second.shapes} for d in "ABC"}, settle=True)
    union, parameters = second.union(), dict(model.named_parameters())
    for (name, key), value in before.items():
        opened = (
            union.mask("union", name) if name in union.shapes else torch.ones_like(value, dtype=torch.bool)
        )
        assert torch.equal(optimizer.state[parameters[name]][key], value * opened), (name, key)


def test_the_end_waits_for_gradients_that_are_still_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the last steps' norms come later: an error of theirs must not be lost."""
    model = tiny.bert()
    calls: list[str] = []
    monkeypatch.setattr(FiniteGradients, "settle", lambda finite: calls.append("settled"))
    with mask_updates(
        torch.optim.SGD(model.parameters(), lr=0.1), model, masks_for(model, 0.5, "A")
    ) as masked:
        assert calls == []
        masked.settle()
        assert calls == ["settled"]
    assert calls == ["settled", "settled"]
