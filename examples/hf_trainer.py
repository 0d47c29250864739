"""Binary Mask Tuning inside the Hugging Face `Trainer`, on a model that this project does not know. Seconds
on a CPU, no network.

python examples/hf_trainer.py          # a small ELECTRA with random weights
python examples/hf_trainer.py MODEL    # any question-answering encoder: a folder, or a name on the hub
"""

import copy
import random
import sys
import tempfile
from contextlib import nullcontext

import torch
from torch import nn
from transformers import (
    AutoModelForQuestionAnswering,
    ElectraConfig,
    ElectraForQuestionAnswering,
    Trainer,
    TrainingArguments,
)
from transformers.data.data_collator import default_data_collator

from bmt import Masks, learn_masks, mask_updates
from bmt.deviation import deviations, pretrained_copy

DATASETS = {
    "same": 0,
    "next": 1,
    "previous": -1,
}  # three made-up datasets: where the answer stands, seen from the question's token


def questions(name: str, count: int, seed: int) -> list[dict]:
    """Questions of one dataset: a token, a separator, a context in which the token occurs once."""
    draw, rows = random.Random(f"{name} {seed}"), []
    for _ in range(count):
        tokens, at = draw.sample(range(10, 100), 22), draw.randrange(4, 20)
        tokens[1], tokens[at] = 2, tokens[0]
        rows.append(
            {
                "input_ids": tokens,
                "start_positions": at + DATASETS[name],
                "end_positions": at + DATASETS[name],
            }
        )
    return rows


def train(model: nn.Module, masks: Masks | None = None) -> float:
    """60 steps of the Trainer on shuffled rows, with masks or without; the mean training loss."""
    data = [
        row | {"dataset": place} for place, name in enumerate(DATASETS) for row in questions(name, 160, 1000)
    ]
    settings = TrainingArguments(
        tempfile.gettempdir(),
        save_strategy="no",
        max_steps=60,
        learning_rate=1e-3,
        weight_decay=0.01,
        eval_strategy="steps",
        eval_steps=30,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=masks is None,  # it would drop `dataset`
    )
    trainer = Trainer(model, settings, train_dataset=data, eval_dataset=data[::10])
    with (
        mask_updates(trainer.create_optimizer(), model, masks) if masks else nullcontext()
    ):  # takes `dataset` out of each batch
        return float(trainer.train().training_loss)


torch.manual_seed(0)
small = ElectraConfig(
    vocab_size=100,
    embedding_size=32,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
)
model = (
    AutoModelForQuestionAnswering.from_pretrained(sys.argv[1])
    if sys.argv[1:]
    else ElectraForQuestionAnswering(small)
)
plain, start = copy.deepcopy(model), pretrained_copy(model)
batches = {name: [default_data_collator(questions(name, 8, step)) for step in range(20)] for name in DATASETS}
masks = learn_masks(model, batches, alpha0=0.0, density=0.3, steps=20)
print(
    "mask density",
    *(f"{name} {value:.3f}," for name, value in masks.densities().items()),
    f"union {masks.union_density():.3f}",
)
for title, tuned, given in (("without masks", plain, None), ("with masks", model, masks)):
    loss, moved = train(tuned, given), deviations(tuned, start)["total"]
    print(
        f"{title}: loss {loss:.3f}, weights changed {moved.changed:.3f}, relative deviation {moved.relative:.4f}"
    )
union = masks.union()
closed = {name: ~union.mask("union", name) for name in masks.shapes}
changed = sum(
    int((p != start[name])[closed[name]].sum()) for name, p in model.named_parameters() if name in closed
)
print(
    f"closed in every mask: {sum(int(where.sum()) for where in closed.values())} weights, {changed} changed"
)
