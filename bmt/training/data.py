"""What is trained on: the first of the two things that a run is told beside its settings.

The other is how it is controlled (`bmt.runtime.control.RunControl`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bmt.qa.batches import Vocabulary, Windows
from bmt.training.validation import Questions


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The windows that a run trains on and the questions that it is validated on.

    A window is picked as (position of its dataset in `sets`, row of its windows).

    Attributes:
        sets: the windows of each dataset.
        rows: the training windows of each dataset, by name, in the order of `sets`.
        validation: validation questions of the same datasets, in the same order; empty where nothing is
            validated.
        vocabulary: what a batch needs of the tokenizer.
    """

    sets: Sequence[Windows]
    rows: Mapping[str, np.ndarray]
    validation: Sequence[Questions]
    vocabulary: Vocabulary

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets, in order."""
        return tuple(windows.dataset for windows in self.sets)

    def alone(self, position: int) -> TrainingData:
        """The part of one dataset, by its position."""
        windows = self.sets[position]
        rows = {windows.dataset: self.rows[windows.dataset]}
        return TrainingData([windows], rows, [self.validation[position]], self.vocabulary)
