"""The paper as data: equal to the transcription, quotes verbatim, and a schema check that names file, key and
what is allowed.
"""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmark.config.cells import ZERO_SHOT
from benchmark.paper.schema import Requirements
from benchmark.paper.tables import AVERAGE, OWN_PAPER, Claim, Ours, Row, Table, load, table_id, table_name
from benchmark.runs.results import Identity
from bmt.errors import ConfigError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN
from tests.support.repository import ROOT

SHARED = ROOT.parent / "shared" / "paper"
needs_paper = pytest.mark.skipif(not (SHARED / "tables.json").exists(), reason="../shared/paper is not here")


@pytest.fixture(scope="module")
def paper():
    return load()


def test_ten_tables_and_the_claims_of_all_of_them(paper):
    assert list(paper.tables) == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "a10"]
    assert {claim.table for claim in paper.claims} == set(paper.tables) - {"1"}
    assert table_id("A.10") == "a10"


@needs_paper
def test_every_value_equals_the_transcription(paper):
    compared = 0
    for name, source in json.loads((SHARED / "tables.json").read_text())["tables"].items():
        table = paper.tables[table_id(name)]
        assert len(table.rows) == len(source["rows"])
        for row, entry in zip(table.rows, source["rows"], strict=True):
            if name == "1":
                assert row.model == entry["dataset"]
                wanted = {metric: {"": entry[metric]} for metric in table.metrics}
            elif name == "7":
                assert (row.model, row.arm) == (entry["model"], entry["arm"])
                wanted = {metric: {"": entry[metric]} for metric in table.metrics}
            else:
                assert (row.model, row.arm or "?", row.K) == (entry["model"], entry["arm"], entry.get("K"))
                assert row.p_f == entry.get("p_F", 0.5 if entry["arm"].endswith("(w/ mask)") else None)
                cells = {table.columns[label]: value for label, value in entry["values"].items()} | {
                    AVERAGE: entry["avg"]
                }
                metrics = source["metric"].split(",")
                wanted = {
                    m: {d: value[m] if isinstance(value, dict) else value for d, value in cells.items()}
                    for m in metrics
                }
            assert row.values == wanted
            compared += sum(len(values) for values in wanted.values())
    assert compared == 583


@needs_paper
def test_marks_of_table_7_and_printed_gains_equal_the_transcription():
    source = json.loads((SHARED / "tables.json").read_text())["tables"]
    own = {
        name: yaml.safe_load((OWN_PAPER / f"table_{name}.yaml").read_text())["rows"]
        for name in ("2", "3", "5", "7")
    }
    for row, entry in zip(own["7"], source["7"]["rows"], strict=True):
        assert row["marks"] == {part: entry[part] for part in ("theta", "phi", "psi", "delta_d")}
    for name in ("2", "3", "5"):
        gains = [row.get("printed_gain") for row in own[name]]
        assert gains == [entry.get("printed_delta") for entry in source[name]["rows"]]
        assert any(gains)


def test_rows_of_ours_are_named_after_the_cells_that_answer_them(paper):
    for table in paper.tables.values():
        assert set(table.columns.values()) in (set(IN_DOMAIN), set(OUT_OF_DOMAIN), set())
        for row in table.rows:
            if row.ours and row.ours.arm != ZERO_SHOT:
                ours = row.ours
                assert row.row == Identity(ours.backbone, ours.regime, ours.arm, ours.adapter, row.K).stem
                assert ("w/ BMT" in row.arm) == (ours.arm == "bmt") and (
                    "w/ adapter" in row.arm
                ) == ours.adapter
                assert row.arm.startswith("ST") == (ours.regime == "st")
                assert row.p_f == {"mask": 0.5, "mask_p30": 0.3, "mask_p70": 0.7}.get(ours.arm)
    for name in ("6", "8"):  # "w/o BMT": no mask as labelled, and held against the random mask as well
        assert {
            row.row: row.second_reading
            for row in paper.tables[name].rows
            if row.ours and row.ours.arm != ZERO_SHOT
        } == {
            "roberta-base.mt.none": "mask",
            "roberta-base.mt.bmt": None,
            "roberta-base.mt.none.adapter": "mask",
            "roberta-base.mt.bmt.adapter": None,
        }
    assert paper.tables["9"].published_runs == 3
    published = [
        (table.table, row.row, row.ours)
        for table in paper.tables.values()
        for row in table.rows
        if row.ours and row.ours.arm == ZERO_SHOT
    ]
    assert published == [
        ("8", "unifiedqa-base", Ours("unifiedqa-base", "mt", ZERO_SHOT))
    ]  # Table 9's, tuned on K, are literature


def test_requirements_agree_with_table_1_and_with_the_profile_paper(paper):
    printed = {row.row: row.values["Dev"][""] for row in paper.tables["1"].rows}
    assert paper.requires.examples == printed | {"HotpotQA": 5901}  # the official file's; docs/deviations.md
    profile = yaml.safe_load((ROOT / "profiles" / "paper.yaml").read_text())
    assert paper.requires.backbones == {
        name: f"{own['name']}@{own['revision']}"
        for name, own in profile["backbones"].items()
        if own["head"] == "span"
    }
    assert paper.requires.epochs == {
        "mt": profile["training"]["epochs_mt"],
        "st": profile["training"]["epochs_st"],
    }
    assert paper.requires.profile == profile["profile"]


# --- the schema check ---------------------------------------------------------------------------------------


def write_paper(
    folder: Path, tables: dict[str, Any], claims: list[Any] | None = None, about: dict[str, Any] | None = None
) -> Path:
    folder.mkdir(exist_ok=True)
    for name, table in tables.items():
        (folder / f"table_{name}.yaml").write_text(yaml.safe_dump(table, sort_keys=False))
    for name, values in (("claims", {"claims": claims} if claims is not None else None), ("paper", about)):
        if values is not None:
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return folder


def small_table() -> dict[str, Any]:
    row = {
        "row": "a",
        "model": "M",
        "ours": {"backbone": "m", "regime": "mt", "arm": "x"},
        "values": {"F1": {"One": 50.1, "Avg.": 50.1}},
    }
    other = {"row": "b", "model": "N", "ours": "literature", "values": {"F1": {"One": 49.0, "Avg.": None}}}
    return {
        "table": "1",
        "caption": "c",
        "where": "s",
        "kind": "scores",
        "metrics": ["F1"],
        "decimals": 1,
        "columns": {"One": "one"},
        "average": "Avg.",
        "rows": [row, other],
    }


def small_claim() -> dict[str, Any]:
    return {
        "id": "k",
        "table": "1",
        "section": "2",
        "quote": "q",
        "a": "a",
        "b": "b",
        "metric": "F1",
        "over": "average",
        "direction": "greater",
    }


def changed(value: Any, path: str, new: Any) -> Any:
    """A copy of `value` with the entry at the dotted `path` replaced, or removed where `new` is Ellipsis."""
    whole = copy.deepcopy(value)
    place, *rest = [int(part) if part.isdigit() else part for part in path.split("/")]
    target = whole
    for part in rest:
        target, place = target[place], part
    if new is ...:
        del target[place]
    else:
        target[place] = new
    return whole


def test_a_small_paper_loads(tmp_path):
    found = load(write_paper(tmp_path / "p", {"1": small_table()}, [small_claim()]))
    assert found.tables["1"].rows[0].values == {"F1": {"one": 50.1, "average": 50.1}}
    assert found.tables["1"].rows[1].ours is None
    assert (found.claims[0].over, found.claims[0].size) == ("average", None)
    assert found.requires.profile is None


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("caption", ..., "caption: missing: a text"),
        ("kind", "score", "kind: 'score' is not allowed: one of scores, facts"),
        ("captoin", "c", "captoin: unknown key (did you mean caption?): one of table"),
        ("metrics", [], "metrics: [] is not allowed: a list of names"),
        ("decimals", 1.5, "decimals: 1.5 is not allowed: a whole number of 0 to 6"),
        ("decimals", {"EM": 1}, "decimals: EM, F1: exactly the metrics F1"),
        ("decimals", 7, "decimals: 7 is not allowed: a whole number of 0 to 6, or one for each metric"),
        ("decimals", {"F1": 7}, "decimals: {'F1': 7} is not allowed: a whole number of 0 to 6"),
        ("decimals", -1, "decimals: -1 is not allowed: a whole number of 0 to 6"),
        ("metrics", ["F1", "F1"], "metrics: ['F1', 'F1'] is not allowed: a list of names"),
        ("metrics", ["F1", " "], "metrics: ['F1', ' '] is not allowed: a list of names"),
        ("unit", "points", "unit: 'points' is not allowed: one of percent"),
        ("published_runs", 0, "published_runs: 0 is not allowed: a whole number of at least 1, or null"),
        ("rows/0/p_F", 0, "rows[0]: p_F: 0 is not allowed: a number above 0 and at most 1"),
        ("rows/0/p_F", float("nan"), "rows[0]: p_F: nan is not allowed: a number above 0 and at most 1"),
        ("rows/0/K", 0, "rows[0]: K: 0 is not allowed: a whole number of at least 1, or null"),
        ("rows/0/printed_gain", "1", "rows[0]: printed_gain: '1' is not allowed: a number"),
        ("rows/0/printed_gain", float("inf"), "rows[0]: printed_gain: inf is not allowed: a number"),
        (
            "rows/0/ours",
            "ours",
            "rows[0]: ours: 'ours' is not allowed: literature, or {backbone, regime, arm,",
        ),
        ("rows/0/ours/adapter", 1, "rows[0] (a): ours: adapter: 1 is not allowed: true or false"),
        (
            "rows/0/ours/seed",
            1,
            "rows[0] (a): ours: seed: unknown key: one of backbone, regime, arm, adapter",
        ),
        ("rows/0/second_reading", {}, "rows[0]: second_reading: arm: missing: a text"),
        ("table", "2", "table: '2' is not allowed: 1, as in the file's name"),
        ("columns", {"One": "average"}, "columns: a dataset stands twice"),
        ("columns", ..., "columns: missing: printed labels and datasets"),
        ("rows", [], "rows: [] is not allowed: a list with at least one entry"),
        (
            "rows/0/values/F1/One",
            "50.1",
            "rows[0] (a): values.F1.One: '50.1' is not allowed: a number or null",
        ),
        ("rows/0/values/F1/One", True, "rows[0] (a): values.F1.One: True is not allowed: a number or null"),
        (
            "rows/0/values/F1/One",
            float("nan"),
            "rows[0] (a): values.F1.One: nan is not allowed: a number or null",
        ),
        (
            "rows/0/values/F1/One",
            50.12,
            "rows[0] (a): values.F1.One: 50.12 is not allowed: at most 1 decimals",
        ),
        (
            "rows/0/values/F1/Two",
            1.0,
            "rows[0] (a): values.F1: Two: exactly the columns One, Avg. (null where nothing is printed)",
        ),
        ("rows/0/values/F1/One", ..., "rows[0] (a): values.F1: One: exactly the columns One, Avg."),
        ("rows/0/values/EM", {}, "rows[0] (a): values: EM: exactly the metrics F1"),
        ("rows/0/ours", ..., "rows[0] (a): ours: missing: literature, or {backbone, regime, arm, adapter}"),
        (
            "rows/0/ours/regime",
            "st-SQuAD",
            "rows[0] (a): ours: regime: 'st-SQuAD' is not allowed: one of mt, st",
        ),
        ("rows/0/ours/arm", ..., "rows[0] (a): ours: arm: missing: a text"),
        ("rows/0/p_F", 1.5, "rows[0]: p_F: 1.5 is not allowed: a number above 0 and at most 1"),
        ("rows/1/row", "a", "rows[1]: row: 'a' stands twice"),
        ("rows/0", "row", "rows[0]: 'row' is not allowed: keys and values"),
        ("kind", "facts", "columns: not allowed: facts have none"),
        ("columns", {"One": "one", "Two": "one"}, "columns: a dataset stands twice: each column its own"),
        ("decimals", 0, "rows[0] (a): values.F1.One: 50.1 is not allowed: at most 0 decimals"),
        ("average", ..., "rows[0] (a): values.F1: Avg.: exactly the columns One (null where nothing is"),
        ("rows/0/values/F1", 50.1, "rows[0] (a): values.F1: 50.1: exactly the columns One, Avg."),
        ("rows/0/values/F1/Avg.", "x", "rows[0] (a): values.F1.Avg.: 'x' is not allowed: a number or null"),
    ],
)
def test_a_wrong_table_is_one_line_with_file_key_and_what_is_allowed(tmp_path, path, new, message):
    folder = write_paper(tmp_path / "p", {"1": changed(small_table(), path, new)})
    with pytest.raises(ConfigError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder / 'table_1.yaml'}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.status == 2


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ("a", ..., "claims[0] (k): a: missing: a text"),
        ("b", ..., "claims[0] (k): b: missing: a text"),
        ("b", "c", "claims[0] (k): row 'c' is in no table: one of a, b"),
        ("than", {"a": "a"}, "claims[0] (k): than: b: missing: a text"),
        ("than", {"a": "a", "b": "c"}, "claims[0] (k): row 'c' is in no table: one of a, b"),
        ("table", "9", "claims[0] (k): table: '9' is not allowed: one of 1"),
        (
            "metric",
            "EM",
            "claims[0] (k): metric: 'EM' is not allowed: one of F1, deviation.relative, deviation.l2, "
            "spread.F1",
        ),
        (
            "metric",
            "spread.F1",
            "claims[0] (k): over: 'average' is not allowed: spread.F1 belongs to a whole row",
        ),
        ("over", "two", "claims[0] (k): over: 'two' is not allowed: each, average or of one"),
        ("over", ..., "claims[0] (k): over: None is not allowed: each, average or of one"),
        (
            "direction",
            "better",
            "claims[0] (k): direction: 'better' is not allowed: one of greater, less, comparable",
        ),
        ("size", 0, "claims[0] (k): size: 0 is not allowed: a number above 0, or null"),
        ("size", float("inf"), "claims[0] (k): size: inf is not allowed: a number above 0, or null"),
        ("also", [], "claims[0] (k): also: [] is not allowed: a list with at least one entry"),
        (
            "over",
            [],
            "claims[0] (k): over: [] is not allowed: average, each, a dataset or a list of datasets",
        ),
        ("size", -1, "claims[0] (k): size: -1 is not allowed: a number above 0, or null"),
        (
            "",
            {"metric": "spread.F1", "over": None, "direction": "comparable"},
            "claims[0] (k): size: missing: spread.F1 has no margin",
        ),
        (
            "",
            {"metric": "deviation.l2", "over": None, "direction": "comparable"},
            "claims[0] (k): size: missing: deviation.l2 has no margin",
        ),
        ("quote", " ", "claims[0] (k): quote: ' ' is not allowed: a text"),
        ("also", [{"section": "1"}], "claims[0] (k): also: quote: missing: a text"),
    ],
)
def test_a_wrong_claim_is_one_line_too(tmp_path, path, new, message):
    claim = (
        changed(small_claim(), path, new)
        if path
        else {k: v for k, v in (small_claim() | new).items() if v is not None}
    )
    folder = write_paper(tmp_path / "p", {"1": small_table()}, [claim])
    with pytest.raises(ConfigError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder / 'claims.yaml'}: ")
    assert message in str(caught.value)


def test_claims_with_one_id_and_folders_without_tables_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="the id 'k' stands twice"):
        load(write_paper(tmp_path / "p", {"1": small_table()}, [small_claim(), small_claim()]))
    with pytest.raises(ConfigError, match="no such folder"):
        load(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no table_<id>\.yaml in it"):
        load(tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"requires: epochs: \{'rl': 3\} is not allowed: mt and st"):
        load(
            write_paper(
                tmp_path / "q", {"1": small_table()}, about={"paper": "P", "requires": {"epochs": {"rl": 3}}}
            )
        )


@pytest.mark.parametrize(
    ("requires", "message"),
    [
        (
            {"epochs": {"mt": 0}},
            r"requires: epochs: {'mt': 0} is not allowed: mt and st, each a number above 0",
        ),
        ({"epochs": {"mt": True}}, r"requires: epochs: {'mt': True} is not allowed: mt and st"),
        (
            {"examples": {"SQuAD": 0}},
            r"requires: examples: {'SQuAD': 0} is not allowed: datasets and their numbers",
        ),
        ({"profile": " "}, r"requires: profile: ' ' is not allowed: a text, or null"),
        ({"backbones": ["a"]}, r"requires: backbones: ['a'] is not allowed: names and texts"),
        (
            {"backbone": {}},
            r"requires: backbone: unknown key (did you mean backbones?): one of profile, evaluator,",
        ),
        (3, r"requires: 3 is not allowed: keys and values"),
    ],
)
def test_wrong_requirements_are_one_line(tmp_path, requires, message):
    folder = write_paper(tmp_path / "p", {"1": small_table()}, about={"paper": "P", "requires": requires})
    with pytest.raises(ConfigError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder / 'paper.yaml'}: {message}")


def test_sentences_that_no_run_can_test_are_checked_too(tmp_path):
    folder = write_paper(tmp_path / "p", {"1": small_table()}, [])
    good = {"section": "1", "quote": "q", "why": "w"}
    for entry, message in (
        ({**good, "why": ""}, "untestable[1]: why: '' is not allowed: a text"),
        ({"section": "1", "quote": "q"}, "untestable[1]: why: missing: a text"),
        ("q", "untestable[1]: 'q' is not allowed: keys and values"),
    ):
        (folder / "claims.yaml").write_text(yaml.safe_dump({"claims": [], "untestable": [good, entry]}))
        with pytest.raises(ConfigError) as caught:
            load(folder)
        assert message in str(caught.value)


@pytest.mark.parametrize("more", [{"K": 16}, {"p_F": 0.5}, {"model": "Another"}])
def test_an_id_that_stands_twice_is_refused_whatever_else_the_rows_say(tmp_path, more):
    table = small_table()
    table["rows"].append(table["rows"][0] | more)
    with pytest.raises(
        ConfigError, match=r"rows\[2\]: row: 'a' stands twice: an id of its own for each row$"
    ):
        load(write_paper(tmp_path / "p", {"1": table}))


def test_a_table_s_file_is_named_after_its_id(tmp_path):
    for name, said, wanted in (("a10", "A10", "a10"), ("A10", "A10", "A10"), ("1", "a10", "1")):
        folder = write_paper(tmp_path / f"{name}-{said}", {name: small_table() | {"table": said}})
        with pytest.raises(ConfigError) as caught:
            load(folder)
        assert f"table: '{said}' is not allowed: {wanted}, as in the file's name" in str(caught.value)
    assert list(load(write_paper(tmp_path / "p", {"a10": small_table() | {"table": "a10"}})).tables) == [
        "a10"
    ]


def test_tables_are_in_the_order_of_their_numbers_those_of_appendices_last(tmp_path):
    names = ("10", "a1", "2", "b10", "9")
    folder = write_paper(tmp_path / "p", {name: small_table() | {"table": name} for name in names})
    assert list(load(folder).tables) == ["2", "9", "10", "a1", "b10"]


@pytest.mark.parametrize(
    ("text", "identity", "name"),
    [
        ("3", "3", "Table 3"),
        ("A.10", "a10", "Table A.10"),
        ("a10", "a10", "Table A.10"),
        (" B 2 ", "b2", "Table B.2"),
        ("S1b", "s1b", "Table s1b"),
    ],
)
def test_a_table_s_id_and_printed_name(text, identity, name):
    assert (table_id(text), table_name(identity)) == (identity, name)


def test_every_key_of_a_scores_table_is_read_where_it_belongs(tmp_path):
    ours = {"backbone": "m", "regime": "st", "arm": "x", "adapter": True}
    full = {
        "row": "a",
        "model": "M",
        "arm": "MT",
        "note": "odd",
        "K": 16,
        "p_F": 0.5,
        "dataset": "one",
        "ours": ours,
        "second_reading": {"arm": "mask"},
        "printed_gain": -1.5,
        "sources": {"x": "y"},
        "marks": {"x": "y"},
        "values": {"EM": {"One": 1.0, "Two": 2.0, "Avg.": None}, "F1": {"Avg.": 5, "Two": 4.25, "One": 3}},
    }
    bare = {"row": "b", "model": "N", "arm": None, "ours": "literature", "values": full["values"]}
    table = {
        "table": "1",
        "caption": "the caption",
        "where": "the section",
        "notes": "two\n  lines",
        "kind": "scores",
        "metrics": ["F1", "EM"],
        "decimals": {"EM": 1, "F1": 2},
        "columns": {"One": "one", "Two": "two"},
        "average": "Avg.",
        "published_runs": 3,
        "command": "make it",
        "unit": "percent",
        "rows": [full, bare],
    }
    found = load(write_paper(tmp_path / "p", {"1": table})).tables["1"]
    values = {
        "EM": {"one": 1.0, "two": 2.0, AVERAGE: None},
        "F1": {AVERAGE: 5, "two": 4.25, "one": 3},
    }
    row = Row(
        row="a",
        model="M",
        arm="MT",
        ours=Ours(backbone="m", regime="st", arm="x", adapter=True),
        values=values,
        K=16,
        p_f=0.5,
        dataset="one",
        second_reading="mask",
        note="odd",
        printed_gain=-1.5,
    )
    literature = Row(row="b", model="N", arm=None, ours=None, values=values)
    assert found == Table(
        table="1",
        caption="the caption",
        where="the section",
        notes="two lines",
        kind="scores",
        metrics=("F1", "EM"),
        decimals={"EM": 1, "F1": 2},
        columns={"One": "one", "Two": "two"},
        average="Avg.",
        rows=(row, literature),
        published_runs=3,
        command="make it",
        unit="percent",
        references=None,
    )
    assert found.datasets == ("one", "two")
    assert (found.find("b"), found.find("c")) == (literature, None)


def facts_table() -> dict[str, Any]:
    rows = [{"row": name, "model": "M", "values": {"n": number}} for name, number in (("a", 3), ("c", None))]
    head = {"table": "2", "caption": "c", "where": "s", "kind": "facts", "metrics": ["n"], "decimals": 0}
    return head | {"rows": rows}


def test_numbers_of_facts_have_no_columns(tmp_path):
    found = load(write_paper(tmp_path / "p", {"2": facts_table()})).tables["2"]
    assert [row.values for row in found.rows] == [{"n": {"": 3}}, {"n": {"": None}}]
    assert (found.columns, found.average, found.decimals) == ({}, None, {"n": 0})


def test_every_key_of_a_claim_is_read_where_it_belongs(tmp_path):
    entry = small_claim() | {
        "quote": "in two\n  lines",
        "reading": "as\n read",
        "also": [{"section": "5", "quote": "or\nso"}],
        "than": {"a": "b", "b": "a"},
        "size": 1.2,
        "direction": "less",
    }
    (claim,) = load(write_paper(tmp_path / "p", {"1": small_table()}, [entry])).claims
    assert claim == Claim(
        id="k",
        table="1",
        section="2",
        quote="in two lines",
        a="a",
        b="b",
        metric="F1",
        over="average",
        direction="less",
        size=1.2,
        than=("b", "a"),
        reading="as read",
        also=(("5", "or so"),),
    )
    assert claim.rows == ("a", "b", "b", "a")


def claims_over(tmp_path: Path, **entry: Any) -> list[tuple[str, str | None]]:
    """Ids and what they are over, of a claim on a table of two datasets."""
    table = small_table() | {"columns": {"One": "one", "Two": "two"}}
    for row in table["rows"]:
        row["values"]["F1"]["Two"] = 1.0
    folder = write_paper(tmp_path / "p", {"1": table}, [small_claim() | entry])
    return [(claim.id, claim.over) for claim in load(folder).claims]


def test_each_dataset_or_several_are_a_claim_for_each_and_one_is_the_claim_itself(tmp_path):
    assert claims_over(tmp_path, over="each") == [("k-one", "one"), ("k-two", "two")]
    assert claims_over(tmp_path, over=["two", "one"]) == [("k-two", "two"), ("k-one", "one")]
    assert claims_over(tmp_path, over=["two"]) == claims_over(tmp_path, over="two") == [("k", "two")]
    assert claims_over(tmp_path, over=["two", "average"]) == [("k-two", "two"), ("k-average", "average")]
    folder = write_paper(tmp_path / "q", {"1": small_table()}, [small_claim() | {"over": "each"}])
    assert [claim.id for claim in load(folder).claims] == ["k-one"]


def test_ids_that_become_equal_are_refused_and_so_is_an_average_that_is_not_printed(tmp_path):
    pair = [small_claim() | {"over": "each"}, small_claim() | {"id": "k-one"}]
    with pytest.raises(ConfigError, match=r"claims: the id 'k-one' stands twice: an id of its own for each"):
        load(write_paper(tmp_path / "p", {"1": small_table()}, pair))
    table = small_table()
    del table["average"]
    for row in table["rows"]:
        del row["values"]["F1"]["Avg."]
    with pytest.raises(ConfigError, match=r"over: 'average' is not allowed: each, average or of one"):
        load(write_paper(tmp_path / "q", {"1": table}, [small_claim()]))
    with pytest.raises(ConfigError, match=r"over: 'average' is not allowed: n belongs to a whole row"):
        claim = small_claim() | {"table": "2", "metric": "n"}
        load(write_paper(tmp_path / "r", {"1": small_table(), "2": facts_table()}, [claim]))
    with pytest.raises(ConfigError, match=r"metric: 'spread.n' is not allowed: one of n, deviation.relative"):
        claim = {key: value for key, value in claim.items() if key != "over"} | {"metric": "spread.n"}
        load(write_paper(tmp_path / "s", {"1": small_table(), "2": facts_table()}, [claim]))


def test_a_claim_means_the_row_of_its_own_table_and_else_of_the_first_that_has_it(tmp_path):
    tables = {name: small_table() | {"table": name} for name in ("1", "3")} | {"2": facts_table()}
    tables["3"]["rows"].append(tables["1"]["rows"][0] | {"row": "d"})
    claims = [small_claim() | {"id": name, "table": name} for name in ("1", "3")]
    claims += [small_claim() | {"id": "far", "table": "1", "a": "d", "b": "c"}]
    paper = load(write_paper(tmp_path / "p", tables, claims))
    homes = {claim.id: [(table.table, row.row) for table, row in paper.rows(claim)] for claim in paper.claims}
    assert homes == {
        "1": [("1", "a"), ("1", "b")],
        "3": [("3", "a"), ("3", "b")],
        "far": [("3", "d"), ("2", "c")],
    }
    with pytest.raises(KeyError):
        paper.row(paper.claims[0], "e")
    assert paper.table("3") is paper.tables["3"]
    with pytest.raises(ConfigError, match=r"^--paper-table 4: not allowed: one of 1, 2, 3$"):
        paper.table("4")


def test_what_is_no_table_or_claim_of_a_folder_is_optional(tmp_path):
    bare = load(write_paper(tmp_path / "p", {"1": small_table()}))
    assert (bare.title, bare.claims, bare.requires) == ("p", (), Requirements())
    requires = {
        "profile": "full",
        "evaluator": "e/1",
        "backbones": {"m": "m@1"},
        "epochs": {"mt": 3, "st": 0.5},
        "examples": {"one": 5},
        "data_sha256": {"one": "ab"},
    }
    about = {"paper": "The title", "url": "https://x", "seeds": "three", "requires": requires}
    whole = load(write_paper(tmp_path / "q", {"1": small_table()}, [], about))
    assert (whole.title, whole.claims) == ("The title", ())
    assert whole.requires == Requirements(**requires)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    folder = write_paper(tmp_path / "p", {"1": small_table()})
    path = folder / "table_1.yaml"
    path.write_text(path.read_text().replace("One: 50.1", "One: 50.1\n      One: 60.1", 1))
    with pytest.raises(ConfigError, match="the key 'One' stands twice"):
        load(folder)


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [here, *(path for key, entry in inner for path in paths(entry, (*here, key)))]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), junk=JUNK)
def test_no_value_anywhere_gives_another_error(tmp_path, data, junk):
    whole = {"table": small_table(), "claims": [small_claim()]}
    *start, last = data.draw(st.sampled_from(paths(whole)[1:]))
    target: Any = whole
    for part in start:
        target = target[part]
    target[last] = junk
    folder = tmp_path / "p"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        found = load(write_paper(folder, {"1": whole["table"]}, whole["claims"]))
    except ConfigError as error:
        assert "\n" not in str(error)
    else:
        assert set(found.tables) == {"1"}
