"""The documented JSON of a compared table (docs/compare.md): stable keys, null where there is no figure."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.report import CellResult, TableReport
from benchmark.paper.tables import References

FORMAT = 1


def to_json(report: TableReport) -> str:
    """The report as indented JSON with a final newline; NaN and infinities cannot occur (ValueError)."""
    return json.dumps(to_data(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_data(report: TableReport) -> dict[str, Any]:
    """The report as plain values."""
    upheld = sum(result.verdict == "upheld" for result in report.claims)
    return {
        "table": report.table.table,
        "profile": report.profile,
        "cells": [_cell(cell) for cell in report.cells],
        "claims": [_claim(result) for result in report.claims],
        "summary": {
            "format": FORMAT,
            "paper": report.title,
            "caption": report.table.caption,
            "source": report.source,
            "seeds": list(report.seeds),
            "stand_in": report.stand_in,
            "verdicts": dict(sorted(report.verdicts.items())),
            "claims_upheld": [upheld, len(report.claims)],
            "claim_details": {result.claim.id: _details(result) for result in report.claims},
            "sign_agreement": list(report.signs),
            "effect_ratio": report.effect_ratio,
            "kendall_tau_b": report.tau_b,
            "density": {
                row: {
                    "by_dataset": density.by_dataset,
                    "union": density.union,
                    "nearly_inactive": density.nearly_inactive,
                }
                for row, density in report.densities.items()
            },
            "second_readings": [
                _cell(cell) | {"arm": cell.match.row.ours.arm}
                for cell in report.second_readings
                if cell.match.row.ours
            ],
            "unreadable": [str(fault) for fault in report.faults],
            "references": _references(report.table.references),
            "printed": {
                "notes": report.table.notes,
                "rows": {row.row: row.note for row in report.table.rows if row.note},
            },
            "assumptions": list(report.assumptions),
            "notes": list(report.notes),
        },
    }


def _references(references: References | None) -> dict[str, Any] | None:
    """Systems published elsewhere; no cell, no verdict and no average has them."""
    return None if references is None else asdict(references)


def _cell(cell: CellResult) -> dict[str, Any]:
    match = cell.match
    return {
        "row": match.row.row,
        "model": match.row.model,
        "arm": match.row.arm,
        "K": match.row.K,
        "p_f": match.row.p_f,
        "dataset": match.dataset or None,
        "metric": match.metric,
        "paper": match.published,
        "ours_mean": cell.mean,
        "ours_sd": cell.sd,
        "n": cell.n,
        "delta": cell.delta,
        "pi95": _pair(cell.pi95),
        "ci90": _pair(cell.ci90),
        "cv_star": cell.cv_star,
        "p_holm": cell.p_holm,
        "verdict": cell.verdict,
        "reason": cell.reason,
        "runs": list(match.runs),
    }


def _claim(result: ClaimResult) -> dict[str, Any]:
    interval = result.interval
    return {
        "id": result.claim.id,
        "quote": result.claim.quote,
        "paper_delta": result.paper_delta,
        "our_delta": None if interval is None else interval.estimate,
        "ci95": None
        if interval is None or interval.low is None or interval.high is None
        else [interval.low, interval.high],
        "p": None if interval is None else interval.p,
        "verdict": result.verdict,
        "seeds_needed": result.seeds_needed,
    }


def _details(result: ClaimResult) -> dict[str, Any]:
    claim, interval = result.claim, result.interval
    return {
        "section": claim.section,
        "a": claim.a,
        "b": claim.b,
        "than": list(claim.than) if claim.than else None,
        "metric": claim.metric,
        "over": claim.over,
        "direction": claim.direction,
        "size": claim.size,
        "reading": claim.reading,
        "reason": result.reason,
        "note": result.note,
        "p_holm": result.p_holm,
        "effect_ratio": result.effect_ratio,
        "seeds": None if interval is None else interval.n_seeds,
        "method": None if interval is None else interval.method,
    }


def _pair(bounds: tuple[float, float] | None) -> list[float] | None:
    return None if bounds is None else list(bounds)
