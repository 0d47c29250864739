"""The speed of training at the paper's scale on a GPU: tokens per second, share of the matrix peak, memory,
hours of one MT (w/ BMT) run; HF Trainer beside it; what a step waits for, and what a graph or a compiler
saves.

The weights are random, of RoBERTa-base's shape; of the windows the lengths are what matters.
"""

from __future__ import annotations

import copy
import gc
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from statistics import median
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from benchmark.config.params import Config, load, repository_root
from bmt.errors import DataError
from bmt.gate_learner import GateLearner
from bmt.layers import target_names
from bmt.qa.batches import collate
from bmt.qa.model import batch_loss
from bmt.settings import SamplingSettings
from bmt.training.data import TrainingData
from bmt.training.plan import PASS_PRICE, Plan, autocast_for, total_steps
from bmt.training.sampling import Sampler
from bmt.training.validation import evaluate
from tools.performance import hf_trainer
from tools.performance.bench import Bench, Seconds, ratios, turns
from tools.performance.core import (
    CoreSetting,
    Step,
    batch,
    by_part,
    new_adamw,
    random_model,
    repeated,
    wait_for,
)
from tools.performance.device_memory import DeviceMemory
from tools.performance.figures import Keep, MeasuredFigure, Measurement
from tools.performance.hf_trainer import TimedRun
from tools.performance.kernels import profiled
from tools.performance.machine_limits import matrix_peak
from tools.performance.paper_steps import PaperScale, StepKind, StepSpeed, TrainingSteps
from tools.performance.paper_windows import VOCABULARY, PaperWindows
from tools.performance.same_windows import Pick
from tools.performance.training import OURS, ours

MFU, HOURS = 0.45, 1.0
"""At least this share of the measured matrix peak at a large step, without masks; at most so many hours for a
run.
"""
BUSY = 0.8
"""Share of a step that a GPU computes from which on starting its kernels is not what is waited for."""
LOW_PRICE = 4_000.0
"""Another price of a pass, to see which is nearer to the truth."""
NO_MASK, SIX_MASKS = "no mask", "six masks"
Experiment = Callable[[Bench, Keep], Measurement]
T = TypeVar("T")


def mask_step_seconds(source: TrainingData, scale: PaperScale, paper: Config, bench: Bench) -> float:
    """Median seconds of a step of mask learning in bf16 on the paper's batch of one dataset's windows."""
    model, size = random_model(scale.shape, scale.device), paper.mask.batch
    learner = GateLearner(model, target_names(model), paper.mask, (0, "mask", "speed"))
    cast, numbers = autocast_for("bf16", scale.device), count(1)
    windows = source.rows[source.datasets[0]]

    def one_round() -> None:
        for _ in range(scale.steps):
            rows = np.resize(windows, next(numbers) * size)[-size:]

            def loss(rows: np.ndarray = rows) -> torch.Tensor:
                taken = collate(source.sets, [(0, int(row)) for row in rows], VOCABULARY)
                with cast():
                    return batch_loss(model, taken.to(scale.device))

            learner.step(loss, count=False)

    name = "mask learning"
    seconds = bench.take_turns(
        {name: one_round}, wait=partial(wait_for, scale.device), after=lambda _: scale.left() > 0
    )
    return median(seconds[name]) / scale.steps


def run_hours(
    paper: Config, windows_per_question: float, step: float, mask_step: float, evaluated: float
) -> RunHours:
    """One MT (w/ BMT) run: masks, steps and validations.

    Args:
        step, mask_step: seconds of a step of tuning with six masks, and of mask learning.
        evaluated: windows per second of validation.
    """
    datasets, training, data = len(paper.data.train), paper.training, paper.data
    windows = datasets * windows_per_question
    steps = total_steps(round((data.train_cap or 0) * windows), training.epochs_mt, training.batch)
    validations = steps / training.evaluate_every * data.validation_cap * windows / evaluated
    return RunHours(
        steps, datasets * paper.mask.steps * mask_step / 3600, steps * step / 3600, validations / 3600
    )


def graphed(step: Step, device: torch.device) -> Step:
    """A step whose kernels a GPU starts from one graph, captured here; elsewhere the step as it is."""
    if device.type != "cuda":
        return step
    aside = torch.cuda.Stream(device)
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(aside):  # what is made at first use must not be captured
        repeated(step, 3)
    torch.cuda.current_stream(device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def compile_layers(model: nn.Module, backend: str) -> None:
    """Compile each layer of an encoder where it is called: they are alike, and what is compiled for one
    serves all, in a tenth of the time that the whole takes.
    """
    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            for layer in module:
                layer.compile(dynamic=True, backend=backend)


def check_equal(run: TimedRun, picks: Sequence[Sequence[Pick]], source: TrainingData, name: str) -> None:
    """Raise DataError where a side has not trained on the windows `picks`, each once."""
    wanted = sorted(
        tuple(source.sets[which].input_ids[row].tolist()) for part in picks for which, row in part
    )
    if run.passed.windows() != wanted:
        raise DataError(f"{name}: did not train on the windows given: the sides cannot be compared")


@dataclass(frozen=True, slots=True)
class RunHours:
    """Hours of a run: its steps' number, and what mask learning, steps and validation take."""

    count: int
    masks: float
    steps: float
    validation: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.masks + self.steps + self.validation


class PaperSpeed:
    """The measurements of training at the paper's scale, in the order of their worth. Each is kept on the
    way.

    Attributes:
        windows: what is trained on.
        scale: where, and how much.
    """

    def __init__(self, windows: PaperWindows, scale: PaperScale) -> None:
        self.windows, self.scale = windows, scale
        self.paper = load(repository_root() / "profiles" / "paper.yaml")
        self.training = replace(self.paper.training, precision="bf16")
        self.usual = f"{self.training.batch} windows per step"
        self.large = f"{scale.budget:,} tokens per step"
        self._speeds: dict[str, StepSpeed] = {}
        self._busy: dict[str, float] = {}
        self._wait = partial(wait_for, scale.device)

    def kinds(self) -> dict[str, StepKind]:
        """The steps that are compared, by name."""
        budget = replace(self.training, batch_tokens=self.scale.budget)
        made = [
            StepKind(f"{batch}, {masks}", training, masks == SIX_MASKS)
            for batch, training in ((self.usual, self.training), (self.large, budget))
            for masks in (NO_MASK, SIX_MASKS)
        ]
        padding = f"{100 * (self.training.padding or 0):g} % padding"
        others = [
            replace(kind, name=f"{kind.name}, {padding}", price=0.0) for kind in made if not kind.masked
        ]
        large = made[2]
        others.append(
            replace(large, name=f"{large.name}, a pass at {LOW_PRICE:,.0f} tokens", price=LOW_PRICE)
        )
        return {kind.name: kind for kind in made + others}

    def _usual(self) -> dict[str, StepKind]:
        """Those whose passes are cut as the loop does it on a GPU."""
        return {name: kind for name, kind in self.kinds().items() if kind.price == PASS_PRICE}

    def steps(self, bench: Bench, keep: Keep) -> Measurement:
        """Steps of the paper's batch and of a budget of tokens, with and without six masks, their passes by
        the price of one; and by the share of padding, as on a CPU. All take turns.
        """
        highest = matrix_peak(self.scale.device, self.scale.matrix, times=5)
        steps = self.scale.steps
        notes = (
            f"{self.windows.told} Dropout .1, {self.training.precision}; {steps} steps per round; the "
            f"measured bf16 matrix peak is {highest / 1e12:,.1f} TFLOP/s.",
            f"A pass is priced at {PASS_PRICE:,.0f} tokens where no other price stands; steps named by a "
            "share of padding take the fewest passes that keep to it.",
        )
        with ExitStack() as stack:
            ran: dict[str, TrainingSteps] = {}
            bytes_of: dict[str, float] = {}
            for name, kind in self.kinds().items():
                memory = DeviceMemory(self.scale.device)
                ran[name] = TrainingSteps.of(kind, self.windows.source, self.scale, stack)
                ran[name].next(steps)  # kernels are chosen, the allocator grows
                bytes_of[name] = memory.peak()

            def so_far(seconds: Seconds) -> Measurement:
                figures = {}
                for name, taken in seconds.items():
                    self._speeds[name] = ran[name].speed(taken, steps, steps)
                    figures[name] = self._figures(name, highest, bytes_of[name])
                return Measurement(
                    f"Training, {self.scale.title}", by_part(figures), notes, {"matrix_peak": highest}
                )

            def goes_on(seconds: Seconds) -> bool:
                keep(so_far(seconds))
                return self.scale.left() > 0

            turns_of = {name: partial(one.next, steps) for name, one in ran.items()}
            return so_far(bench.take_turns(turns_of, wait=self._wait, warm=False, after=goes_on))

    def _figures(self, name: str, highest: float, most: float) -> list[MeasuredFigure]:
        speed = self._speeds[name]
        target = MFU if name == f"{self.large}, {NO_MASK}" else None
        share = speed.flops / speed.seconds / highest
        return [
            MeasuredFigure(f"{name}: real tokens per second", speed.tokens_per_second, unit="n"),
            MeasuredFigure(f"{name}: share of the matrix peak", share, target, True, "%"),
            MeasuredFigure(f"{name}: a step", speed.seconds * 1e3, unit="ms"),
            MeasuredFigure(f"{name}: passes per step", speed.passes),
            MeasuredFigure(f"{name}: padding", speed.padding, unit="%"),
            MeasuredFigure(f"{name}: peak memory", most / 1e6, unit="MB"),
        ]

    def hours(self, bench: Bench, keep: Keep) -> Measurement:
        """Mask learning, evaluation, and the hours of one MT (w/ BMT) run that follow with the step's."""
        scale, paper, training = self.scale, self.paper, self.training
        model = random_model(scale.shape, scale.device)
        sizes = (training.evaluation_batch, 4 * training.evaluation_batch)
        evaluations = {
            size: partial(
                evaluate,
                model,
                self.windows.dev,
                VOCABULARY,
                Plan(training=replace(training, evaluation_batch=size)),
            )
            for size in sizes
        }
        named = {f"evaluation, batches of {size}": work for size, work in evaluations.items()}
        taken = replace(bench, rounds=1).take_turns(named, wait=self._wait)
        windows = sum(len(one.rows) for one in self.windows.dev)
        speeds = [windows / taken[name][0] for name in named]
        mask_step = mask_step_seconds(self.windows.source, scale, paper, bench)
        if f"{self.large}, {SIX_MASKS}" not in self._speeds:  # another process took the steps
            self.steps(bench, lambda _: None)
        usual, large = (self._speeds[f"{batch}, {SIX_MASKS}"] for batch in (self.usual, self.large))
        step = usual.seconds
        made_of = run_hours(paper, self.windows.per_question, step, mask_step, speeds[0])
        total = f"hours of one MT (w/ BMT) run, {training.batch} windows per step"
        in_large = made_of.count * usual.tokens * large.seconds / large.tokens / 3600
        figures = [
            MeasuredFigure(total, made_of.total, HOURS, unit="h"),
            MeasuredFigure("of these: mask learning", made_of.masks, unit="h"),
            MeasuredFigure("of these: steps under six masks", made_of.steps, unit="h"),
            MeasuredFigure("of these: validation", made_of.validation, unit="h"),
            MeasuredFigure(
                f"hours with {self.large}, as many windows",
                made_of.total - made_of.steps + in_large,
                unit="h",
            ),
            MeasuredFigure("a step of mask learning", mask_step * 1e3, unit="ms"),
            MeasuredFigure("a step under six masks", step * 1e3, unit="ms"),
            *(
                MeasuredFigure(f"{name}: windows per second", speed, unit="n")
                for name, speed in zip(named, speeds, strict=True)
            ),
        ]
        notes = (
            f"The run: {paper.data.train_cap:,} questions of each of {len(paper.data.train)} datasets, "
            f"{self.windows.per_question:.2f} windows per question, {training.epochs_mt:g} epochs, "
            f"{training.batch} windows per step, {made_of.count:,} steps; {paper.mask.steps:,} steps of mask "
            f"learning per dataset; validation every {training.evaluate_every:,} steps on "
            f"{paper.data.validation_cap:,} questions of each, answers and scores included. Starting, "
            "features and checkpoints are not in it. The authors needed 36 hours on a V100. Steps of another "
            "size than the paper's are another training: their hours say what the same windows would take.",
        )
        return Measurement(f"One run at the paper's scale, {scale.title}, estimated", figures, notes)

    def kernels(self, bench: Bench, keep: Keep) -> Measurement:
        """Whether a GPU waits for its kernels to be started: of steps and of an evaluation, the share of the
        time that it computes, kernels per step, what takes longest. Rounds do not matter.
        """
        title = f"What a step of training waits for, {self.scale.title}"
        notes = (
            "Busy: the kernels' time, by torch's profiler, to the time of the same steps without it. Where "
            "it is low, the GPU waits for the host to start the next kernel.",
        )
        figures: list[MeasuredFigure] = []
        records: dict[str, dict[str, object]] = {}

        def note(name: str, work: Callable[[], object], unit: str, times: int) -> None:
            work()
            began = self._now()
            work()
            seconds = (self._now() - began) / times
            taken = profiled(work, self.scale.device, calls=1, steps=times)
            self._busy[name] = taken.busy / seconds
            records[name] = {"seconds": seconds, **taken.record()}
            figures.extend(
                (
                    MeasuredFigure(f"{name}: busy", taken.busy / seconds, unit="%"),
                    MeasuredFigure(f"{name}: kernels per {unit}", taken.launches, unit="n"),
                )
            )
            keep(Measurement(title, list(figures), notes, dict(records)))

        for name, kind in self._few(self._usual()).items():
            if self.scale.left() <= 0:
                break
            gc.collect()
            with ExitStack() as stack:
                ran = TrainingSteps.of(kind, self.windows.source, self.scale, stack)
                ran.take(range(2))
                note(name, partial(ran.take, range(2)), "step", 2)
        model, dev = random_model(self.scale.shape, self.scale.device), self.windows.dev[:1]
        plan = Plan(training=self.training)
        read = max(1, math.ceil(len(dev[0].rows) / self.training.evaluation_batch))
        note("an evaluation", lambda: evaluate(model, dev, VOCABULARY, plan), "batch", read)
        return Measurement(title, figures, notes, records)

    def _few(self, kinds: dict[str, T]) -> dict[str, T]:
        """All of them, or where it is to be brief the first."""
        return dict(list(kinds.items())[:1]) if self.scale.brief else kinds

    def _now(self) -> float:
        self._wait()
        return time.perf_counter()

    def trainer(self, bench: Bench, keep: Keep) -> Measurement:
        """HF Trainer on the same windows in the same batches, padded to a batch's longest; at the paper's
        batch and at six times as many windows.
        """
        title = f"HF Trainer beside it, {self.scale.title}"
        notes = (
            f"{self.windows.told} Without masks, dropout .1, {self.training.precision}; {self.scale.steps} "
            "steps per round, the same windows and batches for every variant, each from the same weights; "
            "fused AdamW. Trainer's clock runs from its first step to its last.",
        )
        figures: list[MeasuredFigure] = []
        for times in (1, 6)[: 1 if self.scale.brief else 2]:
            if figures and self.scale.left() <= 0:
                break
            speeds = self._beside_trainer(times * self.training.batch, bench)
            name = f"{times * self.training.batch} windows per step"
            figures += [
                MeasuredFigure(f"{name}: times as fast as {other}", ratios(speeds, OURS, other))
                for other in speeds
                if other != OURS
            ]
            figures += [
                MeasuredFigure(f"{name}: real tokens per second, {one}", speed, unit="n")
                for one, speed in speeds.items()
            ]
            keep(Measurement(title, list(figures), notes))
        return Measurement(title, figures, notes)

    def _beside_trainer(self, size: int, bench: Bench) -> Seconds:
        """Real tokens per second of ours and of every setting of Trainer, round by round."""
        scale, source, training = self.scale, self.windows.source, replace(self.training, batch=size)
        first = random_model(scale.shape, scale.device, dropout=0.1)
        tokenizer = hf_trainer.padding_tokenizer(VOCABULARY)
        settings = self._few({setting.name: setting for setting in hf_trainer.ON_GPU})
        sampler = Sampler(source.rows, size, SamplingSettings(), 0)
        drawn = [
            [sampler.draw(number * scale.steps + step) for step in range(scale.steps)]
            for number in range(bench.rounds)
        ]
        speeds: Seconds = {name: [] for name in (OURS, *settings)}
        for number, name in turns(list(speeds), bench.rounds):
            if name == OURS and number > 0 and scale.left() <= 0:
                break
            picks, model = drawn[max(0, number)], copy.deepcopy(first)
            if name == OURS:
                run = ours(model, source, picks, training)
            else:
                rows = [hf_trainer.plain_row(source, pick) for part in picks for pick in part]
                out = bench.folder / "trainer"
                run = hf_trainer.train(model, rows, tokenizer, settings[name], training, 0, out)
            check_equal(run, picks, source, name)
            if number >= 0:
                speeds[name].append(run.passed.tokens / run.seconds)
        whole = min(len(rounds) for rounds in speeds.values())
        return {name: rounds[:whole] for name, rounds in speeds.items()}

    def graph(self, bench: Bench, keep: Keep) -> Measurement:
        """Forward and backward of windows of one length from a CUDA graph: what starting kernels costs."""
        scale, size, tokens = self.scale, self.training.batch, self.scale.window
        setting = CoreSetting(scale.shape, size, tokens, scale.device, "bf16")
        inputs = batch(setting)[0]
        steps: dict[str, Step] = {}
        for name in ("kernel by kernel", "as a graph"):
            model = random_model(scale.shape, scale.device, dropout=0.1)
            optimizer = new_adamw(model)

            def gradients(model: nn.Module = model) -> None:
                model.zero_grad(set_to_none=True)
                setting.loss(model, inputs).backward()

            made = gradients if name == "kernel by kernel" else graphed(gradients, scale.device)

            def step(
                made: Step = made, model: nn.Module = model, optimizer: torch.optim.Optimizer = optimizer
            ) -> None:
                made()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

            steps[name] = partial(repeated, step, scale.steps)
        seconds = bench.take_turns(steps, wait=self._wait, after=lambda _: scale.left() > 0)
        plain, graph = seconds
        figures = [
            MeasuredFigure("times as fast as kernel by kernel", ratios(seconds, plain, graph)),
            *(
                MeasuredFigure(f"a step, {name}", [one / scale.steps * 1e3 for one in taken], unit="ms")
                for name, taken in seconds.items()
            ),
        ]
        notes = (
            f"{size} windows of {tokens} tokens, dropout .1, bf16, no mask. The graph holds forward and "
            "backward passes; clipping and AdamW are started as they are.",
        )
        return Measurement(f"A CUDA graph of a pass, {scale.title}", figures, notes)

    def compiled(self, bench: Bench, keep: Keep) -> Measurement:
        """torch.compile in the loop, where launches are what is waited for.

        Without masks alone: under several it would compile anew for every batch, whose rows are grouped by
        dataset.
        """
        scale, source = self.scale, self.windows.source
        title = f"torch.compile in the loop, {scale.title}"
        notes = (
            f"{self.windows.told} No mask; each layer of the encoder by itself; one compilation for all "
            f"lengths (dynamic=True), the backend {scale.backend}; compiling is not in the steps' times.",
        )
        figures: list[MeasuredFigure] = []
        plainly = {name: kind for name, kind in self._usual().items() if not kind.masked}
        for name, kind in self._few(plainly).items():
            with ExitStack() as stack:
                plain, compiled = (TrainingSteps.of(kind, source, scale, stack) for _ in range(2))
                if scale.backend is not None:
                    compile_layers(compiled.model, scale.backend)
                began = self._now()
                compiled.next(scale.steps)
                first = self._now() - began
                plain.next(scale.steps)
                turns_of = {"plain": plain, "compiled": compiled}
                seconds = bench.take_turns(
                    {one: partial(steps.next, scale.steps) for one, steps in turns_of.items()},
                    wait=self._wait,
                    warm=False,
                    after=lambda _: scale.left() > 0,
                )
            speeds = {
                one: steps.speed(seconds[one], scale.steps, scale.steps).tokens_per_second
                for one, steps in turns_of.items()
            }
            figures += [
                MeasuredFigure(
                    f"{name}: times as fast as not compiled", ratios(seconds, "plain", "compiled")
                ),
                *(
                    MeasuredFigure(f"{name}, {one}: real tokens per second", speed, unit="n")
                    for one, speed in speeds.items()
                ),
                MeasuredFigure(f"{name}: the first {scale.steps} steps, compiling", first * 1e3, unit="ms"),
            ]
            keep(Measurement(title, list(figures), notes))
            if scale.left() <= first:
                break
        return Measurement(title, figures, notes)

    @property
    def launches_wait(self) -> bool:
        """Whether starting kernels is what some step waits for, as far as that was measured."""
        return any(busy < BUSY for name, busy in self._busy.items() if NO_MASK in name)
