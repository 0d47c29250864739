"""Windows as batches: which rows, padding, token types, what a span may be."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

import bmt.runtime.devices
from bmt.errors import DataError
from bmt.qa.batches import Ragged, Vocabulary, Windows, collate, length_batches
from bmt.qa.windows import WINDOWS
from tests.support.tiny_tokenizers import fast

ROWS = [  # example, ids, first context token, tokens of the context, gold spans
    (0, [1, 7, 2, 11, 12, 13, 2], 3, 3, []),
    (0, [1, 7, 2, 12, 13, 2], 3, 2, [3, 4]),
    (0, [1, 7, 2, 13, 14, 2], 3, 2, [3, 3, 4, 4]),
    (1, [1, 8, 9, 2, 21, 2], 4, 1, []),
    (2, [1, 8, 2, 31, 32, 33, 34, 2], 3, 4, [4, 5]),
]


def windows(dataset: str = "A") -> Windows:
    columns = {
        "example": [example for example, *_ in ROWS],
        "input_ids": [ids for _, ids, *_ in ROWS],
        "context_start": [start for _, _, start, *_ in ROWS],
        "offsets": [[i for k in range(count) for i in (k, k + 1)] for *_, count, _ in ROWS],
        "spans": [spans for *_, spans in ROWS],
    }
    return Windows.of(pa.table(columns, schema=WINDOWS), dataset)


@pytest.mark.parametrize(
    ("examples", "options", "rows"),
    [
        ([0, 1, 2], {}, [0, 1, 2, 3, 4]),
        ([2, 0], {}, [4, 0, 1, 2]),
        ([0, 1, 2], {"windows": "one"}, [1, 3, 4]),  # the first with an answer; the first where none has one
        ([0, 1, 2], {"negatives": "drop"}, [1, 2, 4]),
        ([0, 1, 2], {"windows": "one", "negatives": "drop"}, [1, 4]),
        ([5], {}, []),
    ],
)
def test_rows_of_examples(examples: list[int], options: dict[str, str], rows: list[int]) -> None:
    assert windows().of_examples(np.array(examples), **options).tolist() == rows


def test_a_batch_is_sorted_by_dataset_and_padded_to_its_longest_window() -> None:
    batch = collate([windows("A"), windows("B")], [(1, 3), (0, 2), (1, 4), (0, 0)], Vocabulary(0, True))
    assert batch.owner == [0, 0, 1, 1] and batch.tokens == 6 + 7 + 6 + 8
    ids = batch.inputs["input_ids"].tolist()
    assert ids == [
        [1, 7, 2, 13, 14, 2, 0, 0],
        [1, 7, 2, 11, 12, 13, 2, 0],
        [1, 8, 9, 2, 21, 2, 0, 0],
        [1, 8, 2, 31, 32, 33, 34, 2],
    ]
    assert batch.inputs["attention_mask"].tolist() == [[int(token != 0) for token in row] for row in ids]
    assert batch.inputs["token_type_ids"].tolist() == [
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 1],
    ]
    assert batch.allowed.int().tolist() == [
        [1, 0, 0, 1, 1, 0, 0, 0],
        [1, 0, 0, 1, 1, 1, 0, 0],
        [1, 0, 0, 0, 1, 0, 0, 0],
        [1, 0, 0, 1, 1, 1, 1, 0],
    ]
    assert batch.spans.tolist() == [
        [[3, 3], [4, 4]],
        [[0, 0], [-1, -1]],
        [[0, 0], [-1, -1]],
        [[4, 5], [-1, -1]],
    ]


def test_what_goes_to_a_gpu_in_one_copy_is_the_same_batch_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmt.runtime.devices, "to_device", lambda value, device: value)
    batch = collate([windows()], [(0, row) for row in range(5)], Vocabulary(0, True))
    there = batch.to(torch.device("meta"))
    assert list(there.inputs) == list(batch.inputs) == ["input_ids", "attention_mask", "token_type_ids"]
    pairs = [(there.allowed, batch.allowed), (there.spans, batch.spans)]
    for got, want in [*pairs, *((there.inputs[name], value) for name, value in batch.inputs.items())]:
        assert got is not want and got.dtype == want.dtype and torch.equal(got, want)
    assert (there.owner, there.tokens) == (batch.owner, batch.tokens)
    assert batch.to(torch.device("cpu")).inputs["input_ids"] is batch.inputs["input_ids"]


def test_known_padding_is_a_mask_over_keys_or_none() -> None:
    padded = collate([windows()], [(0, 0), (0, 1)], Vocabulary(0, False))
    assert set(padded.inputs) == {"input_ids", "attention_mask"}
    mask = padded.with_known_padding().inputs["attention_mask"]
    assert mask.dtype == torch.bool and mask.shape == (2, 1, 1, 7)
    assert mask[:, 0, 0].int().tolist() == padded.inputs["attention_mask"].tolist()
    full = collate([windows()], [(0, 1), (0, 2)], Vocabulary(0, False)).with_known_padding()
    assert set(full.inputs) == {"input_ids"}


def test_batches_by_length_begin_with_the_longest() -> None:
    batches = length_batches(np.array([3, 9, 5, 9, 1]), 2)
    assert [batch.tolist() for batch in batches] == [[1, 3], [2, 0], [4]]


def test_rows_of_one_length_stay_in_their_order() -> None:
    """So that the batches are the same with every NumPy, whose sorts are stable by themselves only on few."""
    lengths = np.arange(300) % 3
    [order] = length_batches(lengths, 300)
    assert order.tolist() == [*range(2, 300, 3), *range(1, 300, 3), *range(0, 300, 3)]


def test_a_tokenizer_without_padding_is_refused() -> None:
    with pytest.raises(DataError, match=r"object has no padding token: set tokenizer\.pad_token"):
        Vocabulary.of(object())


def test_a_vocabulary_is_of_the_tokenizer() -> None:
    """Padding may be token 0; a tokenizer that makes token types, as BERT's, has a model that reads them."""
    assert [Vocabulary.of(fast(family)) for family in ("bert", "roberta", "t5")] == [
        Vocabulary(0, False),
        Vocabulary(1, False),
        Vocabulary(0, False),
    ]
    typed = fast("bert")
    typed.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    assert Vocabulary.of(typed) == Vocabulary(0, True)


def test_windows_of_examples_that_are_not_in_order() -> None:
    order = [3, 0, 4, 1, 2]  # windows of example 1, 0, 2, 0, 0
    table = pa.table(
        {
            "example": [ROWS[row][0] for row in order],
            "input_ids": [ROWS[row][1] for row in order],
            "context_start": [ROWS[row][2] for row in order],
            "offsets": [[0, 1]] * 5,
            "spans": [ROWS[row][4] for row in order],
        },
        schema=WINDOWS,
    )
    own = Windows.of(table, "A")
    assert own.of_examples(np.array([0, 1, 2])).tolist() == [1, 3, 4, 0, 2]
    assert own.of_examples(np.array([1, 0]), windows="one").tolist() == [0, 3]
    assert own.lengths.tolist() == [6, 7, 8, 6, 6] and len(own) == 5


def test_a_column_in_several_pieces_or_a_slice_of_one_has_the_same_rows() -> None:
    rows = [[1, 2], [], [3], [4, 5, 6]]
    column = pa.array(rows, pa.list_(pa.int32()))
    for given in (column, pa.chunked_array([column[:1], column[1:3], column[3:]])):
        ragged = Ragged.of(given)
        assert [ragged[row].tolist() for row in range(4)] == rows and ragged.lengths.tolist() == [2, 0, 1, 3]
    part = Ragged.of(column[1:4])
    assert [part[row].tolist() for row in range(3)] == rows[1:] and part.lengths.tolist() == [0, 1, 3]
