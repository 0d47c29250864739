"""Another paper, and results by other code, through the same command; and that the documentation names every
key.
"""

from __future__ import annotations

import html
import json
from dataclasses import fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmark import report
from benchmark.compare import main
from benchmark.paper import schema as paper_schema
from benchmark.paper import tables as papers
from benchmark.runs import predictions
from bmt.errors import ConfigError
from tests.support import html_tree
from tests.support.comparing import CELL_KEYS, CLAIM_KEYS, claim_of, compared, facts
from tests.support.repository import ROOT
from tests.support.results_maker import make_results

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")


def test_a_made_up_paper_of_two_tables_end_to_end(capsys, tmp_path):
    """Other datasets, arms and models; results by other code: only the required fields, integer ids, one
    float32 column.
    """
    paper, runs = tmp_path / "paper", tmp_path / "runs"
    paper.mkdir()
    runs.mkdir()
    ours = {"backbone": "frog-small", "regime": "mt"}
    printed = {"plain": (50.0, 70.0, 60.0), "leap": (54.0, 74.0, 64.0)}
    rows = [
        {
            "row": name,
            "model": "Frog-small",
            "arm": name.title(),
            "ours": ours | {"arm": name},
            "values": {"F1": dict(zip(("Pond", "River", "Mean"), values, strict=True))},
        }
        for name, values in printed.items()
    ]
    rows.append(
        {
            "row": "toad",
            "model": "Toad",
            "ours": "literature",
            "values": {"F1": {"Pond": 40.0, "River": 41.0, "Mean": 40.5}},
        }
    )
    scores = {
        "table": "1",
        "caption": "Frogs.",
        "where": "section 2",
        "kind": "scores",
        "metrics": ["F1"],
        "decimals": 1,
        "columns": {"Pond": "pond", "River": "river"},
        "average": "Mean",
        "rows": rows,
    }
    counted = {
        "table": "2",
        "caption": "Sizes.",
        "where": "section 3",
        "kind": "facts",
        "metrics": ["legs"],
        "decimals": 0,
        "rows": [
            {"row": "frog", "model": "Frog-small", "values": {"legs": 4}},
            {"row": "newt", "model": "Newt", "values": {"legs": 6}},
        ],
    }
    claims = [
        {
            "id": "leap-over-plain",
            "table": "1",
            "section": "2",
            "quote": "Leaping helps by 4 points.",
            "a": "leap",
            "b": "plain",
            "metric": "F1",
            "over": "average",
            "direction": "greater",
            "size": 4,
        },
        {
            "id": "leap-each",
            "table": "1",
            "section": "2",
            "quote": "On every water.",
            "a": "leap",
            "b": "plain",
            "metric": "F1",
            "over": "each",
            "direction": "greater",
        },
        {
            "id": "newt-legs",
            "table": "2",
            "section": "3",
            "quote": "Newts have more legs.",
            "a": "newt",
            "b": "frog",
            "metric": "legs",
            "direction": "greater",
        },
        {
            "id": "as-many-legs",
            "table": "2",
            "section": "3",
            "quote": "Or as many.",
            "a": "newt",
            "b": "frog",
            "metric": "legs",
            "direction": "comparable",
        },
        {
            "id": "about-as-many",
            "table": "2",
            "section": "3",
            "quote": "Or about.",
            "a": "newt",
            "b": "frog",
            "metric": "legs",
            "direction": "comparable",
            "size": 2,
        },
    ]
    for name, values in (
        ("table_1", scores),
        ("table_2", counted),
        ("claims", {"claims": claims}),
        ("paper", {"paper": "Frogs et al."}),
    ):
        (paper / f"{name}.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    for arm, gain in (("plain", 0.0), ("leap", 4.0)):
        for seed in range(4):
            rng = np.random.default_rng([seed, int(gain)])
            tables, datasets = [], {}
            for code, (name, level) in enumerate((("pond", 50.0), ("river", 70.0))):
                easy = np.argsort(np.random.default_rng(code).random(2000) + 0.1 * rng.random(2000))
                f1 = np.zeros(2000, np.float32)
                f1[easy[: int(20 * (level + gain)) + int(rng.integers(-2, 3))]] = 1.0
                ids = np.arange(2000)
                tables.append(
                    pa.table(
                        {
                            "dataset": [name] * 2000,
                            "example_id": ids,
                            "context_id": ids // 4,
                            "em": f1.astype(float),
                            "f1": f1,
                        }
                    )
                )
                datasets[name] = {
                    "em": float(100 * f1.mean()),
                    "f1": float(100 * f1.mean()),
                    "examples": 2000,
                }
            name = f"anybody-{arm}-{seed}"
            pq.write_table(pa.concat_tables(tables), runs / f"{name}.parquet")
            record = {
                "schema": 1,
                "cell": name,
                "profile": "pond life",
                **ours,
                "backbone": "frog-small",
                "arm": arm,
                "seed": seed,
                "datasets": datasets,
            }
            (runs / f"{name}.json").write_text(json.dumps(record))
    facts(runs, "2", {"frog": {"legs": 4}, "newt": {"legs": 4}})
    report = compared(capsys, runs, paper, "1", status=0)
    assert report["summary"]["paper"] == "Frogs et al." and report["profile"] == "pond life"
    assert report["summary"]["verdicts"] == {"literature": 3, "reproduced": 6}
    assert report["cells"][0]["runs"] == [f"anybody-plain-{seed}" for seed in range(4)]
    assert {claim["id"]: claim["verdict"] for claim in report["claims"]} == {
        "leap-over-plain": "upheld",
        "leap-each-pond": "upheld",
        "leap-each-river": "upheld",
    }
    assert claim_of(report, "leap-over-plain")["our_delta"] == pytest.approx(4.0, abs=0.2)
    report = compared(capsys, runs, paper, "2", status=0)
    assert [cell["verdict"] for cell in report["cells"]] == ["exact", "differs"]
    verdicts = {claim["id"]: claim["verdict"] for claim in report["claims"]}
    assert verdicts == {"newt-legs": "contradicted", "as-many-legs": "upheld", "about-as-many": "upheld"}
    facts(runs, "2", {"frog": {"legs": 4}, "newt": {"legs": 6}})
    verdicts = {
        claim["id"]: claim["verdict"] for claim in compared(capsys, runs, paper, "2", status=0)["claims"]
    }
    assert verdicts == {"newt-legs": "upheld", "as-many-legs": "contradicted", "about-as-many": "upheld"}
    facts(runs, "2", {"frog": {"legs": 4}, "newt": {"legs": 4}})
    compared(capsys, runs, paper, "2", "--strict", status=1)
    for suffix in ("json", "parquet"):
        (runs / f"anybody-leap-3.{suffix}").unlink()
    (runs / "anybody-leap-2.parquet").write_bytes(b"PAR1")
    report = compared(capsys, runs, paper, "1", status=2)
    assert report["summary"]["unreadable"][0].startswith("anybody-leap-2.parquet: unreadable")


REFERENCES = {
    "source": "Frog games.",
    "metric": "F1",
    "columns": {"waters": "mean of all waters", "land": "mean of the dry ones"},
    "rows": [
        {"system": "Newt_XL", "values": {"waters": 84.1, "land": None}},
        {"system": "Axolotl", "values": {"waters": 61.0, "land": 2.5}},
    ],
}


def paper_with(folder, references):
    rows = [
        {
            "row": "plain",
            "model": "Frog",
            "ours": {"backbone": "frog", "regime": "mt", "arm": "none"},
            "values": {"F1": {"Pond": 50.0, "Mean": 50.0}},
        },
        {
            "row": "toad",
            "model": "Toad",
            "ours": "literature",
            "values": {"F1": {"Pond": 40.0, "Mean": 40.0}},
        },
    ]
    table = {
        "table": "1",
        "caption": "Frogs.",
        "where": "section 2",
        "kind": "scores",
        "metrics": ["F1"],
        "decimals": 1,
        "columns": {"Pond": "pond"},
        "average": "Mean",
        "rows": rows,
    }
    folder.mkdir()
    (folder / "table_1.yaml").write_text(
        yaml.safe_dump(table | ({"references": references} if references else {}), sort_keys=False)
    )
    return folder


def test_systems_published_elsewhere_are_shown_in_every_format_and_counted_in_none(capsys, tmp_path):
    runs = tmp_path / "runs"
    make_results(
        runs,
        backbone="frog",
        arms=["none"],
        sizes={"pond": 300},
        f1=lambda arm, name, seed: 50.0 + 0.1 * seed,
    )
    plain, more = paper_with(tmp_path / "plain", None), paper_with(tmp_path / "more", REFERENCES)
    before, after = compared(capsys, runs, plain, "1"), compared(capsys, runs, more, "1")
    assert before["summary"].pop("references") is None
    assert after["summary"].pop("references") == {
        "source": "Frog games.",
        "metric": "F1",
        "columns": REFERENCES["columns"],
        "values": {"Newt_XL": {"waters": 84.1, "land": None}, "Axolotl": {"waters": 61.0, "land": 2.5}},
    }
    before["summary"]["paper"] = "more"  # the folder's name, which stands for a title
    assert after == before
    shown = {}
    for form in ("terminal", "markdown", "latex", "html"):
        main(["--paper-table", "1", "--results", str(runs), "--paper", str(more), "--format", form])
        shown[form] = capsys.readouterr().out
    texts = {form: " ".join(text.split()) for form, text in shown.items()}
    assert (
        "Newt_XL 84.1 - Axolotl 61.0 2.5 Frog games. F1; waters: mean of all waters; land: mean of the dry "
        "ones." in texts["terminal"]
    )
    assert (
        "| system | waters | land | | --- | ---: | ---: | | Newt_XL | 84.1 | - | | Axolotl | 61.0 | 2.5 |"
        in texts["markdown"]
    )
    assert (
        r"system & waters & land \\ \midrule Newt\_XL & 84.1 & - \\ Axolotl & 61.0 & 2.5 \\ \bottomrule"
        in texts["latex"]
    )
    published = next(table for table in html_tree.parse(shown["html"]).all("table") if "system" in table.text)
    cells = [[cell.text for cell in row.all() if cell.tag in ("th", "td")] for row in published.all("tr")]
    assert cells == [["system", "waters", "land"], ["Newt_XL", "84.1", "-"], ["Axolotl", "61.0", "2.5"]]
    for text in texts.values():
        assert text.count("Published elsewhere") == 1
        assert "Not the paper's rows: no verdict, claim or average counts them." in html.unescape(text)
    page = tmp_path / "page.html"
    report.main(["--results", str(runs), "--paper", str(more), "--out", str(page)])
    own = html_tree.parse(page.read_text()).one(id_="table-1")
    (beside,) = (table for table in own.all("table") if "system" in table.rows()[0])
    assert beside.rows() == [
        ["system", "waters", "land"],
        ["Newt_XL", "84.1", "-"],
        ["Axolotl", "61.0", "2.5"],
    ]


def test_the_shared_tasks_own_systems_stand_beside_table_4_as_transcribed(capsys, shared, tmp_path):
    source = json.loads((shared / "paper" / "tables.json").read_text())["reference_systems"]
    found = compared(capsys, tmp_path, None, "4")["summary"]
    assert found["references"]["values"] == {
        row["system"]: {"in-domain": row["in_domain"], "out-of-domain": row["ood_dev"]}
        for row in source["rows"]
    }
    assert found["references"]["source"] == source["source"].split(" (")[0]
    assert found["verdicts"] == {"literature": 63, "missing": 7}
    assert [name for name, table in papers.load().tables.items() if table.references] == ["4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": ...}, "references: source: missing: a text"),
        ({"metric": "EM"}, "references: metric: 'EM' is not allowed: one of F1"),
        ({"columns": {}}, "references: rows[0] (Newt_XL): values: land, waters: exactly the columns"),
        ({"rows": []}, "references: rows: [] is not allowed: a list with at least one entry"),
        (
            {"rows": [{"system": "a", "values": {"waters": 1.0}}]},
            "references: rows[0] (a): values: land: exactly the columns waters, land",
        ),
        (
            {"rows": [{"system": "a", "values": {"waters": 1.05, "land": 1}}]},
            "rows[0] (a): values.waters: 1.05 is not allowed: at most 1",
        ),
        (
            {"rows": 2 * REFERENCES["rows"]},
            "references: rows[2]: system: 'Newt_XL' stands twice: each system once",
        ),
        (
            {"rows": [{"system": "a", "value": {}}]},
            "rows[0]: value: unknown key (did you mean values?): one of system, values",
        ),
        (
            {"sauce": "x"},
            "references: sauce: unknown key (did you mean source?): one of source, metric, columns, rows",
        ),
    ],
)
def test_wrong_references_are_one_line_with_file_and_key(tmp_path, change, message):
    values = {key: value for key, value in (REFERENCES | change).items() if value is not ...}
    folder = paper_with(tmp_path / "p", values)
    with pytest.raises(ConfigError) as caught:
        papers.load(folder)
    assert str(caught.value).startswith(f"{folder / 'table_1.yaml'}: references")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_documentation_names_every_key(capsys, faithful, small_paper):
    text = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    schemas = (
        paper_schema.PaperFile,
        paper_schema.Requirements,
        paper_schema.TableFile,
        paper_schema.RowEntry,
        paper_schema.Ours,
        paper_schema.ClaimEntry,
        paper_schema.ReferencesEntry,
        paper_schema.ReferenceRow,
    )
    keys = {key.name for schema in schemas for key in fields(schema)} | {
        *CELL_KEYS,
        *CLAIM_KEYS,
        *predictions.COLUMNS,
    }
    summary = compared(capsys, faithful, small_paper)["summary"]
    keys |= {
        *summary,
        *next(iter(summary["claim_details"].values())),
        *summary["density"]["roberta-base.mt.bmt"],
        *summary["printed"],
    }
    assert sorted(key for key in keys if key not in text) == []
