"""The folder that travels: its size, its commit, where its questions come from."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.params import load
from benchmark.tracking import environment
from bmt.errors import BMTError, ConfigError, DataError
from tests.support.repository import ROOT
from tools.gpu_day import pack as packing
from tools.gpu_day.half_precision import write_half_precision
from tools.gpu_day.pack import (
    COMMAND,
    check_size,
    digests_of,
    fetch_questions,
    fetch_wheels,
    pack,
    pinned,
    travelling_files,
    unpack,
    write_pack,
)
from tools.gpu_day.rehearsal_project import write_encoder


def test_more_than_may_travel_is_refused_by_its_parts() -> None:
    sizes = {"code": 4_500_000, "features": 60_000, "all": 4_560_000}
    check_size(sizes, 4_560_000)
    said = r"^4\.6 MB would travel, of 4\.5 MB allowed \(code 4\.5, features 0\.1\): let git ignore"
    with pytest.raises(ConfigError, match=said):
        check_size(sizes, 4_500_000)


def test_the_command_fits_the_machines_limit_and_names_the_pack() -> None:
    assert len(COMMAND) < 2_000
    assert COMMAND.endswith("tools.gpu_day --budget 540 --out $OUT")
    ignored = subprocess.run(["git", "-C", str(ROOT), "check-ignore", "-q", ".gpu_day/x"])
    assert ignored.returncode == 0


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A git checkout of two files, one ignored, one new, one deleted."""
    root = tmp_path / "checkout"
    root.mkdir()
    for name in ("kept.py", "gone.py", "dvc.lock"):
        (root / name).write_text(name)
    (root / ".gitignore").write_text(".gpu_day/\nignored.txt\n")
    git = ["git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=e"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    (root / "gone.py").unlink()
    (root / "ignored.txt").write_text("ignored")
    (root / "new.py").write_text("new")
    return root


def test_what_travels_is_what_git_knows_or_would_take(checkout: Path) -> None:
    assert travelling_files(checkout) == [".gitignore", "dvc.lock", "kept.py", "new.py"]
    assert list(digests_of(checkout, travelling_files(checkout))) == [".gitignore", "kept.py", "new.py"]
    with pytest.raises(ConfigError, match=r"no git checkout: pack where the project was cloned"):
        travelling_files(checkout.parent)


def test_a_copy_without_git_says_the_commit_it_was_made_from(checkout: Path, tmp_path: Path) -> None:
    state = environment.git_state(checkout)
    assert state["dirty"] and len(state["commit"]) == 40
    copy, names = tmp_path / "copy", travelling_files(checkout)
    (copy / ".gpu_day").mkdir(parents=True)
    for name in names:
        (copy / name).write_bytes((checkout / name).read_bytes())
    noted = state | {"files": digests_of(checkout, names)}
    (copy / environment.CHECKOUT).write_text(json.dumps(noted))
    assert environment.git_state(copy) == state
    (copy / "dvc.lock").write_text("changes nothing")
    assert environment.git_state(copy) == state
    (copy / "kept.py").write_text("changed after packing")
    assert environment.git_state(copy) == state | {"dirty": True, "diff_sha256": None}
    (copy / environment.CHECKOUT).write_text("{")
    assert environment.git_state(copy) == dict.fromkeys(state)


def test_wheels_are_of_the_locked_versions_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = pinned(ROOT / "constraints.txt")
    assert list(versions) == ["msgspec", "isal"]
    asked = []

    def download(name: str, version: str, folder: Path) -> None:
        asked.append(name)
        if name == "msgspec":
            folder.mkdir(exist_ok=True)
            (folder / f"{name}-{version}-cp312-cp312-manylinux2014_x86_64.whl").write_bytes(b"wheel")

    monkeypatch.setattr(packing, "_download", download)
    only = {"msgspec": versions["msgspec"]}
    for _ in range(2):
        [(name, data)] = fetch_wheels(tmp_path / "wheels", only).items()
        assert data == b"wheel" and name.startswith(f"msgspec-{versions['msgspec']}-cp312")
    assert asked == ["msgspec"], "the second time it was there"
    with pytest.raises(BMTError, match=r"^isal==1: no wheel for Python 3\.12 on x86-64 Linux in"):
        fetch_wheels(tmp_path / "wheels", {"isal": "1"})


def test_questions_come_from_the_manifest_or_from_what_mini_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_REAL_DATA", str(tmp_path / "absent"))
    config = load(ROOT / "profiles" / "mini_gpu.yaml")
    with pytest.raises(ConfigError, match=r"set BMT_REAL_DATA to the folder .*data/raw/mini has none either"):
        fetch_questions(config)
    write_corpus(tmp_path / "data" / "raw" / "mini")
    fetch_questions(config)
    made, kept = ((tmp_path / "data/raw" / name / "in_domain") for name in ("mini_gpu", "mini"))
    file = "SQuAD.train.jsonl.gz"
    assert (made / file).read_bytes() == (kept / file).read_bytes()


def test_a_whole_pack_of_a_checkout(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With made-up questions, a tiny encoder in MiniLM's place and wheels that nobody downloads."""
    monkeypatch.setenv("BMT_ROOT", str(checkout))
    monkeypatch.setenv("BMT_REAL_DATA", str(tmp_path / "absent"))
    write_corpus(checkout / "data" / "raw" / "mini")
    backbone = checkout / "data" / "backbones" / "minilm-fp16"
    write_encoder(tmp_path / "encoder", ["the old mill by the river", "nobody knows why it rains"])
    digest = write_half_precision(tmp_path / "encoder", backbone)
    profile = (ROOT / "profiles" / "mini_gpu.yaml").read_text(encoding="utf-8")
    [named] = load(ROOT / "profiles" / "mini_gpu.yaml").backbones.values()
    (checkout / "profiles").mkdir()
    (checkout / "profiles" / "mini_gpu.yaml").write_text(profile.replace(str(named.sha256), digest))
    (checkout / "constraints.txt").write_bytes((ROOT / "constraints.txt").read_bytes())
    (checkout / ".gitignore").write_text(".gpu_day/\nignored.txt\n/data/\n")
    monkeypatch.setattr(packing, "halve_backbone", lambda config: None)
    monkeypatch.setattr(packing, "fetch_wheels", lambda kept, versions: {"a-1.whl": b"wheel"})
    checked: list[dict[str, int]] = []
    monkeypatch.setattr(packing, "check_size", checked.append)
    folder = checkout / ".gpu_day"
    said, _, command = pack(folder)
    assert said.startswith(f"{folder}: code 0.0 MB, backbones 0.") and said.endswith(" MB (at most 60 MB)")
    assert command == COMMAND
    noted = json.loads((folder / "checkout.json").read_text())
    names = [".gitignore", "constraints.txt", "kept.py", "new.py", "profiles/mini_gpu.yaml"]
    assert list(noted["files"]) == names
    [sizes] = checked
    travelling = [checkout / name for name in travelling_files(checkout)]
    assert sizes["code"] == sum(path.stat().st_size for path in travelling) > 0
    assert sizes["all"] == sizes["code"] + packing.folder_size(folder)
    assert sizes["wheels"] == len(b"wheel") and sizes["features"] > 0 < sizes["backbones"]
    assert {key: noted[key] for key in ("commit", "dirty", "diff_sha256")} == environment.git_state(checkout)
    config = unpack(folder, tmp_path / "root")
    assert config.profile == "mini_gpu"
    noted, runs = (environment.git_state(root)["commit"] for root in (tmp_path / "root", ROOT))
    assert noted == runs, "the commit of the code that runs"
    for part in (
        "features/mini_gpu/minilm-fp16/SQuAD.train/windows.arrow",
        "backbones/minilm-fp16/config.json",
    ):
        assert (tmp_path / "root/data" / part).read_bytes() == (checkout / "data" / part).read_bytes()
    assert not (tmp_path / "root/data/raw").exists()


def test_a_pack_with_the_params_of_another_profile_is_refused(tmp_path: Path) -> None:
    mini, gpu = (ROOT / "profiles" / f"{name}.yaml" for name in ("mini", "mini_gpu"))
    write_pack(tmp_path / "pack", {"params.yaml": mini}, load(gpu), {"a-1.whl": b"wheel"})
    assert (tmp_path / "pack/wheels/a-1.whl").read_bytes() == b"wheel"
    with pytest.raises(DataError, match=r"a pack of profile 'mini_gpu' with params of 'mini': pack again"):
        unpack(tmp_path / "pack", tmp_path / "root")
