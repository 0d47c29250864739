"""MRQA files to windows on disk, for the tokenizer of every backbone of the profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.acquisition.fetch import NOT_COMPARABLE
from benchmark.acquisition.file_origins import origins
from benchmark.cli.advice import advice
from benchmark.cli.progress import progress
from benchmark.config.backbones import locate
from benchmark.config.cells import domain_of
from benchmark.config.folders import Places
from benchmark.config.params import Config
from bmt.errors import DataError
from bmt.qa.irregularities import KINDS
from bmt.runtime.files import write_json

LISTS = ("dropped_questions", "irregular_places")  # of a file's features.json: long ones
WORTH_PROCESSES = 8 << 20  # bytes of gz from which starting processes pays


def wanted_files(config: Config, raw: Path) -> tuple[list[tuple[str, str, Path]], list[str]]:
    """The files that the profile reads, as (dataset, split, path), and the datasets to score that have no dev
    file.

    Raises:
        DataError: a train file is missing, or no dev file at all is there.
    """
    files: list[tuple[str, str, Path]] = []
    for dataset in config.data.train:
        path = raw / domain_of(dataset) / f"{dataset}.train.jsonl.gz"
        if not path.is_file():
            raise DataError(
                f"{path}: the train file of {dataset} is missing: run `python -m benchmark.fetch`, or take "
                f"{dataset} out of data.train"
            )
        files.append((dataset, "train", path))
    absent = []
    for dataset in config.data.evaluate:
        path = raw / domain_of(dataset) / f"{dataset}.dev.jsonl.gz"
        if path.is_file():
            files.append((dataset, "dev", path))
        else:
            absent.append(dataset)
    if len(absent) == len(config.data.evaluate):
        raise DataError(
            f"{raw}: none of the dev files of data.evaluate is there: run `python -m benchmark.fetch`"
        )
    return files, absent


def said_of(name: str, meta: dict[str, Any]) -> list[str]:
    """What is to be said of a file's features: each kind of irregularity, questions that were cut, questions
    that training cannot use.
    """
    lines = [
        f"{name}: {kind}: {count} ({KINDS[kind]})" for kind, count in sorted(meta["irregularities"].items())
    ]
    if cut := meta["counts"]["truncated_questions"]:
        lines.append(
            f"{name}: {cut} questions cut to their first {meta['inputs']['question']} tokens (data.question)"
        )
    if meta["dropped"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(meta["dropped"].items()))
        lines.append(f"{name}: {sum(meta['dropped'].values())} questions dropped from training: {reasons}")
    return lines


def prepare(config: Config, workers: int, strict: bool = False) -> None:
    """Write `data/features/<profile>/<backbone>/<Dataset>.<split>/` for every file and backbone; what has the
    same key is kept.

    Every irregularity of a file and every question left out of training is in that folder's features.json,
    and counted on stdout. With `strict` the first irregularity raises.
    """
    from bmt.qa.features import BuildOptions, build
    from bmt.qa.model import open_tokenizer

    places = Places.of(config)
    files, absent = wanted_files(config, places.raw)
    for backbone, settings in config.backbones.items():
        if settings.head == "generate":
            continue  # it reads whole contexts as text
        place = locate(backbone, settings)
        tokenizer = open_tokenizer(place.source, revision=place.revision, markers=config.data.special_tokens)
        counts: dict[str, dict[str, Any]] = {}
        total = sum(path.stat().st_size for _, _, path in files)
        with progress(f"prepare {backbone}", total=total, unit="bytes") as bar:
            for dataset, split, path in files:
                out = places.features(backbone) / f"{dataset}.{split}"
                processes = workers if path.stat().st_size > WORTH_PROCESSES else 1
                options = BuildOptions(processes, strict)
                with advice(": `python -m benchmark.data check` says why", only="no usable question"):
                    features = build(
                        path, tokenizer, config.data, out, train=split == "train", options=options
                    )
                counts[f"{dataset}.{split}"] = features.meta
                bar.advance(path.stat().st_size, note=f"{dataset}.{split}")
        for dataset in absent:
            print(
                f"{dataset}: no dev file in this profile's data: shown as no data, left out of the averages"
            )
        told = [line for name, meta in counts.items() for line in said_of(name, meta)]
        listed = f"{places.features(backbone).relative_to(places.root)}/<file>/features.json lists each"
        print("\n".join([*told, listed] if told else ["nothing irregular, no question cut or dropped"]))
        known = origins(places.raw)
        brief = {
            name: {key: value for key, value in meta.items() if key not in LISTS}
            | {"source": known.get(meta["inputs"]["file_sha256"])}
            for name, meta in counts.items()
        }
        if hub := [name for name, meta in brief.items() if meta["source"] == "hub"]:
            print(f"from the hub: {', '.join(hub)}: {NOT_COMPARABLE}")
        write_json(
            places.features(backbone) / "features.json",
            {"backbone": place.identity, "absent": absent, "files": brief},
        )
        windows = sum(int(meta["counts"]["windows"]) for meta in counts.values())
        questions = sum(int(meta["counts"]["examples"]) for meta in counts.values())
        print(
            f"prepared {questions} questions as {windows} windows of at most {config.data.window} tokens "
            f"for {backbone}"
        )
