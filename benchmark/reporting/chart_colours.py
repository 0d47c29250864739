"""The colours, dashes and shapes of charts, light and dark; those of pages are in `rendering/web_page.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle

import numpy as np

SERIES = (
    ("#0b62a8", "#6db3f2"),
    ("#c2410c", "#ff9161"),
    ("#0f7b5f", "#4fc79a"),
    ("#a3348a", "#f08bd6"),
    ("#8a6500", "#e0bd45"),
    ("#6a45b8", "#b9a0f6"),
    ("#5a5f66", "#b9bec6"),
    ("#1a7f95", "#62cfe4"),
)
"""Colours of lines and marks, (light, dark)."""
DASHES = ("none", "7 3", "2 3", "9 3 2 3", "5 2 1 2 1 2", "12 4", "4 4", "1 5")
"""What tells lines apart besides their colour: `stroke-dasharray`, in the order of `SERIES`."""
SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0z",
    "M-4.4-4.4h8.8v8.8h-8.8z",
    "M0-5.6L5.6 4.4h-11.2z",
    "M0-6L6 0L0 6L-6 0z",
    "M0 5.6L5.6-4.4h-11.2z",
    "M-1.8-5.4h3.6v3.6h3.6v3.6h-3.6v3.6h-3.6v-3.6h-3.6v-3.6h3.6z",
    "M-5.4-3.4l2-2L0-2l3.4-3.4l2 2L2 0l3.4 3.4l-2 2L0 2l-3.4 3.4l-2-2L-2 0z",
    "M-6-2.6h12v5.2h-12z",
)
"""What tells marks apart besides their colour: paths about (0, 0), in the order of `SERIES`."""

HEAT_LIGHT = ("#f6f3ea", "#a9d2d6", "#4ba0be")
HEAT_DARK = ("#20262b", "#1d4c5d", "#1f6d8c")
HEAT_STEPS = 20
"""A heat map's cells have HEAT_STEPS + 1 colours, all of them light enough (dark: dark enough) for one colour
of text.
"""
ARM_SERIES = {"none": 6, "mask": 4, "bmt": 0}
"""Arms that keep their colour; others take what is left."""


def rgb(colour: str) -> tuple[int, ...]:
    """`#rrggbb` as three numbers of 0 to 255."""
    return tuple(bytes.fromhex(colour[1:]))


def ramp(stops: Sequence[str], share: float) -> str:
    """The colour at `share` (0 to 1) of the way along `stops`."""
    channels = zip(*map(rgb, stops), strict=True)
    mixed = [np.interp(share * (len(stops) - 1), range(len(stops)), channel) for channel in channels]
    return f"#{bytes(map(round, mixed)).hex()}"


def heat_step(value: float, top: float) -> int:
    """The colour's number, 0 to HEAT_STEPS, of `value` on a scale from 0 to `top`."""
    return round(min(max(value / top, 0.0), 1.0) * HEAT_STEPS) if top > 0 else 0


def arm_series(arms: Iterable[str]) -> dict[str, int]:
    """{arm: its place in SERIES}, the same for the same arms whatever their order."""
    names = sorted(set(arms))
    kept = {name: ARM_SERIES[name] for name in names if name in ARM_SERIES}
    free = cycle(index for index in range(len(SERIES)) if index not in kept.values())
    return {name: kept[name] if name in kept else next(free) for name in names}


def variables() -> dict[str, tuple[str, str]]:
    """{name: (light, dark)} of the series `s0`… and of a heat map's steps `h0`…"""
    series = {f"s{index}": pair for index, pair in enumerate(SERIES)}
    heat = {
        f"h{step}": (ramp(HEAT_LIGHT, step / HEAT_STEPS), ramp(HEAT_DARK, step / HEAT_STEPS))
        for step in range(HEAT_STEPS + 1)
    }
    return series | heat
