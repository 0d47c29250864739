"""Which code decides what a stage of the pipeline makes: where it starts, and what of it does not count.

From its command a stage leads to all the code that it can run (`benchmark.config.code_closure`). Of that,
some decides nothing that is kept (NOT_DECIDING), and some is run for the cells of a few arms only (DOORS).
tests/benchmark/pipeline holds this list against what cells of every kind really run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import benchmark
from benchmark.config.cells import Cell
from benchmark.config.code_closure import CodeTree, Target
from benchmark.config.params import Config
from bmt.runtime.files import file_digest

STARTS: Mapping[str, Target] = {
    "fetch": ("benchmark.fetch", "main"),
    "statistics": ("benchmark.acquisition.inspection", "size_document"),
    "prepare": ("benchmark.prepare", "main"),
    "train": ("benchmark.train", "main"),
    "evaluate": ("benchmark.evaluate", "main"),
    "transfer": ("benchmark.transfer", "main"),
    "published": ("benchmark.unifiedqa", "main"),
    "compare": ("benchmark.compare", "main"),
    "report": ("benchmark.report", "main"),
    "inputs": ("benchmark.pipeline.digest_files", "write_inputs"),
    "scores": ("benchmark.pipeline.digest_files", "write_scores"),
    "references": ("benchmark.pipeline.digest_files", "write_references"),
}
"""The function that each stage calls."""

NOT_DECIDING: Mapping[str, str] = {
    "bmt.errors": "the names of failures: a stage that fails makes nothing",
    "bmt.settings": "what is allowed; the values stand in the digest",
    "benchmark.cli": "what is printed while a command works, and its exit status",
    "benchmark.config": "how settings are read; the values stand in the digest",
    "benchmark.tracking": "what MLflow gets",
    "benchmark.runs.score_table": "printed, and not kept",
    "benchmark.acquisition.dataset_table.beside_the_paper": "printed, and not kept",
    "benchmark.acquisition.dataset_table._ours": "printed, and not kept",
}
"""Modules, rooms and names that change nothing of what a stage keeps, and why. What a module runs on import
counts all the same: it may change anything.
"""

DECIDING = (
    "bmt.settings.IN_DOMAIN",
    "bmt.settings.OUT_OF_DOMAIN",
    "benchmark.cli.command_line",  # the report shows its command
    "benchmark.cli.text",
    "benchmark.config.backbones",
    "benchmark.config.cells",
    "benchmark.config.digests.targets",
    "benchmark.config.results_options",
    "benchmark.config.schema",
    "benchmark.config.yaml_file",
    "benchmark.tracking.environment",  # what of it stands in training.json and in results
    "benchmark.tracking.journal.FOLDER",
)
"""What does count of the above."""

DOORS: Mapping[str, frozenset[str]] = {
    "bmt.qa.adapters.add_adapters": frozenset({"adapter"}),
    "bmt.qa.adapters.adapter_size": frozenset({"adapter"}),
    "bmt.qa.adapters.alone": frozenset({"adapter"}),
    "bmt.qa.adapters.averaged": frozenset({"adapter"}),
    "bmt.transfer.adapter_tuning": frozenset({"adapter"}),
    "benchmark.runs.adapters": frozenset({"adapter"}),
    "bmt.qa.model._open_with_decoder": frozenset({"span_decoder"}),
    "bmt.training.regularizers._L2SP": frozenset({"l2_sp"}),
    "bmt.training.regularizers._Mixout": frozenset({"mixout"}),
    "bmt.training.regularizers._NoisyTune": frozenset({"noisy_tune"}),
    "bmt.masked_updates": frozenset({"random", "kept"}),
    "bmt.runtime.finite_gradients": frozenset({"random", "kept"}),
    "bmt.random_mask.RandomDraws": frozenset({"random"}),
    "bmt.random_mask.RandomMask": frozenset({"random"}),
    "bmt.masks": frozenset({"kept"}),
    "bmt.compact_state": frozenset({"kept"}),
    "bmt.row_gradients": frozenset({"learned", "fisher"}),
    "bmt.training.source_masks": frozenset({"kept"}),
    "bmt.mask_learning.learn_masks": frozenset({"learned"}),
    "bmt.mask_learning.gates_by_dataset": frozenset({"learned"}),
    "bmt.controls.fisher_masks": frozenset({"fisher"}),
    "bmt.controls.magnitude_masks": frozenset({"magnitude"}),
    "bmt.training.mask_schedules": frozenset({"changing"}),
    # settings are read by these too, but their values stand in the digest
    "benchmark.config.schema": frozenset({"fetch", "compare", "report"}),
    "benchmark.config.yaml_file": frozenset({"fetch", "compare", "report"}),
    "benchmark.paper": frozenset({"compare", "report"}),  # what other stages take of the two is only printed
    "benchmark.rendering": frozenset({"compare", "report"}),
    "benchmark.acquisition.sample_corpus": frozenset({"sample"}),
    "benchmark/acquisition/manifests/mrqa2019.yaml": frozenset({"mrqa2019"}),
}
"""Names and modules that only some instances of a stage go through, and which: any one of these traits, or
the stage itself.
"""

READS: Mapping[str, str] = {
    "benchmark.paper.tables": "benchmark/paper/*.yaml",
    "benchmark.rendering.web_page": "benchmark/rendering/templates/*.j2",
    "benchmark.reporting.report_page": "benchmark/reporting/templates/*.j2",
    "benchmark.acquisition.manifest": "benchmark/acquisition/manifests/*.yaml",
    "benchmark.acquisition.sample_corpus.scenes": "benchmark/acquisition/sample_corpus/*.yaml",
}
"""Files beside the code, by the module that reads them."""


def cell_traits(config: Config, cell: Cell) -> frozenset[str]:
    """What a cell goes through that others do not: words of DOORS."""
    arm, mask = config.arms[cell.arm], config.mask
    traits = {arm.mask, arm.regularizer, config.backbones[cell.backbone].head} - {"none"}
    traits |= {"adapter"} if cell.adapter else set()
    traits |= (
        {"learned"} if arm.mask == "fixed_random" else set()
    )  # their masks are learned, and then permuted
    traits |= {"kept"} if arm.mask not in ("none", "random") else set()
    if arm.mask == "learned" and (mask.schedule != "two_phase" or mask.gate == "resampled"):
        traits |= {"changing"}
    return frozenset(traits)


def stage_code(
    stage: str, traits: frozenset[str] = frozenset(), tree: CodeTree | None = None
) -> dict[str, str]:
    """The digest of each module, and of each file that one reads, that decides what an instance of a stage
    makes.

    Args:
        stage: a key of STARTS.
        traits: of the instance.
        tree: of the packages; None: as they are installed.
    """
    return dict(_code(stage, traits | {stage}, tree or installed()))


@cache
def installed() -> CodeTree:
    """The packages that this process runs, as they were when it first asked."""
    return CodeTree(Path(benchmark.__file__).parent.parent)


def counts(name: str, traits: frozenset[str]) -> bool:
    """Whether a definition, `module.name`, counts for an instance with these traits."""
    doors = [needed for door, needed in DOORS.items() if _is_in(name, door)]
    silent = any(_is_in(name, entry) for entry in NOT_DECIDING) and not any(
        _is_in(name, entry) for entry in DECIDING
    )
    silent = silent and not name.endswith(".")  # what runs on import
    return not silent and all(needed & traits for needed in doors)


def _is_in(name: str, entry: str) -> bool:
    return name == entry or (name.startswith(f"{entry}.") and not entry.endswith("."))


@cache
def _code(stage: str, traits: frozenset[str], tree: CodeTree) -> Mapping[str, str]:
    code = tree.closure([STARTS[stage]], lambda name: not counts(name, traits))
    patterns = [pattern for module, pattern in READS.items() if module in code]
    for path in sorted(file for pattern in patterns for file in tree.root.glob(pattern)):
        name = path.relative_to(tree.root).as_posix()
        if counts(name, traits):
            code[name] = file_digest(path)[:16]
    return code
