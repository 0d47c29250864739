"""The checks of losses and answers keep their bounds, and a planted error does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from bmt.qa.decoding import best_spans
from bmt.qa.model import span_nll
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import answers, subjects


def test_what_is_right_keeps_every_bound() -> None:
    for check in (answers.losses, answers.spans_of_scores, answers.answers):
        measurement = check(SCALE)
        assert len(bounded(measurement)) >= 4 and not beyond(measurement)


def test_a_loss_of_the_first_span_alone_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        answers, "span_nll", lambda start, end, batch, spans: span_nll(start, end, batch, "first")
    )
    assert beyond(answers.losses(SCALE)) == [
        "marginal: loss of each window",
        "marginal: gradient in the scores",
    ]


def test_positions_that_are_not_masked_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_to_all(start: Any, end: Any, batch: Any, spans: str) -> Any:
        return span_nll(start, end, replace(batch, allowed=torch.ones_like(batch.allowed)), spans)

    monkeypatch.setattr(answers, "span_nll", open_to_all)
    assert len(beyond(answers.losses(SCALE))) == 6


@pytest.mark.parametrize(
    ("changes", "seen"),
    [
        ({"max_answer_tokens": 1}, {"joint", "greedy"}),
        ({"mode": "greedy"}, {"joint"}),
        ({"mode": "joint"}, {"greedy"}),
    ],
)
def test_other_decoding_is_seen(
    changes: dict[str, Any], seen: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(start: Any, end: Any, allowed: Any, decode: Any) -> Any:
        return best_spans(start, end, allowed, replace(decode, **changes))

    monkeypatch.setattr(answers, "best_spans", other)
    assert {name.split(":")[0] for name in beyond(answers.spans_of_scores(SCALE))} == seen


def test_answers_of_other_weights_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(model: nn.Module, device: torch.device) -> nn.Module:
        copy = subjects.placed(model, device)
        for value in copy.parameters():
            value.data.mul_(1.3)
        return copy

    monkeypatch.setattr(answers, "placed", other)
    assert beyond(answers.answers(SCALE)) == [
        "answers that differ and are no ties",
        "log-probability of the answers, largest difference",
        "EM, difference in percent",
        "F1, difference in percent",
    ]


@pytest.mark.parametrize(("apart", "wrong", "ties"), [(0.5e-4, 0, 1), (2e-4, 1, 0)])
def test_another_answer_is_a_tie_only_within_rounding(
    apart: float, wrong: int, ties: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer moved by a character, its log-probability by `apart`."""
    asked, _, right = answers.answered(SCALE)
    first = replace(right[0], start=right[0].start + 1, score=right[0].score + apart)
    monkeypatch.setattr(answers, "answered", lambda scale: (asked, [first, *right[1:]], right))
    figures = {figure.name: figure.value for figure in answers.answers(SCALE).figures}
    assert figures["answers that differ and are no ties"] == wrong
    assert figures["answers that differ and are ties"] == ties
    assert figures["log-probability of the answers, largest difference"] == pytest.approx(apart)
