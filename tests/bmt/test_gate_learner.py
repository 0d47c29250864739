"""One step of the learner: what is keyed, what takes a gradient, what is clipped, how lambda follows."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bmt.gate_learner import DAMPING, GateLearner
from bmt.layers import target_names
from bmt.settings import MaskSettings
from tests.support import tiny


def batch() -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 50, (4, 12), generator=torch.Generator().manual_seed(0))
    ends = torch.tensor([2, 3, 4, 5])
    return {"input_ids": ids, "start_positions": ends - 1, "end_positions": ends}


def learner(**changes: object) -> tuple[torch.nn.Module, GateLearner]:
    model = tiny.bert()
    defaults: dict[str, Any] = {"alpha0": 0.3, "lam": 1e-3, "clip": None, "alpha_clip": None}
    settings = MaskSettings(**(defaults | changes))
    return model, GateLearner(model, target_names(model), settings, (0, "mask", "A"))


def norm(tensors: list[torch.Tensor]) -> float:
    return float(torch.cat([tensor.flatten() for tensor in tensors]).norm())


def test_dropout_is_keyed_by_the_step_and_the_dataset() -> None:
    """What torch's generator gives inside the loss: other numbers at each step, the same in another run."""
    draws: list[list[float]] = []
    for _ in range(2):
        model, steps = learner()
        seen: list[float] = []

        def loss(model: torch.nn.Module = model, seen: list[float] = seen) -> torch.Tensor:
            seen.append(float(torch.rand(())))
            return model(**batch()).loss

        for _ in range(3):
            torch.rand(7)  # what others draw between the steps is of no account
            steps.step(loss)
        draws.append(seen)
    assert draws[0] == draws[1] and len(set(draws[0])) == 3


def test_only_masked_parameters_take_a_gradient_and_all_give_it_back() -> None:
    model, steps = learner()
    model.bert.embeddings.LayerNorm.bias.requires_grad_(False)
    wanted = {name: parameter.requires_grad for name, parameter in model.named_parameters()}

    def loss() -> torch.Tensor:
        assert {n for n, p in model.named_parameters() if p.requires_grad} == set(target_names(model))
        return model(**batch()).loss

    steps.step(loss)
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == wanted
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(("clip", "alpha_clip"), [(1e-3, None), (None, 1e-4), (2e-3, 1e-4)])
def test_alpha_and_w_are_clipped_each_at_its_own_norm(clip: float | None, alpha_clip: float | None) -> None:
    """A first moment of Adam is a tenth of the gradient after one step."""
    free, clipped = learner()[1], learner(clip=clip, alpha_clip=alpha_clip)[1]
    norms = []
    for steps in (free, clipped):
        model = steps.model
        steps.step(lambda model=model: model(**batch()).loss)  # type: ignore[misc]
        optimizers = ((steps._w_optimizer, steps.w), (steps._alpha_optimizer, steps.alpha))
        norms.append(
            [10 * norm([o.state[v]["exp_avg"] for v in values.values()]) for o, values in optimizers]
        )
    (free_w, free_alpha), (w, alpha) = norms
    assert free_w > 2e-3 and free_alpha > 1e-4
    assert w == pytest.approx(free_w if clip is None else clip, rel=1e-3)
    assert alpha == pytest.approx(free_alpha if alpha_clip is None else alpha_clip, rel=1e-3)


def test_a_lagrangian_lambda_follows_what_the_density_is_too_large_by() -> None:
    model, steps = learner(density=0.2, density_by="lagrangian", lam_lr=0.01)
    multiplier = 1e-3
    for _ in range(3):
        steps.step(lambda: model(**batch()).loss)
        error = steps.density() - 0.2
        multiplier += 0.01 * error
        assert steps.lam == pytest.approx(multiplier + DAMPING * 0.01 * error, rel=1e-12)
    state = steps.tensors()
    again = learner(density=0.2, density_by="lagrangian", lam_lr=0.01)[1]
    again.restore(state)
    assert (again.lam, again._multiplier, again.steps) == (steps.lam, steps._multiplier, 3)


def test_a_step_leaves_no_hook_and_the_model_s_answers_as_they_were() -> None:
    model, steps = learner(w_lr=0.1)
    with torch.no_grad():
        before = model(**batch()).start_logits
    for _ in range(2):
        steps.step(lambda: model(**batch()).loss)
    assert all(not module._forward_pre_hooks for module in model.modules())
    with torch.no_grad():
        assert torch.equal(model(**batch()).start_logits, before)


class ReadByRows(torch.nn.Module):
    """A table that is looked up in, and, if it is tied, read whole by a layer above."""

    def __init__(self, tied: bool, max_norm: float | None) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(6, 3, max_norm=max_norm)
        self.out = torch.nn.Linear(3, 6, bias=False)
        torch.nn.init.constant_(self.table.weight, 0.25)
        if tied:
            self.out.weight = self.table.weight


@pytest.mark.parametrize(
    ("tied", "max_norm", "perturbed"),
    [(False, None, [1, 4]), (True, None, [0, 1, 2, 3, 4, 5]), (False, 100.0, [0, 1, 2, 3, 4, 5])],
)
def test_only_of_a_table_that_nothing_else_reads_are_the_looked_up_rows_perturbed_alone(
    tied: bool, max_norm: float | None, perturbed: list[int]
) -> None:
    model = ReadByRows(tied, max_norm)
    steps = GateLearner(model, ["table.weight"], MaskSettings(alpha0=20.0), (0, "mask", "A"))
    steps.w["table.weight"].fill_(1.0)  # under gates that are open: theta + 1
    theta = model.table.weight.detach().clone()
    seen: list[list[float]] = []

    def loss() -> torch.Tensor:
        out = model.out(model.table(torch.tensor([4, 1, 4])))
        seen.extend(model.table.weight.tolist())
        return out.sum()

    steps.step(loss)
    assert [row for row in range(6) if seen[row] == [1.25] * 3] == perturbed
    assert all(seen[row] == [0.25] * 3 for row in range(6) if row not in perturbed)
    assert torch.equal(model.table.weight, theta)


def linear(out: int = 2, into: int = 3, **changes: Any) -> tuple[torch.nn.Module, GateLearner]:
    """A linear map without bias, theta 0, whose loss is the sum of its answers to ones: g is 1 everywhere."""
    model = torch.nn.Linear(into, out, bias=False)
    torch.nn.init.zeros_(model.weight)
    settings = MaskSettings(**({"lam": 0.0, "clip": None, "alpha_clip": None} | changes))
    return model, GateLearner(model, ["weight"], settings, (0, "mask", "A"))


@pytest.mark.parametrize("granularity", ["element", "row"])
def test_alpha_and_w_move_at_their_own_rates_by_adam_s_first_step_without_decay(granularity: str) -> None:
    """Adam's first step is lr g / (|g| + eps). At alpha 20 gates are open: g of w is 1, and of alpha it is
    lambda's alone, lam P (1 - P), per weight that the gate holds.
    """
    model, steps = linear(
        alpha0=3.0,
        alpha_lr=0.25,
        alpha_eps=0.5,
        w_lr=0.125,
        lam=2.0,
        gamma=-1.5,
        zeta=1.5,
        granularity=granularity,
    )
    steps.w["weight"].fill_(4.0)
    steps.w["weight"].requires_grad_(False)
    steps.step(lambda: model(torch.zeros(1, 3)).sum())
    assert torch.equal(steps.w["weight"], torch.full((2, 3), 4.0))  # no gradient, no decay
    p = 1 / (1 + torch.exp(torch.tensor(-3.0)))
    slope = float(2.0 * p * (1 - p)) * (3 if granularity == "row" else 1)
    want = 3.0 - 0.25 * slope / (slope + 0.5)
    assert steps.alpha["weight"].flatten().tolist() == pytest.approx([want] * steps.alpha["weight"].numel())
    model, steps = linear(alpha0=20.0, w_lr=0.125, alpha_lr=0.25, granularity=granularity)
    steps.step(lambda: model(torch.ones(1, 3)).sum())
    assert steps.w["weight"].flatten().tolist() == pytest.approx([-0.125] * 6)
    assert bool((steps.alpha["weight"] == 20.0).all())


def test_density_and_mean_of_alpha_are_over_weights_and_not_over_gates() -> None:
    """A row of 3 weights at alpha 2, of a tensor of 2 rows, beside a tensor of one row of 8 weights."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(8, 1, bias=False))
    settings = MaskSettings(granularity="row", gamma=-1.5, zeta=1.5)
    steps = GateLearner(model, ["0.weight", "1.weight"], settings, (0,))
    assert steps.total == 14 and steps.gate_sizes == {"0.weight": 3, "1.weight": 8}
    steps.alpha["0.weight"].copy_(torch.tensor([[2.0], [-1.0]]))
    steps.alpha["1.weight"].fill_(0.5)
    assert steps.alpha_mean() == pytest.approx((3 * 2.0 - 3 * 1.0 + 8 * 0.5) / 14)
    p = torch.sigmoid(torch.tensor([2.0, -1.0, 0.5]))
    assert steps.density() == pytest.approx(float(3 * p[0] + 3 * p[1] + 8 * p[2]) / 14)


@pytest.mark.parametrize("granularity", ["element", "row"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_share_of_gates_between_0_and_1_is_of_those_that_were_drawn(granularity: str, tied: bool) -> None:
    """A stretch of almost nothing leaves every gate between; gates of rows that are not looked up are not
    drawn, unless a layer reads the whole table.
    """
    model = ReadByRows(tied, None)
    for stretch, want in ((1e-6, 1.0), (1e6, 0.0)):
        settings = MaskSettings(alpha0=0.0, gamma=-stretch, zeta=1 + stretch, granularity=granularity)
        steps = GateLearner(model, ["table.weight"], settings, (0, "mask", "A"))
        for count in (True, False):
            _, interior = steps.step(lambda: model.out(model.table(torch.tensor([4, 1]))).sum(), count)
            assert float(interior) == (want if count else 0.0)


def test_a_step_that_fails_gives_weights_gradients_and_hooks_back() -> None:
    model, steps = learner()
    model.bert.embeddings.LayerNorm.bias.requires_grad_(False)
    before = {n: (p.detach().clone(), p.data_ptr(), p.requires_grad) for n, p in model.named_parameters()}
    for value in steps.w.values():
        value.fill_(1.0)

    def loss() -> torch.Tensor:
        model(**batch()).loss.backward()
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        steps.step(loss)
    for name, parameter in model.named_parameters():
        value, pointer, wanted = before[name]
        assert torch.equal(parameter, value) and parameter.data_ptr() == pointer, name
        assert parameter.requires_grad == wanted and parameter.grad is None, name
    assert all(not module._forward_pre_hooks for module in model.modules())
    assert not any(own.groups or own.rows.any() for own in steps._embeddings.values())


def test_a_table_that_is_read_twice_is_perturbed_once_per_row_under_draws_of_their_own() -> None:
    """Rows 1 and 2, then 2 and 3: each reading's new rows have draws of their own, row 2 has its first; the
    gradient of w is of both readings.
    """
    model = torch.nn.Embedding(6, 50)
    torch.nn.init.zeros_(model.weight)
    settings = MaskSettings(alpha0=0.0, lam=0.0, clip=None, alpha_clip=None, w_lr=0.5)
    steps = GateLearner(model, ["weight"], settings, (0, "mask", "A"))
    steps.w["weight"].fill_(1.0)
    read: list[torch.Tensor] = []

    def loss() -> torch.Tensor:
        first = model(torch.tensor([1, 2]))
        second = model(torch.tensor([3, 2]))
        read.extend([first.detach().clone(), second.detach().clone()])
        return first.sum() + 3 * second.sum()

    steps.step(loss)
    first, second = read
    assert torch.equal(first[1], second[1])
    rows = [first[0], first[1], second[0]]
    assert all(0.1 < float((row > 0).float().mean()) < 0.9 for row in rows)
    assert len({tuple(row.tolist()) for row in rows}) == 3
    moments = steps._w_optimizer.state[steps.w["weight"]]["exp_avg"] * 10
    want = torch.zeros(6, 50)
    want[1], want[2], want[3] = first[0], 4 * first[1], 3 * second[0]
    torch.testing.assert_close(moments, want)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_model_of_another_precision_is_perturbed_in_its_own_and_learned_in_float32(
    dtype: torch.dtype,
) -> None:
    model = torch.nn.Linear(3, 2, bias=False).to(dtype)
    theta = model.weight.detach().clone()
    settings = MaskSettings(alpha0=20.0, lam=0.0, w_lr=0.5, clip=None, alpha_clip=None)
    steps = GateLearner(model, ["weight"], settings, (0, "mask", "A"))
    steps.w["weight"].fill_(0.25)
    seen: list[torch.Tensor] = []

    def loss() -> torch.Tensor:
        seen.append(model.weight.detach().clone())
        return model(torch.ones(1, 3, dtype=dtype)).sum()

    steps.step(loss)
    assert seen[0].dtype == dtype and torch.equal(seen[0], theta + 0.25)
    assert model.weight.dtype == dtype and torch.equal(model.weight, theta)
    assert steps.alpha["weight"].dtype == steps.w["weight"].dtype == torch.float32
    assert steps.w["weight"].flatten().tolist() == pytest.approx([-0.25] * 6)


@pytest.mark.parametrize("changes", [{}, {"density": 0.2}, {"density_by": "lagrangian"}])
def test_lambda_stays_without_a_density_and_under_a_top_k_density(changes: dict[str, Any]) -> None:
    model, steps = linear(lam=0.5, lam_lr=0.1, **changes)
    steps.step(lambda: model(torch.ones(1, 3)).sum())
    assert (steps.lam, steps.steps) == (0.5, 1)


def test_a_learner_goes_on_from_its_tensors_as_one_that_was_never_stopped() -> None:
    whole, first = linear(alpha0=0.0, w_lr=0.1), linear(alpha0=0.0, w_lr=0.1)
    for _ in range(4):
        whole[1].step(lambda: (whole[0](torch.ones(1, 3)) - 1).square().sum())
    for _ in range(2):
        first[1].step(lambda: (first[0](torch.ones(1, 3)) - 1).square().sum())
    kept = {name: value.clone() for name, value in first[1].tensors().items()}
    again = linear(alpha0=0.0, w_lr=0.1)
    again[1].restore(kept)
    for _ in range(2):
        again[1].step(lambda: (again[0](torch.ones(1, 3)) - 1).square().sum())
    for name, value in whole[1].tensors().items():
        assert torch.equal(value, again[1].tensors()[name]), name
    assert whole[1].w["weight"].any() and again[1].steps == 4
