"""tools.performance: turns and ratios by a clock of our own, and the command on a tiny shape."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bmt.errors import ConfigError
from tests.support.silent_bar import silent_bar
from tools.performance import __main__ as speed
from tools.performance import core, experiments
from tools.performance import page as pages
from tools.performance.bench import Bench, ratios, turns
from tools.performance.figures import MeasuredFigure, Measurement
from tools.performance.kernels import ProfileRow, StepProfile
from tools.performance.page import print_measurement, renew_page

TINY = {
    "vocab_size": 80,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def test_variants_take_turns_and_ratios_are_within_a_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now, order = 0.0, ""

    def work(name: str, seconds: float) -> None:
        nonlocal now, order
        order += name
        now += seconds * (
            10 if len(order) in (4, 5, 6) else 1
        )  # the machine is slow in the first round that counts

    monkeypatch.setattr("tools.performance.bench.time.perf_counter", lambda: now)
    bench = Bench(3, silent_bar(), tmp_path)
    found = bench.take_turns(
        {"a": lambda: work("a", 2), "b": lambda: work("b", 3), "c": lambda: work("c", 1)}
    )
    assert bench.bar.count == bench.bar.total == 12
    assert order == "abc" + "abc" + "bca" + "cab"
    assert ratios(found, "b", "a") == [1.5, 1.5, 1.5] and ratios(found, "c", "a") == [0.5] * 3
    assert found["a"] == [20, 2, 2]


def test_the_clock_is_read_when_the_work_before_it_is_done(tmp_path: Path) -> None:
    """A GPU's queue is waited for before the clock starts and before it stops."""
    did: list[str] = []
    bench = Bench(1, silent_bar(), tmp_path)
    made = bench.take_turns(
        {"a": lambda: did.append("work")},
        wait=lambda: did.append("wait"),
        clock=lambda: did.append("clock") or float(len(did)),
        warm=False,
    )
    assert did == ["wait", "clock", "work", "wait", "clock"] and made == bench.seconds == {"a": [3.0]}
    bench.take_turns({"b": lambda: None})
    assert list(bench.seconds) == ["a", "b"], "what was timed before stays"
    assert list(turns("ab", 2)) == [(-1, "a"), (-1, "b"), (0, "a"), (0, "b"), (1, "b"), (1, "a")]


@pytest.mark.parametrize(("on_gpu", "timed"), [(True, True), (False, False)])
def test_a_measurement_says_on_what_and_how_often_it_was_made(
    on_gpu: bool, timed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys
) -> None:
    git = {"commit": "0123456789", "dirty": on_gpu}
    described = {"git": git, "device": "H200", "cpu": "EPYC"}
    monkeypatch.setattr(pages.environment, "describe", lambda: described)
    bench = Bench(3, silent_bar(), tmp_path)
    if timed:
        bench.seconds["a"] = [1.0]
    measurement = Measurement("T", [MeasuredFigure("x", [1.0, 3.0, 2.0], 2.5)], ["One."], {"more": 7})
    made = print_measurement(measurement, bench, on_gpu)
    where = "H200, commit 0123456, with uncommitted changes" if on_gpu else "EPYC, commit 0123456"
    assert f"Measured on {where}{'; 3 rounds' if timed else ''}.\n" in capsys.readouterr().out
    assert made["environment"] == described and made["seconds"] == bench.seconds and made["more"] == 7
    assert [(figure["name"], figure["value"], figure["target"]) for figure in made["figures"]] == [
        ("x", 2.0, 2.5)
    ]
    assert made["lines"][0] == "### T" and made["lines"][-1] == ""


def test_the_choices_are_those_of_the_experiments() -> None:
    assert tuple(core.SHAPES) == (*speed.SHAPES, "rehearsal") and tuple(experiments.DATA) == speed.DATA
    assert (*experiments.TRAIN, experiments.GPU) == speed.TRAIN
    assert speed.EXAMPLES.keys() == experiments.VERBS.keys()


def test_what_core_measures_by_device_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    def wanted(*options: str) -> tuple[str, list[str], core.CoreSetting]:
        part, order, chosen = experiments.core_experiments(speed.parse_arguments(["core", *options]))
        assert list(order) == list(chosen)
        return part, list(chosen), next(iter(chosen.values())).args[0]

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        small = ("core cpu", ["8 windows", "sizes"], core.CoreSetting("minilm", 8, 384, cpu, "fp32"))
        assert wanted("--cpu") == small
    assert wanted() == (
        "core cuda",
        ["48 windows", "8 windows", "48 windows, kernels", "8 windows, kernels", "sizes"],
        core.CoreSetting("roberta-base", 48, 384, cuda, "bf16"),
    )
    assert wanted("--rows", "3", "--tokens", "16", "--shape", "minilm") == (
        "core cuda",
        ["3 windows", "3 windows, kernels", "sizes"],
        core.CoreSetting("minilm", 3, 16, cuda, "bf16"),
    )
    assert wanted("--cpu", "--tokens", "512")[2].tokens == 512
    for tokens in ("15", "513"):
        with pytest.raises(ConfigError, match=f"--tokens {tokens}: not allowed: at least 1 round, 16 to 512"):
            wanted("--tokens", tokens)


def test_random_masks_have_their_densities_and_every_dataset_its_own(monkeypatch) -> None:
    monkeypatch.setitem(core.SHAPES, "minilm", TINY | {"hidden_size": 64, "intermediate_size": 256})
    model = core.random_model("minilm", "cpu")
    masks = core.random_masks(model, 0.1, 0.8)
    assert masks.datasets == core.IN_DOMAIN and masks.about == {"kind": "random"}
    sizes = dict(model.named_parameters())
    for name in ("bert.embeddings.position_embeddings.weight", "bert.encoder.layer.0.output.dense.weight"):
        share = 0.1 if "embeddings" in name else 0.8
        drawn = [masks.mask(dataset, name) for dataset in masks.datasets]
        assert all(mask.shape == sizes[name].shape for mask in drawn)
        assert [float(mask.float().mean()) for mask in drawn] == pytest.approx([share] * 6, abs=0.02)
        both = float((drawn[0] & drawn[1]).float().mean())
        assert both == pytest.approx(share * share, abs=0.02), "drawn on its own"


def test_the_command_measures_every_variant_and_keeps_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(core.SHAPES, "minilm", TINY)
    monkeypatch.setattr("tools.performance.page.repository_root", lambda: tmp_path)
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text("a\n<!-- core cpu:begin -->\nold\n<!-- core cpu:end -->\nb\n")
    assert speed.main(["core", "--cpu", "--rounds", "2", "--tokens", "32", "--write"]) == 0
    out, kept = capsys.readouterr().out, page.read_text()
    for name in (*core.TARGETS, "mask learning, plain formulas", "one backward per dataset"):
        assert f"| {name} |" in out and f"| {name} |" in kept
    assert kept.startswith(
        "a\n<!-- core cpu:begin -->\n`python -m tools.performance core --rounds 2`"
    ) and kept.endswith("<!-- core cpu:end -->\nb\n")
    assert "old" not in kept and "Six masks of RoBERTa-base's encoder (124.1M weights)" in kept
    assert "| six masks in memory | 93 MB |  | at most 100 MB | yes |" in kept
    assert "| six masks on disk | 93 MB |  | at most 100 MB | yes |" in kept
    record = json.loads((tmp_path / "reports" / "speed" / "core-cpu.json").read_text())
    targets = {figure["name"]: figure["target"] for figure in record["8 windows"]["figures"]}
    assert targets == {
        "random mask": 1.1,
        "six masks": 1.15,
        "six masks, compact state": 1.15,
        "mask learning": 1.3,
        "mask learning, plain formulas": None,
        "one backward per dataset": None,
    }
    seconds = record["8 windows"]["seconds"]
    for figure in record["8 windows"]["figures"]:
        assert figure["measured"] == [
            one / plain for one, plain in zip(seconds[figure["name"]], seconds[core.PLAIN], strict=True)
        ]


def test_what_is_measured_is_kept_after_every_round_and_ends_when_no_time_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two turns of three steps each in two of nine rounds; a variant that does not work leaves its error."""
    setting = core.CoreSetting("rehearsal", 6, 24, torch.device("cpu"), "fp32")
    did: list[str] = []

    def broken(stack: ExitStack) -> core.Step:
        raise RuntimeError("no such kernel")

    def made(name: str) -> core.Builder:
        return lambda stack: lambda: did.append(name)

    builders = {core.PLAIN: made("p"), "six masks": made("s"), "broken": broken, "unwanted": made("u")}
    monkeypatch.setattr(core, "variants", lambda setting: builders)
    kept: list[Measurement] = []
    failed: list[tuple[str, str]] = []
    course = core.CoreCourse(
        ("six masks", "broken"),
        steps=3,
        left=lambda: 2 - len(kept),
        keep=kept.append,
        fail=lambda name, error: failed.append((name, str(error))),
    )
    bench = Bench(9, silent_bar(), tmp_path)
    whole = core.measured_steps(setting, bench, course)
    warm = "pp" + "ss" + "ppp" + "sss"
    assert "".join(did) == warm + "pppsss" + "sssppp"
    assert failed == [("broken", "no such kernel")]
    assert [len(one.figures[0].measured) for one in kept] == [1, 2]
    assert whole == kept[1] and [figure.name for figure in whole.figures] == ["six masks"]
    assert whole.title == "rehearsal, 6 windows of 24 tokens" and whole.figures[0].target == 1.15
    assert whole.record["seconds_per_step"] == {
        name: [one / 3 for one in taken] for name, taken in bench.seconds.items()
    }
    with pytest.raises(RuntimeError, match="no such kernel"):
        core.measured_steps(setting, Bench(1, silent_bar(), tmp_path), replace(course, fail=None))


def test_memory_and_kernels_of_one_variant_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = core.CoreSetting("rehearsal", 6, 24, torch.device("cpu"), "fp32")
    profile = StepProfile(0.25, 30.0, [ProfileRow("gemm", 200.0, 3)], [])
    monkeypatch.setattr(core, "profiled", lambda step, device, calls: profile)
    monkeypatch.setattr(core.DeviceMemory, "peak", lambda self: 3e6)
    now = iter(range(100))
    monkeypatch.setattr("tools.performance.core.time.perf_counter", lambda: float(next(now)))
    kept: list[Measurement] = []
    course = core.CoreCourse(("six masks",), steps=2, keep=kept.append)
    whole = core.profiled_steps(setting, Bench(1, silent_bar(), tmp_path), course)
    assert [len(one.figures) for one in kept] == [4, 8] and whole.figures == kept[1].figures
    assert [(one.name, one.value, one.unit) for one in whole.figures] == [
        (f"{name}: {part}", value, unit)
        for part, value, unit in (
            ("busy", 0.5, "%"),
            ("kernels per step", 30.0, "n"),
            ("peak memory", 3.0, "MB"),
            ("a step", 500.0, "ms"),  # two steps in a second
        )
        for name in (core.PLAIN, "six masks")
    ]
    assert whole.record["six masks"]["kernels"] == [{"name": "gemm", "ms": 200.0, "calls": 3}]
    late = replace(course, left=lambda: 0.0)
    assert core.profiled_steps(setting, Bench(1, silent_bar(), tmp_path), late).figures == []


def test_compact_state_saves_what_the_densities_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense: 8 bytes per weight. Compact: 16 bytes per open weight of a tensor that is less than half open, 8
    per weight of the others.
    """
    monkeypatch.setitem(core.SHAPES, "minilm", TINY)
    dense, compact = core.optimizer_bytes("minilm", torch.device("cpu"), embeddings=0.1, layers=0.9)
    model = core.random_model("minilm", "cpu")
    masks = core.random_masks(model, 0.1, 0.9).union()
    want = 0.0
    for name, p in model.named_parameters():
        opened = int(masks.mask("union", name).sum()) if name in masks.shapes else p.numel()
        want += min(8 * p.numel(), 16 * opened) if opened / p.numel() < 0.5 else 8 * p.numel()
    assert dense == 8 * sum(p.numel() for p in model.parameters()) and compact == want


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--rounds 0"):
        speed.main(["core", "--cpu", "--rounds", "0"])
    page = tmp_path / "performance.md"
    page.write_text("no markers")
    with pytest.raises(
        ConfigError, match="<!-- core cpu:begin --> and <!-- core cpu:end --> must stand in it once each"
    ):
        renew_page(page, "core cpu", "x")


def test_markers_that_stand_twice_or_the_wrong_way_round_leave_the_page_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    begin, end = "<!-- core cpu:begin -->", "<!-- core cpu:end -->"
    for text in (f"a {end} b {begin} c", f"{begin}{begin}{end}", f"{begin}{end}{end}"):
        page.write_text(text)
        with pytest.raises(ConfigError, match="must stand in it once each"):
            renew_page(page, "core cpu", "x")
        assert page.read_text() == text
    page.write_text(f"a {begin} old {end} c")
    renew_page(page, "core cpu", "x\ny")
    assert page.read_text() == f"a {begin}\nx\ny\n{end} c"


def test_rows_are_the_six_datasets_in_turn_and_sorted_by_them() -> None:
    setting = core.CoreSetting("minilm", 8, 32, torch.device("cpu"), "fp32")
    inputs, names = core.batch(setting)
    assert names == [core.IN_DOMAIN[at] for at in (0, 0, 1, 1, 2, 3, 4, 5)]
    assert inputs.keys() == {"input_ids", "start_positions", "end_positions"}
    assert inputs["input_ids"].shape == (8, 32)
    assert torch.equal(inputs["end_positions"], inputs["start_positions"] + 2)


def test_the_oracle_of_the_grouped_backward_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each dataset's rows alone, each gradient through its own mask, weighted by its share of the rows."""
    monkeypatch.setitem(core.SHAPES, "minilm", TINY)
    setting = core.CoreSetting("minilm", 8, 32, torch.device("cpu"), "fp32")
    left: dict[str, torch.Tensor] = {}

    def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        left.update({key: value.grad.clone() for key, value in model.named_parameters()})

    monkeypatch.setattr(core, "update", update)
    with ExitStack() as stack:
        core.variants(setting)["one backward per dataset"](stack)()
    model = core.random_model("minilm", "cpu")
    masks, (inputs, names) = core.random_masks(model), core.batch(setting)
    parameters = dict(model.named_parameters())
    for dataset in masks.datasets:
        rows = [row for row, owner in enumerate(names) if owner == dataset]
        loss = setting.loss(model, {key: value[rows] for key, value in inputs.items()})
        gradients = torch.autograd.grad(loss * len(rows) / 8, list(parameters.values()), allow_unused=True)
        for key, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                left[key] -= gradient * (masks.mask(dataset, key) if key in masks.shapes else 1)
    assert max(float(rest.abs().max()) for rest in left.values()) < 1e-6


def test_a_new_measurement_takes_the_place_of_its_older_one_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "repository_root", lambda: tmp_path)
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text("a\n<!-- data cpu:begin -->\n<!-- data cpu:end -->\nb\n")
    for made in ({"x": {"lines": ["x: 1"]}, "y": {"lines": ["y: 2"]}}, {"x": {"lines": ["x: 3"]}}):
        pages.keep_measurements("data cpu", "python -m tools.performance data", ("y", "x"), made)
    assert page.read_text().split("take turns.\n\n")[1] == "y: 2\nx: 3\n<!-- data cpu:end -->\nb\n"
    kept = json.loads((tmp_path / "reports" / "speed" / "data.json").read_text())
    assert kept == {"x": {"lines": ["x: 3"]}, "y": {"lines": ["y: 2"]}}
