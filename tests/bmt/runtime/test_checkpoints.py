"""Checkpoints: whole or passed over, the best beside the newest, two kept."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from bmt.errors import ModelError
from bmt.runtime.checkpoints import (
    FORMAT,
    Checkpoints,
    load_optimizer_tensors,
    load_tensors,
    optimizer_tensors,
    tensors,
)


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


def test_where_there_are_no_hard_links_the_best_model_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    checkpoints = saved(tmp_path, best=1, steps=4)
    newest = checkpoints.newest()
    model, _ = model_at(0.0)
    checkpoints.load_best(model)
    assert newest is not None and newest.step == 4 and model.weight.tolist() == [[1.0, 1.0]]


def test_a_best_model_is_that_of_the_last_step_that_was_best_and_of_no_later_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "f")
    model, _ = model_at(0.0)
    for step, best, want in ((9, True, 9.0), (10, True, 10.0), (11, False, 10.0), (99, False, 10.0)):
        checkpoints.save(step, *model_at(float(step)), {}, best=best)
        checkpoints.load_best(model)
        assert model.weight.tolist() == [[want] * 2], step
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000011", "step-0000099"]
    newest = checkpoints.newest()
    assert newest is not None and newest.step == 99 and newest.folder == tmp_path / "step-0000099"


def test_a_state_comes_back_in_its_order_and_without_what_json_has_not(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "f")
    state = {"z": 1, "a": [{"step": 1, "em": 2.5}], "m": None}
    checkpoints.save(1, *model_at(1.0), state, best=True)
    restored = checkpoints.restore(*model_at(0.0))
    assert restored is not None and restored[1] == {}
    assert json.dumps(restored[0]) == json.dumps(state)
    with pytest.raises(ValueError, match="Out of range"):
        checkpoints.save(2, *model_at(2.0), {"loss": float("nan")}, best=True)
    newest = checkpoints.newest()
    assert newest is not None and newest.step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000001"]


def test_a_checkpoint_that_lacks_a_file_is_passed_over_and_without_any_all_is_discarded(
    tmp_path: Path,
) -> None:
    checkpoints = saved(tmp_path)
    (tmp_path / "step-0000003" / "optimizer.safetensors").unlink()
    newest = checkpoints.newest()
    assert newest is not None and newest.step == 2
    (tmp_path / "step-0000002" / "state.json").write_text("[]")
    assert checkpoints.newest() is None and checkpoints.restore(*model_at(0.0)) is None
    checkpoints.discard_after(0)
    assert list(tmp_path.iterdir()) == []


def test_steps_of_more_digits_than_a_folder_s_name_is_padded_to_are_whole_numbers(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "f")
    for step in (10_000_000, 10_000_001):
        checkpoints.save(step, *model_at(1.0), {}, best=True)
    checkpoints.discard_after(10_000_000)
    assert [path.name for path in tmp_path.iterdir()] == ["step-10000000"]


def test_a_damaged_checkpoint_of_another_configuration_is_no_error_and_a_whole_one_is(tmp_path: Path) -> None:
    saved(tmp_path, steps=1)
    other = Checkpoints(tmp_path, "g")
    with pytest.raises(ModelError, match=rf"remove {tmp_path} to start again"):
        other.restore(*model_at(0.0))
    (tmp_path / "step-0000001" / "model.safetensors").write_bytes(b"")
    assert other.newest() is None


@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_checkpoints_stay_as_are_asked_for(keep: int, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "f")
    for step in (2, 30, 400, 5000):
        checkpoints.write(step, {"gates": {"x": torch.tensor([float(step)])}}, {"at": step}, keep=keep)
    steps = [int(path.name.removeprefix("step-")) for path in sorted(tmp_path.iterdir())]
    assert steps == [2, 30, 400, 5000][-keep:]
    newest = checkpoints.newest()
    assert newest is not None and newest.tensors("gates")["x"].tolist() == [5000.0]
    assert newest.state == {"at": 5000} and sorted(path.name for path in newest.folder.iterdir()) == [
        "gates.safetensors",
        "state.json",
    ]


def test_frozen_parameters_are_in_no_checkpoint_and_stay_what_they_are() -> None:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    model[0].weight.requires_grad_(False)
    assert list(tensors(model)) == ["1.weight"]
    before = model[0].weight.clone()
    load_tensors(model, {"1.weight": torch.tensor([[7.0]])})
    assert model[1].weight.tolist() == [[7.0]] and torch.equal(model[0].weight, before)
    with pytest.raises(ModelError, match=r"tensor 0\.weight is on one side only"):
        load_tensors(model, {"0.weight": torch.zeros(1, 1), "1.weight": torch.zeros(1, 1)})


def test_an_optimizer_goes_on_with_its_moments_and_its_own_learning_rates() -> None:
    def made(rate: float) -> tuple[list[nn.Parameter], torch.optim.Optimizer]:
        parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(1))]
        groups = [{"params": parameters[:2], "lr": rate}, {"params": parameters[2:], "lr": 10 * rate}]
        return parameters, torch.optim.AdamW(groups)

    parameters, optimizer = made(0.1)
    for number, parameter in enumerate(parameters):
        if number != 1:  # the second never had a gradient
            parameter.grad = torch.full_like(parameter, number + 1.0)
    optimizer.step()
    kept = optimizer_tensors(optimizer)
    names = {"exp_avg", "exp_avg_sq", "step"}
    assert set(kept) == {f"{number}.{name}" for number in (0, 2) for name in names}
    again, other = made(0.5)
    load_optimizer_tensors(other, kept)
    assert [group["lr"] for group in other.param_groups] == [0.5, 5.0]
    assert other.state[again[2]]["exp_avg"].tolist() == pytest.approx([0.3])
    assert (
        other.state[again[0]]["exp_avg"].tolist() == pytest.approx([0.1] * 2) and again[1] not in other.state
    )
    assert float(other.state[again[2]]["step"]) == 1


def test_an_optimizer_s_moments_lie_as_its_parameters_do() -> None:
    """The kernel of a fused optimizer reads both in the order of memory."""
    turned = torch.arange(6.0).view(2, 3).t()
    whole, half, again = (nn.Parameter(turned.clone()) for _ in range(3))
    assert not whole.is_contiguous()
    optimizers = [torch.optim.AdamW([weight], lr=0.1, fused=True) for weight in (whole, half, again)]
    for step in range(4):
        if step == 2:
            again.data.copy_(half.data)
            kept = {name: value.clone() for name, value in optimizer_tensors(optimizers[1]).items()}
            load_optimizer_tensors(optimizers[2], kept)
        for weight, optimizer in zip((whole, half, again), optimizers, strict=True):
            if weight is not again or step > 1:
                weight.grad = torch.full_like(weight, 1.0).mul_(turned * (step + 1) - 2)
                optimizer.step()
    assert torch.equal(half, whole) and torch.equal(again, whole)
