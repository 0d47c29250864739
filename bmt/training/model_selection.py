"""Which weights of a training are the best: those with the highest macro F1 on the validation questions.

The same evaluation moves the sampling weights of eq. 15.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from bmt.deviation import Deviation, deviations
from bmt.runtime.control import RunControl
from bmt.runtime.stopping import until
from bmt.training.course import Course
from bmt.training.data import TrainingData
from bmt.training.plan import Plan
from bmt.training.procedure import stop_alone
from bmt.training.sampling import Sampler
from bmt.training.validation import evaluate

Scores = Mapping[str, tuple[float, float]]
"""EM and F1 of each dataset, in percent."""


@dataclass(frozen=True, slots=True)
class SourceSelection:
    """Evaluates the source datasets: the `evaluate` of a `Procedure`."""

    model: nn.Module
    data: TrainingData
    plan: Plan
    sampler: Sampler
    pretrained: Mapping[str, Tensor]
    control: RunControl

    def __call__(self, course: Course) -> bool:
        """Score the present weights, move the sampling weights, note both; whether macro F1 is the best."""
        ranks = self.control.ranks
        stop = until(stop_alone(self.control))
        scores = ranks.of_first(
            evaluate(self.model, self.data.validation, self.data.vocabulary, self.plan, stop, ranks)
        )
        macro = float(np.mean([f1 for _, f1 in scores.values()]))
        weights = self._sampling_weights()  # those that the steps before were drawn by
        self.sampler.update({name: em + f1 for name, (em, f1) in scores.items()})  # eq. 15: acc = EM + F1
        gained = macro > course.best_f1
        if gained:
            course.best_f1, course.best_step, course.without_gain = macro, course.step, 0
        else:
            course.without_gain += 1
        moved = deviations(self.model, self.pretrained)["total"]
        course.curve.append(curve_row(course, macro, moved, scores, weights))
        self.control.report(course.step, self._metrics(course, macro, moved, scores))
        return gained

    def _sampling_weights(self) -> dict[str, float]:
        return dict(zip(self.sampler.datasets, self.sampler.weights.tolist(), strict=True))

    def _metrics(self, course: Course, macro: float, moved: Deviation, scores: Scores) -> dict[str, float]:
        """What the evaluation reports; the sampling weights are those of the steps to come."""
        metrics = {
            "validation/f1/macro": macro,
            "weights/deviation_l2": moved.l2,
            "weights/deviation_relative": moved.relative,
            "weights/changed": moved.changed,
        }
        metrics |= {f"validation/em/{name}": em for name, (em, _) in scores.items()}
        metrics |= {f"validation/f1/{name}": f1 for name, (_, f1) in scores.items()}
        metrics |= {f"sampling/weight/{name}": share for name, share in self._sampling_weights().items()}
        if course.seconds > 0:
            metrics["perf/tokens_per_s"] = course.tokens / course.seconds
        return metrics | {"perf/padding_waste": course.padding_waste}


def curve_row(
    course: Course, macro: float, moved: Deviation, scores: Scores, weights: Mapping[str, float]
) -> dict[str, float]:
    """An evaluation's row of the curve: its keys, in this order, are the columns of curve.csv."""
    row = {
        "step": float(course.step),
        "loss": course.loss,
        "macro_f1": macro,
        "deviation": moved.l2,
        "relative_deviation": moved.relative,
    }
    row |= {f"f1/{name}": f1 for name, (_, f1) in scores.items()}
    row |= {f"em/{name}": em for name, (em, _) in scores.items()}
    return row | {f"weight/{name}": share for name, share in weights.items()}
