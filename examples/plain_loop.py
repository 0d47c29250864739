"""Binary Mask Tuning in a plain PyTorch loop, on a foreign model. Seconds on a CPU, no network.

python examples/plain_loop.py          # a small DistilBERT with random weights
python examples/plain_loop.py MODEL    # any question-answering encoder: a folder, or a name on the hub
"""

import copy
import sys
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from transformers import AutoModelForQuestionAnswering, DistilBertConfig

from bmt import Masks, deviations, learn_masks, mask_updates, pretrained_copy

# Three made-up datasets: where the answer stands, seen from the question's token in the context.
DATASETS = {"same": 0, "next": 1, "previous": -1}


def batch(names: list[str], seed: int) -> dict[str, Tensor]:
    """A row per name: the question (one token), a separator, a context in which that token occurs once."""
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.stack([torch.randperm(90, generator=draw)[:22] + 10 for _ in names])
    at = torch.randint(4, 20, (len(names),), generator=draw)
    tokens[:, 1], tokens[range(len(names)), at] = 2, tokens[:, 0]
    answer = at + torch.tensor([DATASETS[name] for name in names])
    return {"input_ids": tokens, "start_positions": answer, "end_positions": answer}


def train(model: nn.Module, masks: Masks | None = None, steps: int = 60) -> float:
    """Tune `model` on mixed batches, with masks or without; the last step's loss."""
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    with mask_updates(optimizer, model, masks) if masks else nullcontext() as masked:
        for step in range(steps):
            names = list(DATASETS) * 3
            if masked:
                masked.rows(names)  # whose the rows of this batch are
            loss = model(**batch(names, 1000 + step)).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return loss.item()


torch.manual_seed(0)
small = DistilBertConfig(vocab_size=100, dim=64, hidden_dim=128, n_layers=2, n_heads=4)
kind = AutoModelForQuestionAnswering
model = kind.from_pretrained(sys.argv[1]) if sys.argv[1:] else kind.from_config(small)
plain, start = copy.deepcopy(model), pretrained_copy(model)
batches = {name: [batch([name] * 8, step) for step in range(20)] for name in DATASETS}
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
