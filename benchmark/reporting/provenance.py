"""Where the numbers come from: every run with its cost, the machines, and the commands that make all of it
again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmark.config.params import Config
from benchmark.reporting.evidence import DOMAINS, Evidence
from benchmark.reporting.figure import data_table, details, fixed, listed, note, plural, scroll_box, section
from benchmark.reporting.gather import Gathered
from benchmark.reporting.markup import Markup, tag

MEGABYTE = 1024
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


def provenance(gathered: Gathered, command: str) -> Markup:
    """The whole section; `command` made this page."""
    runs = section("runs", "Runs", "h3", *_runs(gathered.runs))
    places = section("environment", "Environment", "h3", *_environments(gathered.runs))
    commands = section("commands", "Commands", "h3", *_commands(gathered, command))
    return section("provenance", "Provenance", "h2", runs, places, commands)


def _runs(runs: Sequence[Evidence]) -> list[Markup]:
    if not runs:
        return [note("There are no runs.")]
    table = data_table(
        "Runs, with what they cost; – where a run does not say", RUN_COLUMNS, [_run(one) for one in runs]
    )
    return [scroll_box("Runs", table)]


def _run(one: Evidence) -> list[str]:
    run, figures = one.run, one.figures
    scores = {
        domain: [name for name in run.datasets if one.domains.get(name) == domain] for domain in DOMAINS
    }
    relative = run.deviation.get("relative")
    density = one.union if one.union is not None else one.p_f
    kind = "" if density is None else " (union)" if one.union is not None else " (p_F)"
    seconds, memory = figures.get("seconds"), figures.get("peak_memory_mb")
    return [
        run.cell,
        *(
            f"{fixed(one.mean_f1(names))} ({len(names)})" if names else fixed(None)
            for names in scores.values()
        ),
        fixed(None if relative is None else 100 * relative),
        fixed(density) + kind,
        _whole(one.steps),
        _whole(one.best_step),
        fixed(None if seconds is None else seconds / 60, 1),
        _whole(figures.get("tokens_per_second")),
        fixed(None if memory is None else memory / MEGABYTE, 1),
        one.device or fixed(None),
        f"{run.commit[:10]}{' + changes' if run.dirty else ''}" if run.commit else fixed(None),
    ]


def _whole(value: float | None) -> str:
    return fixed(None) if value is None else f"{value:,.0f}"


def _environments(runs: Sequence[Evidence]) -> list[Markup]:
    """Each different environment once, with its runs; the git state, which the runs' table shows, apart."""
    found: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for one in runs:
        described = {
            key: value for key, value in one.environment.items() if key != "git" and value is not None
        }
        if described:
            found.setdefault(json.dumps(described, sort_keys=True, default=str), (described, []))[1].append(
                one.run.cell
            )
    if not found:
        return [note("No run says where it was made." if runs else "There are no runs.")]
    parts: list[Markup] = []
    silent = [one.run.cell for one in runs if not one.environment]
    for index, (described, cells) in enumerate(found.values()):
        title = plural(len(cells), "run") + (f": {listed(cells)}" if len(found) > 1 else "")
        parts.append(details(title, tag("dl", *_terms(described), class_="environment"), opened=index == 0))
    if silent:
        parts.append(note(f"Without an environment: {plural(len(silent), 'run')} ({listed(silent)})."))
    return parts


def _terms(described: Mapping[str, Any]) -> list[Markup]:
    terms = []
    for key, value in described.items():
        text = (
            ", ".join(f"{name} {version}" for name, version in value.items())
            if isinstance(value, dict)
            else str(value)
        )
        terms += [tag("dt", key.replace("_", " ")), tag("dd", text)]
    return terms


def commands(gathered: Gathered) -> list[str]:
    """What makes these runs and tables again, a line a command; none for runs whose making is not known."""
    known = gathered.own and not gathered.given and gathered.config is not None
    source = (
        gathered.source if "/" in gathered.source else f"…/{gathered.source}"
    )  # a folder outside the repository
    where = f"--results {source}" if gathered.given else f"--profile {gathered.profile}"
    where += "" if gathered.seeds is None else f" --seeds {','.join(map(str, gathered.seeds))}"
    where += "" if gathered.own else " --paper DIR"
    lines = _pipeline(gathered.config, gathered.runs) if known and gathered.config else []
    return [
        *lines,
        *(f"python -m benchmark.compare --paper-table {table.key} {where}" for table in gathered.tables),
    ]


def _pipeline(config: Config, runs: Sequence[Evidence]) -> list[str]:
    others = [one.run.cell for one in runs if one.run.cell not in config.every_cell and one.run.identity.K is None]
    single = [f"python -m benchmark.train {cell} && python -m benchmark.evaluate {cell}" for cell in others]
    return [f"python -m benchmark.profile {config.profile}", "dvc repro", *single]


def _commands(gathered: Gathered, command: str) -> list[Markup]:
    recorded = list(dict.fromkeys(curve.command for curve in gathered.curves if curve.command))
    parts = [tag("p", "This page:"), _shell([command])]
    parts += [tag("p", "The runs, and each table of this page in a terminal:"), _shell(commands(gathered))]
    if gathered.given or not gathered.own:
        parts.append(
            note(
                "How the runs of a folder that was named are made is not known here, beyond what they recorded themselves."
            )
        )
    elif gathered.config is None:
        parts.append(
            note(f"Profile {gathered.profile} has no params file here: how its runs are made is not known.")
        )
    if recorded:
        parts.append(
            details(f"{plural(len(recorded), 'command')} as the runs recorded them", _shell(recorded))
        )
    return parts


def _shell(lines: Sequence[str]) -> Markup:
    return scroll_box("Commands", tag("pre", tag("code", "\n".join(lines))))
