"""tools.performance: turns and ratios by a clock of our own, and the command on a tiny shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bmt.errors import ConfigError
from tests.support.silent_bar import silent_bar
from tools.performance import __main__ as speed
from tools.performance import core
from tools.performance import paired_timing as rounds
from tools.performance.page import replace_between_markers

TINY = {
    "vocab_size": 80,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def test_variants_take_turns_and_ratios_are_within_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = 0.0, ""

    def work(name: str, seconds: float) -> None:
        nonlocal now, order
        order += name
        now += seconds * (
            10 if len(order) in (4, 5, 6) else 1
        )  # the machine is slow in the first round that counts

    monkeypatch.setattr(rounds.time, "perf_counter", lambda: now)
    found = rounds.take_turns(
        {"a": lambda: work("a", 2), "b": lambda: work("b", 3), "c": lambda: work("c", 1)},
        "a",
        3,
        bar=silent_bar(),
    )
    assert order == "abc" + "abc" + "bca" + "cab"
    assert found["b"].ratios == (1.5, 1.5, 1.5) and found["c"].ratio == 0.5
    assert found["a"].seconds == (20, 2, 2)


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
    dense, compact, saved = core.optimizer_bytes("minilm", torch.device("cpu"), embeddings=0.1, layers=0.9)
    model = core.random_model("minilm", "cpu")
    masks = core.random_masks(model, 0.1, 0.9).union()
    want = 0.0
    for name, p in model.named_parameters():
        opened = int(masks.mask("union", name).sum()) if name in masks.shapes else p.numel()
        want += min(8 * p.numel(), 16 * opened) if opened / p.numel() < 0.5 else 8 * p.numel()
    assert (
        dense == 8 * sum(p.numel() for p in model.parameters())
        and compact == want
        and saved == pytest.approx(1 - want / dense)
    )


def test_bad_input_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--rounds 0"):
        speed.main(["core", "--cpu", "--rounds", "0"])
    page = tmp_path / "performance.md"
    page.write_text("no markers")
    with pytest.raises(
        ConfigError, match="<!-- core cpu:begin --> and <!-- core cpu:end --> must stand in it once each"
    ):
        replace_between_markers(page, "core cpu", ["x"])


def test_markers_that_stand_twice_or_the_wrong_way_round_leave_the_page_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    begin, end = "<!-- core cpu:begin -->", "<!-- core cpu:end -->"
    for text in (f"a {end} b {begin} c", f"{begin}{begin}{end}", f"{begin}{end}{end}"):
        page.write_text(text)
        with pytest.raises(ConfigError, match="must stand in it once each"):
            replace_between_markers(page, "core cpu", ["x"])
        assert page.read_text() == text
    page.write_text(f"a {begin} old {end} c")
    replace_between_markers(page, "core cpu", ["x", "y"])
    assert page.read_text() == f"a {begin}\nx\ny\n{end} c"
