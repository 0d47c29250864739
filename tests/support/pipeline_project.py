"""A project for DVC whose stages were never run: its code, a params file, and something in the place of each
stage's outputs.

Every stage is then up to date as far as DVC knows. A test edits a file, writes the digests anew, and asks
which stages are stale.
"""

from __future__ import annotations

import ast
import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from dvc.repo import Repo

from benchmark.config.code_closure import CodeTree
from benchmark.config.deciding_code import STARTS
from benchmark.config.folders import Places
from benchmark.config.params import load
from benchmark.pipeline.digest_files import write_digests, write_inputs, write_references
from tests.support.repository import ROOT

IGNORED = shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local")


@dataclass(frozen=True, slots=True)
class PipelineProject:
    """The folder of the project, and its code as it was at first."""

    root: Path
    tree: CodeTree

    def digests(self, edited: str = "") -> None:
        """What the stages `digests`, `inputs` and `references` do, after an edit of one file."""
        config = load(self.root / "params.yaml")
        places = Places(self.root, config.profile)
        name = edited.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        kept = {
            module: code for module, code in self.tree._modules.items() if module != name
        }  # read once for all edits
        write_digests(config, places, CodeTree(self.root, _modules=kept))
        write_inputs(config, places)
        write_references(config, places)

    @contextlib.contextmanager
    def repository(self) -> Iterator[Repo]:
        """DVC's view of the project as it is now."""
        with contextlib.chdir(self.root), contextlib.closing(Repo(str(self.root))) as repo:
            yield repo

    def stale(self) -> set[str]:
        """The stages that DVC would run, the three that write digests not counted."""
        with self.repository() as repo:
            changed = {name.removeprefix("dvc.yaml:") for name in repo.status()}
        return changed - {"digests", "inputs", "references", "study"}

    def settle(self) -> None:
        """Make something for every output that is absent, and have DVC take it as it is."""
        config = load(self.root / "params.yaml")
        for backbone in config.backbones:
            names = [f"{name}.train" for name in config.data.train] + [
                f"{name}.dev" for name in config.data.evaluate
            ]
            self.write_features(backbone, dict.fromkeys(names, "first"))
        with self.repository() as repo:
            for out in [out for stage in repo.index.stages for out in stage.outs]:
                path = Path(out.fs_path)
                if "digests" in path.parts or "needed.json" in path.parts or path.exists():
                    continue
                folder = not path.suffix or path.parent.name in ("raw", "features", "inputs", "references")
                (path if folder else path.parent).mkdir(parents=True, exist_ok=True)
                (path / "file" if folder else path).write_text(json.dumps(str(path)))
            raw = self.root / "data" / "raw" / config.profile / "out_of_domain"
            raw.mkdir(parents=True, exist_ok=True)
            (raw / "DROP.dev.jsonl.gz").write_text("text")
        self.digests()
        with self.repository() as repo:
            repo.commit(force=True)
        assert self.stale() == set()

    def write_features(self, backbone: str, content: dict[str, str]) -> None:
        """The summary of a backbone's features; `content` stands for the windows of each file."""
        profile = load(self.root / "params.yaml").profile
        folder = self.root / "data" / "features" / profile / backbone
        folder.mkdir(parents=True, exist_ok=True)
        files = {
            name: {"content_sha256": text, "inputs": {"file_sha256": text}, "source": "sample"}
            for name, text in content.items()
        }
        (folder / "features.json").write_text(json.dumps({"files": files}))

    @contextlib.contextmanager
    def edited(self, name: str, change: Callable[[str], str]) -> Iterator[None]:
        """While the block runs, a file is changed and the digests are those of that state."""
        path = self.root / name
        before = path.read_text(encoding="utf-8")
        after = change(before)
        assert after != before, f"{name}: nothing was changed"
        path.write_text(after, encoding="utf-8")
        try:
            self.digests(name)
            yield
        finally:
            path.write_text(before, encoding="utf-8")


def make_project(root: Path, values: dict[str, Any]) -> PipelineProject:
    """Copy the code and the pipeline to `root`, with these parameters, and settle it."""
    for name in ("bmt", "benchmark", ".dvc"):
        shutil.copytree(ROOT / name, root / name, ignore=IGNORED)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, root / name)
    (root / "studies").mkdir()
    (root / "studies" / "sample.best.yaml").write_text("study: sample\n")
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    tree = CodeTree(root)
    for start in STARTS.values():
        tree.closure([start])
    project = PipelineProject(root, tree)
    project.settle()
    return project


def setting(key: str, value: Any) -> Callable[[str], str]:
    """Another value of a setting, `section.key`, in a params file."""

    def change(text: str) -> str:
        values = yaml.safe_load(text)
        *sections, last = key.split(".")
        inner = values
        for section in sections:
            inner = inner[section]
        inner[last] = value(inner.get(last)) if callable(value) else value
        return yaml.safe_dump(values, sort_keys=False)

    return change


def in_function(name: str, statement: str = "edited = True") -> Callable[[str], str]:
    """A statement more at the start of a function or method, `name` or `Class.name`."""

    def change(text: str) -> str:
        node: Any = ast.parse(text)
        for part in name.split("."):
            node = next(inner for inner in node.body if getattr(inner, "name", None) == part)
        first = node.body[1] if len(node.body) > 1 and ast.get_docstring(node) else node.body[0]
        lines = text.splitlines(keepends=True)
        lines.insert(first.lineno - 1, " " * first.col_offset + statement + "\n")
        return "".join(lines)

    return change


def assigned(name: str, value: str) -> Callable[[str], str]:
    """Another value of a module's constant."""

    def change(text: str) -> str:
        node = next(
            node
            for node in ast.parse(text).body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
        )
        lines = text.splitlines(keepends=True)
        assert node.end_lineno is not None
        return "".join([*lines[: node.lineno - 1], f"{name} = {value}\n", *lines[node.end_lineno :]])

    return change
