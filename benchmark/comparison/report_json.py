"""The documented JSON of a compared table (docs/compare.md): stable keys, null where there is no figure."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.report import CellResult, TableReport

FORMAT = 1


def to_json(report: TableReport) -> str:
    """The report as indented JSON with a final newline; NaN and infinities cannot occur (ValueError)."""
    return json.dumps(to_data(report), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_data(report: TableReport) -> dict[str, Any]:
    """The report as plain values."""
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
            "seeds": report.seeds,
            "stand_in": report.stand_in,
            "verdicts": dict(sorted(report.verdicts.items())),
            "claims_upheld": [report.claim_verdicts["upheld"], len(report.claims)],
            "claim_details": {result.claim.id: _details(result) for result in report.claims},
            "sign_agreement": report.signs,
            "effect_ratio": report.effect_ratio,
            "kendall_tau_b": report.tau_b,
            "density": {
                row: asdict(density) | {"nearly_inactive": density.nearly_inactive}
                for row, density in report.densities.items()
            },
            "second_readings": [
                _cell(cell) | {"arm": cell.match.row.ours.arm}
                for cell in report.second_readings
                if cell.match.row.ours
            ],
            "unreadable": [str(fault) for fault in report.faults],
            "references": asdict(report.table.references) if report.table.references else None,
            "printed": {
                "notes": report.table.notes,
                "rows": {row.row: row.note for row in report.table.rows if row.note},
            },
            "assumptions": report.assumptions,
            "notes": report.notes,
        },
    }


def _cell(cell: CellResult) -> dict[str, Any]:
    match, row = cell.match, cell.match.row
    return {
        "row": row.row,
        "model": row.model,
        "arm": row.arm,
        "K": row.K,
        "p_f": row.p_f,
        "dataset": match.dataset or None,
        "metric": match.metric,
        "paper": match.published,
        "ours_mean": cell.mean,
        "ours_sd": cell.sd,
        "n": cell.n,
        "delta": cell.delta,
        "pi95": cell.pi95,
        "ci90": cell.ci90,
        "cv_star": cell.cv_star,
        "p_holm": cell.p_holm,
        "verdict": cell.verdict,
        "reason": cell.reason,
        "runs": match.runs,
    }


def _claim(result: ClaimResult) -> dict[str, Any]:
    figures = asdict(result.interval) if result.interval else {}
    low, high = figures.get("low"), figures.get("high")
    return {
        "id": result.claim.id,
        "quote": result.claim.quote,
        "paper_delta": result.paper_delta,
        "our_delta": figures.get("estimate"),
        "ci95": None if low is None else [low, high],
        "p": figures.get("p"),
        "verdict": result.verdict,
        "seeds_needed": result.seeds_needed,
    }


def _details(result: ClaimResult) -> dict[str, Any]:
    claim, interval = result.claim, result.interval
    return {
        "section": claim.section,
        "a": claim.a,
        "b": claim.b,
        "than": claim.than,
        "metric": claim.metric,
        "over": claim.over,
        "direction": claim.direction,
        "size": claim.size,
        "reading": claim.reading,
        "reason": result.reason,
        "note": result.note,
        "p_holm": result.p_holm,
        "effect_ratio": result.effect_ratio,
        "seeds": interval and interval.n_seeds,
        "method": interval and interval.method,
    }
