"""Binary Mask Tuning inside the Hugging Face `Trainer`, on a foreign model. Seconds on a CPU, no network.

python examples/hf_trainer.py          # a small ELECTRA with random weights
python examples/hf_trainer.py MODEL    # any question-answering encoder: a folder, or a name on the hub
"""

import copy
import random
import sys
import tempfile
from contextlib import nullcontext

import torch
from transformers import AutoModelForQuestionAnswering, ElectraConfig, Trainer, TrainingArguments
from transformers.data.data_collator import default_data_collator

from bmt import Masks, deviations, learn_masks, mask_updates, pretrained_copy

# Three made-up datasets: where the answer stands, seen from the question's token in the context.
DATASETS = {"same": 0, "next": 1, "previous": -1}
EVALUATION = {"eval_strategy": "steps", "eval_steps": 30, "save_strategy": "no", "disable_tqdm": True}


def questions(name: str, count: int, seed: int) -> list[dict]:
    """Questions of one dataset: a token, a separator, a context in which the token occurs once."""
    draw, rows = random.Random(f"{name} {seed}"), []
    for _ in range(count):
        tokens, at = draw.sample(range(10, 100), 22), draw.randrange(4, 20)
        tokens[1], tokens[at] = 2, tokens[0]
        answer = at + DATASETS[name]
        rows.append({"input_ids": tokens, "start_positions": answer, "end_positions": answer})
    return rows


def train(model: torch.nn.Module, masks: Masks | None = None) -> float:
    """60 steps of the Trainer on shuffled rows, with masks or without; the mean training loss."""
    data = [row | {"dataset": i} for i, name in enumerate(DATASETS) for row in questions(name, 160, 1000)]
    budget = {"max_steps": 60, "learning_rate": 1e-3, "weight_decay": 0.01}
    # With masks the Trainer must keep the column `dataset`: mask_updates takes it out of each batch.
    columns = {"remove_unused_columns": masks is None}
    settings = TrainingArguments(
        tempfile.gettempdir(), report_to="none", use_cpu=True, **budget, **EVALUATION, **columns
    )
    trainer = Trainer(model, settings, train_dataset=data, eval_dataset=data[::10])
    with mask_updates(trainer.create_optimizer(), model, masks) if masks else nullcontext():
        return float(trainer.train().training_loss)


torch.manual_seed(0)
size = {"embedding_size": 32, "hidden_size": 64, "intermediate_size": 128}
small = ElectraConfig(vocab_size=100, num_hidden_layers=2, num_attention_heads=4, **size)
kind = AutoModelForQuestionAnswering
model = kind.from_pretrained(sys.argv[1]) if sys.argv[1:] else kind.from_config(small)
plain, start = copy.deepcopy(model), pretrained_copy(model)
batches = {name: [default_data_collator(questions(name, 8, step)) for step in range(20)] for name in DATASETS}
masks = learn_masks(model, batches, alpha0=0.0, density=0.3, steps=20)
densities = [f"{name} {value:.3f}" for name, value in masks.densities().items()]
print("mask density", ", ".join([*densities, f"union {masks.union_density():.3f}"]))
for title, tuned, given in (("without masks", plain, None), ("with masks", model, masks)):
    loss, moved = train(tuned, given), deviations(tuned, start)["total"]
    distance = f"weights changed {moved.changed:.3f}, relative deviation {moved.relative:.4f}"
    print(f"{title}: loss {loss:.3f}, {distance}")
union = masks.union()
closed = {name: ~union.mask("union", name) for name in masks.shapes}
weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
changed = sum(int((weights[name] != start[name])[where].sum()) for name, where in closed.items())
count = sum(int(where.sum()) for where in closed.values())
print(f"closed in every mask: {count} weights, {changed} changed")
