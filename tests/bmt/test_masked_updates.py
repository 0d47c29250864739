"""Masked updates: the oracle of one backward a dataset, closed weights, the random control."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from bmt.errors import ConfigError, ModelError
from bmt.masked_updates import MaskedUpdates, mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomDraws, RandomMask
from bmt.runtime.finite_gradients import FiniteGradients
from tests.support import tiny
from tests.support.logit_regression import ids, loss_on
from tests.support.random_masks import masks_for


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
    """Thirty steps with weight decay and momentum; open weights move."""
    model = tiny.bert(dropout=True)
    masks = masks_for(model, datasets=datasets)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    if kind == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, weight_decay=0.1)
    tokens, attention, target = ids()
    with mask_updates(optimizer, model, masks) as masked:
        for _ in range(30):
            masked.rows([i % len(datasets) for i in range(7)])
            loss_on(model, tokens, attention, target).backward()
            optimizer.step()
            optimizer.zero_grad()
        assert masked.step == 30
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


def drawn_together(step: int, names: str = "abc", mask: RandomMask | None = None) -> dict[str, torch.Tensor]:
    """As on an accelerator: the masks of all tensors at one step, asked for in the order of `names`."""
    tensors = {"a": torch.zeros(300, 40), "b": torch.zeros(7), "c": torch.zeros(50, 2, 90)}
    draws = RandomDraws(mask or RandomMask(0.3, seed=4), tensors, together=True)
    return {name: draws.at(name, step) for name in names}


def test_masks_drawn_together_are_keyed_by_seed_and_step_whichever_is_asked_for_first() -> None:
    a = drawn_together(7)
    assert {name: tuple(mask.shape) for name, mask in a.items()} == {
        "a": (300, 40),
        "b": (7,),
        "c": (50, 2, 90),
    }
    again = drawn_together(7, "cba")
    assert all(torch.equal(a[name], again[name]) for name in "abc")
    for other in (drawn_together(8), drawn_together(7, mask=RandomMask(0.3, seed=5))):
        assert abs(float((a["a"] & other["a"]).double().mean()) - 0.09) < 5 * (0.09 * 0.91 / 12000) ** 0.5
    for name in "ac":
        share = float(a[name].double().mean())
        assert abs(share - 0.3) < 5 * (0.21 / a[name].numel()) ** 0.5, name
    # neighbours in the vector are two draws, not one seen twice
    assert not torch.equal(a["a"].flatten()[:7], a["b"]) or not torch.equal(a["c"].flatten()[:7], a["b"])
    assert all(bool(mask.all()) for mask in drawn_together(0, mask=RandomMask(1.0)).values())


def test_masks_drawn_together_stay_for_a_step_and_a_resumed_run_draws_the_same() -> None:
    tensors = {"a": torch.zeros(300, 40), "b": torch.zeros(7)}
    draws = RandomDraws(RandomMask(0.3, seed=4), tensors, together=True)
    first = draws.at("a", 0)
    kept = first.clone()
    assert draws.at("a", 0) is first and torch.equal(first, kept)
    later = [draws.at("a", step).clone() for step in (1, 2)]
    resumed = RandomDraws(RandomMask(0.3, seed=4), tensors, together=True)
    assert torch.equal(resumed.at("b", 2), draws.at("b", 2)) and torch.equal(resumed.at("a", 2), later[1])
    assert torch.equal(RandomDraws(RandomMask(0.3, seed=4), tensors, together=True).at("a", 0), kept)
    assert not torch.equal(kept, later[0]) and not torch.equal(later[0], later[1])


def test_on_a_cpu_each_tensor_is_drawn_by_itself() -> None:
    """The same bits whichever tensors are masked beside it."""
    mask = RandomMask(0.3, seed=4)
    draws = RandomDraws(mask, {"a": torch.zeros(9, 4), "b": torch.zeros(7)})
    assert torch.equal(draws.at("b", 3), mask.draw("b", (7,), 3)) and draws.at("b", 3) is draws.at("b", 3)
    assert torch.equal(draws.at("a", 3), mask.draw("a", (9, 4), 3))
    assert torch.equal(draws.at("b", 4), mask.draw("b", (7,), 4))


def test_steps_under_masks_drawn_together_are_those_of_the_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two backward passes per step, two steps; only the order in which tensors are met could differ."""
    real = RandomDraws.__init__
    made: list[Any] = []

    def together(draws: RandomDraws, mask: RandomMask, tensors: Any) -> None:
        made.append(tensors)
        real(draws, mask, tensors, together=True)

    monkeypatch.setattr(RandomDraws, "__init__", together)
    model, mask = tiny.bert(layers=1), RandomMask(0.5, 3)
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, mask, first_step=5) as masked:
        for step in (5, 6):
            plain = tiny.bert(layers=1)
            plain.load_state_dict(model.state_dict())
            for each in (model, plain):
                for _ in range(2):
                    loss_on(each, *ids()).backward()
            monkeypatch.setattr(RandomDraws, "__init__", real)
            want = RandomDraws(mask, made[0], together=True)
            for (name, got), whole in zip(model.named_parameters(), plain.parameters(), strict=True):
                open_ = want.at(name, step) if name in made[0] else torch.ones_like(whole)
                torch.testing.assert_close(got.grad, whole.grad * open_, msg=name)
            assert masked.step == step
            masked._optimizer.step()
            masked._optimizer.zero_grad()


@pytest.mark.parametrize("kind", ["random", "one", "several"])
def test_the_norm_that_a_loop_has_clipped_by_is_looked_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next step computes its own again."""
    model = tiny.bert(layers=1)
    masks = {"random": RandomMask(0.5), "one": masks_for(model, 0.5, "A"), "several": masks_for(model)}[kind]
    taken: list[int] = []
    norm = torch.nn.utils.get_total_norm
    monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda grads: taken.append(1) or norm(grads))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step(given: torch.Tensor | None) -> None:
        masked.rows([0, 0, 1, 1, 2, 2, 2])
        loss_on(model, *ids()).backward()
        masked.norm = given
        optimizer.step()
        optimizer.zero_grad()

    with mask_updates(optimizer, model, masks) as masked:  # type: ignore[arg-type]
        step(torch.tensor(1.0))
        assert taken == [] and masked.norm is None
        step(None)
        assert taken == [1]
        masked.norm = torch.tensor(float("nan"))  # of a step that a GradScaler has left out
        masked.rows([0, 0, 1, 1, 2, 2, 2])
        loss_on(model, *ids()).backward()
        optimizer.step()
        optimizer.zero_grad()
        assert taken == [1, 1]
        with pytest.raises(ModelError, match=r"^tensor all of them together: .* not finite at step 3"):
            step(torch.tensor(float("nan")))


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


def two_maps() -> nn.Sequential:
    """Weights of ones; the loss `sum of model(ones)` has the gradient of a constant everywhere."""
    model = nn.Sequential(nn.Linear(3, 2, bias=False), nn.Linear(2, 1, bias=False))
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    return model


FIRST = torch.tensor([[True, False, True], [False, False, True]])
HALF = {"0.weight": FIRST, "1.weight": torch.tensor([[False, True]])}


def one_mask(model: nn.Module, **bits: torch.Tensor) -> Masks:
    return Masks.of({"A": HALF | bits}, model)


@pytest.mark.parametrize("masks", ["one", "random", "scaled", "several"])
@pytest.mark.parametrize("apply", ["gradient", "update"])
def test_after_the_block_gradients_and_steps_are_plain_and_nothing_is_left(masks: str, apply: str) -> None:
    if masks == "several" and apply == "update":
        return
    model = two_maps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1)
    given: Masks | RandomMask = RandomMask(0.3, 1, rescale=masks == "scaled")
    if masks in ("one", "several"):
        given = Masks.of(dict.fromkeys("A" if masks == "one" else "AB", HALF), model)
    with mask_updates(optimizer, model, given, apply=apply) as masked:
        pass
    model(torch.ones(1, 3)).sum().backward()
    assert model[0].weight.grad.tolist() == [[1.0] * 3] * 2
    optimizer.step()
    assert model[0].weight.flatten().tolist() == pytest.approx([1 - 0.5 * 1.1] * 6)
    assert model[1].weight.flatten().tolist() == pytest.approx([1 - 0.5 * 3.1] * 2)
    assert masked.step == 0
    hooks = (
        optimizer._optimizer_step_pre_hooks,
        optimizer._optimizer_step_post_hooks,
        model._forward_pre_hooks,
    )
    assert not any(hooks) and "forward" not in model[0].__dict__
    for parameter in model.parameters():
        assert not parameter._backward_hooks and not parameter._post_accumulate_grad_hooks


def test_parameters_that_the_optimizer_does_not_have_are_left_alone() -> None:
    model = two_maps()
    optimizer = torch.optim.SGD([model[1].weight], lr=0.5, weight_decay=0.1)
    with mask_updates(optimizer, model, one_mask(model)) as masked:
        assert set(masked.trained) == set(masked.masked) == {"1.weight"}
        model(torch.ones(1, 3)).sum().backward()
        assert model[0].weight.grad.tolist() == [[1.0] * 3] * 2
        assert model[1].weight.grad.tolist() == [[0.0, 3.0]]
        model[0].weight.grad[0, 0] = float("nan")  # no step of this optimizer
        optimizer.step()
    assert model[0].weight.tolist() == [[1.0] * 3] * 2
    assert model[1].weight.flatten().tolist() == pytest.approx([1.0, 1 - 0.5 * 3.1])


def test_weight_decay_of_one_group_alone_leaves_closed_weights_where_they_are() -> None:
    for decays in ((0.1, 0.0), (0.0, 0.1), (0.1, 0.1)):
        model = two_maps()
        groups = [
            {"params": [layer.weight], "weight_decay": decay}
            for layer, decay in zip(model, decays, strict=True)
        ]
        optimizer = torch.optim.SGD(groups, lr=0.5)
        with mask_updates(optimizer, model, one_mask(model)):
            model(torch.ones(1, 3)).sum().backward()
            optimizer.step()
        assert ((model[0].weight == 1) == ~FIRST).all() and (model[1].weight == 1).tolist() == [[True, False]]


def test_with_one_mask_rows_need_not_be_said_and_what_is_said_is_of_no_account() -> None:
    model = two_maps()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.5), model, one_mask(model)) as masked:
        masked.rows(["no such dataset", "A"])
        assert masked.groups is None and masked.datasets == ("A",)
        for _ in range(2):
            model(torch.ones(1, 3)).sum().backward()
        assert model[0].weight.grad.tolist() == (2 * FIRST).tolist()


@pytest.mark.parametrize("masks", ["one", "random", "several"])
def test_the_rows_in_the_inputs_have_the_name_that_was_asked_for_and_are_not_passed_on(masks: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(2, 1, bias=False)
            nn.init.ones_(self.map.weight)

        def forward(self, x: torch.Tensor, dataset: str = "") -> torch.Tensor:
            return self.map(x) if dataset == "kept" else self.map(x) * 0

    model = Model()
    bits = {
        "A": {"map.weight": torch.tensor([[True, False]])},
        "B": {"map.weight": torch.tensor([[False, True]])},
    }
    given: Masks | RandomMask = RandomMask(1.0)
    if masks != "random":
        given = Masks.of({d: bits[d] for d in ("A" if masks == "one" else "AB")}, model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    with mask_updates(optimizer, model, given, row_key="source"):
        model(torch.eye(2) + 1, dataset="kept", source=["B", "A"]).sum().backward()
    # of several: row 0 is (2, 1) of B, which opens the second weight; row 1 is (1, 2) of A, the first
    want = {"one": [[3.0, 0.0]], "random": [[3.0, 3.0]], "several": [[1.0, 1.0]]}[masks]
    assert model.map.weight.grad.tolist() == want


@pytest.mark.parametrize("rescale", [False, True])
def test_while_paused_the_gradient_is_whole_under_any_mask_and_after_an_error_too(rescale: bool) -> None:
    model = two_maps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    mask = RandomMask(0.5, 3, rescale=rescale)
    with mask_updates(optimizer, model, mask) as masked:
        with pytest.raises(KeyError), masked.paused():
            model(torch.ones(1, 3)).sum().backward()
            assert model[0].weight.grad.tolist() == [[1.0] * 3] * 2
            raise KeyError
        optimizer.zero_grad()
        model(torch.ones(1, 3)).sum().backward()
        drawn = mask.draw("0.weight", (2, 3), 0).float() * (2 if rescale else 1)
        assert masked.active and model[0].weight.grad.tolist() == drawn.tolist()


def test_a_random_mask_on_the_update_is_that_of_the_step_it_was_drawn_for() -> None:
    model, mask = two_maps(), RandomMask(0.5, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    with mask_updates(optimizer, model, mask, apply="update", first_step=4) as masked:
        for step in (4, 5, 6):
            assert masked.step == step
            before = model[0].weight.detach().clone()
            model(torch.ones(1, 3)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
            moved = model[0].weight.detach() != before
            assert torch.equal(moved, mask.draw("0.weight", (2, 3), step)), step


def test_a_random_mask_is_over_its_targets_and_never_over_a_head() -> None:
    model = nn.ModuleDict({"body": nn.Linear(50, 1), "qa_outputs": nn.Linear(50, 1)})
    for targets, closed in ((None, {"body.weight"}), (["qa.*weight"], {"qa_outputs.weight"})):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        with mask_updates(optimizer, model, RandomMask(0.5, 3, targets=targets)):
            sum(model[part](torch.ones(1, 50)).sum() for part in model).backward()
        for name, parameter in model.named_parameters():
            share = float((parameter.grad == 0).float().mean())
            assert (0.2 < share < 0.8) if name in closed else (share == 0 or name == "body.bias"), name
        model.zero_grad()


def test_a_tensor_without_a_gradient_is_stepped_over() -> None:
    model = two_maps()
    for before_clip in (True, False):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        with mask_updates(optimizer, model, one_mask(model), before_clip=before_clip) as masked:
            model[1](torch.ones(1, 2)).sum().backward()
            optimizer.step()
        assert masked.step == 1 and model[0].weight.tolist() == [[1.0] * 3] * 2


def test_before_anything_is_changed_arguments_that_do_not_go_are_named() -> None:
    model = two_maps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for given in (RandomMask(0.5), one_mask(model)):
        with (
            pytest.raises(ConfigError, match=r"^apply: 'updates' is not allowed: one of gradient, update$"),
            mask_updates(optimizer, model, given, apply="updates"),
        ):
            pass
    with mask_updates(optimizer, model, one_mask(model)) as masked:
        with pytest.raises(ModelError, match="row of dataset 'B', which has no mask: there are masks for A"):
            masked.use({"B": HALF})
        with pytest.raises(ModelError, match="row of dataset None, which has no mask"):
            masked._index(None)  # type: ignore[arg-type]
    model[1].weight.requires_grad_(False)
    with pytest.raises(ModelError, match=r"tensor 1\.weight is masked but takes no gradient"):
        mask_updates(optimizer, model, one_mask(model)).__enter__()
    with mask_updates(optimizer, model, Masks.of({"A": {"0.weight": FIRST}}, model)):
        pass  # what is frozen and not masked may be


def test_new_masks_hold_from_the_next_backward_pass_on_and_of_named_datasets_alone() -> None:
    model = two_maps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    masks = Masks.of({"A": HALF, "B": {name: ~mask for name, mask in HALF.items()}}, model)
    with mask_updates(optimizer, model, masks) as masked:
        masked.use({"B": {"0.weight": torch.zeros(2, 3, dtype=torch.bool)}})
        masked.rows(["B", "A"])
        model(torch.ones(2, 3)).sum().backward()
        assert model[0].weight.grad.tolist() == FIRST.int().tolist()
        assert model[1].weight.grad.tolist() == [[3.0, 3.0]]
        assert masked.opened("0.weight").tolist() == FIRST.tolist() and bool(masked.opened("1.weight").all())
        calls: list[int] = []
        masked.on_change(lambda: calls.append(1))
        masked.use({"A": HALF})
        masked.use({})
        assert calls == [1, 1]


@pytest.mark.parametrize("first_step", [0, 12])
def test_the_step_of_a_gradient_that_is_not_finite_is_counted_from_the_first(first_step: int) -> None:
    model = two_maps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with mask_updates(optimizer, model, RandomMask(0.5), first_step=first_step):
        optimizer.step()
        model[0].weight.grad = torch.full((2, 3), float("inf"))
        said = rf"^tensor 0\.weight: the gradient is not finite at step {first_step + 1}: lower the learning"
        with pytest.raises(ModelError, match=said):
            optimizer.step()
        model[0].weight.grad = None


def test_closed_weights_are_put_back_for_as_long_as_their_masks_are_these() -> None:
    """With decay, a weight that a later mask opens decays from then on, and one that it closes no longer."""
    model = two_maps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, weight_decay=0.1)
    with mask_updates(optimizer, model, one_mask(model)) as masked:
        optimizer.zero_grad()
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        after = model[0].weight.detach().clone()
        assert torch.equal(after != 1, FIRST)
        masked.use({"A": {"0.weight": ~FIRST}})
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        assert torch.equal(model[0].weight[FIRST], after[FIRST]) and bool(
            (model[0].weight[~FIRST] != 1).all()
        )


def test_a_tensor_without_a_mask_must_have_a_finite_gradient_too() -> None:
    model = two_maps()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with mask_updates(optimizer, model, Masks.of({"A": {"0.weight": FIRST}}, model)):
        model(torch.ones(1, 3)).sum().backward()
        model[1].weight.grad.fill_(float("nan"))
        with pytest.raises(ModelError, match=r"^tensor 1\.weight: the gradient is not finite at step 0"):
            optimizer.step()
        optimizer.zero_grad()
