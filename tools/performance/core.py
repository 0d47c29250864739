"""The speed and memory of the core: masked steps and mask learning against the plain training step, on random
weights of a known shape.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from bmt.gate_learner import GateLearner
from bmt.layers import kind_of, target_names
from bmt.masked_updates import MaskedUpdates, mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.settings import IN_DOMAIN, MaskSettings
from bmt.training.plan import autocast_for
from tools.performance.bench import Bench, ratios
from tools.performance.figures import MeasuredFigure, Measurement

SHAPES: dict[str, dict[str, int]] = {
    "minilm": {
        "vocab_size": 30522,
        "hidden_size": 384,
        "num_hidden_layers": 6,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    },
    "roberta-base": {
        "vocab_size": 50265,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 514,
        "type_vocab_size": 1,
    },
}
PLAIN = "plain step"
TARGETS = {"six masks": 1.15, "six masks, compact state": 1.15, "random mask": 1.10, "mask learning": 1.30}
"""The largest ratio to the plain step that the project allows itself."""
MOST_MASKS = 100.0
"""Megabytes that six masks of RoBERTa-base may take."""


@dataclass(frozen=True, slots=True)
class CoreSetting:
    """What is run: a shape of `SHAPES`, rows of `tokens` tokens, the device, bf16 by autocast or fp32."""

    shape: str
    rows: int
    tokens: int
    device: torch.device
    precision: str

    def loss(self, model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        """The model's own, of a batch."""
        with autocast_for(self.precision, self.device)():
            loss: Tensor = model(**inputs).loss
        return loss


def random_model(shape: str, device: torch.device | str, dropout: float = 0.0) -> nn.Module:
    """A question-answering encoder of a known shape with random weights."""
    import transformers

    family = "Roberta" if shape.startswith("roberta") else "Bert"
    config, kind = (getattr(transformers, family + part) for part in ("Config", "ForQuestionAnswering"))
    torch.manual_seed(0)
    with torch.device(device):
        model: nn.Module = kind(
            config(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **SHAPES[shape])
        )
    return model.train()


def random_masks(model: nn.Module, embeddings: float = 0.3, layers: float = 0.3) -> Masks:
    """Six masks of a stated density in the embeddings and in the rest; every dataset's drawn on its own."""
    draw, parameters = torch.Generator().manual_seed(1), dict(model.named_parameters())
    density = {
        name: embeddings if kind_of(name) in ("embedding", "position") else layers
        for name in target_names(model)
    }
    parts = []
    for dataset in IN_DOMAIN:
        opened = {
            name: torch.rand(parameters[name].shape, generator=draw) < share
            for name, share in density.items()
        }
        parts.append(Masks.of({dataset: opened}, model))
    return Masks.joined(parts, {"kind": "random"})


def batch(setting: CoreSetting) -> tuple[dict[str, Tensor], list[str]]:
    """Rows without padding, and whose they are: the six datasets in turn."""
    draw, shape = torch.Generator().manual_seed(2), (setting.rows, setting.tokens)
    ids = torch.randint(5, SHAPES[setting.shape]["vocab_size"], shape, generator=draw)
    at = torch.randint(10, setting.tokens - 10, (setting.rows,), generator=draw)
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "start_positions": at,
        "end_positions": at + 2,
    }
    owners = sorted(row % len(IN_DOMAIN) for row in range(setting.rows))
    moved = {name: value.to(setting.device) for name, value in inputs.items()}
    return moved, [IN_DOMAIN[owner] for owner in owners]


def wait_for(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def new_adamw(model: nn.Module) -> torch.optim.AdamW:
    """The optimizer of every variant."""
    return torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)


def update(model: nn.Module, optimizer: torch.optim.Optimizer, handle: MaskedUpdates | None = None) -> None:
    """Clip, AdamW, as the training loop does."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if handle:
        handle.norm = norm
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextmanager
def variants(setting: CoreSetting) -> Iterator[dict[str, Callable[[], None]]]:
    """The steps that are compared, each on a model and optimizer of its own."""
    inputs, names = batch(setting)
    first = random_model(setting.shape, setting.device)
    masks = random_masks(first)
    with ExitStack() as stack:

        def masked(what: Masks | RandomMask | None, compact: bool = False) -> Callable[[], None]:
            model = copy.deepcopy(first)
            optimizer = new_adamw(model)
            handle: MaskedUpdates | None = None
            if what:
                handle = stack.enter_context(mask_updates(optimizer, model, what, compact=compact))

            def step() -> None:
                if handle:
                    handle.rows(names)
                setting.loss(model, inputs).backward()
                update(model, optimizer, handle)

            return step

        def learned(kind: str) -> Callable[[], None]:
            model, settings = copy.deepcopy(first), MaskSettings(alpha0=0.0, density=0.3)
            keys = (0, "mask", kind)
            learner = GateLearner(model, target_names(model), settings, keys, fused=kind == "fused")
            return lambda: learner.step(lambda: setting.loss(model, inputs), count=False) and None

        yield {
            PLAIN: masked(None),
            "random mask": masked(RandomMask(0.5)),
            "six masks": masked(masks),
            # as learned masks are: nearly closed embeddings, more open layers
            "six masks, compact state": masked(random_masks(first, 0.02, 0.6), compact=True),
            "mask learning": learned("fused"),
            "mask learning, plain formulas": learned("plain"),
            "one backward per dataset": _one_backward_per_dataset(
                setting, copy.deepcopy(first), masks, inputs, names
            ),
        }


def _one_backward_per_dataset(
    setting: CoreSetting, model: nn.Module, masks: Masks, inputs: dict[str, Tensor], names: list[str]
) -> Callable[[], None]:
    """The oracle of the grouped backward: the rows of each dataset forward and backward on their own, each
    gradient masked.
    """
    optimizer, parameters = new_adamw(model), dict(model.named_parameters())
    opened = masks.unpacked(parameters)

    def step() -> None:
        total = {name: torch.zeros_like(value) for name, value in parameters.items()}
        for dataset in sorted(set(names)):
            rows = [row for row, name in enumerate(names) if name == dataset]
            loss = setting.loss(model, {name: value[rows] for name, value in inputs.items()})
            (loss * len(rows) / len(names)).backward()
            for name, value in parameters.items():
                if value.grad is not None:
                    mask = opened[name][masks.index(dataset)] if name in opened else 1
                    total[name] += value.grad * mask
                value.grad = None
        for name, value in parameters.items():
            value.grad = total[name]
        update(model, optimizer)

    return step


def measured_steps(setting: CoreSetting, bench: Bench) -> Measurement:
    """Ratios of every variant to the plain step."""
    with variants(setting) as steps:
        seconds = bench.take_turns(steps, wait=partial(wait_for, setting.device))
    plain = median(seconds[PLAIN])
    title = f"{setting.shape}, {setting.rows} windows of {setting.tokens} tokens"
    notes = (
        f"{setting.precision}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}.",
        f"A plain step takes {plain:.3f} s, {setting.rows * setting.tokens / plain:,.0f} tokens/s;"
        " ratios to it.",
    )
    figures = [
        MeasuredFigure(name, ratios(seconds, name, PLAIN), TARGETS.get(name))
        for name in seconds
        if name != PLAIN
    ]
    return Measurement(title, figures, notes)


def measured_sizes(shape: str, device: torch.device, bench: Bench) -> Measurement:
    """Bytes of six masks of RoBERTa-base, and of AdamW's state for `shape`. Rounds do not matter."""
    sizes, (dense, compact) = mask_sizes(bench.folder), optimizer_bytes(shape, device)
    notes = (
        f"Six masks of RoBERTa-base's encoder ({sizes['weights'] / 1e6:.1f}M weights), index included.",
        f"AdamW's moments for {shape} under one mask that opens 2 % of the embeddings and 60 % of the layers,"
        " values and index counted.",
    )
    figures = (
        MeasuredFigure("six masks in memory", sizes["memory"] / 1e6, MOST_MASKS, unit="MB"),
        MeasuredFigure("six masks on disk", sizes["disk"] / 1e6, MOST_MASKS, unit="MB"),
        MeasuredFigure("moments, dense", dense / 1e6, unit="MB"),
        MeasuredFigure("moments, compact", compact / 1e6, unit="MB"),
        MeasuredFigure("saved by compact moments", 1 - compact / dense, unit="%"),
    )
    return Measurement("Sizes", figures, notes)


def mask_sizes(folder: Path) -> dict[str, int]:
    """Bytes of six masks of RoBERTa-base: in memory (bits and index), and as a file."""
    model, draw = random_model("roberta-base", "meta"), torch.Generator().manual_seed(3)
    parameters = {name: value for name, value in model.named_parameters() if name in target_names(model)}
    bits = {
        name: torch.randint(256, (len(IN_DOMAIN), -(-value.numel() // 8)), generator=draw, dtype=torch.uint8)
        for name, value in parameters.items()
    }
    sizes = {name: tuple(value.shape) for name, value in parameters.items()}
    masks = Masks(IN_DOMAIN, sizes, bits, "0" * 64, {"kind": "random"})
    index = len(repr((masks.datasets, masks.shapes, masks.about)).encode())
    masks.save(path := folder / "masks.safetensors")
    return {
        "weights": sum(value.numel() for value in parameters.values()),
        "memory": sum(value.numel() for value in bits.values()) + index,
        "disk": path.stat().st_size,
    }


def optimizer_bytes(
    shape: str, device: torch.device, embeddings: float = 0.02, layers: float = 0.6
) -> tuple[int, int]:
    """Bytes of AdamW's state over masks of those densities: dense, and compact with index and values."""
    model = random_model(shape, device)
    masks = random_masks(model, embeddings, layers).union()
    return _state_bytes(model, masks, False), _state_bytes(model, masks, True)


def _state_bytes(model: nn.Module, masks: Masks, compact: bool) -> int:
    optimizer, of_model = new_adamw(model), set(map(id, model.parameters()))
    with mask_updates(optimizer, model, masks, compact=compact):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        held = sum(
            value.nbytes for state in optimizer.state.values() for value in state.values() if value.dim()
        )
        stand_ins = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in of_model]
    optimizer.zero_grad(set_to_none=True)
    return held + 8 * sum(p.numel() for p in stand_ins)  # 4 bytes of index and 4 of value
