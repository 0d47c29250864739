"""The controls beside BMT: Fisher and magnitude masks, mixout, L2-SP, NoisyTune."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bmt.controls import fisher_masks, magnitude_masks
from bmt.deviation import pretrained_copy
from bmt.errors import ConfigError, ModelError
from bmt.runtime.keyed_random import bernoulli
from bmt.training.regularizers import regularizer
from tests.support import tiny


class Pair(nn.Module):
    """y = b(a x): two linear maps and an embedding that no regularizer of matrices touches."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.b(torch.tanh(self.a(x)))


def squared(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (model(x) ** 2).sum()


def test_a_fisher_mask_opens_the_weights_with_the_largest_squared_gradients() -> None:
    model = Pair()
    batches = [torch.randn(4, 6, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    want: dict[str, torch.Tensor] = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for x in batches:
        model.zero_grad()
        squared(model, x).backward()
        for name, p in model.named_parameters():
            want[name] += p.grad**2
    model.zero_grad()
    masks = fisher_masks(model, {"A": batches, "B": batches[:1]}, 0.25, steps=3, loss=squared)
    count = round(0.25 * masks.total)
    cut = torch.cat([value.reshape(-1) for value in want.values()]).sort(descending=True).values[count - 1]
    for name, value in want.items():
        assert torch.equal(masks.mask("A", name), value >= cut), name
    assert masks.datasets == ("A", "B") and masks.density("A") == count / masks.total
    assert masks.jaccard("A", "B") < 1 and all(p.grad is None for p in model.parameters())


def test_a_magnitude_mask_opens_the_largest_weights() -> None:
    model = Pair()
    masks = magnitude_masks(model, 0.5)
    opened = torch.cat([p.detach().abs()[masks.mask("all", n)] for n, p in model.named_parameters()])
    closed = torch.cat([p.detach().abs()[~masks.mask("all", n)] for n, p in model.named_parameters()])
    assert opened.min() >= closed.max() and masks.density("all") == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("density", [0.0, 1.5])
def test_a_density_that_is_none_is_refused(density: float) -> None:
    with pytest.raises(ConfigError, match="density"):
        magnitude_masks(Pair(), density)
    with pytest.raises(ConfigError, match="density"):
        fisher_masks(Pair(), {"A": [torch.ones(1, 6)]}, density, steps=1, loss=squared)


def test_l2_sp_adds_the_gradient_of_its_penalty() -> None:
    model = Pair()
    start = pretrained_copy(model)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1)
    x = torch.ones(2, 6)
    penalty = sum(0.5 * 0.3 * ((p - start[n]) ** 2).sum() for n, p in model.named_parameters())
    want = torch.autograd.grad(squared(model, x) + penalty, list(model.parameters()))
    squared(model, x).backward()
    keeper = regularizer("l2_sp", 0.3, model, start, 0)
    assert keeper is not None
    keeper.after(0)
    for p, g in zip(model.parameters(), want, strict=True):
        torch.testing.assert_close(p.grad, g)


def test_mixout_is_the_published_formula_and_gives_theta_back() -> None:
    """The gradient in theta by autograd through W = ((1 - m) theta + m theta_0 - p theta_0) / (1 - p); biases
    are not mixed.
    """
    model, p = Pair(), 0.6
    start = {name: value + 0.05 for name, value in pretrained_copy(model).items()}
    theta = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
    mixed = dict(theta)
    for name in ("a.weight", "b.weight"):
        m = bernoulli(theta[name].shape, p, (7, "mixout", 4, name)).float()
        mixed[name] = ((1 - m) * theta[name] + m * start[name] - p * start[name]) / (1 - p)
    x = torch.ones(2, 6)
    want = torch.autograd.grad(
        (torch.func.functional_call(model, mixed, (x,)) ** 2).sum(), list(theta.values())
    )
    keeper = regularizer("mixout", p, model, start, 7)
    assert keeper is not None
    keeper.before(4)
    squared(model, x).backward()
    keeper.after(4)
    for (name, q), g in zip(model.named_parameters(), want, strict=True):
        assert torch.equal(q, theta[name])
        torch.testing.assert_close(q.grad, g, rtol=1e-5, atol=1e-6)


def test_noisy_tune_adds_bounded_noise_by_the_spread_of_a_tensor() -> None:
    model = tiny.bert()
    start = pretrained_copy(model)
    head = model.qa_outputs.weight.detach().clone()
    keeper = regularizer("noisy_tune", 0.2, model, start, 3)
    assert keeper is not None
    keeper.start()
    for name, p in model.named_parameters():
        if name not in start:
            continue
        moved, spread = (p - start[name]).abs().max(), start[name].std()
        assert moved <= 0.1 * spread + 1e-6, name
        if p.dim() == 2:
            noise = (p - start[name]).flatten()
            assert float(noise.detach().std()) == pytest.approx(
                0.2 * float(spread.detach()) / 12**0.5, rel=0.1
            )
    assert torch.equal(model.qa_outputs.weight, head)


def test_regularizers_refuse_what_is_not_allowed() -> None:
    model = Pair()
    start = pretrained_copy(model)
    assert regularizer("none", None, model, start, 0) is None
    with pytest.raises(
        ConfigError, match="regularizer: 'dropout' is not allowed: one of none, mixout, l2_sp, noisy_tune"
    ):
        regularizer("dropout", 0.1, model, start, 0)
    for kind, strength in (("mixout", 1.0), ("mixout", None), ("l2_sp", -1.0)):
        with pytest.raises(ConfigError, match="strength"):
            regularizer(kind, strength, model, start, 0)


def test_a_fisher_mask_needs_a_step_a_dataset_and_every_tensor_s_gradient() -> None:
    batches = {"A": [torch.ones(1, 6)]}
    for given, steps, said in ((batches, 0, "0 steps over 1 datasets"), ({}, 1, "1 steps over 0 datasets")):
        with pytest.raises(ConfigError, match=f"fisher_masks: {said} is not allowed: at least 1 of each"):
            fisher_masks(Pair(), given, 0.5, steps=steps, loss=squared)
    model = Pair()
    model.unused = nn.Linear(2, 2)
    with pytest.raises(ModelError, match=r"tensor unused\.weight got no gradient at Fisher step 0"):
        fisher_masks(model, batches, 0.5, steps=1, loss=squared)


def test_a_density_of_one_opens_every_weight() -> None:
    assert magnitude_masks(Pair(), 1.0).densities() == {"all": 1.0}
    fisher = fisher_masks(Pair(), {"A": [torch.ones(1, 6)]}, 1.0, steps=1, loss=squared)
    assert fisher.densities() == {"A": 1.0}


def test_a_strength_of_nothing_is_refused_and_only_a_probability_ends_at_one() -> None:
    model = Pair()
    start = pretrained_copy(model)
    for kind in ("mixout", "l2_sp", "noisy_tune"):
        with pytest.raises(ConfigError, match=rf"strength: 0\.0 is not allowed: above 0.* for {kind}"):
            regularizer(kind, 0.0, model, start, 0)
        if kind != "mixout":
            assert regularizer(kind, 1.0, model, start, 0) is not None


def test_controls_are_over_their_targets_and_say_how_they_were_made() -> None:
    model, steps = Pair(), []
    batches = [torch.randn(4, 6, generator=torch.Generator().manual_seed(i)) for i in range(2)]
    fisher = fisher_masks(
        model,
        {"B": batches, "A": batches},
        0.5,
        steps=3,
        targets=[r"^b\."],
        seed=4,
        loss=squared,
        progress=lambda count, note: steps.append((count, note)),
    )
    assert steps == [(1, "")] * 6 and fisher.datasets == ("B", "A")
    assert set(fisher.shapes) == {"b.weight", "b.bias"} and fisher.densities() == {"B": 0.5, "A": 0.5}
    assert fisher.about == {"kind": "fisher", "seed": 4, "steps": 3, "density": 0.5}
    magnitude = magnitude_masks(model, 0.25, targets=["weight"])
    assert set(magnitude.shapes) == {"a.weight", "b.weight"} and magnitude.datasets == ("all",)
    assert magnitude.about == {"kind": "magnitude", "density": 0.25}


def test_a_fisher_mask_s_dropout_is_keyed_by_seed_dataset_and_step() -> None:
    def drawn(seed: int) -> list[float]:
        seen: list[float] = []

        def loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
            seen.append(float(torch.rand(())))
            return squared(model, x)

        batches = {"A": [torch.ones(1, 6)], "B": [torch.ones(1, 6)]}
        fisher_masks(Pair(), batches, 0.5, steps=2, seed=seed, loss=loss)
        return seen

    torch.manual_seed(1)
    first = drawn(0)
    torch.manual_seed(2)
    assert drawn(0) == first and len({*first, *drawn(1)}) == 8


def test_equal_gradients_are_opened_by_the_key_of_seed_and_dataset() -> None:
    def opened(seed: int) -> dict[str, list[bool]]:
        model = nn.Linear(40, 1, bias=False)
        batches = {"A": [torch.ones(1, 40)], "B": [torch.ones(1, 40)]}
        masks = fisher_masks(model, batches, 0.5, steps=1, seed=seed, loss=lambda m, x: m(x).sum())
        return {dataset: masks.mask(dataset, "weight").flatten().tolist() for dataset in "AB"}

    one, again, other = opened(0), opened(0), opened(1)
    assert one == again and one["A"] != one["B"] and one["A"] != other["A"]
    assert all(sum(mask) == 20 for mask in (*one.values(), *other.values()))


def test_a_fisher_mask_s_gradients_are_squared_batch_by_batch() -> None:
    """(1 + 1)^2 of the first weight's sum would beat 2^2 of the second; 1^2 + 1^2 does not beat 0 + 1.9^2."""
    model = nn.Linear(2, 1, bias=False)
    batches = [torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.9]])]
    masks = fisher_masks(model, {"A": batches}, 0.5, steps=2, loss=lambda m, x: m(x).sum())
    assert masks.mask("A", "weight").tolist() == [[False, True]]
