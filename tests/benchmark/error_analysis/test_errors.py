"""`python -m benchmark.errors` on a project of six questions: what is counted and shown, in closed form, and
what bad input says.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark import errors
from benchmark.error_analysis.error_document import answer_line, shortened
from bmt.errors import ConfigError, DataError
from bmt.qa.metrics import score
from bmt.runtime.files import file_digest
from tests.support.mrqa_files import passage, write
from tests.support.repository import ROOT
from tests.support.tracking_store import contents, make

# --- a project of two datasets ------------------------------------------------------------------------------

FILES = {
    "SQuAD": [
        ("s1", "Who built the mill?", ["Anna Vorn"], "The mill was built by Anna Vorn."),
        ("s2", "When was the mill built?", ["1804"], "The mill was built in 1804 | by <b>Vorn</b>."),
        ("s3", "Where is the mill?", ["old town"], "The mill is in the old town."),
        ("s4", "Which harbour city did painter Ross leave?", ["Redhaven"], "Ross left. Redhaven is old."),
    ],
    "DROP": [
        ("d1", "How many mills burned?", ["two"], "It says that two mills burned."),
        ("d2", "Who won?", ["Bears"], "The Bears won."),
    ],
}
GIVEN = {
    ("none", 0): {"s1": "Vorn", "s2": "1804", "s3": "town", "s4": "Ross", "d1": "three", "d2": "Bears"},
    ("none", 1): {"s1": "Vorn", "s2": "1804", "s3": "old town", "s4": "Ross", "d1": "three", "d2": "Bears"},
    ("bmt", 0): {"s1": "Vorn", "s2": "1804", "s3": "old town", "s4": "Redhaven", "d1": "four", "d2": "Bears"},
    ("bmt", 1): {
        "s1": "Anna",
        "s2": "1804",
        "s3": "old town",
        "s4": "Redhaven",
        "d1": "three",
        "d2": "Bears",
    },
}
"""s1: all wrong, annotation. s2: all right. s3: none's seeds disagree. s4: differ, knowledge. d1: all wrong,
reasoning. d2: all right.
"""


def write_run(
    root: Path, arm: str, seed: int, given: dict[str, str], drop: Sequence[str] = (), adapter: bool = False
) -> None:
    """A run's two files, scored; its rows in an order of its own."""
    cell = f"minilm.mt.{arm}{'.adapter' * adapter}.s{seed}"
    rows, datasets = [], {}
    for dataset, questions in FILES.items():
        own = [(key, answers) for key, _, answers, _ in questions if key in given and key not in drop][
            :: -1 if seed else 1
        ]
        em, f1_scores = score([given[key] for key, _ in own], [answers for _, answers in own])
        for row, (key, answers) in enumerate(own):
            rows.append(
                {
                    "dataset": dataset,
                    "example_id": key,
                    "context_id": f"c{key}",
                    "prediction": given[key],
                    "em": em[row],
                    "f1": f1_scores[row],
                    "answers": answers,
                }
            )
        (file,) = (root / "data" / "raw" / "sample").rglob(f"{dataset}.dev.jsonl.gz")
        datasets[dataset] = {
            "em": 100 * em.mean(),
            "f1": 100 * f1_scores.mean(),
            "examples": len(own),
            "data_sha256": file_digest(file),
        }
    folder = root / "results" / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{cell}.parquet")
    record = {
        "schema": 1,
        "cell": cell,
        "profile": "sample",
        "backbone": "minilm",
        "regime": "mt",
        "arm": arm,
        "seed": seed,
        "adapter": adapter,
        "datasets": datasets,
    }
    (folder / f"{cell}.json").write_text(json.dumps(record))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("project") / "root"
    shutil.copytree(ROOT / "profiles", root / "profiles")
    shutil.copy(ROOT / "profiles" / "sample.yaml", root / "params.yaml")
    for dataset, questions in FILES.items():
        lines: list[Any] = [{"header": {"dataset": dataset, "split": "dev"}}]
        for key, text, answers, context in questions:
            first = context.index(answers[0])
            detected = [{"text": answers[0], "char_spans": [[first, first + len(answers[0]) - 1]]}]
            lines.append(
                passage(
                    context,
                    {"qid": key, "question": text, "answers": answers, "detected_answers": detected},
                    id=f"c{key}",
                )
            )
        write(root / "data" / "raw" / "sample" / "any_domain" / f"{dataset}.dev.jsonl.gz", lines)
    for (arm, seed), given in GIVEN.items():
        write_run(root, arm, seed, given)
    return root


@pytest.fixture(autouse=True)
def project(original, tmp_path, monkeypatch) -> Path:
    """A copy of the project, to damage; it is the root."""
    root = tmp_path / "root"
    shutil.copytree(original, root)
    monkeypatch.setenv("BMT_ROOT", str(root))
    return root


def rows_of(text: str, heading: str) -> list[list[str]]:
    """The rows of the Markdown table under a heading, without its rule."""
    lines = iter(text.splitlines())
    next(line for line in lines if line.startswith("#") and line.lstrip("# ").startswith(heading))
    table: list[list[str]] = []
    for line in lines:
        if line.startswith("|"):
            table.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif table:
            break
    return [table[0], *table[2:]]


def test_the_whole_in_closed_form(project, capsys):
    assert errors.main([]) == 0
    shown = capsys.readouterr()
    path = project / "reports" / "sample" / "errors.md"
    assert shown.err.splitlines()[-1] == f"wrote {path}"
    text = path.read_text(encoding="utf-8")
    assert text.startswith(
        "# Errors of none, bmt (profile sample)\n\n`python -m benchmark.errors`\n\n- runs: none = "
        "minilm.mt.none, bmt = "
    )
    assert "seeds 0, 1; results in results/sample, questions and contexts in data/raw/sample" in text
    assert rows_of(text, "Examples") == [
        ["dataset", "examples", "wrong in all arms", "arms differ", "right in all arms", "seeds disagree"],
        ["SQuAD", "4", "1", "1", "1", "1"],
        ["DROP", "2", "1", "0", "1", "0"],
        ["**all datasets**", *(f"**{n}**" for n in (6, 2, 1, 2, 1))],
    ]
    assert rows_of(text, "What the arms do together")[1:] == [
        ["wrong in all arms", "✗", "✗", "2"],
        ["right in all arms", "✓", "✓", "2"],
        ["seeds disagree", "\\~", "✓", "1"],
        ["arms differ", "✗", "✓", "1"],
    ]
    assert [row[1:] for row in rows_of(text, "Wrong in all arms: categories")[1:3]] == [
        ["1", "0", "0", "0", "0", "1"],
        ["0", "0", "1", "0", "0", "1"],
    ]
    assert [row[1:] for row in rows_of(text, "Arms differ: categories")[1:3]] == [
        ["0", "1", "0", "0", "0", "1"],
        ["0"] * 6,
    ]
    counted = {row[0]: row[3:] for row in rows_of(text, "Rules")}
    assert counted["rule"] == ["all wrong (2)", "differ (1)", "all right (2)"]
    assert counted["boundary"] == ["1 (50.0 %)", "0 (0.0 %)", "-"]
    assert counted["few shared words"] == ["0 (0.0 %)", "1 (100.0 %)", "0 (0.0 %)"]
    assert counted["number"] == ["1 (50.0 %)", "0 (0.0 %)", "0 (0.0 %)"]
    assert counted["DROP"] == ["1 (50.0 %)", "0 (0.0 %)", "1 (50.0 %)"]
    for sentence_ in (
        "no annotator has checked them",
        "an arm is wrong on an example where all its seeds are",
    ):
        assert sentence_ in text and sentence_ in " ".join(shown.out.split())
    entry = text.split("#### SQuAD · s1")[1].split("####")[0]
    assert entry.strip().splitlines()[:7] == [
        "- **question**: **Who built the mill?**",
        "- **gold**: Anna Vorn",
        "- **none ✗**: Vorn (F1 67; seeds 0, 1)",
        "- **bmt ✗**: Vorn (F1 67; seed 0) · Anna (F1 67; seed 1)",
        "- **context**: The mill was built by **«Anna Vorn»**.",
        "- **rules**: boundary (annotation)",
        "",
    ]
    differ = text.split("## Arms differ (1 example, 1 in the file)")[1]
    assert "- **none ✗**: Ross (F1 0; seeds 0, 1)\n- **bmt ✓**: Redhaven (EM; seeds 0, 1)\n" in differ
    assert (
        text.index("### Annotation")
        < text.index("#### SQuAD · s1")
        < text.index("### Discrete reasoning")
        < text.index("#### DROP · d1")
    )
    assert all(name not in text for name in ("· s2", "· s3", "· d2"))
    flat = " ".join(shown.out.split())
    assert "SQuAD 4 1 1 1 1 DROP 2 1 0 1 0 all datasets 6 2 1 2 1" in flat
    assert (
        "bmt ✗ Vorn (F1 67; seed 0) · Anna (F1 67; seed 1) context The mill was built by «Anna Vorn»." in flat
    )
    assert max(map(len, shown.out.splitlines())) <= 132
    assert str(project) not in text and str(project) not in shown.out


def test_a_terminal_of_80_columns_shows_every_heading_whole(project, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert errors.main(["--limit", "0"]) == 0
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out).splitlines()
    assert not re.search(r"\w…", "\n".join(lines)) and max(map(len, lines)) <= 80
    start = lines.index("Wrong in all arms: categories")
    headings = {word for line in lines[start : start + 6] for word in line.split()}
    assert {
        "dataset",
        "annotation",
        "commonsense",
        "knowledge",
        "reasoning",
        "undecided:",
        "several",
    } <= headings
    start = lines.index("Rules")
    (boundary,) = (line for line in lines[start:] if line.split()[:1] == ["boundary"])
    assert boundary.split()[1] == "annotation"
    above = lines[: lines.index(boundary)][-2:]
    assert " ".join(above).split().count("(2)") == 2 and "differ (1)" in above[1]
    assert above[1].split()[:4] == ["rule", "category", "fires", "if"]


def test_two_runs_write_the_same_bytes(project, tmp_path):
    errors.main(["--out", str(tmp_path / "a" / "x.md")])
    first = (tmp_path / "a" / "x.md").read_bytes()
    errors.main(["--out", str(tmp_path / "b" / "x.md")])
    assert (tmp_path / "b" / "x.md").read_bytes() == first


def test_choosing_changes_what_is_counted(project, tmp_path):
    out = tmp_path / "chosen.md"

    def groups(*arguments: str) -> list[list[str]]:
        errors.main([*arguments, "--out", str(out)])
        return [row[:1] + row[2:] for row in rows_of(out.read_text(), "Examples")[1:]]

    assert groups("--seeds", "0", "--dataset", "SQuAD") == [
        ["SQuAD", "1", "2", "1", "0"]
    ]  # none's s3 is wrong at seed 0
    assert "seeds disagree (~)" not in out.read_text()
    assert groups("--arms", "bmt") == [
        ["SQuAD", "1", "0", "3", "0"],
        ["DROP", "1", "0", "1", "0"],
        ["**all datasets**", "**2**", "**0**", "**4**", "**0**"],
    ]
    assert "What the arms do together" not in out.read_text()
    assert groups("--metric", "f1", "--dataset", "SQuAD") == [
        ["SQuAD", "0", "1", "3", "0"]
    ]  # s1 and s3 have F1 above 0
    assert "- an answer is wrong: F1 0\n" in out.read_text()
    assert groups("--metric", "f1", "--below", "67", "--dataset", "SQuAD") == [["SQuAD", "1", "1", "1", "1"]]
    assert groups("--arms", "minilm.mt.none", "bmt", "--dataset", "DROP") == [["DROP", "1", "0", "1", "0"]]
    assert "Errors of minilm.mt.none, bmt" in out.read_text()
    groups("--limit", "0")
    assert "####" not in out.read_text() and "(2 examples" not in out.read_text()


def test_the_default_arms_are_the_papers_and_seeds_those_in_common(project, capsys):
    write_run(project, "none", 2, GIVEN["none", 0])
    write_run(project, "l2_sp", 0, GIVEN["none", 0])
    write_run(project, "bmt", 0, GIVEN["bmt", 0], adapter=True)
    errors.main([])
    text = (project / "reports" / "sample" / "errors.md").read_text()
    assert text.startswith("# Errors of none, bmt, bmt.adapter (profile sample)")
    assert "seed 0; results" in text
    assert "- note: none: seeds 1, 2 left out: not every arm has them" in text
    assert "- note: bmt: seed 1 left out: not every arm has them" in text


def test_a_named_folder_says_its_own_profiles(project, tmp_path, capsys):
    """Of one profile its raw files and reports are the usual ones; of several the raw files are named."""
    folder = tmp_path / "theirs"
    shutil.copytree(project / "results" / "sample", folder)
    shutil.rmtree(project / "results")
    errors.main(["--results", str(folder), "--limit", "0"])
    one = (project / "reports" / "sample" / "errors.md").read_text()
    assert one.startswith("# Errors of none, bmt (profile sample)")
    assert "results in theirs, questions and contexts in data/raw/sample" in one
    path = folder / "minilm.mt.bmt.s1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"profile": "mini"}))
    with pytest.raises(
        ConfigError, match=r"^data/raw/errors: no such folder: .*or name their folder with --data"
    ):
        errors.main(["--results", str(folder)])
    errors.main(
        ["--results", str(folder), "--data", str(project / "data" / "raw" / "sample"), "--limit", "0"]
    )
    both = (project / "reports" / "errors" / "errors.md").read_text()
    assert both.startswith("# Errors of none, bmt (profile mini, sample)")
    assert f"wrote {project / 'reports' / 'errors' / 'errors.md'}" in capsys.readouterr().err


def test_a_limit_draws_the_same_examples_whatever_the_order(project, tmp_path):
    out = tmp_path / "x.md"
    errors.main(["--metric", "f1", "--below", "100", "--arms", "none", "--limit", "1", "--out", str(out)])
    first = re.findall(r"#### (.*)", out.read_text())
    for (arm, seed), given in GIVEN.items():
        write_run(project, arm, seed, dict(reversed(given.items())))
    errors.main(["--metric", "f1", "--below", "100", "--arms", "none", "--limit", "1", "--out", str(out)])
    assert re.findall(r"#### (.*)", out.read_text()) == first
    assert len(first) == 2  # one of s1 and s4, and d1
    assert "(3 examples, 2 in the file)" in out.read_text()


def test_texts_are_never_markup(project, tmp_path):
    assert (shortened("a\nb "), shortened("x" * 300)) == ("a b", "x" * 200 + " …")
    assert answer_line([]) == ""
    evil = GIVEN["none", 0] | {"s2": "<script>|\x1b]0;x"}
    for arm, seed in GIVEN:
        write_run(project, arm, seed, evil)
    out = tmp_path / "x.md"
    errors.main(["--out", str(out)])
    assert "- **context**: The mill was built in **«1804»** \\| by \\<b\\>Vorn\\</b\\>." in out.read_text()
    assert "\\<script\\>\\|\ufffd]0;x" in out.read_text()
    assert "\x1b" not in out.read_text()


# --- bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--arms", "bmtt"],
            "--arms bmtt: no run of it (did you mean bmt?): of bmt, minilm.mt.bmt, minilm.mt.none, none",
        ),
        (["--arms", "bmt", "minilm.mt.bmt"], "--arms minilm.mt.bmt: stands twice: each arm once"),
        (["--seeds", "0,4"], "--seeds: none has no run of seed 4: none has 0, 1; bmt has 0, 1"),
        (["--seeds", "x"], "--seeds 'x': not allowed"),
        (["--dataset", "SQuad"], "--dataset SQuad: not scored (did you mean SQuAD?): of SQuAD, DROP"),
        (
            ["--backbone", "minilmm"],
            "--backbone: 'minilmm' is not known (did you mean minilm?): one of minilm",
        ),
        (["--below", "50"], "--below 50: not allowed with --metric em"),
        (["--metric", "f1", "--below", "101"], "--below 101: not allowed: percent of F1"),
        (["--limit", "-1"], "--limit -1: not allowed: at least 0"),
        (["--out", "."], "--out .: a folder: name the file"),
        (["--data", "/absent/raw"], "--data /absent/raw: no such folder"),
        (["--results", "/absent/results"], "--results /absent/results: no such folder"),
        (
            ["--profile", "absent"],
            "--profile absent: not allowed: one of grid, mini, mini_gpu, paper, sample",
        ),
        (["--profile", "mini"], "results/mini: no results: `python -m benchmark.train CELL`"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(project, arguments, message):
    with pytest.raises(ConfigError) as failed:
        errors.main(arguments)
    assert str(failed.value).startswith(message)
    assert "\n" not in str(failed.value)
    assert failed.value.status == 2
    assert not (project / "reports").exists()


def fails(message: str, *arguments: str) -> None:
    with pytest.raises(DataError) as failed:
        errors.main(list(arguments))
    assert message in str(failed.value)
    assert "\n" not in str(failed.value)
    assert failed.value.status == 1


def test_runs_scored_on_different_examples_are_not_compared(project):
    write_run(project, "bmt", 1, GIVEN["bmt", 1], drop=["s3"])
    fails(
        "results/sample: SQuAD: the examples of minilm.mt.bmt.s1 are not those of minilm.mt.none.s0: "
        "evaluate both on the same data"
    )
    assert errors.main(["--dataset", "DROP"]) == 0
    assert errors.main(["--seeds", "0"]) == 0


def test_a_dataset_that_not_all_runs_have_is_left_out_and_said(project):
    folder = project / "results" / "sample"
    path = folder / "minilm.mt.bmt.s1.parquet"
    table = pq.read_table(path)
    own = table.filter(pa.array([name == "DROP" for name in table["dataset"].to_pylist()]))
    pq.write_table(own, path)
    record = json.loads((folder / "minilm.mt.bmt.s1.json").read_text())
    (folder / "minilm.mt.bmt.s1.json").write_text(
        json.dumps(record | {"datasets": {"DROP": record["datasets"]["DROP"]}})
    )
    errors.main([])
    text = (project / "reports" / "sample" / "errors.md").read_text()
    assert "- note: SQuAD left out: not every run was scored on it" in text
    assert [row[0] for row in rows_of(text, "Examples")] == ["dataset", "DROP"]
    with pytest.raises(ConfigError, match=r"--dataset SQuAD: not scored by minilm\.mt\.bmt\.s1: of DROP"):
        errors.main(["--dataset", "SQuAD"])


def test_files_that_cannot_be_used_are_named(project):
    folder = project / "results" / "sample"
    (folder / "minilm.mt.bmt.s1.json").write_text("{")
    fails("results/sample/minilm.mt.bmt.s1.json: line 1: no JSON")
    fails("results/sample/minilm.mt.bmt.s1.json: line 1: no JSON", "--arms", "bmt")
    assert errors.main(["--arms", "none"]) == 0
    assert errors.main(["--seeds", "0"]) == 0
    write_run(project, "bmt", 1, GIVEN["bmt", 1])
    (folder / "minilm.mt.none.s0.parquet").unlink()
    fails("results/sample/minilm.mt.none.s0.parquet: absent")
    write_run(project, "none", 0, GIVEN["none", 0])
    table = pq.read_table(folder / "minilm.mt.none.s0.parquet")
    pq.write_table(table.drop_columns(["prediction"]), folder / "minilm.mt.none.s0.parquet")
    fails("minilm.mt.none.s0.parquet: no column prediction, which this command shows")


def test_two_files_of_one_seed_are_refused(project):
    folder = project / "results" / "sample"
    shutil.copy(folder / "minilm.mt.bmt.s0.parquet", folder / "again.parquet")
    (folder / "again.json").write_text(
        json.dumps(json.loads((folder / "minilm.mt.bmt.s0.json").read_text()) | {"cell": "again"})
    )
    fails("results/sample: again and minilm.mt.bmt.s0 are both seed 0 of minilm.mt.bmt: remove one")


def test_arms_without_a_common_seed_are_refused(project):
    write_run(project, "mask", 7, GIVEN["none", 0])
    with pytest.raises(ConfigError, match="--arms none mask: no seed in common: none has 0, 1; mask has 7"):
        errors.main(["--arms", "none", "mask"])


def test_the_raw_files_must_be_those_that_were_scored(project, tmp_path):
    raw = project / "data" / "raw" / "sample" / "any_domain"
    shutil.copytree(raw, tmp_path / "other")
    (tmp_path / "other" / "DROP.dev.jsonl.gz").unlink()
    fails("other: no DROP.dev.jsonl.gz there: `python -m benchmark.fetch`", "--data", str(tmp_path / "other"))
    shutil.copy(raw / "SQuAD.dev.jsonl.gz", raw / "DROP.dev.jsonl.gz")
    fails(
        "data/raw/sample/any_domain/DROP.dev.jsonl.gz: not the file that minilm.mt.none.s0 was scored on "
        "(sha256 "
    )
    for (arm, seed), given in GIVEN.items():
        write_run(project, arm, seed, given)
    fails("DROP.dev.jsonl.gz: 2 of the 2 scored examples are not in it, d1 for one")
    shutil.rmtree(project / "data")
    with pytest.raises(
        ConfigError, match="data/raw/sample: no such folder: the questions are in the raw MRQA files"
    ):
        errors.main([])


# --- the command --------------------------------------------------------------------------------------------


def test_help_ends_with_an_example(capsys):
    with pytest.raises(SystemExit) as left:
        errors.main(["--help"])
    assert left.value.code == 0
    assert capsys.readouterr().out.endswith(f"example:\n  {errors.EXAMPLE}\n")
    assert vars(errors.error_parser().parse_args(errors.EXAMPLE.split()[3:]))["arms"] == [
        "none",
        "mask",
        "bmt",
    ]


def test_it_starts_without_torch_and_mlflow_and_reports_by_status(project, tmp_path):
    code = (
        "import sys; from benchmark import errors; errors.main(sys.argv[1:]); "
        "print(sorted({'torch', 'mlflow', 'dvc', 'transformers', 'datasets', 'pandas'} & set(sys.modules)))"
    )
    environment = {**os.environ, "BMT_ROOT": str(project)}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
    ran = subprocess.run(
        [sys.executable, "-m", "benchmark.errors", "--arms", "bmtt"],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("error: --arms bmtt: no run of it (did you mean bmt?)")


def test_track_logs_the_file_and_its_counts(project, tmp_path, monkeypatch):
    uri = make(tmp_path / "store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert errors.main(["--track"]) == 0
    run = contents(uri, "bmt-sample")["errors"]
    assert run["status"] == "FINISHED"
    assert run["artifacts"]["errors.md"] == (project / "reports" / "sample" / "errors.md").read_bytes()
    logged = {name: points[0][1] for name, points in run["metrics"].items()}
    assert {name: number for name, number in logged.items() if name.endswith("/all")} == {
        "wrong_in_all_arms/all": 2,
        "arms_differ/all": 1,
        "right_in_all_arms/all": 2,
        "seeds_disagree/all": 1,
    }
    assert (logged["wrong_in_all_arms/SQuAD"], logged["wrong_in_all_arms/category/annotation"]) == (1, 1)
    assert logged["arms_differ/category/commonsense_and_external_knowledge"] == 1
    assert {key: run["params"][key] for key in ("arms", "seeds", "wrong", "results")} == {
        "arms": "none,bmt",
        "seeds": "0,1",
        "wrong": "EM 0",
        "results": "results/sample",
    }
    assert run["tags"]["stage"] == "errors"


def test_nothing_is_tracked_unless_asked(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "benchmark.tracking.mlflow_store", None)  # importing it would fail
    assert errors.main([]) == 0
    assert not (project / "runs").exists()
