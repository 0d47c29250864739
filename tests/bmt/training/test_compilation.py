"""`training.compile`: the same steps through torch.compile, whatever the number and length of the windows,
and nothing left behind.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.training.compilation import compiled
from bmt.training.plan import Plan
from tests.bmt.test_mask_updates import masks_for
from tests.bmt.training.test_loop import PLAN, run
from tests.support import tiny


@pytest.mark.parametrize("kind", ["none", "random", "several"])
def test_compiled_training_takes_the_same_steps(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module,
        "compile",
        lambda self, **given: (calls.append(given["backend"]), real(self, **given)),
    )
    masks: Masks | RandomMask | None = {
        "random": RandomMask(0.5),
        "several": masks_for(tiny.bert(), 0.4, "AB"),
    }.get(kind)
    plan = Plan(replace(PLAN.training, compile="aot_eager"))
    plain, before = run(steps=5, model=tiny.bert(), masks=masks)
    found, after = run(steps=5, plan=plan, model=tiny.bert(), masks=masks)
    assert calls == ["aot_eager"] and found._compiled_call_impl is None
    assert after.tokens == before.tokens and after.curve[0]["loss"] == pytest.approx(
        before.curve[0]["loss"], rel=1e-4
    )
    for one, other in zip(plain.parameters(), found.parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-4)
    assert list(plain.state_dict()) == list(found.state_dict())


def test_a_block_in_a_block_leaves_the_outer_one_compiled() -> None:
    model = torch.nn.Linear(2, 2)
    with compiled(model, "none"):
        assert model._compiled_call_impl is None
    with compiled(model, "aot_eager"):
        outer = model._compiled_call_impl
        with compiled(model, "aot_eager"):
            assert model._compiled_call_impl is not outer
        assert model._compiled_call_impl is outer
    assert model._compiled_call_impl is None
