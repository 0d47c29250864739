"""How far a result lies from what is right, in numbers that a NaN puts beyond every bound."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from tools.performance.figures import MeasuredFigure

Tensors = Mapping[str, Tensor]


def relative_error(result: Tensor | Tensors, right: Tensor | Tensors) -> float:
    """||result - right||_2 / ||right||_2 over all tensors together, in float64 on the CPU.

    Infinite where what is right is 0 and the result is not. Raises ValueError for other names or shapes.
    """
    off = whole = 0.0
    for a, b in _pairs(result, right):
        off += float((a - b).square().sum())
        whole += float(b.square().sum())
    if whole == 0:
        return off if math.isnan(off) else math.inf if off else 0.0
    return math.sqrt(off / whole)


def error_of_most(result: Tensors, right: Tensors, left_out: float) -> float:
    """`relative_error` without the values that lie farthest from right, a share `left_out` of them, rounded
    up; NaN where one is NaN.
    """
    pairs = list(_pairs(result, right))
    off = torch.cat([(a - b).abs().reshape(-1) for a, b in pairs])
    whole = math.sqrt(sum(float(b.square().sum()) for _, b in pairs))
    if bool(off.isnan().any()) or whole == 0:
        return math.nan
    most = off.sort().values[: len(off) - math.ceil(left_out * len(off))]
    return float(most.norm()) / whole


def cosine(result: Tensor | Tensors, right: Tensor | Tensors) -> float:
    """The cosine of all tensors together, in float64; NaN where one side is 0."""
    product = ours = theirs = 0.0
    for a, b in _pairs(result, right):
        product += float((a * b).sum())
        ours += float(a.square().sum())
        theirs += float(b.square().sum())
    length = math.sqrt(ours * theirs)
    return product / length if length else math.nan


def differing(result: Tensor | Tensors, right: Tensor | Tensors) -> int:
    """How many values are not the same; a NaN is like nothing, itself included."""
    return sum(int((a != b).sum()) for a, b in _pairs(result, right))


def largest(values: Iterable[float]) -> float:
    """The largest value; NaN where one is NaN. Raises ValueError where there is none."""
    return float(np.max(np.asarray(list(values), dtype=np.float64)))


def z_score(count: float, trials: int, p: float) -> float:
    """Standard deviations between a count of successes and its expectation, at least 0."""
    return abs(count - trials * p) / math.sqrt(trials * p * (1 - p))


def digest(values: Tensor) -> str:
    """SHA-256 of a tensor's bytes."""
    return hashlib.sha256(values.detach().cpu().contiguous().numpy().tobytes()).hexdigest()


def error(name: str, value: float, bound: float) -> MeasuredFigure:
    """A difference from what is right."""
    return MeasuredFigure(name, value, bound, unit="error")


def count(name: str, value: int, bound: float = 0) -> MeasuredFigure:
    """A number of things that are not as they should be."""
    return MeasuredFigure(name, float(value), bound, unit="n")


@contextmanager
def exact_products() -> Iterator[None]:
    """While the block runs, a GPU multiplies float32 matrices in float32, not in TF32."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "ieee"
    try:
        yield
    finally:
        matmul.fp32_precision = before


def _pairs(result: Tensor | Tensors, right: Tensor | Tensors) -> Iterator[tuple[Tensor, Tensor]]:
    """Tensors of one name, in float64 on the CPU."""
    if isinstance(result, Tensor) or isinstance(right, Tensor):
        result, right = ({"": value} if isinstance(value, Tensor) else value for value in (result, right))
    if result.keys() != right.keys():
        raise ValueError(f"tensor {sorted(result.keys() ^ right.keys())[0]} is on one side only")
    for name, value in result.items():
        if value.shape != right[name].shape:
            raise ValueError(f"tensor {name} is {list(value.shape)}, what is right {list(right[name].shape)}")
        yield value.detach().cpu().double(), right[name].detach().cpu().double()
