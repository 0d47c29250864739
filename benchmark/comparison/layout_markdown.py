"""A compared table as GitHub Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.comparison.layout import CLAIM_COLUMNS, Layout


def to_markdown(layout: Layout) -> str:
    """One table for the cells, one for the claims, and the footer as a list."""
    lines = [f"### {_escaped(layout.title)}", "", _escaped(layout.subtitle), ""]
    if any(block.lines for block in layout.blocks):
        lines += _head(("row", *(name or "dataset" for name in layout.columns)), 2)
    model = ""
    remarks: list[tuple[str, str]] = []
    for block in layout.blocks:
        model = block.model or model
        name = " ".join(part for part in (model, block.title) if part)
        for line in block.lines:
            texts = [
                f"**{_escaped(text)}**" if line.average and text != "-" else _escaped(text)
                for text in line.texts
            ]
            lines.append(f"| {_escaped(name)} | {' | '.join(texts)} |")
        remarks += [(name, remark) for remark in block.remarks]
    lines += ["", *(f"- {_escaped(name)}: {_escaped(remark)}" for name, remark in remarks)]
    if layout.beside:
        lines += [
            "",
            f"**{layout.beside.title}**: {_escaped(layout.beside.remark)}",
            "",
            *_head(layout.beside.columns, 1),
        ]
        lines += [f"| {' | '.join(map(_escaped, texts))} |" for texts in layout.beside.lines]
    if layout.claims:
        lines += ["", *_head((*CLAIM_COLUMNS, "why"), 1)]
        for claim in layout.claims:
            what = _escaped(claim.texts[0]) + (f"<br>*{_escaped(claim.quote)}*" if claim.quote else "")
            lines.append(
                f"| {what} | {' | '.join(map(_escaped, claim.texts[1:]))} | {_escaped(claim.remark)} |"
            )
    lines += [
        "",
        *(f"- **{label}**: {_escaped(text)}" for label, text in layout.footer),
        "",
        f"<sub>{_escaped(layout.paper)}</sub>",
    ]
    return "\n".join(lines) + "\n"


def _head(names: Sequence[str], left: int) -> list[str]:
    """Header and rule; the first `left` columns and the last are set left, the numbers between them right."""
    rules = [
        "---" if index < left or name in ("verdict", "why") else "---:" for index, name in enumerate(names)
    ]
    return [f"| {' | '.join(names)} |", f"| {' | '.join(rules)} |"]


def _escaped(text: str) -> str:
    for character in "\\|*_<>":
        text = text.replace(character, f"\\{character}")
    return text
