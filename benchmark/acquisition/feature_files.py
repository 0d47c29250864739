"""MRQA files to windows on disk, for the tokenizer of every backbone of the profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmark.acquisition.fetch import NOT_COMPARABLE
from benchmark.acquisition.file_origins import origins
from benchmark.cli.advice import advice
from benchmark.cli.messages import say
from benchmark.cli.progress import progress
from benchmark.config.backbones import locate
from benchmark.config.cells import domain_of, known_name
from benchmark.config.folders import Places
from benchmark.config.params import Config
from bmt.errors import DataError
from bmt.qa.irregularities import KINDS
from bmt.runtime.files import file_digest, json_digest, write_json
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

LISTS = ("dropped_questions", "irregular_places")  # of a file's features.json: long ones
WORTH_PROCESSES = 8 << 20  # bytes of gz from which starting processes pays


def wanted_files(config: Config, raw: Path) -> tuple[list[tuple[str, str, Path]], list[str]]:
    """The files that are prepared, as (dataset, split, path), and the datasets to score that have no dev
    file.

    Of dev files all that are there: what is scored of them is asked for later, and may change without new
        windows.

    Raises:
        DataError: a train file is missing, or no dev file of data.evaluate is there.
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
    dev = {name: raw / domain_of(name) / f"{name}.dev.jsonl.gz" for name in (*IN_DOMAIN, *OUT_OF_DOMAIN)}
    there = {name: path for name, path in dev.items() if path.is_file()}
    absent = [name for name in config.data.evaluate if name not in there]
    if len(absent) == len(config.data.evaluate):
        raise DataError(
            f"{raw}: none of the dev files of data.evaluate is there: run `python -m benchmark.fetch`"
        )
    return [*files, *((name, "dev", path) for name, path in there.items())], absent


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


def prepare(config: Config, workers: int, strict: bool = False, only: str | None = None) -> None:
    """Write `data/features/<profile>/<backbone>/<Dataset>.<split>/` for every file and backbone; what has the
    same key is kept.

    Every irregularity of a file and every question left out of training is in that folder's features.json,
    and counted on stdout.

    Args:
        strict: the first irregularity raises.
        only: one backbone; None: all.

    Raises:
        ConfigError: a backbone that the profile does not have. DataError: as `wanted_files`.
    """
    places = Places.of(config)
    if only is not None:
        known_name(only, tuple(config.backbones), "backbone")
    for name in config.backbones if only is None else [only]:
        if config.backbones[name].head == "generate":
            say(f"{name} reads whole contexts as text: nothing to prepare")
            write_json(places.features(name) / "features.json", {"files": {}})
        else:
            _prepare_backbone(config, name, places, workers, strict)


def _prepare_backbone(config: Config, backbone: str, places: Places, workers: int, strict: bool) -> None:
    from bmt.qa.features import BuildOptions, build
    from bmt.qa.model import open_tokenizer

    files, absent = wanted_files(config, places.raw)
    place = locate(backbone, config.backbones[backbone])
    tokenizer = open_tokenizer(place.source, revision=place.revision, markers=config.data.special_tokens)
    made: dict[str, dict[str, Any]] = {}
    total = sum(path.stat().st_size for _, _, path in files)
    with progress(f"prepare {backbone}", total=total, unit="bytes") as bar:
        for dataset, split, path in files:
            name, size = f"{dataset}.{split}", path.stat().st_size
            out, options = (
                places.features(backbone) / name,
                BuildOptions(workers if size > WORTH_PROCESSES else 1, strict),
            )
            with advice(": `python -m benchmark.data check` says why", only="no usable question"):
                features = build(path, tokenizer, config.data, out, train=split == "train", options=options)
            made[name] = features.meta
            bar.advance(size, note=name)
    for dataset in absent:
        say(f"{dataset}: no dev file in this profile's data: shown as no data, left out of the averages")
    told = [line for name, meta in made.items() for line in said_of(name, meta)]
    listed = f"{places.features(backbone).relative_to(places.root)}/<file>/features.json lists each"
    say(*([*told, listed] if told else ["nothing irregular, no question cut or dropped"]))
    known = origins(places.raw)
    brief = {
        name: {key: value for key, value in meta.items() if key not in LISTS}
        | {
            "source": known.get(meta["inputs"]["file_sha256"]),
            "content_sha256": content_digest(places.features(backbone) / name),
        }
        for name, meta in made.items()
    }
    if hub := [name for name, meta in brief.items() if meta["source"] == "hub"]:
        say(f"from the hub: {', '.join(hub)}: {NOT_COMPARABLE}")
    write_json(places.features(backbone) / "features.json", {"files": brief})
    windows = sum(int(meta["counts"]["windows"]) for meta in made.values())
    questions = sum(int(meta["counts"]["examples"]) for meta in made.values())
    say(
        f"prepared {questions} questions as {windows} windows of at most {config.data.window} tokens for "
        f"{backbone}"
    )


def content_digest(features: Path) -> str:
    """Digest of a file's windows and examples, whatever code made them."""
    return json_digest({name: file_digest(features / name) for name in ("windows.arrow", "examples.arrow")})
