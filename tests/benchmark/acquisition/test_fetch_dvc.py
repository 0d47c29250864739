"""fetch as a DVC stage: DVC keeps, pushes and pulls each file of its folder on its own, under the MD5 that
the manifest states.
"""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from tests.support import project
from tests.support.dvc_command import command, dvc, ran
from tests.support.mrqa_files import as_bytes, passage, question
from tests.support.repository import ROOT

FILES = ("in_domain/SQuAD.train", "in_domain/SQuAD.dev", "in_domain/NewsQA.dev")


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def write_source(folder: Path, **texts: str) -> dict[str, bytes]:
    """A folder of MRQA files with a manifest; `texts` are the contexts by dataset and split. Returns the
    files by path.
    """
    content, entries = {}, []
    for name in FILES:
        domain, dataset, split = name.replace("/", ".").split(".")
        text = texts.get(f"{dataset}_{split}", f"The old mill of {dataset} {split}.")
        header = {"header": {"dataset": dataset, "split": split}}
        content[f"{name}.jsonl.gz"] = gzip.compress(
            as_bytes([header, passage(text, question(text, "mill", name))]), mtime=0
        )
        (folder / domain).mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl.gz").write_bytes(content[f"{name}.jsonl.gz"])
        digest = md5(content[f"{name}.jsonl.gz"])
        entries.append(
            {"dataset": dataset, "domain": domain, "split": split, "path": f"{name}.jsonl.gz", "md5": digest}
        )
    (folder / "manifest.yaml").write_text(yaml.safe_dump({"version": "v" + "".join(texts), "files": entries}))
    return content


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the project's code with the stages `digests` and `fetch`, as dvc.yaml has them."""
    root = tmp_path / "repository"
    for name in ("bmt", "benchmark", ".dvc"):
        shutil.copytree(
            ROOT / name,
            root / name,
            ignore=shutil.ignore_patterns("__pycache__", "cache", "tmp", "config.local"),
        )
    shutil.copy(ROOT / ".dvcignore", root / ".dvcignore")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    (root / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {name: stages[name] for name in ("digests", "fetch")}})
    )
    project.write_params(root, project.params(["bert"], ["bert.mt.none.s0"], manifest="source"))
    command(root, "git", "init", "-q")
    return root


def kept(root: Path) -> set[str]:
    """Digests of what DVC keeps."""
    return {"".join(path.parts[-2:]) for path in (root / ".dvc" / "cache" / "files" / "md5").glob("*/*")}


def test_each_file_is_versioned_on_its_own(repository: Path) -> None:
    first = write_source(repository / "source")
    assert ran(dvc(repository, "repro")) == ["digests", "fetch"]
    raw = repository / "data" / "raw" / "tiny"
    before = kept(repository)
    assert {md5(content) for content in first.values()} < before, "under the digests that the manifest states"

    second = write_source(repository / "source", SQuAD_dev="A newer mill.")
    dvc(repository, "repro", "--single-item", "--force", "digests")  # as `make status` does
    assert ran(dvc(repository, "repro")) == ["fetch"]
    assert {path: (raw / path).read_bytes() for path in second} == second
    changed = [raw / name for name in ("in_domain/SQuAD.dev.jsonl.gz", "fetch.json", "manifest.yaml")]
    changed.append(repository / "data" / "digests" / "tiny" / "fetch.json")  # states the manifest's digest
    new = kept(repository) - before
    assert {digest for digest in new if not digest.endswith(".dir")} == {
        md5(path.read_bytes()) for path in changed
    }
    assert len(new) == 6, "and the lists of the two folders"

    dvc(repository, "remote", "add", "--default", "local", str(repository.parent / "remote"))
    dvc(repository, "push")
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc" / "cache")
    dvc(repository, "pull", "data/raw/tiny/in_domain/SQuAD.dev.jsonl.gz")
    assert [path.relative_to(raw).as_posix() for path in raw.rglob("*") if path.is_file()] == [
        "in_domain/SQuAD.dev.jsonl.gz"
    ]
    assert (raw / "in_domain/SQuAD.dev.jsonl.gz").read_bytes() == second["in_domain/SQuAD.dev.jsonl.gz"]
