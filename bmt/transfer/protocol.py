"""How few-shot transfer is done (section 4.6.2): what every dataset, K and seed has in common."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from bmt.qa.batches import Vocabulary, Windows
from bmt.settings import DataSettings, FewShotSettings
from bmt.training.plan import Plan


@dataclass(frozen=True, slots=True)
class FewShotProtocol:
    """What every few-shot run of a source model has in common.

    Attributes:
        vocabulary: what a batch needs of the tokenizer.
        plan: of the source training.
        settings: K, seeds, updates, learning rate and so on.
        data: which training windows are taken (`negatives`, `windows`).
    """

    vocabulary: Vocabulary
    plan: Plan
    settings: FewShotSettings
    data: DataSettings = field(default_factory=DataSettings)

    @property
    def target_plan(self) -> Plan:
        """The plan with the settings' batch size, and their one learning rate for theta, adapter and head."""
        settings = self.settings
        training = replace(
            self.plan.training, batch=settings.batch, batch_tokens=None, lr=settings.lr, head_lr=settings.lr
        )
        return replace(self.plan, training=training)

    def rows(self, windows: Windows, examples: np.ndarray) -> np.ndarray:
        """The training windows of a target's example rows."""
        return windows.of_examples(examples, negatives=self.data.negatives, windows=self.data.windows)
