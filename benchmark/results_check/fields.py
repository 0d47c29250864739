"""The fields of a result's JSON: which must be there, of what type, in what range. docs/compare.md describes
them.

Foreign fields are left alone, except that no number anywhere may be NaN or infinite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from benchmark.results_check.findings import Findings, shown
from benchmark.runs.results import SCHEMA
from benchmark.runs.seal import SEAL

ROUNDING = 1e-9
"""A cosine or a share that was computed in floating point may leave its range by this."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed, in words and as a test. An optional field may be absent or null, an entry of a whole
    (`*`) not.
    """

    allowed: str
    holds: Callable[[Any], bool]
    required: bool = False


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _number(low: float, high: float = math.inf, words: str = "") -> Rule:
    words = words or (
        f"a number of {low:g} to {high:g}" if high < math.inf else f"a finite number, at least {low:g}"
    )
    return Rule(words, lambda value: _is_number(value) and low - ROUNDING <= value <= high + ROUNDING)


def _whole(low: int) -> Rule:
    return Rule(
        f"a whole number, at least {low}",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= low,
    )


def _required(rule: Rule) -> Rule:
    return replace(rule, required=True)


TEXT = Rule("a text", lambda value: isinstance(value, str) and bool(value))
FLAG = Rule("true or false", lambda value: isinstance(value, bool))
OBJECT = Rule("an object", lambda value: isinstance(value, dict))
TEXTS = Rule(
    "a list of texts",
    lambda value: isinstance(value, list) and all(isinstance(entry, str) for entry in value),
)
SHA256 = Rule(
    "64 hexadecimal digits",
    lambda value: isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value)),
)
SHARE, PERCENT, AMOUNT = _number(0, 1), _number(0, 100), _number(0)
OPEN_SHARE = Rule("a number above 0, at most 1", lambda value: _is_number(value) and 0 < value <= 1)
REGIME = Rule(
    "mt or st-<dataset>",
    lambda value: isinstance(value, str) and (value == "mt" or len(value.removeprefix("st-")) < len(value)),
)
MOVED = {"l2": AMOUNT, "relative": AMOUNT, "changed": SHARE, "cosine": _number(-1, 1)}

RULES: dict[str, Rule] = {
    "schema": Rule(str(SCHEMA), lambda value: value == SCHEMA and not isinstance(value, bool), required=True),
    **{key: _required(TEXT) for key in ("cell", "profile", "backbone", "arm")},
    "regime": _required(REGIME),
    "seed": _required(_whole(0)),
    "datasets": Rule(
        "an object with at least one dataset",
        lambda value: isinstance(value, dict) and bool(value),
        required=True,
    ),
    "datasets.*": _required(OBJECT),
    "datasets.*.examples": _required(_whole(0)),
    "datasets.*.em": _required(PERCENT),
    "datasets.*.f1": _required(PERCENT),
    "datasets.*.contexts": _whole(0),
    "datasets.*.data_sha256": TEXT,
    "datasets.*.domain": TEXT,
    "adapter": FLAG,
    "K": _whole(0),
    "p_f": OPEN_SHARE,
    **dict.fromkeys(("backbone_revision", "evaluator_version", "mlflow_run_id"), TEXT),
    **dict.fromkeys(("predictions_sha256", "params_sha256", SEAL), SHA256),
    "missing_datasets": TEXTS,
    "from_hub": TEXTS,
    "source_cell": TEXT,
    "averages": OBJECT,
    "averages.*": OBJECT,
    "averages.*.em": PERCENT,
    "averages.*.f1": PERCENT,
    "averages.*.datasets": TEXTS,
    "mask": OBJECT,
    "mask.kind": TEXT,
    "mask.p_f": OPEN_SHARE,
    "mask.seed": _whole(0),
    "mask.union_density": SHARE,
    "mask.density": OBJECT,
    "mask.density.*": SHARE,
    **{
        f"mask.{group}{depth}": rule
        for group in ("overlap", "by_layer", "by_kind")
        for depth, rule in (("", OBJECT), (".*", OBJECT), (".*.*", SHARE))
    },
    "mask.about": OBJECT,
    "mask.about.seed": _whole(0),
    "regularizer": OBJECT,
    "regularizer.kind": TEXT,
    "regularizer.strength": AMOUNT,
    "budget": OBJECT,
    "budget.mask_steps": _whole(0),
    **{f"budget.{key}": AMOUNT for key in ("epochs", "steps", "best_step", "windows", "tokens")},
    "deviation": OBJECT,
    **{f"deviation.{key}": rule for key, rule in MOVED.items()},
    "deviation.total": OBJECT,
    **{f"deviation.total.{key}": rule for key, rule in MOVED.items()},
    "deviation_by": OBJECT,
    "deviation_by.*": OBJECT,
    **{f"deviation_by.*.{key}": rule for key, rule in MOVED.items()},
    "train_data_sha256": OBJECT,
    "train_data_sha256.*": TEXT,
    "git": OBJECT,
    "git.commit": TEXT,
    "git.dirty": FLAG,
    **dict.fromkeys(("seconds", "tokens_per_second", "peak_memory_mb"), AMOUNT),
}


def check_fields(values: dict[str, Any], file: str, findings: Findings) -> None:
    """Hold a result's fields against RULES.

    What is wrong and optional is taken out of `values`, so that later checks meet only what can be computed
    with.
    """
    faulty: set[tuple[str, ...]] = set()
    for pattern, rule in RULES.items():
        for parent, key, path in list(_places(values, pattern.split("."), ())):
            value = parent.get(key)
            if value is None and (
                _may_be_null(pattern, rule) or (key in ("em", "f1") and parent.get("examples") == 0)
            ):
                continue
            if not rule.holds(value):
                faulty.add(path)
                found = "missing" if key not in parent else shown(value)
                findings.fault("fields", file, ".".join(path), found, f"allowed: {rule.allowed}")
                if not rule.required:
                    _take_out(values, pattern, parent, key)
    for path, number in _not_finite(values, ()):
        if path not in faulty:
            findings.fault("fields", file, ".".join(path), shown(number), "allowed: a finite number")


def _may_be_null(pattern: str, rule: Rule) -> bool:
    """An optional field may; an entry of a whole may not."""
    return not rule.required and not pattern.endswith("*")


def _places(
    node: Any, parts: list[str], path: tuple[str, ...]
) -> Iterator[tuple[dict[str, Any], str, tuple[str, ...]]]:
    """(parent, key, path) of every field that a pattern stands for; the last key may be absent."""
    if not isinstance(node, dict):
        return
    for key in list(node) if parts[0] == "*" else [parts[0]]:
        if len(parts) == 1:
            yield node, key, (*path, key)
        else:
            yield from _places(node.get(key), parts[1:], (*path, key))


def _take_out(values: dict[str, Any], pattern: str, parent: dict[str, Any], key: str) -> None:
    """Remove a field, and with an entry of a whole (a density of several) the whole."""
    whole = pattern.split(".*")[0].split(".")
    if pattern.startswith("datasets") or "*" not in pattern:
        parent.pop(key, None)
    elif len(whole) == 1:
        values.pop(whole[0], None)
    else:
        values.get(whole[0], {}).pop(whole[1], None)


def _not_finite(node: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    """Every NaN and infinity, with its path."""
    if isinstance(node, float) and not math.isfinite(node):
        yield path, node
    elif isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _not_finite(value, (*path, str(key)))
