"""Tiny random models and data for tests: a second or less to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    PreTrainedModel,
    RobertaConfig,
    RobertaForQuestionAnswering,
    T5Config,
    T5ForQuestionAnswering,
    T5ForTokenClassification,
)

from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.windows import WINDOWS
from bmt.training.data import TrainingData
from bmt.training.validation import Questions

VOCABULARY = 100
SIZE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
T5_SIZE = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 64,
    "num_layers": 2,
    "num_heads": 4,
    "num_labels": 2,
    "dropout_rate": 0.0,
}


def bert(seed: int = 0, dropout: bool = False, layers: int = 2) -> PreTrainedModel:
    """A BERT of 32 dimensions. With one layer a step takes half the time: a step of so small a model costs as
    much as it has tensors.
    """
    torch.manual_seed(seed)
    size = SIZE | {"num_hidden_layers": layers}
    return BertForQuestionAnswering(BertConfig(vocab_size=VOCABULARY, **size, **({} if dropout else QUIET)))


def roberta(seed: int = 0) -> PreTrainedModel:
    """A RoBERTa of two layers and 32 dimensions."""
    torch.manual_seed(seed)
    return RobertaForQuestionAnswering(
        RobertaConfig(vocab_size=VOCABULARY, max_position_embeddings=70, **SIZE, **QUIET)
    )


def t5(seed: int = 0) -> PreTrainedModel:
    """A T5 encoder of two layers and 32 dimensions with a span head."""
    torch.manual_seed(seed)
    return T5ForTokenClassification(T5Config(**T5_SIZE, classifier_dropout=0.0))


def t5_decoder(seed: int = 0) -> PreTrainedModel:
    """A whole T5 of two layers per side and 32 dimensions, its span head on the decoder's outputs."""
    torch.manual_seed(seed)
    return T5ForQuestionAnswering(T5Config(**T5_SIZE, decoder_start_token_id=0, use_cache=False))


def windows(dataset: str, count: int = 40, seed: int = 0, cue: int = 7) -> Windows:
    """Windows whose answer is the token `cue`: learnable by a tiny model. Token ids 10 to 89; a character a
    token.
    """
    random = np.random.default_rng(seed)
    rows: dict[str, list[object]] = {name: [] for name in WINDOWS.names}
    for example in range(count):
        length = int(random.integers(8, 20))
        context = random.integers(10, 90, length)
        at = int(random.integers(0, length))
        context[at] = cue
        rows["example"].append(example)
        rows["input_ids"].append([1, cue, 2, *context.tolist(), 2])
        rows["context_start"].append(3)
        rows["offsets"].append(np.stack([np.arange(length), np.arange(length) + 1], 1).ravel().tolist())
        rows["spans"].append([3 + at, 3 + at])
    return Windows.of(pa.table(rows, schema=WINDOWS), dataset)


def texts(own: Windows) -> list[str]:
    """A context of one character a token for each window of `windows`."""
    return ["".join(chr(0x100 + int(token)) for token in own.input_ids[row][3:-1]) for row in range(len(own))]


def as_questions(own: Windows, rows: np.ndarray) -> Questions:
    """Rows of `windows` as questions with their answers."""
    contexts = texts(own)
    answers = [[contexts[row][int(own.spans[row][0]) - 3]] for row in range(len(own))]
    return Questions(own, rows, own.example[rows].astype(np.int64), contexts, answers)


VOCAB = Vocabulary(pad=0, token_types=True)


def training_data(
    sets: Sequence[Windows], rows: Mapping[str, np.ndarray], held: np.ndarray | None = None
) -> TrainingData:
    """The rows of each dataset as training windows, and the rows `held` of each as validation questions."""
    validation = [] if held is None else [as_questions(windows, held) for windows in sets]
    return TrainingData(sets, rows, validation, VOCAB)
