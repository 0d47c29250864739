"""Where measurements go: the terminal, docs/performance.md between two markers, and reports/speed/."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmark.config.params import repository_root
from benchmark.rendering.markdown import to_markdown
from benchmark.tracking import environment
from bmt.errors import ConfigError
from bmt.runtime.files import write_json, write_text
from tools.markers import markers, with_new_part
from tools.performance.bench import Bench
from tools.performance.figures import Measurement


def print_measurement(measurement: Measurement, bench: Bench, on_gpu: bool) -> dict[str, Any]:
    """Print a measurement with the machine it was made on; what the JSON file keeps of it."""
    described = environment.describe()
    git, where = described["git"], described["device" if on_gpu else "cpu"]
    where += f", commit {str(git['commit'])[:7]}{', with uncommitted changes' if git['dirty'] else ''}"
    turns = f"; {bench.rounds} rounds" if bench.seconds else ""
    text = to_markdown(measurement.document(f"Measured on {where}{turns}."))
    print(text)
    figures = [asdict(figure) | {"value": figure.value} for figure in measurement.figures]
    return {
        "environment": described,
        "lines": [*text.splitlines(), ""],
        "figures": figures,
        "seconds": bench.seconds,
        **measurement.record,
    }


def keep_measurements(name: str, command: str, order: Iterable[str], made: dict[str, dict[str, Any]]) -> None:
    """Put what was measured beside what reports/speed/ keeps of earlier calls, and all of it on the page.

    Args:
        name: of the page's part, as `core cpu`.
        command: that renews it.
        order: names of all its measurements.
    """
    root = repository_root()
    file = "data" if name == "data cpu" else name.replace(" ", "-")
    record = root / "reports" / "speed" / f"{file}.json"
    kept = (json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}) | made
    head = f"`{command}`; ratios are medians over rounds in which the variants take turns."
    lines = [head, "", *(line for key in order if key in kept for line in kept[key]["lines"])]
    renew_page(root / "docs" / "performance.md", name, "\n".join(lines).strip())
    write_json(record, kept)


def renew_page(path: Path, name: str, text: str) -> None:
    """Put a text between the page's markers for `name`.

    Raises:
        ConfigError: it does not have each of the two once, the first before the second.
    """
    page = with_new_part(path.read_text(encoding="utf-8") if path.is_file() else "", name, text)
    if page is None:
        raise ConfigError(
            f"{path}: the lines {' and '.join(markers(name))} must stand in it once each: the figures go "
            "between them"
        )
    write_text(path, page)
