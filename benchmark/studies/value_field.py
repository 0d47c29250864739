"""Scattered values over two parameters as a field: what lies between the points they were measured at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import griddata
from scipy.spatial import QhullError

from benchmark.reporting.plots import HEIGHT, Axes

ACROSS, DOWN = 24, 16
"""Cells of the field."""

FieldPoint = tuple[float, float, float]
"""x, y, value."""


def interpolated(points: Sequence[FieldPoint], axes: Axes) -> NDArray[np.float64]:
    """The values at the cells' middles, linear between the points: (DOWN, ACROSS), NaN outside them and where they span
    no area.
    """
    places = np.array([[axes.x.at(x) / 100, axes.y.at(y) / HEIGHT] for x, y, _ in points])
    values = np.array([value for *_, value in points])
    across, down = np.meshgrid((np.arange(ACROSS) + 0.5) / ACROSS, (np.arange(DOWN) + 0.5) / DOWN)
    try:
        return np.asarray(griddata(places, values, (across, down), method="linear"))
    except (QhullError, ValueError):  # fewer than three points, or all on a line
        return np.full((DOWN, ACROSS), np.nan)


def shares_of_range(field: NDArray[np.float64], low: float, high: float) -> list[list[float | None]]:
    """Each value's place between `low` (0) and `high` (1), None for NaN; 0 where both are the same."""
    width = high - low
    return [
        [None if np.isnan(value) else float(value - low) / width if width > 0 else 0.0 for value in row]
        for row in field
    ]
