"""Checkpoints: whole or passed over, the best beside the newest, two kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from bmt.errors import ModelError
from bmt.runtime.checkpoints import FORMAT, Checkpoints, load_tensors


def model_at(value: float) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Two weights that are `value`, and momentum of `value` on them."""
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, value)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9)
    model.weight.grad = torch.full((1, 2), value)
    optimizer.step()
    return model, optimizer


def saved(folder: Path, best: int = 1, steps: int = 3) -> Checkpoints:
    checkpoints = Checkpoints(folder, "f")
    for step in range(1, steps + 1):
        checkpoints.save(
            step, *model_at(float(step)), {"at": step}, best=step == best, more={"x": torch.tensor(step)}
        )
    return checkpoints


def test_the_newest_two_stay_and_the_newest_comes_back(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000002", "step-0000003"]
    model, optimizer = model_at(0.0)
    restored = checkpoints.restore(model, optimizer)
    assert restored is not None and restored[0] == {"at": 3} and int(restored[1]["x"]) == 3
    assert model.weight.tolist() == [[3.0, 3.0]]
    assert optimizer.state[model.weight]["momentum_buffer"].tolist() == [[3.0, 3.0]]


@pytest.mark.parametrize("best", [1, 2, 3])
def test_the_best_model_outlives_its_checkpoint(best: int, tmp_path: Path) -> None:
    model, _ = model_at(0.0)
    saved(tmp_path, best).load_best(model)
    assert model.weight.tolist() == [[float(best)] * 2]


def test_a_step_written_again_has_the_best_up_to_the_step_before(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "f")
    for step, value, best in ((1, 1.0, True), (2, 2.0, False), (3, 3.0, True), (3, 4.0, False)):
        checkpoints.save(step, *model_at(value), {"at": step}, best=best)
    model, _ = model_at(0.0)
    checkpoints.load_best(model)
    assert model.weight.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("name", ["model", "optimizer", "more", "best", "state"])
def test_a_damaged_checkpoint_is_passed_over_and_can_be_discarded(name: str, tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    path = tmp_path / "step-0000003" / (f"{name}.json" if name == "state" else f"{name}.safetensors")
    data = path.read_bytes()
    path.unlink()  # it may be a hard link
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    newest = checkpoints.newest()
    assert newest is not None and newest.step == 2
    checkpoints.discard_after(2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000002"]
    model, _ = model_at(0.0)
    checkpoints.load_best(model)
    assert model.weight.tolist() == [[1.0, 1.0]]


def test_nothing_and_half_written_folders_are_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "none", "f")
    assert checkpoints.newest() is None and checkpoints.restore(*model_at(0.0)) is None
    checkpoints.discard_after(0)
    half = tmp_path / "none" / ".step-0000001.99.part"
    half.mkdir(parents=True)
    assert checkpoints.newest() is None
    checkpoints.save(1, *model_at(1.0), {}, best=True)
    assert not half.exists()
    checkpoints.remove()
    assert not (tmp_path / "none").exists()


def test_another_configuration_and_another_architecture_are_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(
        ModelError, match=r"step-0000003: this checkpoint was made with another configuration"
    ):
        Checkpoints(tmp_path, "g").newest()
    inside = Checkpoints(tmp_path, "f").within("part")
    assert (inside.folder, inside.fingerprint) == (tmp_path / "part", "f")
    with pytest.raises(ModelError, match="tensor bias is on one side only"):
        load_tensors(nn.Linear(2, 1), {"weight": torch.zeros(1, 2)})
    with pytest.raises(ModelError, match=r"tensor weight is \[1, 3\], the model's \[1, 2\]"):
        load_tensors(nn.Linear(2, 1, bias=False), {"weight": torch.zeros(1, 3)})


def test_a_checkpoint_of_another_format_is_passed_over(tmp_path: Path) -> None:
    checkpoints = saved(tmp_path)
    path = tmp_path / "step-0000003" / "state.json"
    record = json.loads(path.read_text())
    assert record["format"] == FORMAT
    path.write_text(json.dumps(record | {"format": FORMAT + 1}))
    newest = checkpoints.newest()
    assert newest is not None and newest.step == 2


def test_what_a_killed_process_has_left_goes_with_the_next_checkpoint(tmp_path: Path) -> None:
    for name in (".step-0000001.99.part", ".step-0000001.99.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    saved(tmp_path, steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000001"]
