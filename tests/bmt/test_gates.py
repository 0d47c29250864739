"""The gate against its closed forms: laws of draws, masses, moments, gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from bmt.errors import ConfigError
from bmt.gates import GateError, HardConcrete, gate_shape
from bmt.runtime.keyed_random import uniform
from bmt.settings import GRANULARITIES, MaskSettings

CASES = [
    (alpha, gamma, zeta, beta)
    for alpha in (-3.0, -0.5, 0.0, 1.0, 5.0)
    for gamma, zeta, beta in ((-1.5, 1.5, 1.0), (-0.1, 1.1, 2 / 3), (-0.5, 2.0, 0.5), (-3.0, 1.2, 2.0))
]


def masses(alpha: float, gamma: float, zeta: float, beta: float) -> tuple[float, float]:
    """P(s = 0) and P(s = 1): where v of eq. 10 is at most -gamma / (zeta - gamma), and at least (1 - gamma)
    / (zeta - gamma).
    """
    return (
        1 / (1 + math.exp(alpha - beta * math.log(-gamma / zeta))),
        1 / (1 + math.exp(beta * math.log((1 - gamma) / (zeta - 1)) - alpha)),
    )


@pytest.mark.parametrize(("alpha", "gamma", "zeta", "beta"), CASES)
def test_draws_follow_the_closed_form(alpha: float, gamma: float, zeta: float, beta: float) -> None:
    """Kolmogorov-Smirnov on 1e6 draws in the open interval, binomial masses at 0 and 1, and the mean."""
    law, n = HardConcrete(gamma, zeta, beta), 1_000_000
    at = torch.full((n,), alpha)
    s = law.at(at, uniform((n,), ("gate", str((alpha, gamma, zeta, beta))))).double().numpy()
    one = torch.tensor([alpha], dtype=torch.float64)
    zero_mass, one_mass = masses(alpha, gamma, zeta, beta)
    for found, mass in ((np.mean(s == 0), zero_mass), (np.mean(s == 1), one_mass)):
        assert abs(found - mass) <= 5 * math.sqrt(mass * (1 - mass) / n) + 1e-6
    inside = s[(s > 0) & (s < 1)]
    if len(inside) > 1000:

        def cdf(x: np.ndarray) -> np.ndarray:
            v = (x - gamma) / (zeta - gamma)
            above = 1 / (1 + np.exp(-(alpha - beta * (np.log(v) - np.log1p(-v)))))
            return (1 - above - zero_mass) / (1 - zero_mass - one_mass)

        assert stats.kstest(inside, cdf).pvalue > 1e-4
    assert float(law.mean(one)) == pytest.approx(s.mean(), abs=5 * s.std() / math.sqrt(n) + 1e-7)
    assert float(law.prob_open(one)) == pytest.approx(1 - zero_mass, abs=1e-12)


def test_known_values_at_alpha_one() -> None:
    """design/method.md: the deterministic gate is .693 and E[s] is .565 at alpha 1, gamma -1.5, zeta 1.5."""
    law, alpha = HardConcrete(-1.5, 1.5), torch.tensor([1.0], dtype=torch.float64)
    assert float(law.deterministic(alpha)) == pytest.approx(3 / (1 + math.exp(-1)) - 1.5, abs=1e-12)
    assert float(law.mean(alpha)) == pytest.approx(0.565, abs=5e-4)
    assert float(law.prob_open(alpha)) == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-12)
    assert float(law.expected_l0(torch.ones(7, dtype=torch.float64))) == pytest.approx(7 / (1 + math.exp(-1)))


@pytest.mark.parametrize("beta", [1.0, 0.7])
def test_gradients_agree_with_autograd_and_finite_differences(beta: float) -> None:
    law, lam = HardConcrete(-1.5, 1.5, beta), 0.3
    generator = torch.Generator().manual_seed(0)
    alpha, w, theta, u = (torch.randn(200, generator=generator, dtype=torch.float64) for _ in range(4))
    u = torch.rand(200, generator=generator, dtype=torch.float64)
    target = torch.randn(200, generator=generator, dtype=torch.float64)

    def objective(alpha: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        v = torch.sigmoid((torch.log(u) - torch.log1p(-u) + alpha) / beta)
        s = (v * 3.0 - 1.5).clamp(0, 1)
        return ((theta + s * w - target) ** 2).sum() + lam * torch.sigmoid(alpha - beta * math.log(1.0)).sum()

    a, b = alpha.clone().requires_grad_(), w.clone().requires_grad_()
    want_alpha, want_w = torch.autograd.grad(objective(a, b), (a, b))
    g = 2 * (theta + law.at(alpha, u) * w - target)
    got_alpha, got_w = law.gradients(g, alpha, w, u, lam)
    torch.testing.assert_close(got_alpha, want_alpha, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(got_w, want_w, rtol=1e-9, atol=1e-12)
    h = 1e-6
    for i in range(0, 200, 20):
        step = torch.zeros_like(alpha)
        step[i] = h
        by_alpha = (objective(alpha + step, w) - objective(alpha - step, w)) / (2 * h)
        by_w = (objective(alpha, w + step) - objective(alpha, w - step)) / (2 * h)
        assert float(by_alpha) == pytest.approx(float(got_alpha[i]), abs=1e-5)
        assert float(by_w) == pytest.approx(float(got_w[i]), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lam", [0.0, 0.25, -2.0])
def test_a_lambda_that_is_on_the_device_is_the_number(lam: float, dtype: torch.dtype) -> None:
    """As it is given where the host does not know it."""
    law, draw = HardConcrete(-0.5, 2.0, 0.7), torch.Generator().manual_seed(4)
    g, alpha, w = (torch.randn(60, generator=draw).to(dtype) for _ in range(3))
    u = torch.rand(60, generator=draw)
    want = law.gradients(g, alpha, w, u, lam)
    got = law.gradients(g, alpha, w, u, torch.tensor(lam))
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=1e-6)
    closed = law.gradients(torch.zeros(60), alpha.float(), w.float(), u, torch.tensor(lam))[0]
    p = law.prob_open(alpha.float())
    torch.testing.assert_close(closed, lam * p * (1 - p))


def test_with_w_zero_the_data_gradient_on_alpha_is_exactly_zero() -> None:
    law, alpha = HardConcrete(), torch.randn(50)
    grad_alpha, _ = law.gradients(torch.randn(50), alpha, torch.zeros(50), torch.rand(50), lam=0.0)
    assert torch.equal(grad_alpha, torch.zeros(50))


def test_the_mean_is_the_integral_of_the_probability_of_being_above() -> None:
    """By the trapezoidal rule over a fine grid, and P(s > x) falls from P(s > 0) to P(s = 1)."""
    law, alpha = HardConcrete(-0.7, 1.3, 0.8), torch.tensor([0.4], dtype=torch.float64)
    grid = np.linspace(0, 1, 20001)[:-1]
    above = np.array([float(law.prob_above(alpha, float(x))) for x in grid])
    assert above[0] == pytest.approx(float(law.prob_open(alpha)), abs=1e-12)
    assert above[-1] == pytest.approx(masses(0.4, -0.7, 1.3, 0.8)[1], abs=1e-4) and (np.diff(above) < 0).all()
    assert float(law.mean(alpha)) == pytest.approx(np.trapezoid(above, grid), abs=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_precision_keeps_its_dtype_and_range(dtype: torch.dtype) -> None:
    law = HardConcrete()
    alpha = torch.linspace(-200, 200, 401, dtype=dtype)
    s = law.sample(alpha, torch.Generator().manual_seed(1))
    for value in (s, law.deterministic(alpha), law.mean(alpha), law.prob_open(alpha)):
        assert value.dtype == dtype
        assert bool(((value >= 0) & (value <= 1)).all())
    assert float(s[0]) == 0 and float(s[-1]) == 1


@given(st.floats(-20, 20), st.floats(-5, -0.01), st.floats(1.01, 5), st.floats(0.2, 4))
@settings(max_examples=200, deadline=None)
def test_probabilities_are_a_law(alpha: float, gamma: float, zeta: float, beta: float) -> None:
    law, at = HardConcrete(gamma, zeta, beta), torch.tensor([alpha], dtype=torch.float64)
    zero, one = masses(alpha, gamma, zeta, beta)
    open_ = float(law.prob_open(at))
    assert zero + open_ == pytest.approx(1, abs=1e-12)
    assert one <= open_ + 1e-12
    assert one - 1e-9 <= float(law.mean(at)) <= open_ + 1e-9


@pytest.mark.parametrize(
    ("gamma", "zeta"), [(0.0, 1.5), (0.2, 1.5), (-1.5, 1.0), (-1.5, 0.5), (float("nan"), 1.5)]
)
def test_a_stretch_that_gives_no_gate_is_refused(gamma: float, zeta: float) -> None:
    with pytest.raises(ValueError, match=rf"gamma {gamma} and zeta {zeta}"):
        HardConcrete(gamma, zeta)
    with pytest.raises(GateError, match="beta -1"):
        HardConcrete(-1.5, 1.5, -1)


@pytest.mark.parametrize("beta", [0.0, -0.5, float("nan")])
def test_a_temperature_that_is_not_above_zero_is_refused(beta: float) -> None:
    with pytest.raises(GateError, match=rf"^beta {beta}: the gate's temperature must be above 0$"):
        HardConcrete(-1.5, 1.5, beta)


def test_the_gate_of_settings_has_each_of_their_three_numbers() -> None:
    settings = MaskSettings(gamma=-0.2, zeta=1.3, beta=0.7)
    assert HardConcrete.of(settings) == HardConcrete(gamma=-0.2, zeta=1.3, beta=0.7)
    assert HardConcrete() == HardConcrete(-1.5, 1.5, 1.0) == HardConcrete.of(MaskSettings())


@pytest.mark.parametrize("beta", [1.0, 0.7])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precisions_are_computed_in_float32_and_rounded_once(dtype: torch.dtype, beta: float) -> None:
    law = HardConcrete(-0.3, 1.2, beta)
    alpha = torch.linspace(-9, 9, 301).to(dtype)
    u, w, g = (torch.linspace(*ends, 301).to(dtype) for ends in ((0.01, 0.99), (-2, 3), (4, -3)))
    wide = alpha.float()
    functions = (law.deterministic, law.mean, law.prob_open)
    pairs = [(function(alpha), function(wide)) for function in functions]
    pairs += [(law.prob_above(alpha, 0.3), law.prob_above(wide, 0.3))]
    pairs += [(law.at(alpha, u), law.at(wide, u.float()))]
    for half, whole in pairs:
        assert half.dtype == dtype and torch.equal(half, whole.to(dtype))
    assert float(law.expected_l0(alpha)) == float(law.expected_l0(wide))
    got, want = law.gradients(g, alpha, w, u), law.gradients(g.float(), wide, w.float(), u.float())
    for half, whole in zip(got, want, strict=True):
        assert half.dtype == dtype
        torch.testing.assert_close(half.float(), whole, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("beta", [1.0, 0.7])
def test_a_draw_of_exactly_0_or_1_gives_a_gate_and_a_slope(beta: float) -> None:
    """torch.rand gives 0; and float32 rounds what lies just below 1 to it."""
    law = HardConcrete(beta=beta)
    alpha = torch.tensor([-200.0, 0.0, 200.0]).repeat(2)
    u = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    assert law.at(alpha, u).tolist() == [0, 0, 1, 0, 1, 1]
    for slope in law.gradients(torch.ones(6), alpha, torch.ones(6), u):
        assert bool(slope.isfinite().all())


def test_a_sample_is_of_its_generator_alone_and_of_uniform_draws() -> None:
    law, alpha = HardConcrete(), torch.linspace(-3, 3, 50)
    torch.manual_seed(1)
    first = law.sample(alpha, torch.Generator().manual_seed(4))
    u = torch.rand(50, generator=torch.Generator().manual_seed(4))
    assert torch.equal(first, law.at(alpha, u)) and len(first.unique()) > 10


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("alpha", [-6.0, 0.3, 5.0])
def test_the_mean_is_exact_to_twelve_digits(alpha: float, beta: float) -> None:
    law = HardConcrete(-1.5, 1.5, beta)

    def above(x: float) -> float:
        v = (x + 1.5) / 3
        return 1 / (1 + math.exp(-(alpha - beta * math.log(v / (1 - v)))))

    want = integrate.quad(above, 0, 1, epsabs=1e-13, epsrel=1e-13)[0]
    assert float(law.mean(torch.tensor([alpha], dtype=torch.float64))) == pytest.approx(want, abs=2e-12)


def test_the_expected_norm_is_summed_in_float64() -> None:
    """0.1 is no float32 number that a float32 sum of a hundred thousand would meet to nine digits."""
    total = HardConcrete(-1.5, 1.5).expected_l0(torch.full((100_000,), 0.1))
    assert total.dtype == torch.float64
    each = float(HardConcrete(-1.5, 1.5).prob_open(torch.tensor([0.1])))
    assert float(total) == pytest.approx(100_000 * each, rel=1e-12)


def test_a_granularity_that_does_not_exist_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^granularity: 'block' is not allowed: one of element, row, column, tensor$"
    ):
        gate_shape((4, 6), "block")
    assert [gate_shape((), kind) for kind in GRANULARITIES] == [()] * 4
    assert [gate_shape((2, 3, 4), kind) for kind in GRANULARITIES] == [
        (2, 3, 4),
        (2, 1, 1),
        (1, 1, 4),
        (1, 1, 1),
    ]
