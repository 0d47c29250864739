"""Decoding against a brute-force search; batches and the loss against hand-written ones."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from bmt.qa import decoding
from bmt.qa.batches import Windows, collate, length_batches
from bmt.qa.decoding import Passes, Prediction, best_predictions, best_spans, predict
from bmt.qa.model import log_probabilities, span_nll
from bmt.qa.windows import WINDOWS
from bmt.settings import DecodeSettings
from tests.support import tiny


def scores(
    rows: int = 20, tokens: int = 15, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    start, end = (
        torch.randn(rows, tokens, generator=generator),
        torch.randn(rows, tokens, generator=generator),
    )
    allowed = torch.zeros(rows, tokens, dtype=torch.bool)
    for row in range(rows):
        allowed[row, 3 : 5 + row % 10] = True
    allowed[:, 0] = True
    return start, end, allowed


@pytest.mark.parametrize("longest", [1, 3, 30])
def test_the_joint_argmax_equals_brute_force(longest: int) -> None:
    start, end, allowed = scores()
    first, last, value = best_spans(start, end, allowed, DecodeSettings("joint", longest))
    log_start, log_end = log_probabilities(start, allowed), log_probabilities(end, allowed)
    for row in range(len(start)):
        context = [i for i in range(1, 15) if allowed[row, i]]
        spans = [(i, j) for i, j in itertools.product(context, context) if i <= j < i + longest]
        want = max(spans, key=lambda span: float(log_start[row, span[0]] + log_end[row, span[1]]))
        assert (int(first[row]), int(last[row])) == want
        assert float(value[row]) == pytest.approx(float(log_start[row, want[0]] + log_end[row, want[1]]))


@pytest.mark.parametrize("longest", [1, 2, 5, 6, 30])
def test_of_equal_spans_the_shortest_then_the_first_is_taken(longest: int) -> None:
    generator = torch.Generator().manual_seed(longest)
    start, end = torch.randint(
        0, 3, (2, 200, 15), generator=generator
    ).float()  # few values: many ties, as bf16 gives them
    allowed = scores(200)[2]
    first, last, value = best_spans(start, end, allowed, DecodeSettings("joint", longest))
    log_start, log_end = log_probabilities(start, allowed).numpy(), log_probabilities(end, allowed).numpy()
    tied = 0
    for row in range(200):
        context = [i for i in range(1, 15) if allowed[row, i]]
        spans = [(i, j) for i, j in itertools.product(context, context) if i <= j < i + longest]
        sums = {span: log_start[row, span[0]] + log_end[row, span[1]] for span in spans}
        want = max(spans, key=lambda span: (sums[span], span[0] - span[1], -span[0]))
        assert (int(first[row]), int(last[row]), float(value[row])) == (*want, float(sums[want]))
        tied += sum(total == sums[want] for total in sums.values()) > 1
    assert tied > 50


def test_scores_that_are_no_numbers_give_token_zero() -> None:
    start, end, allowed = scores(3)
    start[1] = torch.nan
    allowed[2, 1:] = False
    first, last, value = best_spans(start, end, allowed, DecodeSettings())
    assert (
        first[1:].tolist() == last[1:].tolist() == [0, 0]
        and value[1:].tolist() == [-math.inf] * 2
        and value[0] > -math.inf
    )


@pytest.mark.parametrize("longest", [1, 2, 5, 15, 30])
def test_a_gpus_way_to_the_best_spans_finds_the_same(longest: int) -> None:
    """Bit for bit, ties and scores that are no numbers included; its length never exceeds the window's."""
    generator = torch.Generator().manual_seed(longest)
    allowed = scores(400)[2]
    ties = torch.randint(0, 3, (2, 200, 15), generator=generator).float()
    start, end = torch.cat([ties, torch.randn(2, 200, 15, generator=generator)], 1)
    start[3], end[4], start[5, 4], allowed[6, 1:] = torch.nan, torch.nan, torch.inf, False
    want = best_spans(start, end, allowed, DecodeSettings("joint", longest))
    logs = [log_probabilities(part, allowed) for part in (start, end)]
    for part in logs:
        part[:, 0] = -torch.inf
    found = decoding._shortest_best_at_once(*logs, min(longest, 15))
    for one, other in zip(found, want, strict=True):
        assert torch.equal(one, other)
    logs[0][7, 4] += 9.0  # a planted error is seen
    assert not torch.equal(decoding._shortest_best_at_once(*logs, min(longest, 15))[2], want[2])


def test_the_first_of_equally_good_windows_answers_and_a_window_without_context_does_not() -> None:
    rows = {
        "example": [0, 0, 1, 2],
        "input_ids": [[1, 7, 2, 30, 31, 2]] * 3 + [[1, 7, 2, 2]],
        "context_start": [3] * 4,
        "offsets": [[0, 1, 2, 4], [4, 5, 6, 7], [0, 2, 2, 3], []],
        "spans": [[]] * 4,
    }
    own = Windows.of(pa.table(rows, schema=WINDOWS), "A")
    found = np.array([[3, 4, -1.0], [3, 4, -1.0], [0, 0, -math.inf], [0, 0, -math.inf]])
    texts = ["abcdefgh", "xyz", "?"]
    assert best_predictions(own, np.arange(4), found, texts) == [
        Prediction(0, "abcd", 0, 4, -1.0),
        Prediction(1, "xy", 0, 2, -math.inf),
    ]
    assert best_predictions(own, np.array([1]), found[1:2], texts) == [Prediction(0, "efg", 4, 7, -1.0)]
    assert best_predictions(own, np.array([3]), found[3:], texts) == []


def test_greedy_takes_the_best_start_first() -> None:
    start, end, allowed = scores(seed=1)
    first, last, _ = best_spans(start, end, allowed, DecodeSettings("greedy", 4))
    for row in range(len(start)):
        context = [i for i in range(1, 15) if allowed[row, i]]
        i = max(context, key=lambda at: float(start[row, at]))
        j = max((at for at in context if i <= at < i + 4), key=lambda at: float(end[row, at]))
        assert (int(first[row]), int(last[row])) == (i, j)


def test_probabilities_count_the_context_and_position_zero_only() -> None:
    start, _, allowed = scores()
    assert torch.allclose(log_probabilities(start, allowed).exp().sum(1), torch.ones(20))
    assert bool((log_probabilities(start, allowed)[~allowed] == -torch.inf).all())


def test_the_marginal_loss_sums_over_all_gold_spans() -> None:
    own = tiny.windows("A", 2)
    batch = collate([own], [(0, 0), (0, 1)], tiny.VOCAB)
    spans = torch.tensor([[[4, 5], [6, 6]], [[3, 3], [-1, -1]]])
    batch = type(batch)(batch.inputs, batch.allowed, spans, batch.owner, batch.tokens)
    generator = torch.Generator().manual_seed(0)
    start, end = (
        torch.randn(batch.allowed.shape, generator=generator),
        torch.randn(batch.allowed.shape, generator=generator),
    )
    p, q = log_probabilities(start, batch.allowed).exp(), log_probabilities(end, batch.allowed).exp()
    want = -math.log(float(p[0, 4] * q[0, 5] + p[0, 6] * q[0, 6]))
    assert float(span_nll(start, end, batch)[0]) == pytest.approx(want, rel=1e-5)
    assert float(span_nll(start, end, batch, "first")[0]) == pytest.approx(
        -math.log(float(p[0, 4] * q[0, 5])), rel=1e-5
    )
    assert float(span_nll(start, end, batch)[1]) == pytest.approx(
        -math.log(float(p[1, 3] * q[1, 3])), rel=1e-5
    )


def test_a_batch_is_padded_sorted_and_labelled() -> None:
    a, b = tiny.windows("A", 5), tiny.windows("B", 5, seed=1)
    batch = collate([a, b], [(1, 2), (0, 4), (1, 0)], tiny.VOCAB)
    assert batch.owner == [0, 1, 1]
    lengths = [len(a.input_ids[4]), len(b.input_ids[2]), len(b.input_ids[0])]
    assert batch.tokens == sum(lengths)
    assert batch.inputs["input_ids"].shape == (3, max(lengths))
    assert batch.inputs["attention_mask"].sum(1).tolist() == lengths
    assert batch.inputs["input_ids"][1, : lengths[1]].tolist() == b.input_ids[2].tolist()
    assert batch.inputs["token_type_ids"][0].tolist() == [0, 0, 0] + [1] * (lengths[0] - 3) + [0] * (
        max(lengths) - lengths[0]
    )
    assert batch.allowed.sum(1).tolist() == [
        length - 3 for length in lengths
    ]  # the context and position 0, of [CLS] q [SEP] c [SEP]
    assert batch.spans[0].tolist() == [a.spans[4].tolist()]


def test_a_window_without_answer_is_labelled_at_position_zero() -> None:
    own = tiny.windows("A", 3)
    empty = type(own.spans)(np.empty(0, dtype=np.int32), np.zeros(4, dtype=np.int64))
    own = Windows("A", own.example, own.input_ids, own.context_start, own.offsets, empty)
    assert collate([own], [(0, 0)], tiny.VOCAB).spans.tolist() == [[[0, 0]]]
    assert own.of_examples(np.array([0, 1]), negatives="drop").tolist() == []
    assert own.of_examples(np.array([2, 1])).tolist() == [2, 1]


def test_windows_of_examples_may_be_one_each() -> None:
    own = tiny.windows("A", 4)
    example = np.array([0, 0, 1, 1], dtype=np.int32)
    spans = type(own.spans)(
        np.array([3, 3, 4, 4], dtype=np.int32), np.array([0, 0, 2, 4, 4])
    )  # windows 1 and 2 hold an answer
    own = Windows("A", example, own.input_ids, own.context_start, own.offsets, spans)
    assert own.of_examples(np.array([1, 0])).tolist() == [2, 3, 0, 1]
    assert own.of_examples(np.array([0, 1]), windows="one").tolist() == [1, 2]
    assert own.of_examples(np.array([0, 1]), negatives="drop").tolist() == [1, 2]


def test_predictions_do_not_depend_on_the_batch_and_slice_the_context() -> None:
    model, own = tiny.bert().eval(), tiny.windows("A", 17)
    contexts = tiny.texts(own)
    a = predict(model, own, contexts, tiny.VOCAB, DecodeSettings(), passes=Passes(1))
    b = predict(model, own, contexts, tiny.VOCAB, DecodeSettings(), passes=Passes(16))
    assert [p.example for p in a] == list(range(17))
    for p, q in zip(a, b, strict=True):
        assert (p.text, p.start, p.end) == (q.text, q.start, q.end) and p.score == pytest.approx(
            q.score, abs=1e-5
        )
        assert p.text == contexts[p.example][p.start : p.end] and len(p.text) >= 1 and p.score <= 0


def test_the_best_window_of_an_example_wins() -> None:
    model, own = tiny.bert().eval(), tiny.windows("A", 6)
    single = predict(model, own, tiny.texts(own), tiny.VOCAB, DecodeSettings())
    joined = Windows(
        "A", np.zeros(6, dtype=np.int32), own.input_ids, own.context_start, own.offsets, own.spans
    )
    best = predict(model, joined, [max(tiny.texts(own), key=len)], tiny.VOCAB, DecodeSettings())
    assert len(best) == 1 and best[0].score == pytest.approx(max(p.score for p in single), abs=1e-5)


def test_length_batches_cover_all_rows_once() -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 23)
    parts = length_batches(lengths, 5)
    assert sorted(np.concatenate(parts).tolist()) == list(range(23))
    assert [len(part) for part in parts] == [5, 5, 5, 5, 3]
    assert all(lengths[a].min() >= lengths[b].max() for a, b in itertools.pairwise(parts))


@pytest.mark.parametrize("training", [True, False])
def test_a_model_answers_without_dropout_and_keeps_its_mode(training: bool) -> None:
    model, own = tiny.bert(dropout=True).train(training), tiny.windows("A", 6)
    progress: list[int] = []
    first, again = (
        predict(
            model,
            own,
            tiny.texts(own),
            tiny.VOCAB,
            DecodeSettings(),
            passes=Passes(4, progress=lambda count, note: progress.append(count)),
        )
        for _ in range(2)
    )
    assert first == again and model.training == training and progress == [4, 2, 4, 2]


def test_the_rows_that_are_asked_for_are_read_in_whatever_order() -> None:
    """Each prediction is the one that its window has among all."""
    model, own = tiny.bert().eval(), tiny.windows("A", 9)
    whole = predict(model, own, tiny.texts(own), tiny.VOCAB, DecodeSettings())
    rows = np.array([7, 2, 5, 3])
    part = predict(model, own, tiny.texts(own), tiny.VOCAB, DecodeSettings(), rows=rows, passes=Passes(3))
    assert [prediction.example for prediction in part] == [2, 3, 5, 7]
    for one in part:
        other = whole[one.example]
        assert (one.text, one.start, one.end) == (other.text, other.start, other.end)
        assert one.score == pytest.approx(other.score, abs=1e-5)
    assert predict(model, own, tiny.texts(own), tiny.VOCAB, DecodeSettings(), rows=rows[:0]) == []


def test_nothing_is_cast_unless_the_passes_say_so() -> None:
    model, own = tiny.bert().eval(), tiny.windows("A", 6)
    given = model, own, tiny.texts(own), tiny.VOCAB, DecodeSettings()
    plain = predict(*given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert predict(*given) == plain
    half = Passes(autocast=lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    assert [one.score for one in predict(*given, passes=half)] != [one.score for one in plain]


@pytest.mark.parametrize("mode", ["joint", "greedy"])
def test_an_answer_is_decoded_as_the_settings_say(mode: str) -> None:
    model, own = tiny.bert().eval(), tiny.windows("A", 12)
    texts = tiny.texts(own)
    short = predict(model, own, texts, tiny.VOCAB, DecodeSettings(mode, 1))
    assert all(one.end - one.start == 1 for one in short)
    long = predict(model, own, texts, tiny.VOCAB, DecodeSettings(mode, 30))
    assert any(one.end - one.start > 1 for one in long)
    if mode == "joint":
        assert all(a.score >= b.score for a, b in zip(long, short, strict=True))
