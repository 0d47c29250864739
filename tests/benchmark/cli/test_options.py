"""What the options of a command come to: the arguments of the one call that it makes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark import (
    ask,
    audit,
    check,
    compare,
    digests,
    evaluate,
    fetch,
    masks,
    plan,
    prepare,
    profile,
    rendering,
    report,
    search,
    train,
    transfer,
    unifiedqa,
)
from benchmark.acquisition import feature_files
from benchmark.acquisition import fetch as fetching
from benchmark.cli import allocator
from benchmark.comparison import inputs as comparison_inputs
from benchmark.comparison import table_comparison, table_document
from benchmark.config import generators, profiles
from benchmark.config.params import load, repository_root
from benchmark.paper import tables
from benchmark.paper_audit import audit as paper_audit
from benchmark.paper_audit import audit_document
from benchmark.pipeline import digest_files
from benchmark.planning import plan_document, table_plan
from benchmark.planning.schedule import JobOutcome
from benchmark.planning.table_plan import PlanRequest
from benchmark.rendering import output
from benchmark.reporting import report_data, report_page
from benchmark.results_check import check_document, folder_check
from benchmark.runs import (
    evaluation_run,
    mask_report,
    published_run,
    trained_runs,
    training_run,
    transfer_run,
)
from benchmark.studies import outputs, study_run
from bmt.errors import ConfigError
from bmt.qa.answering import Answer
from bmt.qa.generation_settings import GenerationSettings
from bmt.runtime import ranks
from bmt.runtime.ranks import Ranks
from tests.support.repository import ROOT

PARAMS = str(ROOT / "profiles" / "mini.yaml")  # not the root's
CELL = "minilm.mt.bmt.s0"
Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What was called with what, in the place of each command's call."""
    kept: Calls = []

    def noting(value: Any) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            kept.append((given, named))
            return value

        return call

    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: None)
    for place, name in (
        (training_run, "train_cell"),
        (evaluation_run, "evaluate_cell"),
        (transfer_run, "transfer_cell"),
        (feature_files, "prepare"),
        (fetching, "fetch"),
    ):
        monkeypatch.setattr(place, name, noting(None))
    monkeypatch.setattr(fetching, "print_report", lambda report, out: 0)
    return kept


def test_a_training_is_fresh_where_it_is_asked_to_be_and_of_the_named_params(calls: Calls) -> None:
    assert train.main([CELL, "--params", PARAMS]) == train.main([CELL, "--fresh", "--profile", "mini"]) == 0
    assert [(given[0].profile, given[1].name, given[3]) for given, _ in calls] == [
        ("mini", CELL, False),
        ("mini", CELL, True),
    ]
    assert [Path(given[2]).resolve() for given, _ in calls] == [Path(PARAMS)] * 2
    assert evaluate.main([CELL, "--params", PARAMS]) == 0
    config, cell, file, _ = calls[-1][0]
    assert (config.profile, cell.name, file) == ("mini", CELL, PARAMS)


def test_a_transfer_is_of_the_named_sizes_and_seeds_else_of_the_profile_s(calls: Calls) -> None:
    listed = load(PARAMS).fewshot
    for words, sizes, seeds in (
        ([], listed.sizes, listed.seeds),
        (["--k", "4", "--k", "16"], [4, 16], listed.seeds),
        (["--seed", "0"], listed.sizes, [0]),
        (["--k", "4", "--seed", "7", "--seed", "5"], [4], [7, 5]),
    ):
        assert transfer.main([CELL, "--params", PARAMS, *words]) == 0
        settings = calls[-1][0][2]
        assert (settings.sizes, settings.seeds, settings.steps) == (sizes, seeds, listed.steps)
    for words, said in (
        (["--k", "-2"], "--k: -2 is not allowed: whole numbers from 0 on, each once"),
        (["--seed", "-1"], "--seed: -1 is not"),
        (["--seed", "3", "--seed", "3"], "--seed: 3, 3 is not"),
    ):
        with pytest.raises(ConfigError, match=said):
            transfer.main([CELL, "--params", PARAMS, *words])
    assert len(calls) == 4


def test_a_preparation_is_strict_or_of_one_backbone_where_it_is_asked_to_be(calls: Calls) -> None:
    assert prepare.main(["--params", PARAMS, "--workers", "1"]) == 0
    assert prepare.main(["minilm", "--params", PARAMS, "--workers", "3", "--strict"]) == 0
    assert [given[1:] for given, _ in calls] == [(1, False, None), (3, True, "minilm")]


def test_a_fetch_takes_what_is_named_from_where_it_is_named(calls: Calls) -> None:
    words = ["--manifest", "m", "--out", "o", "--only", "SQuAD", "DROP", "--offline"]
    assert fetch.main([*words, "--source", "hub", "--jobs", "2"]) == 0
    assert fetch.main(["--manifest", "m", "--out", "o"]) == fetch.main(["--params", PARAMS]) == 0
    assert fetch.main(["--manifest", "m", "--params", PARAMS]) == 0
    root = Path(load(PARAMS).profile)
    assert [given[:4] for given, _ in calls[:2]] == [
        ("m", "o", ["SQuAD", "DROP"], True),
        ("m", "o", None, False),
    ]
    assert [(named["source"], named["patience"].jobs) for _, named in calls[:2]] == [("hub", 2), (None, 4)]
    # a manifest of the params file lies as seen from the root, one of the command line as seen from here
    assert [(named["root"] == Path(), Path(given[1]).name) for given, named in calls] == [
        (True, "o"),
        (True, "o"),
        (False, root.name),
        (True, root.name),
    ]
    assert calls[2][0][0] == load(PARAMS).source.manifest
    raw = repository_root() / "data" / "raw" / "mini"  # and never below the working directory
    assert [given[1] for given, _ in calls[2:]] == [raw, raw]
    assert [named["root"] for _, named in calls[2:]] == [repository_root(), Path()]
    with pytest.raises(ConfigError, match="--profile: --manifest and --out leave nothing to read from it"):
        fetch.main(["--manifest", "m", "--out", "o", "--profile", "mini"])
    assert fetch.main(["--out", "o", "--profile", "mini"]) == 0  # half of it is read
    assert calls[-1][0][:2] == (load(PARAMS).source.manifest, "o")


def test_a_fetch_s_status_is_that_of_its_report(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(fetching, "print_report", lambda report, out: given.append(out) or 1)
    assert fetch.main(["--manifest", "m", "--out", "o"]) == 1 and given == [Path("o")]


def test_a_training_and_an_evaluation_are_those_of_the_launched_ranks(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = Ranks(rank=0, world=2)
    monkeypatch.setattr(ranks, "launched", lambda: nullcontext(several))
    assert train.main([CELL, "--params", PARAMS]) == evaluate.main([CELL, "--params", PARAMS]) == 0
    assert [given[-1] for given, _ in calls] == [several, several]


def test_a_published_model_is_scored_with_the_numbers_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(published_run, "score_published", lambda *given: kept.append(given))
    monkeypatch.setattr(generators, "generator_of", lambda config, name: None)
    assert unifiedqa.main(["--params", PARAMS]) == 0
    words = ["t5", "--profile", "mini", "--beams", "4", "--answer-tokens", "9", "--input-tokens", "99"]
    assert unifiedqa.main(words) == 0
    assert [(config.profile, name) for config, name, *_ in kept] == [("mini", None), ("mini", "t5")]
    assert kept[0][2:] == (GenerationSettings(beams=1, answer_tokens=64, input_tokens=512), PARAMS)
    assert kept[1][2] == GenerationSettings(beams=4, answer_tokens=9, input_tokens=99)


def test_a_question_is_asked_of_the_named_run_about_the_named_text_or_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def answer(*given: Any) -> Answer:
        asked.append(given)
        return Answer("Ada Möor", 21, 29, -0.12345)

    monkeypatch.setattr(trained_runs, "find_run", lambda name: Path("runs") / name)
    monkeypatch.setattr(trained_runs, "answer_of", answer)
    monkeypatch.setattr("sys.stdin", io.StringIO("typed text"))
    assert ask.main(["a/b", "--question", "Who?", "--context", "", "--adapter", "DROP"]) == 0
    assert ask.main(["a/b", "--question", "Who?", "--json"]) == 0
    # an empty text is a text: standard input is not waited for
    assert asked == [
        (Path("runs/a/b"), "Who?", "", "DROP"),
        (Path("runs/a/b"), "Who?", "typed text", None),
    ]
    plain = "Ada Möor\n  characters 21 to 29, log-probability -0.123\n"
    told = capsys.readouterr().out
    assert told.startswith(plain) and "Möor" in told.removeprefix(plain)
    assert json.loads(told.removeprefix(plain)) == asdict(Answer("Ada Möor", 21, 29, -0.12345))


def test_one_cell_s_masks_are_described_two_are_compared_and_three_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[Any] = []
    monkeypatch.setattr(mask_report, "kept_masks", lambda config, cell: (config.profile, cell.name))
    monkeypatch.setattr(mask_report, "masks_document", lambda one: ("one", one))
    monkeypatch.setattr(mask_report, "overlap_document", lambda *two: ("two", *two))
    monkeypatch.setattr(output, "write_document", lambda *given: written.append(given))
    monkeypatch.setattr(output, "usual_format", lambda: "usual")
    other = CELL.replace("s0", "s1")
    assert masks.main([CELL, "--params", PARAMS]) == 0
    assert masks.main([other, CELL, "--profile", "mini", "--format", "html"]) == 0
    assert written == [
        (("one", ("mini", CELL)), ["usual"]),
        (("two", ("mini", other), ("mini", CELL)), ["html"]),
    ]
    with pytest.raises(ConfigError, match="3 cells: not allowed: one, or two to be compared"):
        masks.main([CELL, CELL, CELL, "--params", PARAMS])


def test_a_profile_is_shown_or_switched_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profiles, "show", lambda: ["shown", "here"])
    monkeypatch.setattr(profiles, "switch", lambda name: [f"switched to {name}"])
    assert profile.main([]) == profile.main(["mini"]) == 0
    assert capsys.readouterr().out == "shown\nhere\nswitched to mini\n"


def test_a_search_runs_before_it_shows_and_shows_before_it_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    monkeypatch.setattr(study_run, "run", lambda options, words: done.append(("run", words)))
    monkeypatch.setattr(outputs, "show_study", lambda options: done.append("show"))
    monkeypatch.setattr(outputs, "apply_best", lambda options: done.append("apply"))
    for words, wanted in (
        (["--apply", "--trials", "1", "--status"], ["run", "show", "apply"]),
        (["--trials", "1"], ["run"]),
        (["--status"], ["show"]),
        (["--export"], ["show"]),
        (["--figures"], ["show"]),
        (["--apply"], ["apply"]),
    ):
        call = ["--study", "x", *words]
        assert search.main(call) == 0
        assert done == [("run", call) if step == "run" else step for step in wanted]  # its workers' words
        done.clear()
    monkeypatch.setattr("sys.argv", ["search", "--study", "y", "--trials", "2"])
    assert search.main() == 0 and done == [("run", ["--study", "y", "--trials", "2"])]


def test_a_plan_is_of_what_is_named_and_fails_with_its_runs_whatever_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    outcomes = {
        "a": JobOutcome("done", seconds=2.0),
        "b": JobOutcome("failed", "exit status 1: x\n    its log"),
        "c": JobOutcome("not run", "it needs b"),
    }
    order: list[str] = []

    def document(requested: object) -> str:
        order.append("printed")
        return "the plan"

    def made(requested: object) -> dict[str, JobOutcome]:
        order.append("run")
        return outcomes

    monkeypatch.setattr(table_plan, "plan_table", asked.append)
    monkeypatch.setattr(table_plan, "make_missing_runs", made)
    monkeypatch.setattr(plan_document, "plan_document", document)
    monkeypatch.setattr(plan_document, "plan_json", lambda requested, outcomes: {"runs": list(outcomes)})
    monkeypatch.setattr(rendering, "print_document", print)
    words = ["--paper-table", "3", "--params", PARAMS]
    assert plan.main(words) == 0 and order == ["printed"]
    assert capsys.readouterr() == ("the plan\n", "")
    more = ["--seeds", "2,1", "--also", "x", "--also", "y", "--keep", "none", "--gpus", "1,0", "--run"]
    failures = "error: b: failed: exit status 1: x\nerror: c: not run: it needs b\n"
    assert plan.main([*words, *more]) == 1 and order == ["printed", "printed", "run"]
    assert capsys.readouterr() == ("the plan\n", failures)
    assert plan.main([*words, "--jobs", "2", "--run", "--json"]) == 1
    assert capsys.readouterr() == ('{\n "runs": [\n  "a",\n  "b",\n  "c"\n ]\n}\n', failures)
    del outcomes["b"], outcomes["c"]
    assert plan.main([*words, "--run", "--json"]) == plan.main([*words, "--run"]) == 0
    assert asked[0] == PlanRequest("3", PARAMS)
    assert asked[1] == PlanRequest("3", PARAMS, (1, 2), ("x", "y"), "none", 2, ("1", "0"), True)
    assert asked[2] == PlanRequest("3", PARAMS, slots=2, run=True)


def test_each_kind_of_digests_is_written_by_its_own_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells: list[str] = []

    def scores(cell: SimpleNamespace, places: Any) -> int:
        cells.append(cell.name)
        return 4

    for number, name in enumerate(("digests", "inputs", "references"), 1):
        monkeypatch.setattr(digest_files, f"write_{name}", lambda *_, number=number: number)
    monkeypatch.setattr(digest_files, "write_scores", scores)
    for words in ([], ["inputs"], ["references"], ["scores", "minilm.st-SQuAD.none.s0"]):
        assert digests.main([*words, "--params", PARAMS]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 files of settings written",
        "2 files of inputs written",
        "3 files of references written",
        "4 files of scores written",
    ]
    assert cells == ["minilm.st-SQuAD.none.s0"]
    for words, said in (
        (["scores"], "scores: needs a cell"),
        (["inputs", CELL], "inputs: takes no cell"),
        (["settings", CELL], "settings: takes no cell"),
    ):
        with pytest.raises(ConfigError, match=said):
            digests.main([*words, "--params", PARAMS])


def test_a_check_is_of_the_named_folder_and_as_strict_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    class Checked:
        def status(self, strict: bool) -> int:
            return 1 if strict else 0

    def noting(name: str, value: Any) -> Callable[..., Any]:
        return lambda *given, **named: said.append((name, given)) or value

    checked = Checked()
    monkeypatch.setattr(folder_check, "results_folder", noting("folder", ("the folder", "the config")))
    monkeypatch.setattr(folder_check, "check_folder", noting("check", checked))
    monkeypatch.setattr(check_document, "check_document", noting("document", "shown"))
    monkeypatch.setattr(output, "write_document", noting("write", None))
    assert check.main(["a/b", "--profile", "mini"]) == 0
    assert said == [
        ("folder", (Path("a/b"), "mini", None)),
        ("check", ("the folder", "the config")),
        ("document", (checked, False)),
        ("write", ("shown", ["terminal"])),
    ]
    said.clear()
    assert check.main(["--params", "x.yaml", "--strict", "--format", "json"]) == 1
    assert said[0] == ("folder", (None, None, "x.yaml"))
    assert said[2:] == [("document", (checked, True)), ("write", ("shown", ["json"]))]


def test_a_comparison_is_of_what_is_named_and_tells_each_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    fault = SimpleNamespace(file="x.json", reason="no JSON")
    report = SimpleNamespace(faults=[fault, fault], status=lambda strict: 1 if strict else 2)
    inputs = SimpleNamespace(
        paper=SimpleNamespace(table=lambda number: f"table {number}"),
        results=SimpleNamespace(folder=Path("r")),
    )
    monkeypatch.setattr(comparison_inputs, "read_inputs", lambda *given: asked.append(given) or inputs)
    monkeypatch.setattr(table_comparison, "compare", lambda *given: asked.append(given) or report)
    monkeypatch.setattr(table_document, "table_document", lambda report: "shown")
    monkeypatch.setattr(output, "write_document", lambda *given: asked.append(given[:3]))
    words = ["--paper-table", "A.10", "--seeds", "2,1", "--profile", "mini", "--results", "a", "--paper", "b"]
    assert compare.main([*words, "--format", "json,html", "--out", "o/x"]) == 2
    assert asked == [
        (Path("a"), "mini", Path("b"), (1, 2), None),
        (inputs, "table A.10"),
        ("shown", ["json", "html"], Path("o/x")),
    ]
    assert capsys.readouterr().err == "error: r/x.json: no JSON\n" * 2
    asked.clear()
    assert compare.main(["--paper-table", "3", "--strict", "--params", "p.yaml"]) == 1
    assert asked[0] == (None, None, None, None, "p.yaml") and asked[2] == ("shown", ["terminal"], None)


def test_an_audit_is_of_the_named_paper_and_its_status_is_what_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(tables, "load", lambda folder: asked.append(folder) or "paper")
    found = SimpleNamespace(status=1)
    monkeypatch.setattr(paper_audit, "audit_paper", lambda paper: asked.append(paper) or found)
    monkeypatch.setattr(audit_document, "audit_document", lambda audit: "shown")
    monkeypatch.setattr(output, "write_document", lambda *given: asked.append(given[:3]))
    assert audit.main(["--paper", "a", "--format", "latex", "--out", "x.tex"]) == 1
    assert audit.main([]) == 1
    assert asked == [
        Path("a"),
        "paper",
        ("shown", ["latex"], Path("x.tex")),
        None,
        "paper",
        ("shown", ["terminal"], None),
    ]


def test_a_report_is_of_what_is_named_and_goes_where_it_is_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked: list[Any] = []
    data = SimpleNamespace(profile="mini", faults=["x.json: no JSON"], source="results/mini")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setattr(report_data, "read_report_data", lambda *given: asked.append(given) or data)
    monkeypatch.setattr(report_data, "log_report", lambda *given: asked.append(given))
    monkeypatch.setattr(report_page, "report_page", lambda data, command: command)
    out = tmp_path / "a" / "b.html"
    words = ["--results", "r", "--profile", "mini", "--paper", "p", "--seeds", "1,0"]
    assert report.main([*words, "--out", str(out), "--track"]) == 0  # faults are told, and no failure
    assert asked == [(Path("r"), "mini", Path("p"), (0, 1), None), (data, out, "mini")]
    assert out.read_text() == (
        "python -m benchmark.report --profile mini --seeds 1,0 --results r --paper p --out …/b.html"
    )
    assert capsys.readouterr().err == f"wrote {out}\nwarning: results/mini/x.json: no JSON\n"
    asked.clear()
    for name, folder in (("mini", "mini"), ("../x", "report"), ("", "report")):
        data.profile = name
        assert report.main(["--params", "p.yaml"]) == 0
        assert (tmp_path / "reports" / folder / "report.html").is_file()
    assert asked == [(None, None, None, None, "p.yaml")] * 3  # not tracked
    with pytest.raises(ConfigError, match=r"a folder: name the page's file, for example .*/a/report.html"):
        report.main(["--out", str(tmp_path / "a")])
