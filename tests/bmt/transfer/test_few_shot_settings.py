"""What decides a few-shot run: the formula of its weights, the windows it trains on, the name of its file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bmt.transfer.few_shot
import bmt.transfer.transfer_runs
from bmt.errors import ConfigError
from bmt.qa.adapters import HeadBank, banks
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.stopping import StoppedError
from bmt.settings import DataSettings, DecodeSettings, LossSettings
from bmt.training.data import TrainingData
from bmt.transfer.few_shot import FewShot, few_shot
from bmt.transfer.protocol import FewShotProtocol
from bmt.transfer.target_tuning import tune
from bmt.transfer.transfer_runs import few_shot_runs
from tests.support import tiny
from tests.support.tiny_transfer import FEW, NAMES, model_with, protocol, questions

SHORT = replace(FEW, sizes=[4], seeds=[7], steps=1)


@pytest.mark.parametrize("literal", [False, True])
def test_the_formula_as_printed_divides_the_mean_by_the_number_of_datasets(
    literal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """phi' where the updates start: sum_i alpha_i phi_i, or that divided by |S|."""
    model = model_with()
    starts: list[torch.Tensor] = []
    [head] = [bank for bank in banks(model) if isinstance(bank, HeadBank)]
    with torch.no_grad():
        head.bias.copy_(torch.arange(1.0, 7.0).view(3, 2))

    def tuned(started: Any, *arguments: Any, **options: Any) -> Any:
        starts.extend(bank.bias.detach().clone() for bank in banks(started) if isinstance(bank, HeadBank))
        return tune(started, *arguments, **options)

    monkeypatch.setattr(bmt.transfer.few_shot, "tune", tuned)
    run = few_shot(model, questions(), 4, 7, protocol(replace(SHORT, literal_weights=literal)))
    shares = torch.tensor([run.weights[name] for name in NAMES], dtype=torch.float64)
    want = (shares / (3 if literal else 1)) @ head.bias.detach().double()
    torch.testing.assert_close(starts[0].double()[0], want, rtol=1e-6, atol=1e-7)


def test_training_examples_without_a_window_are_refused() -> None:
    target = questions()
    data = TrainingData([target.windows], {"T": np.array([], dtype=np.int64)}, [target], tiny.VOCAB)
    with pytest.raises(
        ConfigError, match=r"few-shot: the training examples of T have no window: keep data\.negatives"
    ):
        tune(tiny.bert(), data, protocol().target_plan, FEW, seed=1)


def test_everything_that_decides_a_run_is_in_the_name_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target, usual = model_with(), questions(), protocol(SHORT)
    done = few_shot(model, target, 4, 7, usual)
    made: list[int] = []

    def one(*_: Any, **options: Any) -> FewShot:
        made.append(1)
        return done

    monkeypatch.setattr(bmt.transfer.transfer_runs, "few_shot", one)

    def names(own: FewShotProtocol, fingerprint: str = "f") -> set[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        few_shot_runs(model, [target], own, Checkpoints(folder, fingerprint))
        return {path.name for path in folder.iterdir()}

    def with_settings(**changes: Any) -> FewShotProtocol:
        return replace(usual, settings=replace(SHORT, **changes))

    plan = usual.plan
    changed = [
        names(usual, "g"),
        names(replace(usual, data=DataSettings(negatives="drop"))),
        names(replace(usual, data=DataSettings(windows="one"))),
        names(replace(usual, plan=replace(plan, training=replace(plan.training, weight_decay=0.3)))),
        names(replace(usual, plan=replace(plan, tuning=replace(plan.tuning, clip=0.5)))),
        names(replace(usual, plan=replace(plan, loss=LossSettings(spans="first")))),
        names(replace(usual, plan=replace(plan, decode=DecodeSettings(max_answer_tokens=3)))),
        names(with_settings(lr=0.5)),
        names(with_settings(test="entire_dev")),
        names(with_settings(mask="union")),
        names(with_settings(literal_weights=True)),
    ]
    before = names(usual)
    assert len(before) == 1 and names(usual) == before
    every = [next(iter(name)) for name in [before, *changed]]
    assert len(set(every)) == len(every) == 12 and len(made) == 13
    assert before < names(
        with_settings(sizes=[4, 8], seeds=[7, 19])
    )  # which others there are decides nothing


def test_a_stop_between_two_runs_begins_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SHORT, seeds=[7, 19])
    real, begun = bmt.transfer.transfer_runs.few_shot, []

    def noted(*arguments: Any, **options: Any) -> FewShot:
        begun.append(arguments[3])
        return real(*arguments, **options)

    monkeypatch.setattr(bmt.transfer.transfer_runs, "few_shot", noted)
    finished: list[Any] = []
    with pytest.raises(StoppedError, match=r"^stopped before T, K = 4, seed 19$"):
        few_shot_runs(
            model_with(),
            [questions()],
            protocol(settings),
            Checkpoints(tmp_path, "f"),
            done=finished.append,
            stop=lambda: bool(finished),
        )
    assert begun == [7] and [run["seed"] for run in finished] == [7]
