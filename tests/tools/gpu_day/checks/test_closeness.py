"""Distances from what is right, where a NaN keeps no bound."""

from __future__ import annotations

import math

import pytest
import torch

from tools.gpu_day.checks.closeness import (
    cosine,
    count,
    differing,
    digest,
    error,
    error_of_most,
    exact_products,
    largest,
    relative_error,
    z_score,
)

NAN = torch.tensor([1.0, math.nan])


def test_a_relative_error_is_over_all_tensors_together() -> None:
    right = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([[4.0]])}
    result = {"a": torch.tensor([3.0, 0.3]), "b": torch.tensor([[4.4]])}
    assert relative_error(result, right) == pytest.approx(0.5 / 5, rel=1e-6)
    assert relative_error(right["a"].half(), right["a"]) == 0


def test_nothing_is_near_to_zero_but_zero() -> None:
    zero = torch.zeros(3)
    assert relative_error(zero, zero) == 0 and relative_error(zero + 1e-30, zero) == math.inf


@pytest.mark.parametrize("other", [{"b": torch.ones(2)}, {"a": torch.ones(3)}])
def test_other_names_or_shapes_are_no_distance(other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"tensor [ab]"):
        relative_error({"a": torch.ones(2)}, other)


def test_an_error_of_most_leaves_out_the_farthest() -> None:
    right = {"a": torch.full((50,), 3.0), "b": torch.full((50,), 4.0)}
    result = {name: value.clone() for name, value in right.items()}
    result["b"][7] += 100
    result["a"][3] += 2.5
    whole = 5 * 50**0.5
    assert error_of_most(result, right, 0.01) == pytest.approx(2.5 / whole)
    assert error_of_most(result, right, 0.011) == 0
    assert error_of_most(result, right, 0) == pytest.approx(relative_error(result, right))
    result["b"][7] = math.nan
    assert math.isnan(error_of_most(result, right, 0.5))


def test_a_nan_is_beyond_every_bound() -> None:
    ones = torch.ones(2)
    for value in (
        relative_error(NAN, ones),
        relative_error(ones, NAN),
        relative_error(NAN, torch.zeros(2)),
        largest([0.0, math.nan, 1.0]),
        1 - cosine(NAN, ones),
        1 - cosine(torch.zeros(2), ones),
        z_score(math.nan, 10, 0.5),
    ):
        assert math.isnan(value) and error("", value, 1e9).kept is False
    assert differing(NAN, NAN) == 1


def test_a_count_keeps_its_bound_or_does_not() -> None:
    assert count("", 0).kept and not count("", 1).kept and count("", 1, 1).kept
    assert differing({"a": torch.tensor([True, False])}, {"a": torch.tensor([True, True])}) == 1
    assert z_score(60, 100, 0.5) == pytest.approx(2)


def test_the_cosine_of_turned_vectors() -> None:
    assert cosine(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])) == pytest.approx(math.sqrt(0.5))


def test_a_digest_is_of_the_bytes() -> None:
    assert digest(torch.arange(6).view(2, 3).T) == digest(torch.tensor([[0, 3], [1, 4], [2, 5]]))
    assert digest(torch.zeros(2)) != digest(torch.zeros(3))


def test_products_are_exact_in_the_block_and_as_before_after_it() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        with pytest.raises(RuntimeError, match="inside"), exact_products():
            assert matmul.fp32_precision == "ieee"
            raise RuntimeError("inside")
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before
