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

from bmt.qa.batches import Vocabulary
from bmt.qa.model import quiet_transformers
from bmt.settings import TrainingSettings
from bmt.training.data import TrainingData
from tools.performance.forward_counts import ForwardCounts, watched
from tools.performance.same_windows import Pick


@dataclass(frozen=True, slots=True)
class TrainerSetting:
    """How Trainer is fed.

    Attributes:
        whole: windows are padded to the longest allowed (the recipe's default), else to the longest of the
            batch.
        like: batches of windows of like length (`train_sampling_strategy="group_by_length"`), else mixed
            ones.
        workers: processes that load batches.
    """

    name: str
    whole: bool = False
    like: bool = False
    workers: int = 0


TO_THE_WINDOW = "Trainer, windows padded to the longest allowed (its recipe's default)"
SETTINGS = (
    TrainerSetting(TO_THE_WINDOW, whole=True),
    TrainerSetting("Trainer, padded to a batch's longest window"),
    TrainerSetting("Trainer, windows of like length together", like=True),
    TrainerSetting("Trainer, windows of like length together, loaded by a process", like=True, workers=1),
)
ON_GPU = (
    TrainerSetting("Trainer"),
    TrainerSetting("Trainer, batches loaded by a process", workers=1),
)
"""Mixed batches as ours."""


@dataclass(frozen=True, slots=True)
class TimedRun:
    """A run: wall and CPU seconds of this process, the mean loss of its steps, what passed the model."""

    seconds: float
    cpu: float
    loss: float
    passed: ForwardCounts

    def record(self) -> dict[str, float]:
        """What the JSON file keeps of it."""
        counts = {"tokens": self.passed.tokens, "positions": self.passed.positions}
        return {"seconds": self.seconds, "cpu": self.cpu, "loss": self.loss, **counts}


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
        window: tokens that `setting.whole` pads to.
        out: a folder that Trainer may write to.
    """
    from transformers import PrinterCallback, TrainerCallback

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

    clock = Clock()
    with quiet_trainer():
        trainer = _trainer(
            model,
            tokenizer,
            setting.whole,
            out,
            dataset(rows, tokenizer, window if setting.whole else None),
            per_device_train_batch_size=training.batch,
            max_steps=len(rows) // training.batch,
            learning_rate=training.lr,
            weight_decay=training.weight_decay,
            # the rows come in the order of the sampler that the setting names
            train_sampling_strategy="sequential",
            dataloader_num_workers=setting.workers,
            bf16=training.precision == "bf16",
            save_strategy="no",
            logging_strategy="no",
        )
        trainer.add_callback(clock)
        trainer.remove_callback(PrinterCallback)
        with watched(model) as passed:
            loss = trainer.train().training_loss
    return TimedRun(clock.ended[0] - clock.began[0], clock.ended[1] - clock.began[1], loss, passed)


def predict(
    model: nn.Module, windows: Any, tokenizer: Any, whole: bool, batch: int, out: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Start and end scores (windows, tokens) of the recipe's evaluation windows, in their order, by
    `Trainer.predict`.

    Args:
        windows: those of `recipe.dev_features`, already padded where `whole` is set.
    """
    with quiet_trainer():
        trainer = _trainer(model, tokenizer, whole, out, None, per_device_eval_batch_size=batch)
        starts, ends = trainer.predict(windows).predictions
    return starts, ends


def _trainer(model: nn.Module, tokenizer: Any, whole: bool, out: Path, rows: Any, **arguments: Any) -> Any:
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments, default_data_collator

    device = next(model.parameters()).device.type
    return Trainer(
        model,
        TrainingArguments(
            output_dir=str(out),
            dataloader_pin_memory=device == "cuda",
            use_cpu=device == "cpu",
            report_to=[],
            disable_tqdm=True,
            **arguments,
        ),
        train_dataset=rows,
        data_collator=default_data_collator if whole else DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )


def dataset(rows: Sequence[dict[str, Any]], tokenizer: Any, window: int | None) -> list[dict[str, Any]]:
    """The rows as Trainer takes a dataset, padded to a window as the recipe's `padding="max_length"` leaves
    them; None: not padded.

    A list, not the `datasets.Dataset` that most projects give Trainer: reading a row costs nothing, which is
    to Trainer's gain.
    """
    if window is None:
        return list(rows)
    with quiet_transformers():
        columns = dict(tokenizer.pad(list(rows), padding="max_length", max_length=window))
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def plain_row(source: TrainingData, pick: Pick) -> dict[str, Any]:
    """A window as the recipe's row: tokens, and the first gold span (0, 0 where there is none)."""
    windows = source.sets[pick[0]]
    tokens, spans = windows.input_ids[pick[1]].tolist(), windows.spans[pick[1]].tolist()
    first, last = spans[:2] or (0, 0)
    return {
        "input_ids": tokens,
        "attention_mask": [1] * len(tokens),
        "start_positions": first,
        "end_positions": last,
    }


def padding_tokenizer(vocabulary: Vocabulary) -> Any:
    """A tokenizer that knows how to pad, and no words: Trainer's collator needs no more."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {f"[{number}]": number for number in range(vocabulary.pad)} | {"[PAD]": vocabulary.pad}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[PAD]"))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        model_input_names=inputs if vocabulary.token_types else inputs[::2],
    )


@contextmanager
def quiet_trainer() -> Iterator[None]:
    """Keep back what transformers and accelerate say on the way."""
    accelerate = logging.getLogger("accelerate")
    level = accelerate.level
    accelerate.setLevel(logging.ERROR)
    try:
        with quiet_transformers():
            yield
    finally:
        accelerate.setLevel(level)
