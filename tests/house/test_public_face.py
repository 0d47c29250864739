"""The public face of bmt: about twenty names, documented, imported only when used; README, docs and examples
use no other.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bmt
from tests.support.repository import ROOT

INSIDE = {"architecture.md"}  # for those who change bmt itself: it names rooms and modules
PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.name not in INSIDE),
]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOT_PYTHON = {"adapter", "cell"}  # `bmt.adapter` is an arm of the paper, `bmt.cell` a key of a Parquet file
HARNESS = re.compile(r"benchmark|\bdvc\b|mlflow|params\.yaml|python -m|shared/", re.IGNORECASE)


def names_of_code(text: str) -> set[str]:
    """What Python code takes of bmt: `from bmt import a`, `import bmt; bmt.b`, and as `x.y` what it imports
    from a module inside.
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "bmt":
            inside = (node.module or "").partition(".")[2]
            names |= {f"{inside}.{alias.name}".lstrip(".") for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("bmt.")}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "bmt":
            names.add(node.attr)
    return names


def names_of_page(text: str) -> set[str]:
    """What a page's code, in blocks and in backticks, takes of bmt."""
    blocks = "\n".join(line for line in text.splitlines() if line.startswith("    "))
    code = "\n".join([blocks, *re.findall(r"```.*?```", text, re.DOTALL), *re.findall(r"`[^`\n]+`", text)])
    names = set(re.findall(r"(?<![\w./-])bmt\.(\w+)", code)) - NOT_PYTHON
    for module, imported in re.findall(r"from bmt((?:\.\w+)*) import ([\w, ]+)", code):
        names |= {f"{module}.{name.strip()}".lstrip(".") for name in imported.split(",")}
    return names


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_uses_public_names_alone(path: Path) -> None:
    names = names_of_code(path.read_text(encoding="utf-8"))
    assert names and names <= set(bmt.__all__)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_uses_public_names_alone(path: Path) -> None:
    assert names_of_page(path.read_text(encoding="utf-8")) <= set(bmt.__all__)


def test_every_public_name_is_on_a_page_or_in_an_example() -> None:
    used = set().union(*(names_of_page(path.read_text(encoding="utf-8")) for path in PAGES))
    used |= set().union(*(names_of_code(path.read_text(encoding="utf-8")) for path in EXAMPLES))
    assert set(bmt.__all__) - used == set()


def test_the_collectors_see_every_way_of_naming() -> None:
    code = "import bmt.qa\nfrom bmt import a, b\nfrom bmt.masks import Masks\nbmt.load(1)\n"
    assert names_of_code(code) == {"qa", "a", "b", "masks.Masks", "load"}
    page = "prose bmt.prose\n\n    from bmt import a, b\n    x = bmt.c(1)\n\n"
    page += "`bmt.d.e` and minilm.mt.bmt.s0, `bmt.adapter`\n"
    assert names_of_page(page) == {"a", "b", "c", "d"}


def test_there_are_about_twenty_sorted_names_each_with_a_docstring() -> None:
    assert 15 <= len(bmt.__all__) <= 25
    assert bmt.__all__ == sorted(bmt.__all__) and len(set(bmt.__all__)) == len(bmt.__all__)
    for name in bmt.__all__:
        thing = getattr(bmt, name)
        text = inspect.getdoc(thing) or ""
        assert len(text) > 30 and not text.startswith(f"{name}("), name
        assert thing.__module__.startswith("bmt."), name
        assert importlib.util.find_spec(f"bmt.{name}") is None, (
            f"bmt.{name} would be the module once imported"
        )
    assert set(bmt.__all__) <= set(dir(bmt))
    modules_inside = {path.stem for path in (ROOT / "bmt").iterdir()}
    assert not modules_inside & set(bmt.__all__), (
        "`from bmt import name` would give the module once it is imported"
    )
    with pytest.raises(AttributeError, match="module 'bmt' has no attribute 'learn_mask'"):
        getattr(bmt, "learn_mask")  # noqa: B009


@pytest.mark.parametrize(
    "module",
    [
        "bmt",
        "bmt.errors",
        "bmt.settings",
        "bmt.qa.mrqa",
        "bmt.qa.metrics",
        "bmt.qa.windows",
        "bmt.qa.features",
    ],
)
def test_what_reads_data_needs_no_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def modules() -> list[Path]:
    return sorted((ROOT / "bmt").rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT / "bmt")))
def test_no_text_of_bmt_names_the_harness(path: Path) -> None:
    """No message, docstring or comment; bmt is a library that other harnesses use too."""
    text = path.read_text(encoding="utf-8")
    strings = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    bad = [(node.lineno, node.value[:80]) for node in strings if HARNESS.search(node.value)]
    comments = [
        line.strip() for line in text.splitlines() if "#" in line and HARNESS.search(line.partition("#")[2])
    ]
    assert (bad, comments) == ([], [])


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT / "bmt")))
def test_bmt_imports_no_harness(path: Path) -> None:
    forbidden = {"benchmark", "tools", "mlflow", "dvc", "optuna", "pandas"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        roots = {alias.name.split(".")[0] for alias in node.names} if isinstance(node, ast.Import) else set()
        if isinstance(node, ast.ImportFrom) and not node.level:
            roots = {(node.module or "").split(".")[0]}
        assert not roots & forbidden, path


def test_every_module_of_bmt_can_be_imported() -> None:
    for path in modules():
        importlib.import_module(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        )
