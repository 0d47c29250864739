from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from benchmark.config.params import Config, load
from tests.support.repository import ROOT
from tests.support.sections import SECTIONS
from tools import deviations
from tools.deviations import document


def test_the_committed_document_is_what_the_knobs_generate() -> None:
    assert (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8") == document(), (
        "run python -m tools.deviations"
    )


def rows() -> dict[str, list[str]]:
    """The tables' rows by their first column."""
    lines = [line for line in document().splitlines() if line.startswith("| `")]
    return {
        cells[0].strip("`"): cells
        for cells in ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines)
    }


@pytest.mark.parametrize(("section", "settings"), SECTIONS.items())
def test_every_open_point_has_its_row_and_no_other_knob_has_one(section: str, settings: type) -> None:
    listed = {key for key in rows() if key.startswith(f"{section}.")}
    assert listed == {
        f"{section}.{entry.name}"
        for entry in fields(settings)
        if entry.metadata["paper"] in ("silent", "contradictory")
    }
    for entry in fields(settings):
        assert entry.metadata["paper"] in ("stated", "silent", "contradictory", "ours"), entry.name
        assert entry.metadata["doc"], entry.name
        if entry.metadata["paper"] in ("silent", "contradictory"):
            assert entry.metadata["note"], f"{section}.{entry.name}: say why this was chosen"


def test_a_row_says_the_choice_as_params_yaml_writes_it() -> None:
    assert rows()["mask.lam"] == [
        "`mask.lam`",
        "silent",
        "`1.25e-7`",
        "lambda of eq. 12, on the sum of P(s > 0). DiffPruning's value.",
        "at least 0",
    ]
    assert rows()["mask.alpha0"][2] == "`5.0`"
    assert rows()["mask.density"][2] == "`null`"
    assert rows()["data.special_tokens"][2] == "`[TLE], [DOC], [PAR]`"
    assert rows()["mask.binarise"][1] == "contradictory"


def test_the_switches_are_keys_of_the_configuration() -> None:
    config = load(ROOT / "profiles" / "paper.yaml")
    assert isinstance(config, Config)
    for key in rows():
        section, *inner, name = key.split(".")
        place = getattr(config, section)
        assert hasattr(next(iter(place.values())) if inner == ["<name>"] else place, name), key


def test_the_command_writes_the_page_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["deviations"])
    deviations.main()
    page = (tmp_path / "docs" / "deviations.md").read_text(encoding="utf-8")
    assert page == document()
    assert capsys.readouterr().out == f"docs/deviations.md: {len(page.splitlines())} lines\n"


def test_every_choice_without_a_switch_has_its_row() -> None:
    tail = document().split("## Without a switch\n")[1]
    lines = [line for line in tail.splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [
        about for about, *_ in deviations.FIXED
    ]
    assert {kind for _, kind, _ in deviations.FIXED} == {"silent", "contradictory"}
