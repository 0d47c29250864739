"""The command that made a file, as it stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.cli.command_line import command_line
from benchmark.cli.commands import Parser, add_results_options, command_parser
from benchmark.errors import error_parser


def parser() -> Parser:
    made = command_parser("report", "", "")
    add_results_options(made)
    made.add_argument("--out", "--output", type=Path)
    made.add_argument("--limit", type=int, default=5)
    made.add_argument("--arms", nargs="+")
    made.add_argument("--track", action="store_true")
    return made


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], ""),
        (["--track"], ""),
        (["--limit", "5"], ""),  # the default
        (["--limit", "0"], " --limit 0"),  # 0 is not "not given"
        (["--arms", "none", "bmt.adapter"], " --arms none bmt.adapter"),
        (["--output", "a/b.html", "--profile", "mini"], " --profile mini --out a/b.html"),
        (["--params", "mine.yaml", "--results", "../r"], " --params mine.yaml --results ../r"),
        (["--params", "a b.yaml"], " --params 'a b.yaml'"),
        (["--params", "/home/me/mine.yaml"], " --params …/mine.yaml"),
        (["--results", "/home/me/results/mini"], " --results …/mini"),
        (["--arms", "/home/me/a", "b"], " --arms …/a b"),
        (["--seeds", "0,1"], " --seeds 0,1"),
    ],
)
def test_it_holds_what_was_asked_for_and_no_path_of_this_machine(words: list[str], said: str) -> None:
    made = parser()
    assert command_line(made, made.parse_args(words)) == f"python -m benchmark.report{said}"


def test_a_command_that_is_typed_again_asks_for_the_same() -> None:
    made = error_parser()
    words = ["--arms", "none", "bmt", "--metric", "f1", "--below", "50", "--data", "raw files", "--seed", "1"]
    options = made.parse_args(words)
    line = command_line(made, options)
    import shlex

    again = made.parse_args(shlex.split(line)[3:])
    assert vars(again) == vars(options)
