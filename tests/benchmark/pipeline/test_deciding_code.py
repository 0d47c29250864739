"""The code in the digests: what stages lead to by their source, against what they import and what they really
run.
"""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
import yaml

from benchmark import compare, fetch, report, unifiedqa
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.inspection import inspected, size_document
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.cells import parse
from benchmark.config.code_closure import CodeTree
from benchmark.config.deciding_code import (
    DECIDING,
    DOORS,
    NOT_DECIDING,
    READS,
    STARTS,
    cell_traits,
    counts,
    installed,
    stage_code,
)
from benchmark.config.folders import Places
from benchmark.config.params import Config, checked, load
from benchmark.pipeline.digest_files import write_inputs, write_references, write_scores
from benchmark.runs.evaluation_run import evaluate_cell
from benchmark.runs.training_run import train_cell
from benchmark.runs.transfer_run import transfer_cell
from bmt.runtime.source_code import source_digest
from tests.support import project
from tests.support.repository import ROOT

ALL = frozenset().union(*DOORS.values()) | {"span", "sample"}
PACKAGES = ("bmt", "benchmark", "tools")  # an environment may lie in the repository too


def imported(module: str, tree: CodeTree) -> set[str]:
    """The modules that a module imports, inside functions too, but not for a type checker: read apart from
    the closure.
    """
    path = tree.file(module)
    assert path is not None
    names: set[str] = set()

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            names.update(one.name for one in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            public = [
                one.name
                for one in node.names
                if node.module == "bmt" and tree.file(f"bmt.{one.name}") is None
            ]
            assert not public, (
                f"{path}: a name made by bmt's __getattr__ leads nowhere: import it from its module"
            )
            names.update([str(node.module), *(f"{node.module}.{one.name}" for one in node.names)])
        for child in ast.iter_child_nodes(node):
            look(child)

    look(ast.parse(path.read_text(encoding="utf-8")))
    around = {name.rpartition(".")[0] for name in names}
    return {name for name in names | around if name and tree.file(name) is not None}


def import_closure(start: str, tree: CodeTree) -> set[str]:
    """Every module that a module can import on its way."""
    reached, waiting = set[str](), [start]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += imported(module, tree)
    return reached


@pytest.mark.parametrize("stage", STARTS)
def test_a_stage_s_code_is_of_what_it_imports(stage: str) -> None:
    """One direction: nothing counts that the stage cannot import. The other:
    `test_all_that_runs_is_in_the_digest_…`.
    """
    code = {name for name in stage_code(stage, ALL) if "/" not in name}
    assert STARTS[stage][0] in code and code <= import_closure(STARTS[stage][0], installed())


def _listed(name: str, entries: Iterable[str]) -> bool:
    """Whether a module or a definition stands in a list, itself or by what is around it."""
    return any(f"{name}.".startswith(f"{entry}.") for entry in entries)


def test_every_entry_of_the_lists_is_there() -> None:
    tree = installed()
    for entry in (*NOT_DECIDING, *DECIDING, *DOORS):
        if "/" in entry:
            assert (ROOT / entry).is_file(), entry
            continue
        module, _, name = entry.rpartition(".")
        is_module = tree.file(entry.removesuffix(".")) is not None
        assert is_module or name in tree.module(module).definitions, entry


def test_every_file_beside_the_code_is_read_by_a_module_that_says_so() -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for package in ("bmt", "benchmark")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert files - {"bmt/py.typed"} == {
        path.relative_to(ROOT).as_posix() for pattern in READS.values() for path in ROOT.glob(pattern)
    }


def test_stages_name_no_code_and_no_settings_but_through_their_digests() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert stages["digests"]["deps"] == ["bmt", "benchmark", "params.yaml"]
    written = {"digests", "study"}
    assert set(stages) - written - {"train_reference", "evaluate_reference"} == set(STARTS) - {"scores"}
    for name, stage in stages.items():
        if name not in written:
            inner = stage.get("do", stage)
            assert "params" not in inner and inner["deps"][0].startswith("data/digests/${profile}/"), name
            assert all(dep.startswith(("data/", "runs/", "results/")) for dep in inner["deps"]), name
            asked = name.removesuffix("_reference")
            first = inner["deps"][0].removeprefix("data/digests/${profile}/")
            assert first.split("/")[0].removesuffix(".json") == asked


def test_a_digest_of_code_is_of_what_it_does(tmp_path: Path) -> None:
    path = tmp_path / "code.py"

    def digest(text: str) -> str:
        path.write_text(text, encoding="utf-8")
        return source_digest.__wrapped__(path)

    first = digest(
        '"""A docstring."""\nX = 1\n\n\ndef f(x: int) -> int:\n    """Another."""\n    return x + X\n'
    )
    assert first == digest("X = (1)  # one\ndef f(x):\n  # a comment\n  return x + X")
    for other in (
        "X = 2\ndef f(x): return x + X",
        "X = 1\ndef f(x): return x - X",
        "X = 1\ndef f(x=0): return x + X",
        "X = 1",
    ):
        assert digest(other) != first
    assert digest("def f():\n    x = 1\n    return x") == digest(
        "def f():\n    x: int = 1\n    y: str\n    return x"
    )
    assert digest("X = 1") == digest("X: int = 1")
    assert digest("class A:\n    x: int = 0") != digest("class A:\n    x: float = 0"), (
        "a dataclass's field is its annotation"
    )


def test_names_are_followed_as_python_does(tmp_path: Path) -> None:
    package = tmp_path / "bmt"
    package.mkdir()
    files = {
        "__init__": "",
        "start": """
            import bmt.far
            from bmt.near import chosen as renamed, Base
            from bmt import near, unused
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                from bmt.typed import Hint

            def main(hint: Hint, shadow=None):
                if shadow:
                    from bmt.inside import deep
                else:
                    from bmt.near import other as deep
                near.attribute(bmt.far.thing)
                return [shadow for shadow in renamed()], deep, lambda other: other

            def shadow(): return unseen()
            def unseen(): return near.unseen()
            class Child(Base): pass
        """,
        "near": "def chosen(): return helper()\ndef helper(): return TABLE['a']()\n"
        "def unseen(): pass\ndef other(): pass\n"
        "def attribute(x): pass\ndef listed(): pass\nTABLE = {'a': listed}\nclass Base: pass\n",
        "far": "thing = 1\nimport os\nos.environ.setdefault('a', 'b')\n",
        "inside": "def deep(): pass\n",
        "unused": "def any(): pass\n",
        "typed": "class Hint: pass\n",
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(inspect.cleandoc(text) + "\n", encoding="utf-8")

    def closure() -> dict[str, str]:
        return CodeTree(tmp_path, ("bmt",)).closure([("bmt.start", "main")])

    first = closure()
    assert set(first) == {"bmt.start", "bmt.near", "bmt.far", "bmt.inside"}
    changes = {
        ("near", "def unseen(): pass", "def unseen(): return 1"): set[str](),
        ("near", "def other(): pass", "def other(): return 1"): {"bmt.near"},
        ("near", "def listed(): pass", "def listed(): return 1"): {"bmt.near"},
        ("far", "'b'", "'c'"): {"bmt.far"},
        ("start", "def unseen(): return near.unseen()", "def unseen(): return 1"): set[str](),
        ("near", "class Base: pass", "class Base: x = 1"): set[str](),
    }
    for (name, old, new), expected in changes.items():
        path = package / f"{name}.py"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        after = closure()
        assert {module for module in first if after[module] != first[module]} == expected, (name, old)
        path.write_text(text, encoding="utf-8")


def test_what_runs_without_being_named_is_followed(tmp_path: Path) -> None:
    """Schemas by the hints of their fields, registries, imports in a branch or for their effect alone."""
    files = {
        "__init__": "",
        "start": """
            from typing import TYPE_CHECKING
            import bmt.entries
            import bmt.quiet
            from bmt.registry import TABLE
            from bmt.schema import Whole
            if TYPE_CHECKING:
                from bmt.hints import chosen
            else:
                from bmt.real import chosen

            def main(kind):
                from bmt.cli import printed
                printed(TABLE[kind](), Whole, chosen())
                match kind:
                    case "a":
                        from bmt.branch import taken
                        return taken()

            class Used:
                from bmt.inner import method

            def other(): return Used
        """,
        "schema": "class Part: x: int = 0\nclass Whole:\n    part: Part\n    def f(self, x: Unread): pass\n"
        "class Unread: pass\n",
        "registry": "TABLE = {}\ndef register(f):\n    TABLE[f.__name__] = f\n    return f\n",
        "entries": "from bmt.registry import register\n@register\ndef a(): return 1\ndef b(): return 1\n",
        "quiet": "import os\nos.environ['A'] = 'b'\ndef unread(): return 1\n",
        "hints": "def chosen(): return 1\n",
        "real": "def chosen(): return 1\n",
        "branch": "def taken(): return 1\n",
        "inner": "def method(): return 1\n",
        "cli": "import os\nos.environ['C'] = 'd'\ndef printed(*what): return 1\n",
    }
    (tmp_path / "bmt").mkdir()
    paths = {name: tmp_path / "bmt" / f"{name}.py" for name in files}
    for name, text in files.items():
        paths[name].write_text(inspect.cleandoc(text) + "\n", encoding="utf-8")

    def closure(start: str = "main") -> dict[str, str]:
        tree = CodeTree(tmp_path, ("bmt",))
        return tree.closure([("bmt.start", start)], lambda name: name == "bmt.cli.printed")

    first = closure()
    for name, old, new, decides in (
        ("schema", "class Part: x: int", "class Part: x: float", True),
        ("schema", "class Unread: pass", "class Unread: x = 1", False),
        ("entries", "def a(): return 1", "def a(): return 2", True),
        ("entries", "def b(): return 1", "def b(): return 2", False),
        ("quiet", "'b'", "'c'", True),
        ("quiet", "return 1", "return 2", False),
        ("hints", "return 1", "return 2", False),
        ("real", "return 1", "return 2", True),
        ("branch", "return 1", "return 2", True),
        ("cli", "'d'", "'e'", True),
        ("cli", "return 1", "return 2", False),
    ):
        text = paths[name].read_text(encoding="utf-8")
        assert old in text
        paths[name].write_text(text.replace(old, new), encoding="utf-8")
        assert (closure() != first) is decides, (name, old)
        paths[name].write_text(text, encoding="utf-8")
    assert "bmt.inner" in closure("other") and "bmt.inner" not in first


def test_digests_are_the_same_in_every_process() -> None:
    """Sets have another order under another seed of Python's hashes."""
    program = (
        "from benchmark.config.deciding_code import STARTS, stage_code as code; "
        "print({name: code(name) for name in STARTS})"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(printed) == 1


Settings = dict[str, dict[str, Any]]
"""Keys that one run has otherwise than the project's params file, by section."""

TRAINED: dict[str, Settings] = {
    "bert.st-SQuAD.none.s0": {},
    "bert.st-HotpotQA.none.s0": {},
    "bert.mt.none.s0": {"sampling": {"kind": "dynamic_single_task"}},  # held against the two
    "bert.mt.mask.s0": {},
    "bert.mt.bmt.s0": {},
    "bert.mt.bmt.s1": {"mask": {"schedule": "refresh", "head_warmup": 1}, "training": {"epochs_mt": 2}},
    "bert.mt.bmt.s2": {"mask": {"schedule": "alternating", "density_by": "lagrangian"}},
    "bert.mt.bmt.s3": {"mask": {"schedule": "alternating", "scope": "per_batch"}},
    "bert.mt.bmt.s4": {"mask": {"gate": "resampled", "density": None, "granularity": "row"}},
    "bert.mt.bmt.s5": {"mask": {"keep_delta": True, "scope": "global"}},
    "bert.mt.fixed_random.s1": {},  # of another seed than bmt's, whose masks it would take
    "bert.mt.fisher.s0": {},
    "bert.mt.magnitude.s0": {},
    "bert.mt.mixout.s0": {},
    "bert.mt.l2_sp.s0": {"sampling": {"kind": "temperature"}},
    "bert.mt.noisy_tune.s0": {"training": {"batch_tokens": 512}},
    "bert.mt.none.adapter.s0": {},
    "bert.mt.bmt.adapter.s0": {},
    "reader.mt.none.s0": {},  # T5 and its decoder
}
"""A cell for each way that a training can go, in this order."""
CHANGING = [f"bert.mt.bmt.s{seed}" for seed in (1, 2, 3, 4)]
EVALUATED = [name for name in TRAINED if name not in CHANGING]
TRANSFERRED: dict[str, Settings] = {
    "bert.mt.none.s0": {},
    "bert.mt.mask.s0": {},
    "bert.mt.bmt.s0": {"fewshot": {"mask": "union"}},
    **{name: {"mask": TRAINED[name]["mask"]} for name in CHANGING},
    "bert.mt.fixed_random.s1": {},
    "bert.mt.fisher.s0": {},
    "bert.mt.magnitude.s0": {},
    "bert.mt.none.adapter.s0": {},
    "bert.mt.bmt.adapter.s0": {},
}
RUNS = [
    *(f"train {name}" for name in TRAINED),
    *(f"evaluate {name}" for name in EVALUATED),
    *(f"transfer {name}" for name in TRANSFERRED),
    *("fetch", "statistics", "prepare", "inputs", "scores", "references", "published"),
    *("compare 1", "compare 3", "compare 9", "report"),
]


@dataclass(frozen=True, slots=True)
class Traced:
    """A run of a stage.

    Attributes:
        traits: of its cell and its data, and the stage itself.
        ran: `module.name` of each function, or class of a method, of which the body was run.
        calls: (caller, called) of them, where nothing but Python stood between.
    """

    stage: str
    traits: frozenset[str]
    ran: set[str]
    calls: set[tuple[str, str]]


def config_of(config: Config, name: str, settings: Settings) -> Config:
    """The configuration of one cell, with other keys, checked as a file of them would be."""
    values = asdict(config) | {"cells": [name]}
    for section, keys in settings.items():
        values[section] |= keys
    return checked(values, "params.yaml")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Traced]]:
    """What every one of RUNS went through, in a project of tiny models."""
    root, corpus = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    texts = project.corpus_texts(corpus)
    project.write_bert(root / "backbones" / "bert", texts, num_hidden_layers=1)
    project.write_whole_t5(root / "backbones" / "reader", texts)
    values = project.params(["bert", "reader", "writer"], list(TRAINED))
    values["backbones"]["reader"]["head"] = "span_decoder"
    values["backbones"]["writer"] |= {"name": "backbones/reader", "head": "generate"}
    values["data"]["evaluate"] = [*project.DATASETS, "BioASQ"]
    values["training"] |= {"epochs_mt": 1, "evaluate_every": 2}
    values["fewshot"] |= {"sizes": [2], "seeds": [7], "steps": 2}
    project.write_params(root, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(root))
        patch.setenv("BMT_TRACKING", "journal")
        yield all_runs(root)


def all_runs(root: Path) -> dict[str, Traced]:
    """The runs of the project in `root`, by their names."""
    config = load()
    places, runs = Places.of(config), dict[str, Traced]()

    def run(
        name: str, command: Callable[..., Any], *given: Any, traits: frozenset[str] = frozenset()
    ) -> None:
        stage = name.partition(" ")[0]
        runs[name] = Traced(stage, traits | {stage}, *traced(command, *given))

    run("fetch", fetch.main, [], traits=frozenset({"sample"}))
    run("prepare", prepare, config, 1)
    run("inputs", write_inputs, config, places)
    for name, settings in TRAINED.items():
        its_config, cell = config_of(config, name, settings), parse(name)
        traits = cell_traits(its_config, cell)
        run(f"train {name}", train_cell, its_config, cell, traits=traits)
        if name in EVALUATED:
            run(f"evaluate {name}", evaluate_cell, its_config, cell, traits=traits)
    for name, settings in TRANSFERRED.items():
        its_config, cell = config_of(config, name, settings), parse(name)
        traits = cell_traits(its_config, cell)
        run(f"transfer {name}", transfer_cell, its_config, cell, its_config.fewshot, traits=traits)
    held, against = "bert.mt.none.s0", [name for name in TRAINED if ".st-" in name]
    for name in against:
        run("scores", write_scores, parse(name), places)
    config_of_held = replace(config_of(config, held, TRAINED[held]), references=against)
    run("references", write_references, config_of_held, places)
    run("published", unifiedqa.main, ["--answer-tokens", "2"])
    folder, data = inspected(None, None)
    run("statistics", size_document, folder, data.profile)
    for table in ("1", "3", "9"):
        out = str(root / f"table_{table}")
        run(
            f"compare {table}",
            compare.main,
            ["--paper-table", table, "--format", "markdown,json", "--out", out],
        )
    run("report", report.main, ["--track"])
    return runs


def traced(command: Callable[..., Any], *given: Any) -> tuple[set[str], set[tuple[str, str]]]:
    """The definitions whose bodies run while a command does, threads included, and which called which."""
    codes = dict[int, tuple[CodeType, str]]()
    # By id: a digest of a code object for every call would take seconds. Kept in `codes`, so that no other
    # object gets its id.
    pairs, foreign = set[tuple[int, int]](), set[str]()

    def tracer(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_filename in foreign:  # nearly every call is one of PyTorch's or Transformers'
            return
        key = id(code)
        if key not in codes:
            if not _module(code.co_filename):
                foreign.add(code.co_filename)
                return
            codes[key] = code, _definition(code)
        if codes[key][1] and frame.f_back is not None:
            pairs.add((id(frame.f_back.f_code), key))

    threading.settrace(tracer)
    sys.settrace(tracer)
    try:
        command(*given)
    finally:
        sys.settrace(None)
        threading.settrace(None)
    names = {key: name for key, (_, name) in codes.items() if name}
    calls = {(names[caller], names[called]) for caller, called in pairs if caller in names}
    return set(names.values()), calls


def _definition(code: CodeType) -> str:
    """`module.name` of a function, or of a method's class, of the packages; "" for other code."""
    name, module = code.co_qualname.split(".")[0], _module(code.co_filename)
    in_body = not code.co_flags & inspect.CO_OPTIMIZED or name.startswith("<")  # a module's or class's own
    return "" if in_body or not module else f"{module}.{name}"


@cache
def _module(file: str) -> str:
    path = Path(file)
    if not path.is_relative_to(ROOT) or path.suffix != ".py":
        return ""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__") if parts[0] in PACKAGES else ""


def _reached(run: Traced) -> set[str]:
    """The definitions that the digest of a run's instance is of."""
    return installed().names([STARTS[run.stage]], lambda definition: not counts(definition, run.traits))


PRINTED = ("benchmark.paper", "benchmark.rendering")
"""What `statistics` runs beside what it keeps."""
HANDED_IN = ("benchmark.config.cells.Cell",)
"""Made by the reading of settings, which does not count, and asked for the cell's name."""


@pytest.mark.parametrize("name", RUNS)
def test_all_that_runs_is_in_the_digest_or_in_the_list_of_what_does_not_decide(
    name: str, runs: dict[str, Traced]
) -> None:
    run = runs[name]
    reached = _reached(run)
    beside = PRINTED if run.stage == "statistics" else HANDED_IN
    unlisted = {one for one in run.ran - reached if not _listed(one, [*NOT_DECIDING, *beside])}
    assert not unlisted, "neither reached from the command, nor listed as not deciding"
    called = {called for caller, called in run.calls if caller in reached} - reached
    deciding = {one for one in called if _listed(one, DECIDING) and not _listed(one, beside)}
    assert not deciding, "deciding, and called by what is in the digest, but not in it"


def test_code_in_a_digest_calls_nothing_of_settings_but_their_checks(runs: dict[str, Traced]) -> None:
    """Their values are in the digests, their module is not: what it computes would change unseen."""
    called = set[str]()
    for run in runs.values():
        reached = _reached(run)
        called |= {one for caller, one in run.calls if caller in reached and one not in reached}
    checks = {"bmt.settings.check_settings", "bmt.settings.check_mask"}
    made_on_import = {"bmt.settings.knob"}
    assert {one for one in called if _listed(one, ["bmt.settings"])} - made_on_import == checks


NOBODY_S = {"bmt.qa.adapters.alone"}
"""Doors that no stage goes through: it could open a model with one of its adapters, and none does."""


@pytest.mark.parametrize("door", sorted(door for door in DOORS.keys() - NOBODY_S if "/" not in door))
def test_a_door_is_gone_through_with_each_of_its_traits(door: str, runs: dict[str, Traced]) -> None:
    """The other direction: no trait opens a door without need."""
    opened = {
        trait
        for run in runs.values()
        for trait in run.traits
        if any(_listed(definition, [door]) for definition in run.ran)
    }
    assert DOORS[door] <= opened


WITHOUT_NEED = {
    "train": {"bmt.runtime.control"},  # what hears of a step where nobody else does
    "evaluate": {"bmt.runtime.checkpoints"},  # adapters are read as checkpoints are
    "transfer": set[str](),
}
"""Modules that more digests hold than runs go through: an edit of one makes more stale than it must."""


@pytest.mark.parametrize("stage", WITHOUT_NEED)
def test_modules_that_only_cells_of_a_trait_go_through_are_in_no_other_digest(
    stage: str, runs: dict[str, Traced]
) -> None:
    """As the schedules of masks: an arm without one does not hold their code."""
    of_stage = [run for run in runs.values() if run.stage == stage]
    modules: dict[str, list[frozenset[str]]] = {}  # the traits of each run that goes through a module
    for run in of_stage:
        for module in {definition.rpartition(".")[0] for definition in run.ran}:
            modules.setdefault(module, []).append(run.traits)
    needs = {module: frozenset.intersection(*traits) - {"span"} for module, traits in modules.items()}
    ran = set[str]().union(*(run.ran for run in of_stage))
    held = {
        definition.rpartition(".")[0]
        for run in of_stage
        for definition in ran & _reached(run)
        if not needs[definition.rpartition(".")[0]] <= run.traits
    }
    assert held == WITHOUT_NEED[stage]
    if stage == "train":
        assert needs["bmt.training.mask_schedules"] == {"train", "learned", "kept", "changing"}
