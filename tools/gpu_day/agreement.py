"""Part 2 of the day, record `right`: every path of the method on the device against the CPU.

In float32, without TF32, against float32 or, where sums are long, float64; in bf16 within bounds that follow
from its eight bits. A figure beyond its bound is a wrong result; so is one that is no number.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tools.gpu_day.checks import (
    adapters,
    answers,
    gates,
    mask_learning,
    masked_gradients,
    optimizer_state,
    random_masks,
    resumption,
    synchronisation,
    training,
)
from tools.gpu_day.checks.closeness import exact_products
from tools.gpu_day.checks.subjects import CheckScale
from tools.gpu_day.part_run import PartRun
from tools.performance.figures import Measurement

CHECKS: tuple[tuple[str, Callable[[CheckScale], Measurement], float], ...] = (
    # what it is, the check, seconds that it takes on a GPU at most
    ("six masks in one backward pass", masked_gradients.six_masks, 5),
    ("mask learning", mask_learning.learned_masks, 5),
    ("no synchronisation in a step", synchronisation.step_waits, 10),
    ("random mask", random_masks.step_masks, 3),
    ("gradient under the random mask", random_masks.masked_gradient, 2),
    ("keyed draws", gates.keyed_draws, 3),
    ("masses of the gate", gates.masses, 3),
    ("formulas of the gate", gates.formulas, 3),
    ("closed weights", masked_gradients.closed_weights, 3),
    ("training loop", training.loop, 10),
    ("stop and resume", resumption.stopped_and_resumed, 5),
    ("compact state", optimizer_state.compact_state, 3),
    ("adapters", adapters.adapters, 5),
    ("answers", answers.answers, 4),
    ("best spans", answers.spans_of_scores, 2),
    ("losses", answers.losses, 2),
    ("six masks in a wide layer", masked_gradients.wide_layer, 8),
)
"""In the order of their worth."""
LAST_NEEDS = 10
"""Seconds of the last, which waits for a process that began with the first."""


def measure(run: PartRun) -> None:
    """Make every check that there is time for."""
    scale = CheckScale.rehearsed(run.device) if run.rehearsal else CheckScale(run.device)
    with exact_products(), resumption.dying_run(run.device) as killed:
        for title, check, needs in CHECKS:
            run.attempt(title, partial(check, scale), needs=0 if run.rehearsal else needs)
        last = partial(resumption.killed_and_resumed, scale, killed)
        run.attempt("kill and resume", last, needs=0 if run.rehearsal else LAST_NEEDS)
