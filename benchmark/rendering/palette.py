"""The colours of pages, light and dark: texts have a contrast of at least 4.5 to their ground, marks of at least 3."""

from __future__ import annotations

COLOURS = {
    "ground": ("#fdfcf9", "#14171a"),
    "panel": ("#f5f3ed", "#1c2024"),
    "ink": ("#1b1e22", "#e9e6df"),
    "quiet": ("#585d64", "#a6abb1"),
    "rule": ("#d8d4ca", "#373d43"),
    "edge": ("#8b8d8f", "#757c84"),
    "accent": ("#14508c", "#8fbfee"),
    "good": ("#17693a", "#72d393"),
    "bad": ("#b3261e", "#ff9086"),
    "open": ("#855600", "#efc163"),
    "gated": ("#737a85", "#8a919b"),
    "faint": ("#e3dfd5", "#2b3137"),
    "claimed": ("#e6edf4", "#22303d"),
    "good-ground": ("#e3f0e6", "#193323"),
    "bad-ground": ("#fae6e3", "#40211f"),
    "open-ground": ("#f7edd8", "#3a2f18"),
    "quiet-ground": ("#edeae3", "#282d32"),
}
"""{name: (light, dark)}; a page's style sheet has them as custom properties, `--ground`."""
