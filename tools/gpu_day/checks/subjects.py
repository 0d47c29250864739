"""What the checks are made on: small models of the three families, batches, windows, masks; the same numbers
on every machine.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from bmt.layers import target_names
from bmt.masks import Masks
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.windows import WINDOWS
from bmt.settings import IN_DOMAIN
from bmt.training.data import TrainingData
from bmt.training.validation import Questions

M = TypeVar("M", bound=nn.Module)

FAMILIES = ("BERT", "RoBERTa", "T5", "T5 with its decoder")
VOCABULARY = 120
VOCAB = Vocabulary(pad=1, token_types=False)
DATASETS = IN_DOMAIN
SPREAD = 0.1
"""Standard deviation of the weights: at the usual .02 so narrow a model's attention would be flat."""


@dataclass(frozen=True, slots=True)
class CheckScale:
    """How large the checks are.

    Attributes:
        device: what is checked.
        draws: of a distribution.
        hidden, layers: of the small models.
        wide: dimensions of the one layer in which sums are as long as in an encoder that is used.
        rows, tokens: of a batch.
        steps: of a training.
        questions: that are answered.
    """

    device: torch.device
    draws: int = 1_000_000
    hidden: int = 64
    layers: int = 2
    wide: int = 768
    rows: int = 12
    tokens: int = 32
    steps: int = 12
    questions: int = 400

    @staticmethod
    def rehearsed(device: torch.device) -> CheckScale:
        """Tiny."""
        return CheckScale(device, 50_000, hidden=32, layers=1, wide=64, tokens=16, steps=3, questions=60)


def small_model(family: str, scale: CheckScale, dropout: float = 0.0) -> nn.Module:
    """`span_model` of the scale's size."""
    return span_model(family, scale.hidden, scale.layers, dropout)


def span_model(family: str, hidden: int, layers: int, dropout: float = 0.0) -> nn.Module:
    """A span model with random weights, always the same, on the CPU."""
    import transformers

    torch.manual_seed(14)
    if family.startswith("T5"):
        config = transformers.T5Config(
            vocab_size=VOCABULARY,
            d_model=hidden,
            d_kv=hidden // 4,
            d_ff=4 * hidden,
            num_layers=layers,
            num_heads=4,
            num_labels=2,
            dropout_rate=dropout,
            classifier_dropout=dropout,
            decoder_start_token_id=0,
            use_cache=False,
        )
        decoding = family == "T5 with its decoder"
        t5 = transformers.T5ForQuestionAnswering if decoding else transformers.T5ForTokenClassification
        model: nn.Module = t5(config)
        return model.train()
    name = "Roberta" if family == "RoBERTa" else "Bert"
    kinds = [getattr(transformers, name + part) for part in ("Config", "ForQuestionAnswering")]
    model = kinds[1](
        kinds[0](
            vocab_size=VOCABULARY,
            hidden_size=hidden,
            num_hidden_layers=layers,
            num_attention_heads=max(4, hidden // 64),
            intermediate_size=4 * hidden,
            max_position_embeddings=130,
            type_vocab_size=2,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
            initializer_range=SPREAD,
            pad_token_id=1,
        )
    )
    return model.train()


def placed(model: M, device: torch.device) -> M:
    """A copy of a model on the device: what is checked."""
    return copy.deepcopy(model).to(device)


def exact(model: M) -> M:
    """A copy of a model in float64 on the CPU: the judge."""
    return copy.deepcopy(model).cpu().double()


def values(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter, by name, on the CPU."""
    return {name: parameter.detach().cpu().clone() for name, parameter in model.named_parameters()}


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """A copy of every gradient, by name, on the CPU; 0 where there is none."""
    return {
        name: torch.zeros_like(value, device="cpu")
        if value.grad is None
        else value.grad.detach().cpu().clone()
        for name, value in model.named_parameters()
    }


@dataclass(frozen=True, slots=True)
class Regression:
    """Rows whose start and end scores are to be random numbers: a loss that every family has, in any
    precision.

    Attributes:
        ids: token ids (rows, tokens); attention: 0 where a row is shorter.
        target: (rows, tokens, 2).
        owner: dataset of each row, by position, in no order.
    """

    ids: Tensor
    attention: Tensor
    target: Tensor
    owner: list[int]

    @staticmethod
    def of(rows: int, tokens: int, seed: int = 0) -> Regression:
        """Drawn under a seed; each dataset has a row where there are enough."""
        draw = torch.Generator().manual_seed(seed)
        ids = torch.randint(5, VOCABULARY, (rows, tokens), generator=draw)
        lengths = torch.randint(tokens // 2, tokens + 1, (rows,), generator=draw)
        attention = (torch.arange(tokens) < lengths[:, None]).long()
        owner = (torch.arange(rows) % len(DATASETS))[torch.randperm(rows, generator=draw)]
        ids = torch.where(attention.bool(), ids, VOCAB.pad)
        return Regression(ids, attention, torch.randn(rows, tokens, 2, generator=draw), owner.tolist())

    def rows(self, which: Sequence[int]) -> Regression:
        """Some of the rows."""
        chosen = list(which)
        owner = [self.owner[row] for row in chosen]
        return Regression(self.ids[chosen], self.attention[chosen], self.target[chosen], owner)

    def to(self, device: torch.device) -> Regression:
        """On a device."""
        return Regression(self.ids.to(device), self.attention.to(device), self.target.to(device), self.owner)

    def inputs(self) -> dict[str, Tensor]:
        """The model's, with a mask that transformers takes as it is and does not look into."""
        return {"input_ids": self.ids, "attention_mask": self.attention[:, None, None].bool()}

    def scores(self, model: nn.Module) -> Tensor:
        """Start and end scores, (rows, tokens, 2)."""
        out = model(**(self.inputs() if "T5" not in type(model).__name__ else self._plain_inputs()))
        stacked: Tensor = (
            torch.stack([out.start_logits, out.end_logits], -1)
            if hasattr(out, "start_logits")
            else out.logits
        )
        return stacked

    def _plain_inputs(self) -> dict[str, Tensor]:
        return {"input_ids": self.ids, "attention_mask": self.attention}

    def loss(self, model: nn.Module) -> Tensor:
        """The mean over rows of the summed squared distances from the target, of real tokens."""
        scores = self.scores(model)
        apart = (scores.to(torch.promote_types(scores.dtype, torch.float32)) - self.target).square()
        return (apart * self.attention[..., None]).sum() / len(self.owner)


def random_masks(model: nn.Module, datasets: Sequence[str] = DATASETS, density: float = 0.3) -> Masks:
    """Masks of a model, each dataset's drawn on its own."""
    draw, shapes = torch.Generator().manual_seed(15), {n: p.shape for n, p in model.named_parameters()}
    opened: Mapping[str, Mapping[str, Tensor]] = {
        dataset: {name: torch.rand(shapes[name], generator=draw) < density for name in target_names(model)}
        for dataset in datasets
    }
    return Masks.of(opened, model)


def windows(dataset: str, number: int, cue: int, seed: int) -> Windows:
    """Windows whose answer is the token `cue` of the context, and sometimes twice there: learnable in few
    steps.
    """
    draw = np.random.default_rng(seed)
    table: dict[str, list[object]] = {name: [] for name in WINDOWS.names}
    for example in range(number):
        length = int(draw.integers(12, 24))
        context = draw.integers(20, VOCABULARY, length)
        at = np.sort(draw.choice(length, 1 + example % 2, replace=False))
        context[at] = cue
        table["example"].append(example)
        table["input_ids"].append([2, cue, 3, *context.tolist(), 3])
        table["context_start"].append(3)
        table["offsets"].append(np.stack([np.arange(length), np.arange(length) + 1], 1).ravel().tolist())
        table["spans"].append(np.repeat(3 + at, 2).tolist())
    return Windows.of(pa.table(table, schema=WINDOWS), dataset)


def questions(part: Windows, rows: np.ndarray) -> Questions:
    """Some windows as questions: a character per token, and the cue's character as the answer."""
    contexts = [
        "".join(chr(0x100 + int(token)) for token in ids[3:-1])
        for ids in map(part.input_ids.__getitem__, range(len(part)))
    ]
    answers = [[contexts[row][int(part.spans[row][0]) - 3]] for row in range(len(part))]
    return Questions(part, rows, part.example[rows].astype(np.int64), contexts, answers)


@cache
def training_data(datasets: Sequence[str] = DATASETS, number: int = 40, held: int = 8) -> TrainingData:
    """`number` windows of each dataset, the last `held` of them for validation."""
    sets = [windows(name, number, cue=5 + at, seed=at) for at, name in enumerate(datasets)]
    rows = dict.fromkeys(datasets, np.arange(number - held))
    return TrainingData(
        sets, rows, [questions(part, np.arange(number - held, number)) for part in sets], VOCAB
    )
