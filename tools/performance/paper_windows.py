"""The windows that training is measured on at the paper's scale: real ones, or generated ones of the real
ones' lengths.

What a step costs depends on how many tokens its windows have, not on which tokens. So the lengths are what
must be right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bmt.qa.batches import Ragged, Vocabulary, Windows
from bmt.training.data import TrainingData
from bmt.training.validation import Questions
from tools.performance.bench import Bench
from tools.performance.same_windows import training_data
from tools.performance.subject import Subject

VOCABULARY = Vocabulary(pad=1, token_types=False)  # RoBERTa's
DECILES = {
    "SQuAD": (41, 112, 126, 138, 148, 160, 174, 187, 213, 249, 512),
    "HotpotQA": (78, 164, 190, 213, 239, 264, 297, 334, 386, 476, 512),
    "TriviaQA": (80, 381, 410, 453, 512, 512, 512, 512, 512, 512, 512),
    "NewsQA": (172, 325, 359, 390, 472, 512, 512, 512, 512, 512, 512),
    "SearchQA": (91, 388, 419, 455, 512, 512, 512, 512, 512, 512, 512),
    "NaturalQuestions": (19, 73, 96, 118, 139, 161, 194, 263, 442, 512, 512),
}
"""Tokens of the training windows of the mini profile's real files, shortest to longest by tenths: windows of
at most 512 tokens that share 256, MiniLM's tokenizer, 10,976 windows of 6,842 questions.
"""
PER_QUESTION = {
    "SQuAD": 1.00,
    "HotpotQA": 1.08,
    "TriviaQA": 2.93,
    "NewsQA": 2.27,
    "SearchQA": 2.96,
    "NaturalQuestions": 1.22,
}
"""Windows per question there."""
QUESTION = 16
"""Tokens before a generated window's context."""


@dataclass(frozen=True, slots=True)
class PaperWindows:
    """What is trained on and evaluated.

    Attributes:
        source: the training windows of the source datasets.
        dev: questions of theirs to evaluate.
        per_question: windows per question, the datasets' mean.
        told: a sentence that says what the windows are.
    """

    source: TrainingData
    dev: Sequence[Questions]
    per_question: float
    told: str


def subject_windows(subject: Subject, bench: Bench) -> PaperWindows:
    """Real windows of a folder of MRQA files, cut by a subject's tokenizer."""
    files = subject.files("train", bench)
    return PaperWindows(
        training_data(files, VOCABULARY),
        [file.questions(subject.sizes.questions) for file in files],
        float(np.mean([len(file.rows) / len(file.made.examples) for file in files])),
        f"Real windows of at most {subject.data.window} tokens.",
    )


def generated_windows(count: int, questions: int, shrunk: int = 1) -> PaperWindows:
    """Windows of random tokens whose lengths are drawn from `DECILES`, straight between two of them.

    Args:
        count: windows of each dataset.
        questions: of each dataset that are evaluated.
        shrunk: lengths are divided by it (a rehearsal).
    """
    draw, sets, dev = np.random.default_rng(0), [], []
    for name, deciles in DECILES.items():
        lengths = np.interp(draw.random(count), np.linspace(0, 1, len(deciles)), deciles) / shrunk
        example = (np.arange(count) / PER_QUESTION[name]).astype(np.int32)
        windows = _windows(name, lengths.round().astype(np.int64).clip(QUESTION + 4), example, draw)
        sets.append(windows)
        wanted = np.arange(min(questions, int(example[-1]) + 1))
        rows = np.flatnonzero(example < len(wanted))
        context = "ab " * int(windows.lengths.max())
        contexts, answers = [context] * len(wanted), [["ab"]] * len(wanted)
        dev.append(Questions(windows, rows, wanted, contexts, answers))
    rows_of = {windows.dataset: np.arange(count) for windows in sets}
    return PaperWindows(
        TrainingData(sets, rows_of, [], VOCABULARY),
        dev,
        float(np.mean(list(PER_QUESTION.values()))),
        "Windows of random tokens, their lengths drawn from the real windows' of each dataset"
        f"{'' if shrunk == 1 else f', divided by {shrunk}'}.",
    )


def _windows(dataset: str, lengths: np.ndarray, example: np.ndarray, draw: np.random.Generator) -> Windows:
    """Windows of these lengths: a question, a context of words of two letters, an answer of one token."""
    context = lengths - QUESTION - 1  # [SEP] ends a window
    starts = np.concatenate([[0], lengths.cumsum()])
    offsets = np.concatenate([[0], 2 * context.cumsum()])
    token = np.arange(context.sum()) - np.repeat(offsets[:-1] // 2, context)
    at = QUESTION + (draw.random(len(lengths)) * context).astype(np.int32)
    return Windows(
        dataset,
        example,
        Ragged(draw.integers(10, 300, starts[-1], dtype=np.int32), starts),
        np.full(len(lengths), QUESTION, dtype=np.int32),
        Ragged(np.stack([3 * token, 3 * token + 2], 1).reshape(-1).astype(np.int32), offsets),
        Ragged(np.repeat(at, 2), 2 * np.arange(len(lengths) + 1)),
    )
