"""The report's drawing: values map to the right places, names are escaped, colours can be read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from markupsafe import Markup

from benchmark.comparison.claims import ClaimResult
from benchmark.config.params import CompareSettings
from benchmark.paper.tables import AVERAGE, Claim
from benchmark.rendering.web_page import COLOURS
from benchmark.reporting.chart_colours import (
    HEAT_DARK,
    HEAT_LIGHT,
    HEAT_STEPS,
    SERIES,
    arm_series,
    heat_step,
    ramp,
    rgb,
)
from benchmark.reporting.claims import estimate_of
from benchmark.reporting.heat_maps import CELL, HeatGrid, heat_map, scale_top, short
from benchmark.reporting.masks import chance
from benchmark.reporting.plots import HEIGHT, Axes, Line, Mark, bar_plot, field_plot, line_plot, scatter_plot
from benchmark.reporting.scales import Scale, from_zero, spanning, tick_step
from benchmark.reporting.strips import (
    BAR,
    Estimate,
    delta_strip,
    forest_axis,
    forest_strip,
    stacked_bar,
    strip_ticks,
    symmetric,
)
from benchmark.reporting.svg import number, tag
from benchmark.reporting.training import stepped, with_mean
from benchmark.statistics.paired import Interval
from tests.support.html_tree import Node, parse


def shares(node: Node, *names: str) -> list[float]:
    """Percentages of attributes, as numbers."""
    assert all(node[name].endswith("%") for name in names), node.attributes
    return [float(node[name].removesuffix("%")) for name in names]


def test_markup_escapes_texts_and_attributes_but_not_markup():
    assert (
        tag("p", "a < b & c", Markup("<b>x</b>"), title='"<x>"')
        == '<p title="&#34;&lt;x&gt;&#34;">a &lt; b &amp; c<b>x</b></p>'
    )
    assert tag("text", "\x1b[31m red\n\ud800") == "<text>\ufffd[31m red \ufffd</text>"
    assert (
        tag("rect", x=1.0, y=2.345, width="3%", class_="a", aria_hidden="true", id=None)
        == '<rect x="1" y="2.35" width="3%" class="a" aria-hidden="true"/>'
    )
    assert [number(value) for value in (-0.001, 12.5, 12.0, 0.126)] == ["0", "12.5", "12", "0.13"]


@pytest.mark.parametrize(
    ("low", "high", "count", "values", "texts"),
    [
        (0.0, 1.0, 5, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (
            -0.0021,
            0.0021,
            5,
            [-0.002, -0.001, 0.0, 0.001, 0.002],
            ["−0.002", "−0.001", "0.000", "0.001", "0.002"],
        ),
        (61.3, 64.6, 3, [62.0, 63.0, 64.0], ["62", "63", "64"]),
        (0.0, 1300.0, 4, [0.0, 500.0, 1000.0], ["0", "500", "1000"]),
    ],
)
def test_ticks_are_round_and_inside_the_scale(low, high, count, values, texts):
    ticks = Scale(low, high).ticks(count)
    assert [value for value, _ in ticks] == pytest.approx(values)
    assert [text for _, text in ticks] == texts


def test_scales_map_values_to_places():
    scale = Scale(-2.0, 2.0)
    assert [scale.at(value) for value in (-2.0, 0.0, 1.0, 3.0)] == [0.0, 50.0, 75.0, 125.0]
    assert Scale(60.0, 70.0, 220, 0).at(65.0) == 110.0  # pixels from the top
    assert (spanning([2.0, 4.0], margin=0.5).low, spanning([2.0, 4.0], margin=0.5).high) == (1.0, 5.0)
    assert spanning([5.0]).low < 5.0 < spanning([5.0]).high
    assert (spanning([0.0]).low, spanning([0.0]).high) == (-1.0, 1.0)
    assert spanning([60.0, 60.0 + 1e-13]).high == pytest.approx(63.0)
    assert (from_zero([2.0], margin=0.5).low, from_zero([2.0], margin=0.5).high) == (0.0, 3.0)
    assert (from_zero([]).low, from_zero([]).high) == (0.0, 1.0)
    assert (symmetric([-3.0, 1.0], margin=0).low, symmetric([-3.0, 1.0], margin=0).high) == (-3.0, 3.0)
    assert symmetric([]).at(0.0) == 50.0
    assert (symmetric([1e-300], margin=0).high, symmetric([1e300], margin=0).high) == (1.0, 1e12)
    assert [tick_step(span, 5) for span in (1.0, 47.0, 0.003)] == pytest.approx([0.2, 10.0, 0.0005])


def test_a_forest_line_has_its_marks_where_the_values_are():
    estimate = Estimate(1.2, 0.8, 1.6, -1.0, (0.0, None), "good")
    strip = parse(forest_strip("k", "name", "words", estimate, Scale(-2.0, 2.0)))
    assert shares(strip.one("circle", "estimate"), "cx") == [80.0]
    assert shares(strip.one("rect", "claimed"), "x", "width") == [50.0, 50.0]
    whole, low, high = strip.all("line", "interval")
    assert shares(whole, "x1", "x2") == [70.0, 90.0]
    assert (shares(low, "x1", "x2"), shares(high, "x1", "x2")) == ([70.0, 70.0], [90.0, 90.0])
    assert [
        float(place["x"].removesuffix("%")) for place in strip.all("svg") if "role" not in place.attributes
    ] == [25.0]  # the diamond
    assert shares(strip.one("line", "zero"), "x1", "x2") == [50.0, 50.0]
    assert "good" in strip.one("circle")["class"]
    assert (strip.one("title").text, strip.one("desc").text) == ("name", "words")
    assert strip.one("svg", role="img")["aria-labelledby"] == "k-title k-desc"


def test_a_forest_line_without_interval_paper_or_claimed_side_draws_none():
    strip = parse(
        forest_strip("k", "n", "w", Estimate(0.5, None, None, None, None, "quiet"), Scale(-1.0, 1.0))
    )
    assert shares(strip.one("circle"), "cx") == [75.0]
    assert not [*strip.all("line", "interval"), *strip.all("path"), *strip.all("rect")]
    both = parse(
        forest_strip("k", "n", "w", Estimate(0.1, None, None, None, (-0.5, 0.5), "good"), Scale(-1.0, 1.0))
    )
    assert shares(both.one("rect", "claimed"), "x", "width") == [25.0, 50.0]


@pytest.mark.parametrize(
    ("direction", "over", "size", "claimed"),
    [
        ("greater", AVERAGE, 1.2, (0.0, None)),
        ("less", "SQuAD", None, (None, 0.0)),
        ("comparable", AVERAGE, None, (-0.5, 0.5)),
        ("comparable", "SQuAD", None, (-1.0, 1.0)),
        ("comparable", AVERAGE, 0.7, (-0.7, 0.7)),
    ],
)
def test_the_shaded_side_is_what_the_claim_allows(direction, over, size, claimed):
    """Of a claim of no difference without a size: the margin of an average or of a dataset."""
    claim = Claim("c", "3", "", "", "a", "b", "F1", over, direction, size)
    settings = CompareSettings(margin_cell=1.0, margin_average=0.5)
    interval = Interval(0.1, -0.3, 0.5, 0.6, 3, "t")
    result = ClaimResult("undecided", "", claim=claim, paper_delta=0.2, interval=interval)
    estimate = estimate_of(result, settings)
    assert estimate is not None and estimate.claimed == claimed
    assert (estimate.value, estimate.low, estimate.high, estimate.paper) == (0.1, -0.3, 0.5, 0.2)
    assert estimate_of(replace(result, interval=None), settings) is None


def test_the_forest_axis_stands_at_the_same_places():
    axis = parse(forest_axis(Scale(-2.2, 2.2)))
    texts = list(axis.all("text"))
    assert [text.text for text in texts] == ["−2", "−1", "0", "+1", "+2"]
    assert [shares(text, "x")[0] for text in texts] == [4.55, 27.27, 50.0, 72.73, 95.45]


@pytest.mark.parametrize(
    ("most", "texts"),
    [
        (2.2, ["−2", "−1", "0", "+1", "+2"]),
        (0.0077, ["−0.005", "0.000", "+0.005"]),
        (1.08, ["−1.0", "−0.5", "0.0", "+0.5", "+1.0"]),
        (1.0, ["−1.0", "−0.5", "0.0", "+0.5", "+1.0"]),
        (23.5, ["−20", "−10", "0", "+10", "+20"]),
        (9.99, ["−5", "0", "+5"]),
        (1300.0, ["−1000", "−500", "0", "+500", "+1000"]),
    ],
)
def test_a_strip_has_a_tick_on_each_side_and_no_more_than_a_phone_holds(most, texts):
    assert [text for _, text in strip_ticks(Scale(-most, most))] == texts


def test_a_strip_of_any_size_has_ticks_on_both_sides():
    for exponent in range(-6, 13):
        for factor in (1.0, 1.3, 1.99, 2.0, 3.16, 4.99, 5.0, 7.7, 9.999):
            most = factor * 10.0**exponent
            ticks = strip_ticks(Scale(-most, most))
            assert len(ticks) in (3, 5, 7)
            assert -most <= ticks[0][0] < 0 < ticks[-1][0] <= most
            assert ticks[len(ticks) // 2][0] == 0


def test_a_table_line_draws_difference_interval_and_margin():
    strip = parse(delta_strip(Estimate(-1.0, -1.5, -0.5, None, (-0.5, 0.5), "bad"), Scale(-2.0, 2.0)))
    assert shares(strip.one("circle"), "cx") == [25.0]
    assert shares(strip.one("rect", "margin"), "x", "width") == [37.5, 25.0]
    assert shares(next(strip.all("line", "interval")), "x1", "x2") == [12.5, 37.5]
    bare = parse(delta_strip(Estimate(1.0, None, None, None, None, "quiet"), Scale(-2.0, 2.0)))
    assert not [*bare.all("rect"), *bare.all("line", "interval")]


def test_a_bar_of_counts_has_lengths_in_proportion():
    bar = parse(
        stacked_bar(
            "k",
            "Table 3",
            "words",
            [("reproduced", 5, "good"), ("differs", 0, "bad"), ("missing", 15, "absent")],
        )
    )
    first, last = bar.all("rect")
    assert (shares(first, "x", "width"), shares(last, "x", "width")) == ([0.0, 25.0], [25.0, 75.0])
    assert [part.one("title").text for part in (first, last)] == ["5 reproduced", "15 missing"]
    assert {part["height"] for part in (first, last)} == {str(BAR)}
    assert not list(parse(stacked_bar("k", "t", "w", [("missing", 0, "absent")])).all("rect"))


def test_a_heat_map_has_a_cell_for_each_value_with_its_colour_and_number():
    box = parse(
        heat_map(
            "k",
            "name",
            "words",
            HeatGrid(["a", "b"], ["x", "y", "z", "w"], [[0.0, 0.25, None, 0.5], [0.1, 0.2, 0.3, 0.4]]),
            0.5,
        )
    )
    cells = list(box.all("rect", "cell"))
    assert [shares(cell, "x", "width") for cell in cells[:4]] == [
        [0.0, 25.0],
        [25.0, 25.0],
        [50.0, 25.0],
        [75.0, 25.0],
    ]
    assert [cell["y"] for cell in cells] == ["0"] * 4 + [str(CELL)] * 4
    kinds = [cell["class"].split()[-1] for cell in cells]
    assert kinds == ["h0", "h10", "unknown", "h20", "h4", "h8", "h12", "h16"]
    assert [text.text for text in box.all("text", "value")] == [
        ".00",
        ".25",
        ".50",
        ".10",
        ".20",
        ".30",
        ".40",
    ]
    assert cells[2].one("title").text == "a, z: –"
    assert [shares(place, "x")[0] for place in box.all("svg") if "x" in place.attributes] == [
        12.5,
        37.5,
        62.5,
        87.5,
    ]


def test_heat_scales():
    assert [heat_step(value, 0.5) for value in (-1.0, 0.0, 0.013, 0.25, 0.5, 9.0)] == [0, 0, 1, 10, 20, 20]
    assert heat_step(1.0, 0.0) == 0
    assert [scale_top([0.0, value]) for value in (0.62, 0.7, 0.041, 0.004, 5.31)] == pytest.approx(
        [0.7, 0.7, 0.05, 0.004, 5.4]
    )
    assert [short(value) for value in (0.314, 1.0, 0.999, 5.31, 0.0)] == [".31", "1.0", "1.0", "5.3", ".00"]


def test_chance_overlap():
    assert chance(0.3, 0.3) == pytest.approx(0.09 / 0.51)
    assert chance(1.0, 0.25) == 0.25
    assert chance(0.0, 0.5) == 0.0


AXES = Axes(Scale(0.0, 100.0), Scale(50.0, 70.0, HEIGHT, 0), "step", "F1")


def test_a_line_passes_through_its_points():
    line = Line("minilm.mt.bmt.s0", 2, ((0.0, 50.0), (50.0, 60.0), (100.0, 70.0)), kept=(50.0, 60.0))
    plot = parse(line_plot("k", "name", "words", [line], AXES, level=65.0))
    (path,) = plot.all("path", "line")
    assert path["d"] == f"M0 {HEIGHT}L50 {HEIGHT // 2}L100 0"
    assert path["class"] == "line s2"
    assert next(plot.all("path", "dots"))["d"] == f"M0 {HEIGHT}h0M50 {HEIGHT // 2}h0M100 0h0"
    stretched = next(node for node in plot.all("svg") if "viewbox" in node.attributes)
    assert (stretched["viewbox"], stretched["preserveaspectratio"]) == (f"0 0 100 {HEIGHT}", "none")
    ring = plot.one("circle", "kept")
    assert (ring["cx"], ring["cy"]) == ("50%", str(HEIGHT // 2))
    assert plot.one("line", "reference")["y1"] == str(HEIGHT // 4)


def test_tick_labels_stand_at_their_values():
    plot = parse(line_plot("k", "name", "words", [], AXES))
    assert [(text.text, float(text["y"])) for text in plot.all("text", "y-tick")] == [
        ("50", HEIGHT),
        ("55", 0.75 * HEIGHT),
        ("60", 0.5 * HEIGHT),
        ("65", 0.25 * HEIGHT),
        ("70", 0.0),
    ]
    assert [(text.text, text["x"]) for text in plot.all("text", "x-tick")] == [
        ("0", "0%"),
        ("20", "20%"),
        ("40", "40%"),
        ("60", "60%"),
        ("80", "80%"),
        ("100", "100%"),
    ]


def test_marks_of_a_scatter_plot_stand_at_their_values():
    plot = parse(
        scatter_plot("k", "name", "words", [Mark("one", 0, 25.0, 55.0), Mark("two", 6, 100.0, 70.0)], AXES)
    )
    places = [
        (node["x"], node["y"], next(node.all("path"))["class"])
        for node in plot.all("svg")
        if "x" in node.attributes
    ]
    assert places == [("25%", str(0.75 * HEIGHT).removesuffix(".0"), "mark s0"), ("100%", "0", "mark s6")]
    assert [title.text for title in plot.all("title")] == ["name", "one", "two"]


def test_a_field_colours_the_cells_that_are_known_and_marks_stand_on_it():
    field = [[0.0, 0.5, None, 1.0], [None, 0.25, 0.75, None]]
    plot = parse(field_plot("k", "name", "words", field, [Mark("one", 1, 50.0, 60.0)], AXES))
    cells = [(node["x"], node["y"], node["class"]) for node in plot.all("rect")]
    assert cells == [
        ("0%", "0", "h0"),
        ("25%", "0", "h10"),
        ("75%", "0", "h20"),
        ("25%", str(HEIGHT // 2), "h5"),
        ("50%", str(HEIGHT // 2), "h15"),
    ]
    (mark,) = [node for node in plot.all("svg") if "x" in node.attributes]
    assert (mark["x"], mark["y"], next(mark.all("path"))["class"]) == ("50%", str(HEIGHT // 2), "mark s1")
    assert [text.text for text in plot.all("text", "y-tick")] == ["50", "55", "60", "65", "70"]


def test_bars_have_lengths_in_proportion_and_their_values_behind_them():
    plot = parse(bar_plot("k", "name", "words", [("lam", 0.6), ("zeta", 0.3), ("gamma", 0.0)]))
    assert [shares(bar, "width")[0] for bar in plot.all("rect", "mark")] == [90.0, 45.0, 0.0]
    assert [text.text for text in plot.all("text")] == ["lam", "0.60", "zeta", "0.30", "gamma", "0.00"]


def test_seeds_are_pale_below_their_mean_at_the_steps_that_all_have():
    one = Line("bmt.s0", 0, ((1.0, 10.0), (2.0, 20.0), (3.0, 99.0)))
    two = Line("bmt.s1", 0, ((1.0, 30.0), (2.0, 50.0)))
    first, second, mean = with_mean("bmt", [one, two])
    assert (first.pale, second.pale, mean.pale) == (True, True, False)
    assert mean.points == ((1.0, 20.0), (2.0, 35.0))
    assert mean.name == "bmt, mean of 2 seeds"
    assert with_mean("bmt", [one]) == [one]
    drawn = [
        path["class"] for path in parse(line_plot("k", "n", "w", [mean, first], AXES)).all("path", "line")
    ]
    assert drawn == ["line s0 pale", "line s0"]


def test_a_weight_holds_from_the_evaluation_before_to_its_own():
    assert stepped(((20.0, 0.5), (40.0, 0.1))) == ((0.0, 0.5), (20.0, 0.5), (20.0, 0.1), (40.0, 0.1))


def test_arms_keep_their_series_and_no_two_share_one_while_there_are_enough():
    assert arm_series(["none", "mask", "bmt"]) == {"none": 6, "mask": 4, "bmt": 0}
    many = arm_series(["none", "bmt", "zebra", "fisher", "fixed_random"])
    assert (many["none"], many["bmt"]) == (6, 0)
    assert len(set(many.values())) == 5
    assert many == arm_series(["zebra", "bmt", "fixed_random", "none", "fisher"])
    assert set(arm_series([f"arm{index}" for index in range(20)]).values()) <= set(range(len(SERIES)))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [value / 255 for value in rgb(colour)]
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_formula_gives_the_known_values():
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("dark", [False, True])
def test_texts_and_marks_have_the_contrast_that_wcag_aa_asks_for(dark):
    colours, stops = {name: pair[dark] for name, pair in COLOURS.items()}, HEAT_DARK if dark else HEAT_LIGHT
    for text in ("ink", "quiet", "accent", "good", "bad", "open"):
        assert contrast(colours[text], colours["ground"]) >= 4.5, text
    for tone in ("good", "bad", "open"):
        assert contrast(colours[tone], colours[f"{tone}-ground"]) >= 4.5, tone
    assert contrast(colours["ink"], colours["quiet-ground"]) >= 4.5
    assert contrast(colours["ink"], colours["panel"]) >= 4.5
    for mark in ("edge", "gated", "good", "bad", "open", "accent"):
        assert contrast(colours[mark], colours["ground"]) >= 3.0, mark
    for tone in ("good", "bad", "open", "quiet"):
        assert contrast(colours[tone], colours["claimed"]) >= 3.0, tone
    for pair in SERIES:
        assert contrast(pair[dark], colours["ground"]) >= 3.0, pair
    for step in range(HEAT_STEPS + 1):
        assert contrast(colours["ink"], ramp(stops, step / HEAT_STEPS)) >= 4.5, step


def test_a_ramp_begins_and_ends_with_its_stops():
    assert [ramp(("#000000", "#102030", "#ffffff"), share) for share in (-1.0, 0.0, 0.25, 0.5, 1.0, 2.0)] == [
        "#000000",
        "#000000",
        "#081018",
        "#102030",
        "#ffffff",
        "#ffffff",
    ]
