"""The files that DVC's stages depend on, one for each instance: what decides it, which data it reads, what
its sampling is held against.

DVC compares files, and its matrix knows a cell by its name alone. So three stages, each of a second, write
small JSON files that say more, and every other stage depends on its own file: what did not change in it runs
nothing. docs/pipeline.md tells the whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.acquisition.manifest import OFFICIAL, local_path, location
from benchmark.config import digests
from benchmark.config.cells import Cell, parse
from benchmark.config.code_closure import CodeTree
from benchmark.config.conditions import SOURCE_SEED
from benchmark.config.deciding_code import cell_traits, stage_code
from benchmark.config.folders import Places
from benchmark.config.params import Config, find_cell, repository_root
from benchmark.config.record_file import read_record
from benchmark.config.schema import Text
from benchmark.runs.single_task_reference import reference_cells
from bmt.errors import ConfigError
from bmt.runtime.files import file_digest, json_digest, write_folder_aside, write_json

Json = dict[str, Any]


def write_digests(config: Config, places: Places, tree: CodeTree | None = None) -> int:
    """Write what decides every instance of every stage; the number of files.

    Args:
        tree: of the packages whose code is meant; None: as they are installed.

    Raises:
        ConfigError: a cell's sampling is held against an ST cell that is not in `references`, or the other
            way round.
    """
    needed = {name: [cell.name for cell in reference_cells(config, parse(name))] for name in config.cells}
    _check_references(config, needed)
    count = _write(places.digests, _instances(config, tree))
    held = {name: references for name, references in needed.items() if references}
    write_json(places.scores / "needed.json", held)
    return count + 1


def _write(folder: Path, files: Mapping[str, Json]) -> int:
    """Write a folder anew, of these files by name; their number."""
    with write_folder_aside(folder) as aside:
        for name, content in files.items():
            write_json(aside / f"{name}.json", content)
    return len(files)


def _instances(config: Config, tree: CodeTree | None) -> dict[str, Json]:
    """The content of each file by its name."""

    def decides(stage: str, settings: Json, traits: Iterable[str] = ()) -> Json:
        return {"settings": settings, "code": stage_code(stage, frozenset(traits), tree)}

    read = {key: getattr(config.data, key) for key in ("train", "evaluate", "val_source")}
    read |= {"cells": config.every_cell, "transfers": config.transfers}
    files = {
        "fetch": decides("fetch", _fetch_settings(config), [config.source.manifest]),
        "statistics": decides("statistics", {}),
        "inputs": decides("inputs", read),
        "references": decides("references", {"cells": config.every_cell, "sampling": config.sampling.kind}),
        **{stage: decides(stage, digests.comparison_settings(config)) for stage in ("compare", "report")},
    }
    trained: dict[
        str, str
    ] = {}  # what runs on a trained model runs again when it is trained again: its file says so beforehand
    for name, backbone in config.backbones.items():
        reads_text = backbone.head == "generate"  # whole contexts: there is nothing to prepare
        files[f"prepare/{name}"] = (
            {} if reads_text else decides("prepare", digests.preparation_settings(config, name))
        )
    for name in config.every_cell:
        cell = find_cell(config, name)
        traits = cell_traits(config, cell)
        files[f"train/{name}"] = decides("train", digests.training_settings(config, cell), traits)
        if name in config.references:  # its stage writes its scores too
            files[f"train/{name}"]["scores"] = stage_code("scores", tree=tree)
        trained[name] = json_digest(files[f"train/{name}"])[:16]
        evaluated = decides("evaluate", digests.evaluation_settings(config), traits)
        files[f"evaluate/{name}"] = evaluated | {"training": trained[name]}
    for source in config.transfers:
        cell = find_cell(config, f"{source}.s{SOURCE_SEED}")
        for k in config.fewshot.sizes:
            for seed in config.fewshot.seeds:
                settings = digests.transfer_settings(config, cell, k, seed)
                moved = decides("transfer", settings, cell_traits(config, cell))
                files[f"transfer/{source}.k{k}.s{seed}"] = moved | {"training": trained[cell.name]}
    for name in config.published:
        files[f"published/{name}"] = decides("published", digests.published_settings(config, name))
    return files


def _fetch_settings(config: Config) -> Json:
    """The manifest's name, and the digest of a file of the user's that it names."""
    setting = config.source.manifest
    if setting == "sample":
        return {"manifest": setting}
    url = location(setting, repository_root())
    digest = None
    if url.startswith("file:") and (path := local_path(url)) != OFFICIAL and path.is_file():
        digest = file_digest(path)
    return {"manifest": setting, "sha256": digest}


def _check_references(config: Config, needed: Mapping[str, list[str]]) -> None:
    for name, references in needed.items():
        for reference in references:
            if reference not in config.references:
                todo = "move it there from cells" if reference in config.cells else "list it there"
                raise ConfigError(
                    f"references: {reference!r} is missing: the sampling of {name} is held against it "
                    f"(sampling.kind dynamic_single_task), so that it is trained first: {todo}, name "
                    "another arm in sampling.single_task_arm, or give sampling.single_task_scores"
                )
    for index, name in enumerate(config.references):
        if not any(name in references for references in needed.values()):
            raise ConfigError(
                f"references[{index}]: {name!r} is not allowed: no cell's sampling is held against it: move "
                "it to cells"
            )


def write_inputs(config: Config, places: Places) -> int:
    """Write which data each cell trains on, is scored on and is transferred to, by digest; the number of
    files.

    Raises:
        DataError: the features of a backbone are not there.
    """
    prepared = {
        name: _prepared(places.features(name))
        for name in {parse(cell).backbone for cell in config.every_cell}
    }
    data, files = config.data, dict[str, Json]()
    for name in config.every_cell:
        cell = parse(name)
        there = prepared[cell.backbone]
        train = [cell.dataset] if cell.dataset else data.train
        trained = [f"{dataset}.train" for dataset in train]
        validation = [f"{dataset}.dev" for dataset in train] if data.val_source == "dev" else []
        scored = [f"{dataset}.dev" for dataset in data.evaluate]
        files[f"train/{name}"] = _chosen(there, [*trained, *validation])
        hub = [file for file in (*trained, *scored) if there.get(file, {}).get("source") == "hub"]
        files[f"evaluate/{name}"] = _chosen(there, scored) | {"from_hub": hub}
    for source in config.transfers:
        there = prepared[source.split(".")[0]]
        files[f"transfer/{source}"] = _chosen(
            there, [f"{dataset}.dev" for dataset in digests.targets(config)]
        )
    return _write(places.inputs, files)


@dataclass(frozen=True, slots=True)
class MadeFromFields:
    """`files.*.inputs` of features.json."""

    file_sha256: Text


@dataclass(frozen=True, slots=True)
class PreparedFields:
    """`files.*` of features.json."""

    content_sha256: Text
    inputs: MadeFromFields


@dataclass(frozen=True, slots=True)
class PreparationFields:
    """features.json of a backbone."""

    files: dict[str, PreparedFields]


@dataclass(frozen=True, slots=True)
class ValidationFields:
    """training.json, as far as other cells' sampling is held against it."""

    validation: dict[str, dict[str, float]]


def _prepared(folder: Path) -> dict[str, Json]:
    path, remedy = folder / "features.json", "run `python -m benchmark.prepare`"
    files: dict[str, Json] = read_record(path, PreparationFields, remedy)["files"]
    return files


def _chosen(prepared: Mapping[str, Json], names: Iterable[str]) -> Json:
    """The digests of some files' features, and of the files that they were made from; null for one that is
    not there.
    """
    return {
        name: {"features": prepared[name]["content_sha256"], "file": prepared[name]["inputs"]["file_sha256"]}
        if name in prepared
        else None
        for name in names
    }


def write_scores(cell: Cell, places: Places) -> int:
    """Write the validation scores of a trained ST cell, for the cells whose sampling is held against it; the
    number of files.
    """
    path = places.run(cell) / "training.json"
    validation = read_record(path, ValidationFields, f"train {cell.name} again")["validation"]
    write_json(places.scores / f"{cell.name}.json", validation)
    return 1


def write_references(config: Config, places: Places) -> int:
    """Write the scores that each cell's sampling is held against, none for most; the number of files."""
    files = {
        name: {
            cell.name: json.loads((places.scores / f"{cell.name}.json").read_text(encoding="utf-8"))
            for cell in reference_cells(config, parse(name))
        }
        for name in config.every_cell
    }
    return _write(places.references, files)
