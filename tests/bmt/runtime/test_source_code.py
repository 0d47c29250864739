"""The digest of Python source: moved by what the code does, and by nothing else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bmt.runtime.source_code import is_remark, source_digest, statements_digest


def digest(text: str) -> str:
    return statements_digest(ast.parse(text).body)


PLAIN = "def f(a, b=2):\n    values = sorted(a)\n    values.sort()\n    return values[:b]\n"


@pytest.mark.parametrize(
    "text",
    [
        f"# a comment\n\n\n{PLAIN}",
        f'"""What the module is for."""\n{PLAIN}"""And a remark."""\n',
        PLAIN.replace("):\n", "):\n    'Says.'\n").replace("    return", "    ...\n    3\n    return"),
        PLAIN.replace("a, b=2)", "a: list, b: int = 2) -> list").replace("values =", "values: list ="),
        PLAIN.replace("b=2):\n", "b=(2)):\n    values: list\n").replace(
            "(a)\n    ", "(\n        a,\n    ); "
        ),
    ],
    ids=["comment", "docstrings", "remarks", "hints", "layout"],
)
def test_what_does_nothing_leaves_the_digest(text: str) -> None:
    assert digest(text) == digest(PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("    values.sort()\n", ""),
        PLAIN.replace("values.sort()", "values.reverse()"),
        PLAIN.replace("b=2", "b=3"),
        PLAIN.replace("b=2", "b=2.0"),
        PLAIN.replace("b=2", "b=True"),
        PLAIN.replace("b=2", "b='2'"),
        PLAIN.replace("b=2", "*, b=2"),
        PLAIN.replace("[:b]", "[b:]"),
        PLAIN.replace("[:b]", "[b]"),
        PLAIN.replace("def f", "def g"),
        PLAIN.replace("def f", "async def f"),
        PLAIN.replace("def f", "@cache\ndef f"),
        PLAIN.replace("sorted(a)", "sorted(b)"),
        PLAIN.replace("sorted(a)", "sorted(*a)"),
        PLAIN.replace(
            "    values = sorted(a)\n    values.sort()\n", "    values.sort()\n    values = sorted(a)\n"
        ),
        PLAIN.replace("    return", "return"),
        PLAIN + "f([])\n",
        PLAIN.replace("def f(a, b=2):\n", "def f(a, b=2):\n    yield\n"),
    ],
)
def test_what_does_something_moves_the_digest(text: str) -> None:
    try:
        assert digest(text) != digest(PLAIN)
    except SyntaxError:
        assert "\nreturn" in text  # outside a function: ast.parse refuses it on some versions


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x += 1"),
        ("x = a < b", "x = a <= b"),
        ("x = -1", "x = 1"),
        ("x = 'a'", "x = b'a'"),
        ("x = f'{a}'", "x = f'{a!r}'"),
        ("x = f'{a:3}'", "x = f'{a:4}'"),
        ("x = [1, 2]", "x = [2, 1]"),
        ("x = [[1], 2]", "x = [1, [2]]"),
        ("x = [1]", "x = (1,)"),
        ("import a", "import a as b"),
        ("from .a import b", "from a import b"),
        ("class A:\n    x: int = 1", "class A:\n    x: str = 1"),
        ("class A:\n    x: int", "class A:\n    pass"),
        ("class A:\n    x: int\n    y: int", "class A:\n    y: int\n    x: int"),
        ("class A:\n    if a:\n        x: int", "class A:\n    if a:\n        x: str"),
        ("f().x: int\ng()", "g()"),
        ("class A(B): pass", "class A(C): pass"),
        ("def f():\n    class A:\n        x: int", "def f():\n    class A:\n        x: str"),
        ("try:\n    f()\nexcept A:\n    g()", "try:\n    f()\nexcept B:\n    g()"),
        ("if a:\n    f()\ng()", "if a:\n    f()\n    g()"),
        ("if a:\n    f()\nelse:\n    g()", "if a:\n    g()\nelse:\n    f()"),
        ("a.x: int = 1", "a.x: int = 2"),
        ("x = lambda a: a", "x = lambda a, b: a"),
        ("x = [a for a in b]", "x = [a for a in b if a]"),
        ("global_ = None", "global_ = ..."),
        ("x = '\\ud800'", "x = '\\ud801'"),
        ("x = 1j", "x = 1"),
    ],
)
def test_two_programs_have_two_digests(one: str, other: str) -> None:
    assert digest(one) != digest(other)
    assert digest(one) == digest(f"{one}  # the same")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("class A:\n    def f(self, a: int) -> int: return a", "class A:\n    def f(self, a): return a"),
        ("class A:\n    def f(self):\n        x: int = 1", "class A:\n    def f(self):\n        x = 1"),
        ("x: int = 1", "x = 1"),
        ("x: int\ny = 2", "y = 2"),
        ("if a:\n    x: int = 1", "if a:\n    x = 1"),
        ("a.x: int = 1", "a.x: str = 1"),
        ("def f(*a: int, b: str = 'c', **d: int): pass", "def f(*a, b='c', **d): pass"),
        ("class A:\n    'Says.'\n    x: int\n    'Of x.'", "class A:\n    x: int"),
        ("x = u'a'", "x = 'a'"),
    ],
)
def test_hints_and_remarks_count_in_the_fields_of_a_class_alone(one: str, other: str) -> None:
    assert digest(one) == digest(other)


def test_the_digest_is_that_of_every_python_and_every_release() -> None:
    """It stands in files that are kept."""
    known = "b76c8a4fd277e90e331c0bc7de77e8cdf83fa10303b714f940098e156eca3af7"
    assert digest("x = [1, 'a']\ndef f(a, *, b=2):\n    return a + b\n") == known


def test_a_remark_is_a_constant_that_stands_alone() -> None:
    assert [is_remark(node) for node in ast.parse("'a'\n3\n...\nf()\na\nx = 'a'\nf('a')").body] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_a_file_is_read_once_and_is_what_it_does(tmp_path: Path) -> None:
    path = tmp_path / "some.py"
    path.write_bytes(b"# -*- coding: latin-1 -*-\nx = '\xe4'  # first\n")
    first = source_digest(path)
    assert first == digest("x = 'ä'")
    path.write_text("x = 2\n")
    assert source_digest(path) == first
    assert source_digest.__wrapped__(path) == digest("x = 2")
