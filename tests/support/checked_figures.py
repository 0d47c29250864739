"""What a check of a GPU day says: which of its figures are beyond their bounds."""

from __future__ import annotations

import torch

from tools.gpu_day.checks.subjects import CheckScale
from tools.performance.figures import Measurement

SCALE = CheckScale.rehearsed(torch.device("cpu"))


def beyond(measurement: Measurement) -> list[str]:
    """Names of the figures that are beyond their bounds, in order."""
    return [figure.name for figure in measurement.figures if figure.kept is False]


def bounded(measurement: Measurement) -> list[str]:
    """Names of the figures that have a bound, in order."""
    return [figure.name for figure in measurement.figures if figure.target is not None]
