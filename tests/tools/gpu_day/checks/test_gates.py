"""The checks of gates and draws keep their bounds, and a planted error does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from bmt.gates import HardConcrete
from bmt.runtime.keyed_random import bernoulli, uniform
from tests.support.checked_figures import SCALE, beyond, bounded
from tools.gpu_day.checks import gates


def test_what_is_right_keeps_every_bound() -> None:
    for check in (gates.keyed_draws, gates.masses, gates.formulas):
        measurement = check(SCALE)
        assert len(bounded(measurement)) >= 3 and not beyond(measurement)


def test_the_digests_are_those_of_the_first_draws() -> None:
    record = gates.keyed_draws(SCALE).record
    assert record == gates.keyed_draws(replace(SCALE, draws=1000)).record
    assert set(record) == {"uniform", "bernoulli"} and all(len(value) == 64 for value in record.values())


@pytest.mark.parametrize(
    ("planted", "seen"),
    [
        (
            lambda shape, key, device: torch.rand(shape),
            [
                "uniform draws that another draw under the same key changes",
                "bytes of the global generator that a keyed draw moves",
            ],
        ),
        (lambda shape, key, device: uniform(shape, ("one",), device), ["draws that two keys share"]),
        (
            lambda shape, key, device: uniform(shape, key, device) ** 1.05,
            ["distance of the draws from U(0, 1)"],
        ),
        (
            lambda shape, key, device: uniform(shape, key, device) * torch.nan,
            [
                "uniform draws that another draw under the same key changes",
                "distance of the draws from U(0, 1)",
            ],
        ),
    ],
    ids=["global generator", "one key", "another law", "no numbers"],
)
def test_wrong_uniform_draws_are_seen(planted: Any, seen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "uniform", planted)
    assert set(seen) <= set(beyond(gates.keyed_draws(SCALE)))


@pytest.mark.parametrize(
    ("planted", "seen"),
    [
        (
            lambda shape, p, key, device: torch.rand(shape) < p,
            "bernoulli draws that another draw under the same key changes",
        ),
        (
            lambda shape, p, key, device: bernoulli(shape, 1.1 * p, key, device),
            "|z| of the share of open bernoulli draws, largest",
        ),
    ],
)
def test_wrong_bernoulli_draws_are_seen(planted: Any, seen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "bernoulli", planted)
    assert seen in beyond(gates.keyed_draws(SCALE))


def test_a_gate_of_another_law_has_other_masses(monkeypatch: pytest.MonkeyPatch) -> None:
    real = HardConcrete.at
    monkeypatch.setattr(HardConcrete, "at", lambda self, alpha, u: real(self, alpha + 0.1, u))
    assert len(beyond(gates.masses(SCALE))) == 3


def test_wrong_formulas_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    at, gradients = HardConcrete.at, HardConcrete.gradients
    monkeypatch.setattr(HardConcrete, "at", lambda self, alpha, u: at(self, alpha, u) * (1 + 1e-5))
    assert beyond(gates.formulas(SCALE)) == ["s, relative in the 2-norm"]
    monkeypatch.setattr(HardConcrete, "at", at)
    monkeypatch.setattr(HardConcrete, "gradients", lambda self, *given: gradients(self, *given[:4]))
    assert beyond(gates.formulas(SCALE)) == ["dL/dalpha, relative in the 2-norm"]
