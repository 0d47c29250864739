"""How a figure is written in its unit. Needs no package: a command's front reads it too."""

from __future__ import annotations

FORMATS = {
    "x": "{:.2f}",
    "%": "{:.1f} %",
    "MB": "{:,.0f} MB",
    "h": "{:.2f} h",
    "n": "{:,.0f}",
    "ms": "{:,.1f} ms",
    "µs": "{:,.1f} µs",
    "TFLOP/s": "{:,.1f} TFLOP/s",
    "GB/s": "{:,.0f} GB/s",
    "error": "{:.1e}",
    "s": "{:,.1f} s",
    "points": "{:.2f}",
    "per minute": "{:.1f}",
}
