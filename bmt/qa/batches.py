"""Windows as arrays, and batches of them as tensors: padded to their longest window, rows of one dataset
together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from bmt.errors import DataError
from bmt.runtime.devices import to_device_together


def _numbers(column: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A column without nulls as an array, by DLPack: pyarrow's own to_numpy imports pandas (half a second) to
    do the same.
    """
    return np.from_dlpack(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different length in one array: row i is `values[starts[i]:starts[i + 1]]`."""

    values: np.ndarray
    starts: np.ndarray

    @staticmethod
    def of(column: pa.ChunkedArray | pa.ListArray) -> Ragged:
        """A list column of an Arrow table."""
        flat = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        return Ragged(_numbers(flat.values), _numbers(flat.offsets).astype(np.int64))

    def __getitem__(self, row: int) -> np.ndarray:
        return self.values[self.starts[row] : self.starts[row + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Length of each row (rows,)."""
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of one dataset's file.

    Attributes:
        dataset: its name.
        example: row of the example that each window is of, (windows,).
        input_ids: token ids, ragged.
        context_start: index of the first context token of each window, (windows,).
        offsets: start and end characters of each context token, flattened, ragged.
        spans: inclusive token pairs of the gold spans inside the window, flattened, ragged.
    """

    dataset: str
    example: np.ndarray
    input_ids: Ragged
    context_start: np.ndarray
    offsets: Ragged
    spans: Ragged

    @staticmethod
    def of(table: pa.Table | pa.RecordBatch, dataset: str) -> Windows:
        """From the columns of `windows.arrow` (see bmt.qa.windows)."""
        return Windows(
            dataset,
            _numbers(table["example"]),
            Ragged.of(table["input_ids"]),
            _numbers(table["context_start"]),
            Ragged.of(table["offsets"]),
            Ragged.of(table["spans"]),
        )

    def __len__(self) -> int:
        return len(self.example)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each window (windows,)."""
        return self.input_ids.lengths

    def of_examples(
        self, examples: np.ndarray, *, negatives: str = "keep", windows: str = "all"
    ) -> np.ndarray:
        """Rows of the windows of the given examples, in the examples' order.

        Args:
            examples: example rows.
            negatives: "drop" leaves out windows that hold no gold span.
            windows: "one" takes one window per example, the first that holds a gold span (the first of all
                where none does).
        """
        order = np.argsort(self.example, kind="stable")
        first = np.searchsorted(self.example[order], examples, side="left")
        last = np.searchsorted(self.example[order], examples, side="right")
        answered = self.spans.lengths > 0
        rows: list[int] = []
        for begin, end in zip(first, last, strict=True):
            of_example = order[begin:end]
            with_answer = of_example[answered[of_example]]
            if windows == "one":
                of_example = with_answer[:1] if len(with_answer) else of_example[:1]
            if negatives == "drop":
                of_example = of_example[answered[of_example]]
            rows.extend(of_example.tolist())
        return np.asarray(rows, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a batch needs to know of the tokenizer.

    Attributes:
        pad: id of the padding token.
        token_types: whether the model tells question (0) from context (1) by token types, as BERT does.
    """

    pad: int
    token_types: bool

    @staticmethod
    def of(tokenizer: object) -> Vocabulary:
        """From a transformers tokenizer."""
        pad = getattr(tokenizer, "pad_token_id", None)
        if pad is None:
            raise DataError(f"{type(tokenizer).__name__} has no padding token: set tokenizer.pad_token")
        return Vocabulary(int(pad), "token_type_ids" in getattr(tokenizer, "model_input_names", ()))


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows as tensors.

    Attributes:
        inputs: the model's inputs, (rows, tokens) each.
        allowed: positions that a span may take in the loss and in scores: the context's tokens, and position
            0 for "no answer here".
        spans: inclusive gold spans, (rows, most spans, 2), padded with -1; a window without answer has the
            span (0, 0).
        owner: position of each row's dataset in the list of datasets, (rows,), non-decreasing.
        tokens: real tokens, padding not counted.
    """

    inputs: dict[str, Tensor]
    allowed: Tensor
    spans: Tensor
    owner: list[int]
    tokens: int

    def to(self, device: torch.device) -> Batch:
        """The batch on a device; to a GPU it goes in one copy."""
        *inputs, allowed, spans = to_device_together(
            [*self.inputs.values(), self.allowed, self.spans], device
        )
        return replace(self, inputs=dict(zip(self.inputs, inputs, strict=True)), allowed=allowed, spans=spans)

    def with_known_padding(self) -> Batch:
        """The batch with an attention mask that transformers takes as it is, (rows, 1, 1, tokens), or none
        where nothing is padded.

        Of a mask (rows, tokens) it asks whether all is true, on a GPU once per pass with the host waiting for
        the answer, known here. For encoders with SDPA attention (`bmt.qa.model`).
        """
        inputs = {name: value for name, value in self.inputs.items() if name != "attention_mask"}
        if self.tokens < self.allowed.numel():
            inputs["attention_mask"] = self.inputs["attention_mask"][:, None, None].bool()
        return replace(self, inputs=inputs)


def collate(sets: Sequence[Windows], picks: Sequence[tuple[int, int]], vocabulary: Vocabulary) -> Batch:
    """The windows `picks`, (position in `sets`, row) each, as one batch sorted by dataset."""
    picks = sorted(picks, key=lambda pick: pick[0])
    ids = [sets[which].input_ids[row] for which, row in picks]
    longest = max(len(row) for row in ids)
    shape = len(ids), longest
    input_ids = np.full(shape, vocabulary.pad, dtype=np.int64)
    attention, types = np.zeros((2, *shape), dtype=np.int64)
    allowed = np.zeros(shape, dtype=bool)
    gold = [sets[which].spans[row].reshape(-1, 2) for which, row in picks]
    spans = np.full((len(ids), max(1, max(len(pairs) for pairs in gold)), 2), -1, dtype=np.int64)
    for i, ((which, row), tokens, pairs) in enumerate(zip(picks, ids, gold, strict=True)):
        start, count = int(sets[which].context_start[row]), len(sets[which].offsets[row]) // 2
        input_ids[i, : len(tokens)] = tokens
        attention[i, : len(tokens)] = 1
        types[i, start : len(tokens)] = 1
        allowed[i, start : start + count] = True
        allowed[i, 0] = True
        spans[i, : max(1, len(pairs))] = pairs if len(pairs) else 0
    inputs = {"input_ids": torch.from_numpy(input_ids), "attention_mask": torch.from_numpy(attention)}
    if vocabulary.token_types:
        inputs["token_type_ids"] = torch.from_numpy(types)
    owner = [which for which, _ in picks]
    return Batch(
        inputs, torch.from_numpy(allowed), torch.from_numpy(spans), owner, sum(len(tokens) for tokens in ids)
    )


def length_batches(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Row numbers in batches of `size`, longest first, so that a batch is padded little and the largest comes
    first.

    No limit on padding as in training (bmt.training.microbatches): thousands of windows in order of length
    leave next to none.
    """
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + size] for i in range(0, len(order), size)]
