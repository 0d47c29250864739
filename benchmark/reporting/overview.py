"""The first screen: what was found in a few sentences and figures, and the verdicts table by table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmark.comparison.matching import LITERATURE, MISSING, NO_DATA, NOT_COMPARABLE
from benchmark.comparison.report import DIFFERS, EXACT, NOT_REPRODUCED, REPRODUCED
from benchmark.reporting.figure import as_table, bullet_list, details, figure, listed, plural, section
from benchmark.reporting.gather import Compared, Gathered
from benchmark.reporting.markup import Markup, join, tag
from benchmark.reporting.strips import stacked_bar
from benchmark.statistics.reproduction import INCONCLUSIVE

VERDICTS = {
    REPRODUCED: "good",
    EXACT: "good",
    INCONCLUSIVE: "open",
    NOT_REPRODUCED: "bad",
    DIFFERS: "bad",
    NOT_COMPARABLE: "gated",
    NO_DATA: "absent",
    MISSING: "absent",
    LITERATURE: "literature",
}
"""The verdicts in the order of a bar, with the CSS class of their part."""
JUDGED = (REPRODUCED, EXACT, INCONCLUSIVE, NOT_REPRODUCED, DIFFERS)
CLAIM_VERDICTS = ("upheld", "smaller than claimed", "undecided", "no verdict", "contradicted", "no data")
READING = (
    "Each bar holds all numbers that the paper prints in a table. Green: reproduced (or exactly the same); amber: judged, and not settled; "
    "red: not reproduced; grey: runs that may not be compared; pale: not run, or without data; outlined: not ours to train."
)


def overview(gathered: Gathered) -> Markup:
    """The whole section."""
    parts = [tag("div", *_tiles(gathered), class_="tiles"), bullet_list(findings(gathered))]
    if gathered.faults:
        files = bullet_list([str(fault) for fault in gathered.faults])
        parts.append(
            details(
                f"{plural(len(gathered.faults), 'file')} that could not be used",
                files,
                opened=True,
                class_="alarm",
            )
        )
    if gathered.notes:
        parts.append(
            details(
                f"{plural(len(gathered.notes), 'thing')} left out of the figures below",
                bullet_list(gathered.notes),
            )
        )
    return section("overview", "Overview", "h2", *parts, _verdicts(gathered.tables))


def cell_counts(tables: Sequence[Compared]) -> Counter[str]:
    """Printed numbers by verdict; a row printed in two tables counts in both."""
    return sum((table.report.verdicts for table in tables), Counter())


def claim_counts(tables: Sequence[Compared]) -> Counter[str]:
    """Claims by verdict."""
    return Counter(result.verdict for table in tables for result in table.report.claims)


def findings(gathered: Gathered) -> list[str]:
    """What the page says, in sentences; each is counted from the data."""
    cells, claims = cell_counts(gathered.tables), claim_counts(gathered.tables)
    total, judged = sum(cells.values()), sum(cells[verdict] for verdict in JUDGED)
    sentences = [_runs_sentence(gathered)]
    if judged:
        said = ", ".join(f"{cells[verdict]} {verdict}" for verdict in JUDGED if cells[verdict])
        others = ", ".join(
            f"{count} {verdict}" for verdict, count in cells.most_common() if verdict not in JUDGED
        )
        sentences.append(
            f"Of {plural(total, 'printed number')}, {judged} {'is' if judged == 1 else 'are'} judged: {said}. "
            + (f"The others: {others}." if others else "")
        )
    else:
        said = ", ".join(f"{count} {verdict}" for verdict, count in cells.most_common())
        sentences.append(f"None of the {plural(total, 'printed number')} is judged: {said}.")
    if cells[NOT_COMPARABLE]:
        sentences.append(
            f"{cells[NOT_COMPARABLE]} may not be compared, most often for this reason: {_commonest(gathered.tables)}."
        )
    if claims:
        tested = sum(claims.values()) - claims["no data"]
        said = ", ".join(
            f"{claims[verdict]} {verdict}"
            for verdict in CLAIM_VERDICTS
            if claims[verdict] and verdict != "no data"
        )
        what = f"{tested} could be looked at" + (f": {said}." if tested else ".")
        sentences.append(f"Of {plural(sum(claims.values()), 'claim')} of the paper, {what}")
    if any(table.report.stand_in for table in gathered.tables) and gathered.runs:
        pairs = dict.fromkeys(pair for table in gathered.tables for pair in table.report.stand_in.items())
        said = "; ".join(f"{ours} stands in for {theirs}" for theirs, ours in pairs)
        sentences.append(f"Here {said}: directions can be looked at, the printed numbers cannot be expected.")
    dirty = [one.run.cell for one in gathered.runs if one.run.dirty]
    if dirty:
        sentences.append(
            f"{len(dirty)} of {plural(len(gathered.runs), 'run')} were made with uncommitted changes."
        )
    return sentences


def _runs_sentence(gathered: Gathered) -> str:
    runs = gathered.runs
    if not runs:
        asked = f" with seeds {', '.join(map(str, gathered.seeds))}" if gathered.seeds is not None else ""
        return f"There are no runs{asked} in {gathered.source} yet: below is what the paper prints, and what can be counted without runs."
    seeds, arms = sorted({one.run.seed for one in runs}), dict.fromkeys(one.arm for one in runs)
    backbones = dict.fromkeys(one.run.identity.backbone for one in runs)
    seeded = f"{'seed' if len(seeds) == 1 else 'seeds'} {listed(list(map(str, seeds)), 12)}"
    return (
        f"{plural(len(runs), 'run')} of profile {gathered.profile}: {listed(list(backbones))}; "
        f"{plural(len(arms), 'arm')} ({listed(list(arms), 10)}); {seeded}."
    )


def _commonest(tables: Sequence[Compared]) -> str:
    """The commonest reason for "not comparable"."""
    reasons = Counter(
        cell.reason
        for table in tables
        for cell in table.report.cells
        if cell.verdict == NOT_COMPARABLE and cell.reason
    )
    return reasons.most_common(1)[0][0] if reasons else "not recorded"


def _tiles(gathered: Gathered) -> list[Markup]:
    cells, claims = cell_counts(gathered.tables), claim_counts(gathered.tables)
    judged = sum(cells[verdict] for verdict in JUDGED)
    kept = cells[REPRODUCED] + cells[EXACT]
    looked = f"{sum(claims.values()) - claims['no data']} looked at, {claims['contradicted']} contradicted"
    return [
        _tile(
            f"{kept} / {judged}",
            "judged numbers reproduced",
            f"of {sum(cells.values())} that the paper prints",
        ),
        _tile(
            f"{cells[NOT_REPRODUCED] + cells[DIFFERS]}",
            "not reproduced",
            f"{cells[INCONCLUSIVE]} inconclusive",
        ),
        _tile(f"{claims['upheld']} / {sum(claims.values())}", "claims upheld", looked),
        _tile(
            f"{len(gathered.runs)}",
            "run" if len(gathered.runs) == 1 else "runs",
            f"profile {gathered.profile}",
        ),
    ]


def _tile(figure_: str, what: str, more: str) -> Markup:
    return tag("p", tag("strong", figure_), " ", tag("span", what), " ", tag("small", more), class_="tile")


def _verdicts(tables: Sequence[Compared]) -> Markup:
    rows, lines = [], []
    known = [verdict for verdict in VERDICTS if any(table.report.verdicts[verdict] for table in tables)]
    for table in tables:
        counts = table.report.verdicts
        parts = [(verdict, counts[verdict], VERDICTS[verdict]) for verdict in VERDICTS]
        said = ", ".join(f"{count} {verdict}" for verdict, count, _ in parts if count)
        upheld = f"{sum(result.verdict == 'upheld' for result in table.report.claims)} of {len(table.report.claims)}"
        bar = stacked_bar(f"verdicts-{table.key}", f"{table.name}: verdicts", said, parts)
        link = tag("a", table.name, href=f"#table-{table.key}")
        claims = tag(
            "span", f"claims upheld: {upheld}" if table.report.claims else "no claims", class_="quiet"
        )
        rows.append(
            tag(
                "li",
                tag("span", link, class_="name"),
                bar,
                tag("span", _counted(parts), class_="said"),
                claims,
            )
        )
        lines.append(
            [table.name, *(str(counts[verdict]) for verdict in known), upheld if table.report.claims else "–"]
        )
    total = cell_counts(tables)
    upheld_all = sum(result.verdict == "upheld" for table in tables for result in table.report.claims)
    of_all = sum(len(table.report.claims) for table in tables)
    lines.append(["all", *(str(total[verdict]) for verdict in known), f"{upheld_all} of {of_all}"])
    data = as_table("Verdicts by table", ("table", *known, "claims upheld"), lines)
    return figure(
        "verdicts",
        "Verdicts, table by table",
        tag("ul", *rows, class_="verdicts"),
        heading="h3",
        reading=READING,
        data=data,
    )


def _counted(parts: Sequence[tuple[str, int, str]]) -> Markup:
    said = [
        tag("span", f"{count} {verdict}", class_=f"count {kind}") for verdict, count, kind in parts if count
    ]
    return join(said, " ")
