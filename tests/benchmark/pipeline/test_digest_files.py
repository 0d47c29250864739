"""The small files that say which data a cell reads and which scores it is held against."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import Config, load
from benchmark.pipeline.digest_files import write_inputs, write_references, write_scores
from bmt.errors import DataError
from bmt.runtime.files import write_json
from tests.support.project import ROOT

MT, SINGLE = "minilm.mt.bmt.s0", "minilm.st-SQuAD.bmt.s0"
FILES = {
    "SQuAD.train": "hub",
    "SQuAD.dev": "files",
    "NewsQA.train": "files",
    "NewsQA.dev": "hub",
    "DROP.dev": "hub",
    "RACE.dev": "hub",
}


def project(root: Path, **data: Any) -> tuple[Config, Places]:
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
    places = Places(root, config.profile)
    noted = {
        name: {"content_sha256": f"c {name}", "inputs": {"file_sha256": f"f {name}"}, "source": source}
        for name, source in FILES.items()
    }
    write_json(places.features("minilm") / "features.json", {"files": noted})
    return config, places


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def of(*names: str) -> dict[str, Any]:
    return {name: {"features": f"c {name}", "file": f"f {name}"} for name in names}


@pytest.mark.parametrize("source", ["train", "dev"])
def test_a_cell_s_inputs_are_the_files_that_it_reads(source: str, tmp_path: Path) -> None:
    config, places = project(tmp_path, val_source=source)
    assert write_inputs(config, places) == 5
    dev = ("SQuAD.dev", "NewsQA.dev") if source == "dev" else ()
    assert content(places.inputs / "train" / f"{MT}.json") == of("SQuAD.train", "NewsQA.train", *dev)
    assert content(places.inputs / "train" / f"{SINGLE}.json") == of("SQuAD.train", *dev[:1])
    scored = of("NewsQA.dev", "DROP.dev") | {"BioASQ.dev": None}  # of which there is no file
    hub = ["SQuAD.train", "NewsQA.dev", "DROP.dev"]
    for cell in (MT, SINGLE):
        assert content(places.inputs / "evaluate" / f"{cell}.json") == scored | {"from_hub": hub}
    moved = content(places.inputs / "transfer" / "minilm.mt.bmt.json")
    assert moved == of("DROP.dev") | {"BioASQ.dev": None}
    (places.features("minilm") / "features.json").write_text("{}")
    with pytest.raises(DataError, match=r"features\.json: cannot be read \(KeyError\): run `python -m"):
        write_inputs(config, places)
    assert content(places.inputs / "transfer" / "minilm.mt.bmt.json") == moved  # as it was


def test_scores_are_the_validation_s_alone_and_go_to_the_cells_that_need_them(tmp_path: Path) -> None:
    config, places = project(tmp_path)
    singles = [f"minilm.st-{dataset}.bmt.s0" for dataset in config.data.train]
    with pytest.raises(DataError, match=rf"cannot be read \(FileNotFoundError\): train {singles[0]} again"):
        write_scores(config, parse(singles[0]), places)
    for number, name in enumerate(singles):
        scores = {parse(name).dataset: {"em": 10.0 + number, "f1": 20.0}}
        path = places.run(parse(name)) / "training.json"
        write_json(path, {"seconds": 1.0})
        with pytest.raises(DataError, match=r"training\.json: cannot be read \(KeyError\)"):
            write_scores(config, parse(name), places)
        write_json(path, {"seconds": 1.0, "validation": scores})
        assert write_scores(config, parse(name), places) == 1
        assert content(places.scores / f"{name}.json") == scores
    held = replace(config, sampling=replace(config.sampling, kind="dynamic_single_task"))
    assert write_references(held, places) == 2
    assert content(places.references / f"{MT}.json") == {
        name: {parse(name).dataset: {"em": 10.0 + number, "f1": 20.0}} for number, name in enumerate(singles)
    }
    assert content(places.references / f"{SINGLE}.json") == {}
    assert write_references(config, places) == 2
    assert content(places.references / f"{MT}.json") == {}
