"""A transfer of a tiny BERT with adapters: its source datasets and their masks, a target, the protocol."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from bmt.layers import in_encoder
from bmt.masks import Masks
from bmt.qa.adapters import add_adapters, banks
from bmt.settings import FewShotSettings, TrainingSettings
from bmt.training.plan import Plan
from bmt.training.validation import Questions
from bmt.transfer.protocol import FewShotProtocol
from tests.support import tiny

NAMES = ("A", "B", "C")
"""The source datasets."""
PLAN = Plan(TrainingSettings(batch=8, lr=1e-3, head_lr=3e-3, evaluate_every=4, patience=50))
"""The plan of the source training."""
FEW = FewShotSettings(steps=5, patience=100, lr=1e-3)


def model_with(names: tuple[str, ...] = NAMES, seed: int = 0) -> PreTrainedModel:
    """Adapters and heads of every dataset away from where they started."""
    model = tiny.bert(dropout=True, layers=1)
    add_adapters(model, names, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for bank in banks(model):
            for parameter in bank.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return model


def questions(name: str = "T", count: int = 80, seed: int = 9) -> Questions:
    """A target dataset, a window per question."""
    return tiny.as_questions(tiny.windows(name, count, seed), np.arange(count))


def values(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every parameter, by name."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def protocol(settings: FewShotSettings = FEW) -> FewShotProtocol:
    """The protocol of these few-shot settings after a source training by PLAN."""
    return FewShotProtocol(tiny.VOCAB, PLAN, settings)


def source_like(model: PreTrainedModel) -> Masks:
    """Random masks of the source datasets over the encoder, a tenth of it open."""
    generator = torch.Generator().manual_seed(0)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters() if in_encoder(name)}
    return Masks.of(
        {
            name: {key: torch.rand(shape, generator=generator) < 0.1 for key, shape in shapes.items()}
            for name in NAMES
        },
        model,
    )
