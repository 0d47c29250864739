"""How many weights a gate holds: one, a row, a column or a whole tensor.

A gate tensor has the weight's number of dimensions, with 1 where it is shared, so that it broadcasts over the
weight:

    (out, in)   element (out, in)   row (out, 1)   column (1, in)   tensor (1, 1)
    (n,)        element (n,)        row (n,)       column (1,)      tensor (1,)         a vector is a matrix
    of one column
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bmt.errors import ConfigError

GRANULARITIES = ("element", "row", "column", "tensor")


def gate_shape(shape: Sequence[int], granularity: str) -> tuple[int, ...]:
    """Shape of the gates over a weight of `shape`. Raises ConfigError for a granularity that does not exist."""
    if granularity not in GRANULARITIES:
        raise ConfigError(f"granularity: {granularity!r} is not allowed: one of {', '.join(GRANULARITIES)}")
    sizes = tuple(shape)
    if granularity == "element" or not sizes:
        return sizes
    if granularity == "tensor":
        return (1,) * len(sizes)
    if granularity == "row":
        return (sizes[0], *([1] * (len(sizes) - 1)))
    return (*([1] * (len(sizes) - 1)), sizes[-1] if len(sizes) > 1 else 1)


def weights_a_gate(shape: Sequence[int], granularity: str) -> int:
    """How many weights of a tensor one gate holds."""
    return math.prod(shape) // max(1, math.prod(gate_shape(shape, granularity)))
