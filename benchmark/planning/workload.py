"""How many tokens a cell or a transfer passes through its model: arithmetic on the params file and the counts
of the prepared features.

    windows = questions taken x windows per question
    steps   = windows x epochs / batch
    tuning  = steps x batch x tokens per window
    masks   = sources x mask.steps x mask.batch x tokens per window      (learned, Fisher)
    scoring = validation windows x evaluations, and the windows of the dev sets

Upper bounds: early stopping ends many runs sooner. Contexts that are set aside for validation are counted by
their questions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

from benchmark.config.cells import Cell
from benchmark.config.params import Config
from benchmark.paper import tables as papers
from bmt.settings import SamplingSettings

MASK_PASS = 1.25
"""Work of a step of mask learning against one of tuning, per token (docs/performance.md)."""
FORWARD = 1 / 3
"""Scoring a token against tuning on it: the forward pass without the two of the backward pass."""
WRITTEN = 3
"""A token that a published model reads to write its answer against one that is scored: the decoder reads all
of them for each word (assumed).
"""
ADAPTER_PHASES = 2
"""Phase 1 trains everything, phase 2 each dataset's adapter and head: counted as much again."""
LEARNED = ("learned", "fixed_random", "fisher")
"""Kinds of mask that take steps to make."""
QUESTIONS = 1500
"""Questions of a file that neither the features nor the paper's Table 1 count."""


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Counts of one file's features. prepared: read from them, not assumed."""

    questions: int
    windows: int
    answered: int
    tokens: int
    prepared: bool = True

    @property
    def tokens_per_window(self) -> float:
        """Mean length of a window."""
        return self.tokens / max(1, self.windows)

    @property
    def windows_per_question(self) -> float:
        """Mean number of windows of a question."""
        return self.windows / max(1, self.questions)

    def tokens_of(self, questions: int) -> float:
        """Tokens of the windows of so many of its questions."""
        return questions * self.windows_per_question * self.tokens_per_window


@dataclass(frozen=True, slots=True)
class Workload:
    """Tokens of each part; `prepared`: their counts are those of features, not assumed."""

    steps: int
    windows: int
    tuning: float
    masks: float
    validation: float
    evaluation: float
    prepared: bool

    @property
    def passes(self) -> float:
        """All of it in tokens of tuning: what a measured number of tokens per second divides."""
        return self.tuning + MASK_PASS * self.masks + FORWARD * (self.validation + self.evaluation)


def sizes(features: Path, dataset: str, split: str, window: int) -> FileCounts:
    """Counts of one file: of its features in the folder `features`, else the paper's Table 1 and one whole
    window per question.
    """
    path = features / f"{dataset}.{split}" / "features.json"
    try:
        return _counted(path, path.stat().st_mtime_ns)
    except (OSError, ValueError, KeyError, TypeError):
        questions = _printed().get((dataset, split), QUESTIONS)
        return FileCounts(questions, questions, questions, questions * window, prepared=False)


def cell_work(config: Config, cell: Cell, features: Path, masks_made: bool = False) -> Workload:
    """The work of training and evaluating a cell. masks_made: a cell before it makes the same masks."""
    data, training = config.data, config.training
    names = [cell.dataset] if cell.dataset else data.train
    files = [sizes(features, name, "train", data.window) for name in names]
    windows = [_training_windows(config, file) for file in files]
    length = _mean_length(files, windows, config.sampling)
    epochs = training.epochs_st if cell.dataset else training.epochs_mt
    step = training.batch_tokens or training.batch * length
    passes = sum(windows) * epochs
    steps = max(1, math.ceil(passes * length / step if training.batch_tokens else passes / training.batch))
    phases = ADAPTER_PHASES if cell.adapter else 1
    checks = math.ceil(steps / training.evaluate_every) * phases
    tuning = steps * step
    dev = [sizes(features, name, "dev", data.window) for name in data.evaluate]
    return Workload(
        steps=steps * phases,
        windows=sum(windows),
        tuning=tuning * phases,
        masks=0.0
        if masks_made
        else _mask_tokens(config, cell, length, tuning, sources=len(names)) + _warm_up(config, cell, length),
        validation=checks * sum(file.tokens_of(_held_out(config, file)) for file in files),
        evaluation=_scored(config, dev),
        prepared=all(file.prepared for file in (*files, *dev)),
    )


def transfer_work(config: Config, arm: str, datasets: Sequence[str], features: Path) -> Workload:
    """The work of one few-shot transfer, at most: every step taken on every dataset, as many windows
    validated, the dev sets scored.
    """
    files = [sizes(features, name, "dev", config.data.window) for name in datasets]
    steps = config.fewshot.steps
    windows = steps * config.fewshot.batch
    tuned = sum(windows * file.tokens_per_window for file in files)
    learned = config.mask.steps * config.mask.batch if config.arms[arm].mask in LEARNED else 0
    masks = sum(learned * file.tokens_per_window for file in files)
    prepared, scored = all(file.prepared for file in files), _scored(config, files)
    return Workload(steps * len(files), windows * len(files), tuned, masks, tuned, scored, prepared)


def written_work(config: Config, datasets: Sequence[str], features: Path) -> Workload:
    """The work of a published model that reads each dev question once and writes the answer."""
    files = [sizes(features, name, "dev", config.data.window) for name in datasets]
    return Workload(
        0, 0, 0.0, 0.0, 0.0, WRITTEN * _scored(config, files), all(file.prepared for file in files)
    )


def scored_questions(config: Config, file: FileCounts) -> int:
    """Dev questions of a file that are scored."""
    cap = config.data.dev_cap
    return file.questions if cap is None else min(cap, file.questions)


def _held_out(config: Config, file: FileCounts) -> int:
    """Questions of a file that are validated on."""
    return min(config.data.validation_cap, file.questions)


def _training_windows(config: Config, file: FileCounts) -> int:
    """Training windows of a file, without what is set aside of it."""
    data = config.data
    questions = max(1, file.questions - (_held_out(config, file) if data.val_source == "train" else 0))
    if data.train_cap is not None:
        questions = min(questions, data.train_cap)
    if data.windows == "one":
        return questions
    each = file.answered / max(1, file.questions) if data.negatives == "drop" else file.windows_per_question
    return max(1, round(questions * each))


def _mean_length(files: Sequence[FileCounts], windows: Sequence[int], sampling: SamplingSettings) -> float:
    """Tokens of a sampled window: datasets weigh alike, or by their windows where sampling goes by size, as
    the temperature has it.
    """
    power = {"size": 1.0, "temperature": 1 / sampling.temperature}.get(sampling.kind, 0.0)
    return fmean([file.tokens_per_window for file in files], weights=[n**power for n in windows])


def _mask_tokens(config: Config, cell: Cell, length: float, tuning: float, sources: int) -> float:
    """Tokens that making the masks of a cell's arm takes."""
    mask, kind = config.mask, config.arms[cell.arm].mask
    if kind not in LEARNED:
        return 0.0
    once = (1 if mask.scope == "global" else sources) * mask.steps * mask.batch * length
    if kind == "learned" and mask.scope == "per_batch":
        return tuning * max(1, mask.steps)
    if kind == "learned" and mask.schedule == "alternating":
        return tuning
    if kind == "learned" and mask.schedule == "refresh":
        return once * math.ceil(config.training.epochs_st if cell.dataset else config.training.epochs_mt)
    return once


def _warm_up(config: Config, cell: Cell, length: float) -> float:
    """Tokens of the head's warm-up, which comes before masks are learned."""
    learned = config.arms[cell.arm].mask == "learned"
    return config.mask.head_warmup * config.training.batch * length if learned else 0.0


def _scored(config: Config, files: Sequence[FileCounts]) -> float:
    """Tokens of the dev questions that are scored."""
    return sum(file.tokens_of(scored_questions(config, file)) for file in files)


@cache
def _counted(path: Path, changed: int) -> FileCounts:
    """The counts of a features.json, which lists every dropped question and so may be long: read once per
    state of the file.
    """
    counts = json.loads(path.read_text(encoding="utf-8"))["counts"]
    return FileCounts(counts["examples"], counts["windows"], counts["windows_with_answer"], counts["tokens"])


@cache
def _printed() -> dict[tuple[str, str], int]:
    """Questions of each file by the paper's Table 1."""
    table = papers.load().tables["1"]
    questions = {}
    for row in table.rows:
        for split in ("Train", "Dev"):
            number = row.values[split][""]
            if row.dataset and number is not None:
                questions[row.dataset, split.lower()] = int(number)
    return questions
