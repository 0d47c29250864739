"""What each arm made of each example: right, wrong or undecided between its seeds; and the answers' texts."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config.cells import nearest
from benchmark.error_analysis.arms import ArmChoice
from benchmark.runs import predictions
from benchmark.runs.results import Results, Run
from bmt.errors import ConfigError, DataError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RIGHT, WRONG, MIXED = "right", "wrong", "mixed"
ALL_WRONG, DIFFER, ALL_RIGHT, UNSETTLED = (
    "wrong in all arms",
    "arms differ",
    "right in all arms",
    "seeds disagree",
)
GROUPS = (ALL_WRONG, DIFFER, ALL_RIGHT, UNSETTLED)
LISTS = (ALL_WRONG, DIFFER)
"""The groups whose examples are listed."""


@dataclass(frozen=True, slots=True)
class WrongCriterion:
    """When an answer is wrong: EM 0; F1 0; or, with `below`, F1 below so many percent. Raises ConfigError."""

    metric: str
    below: float | None = None

    def __post_init__(self) -> None:
        if self.below is not None and self.metric != "f1":
            raise ConfigError(
                f"--below {self.below:g}: not allowed with --metric em, which is 0 or 100: add --metric f1"
            )
        if self.below is not None and not 0 < self.below <= 100:
            raise ConfigError(f"--below {self.below:g}: not allowed: percent of F1, above 0 and at most 100")

    def __str__(self) -> str:
        return f"{self.metric.upper()} {'0' if self.below is None else f'below {self.below:g}'}"

    def of(self, percent: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which of these scores, in percent, are wrong answers'; the same shape."""
        return percent <= 0 if self.below is None else percent < self.below


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """One run's answer to one example. em, f1: percent."""

    seed: int
    text: str
    em: float
    f1: float


Answers = tuple[tuple[RunAnswer, ...], ...]
"""Of one example: for each arm, in the order of the choice, for each seed."""


States = tuple[str, ...]
"""What each arm, in the order of the choice, made of one example."""


def group_of(states: Sequence[str]) -> str:
    """What the arms' states are together, one of GROUPS."""
    if all(state == WRONG for state in states):
        return ALL_WRONG
    if all(state == RIGHT for state in states):
        return ALL_RIGHT
    return DIFFER if WRONG in states and RIGHT in states else UNSETTLED


@dataclass(frozen=True, slots=True)
class ScoredExamples:
    """outcomes: by dataset and id, in the order of the first run's file. scores: by cell and dataset, (N,)
    percent by metric.
    """

    outcomes: dict[str, dict[str, States]]
    scores: dict[str, dict[str, dict[str, NDArray[np.float64]]]]
    notes: tuple[str, ...]


def score_examples(
    results: Results, choice: ArmChoice, wrong: WrongCriterion, datasets: Sequence[str] | None, where: str
) -> ScoredExamples:
    """Compare the arms, example by example. An arm is wrong where all its seeds are, right where none is,
    else its seeds disagree.

    Args:
        datasets: None: those that all the runs were scored on.
        where: how messages call the folder.

    Raises:
        ConfigError: a dataset that not all runs were scored on, or none that they share.
        DataError: a file that cannot be used; runs that were scored on different examples.
    """
    import numpy as np

    names, notes = _datasets(choice, datasets)
    run_scores = predictions.read(results, list(choice.runs), names)
    for fault in run_scores.faults:
        raise DataError(f"{where}/{fault}")
    for name, difference in run_scores.different.items():
        raise DataError(
            f"{where}: {name}: {difference}: evaluate both on the same data, or choose with --arms, --seeds "
            "or --dataset"
        )
    notes += [
        f"{cell} has the scores of {twin} throughout: one run under two seeds"
        for cell, twin in run_scores.copies.items()
    ]
    outcomes = {}
    for name in names:
        examples = run_scores.examples[name]
        if examples.left_out:
            notes.append(f"{name}: {examples.left_out} examples left out, on which few-shot runs were tuned")
        by_arm = []
        for arm in choice.arms:
            bad = np.stack(
                [wrong.of(run_scores.scores[run.cell][name][wrong.metric.upper()]) for run in arm.runs]
            )
            states = np.where(bad.all(axis=0), WRONG, np.where(bad.any(axis=0), MIXED, RIGHT))
            by_arm.append(states.tolist())
        outcomes[name] = dict(zip(examples.ids.to_pylist(), zip(*by_arm, strict=True), strict=True))
    return ScoredExamples(outcomes, run_scores.scores, tuple(notes))


def _datasets(choice: ArmChoice, wanted: Sequence[str] | None) -> tuple[tuple[str, ...], list[str]]:
    """The datasets to look at, in the paper's order, and what was left out."""
    scored = {run.cell: set(run.datasets) for run in choice.runs}
    in_runs = dict.fromkeys(name for run in choice.runs for name in run.datasets)
    rank = {name: place for place, name in enumerate((*IN_DOMAIN, *OUT_OF_DOMAIN))}
    every = sorted(in_runs, key=lambda name: rank.get(name, len(rank)))
    shared = tuple(name for name in every if all(name in datasets for datasets in scored.values()))
    if wanted is not None:
        for name in wanted:
            if name not in shared:
                lacking = [cell for cell, datasets in scored.items() if name not in datasets]
                why = f" by {', '.join(lacking)}" if name in every else nearest(name, shared)
                known = ", ".join(shared) or "none, as no dataset was scored by all"
                raise ConfigError(f"--dataset {name}: not scored{why}: of {known}")
        return tuple(name for name in shared if name in wanted), []
    if not shared:
        raise ConfigError("--arms: no dataset was scored by all these runs: choose others")
    return shared, [
        f"{name} left out: not every run was scored on it" for name in every if name not in shared
    ]


def read_answers(
    results: Results, choice: ArmChoice, scored: ScoredExamples
) -> dict[tuple[str, str], Answers]:
    """The answers to the examples of LISTS, by dataset and id.

    Raises:
        DataError: a predictions file without the answers' texts.
    """
    rows = {
        (name, key): row
        for name, outcomes in scored.outcomes.items()
        for row, (key, states) in enumerate(outcomes.items())
        if group_of(states) in LISTS
    }
    texts = {run.cell: read_texts(results.folder / f"{run.cell}.parquet", rows) for run in choice.runs}

    def answer(run: Run, key: tuple[str, str]) -> RunAnswer:
        scores = scored.scores[run.cell][key[0]]
        em, f1 = (float(scores[metric][rows[key]]) for metric in ("EM", "F1"))
        return RunAnswer(run.seed, texts[run.cell][key], em, f1)

    return {key: tuple(tuple(answer(run, key) for run in arm.runs) for arm in choice.arms) for key in rows}


def read_texts(path: Path, wanted: Container[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The predictions of a file by dataset and id, those of `wanted` examples; no answer is an empty one.

    Raises:
        DataError: there is no column of predictions.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ["dataset", "example_id", "prediction"]
    with pq.ParquetFile(path) as file:
        if "prediction" not in file.schema_arrow.names:
            raise DataError(
                f"{path.name}: no column prediction, which this command shows: `python -m "
                "benchmark.evaluate` writes it"
            )
        table = file.read(columns=names)
    # row by row: pyarrow's filters import pandas, which takes longer
    columns = (table[name].cast(pa.string()).to_pylist() for name in names)
    return {
        (dataset, key): text or ""
        for dataset, key, text in zip(*columns, strict=True)
        if (dataset, key) in wanted
    }
