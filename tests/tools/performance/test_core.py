"""tools.performance: turns and ratios by a clock of our own, and the command on a tiny shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bmt.errors import ConfigError
from tests.support.silent_bar import silent_bar
from tools.performance import __main__ as speed
from tools.performance import core
from tools.performance.bench import Bench, ratios
from tools.performance.page import renew_page

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
    assert (tmp_path / "reports" / "speed" / "core-cpu.json").is_file()


def test_compact_state_saves_what_the_densities_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense: 8 bytes a weight. Compact: 16 bytes an open weight of a tensor that is less than half open, 8 a
    weight of the others.
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
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (8, 32)
    assert torch.equal(inputs["end_positions"], inputs["start_positions"] + 2)


def test_the_oracle_of_the_grouped_backward_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each dataset's rows alone, each gradient through its own mask, weighted by its share of the rows."""
    monkeypatch.setitem(core.SHAPES, "minilm", TINY)
    setting = core.CoreSetting("minilm", 8, 32, torch.device("cpu"), "fp32")
    left: dict[str, torch.Tensor] = {}

    def update(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        left.update({key: value.grad.clone() for key, value in model.named_parameters()})

    monkeypatch.setattr(core, "update", update)
    with core.variants(setting) as steps:
        steps["one backward per dataset"]()
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
