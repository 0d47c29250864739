"""tools.performance.on_gpu: training at the paper's scale on a tiny shape and on a CPU, whose memory and peak
stand in: every figure is made, times, tokens, FLOPs and hours as by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bmt.errors import DataError
from bmt.qa.batches import collate
from bmt.settings import SamplingSettings, TrainingSettings
from bmt.training.plan import PASS_PRICE
from bmt.training.sampling import Sampler
from tests.support.repository import ROOT
from tests.support.silent_bar import silent_bar
from tests.support.tiny import windows
from tools.performance import core, experiments, hf_trainer, on_gpu, paper_steps
from tools.performance.bench import Bench
from tools.performance.figures import Measurement
from tools.performance.forward_counts import ForwardCounts
from tools.performance.hf_trainer import TimedRun
from tools.performance.kernels import StepProfile
from tools.performance.on_gpu import PaperSpeed
from tools.performance.paper_steps import PaperScale, StepKind, StepSpeed, TrainingSteps
from tools.performance.paper_windows import DECILES, PER_QUESTION, VOCABULARY, PaperWindows, generated_windows

CPU = torch.device("cpu")
SCALE = PaperScale(CPU, "rehearsal", matrix=64, budget=600, steps=1, backend=None, window=64)


@pytest.fixture(scope="module")
def source() -> PaperWindows:
    return generated_windows(40, 2, shrunk=8)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(1, silent_bar(), tmp_path)


def figures(measurement: Measurement) -> dict[str, float]:
    return {figure.name: figure.value for figure in measurement.figures}


def ignored(measurement: Measurement) -> None:
    """Nothing is kept on the way."""


def test_generated_windows_have_the_real_ones_lengths() -> None:
    made = generated_windows(4000, 3)
    assert made.source.datasets == tuple(DECILES)
    for own in made.source.sets:
        deciles = np.quantile(own.lengths, np.linspace(0, 1, 11))
        assert deciles[1:] == pytest.approx(np.array(DECILES[own.dataset][1:]), rel=0.12)
        assert own.lengths.min() >= 20 and own.lengths.max() <= 512
        assert len(own) / (own.example[-1] + 1) == pytest.approx(PER_QUESTION[own.dataset], rel=0.01)
    assert made.per_question == pytest.approx(sum(PER_QUESTION.values()) / 6)
    shrunk = generated_windows(50, 3, shrunk=8)
    assert max(int(own.lengths.max()) for own in shrunk.source.sets) <= 64
    assert shrunk.told.endswith("of each dataset, divided by 8.") and made.told.endswith("of each dataset.")


def test_a_generated_window_is_one_that_training_and_answers_can_read(source: PaperWindows) -> None:
    for questions in source.dev:
        own = questions.windows
        assert sorted(set(own.example[questions.rows].tolist())) == questions.examples.tolist() == [0, 1]
        batch = collate([own], [(0, int(row)) for row in range(len(own))], VOCABULARY)
        at = batch.spans[:, 0, 0]
        assert bool((at == batch.spans[:, 0, 1]).all()) and bool(batch.allowed.gather(1, at[:, None]).all())
        offsets = own.offsets[3].reshape(-1, 2)
        assert [questions.contexts[0][begin:end] for begin, end in offsets] == ["ab"] * len(offsets)
        assert int(own.context_start[3]) + len(offsets) + 1 == own.lengths[3]


def test_flops_of_a_step_by_hand() -> None:
    model = core.random_model("rehearsal", "cpu")
    h, f = 32, 64
    a_layer = 4 * (h * h + h) + 2 * h * f + f + h + 2 * 2 * h
    flops = 6 * (2 * a_layer + 2 * h) * 30 + 12 * 2 * h * (10**2 + 20**2)
    assert paper_steps.step_flops(model, np.array([10, 20])) == flops


def test_hours_of_a_run_by_hand() -> None:
    """6 * 80,000 questions * 1.5 windows * 3 epochs / 8 = 270,000 steps; 6,000 * 1.5 windows every 2,048 of
    them.
    """
    paper = on_gpu.load(ROOT / "profiles" / "paper.yaml")
    hours = on_gpu.run_hours(paper, 1.5, 0.01, 0.5, 3000)
    assert hours.count == 270_000 and hours.masks == 6 * 2048 * 0.5 / 3600
    assert hours.steps == pytest.approx(0.75)
    assert hours.validation == pytest.approx(270_000 / 2048 * 9000 / 3000 / 3600)
    assert hours.total == hours.masks + hours.steps + hours.validation


@pytest.mark.parametrize("price", [PASS_PRICE, 0.0])
def test_seconds_tokens_and_passes_of_steps_by_hand(
    price: float, source: PaperWindows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first round does not count; a step that is taken again has its windows again. None is computed."""
    taken: list[tuple[int, Any]] = []
    monkeypatch.setattr(paper_steps.Stepper, "take", lambda self, step, picks: taken.append((step, picks)))
    training = TrainingSettings(batch=4, precision="fp32")
    with ExitStack() as stack:
        ran = TrainingSteps.of(StepKind("x", training, False, price), source.source, SCALE, stack)
        for _ in range(3):
            ran.next(3)
        ran.take(range(2))
    sampler = Sampler(source.source.rows, 4, SamplingSettings(), 0)
    drawn = [sampler.draw(step) for step in range(9)]
    assert taken == [*enumerate(drawn), *enumerate(drawn[:2])]
    lengths = [[int(source.source.sets[which].lengths[row]) for which, row in picks] for picks in drawn]
    speed = ran.speed([4.0, 8.0], 3, 3)
    rounds = [sum(map(sum, lengths[at : at + 3])) for at in (3, 6)]
    assert speed.seconds == 12 / 6 and speed.tokens_per_second == [rounds[0] / 4, rounds[1] / 8]
    assert speed.tokens == sum(rounds) / 6
    counted = np.array([length for step in lengths[3:] for length in step])
    assert speed.flops == pytest.approx(paper_steps.step_flops(ran.model, counted) / 6)
    assert ran.stepper.limits.price == price
    if price:
        padded = sum(4 * max(step) for step in lengths[3:])
        assert speed.passes == 1 and speed.padding == pytest.approx(1 - sum(rounds) / padded)
    else:
        assert 1 < speed.passes <= 4 and 0 <= speed.padding <= 0.08


def test_every_line_in_turn(source: PaperWindows, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and hours; what was measured is kept after each round, and hours come from the steps' times."""
    speed = PaperSpeed(source, replace(SCALE, left=lambda: 0.0))
    kept: list[Measurement] = []
    whole = speed.steps(replace(bench, rounds=5), kept.append)
    assert kept == [whole], "one round: no time is left"
    usual, large = "8 windows per step", "600 tokens per step"
    kinds = [f"{batch}, {masks}" for batch in (usual, large) for masks in ("no mask", "six masks")]
    kinds += [f"{batch}, no mask, 8 % padding" for batch in (usual, large)]
    kinds.append(f"{large}, no mask, a pass at 4,000 tokens")
    parts = ("real tokens per second", "share of the matrix peak", "a step", "passes per step", "padding")
    assert list(figures(whole)) == [f"{kind}: {part}" for part in (*parts, "peak memory") for kind in kinds]
    assert {figure.name: figure.target for figure in whole.figures if figure.target} == {
        f"{large}, no mask: share of the matrix peak": 0.45
    }
    assert all(value >= 0 for value in figures(whole).values())
    monkeypatch.setattr(on_gpu, "mask_step_seconds", lambda *given: 0.5)
    speed._speeds = {
        f"{usual}, six masks": StepSpeed(0.02, 2000.0, 1.0, [1.0], 1.0, 0.3),
        f"{large}, six masks": StepSpeed(0.04, 500.0, 1.0, [1.0], 1.0, 0.3),
    }
    found = speed.hours(bench, ignored)
    values, evaluated = figures(found), bench.seconds["evaluation, batches of 32"][0]
    rows = sum(len(one.rows) for one in source.dev)
    want = on_gpu.run_hours(speed.paper, source.per_question, 0.02, 0.5, rows / evaluated)
    total = "hours of one MT (w/ BMT) run, 8 windows per step"
    assert values[total] == pytest.approx(want.total)
    # 0.16 s rather than 0.02 s for as many tokens
    assert values[f"hours with {large}, as many windows"] == pytest.approx(want.total + 7 * want.steps)
    assert values["a step of mask learning"] == 500.0 and values["a step under six masks"] == 20.0
    assert values["evaluation, batches of 32: windows per second"] == pytest.approx(rows / evaluated)
    assert [(one.name, one.target) for one in found.figures if one.target] == [(total, 1.0)]


def test_mask_steps_take_their_batch_from_one_dataset(
    source: PaperWindows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told(Bench):
        """How long a round took is given."""

        def take_turns(self, variants: Any, **options: Any) -> Any:
            variants["mask learning"]()
            return {"mask learning": [4.0, 8.0, 10.0]}

    picked: list[Any] = []
    real = on_gpu.collate
    monkeypatch.setattr(
        on_gpu,
        "collate",
        lambda sets, picks, vocabulary: picked.append(picks) or real(sets, picks, vocabulary),
    )
    paper = on_gpu.load(ROOT / "profiles" / "paper.yaml")
    paper = replace(paper, mask=replace(paper.mask, batch=2))
    scale = replace(SCALE, steps=2)
    assert on_gpu.mask_step_seconds(source.source, scale, paper, Told(3, silent_bar(), tmp_path)) == 4.0
    assert picked == [[(0, 0), (0, 1)], [(0, 2), (0, 3)]]


def test_what_a_step_waits_for(source: PaperWindows, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy: the kernels' seconds to those of the same steps without the profiler."""
    given: list[dict[str, int]] = []

    def profiled(work: Callable[[], object], device: torch.device, **counts: int) -> StepProfile:
        given.append(counts)
        return StepProfile(0.125, 900.0, [], [])

    monkeypatch.setattr(on_gpu, "profiled", profiled)
    monkeypatch.setattr(paper_steps.Stepper, "take", lambda self, step, picks: None)
    monkeypatch.setattr(on_gpu, "evaluate", lambda *given: {})
    now = iter(np.arange(0, 100, 0.5).tolist())
    monkeypatch.setattr("tools.performance.on_gpu.time.perf_counter", lambda: next(now))
    speed = PaperSpeed(source, replace(SCALE, brief=True))
    assert not speed.launches_wait, "nothing was measured"
    kept: list[Measurement] = []
    whole = speed.kernels(bench, kept.append)
    first = "8 windows per step, no mask"
    assert figures(whole) == {
        f"{first}: busy": 0.5,  # of two steps in half a second
        f"{first}: kernels per step": 900.0,
        "an evaluation: busy": 0.25,  # of one batch
        "an evaluation: kernels per batch": 900.0,
    }
    assert given == [{"calls": 1, "steps": 2}, {"calls": 1, "steps": 1}] and len(kept) == 2
    assert speed.launches_wait
    speed._busy = {first: 0.8}
    assert not speed.launches_wait


def test_trainer_beside_ours_on_the_same_windows(
    source: PaperWindows, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    speed = PaperSpeed(source, replace(SCALE, brief=True, steps=2))
    whole = speed.trainer(bench, ignored)
    name = "8 windows per step"
    ours, theirs = (f"{name}: real tokens per second, {one}" for one in ("ours", "Trainer"))
    values = figures(whole)
    assert list(values) == [f"{name}: times as fast as Trainer", ours, theirs]
    assert values[f"{name}: times as fast as Trainer"] == pytest.approx(values[ours] / values[theirs])
    nothing = TimedRun(1.0, 1.0, 0.0, ForwardCounts())
    monkeypatch.setattr(on_gpu, "ours", lambda *given: nothing)
    with pytest.raises(DataError, match=r"^ours: did not train on the windows given"):
        speed.trainer(bench, ignored)


def test_rows_for_trainer_are_the_windows(tmp_path: Path) -> None:
    own = [windows("A", 6), windows("B", 6, seed=1)]
    source = SimpleNamespace(sets=own)
    row = hf_trainer.plain_row(source, (1, 4))  # type: ignore[arg-type]
    tokens = own[1].input_ids[4].tolist()
    first, last = own[1].spans[4].tolist()
    assert row == {
        "input_ids": tokens,
        "attention_mask": [1] * len(tokens),
        "start_positions": first,
        "end_positions": last,
    }
    tokenizer = hf_trainer.padding_tokenizer(VOCABULARY)
    padded = tokenizer.pad(
        [{"input_ids": [9, 8], "attention_mask": [1, 1]}, {"input_ids": [7], "attention_mask": [1]}]
    )
    assert dict(padded) == {"input_ids": [[9, 8], [7, 1]], "attention_mask": [[1, 1], [1, 0]]}


def test_a_graph_and_a_compiler_take_turns_with_what_is_plain(source: PaperWindows, bench: Bench) -> None:
    speed = PaperSpeed(source, replace(SCALE, brief=True))
    found = speed.graph(bench, ignored)
    plain, graph = (bench.seconds[name][0] for name in ("kernel by kernel", "as a graph"))
    assert figures(found) == {
        "times as fast as kernel by kernel": plain / graph,
        "a step, kernel by kernel": plain * 1e3,
        "a step, as a graph": graph * 1e3,
    }
    found = speed.compiled(bench, ignored)
    name = "8 windows per step, no mask"
    plain, compiled = (bench.seconds[one][0] for one in ("plain", "compiled"))
    values = figures(found)
    assert values[f"{name}: times as fast as not compiled"] == plain / compiled
    lengths = np.concatenate([windows.lengths for windows in source.source.sets])
    assert values[f"{name}, plain: real tokens per second"] * plain <= 8 * lengths.max()
    assert values[f"{name}: the first 1 steps, compiling"] > 0


def test_every_layer_is_compiled_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    model = core.random_model("rehearsal", "cpu")
    compiled: list[tuple[str, Any]] = []
    monkeypatch.setattr(
        torch.nn.Module, "compile", lambda self, **options: compiled.append((type(self).__name__, options))
    )
    on_gpu.compile_layers(model, "inductor")
    assert compiled == [("RobertaLayer", {"dynamic": True, "backend": "inductor"})] * 2


def test_the_command_measures_the_lines_on_one_set_of_windows(
    source: PaperWindows, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []

    class Speed:
        def __init__(self, windows: Any, scale: PaperScale) -> None:
            made.append((windows, scale.device, scale.steps))

        def steps(self, bench: Bench, keep: on_gpu.Keep) -> Any:
            return keep(Measurement("s", [], [])), "steps", bench

        def hours(self, bench: Bench, keep: on_gpu.Keep) -> Any:
            return "hours"

    monkeypatch.setattr(on_gpu, "PaperSpeed", Speed)
    monkeypatch.setattr(experiments, "subject_windows", lambda subject, bench: source)
    lines = experiments._on_gpu(SimpleNamespace(sizes=SimpleNamespace(steps=7)))  # type: ignore[arg-type]
    assert list(lines) == list(experiments.ON_GPU) and not made
    assert lines["steps"](bench) == (None, "steps", bench) and lines["hours"](bench) == "hours"
    assert made == [(source, torch.device("cuda"), 7)]
    for name in experiments.ON_GPU:
        assert callable(getattr(PaperSpeed, name))
