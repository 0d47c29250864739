"""A compared table as a document: what stands where, and that names in somebody's results stay text in every
format.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.compare import FORMATS, main
from benchmark.comparison.inputs import read_inputs
from benchmark.comparison.table_comparison import compare
from benchmark.comparison.table_document import numbers_table, table_document
from benchmark.paper.tables import AVERAGE, Claim
from benchmark.rendering.document import TextCell, plain_text
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
