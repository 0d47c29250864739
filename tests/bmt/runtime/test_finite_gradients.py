"""Gradients that are not finite: which tensor and step are named, and what a norm is of."""

from __future__ import annotations

import pytest
import torch

from bmt.errors import ModelError
from bmt.runtime.finite_gradients import FiniteGradients


def with_gradients(**values: list[float] | None) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, value in values.items():
        tensors[name] = torch.zeros(1 if value is None else len(value))
        tensors[name].grad = None if value is None else torch.tensor(value)
    return tensors


def test_a_norm_is_of_all_gradients_that_there_are() -> None:
    finite = FiniteGradients("step", "do")
    norm = finite.look(with_gradients(a=[3.0, 0.0], b=None, c=[0.0, 4.0]), 0)
    assert norm is not None and float(norm) == 5.0
    assert finite.look(with_gradients(a=None), 1) is None and finite.look({}, 2) is None
    finite.settle()


def test_a_norm_that_is_known_is_looked_at_and_no_other_is_computed() -> None:
    finite, tensors = FiniteGradients("step", "do"), with_gradients(a=[3.0, 4.0])
    assert float(finite.look(tensors, 0, norm=torch.tensor(7.0)) or 0) == 7.0
    with pytest.raises(ModelError, match=r"^tensor all of them together: .* at step 1: do$"):
        finite.look(tensors, 1, norm=torch.tensor(float("inf")))


def test_of_a_gradient_that_is_many_tensors_the_part_that_is_not_finite_is_named() -> None:
    vector = with_gradients(whole=[1.0, 2.0, float("inf"), 4.0])
    first, second = vector["whole"].grad.split(2)  # type: ignore[union-attr]
    with pytest.raises(ModelError, match=r"^tensor second: the gradient is not finite at step 5: do$"):
        FiniteGradients("step", "do").look(vector, 5, {"first": first, "second": second})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_the_first_tensor_whose_gradient_is_not_finite_is_named_with_step_and_advice(value: float) -> None:
    finite = FiniteGradients("mask-learning step", "lower w_lr")
    tensors = with_gradients(a=[1.0], b=None, c=[1.0, value], d=[value])
    with pytest.raises(
        ModelError, match=r"^tensor c: the gradient is not finite at mask-learning step 7: lower w_lr$"
    ):
        finite.look(tensors, 7)


def test_gradients_that_are_finite_one_by_one_and_have_no_finite_norm_are_named_together() -> None:
    with pytest.raises(
        ModelError, match=r"^tensor all of them together: the gradient is not finite at step 3: do$"
    ):
        FiniteGradients("step", "do").look(with_gradients(a=[3e38], b=[3e38]), 3)


def test_a_norm_that_comes_late_is_looked_at_when_the_steps_end() -> None:
    """As from a GPU: the last steps' norms are on their way when the work is done."""
    finite = FiniteGradients("step", "do")
    finite._norms.put(torch.tensor(1.0), 7)
    finite._norms.put(torch.tensor(float("nan")), 8)
    with pytest.raises(ModelError, match=r"^tensor all of them together: .* at step 8: do$"):
        finite.settle()
