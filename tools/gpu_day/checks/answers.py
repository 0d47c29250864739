"""Losses and answers on the device: the loss over gold spans, the best span, and the answers of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bmt.qa.batches import Batch, collate
from bmt.qa.decoding import Passes, Prediction, best_spans, predict
from bmt.qa.metrics import score
from bmt.qa.model import span_nll
from bmt.settings import DecodeSettings
from tools.gpu_day.checks.closeness import count, error, largest, relative_error
from tools.gpu_day.checks.subjects import (
    VOCAB,
    CheckScale,
    Questions,
    placed,
    questions,
    small_model,
    windows,
)
from tools.performance.figures import MeasuredFigure, Measurement

LOSS = 1e-6
"""A log-softmax in float32 is some roundings of 6e-8 of the largest score."""
GRADIENT = 1e-5
SCORES = 1e-4
"""Log-probabilities of two answers that lie nearer together are a tie within float32's rounding of sums over
a window: either may win.
"""
MODES = ("joint", "greedy")


def exact_nll(start: Tensor, end: Tensor, batch: Batch, spans: str) -> Tensor:
    """-log p of each window's answer in float64, window by window and span by span."""
    losses = []
    for row in range(len(start)):
        allowed = batch.allowed[row].nonzero()[:, 0]
        first, last = (
            {
                int(at): value
                for at, value in zip(allowed, part[row].double()[allowed].log_softmax(0), strict=True)
            }
            for part in (start, end)
        )
        gold = [pair for pair in batch.spans[row].tolist() if pair[0] >= 0]
        chances = [torch.exp(first[i] + last[j]) for i, j in (gold if spans == "marginal" else gold[:1])]
        losses.append(-torch.log(torch.stack(chances).sum()))
    return torch.stack(losses)


def losses(scale: CheckScale) -> Measurement:
    """Loss and gradient in the scores, of all gold spans and of the first."""
    part = windows("A", scale.rows, cue=5, seed=3)
    batch = collate([part], [(0, row) for row in range(len(part))], VOCAB)
    draw = torch.Generator().manual_seed(18)
    raw = [3 * torch.randn(batch.allowed.shape, generator=draw) for _ in range(2)]
    figures = []
    for spans in ("marginal", "first"):
        start, end = (value.to(scale.device).requires_grad_() for value in raw)
        loss = span_nll(start, end, batch.to(scale.device), spans)
        grads = torch.stack(torch.autograd.grad(loss.sum(), (start, end)))
        start, end = (value.double().requires_grad_() for value in raw)
        expected = exact_nll(start, end, batch, spans)
        rights = torch.stack(torch.autograd.grad(expected.sum(), (start, end)))
        shut = grads.cpu()[:, ~batch.allowed]
        figures += [
            error(f"{spans}: loss of each window", relative_error(loss, expected), LOSS),
            error(f"{spans}: gradient in the scores", relative_error(grads, rights), GRADIENT),
            count(f"{spans}: positions outside the context with a gradient", int((shut != 0).sum())),
        ]
    notes = (
        f"{len(part)} windows, every other with two gold spans, padded; float32 against float64 on the "
        "CPU, window by window; relative in the 2-norm.",
    )
    return Measurement("Losses", figures, notes)


def exact_spans(
    start: Tensor, end: Tensor, allowed: Tensor, decode: DecodeSettings
) -> list[tuple[int, int, float]]:
    """The best span of each window and its log-probability in float64, every pair of tokens looked at."""
    best = []
    for row in range(len(start)):
        logs = [
            part[row].double().masked_fill(~allowed[row], -torch.inf).log_softmax(0) for part in (start, end)
        ]
        tokens = [int(at) for at in allowed[row].nonzero()[:, 0] if at > 0]
        if decode.mode == "greedy":
            tokens_of_start = [max(tokens, key=lambda at: float(logs[0][at]))]
        else:
            tokens_of_start = tokens
        pairs = [
            (float(logs[0][i] + logs[1][j]), i, j)
            for i in tokens_of_start
            for j in tokens
            if i <= j < i + decode.max_answer_tokens
        ]
        value, first, last = max(pairs)
        best.append((first, last, value))
    return best


def spans_of_scores(scale: CheckScale) -> Measurement:
    """The best spans of random scores, decoded on the device."""
    part = windows("A", scale.rows, cue=5, seed=3)
    batch = collate([part], [(0, row) for row in range(len(part))], VOCAB)
    draw = torch.Generator().manual_seed(19)
    start, end = (3 * torch.randn(batch.allowed.shape, generator=draw) for _ in range(2))
    there = [value.to(scale.device) for value in (start, end, batch.allowed)]
    figures = []
    for mode in MODES:
        decode = DecodeSettings(mode=mode, max_answer_tokens=8)
        best = best_spans(there[0], there[1], there[2], decode)
        first, last, value = (part.cpu() for part in best)
        right = exact_spans(start, end, batch.allowed, decode)
        spans = list(zip(first.tolist(), last.tolist(), strict=True))
        figures += [
            count(
                f"{mode}: best spans that differ", sum(a != b[:2] for a, b in zip(spans, right, strict=True))
            ),
            error(
                f"{mode}: their log-probabilities, largest difference",
                largest(abs(float(a) - b[2]) for a, b in zip(value, right, strict=True)),
                SCORES,
            ),
        ]
    notes = (f"{len(part)} windows of random scores; the judge looks at every pair of tokens in float64.",)
    return Measurement("Best spans", figures, notes)


def answered(scale: CheckScale) -> tuple[Questions, list[Prediction], list[Prediction]]:
    """The questions, and what the device and the CPU answer.

    The right answer of every other question is the CPU's: so that EM is neither 0 nor 100.
    """
    part = windows("A", scale.questions, cue=5, seed=4)
    asked = questions(part, np.arange(len(part)))
    plain = small_model("RoBERTa", scale)
    result, right = (
        predict(model, part, asked.contexts, VOCAB, DecodeSettings(), passes=Passes(32))
        for model in (placed(plain, scale.device), plain)
    )
    gold = [[right[row].text] if row % 2 else answers for row, answers in enumerate(asked.answers)]
    return replace(asked, answers=gold), result, right


def answers(scale: CheckScale) -> Measurement:
    """Answers, EM and F1 of a dataset."""
    asked, result, right = answered(scale)
    apart = [(a, b) for a, b in zip(result, right, strict=True) if (a.start, a.end) != (b.start, b.end)]
    ties = [a for a, b in apart if abs(a.score - b.score) <= SCORES]
    off = largest(abs(a.score - b.score) for a, b in zip(result, right, strict=True))
    (em, f1), (right_em, right_f1) = (_marks(asked, predictions) for predictions in (result, right))
    per_tie = 100 * len(ties) / len(right)
    figures = [
        count("answers that differ and are no ties", len(apart) - len(ties)),
        MeasuredFigure("answers that differ and are ties", float(len(ties)), unit="n"),
        error("log-probability of the answers, largest difference", off, SCORES),
        error("EM, difference in percent", abs(em - right_em), per_tie),
        error("F1, difference in percent", abs(f1 - right_f1), per_tie),
    ]
    notes = (
        f"{len(right)} questions, a RoBERTa of {scale.layers} layers of {scale.hidden} with random "
        f"weights, float32 on both sides; EM {right_em:.2f} and F1 {right_f1:.2f} on the CPU, whose answer "
        f"counts as right for every other question. A tie: log-probabilities within {SCORES:g}; each may "
        "move EM and F1 by one question.",
    )
    return Measurement("Answers", figures, notes)


def _marks(asked: Questions, predictions: Sequence[Prediction]) -> tuple[float, float]:
    """EM and F1 in percent."""
    gold = [list(asked.answers[one.example]) for one in predictions]
    em, f1 = score([one.text for one in predictions], gold)
    return 100 * float(np.mean(em)), 100 * float(np.mean(f1))
