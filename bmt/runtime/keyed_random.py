"""Counter-based random numbers, keyed by what they are for: the same on every rank, after every resume, in
any order of drawing.

Each key seeds a generator of its own (NumPy's Philox for masks on the CPU, torch's generator elsewhere), so
nothing is carried from one draw to the next. The CPU and an accelerator draw different numbers.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor

Key = tuple[int | str, ...]


def key_number(key: Key) -> int:
    """A 63-bit number from the parts of a key, stable over processes and Python versions."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _raw(count: int, key: Key, kind: type[np.unsignedinteger]) -> np.ndarray:
    """`count` words of 16 or 32 bits from Philox under `key`."""
    each = 8 // np.dtype(kind).itemsize
    return np.asarray(np.random.Philox(key=key_number(key)).random_raw(-(-count // each))).view(kind)[:count]


def words(count: int, key: Key) -> np.ndarray:
    """`count` random int32 words, two from each of SFC64's 64-bit numbers: the fastest source of noise on a
    CPU.
    """
    return np.random.SFC64(key_number(key)).random_raw((count + 1) // 2).view(np.int32)[:count]


def uniform(shape: torch.Size | tuple[int, ...], key: Key, device: torch.device | str = "cpu") -> Tensor:
    """float32 draws from U(0, 1), kept off 0 and 1, from a torch generator that `key` alone seeds."""
    generator = torch.Generator(device=device).manual_seed(key_number(key))
    return torch.rand(shape, generator=generator, device=device).clamp_(2.0**-25, 1 - 2.0**-24)


def bernoulli(
    shape: torch.Size | tuple[int, ...], p: float, key: Key, device: torch.device | str = "cpu"
) -> Tensor:
    """bool draws that are True with probability `p` (on a CPU to 2^-17; to 2^-33 where p is below 1/64)."""
    device = torch.device(device)
    if device.type != "cpu":
        return fill_bernoulli(torch.empty(shape, dtype=torch.bool, device=device), p, key)
    if p >= 1:
        return torch.ones(shape, dtype=torch.bool)
    kind, bits = (np.uint16, 16) if p >= 1 / 64 else (np.uint32, 32)  # a short word costs half as much
    return torch.from_numpy(_raw(math.prod(shape), key, kind) < round(p * 2**bits)).reshape(shape)


def fill_bernoulli(out: Tensor, p: float, key: Key) -> Tensor:
    """`out`, a bool tensor, filled on its device in one launch: True with probability `p`."""
    if p >= 1:
        return out.fill_(True)
    return out.bernoulli_(p, generator=torch.Generator(device=out.device).manual_seed(key_number(key)))


def permutation(count: int, key: Key) -> np.ndarray:
    """A permutation of 0 .. count-1 (int64)."""
    return np.random.Generator(np.random.Philox(key=key_number(key))).permutation(count)


def choice(weights: np.ndarray, count: int, key: Key) -> np.ndarray:
    """`count` independent indices into `weights` (int64), drawn with those probabilities."""
    return np.random.Generator(np.random.Philox(key=key_number(key))).choice(
        len(weights), size=count, p=weights
    )
