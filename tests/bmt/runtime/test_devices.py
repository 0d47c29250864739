"""What is done for a GPU, without one: which generators a seed reaches."""

from __future__ import annotations

import pytest
import torch

from bmt.runtime.devices import seed_generators


@pytest.mark.parametrize(("kind", "reached"), [("cpu", []), ("cuda", [7]), ("meta", [7])])
def test_a_seed_reaches_the_cpu_and_the_kind_of_device_that_is_named(
    kind: str, reached: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a kind that it does not know torch seeds all, a GPU's among them."""
    torch.manual_seed(7)
    want, gpus = torch.rand(3), []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", gpus.append)
    torch.manual_seed(8)
    gpus.clear()
    seed_generators(7, torch.device(kind))
    assert gpus == reached and torch.equal(torch.rand(3), want)
