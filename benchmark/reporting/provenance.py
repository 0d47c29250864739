"""Where the numbers come from: every run with its cost, the machines, and the commands that make all of it
again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.config.params import Config
from benchmark.rendering.phrases import NOTHING, counted, enumerated, fixed
from benchmark.reporting.charts import DataTable
from benchmark.reporting.evidence import DOMAINS, Evidence, grouped
from benchmark.reporting.report_data import ReportData

MEGABYTES = 1024
"""Per gigabyte."""
RUN_COLUMNS = (
    "run",
    "F1 in\u2011domain",
    "F1 out\u2011of\u2011domain",
    "deviation, %",
    "density",
    "steps",
    "kept step",
    "minutes",
    "tokens/s",
    "peak memory, GB",
    "device",
    "commit",
)


def provenance_section(data: ReportData, command: str) -> dict[str, Any]:
    """Values of the template; `command` made this page.

    runs: None where there are none. machines: a title each, and (name, text) of what is known of it.
    recorded: commands as the runs' journals have them. without_environment, unknown_making: sentences on what
    is not known, or "".
    """
    title = "Runs, with what they cost; – where a run does not say"
    runs = data.runs
    silent = [one.run.cell for one in runs if not one.environment]
    machines = _machines(runs)
    if not machines:
        lacking = "No run says where it was made." if runs else "There are no runs."
    else:
        named = f"{counted(len(silent), 'run')} ({enumerated(silent, 6)})"
        lacking = f"Without an environment: {named}." if silent else ""
    return {
        "runs": DataTable(title, RUN_COLUMNS, [_run_row(one) for one in runs]) if runs else None,
        "machines": machines,
        "without_environment": lacking,
        "made_by": command,
        "commands": commands(data),
        "unknown_making": _unknown_making(data),
        "recorded": list(dict.fromkeys(curve.command for curve in data.curves if curve.command)),
    }


def commands(data: ReportData) -> list[str]:
    """What makes these runs and tables again, a command per line; none for runs of unknown making."""
    outside = "/" not in data.source  # a folder outside the repository goes by its name alone
    source = f"…/{data.source}" if outside else data.source
    where = f"--results {source}" if data.named_folder else f"--profile {data.profile}"
    where += "" if data.seeds is None else f" --seeds {','.join(map(str, data.seeds))}"
    where += "" if data.our_paper else " --paper DIR"
    known = data.config if data.our_paper and not data.named_folder else None
    lines = _pipeline(known, data.runs) if known else []
    return [
        *lines,
        *(f"python -m benchmark.compare --paper-table {table.key} {where}" for table in data.tables),
    ]


def _run_row(one: Evidence) -> list[str]:
    run, figures = one.run, one.figures
    scores = []
    for domain in DOMAINS:
        names = [name for name in run.datasets if one.domains.get(name) == domain]
        scores.append(f"{fixed(one.mean_f1(names))} ({len(names)})" if names else NOTHING)
    density = one.union if one.union is not None else one.p_f
    kind = "" if density is None else " (union)" if one.union is not None else " (p_F)"
    commit = f"{run.commit[:10]}{' + changes' if run.dirty else ''}" if run.commit else NOTHING
    return [
        run.cell,
        *scores,
        _scaled(run.deviation.get("relative"), 100),
        fixed(density) + kind,
        _whole(one.steps),
        _whole(one.best_step),
        _scaled(figures.get("seconds"), 1 / 60, 1),
        _whole(figures.get("tokens_per_second")),
        _scaled(figures.get("peak_memory_mb"), 1 / MEGABYTES, 1),
        one.device or NOTHING,
        commit,
    ]


def _scaled(value: float | None, factor: float, decimals: int = 2) -> str:
    return fixed(None if value is None else factor * value, decimals)


def _whole(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.0f}"


def _machines(runs: Sequence[Evidence]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Each different environment once, with its runs; without the git state, which the runs' table shows."""

    def described(one: Evidence) -> dict[str, Any]:
        return {key: value for key, value in one.environment.items() if key != "git" and value is not None}

    groups = grouped(
        filter(described, runs), lambda one: json.dumps(described(one), sort_keys=True, default=str)
    )
    entries = []
    for group in groups.values():
        named = f": {enumerated((one.run.cell for one in group), 6)}" if len(groups) > 1 else ""
        entries.append((f"{counted(len(group), 'run')}{named}", _terms(described(group[0]))))
    return entries


def _terms(described: Mapping[str, Any]) -> list[tuple[str, str]]:
    terms = []
    for key, value in described.items():
        if isinstance(value, dict):  # packages and their versions
            value = ", ".join(f"{name} {version}" for name, version in value.items())
        terms.append((key.replace("_", " "), str(value)))
    return terms


def _pipeline(config: Config, runs: Sequence[Evidence]) -> list[str]:
    others = [
        one.run.cell for one in runs if one.run.cell not in config.every_cell and one.run.identity.K is None
    ]
    single = [f"python -m benchmark.train {cell} && python -m benchmark.evaluate {cell}" for cell in others]
    return [f"python -m benchmark.profile {config.profile}", "dvc repro", *single]


def _unknown_making(data: ReportData) -> str:
    if data.named_folder or not data.our_paper:
        return (
            "How the runs of a folder that was named are made is not known here, beyond what they recorded "
            "themselves."
        )
    if data.config is None:
        return f"Profile {data.profile} has no params file here: how its runs are made is not known."
    return ""
