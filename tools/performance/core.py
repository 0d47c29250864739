"""The speed and memory of the core: masked steps and mask learning against the plain training step, on random
weights of a known shape.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.cli.progress import Bar
from bmt.gate_learner import GateLearner
from bmt.layers import kind_of, target_names
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.settings import IN_DOMAIN, MaskSettings
from tools.performance.figures import MeasuredFigure, Measurement, ratio
from tools.performance.paired_timing import take_turns

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
    bf16: bool


def random_model(shape: str, device: torch.device | str, dropout: float = 0.0) -> nn.Module:
    """A question-answering encoder of a known shape with random weights."""
    from transformers import BertConfig, BertForQuestionAnswering, RobertaConfig, RobertaForQuestionAnswering

    kind, config = (
        (RobertaForQuestionAnswering, RobertaConfig)
        if shape.startswith("roberta")
        else (BertForQuestionAnswering, BertConfig)
    )
    torch.manual_seed(0)
    with torch.device(device):
        model: nn.Module = kind(
            config(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **SHAPES[shape])
        )
    return model.train()


def random_masks(model: nn.Module, embeddings: float = 0.3, layers: float = 0.3) -> Masks:
    """Six masks of a stated density in the embeddings and in the rest; every dataset's drawn on its own."""
    draw, parameters = torch.Generator().manual_seed(1), dict(model.named_parameters())
    parts = []
    for dataset in IN_DOMAIN:
        opened = {
            name: torch.rand(parameters[name].shape, generator=draw)
            < (embeddings if kind_of(name) in ("embedding", "position") else layers)
            for name in target_names(model)
        }
        parts.append(Masks.of({dataset: opened}, model))
    return Masks.joined(parts, {"kind": "random"})


def batch(setting: CoreSetting) -> tuple[dict[str, Tensor], list[str]]:
    """Rows without padding, and whose they are: the six datasets in turn."""
    draw = torch.Generator().manual_seed(2)
    ids = torch.randint(
        5, SHAPES[setting.shape]["vocab_size"], (setting.rows, setting.tokens), generator=draw
    )
    at = torch.randint(10, setting.tokens - 10, (setting.rows,), generator=draw)
    owner = sorted(range(setting.rows), key=lambda row: row % len(IN_DOMAIN))
    names = [IN_DOMAIN[row % len(IN_DOMAIN)] for row in owner]
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "start_positions": at,
        "end_positions": at + 2,
    }
    return {name: value.to(setting.device) for name, value in inputs.items()}, names


def one_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, inputs: dict[str, Tensor], bf16: bool
) -> None:
    """Forward, backward, clip, AdamW."""
    with (
        torch.autocast(next(model.parameters()).device.type, dtype=torch.bfloat16) if bf16 else nullcontext()
    ):
        loss = model(**inputs).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


@contextmanager
def variants(setting: CoreSetting) -> Iterator[dict[str, Callable[[], None]]]:
    """The steps that are compared, each on a model and optimizer of its own."""
    inputs, names = batch(setting)
    first = random_model(setting.shape, setting.device)
    masks = random_masks(first)
    steps: dict[str, Callable[[], None]] = {}
    with ExitStack() as stack:

        def masked(model: nn.Module, what: Any, compact: bool = False) -> Callable[[], None]:
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
            handle = (
                stack.enter_context(mask_updates(optimizer, model, what, compact=compact))
                if what is not None
                else None
            )

            def step() -> None:
                if handle is not None:
                    handle.rows(names)
                one_step(model, optimizer, inputs, setting.bf16)

            return step

        learned = MaskSettings(alpha0=0.0, density=0.3)
        fused, plain = (
            GateLearner(
                model := copy.deepcopy(first),
                target_names(model),
                learned,
                (0, "mask", kind),
                fused=kind == "fused",
            )
            for kind in ("fused", "plain")
        )

        def learn(learner: GateLearner) -> Callable[[], None]:
            def loss() -> Tensor:
                with (
                    torch.autocast(setting.device.type, dtype=torch.bfloat16)
                    if setting.bf16
                    else nullcontext()
                ):
                    value: Tensor = learner.model(**inputs).loss
                return value

            return lambda: learner.step(loss, count=False) and None

        steps[PLAIN] = masked(copy.deepcopy(first), None)
        steps["random mask"] = masked(copy.deepcopy(first), RandomMask(0.5))
        steps["six masks"] = masked(copy.deepcopy(first), masks)
        # as learned masks are: nearly closed embeddings, more open layers
        steps["six masks, compact state"] = masked(
            copy.deepcopy(first), random_masks(first, 0.02, 0.6), compact=True
        )
        steps["mask learning"] = learn(fused)
        steps["mask learning, plain formulas"] = learn(plain)
        steps["one backward per dataset"] = _one_backward_per_dataset(
            copy.deepcopy(first), masks, inputs, names, setting.bf16
        )
        yield steps


def _one_backward_per_dataset(
    model: nn.Module, masks: Masks, inputs: dict[str, Tensor], names: list[str], bf16: bool
) -> Callable[[], None]:
    """The oracle of the grouped backward: the rows of each dataset forward and backward on their own, each
    gradient masked.
    """
    optimizer, parameters = (
        torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True),
        dict(model.named_parameters()),
    )
    opened = masks.unpacked(parameters)

    def step() -> None:
        total = {name: torch.zeros_like(value) for name, value in parameters.items()}
        for dataset in sorted(set(names)):
            rows = [row for row, name in enumerate(names) if name == dataset]
            with (
                torch.autocast(next(model.parameters()).device.type, dtype=torch.bfloat16)
                if bf16
                else nullcontext()
            ):
                loss = (
                    model(**{name: value[rows] for name, value in inputs.items()}).loss
                    * len(rows)
                    / len(names)
                )
            loss.backward()
            for name, value in parameters.items():
                if value.grad is not None:
                    total[name] += (
                        value.grad * opened[name][masks.index(dataset)] if name in opened else value.grad
                    )
                value.grad = None
        for name, value in parameters.items():
            value.grad = total[name]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measured_steps(setting: CoreSetting, rounds: int, bar: Bar) -> Measurement:
    """Ratios of every variant to the plain step."""
    wait = torch.cuda.synchronize if setting.device.type == "cuda" else (lambda: None)
    with variants(setting) as steps:
        timings = take_turns(steps, PLAIN, rounds, bar=bar, wait=wait)
    plain = median(timings[PLAIN].seconds)
    title = f"{setting.shape}, {setting.rows} windows of {setting.tokens} tokens"
    notes = (
        f"{'bf16' if setting.bf16 else 'fp32'}, {torch.get_num_threads()} CPU threads, torch "
        f"{torch.__version__}.",
        f"A plain step takes {plain:.3f} s, {setting.rows * setting.tokens / plain:,.0f} tokens/s;"
        " ratios to it.",
    )
    figures = tuple(
        ratio(name, timing.ratios, TARGETS.get(name)) for name, timing in timings.items() if name != PLAIN
    )
    record = {name: {"ratios": timing.ratios, "seconds": timing.seconds} for name, timing in timings.items()}
    return Measurement(title, figures, notes, {"timings": record})


def measured_sizes(shape: str, device: torch.device) -> Measurement:
    """Bytes of six masks of RoBERTa-base, and of AdamW's state for `shape`."""
    sizes, (dense, compact, saved) = mask_sizes(), optimizer_bytes(shape, device)
    notes = (
        f"Six masks of RoBERTa-base's encoder ({sizes['weights'] / 1e6:.1f}M weights), index included.",
        f"AdamW's moments for {shape} under one mask that opens 2 % of the embeddings and 60 % of the layers,"
        " values and index counted.",
    )
    figures = (
        MeasuredFigure("six masks in memory", sizes["memory"] / 1e6, target=MOST_MASKS, unit="MB"),
        MeasuredFigure("six masks on disk", sizes["disk"] / 1e6, target=MOST_MASKS, unit="MB"),
        MeasuredFigure("moments, dense", dense / 1e6, unit="MB"),
        MeasuredFigure("moments, compact", compact / 1e6, unit="MB"),
        MeasuredFigure("saved by compact moments", saved, unit="%"),
    )
    record = {"mask_bytes": sizes, "optimizer_bytes": {"dense": dense, "compact": compact}}
    return Measurement("Sizes", figures, notes, record)


COUNT = 7
"""Variants that `measured_steps` times."""


def mask_sizes(shape: str = "roberta-base") -> dict[str, float]:
    """Bytes of six masks of a shape's encoder: in memory (bits and index), and as a file."""
    model = random_model(shape, "meta")
    sizes = {
        name: tuple(value.shape)
        for name, value in model.named_parameters()
        if name in set(target_names(model))
    }
    draw = torch.Generator().manual_seed(3)
    bits = {
        name: torch.randint(
            0,
            256,
            (len(IN_DOMAIN), -(-int(torch.Size(size).numel()) // 8)),
            generator=draw,
            dtype=torch.uint8,
        )
        for name, size in sizes.items()
    }
    masks = Masks(IN_DOMAIN, sizes, bits, "0" * 64, {"kind": "random"})
    index = len(repr((masks.datasets, masks.shapes, masks.about)).encode())
    with tempfile.TemporaryDirectory() as folder:
        masks.save(path := Path(folder) / "masks.safetensors")
        on_disk = path.stat().st_size
    weights = sum(torch.Size(size).numel() for size in sizes.values())
    return {
        "weights": float(weights),
        "memory": float(sum(value.numel() for value in bits.values()) + index),
        "disk": float(on_disk),
    }


def optimizer_bytes(
    shape: str, device: torch.device, embeddings: float = 0.02, layers: float = 0.6
) -> tuple[float, float, float]:
    """Bytes of AdamW's state over masks of those densities: dense, compact (with index and values), and the
    share that is saved.
    """
    model = random_model(shape, device)
    masks, of_model = random_masks(model, embeddings, layers), {id(p) for p in model.parameters()}
    total = []
    for compact in (False, True):
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
        with mask_updates(optimizer, model, masks.union(), compact=compact):
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            held = sum(
                value.numel() * value.element_size()
                for state in optimizer.state.values()
                for value in state.values()
                if value.dim()
            )
            stand_in = sum(
                p.numel()
                for group in optimizer.param_groups
                for p in group["params"]
                if id(p) not in of_model
            )
            total.append(float(held + 8 * stand_in))  # 4 bytes of index and 4 of value
        optimizer.zero_grad(set_to_none=True)
    return total[0], total[1], 1 - total[1] / total[0]
