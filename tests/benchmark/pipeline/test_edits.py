"""Which edit makes which stage stale, in both directions: what may change a stage's result does, and nothing
else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.folders import Folders
from benchmark.config.params import load
from benchmark.pipeline.digest_files import write_digests
from bmt.errors import ConfigError
from tests.support import project
from tests.support.pipeline_project import PipelineProject, assigned, in_function, make_project, setting

NONE, BMT, SINGLE = "bert.mt.none.s0", "bert.mt.bmt.s0", "bert.st-SQuAD.none.s0"
ADAPTER = "bert.mt.bmt.adapter.s0"
SMALL = [NONE, BMT, "bert.mt.bmt.s1"]
TRANSFERS = {"transfer@bert.mt.bmt.adapter-2-7", "transfer@bert.mt.bmt.adapter-2-19"}
TABLES = {"compare@3", "report"}
SCORED = TRANSFERS | {"published@t5"}


def trained(*cells: str) -> set[str]:
    """The stages that run when cells are trained again."""
    followers = TRANSFERS if ADAPTER in cells else set()
    return {f"{stage}@{cell}" for cell in cells for stage in ("train", "evaluate")} | followers


def evaluated(*cells: str) -> set[str]:
    """The stages that score cells."""
    return {f"evaluate@{cell}" for cell in cells}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> PipelineProject:
    """Three cells of arms none, bmt, bmt."""
    values = project.params(["bert"], SMALL) | {"tables": ["3"]}
    return make_project(tmp_path_factory.mktemp("small"), values)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> PipelineProject:
    """Cells with and without masks and adapters, MT and ST, transfers, and a published model."""
    values = project.params(["bert", "t5"], [NONE, BMT, ADAPTER, SINGLE]) | {"tables": ["3"]}
    values["backbones"]["t5"] |= {"head": "generate"}
    values["fewshot"] |= {"sizes": [2], "seeds": [7, 19]}
    values |= {"transfers": ["bert.mt.bmt.adapter"], "published": ["t5"]}
    return make_project(tmp_path_factory.mktemp("whole"), values)


EVERY = [NONE, BMT, ADAPTER, SINGLE]
MASKED = [BMT, ADAPTER]


def one_more_backbone(values: Any) -> Any:
    return values | {"new": values["bert"] | {"name": "backbones/new"}}


def further(*names: str) -> Callable[[list[str]], list[str]]:
    return lambda values: [*values, *names]


def hinted(name: str) -> Callable[[str], str]:
    """A constant with its type."""
    return lambda text: re.sub(rf"^{name} = ", f"{name}: int = ", text, flags=re.M)


def reflowed(text: str) -> str:
    """Comments, blank lines and docstrings of another wording, everywhere in a file."""
    text = re.sub(
        r'^( *)(def \w+\(.*\).*:\n)( +)"""', r'\1\2\3# a remark\n\3"""Otherwise said: ', text, flags=re.M
    )
    return f'"""Another docstring."""\n\n# a comment\n{text[text.index("from __future__") :]}\n\n# the end\n'


SETTINGS: list[tuple[str, Any, set[str]]] = [
    ("training.evaluation_batch", 7, evaluated(*EVERY)),
    ("training.threads", 1, set()),
    ("training.lr", 2e-4, trained(*EVERY)),
    ("training.epochs_st", 3, trained(SINGLE)),
    ("training.epochs_adapter", 2, trained(ADAPTER)),
    ("data.dev_cap", 5, evaluated(*EVERY) | TRANSFERS | {"published@t5"}),
    ("data.evaluate", ["SQuAD", "BioASQ", "DROP"], evaluated(*EVERY)),
    ("data.evaluate", ["SQuAD", "HotpotQA", "DROP"], evaluated(*EVERY) | TRANSFERS | {"published@t5"}),
    ("data.validation_cap", 3, trained(*EVERY)),
    ("data.window", 120, trained(*EVERY) | {"prepare@bert"}),
    ("mask.lam", 1e-6, trained(*MASKED)),
    ("mask.targets", ["encoder"], trained(*MASKED)),
    ("tuning.apply", "update", trained(*MASKED)),
    ("arms.bmt.mask", "magnitude", trained(*MASKED)),
    ("arms.mask.p_f", 0.4, set()),
    (
        "arms.new",
        {"mask": "none", "p_f": None, "rescale": False, "regularizer": "none", "strength": None},
        set(),
    ),
    ("backbones", one_more_backbone, {"prepare@new"}),
    ("backbones.bert.sha256", 64 * "0", trained(*EVERY)),
    ("backbones.bert.name", "backbones/other", trained(*EVERY) | {"prepare@bert"}),
    ("sampling.floor", 0.05, trained(NONE, *MASKED)),
    ("sampling.temperature", 3.0, set()),
    ("fewshot.steps", 3, TRANSFERS),
    ("fewshot.seeds", [7, 19, 29], {"transfer@bert.mt.bmt.adapter-2-29"}),
    ("compare.margin_cell", 2.0, TABLES),
    ("tracking.experiment", "another", set()),
    ("cells", further("bert.mt.none.s1"), trained("bert.mt.none.s1") | TABLES),
    ("source.manifest", "real", {"fetch"}),
]


@pytest.mark.parametrize(
    ("key", "value", "expected"), SETTINGS, ids=[f"{key}={value}"[:40] for key, value, _ in SETTINGS]
)
def test_a_setting_makes_stale_what_it_decides(
    key: str, value: Any, expected: set[str], whole: PipelineProject
) -> None:
    with whole.edited("params.yaml", setting(key, value)):
        assert whole.stale() == expected


CODE: list[tuple[str, Callable[[str], str], set[str]]] = [
    ("benchmark/comparison/gate.py", assigned("FEWEST_SEEDS", "3"), TABLES),
    ("benchmark/comparison/matching.py", in_function("match_row"), TABLES),
    ("benchmark/comparison/claims.py", in_function("claim_results"), TABLES),
    ("benchmark/runs/results.py", in_function("read_run"), TABLES),
    ("benchmark/paper/table_3.yaml", lambda text: text + "\n", TABLES),
    ("benchmark/paper/claims.yaml", lambda text: text + "\n", TABLES),
    ("benchmark/runs/result_schema.py", assigned("Percent", "float"), TABLES),
    ("benchmark/config/schema.py", in_function("convert"), TABLES | {"fetch"}),
    ("benchmark/cli/text.py", in_function("printable"), TABLES),
    ("benchmark/cli/command_line.py", in_function("command_line"), {"report"}),
    ("benchmark/rendering/templates/page.css.j2", lambda text: text + "\n", TABLES),
    ("benchmark/comparison/gate.py", hinted("FEWEST_SEEDS"), set()),
    ("bmt/training/model_selection.py", in_function("SourceSelection.__call__"), trained(*EVERY)),
    ("bmt/training/validation.py", in_function("answers"), trained(*EVERY)),
    ("bmt/qa/model.py", in_function("span_logits"), trained(*EVERY)),
    ("bmt/qa/adapters.py", in_function("AdapterBank.forward"), trained(ADAPTER)),
    ("bmt/qa/decoding.py", in_function("predict"), trained(*EVERY)),
    (
        "benchmark/runs/dataset_scores.py",
        in_function("DatasetScores.averages"),
        evaluated(*EVERY) | TRANSFERS | {"published@t5"},
    ),
    (
        "benchmark/config/backbones.py",
        in_function("locate"),
        trained(*EVERY) | {"prepare@bert", "published@t5"},
    ),
    ("benchmark/acquisition/sample_corpus/scenes.py", lambda text: text + "\nLAST = 1\n", set()),
    ("benchmark/runs/published_run.py", in_function("score_published"), {"published@t5"}),
    ("bmt/qa/generation.py", in_function("write_answers"), {"published@t5"}),
    ("benchmark/runs/transfer_run.py", in_function("transfer_cell"), TRANSFERS),
    ("bmt/transfer/few_shot.py", in_function("few_shot"), TRANSFERS),
    ("bmt/gates.py", in_function("HardConcrete.sample"), trained(*MASKED)),
    ("bmt/controls.py", in_function("fisher_masks"), set()),
    ("bmt/training/regularizers.py", in_function("_Mixout.before"), set()),
    ("bmt/training/mask_schedules.py", in_function("Refresh.start"), set()),
    ("bmt/qa/windows.py", in_function("cut_chunk"), {"prepare@bert"}),
    ("benchmark/reporting/report_page.py", in_function("report_page"), {"report"}),
    ("benchmark/reporting/templates/report.html.j2", lambda text: text + "\n", {"report"}),
    ("benchmark/rendering/markdown.py", lambda text: text + "\n\ndef unused(): pass\n", set()),
    ("benchmark/acquisition/dataset_table.py", in_function("table_1"), {"statistics"}),
    ("benchmark/tracking/mlflow_store.py", in_function("start"), set()),
    ("benchmark/tracking/environment.py", in_function("describe"), trained(*EVERY) | SCORED),
    ("benchmark/runs/seal.py", in_function("seal"), evaluated(*EVERY) | SCORED),
    ("bmt/qa/metrics.py", assigned("_ARTICLES", 're.compile("the")'), trained(*EVERY) | SCORED),
    ("bmt/qa/adapters.py", assigned("INITIAL", "0.5"), trained(ADAPTER)),
    ("benchmark/cli/signals.py", in_function("stoppable"), set()),
    (
        "benchmark/runs/__init__.py",
        lambda text: text + "\nimport torch\n\ntorch.set_default_dtype(torch.float64)\n",
        trained(*EVERY) | SCORED | TABLES,
    ),
    ("benchmark/cli/progress.py", in_function("progress"), set()),
    ("benchmark/studies/study_run.py", lambda text: text + "\nLAST = 1\n", set()),
]


@pytest.mark.parametrize(("path", "change", "expected"), CODE, ids=[path for path, _, _ in CODE])
def test_code_makes_stale_what_runs_it(
    path: str, change: Any, expected: set[str], whole: PipelineProject
) -> None:
    with whole.edited(path, change):
        assert whole.stale() == expected


@pytest.mark.parametrize(
    "path",
    [
        "bmt/gates.py",
        "bmt/training/loop.py",
        "bmt/qa/mrqa.py",
        "benchmark/comparison/gate.py",
        "benchmark/acquisition/fetch.py",
    ],
)
def test_remarks_and_layout_make_nothing_stale(path: str, whole: PipelineProject) -> None:
    with whole.edited(path, reflowed):
        assert whole.stale() == set()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("SQuAD.train", trained(*EVERY) - evaluated(*EVERY) - TRANSFERS),
        ("HotpotQA.train", {f"train@{cell}" for cell in (NONE, *MASKED)}),
        ("SQuAD.dev", evaluated(*EVERY)),
        (
            "DROP.dev",
            evaluated(*EVERY) | {"transfer@bert.mt.bmt.adapter-2-7", "transfer@bert.mt.bmt.adapter-2-19"},
        ),
        ("RACE.dev", set()),
    ],
)
def test_other_windows_make_stale_what_reads_them(
    file: str, expected: set[str], whole: PipelineProject
) -> None:
    names = [f"{name}.train" for name in project.DATASETS] + [
        f"{name}.dev" for name in (*project.DATASETS, *project.OTHERS)
    ]
    first = dict.fromkeys(names, "first")
    whole.write_features("bert", first | {file: "second"})
    whole.digests()
    try:
        assert whole.stale() - {"prepare@bert"} == expected
    finally:
        whole.write_features("bert", first)
        whole.digests()


def test_a_sentence_of_the_generated_corpus_is_fetched_anew(small: PipelineProject) -> None:
    corpus = "benchmark/acquisition/sample_corpus/wordings.yaml"
    with small.edited(corpus, lambda text: text.replace("Who founded {x}?", "Who was it that founded {x}?")):
        assert small.stale() == {"fetch"}


def test_a_manifest_of_the_user_s_is_watched(tmp_path: Path) -> None:
    values = project.params(["bert"], [NONE], manifest="mine")
    project.write_params(tmp_path, values)
    (tmp_path / "mine").mkdir()
    config, folders = load(tmp_path / "params.yaml"), Folders(tmp_path, "tiny")
    written = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(tmp_path))
        for text in ("version: a\n", "version: b\n"):
            (tmp_path / "mine" / "manifest.yaml").write_text(text)
            write_digests(config, folders)
            written.add((folders.digests / "fetch.json").read_text())
    assert len(written) == 2


def test_code_that_writes_inputs_and_references_is_watched(small: PipelineProject) -> None:
    digests = small.root / "data" / "digests" / "tiny"
    for stage in ("inputs", "references"):
        small.digests()
        before = {path: path.read_bytes() for path in digests.rglob("*.json")}
        with small.edited("benchmark/pipeline/digest_files.py", in_function(f"write_{stage}")):
            changed = {path.name for path, content in before.items() if path.read_bytes() != content}
        assert changed == {f"{stage}.json"}


def test_three_cells(small: PipelineProject) -> None:
    """What the edits say of a project of arms none, bmt and bmt alone."""
    for path, change, expected in (
        ("params.yaml", setting("mask.lam", 1.0), trained(*SMALL[1:])),
        ("params.yaml", setting("cells", further("bert.mt.bmt.s2")), trained("bert.mt.bmt.s2") | TABLES),
        ("bmt/qa/adapters.py", in_function("AdapterBank.forward"), set[str]()),
        ("bmt/transfer/few_shot.py", in_function("few_shot"), set[str]()),
    ):
        with small.edited(path, change):
            assert small.stale() == expected, path


def test_multi_task_cells_wait_for_the_single_task_cells_that_they_are_held_against(tmp_path: Path) -> None:
    singles = [f"bert.st-{dataset}.{arm}.s0" for arm in ("none", "bmt") for dataset in project.DATASETS]
    values = project.params(["bert"], SMALL[:2]) | {"tables": ["3"], "references": singles}
    values["sampling"] |= {"kind": "dynamic_single_task"}
    held = make_project(tmp_path, values)
    with held.repository() as repo:
        before = {
            stage.addressing: {one.addressing for one in repo.index.graph.successors(stage)}
            for stage in repo.index.stages
        }
    assert {f"train_reference@{name}" for name in singles} < before["references"] and "references" in before[
        f"train@{NONE}"
    ]
    with held.edited("params.yaml", setting("training.epochs_st", 7)):
        again = {f"{stage}_reference@{name}" for stage in ("train", "evaluate") for name in singles}
        assert held.stale() == again
    scores = held.root / "data" / "scores" / "tiny" / f"{singles[0]}.json"
    first = scores.read_text()
    scores.write_text('{"SQuAD": {"em": 1.0, "f1": 2.0}}')  # as the ST cell's training leaves it
    held.digests()
    assert held.stale() - {f"train_reference@{singles[0]}"} == {f"train@{NONE}"}
    scores.write_text(first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cells": [NONE, SINGLE]},
            f"references: '{SINGLE}' is missing: .* {NONE} is held against it .* move it there from cells, ",
        ),
        (
            {"cells": [NONE]},
            f"references: '{SINGLE}' is missing: .* list it there, name another arm in "
            "sampling.single_task_arm",
        ),
        ({"cells": [NONE], "references": ["bert.st-DROP.none.s0"]}, r"references\[0\]: .* is not known"),
        (
            {"cells": [NONE], "references": [BMT]},
            r"references\[0\]: 'bert.mt.bmt.s0' is not allowed: an ST cell, as ",
        ),
        (
            {"cells": [NONE, SINGLE], "references": [SINGLE]},
            r"references\[0\]: .* stands in cells too: take it out of one of them",
        ),
        (
            {"kind": "dynamic", "references": [SINGLE]},
            r"references\[0\]: .*: no cell's sampling is held against it: move it to cells",
        ),
    ],
)
def test_which_cells_are_references_is_checked(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    values = project.params(["bert"], [NONE]) | {"references": []}
    values["sampling"] |= {"kind": changes.pop("kind", "dynamic_single_task")}
    project.write_params(tmp_path, values | changes)
    with pytest.raises(ConfigError, match=message):
        write_digests(load(tmp_path / "params.yaml"), Folders(tmp_path, "tiny"))
