"""A compared table as a LaTeX table; needs the packages booktabs and longtable."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.comparison.layout import CLAIM_COLUMNS, Layout

SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "≈": r"$\approx$",
    "<": r"$<$",
    ">": r"$>$",
    "·": r"$\cdot$",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
}


def to_latex(layout: Layout) -> str:
    """A longtable of the cells, one of the claims, and the footer as a list."""
    count = len(layout.columns)
    lines = [
        r"% needs \usepackage{booktabs,longtable}",
        *_head("l" + "r" * (count - 2) + "l", layout.columns, f"{layout.title} {layout.subtitle}"),
    ]
    for block in layout.blocks:
        lines.append(r"\midrule")
        name = " ".join(part for part in (block.model, block.title) if part)
        lines.append(rf"\multicolumn{{{count}}}{{l}}{{\textbf{{{_escaped(name)}}}}} \\")
        for line in block.lines:
            texts = [
                rf"\textbf{{{_escaped(text)}}}" if line.average else _escaped(text) for text in line.texts
            ]
            lines.append(f"{' & '.join(texts)} \\\\")
        for remark in block.remarks:
            lines.append(
                rf"\multicolumn{{{count}}}{{p{{.95\linewidth}}}}{{\footnotesize {_escaped(remark)}}} \\"
            )
    lines += [r"\bottomrule", r"\end{longtable}"]
    if layout.beside:
        own = layout.beside
        lines += [
            "",
            *_head("l" + "r" * (len(own.columns) - 1), own.columns, f"{own.title}: {own.remark}"),
            r"\midrule",
        ]
        lines += [f"{' & '.join(map(_escaped, texts))} \\\\" for texts in own.lines]
        lines += [r"\bottomrule", r"\end{longtable}"]
    if layout.claims:
        lines += ["", *_head(r"p{.4\linewidth}rrrp{.2\linewidth}", CLAIM_COLUMNS, "Claims."), r"\midrule"]
        for claim in layout.claims:
            lines.append(f"{' & '.join(map(_escaped, claim.texts))} \\\\")
            lines.append(
                rf"\multicolumn{{5}}{{p{{.95\linewidth}}}}{{\footnotesize ``{_escaped(claim.quote)}'' {_escaped(claim.remark)}}} \\"
            )
        lines += [r"\bottomrule", r"\end{longtable}"]
    lines += [
        "",
        r"\begin{itemize}",
        *(rf"\item \textbf{{{label}}}: {_escaped(text)}" for label, text in layout.footer),
        r"\end{itemize}",
    ]
    return "\n".join(lines) + "\n"


def _head(form: str, columns: Sequence[str], caption: str) -> list[str]:
    names = " & ".join(map(_escaped, columns))
    return [
        rf"\begin{{longtable}}{{{form}}}",
        rf"\caption{{{_escaped(caption)}}} \\",
        r"\toprule",
        f"{names} \\\\",
    ]


def _escaped(text: str) -> str:
    return "".join(SPECIAL.get(character, character) for character in text)
