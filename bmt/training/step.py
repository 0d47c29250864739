"""One optimizer step: passes over this rank's windows, the sum over ranks, the regularizer, clipping, the
update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bmt.mask_updates import MaskedUpdates
from bmt.qa.batches import Vocabulary, Windows, collate
from bmt.qa.cpu_dropout import quick_dropout
from bmt.qa.model import span_logits, span_nll
from bmt.runtime.keyed_random import key_number
from bmt.runtime.ranks import GradientSum, Ranks
from bmt.training.microbatches import Limits, passes
from bmt.training.plan import Plan, autocast_for
from bmt.training.regularizers import Regularizer


@dataclass(frozen=True, slots=True)
class Taken:
    """What a step has done, all ranks together.

    Attributes:
        loss: mean negative log-likelihood a window, a scalar on the device.
        tokens, padded: real tokens, and positions with padding counted.
    """

    loss: Tensor
    tokens: int
    padded: int


class Stepper:
    """Takes the optimizer steps of a run.

    Args:
        limits: what a forward and backward pass may be.
        masked: the handle of the masked updates in force, if any.
        keeper: a regularizer.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        sets: Sequence[Windows],
        vocabulary: Vocabulary,
        plan: Plan,
        limits: Limits,
        seed: int,
        masked: MaskedUpdates | None,
        keeper: Regularizer | None,
        ranks: Ranks,
    ) -> None:
        self.model, self.optimizer, self.sets, self.vocabulary, self.plan, self.limits = (
            model,
            optimizer,
            sets,
            vocabulary,
            plan,
            limits,
        )
        self.seed, self.masked, self.keeper, self.ranks = seed, masked, keeper, ranks
        self.device = next(model.parameters()).device
        self.names, self.lengths = [own.dataset for own in sets], [own.lengths for own in sets]
        self.cast = autocast_for(plan.training.precision, self.device)
        self.sum = GradientSum(ranks, model)

    def take(self, step: int, picks: Sequence[tuple[int, int]]) -> Taken:
        """One step on the windows `picks`; its gradient is that of their mean loss, however they are shared
        out and cut.
        """
        # Dropout differs between ranks, whose windows differ; the first draws as a process alone would.
        torch.manual_seed(
            key_number((self.seed, "train", step, *([self.ranks.rank] if self.ranks.rank else [])))
        )
        lengths = np.array([self.lengths[which][row] for which, row in picks])
        own = passes(lengths, self.limits, self.ranks.rank, self.ranks.world)
        total = torch.zeros((), device=self.device)
        if self.keeper is not None:
            self.keeper.before(step)
        with quick_dropout(self.model):
            for part in own.parts:
                total += self._pass([picks[position] for position in part.tolist()], len(picks))
        self.sum(total)
        if self.keeper is not None:
            self.keeper.after(step)
        if self.plan.tuning.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.tuning.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return Taken(total, int(lengths.sum()), own.padded)

    def _pass(self, picks: Sequence[tuple[int, int]], count: int) -> Tensor:
        """Forward and backward on some of a step's `count` windows: their part of the step's loss."""
        batch = collate(self.sets, picks, self.vocabulary).to(self.device)
        if self.masked is not None:
            self.masked.rows([self.names[which] for which in batch.owner])
        with self.cast():
            start, end = span_logits(self.model, batch)
        loss = span_nll(start, end, batch, self.plan.loss.spans).sum() / count
        loss.backward()
        return loss.detach()
