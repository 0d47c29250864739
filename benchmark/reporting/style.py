"""The page's style sheet: the palette's variables, light and dark, and the rules, which only use those."""

from __future__ import annotations

from benchmark.reporting.palette import classes, variables

RULES = """
:root { --serif: "Iowan Old Style", "Palatino Linotype", Palatino, Charter, Georgia, "Liberation Serif", serif; }
* { box-sizing: border-box; }
html { color-scheme: light dark; background: var(--ground); -webkit-text-size-adjust: 100%; scroll-padding-top: 1rem; }
body { margin: 0; overflow-wrap: break-word; color: var(--ink); }
body { font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
a { color: var(--accent); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: 1rem; top: -6rem; background: var(--ground); padding: .5rem 1rem; z-index: 3; }
.skip:focus { top: 1rem; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
header, .columns, footer { max-width: 82rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 2.2rem; padding-bottom: .8rem; }
h1, h2, h3 { font-family: var(--serif); text-wrap: balance; }
h1 { font-size: clamp(1.8rem, 1.4rem + 2vw, 2.7rem); line-height: 1.15; margin: 0 0 .5rem; font-weight: 600; }
.about { font: italic 1.1rem/1.4 var(--serif); margin-bottom: .5rem; max-width: 46rem; }
h2 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .8rem; padding-top: 2.4rem; font-weight: 600; }
h3 { font-size: 1.2rem; line-height: 1.3; margin: 2rem 0 .5rem; font-weight: 600; }
h4 { font-size: .95rem; line-height: 1.35; margin: 0 0 .3rem; }
p { margin: 0 0 .8rem; }
.quiet, .reading, .note, footer { color: var(--quiet); }
.reading, .note, .sentences { max-width: 46rem; }
.reading { font-size: .9375rem; }
.note { border-left: 3px solid var(--rule); padding: .2rem 0 .2rem .9rem; }
.sentences { padding-left: 1.1rem; margin: 0 0 1rem; }
.sentences li { margin: .25rem 0; overflow-wrap: anywhere; }
nav { font-size: .9rem; line-height: 1.4; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { color: var(--quiet); text-decoration: none; display: inline-block; padding: .22rem 0; }
nav a:hover { color: var(--accent); text-decoration: underline; }
nav > ul { display: flex; flex-wrap: wrap; gap: 0 1.1rem; border-block: 1px solid var(--rule); padding: .5rem 0; }
nav > ul > li > a { color: var(--ink); }
nav ul ul { display: none; }
main { min-width: 0; }
section { min-width: 0; }
@media (min-width: 66rem) {
  .columns { display: grid; grid-template-columns: 11.5rem minmax(0, 1fr); gap: 3.2rem; }
  nav { position: sticky; top: 0; max-height: 100vh; overflow-y: auto; padding: .9rem 0 1rem; align-self: start; }
  nav > ul { display: block; border: 0; padding: 0; }
  nav > ul > li { margin-bottom: .45rem; }
  nav ul ul { display: block; border-left: 1px solid var(--rule); padding-left: .8rem; }
  nav ul ul a { padding: .1rem 0; }
}
#overview h2 { padding-top: .6rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0 2rem; margin: 0 0 1.4rem; }
.tile { margin: 0; padding: .7rem 0 .8rem; border-top: 2px solid var(--ink); line-height: 1.35; }
.tile strong { display: block; font: 600 2rem/1.15 var(--serif); }
.tile span { display: block; }
.tile small { display: block; font-size: .85rem; color: var(--quiet); }
figure { margin: 0; min-width: 0; }
figcaption { margin-bottom: .6rem; }
figcaption .reading { margin: .2rem 0 0; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 2rem 2.6rem; margin-top: 1.2rem; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.3rem; padding: 0; margin: .4rem 0 .6rem; font-size: .875rem; }
.legend li { display: flex; align-items: center; gap: .45rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--accent); width: fit-content; padding: .2rem 0; font-size: .9375rem; }
details.alarm { border-left: 4px solid var(--bad); padding-left: .9rem; }
details.alarm summary { color: var(--bad); font-weight: 600; }
.scroll { overflow-x: auto; max-width: 100%; position: relative; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; margin: .3rem 0 .8rem; }
caption { text-align: left; color: var(--quiet); padding: .2rem 0 .4rem; }
th, td { padding: .28rem .7rem .28rem 0; text-align: right; vertical-align: baseline; white-space: nowrap; }
th { font-weight: 600; }
tbody th { font-weight: 400; }
th:first-child { text-align: left; }
thead th { border-bottom: 1.5px solid var(--edge); vertical-align: bottom; white-space: normal; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
table.numbers { width: 100%; font-size: .8125rem; }
table.numbers th[scope=row], .numbers thead th:first-child {
  position: sticky; left: 0; background: var(--ground); padding-right: 1rem; z-index: 1;
}
table.numbers td:last-child, .numbers thead th:last-child { text-align: left; padding-right: 0; white-space: normal; min-width: 8rem; }
.numbers tbody td, .numbers tbody th { vertical-align: middle; }
tr.average > * { font-weight: 600; }
tr.row th { text-align: left; font-weight: 600; font-size: .9375rem; padding-top: 1.1rem; white-space: normal; }
tr.remark td { text-align: left; color: var(--quiet); white-space: normal; font-size: .8125rem; }
.pinned { position: sticky; left: 0; width: fit-content; max-width: min(52rem, calc(100vw - 2rem)); overflow-wrap: anywhere; }
td.delta, th.delta { min-width: 9rem; padding: 0 1.1rem 0 .6rem; vertical-align: middle; }
th.delta { vertical-align: bottom; font-weight: 400; }
.counts { display: flex; flex-wrap: wrap; gap: .35rem .5rem; margin-bottom: .5rem; }
.count { white-space: nowrap; }
.count { font-size: .8125rem; line-height: 1.5; padding: 0 .55rem; border-radius: 1rem; background: var(--quiet-ground); }
.count.good { background: var(--good-ground); color: var(--good); }
.count.bad { background: var(--bad-ground); color: var(--bad); }
.count.open { background: var(--open-ground); color: var(--open); }
.verdict { color: var(--quiet); }
.forest .verdict { font-size: .875rem; }
.verdict.good { color: var(--good); font-weight: 600; }
.verdict.bad { color: var(--bad); font-weight: 600; }
.verdict.open { color: var(--open); }
.absent-rows, .verdicts, .forest { list-style: none; padding: 0; margin: 0; }
.absent-rows li { padding: .4rem 0; border-top: 1px solid var(--rule); font-size: .875rem; overflow-wrap: anywhere; }
.absent-rows li > * { display: block; }
.absent-rows span { color: var(--quiet); }
dl { margin: .3rem 0; font-size: .875rem; }
dt { font-weight: 600; }
dd { margin: 0 0 .35rem; color: var(--quiet); overflow-wrap: anywhere; max-width: 56rem; }
.environment { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem; }
.environment dd { margin: 0; }
.verdicts li {
  display: grid; grid-template-columns: 5.6rem minmax(0, 1fr); gap: .3rem 1rem; align-items: center; padding: .55rem 0;
  border-top: 1px solid var(--rule);
}
.verdicts .name { white-space: nowrap; }
.verdicts .said { grid-column: 2; display: flex; flex-wrap: wrap; gap: .25rem .4rem; }
.verdicts .quiet { grid-column: 2; font-size: .8125rem; }
@media (min-width: 52rem) {
  .verdicts li { grid-template-columns: 5.6rem minmax(0, 1fr) 10rem; }
  .verdicts .said { grid-row: 2; }
  .verdicts .quiet { grid-column: 3; grid-row: 1; text-align: right; }
}
.jump { font-size: .875rem; margin-top: .2rem; }
.forest-plot { margin-top: 1rem; }
.forest li { display: grid; grid-template-columns: minmax(0, 1fr); gap: .3rem 1rem; padding: .8rem 0; border-top: 1px solid var(--rule);
  font-size: .9375rem; line-height: 1.4; }
.forest .drawn, .forest-axis { padding: 0 10px; min-width: 0; }
.forest-axis .unit { display: block; text-align: right; font-size: .8125rem; color: var(--quiet); }
.forest .words > span { display: block; }
.forest .claim { font-weight: 600; overflow-wrap: anywhere; }
.quote { font-style: italic; font-size: .8125rem; color: var(--quiet); margin-top: .2rem; }
.remark { font-size: .8125rem; color: var(--quiet); }
.forest .numbers { font-size: .8125rem; font-variant-numeric: tabular-nums; display: flex; flex-wrap: wrap; gap: 0 .9rem; }
.forest .numbers { margin-top: .2rem; }
.forest .numbers span { color: var(--quiet); }
@media (min-width: 52rem) {
  .forest li { grid-template-columns: minmax(0, 1fr) minmax(0, 25rem) 7rem; gap: 0 1.4rem; }
  .forest .verdict { padding-top: .45rem; white-space: normal; }
  .forest-axis { width: 25rem; margin-left: auto; margin-right: 8.4rem; }
}
svg { display: block; overflow: visible; font-size: 12px; }
svg svg { overflow: visible; }
svg text { fill: var(--quiet); font-variant-numeric: tabular-nums; }
.grid { stroke: var(--rule); }
.zero, .baseline { stroke: var(--edge); }
.tick { stroke: var(--edge); }
.axis text { font-size: 12px; }
.claimed { fill: var(--claimed); }
.margin { fill: var(--faint); }
.interval { stroke-width: 2.5; stroke: var(--quiet); }
.estimate { fill: var(--quiet); stroke: var(--ground); stroke-width: 1.5; }
.interval.good { stroke: var(--good); } .estimate.good { fill: var(--good); }
.interval.bad { stroke: var(--bad); } .estimate.bad { fill: var(--bad); }
.interval.open { stroke: var(--open); } .estimate.open { fill: var(--open); }
.paper { fill: var(--ground); stroke: var(--ink); stroke-width: 1.75; }
.small .interval { stroke-width: 1.75; }
.small .estimate { stroke-width: 1; }
.part { stroke: var(--ground); stroke-width: 1; }
.part.good { fill: var(--good); } .part.bad { fill: var(--bad); } .part.open { fill: var(--open); } .part.gated { fill: var(--gated); }
.part.absent { fill: var(--faint); } .part.literature { fill: var(--ground); stroke: var(--edge); }
.cell { stroke: var(--ground); stroke-width: 1.5; }
.cell.unknown { fill: var(--ground); stroke: var(--faint); }
.heat .value { fill: var(--ink); font-size: 11.5px; text-anchor: middle; dominant-baseline: central; }
.row-label { text-anchor: end; dominant-baseline: central; }
.heat .row-label, .heat .column-label { fill: var(--ink); }
.colour-bar { display: flex; align-items: center; gap: .5rem; font-size: .8125rem; color: var(--quiet); flex-wrap: wrap; }
.colour-bar > span:first-child { margin-right: .4rem; }
.colours { width: 9rem; }
.plot-box { padding: 30px 16px 44px 42px; max-width: 46rem; }
.y-tick { text-anchor: end; dominant-baseline: central; }
.x-tick { text-anchor: middle; }
.axis-name.end { text-anchor: end; }
.line, .dots { fill: none; stroke: var(--mark); vector-effect: non-scaling-stroke; }
.line { stroke-width: 2; stroke-dasharray: var(--dash); stroke-linejoin: round; }
.line.pale { stroke-width: 1.25; stroke-dasharray: none; opacity: .38; }
.dots { stroke-width: 5.5; stroke-linecap: round; }
.kept { fill: none; stroke: var(--mark); stroke-width: 1.5; }
.reference { stroke: var(--edge); stroke-dasharray: 1 4; stroke-linecap: round; stroke-width: 1.75; }
.mark { fill: var(--mark); stroke: var(--ground); stroke-width: 1; }
pre { background: var(--panel); padding: .8rem 1rem; margin: 0 0 1rem; font-size: .8125rem; line-height: 1.6; }
pre { width: fit-content; min-width: 100%; }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
pre code { font-size: 1em; }
footer { padding-top: 1.5rem; padding-bottom: 2.5rem; font-size: .875rem; overflow-wrap: anywhere; }
@media (forced-colors: active) { .cell, .part, .claimed, .margin { forced-color-adjust: none; } }
@media print {
  nav, .skip { display: none; }
  .columns { display: block; }
  .scroll { overflow: visible; }
  figure, tr, .forest li { break-inside: avoid; }
}
"""


def stylesheet() -> str:
    """The whole of it."""
    light, dark = variables(dark=False), variables(dark=True)
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n{classes()}\n{RULES}"
