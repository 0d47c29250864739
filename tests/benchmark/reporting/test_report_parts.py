"""The parts of the report on values of a few lines: which runs a drawing has, what it averages, its words."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.paper.schema import Requirements
from benchmark.paper.tables import AVERAGE, Claim, Paper, Row, Table
from benchmark.rendering.document import TextCell
from benchmark.reporting import curves, evidence
from benchmark.reporting.chart_colours import arm_series, variables
from benchmark.reporting.charts import ChartSection, line_legend, mark_legend
from benchmark.reporting.claims import claims_section, measure, title, unit_of
from benchmark.reporting.curves import Curve, read_columns, recorded_command
from benchmark.reporting.deviation import deviation_section, scatter_panels
from benchmark.reporting.evidence import (
    FARTHEST,
    Evidence,
    arm_of,
    in_order,
    mean_by_key,
    mean_matrix,
    place_of,
)
from benchmark.reporting.heat_maps import HeatGrid, heat_map, heat_section, layer_grid, layer_name, scale_top
from benchmark.reporting.masks import density_grid, mask_section, overlap_grid
from benchmark.reporting.overview import findings, overview_section, verdict_badges
from benchmark.reporting.plots import bar_plot
from benchmark.reporting.provenance import commands, provenance_section
from benchmark.reporting.report_data import ComparedTable, ReportData
from benchmark.reporting.scales import Scale
from benchmark.reporting.strips import Estimate, delta_axis
from benchmark.reporting.tables import number_text
from benchmark.reporting.training import training_section
from benchmark.runs import results
from benchmark.runs.results import DatasetScore, Identity, Run
from tests.support.html_tree import parse

NOTHING: dict[str, Any] = {
    "kind": None,
    "p_f": None,
    "density": {},
    "union": None,
    "by_layer": {},
    "overlap": {},
    "deviation": {},
    "figures": {},
    "steps": None,
    "best_step": None,
    "device": None,
    "environment": {},
    "tracked": None,
    "notes": (),
}
DOMAIN = {"SQuAD": "in_domain", "NewsQA": "in_domain", "DROP": "out_of_domain"}


def one(
    arm: str = "bmt",
    seed: int = 0,
    moved: float | None = 0.02,
    f1: dict[str, float] | None = None,
    regime: str = "mt",
    **more: Any,
) -> Evidence:
    """A run of MiniLM: F1 by dataset, relative deviation, and fields of Evidence or of its identity."""
    identity = Identity("minilm", regime, arm, more.pop("adapter", False), more.pop("K", None))
    scores = {name: DatasetScore(0.0, value, 9) for name, value in (f1 or {"SQuAD": 60.0}).items()}
    known = {key: more.pop(key) for key in ("commit", "dirty", "p_f_run") if key in more}
    deviation = {} if moved is None else {"relative": moved}
    run = Run(f"{identity.stem}.s{seed}", "sample", identity, seed, scores, deviation=deviation, **known)
    domains = {name: DOMAIN.get(name, "in_domain") for name in scores}
    return Evidence(run=run, **(NOTHING | {"domains": domains} | more))


# --- the course of training ---------------------------------------------------------------------------------


def journal(folder: Path, name: str, text: str) -> None:
    (folder / "journal").mkdir(parents=True, exist_ok=True)
    (folder / "journal" / f"{name}.jsonl").write_text(text)


def started(command: object) -> str:
    return json.dumps({"tags": {"mlflow.source.name": command}}) + '\n{"kind": "metrics"}\n'


def test_the_recorded_command_is_that_of_the_newest_journal_that_can_be_read(tmp_path):
    assert recorded_command(tmp_path) is None
    for day, command in (("20260101", "old"), ("20260301", "new"), ("20260201", "between")):
        journal(tmp_path, day, started(command))
    assert recorded_command(tmp_path) == "new"
    for broken in ("", "[", "[1]", '{"tags": null}', '{"tags": {}}'):
        journal(tmp_path, "20260401", broken)
        assert recorded_command(tmp_path) == "new", broken
    journal(tmp_path, "20260401", started(["a", "list"]))
    assert recorded_command(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no lines with step and macro_f1"),
        ("step,macro_f1\n", "no lines with step and macro_f1"),
        ("step,loss\n1,2\n", "no lines with step and macro_f1"),
        ("macro_f1,loss\n1,2\n", "no lines with step and macro_f1"),
        ("step,macro_f1\n1,50\n-1,50\n", "line 3: step: '-1' is not allowed: a number of 0 to 1e+12"),
        ("step,macro_f1\n1,100.1\n", "line 2: macro_f1: '100.1' is not allowed: a number of 0 to 100"),
        ("step,macro_f1\n1\n", "line 2: macro_f1: None is not allowed: a number of 0 to 100"),
        ("step,macro_f1,weight/a\n1,50,1.1\n", "line 2: weight/a: '1.1' is not allowed: a number of 0 to 1"),
        ("step,macro_f1,weight/a\n1,50,x\n", "line 2: weight/a: 'x' is not allowed: a number of 0 to 1"),
        ("step,macro_f1\ninf,50\n", "line 2: step: 'inf' is not allowed: a number of 0 to 1e+12"),
    ],
)
def test_a_curve_that_is_none_says_why(tmp_path, text, error):
    (tmp_path / "curve.csv").write_text(text)
    with pytest.raises(ValueError, match=r"^\w") as failed:
        read_columns(tmp_path / "curve.csv")
    assert str(failed.value) == error


def test_a_curve_has_macro_f1_and_weights_at_its_steps(tmp_path):
    text = "loss,weight/b,step,macro_f1,weight/a\nx,0.25,20,0,0\ny,1.0000000001,40,100.00000001,0.5\n"
    (tmp_path / "curve.csv").write_text(text)
    assert read_columns(tmp_path / "curve.csv") == {
        "weight/b": ((20.0, 0.25), (40.0, 1.0000000001)),
        "macro_f1": ((20.0, 0.0), (40.0, 100.00000001)),
        "weight/a": ((20.0, 0.0), (40.0, 0.5)),
    }
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(ValueError, match=r"cannot be read \(\w+Error\)"):
            read_columns(path)
    (tmp_path / "curve.csv").write_bytes(b"step,macro_f1\n1,\xff\n")
    with pytest.raises(ValueError, match=r"cannot be read \(UnicodeDecodeError\)"):
        read_columns(tmp_path / "curve.csv")


def trained(root: Path, cell: str, **training: Any) -> None:
    folder = root / "runs" / "sample" / cell
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curve.csv").write_text("step,macro_f1,weight/SQuAD\n20,50,1\n40,60,1\n")
    (folder / "training.json").write_text(json.dumps(training))
    journal(folder, "20260101", started(f"train {cell}"))


def test_the_curves_are_those_of_the_trainings_that_were_evaluated(tmp_path):
    ids = {
        "minilm.mt.bmt.s0": "a",
        "minilm.mt.bmt.adapter.s1": "b",
        "minilm.mt.none.s2": None,
        "minilm.mt.mask.s3": "c",
    }
    for cell in (*ids, "minilm.mt.l2_sp.s0"):
        trained(tmp_path, cell, mlflow_run_id="a", budget={"best_step": 40})
    trained(tmp_path, "minilm.mt.mask.s3", budget=[1])
    trained(tmp_path, "not a cell")
    folder = tmp_path / "results" / "sample"
    runs = {
        name: one(tracked=tracked, best_step=20.0 if tracked == "a" else None)
        for name, tracked in ids.items()
    }
    found, notes = curves.read(folder, runs, None)
    assert notes == [
        "minilm.mt.bmt.adapter.s1: curve.csv is of another training than the results: evaluate the cell again"
    ]
    assert [(each.cell, each.arm, each.best_step) for each in found] == [
        ("minilm.mt.bmt.s0", "bmt", 20.0),  # as the results have it
        ("minilm.mt.l2_sp.s0", "l2_sp", 40),  # not evaluated yet: as the training has it
        ("minilm.mt.mask.s3", "mask", None),
        ("minilm.mt.none.s2", "none", None),
    ]
    first = found[0]
    assert (first.place, first.command) == ("minilm · mt", "train minilm.mt.bmt.s0")
    assert (first.macro, first.weights) == (((20, 50), (40, 60)), {"SQuAD": ((20, 1), (40, 1))})
    assert [each.cell for each in curves.read(folder, runs, (2, 3))[0]] == [
        "minilm.mt.mask.s3",
        "minilm.mt.none.s2",
    ]
    assert curves.read(tmp_path / "elsewhere" / "sample", runs, None) == ([], [])


def curve(
    arm: str, seed: int, *points: tuple[float, float], weights: Any = None, best: float | None = None
) -> Curve:
    return Curve(f"minilm.mt.{arm}.s{seed}", arm, "minilm · mt", points, weights or {}, best, None)


def test_learning_curves_say_their_highest_point_and_the_steps_that_were_kept():
    section = training_section(
        [
            curve("bmt", 0, (20, 50.0), (40, 61.26), best=40),
            curve("bmt", 1, (20, 70.04), best=10),
            curve("none", 0, (20, 40.0)),
        ]
    )
    assert (section.key, section.heading) == ("training", "Training")
    (chart,) = section.parts[0].charts
    assert chart.data.rows == [
        ["minilm.mt.bmt.s0", "20", "50.00", ""],
        ["minilm.mt.bmt.s0", "40", "61.26", "kept"],
        ["minilm.mt.bmt.s1", "20", "70.04", ""],
        ["minilm.mt.none.s0", "20", "40.00", ""],
    ]
    drawing = parse(chart.drawing)
    assert drawing.one("desc").text == "3 runs; the highest point is 70.0, of minilm.mt.bmt.s1."
    assert len(list(drawing.all("circle", "kept"))) == 1
    assert section.parts[1].note == "No run on several datasets has left its sampling weights."
    assert [part.note for part in training_section([]).parts] == [
        "No run of this profile has left a curve.csv beside its results: the course of training is not known."
    ] * 2


def test_sampling_weights_stand_against_the_share_of_all_their_datasets():
    three = {"DROP": ((20.0, 0.5),), "SQuAD": ((20.0, 0.3),), "NewsQA": ((20.0, 0.2), (40.0, 0.8))}
    two = {"SQuAD": ((20.0, 0.1),), "DROP": ((20.0, 0.9),)}
    section = training_section(
        [curve("bmt", 0, (20, 5.0), weights=two), curve("bmt", 1, (20, 5.0), weights=three)]
    ).parts[1]
    (chart,) = section.charts
    assert chart.data.columns == ("run", "step", "SQuAD", "NewsQA", "DROP")  # the paper's order
    assert chart.data.rows == [
        ["minilm.mt.bmt.s0", "20", "0.100", "–", "0.900"],
        ["minilm.mt.bmt.s1", "20", "0.300", "0.200", "0.500"],
        ["minilm.mt.bmt.s1", "40", "–", "0.800", "–"],
    ]
    drawing = parse(chart.drawing)
    assert drawing.one("desc").text == "2 runs, 3 datasets; shares from 0.100 to 0.900."
    names = [path.one("title").text for path in drawing.all("path", "line")]
    assert sorted(names) == sorted(
        [
            "SQuAD, minilm.mt.bmt.s0",
            "SQuAD, minilm.mt.bmt.s1",
            "SQuAD, mean of 2 seeds",
            "NewsQA, minilm.mt.bmt.s1",
            "DROP, minilm.mt.bmt.s0",
            "DROP, minilm.mt.bmt.s1",
            "DROP, mean of 2 seeds",
        ]
    )
    level = float(drawing.one("line", "reference")["y1"])
    assert level == pytest.approx(220 * (1 - 1 / 3 / (0.9 * 1.06)), abs=0.01)
    assert [text for _, text in section.legend.entries] == ["SQuAD", "NewsQA", "DROP", "uniform"]
    alone = training_section([curve("bmt", 0, (20, 5.0), weights={"SQuAD": ((20.0, 1.0),)})]).parts[1]
    assert alone.note.startswith("No run on several datasets") and not alone.charts


# --- deviation ----------------------------------------------------------------------------------------------


def test_few_shot_runs_and_absurd_deviations_stand_in_no_plot():
    runs = [
        one("bmt", 0, 0.02),
        one("bmt", 0, 0.02, K=16),
        one("mask", 0, FARTHEST),
        one("l2_sp", 0, 2 * FARTHEST),
        one("none", 0, None),
        one("none", 1, 0.0),
    ]
    (((place, domain), (datasets, group)),) = scatter_panels(runs).items()
    assert (place, domain, datasets) == ("minilm · mt", "in_domain", ["SQuAD"])
    assert [each.run.cell for each in group] == ["minilm.mt.bmt.s0", "minilm.mt.mask.s0", "minilm.mt.none.s1"]


def test_runs_are_compared_on_the_datasets_that_all_of_them_scored():
    wide = {"DROP": 10.0, "NewsQA": 50.0, "SQuAD": 60.0}
    narrow = {"SQuAD": 70.0, "DROP": 20.0}
    few = {"NewsQA": 99.0, "SQuAD": 99.0}
    runs = [
        one("bmt", 0, 0.02, wide),
        one("none", 0, 0.03, narrow),
        one("bmt", 0, 0.1, few, regime="st-NewsQA"),
    ]
    runs.append(one("bmt", 0, 0.1, {"SQuAD": 1.0}, regime="st-DROP"))
    panels = {key: datasets for key, (datasets, _) in scatter_panels(runs).items()}
    assert panels == {
        ("minilm · mt", "in_domain"): ["SQuAD"],
        ("minilm · mt", "out_of_domain"): ["DROP"],
        ("minilm · st-NewsQA", "NewsQA"): ["NewsQA"],  # its own, and no plot where that is not scored
    }
    charts = deviation_section(runs).parts[0].charts
    assert [chart.title for chart in charts] == [
        "minilm · mt: in-domain F1 (1 dataset)",
        "minilm · mt: out-of-domain F1 (1 dataset)",
        "minilm · st-NewsQA: NewsQA F1 (1 dataset)",
    ]
    assert charts[0].data.rows == [
        ["minilm.mt.bmt.s0", "bmt", "0", "2.0000", "60.00"],
        ["minilm.mt.none.s0", "none", "0", "3.0000", "70.00"],
    ]
    both = scatter_panels(runs[:1])["minilm · mt", "in_domain"][0]
    assert both == ["SQuAD", "NewsQA"] and runs[0].mean_f1(both) == 55.0


def test_deviation_by_layer_is_in_percent_of_runs_that_are_not_few_shot():
    runs = [
        one("bmt", 0, deviation={"layer_01": 0.01, "embeddings": 0.5}),
        one("bmt", 1, deviation={"layer_01": 0.03}),
        one("bmt", 0, deviation={"layer_01": 9.0}, K=16),
        one("none", 0),
    ]
    section = deviation_section(runs).parts[1]
    (chart,) = section.charts
    assert chart.data.columns == ("", "bmt")
    assert chart.data.rows == [["embeddings", "50.0000"], ["layer 1", "2.0000"]]
    assert section.legend is not None and section.legend.label == "percent of the norm"
    assert deviation_section(runs[2:]).parts[1].note == "No run of these results says its deviation by layer."
    assert [part.note for part in deviation_section([]).parts] == [
        "There are no runs, and so no deviations."
    ] * 2
    silent = deviation_section([one(moved=None)]).parts[0]
    assert silent.note == "No run of these results says how far it moved the weights."


# --- evidence -----------------------------------------------------------------------------------------------


def write_result(folder: Path, cell: str, arm: str, seed: int, regime: str = "mt", **fields: Any) -> None:
    record = {
        "schema": 1,
        "cell": cell,
        "profile": "mini",
        "backbone": "m",
        "regime": regime,
        "arm": arm,
        "seed": seed,
        "datasets": {
            "SQuAD": {"em": 1.0, "f1": 2.0, "examples": 3},
            "DROP": {"em": 1.0, "f1": 2.0, "examples": 3},
        },
    }
    (folder / f"{cell}.json").write_text(json.dumps(record | fields))


def test_runs_stand_by_backbone_regime_arm_and_the_number_of_the_seed(tmp_path):
    for seed in (10, 2):
        write_result(tmp_path, f"m.mt.bmt.s{seed}", "bmt", seed)
    write_result(tmp_path, "m.mt.bmt.adapter.s1", "bmt", 1, adapter=True)
    write_result(tmp_path, "m.st-DROP.aaa.s1", "aaa", 1, regime="st-DROP")
    read = results.read(tmp_path)
    assert [each.run.cell for each in evidence.read(read, None)] == [
        "m.mt.bmt.s2",
        "m.mt.bmt.s10",
        "m.mt.bmt.adapter.s1",
        "m.st-DROP.aaa.s1",
    ]
    assert [each.run.seed for each in evidence.read(read, (10, 1))] == [10, 1, 1]


def test_what_a_run_says_of_itself_is_taken_field_by_field(tmp_path):
    datasets = {
        "SQuAD": {"em": 1.0, "f1": 2.0, "examples": 3, "domain": "out_of_domain"},
        "DROP": {"em": 1.0, "f1": 2.0, "examples": 3},
    }
    write_result(
        tmp_path,
        "m.mt.bmt.s0",
        "bmt",
        0,
        datasets=datasets,
        mask={
            "kind": "random",
            "p_f": 0.25,
            "union_density": 0.5,
            "by_layer": {"SQuAD": {"embeddings": 0.1}},
        },
        deviation_by={
            "layer/layer_01": {"relative": FARTHEST},
            "kind/query": {"relative": 0.5},
            "layer/x": {},
        },
        budget={"steps": 100, "best_step": 80},
        seconds=9.0,
        tokens_per_second=8.0,
        peak_memory_mb=7.0,
        device="GPU",
        trained_with={"cpu": "there"},
        environment={"cpu": "here"},
        mlflow_run_id="id",
    )
    (each,) = evidence.read(results.read(tmp_path), None)
    assert (each.kind, each.p_f, each.union, each.by_layer) == (
        "random",
        0.25,
        0.5,
        {"SQuAD": {"embeddings": 0.1}},
    )
    assert each.deviation == {"layer_01": FARTHEST}
    assert each.figures == {"seconds": 9.0, "tokens_per_second": 8.0, "peak_memory_mb": 7.0}
    assert (each.steps, each.best_step, each.device, each.tracked) == (100, 80, "GPU", "id")
    assert each.environment == {"cpu": "there"}  # where it was trained comes before where it was evaluated
    assert each.domains == {"SQuAD": "out_of_domain", "DROP": "out_of_domain"}  # as stated, else as known


def test_means_are_over_what_has_the_key():
    assert mean_by_key([{"a": 1.0, "b": 4.0}, {"c": 5.0, "a": 2.0}]) == {"a": 1.5, "b": 4.0, "c": 5.0}
    assert mean_matrix([{"r": {"a": 1.0}}, {"s": {"a": 3.0}, "r": {"a": 2.0, "b": 7.0}}]) == {
        "r": {"a": 1.5, "b": 7.0},
        "s": {"a": 3.0},
    }
    assert in_order(["x", "DROP", "NewsQA", "a", "SQuAD", "x"]) == ["SQuAD", "NewsQA", "DROP", "x", "a"]
    assert arm_of(Identity("m", "mt", "bmt", True, 16)) == "bmt + adapter, K = 16"
    assert place_of(Identity("m", "st-SQuAD", "bmt")) == "m · st-SQuAD"


# --- heat maps and masks ------------------------------------------------------------------------------------


def test_layers_stand_from_the_embeddings_up_and_the_rest_below():
    grid = layer_grid(
        {"x": {"layer_10": 0.1, "whole mask": 0.5, "layer_02": 0.2}, "y": {"embeddings": 0.3, "zeta": 0.4}}
    )
    assert grid.rows == ["embeddings", "layer 2", "layer 10", "whole mask", "zeta"]
    assert grid.columns == ["x", "y"]
    assert grid.values == [[None, 0.3], [0.2, None], [0.1, None], [0.5, None], [None, 0.4]]
    (chart,) = heat_section(ChartSection("k", "h"), {"t": grid}, "Share", "share").charts
    assert parse(chart.drawing).one("desc").text == "Share from 0.100 to 0.500."
    assert sorted(grid.known) == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert [layer_name(name) for name in ("layer_00", "layer_11", "layer_x", "03", "embeddings")] == [
        "layer 0",
        "layer 11",
        "layer_x",
        "03",
        "embeddings",
    ]


def test_heat_maps_of_a_section_share_a_scale_that_holds_all_values():
    grids = {
        "one": HeatGrid(["r"], ["c"], [[0.2]]),
        "two": HeatGrid(["r"], ["c"], [[0.44]]),
        "none": HeatGrid(["r"], ["c"], [[None]]),
    }
    section = heat_section(ChartSection("k", "h"), grids, "Share", "share")
    assert section.legend is not None and section.legend.entries[0][1] == ".50" and section.legend.scale
    assert [chart.key for chart in section.charts] == ["k-0", "k-1", "k-2"] and section.charts[0].scrolls
    drawings = [parse(chart.drawing) for chart in section.charts]
    assert [drawing.one("desc").text for drawing in drawings] == [
        "Share from 0.200 to 0.200.",
        "Share from 0.440 to 0.440.",
        "No values.",
    ]
    kinds = [drawing.one("rect", "cell")["class"] for drawing in drawings]
    assert kinds == ["cell h8", "cell h18", "cell unknown"]
    assert section.charts[1].data.rows == [["r", "0.4400"]]
    fixed_top = heat_section(ChartSection("k", "h"), grids, "Share", "share", top=1.0)
    assert fixed_top.legend is not None and fixed_top.legend.entries[0][1] == "1.0"
    assert scale_top([]) == pytest.approx(0.001) and scale_top([0.1]) == pytest.approx(0.1)
    style = parse(heat_map("k", "t", "d", HeatGrid(["row"], ["a", "b"], [[0.1, 0.2]]), 0.2)).one("div")[
        "style"
    ]
    assert "min-width: 50px; max-width: 180px" in style


def test_densities_are_means_over_runs_with_the_whole_mask_last():
    group = [
        one(by_layer={"NewsQA": {"layer_00": 0.1}, "SQuAD": {"layer_00": 0.3}}, density={"SQuAD": 0.2}),
        one(by_layer={"SQuAD": {"layer_00": 0.5, "embeddings": 0.1}}, density={"SQuAD": 0.4, "DROP": 0.6}),
    ]
    grid = density_grid(group)
    assert (grid.columns, grid.rows) == (["SQuAD", "NewsQA", "DROP"], ["embeddings", "layer 0", "whole mask"])
    assert grid.values == [
        [0.1, None, None],
        [pytest.approx(0.4), 0.1, None],
        [pytest.approx(0.3), None, pytest.approx(0.6)],
    ]


def test_overlaps_are_means_over_runs_without_the_diagonal():
    group = [
        one(overlap={"NewsQA": {"SQuAD": 0.2, "NewsQA": 1.0}}),
        one(overlap={"NewsQA": {"SQuAD": 0.4}, "SQuAD": {"NewsQA": 0.4, "SQuAD": 1.0}}),
    ]
    grid = overlap_grid(group)
    assert grid.rows == grid.columns == ["SQuAD", "NewsQA"]
    assert grid.values == [[None, 0.4], [pytest.approx(0.3), None]]


def test_the_masks_of_an_arm_are_told_in_a_sentence():
    runs = [
        one("bmt", 0, kind="learned", density={"SQuAD": 0.2, "DROP": 0.4}, union=0.5),
        one("bmt", 1, kind="learned", density={"SQuAD": 0.4, "DROP": 0.6}, union=0.7),
        one("mask", 0, kind="random", p_f=0.5),
        one("mask", 1, kind="random", p_f=0.25),
        one("odd", 0, kind="learned"),
        one("odd", 1, kind="fixed"),
        one("part", 0, kind="learned", density={"SQuAD": 0.25}),
        one("none", 0),
    ]
    section = mask_section(runs)
    assert [str(text) for text in section.sentences] == [
        "<code>bmt</code> (minilm · mt): learned mask, density 0.400 on average over 2 datasets, union "
        "0.600; 2 runs.",
        "<code>mask</code> (minilm · mt): random mask, p_F 0.25, 0.5, drawn anew each step; 2 runs.",
        "<code>odd</code> (minilm · mt): learned and fixed mask, density not recorded; 2 runs.",
        "<code>part</code> (minilm · mt): learned mask, density 0.250 on average over 1 dataset, union not "
        "recorded; 1 run.",
    ]
    assert section.note == ""
    assert mask_section([one()]).note == "No run of these results has a mask."
    assert mask_section([]).note == "There are no runs, and so no masks."
    random_only = mask_section(runs[2:4]).parts
    assert [part.note for part in random_only] == [
        "No run of these results learned masks: nothing to show."
    ] * 2
    assert [part.note for part in mask_section(runs).parts] == [
        "No run of these results says its density by layer (4 runs with masks by dataset).",
        "No run of these results says its overlap between datasets (4 runs with masks by dataset).",
    ]


@pytest.mark.parametrize(
    ("density", "said"),
    [
        (
            {"SQuAD": 0.5, "NewsQA": 0.5, "DROP": 0.25},
            "mean Jaccard index 0.40 over 3 pairs; masks of these densities drawn anywhere at random would "
            "have 0.24.",
        ),
        (
            {"SQuAD": 0.5, "NewsQA": 0.5},  # not of all pairs
            "mean Jaccard index 0.40 over 3 pairs; densities by dataset are not recorded, so chance cannot "
            "be told.",
        ),
    ],
)
def test_an_overlap_stands_beside_chance(density, said):
    names, values = ("SQuAD", "NewsQA", "DROP"), {"SN": 0.3, "DS": 0.4, "DN": 0.5}
    overlap = {
        a: {b: 1.0 if a == b else values["".join(sorted((a[0], b[0]), key="DSN".index))] for b in names}
        for a in names
    }
    section = mask_section([one(kind="learned", density=density, overlap=overlap)]).parts[1]
    assert str(section.sentences[0]) == f"<code>bmt</code> (minilm · mt): {said}"
    assert [chart.title for chart in section.charts] == ["bmt · minilm · mt · 1 run"]
    assert section.legend is not None and section.legend.entries[0][1] == "1.0"  # whatever the values are
    lone = mask_section([one(overlap={"SQuAD": {"SQuAD": 1.0}})]).parts[1]
    assert not lone.charts  # one dataset overlaps with none


# --- overview and provenance --------------------------------------------------------------------------------


def compared(
    key: str, cells: dict[str, int], claims: dict[str, int], reasons: tuple[str, ...] = (), **more: Any
) -> ComparedTable:
    """A table with so many cells of each verdict, and claims."""
    reason = iter(reasons)
    made = [
        SimpleNamespace(verdict=verdict, reason=next(reason, "") if verdict == "not comparable" else "x")
        for verdict, count in cells.items()
        for _ in range(count)
    ]
    told = [SimpleNamespace(verdict=verdict) for verdict, count in claims.items() for _ in range(count)]
    report = SimpleNamespace(
        table=SimpleNamespace(table=key),
        cells=made,
        claims=told,
        verdicts=Counter(cells),
        claim_verdicts=Counter(claims),
    )
    report.stand_in = more.get("stand_in", {})
    return ComparedTable(report)  # type: ignore[arg-type]


def data_of(
    tables: tuple[ComparedTable, ...] = (), runs: tuple[Evidence, ...] = (), **more: Any
) -> ReportData:
    values = {
        "paper": None,
        "our_paper": True,
        "named_folder": False,
        "profile": "sample",
        "source": "results/sample",
    }
    values |= {"seeds": None, "config": None, "settings": None, "tables": tables, "runs": runs, "curves": ()}
    return ReportData(**(values | {"faults": (), "notes": ()} | more))


TABLES = (
    compared(
        "3",
        {"missing": 2, "reproduced": 3, "inconclusive": 1, "not comparable": 3},
        {"upheld": 2, "no data": 1, "contradicted": 1},
        ("one", "two", "two"),
        stand_in={"roberta-base": "minilm"},
    ),
    compared("a10", {"exact": 1, "differs": 1, "not reproduced": 1}, {}, stand_in={"roberta-base": "minilm"}),
)


def test_the_findings_are_counted_from_the_data():
    runs = (one("bmt", 1, dirty=True), one("none", 0), one("bmt", 0, dirty=False))
    assert findings(data_of(TABLES, runs)) == [
        "3 runs of profile sample: minilm; 2 arms (bmt, none); seeds 0, 1.",
        "Of 12 printed numbers, 7 are judged: 3 reproduced, 1 exact, 1 inconclusive, 1 not reproduced, 1 "
        "differs. The others: 3 not comparable, 2 missing.",
        "3 may not be compared, most often for this reason: two.",
        "Of 4 claims of the paper, 3 could be looked at: 2 upheld, 1 contradicted.",
        "Here minilm stands in for roberta-base: directions can be looked at, the printed numbers cannot be "
        "expected.",
        "1 of 3 runs were made with uncommitted changes.",
    ]
    assert findings(data_of(TABLES[1:], runs[1:2]))[:2] == [
        "1 run of profile sample: minilm; 1 arm (none); seed 0.",
        "Of 3 printed numbers, 3 are judged: 1 exact, 1 not reproduced, 1 differs.",
    ]
    none = data_of((compared("3", {"missing": 2}, {"no data": 2}, stand_in={"a": "b"}),), seeds=(0, 2))
    assert findings(none) == [
        "There are no runs with seeds 0, 2 in results/sample yet: below is what the paper prints, and what "
        "can be counted without runs.",
        "None of the 2 printed numbers is judged: 2 missing.",
        "Of 2 claims of the paper, 0 could be looked at.",
    ]
    lone = findings(data_of((compared("3", {"reproduced": 1, "not comparable": 1}, {}),), runs))
    assert lone[1:3] == [
        "Of 2 printed numbers, 1 is judged: 1 reproduced. The others: 1 not comparable.",
        "1 may not be compared, most often for this reason: not recorded.",
    ]


def test_the_tiles_and_the_table_sum_up_all_tables():
    section = overview_section(data_of(TABLES, (one(),), faults=("f",), notes=("n",)))
    assert section["tiles"] == [
        ("4 / 7", "judged numbers reproduced", "of 12 that the paper prints"),
        ("2", "not reproduced", "1 inconclusive"),
        ("2 / 4", "claims upheld", "3 looked at, 1 contradicted"),
        ("1", "run", "profile sample"),
    ]
    assert (section["faults"], section["notes"]) == (["f"], ("n",))
    verdicts = (
        "reproduced",
        "exact",
        "inconclusive",
        "not reproduced",
        "differs",
        "not comparable",
        "missing",
    )
    assert section["data"].columns == ("table", *verdicts, "claims upheld")
    assert section["data"].rows == [
        ["Table 3", "3", "0", "1", "0", "0", "3", "2", "2 of 4"],
        ["Table A.10", "0", "1", "0", "1", "1", "0", "0", "–"],
        ["all", "3", "1", "1", "1", "1", "3", "2", "2 of 4"],
    ]
    assert overview_section(data_of(TABLES[::-1]))["data"].rows[-1][-1] == "2 of 4"
    assert [claims for *_, claims in section["verdicts"]] == ["claims upheld: 2 of 4", "no claims"]
    assert verdict_badges(Counter({"missing": 1, "odd": 2, "reproduced": 0, "differs": 3})) == [
        ("differs", 3, "bad"),
        ("missing", 1, "absent"),
        ("odd", 2, "absent"),
    ]


CONFIG = SimpleNamespace(profile="sample", every_cell=("minilm.mt.bmt.s0",))


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        (
            {"config": CONFIG},
            [
                "python -m benchmark.profile sample",
                "dvc repro",
                "python -m benchmark.train minilm.mt.none.s0 && "
                "python -m benchmark.evaluate minilm.mt.none.s0",
                "python -m benchmark.compare --paper-table 3 --profile sample",
            ],
        ),
        ({"seeds": (0, 2)}, ["python -m benchmark.compare --paper-table 3 --profile sample --seeds 0,2"]),
        (
            {"config": CONFIG, "our_paper": False},
            ["python -m benchmark.compare --paper-table 3 --profile sample --paper DIR"],
        ),
        (
            {"config": CONFIG, "named_folder": True},
            ["python -m benchmark.compare --paper-table 3 --results results/sample"],
        ),
        (
            {"named_folder": True, "source": "found"},
            ["python -m benchmark.compare --paper-table 3 --results …/found"],
        ),
    ],
)
def test_the_commands_make_the_runs_and_tables_again(fields, lines):
    runs = (one("bmt", 0), one("none", 0), one("none", 0, K=16))
    assert commands(data_of(TABLES[:1], runs, **fields)) == lines


def test_a_run_stands_with_what_it_cost_in_units_of_its_column():
    full = one(
        "bmt",
        0,
        0.0234,
        {"SQuAD": 60.0, "NewsQA": 50.0, "DROP": 20.0},
        union=0.52,
        p_f=0.5,
        figures={"seconds": 90.0, "tokens_per_second": 1234.5, "peak_memory_mb": 2560.0},
        steps=1000.0,
        best_step=80.0,
        device="GPU",
        commit="0123456789abcdef",
        dirty=True,
    )
    bare = one("mask", 0, None, {"DROP": 20.0}, p_f=0.5, commit="0123456789abcdef")
    rows = provenance_section(data_of((), (full, bare)), "it")["runs"].rows
    assert rows[0] == [
        "minilm.mt.bmt.s0",
        "55.00 (2)",
        "20.00 (1)",
        "2.34",
        "0.52 (union)",
        "1,000",
        "80",
        "1.5",
        "1,234",
        "2.5",
        "GPU",
        "0123456789 + changes",
    ]
    assert rows[1] == ["minilm.mt.mask.s0", "–", "20.00 (1)", "–", "0.50 (p_F)", *["–"] * 6, "0123456789"]


def test_machines_are_told_apart_by_all_but_the_state_of_git():
    def at(seed: int, **environment: Any) -> Evidence:
        return one("bmt", seed, environment=environment)

    runs = (
        at(0, cpu="x", cpu_count=2, git={"dirty": True}, cuda=None),
        at(1, cpu_count=2, cpu="x", git={"dirty": False}),
        at(2, cpu="y", packages={"torch": "2", "numpy": "1"}),
        at(3, git={"dirty": False}),
        one("none", 0),
    )
    section = provenance_section(data_of((), runs), "it")
    assert section["machines"] == [
        ("2 runs: minilm.mt.bmt.s0, minilm.mt.bmt.s1", [("cpu", "x"), ("cpu count", "2")]),
        ("1 run: minilm.mt.bmt.s2", [("cpu", "y"), ("packages", "torch 2, numpy 1")]),
    ]
    assert section["without_environment"] == "Without an environment: 1 run (minilm.mt.none.s0)."
    assert provenance_section(data_of((), runs[:2]), "it")["machines"][0][0] == "2 runs"
    assert provenance_section(data_of((), runs[:2]), "it")["without_environment"] == ""
    assert (
        provenance_section(data_of((), runs[4:]), "it")["without_environment"]
        == "No run says where it was made."
    )
    empty = provenance_section(data_of(), "it")
    assert (empty["runs"], empty["without_environment"], empty["made_by"]) == (
        None,
        "There are no runs.",
        "it",
    )
    assert empty["unknown_making"].startswith("Profile sample has no params file here")
    assert provenance_section(data_of(config=CONFIG), "it")["unknown_making"] == ""
    for unknown in ({"named_folder": True}, {"our_paper": False}):
        said = provenance_section(data_of(config=CONFIG, **unknown), "it")["unknown_making"]
        assert said.startswith("How the runs of a folder that was named are made is not known here")
    told = [
        Curve(f"c{i}", "a", "p", (), {}, None, command) for i, command in enumerate(("x", None, "y", "x"))
    ]
    assert provenance_section(data_of(curves=tuple(told)), "it")["recorded"] == ["x", "y"]


# --- claims, tables and what surrounds drawings -------------------------------------------------------------


def row(name: str, model: str, arm: str | None, **more: Any) -> Row:
    return Row(name, model, arm, None, {"F1": {}}, **more)


ROWS = (
    row("a", "M", "x"),
    row("b", "M", "y"),
    row("c", "N", "x"),
    row("d", "N", None),
    row("k16", "M", "x", K=16),
    row("k64", "M", "y", K=64),
    row("l16", "M", "y", K=16),
    row("p", "M", "x", p_f=0.5),
)
PAPER = Paper(
    "t",
    {"1": Table("1", "c", "w", "", "scores", ("F1",), {"F1": 1}, {}, "Avg.", ROWS)},
    (),
    Requirements(),
)


def claim(**fields: Any) -> Claim:
    usual = {"id": "k", "table": "1", "section": "2", "quote": "q", "a": "a", "b": "b", "metric": "F1"}
    return Claim(**(usual | {"over": AVERAGE, "direction": "greater"} | fields))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "M: x > y, average F1"),
        ({"direction": "less", "over": "SQuAD"}, "M: x < y, F1 on SQuAD"),
        ({"b": "c", "direction": "comparable"}, "M x ≈ N x, average F1"),
        ({"b": "d"}, "M x > N, average F1"),
        ({"a": "k16", "b": "k64"}, "M: x (K = 16) > y (K = 64), average F1"),
        ({"a": "k16", "b": "l16"}, "M, K = 16: x > y, average F1"),
        ({"b": "p"}, "M: x > x (p_F 0.5), average F1"),
        ({"than": ("c", "d")}, "(M x − M y) > (N x − N), average F1"),
        ({"metric": "spread.F1", "over": None}, "M: x > y, spread of F1 over the datasets"),
        (
            {"metric": "deviation.relative", "over": None},
            "M: x > y, relative deviation from the pretrained weights",
        ),
        ({"metric": "deviation.l2", "over": None}, "M: x > y, L2 deviation from the pretrained weights"),
        ({"metric": "trainable_M", "over": None}, "M: x > y, trainable_M"),
    ],
)
def test_a_claim_is_named_by_what_its_rows_do_not_share(fields, named):
    assert title(PAPER, claim(**fields)) == named
    assert named.endswith(measure(claim(**fields)))


def test_units_and_decimals_of_claims():
    assert unit_of(claim(), "scores") == ("points", 2)
    assert unit_of(claim(metric="deviation.l2", over=None), "scores") == ("L2 deviation", 4)
    assert unit_of(claim(metric="trainable_M", over=None), "facts") == ("trainable_M", 2)


def test_claims_that_cannot_be_tested_are_listed_and_a_paper_without_claims_says_so():
    told = [SimpleNamespace(claim=claim(), interval=None, reason="no runs")]
    table = ComparedTable(SimpleNamespace(table=SimpleNamespace(table="1"), claims=told))
    section = claims_section(data_of((table,), paper=PAPER))
    assert section["untested"] == ["Table 1: M: x > y, average F1: no runs"]
    assert (section["reading"], section["figures"]) == ("", [])
    assert section["note"] == "No claim can be tested on these results; why, claim by claim, stands below."
    assert claims_section(data_of((), paper=PAPER))["note"] == "The paper's folder holds no claims."


def test_numbers_of_a_table_have_a_true_minus_and_a_dash_for_none():
    assert [number_text(cell) for cell in ("-", "-1.5", TextCell("[-1.0, 2.0]"), "x")] == [
        "–",
        "−1.5",
        "[−1.0, 2.0]",
        "x",
    ]


def test_the_axis_of_a_table_names_the_paper_between_its_ends():
    axis = parse(delta_axis(Scale(-2.2, 2.2)))
    assert [(text.text, text["x"]) for text in axis.all("text")] == [
        ("−2", "4.55%"),
        ("+2", "95.45%"),
        ("paper", "50%"),
    ]
    assert Estimate(1.0, None, 2.0, None, (5.0, 6.0), "good").extent == (1.0, 2.0, 0.0)


def test_bars_are_as_long_as_the_largest_allows_and_need_none_above_zero():
    plot = parse(bar_plot("k", "t", "d", [("a", -0.5), ("b", 0.0)]))
    assert [float(bar["width"].removesuffix("%")) for bar in plot.all("rect")] == [-45.0, 0.0]


def test_legends_and_colours_know_every_series():
    marks, lines = mark_legend([(2, "x")], "Arms"), line_legend([(1, "y"), (None, "uniform")], "Data")
    assert [text for _, text in (*marks.entries, *lines.entries)] == ["x", "y", "uniform"]
    assert 'class="mark s2"' in marks.entries[0][0]
    assert ['class="line s1"' in lines.entries[0][0], 'class="reference"' in lines.entries[1][0]] == [
        True,
        True,
    ]
    assert len(variables()) == 8 + 21 and variables()["h0"] == ("#f6f3ea", "#20262b")
    assert variables()["h20"] == ("#4ba0be", "#1f6d8c")
    assert arm_series(["x", "bmt", "x", "y"]) == {"bmt": 0, "x": 1, "y": 2}
