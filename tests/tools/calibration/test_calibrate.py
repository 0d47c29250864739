from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark.statistics.reproduction import judge_arrays
from bmt.errors import ConfigError
from tests.support.repository import ROOT
from tools.calibration import __main__ as calibrate
from tools.calibration import promises, simulated_tables, simulation
from tools.calibration.page import bounds_markdown, rates_table
from tools.calibration.promises import Bound, bounds
from tools.calibration.rate_tables import RateTable
from tools.calibration.reproduction_tables import SPREADS
from tools.calibration.simulated_claims import (
    EvaluationSets,
    claim_coverage,
    claim_table_rates,
    confirmation_rates,
    separate_coverage,
)
from tools.calibration.simulated_tables import World, _draw_tables, reproduction_rates
from tools.markers import between_markers, with_new_part

REPETITIONS = 200
EQUAL = (0.5,) * 12


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, str, dict]:
    """Status, markdown and JSON of one small run."""
    folder = tmp_path_factory.mktemp("calibrate")
    options = [
        "--quick",
        "--repetitions",
        str(REPETITIONS),
        "--out",
        str(folder / "c.md"),
        "--json",
        str(folder / "c.json"),
    ]
    status = calibrate.main(options)
    return status, (folder / "c.md").read_text(), json.loads((folder / "c.json").read_text())


def test_quick_run_keeps_every_promise(written: tuple[int, str, dict]) -> None:
    status, _, figures = written
    assert [entry["text"] for entry in figures["bounds"] if not entry["holds"]] == [] and status == 0
    assert len(figures["bounds"]) == 13
    for rows in figures["tables"].values():
        for row in rows:
            shares = [
                value
                for key, value in row.items()
                if isinstance(value, float) and key not in ("width", "seeds")
            ]
            assert shares and all(0 <= value <= 1 for value in shares)


def honest(row: dict) -> bool:
    """Whether the verdict assumes as many published runs as there were."""
    return row.get("n_pub", "1") == row.get("runs", "1").split(",")[0]


def test_document_holds_every_row_and_the_table_for_the_readme(written: tuple[int, str, dict]) -> None:
    _, text, figures = written
    excerpt = text.split("<!-- calibration:begin -->\n")[1].split("\n<!-- calibration:end -->")[0]
    assert excerpt.startswith("| promise |") and len(excerpt.splitlines()) == 15
    stated = next(line for line in excerpt.splitlines() if "`estimand: printed` (default)" in line)
    largest = max(
        row["false_printed"]
        for key in ("reproduction", "published")
        for row in figures["tables"][key]
        if honest(row)
    )
    assert stated.endswith(f"| {largest:.1%} | none | - |")
    assert f"python -m tools.calibration --repetitions {REPETITIONS} --seed 0" in text
    assert sum(len(rows) for rows in figures["tables"].values()) == 126
    for table in simulation.tables(10):
        assert len(figures["tables"][table.key]) == len(table.simulations)
        section = text.split(f"## {table.title}\n")[1].split("\n## ")[0]
        assert sum(line.startswith("|") for line in section.splitlines()) == 2 + len(
            figures["tables"][table.key]
        )


def test_rows_are_seeded_and_independent_of_each_other(written: tuple[int, str, dict]) -> None:
    rows = written[2]["tables"]["variance"]
    [table] = [table for table in simulation.tables(REPETITIONS) if table.key == "variance"]
    chosen = [replace(table, simulations=table.simulations[:3])]
    assert simulation.simulate(chosen, 0) == {"variance": rows[:3]}
    assert simulation.simulate(chosen, 1)["variance"] != rows[:3]


def test_a_broken_statistic_is_noticed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_sure(*arguments, **options):
        *others, rule = arguments
        forgetful = replace(rule, n_pub=100 * rule.n_pub)  # of the paper's run noise
        return judge_arrays(*others, forgetful, **options)

    monkeypatch.setattr(simulated_tables, "judge_arrays", too_sure)
    assert calibrate.main(["--quick", "--repetitions", "100"]) == 1
    table = capsys.readouterr().out.split("calibration:begin")[1].split("calibration:end")[0]
    assert table.count("**no**") >= 3 and 'false "not reproduced" per table' in next(
        line for line in table.splitlines() if "**no**" in line
    )


def test_reproduction_rates_are_those_of_the_design() -> None:
    for n, naive, false_printed in ((3, 0.83, 0.15), (5, 0.68, 0.20), (10, 0.49, 0.27)):
        rates = reproduction_rates(World(n, EQUAL), 2000, np.random.default_rng(n))
        assert rates["naive_coverage"] == pytest.approx(naive, abs=0.015)
        assert rates["false_printed"] == pytest.approx(false_printed, abs=0.02)
        assert 0.005 <= rates["false_mean"] <= 0.025
        assert (
            rates["false_fixed"] <= 0.05
        )  # what the default estimand promises: the gap from the printed number itself
        assert rates["false_alarm"] <= 0.037 + 0.01
        assert 0.93 <= rates["coverage"] <= 0.97 + 0.005 and rates["worst_coverage"] >= 0.88


def test_moderation_finds_more_than_plain_and_errs_less_than_full_pooling() -> None:
    plain, ours = (
        reproduction_rates(World(3, (0.3,) * 12), 1000, np.random.default_rng(0), d0=d0) for d0 in (0.0, 4.0)
    )
    assert ours["found_all"] > 5 * plain["found_all"]
    spread = SPREADS[".2 to 1.0"]
    moderated, pooled = (
        reproduction_rates(World(3, spread), 1000, np.random.default_rng(0), d0=d0) for d0 in (4.0, 1e9)
    )
    assert moderated["false_alarm"] <= 0.05 < 0.08 < pooled["false_alarm"]
    assert pooled["worst_coverage"] < 0.85 < moderated["worst_coverage"]


def test_assuming_too_many_published_runs_is_seen() -> None:
    honest = reproduction_rates(World(10, EQUAL, 1), 500, np.random.default_rng(0), n_pub=1)
    wrong = reproduction_rates(World(10, EQUAL, 1), 500, np.random.default_rng(0), n_pub=3)
    careful = reproduction_rates(World(10, EQUAL, 3), 500, np.random.default_rng(0), n_pub=1)
    assert careful["false_alarm"] <= honest["false_alarm"] < 0.05 < wrong["false_alarm"]
    assert careful["coverage"] > honest["coverage"] > wrong["coverage"]


def test_crossed_interval_covers_where_one_sided_ones_do_not() -> None:
    few = claim_coverage(EvaluationSets("few contexts", 1, 31, 258), 10, 0.3, 300, np.random.default_rng(0))
    assert few["crossed"] == pytest.approx(0.95, abs=0.04) and few["seeds_only"] < 0.7
    many = claim_coverage(
        EvaluationSets("many contexts", 1, 750, 1500), 5, 2.0, 300, np.random.default_rng(0)
    )
    assert many["crossed"] == pytest.approx(0.945, abs=0.045) and many["examples_only"] < 0.85


def test_unpaired_and_separate_arms_are_covered() -> None:
    layout = EvaluationSets("three", 3, 60, 120)
    rates = [
        separate_coverage(layout, (5, 4), kinds, False, 0.8, 200, np.random.default_rng(1))
        for kinds in ((False, True), (True, True))
    ]
    assert all(0.9 <= rate["crossed"] <= 0.99 for rate in rates)


def test_seeds_needed_and_claim_tables_keep_their_word() -> None:
    rates = confirmation_rates(1.2, 0.8, 1000, np.random.default_rng(0))
    assert rates["seeds"] == 6 and 0.8 <= rates["power"] <= 0.88
    nothing = claim_table_rates(5, 0.0, 300, np.random.default_rng(0))
    assert nothing["any"] <= 0.05 + 0.038  # three standard errors
    true = claim_table_rates(10, 1.0, 50, np.random.default_rng(0))
    assert true["upheld"] > 0.95 and true["contradicted"] == 0


def test_arguments_out_of_range(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for arguments in (["--repetitions", "9"], ["--seed", "-1"]):
        with pytest.raises(ConfigError, match="at least"):
            calibrate.main(arguments)
    monkeypatch.setattr(simulation, "tables", lambda repetitions: [])
    monkeypatch.setattr(promises, "bounds", lambda rows, tables, claims: [])
    assert calibrate.main(["--repetitions", "10", "--seed", "0", "--out", str(tmp_path / "least.md")]) == 0


def test_quick_writes_no_document(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(simulation, "tables", lambda repetitions: [])
    monkeypatch.setattr(promises, "bounds", lambda *given: [Bound("made up", 0.5, 0.9, 1.0, 0.01)])
    assert calibrate.main(["--quick"]) == 1 and list(tmp_path.iterdir()) == []
    readme = tmp_path / "README.md"
    old = "# Title\n\n<!-- calibration:begin -->\nold\n<!-- calibration:end -->\n\nMore\n"
    readme.write_text(old)
    assert calibrate.main(["--quick"]) == 1
    assert calibrate.main(["--quick", "--out", str(tmp_path / "quick.md")]) == 1
    assert "| made up | 50.0% |" in (tmp_path / "quick.md").read_text()
    assert readme.read_text() == old and not (tmp_path / "docs").exists()
    assert calibrate.main([]) == 1
    line = "| made up | 50.0% | at least 90% | **no** |"
    document = (tmp_path / "docs/calibration.md").read_text()
    assert line in document
    assert "python -m tools.calibration --repetitions 20000 --seed 0\n" in document
    assert "--repetitions 1000 --seed 0\n" in (tmp_path / "quick.md").read_text()
    table = f"| promise | simulated | bound | kept |\n| --- | ---: | --- | --- |\n{line}"
    wanted = f"# Title\n\n<!-- calibration:begin -->\n{table}\n<!-- calibration:end -->\n\nMore\n"
    assert readme.read_text() == wanted
    assert calibrate.main(["--out", str(tmp_path / "other.md")]) == 1 and readme.read_text() == wanted
    readme.write_text("no table here")
    assert calibrate.main([]) == 1 and readme.read_text() == "no table here"
    readme.unlink()
    assert calibrate.main([]) == 1 and not readme.exists()


def test_the_document_in_the_repository_is_the_full_run() -> None:
    text = (ROOT / "docs" / "calibration.md").read_text()
    assert (
        f"python -m tools.calibration --repetitions {calibrate.FULL} --seed 0" in text
        and "**no**" not in text
    )
    for table in simulation.tables(calibrate.FULL):
        names = [*table.simulations[0][0], *table.rates]
        headings = " | ".join(table.heading(key) for key in names)
        assert f"## {table.title}\n\n{table.note}\n\n| {headings} |" in text


def test_the_readme_s_table_is_the_document_s() -> None:
    """`python -m tools.calibration` writes both."""
    readme, page = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/calibration.md")
    )
    table = page.split("<!-- calibration:begin -->\n")[1].split("\n<!-- calibration:end -->")[0]
    assert with_new_part(readme, "calibration", table) == readme


def test_a_table_is_written_as_its_keys_say() -> None:
    """Shares in percent, numbers as they are, headings by key or the table's own."""
    world = {"sd": "0.5", "layout": "few"}
    table = RateTable("t", "", "", ("power", "seeds"), [(world, lambda rng: {})], {"sd": "spread"})
    made = rates_table(table, {"t": [{**world, "seeds": 4.0, "power": 0.8714}]})
    assert [(column.name, column.align) for column in made.columns] == [
        ("spread", "left"),
        ("test sets", "left"),
        ("power", "right"),
        ("seeds", "right"),
    ]
    assert [row.cells for row in made.groups[0].rows] == [("0.5", "few", "87.1", "4")]


def test_bounds_by_hand() -> None:
    """Which rows each promise rests on: no two seeds, no more runs assumed than there were; and its slack."""
    base = dict.fromkeys(("coverage", "worst_coverage", "false_alarm", "false_mean", "false_printed"), 0.5)
    published = [
        {"runs": "1, correlated", "n_pub": "1", **base, "false_printed": 0.6},  # exact
        {"runs": "3", "n_pub": "1", **base, "false_alarm": 0.7, "coverage": 0.9},  # fair, not exact
        {"runs": "1", "n_pub": "3", **base, "false_alarm": 0.9, "false_mean": 0.9},  # neither
    ]
    rows = {
        "reproduction": [{**base, "coverage": 0.4, "false_fixed": 0.03}],
        "published": published,
        "claims": [
            {"n": n, "crossed": value}
            for n, value in (("2", 0.1), ("3", 0.9), ("3", 1.0), ("5", 0.92), ("10", 0.94))
        ],
        "separate": [{"crossed": 0.89}, {"crossed": 0.91}],
        "seeds": [{"power": 0.83}, {"power": 0.81}],
        "verdicts": [{"truth": "0", "any": 0.04}, {"truth": "+1.2", "any": 1.0}],
    }
    alike = published[0] | {"false_alarm": 0.8}  # as many runs assumed as there were: that is fair
    assert bounds(rows | {"published": [alike, *published]}, 400, 100)[0].value == 0.8
    made = bounds(rows, 400, 100)
    values = [0.7, 0.4, 0.5, 0.5, 0.03, 0.5, 0.6, 0.95, 0.92, 0.94, 0.89, 0.81, 0.04]
    assert [entry.value for entry in made] == pytest.approx(values)
    slack = [3 * (edge * (1 - edge) / 400) ** 0.5 for edge in (0.05, 0.97, 0.88)]
    assert [made[at].slack for at in (0, 1, 3)] == pytest.approx(slack) and made[6].slack == 0
    assert made[-1].slack == pytest.approx(3 * (0.05 * 0.95 / 100) ** 0.5)


def test_a_part_between_markers_is_renewed_or_the_page_refused() -> None:
    begin, end = "<!-- x:begin -->", "<!-- x:end -->"
    assert between_markers("x", "new") == f"{begin}\nnew\n{end}"
    assert with_new_part(f"a {begin} old {end} c", "x", "new") == f"a {begin}\nnew\n{end} c"
    for page in ("", f"{end}{begin}", f"{begin}{begin}{end}", f"{begin}{end}{end}", begin, end):
        assert with_new_part(page, "x", "new") is None


@pytest.mark.parametrize(
    ("value", "holds"), [(0.5, False), (0.78, False), (0.8, True), (0.9, True), (1.0, True), (1.1, False)]
)
def test_a_promise_holds_between_its_bounds_give_or_take_the_slack(value: float, holds: bool) -> None:
    assert Bound("", value, 0.875, 0.9375, 0.0625 + 1 / 64).holds is holds
    assert Bound("", 0.9, 0.9, 0.9, 0).holds


def test_a_promise_is_written_with_its_bound_and_whether_it_is_kept() -> None:
    made = [
        Bound("a", 0.031, 0, 0.05, 0.0),
        Bound("b", 0.92, 0.93, 0.97, 0.0),
        Bound("c `d`", 0.89, 0.88, 1, 0.0),
        Bound("e", 0.3, 0, 1, 0.0),
    ]
    assert bounds_markdown(made).splitlines()[2:] == [
        "| a | 3.1% | at most 5% | yes |",
        "| b | 92.0% | 93% to 97% | **no** |",
        "| c `d` | 89.0% | at least 88% | yes |",
        "| e | 30.0% | none | - |",
    ]


def test_a_row_of_claims_takes_a_tenth_of_the_tables() -> None:
    assert [simulation.claims_per_row(count) for count in (10, 99, 1_000, 20_000)] == [1, 9, 100, 2_000]
    assert (calibrate.FULL, calibrate.QUICK) == (20_000, 1_000)


def test_simulated_tables_have_the_spread_and_the_gap_that_they_are_said_to_have() -> None:
    """Twelve cells with sd .5 and .8 in turn, three seeds of ours, four runs of theirs; averages of six."""
    sd, tables = (0.5, 0.8) * 6, 20_000
    world = World(3, sd, 4)
    assert world.groups.tolist() == ["cell"] * 12 + ["average"] * 2
    mean, spread, published = _draw_tables(world, 1.5, tables, np.random.default_rng(0))
    assert mean.shape == spread.shape == published.shape == (tables, 14)
    assert np.array_equal(published, np.round(published, 1))
    off = mean - published
    assert off.mean(0) == pytest.approx([1.5] * 14, abs=0.02)
    wanted = np.array(sd) * np.sqrt(1 / 3 + 1 / 4)
    assert off[:, :12].std(0) == pytest.approx(wanted, rel=0.03)
    assert off[:, 12:].std(0) == pytest.approx([np.sqrt((wanted[:6] ** 2).sum()) / 6] * 2, rel=0.04)
    assert (spread[:, :12] ** 2).mean(0) == pytest.approx(np.array(sd) ** 2, rel=0.04)
    assert published.min() + 3 > 60 and published.max() - 3 < 90
    # the gap from the printed number itself: what is left is our own noise
    mean, _, published = _draw_tables(world, 1.5, tables, np.random.default_rng(0), from_printed=True)
    left = (mean - published)[:, :12]
    assert left.mean(0) == pytest.approx([1.5] * 12, abs=0.02)
    assert left.std(0) == pytest.approx(np.array(sd) / np.sqrt(3), rel=0.03)


def test_the_cells_of_one_seed_rise_and_fall_together_as_far_as_is_said() -> None:
    for correlation in (0.0, 0.5):
        world = World(2, EQUAL, 1, correlation)
        mean, _, published = _draw_tables(world, 0.0, 20_000, np.random.default_rng(1), from_printed=True)
        between = np.corrcoef((mean - published)[:, :12].T)[np.triu_indices(12, 1)]
        assert between == pytest.approx([correlation] * 66, abs=0.04)
