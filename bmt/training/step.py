"""One optimizer step: passes over this rank's windows, the sum over ranks, regularizer, clipping, update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bmt.layers import in_encoder
from bmt.masked_updates import MaskedUpdates
from bmt.qa.batches import collate
from bmt.qa.cpu_dropout import quick_dropout
from bmt.qa.model import span_logits, span_nll
from bmt.runtime.keyed_random import key_number
from bmt.runtime.ranks import GradientSum, Ranks
from bmt.settings import TrainingSettings
from bmt.training.data import TrainingData
from bmt.training.microbatches import passes
from bmt.training.plan import Plan, autocast_for, pass_limits
from bmt.training.regularizers import Regularizer


def adamw(model: nn.Module, training: TrainingSettings) -> torch.optim.AdamW:
    """AdamW over all weights that are trained: the encoder at `lr`, heads and adapters at `head_lr`."""
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for name, parameter in named if in_encoder(name) == encoder], "lr": rate}
        for rate, encoder in ((training.lr, True), (training.head_lr, False))
    ]
    return torch.optim.AdamW(groups, eps=training.eps, weight_decay=training.weight_decay, fused=True)


@dataclass(frozen=True, slots=True)
class StepTotals:
    """What a step has done, all ranks together.

    Attributes:
        loss: mean negative log-likelihood per window, a scalar on the device.
        tokens, padded: real tokens, and positions with padding counted.
    """

    loss: Tensor
    tokens: int
    padded: int


class Stepper:
    """Takes the optimizer steps of a run.

    Args:
        masked: the handle of the masked updates in force, if any.
        regularizer: called around the passes of each step, if any.

    Raises:
        ConfigError: a training window that does not fit a pass.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        data: TrainingData,
        plan: Plan,
        seed: int,
        masked: MaskedUpdates | None = None,
        regularizer: Regularizer | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.model, self.optimizer, self.data, self.plan, self.seed = model, optimizer, data, plan, seed
        self.masked, self.regularizer, self.ranks = masked, regularizer or Regularizer(), ranks or Ranks()
        self.device = next(model.parameters()).device
        self.limits = pass_limits(data.sets, data.rows, plan.training, self.device)
        self.names = data.datasets
        self.lengths = [windows.lengths for windows in data.sets]
        self.cast = autocast_for(plan.training.precision, self.device)
        self.sum = GradientSum(self.ranks, model)

    def take(self, step: int, picks: Sequence[tuple[int, int]]) -> StepTotals:
        """One step on the windows `picks`; its gradient is that of their mean loss, however they are shared
        out over ranks and cut into passes.
        """
        # Dropout is keyed by (seed, step): a resumed run draws what it would have drawn. It differs between
        # ranks, whose windows differ; the first draws as a process alone would.
        rank = [self.ranks.rank] if self.ranks.rank else []
        torch.manual_seed(key_number((self.seed, "train", step, *rank)))
        lengths = np.array([self.lengths[which][row] for which, row in picks])
        share = passes(lengths, self.limits, self.ranks.rank, self.ranks.world)
        total = torch.zeros((), device=self.device)
        self.regularizer.before(step)
        with quick_dropout(self.model):
            for positions in share.parts:
                total += self._pass([picks[position] for position in positions.tolist()], len(picks))
        self.sum(total)
        self.regularizer.after(step)
        if self.plan.tuning.clip is not None:
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.tuning.clip)
            if self.masked is not None:
                self.masked.norm = norm
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return StepTotals(total, int(lengths.sum()), share.padded)

    def _pass(self, picks: Sequence[tuple[int, int]], count: int) -> Tensor:
        """Forward and backward on some of a step's `count` windows: their part of the step's loss.

        The backward pass multiplies each gradient by its mask (eq. 14): with several masks, the gradient of
        each row by the mask of the row's dataset, which is why the rows are named first.
        """
        batch = collate(self.data.sets, picks, self.data.vocabulary).to(self.device)
        if self.masked is not None:
            self.masked.rows([self.names[which] for which in batch.owner])
        with self.cast():
            start, end = span_logits(self.model, batch)
        loss = span_nll(start, end, batch, self.plan.loss.spans).sum() / count
        loss.backward()
        return loss.detach()
