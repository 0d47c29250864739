"""The documented use on a foreign model: both examples run and print facts, and the Trainer tunes exactly as
a plain loop does.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import Trainer, TrainingArguments
from transformers.data.data_collator import default_data_collator

from bmt.errors import ModelError
from bmt.layers import target_names
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from tests.support import tiny

FOLDER = Path(__file__).resolve().parents[2] / "examples"
RESULT = r"loss (\d+\.\d+), weights changed (\d\.\d+), relative deviation (\d\.\d+)"
STEPS, ROWS = 5, 8


@pytest.mark.parametrize("name", ["plain_loop.py", "hf_trainer.py"])
def test_an_example_is_short_runs_and_prints_what_masks_do(name: str, tmp_path: Path) -> None:
    assert len((FOLDER / name).read_text(encoding="utf-8").splitlines()) < 70  # of 110 characters
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(FOLDER.parent)}
    done = subprocess.run(
        [sys.executable, str(FOLDER / name)], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir()), "an example leaves nothing behind"
    densities = re.search(
        r"^mask density same (\S+), next (\S+), previous (\S+), union (\S+)$", done.stdout, re.M
    )
    assert densities and [float(value) for value in densities.groups()[:3]] == [0.3, 0.3, 0.3]
    union = float(densities[4])
    assert 0.3 < union < 1 - 0.7**3  # masks of one model overlap more than chance
    plain, masked = (
        re.search(rf"^{title} masks: {RESULT}$", done.stdout, re.M) for title in ("without", "with")
    )
    assert plain and masked
    assert float(plain[2]) > 0.99  # weight decay alone moves what is not 0
    assert float(masked[2]) == pytest.approx(union, abs=0.002)
    assert float(plain[3]) > 0 and float(masked[3]) > 0
    closed = re.search(r"^closed in every mask: (\d+) weights, (\d+) changed$", done.stdout, re.M)
    assert closed and int(closed[1]) > 10_000 and closed[2] == "0"


def masks_of(datasets: str) -> Masks:
    generator = torch.Generator().manual_seed(0)
    model = tiny.bert()
    parameters, names = dict(model.named_parameters()), target_names(model)
    return Masks.of(
        {
            d: {name: torch.rand(parameters[name].shape, generator=generator) < 0.4 for name in names}
            for d in datasets
        },
        model,
    )


def questions(count: int) -> list[dict[str, Any]]:
    """Rows of the datasets 0, 1, 2 in a mixed order."""
    draw = torch.Generator().manual_seed(3)
    rows = []
    for _ in range(count):
        start, end, dataset = (int(torch.randint(0, high, (1,), generator=draw)) for high in (12, 12, 3))
        tokens = torch.randint(5, 90, (12,), generator=draw).tolist()
        rows.append({"input_ids": tokens, "start_positions": start, "end_positions": end, "dataset": dataset})
    return rows


def plain_loop(model: nn.Module, masks: Masks | RandomMask, accumulated: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    rows = questions(STEPS * accumulated * ROWS)
    batches = [default_data_collator(rows[start : start + ROWS]) for start in range(0, len(rows), ROWS)]
    with mask_updates(optimizer, model, masks) as masked:
        for number, batch in enumerate(batches, start=1):
            masked.rows(batch.pop("dataset"))
            (model(**batch).loss / accumulated).backward()
            if number % accumulated == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
    assert masked.step == STEPS


def trainer_for(model: nn.Module, folder: Path, accumulated: int = 1, **more: Any) -> Trainer:
    settings = TrainingArguments(
        str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=ROWS,
        gradient_accumulation_steps=accumulated,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        train_sampling_strategy="sequential",
        max_grad_norm=1.0,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        **({"remove_unused_columns": False} | more.pop("settings", {})),
    )
    rows = questions(STEPS * accumulated * ROWS)
    return Trainer(model, settings, train_dataset=rows, eval_dataset=rows[:11], **more)


def named(rows: list[dict[str, Any]]) -> dict[str, Tensor | list[str]]:
    """A batch that says its rows' datasets by name."""
    return default_data_collator(rows) | {"dataset": ["ABC"[row["dataset"]] for row in rows]}


@pytest.mark.parametrize("accumulated", [1, 2])
@pytest.mark.parametrize("kind", ["several", "several, by name", "one", "random"])
def test_the_trainer_tunes_as_a_plain_loop_does_bit_for_bit(
    kind: str, accumulated: int, tmp_path: Path
) -> None:
    """With evaluations on the way and with gradients accumulated over batches; the random mask's steps are
    the optimizer's.
    """
    masks: Masks | RandomMask = (
        RandomMask(0.4, seed=2) if kind == "random" else masks_of("A" if kind == "one" else "ABC")
    )
    looped, trained, start = tiny.bert(), tiny.bert(), dict(tiny.bert().named_parameters())
    plain_loop(looped, masks, accumulated)
    trainer = trainer_for(
        trained, tmp_path, accumulated, **({"data_collator": named} if "name" in kind else {})
    )
    with mask_updates(trainer.create_optimizer(), trained, masks) as masked:
        trainer.train()
    assert (masked.step, trainer.state.global_step) == (STEPS, STEPS)
    assert len([entry for entry in trainer.state.log_history if "eval_loss" in entry]) == 3
    by_loop = dict(looped.named_parameters())
    for name, parameter in trained.named_parameters():
        assert torch.equal(parameter, by_loop[name]), name
        assert not torch.equal(parameter, start[name]), name
        if isinstance(masks, Masks) and name in masks.shapes:
            closed = ~masks.union().mask("union", name)
            assert closed.any() and torch.equal(parameter[closed], start[name][closed]), name


def test_a_trainer_that_drops_the_column_is_told(tmp_path: Path) -> None:
    model = tiny.bert()
    trainer = trainer_for(model, tmp_path, settings={"remove_unused_columns": True})
    with (
        pytest.raises(ModelError, match="does not say whose its rows are"),
        mask_updates(trainer.create_optimizer(), model, masks_of("ABC")),
    ):
        trainer.train()
