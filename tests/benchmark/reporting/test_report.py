"""The page of `python -m benchmark.report`: it is sound, and what it says is what the data say."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pytest

from benchmark import report
from benchmark.comparison import table_comparison as comparison
from benchmark.comparison.inputs import ComparisonInputs
from benchmark.comparison.matching import Setting
from benchmark.config.params import load
from benchmark.paper import tables as papers
from benchmark.reporting.heat_maps import short
from benchmark.reporting.plots import HEIGHT
from benchmark.runs import results
from tests.support.html_tree import Node, parse
from tests.support.report_folder import (
    ARMS,
    KEPT,
    LAYERS,
    STEPS,
    density,
    jaccard,
    layer_deviation,
    macro_f1,
    make_root,
    table_of,
    weights,
)
from tests.support.results_maker import IN_DOMAIN

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A project's folder: the sample profile, twelve fabricated runs with all that the report can show."""
    root = tmp_path_factory.mktemp("project") / "root"
    make_root(root)
    return root


@pytest.fixture(scope="module")
def page(project) -> Node:
    """The page of that project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(project))
        assert report.main([]) == 0
    return parse((project / "reports" / "sample" / "report.html").read_text(encoding="utf-8"))


def compared(project: Path, table: str) -> comparison.TableReport:
    """What `compare` says of a table, from the same folder."""
    config, paper = load(project / "params.yaml"), papers.load(None)
    setting = Setting(
        profile="sample", listed=tuple(config.cells), whole=True, sizes=tuple(config.fewshot.sizes)
    )
    folder = results.read(project / "results" / "sample")
    inputs = ComparisonInputs(paper, folder, setting, config)
    return comparison.compare(inputs, paper.tables[table])


def signed(value: float, decimals: int = 2) -> str:
    return f"{value:+.{decimals}f}".replace("-", "−")


# A sound page


def test_ids_are_unique_and_all_that_is_referred_to_is_there(page):
    ids = [node["id"] for node in page.all() if "id" in node.attributes]
    assert len(ids) == len(set(ids)) > 100
    for node in page.all():
        for name in ("aria-labelledby", "aria-describedby"):
            if name in node.attributes:
                assert set(node[name].split()) <= set(ids), node.attributes
        if node.tag == "a":
            assert node["href"].startswith("#")
            assert node["href"][1:] in ids


def test_headings_are_in_order_and_each_section_is_named_by_its_own(page):
    levels = [int(node.tag[1]) for node in page.all() if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    sections = {node["id"]: node for node in page.all("section")}
    assert all(page.one(id_=f"{name}-heading") in node.children for name, node in sections.items())
    parts = [node for node in page.one("main").children if isinstance(node, Node)]
    assert [node["aria-labelledby"] for node in parts] == [f"{node['id']}-heading" for node in parts]
    assert [node["id"] for node in parts] == [
        "overview",
        "claims",
        "tables",
        "masks",
        "deviation",
        "training",
        "provenance",
    ]


def test_landmarks_and_the_way_past_the_navigation(page):
    body = page.one("body")
    assert [child.tag for child in body.children if isinstance(child, Node)] == [
        "a",
        "header",
        "div",
        "footer",
    ]
    skip = next(body.all("a"))
    assert (skip.text, skip["href"]) == ("Skip to the content", "#content")
    assert page.one("main")["id"] == "content"
    assert page.one("nav")["aria-label"] == "Contents"
    assert page.one("html")["lang"] == "en"


def test_tables_have_captions_and_their_headings_a_scope(page):
    tables = list(page.all("table"))
    assert len(tables) > 20
    for table in tables:
        assert table.one("caption").text
        assert all(cell["scope"] in ("col", "row", "rowgroup") for cell in table.all("th"))
        assert all(
            next(row.all()).tag == "th"
            for row in table.all("tr")
            if "remark" not in (row.attributes.get("class") or "")
        )
        widths = {
            sum(int(cell.attributes.get("colspan") or 1) for cell in row.all() if cell.tag in ("th", "td"))
            for row in table.all("tr")
        }
        assert len(widths) == 1, table.one("caption").text
    boxes = list(page.all("div", "scroll"))
    assert len(boxes) > 20
    assert all((box["role"], box["tabindex"]) == ("group", "0") and box["aria-label"] for box in boxes)


def test_drawings_say_what_they_show_or_are_decoration(page):
    inner = {id(below) for svg in page.all("svg") for below in svg.all("svg")}
    outer = [svg for svg in page.all("svg") if id(svg) not in inner]
    images = [svg for svg in outer if svg.attributes.get("role") == "img"]
    assert len(images) > 30
    assert all(svg.attributes.get("aria-hidden") == "true" for svg in outer if svg not in images)
    for svg in images:
        title, description = (child for child in svg.children[:2] if isinstance(child, Node))
        assert (title.tag, description.tag) == ("title", "desc")
        assert title.text and description.text
    for figure in page.all("figure"):
        assert list(figure.all("svg"))
        assert "The same as a table" in [summary.text for summary in figure.all("summary")], figure.one(
            "figcaption"
        ).text


def test_the_page_loads_nothing_and_runs_nothing(page, project):
    text = (project / "reports" / "sample" / "report.html").read_text()
    assert not re.search(
        r"(?:https?:)?//[a-z]|@import|url\(|src=|<script|<iframe|<object|javascript:| on[a-z]+=",
        text,
        re.IGNORECASE,
    )
    assert page.one("link")["href"] == "data:,"
    assert page.one("meta", http_equiv="Content-Security-Policy")["content"].startswith("default-src 'none';")
    assert page.one("meta", name="viewport")["content"] == "width=device-width, initial-scale=1"
    assert str(project) not in text


def test_both_colour_schemes_define_the_same_variables(page):
    style = page.one("style").text
    light, dark = re.findall(r":root \{ (--ground.*?) \}", style)
    assert "@media (prefers-color-scheme: dark)" in style
    names = [re.findall(r"--([a-z0-9-]+):", block) for block in (light, dark)]
    assert names[0] == names[1]
    assert set(re.findall(r"var\(--([a-z0-9-]+)\)", style)) <= {*names[0], "serif", "mark", "dash"}


# What it says


def test_the_overview_counts_what_compare_counts(page, project):
    paper = papers.load(None)
    reports = {key: compared(project, key) for key in paper.tables}
    rows = {row[0]: row[1:] for row in table_of(page.one(id_="overview"), "Verdicts by table")}
    head = next(table for table in page.one(id_="overview").all("table")).rows()[0]
    assert len(rows) == len(paper.tables) + 1
    total = sum((found.verdicts for found in reports.values()), start=type(reports["3"].verdicts)())
    for name, found in (("Table 3", reports["3"]), ("Table 6", reports["6"]), ("Table A.10", reports["a10"])):
        assert {
            verdict: int(count) for verdict, count in zip(head[1:-1], rows[name], strict=False) if int(count)
        } == dict(found.verdicts)
        assert (
            rows[name][-1]
            == f"{sum(claim.verdict == 'upheld' for claim in found.claims)} of {len(found.claims)}"
        )
    assert {verdict: int(count) for verdict, count in zip(head[1:-1], rows["all"], strict=False)} == {
        v: total[v] for v in head[1:-1]
    }
    upheld = sum(claim.verdict == "upheld" for one in reports.values() for claim in one.claims)
    assert rows["all"][-1] == f"{upheld} of {len(paper.claims)}"
    said = page.one(id_="overview").text
    assert f"12 runs of profile sample: minilm; 4 arms ({', '.join(sorted(ARMS))}); seeds 0, 1, 2." in said
    assert (
        f"{total['not comparable']} may not be compared, most often for this reason: profile sample: "
        "backbone minilm" in said
    )
    assert "Here minilm stands in for roberta-base" in said


def test_the_bars_have_the_lengths_of_the_counts(page, project):
    found = compared(project, "3").verdicts
    bar = page.one("title", id_="verdicts-3-title")
    svg = next(node for node in page.one(id_="overview").all("svg") if bar in node.children)
    widths = {part.one("title").text: float(part["width"].removesuffix("%")) for part in svg.all("rect")}
    assert widths == {
        f"{count} {verdict}": pytest.approx(100 * count / sum(found.values()), abs=0.01)
        for verdict, count in found.items()
    }


def test_every_claim_stands_with_the_numbers_of_compare(page, project):
    for key in ("2", "3"):
        claims = [claim for claim in compared(project, key).claims if claim.interval]
        assert claims
        rows = {row[1]: row for row in table_of(page.one(id_=f"claims-{key}"), f"Claims of Table {key}")}
        for claim in claims:
            digits = 4 if claim.claim.metric.startswith("deviation") else 2
            seen, row = claim.interval, rows[claim.claim.id]
            assert row[3:6] == [signed(value, digits) for value in (seen.estimate, seen.low, seen.high)]
            assert row[2] == ("–" if claim.paper_delta is None else signed(claim.paper_delta, digits))
            assert row[7] == claim.verdict


def test_forest_marks_stand_where_the_table_says(page, project):
    points = [
        claim
        for claim in compared(project, "3").claims
        if claim.interval and not claim.claim.metric.startswith("deviation")
    ]
    most = (
        max(
            abs(v)
            for c in points
            for v in (c.interval.estimate, c.interval.low, c.interval.high, c.paper_delta)
            if v is not None
        )
        * 1.08
    )
    strips = list(page.one(id_="claims-3").all("svg", "strip"))
    drawn = strips[-len(points) :]
    assert len(points) >= 3
    for claim, strip in zip(points, drawn, strict=True):
        low, high = next(strip.all("line", "interval"))["x1"], next(strip.all("line", "interval"))["x2"]
        at = [float(place.removesuffix("%")) for place in (strip.one("circle", "estimate")["cx"], low, high)]
        wanted = [
            50 + 50 * value / most
            for value in (claim.interval.estimate, claim.interval.low, claim.interval.high)
        ]
        assert at == pytest.approx(wanted, abs=0.01)
        (diamond,) = [float(node["x"].removesuffix("%")) for node in strip.all("svg")]
        assert diamond == pytest.approx(50 + 50 * claim.paper_delta / most, abs=0.01)
        words = strip.one("desc").text
        assert signed(claim.interval.estimate) in words and words.endswith(f"{claim.verdict}.")


def test_claims_are_named_by_the_rows_as_printed(page):
    names = [span.text for span in page.one(id_="claims-3").all("span", "claim")]
    assert "RoBERTa-base: MT(w/ BMT) > MT(w/o mask), average F1" in names
    assert "RoBERTa-base: MT(w/ BMT) < MT(w/o mask), spread of F1 over the datasets" in names
    assert "RoBERTa-base: MT(w/ BMT) < MT(w/o mask), relative deviation from the pretrained weights" in names


def test_claims_without_data_stand_with_their_reason(page, project):
    lacking = next(
        claim for claim in compared(project, "5").claims if claim.claim.id == "mt-none-over-st-none"
    )
    said = [item.text for item in page.one(id_="claims").all("li")]
    assert f"Table 5: RoBERTa-base: MT(w/o mask) > ST(w/o mask), average F1: {lacking.reason}" in said


def test_every_printed_number_of_a_table_stands_beside_ours(page, project):
    found = compared(project, "3")
    cells = [cell for cell in found.cells if cell.mean is not None]
    lines = [row for row in page.one(id_="table-3").one("table", "numbers").rows() if len(row) == 10][1:]
    assert len(lines) == len(cells) == 14
    for cell, line in zip(cells, lines, strict=True):
        assert line[0] == cell.match.dataset
        assert line[1:4] == [
            f"{cell.match.published:.1f}",
            f"{cell.mean:.2f} ± {cell.sd:.2f} (3)",
            signed(cell.delta),
        ]
        assert line[5] == f"[{cell.pi95[0]:.2f}, {cell.pi95[1]:.2f}]"
        assert line[-1] == cell.verdict == "not comparable"


def test_the_difference_drawn_in_a_line_is_the_difference(page, project):
    cells = [cell for cell in compared(project, "3").cells if cell.mean is not None]
    most = 1.08 * max(abs(end - cell.match.published) for cell in cells for end in (*cell.pi95, cell.mean))
    drawn = [svg.one("circle", "estimate")["cx"] for svg in page.one(id_="table-3").all("svg", "small")]
    assert [float(place.removesuffix("%")) for place in drawn] == pytest.approx(
        [50 + 50 * cell.delta / most for cell in cells], abs=0.01
    )


def test_rows_without_runs_say_what_makes_them(page):
    said = page.one(id_="table-3").text
    assert (
        "RoBERTa-large MT(w/ BMT) missing: no run of roberta-large.mt.bmt: profile sample has no "
        "roberta-large" in said
    )


def test_mask_density_is_the_mean_over_seeds_layer_by_layer(page):
    part = page.one(id_="density")
    rows = table_of(part, "bmt · minilm · mt · 3 runs")
    assert [row[0] for row in rows] == ["embeddings", *(f"layer {index}" for index in range(6)), "whole mask"]
    for row, layer in zip(rows, LAYERS, strict=False):
        assert row[1:] == [f"{fmean(density(name, layer, seed) for seed in SEEDS):.4f}" for name in IN_DOMAIN]
    assert rows[-1][1:] == ["0.3000"] * 6
    first = next(part.all("svg", "heat"))
    shown = [text.text for text in first.all("text", "value")]
    assert shown[:6] == [short(density(name, "embeddings", 1)) for name in IN_DOMAIN]
    steps = [int(cell["class"].split()[-1][1:]) for cell in first.all("rect", "cell")]
    top = 0.7  # the highest mean density is .671
    assert steps[:6] == [round(20 * density(name, "embeddings", 1) / top) for name in IN_DOMAIN]


def test_mask_overlap_is_the_mean_jaccard_index_and_stands_beside_chance(page):
    part = page.one(id_="overlap")
    rows = table_of(part, "bmt · minilm · mt · 3 runs")
    for row, a in zip(rows, IN_DOMAIN, strict=True):
        assert row == [
            a,
            *("–" if a == b else f"{fmean(jaccard(a, b, seed) for seed in SEEDS):.4f}" for b in IN_DOMAIN),
        ]
    mean = fmean(jaccard(a, b, 1) for a in IN_DOMAIN for b in IN_DOMAIN if a != b)
    assert (
        f"mean Jaccard index {mean:.2f} over 15 pairs; masks of these densities drawn anywhere at random "
        "would have 0.18." in part.text
    )


def test_the_kinds_of_masks_are_named(page):
    said = [item.text for item in page.one(id_="masks").all("li")][:3]
    assert said == [
        "bmt (minilm · mt): learned mask, density 0.300 on average over 6 datasets, union 0.520; 3 runs.",
        "fixed_random (minilm · mt): fixed_random mask, density 0.300 on average over 6 datasets, union "
        "0.520; 3 runs.",
        "mask (minilm · mt): random mask, p_F 0.5, drawn anew each step; 3 runs.",
    ]


def test_deviation_against_f1_has_a_mark_a_run_at_its_values(page, project):
    records = [
        json.loads(path.read_text()) for path in sorted((project / "results" / "sample").glob("*.json"))
    ]
    values = {
        record["cell"]: (
            100 * record["deviation"]["relative"],
            fmean(record["datasets"][name]["f1"] for name in IN_DOMAIN),
        )
        for record in records
    }
    part = page.one(id_="deviation-f1")
    rows = {row[0]: row for row in table_of(part, "minilm · mt: in-domain F1 (6 datasets)")}
    assert {cell: row[3:] for cell, row in rows.items()} == {
        cell: [f"{x:.4f}", f"{y:.2f}"] for cell, (x, y) in values.items()
    }
    plot = next(part.all("svg", "plot"))
    marks = [node for node in plot.all("svg") if "x" in node.attributes]
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in zip(*values.values(), strict=True))
    assert len(marks) == 12
    for mark in marks:
        x, y = values[mark.one("title").text.split(":")[0]]
        assert float(mark["x"].removesuffix("%")) == pytest.approx(
            100 * (x - left + 0.1 * (right - left)) / (1.2 * (right - left)), abs=0.01
        )
        assert float(mark["y"]) == pytest.approx(
            HEIGHT * (1 - (y - low + 0.1 * (high - low)) / (1.2 * (high - low))), abs=0.01
        )
    assert [item.text for item in part.one("ul", "legend").all("li")] == sorted(ARMS)
    assert len({mark.one("path")["d"] for mark in marks}) == 4  # a shape an arm, not only a colour
    assert table_of(part, "minilm · mt: out-of-domain F1 (2 datasets)")


def test_deviation_by_layer_is_the_mean_over_seeds_in_percent(page):
    rows = table_of(page.one(id_="deviation-layers"), "minilm · mt")
    for row, layer in zip(rows, LAYERS, strict=True):
        assert row[1:] == [
            f"{100 * fmean(layer_deviation(arm, layer, seed) for seed in SEEDS):.4f}" for arm in sorted(ARMS)
        ]


def test_learning_curves_pass_through_the_validation_scores(page):
    part = page.one(id_="curves")
    rows = table_of(part, "Validation macro F1, minilm · mt")
    assert len(rows) == 12 * len(STEPS)
    assert rows[:5] == [
        ["minilm.mt.bmt.s0", str(s), f"{macro_f1('bmt', 0, s):.2f}", "kept" if s == KEPT else ""]
        for s in STEPS
    ]
    values = [macro_f1(arm, seed, step) for arm in ARMS for seed in SEEDS for step in STEPS]
    low, high = (
        min(values) - 0.06 * (max(values) - min(values)),
        max(values) + 0.06 * (max(values) - min(values)),
    )
    lines = {path.one("title").text: path for path in part.all("path", "line") if list(path.all("title"))}
    assert len(lines) == 16  # twelve runs and a mean an arm
    for name, of in (
        ("minilm.mt.mask.s2", lambda s: macro_f1("mask", 2, s)),
        ("bmt, mean of 3 seeds", lambda s: macro_f1("bmt", 1, s)),
    ):
        points = [tuple(map(float, place.split())) for place in lines[name]["d"].removeprefix("M").split("L")]
        wanted = [
            (100 * step / (1.02 * STEPS[-1]), HEIGHT * (1 - (of(step) - low) / (high - low)))
            for step in STEPS
        ]
        assert points == [pytest.approx(place, abs=0.011) for place in wanted]
    rings = [float(ring["cx"].removesuffix("%")) for ring in part.all("circle", "kept")]
    assert rings == [pytest.approx(100 * KEPT / (1.02 * STEPS[-1]), abs=0.01)] * 12


def test_sampling_weights_are_those_of_the_curves(page):
    part = page.one(id_="weights")
    rows = table_of(part, "Sampling weights, bmt · minilm · mt")
    assert rows == [
        [f"minilm.mt.bmt.s{seed}", str(step), *(f"{weights(step, seed)[name]:.3f}" for name in IN_DOMAIN)]
        for seed in SEEDS
        for step in STEPS
    ]
    plot = next(part.all("svg", "plot"))
    (whole,) = [
        path for path in plot.all("path", "line") if path.one("title").text == "SQuAD, mean of 3 seeds"
    ]
    top = 0.35 * 1.06
    means = [fmean(weights(step, seed)["SQuAD"] for seed in SEEDS) for step in STEPS]
    places = [tuple(map(float, place.split())) for place in whole["d"].removeprefix("M").split("L")]
    ends = [(step / 1.02, HEIGHT * (1 - mean / top)) for step, mean in zip(STEPS, means, strict=True)]
    assert places[1::2] == [pytest.approx(place, abs=0.011) for place in ends]
    assert places[0][0] == 0.0
    assert float(plot.one("line", "reference")["y1"]) == pytest.approx(HEIGHT * (1 - 1 / 6 / top), abs=0.01)


def test_runs_environments_and_commands_are_those_recorded(page):
    part = page.one(id_="provenance")
    runs = {
        row[0]: row[1:] for row in table_of(part, "Runs, with what they cost; – where a run does not say")
    }
    assert len(runs) == 12
    assert runs["minilm.mt.mask.s2"][3:] == [
        "0.50 (p_F)",
        "100",
        "80",
        "1.5",
        "1,234",
        "2.0",
        "Test GPU",
        "0000000000",
    ]
    assert runs["minilm.mt.bmt.s0"][3] == "0.52 (union)"
    assert runs["minilm.mt.none.s0"][3] == "–"
    places = page.one(id_="environment")
    assert [summary.text.split(":")[0] for summary in places.all("summary")] == ["8 runs", "4 runs"]
    described = next(places.all("dl"))
    assert dict(
        zip(
            (term.text for term in described.all("dt")),
            (term.text for term in described.all("dd")),
            strict=True,
        )
    ) == {
        "cpu": "Test CPU",
        "cpu count": "2",
        "device": "Test CPU",
        "packages": "torch 2.13.0, numpy 2.4.6",
        "python": "3.11.7",
    }
    made_by, again, recorded = (block.text for block in page.one(id_="commands").all("code"))
    assert made_by == "python -m benchmark.report"
    assert "python -m benchmark.profile sample dvc repro" in again
    assert (
        "python -m benchmark.train minilm.mt.fixed_random.s0 && python -m benchmark.evaluate "
        "minilm.mt.fixed_random.s0" in again
    )
    assert "python -m benchmark.compare --paper-table a10 --profile sample" in again
    assert recorded.split(" python ")[0] == "python -m benchmark.train minilm.mt.bmt.s0"
    assert recorded.count("benchmark.train") == 12
