"""Rules of style that a reader counts on: short parameter lists, one meaning per name, narrow lines, messages
that fit their package.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch

import pytest

from tests.support.source_code import SourceFile, parameter_count, source_files

MOST_PARAMETERS = 8
LONGEST_LINE = 110
EMPTY_NAMES = {
    "apart",
    "asked",
    "compared",
    "delivery",
    "facts",
    "field",
    "footer",
    "leftovers",
    "listed",
    "logged",
    "passed",
    "places",
    "rounds",
    "rows",
    "seen",
    "sources",
    "steps",
    "tracks",
    "typed",
    "utils",
}
"""Names that say nothing of what a thing is."""

# Where a rule does not hold yet, as patterns of places. Lines only go from here.
PENDING: dict[str, tuple[str, ...]] = {}

Breaches = Iterator[str]
"""A line per breach, which begins with its place."""


def long_parameter_lists(files: Sequence[SourceFile]) -> Breaches:
    """Functions of more than eight parameters: some of them belong together and have a name."""
    for file in files:
        for place, function in file.functions():
            if (count := parameter_count(function)) > MOST_PARAMETERS:
                yield f"{place} takes {count}"


def repeated_class_names(files: Sequence[SourceFile]) -> Breaches:
    """Classes of one name in two places."""
    places: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for node in file.classes():
            places[node.name].append(file.path)
    for name, paths in sorted(places.items()):
        if len(paths) > 1:
            yield f"{name} stands in {', '.join(paths)}"


def wide_lines(files: Sequence[SourceFile]) -> Breaches:
    """Lines of more than 110 characters."""
    for file in files:
        for number, line in enumerate(file.text.splitlines(), 1):
            if len(line) > LONGEST_LINE:
                yield f"{file.path}:{number} has {len(line)} characters"


def layout_by_hand(files: Sequence[SourceFile]) -> Breaches:
    """Places where the formatter is switched off."""
    switch = re.compile(r"#\s*(fmt|yapf):\s*(skip|off)")
    for file in files:
        for number, line in enumerate(file.text.splitlines(), 1):
            if switch.search(line):
                yield f"{file.path}:{number} switches the formatter off"


def empty_names(files: Sequence[SourceFile]) -> Breaches:
    """Modules, folders and functions whose name does not say what they are; a method's is read with its
    class.
    """
    for file in files:
        if EMPTY_NAMES & set(file.module.split(".")):
            yield f"{file.path} is an empty name"
        for node in file.tree.body:
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name.strip("_") in EMPTY_NAMES
            ):
                yield f"{file.path}:{node.name} is an empty name"


def makers_files(files: Sequence[SourceFile]) -> Breaches:
    """Mentions of ../shared, which users do not have; the data that may lie there is the one thing that can
    be named.
    """
    for file in files:
        for number, line in enumerate(file.text.splitlines(), 1):
            if "shared/" in line.replace("../shared/data/mrqa_real", ""):
                yield f"{file.path}:{number} names a file that users do not have"


def harness_in_bmt(files: Sequence[SourceFile]) -> Breaches:
    """Messages of `bmt`, which is used without them, that name the benchmark, its files or its tools."""
    harness = re.compile(r"\b(benchmark|dvc|mlflow|optuna|params\.yaml|profiles?/)\b", re.IGNORECASE)
    for file in files:
        for string in file.strings() if file.path.startswith("bmt/") else ():
            if harness.search(str(string.value)):
                yield f"{file.path}:{string.lineno} says {string.value!r}"


def loose_prints(files: Sequence[SourceFile]) -> Breaches:
    """Prints beside `benchmark.cli.messages`, which makes texts from files harmless; JSON escapes itself."""
    for file in files:
        for node in ast.walk(file.tree) if file.path != "benchmark/cli/messages.py" else ():
            printed = isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
            if printed and "json.dumps(" not in ast.unparse(node):
                yield f"{file.path}:{node.lineno} prints"


GIVEN_ASIDE = ("benchmark/acquisition/hub.py", "benchmark/tracking/mlflow_store.py")
"""Files whose writers are handed the path aside by their callers."""


def files_in_place(files: Sequence[SourceFile]) -> Breaches:
    """Files that are written under their own name: a kill or a full disk would leave half of one there."""
    for file in files:
        for node in ast.walk(file.tree) if file.path not in GIVEN_ASIDE else ():
            if not isinstance(node, ast.Call):
                continue
            function = ast.unparse(node.func)
            given = [*node.args, *(option.value for option in node.keywords if option.arg == "mode")]
            modes = [one.value for one in given if isinstance(one, ast.Constant)]
            opened = function.rpartition(".")[2] == "open" and any(str(mode)[:1] == "w" for mode in modes)
            if opened or function.endswith((".write_text", ".write_bytes")):
                target = ast.unparse(node.args[0]) if function == "open" else function.rpartition(".")[0]
                if not re.search(r"\b(aside|part)\b", target):
                    yield f"{file.path}:{node.lineno} writes {target} in place"


PRODUCT = ("bmt", "benchmark", "tools")
EVERYTHING = (*PRODUCT, "tests", "examples")
RULES: list[tuple[Callable[[Sequence[SourceFile]], Breaches], tuple[str, ...], str, str]] = [
    # the rule, the folders it holds in, and two texts: one that breaks it once, one that keeps it
    (
        long_parameter_lists,
        PRODUCT,
        "class A:\n    def f(self, a, b, c, d, /, e, f, *, g, h, i): ...",
        "class A:\n    def f(self, a, b, c, d, /, e, f, *, g, h): ...",
    ),
    (repeated_class_names, PRODUCT, "class A: ...\nif 1:\n    class A: ...", "class A: ...\nclass B: ..."),
    (wide_lines, EVERYTHING, f"# {'x' * 109}", f"# {'x' * 108}"),
    (layout_by_hand, EVERYTHING, f"a = 1  # {'fmt'}: skip", "a = 1  # format"),
    (empty_names, PRODUCT, "def _rows(): ...", "class A:\n    def rows(self): ..."),
    (makers_files, (*PRODUCT, "examples"), '"""See ../shared/x."""', '"""../shared/data/mrqa_real"""'),
    (
        harness_in_bmt,
        ("bmt",),
        'raise ValueError(f"{a}: run `dvc repro`")',
        '"""For `benchmark.train`."""\na = "b"',
    ),
    (
        files_in_place,
        PRODUCT,
        'path.write_text("a")',
        '(aside / "a").write_text("w")\nopen(aside, "w")\npath.open("ab")\npath.read_text()',
    ),
    (loose_prints, ("bmt", "benchmark"), "if a:\n    print(a)", "print(json.dumps(a))\nconsole.print(a)"),
]


@pytest.mark.parametrize(
    ("rule", "folders"), [rule[:2] for rule in RULES], ids=lambda value: getattr(value, "__name__", "")
)
def test_rule_holds(rule: Callable[[Sequence[SourceFile]], Breaches], folders: tuple[str, ...]) -> None:
    pending = PENDING.get(rule.__name__, ())
    breaches = [
        line
        for line in rule(source_files(*folders))
        if not any(fnmatch(line.split(" ")[0], place) for place in pending)
    ]
    assert not breaches, f"{rule.__doc__}\n" + "\n".join(breaches)


@pytest.mark.parametrize(
    ("rule", "broken", "kept"),
    [(rule, *texts) for rule, _, *texts in RULES],
    ids=[rule[0].__name__ for rule in RULES],
)
def test_rule_catches(rule: Callable[[Sequence[SourceFile]], Breaches], broken: str, kept: str) -> None:
    found, none = (list(rule([SourceFile("bmt/some.py", text, ast.parse(text))])) for text in (broken, kept))
    assert (len(found), none) == (1, [])


def test_empty_names_of_modules_and_folders() -> None:
    nothing = ast.parse("")
    paths = ("bmt/steps.py", "benchmark/utils/__init__.py", "bmt/step.py", "bmt/training/__init__.py")
    assert [
        line.split(" ")[0] for line in empty_names([SourceFile(path, "", nothing) for path in paths])
    ] == list(paths[:2])
