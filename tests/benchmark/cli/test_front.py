"""`python -m benchmark`, the console script, and a verb that does not exist."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from benchmark.cli.front import check_module, listing
from benchmark.cli.verbs import GROUPS
from tests.support.repository import ROOT

LINES = {verb: line for verbs in GROUPS.values() for verb, line in verbs.items()}


def call(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)


def test_the_list_is_the_files_at_the_top_of_benchmark() -> None:
    files = {path.stem for path in (ROOT / "benchmark").glob("*.py")} - {"__init__", "__main__"}
    assert files == LINES.keys() and len(LINES) == sum(map(len, GROUPS.values()))
    assert all(line and len(f"  {verb:<11}{line}") <= 80 for verb, line in LINES.items())


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_verb_the_verbs_are_listed_by_group(words: list[str]) -> None:
    done = call("-m", "benchmark", *words)
    assert (done.returncode, done.stderr, done.stdout) == (
        0,
        "",
        "\n".join(listing("benchmark", GROUPS)) + "\n",
    )
    lines = done.stdout.splitlines()
    for group, verbs in GROUPS.items():
        at = lines.index(group)
        assert lines[at - 1] == ""
        assert [line.split(maxsplit=1) for line in lines[at + 1 : at + 1 + len(verbs)]] == [
            [verb, line] for verb, line in verbs.items()
        ]


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The console script as pip writes it."""
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["bmt-benchmark"]
    module, _, name = entry.partition(":")
    path = tmp_path / "bmt-benchmark"
    path.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom {module} import {name}\nsys.exit({name}())\n"
    )
    return path


def test_a_verb_is_run_by_all_three_doors(script: Path) -> None:
    doors = [
        call("-m", "benchmark.profile"),
        call("-m", "benchmark", "profile"),
        call(str(script), "profile"),
    ]
    assert doors[0].stdout.startswith("params.yaml: profile ")
    assert {(done.returncode, done.stdout, done.stderr) for done in doors} == {(0, doors[0].stdout, "")}
    doors = [call("-m", "benchmark.profile", "a", "b"), call("-m", "benchmark", "profile", "a", "b")]
    doors.append(call(str(script), "profile", "a", "b"))
    line = "error: unknown: b; `python -m benchmark.profile --help` shows what is allowed\n"
    assert {(done.returncode, done.stdout, done.stderr) for done in doors} == {(2, "", line)}


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        (
            "comprae",
            "error: comprae: no such verb (did you mean compare?): `python -m benchmark` lists them\n",
        ),
        ("TRAIN", "error: TRAIN: no such verb (did you mean train?): `python -m benchmark` lists them\n"),
        ("runs", "error: runs: no such verb: `python -m benchmark` lists them\n"),
        ("__init__", "error: __init__: no such verb: `python -m benchmark` lists them\n"),
    ],
)
def test_a_misspelt_verb_gets_the_nearest(verb: str, says: str, script: Path) -> None:
    for door in (["-m", f"benchmark.{verb}"], ["-m", "benchmark", verb], [str(script), verb]):
        done = call(*door)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", says), door


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["python"],
        ["python", "-m"],
        ["python", "-m", "pytest", "benchmark.comprae"],
        ["python", "-m", "benchmark"],
        ["python", "-m", "benchmark.train", "x"],
        ["python", "-X", "dev", "-m", "benchmark.studies.worker"],
        ["python", "-m", "tools.performance"],  # which is left to tools
        ["python", "x.py", "-m"],
    ],
)
def test_what_is_no_verb_of_ours_is_left_to_python(words: list[str]) -> None:
    check_module(words)


def test_importing_the_package_leaves_ctrl_c_alone() -> None:
    code = (
        "import signal, benchmark, benchmark.train; assert signal.getsignal(2) is signal.default_int_handler"
    )
    again = f"os.execv({sys.executable!r}, ['python', '-c', {code!r}])"
    ignoring = f"import os, signal; signal.signal(2, signal.SIG_DFL); {again}"
    done = call("-c", ignoring)
    assert done.returncode == 0, done.stderr


def test_the_makers_commands_are_listed_too() -> None:
    done = call("-m", "tools")
    assert (done.returncode, done.stderr) == (0, "")
    verbs = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    rooms = {path.parent.name for path in (ROOT / "tools").glob("*/__main__.py")}
    files = {path.stem for path in (ROOT / "tools").glob("*.py") if "run_command(main)" in path.read_text()}
    assert verbs == rooms | files
    says = "error: perfomance: no such verb (did you mean performance?): `python -m tools` lists them\n"
    for door in (["tools", "perfomance"], ["tools.perfomance"]):
        done = call("-m", *door)
        assert (done.returncode, done.stdout, done.stderr) == (2, "", says), door
    assert call("-m", "tools", "deviations", "--help").stdout.startswith("usage: ")


QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
    "OMP_WAIT_POLICY": "passive",
}


@pytest.mark.parametrize("own", [{}, {"DO_NOT_TRACK": "0", "OMP_WAIT_POLICY": "active"}])
def test_nothing_reports_to_anybody_and_threads_sleep_unless_the_user_says_otherwise(
    own: dict[str, str],
) -> None:
    read = f"{{name: os.environ.get(name) for name in {list(QUIET)}}}"
    code = f"import benchmark, json, os; print(json.dumps({read}))"
    environment = {key: value for key, value in os.environ.items() if key not in QUIET} | own
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == QUIET | own


@pytest.mark.parametrize("package", ["benchmark", "tools"])
def test_another_python_says_in_one_line_what_to_do(package: str) -> None:
    older = "sys.argv, sys.version_info, sys.version = ['-m'], (3, 10, 1), '3.10.1 (x)'"
    code = f"import sys; {older}; import {package}"
    done = call("-c", code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"error: {sys.executable} is Python 3.10.1; 3.11, 3.12 or 3.13 is needed: "
        "activate the project's environment (source .venv/bin/activate), which `make setup` makes\n"
    )
