"""`python -m tools.gpu_day`: what it refuses, and what it hands on."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from bmt.errors import ConfigError
from tests.support.repository import ROOT
from tools.gpu_day import __main__ as command
from tools.gpu_day.day import PARTS, REHEARSED, DaySetting


def setting(*arguments: str) -> DaySetting:
    options = command.parse_arguments(arguments)
    return command.setting_of(options, options.out, time.monotonic())


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--out: missing: the folder of the day's records; or --rehearse, --pack, --bring"),
        (["--out", "x", "--budget", "29"], "--budget 29: not allowed: 30 to 3600 seconds"),
        (["--out", "x", "--budget", "3601"], "--budget 3601: not allowed: 30 to 3600 seconds"),
        (["--rehearse", "--inject", "machine"], "--inject machine: not allowed: a part (machine"),
        (["--rehearse", "--inject", "else:hang"], "--inject else:hang: not allowed: a part (machine"),
        (["--rehearse", "--inject", "machine:x"], "and a fault (error, hang, kill)"),
        (["--pack", "--out", "x"], "--pack: not allowed with the options of a day: give it alone"),
        (["--bring", "x", "--rehearse"], "--bring: not allowed with the options of a day: give it alone"),
    ],
)
def test_what_is_not_allowed_is_said(arguments: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        command.parse_arguments(arguments)
    assert says in str(refused.value)


def test_a_file_is_no_folder_for_records(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    says = f"--out {tmp_path / 'x'}: is a file: name a folder, which may be new"
    with pytest.raises(ConfigError, match=f"^{re.escape(says)}$"):
        command.parse_arguments(["--rehearse", "--out", str(tmp_path / "x")])


@pytest.mark.parametrize("inside", ["", "day"])
def test_records_are_not_put_into_the_pack(inside: str, tmp_path: Path) -> None:
    out = tmp_path / "pack" / inside
    with pytest.raises(ConfigError, match=r"lies in the pack, .*pack: name another folder$"):
        command.parse_arguments(["--out", str(out), "--packed", str(tmp_path / "pack")])


def test_a_day(gpu: None, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "other.log").touch()  # no day
    made = setting("--out", str(tmp_path), "--packed", str(tmp_path / "pack"))
    assert (made.out, made.pack, made.budget, made.rehearsal) == (tmp_path, tmp_path / "pack", 600, False)
    assert list(made.parts) == list(PARTS) and made.faults == {}
    rehearsed = setting("--out", str(tmp_path), "--rehearse", "--inject", "machine:hang")
    assert (rehearsed.budget, rehearsed.rehearsal, rehearsed.faults) == (110, True, {"machine": "hang"})
    assert {part.seconds for part in rehearsed.parts} == {REHEARSED}
    assert rehearsed.pack == ROOT / ".gpu_day"
    assert setting("--out", str(tmp_path), "--rehearse", "--budget", "77").budget == 77


def test_without_a_gpu_it_says_what_can_be_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"no GPU is seen by torch .*: --rehearse needs none"):
        setting("--out", str(tmp_path))


def test_a_folder_that_holds_a_day_is_refused_but_for_parts_of_it(gpu: None, tmp_path: Path) -> None:
    (tmp_path / "machine.json").write_text("{}")
    says = r"holds a day already \(machine.json\): name another folder, or renew parts of it with --only PART"
    with pytest.raises(ConfigError, match=says):
        setting("--out", str(tmp_path))
    made = setting("--out", str(tmp_path), "--only", "machine")
    assert [part.name for part in made.parts] == ["machine"]


def test_who_reads_the_pack_asks_for_it(gpu: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        setting("--out", str(tmp_path / "out"), "--packed", str(tmp_path / "pack"))
    assert str(refused.value) == (
        f"{tmp_path / 'pack'}: no such folder, and cells reads it: `python -m tools.gpu_day --pack` "
        "makes it; --only machine --only right --only core --only loop need none"
    )


def test_pack_and_bring_are_handed_their_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("pack", "bring"):
        module: Any = ModuleType(name)
        setattr(module, name, lambda folder, name=name: [f"{name} {folder}", "second"])
        monkeypatch.setitem(sys.modules, f"tools.gpu_day.{name}", module)
    for arguments in (["--pack"], ["--pack", "x"], ["--bring", "y"]):
        assert command.main(arguments) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"pack {ROOT / '.gpu_day'}",
        "second",
        "pack x",
        "second",
        "bring y",
        "second",
    ]


def test_a_rehearsal_needs_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[DaySetting] = []
    monkeypatch.setattr(command, "run_day", lambda setting: given.append(setting) or 0)
    assert command.main(["--rehearse", "--only", "machine"]) == 0
    assert given[0].out.name.startswith("bmt-rehearsal-") and not given[0].out.exists()


def test_help_waits_for_no_large_package() -> None:
    code = "import sys, tools.gpu_day.__main__; sys.exit('torch' in sys.modules or 'msgspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "tools.gpu_day", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "--rehearse" in done.stdout


def test_the_parts_stand_as_in_the_documentation() -> None:
    page = (ROOT / "docs" / "gpu_day.md").read_text().partition("## How the time is shared")[2]
    section = page.partition("\n## ")[0]
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    said = {name.strip(" `"): seconds.strip() for name, _, seconds in rows}
    wanted = {part.name: f"{part.seconds:.0f}" for part in PARTS[:-1]}
    assert said == wanted | {PARTS[-1].name: "all the rest"}
