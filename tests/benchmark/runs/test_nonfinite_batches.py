"""The file that a loss which is not finite leaves: the steps since the last look, and their examples."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest

from benchmark.runs.nonfinite import batches_kept
from bmt.errors import ModelError
from bmt.training.losses import NonFiniteLossError, StepBatch


def test_the_steps_since_the_last_look_are_kept_until_the_next_run(tmp_path: Path) -> None:
    batches = [
        StepBatch(step, loss, {"A": [4, 7], "B": [2]}, {"A": [3, 5 + step], "B": [step]})
        for step, loss in enumerate((0.5, 0.25, math.nan, math.nan, math.inf, math.nan), 1)
    ]
    path = tmp_path / "run" / "nonfinite.json"
    ids = {name: pa.chunked_array([[f"{name}-{row}" for row in range(60)]]) for name in "AB"}
    with (
        pytest.raises(ModelError, match=rf"^no loss at step 3; .*the 6 steps since the last look: {path}"),
        batches_kept(path, ids, {"cell": "c"}),
    ):
        raise NonFiniteLossError("no loss at step 3", 3, math.nan, batches)
    kept = json.loads(path.read_text())
    assert (kept["cell"], kept["step"], kept["loss"], len(kept["batches"])) == ("c", 3, "nan", 6)
    assert kept["batches"][0] == {
        "step": 1,
        "loss": "0.5",
        "windows": {"A": [4, 7], "B": [2]},
        "examples": {"A": ["A-3", "A-6"], "B": ["B-1"]},
    }
    assert [batch["loss"] for batch in kept["batches"]] == ["0.5", "0.25", "nan", "nan", "inf", "nan"]
    assert kept["batches"][5]["examples"] == {"A": ["A-3", "A-11"], "B": ["B-6"]}
    with batches_kept(path, ids, {}):
        assert not path.exists()
