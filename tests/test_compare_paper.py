"""Another paper, and results by other code, through the same command; and that the documentation names every key."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from benchmark import paper_schema, predictions
from tests.comparing import CELL_KEYS, CLAIM_KEYS, claim_of, compared, facts
from tests.conftest import ROOT

pytest_plugins = ("tests.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")


def test_a_made_up_paper_of_two_tables_end_to_end(capsys, tmp_path):
    """Other datasets, arms and models; results by other code: only the required fields, integer ids, one float32 column."""
    paper, runs = tmp_path / "paper", tmp_path / "runs"
    paper.mkdir()
    runs.mkdir()
    ours = {"backbone": "frog-small", "regime": "mt"}
    printed = {"plain": (50.0, 70.0, 60.0), "leap": (54.0, 74.0, 64.0)}
    rows = [
        {"row": name, "model": "Frog-small", "arm": name.title(), "ours": ours | {"arm": name}, "values": {"F1": dict(zip(("Pond", "River", "Mean"), values, strict=True))}}  # noqa: E501
        for name, values in printed.items()
    ]  # fmt: skip
    rows.append({"row": "toad", "model": "Toad", "ours": "literature", "values": {"F1": {"Pond": 40.0, "River": 41.0, "Mean": 40.5}}})
    scores = {
        "table": "1", "caption": "Frogs.", "where": "section 2", "kind": "scores", "metrics": ["F1"], "decimals": 1,
        "columns": {"Pond": "pond", "River": "river"}, "average": "Mean", "rows": rows,
    }  # fmt: skip
    counted = {
        "table": "2", "caption": "Sizes.", "where": "section 3", "kind": "facts", "metrics": ["legs"], "decimals": 0,
        "rows": [{"row": "frog", "model": "Frog-small", "values": {"legs": 4}}, {"row": "newt", "model": "Newt", "values": {"legs": 6}}],
    }  # fmt: skip
    claims = [
        {"id": "leap-over-plain", "table": "1", "section": "2", "quote": "Leaping helps by 4 points.", "a": "leap", "b": "plain", "metric": "F1", "over": "average", "direction": "greater", "size": 4},  # noqa: E501
        {"id": "leap-each", "table": "1", "section": "2", "quote": "On every water.", "a": "leap", "b": "plain", "metric": "F1", "over": "each", "direction": "greater"},  # noqa: E501
        {"id": "newt-legs", "table": "2", "section": "3", "quote": "Newts have more legs.", "a": "newt", "b": "frog", "metric": "legs", "direction": "greater"},  # noqa: E501
        {"id": "as-many-legs", "table": "2", "section": "3", "quote": "Or as many.", "a": "newt", "b": "frog", "metric": "legs", "direction": "comparable"},  # noqa: E501
        {"id": "about-as-many", "table": "2", "section": "3", "quote": "Or about.", "a": "newt", "b": "frog", "metric": "legs", "direction": "comparable", "size": 2},  # noqa: E501
    ]  # fmt: skip
    for name, values in (("table_1", scores), ("table_2", counted), ("claims", {"claims": claims}), ("paper", {"paper": "Frogs et al."})):
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
                    pa.table({"dataset": [name] * 2000, "example_id": ids, "context_id": ids // 4, "em": f1.astype(float), "f1": f1})
                )
                datasets[name] = {"em": float(100 * f1.mean()), "f1": float(100 * f1.mean()), "examples": 2000}
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
    verdicts = {claim["id"]: claim["verdict"] for claim in compared(capsys, runs, paper, "2", status=0)["claims"]}
    assert verdicts == {"newt-legs": "upheld", "as-many-legs": "contradicted", "about-as-many": "upheld"}
    facts(runs, "2", {"frog": {"legs": 4}, "newt": {"legs": 4}})
    compared(capsys, runs, paper, "2", "--strict", status=1)
    for suffix in ("json", "parquet"):
        (runs / f"anybody-leap-3.{suffix}").unlink()
    (runs / "anybody-leap-2.parquet").write_bytes(b"PAR1")
    report = compared(capsys, runs, paper, "1", status=2)
    assert report["summary"]["unreadable"][0].startswith("anybody-leap-2.parquet: unreadable")


def test_the_documentation_names_every_key(capsys, faithful, small_paper):
    text = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    schemas = (paper_schema.PAPER, paper_schema.REQUIRES, paper_schema.TABLE, paper_schema.ROW, paper_schema.OURS, paper_schema.CLAIM)
    keys = {key.rstrip("?") for schema in schemas for key in schema} | {*CELL_KEYS, *CLAIM_KEYS, *predictions.COLUMNS}
    summary = compared(capsys, faithful, small_paper)["summary"]
    keys |= {*summary, *next(iter(summary["claim_details"].values())), *summary["density"]["roberta-base.mt.bmt"], *summary["printed"]}
    assert sorted(key for key in keys if key not in text) == []
