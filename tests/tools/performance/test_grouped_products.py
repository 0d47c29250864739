"""torch's grouped product gives the parts that the core's own products give."""

from __future__ import annotations

import pytest
import torch

import bmt.row_gradients
from bmt.row_gradients import RowGroups, weight_parts
from tools.performance.grouped_products import grouped_products, grouped_weight_parts


@pytest.mark.parametrize("owner", [[0, 0, 1, 1, 2, 3, 4, 5], [0, 1, 0, 0], [2, 2, 2, 0], [1]])
def test_the_grouped_product_is_that_of_each_group(owner: list[int]) -> None:
    draw, groups = torch.Generator().manual_seed(0), RowGroups.of(owner, torch.device("cpu"))
    dy, x = (torch.randn(len(owner), 5, n, generator=draw).bfloat16() for n in (8, 16))
    got, want = grouped_weight_parts(dy, x, groups), weight_parts(dy, x, groups)
    assert got.dtype == torch.bfloat16 and got.shape == (len(set(owner)), 8, 16)
    torch.testing.assert_close(got, want, rtol=2**-7, atol=2**-7)
    exact = weight_parts(dy.double(), x.double(), groups)
    assert (got.double() - exact).norm() <= 2**-8 * exact.norm()
    if len(set(owner)) > 1:  # parts of the wrong groups would be seen
        assert (got.flip(0).double() - exact).norm() > 0.5 * exact.norm()


def test_the_core_takes_it_while_the_block_runs() -> None:
    with grouped_products():
        assert bmt.row_gradients.weight_parts is grouped_weight_parts
    assert bmt.row_gradients.weight_parts is weight_parts
