"""`python -m benchmark.unifiedqa [BACKBONE]`: score a published model that writes its answers, zero-shot
(Table 8's first row).

The backbone has `head: generate` in params.yaml (profile `paper`: UnifiedQA's T5-base). It reads `question
\\n context` in lower case,
writes its answer greedily, and is held against all dev questions of the datasets out of domain by the same EM
and F1 as every other row.
Nothing is trained and there are no seeds: one result, `results/<profile>/<backbone>.mt.zero_shot.s0.json`,
which
`benchmark.compare --paper-table 8` finds. A call that was cut off goes on with the next dataset.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from benchmark.tracking import environment, mlflow_store as tracking
from benchmark.cli.allocator import keep_freed_memory
from benchmark.config.backbones import locate
from benchmark.config.cells import Cell, ZERO_SHOT, known_name
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import Backbone, Config, as_flat, load
from benchmark.config.digests import params_digest
from benchmark.runs.evaluation_run import averages_of, dev_metrics, keep_results, lines, predictions_table
from benchmark.tracking.journal import interrupted
from benchmark.config.folders import Places
from benchmark.config.cells import domain_of
from benchmark.acquisition.feature_files import origins
from benchmark.cli.progress import progress
from benchmark.runs.training_run import device_for_training
from bmt.errors import ConfigError, DataError
from bmt.runtime.files import file_digest, json_digest, write_json
from bmt.qa.generation import GenerationSettings, Written, input_text, open_generator, write_answers
from bmt.qa.metrics import EVALUATOR_VERSION
from bmt.qa.mrqa import Example, read
from bmt.settings import OUT_OF_DOMAIN

HEAD = "generate"


@dataclass(frozen=True, slots=True)
class Answered:
    """One dataset's answers, in the order of `examples` as `predictions_table` takes them: a written answer
    has no score.
    """

    example: int
    text: str
    score: float | None = None


def generator_of(config: Config, name: str | None) -> tuple[str, Backbone]:
    """The backbone that is asked for, or the profile's only one that writes answers.

    Raises:
        ConfigError: none, several, an unknown one, or one with another head.
    """
    there = [key for key, backbone in config.backbones.items() if backbone.head == HEAD]
    if name is None:
        if len(there) != 1:
            found = f"several ({', '.join(there)}): name one" if there else "none: profile paper has one, --params profiles/paper.yaml"
            raise ConfigError(f"backbones: of the profile {config.profile} those with head {HEAD} are {found}")
        name = there[0]
    known_name(name, tuple(config.backbones), "backbone")
    if config.backbones[name].head != HEAD:
        raise ConfigError(
            f"backbones.{name}.head: {config.backbones[name].head} is not allowed here: {HEAD}, of a model that writes its answers "
            f"({', '.join(there) or 'profile paper has one'})"
        )
    return name, config.backbones[name]


def score_published(config: Config, name: str | None, settings: GenerationSettings, params: str | None = None) -> None:
    """Answer the dev questions of every dataset out of domain; write the result and its predictions, and log
    them to a run.

    Raises:
        ConfigError: a backbone that writes no answers. ModelError: weights that are absent or no such model.
            DataError: no dev file.
    """
    name, backbone = generator_of(config, name)
    places, cell = Places.of(config), Cell(name, "mt", ZERO_SHOT, False, 0)
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    files = dev_files(config, places.raw)
    place = locate(name, backbone)
    model, tokenizer = open_generator(place.source, revision=place.revision)
    model.to(device_for_training())
    identity = place.identity if place.revision or backbone.source != "hub" else f"{backbone.name}@{commit_of(model)}"
    digests = {dataset: file_digest(path) for dataset, path in files.items()}
    examples = {dataset: list(read(path))[: config.data.dev_cap] for dataset, path in files.items()}
    folder, kept = places.run(cell), places.root / ".checkpoints" / "zero_shot" / cell.name
    missing = [dataset for dataset in config.data.evaluate if dataset in OUT_OF_DOMAIN and dataset not in files]
    tables, datasets, records = [], {}, {}
    with (
        tracking.start(
            cell.name, experiment=f"{config.tracking.experiment}-{config.profile}", folder=folder,
            params=as_flat(config) | {"cell": cell.name} | {f"generation.{key}": value for key, value in asdict(settings).items()},
            tags={"cell": cell.name, "stage": "unifiedqa", "backbone.identity": identity}, run_id=interrupted(folder),
        ) as run,
        progress(f"unifiedqa {name}", total=sum(map(len, examples.values())), unit="questions") as bar,
    ):
        for dataset, own in examples.items():
            run.data_input(name=f"{dataset}.dev", source=str(places.raw), digest=digests[dataset][:32], context="evaluation")
            asked = json_digest({"weights": identity, "settings": asdict(settings), "data": digests[dataset], "questions": len(own)})
            path = kept / f"{dataset}-{asked[:16]}.json"
            record = read_kept(path, len(own))
            if record is None:
                began = time.perf_counter()
                texts = [input_text(example.question, example.context) for example in own]
                written = write_answers(
                    model, tokenizer, texts, settings, config.training.evaluation_batch,
                    lambda n, _, dataset=dataset: bar.advance(n, note=dataset),  # type: ignore[misc]
                )
                record = kept_record(written, time.perf_counter() - began)
                write_json(path, record)
            else:
                bar.advance(len(own), note=dataset)
            records[dataset] = record
            table = predictions_table(dataset, np.arange(len(own)), answered(record["answers"]), table_of(own))
            tables.append(table)
            datasets[dataset] = {
                "domain": domain_of(dataset), "em": 100 * float(np.mean(table["em"])), "f1": 100 * float(np.mean(table["f1"])),
                "examples": len(table), "contexts": len(set(table["context_id"].to_pylist())), "data_sha256": digests[dataset],
            }
        averages = averages_of(datasets)
        run.log(dev_metrics(datasets, averages), step=0)
        known = origins(places.raw)
        seconds, tokens = (sum(float(record[key]) for record in records.values()) for key in ("seconds", "tokens"))
        described = environment.describe()
        result = {
            "schema": 1, "cell": cell.name, "profile": config.profile, "backbone": name, "backbone_revision": identity,
            "regime": cell.regime, "arm": cell.arm, "adapter": False, "seed": 0, "K": None, "p_f": None, "mask": None, "regularizer": None,
            "datasets": datasets, "averages": averages, "missing_datasets": missing,
            "from_hub": [f"{dataset}.dev" for dataset, digest in digests.items() if known.get(digest) == "hub"],
            "generation": asdict(settings) | {"cut": {dataset: record["cut"] for dataset, record in records.items()}},
            "evaluator_version": EVALUATOR_VERSION, "params_sha256": params_digest(params), "git": described["git"],
            "device": described["device"], "environment": described, "mlflow_run_id": run.reference,
            "seconds": seconds, "tokens_per_second": tokens / seconds if seconds else 0.0,
            "peak_memory_mb": environment.peak_memory_mb(),
        }
        keep_results(places.results, pa.concat_tables(tables), result)
    shutil.rmtree(kept, ignore_errors=True)
    for line in lines(cell.name, datasets, averages, missing):
        print(line)
    shortened = ", ".join(f"{dataset} {record['cut']}" for dataset, record in records.items() if record["cut"])
    print(f"  inputs cut to {settings.input_tokens} tokens: {shortened or 'none'}")


def dev_files(config: Config, raw: Path) -> dict[str, Path]:
    """The dev files of the datasets out of domain that the profile scores and has. Raises DataError where
    there is none.
    """
    wanted = [dataset for dataset in OUT_OF_DOMAIN if dataset in config.data.evaluate]
    paths = {dataset: raw / domain_of(dataset) / f"{dataset}.dev.jsonl.gz" for dataset in wanted}
    there = {dataset: path for dataset, path in paths.items() if path.is_file()}
    if not there:
        raise DataError(
            f"{raw}: no dev file of {', '.join(wanted) or 'a dataset out of domain'}: name some in data.evaluate, and run "
            "`python -m benchmark.fetch`"
        )
    return there


def commit_of(model: Any) -> str:
    """The hub's commit that an unpinned model was read from, as transformers notes it."""
    return str(getattr(model.config, "_commit_hash", None) or "unknown")


def table_of(examples: Sequence[Example]) -> pa.Table:
    """The columns of examples that `predictions_table` reads."""
    columns = {"id": [one.id for one in examples], "context_id": [one.context_id for one in examples]}
    return pa.table(columns | {"answers": pa.array([list(one.answers) for one in examples], pa.list_(pa.string()))})


def answered(texts: Sequence[str]) -> list[Answered]:
    """The answers by their example's row."""
    return [Answered(row, text) for row, text in enumerate(texts)]


def kept_record(written: Sequence[Written], seconds: float) -> dict[str, Any]:
    """What is kept of a finished dataset until all are: answers, tokens read, inputs that were cut, seconds.
    """
    return {
        "answers": [one.text for one in written], "tokens": sum(one.tokens for one in written), "cut": sum(one.cut for one in written),
        "seconds": seconds,
    }


def read_kept(path: Path, questions: int) -> dict[str, Any] | None:
    """A finished dataset's record, or None where there is none of so many questions."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = len(record["answers"]) == questions and {"tokens", "cut", "seconds"} <= set(record)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None
