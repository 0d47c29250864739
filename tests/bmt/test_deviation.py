"""The distance from the pretrained weights, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bmt.deviation import Deviation, deviations, pretrained_copy
from tests.support import tiny


class TwoLayers(nn.Module):
    """Names as a transformer's: a matrix of layer 0, one of layer 1, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList([nn.ModuleDict({"query": nn.Linear(2, 2)}) for _ in range(2)])}
        )
        self.qa_outputs = nn.Linear(2, 2)


def test_each_measure_is_its_formula_in_total_by_layer_and_by_kind() -> None:
    model = TwoLayers()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.encoder["layer"][0]["query"].weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
        model.encoder["layer"][1]["query"].bias.copy_(torch.tensor([0.0, 12.0]))
    start = pretrained_copy(model)
    assert not any(name.startswith("qa_outputs") for name in start) and len(start) == 4
    with torch.no_grad():
        model.encoder["layer"][0]["query"].weight[0, 1] = 5.0
        model.encoder["layer"][1]["query"].bias[1] = 0.0
        model.qa_outputs.weight.fill_(100.0)  # a head has no pretrained value
    found = deviations(model, start)
    assert set(found) == {"total", "layer/layer_00", "layer/layer_01", "kind/query"}
    total, first, second = found["total"], found["layer/layer_00"], found["layer/layer_01"]
    assert (first.l2, first.relative, first.changed) == (5.0, 1.0, 1 / 6)
    assert first.cosine == pytest.approx(25 / (5 * math.sqrt(50)))
    assert (second.l2, second.relative, second.changed, second.cosine) == (
        12.0,
        1.0,
        1 / 6,
        1.0,
    )  # nothing is left: no angle
    assert (total.l2, total.relative, total.changed) == (13.0, 1.0, 2 / 12)
    assert total.cosine == pytest.approx(25 / (13 * math.sqrt(50)))
    assert found["kind/query"] == total


def test_a_model_that_has_not_moved_deviates_by_nothing() -> None:
    model = tiny.bert()
    start = pretrained_copy(model)
    assert all(start[name] is not parameter for name, parameter in model.named_parameters() if name in start)
    for group, own in deviations(model, start).items():
        assert (own.l2, own.relative, own.changed) == (0.0, 0.0, 0.0) and own.cosine == pytest.approx(1.0), (
            group
        )


def test_weights_that_began_at_zero_have_no_relative_distance_and_no_angle() -> None:
    model = TwoLayers()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        start = pretrained_copy(model)
        model.encoder["layer"][1]["query"].weight[0, 0] = -2.0
    moved = deviations(model, start)
    assert moved["layer/layer_01"] == Deviation(2.0, 0.0, 1 / 6, 1.0)
    assert moved["layer/layer_00"] == Deviation(0.0, 0.0, 0.0, 1.0)


def test_small_moves_of_large_weights_are_summed_in_float64() -> None:
    model = nn.Linear(1000, 1, bias=False)
    nn.init.constant_(model.weight, 1000.0)
    start = pretrained_copy(model)
    with torch.no_grad():
        model.weight.add_(2.0**-14)
    total = deviations(model, start)["total"]
    assert total.l2 == pytest.approx(2.0**-14 * 1000**0.5, rel=1e-12) and total.changed == 1
    assert total.cosine == pytest.approx(1, abs=1e-12)
    assert total.relative == pytest.approx(2.0**-14 / 1000, rel=1e-12)


def test_weights_turned_round_have_the_opposite_direction() -> None:
    model = nn.Linear(3, 1, bias=False)
    start = pretrained_copy(model)
    with torch.no_grad():
        model.weight.mul_(-1)
    total = deviations(model, start)["total"]
    assert (total.cosine, total.relative) == (pytest.approx(-1.0), pytest.approx(2.0))


def test_a_copy_of_the_pretrained_weights_is_of_the_encoder_alone() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.ModuleDict({"adapter": nn.Linear(1, 1), "query": nn.Linear(1, 1)})
            self.classifier = nn.Linear(1, 1)

    start = pretrained_copy(Model())
    assert list(start) == ["body.query.weight", "body.query.bias"]
    assert not any(value.requires_grad for value in start.values())
