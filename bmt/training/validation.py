"""Questions to answer and score, by one process or shared over ranks.

The ranks share the questions rather than wait for the first: at the paper's scale 6 * 1000 questions are
answered every 2048 * 8 windows of training, so that seven of eight GPUs would wait for about half of the
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.decoding import Passes, Prediction, predict
from bmt.qa.metrics import score
from bmt.runtime.control import Progress
from bmt.runtime.ranks import Ranks
from bmt.training.microbatches import shares
from bmt.training.plan import Plan, autocast_for


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions of one dataset to be answered and scored.

    Attributes:
        windows: windows of the file.
        rows: the windows of these questions.
        examples: rows of these questions in the file's examples.
        contexts, answers: context and gold answers of every example row of the file.
    """

    windows: Windows
    rows: np.ndarray
    examples: np.ndarray
    contexts: Sequence[str]
    answers: Sequence[Sequence[str]]

    def shared(self, ranks: Ranks) -> np.ndarray:
        """The windows that a rank reads: all of a question's are on one rank, and the ranks' tokens are about
        the same.
        """
        if ranks.world == 1:
            return self.rows
        examples, position = np.unique(self.windows.example[self.rows], return_inverse=True)
        tokens = np.bincount(
            position, weights=self.windows.lengths[self.rows], minlength=len(examples)
        ).astype(np.int64)
        return self.rows[np.isin(position, shares(tokens, ranks.world)[ranks.rank])]


def answers(
    model: nn.Module,
    questions: Questions,
    vocabulary: Vocabulary,
    plan: Plan,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
) -> list[Prediction]:
    """One prediction for each question that has a window, in the order of example rows; the same on every
    rank.
    """
    ranks = ranks or Ranks()
    device = next(model.parameters()).device
    predictions = predict(
        model,
        questions.windows,
        questions.contexts,
        vocabulary,
        plan.decode,
        rows=questions.shared(ranks),
        passes=Passes(
            plan.training.evaluation_batch, autocast_for(plan.training.precision, device), progress
        ),
    )
    gathered = [prediction for part in ranks.gathered(predictions) for prediction in part]
    return sorted(gathered, key=lambda prediction: prediction.example)


def evaluate(
    model: nn.Module,
    questions: Sequence[Questions],
    vocabulary: Vocabulary,
    plan: Plan,
    progress: Progress | None = None,
    ranks: Ranks | None = None,
) -> dict[str, tuple[float, float]]:
    """EM and F1, in percent, of each dataset's questions. A question without a window counts as wrong."""
    scores = {}
    for part in questions:
        predictions = answers(model, part, vocabulary, plan, progress, ranks)
        texts = {prediction.example: prediction.text for prediction in predictions}
        examples = part.examples.tolist()
        gold = [list(part.answers[example]) for example in examples]
        em, f1 = score([texts.get(example, "") for example in examples], gold)
        scores[part.windows.dataset] = (100 * float(np.mean(em)), 100 * float(np.mean(f1)))
    return scores
