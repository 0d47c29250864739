"""A compared table as a document: what stands where, and that names in somebody's results stay text in every
format.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from benchmark.compare import FORMATS, main
from benchmark.comparison.claims import ClaimResult
from benchmark.comparison.inputs import read_inputs
from benchmark.comparison.mask_density import Density
from benchmark.comparison.matching import Match
from benchmark.comparison.report import CellResult, TableReport
from benchmark.comparison.table_comparison import compare
from benchmark.comparison.table_document import (
    about,
    claims_table,
    closing_remarks,
    document_title,
    numbers_table,
    published_elsewhere,
    table_document,
)
from benchmark.paper.tables import AVERAGE, Claim, Ours, References, Row, Table
from benchmark.rendering.document import Heading, ListItem, Phrase, RowGroup, TextCell, TextRow, plain_text
from benchmark.runs.results import Fault
from benchmark.statistics.paired import Interval
from tests.support import html_tree
from tests.support.comparing import copy_of, edit
from tests.support.results_maker import IN_DOMAIN, make_results

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")

HOSTILE = "\x1b[31m<script>alert(1)</script> | `x` $\\input{y}$ \u202e"


@pytest.mark.parametrize("form", FORMATS)
def test_names_in_results_stay_text(capsys, faithful, small_paper, tmp_path, form):
    folder = copy_of(faithful, tmp_path / "r")
    edit(folder, "roberta-base.mt.bmt.s2", lambda record: record.update(profile=HOSTILE))
    main(["--paper-table", "3", "--results", str(folder), "--paper", str(small_paper), "--format", form])
    text = capsys.readouterr().out
    if form != "json":  # escapes them itself
        assert all(character.isprintable() or character == "\n" for character in text)
    if form == "html":
        assert not list(html_tree.parse(text).all("script"))
        assert "<script>alert(1)</script> | `x`" in html_tree.parse(text).text
    if form == "markdown":
        assert r"\<script\>alert(1)\</script\> \| \`x\` \$\\input{y}\$" in text
    if form == "latex":
        assert r"\input" not in text and r"\textbackslash{}input\{y\}\$" in text


def test_a_group_per_row_a_line_per_cell_and_the_average_is_strong(faithful, small_paper):
    inputs = read_inputs(faithful, None, small_paper)
    assert (inputs.setting.profile, inputs.setting.whole, inputs.setting.commands) == ("paper", False, False)
    table = inputs.paper.table("3")
    report = compare(inputs, table)
    numbers = numbers_table(report)
    assert [group.name for group in numbers.groups[:2]] == [
        "RoBERTa-base MT(w/ mask) p_F 0.5",
        "RoBERTa-base MT(w/ BMT)",
    ]
    rows = numbers.groups[1].rows
    cells = [cell for cell in report.cells if cell.match.row.row == "roberta-base.mt.bmt"]
    assert [plain_text(row.cells[0]) for row in rows] == [cell.match.dataset for cell in cells]
    assert [row.strong for row in rows] == [False] * 6 + [True]
    assert [row.cells[-1] for row in rows] == [TextCell("reproduced", "good")] * 7
    assert [row.cells[1] for row in rows] == [f"{cell.match.published:.1f}" for cell in cells]
    assert [row.cells[3] for row in rows] == [f"{cell.delta:+.2f}" for cell in cells]
    unanswered = numbers.groups[2]
    assert unanswered.rows == () and "missing: no run of roberta-large.mt.mask" in plain_text(
        unanswered.notes[0]
    )
    document = table_document(report)
    assert plain_text(document.title).startswith("Table 3. ") and document.about.startswith(
        "profile paper · seeds 0, 1, 2"
    )


def test_a_quotation_that_claims_share_stands_once(capsys, faithful, small_paper):
    main(
        [
            "--paper-table",
            "3",
            "--results",
            str(faithful),
            "--paper",
            str(small_paper),
            "--format",
            "markdown",
        ]
    )
    text = capsys.readouterr().out
    assert text.count("RoBERTa-large by 1.5 points, and T5-base by 1.5 points") == 1
    assert text.count("mt.bmt \\> roberta-large.mt.mask, F1, average") == 1


def test_a_gain_of_single_data_rows_over_multi_data_rows_is_the_other_with_its_sign_turned(
    small_paper, tmp_path
):
    """Rows of both kinds are added by seed, which ties the datasets' seeds, whichever pair the claim names
    first.
    """
    arms = ["none", "bmt"]
    make_results(tmp_path / "r", arms=arms)
    for dataset in IN_DOMAIN:
        make_results(tmp_path / "r", regime=f"st-{dataset}", arms=arms)
    inputs = read_inputs(tmp_path / "r", None, small_paper)
    single, multi = (tuple(f"roberta-base.{kind}.{arm}" for arm in ("bmt", "none")) for kind in ("st", "mt"))
    intervals = []
    for first, second in ((single, multi), (multi, single)):
        claim = Claim("gain", "5", "", "", *first, "F1", AVERAGE, "greater", than=second)
        claimed = replace(inputs, paper=replace(inputs.paper, claims=(claim,)))
        report = compare(claimed, inputs.paper.table("5"))
        intervals.append(report.claims[0].interval)
    st, mt = intervals
    assert (
        st is not None and mt is not None and st.se == pytest.approx(mt.se) and st.df == pytest.approx(mt.df)
    )
    assert (st.estimate, st.low, st.high) == pytest.approx((-mt.estimate, -mt.high, -mt.low))


# --- made reports -------------------------------------------------------------------------------------------

BMT = Row("bmt", "Model", "MT(w/ BMT)", Ours("m", "mt", "bmt"), {}, K=16, p_f=0.25, note="as printed")
NONE = Row("none", "Model", None, Ours("m", "mt", "none", True), {})
LITERATURE = Row("lit", "Lit", None, None, {})
TABLE = Table(
    "a10", "Cap.", "4", "", "scores", ("EM", "F1"), {"EM": 1, "F1": 2}, {"A": "a"}, "Avg.", (BMT, NONE)
)
ONE_METRIC = replace(TABLE, metrics=("F1",))
CLAIM = Claim("c", "a10", "4.2", "Better.", "bmt", "none", "F1", AVERAGE, "greater", 1.2)


def made(
    row: Row = BMT,
    verdict: str = "reproduced",
    reason: str = "",
    dataset: str = "a",
    metric: str = "F1",
    published: float | None = 50.0,
    runs: tuple[str, ...] = ("m.s0",),
    **figures: Any,
) -> CellResult:
    match = Match(row, dataset, metric, published, TABLE.decimals[metric], None, runs=runs)
    return CellResult(verdict, reason, match=match, **figures)


def report(*cells: CellResult, table: Table = ONE_METRIC, **fields: Any) -> TableReport:
    values: dict[str, Any] = {"profile": "mini", "source": "", "seeds": (), "stand_in": {}, "claims": ()}
    return TableReport("Paper", table, cells=cells, **(values | fields))


def texts(row: TextRow) -> list[str]:
    return [plain_text(cell.text if isinstance(cell, TextCell) else cell) for cell in row.cells]


def group_of(*cells: CellResult, row: Row = BMT, table: Table = ONE_METRIC, **fields: Any) -> RowGroup:
    """The group of the cells' row."""
    whole = numbers_table(report(*cells, table=replace(table, rows=(row,)), **fields))
    (group,) = whole.groups
    return group


def remarks_of(*cells: CellResult, **fields: Any) -> list[str]:
    return [plain_text(note) for note in group_of(*cells, **fields).notes]


def test_a_line_has_its_figures_rounded_as_they_are_read_and_dashes_for_none():
    judged = made(
        verdict="inconclusive",
        mean=51.126,
        sd=1.256,
        n=3,
        delta=-1.126,
        pi95=(48.0, 54.254),
        ci90=(-2.5, 0.2),
        margin=0.6,
        cv_star=2.345,
        p_holm=0.0404,
        seeds_needed=12,
    )
    (whole,) = group_of(judged).rows
    assert texts(whole) == [
        "a",
        "50.00",
        "51.13 ± 1.26 (3)",
        "-1.13",
        "[48.00, 54.25]",
        "[-2.50, +0.20] ±0.6",
        f"{2.345:.2f}",
        ".040",
        "inconclusive (12 seeds)",
    ]
    assert whole.cells[-1] == TextCell("inconclusive (12 seeds)", "open")
    (bare,) = group_of(made(published=None, dataset=AVERAGE)).rows
    assert texts(bare) == ["average", "-", "-", "-", "-", "-", "-", "-", "reproduced"] and bare.strong
    (small,) = group_of(made(mean=50.0, n=1, delta=0.0, p_holm=0.00099, margin=1.0)).rows
    assert texts(small)[2:] == ["50.00 (1)", "+0.00", "-", "-", "-", "<.001", "reproduced"]
    (edge,) = group_of(made(p_holm=0.001)).rows
    assert texts(edge)[7] == ".001"
    both = group_of(made(metric="EM"), made(), table=TABLE)
    assert [texts(line)[:2] for line in both.rows] == [["a EM", "50.0"], ["a F1", "50.00"]]


def test_a_verdict_s_tone_says_whether_it_is_good_bad_or_open():
    tones = {
        verdict: group_of(made(verdict=verdict)).rows[0].cells[-1].tone
        for verdict in ("reproduced", "not reproduced", "inconclusive", "not comparable", "no data")
    }
    assert tones == {
        "reproduced": "good",
        "not reproduced": "bad",
        "inconclusive": "open",
        "not comparable": "quiet",
        "no data": "quiet",
    }


def test_a_row_without_runs_of_ours_is_a_remark_with_the_printed_numbers():
    cells = [made(row=LITERATURE, verdict="literature", metric=metric, runs=()) for metric in ("EM", "F1")]
    (literature,) = numbers_table(report(*cells, table=replace(TABLE, rows=(LITERATURE,)))).groups
    assert (literature.rows, literature.section, literature.title) == ((), "Lit", "")
    assert [plain_text(note) for note in literature.notes] == [
        "literature, not ours to train. EM a 50.0; F1 a 50.00"
    ]
    cells = [
        made(verdict="missing", reason="no run of x: `go`", runs=()),
        made(verdict="missing", reason="no run of x: `go`", runs=(), dataset="b", published=None),
        made(verdict="no data", reason="not asked", runs=(), dataset=AVERAGE),
    ]
    group = group_of(*cells)
    assert group.rows == () and remarks_of(*cells) == [
        "missing: no run of x: go",
        "no data: not asked",
        "F1 a 50.00 · b - · average 50.00",
        "note: as printed",
    ]
    assert Phrase("go", "code") in group.notes[0]
    with_runs = [made(verdict="no data", reason="why")]
    assert len(group_of(*with_runs).rows) == 1  # its runs lack the dataset: that is a line


def test_a_group_is_called_after_model_arm_k_and_p_f():
    named = group_of(made())
    assert (named.section, named.title) == ("Model", "MT(w/ BMT) K = 16 p_F 0.25")
    assert group_of(made(row=NONE), row=NONE).title == ""


def test_reasons_are_said_once_each_with_the_numbers_they_are_about_unless_that_is_all():
    cells = [
        made(verdict="not comparable", reason="all", metric=metric, dataset=name)
        for metric in ("EM", "F1")
        for name in ("a", "b")
    ]
    density = "mask density: not recorded in these runs"
    assert remarks_of(*cells, table=TABLE) == [density, "not comparable (all)", "note: as printed"]
    some = [replace(cells[0], reason="one"), *cells[1:3], replace(cells[3], verdict="no data", reason="two")]
    assert remarks_of(*some, table=TABLE)[1:-1] == [
        "a EM: not comparable (one)",
        "b EM, a F1: not comparable (all)",
        "b F1: no data (two)",
    ]
    whole = [replace(cell, reason="x" if cell.match.dataset == "a" else "") for cell in cells]
    assert remarks_of(*whole, table=TABLE)[1:-1] == ["a: not comparable (x)"]
    judged = [replace(cell, verdict="inconclusive") for cell in cells]
    assert remarks_of(*judged, table=TABLE) == [density, "note: as printed"]


def test_a_learned_mask_s_density_stands_above_its_row():
    def first(density: Density) -> Any:
        return group_of(made(), densities={"bmt": density}).notes[0]

    assert first(Density({"a": 0.25, "b": 0.5}, 0.9504)) == Phrase(
        "mask density a 0.250, b 0.500; union 0.950: mask nearly inactive", tone="open"
    )
    assert first(Density({"a": 0.25}, 0.95)) == Phrase("mask density a 0.250; union 0.950")
    assert first(Density({}, None)) == Phrase("mask density by dataset not recorded; union not recorded")
    assert group_of(made(row=NONE), row=NONE).notes == ()


def test_the_line_about_a_report_names_seeds_folder_and_stand_in_where_there_are_runs():
    seen = report(seeds=(0, 2), source="results/mini", stand_in={"roberta": "minilm"})
    assert about(seen) == (
        "profile mini · seeds 0, 2 · results in results/mini · minilm stands in for roberta"
    )
    assert about(report(stand_in={"roberta": "minilm"})) == "profile mini · no runs"
    assert about(report(table=replace(TABLE, kind="facts"))) == "profile mini"
    assert document_title(TABLE) == "Table A.10. Cap."


def claimed(**fields: Any) -> ClaimResult:
    values: dict[str, Any] = {"verdict": "upheld", "reason": "because", "p_holm": 0.02, "claim": CLAIM}
    values |= {"paper_delta": 1.2, "interval": Interval(1.5, 0.254, 2.0, 0.01, 3, "t")}
    return ClaimResult(**values | fields)


def test_a_claim_s_row_has_pair_metric_paper_ours_and_verdict():
    than = replace(CLAIM, direction="less", than=("x", "y"), over="a")
    spread = replace(CLAIM, metric="spread.F1", over=None, direction="comparable")
    moved = replace(CLAIM, metric="deviation.l2", over=None)
    small = Interval(-0.00125, -0.0025, 0.0, 0.5, 3, "t")
    results = (
        claimed(),
        claimed(claim=than, p_holm=None, verdict="contradicted"),
        claimed(claim=spread, interval=replace(small, low=None, high=None), verdict="no verdict"),
        claimed(claim=moved, interval=small, paper_delta=None, verdict="smaller than claimed"),
        claimed(interval=None, verdict="no data"),
    )
    rows = claims_table(report(claims=results)).groups[0].rows
    assert [texts(row) for row in rows] == [
        ["bmt > none, F1, average", "+1.20", "+1.50 [+0.25, +2.00]", ".020", "upheld"],
        ["(bmt - none) < (x - y), F1, a", "+1.20", "+1.50 [+0.25, +2.00]", "-", "contradicted"],
        ["bmt ≈ none, spread of F1", "+1.20", "-0.00", ".020", "no verdict"],
        [
            "bmt > none, deviation.l2",
            "-",
            f"{-0.00125:+.4f} [-0.0025, +0.0000]",
            ".020",
            "smaller than claimed",
        ],
        ["bmt > none, F1, average", "+1.20", "-", ".020", "no data"],
    ]
    assert [row.cells[-1].tone for row in rows] == ["good", "bad", "open", "open", "quiet"]


def test_a_quotation_stands_where_it_changes_and_a_reason_where_the_figures_do_not_say_it():
    other = replace(CLAIM, quote="Worse.")
    results = (
        claimed(note="over 1 of 2", reason="said by the figures"),
        claimed(p_holm=None, reason="one seed"),
        claimed(claim=other, p_holm=None, interval=Interval(1, None, None, None, 0, "exact numbers")),
        claimed(verdict="undecided", seeds_needed=8, note="over 1 of 2", p_holm=None, reason="2 seeds"),
        claimed(verdict="upheld", seeds_needed=8),
        claimed(verdict="undecided", seeds_needed=3),
    )
    rows = claims_table(report(claims=results)).groups[0].rows
    assert [[plain_text(note) for note in row.notes] for row in rows] == [
        ["“Better. (4.2)”", "over 1 of 2"],
        ["one seed"],
        ["“Worse. (4.2)”"],
        ["“Better. (4.2)”", "over 1 of 2; 2 seeds; 8 seeds to confirm"],
        [],
        ["the claimed size needs 3 seeds for 80 % power"],
    ]


def remarks(**fields: Any) -> list[tuple[str, str]]:
    made_report = report(*fields.pop("cells", ()), **fields)
    return [(item.label, plain_text(item.text)) for item in closing_remarks(made_report)]


def test_under_the_table_stand_counts_effects_notes_and_assumptions_in_this_order():
    results = (claimed(), claimed(verdict="undecided"), claimed(verdict="no data"), claimed())
    whole = remarks(
        cells=(made(), made(verdict="missing"), made(verdict="missing")),
        claims=results,
        signs=(2, 3),
        effect_ratio=0.756,
        tau_b=-0.333,
        faults=(Fault("x.json", "no JSON"),),
        table=replace(ONE_METRIC, notes="Odd."),
        notes=("noted",),
        assumptions=("assumed",),
    )
    assert whole == [
        ("cells", "2 missing, 1 reproduced"),
        ("claims", "2/4 upheld; 1 undecided, 1 no data"),
        (
            "effects",
            "sign agreement 2/3 (the claims' rows, dataset by dataset); effect ratio 0.76 "
            "(our mean difference / the paper's)",
        ),
        ("order", "Kendall's tau-b -0.33 between the rows' means (descriptive)"),
        ("unreadable", "x.json: no JSON"),
        ("printed", "Odd."),
        ("note", "noted"),
        ("assumed", "assumed"),
    ]
    assert remarks(cells=(made(),)) == [("cells", "1 reproduced")]
    assert remarks(claims=(claimed(),), signs=(0, 1))[1:] == [
        ("claims", "1/1 upheld"),
        ("effects", "sign agreement 0/1 (the claims' rows, dataset by dataset)"),
    ]
    bad = closing_remarks(report(faults=(Fault("x", "y"),)))[-1]
    assert bad == ListItem(Phrase("x: y", tone="bad"), "unreadable")


def test_a_second_reading_is_a_line_per_row_and_metric():
    row = replace(NONE, arm="MT(w/o)", ours=Ours("m", "mt", "mask", True))
    cells = (
        made(row=row, mean=51.0, n=2, delta=1.0),
        made(row=row, mean=49.5, n=2, delta=-0.5, dataset="b"),
        made(row=row, mean=50.254, n=3, delta=0.254, dataset=AVERAGE),
        made(row=replace(row, arm=None, ours=Ours("m", "mt", "mask")), metric="EM", mean=1.0, delta=None),
    )
    assert remarks(second_readings=cells)[1:] == [
        (
            "second reading",
            "MT(w/o) read as arm mask with adapters, F1 average: paper 50.00, ours 50.25 (3), Δ +0.25; "
            "Δ by dataset: a +1.00, b -0.50",
        ),
        ("second reading", "Model read as arm mask, EM; Δ by dataset: a -"),
    ]


def test_what_is_unsettled_in_counted_numbers_is_said_once():
    cells = (
        made(verdict="missing", reason="no file: `make`"),
        made(verdict="missing", reason="no file: `make`"),
        made(verdict="not comparable", reason="profile mini"),
        made(verdict="no data", reason="nothing printed"),
    )
    facts = replace(ONE_METRIC, kind="facts")
    assert remarks(cells=cells, table=facts)[1:] == [
        ("missing", "no file: make"),
        ("not comparable", "profile mini"),
    ]
    assert remarks(cells=cells)[1:] == []
    (group,) = numbers_table(
        report(made(mean=49.96, delta=-0.04, verdict="differs"), table=replace(facts, rows=(BMT,)))
    ).groups
    assert (group.title, group.section) == ("MT(w/ BMT)", "")
    assert texts(group.rows[0]) == ["F1", "50.00", "49.960", "-0.04", "differs"]
    assert group.rows[0].cells[-1] == TextCell("differs", "bad")
    (unnamed,) = numbers_table(report(made(row=NONE), table=replace(facts, rows=(NONE,)))).groups
    assert (unnamed.title, unnamed.section) == ("", "Model")


def test_a_document_has_sections_for_what_there_is():
    references = References("Games.", "F1", {"x": "all"}, {"Newt": {"x": 1.0}})
    whole = report(made(), claims=(claimed(),), table=replace(ONE_METRIC, references=references))
    blocks = table_document(whole).blocks
    assert [block.text for block in blocks if isinstance(block, Heading)] == ["Published elsewhere", "Claims"]
    assert not [block for block in table_document(report(made())).blocks if isinstance(block, Heading)]
    beside = published_elsewhere(whole.table)
    assert beside is not None and texts(beside.groups[0].rows[0]) == ["Newt", "1.00"]
    assert published_elsewhere(ONE_METRIC) is None
