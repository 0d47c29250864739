"""The documented JSON of a compared table, key by key: each figure stands under its own name."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.mask_density import Density
from benchmark.comparison.matching import Match
from benchmark.comparison.report import CellResult, TableReport
from benchmark.comparison.report_json import to_data, to_json
from benchmark.paper.tables import Claim, Ours, References, Row, Table
from benchmark.runs.results import Fault
from benchmark.statistics.paired import Interval

SHOTS = Ours("m", "mt", "none", True)
ROW = Row("r", "Model", "MT(w/ x)", SHOTS, {}, K=16, p_f=0.3, note="odd")
PLAIN = Row("q", "Other", None, None, {})
MATCH = Match(ROW, "one", "EM", 50.25, 2, None, "", (51.0, 53.0), (0, 2), ("a.s0", "a.s2"))
JUDGED = CellResult(
    "reproduced", "why", 52.0, 1.5, 2, 1.75, (48.0, 56.0), (-0.5, 4.0), 0.6, 2.5, 0.04, 7, match=MATCH
)
EMPTY = CellResult("literature", "", match=Match(PLAIN, "", "F1", None, 1, "literature"))
REFERENCES = References("src", "F1", {"label": "what"}, {"Sys": {"label": 1.0}})
TABLE = Table(
    "a10", "Cap.", "4", "Notes.", "scores", ("EM",), {"EM": 2}, {}, None, (PLAIN, ROW), references=REFERENCES
)
GAIN = Claim(
    "g", "a10", "4.2", "Quote.", "r", "q", "EM", "one", "less", 1.2, ("s", "t"), "as read", (("1", "x"),)
)
BARE = Claim("b", "a10", "1", "Other.", "q", "r", "EM", None, "greater")
INTERVAL = Interval(-1.5, -2.5, -0.5, 0.01, 3, "crossed", 0.4, 4.0, 0.3, 0.2)
TESTED = ClaimResult(
    "upheld", "because", 0.02, 5, 1.25, claim=GAIN, paper_delta=-1.2, interval=INTERVAL, note="over 1 of 2"
)
UNTESTED = ClaimResult("no data", "no run", claim=BARE, paper_delta=None, interval=None)
CONDITIONAL = ClaimResult(
    "no verdict", "one seed", claim=BARE, paper_delta=0.0, interval=Interval(0.0, None, None, None, 1, "one")
)


def report(**changes: Any) -> TableReport:
    fields: dict[str, Any] = {
        "title": "Paper et al.",
        "table": TABLE,
        "profile": "mini",
        "source": "results/mini",
        "seeds": (0, 2),
        "stand_in": {"m": "n"},
        "cells": (JUDGED, EMPTY, EMPTY),
        "claims": (TESTED, UNTESTED),
        "second_readings": (JUDGED,),
        "densities": {"r": Density({"one": 0.25}, 0.96)},
        "faults": (Fault("x.json", "no JSON"),),
        "assumptions": ("assumed",),
        "notes": ("noted",),
        "signs": (2, 3),
        "effect_ratio": 0.75,
        "tau_b": -0.5,
    }
    return TableReport(**fields | changes)


def test_a_cell_has_its_figures_under_their_names() -> None:
    judged, empty, _ = to_data(report())["cells"]
    assert judged == {
        "row": "r",
        "model": "Model",
        "arm": "MT(w/ x)",
        "K": 16,
        "p_f": 0.3,
        "dataset": "one",
        "metric": "EM",
        "paper": 50.25,
        "ours_mean": 52.0,
        "ours_sd": 1.5,
        "n": 2,
        "delta": 1.75,
        "pi95": (48.0, 56.0),
        "ci90": (-0.5, 4.0),
        "cv_star": 2.5,
        "p_holm": 0.04,
        "verdict": "reproduced",
        "reason": "why",
        "runs": ("a.s0", "a.s2"),
    }
    named = ("row", "model", "metric", "verdict", "reason", "n", "runs")
    assert {key: empty[key] for key in named} == {
        "row": "q",
        "model": "Other",
        "metric": "F1",
        "verdict": "literature",
        "reason": "",
        "n": 0,
        "runs": (),
    }
    assert all(value is None for key, value in empty.items() if key not in named)


def test_a_claim_has_its_figures_under_their_names() -> None:
    tested, untested, conditional = to_data(report(claims=(TESTED, UNTESTED, CONDITIONAL)))["claims"]
    assert tested == {
        "id": "g",
        "quote": "Quote.",
        "paper_delta": -1.2,
        "our_delta": -1.5,
        "ci95": [-2.5, -0.5],
        "p": 0.01,
        "verdict": "upheld",
        "seeds_needed": 5,
    }
    at_zero = replace(TESTED, interval=replace(INTERVAL, low=0.0))
    assert to_data(report(claims=(at_zero,)))["claims"][0]["ci95"] == [0.0, -0.5]
    nothing = dict.fromkeys(("paper_delta", "our_delta", "ci95", "p", "seeds_needed"))
    assert untested == {"id": "b", "quote": "Other.", "verdict": "no data"} | nothing
    assert conditional == {"id": "b", "quote": "Other.", "verdict": "no verdict"} | nothing | {
        "paper_delta": 0.0,
        "our_delta": 0.0,
    }


def test_the_summary_has_its_figures_under_their_names() -> None:
    summary = to_data(report())["summary"]
    second = summary.pop("second_readings")
    assert [(entry.pop("arm"), entry["row"], entry["delta"]) for entry in second] == [("none", "r", 1.75)]
    assert summary == {
        "format": 1,
        "paper": "Paper et al.",
        "caption": "Cap.",
        "source": "results/mini",
        "seeds": (0, 2),
        "stand_in": {"m": "n"},
        "verdicts": {"literature": 2, "reproduced": 1},
        "claims_upheld": [1, 2],
        "claim_details": {
            "g": {
                "section": "4.2",
                "a": "r",
                "b": "q",
                "than": ("s", "t"),
                "metric": "EM",
                "over": "one",
                "direction": "less",
                "size": 1.2,
                "reading": "as read",
                "reason": "because",
                "note": "over 1 of 2",
                "p_holm": 0.02,
                "effect_ratio": 1.25,
                "seeds": 3,
                "method": "crossed",
            },
            "b": {
                "section": "1",
                "a": "q",
                "b": "r",
                "than": None,
                "metric": "EM",
                "over": None,
                "direction": "greater",
                "size": None,
                "reading": "",
                "reason": "no run",
                "note": "",
                "p_holm": None,
                "effect_ratio": None,
                "seeds": None,
                "method": None,
            },
        },
        "sign_agreement": (2, 3),
        "effect_ratio": 0.75,
        "kendall_tau_b": -0.5,
        "density": {"r": {"by_dataset": {"one": 0.25}, "union": 0.96, "nearly_inactive": True}},
        "unreadable": ["x.json: no JSON"],
        "references": {
            "source": "src",
            "metric": "F1",
            "columns": {"label": "what"},
            "values": {"Sys": {"label": 1.0}},
        },
        "printed": {"notes": "Notes.", "rows": {"r": "odd"}},
        "assumptions": ("assumed",),
        "notes": ("noted",),
    }
    assert list(summary["verdicts"]) == sorted(summary["verdicts"])


def test_the_text_is_that_object_in_utf_8_and_no_number_is_nan() -> None:
    made = report(profile="größe")
    text = to_json(made)
    assert text.endswith("}\n") and "größe" in text and text.startswith('{\n "table": "a10"')
    assert json.loads(text) == json.loads(json.dumps(to_data(made)))
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(report(tau_b=float("nan")))
    assert to_data(report(effect_ratio=None, table=Table(*TABLE_FIELDS)))["summary"]["references"] is None


TABLE_FIELDS: tuple[Any, ...] = ("1", "", "", "", "scores", ("EM",), {"EM": 1}, {}, None, (ROW, PLAIN))


def test_cells_are_grouped_by_the_paper_s_rows_in_their_order() -> None:
    """Whatever the order of the cells, and also where a row has none."""
    grouped = report(cells=(JUDGED, EMPTY, JUDGED)).by_row
    assert [(row.row, cells) for row, cells in grouped] == [("q", [EMPTY]), ("r", [JUDGED, JUDGED])]
    assert [len(cells) for _, cells in report(cells=()).by_row] == [0, 0]
