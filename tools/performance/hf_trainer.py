"""The baseline of training and evaluation: HF `Trainer` on the question-answering recipe's features, in
several settings.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bmt.qa.model import quiet_transformers
from bmt.settings import TrainingSettings
from tools.performance.forward_counts import ForwardCounts, watched


@dataclass(frozen=True, slots=True)
class TrainerSetting:
    """How Trainer is fed.

    Attributes:
        padding: "max_length" (to the window: the recipe's default) or "longest" (to the longest of the
            batch).
        like: batches of windows of like length (`train_sampling_strategy="group_by_length"`), else mixed
            ones.
        workers: processes that load batches.
    """

    name: str
    padding: str = "longest"
    like: bool = False
    workers: int = 0


TO_THE_WINDOW = "Trainer, windows padded to the longest allowed (its recipe's default)"
SETTINGS = (
    TrainerSetting(TO_THE_WINDOW, "max_length"),
    TrainerSetting("Trainer, padded to a batch's longest window"),
    TrainerSetting("Trainer, windows of like length together", like=True),
    TrainerSetting("Trainer, windows of like length together, loaded by a process", like=True, workers=1),
)


@dataclass(frozen=True, slots=True)
class TimedRun:
    """A run: wall and CPU seconds of this process, the mean loss of its steps, what passed the model."""

    seconds: float
    cpu: float
    loss: float
    passed: ForwardCounts


def train(
    model: nn.Module,
    rows: Sequence[dict[str, Any]],
    tokenizer: Any,
    setting: TrainerSetting,
    training: TrainingSettings,
    window: int,
    out: Path,
) -> TimedRun:
    """Train `model` on the recipe's rows in their order, `training.batch` per step, once; the clock runs from
    the first step's begin to the last one's end, so that starting, and loading the first batch, are not
    counted against Trainer.

    Args:
        rows: windows as the recipe makes them, not padded, in the order in which Trainer's sampler gives
            them.
        window: tokens that "max_length" pads to.
        out: a folder that Trainer may write to.
    """
    from datasets import Dataset
    from transformers import (
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
        default_data_collator,
    )

    class Clock(TrainerCallback):
        began = ended = (0.0, 0.0)

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 0:
                self.began = (time.perf_counter(), time.process_time())

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == state.max_steps:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                self.ended = (time.perf_counter(), time.process_time())

    device, whole = next(model.parameters()).device, setting.padding == "max_length"
    clock = Clock()
    with quiet_trainer():
        trainer = Trainer(
            model,
            TrainingArguments(
                output_dir=str(out),
                per_device_train_batch_size=training.batch,
                max_steps=len(rows) // training.batch,
                learning_rate=training.lr,
                weight_decay=training.weight_decay,
                # the rows come in the order of the sampler that the setting names
                train_sampling_strategy="sequential",
                dataloader_num_workers=setting.workers,
                dataloader_pin_memory=device.type == "cuda",
                use_cpu=device.type == "cpu",
                bf16=training.precision == "bf16",
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(padded(rows, tokenizer, window) if whole else list(rows)),
            data_collator=default_data_collator if whole else DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.remove_callback(PrinterCallback)
        with watched(model) as passed:
            loss = trainer.train().training_loss
    return TimedRun(clock.ended[0] - clock.began[0], clock.ended[1] - clock.began[1], loss, passed)


def predict(
    model: nn.Module, windows: Any, tokenizer: Any, padding: str, batch: int, out: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Start and end scores (windows, tokens) of the recipe's evaluation windows, in their order, by
    `Trainer.predict`.

    Args:
        windows: a `datasets.Dataset` of `recipe.dev_features`, already padded where `padding` is
            "max_length".
    """
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, default_data_collator

    device = next(model.parameters()).device
    with quiet_trainer():
        trainer = Trainer(
            model,
            TrainingArguments(
                output_dir=str(out),
                per_device_eval_batch_size=batch,
                dataloader_pin_memory=device.type == "cuda",
                use_cpu=device.type == "cpu",
                report_to=[],
                disable_tqdm=True,
            ),
            data_collator=default_data_collator
            if padding == "max_length"
            else DataCollatorWithPadding(tokenizer),
            processing_class=tokenizer,
        )
        starts, ends = trainer.predict(windows).predictions
    return starts, ends


def padded(rows: Sequence[dict[str, Any]], tokenizer: Any, window: int) -> list[dict[str, Any]]:
    """The rows with their token columns padded to the window, as the recipe's `padding="max_length"` leaves
    them.
    """
    fill = {
        "input_ids": tokenizer.pad_token_id,
        "token_type_ids": tokenizer.pad_token_type_id,
        "attention_mask": 0,
    }
    return [
        {
            name: value + [fill[name]] * (window - len(value)) if name in fill else value
            for name, value in row.items()
        }
        for row in rows
    ]


@contextmanager
def quiet_trainer() -> Iterator[None]:
    """Keep back what transformers and accelerate say on the way."""
    said = logging.getLogger("accelerate")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        with quiet_transformers():
            yield
    finally:
        said.setLevel(level)
