"""What the tests of the house rest on: a reading of source files that misses nothing."""

from __future__ import annotations

import ast

from tests.support.source_code import SourceFile, parameter_count, source_files

TEXT = '''"""Head."""
LIMIT = 3
"""Of what."""

class Outer:
    """Class."""

    class Inner:
        def method(self, a, /, b, *rest, c=1, **options):
            """Method."""
            def within(): return "said " f"so {a}"

    @classmethod
    async def make(cls, a): return "made"
'''


def source(text: str = TEXT, path: str = "bmt/qa/some.py") -> SourceFile:
    return SourceFile(path, text, ast.parse(text))


def test_functions_are_seen_in_classes_functions_and_async() -> None:
    places = [place.removeprefix("bmt/qa/some.py:") for place, _ in source().functions()]
    assert places == ["Outer.Inner.method", "Outer.Inner.method.within", "Outer.make"]


def test_parameters_are_counted_without_self_and_cls() -> None:
    assert [parameter_count(function) for _, function in source().functions()] == [5, 0, 1]


def test_docstrings_stand_alone_and_strings_do_not() -> None:
    file = source()
    assert {constant.value for constant in file.docstrings()} == {"Head.", "Of what.", "Class.", "Method."}
    assert {constant.value for constant in file.strings()} == {"said so ", "made"}


def test_imports_are_seen_in_every_form() -> None:
    text = "import benchmark.train\nfrom benchmark import plan\nfrom benchmark.data import x\n"
    text += "def f():\n    from . import ask\n"
    names = set(source(text, "benchmark/some.py").imports())
    assert {"benchmark.train", "benchmark.plan", "benchmark.data", "benchmark.ask"} <= names
    assert "benchmark.ask" in set(source("from .. import ask", "benchmark/runs/some.py").imports())
    assert "benchmark.ask" in set(source("from ..ask import x", "benchmark/runs/some.py").imports())


def test_names_of_a_file() -> None:
    file = source()
    assert (file.module, file.room) == ("bmt.qa.some", "bmt/qa")
    assert SourceFile("bmt/qa/__init__.py", "", ast.parse("")).module == "bmt.qa"
    assert [node.name for node in file.classes()] == ["Outer", "Inner"]


def test_the_packages_are_read() -> None:
    modules = {file.module for file in source_files()}
    assert {"bmt", "bmt.gates", "benchmark", "benchmark.compare"} <= modules
    assert len(modules) == len(source_files())
