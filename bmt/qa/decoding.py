"""From start and end scores to an answer: best span of a window, best window of an example, the context's own
characters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bmt.qa.adapters import dataset_adapter
from bmt.qa.batches import Vocabulary, Windows, collate, length_batches
from bmt.qa.model import log_probabilities, span_logits
from bmt.runtime.devices import HostReads
from bmt.settings import DecodeSettings

AHEAD = 2
"""Batches whose answers are on their way from a GPU while the host prepares the next ones."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer to one example.

    Attributes:
        example: row of the example.
        text: the context's characters start to end.
        start, end: half-open character span in the context.
        score: log-probability of the span in its window, normalised over the context's tokens and "no answer
            here".
    """

    example: int
    text: str
    start: int
    end: int
    score: float


def _as_it_is() -> AbstractContextManager[Any]:
    """No autocast, whatever is around."""
    return torch.autocast("cpu", enabled=False)


@dataclass(frozen=True, slots=True)
class Passes:
    """How windows pass the model.

    Attributes:
        batch: windows per forward pass.
        autocast: makes the context of each pass; by default none in which anything is cast.
        progress: called with (windows done, note).
    """

    batch: int = 32
    autocast: Callable[[], AbstractContextManager[Any]] = _as_it_is
    progress: Callable[[int, str], None] | None = None


def best_spans(
    start: Tensor, end: Tensor, allowed: Tensor, decode: DecodeSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Best span of each window: token indices i, j (inclusive) and log p_start(i) + log p_end(j), (rows,)
    each.

    Args:
        start, end: scores (rows, tokens).
        allowed: the context's tokens and position 0 (rows, tokens). Position 0 takes part in the
            normalisation and is never an answer.
        decode: joint: argmax over i <= j < i + max_answer_tokens, of equal ones the shortest, then the first.
            greedy (eq. 1-2 read literally): best i, then best j from i on.
    """
    log_start, log_end = log_probabilities(start, allowed), log_probabilities(end, allowed)
    log_start[:, 0] = log_end[:, 0] = -torch.inf
    tokens = log_start.shape[1]
    if decode.mode == "greedy":
        first = log_start.argmax(1)
        at = torch.arange(tokens, device=start.device)
        beyond = (at < first[:, None]) | (at >= first[:, None] + decode.max_answer_tokens)
        last = log_end.masked_fill(beyond, -torch.inf).argmax(1)
        return first, last, log_start.gather(1, first[:, None])[:, 0] + log_end.gather(1, last[:, None])[:, 0]
    longest = min(decode.max_answer_tokens, tokens)
    if start.device.type != "cpu":
        return _shortest_best_at_once(log_start, log_end, longest)
    padded = torch.nn.functional.pad(log_end, (0, longest - 1), value=-torch.inf)
    total = log_start + _largest_ahead(padded, longest)
    best, first = total.max(1)
    ahead = first[:, None] + torch.arange(longest, device=start.device)
    # Rounding is monotone: where one start alone reaches the best sum, the first end that does so gives the
    # shortest of its spans.
    last = first + (
        log_start.gather(1, first[:, None]) + padded.gather(1, ahead) == best[:, None]
    ).int().argmax(1)
    shared = ((total == best[:, None]).sum(1) != 1).nonzero()[:, 0]
    if len(shared):
        first[shared], last[shared], best[shared] = _shortest_best(
            log_start[shared], log_end[shared], longest
        )
    return first, last, best


def _largest_ahead(values: Tensor, count: int) -> Tensor:
    """The largest of each `count` neighbours, (rows, columns - count + 1), by doubling."""
    width = 1
    while width < count:
        step = min(width, count - width)
        values = torch.maximum(values[:, :-step], values[:, step:])
        width += step
    return values


def _shortest_best(log_start: Tensor, log_end: Tensor, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Best spans, length by length: of equal ones the shortest, then the first; token 0 at -inf where no sum
    is a number.
    """
    rows, tokens = log_start.shape
    best = torch.full((rows,), -torch.inf, device=log_start.device)
    first = torch.zeros(rows, dtype=torch.long, device=log_start.device)
    last = torch.zeros_like(first)
    for length in range(longest):
        value, i = (log_start[:, : tokens - length] + log_end[:, length:]).max(1)
        better = value > best
        best = torch.where(better, value, best)
        first, last = torch.where(better, i, first), torch.where(better, i + length, last)
    return first, last, best


def _shortest_best_at_once(log_start: Tensor, log_end: Tensor, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """As `_shortest_best`, in few kernels and without a question that a GPU's host would wait for: the sums
    of all lengths at once, (rows, longest * tokens), 2 MB for 32 windows of 512 tokens.
    """
    tokens = log_start.shape[1]
    padded = torch.nn.functional.pad(log_end, (0, longest - 1), value=-torch.inf)
    sums = log_start[:, None] + padded.unfold(1, tokens, 1)  # row l: start i with end i + l
    sums = sums.masked_fill(sums.isnan(), -torch.inf).flatten(1)
    at = sums.argmax(1)  # of equal ones the first: the shortest, then the first start
    first = at % tokens
    return first, first + at // tokens, sums.gather(1, at[:, None])[:, 0]


@torch.no_grad()
def predict(
    model: nn.Module,
    windows: Windows,
    contexts: Sequence[str],
    vocabulary: Vocabulary,
    decode: DecodeSettings,
    *,
    rows: np.ndarray | None = None,
    passes: Passes | None = None,
) -> list[Prediction]:
    """One prediction per example, in the order of example rows: the span of the window where its
    log-probability is highest.

    A model with several adapters answers with the one of `windows.dataset`.

    Args:
        contexts: context of each example row.
        rows: windows to use (default: all); an example without a window among them gets no prediction.
        passes: how they pass the model.
    """
    passes = passes or Passes()
    device = next(model.parameters()).device
    rows = np.arange(len(windows)) if rows is None else rows
    training = model.training
    model.eval()
    spans = np.empty((len(rows), 3))
    arriving: HostReads[np.ndarray] = HostReads(AHEAD)

    def read(all_of_them: bool = False) -> None:
        for best, take in arriving.arrived(all_of_them):
            spans[take] = best.numpy()
            if passes.progress is not None:
                passes.progress(len(take), "")

    for take in length_batches(windows.lengths[rows], passes.batch):
        batch = collate([windows], [(0, int(row)) for row in rows[take]], vocabulary).to(device)
        with passes.autocast(), dataset_adapter(model, windows.dataset):
            start, end = span_logits(model, batch)
        best = best_spans(start, end, batch.allowed, decode)
        arriving.put(torch.stack([part.double() for part in best], 1), take)
        read()
    read(all_of_them=True)
    model.train(training)
    return best_predictions(windows, rows, spans, contexts)


def best_predictions(
    windows: Windows, rows: np.ndarray, spans: np.ndarray, contexts: Sequence[str]
) -> list[Prediction]:
    """One prediction per example, in the order of example rows: its best window's span, of equally good
    windows the first.

    Args:
        rows: the windows that were read; one without a context token has no answer.
        spans: first token, last token (inclusive) and log-probability of the best span of each, (rows, 3).
        contexts: context of each example row.
    """
    sizes = windows.offsets.lengths[rows] // 2
    rows, spans, sizes = rows[sizes > 0], spans[sizes > 0], sizes[sizes > 0]
    order = np.lexsort((-spans[:, 2], windows.example[rows]))  # stable
    examples = windows.example[rows][order]
    order = order[np.diff(examples, prepend=-1) != 0]
    rows, spans, sizes = rows[order], spans[order], sizes[order]
    # position 0 stands for no span at all, where no score is a number
    tokens = (spans[:, :2].astype(np.int64) - windows.context_start[rows, None]).clip(0, sizes[:, None] - 1)
    at = windows.offsets.starts[rows, None] + 2 * tokens
    begins, ends = windows.offsets.values[at[:, 0]].tolist(), windows.offsets.values[at[:, 1] + 1].tolist()
    chosen = zip(windows.example[rows].tolist(), begins, ends, spans[:, 2].tolist(), strict=True)
    return [
        Prediction(example, contexts[example][begin:end], begin, end, value)
        for example, begin, end, value in chosen
    ]
