"""The day on one screen, from whatever records there are: also half of a day, and a rehearsal's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any

from benchmark.cli.text import printable
from tools.gpu_day.records import Record
from tools.performance.units import FORMATS

LINES, WIDTH = 40, 100
MOST = {"Not kept": 9, "Errors": 7, "Skipped": 2}
"""Lines of each section, at most; the figures have the rest."""
LATEST, LARGEST = 1e11, 1e300
"""Seconds since 1970 that a calendar knows, and the largest number that is one."""
REHEARSAL = "A rehearsal on a CPU with tiny shapes: its figures say nothing about any machine."


def summary_lines(records: Mapping[str, Record]) -> list[str]:
    """At most `LINES` lines of at most `WIDTH` characters.

    The machine and the parts' states; by name every figure and check whose target is not kept; errors; what
    each part has measured, its groups of checks by the one nearest to its bound; what was skipped.

    Args:
        records: of the parts, in their order.
    """
    rehearsal = any(record.get("rehearsal") for record in records.values())
    lines = [*([REHEARSAL] if rehearsal else []), machine_line(records)]
    lines += [state_line(name, record) for name, record in records.items()]
    lines = _cut(lines, LINES // 3, "parts")
    missed = [line for name, record in records.items() for line in _missed(name, record)]
    lines += _section("Not kept", missed)
    errors = [
        f"{name}: {error.get('title')}: {error.get('error')}"
        for name, record in records.items()
        for error in _dicts(record, "errors")
    ]
    lines += _section("Errors", errors)
    skipped = [f"{name}: {title}" for name, record in records.items() for title in _list(record, "skipped")]
    last = _cut(_wrapped("Skipped", skipped), MOST["Skipped"], "lines")
    room = LINES - len(lines) - len(last)
    paragraphs = [one for name, record in records.items() for one in _paragraphs(name, record)]
    lines += _cut(_shrunk(paragraphs, room), room, "lines of figures") + last
    return [_short(line) for line in lines]


def machine_line(records: Mapping[str, Record]) -> str:
    """Where and when."""
    first = next((record for record in records.values() if _dict(record, "environment")), {})
    said = _dict(first, "environment")
    began = _number(first, "began")
    words = [
        said.get("device"),
        *(f"{name} {version}" for name, version in _dict(said, "packages").items() if name == "torch"),
        said.get("cuda") and f"CUDA {said['cuda']}",
        said.get("cpu_count") and f"{said['cpu_count']} cores",
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)) if 0 < began < LATEST else None,
    ]
    return ", ".join(str(word) for word in words if word) or "No part has said where it ran."


def state_line(name: str, record: Record) -> str:
    """A part's state, its seconds, and how much there is of what."""
    figures = [figure for one in _dicts(record, "measurements") for figure in _dicts(one, "figures")]
    kept = [figure.get("kept") for figure in figures]
    counts = (
        ("figures", len(figures)),
        ("targets kept", kept.count(True)),
        ("not kept", kept.count(False)),
        ("errors", len(_list(record, "errors"))),
        ("skipped", len(_list(record, "skipped"))),
    )
    said = ", ".join(f"{what} {count}" for what, count in counts if count)
    state = "cut off" if record.get("state") == "running" else str(record.get("state"))
    return f"{name:<8} {state:<12} {_number(record, 'seconds'):4.0f} s  {said}"


def figure_text(figure: Mapping[str, Any], key: str = "value") -> str:
    """A figure's value, or with `key` "target" its target, in its unit."""
    value, unit = figure.get(key), figure.get("unit")
    if not isinstance(value, int | float) or abs(value) > LARGEST:
        return "not finite"
    return FORMATS.get(str(unit), "{:g}").format(100 * value if unit == "%" else value)


def _is_check(figure: Mapping[str, Any]) -> bool:
    """Whether it says that something is right: an error with a bound, or a count that has to be 0."""
    return figure.get("unit") == "error" or (figure.get("unit"), figure.get("target")) == ("n", 0)


def _nearness(figure: Mapping[str, Any]) -> float:
    """How near to its bound a check is, or how far beyond it."""
    if figure.get("value") is None:
        return float("inf")
    value, bound = _number(figure, "value"), _number(figure, "target")
    return value / bound if bound else value


def _missed(part: str, record: Record) -> Iterator[str]:
    """The figure first: it must not be what a long name leaves no room for. Of a rehearsal, whose speed means
    nothing, checks alone.
    """
    for one in _dicts(record, "measurements"):
        for figure in _dicts(one, "figures"):
            if figure.get("kept") is False and (_is_check(figure) or not record.get("rehearsal")):
                said = f"{figure_text(figure)} ({_bound(figure)})"
                yield f"{said} {part}: {one.get('title')}: {figure.get('name')}"


def _bound(figure: Mapping[str, Any]) -> str:
    return f"{'≥' if figure.get('at_least') else '≤'}{figure_text(figure, 'target')}"


def _with_bound(figure: Mapping[str, Any]) -> str:
    text = f"{figure.get('name')} {figure_text(figure)}"
    if figure.get("target") is None:
        return text
    return f"{text} ({_bound(figure)}{'' if figure.get('kept') else ', NOT KEPT'})"


def _paragraphs(part: str, record: Record) -> Iterator[tuple[int, list[list[str]]]]:
    """What a part has measured, each paragraph in forms of fewer and fewer lines; and how many lines more it
    counts for where the largest is looked for.

    Measurements that are checks for the most part are one paragraph, each by the check that is nearest to its
    bound; what was measured beside them is another. Then the figures of each other measurement, those with a
    target first.
    """
    groups, beside, alone = [], [], []
    for one in _dicts(record, "measurements"):
        figures = _dicts(one, "figures")
        checks = [figure for figure in figures if _is_check(figure)]
        if 2 * len(checks) < len(figures):
            checks = []
        others = [figure for figure in figures if figure not in checks]
        others.sort(key=lambda figure: figure.get("target") is None)
        texts = [_with_bound(figure) for figure in others]
        if checks:
            worst = max(checks, key=_nearness)
            verdict = "" if all(figure.get("kept") for figure in checks) else ", NOT KEPT"
            groups.append(f"{one.get('title')} {figure_text(worst)} ({_bound(worst)}{verdict})")
            beside += [f"{one.get('title')}: {text}" for text in texts]
        else:
            aimed = any(figure.get("target") is not None for figure in figures)
            alone.append((aimed, _wrapped(f"{part}: {one.get('title')}", texts)))
    yield 0, _forms(_wrapped(f"{part}, largest errors", groups), 8)
    yield 9, [*_forms(_wrapped(f"{part}, beside them", beside), 2), []]
    for aimed, lines in alone:
        yield 0 if aimed else 2, _forms(lines, 6, 4, 2, 1)


def _forms(lines: list[str], *most: int) -> list[list[str]]:
    """Lines, and their first ones, which end in a mark where more follow."""
    shorter = [[*lines[: count - 1], f"{lines[count - 1]} …"] for count in most if count < len(lines)]
    return [lines, *shorter]


def _shrunk(paragraphs: Iterable[tuple[int, list[list[str]]]], room: int) -> list[str]:
    """The paragraphs, the largest by and by in shorter forms until all have room, or no shorter form is
    left.
    """
    left = list(paragraphs)
    while sum(len(forms[0]) for _, forms in left) > room:
        shorter = [(len(forms[0]) + more, forms) for more, forms in left if len(forms) > 1]
        if not shorter:
            break
        max(shorter, key=lambda one: one[0])[1].pop(0)
    return [line for _, forms in left for line in forms[0]]


def _section(title: str, texts: Sequence[str]) -> list[str]:
    return [f"{title}:", *_cut([f"  {text}" for text in texts], MOST[title] - 1, "lines")] if texts else []


def _wrapped(title: str, texts: Sequence[str]) -> list[str]:
    text = printable(f"{title}: {'; '.join(texts)}")
    return wrap(text, WIDTH - 2, subsequent_indent="  ") if texts else []  # room for a mark


def _cut(lines: Sequence[str], most: int, what: str) -> list[str]:
    """At most so many lines; the last then says how many more there are, and where."""
    if len(lines) <= most:
        return list(lines)
    left = len(lines) - most + 1
    return [*lines[: most - 1], f"  … {left} more {what}: in the parts' JSON files"][: max(0, most)]


def _short(line: str) -> str:
    text = printable(line)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _number(record: Mapping[str, Any], key: str) -> float:
    value = record.get(key)
    return float(value) if isinstance(value, int | float) and abs(value) < LATEST else 0.0


def _dict(record: Mapping[str, Any], key: str) -> Record:
    value = record.get(key)
    return value if isinstance(value, dict) else {}


def _list(record: Mapping[str, Any], key: str) -> list[Any]:
    value = record.get(key)
    return value if isinstance(value, list) else []


def _dicts(record: Mapping[str, Any], key: str) -> list[Record]:
    return [one for one in _list(record, key) if isinstance(one, dict)]
