"""From start and end scores to an answer: best span of a window, best window of an example, the context's own characters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bmt.batches import Vocabulary, Windows, collate, length_batches
from bmt.model import log_probabilities, span_logits
from bmt.settings import DecodeSettings

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one example.

    Attributes:
        example: row of the example.
        text: the context's characters start to end.
        start, end: half-open character span in the context.
        score: log-probability of the span in its window, normalised over the context's tokens and "no answer here".
    """

    example: int
    text: str
    start: int
    end: int
    score: float


def best_spans(start: Tensor, end: Tensor, allowed: Tensor, decode: DecodeSettings) -> tuple[Tensor, Tensor, Tensor]:
    """Best span of each window: token indices i, j (inclusive) and log p_start(i) + log p_end(j), (rows,) each.

    Args:
        start, end: scores (rows, tokens).
        allowed: the context's tokens and position 0 (rows, tokens). Position 0 takes part in the normalisation and is never an answer.
        decode: joint: argmax over i <= j < i + max_answer_tokens. greedy (eq. 1-2 read literally): best i, then best j from i on.
    """
    log_start, log_end = log_probabilities(start, allowed), log_probabilities(end, allowed)
    log_start, log_end = log_start.clone(), log_end.clone()
    log_start[:, 0] = log_end[:, 0] = -torch.inf
    rows, tokens = log_start.shape
    if decode.mode == "greedy":
        first = log_start.argmax(1)
        at = torch.arange(tokens, device=start.device)
        beyond = (at < first[:, None]) | (at >= first[:, None] + decode.max_answer_tokens)
        last = log_end.masked_fill(beyond, -torch.inf).argmax(1)
        return first, last, log_start.gather(1, first[:, None])[:, 0] + log_end.gather(1, last[:, None])[:, 0]
    best = torch.full((rows,), -torch.inf, device=start.device)
    first = torch.zeros(rows, dtype=torch.long, device=start.device)
    last = torch.zeros_like(first)
    for length in range(min(decode.max_answer_tokens, tokens)):
        value, i = (log_start[:, : tokens - length] + log_end[:, length:]).max(1)
        better = value > best
        best = torch.where(better, value, best)
        first, last = torch.where(better, i, first), torch.where(better, i + length, last)
    return first, last, best


@torch.no_grad()
def predict(
    model: nn.Module,
    windows: Windows,
    contexts: Sequence[str],
    vocabulary: Vocabulary,
    decode: DecodeSettings,
    *,
    rows: np.ndarray | None = None,
    batch: int = 32,
    autocast: Callable[[], AbstractContextManager[Any]] | None = None,
    progress: Callable[[int, str], None] | None = None,
) -> list[Prediction]:
    """One prediction an example, in the order of example rows: the span of the window where its log-probability is highest.

    Args:
        contexts: context of each example row.
        rows: windows to use (default: all); an example without a window among them gets no prediction.
        progress: called with (windows done, note).
    """
    device = next(model.parameters()).device
    rows = np.arange(len(windows)) if rows is None else rows
    training = model.training
    model.eval()
    found = np.empty((len(rows), 3))
    for take in length_batches(windows.lengths[rows], batch):
        made = collate([windows], [(0, int(row)) for row in rows[take]], vocabulary).to(device)
        with autocast() if autocast is not None else torch.autocast("cpu", enabled=False):
            start, end = span_logits(model, made)
        spans = best_spans(start, end, made.allowed, decode)
        found[take] = torch.stack([part.double() for part in spans], 1).cpu().numpy()
        if progress is not None:
            progress(len(take), "")
    model.train(training)
    best: dict[int, Prediction] = {}
    for row, (i, j, value) in zip(rows.tolist(), found.tolist(), strict=True):
        example = int(windows.example[row])
        if example not in best or value > best[example].score:
            offsets, shift = windows.offsets[row], int(windows.context_start[row])
            begin, stop = int(offsets[2 * (int(i) - shift)]), int(offsets[2 * (int(j) - shift) + 1])
            best[example] = Prediction(example, contexts[example][begin:stop], begin, stop, value)
    return [best[example] for example in sorted(best)]
