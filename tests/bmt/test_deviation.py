"""The distance from the pretrained weights, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from bmt.deviation import deviations, pretrained_copy
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
