"""Sentences against the printed cells: directions and sizes that are stated, numbers that are quoted, gains
that mix backbones.
"""

from __future__ import annotations

import re
from fractions import Fraction

from benchmark.paper.tables import SPREAD, Claim, Paper, Row, Table
from benchmark.paper_audit.backbones import same_backbone
from benchmark.paper_audit.findings import BEYOND, IMPLAUSIBLE, Audit, Place, label_of
from benchmark.paper_audit.printed_numbers import Span, between, cell, printed, shown, spread, stated

_NUMBER = r"(\d+\.\d+)\s*(?:points?|%)?"
PAIRS = re.compile(rf"{_NUMBER}\s*(?:vs\.?|versus)\s*{_NUMBER}|from\s+{_NUMBER}\s+to\s+{_NUMBER}")
"""`82.9 vs. 81.1`, `from 63.3 to 63.8`, `from 0.5 points to 1.2 points`."""


def audit_claims(paper: Paper, audit: Audit) -> None:
    """The printed cells do not contradict a sentence: its direction, and the size that it states, to
    rounding.

    A sentence whose cells are equal as printed is not contradicted: rounding can hide the difference.
    "Comparable" is contradicted only where the sentence says within what. Sentences about what no table
    prints (the deviation of weights) are not looked at.
    """
    for claim in paper.claims:
        sides = _sides(paper, claim)
        if sides is None:
            continue
        audit.look("claim")
        delta = _delta(sides)
        if _contradicted(claim, delta):
            digits = paper.row(claim, claim.a)[0].decimals[claim.metric.removeprefix(SPREAD)]
            text = f"{_cells(paper, claim, sides)}: a difference of {between(delta, digits, sign=True)}"
            _find(paper, claim, "claim", _words(paper, claim), text, audit)


def audit_quotes(paper: Paper, audit: Audit) -> None:
    """Two numbers that a sentence sets side by side are the printed ones of its rows; in a claim about gains,
    the two gains.

    Pairs written with other decimals than the cells are about something else. Of claims that share a
    sentence, one has to fit.
    """
    by_quote: dict[tuple[str, str], list[Claim]] = {}
    for claim in paper.claims:
        for section, quote in ((claim.section, claim.quote), *claim.also):
            by_quote.setdefault((section, quote), []).append(claim)
    for (section, quote), claims in by_quote.items():
        for match in PAIRS.finditer(quote):
            pair = sorted((text for text in match.groups() if text), key=float)
            digits = {_digits(text) for text in pair}
            fits = [
                (claim, sides)
                for claim in claims
                if (sides := _sides(paper, claim)) and {_decimals(paper, claim)} == digits
            ]
            if not fits:
                continue
            audit.look("quote")
            if not any(_same_pair(pair, sides) for _, sides in fits):
                claim, sides = fits[0]
                quoted, text = f"“{match.group(0).strip()}”", _cells(paper, claim, sides)
                _find(paper, claim, "quote", quoted, text, audit, (section, quote))


def audit_backbones(paper: Paper, audit: Audit) -> None:
    """A gain that a sentence credits to a method is one between rows of the same backbone.

    Rows whose arm is the same are about the backbone itself, and may differ in it. A finding a pair of rows
    and sentence.
    """
    seen: set[tuple[str, str, str, str]] = set()
    for claim in paper.claims:
        for a_id, b_id in ((claim.a, claim.b), *([claim.than] if claim.than else [])):
            key = (claim.table, a_id, b_id, claim.quote)
            (table, a), (_, b) = paper.row(claim, a_id), paper.row(claim, b_id)
            if table.kind != "scores" or claim.direction == "comparable" or key in seen or a.arm == b.arm:
                continue
            seen.add(key)
            audit.look("backbone")
            if not same_backbone(a, b):
                sides = _sides(paper, claim)
                gain = ""
                if sides and not claim.than:
                    gain = f"{shown(_delta(sides).middle, _decimals(paper, claim), sign=True)} "
                text = (
                    f"the difference {gain}is one from {label_of(b)} to {label_of(a)}: "
                    "backbone and method change together"
                )
                _find(paper, claim, "backbone", _words(paper, claim), text, audit)


def _sides(paper: Paper, claim: Claim) -> list[Span] | None:
    """The printed numbers of the claim's rows, or None where one of them is not printed."""
    spans = [_number(claim, *place) for place in paper.rows(claim)]
    there = [span for span in spans if span]
    return there if len(there) == len(spans) else None


def _number(claim: Claim, table: Table, row: Row) -> Span | None:
    """A row's printed number that a claim is about; the spread over datasets from the printed cells."""
    metric = claim.metric.removeprefix(SPREAD)
    if metric not in row.values:
        return None
    if metric == claim.metric:
        return cell(table, row, metric, claim.over or "")
    spans = [cell(table, row, metric, dataset) for dataset in table.datasets]
    there = [span for span in spans if span]
    return spread(there) if len(there) == len(spans) > 1 else None


def _delta(sides: list[Span]) -> Span:
    """a - b, less than.a - than.b."""
    gain = sides[0] - sides[1]
    return gain - (sides[2] - sides[3]) if len(sides) == 4 else gain


def _contradicted(claim: Claim, delta: Span) -> bool:
    """Whether the cells contradict direction or size, whatever was rounded away."""
    size = None if claim.size is None else stated(claim.size)
    if claim.direction == "comparable":
        return size is not None and max(delta.low, -delta.high) > size.high
    gain = delta if claim.direction == "greater" else -delta
    return gain.high <= 0 or (size is not None and not size.meets(gain))


def _same_pair(pair: list[str], sides: list[Span]) -> bool:
    """Whether two quoted numbers, the smaller first, are those of the rows as printed, or the sizes of two
    gains to rounding.
    """
    if len(sides) == 2:
        return [Fraction(text) for text in pair] == sorted(side.middle for side in sides)
    gains = [gain if gain.middle >= 0 else -gain for gain in (sides[0] - sides[1], sides[2] - sides[3])]
    gains.sort(key=lambda gain: gain.middle)
    return all(
        printed(float(text), _digits(text)).meets(gain) for text, gain in zip(pair, gains, strict=True)
    )


def _digits(text: str) -> int:
    return len(text.partition(".")[2])


def _decimals(paper: Paper, claim: Claim) -> int:
    """The decimals that a claim's metric is printed with; -1 for what no table prints."""
    table, _ = paper.row(claim, claim.a)
    return table.decimals.get(claim.metric, -1)


def _words(paper: Paper, claim: Claim) -> str:
    """What a claim says: `RoBERTa-base MT(w/ BMT) above RoBERTa-base MT(w/ mask) by 1.2`; of two gains `(a −
    b) above (c − d)`.
    """
    names = [label_of(row) for _, row in paper.rows(claim)]
    one, other = names if len(names) == 2 else (f"({' − '.join(names[:2])})", f"({' − '.join(names[2:])})")
    relation = {"greater": "above", "less": "below", "comparable": "comparable with"}[claim.direction]
    within = "within" if claim.direction == "comparable" else "by"
    return f"{one} {relation} {other}" + ("" if claim.size is None else f" {within} {claim.size}")


def _cells(paper: Paper, claim: Claim, sides: list[Span]) -> str:
    """`RoBERTa-base MT(w/ BMT) 82.9, RoBERTa-base MT(w/ mask) 81.7`."""
    metric = claim.metric.removeprefix(SPREAD)
    return ", ".join(
        f"{label_of(row)} {shown(side.middle, table.decimals[metric])}"
        for side, (table, row) in zip(sides, paper.rows(claim), strict=True)
    )


def _find(
    paper: Paper,
    claim: Claim,
    check: str,
    says: str,
    follows: str,
    audit: Audit,
    sentence: tuple[str, str] | None = None,
) -> None:
    section, quote = sentence or (claim.section, claim.quote)
    audit.find(
        check,
        IMPLAUSIBLE if check == "backbone" else BEYOND,
        Place(*paper.row(claim, claim.a), claim.metric, (claim.over or "",)),
        says,
        follows,
        claim.rows[1:],
        section=section,
        quote=quote,
        claim=claim.id,
        reading=claim.reading,
    )
