"""The day on one screen, from whatever records there are: also half of a day, and a rehearsal's."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from benchmark.cli.text import printable
from tools.gpu_day.records import Record
from tools.performance.figures import FORMATS

LINES, WIDTH = 40, 100
MOST = {"not kept": 9, "errors": 7, "skipped": 2}
"""Lines of each section, at most; the figures have the rest."""
REHEARSAL = "A rehearsal on a CPU with tiny shapes: its figures say nothing about any machine."


def summary_lines(records: Mapping[str, Record]) -> list[str]:
    """At most `LINES` lines of at most `WIDTH` characters.

    The machine and the parts' states; the checks and figures whose target is not kept; errors; then what each
    part has measured, figures with a target first where not all have room; what was skipped.

    Args:
        records: of the parts, in their order.
    """
    rehearsal = any(record.get("rehearsal") for record in records.values())
    lines = [*([REHEARSAL] if rehearsal else []), machine_line(records)]
    lines += [state_line(name, record) for name, record in records.items()]
    lines = _cut(lines, LINES // 3, "parts")
    missed = [line for name, record in records.items() for line in _missed(name, record)]
    lines += _section("Not kept", missed, MOST["not kept"])
    errors = [
        f"{name}: {error.get('title')}: {error.get('error')}"
        for name, record in records.items()
        for error in _dicts(record, "errors")
    ]
    lines += _section("Errors", errors, MOST["errors"])
    skipped = [f"{name}: {title}" for name, record in records.items() for title in _list(record, "skipped")]
    last = wrap(printable("Skipped: " + "; ".join(skipped)), WIDTH, subsequent_indent="  ") if skipped else []
    last = _cut(last, MOST["skipped"], "lines")
    figures = [_paragraph(name, one) for name, record in records.items() for one in _measurements(record)]
    lines += _most_worth(figures, LINES - len(lines) - len(last)) + last
    return [_short(line) for line in lines]


def machine_line(records: Mapping[str, Record]) -> str:
    """Where and when."""
    first = next((record for record in records.values() if record.get("environment")), {})
    said = first.get("environment") or {}
    packages = said.get("packages") or {}
    words = [
        said.get("device"),
        f"torch {packages['torch']}" if "torch" in packages else None,
        f"CUDA {said['cuda']}" if said.get("cuda") else None,
        f"{said['cpu_count']} cores" if said.get("cpu_count") else None,
        time.strftime("%Y-%m-%d %H:%M", time.gmtime(first["began"])) if "began" in first else None,
    ]
    return ", ".join(str(word) for word in words if word) or "No part has left a record yet."


def state_line(name: str, record: Record) -> str:
    """A part's state, its seconds, and how much there is of what."""
    figures = [figure for one in _measurements(record) for figure in _dicts(one, "figures")]
    kept = [figure.get("kept") for figure in figures]
    counts = (
        ("figures", len(figures)),
        ("targets kept", kept.count(True)),
        ("not kept", kept.count(False)),
        ("errors", len(_list(record, "errors"))),
        ("skipped", len(_list(record, "skipped"))),
    )
    said = ", ".join(f"{what} {count}" for what, count in counts if count)
    state = "cut off" if record.get("state") == "running" else record.get("state")
    return f"{name:<8} {state:<12} {record.get('seconds') or 0:4.0f} s  {said}"


def figure_text(figure: Mapping[str, Any], key: str = "value") -> str:
    """A figure's value, or with `key` "target" its target, in its unit."""
    value, unit = figure.get(key), figure.get("unit")
    if not isinstance(value, int | float):
        return "not finite"
    return FORMATS.get(str(unit), "{:g}").format(100 * value if unit == "%" else value)


def _missed(part: str, record: Record) -> Iterator[str]:
    """Figures whose target is not kept, the farthest from it first where that can be said."""
    for one in _measurements(record):
        for figure in _dicts(one, "figures"):
            if figure.get("kept") is False:
                yield f"{part}: {one.get('title')}: {_with_target(figure)}"


def _with_target(figure: Mapping[str, Any]) -> str:
    text = f"{figure.get('name')} {figure_text(figure)}"
    if figure.get("target") is None:
        return text
    word = "at least" if figure.get("at_least") else "at most"
    verdict = "kept" if figure.get("kept") else "NOT KEPT"
    return f"{text} ({word} {figure_text(figure, 'target')}: {verdict})"


def _paragraph(part: str, measurement: Record) -> tuple[list[str], list[str]]:
    """Lines of a measurement with all its figures, and with those alone that have a target.

    Checks (figures in unit "error") are one: how many, and the one nearest to its bound, or farthest above.
    """
    figures = _dicts(measurement, "figures")
    checks = [one for one in figures if one.get("unit") == "error" and isinstance(one.get("value"), float)]
    others = [one for one in figures if one not in checks]
    said = []
    if checks:
        worst = max(checks, key=lambda one: one["value"] / (one.get("target") or 1.0))
        said = [f"{len(checks)} checks, the worst {_with_target(worst)}"]
    texts = [
        said + [_with_target(one) for one in others if one.get("target") is not None or untargeted]
        for untargeted in (True, False)
    ]
    title = f"{part}: {measurement.get('title')}: "
    full, short = (
        wrap(printable(title + "; ".join(text)), WIDTH, subsequent_indent="  ") if text else []
        for text in texts
    )
    return full, short


def _most_worth(paragraphs: Sequence[tuple[list[str], list[str]]], room: int) -> list[str]:
    """Of every paragraph its long form where all have room, then first the last ones' short form, then only
    as many as have room, and how many more there are.
    """
    chosen = [full for full, _ in paragraphs]
    for at in reversed(range(len(chosen))):
        if sum(map(len, chosen)) <= room:
            break
        chosen[at] = paragraphs[at][1]
    return _cut([line for lines in chosen for line in lines], room, "lines of figures")


def _section(title: str, texts: Sequence[str], most: int) -> list[str]:
    return [f"{title}:", *_cut([f"  {text}" for text in texts], most - 1, title.lower())] if texts else []


def _cut(lines: Sequence[str], most: int, what: str) -> list[str]:
    """At most so many lines; the last then says how many more there are, and where."""
    if len(lines) <= most:
        return list(lines)
    left = len(lines) - most + 1
    return [*lines[: max(0, most - 1)], f"  … {left} more ({what}): in the parts' JSON files"][:most]


def _short(line: str) -> str:
    text = printable(line)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _list(record: Mapping[str, Any], key: str) -> list[Any]:
    value = record.get(key)
    return value if isinstance(value, list) else []


def _dicts(record: Mapping[str, Any], key: str) -> list[Record]:
    return [one for one in _list(record, key) if isinstance(one, dict)]


def _measurements(record: Record) -> list[Record]:
    return _dicts(record, "measurements")
