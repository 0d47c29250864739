"""The gate and its draws on the device (eq. 10-11): keyed, uniform, and by the formulas.

The judge writes eq. 10 down once more, in float64 on the CPU, and takes its gradients by autograd.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bmt.gates import HardConcrete
from bmt.runtime.keyed_random import bernoulli, uniform
from tools.gpu_day.checks.closeness import count, differing, digest, error, largest, relative_error, z_score
from tools.gpu_day.checks.subjects import CheckScale
from tools.performance.figures import MeasuredFigure, Measurement

KEY = (14, "agreement")
LAWS = (HardConcrete(), HardConcrete(-0.1, 1.1, 2 / 3))
ALPHAS = (-3.0, -1.0, 0.0, 1.0, 3.0)
SHARES = (0.01, 0.3, 0.5)
KOLMOGOROV = 2.69
"""sqrt(n) times the distance of n uniform draws from U(0, 1) is larger once in a million."""
MOST_Z = 5.0
"""|z| of one right count is larger 6 times in ten million; there are at most 30 of them."""
FORMULA = 1e-6
"""About ten float32 operations of 6e-8 each per gate."""
EDGE = 1e-6
"""Where s is so near to 0 or 1, rounding decides on which side the slope is 0: such gates are left out."""
PENALTY = 1e-2
FIRST_DRAWS = 4096


def exact_gate(law: HardConcrete, alpha: Tensor, u: Tensor) -> Tensor:
    """s of eq. 10 at float64 draws, with autograd."""
    v = torch.sigmoid((torch.log(u) - torch.log1p(-u) + alpha) / law.beta)
    return (v * (law.zeta - law.gamma) + law.gamma).clamp(0, 1)


def open_probability(law: HardConcrete, alpha: Tensor) -> Tensor:
    """P(s > 0) of eq. 11, with autograd."""
    return torch.sigmoid(alpha - law.beta * math.log(-law.gamma / law.zeta))


def generator_state(device: torch.device) -> Tensor:
    """The state of the device's global generator."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def keyed_draws(scale: CheckScale) -> Measurement:
    """Draws that their key alone decides, and their law."""
    device, size = scale.device, scale.draws
    torch.manual_seed(1)
    first, opened = uniform((size,), KEY, device), bernoulli((size,), 0.3, KEY, device)
    torch.manual_seed(2)
    torch.rand(7, device=device)
    uniform((5,), (*KEY, "another"), device)
    before = generator_state(device)
    again, opened_again = uniform((size,), KEY, device), bernoulli((size,), 0.3, KEY, device)
    after = generator_state(device)
    other = uniform((size,), (*KEY, "another"), device)
    figures = [
        count("uniform draws that another draw under the same key changes", differing(again, first)),
        count(
            "bernoulli draws that another draw under the same key changes", differing(opened_again, opened)
        ),
        count("bytes of the global generator that a keyed draw moves", differing(after, before)),
        MeasuredFigure("draws that two keys share", 1 - differing(other, first) / size, 1e-3, unit="%"),
        error("distance of the draws from U(0, 1)", kolmogorov(first), KOLMOGOROV / math.sqrt(size)),
    ]
    shares = [z_score(int(bernoulli((size,), p, (*KEY, "share"), device).sum()), size, p) for p in SHARES]
    figures.append(error("|z| of the share of open bernoulli draws, largest", largest(shares), MOST_Z))
    notes = (
        f"{size:,} draws on {device.type}; same key: another global seed and other draws lie between. "
        f"Kolmogorov-Smirnov bound: {KOLMOGOROV} / sqrt(n), passed once in a million. Two float32 draws are "
        "equal once in 2^24. The record has the digests of the first draws, to hold another GPU or torch "
        "against.",
    )
    record = {
        "uniform": digest(uniform((FIRST_DRAWS,), (*KEY, "digest"), device)),
        "bernoulli": digest(bernoulli((FIRST_DRAWS,), 0.3, (*KEY, "digest"), device)),
    }
    return Measurement("Keyed draws", figures, notes, record)


def kolmogorov(draws: Tensor) -> float:
    """The largest distance of the draws' distribution function from that of U(0, 1)."""
    ordered = draws.cpu().double().sort().values
    steps = torch.arange(len(ordered) + 1, dtype=torch.float64) / len(ordered)
    return float(torch.maximum((steps[1:] - ordered).abs().max(), (ordered - steps[:-1]).abs().max()))


def masses(scale: CheckScale) -> Measurement:
    """P(s = 0), P(s = 1) and E[s] of drawn gates against the closed forms."""
    scores: dict[str, list[float]] = {"P(s = 0)": [], "P(s = 1)": [], "E[s]": []}
    n = scale.draws
    for law in LAWS:
        for level in ALPHAS:
            u = uniform((n,), (*KEY, "mass", repr(law), repr(level)), scale.device)
            s = law.at(torch.full((n,), level, device=scale.device), u).cpu().double()
            alpha = torch.tensor(level, dtype=torch.float64)
            shut = 1 - float(open_probability(law, alpha))
            full = float(torch.sigmoid(alpha - law.beta * math.log((1 - law.gamma) / (law.zeta - 1))))
            scores["P(s = 0)"].append(z_score(int((s == 0).sum()), n, shut))
            scores["P(s = 1)"].append(z_score(int((s == 1).sum()), n, full))
            off = abs(float(s.mean() - law.mean(alpha)))
            scores["E[s]"].append(off / (float(s.std()) / math.sqrt(n)))
    figures = [error(f"|z| of {name}, largest", largest(values), MOST_Z) for name, values in scores.items()]
    laws = "; ".join(f"gamma {law.gamma:g}, zeta {law.zeta:g}, beta {law.beta:.2g}" for law in LAWS)
    notes = (f"{n:,} gates at each alpha of {', '.join(f'{a:g}' for a in ALPHAS)}; {laws}.",)
    return Measurement("Masses of the gate", figures, notes)


def formulas(scale: CheckScale) -> Measurement:
    """s and both gradients in float32 on the device against float64 and autograd on the same draws."""
    errors: dict[str, list[float]] = {"s": [], "dL/dalpha": [], "dL/dw": []}
    n, left_out = scale.draws, 0
    generator = torch.Generator().manual_seed(14)
    for law in LAWS:
        alpha, w, g = (torch.randn(n, generator=generator) * size for size in (2.0, 1.0, 1.0))
        u = uniform((n,), (*KEY, "formulas", repr(law)), scale.device)
        given = [value.to(scale.device) for value in (alpha, w, g)]
        s = law.at(given[0], u)
        by_alpha, by_w = law.gradients(given[2], given[0], given[1], u, PENALTY)
        exact_alpha, exact_w = (value.double().requires_grad_() for value in (alpha, w))
        gate = exact_gate(law, exact_alpha, u.cpu().double())
        loss = (g.double() * gate * exact_w).sum() + PENALTY * open_probability(law, exact_alpha).sum()
        right = torch.autograd.grad(loss, (exact_alpha, exact_w))
        smooth = _off_the_edge(law, exact_alpha.detach(), u.cpu().double())
        left_out += int((~smooth).sum())
        for name, value, exact in (
            ("s", s, gate),
            ("dL/dalpha", by_alpha, right[0]),
            ("dL/dw", by_w, right[1]),
        ):
            errors[name].append(relative_error(value.cpu()[smooth], exact[smooth]))
    figures = [
        error(f"{name}, relative in the 2-norm", largest(off), FORMULA) for name, off in errors.items()
    ]
    notes = (
        f"{n:,} gates of each of {len(LAWS)} laws, alpha ~ N(0, 4), float32 against float64 and autograd "
        f"on the same draws; {left_out} gates whose s lies within {EDGE:g} of an edge are left out.",
    )
    return Measurement("Formulas of the gate", figures, notes)


def _off_the_edge(law: HardConcrete, alpha: Tensor, u: Tensor) -> Tensor:
    """Where s before it is cut off at 0 and 1 is not next to either, bool."""
    v = torch.sigmoid((torch.log(u) - torch.log1p(-u) + alpha) / law.beta)
    raw = v * (law.zeta - law.gamma) + law.gamma
    return (raw.abs() > EDGE) & ((raw - 1).abs() > EDGE)
