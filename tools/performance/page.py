"""Where measurements go: the terminal, docs/performance.md between two markers, and reports/speed/."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmark.config.params import repository_root
from benchmark.rendering.markdown import to_markdown
from benchmark.tracking import environment
from bmt.errors import ConfigError
from bmt.runtime.files import write_json, write_text
from tools.markers import markers, renewed
from tools.performance.figures import Measurement


@dataclass(frozen=True, slots=True)
class PagePart:
    """A part of the page that one command renews.

    Attributes:
        name: of its markers, as `core cpu`.
        record: of its JSON file below reports/speed/.
        command: that renews it.
        order: names of its measurements.
    """

    name: str
    record: str
    command: str
    order: Sequence[str]


def print_measurement(measurement: Measurement, device: str, rounds: int) -> dict[str, Any]:
    """Print a measurement with the machine it was made on (device: `cpu` or `cuda`); what the JSON file keeps
    of it.
    """
    described = environment.describe()
    git, where = described["git"], described["device" if device == "cuda" else "cpu"]
    where += f", commit {str(git['commit'])[:7]}{', with uncommitted changes' if git['dirty'] else ''}"
    turns = f"; {rounds} rounds" if measurement.repeated else ""
    text = to_markdown(measurement.document(f"Measured on {where}{turns}."))
    print(text)
    figures = [asdict(figure) | {"value": figure.value} for figure in measurement.figures]
    return {
        "environment": described,
        "lines": [*text.splitlines(), ""],
        "figures": figures,
        **measurement.record,
    }


def keep_measurements(part: PagePart, made: Mapping[str, dict[str, Any]]) -> None:
    """Put what was measured beside what reports/speed/ keeps of earlier calls, and all of it on the page."""
    root = repository_root()
    record = root / "reports" / "speed" / f"{part.record}.json"
    kept = (json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}) | dict(made)
    head = f"`{part.command}`; ratios are medians over rounds in which the variants take turns."
    lines = [head, "", *(line for name in part.order if name in kept for line in kept[name]["lines"])]
    renew_page(root / "docs" / "performance.md", part.name, "\n".join(lines).strip())
    write_json(record, kept)


def renew_page(path: Path, name: str, text: str) -> None:
    """Put a text between the page's markers for `name`.

    Raises:
        ConfigError: it does not have each of the two once, the first before the second.
    """
    page = renewed(path.read_text(encoding="utf-8") if path.is_file() else "", name, text)
    if page is None:
        raise ConfigError(
            f"{path}: the lines {' and '.join(markers(name))} must stand in it once each: the figures go "
            "between them"
        )
    write_text(path, page)
