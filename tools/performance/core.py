"""The speed and memory of the core: masked steps and mask learning against the plain training step, on random
weights of a known shape.

    measured_steps      the variants take turns: ratios to the plain step
    profiled_steps      one variant after another: memory, and whether a GPU waits for its kernels to be
    started
"""

from __future__ import annotations

import copy
import gc
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from bmt.gate_learner import GateLearner, Kernel
from bmt.layers import kind_of, target_names
from bmt.masked_updates import MaskedUpdates, mask_updates
from bmt.masks import Masks
from bmt.random_mask import RandomMask
from bmt.settings import IN_DOMAIN, MaskSettings
from bmt.training.plan import autocast_for
from tools.performance.bench import Bench, ratios
from tools.performance.device_memory import DeviceMemory
from tools.performance.figures import Keep, MeasuredFigure, Measurement
from tools.performance.grouped_products import grouped_products
from tools.performance.kernels import profiled

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
SHAPES["rehearsal"] = SHAPES["roberta-base"] | {
    "vocab_size": 400,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
"""RoBERTa-base's, and nothing to compute."""
PLAIN = "plain step"
TARGETS = {"six masks": 1.15, "six masks, compact state": 1.15, "random mask": 1.10, "mask learning": 1.30}
"""The largest ratio to the plain step that the project allows itself."""
SLOW = ("mask learning, plain formulas", "one backward per dataset")
"""Oracles: right, and slow."""
TRIALS = ("mask learning, compiled gates", "six masks, one grouped product")
"""What might become the default: measured where it is asked for."""
GPU_STEPS = 10
"""Steps per turn on a GPU, where one takes some 20 ms."""
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

    @property
    def title(self) -> str:
        """Shape and size."""
        return f"{self.shape}, {self.rows} windows of {self.tokens} tokens"

    @property
    def told(self) -> str:
        """Precision, and on a CPU its threads."""
        threads = "" if self.device.type == "cuda" else f", {torch.get_num_threads()} CPU threads"
        return self.precision + threads

    def loss(self, model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        """The model's own, of a batch."""
        with autocast_for(self.precision, self.device)():
            loss: Tensor = model(**inputs).loss
        return loss


def random_model(shape: str, device: torch.device | str, dropout: float = 0.0) -> nn.Module:
    """A question-answering encoder of a known shape with random weights."""
    import transformers

    family = "Bert" if shape == "minilm" else "Roberta"
    config, kind = (getattr(transformers, family + part) for part in ("Config", "ForQuestionAnswering"))
    torch.manual_seed(0)
    with torch.device(device):
        model: nn.Module = kind(
            config(hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, **SHAPES[shape])
        )
    return model.train()


def random_masks(model: nn.Module, embeddings: float = 0.3, layers: float = 0.3) -> Masks:
    """Six masks of a stated density in the embeddings and in the rest; every dataset's drawn on its own,
    where the model is: six times 124M numbers take a CPU some seconds.
    """
    parameters = dict(model.named_parameters())
    device = next(iter(parameters.values())).device
    draw = torch.Generator(device).manual_seed(1)
    density = {
        name: embeddings if kind_of(name) in ("embedding", "position") else layers
        for name in target_names(model)
    }
    parts = []
    for dataset in IN_DOMAIN:
        opened = {
            name: torch.rand(parameters[name].shape, generator=draw, device=device) < share
            for name, share in density.items()
        }
        parts.append(Masks.of({dataset: opened}, model))
    return Masks.joined(parts, {"kind": "random"})


def batch(setting: CoreSetting) -> tuple[dict[str, Tensor], list[str]]:
    """Rows without padding, and whose they are: the six datasets in turn. No attention mask: of one
    transformers asks whether all of it is true, and a GPU's host waits for the answer.
    """
    draw, shape = torch.Generator().manual_seed(2), (setting.rows, setting.tokens)
    ids = torch.randint(5, SHAPES[setting.shape]["vocab_size"], shape, generator=draw)
    at = torch.randint(10, setting.tokens - 10, (setting.rows,), generator=draw)
    inputs = {
        "input_ids": ids,
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
    return torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.0, fused=True)


def update(model: nn.Module, optimizer: torch.optim.Optimizer, handle: MaskedUpdates | None = None) -> None:
    """Clip, AdamW, as the training loop does."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if handle:
        handle.norm = norm
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


Step = Callable[[], object]
Builder = Callable[[ExitStack], Step]
"""Makes a variant's model, optimizer and masks; masks are in force until the stack is closed."""


def variants(setting: CoreSetting) -> dict[str, Builder]:
    """The steps that are compared, each on a model and optimizer of its own."""
    inputs, names = batch(setting)
    first = random_model(setting.shape, setting.device)
    drawn: dict[tuple[float, float], Masks] = {}

    def masks(embeddings: float = 0.3, layers: float = 0.3) -> Masks:
        if (embeddings, layers) not in drawn:
            drawn[embeddings, layers] = random_masks(first, embeddings, layers)
        return drawn[embeddings, layers]

    def masked(what: Callable[[], Masks | RandomMask] | None, compact: bool = False) -> Builder:
        def build(stack: ExitStack) -> Step:
            model = copy.deepcopy(first)
            optimizer = new_adamw(model)
            handle: MaskedUpdates | None = None
            if what:
                handle = stack.enter_context(mask_updates(optimizer, model, what(), compact=compact))

            def step() -> None:
                if handle:
                    handle.rows(names)
                setting.loss(model, inputs).backward()
                update(model, optimizer, handle)

            return step

        return build

    def grouped(usual: Builder) -> Builder:
        def build(stack: ExitStack) -> Step:
            step = usual(stack)

            def with_grouped_products() -> None:
                with grouped_products():
                    step()

            return with_grouped_products

        return build

    def learned(kernel: Kernel | None) -> Builder:
        def build(stack: ExitStack) -> Step:
            model, settings = copy.deepcopy(first), MaskSettings(alpha0=0.0, density=0.3)
            keys = (0, "mask", "A")
            learner = GateLearner(model, target_names(model), settings, keys, kernel=kernel)
            return lambda: learner.step(lambda: setting.loss(model, inputs), count=False)

        return build

    return {
        PLAIN: masked(None),
        "random mask": masked(lambda: RandomMask(0.5)),
        "six masks": masked(masks),
        # as learned masks are: nearly closed embeddings, more open layers
        "six masks, compact state": masked(lambda: masks(0.02, 0.6), compact=True),
        "mask learning": learned(None),
        "mask learning, plain formulas": learned("plain"),
        "one backward per dataset": lambda stack: _one_backward_per_dataset(
            setting, copy.deepcopy(first), masks(), inputs, names
        ),
        "mask learning, compiled gates": learned("compiled"),
        "six masks, one grouped product": grouped(masked(masks)),
    }


def _one_backward_per_dataset(
    setting: CoreSetting, model: nn.Module, masks: Masks, inputs: dict[str, Tensor], names: list[str]
) -> Step:
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


@dataclass(frozen=True, slots=True)
class CoreCourse:
    """How much is measured, and what becomes of it on the way.

    Attributes:
        names: of the variants; None: all but the trials. The plain step is always among them.
        steps: per turn, so that a turn is long beside a reading of the clock.
        left: seconds left; with none no further round, or variant, begins.
        keep: called with what is measured so far, after each round or variant.
        fail: called with a variant that does not work; the others go on.
    """

    names: Collection[str] | None = None
    steps: int = 1
    left: Callable[[], float] = lambda: math.inf
    keep: Keep = lambda _: None
    fail: Callable[[str, Exception], None] | None = None

    def chosen(self, builders: Mapping[str, Builder]) -> dict[str, Builder]:
        """Those of the variants."""
        wanted = set(builders) - set(TRIALS) if self.names is None else {PLAIN, *self.names}
        return {name: build for name, build in builders.items() if name in wanted}

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Do what belongs to one variant."""
        try:
            work()
        except Exception as error:
            if self.fail is None:
                raise
            self.fail(name, error)


def measured_steps(
    setting: CoreSetting,
    bench: Bench,
    course: CoreCourse = CoreCourse(),
    title: str | None = None,
) -> Measurement:
    """Ratios of every variant to the plain step; all of them are held at once and take turns.

    Args:
        title: default: the setting's.
    """
    title = title or setting.title

    def of(seconds: Mapping[str, list[float]]) -> Measurement:
        per_step = {name: [one / course.steps for one in taken] for name, taken in seconds.items()}
        plain = median(per_step[PLAIN])
        notes = (
            f"{setting.told}, torch {torch.__version__}; {course.steps} steps per turn.",
            f"A plain step takes {plain * 1e3:,.1f} ms, {setting.rows * setting.tokens / plain:,.0f} "
            "tokens/s; ratios to it.",
        )
        figures = [
            MeasuredFigure(name, ratios(per_step, name, PLAIN), TARGETS.get(name))
            for name in per_step
            if name != PLAIN
        ]
        return Measurement(title, figures, notes, {"seconds_per_step": per_step})

    def goes_on(seconds: Mapping[str, list[float]]) -> bool:
        course.keep(of(seconds))
        return course.left() > 0

    with ExitStack() as stack:
        steps: dict[str, Step] = {}

        def build(name: str, builder: Builder) -> None:
            step = builder(stack)
            repeated(step, 2)  # the optimizer's state is made, kernels are chosen
            wait_for(setting.device)
            steps[name] = partial(repeated, step, course.steps)

        for name, builder in course.chosen(variants(setting)).items():
            course.attempt(name, partial(build, name, builder))
        return of(bench.take_turns(steps, wait=partial(wait_for, setting.device), after=goes_on))


def repeated(step: Step, times: int) -> None:
    """Take a step so many times."""
    for _ in range(times):
        step()


def profiled_steps(
    setting: CoreSetting,
    bench: Bench,
    course: CoreCourse = CoreCourse(),
) -> Measurement:
    """One variant after another, alone on the device: its memory, its kernels and how busy they keep a GPU.
    Rounds do not matter.
    """
    title, records = f"{setting.title}: memory and kernels", dict[str, dict[str, object]]()
    notes = (
        f"{setting.told}, torch {torch.__version__}; every variant alone.",
        "Memory: the most that was allocated for model, optimizer and step (on a CPU: what the process has "
        "had). Busy: the kernels' time, by torch's profiler, to a step's time without it: where it is low, "
        "the GPU waits for the host to start the next kernel.",
    )
    figures: dict[str, list[MeasuredFigure]] = {}
    builders = course.chosen(variants(setting))
    bench.bar.resume_at(0, len(builders))

    def so_far() -> Measurement:
        return Measurement(title, by_part(figures), notes, dict(records))

    def measure(name: str, builder: Builder) -> None:
        gc.collect()
        memory = DeviceMemory(setting.device)
        with ExitStack() as stack:
            step = builder(stack)
            repeated(step, 3)
            wait_for(setting.device)
            began = time.perf_counter()
            repeated(step, course.steps)
            wait_for(setting.device)
            seconds = (time.perf_counter() - began) / course.steps
            most = memory.peak()
            taken = profiled(step, setting.device, calls=2)
        records[name] = {"seconds_per_step": seconds, **taken.record()}
        figures[name] = [
            MeasuredFigure(f"{name}: busy", taken.busy / seconds, unit="%"),
            MeasuredFigure(f"{name}: kernels per step", taken.launches, unit="n"),
            MeasuredFigure(f"{name}: peak memory", most / 1e6, unit="MB"),
            MeasuredFigure(f"{name}: a step", seconds * 1e3, unit="ms"),
        ]

    for name, builder in builders.items():
        if course.left() > 0:
            course.attempt(name, partial(measure, name, builder))
            course.keep(so_far())
        bench.bar.advance(1, name)
    return so_far()


def by_part(figures: Mapping[str, Sequence[MeasuredFigure]]) -> list[MeasuredFigure]:
    """The first figure of each variant, then the second of each, and so on."""
    return [figure for part in zip(*figures.values(), strict=True) for figure in part]


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
