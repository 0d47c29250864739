"""The small files that say which data a cell reads and which scores it is held against."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.acquisition.manifest import OFFICIAL
from benchmark.config import digests
from benchmark.config.cells import parse
from benchmark.config.deciding_code import cell_traits
from benchmark.config.folders import Folders
from benchmark.config.params import Config, load
from benchmark.pipeline import digest_files
from benchmark.pipeline.digest_files import write_digests, write_inputs, write_references, write_scores
from bmt.errors import ConfigError, DataError
from bmt.runtime.files import json_digest, write_json
from tests.support.repository import ROOT

MT, SINGLE = "minilm.mt.bmt.s0", "minilm.st-SQuAD.bmt.s0"
FILES = {
    "SQuAD.train": "hub",
    "SQuAD.dev": "files",
    "NewsQA.train": "files",
    "NewsQA.dev": "hub",
    "DROP.dev": "hub",
    "RACE.dev": "hub",
}


def project(root: Path, **data: Any) -> tuple[Config, Folders]:
    """An MT and an ST cell of two datasets, a transfer, and features as they are noted."""
    config = load(ROOT / "profiles" / "sample.yaml")
    kept = replace(config.data, train=["SQuAD", "NewsQA"], evaluate=["NewsQA", "DROP", "BioASQ"])
    config = replace(
        config,
        data=replace(kept, **data),
        cells=[MT, SINGLE],
        references=[],
        transfers=[MT.removesuffix(".s0")],
        sampling=replace(config.sampling, kind="dynamic", single_task_scores=None),
    )
    folders = Folders(root, config.profile)
    noted = {
        name: {"content_sha256": f"c {name}", "inputs": {"file_sha256": f"f {name}"}, "source": source}
        for name, source in FILES.items()
    }
    write_json(folders.features("minilm") / "features.json", {"files": noted})
    return config, folders


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def of(*names: str) -> dict[str, Any]:
    return {name: {"features": f"c {name}", "file": f"f {name}"} for name in names}


@pytest.mark.parametrize("source", ["train", "dev"])
def test_a_cell_s_inputs_are_the_files_that_it_reads(source: str, tmp_path: Path) -> None:
    config, folders = project(tmp_path, val_source=source)
    assert write_inputs(config, folders) == 5
    dev = ("SQuAD.dev", "NewsQA.dev") if source == "dev" else ()
    assert content(folders.inputs / "train" / f"{MT}.json") == of("SQuAD.train", "NewsQA.train", *dev)
    assert content(folders.inputs / "train" / f"{SINGLE}.json") == of("SQuAD.train", *dev[:1])
    scored = of("NewsQA.dev", "DROP.dev") | {"BioASQ.dev": None}  # of which there is no file
    hub = ["SQuAD.train", "NewsQA.dev", "DROP.dev"]
    for cell in (MT, SINGLE):
        assert content(folders.inputs / "evaluate" / f"{cell}.json") == scored | {"from_hub": hub}
    moved = content(folders.inputs / "transfer" / "minilm.mt.bmt.json")
    assert moved == of("DROP.dev") | {"BioASQ.dev": None}
    for damaged, line in (
        ("{}", r"files: missing: names and their settings"),
        ("[]", r"the whole file: \[\] is not allowed: keys and values"),
        ('{"files": {"a": 3}}', r"files\.a: 3 is not allowed: keys and values"),
        ("{", r"cannot be read \(JSONDecodeError\)"),
    ):
        (folders.features("minilm") / "features.json").write_text(damaged)
        with pytest.raises(DataError, match=rf"features\.json: {line}: run `python -m benchmark\.prepare`$"):
            write_inputs(config, folders)
    assert content(folders.inputs / "transfer" / "minilm.mt.bmt.json") == moved  # as it was


def test_scores_are_the_validation_s_alone_and_go_to_the_cells_that_need_them(tmp_path: Path) -> None:
    config, folders = project(tmp_path)
    singles = [f"minilm.st-{dataset}.bmt.s0" for dataset in config.data.train]
    with pytest.raises(DataError, match=rf"cannot be read \(FileNotFoundError\): train {singles[0]} again"):
        write_scores(parse(singles[0]), folders)
    for number, name in enumerate(singles):
        scores = {parse(name).dataset: {"em": 10.0 + number, "f1": 20.0}}
        path = folders.run(parse(name)) / "training.json"
        write_json(path, {"seconds": 1.0})
        with pytest.raises(DataError, match=r"training\.json: validation: missing: "):
            write_scores(parse(name), folders)
        write_json(path, {"seconds": 1.0, "validation": scores})
        assert write_scores(parse(name), folders) == 1
        assert content(folders.scores / f"{name}.json") == scores
    held = replace(config, sampling=replace(config.sampling, kind="dynamic_single_task"))
    assert write_references(held, folders) == 2
    assert content(folders.references / f"{MT}.json") == {
        name: {parse(name).dataset: {"em": 10.0 + number, "f1": 20.0}} for number, name in enumerate(singles)
    }
    assert content(folders.references / f"{SINGLE}.json") == {}
    assert write_references(config, folders) == 2
    assert content(folders.references / f"{MT}.json") == {}


def stub_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of a stage as its name and the traits that it is asked for with."""
    monkeypatch.setattr(
        digest_files,
        "stage_code",
        lambda stage, traits=frozenset(), tree=None: {stage: ",".join(sorted(traits)), "tree": tree},
    )


def test_each_instance_of_each_stage_has_a_file_of_what_decides_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_code(monkeypatch)
    config, folders = project(tmp_path)
    writer = replace(config.backbones["minilm"], head="generate")
    single = SINGLE.replace(".s0", ".s1")
    config = replace(
        config,
        backbones={**config.backbones, "writer": writer},
        cells=[MT, "minilm.mt.bmt.s1"],
        references=[f"minilm.st-{dataset}.bmt.s{seed}" for dataset in config.data.train for seed in (0, 1)],
        published=["writer"],
        fewshot=replace(config.fewshot, sizes=[2, 4], seeds=[7]),
        sampling=replace(config.sampling, kind="dynamic_single_task"),
    )
    tree: Any = "the tree"
    count = write_digests(config, folders, tree)
    files = {
        path.relative_to(folders.digests).as_posix().removesuffix(".json"): content(path)
        for path in folders.digests.rglob("*.json")
    }
    every = config.every_cell
    assert set(files) == {
        *("fetch", "statistics", "inputs", "references", "compare", "report"),
        *("prepare/minilm", "prepare/writer", "published/writer"),
        *(f"{stage}/{name}" for stage in ("train", "evaluate") for name in every),
        "transfer/minilm.mt.bmt.k2.s7",
        "transfer/minilm.mt.bmt.k4.s7",
    }
    assert count == len(files) + 1

    def code(stage: str, traits: Any = ()) -> dict[str, Any]:
        return {stage: ",".join(sorted(traits)), "tree": "the tree"}

    read = {key: getattr(config.data, key) for key in ("train", "evaluate", "val_source")}
    read |= {"cells": every, "transfers": ["minilm.mt.bmt"]}
    assert files["inputs"] == {"settings": read, "code": code("inputs")}
    sampling = {"cells": every, "sampling": "dynamic_single_task"}
    assert files["references"] == {"settings": sampling, "code": code("references")}
    assert files["statistics"] == {"settings": {}, "code": code("statistics")}
    assert files["fetch"] == {"settings": {"manifest": "sample"}, "code": code("fetch", ["sample"])}
    for stage in ("compare", "report"):
        settings = digests.comparison_settings(config)
        assert files[stage] == {"settings": settings, "code": code(stage)}
    preparation = digests.preparation_settings(config, "minilm")
    assert files["prepare/minilm"] == {"settings": preparation, "code": code("prepare")}
    assert files["prepare/writer"] == {}
    published = digests.published_settings(config, "writer")
    assert files["published/writer"] == {"settings": published, "code": code("published")}
    trained = {}
    for name in every:
        cell = parse(name)
        traits, settings = cell_traits(config, cell), digests.training_settings(config, cell)
        scores = {"scores": code("scores")} if name in config.references else {}
        assert files[f"train/{name}"] == {"settings": settings, "code": code("train", traits)} | scores
        trained[name] = json_digest(files[f"train/{name}"])[:16]
        assert files[f"evaluate/{name}"] == {
            "settings": digests.evaluation_settings(config),
            "code": code("evaluate", traits),
            "training": trained[name],
        }
    for k in (2, 4):
        assert files[f"transfer/minilm.mt.bmt.k{k}.s7"] == {
            "settings": digests.transfer_settings(config, parse(MT), k, 7),
            "code": code("transfer", cell_traits(config, parse(MT))),
            "training": trained[MT],  # of seed 0, whatever the transfer's
        }
    assert content(folders.scores / "needed.json") == {
        f"minilm.mt.bmt.s{seed}": [f"minilm.st-{dataset}.bmt.s{seed}" for dataset in config.data.train]
        for seed in (0, 1)
    }
    fewer = replace(config, references=[], sampling=replace(config.sampling, kind="dynamic"))
    write_digests(fewer, folders, tree)
    assert not (folders.digests / "train" / f"{single}.json").exists()  # written anew as a whole
    assert content(folders.scores / "needed.json") == {}


def test_of_a_manifest_of_the_user_s_the_content_decides_and_of_ours_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    config, _ = project(tmp_path)

    def settings(manifest: str) -> Any:
        return digest_files._fetch_settings(replace(config, source=replace(config.source, manifest=manifest)))

    assert settings("sample") == {"manifest": "sample"}
    assert settings("mrqa2019") == {"manifest": "mrqa2019", "sha256": None} and OFFICIAL.is_file()
    assert settings("mine") == {"manifest": "mine", "sha256": None}
    url = "https://example.org/manifest.yaml"
    assert settings(url) == {"manifest": url, "sha256": None}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "manifest.yaml").write_bytes(b"version: a")
    sha256 = hashlib.sha256(b"version: a").hexdigest()
    assert settings("mine") == {"manifest": "mine", "sha256": sha256}
    monkeypatch.setenv("BMT_REAL_DATA", str(tmp_path / "mine"))  # its content, by whatever name it is meant
    assert settings("real") == {"manifest": "real", "sha256": sha256}


def test_references_that_no_cell_needs_are_refused_by_their_place(tmp_path: Path) -> None:
    config, folders = project(tmp_path)
    config = replace(
        config,
        cells=[MT],
        references=[SINGLE, "minilm.st-NewsQA.bmt.s0", "minilm.st-NewsQA.bmt.s1"],
        sampling=replace(config.sampling, kind="dynamic_single_task"),
    )
    with pytest.raises(ConfigError) as caught:
        write_digests(config, folders)
    assert str(caught.value) == (
        "references[2]: 'minilm.st-NewsQA.bmt.s1' is not allowed: "
        "no cell's sampling is held against it: move it to cells"
    )
    assert not folders.digests.exists()
