"""What every command shares: exit statuses and one-line errors, tried as a user would."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmark.cli.commands import (
    add_format_option,
    add_params_options,
    add_results_options,
    command_parser,
    run_command,
)
from benchmark.cli.verbs import GROUPS
from bmt.errors import ConfigError, DataError
from tests.support.repository import ROOT
from tools import GROUPS as TOOLS

VERBS = [verb for verbs in GROUPS.values() for verb in verbs]
COMMANDS = [f"benchmark.{verb}" for verb in VERBS]
COMMANDS += [f"tools.{verb}" for verbs in TOOLS.values() for verb in verbs]
FULL = (
    "error: runs/x: No space left on device: free some space and run the same command again; nothing "
    "half-written was kept\n"
)
TODO = "activate the project's environment (source .venv/bin/activate), which `make setup` makes"
ABSENT = f"in {sys.executable}: {TODO}\n"


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as Python handles it, also where the suite runs with it ignored (`make test &`)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def fails(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return main


def pressed_and_swallowed() -> int:
    """Ctrl-C inside a library that makes an error of its own of it."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("a worker died") from None
    return 0


def pressed_and_left() -> int:
    """Ctrl-C that work has made a status of, so that its trial is left as it is."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    return 0


def pressed_and_ended_otherwise() -> int:
    """Ctrl-C while the work was ending by itself, with its own word and status."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise SystemExit(143) from None
    return 0


@pytest.mark.parametrize(
    ("main", "status", "line"),
    [
        (lambda: 0, 0, ""),
        (lambda: None, 0, ""),
        (lambda: 3, 3, ""),
        (
            fails(ConfigError("params.yaml: mask.gamma: 0.5: below 0")),
            2,
            "error: params.yaml: mask.gamma: 0.5: below 0\n",
        ),
        (fails(DataError("x.jsonl.gz, line 3: no JSON")), 1, "error: x.jsonl.gz, line 3: no JSON\n"),
        (fails(DataError("two\nlines and \x1b[31mcolour")), 1, "error: two lines and \ufffd[31mcolour\n"),
        (fails(OSError(errno.ENOSPC, "No space left on device", "runs/x")), 1, FULL),
        (
            fails(PermissionError(errno.EACCES, "Permission denied", "runs")),
            1,
            "error: runs: Permission denied\n",
        ),
        (
            fails(ModuleNotFoundError("No module named 'yaml'", name="yaml")),
            1,
            f"error: yaml is not installed {ABSENT}",
        ),
        (
            fails(ImportError("libcudart.so.12: no such file", name="torch")),
            1,
            f"error: torch cannot be imported (libcudart.so.12: no such file) {ABSENT}",
        ),
        (fails(KeyboardInterrupt()), 130, "interrupted\n"),
        (pressed_and_swallowed, 130, "interrupted\n"),
        (pressed_and_left, 130, "interrupted\n"),
        (pressed_and_ended_otherwise, 143, ""),
        (fails(SystemExit(130)), 130, ""),  # nobody pressed: whoever left has said why
        (fails(SystemExit(143)), 143, ""),
        (fails(OSError("no name and no number")), 1, "error: no name and no number\n"),
        (fails(FileNotFoundError(errno.ENOENT, "No such file", "a\nb")), 1, "error: a b: No such file\n"),
        (
            fails(ModuleNotFoundError("No module named 'google.x'", name="google.x")),
            1,
            f"error: google.x is not installed {ABSENT}",
        ),
    ],
)
def test_statuses_and_lines(main, status, line, capsys):
    with pytest.raises(SystemExit) as left:
        run_command(main)
    assert left.value.code == status
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        ImportError("cannot import name 'x'", name="benchmark.runs"),
        ModuleNotFoundError("No module named 'bmt.x'", name="bmt.x"),
        ImportError("who knows"),
    ],
)
def test_a_defect_of_ours_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)) as kept:
        run_command(fails(error))
    assert kept.value is error


def test_ctrl_c_is_handled_as_before_when_a_command_has_ended() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit):
        run_command(lambda: 0)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--parms", "x"], r"unknown: --parms x (did you mean --params?)"),
        (["--params", "x", "--profile", "y"], "argument --profile: not allowed with argument --params"),
        (["--jobs", "\x1b[31m\n"], r"argument --jobs: invalid int value: '\x1b[31m\n'"),
        (["\x1b[31m\n"], "unknown: \ufffd[31m "),
        (["--jobs"], "argument --jobs: expected one argument"),
    ],
)
def test_a_usage_error_is_one_line_that_names_what_was_meant(words, says, capsys):
    parser = command_parser("x", "", "")
    add_params_options(parser)
    parser.add_argument("--jobs", type=int)
    with pytest.raises(SystemExit) as left:
        parser.parse_args(words)
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {says}; `python -m benchmark.x --help` shows what is allowed\n"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--paper-tabel", "3"], "unknown: --paper-tabel 3 (did you mean --paper-table?)"),
        (["--out", "x", "--paper-tabel=3"], "unknown: --paper-tabel=3 (did you mean --paper-table?)"),
        (["3", "--paper-tabel"], "unknown: 3 --paper-tabel (did you mean --paper-table?)"),
        (["--paper-table", "3", "--ou", "x"], "unknown: --ou x (did you mean --out?)"),
        (["--paper-table", "3", "--paper", "x"], "unknown: --paper x (did you mean --paper-table?)"),
        (["--paper-table", "3", "--out", "x", "4"], "unknown: 4"),
        (["4"], "the following arguments are required: --paper-table"),
        ([], "the following arguments are required: --paper-table"),
    ],
)
def test_a_misspelt_option_is_told_before_the_required_one_that_it_was_to_be(words, says, capsys):
    parser = command_parser("x", "", "")
    parser.add_argument("--paper-table", required=True)
    parser.add_argument("--out")
    with pytest.raises(SystemExit) as left:
        parser.parse_args(words)
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {says}; `python -m benchmark.x --help` shows what is allowed\n"
    parsed = command_parser("x", "", "")
    parsed.add_argument("--paper-table", required=True)
    assert parsed.parse_args(["--paper-table", "3"]).paper_table == "3"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--paper-tabel", "3", "--help"]])
def test_help_shows_what_is_required(words, capsys):
    parser = command_parser("x", "", "")
    parser.add_argument("--paper-table", required=True)
    with pytest.raises(SystemExit) as left:
        parser.parse_args(words)
    assert left.value.code == 0
    usage = "usage: python -m benchmark.x [-h] --paper-table PAPER_TABLE\n"
    assert capsys.readouterr().out.startswith(usage)


def test_a_misspelt_option_of_a_parser_below_is_told_before_what_that_one_needs(capsys):
    parser = command_parser("x", "", "")
    show = parser.add_subparsers(required=True, dest="command").add_parser("show")
    show.add_argument("id")
    show.add_argument("--backbone")
    with pytest.raises(SystemExit):
        parser.parse_args(["show", "--bakcbone=a"])
    assert "unknown: --bakcbone=a (did you mean --backbone?)" in capsys.readouterr().err
    for words in ([], ["show"]):
        with pytest.raises(SystemExit):
            parser.parse_args(words)
        assert "the following arguments are required: " in capsys.readouterr().err
    assert parser.parse_args(["show", "7"]).id == "7"


def test_an_option_of_another_place_is_not_suggested_in_its_own_place(capsys):
    parser = command_parser("x", "", "")
    parser.add_argument("--backbone")
    parser.add_argument("--zzz")
    parser.add_subparsers().add_parser("show").add_argument("--backbonds")
    meant_by_words = {("show", "--backbone", "a"): " (did you mean --backbonds?)", ("show", "--zzz"): ""}
    for words, meant in meant_by_words.items():
        with pytest.raises(SystemExit):
            parser.parse_args(words)
        told = capsys.readouterr().err
        assert f"unknown: {' '.join(words[1:])}{meant};" in told


def test_the_options_of_a_parser_below_are_known_too(capsys):
    parser = command_parser("x", "", "")
    parser.add_subparsers().add_parser("show").add_argument("--backbone")
    with pytest.raises(SystemExit):
        parser.parse_args(["show", "--bakcbone=a"])
    assert "unknown: --bakcbone=a (did you mean --backbone?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["benchmark.train", "minilm.mt.nonsense.s0"], 2, "arm: 'nonsense' is not known"),
        (
            ["benchmark.train", "minilm.mt.bmt"],
            2,
            "not of the form <backbone>.<mt|st-Dataset>.<arm>[.adapter].s<seed>",
        ),
        (
            ["benchmark.evaluate", "minilm.mt.bmt.s0", "--params", "nowhere.yaml"],
            2,
            "nowhere.yaml: no such file",
        ),
        (["benchmark.transfer", "minilm.mt.bmt.s0", "--k", "4", "--k", "4"], 2, "--k: 4, 4 is not allowed"),
        (
            ["benchmark.fetch", "--manifest", "sample", "--out", "x", "--params", "y"],
            2,
            "--params: --manifest and --out",
        ),
        (
            ["benchmark.fetch", "--manifest", "sample", "--out", "x", "--profile", "y"],
            2,
            "--profile: --manifest and --out",
        ),
        (["benchmark.prepare", "--workers", "0"], 2, "--workers: 0 is not allowed: at least 1"),
        (["benchmark.prepare", "--profile", "sampel"], 2, "--profile sampel: not allowed"),
        (["benchmark.prepare"], 1, "the train file of SQuAD is missing: run `python -m benchmark.fetch`"),
        (["benchmark.evaluate", "minilm.mt.bmt.s0"], 1, "no trained model there"),
        (["benchmark.unifiedqa"], 2, "of the profile sample those with head generate are none"),
        (["benchmark.unifiedqa", "--beams", "0"], 2, "generation.beams: 0 is not allowed"),
        (["benchmark.profile", "mimi"], 2, "profile 'mimi': profiles/ has none of that name"),
        (["benchmark.track", "sync", "nowhere"], 1, "nowhere: no such folder"),
        (
            ["benchmark.ask", "sample/minilm.mt.bmt.s0", "--question", "Who?", "--context", "Ada."],
            1,
            "no trained run there",
        ),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_status(
    words: list[str], status: int, says: str, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "profiles" / "sample.yaml").read_bytes())
    environment = os.environ | {"BMT_ROOT": str(tmp_path), "BMT_TRACKING": "journal"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert done.stderr.startswith("error: ") and says in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


def without_packages(*words: str) -> subprocess.CompletedProcess[str]:
    """A command in a Python that has nothing but its standard library."""
    return subprocess.run([sys.executable, "-S", "-m", *words], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_a_malformed_argument_need_no_package(command: str) -> None:
    """Neither torch nor anything else is imported before the command line is read."""
    done = without_packages(command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python -m {command}" in done.stdout.split("example", 1)[1]
    done = without_packages(command, "--no-such-option")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ")


LARGE = {"torch", "transformers", "optuna", "mlflow", "pandas", "pyarrow", "numpy", "scipy", "statsmodels"}
TRIALS = ["search", "--study", "x", "--trials", "1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["masks", "nocell"], "cell 'nocell': not of the form <backbone>."),
        (["masks", "minilm.mt.bmt.s0", "minilm.mt.bmmt.s0"], "arm: 'bmmt' is not known (did you mean bmt?)"),
        (["unifiedqa", "nope"], "backbone: 'nope' is not known: one of minilm"),
        (["unifiedqa"], "of the profile sample those with head generate are none"),
        (["unifiedqa", "--beams", "0"], "generation.beams: 0 is not allowed: at least 1"),
        (
            [*TRIALS, "--search", "nope"],
            "search parameter: 'nope' is not known: one of lam, gamma, zeta, steps",
        ),
        ([*TRIALS, "--range", "foo"], "--range foo: not of the form NAME=LOW:HIGH"),
        ([*TRIALS, "--set", "nope=3"], "--set nope=3: a study cannot change nope"),
        ([*TRIALS, "--set", "mask.lam=abc"], "mask.lam: 'abc' is not allowed: a number, at least 0"),
        ([*TRIALS, "--arm", "nope"], "arm: 'nope' is not known (did you mean none?)"),
        ([*TRIALS, "--backbone", "minilmm"], "backbone: 'minilmm' is not known (did you mean minilm?)"),
        (
            ["compare", "--paper-table", "77"],
            "--paper-table 77: not allowed: one of 1, 2, 3, 4, 5, 6, 7, 8, 9",
        ),
        (["compare", "--paper-table", "3", "--seeds", "x"], "--seeds 'x': not allowed"),
        (["compare", "--paper-table", "3", "--format", "pdf"], "--format 'pdf': not allowed"),
        (["plan", "--paper-table", "99"], "--paper-table 99: not allowed: one of 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (["plan", "--paper-table", "3", "--seeds", "x"], "--seeds 'x': not allowed"),
    ],
)
def test_a_malformed_argument_waits_for_no_large_package(words: list[str], says: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes((ROOT / "profiles" / "sample.yaml").read_bytes())
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", f"benchmark.{words[0]}", *words[1:]],
        cwd=ROOT,
        env=os.environ | {"BMT_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    lines = done.stderr.splitlines()
    told = [line for line in lines if not line.startswith("import time:")]
    assert (done.returncode, done.stdout, len(told)) == (2, "", 1), told
    assert told[0].startswith("error: ") and says in told[0]
    assert {line.rpartition("|")[2].strip() for line in lines} & LARGE == set()


WORDS = {
    "train": ["minilm.mt.bmt.s0"],
    "evaluate": ["minilm.mt.bmt.s0"],
    "transfer": ["minilm.mt.bmt.s0"],
    "compare": ["--paper-table", "3"],
    "plan": ["--paper-table", "3"],
    "search": ["--study", "x", "--trials", "1"],
    "data": ["check"],
    "masks": ["minilm.mt.bmt.s0"],
    "contrast": ["bmt", "none"],
    "ask": ["x", "--question", "Who?", "--context", "Ada."],
    "track": ["list"],
    "performance": ["core"],
    "gpu_day": ["--out", "absent"],
}
"""What a command needs to be whole."""


@pytest.mark.parametrize(
    "words", [["core", "--tokens", "8"], ["data", "--rounds", "0"], ["train", "--steps", "0"]]
)
def test_a_size_that_is_not_allowed_needs_no_package_either(words: list[str]) -> None:
    done = without_packages("tools.performance", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: --rounds ") and ": not allowed: at least 1" in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_outside_the_environment_a_command_says_in_one_line_what_to_do(command: str) -> None:
    done = without_packages(command, *WORDS.get(command.partition(".")[2], []))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and done.stderr.endswith(f" is not installed {ABSENT}")
    assert done.stderr.count("\n") == 1


def test_what_the_output_cannot_write_is_a_question_mark() -> None:
    for encoding, dash in (
        ("ascii", "?"),
        ("ascii:surrogateescape", "?"),  # of a C locale
        ("ascii:backslashreplace", r"\u2026"),
        ("utf-8", "\u2026"),
    ):
        environment = os.environ | {"PYTHONIOENCODING": encoding}
        command = [sys.executable, "-m", "benchmark"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"python -m benchmark.VERB {dash}, or")


def test_a_command_whose_stdout_is_closed_goes_on() -> None:
    words = ["sh", "-c", 'exec "$0" -m benchmark >&-', sys.executable]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("words", "statuses"),
    [
        (["-m", "benchmark"], {1}),
        (["-m", "benchmark.fetch", "--help"], {0, 1}),  # argparse hides the error where nothing is buffered
    ],
)
def test_a_reader_that_has_gone_is_no_traceback(words: list[str], statuses: set[int]) -> None:
    read, write = os.pipe()
    os.close(read)  # before the first word is written
    done = subprocess.run([sys.executable, *words], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.stderr == "" and done.returncode in statuses


def test_help_shows_the_defaults_of_the_settings() -> None:
    from benchmark.unifiedqa import DEFAULTS
    from bmt.qa.generation_settings import GenerationSettings

    assert GenerationSettings(**DEFAULTS) == GenerationSettings()


def test_the_options_are_those_that_the_process_was_called_with(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = command_parser("x", "", "")
    add_results_options(parser)
    add_format_option(parser)
    monkeypatch.setattr("sys.argv", ["x", "--results", "a/b", "--seeds", "0,1", "--format", "html"])
    options = parser.parse_args()
    assert vars(options) == {
        "params": None,
        "profile": None,
        "seeds": "0,1",
        "results": Path("a/b"),
        "format": "html",
    }
    assert parser.parse_args([]).format is None  # whether it is a terminal decides
    for form in ("terminal", "markdown", "latex", "html", "json"):
        assert parser.parse_args(["--format", form]).format == form


WITHOUT_SETTINGS = {"profile", "ask", "audit", "track"}


@pytest.mark.parametrize("verb", VERBS)
def test_params_and_profile_are_the_same_two_options_everywhere(verb: str) -> None:
    """Their help word for word: they are added by the one helper, `add_params_options`."""
    parser = command_parser(verb, "", "")
    add_params_options(parser)
    text = " ".join(without_packages(f"benchmark.{verb}", "--help").stdout.split())
    for option in ("--params FILE", "--profile NAME"):
        words = " ".join(parser.format_help().split())
        start = words.index(f" {option} ", words.index("options:"))
        end = (
            words.index(" --profile NAME ", start + 1)
            if option == "--params FILE"
            else words.index(" example:")
        )
        assert (words[start:end] in text) is (verb not in WITHOUT_SETTINGS), option


@pytest.mark.parametrize("verb", sorted(set(VERBS) - WITHOUT_SETTINGS))
def test_a_misspelt_profile_gets_the_nearest_everywhere(verb: str) -> None:
    words = ["--profile", "sampel", *WORDS.get(verb, [])]
    done = subprocess.run(
        [sys.executable, "-m", f"benchmark.{verb}", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert done.stderr.startswith(
        "error: --profile sampel: not allowed (did you mean sample?): one of grid, mini, mini_gpu, paper, "
        "sample"
    )
