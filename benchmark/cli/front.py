"""The front door: `python -m benchmark` lists the verbs, `python -m benchmark VERB …` runs one, and so does
the console script `bmt-benchmark`. A misspelt verb gets the nearest.
"""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping, Sequence

from benchmark.cli.commands import run_command
from benchmark.cli.messages import say, tell
from benchmark.cli.text import nearest
from benchmark.cli.verbs import GROUPS

Groups = Mapping[str, Mapping[str, str]]


def check_module(words: Sequence[str], package: str = "benchmark", groups: Groups = GROUPS) -> None:
    """Of `python -m <package>.VERB`, given as sys.orig_argv: leave with status 2 where there is no such verb.

    Python's own message names no verb. Anything that is not of this form is left to Python.
    """
    name = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
    first, _, verb = name.partition(".")
    if first == package and verb and "." not in verb:
        _check(verb, package, groups)


def main(package: str = "benchmark", groups: Groups = GROUPS) -> None:
    """List the verbs of `package`, or run one with the words after it; leaves with its status."""
    verb, *rest = sys.argv[1:] or ["--help"]
    if verb in ("-h", "--help", "help"):
        run_command(lambda: say(*listing(package, groups)))
    _check(verb, package, groups)
    sys.argv[1:] = rest
    runpy.run_module(f"{package}.{verb}", run_name="__main__", alter_sys=True)


def listing(package: str, groups: Groups) -> list[str]:
    """The verbs by group, a line each."""
    width = max(len(verb) for verbs in groups.values() for verb in verbs) + 2
    lines = [f"python -m {package}.VERB …, or python -m {package} VERB …; --help after a verb tells more"]
    for group, verbs in groups.items():
        lines += ["", group, *(f"  {verb:<{width}}{line}" for verb, line in verbs.items())]
    return lines


def _check(verb: str, package: str, groups: Groups) -> None:
    known = [name for verbs in groups.values() for name in verbs]
    if verb not in known:
        tell(f"error: {verb}: no such verb{nearest(verb, known)}: `python -m {package}` lists them")
        sys.exit(2)
