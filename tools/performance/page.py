"""Where measurements go: the terminal, docs/performance.md between two markers, and reports/speed/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.config.params import repository_root
from bmt.errors import ConfigError
from bmt.runtime.files import write_json, write_text
from tools.performance.figures import Measurement


@dataclass(frozen=True, slots=True)
class PagePart:
    """A part of the page that one command renews.

    Attributes:
        name: of its markers, as `core cpu`.
        record: of its JSON file below reports/speed/.
        head: the sentence that it begins with.
        order: names of its measurements.
    """

    name: str
    record: str
    head: str
    order: Sequence[str]


def print_measurement(
    measurement: Measurement, described: Mapping[str, Any], device: str, rounds: int
) -> dict[str, Any]:
    """Print a measurement with the machine it was made on; what the JSON file keeps of it.

    Args:
        described: as `environment.describe`.
        device: `cpu` or `cuda`.
    """
    git = described["git"]
    where = described["device"] if device == "cuda" else described["cpu"]
    where += f", commit {str(git['commit'])[:7]}{', with uncommitted changes' if git['dirty'] else ''}"
    turns = f"; {rounds} rounds" if measurement.repeated else ""
    lines = [*measurement.lines(), f"Measured on {where}{turns}.", ""]
    print("\n".join(lines))
    figures = [asdict(figure) for figure in measurement.figures]
    return {"environment": described, "lines": lines, "figures": figures, **measurement.record}


def keep_measurements(part: PagePart, made: Mapping[str, dict[str, Any]]) -> None:
    """Put what was measured beside what reports/speed/ keeps of earlier calls, and all of it on the page."""
    root = repository_root()
    record = root / "reports" / "speed" / f"{part.record}.json"
    kept = (json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}) | dict(made)
    lines = [line for name in part.order if name in kept for line in kept[name]["lines"]]
    replace_between_markers(root / "docs" / "performance.md", part.name, [part.head, "", *lines])
    write_json(record, kept)


def replace_between_markers(path: Path, name: str, lines: Sequence[str]) -> None:
    """Put lines between the page's markers for `name`.

    Raises:
        ConfigError: it does not have each of the two once, the first before the second.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ConfigError(
            f"{path}: the lines {begin} and {end} must stand in it once each: the figures go between them"
        )
    before, after = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    write_text(path, before + "\n" + "\n".join(lines).strip() + "\n" + after)
