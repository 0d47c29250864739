"""The floors of the house: pyproject.toml says which room stands on which, and every import is held against
it.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib

from tests.support.repository import ROOT

LINT = (
    sys.executable,
    "-c",
    "from importlinter.cli import lint_imports_command; lint_imports_command()",
    "--no-cache",
)


def test_no_import_runs_upward() -> None:
    done = subprocess.run(LINT, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_room_has_a_floor() -> None:
    """import-linter refuses a room without one only where a contract is exhaustive."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    contracts = {contract["id"]: contract for contract in settings["contracts"]}
    assert set(settings["root_packages"]) == {"bmt", "benchmark", "tools"}
    assert all(contracts[name]["exhaustive"] for name in ("bmt", "benchmark"))
    assert [contracts[name]["containers"] for name in ("bmt", "benchmark")] == [["bmt"], ["benchmark"]]


def test_commands_are_one_floor_and_apart() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract for contract in settings["contracts"] if contract["id"] == "benchmark")["layers"]
    commands = {path.stem for path in (ROOT / "benchmark").glob("*.py")} - {"__init__", "__main__"}
    floor = layers[1].split(" | ")
    optional = {name.strip("()") for name in floor if name.startswith("(")}
    assert {name.strip("()") for name in floor} - (optional - commands) == commands
