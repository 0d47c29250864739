"""`benchmark.contrast`: two arms held against each other, with the interval that the claims have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark import contrast
from benchmark.comparison.arm_contrast import (
    DomainContrast,
    arm_row,
    contrast_arms,
    contrast_document,
    domain_tables,
)
from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.matching import Matcher, Setting
from benchmark.paper.tables import AVERAGE, Claim, Ours, Requirements
from benchmark.rendering import render
from benchmark.runs.results import DatasetScore, Identity, Results, Run, read
from benchmark.statistics.paired import Interval
from bmt.errors import ConfigError, DataError
from tests.support.comparing import claim_of, compared, copy_of, edit
from tests.support.repository import ROOT
from tests.support.results_maker import make_results

pytest_plugins = ("tests.support.compare_fixtures",)


def rows_of(text: str) -> dict[tuple[str, str], list[str]]:
    """(dataset, metric) -> the other columns of the Markdown tables."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ")
    ]
    return {(row[0], row[1]): row[2:] for row in cells if len(row) == 8}


def test_the_average_is_the_claim_s_difference_and_interval(
    faithful: Path, small_paper: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = claim_of(compared(capsys, faithful, small_paper), "in-domain-bmt-above-none")
    assert contrast.main(["bmt", "none", "--results", str(faithful)]) == 0
    text = capsys.readouterr().out
    found = rows_of(text.split("out-of-domain")[0])["**average**", "F1"]
    assert (
        found[2] == f"{claim['our_delta']:+.1f}"
        and found[3] == f"{claim['ci95'][0]:+.1f} to {claim['ci95'][1]:+.1f}"
    )
    assert (
        found[5] == "0 is outside"
        and "in-domain: bmt (seeds 0, 1, 2" in text
        and "crossed seeds x contexts" in text
    )
    assert float(found[0]) - float(found[1]) == pytest.approx(claim["our_delta"], abs=0.11)


def test_both_domains_and_every_dataset_with_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_results(
        tmp_path,
        arms=["bmt", "fixed_random"],
        f1=lambda arm, dataset, seed: 50.0 + (dataset == "DROP") * (arm == "bmt"),
        scatter=0,
    )
    assert contrast.main(["bmt", "fixed_random", "--results", str(tmp_path), "--seeds", "0"]) == 0
    text = capsys.readouterr().out
    rows = rows_of(text)
    assert rows["DROP", "F1"][2] == "+1.0" and rows["SQuAD", "F1"][2] == "+0.0"
    assert (
        rows["DROP", "F1"][:2] == ["51.0", "50.0"]
        and "out-of-domain: bmt (seeds 0) − fixed_random (seeds 0)" in text
    )
    assert "| weight deviation, relative | bmt − fixed_random |" in text


def test_what_cannot_be_held_against_each_other_is_named(faithful: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="fisher: no results of this arm on roberta-base: there are bmt, mask, none"
    ):
        contrast.main(["bmt", "fisher", "--results", str(faithful)])
    with pytest.raises(ConfigError, match="bmt twice: not allowed"):
        contrast.main(["bmt", "bmt", "--results", str(faithful)])
    with pytest.raises(ConfigError, match=r"bmt\.adaptor: not allowed: ARM or ARM\.adapter"):
        contrast.main(["bmt.adaptor", "none", "--results", str(faithful)])
    nothing = (
        rf"^bmt, none: no results of these arms on any backbone: there are none in {tmp_path}; --results"
    )
    with pytest.raises(ConfigError, match=nothing):
        contrast.main(["bmt", "none", "--results", str(tmp_path)])
    apart = copy_of(faithful, tmp_path / "apart")
    for path in sorted(apart.glob("*.mt.none.s*.json")):
        edit(apart, path.stem, lambda record: record.update(datasets={}))
    with pytest.raises(
        ConfigError, match=r"^none: no results of this arm on roberta-base: there are bmt, mask "
    ):
        contrast.main(["bmt", "none", "--results", str(apart)])


def test_arms_without_results_are_named_with_the_folder_and_what_makes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells that the profile lists come from the pipeline, others are trained one by one."""
    for name in ("params.yaml", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        contrast.main(["bmt", "fisher.adapter", "--profile", "sample"])
    cell = "minilm.mt.fisher.adapter.s0"
    assert str(caught.value) == (
        "bmt, fisher.adapter: no results of these arms on minilm: there are none in "
        f"{tmp_path / 'results' / 'sample'}; to run: `dvc repro` and "
        f"`python -m benchmark.train {cell} && python -m benchmark.evaluate {cell}`"
    )
    for words in (["bmt", "fixd_random"], ["fixd_random.adapter", "none"]):
        with pytest.raises(ConfigError) as caught:
            contrast.main([*words, "--profile", "sample"])
        said = "arm: 'fixd_random' is not known (did you mean fixed_random?): one of none, mask, "
        assert str(caught.value).startswith(said)


def test_a_damaged_result_is_told_and_is_no_success(
    faithful: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(faithful, tmp_path / "results")
    (folder / "more.json").write_text("{")
    assert contrast.main(["bmt", "none", "--results", str(folder)]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {folder / 'more.json'}: ") and "out-of-domain" in told.out


def test_the_same_in_other_formats(faithful: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for form in ("terminal", "markdown", "latex", "html", "json"):
        assert contrast.main(["bmt", "none", "--results", str(faithful), "--format", form]) == 0
        shown[form] = capsys.readouterr().out
    assert contrast.main(["bmt", "none", "--results", str(faithful)]) == 0
    assert capsys.readouterr().out == shown["markdown"]  # no terminal here
    table = rows_of(shown["markdown"])
    rows = {key: numbers for key, numbers in table.items() if key[0] not in ("dataset", "---", "**average**")}
    for (dataset, metric), numbers in rows.items():
        for form in ("terminal", "latex", "html"):
            line = next(line for line in shown[form].splitlines() if dataset in line and metric in line)
            assert all(number in line for number in numbers[:4]), (form, line)
    assert len(rows) == 2 * (6 + 6)


def test_what_is_not_known_is_a_dash_and_an_interval_that_ends_at_0_holds_it() -> None:
    """Arm none has no score on SQuAD: its mean, the difference and the interval are dashes, not 0."""
    runs = tuple(
        Run(f"m.mt.{arm}.s0", "mini", Identity("m", "mt", arm), 0, {name: DatasetScore(10.0, 40.0, 8)})
        for arm, name in (("bmt", "SQuAD"), ("none", "NewsQA"))
    )
    results = Results(Path(), runs)
    rows = tuple(arm_row(arm, Identity("m", "mt", arm)) for arm in ("bmt", "none"))
    (table,) = domain_tables(rows, {"SQuAD"})
    claim = Claim("c", table.table, "", "", "bmt", "none", "F1", "SQuAD", "greater")
    nothing = ClaimResult("no data", "no score of none", claim=claim, paper_delta=None, interval=None)
    matcher = Matcher(results, Requirements(), Setting("mini"), {})

    def row(result: ClaimResult) -> list[str]:
        contrasts = [DomainContrast(table, (result,), matcher)]
        return rows_of(render(contrast_document(contrasts), "markdown"))["SQuAD", "F1"]

    assert row(nothing) == ["40.0", "–", "–", "–", "–", "no score of none"]
    interval = Interval(-0.04, -1.26, 2.0, 0.0496, 3, "t")
    assert row(replace(nothing, interval=interval, note="over 1 of 2")) == [
        "40.0",
        "–",
        "+0.0",  # no -0.0
        "-1.3 to +2.0",
        "0.050",
        "over 1 of 2",
    ]
    outside = replace(interval, low=0.1, p=None)
    assert row(replace(nothing, interval=outside, note="n"))[-3:] == ["+0.1 to +2.0", "–", "0 is outside; n"]
    assert row(replace(nothing, interval=replace(interval, low=None, high=None)))[2:4] == ["+0.0", "–"]
    deviation = replace(claim, metric="deviation.relative", over=None)
    results_ = (
        replace(nothing, claim=deviation, interval=replace(interval, estimate=-0.123456, method="seeds (t)")),
        replace(nothing, interval=interval),
    )
    text = render(contrast_document([DomainContrast(table, results_, matcher)]), "markdown")
    assert "| all weights | -0.12346 | -1.26000 to +2.00000 | 0.050 |" in text
    assert "Intervals: seeds (t); t. Single comparisons, not adjusted for their number." in text
    for low, high, remark in (
        (0.0, 2.0, ""),
        (-2.0, 0.0, ""),
        (0.01, 2.0, "0 is outside"),
        (-2.0, -0.01, "0 is outside"),
    ):
        interval = Interval((low + high) / 2, low, high, 0.05, 3, "t")
        assert row(replace(nothing, interval=interval))[-1] == remark


def made_run(
    arm: str, seed: int = 0, backbone: str = "m", regime: str = "mt", adapter: bool = False, **f1: float
) -> Run:
    identity = Identity(backbone, regime, arm, adapter)
    scores = {name: DatasetScore(score - 10, score, 8) for name, score in f1.items()}
    return Run(f"{identity.stem}.s{seed}", "mini", identity, seed, scores)


def contrasts(*runs: Run, arms: tuple[str, str] = ("bmt", "none"), backbone: str | None = None) -> Any:
    return contrast_arms(Results(Path("r"), runs), arms, Setting("mini"), backbone)


def test_arms_are_contrasted_on_the_datasets_that_both_have_domain_by_domain() -> None:
    runs = (
        made_run("bmt", SQuAD=50.0, NewsQA=60.0, DROP=70.0),
        made_run("none", DROP=71.0, SQuAD=52.0, RACE=1.0),
    )
    inside, outside = contrasts(*runs)
    assert [(one.table.table, one.table.datasets) for one in (inside, outside)] == [
        ("in-domain", ("SQuAD",)),
        ("out-of-domain", ("DROP",)),
    ]
    claims = [
        [(c.metric, c.over, c.direction) for c in (r.claim for r in one.results)] for one in (inside, outside)
    ]
    assert claims[0] == [
        ("EM", "SQuAD", "greater"),
        ("F1", "SQuAD", "greater"),
        ("EM", AVERAGE, "greater"),
        ("F1", AVERAGE, "greater"),
        ("deviation.relative", None, "less"),
    ]
    assert [over for _, over, _ in claims[1]] == [
        "DROP",
        "DROP",
        AVERAGE,
        AVERAGE,
    ]  # the deviation stands once
    assert [(row.row, row.ours) for row in inside.table.rows] == [
        ("bmt", Ours("m", "mt", "bmt")),
        ("none", Ours("m", "mt", "none")),
    ]
    with pytest.raises(
        DataError, match=r"^bmt and none have no dataset in common: evaluate both on the same"
    ):
        contrasts(made_run("bmt", DROP=1.0), made_run("none", RACE=1.0))


def test_the_backbone_is_the_only_one_with_multi_data_runs_or_has_to_be_named() -> None:
    single = made_run("none", backbone="a", regime="st-DROP", DROP=1.0)
    pair = (made_run("bmt", DROP=1.0), made_run("none", DROP=2.0))
    (found,) = contrasts(single, *pair)
    assert found.table.rows[0].ours == Ours("m", "mt", "bmt")
    other = made_run("bmt", backbone="a", DROP=1.0)
    with pytest.raises(ConfigError, match=r"^--backbone: needed: r has multi-data runs of a, m$"):
        contrasts(other, *pair)
    (found,) = contrasts(other, *pair, backbone="m")
    assert found.table.rows[1].ours == Ours("m", "mt", "none")
    with pytest.raises(
        ConfigError, match=r"^none: no results of this arm on a: there are bmt in r; to run: "
    ):
        contrasts(other, *pair, backbone="a")


def test_an_arm_with_adapters_is_another_arm_and_means_are_over_seeds_and_datasets(tmp_path: Path) -> None:
    """The arms stand, and are subtracted, in the order given."""
    levels = {"DROP": 60.0, "RACE": 20.0}
    for adapter, more in ((False, 0.0), (True, 5.0)):
        make_results(
            tmp_path,
            backbone="m",
            arms=["bmt"],
            adapter=adapter,
            seeds=(0, 3),
            sizes=dict.fromkeys(levels, 20),
            f1=lambda arm, dataset, seed, more=more: levels[dataset] + more + 5 * seed,
        )
    results, means = (
        read(tmp_path),
        {"bmt": ["67.5", "27.5", "47.5"], "bmt.adapter": ["72.5", "32.5", "52.5"]},
    )
    for arms, difference in ((("bmt", "bmt.adapter"), "-5.0"), (("bmt.adapter", "bmt"), "+5.0")):
        text = render(contrast_document(contrast_arms(results, arms, Setting("mini"), None)), "markdown")
        assert f"out-of-domain: {arms[0]} (seeds 0, 3) − {arms[1]} (seeds 0, 3) on m, points" in text
        rows = rows_of(text)
        for number, dataset in enumerate(("DROP", "RACE", "**average**")):
            expected = [means[arm][number] for arm in arms]
            assert rows[dataset, "F1"][:3] == [*expected, difference]
            assert rows[dataset, "EM"][:2] == [f"{float(mean) - 10:.1f}" for mean in expected]


def test_without_results_and_a_params_file_no_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says which backbone the runs would be of."""
    for name in ("params.yaml", "profiles"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "results" / "lone").mkdir(parents=True)
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        contrast.main(["bmt", "none", "--profile", "lone"])
    assert str(caught.value) == (
        "bmt, none: no results of these arms on any backbone: there are none in "
        f"{tmp_path / 'results' / 'lone'}; --results takes another folder"
    )
