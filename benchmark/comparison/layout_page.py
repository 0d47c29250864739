"""A compared table as one HTML page: no network, no script, light and dark, readable on a phone."""

from __future__ import annotations

from html import escape

from benchmark.comparison.layout import CLAIM_COLUMNS, TONES, Layout

STYLE = """
:root {
  color-scheme: light dark; --good: light-dark(#176b2c, #6fd58a); --bad: light-dark(#b3261e, #ff8a80); --open: light-dark(#7a5200, #f0c060);
  --quiet: light-dark(#5a5a5a, #a8a8a8); --rule: light-dark(#d5d5d5, #444);
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; }
.quiet, td.remark, blockquote { color: var(--quiet); }
.good { color: var(--good); }
.bad { color: var(--bad); font-weight: 600; }
.open { color: var(--open); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; vertical-align: top; }
thead th { border-bottom: 2px solid var(--rule); }
th:first-child, td:first-child, td:last-child, th:last-child { text-align: left; }
tbody th { font-weight: 400; }
tr.average > * { font-weight: 600; }
tr.row th { font-weight: 600; padding-top: 1rem; border-bottom: 1px solid var(--rule); }
td.remark, td.claim { white-space: normal; text-align: left; }
td.claim { min-width: 20rem; }
blockquote { margin: .2rem 0; font-style: italic; }
dt { font-weight: 600; }
dd { margin: 0 0 .3rem 1rem; }
"""


def to_html(layout: Layout) -> str:
    """The page; verdicts are words, coloured besides."""
    count = len(layout.columns)
    viewport = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8">{viewport}',
        f"<title>{escape(layout.title)}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{escape(layout.title)}</h1>",
        f'<p>{escape(layout.subtitle)}</p><p class="quiet">{escape(layout.paper)}</p>',
        '<div class="wide" tabindex="0" role="region" aria-label="cells"><table><thead><tr>',
        *(f'<th scope="col">{escape(name or "dataset")}</th>' for name in layout.columns),
        "</tr></thead><tbody>",
    ]
    for block in layout.blocks:
        name = " ".join(part for part in (block.model, block.title) if part)
        parts.append(f'<tr class="row"><th colspan="{count}" scope="rowgroup">{escape(name)}</th></tr>')
        for line in block.lines:
            cells = "".join(f"<td>{escape(text)}</td>" for text in line.texts[1:-1])
            kind = ' class="average"' if line.average else ""
            parts.append(
                f'<tr{kind}><th scope="row">{escape(line.texts[0])}</th>{cells}{_verdict(line.texts[-1], line.verdict)}</tr>'
            )
        parts += [
            f'<tr><td class="remark" colspan="{count}">{escape(remark)}</td></tr>' for remark in block.remarks
        ]
    parts.append("</tbody></table></div>")
    if layout.beside:
        own = layout.beside
        parts.append(f'<h2>{escape(own.title)}</h2><p class="quiet">{escape(own.remark)}</p>')
        parts.append(
            '<div class="wide" tabindex="0" role="region" aria-label="published elsewhere"><table><thead><tr>'
        )
        parts += [f'<th scope="col">{escape(name)}</th>' for name in own.columns]
        parts.append("</tr></thead><tbody>")
        for name, *numbers in own.lines:
            parts.append(
                f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(text)}</td>" for text in numbers)}</tr>'
            )
        parts.append("</tbody></table></div>")
    if layout.claims:
        parts.append(
            '<h2>Claims</h2><div class="wide" tabindex="0" role="region" aria-label="claims"><table><thead><tr>'
        )
        parts += [f'<th scope="col">{escape(name)}</th>' for name in CLAIM_COLUMNS]
        parts.append("</tr></thead><tbody>")
        for claim in layout.claims:
            quote = f"<blockquote>{escape(claim.quote)}</blockquote>" if claim.quote else "<br>"
            what = f"{escape(claim.texts[0])}{quote}{escape(claim.remark)}"
            cells = "".join(f"<td>{escape(text)}</td>" for text in claim.texts[1:-1])
            parts.append(
                f'<tr><td class="claim">{what}</td>{cells}{_verdict(claim.texts[-1], claim.verdict)}</tr>'
            )
        parts.append("</tbody></table></div>")
    parts.append("<h2>Summary</h2><dl>")
    parts += [f"<dt>{escape(label)}</dt><dd>{escape(text)}</dd>" for label, text in layout.footer]
    parts.append("</dl></main></body></html>")
    return "\n".join(parts) + "\n"


def _verdict(text: str, verdict: str) -> str:
    return f'<td class="{TONES.get(verdict, "quiet")}">{escape(text)}</td>'
