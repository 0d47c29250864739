"""A made-up paper in the documented schema: true numbers are drawn, everything that is printed is rounded
from them, on its own.

So a printed average is not the mean of the printed cells but what their unrounded numbers give, as in a real
paper that is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

IN, OUT = ("ant", "bee", "cow", "dog", "eel", "fox"), ("gnu", "hen", "ibex", "jay")
BACKBONES = {"otter-base": 70.0, "otter-large": 75.0, "otter-small": 66.0}
ARMS = {"plain": 0.0, "mask": 1.2, "bmt": 2.6}
ADAPTERS = {"plain": 0.9, "bmt": 3.4}
KS = (16, 64, 256)
AVG = "Avg."
Scores = dict[str, np.ndarray]


@dataclass
class MadePaper:
    """tables by id and claims, as plain values of the schema: change them, then `write`."""

    tables: dict[str, dict[str, Any]]
    claims: list[dict[str, Any]]

    def row(self, table: str, row: str) -> dict[str, Any]:
        return next(entry for entry in self.tables[table]["rows"] if entry["row"] == row)

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            (folder / f"table_{name}.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
        (folder / "claims.yaml").write_text(yaml.safe_dump({"claims": self.claims}, sort_keys=False))
        return folder


def make_paper(seed: int) -> MadePaper:
    """Six tables and their claims: arms with arrows (1, 6), EM and F1 (2), literature (3), few-shot (4),
    parameters (5).
    """
    rng = np.random.default_rng(seed)
    width = {name: int(rng.integers(1, 3)) for name in "12346"}
    truth = _truth(rng)
    tables = {
        "1": _scores(
            "1",
            width["1"],
            IN,
            ["F1"],
            [_ours(f"{b}.{arm}", b, arm) for b in BACKBONES for arm in ARMS],
            truth,
        ),
        "2": _scores(
            "2", width["2"], IN, ["EM", "F1"], [_ours(*who) for b in BACKBONES for who in _adapted(b)], truth
        ),
        "3": _scores(
            "3",
            width["3"],
            IN,
            ["F1"],
            [*map(_literature, SYSTEMS), _ours("otter-base.bmt", "otter-base", "bmt")],
            truth,
        ),
        "4": _scores(
            "4",
            width["4"],
            OUT,
            ["EM", "F1"],
            [_ours(*who, k) for k in KS for who in _adapted("otter-base")[1:]],
            truth,
        ),
        "5": _facts(rng),
        "6": _scores(
            "6",
            width["6"],
            OUT,
            ["F1"],
            [_ours(f"{b}.{arm}", b, arm) for b in BACKBONES for arm in ARMS],
            truth,
        ),
    }
    for name, first in (
        ("1", False),
        ("6", True),
    ):  # arrows over the next row above, and over the first of the model
        for index, row in enumerate(tables[name]["rows"]):
            if index % len(ARMS):
                base = tables[name]["rows"][index - index % len(ARMS) if first else index - 1]["row"]
                gain = truth[name, row["row"]]["F1"].mean() - truth[name, base]["F1"].mean()
                row["printed_gain"] = round(float(gain), width[name])
    return MadePaper(tables, _claims(tables, truth, rng))


SYSTEMS = (
    "Heron_base",
    "Heron_large",
    "Ibis-tiny",
    "Stork (Heron-base)",
    "Crane (Otter-base)",
    "Multi-Task Ibis-small",
    "Rail-base",
    "Coot-base",
)


def _truth(rng: np.random.Generator) -> dict[tuple[str, str], Scores]:
    """Unrounded scores by (table, row); the same where a row is printed in several tables over the same
    datasets.
    """
    inside, outside = rng.normal(0, 5, len(IN)), rng.normal(-8, 5, len(OUT))
    found: dict[tuple[str, str], Scores] = {}

    def draw(level: float, columns: np.ndarray, noise: float = 0.3) -> Scores:
        f1 = level + columns + rng.normal(0, noise, len(columns))
        return {"F1": f1, "EM": f1 - rng.uniform(4, 15, len(columns))}

    for backbone, level in BACKBONES.items():
        for arm, effect in ARMS.items():
            found["1", f"{backbone}.{arm}"] = draw(level + effect, inside)
            found["6", f"{backbone}.{arm}"] = draw(level + effect, outside)
    found["3", "otter-base.bmt"] = found["1", "otter-base.bmt"]
    for backbone, level in BACKBONES.items():
        found["2", f"{backbone}.bmt"] = found["1", f"{backbone}.bmt"]
        for arm, effect in ADAPTERS.items():
            found["2", f"{backbone}.{arm}.adapter"] = draw(level + effect, inside)
    for arm, effect in ADAPTERS.items():
        name = f"otter-base.{arm}.adapter"
        scores = draw(BACKBONES["otter-base"] + effect, outside)
        for k in KS:
            scores = {metric: values + rng.uniform(0.0, 3.0, len(OUT)) for metric, values in scores.items()}
            scores["EM"] = np.minimum(scores["EM"], scores["F1"])
            found["4", f"{name}.k{k}"] = scores
    for name in SYSTEMS:
        found["3", name.lower()] = draw(float(rng.uniform(60, 72)), inside, 1.0)
    return found


def _adapted(backbone: str) -> tuple[tuple[str, str, str, bool], ...]:
    """(row, backbone, arm, adapter) of BMT, and of both arms with adapters."""
    rows = (("bmt", False), *((arm, True) for arm in ADAPTERS))
    return tuple(
        (f"{backbone}.{arm}{'.adapter' if adapter else ''}", backbone, arm, adapter) for arm, adapter in rows
    )


def _ours(row: str, backbone: str, arm: str, adapter: bool = False, k: int | None = None) -> dict[str, Any]:
    label = f"MT(w/ {arm}{', w/ adapter' if adapter else ''})"
    entry: dict[str, Any] = {
        "row": row if k is None else f"{row}.k{k}",
        "model": backbone.capitalize(),
        "arm": label,
    }
    entry["ours"] = {"backbone": backbone, "regime": "mt", "arm": arm, "adapter": adapter}
    return entry if k is None else entry | {"K": k}


def _literature(system: str) -> dict[str, Any]:
    return {"row": system.lower(), "model": system, "arm": None, "ours": "literature"}


def _scores(
    table: str,
    decimals: int,
    datasets: tuple[str, ...],
    metrics: list[str],
    rows: list[dict[str, Any]],
    truth: dict[tuple[str, str], Scores],
) -> dict[str, Any]:
    for row in rows:
        row["values"] = {}
        for metric in metrics:
            numbers = truth[table, row["row"]][metric]
            cells = {
                name.upper(): round(float(number), decimals)
                for name, number in zip(datasets, numbers, strict=True)
            }
            row["values"][metric] = cells | {AVG: round(float(numbers.mean()), decimals)}
    columns = {name.upper(): name for name in datasets}
    head = {
        "table": table,
        "caption": f"Scores {table}.",
        "where": "section 4",
        "kind": "scores",
        "metrics": metrics,
        "unit": "percent",
    }
    return head | {"decimals": decimals, "columns": columns, "average": AVG, "rows": rows}


def _facts(rng: np.random.Generator) -> dict[str, Any]:
    rows = []
    for row, backbone, arm, adapter in (
        ("otter-base.plain", "otter-base", "plain", False),
        *_adapted("otter-base"),
    ):
        total = float(rng.uniform(100, 150))
        trained = total * float(rng.uniform(0.01, 0.1)) if adapter else total
        entry = _ours(row, backbone, arm, adapter)
        values = {
            "total_M": round(total, 1),
            "trainable_M": round(trained, 1),
            "trainable_pct": round(100 * trained / total, 1),
        }
        rows.append(entry | {"values": values})
    head = {"table": "5", "caption": "Parameters.", "where": "section 4", "kind": "facts", "decimals": 1}
    return head | {"metrics": ["total_M", "trainable_M", "trainable_pct"], "rows": rows}


def _claims(
    tables: dict[str, dict[str, Any]], truth: dict[tuple[str, str], Scores], rng: np.random.Generator
) -> list[dict[str, Any]]:
    """Sentences true of the unrounded numbers: sizes, directions, quoted pairs, contrasts, spread."""
    claims: list[dict[str, Any]] = []

    def mean(table: str, row: str) -> float:
        return float(truth[table, row]["F1"].mean())

    def add(name: str, table: str, a: str, b: str, quote: str, **more: Any) -> None:
        base = {
            "id": name,
            "table": table,
            "section": "4.2",
            "quote": quote,
            "a": a,
            "b": b,
            "metric": "F1",
            "over": "average",
        }
        claims.append(base | {"direction": "greater"} | more)

    for table in "16":
        for backbone in BACKBONES:
            a, b = f"{backbone}.bmt", f"{backbone}.plain"
            size = round(mean(table, a) - mean(table, b), 1)
            add(
                f"size-{table}-{backbone}",
                table,
                a,
                b,
                f"BMT improves {backbone} by {size} points in Table {table}.",
                size=size,
            )
    for backbone in BACKBONES:
        a, b = f"{backbone}.bmt.adapter", f"{backbone}.plain.adapter"
        one, other = (dict(zip(IN, truth["2", row]["F1"], strict=True)) for row in (a, b))
        for dataset in IN:
            direction = "greater" if one[dataset] > other[dataset] else "less"
            add(
                f"each-{backbone}-{dataset}",
                "2",
                a,
                b,
                f"{backbone} on {dataset}",
                over=dataset,
                direction=direction,
            )
    for name, table, a, b in (
        ("vs", "2", "otter-base.bmt.adapter", "otter-base.plain.adapter"),
        ("from", "4", "otter-base.bmt.adapter.k256", "otter-base.bmt.adapter.k16"),
    ):
        high, low = (
            next(row for row in tables[table]["rows"] if row["row"] == which)["values"]["F1"][AVG]
            for which in (a, b)
        )
        high, low = f"{high:.{tables[table]['decimals']}f}", f"{low:.{tables[table]['decimals']}f}"
        add(
            f"pair-{name}",
            table,
            a,
            b,
            f"better ({high} vs. {low})" if name == "vs" else f"average F1 rises from {low} to {high}.",
        )
    early, late = (
        mean("4", f"otter-base.bmt.adapter.k{k}") - mean("4", f"otter-base.plain.adapter.k{k}")
        for k in (16, 256)
    )
    width = tables["4"]["decimals"]
    gaps = {
        "a": "otter-base.bmt.adapter.k256",
        "b": "otter-base.plain.adapter.k256",
        "than": {"a": "otter-base.bmt.adapter.k16", "b": "otter-base.plain.adapter.k16"},
    }
    quote = f"the gap goes from {abs(early):.{width}f} points to {abs(late):.{width}f} points"
    add("gap", "4", quote=quote, direction="greater" if late > early else "less", **gaps)
    spreads = [float(truth["1", f"otter-base.{arm}"]["F1"].std(ddof=1)) for arm in ("bmt", "plain")]
    claims.append(
        {
            "id": "spread",
            "table": "1",
            "section": "1",
            "quote": "balanced",
            "a": "otter-base.bmt",
            "b": "otter-base.plain",
            "metric": "spread.F1",
            "direction": "less" if spreads[0] < spreads[1] else "greater",
        }
    )
    near = abs(mean("1", "otter-base.bmt") - mean("2", "otter-base.plain.adapter"))
    add(
        "near",
        "2",
        "otter-base.bmt",
        "otter-base.plain.adapter",
        "comparable",
        direction="comparable",
        size=round(near, 1) + 0.1,
    )
    add("larger", "1", "otter-large.bmt", "otter-base.bmt", "the larger model is better")
    fewer = {"metric": "trainable_M", "direction": "less", "over": None}
    add(
        "fewer",
        "5",
        "otter-base.plain.adapter",
        "otter-base.plain",
        "adapters train fewer parameters",
        **fewer,
    )
    crane = "crane (otter-base)"  # literature of the same backbone, as its label says
    direction = "greater" if mean("3", "otter-base.bmt") > mean("3", crane) else "less"
    add("crane", "3", "otter-base.bmt", crane, "against Crane", direction=direction)
    for claim in claims:
        if claim.get("over", "") is None:
            del claim["over"]
    order = rng.permutation(len(claims))
    return [claims[int(index)] for index in order]
