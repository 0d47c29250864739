"""Score a published model that writes its answers, zero-shot (UnifiedQA, Table 8's first row).

It reads `question \\n context` in lower case, writes its answer greedily, and is held against all dev
questions of the datasets out of domain by the same EM and F1 as every other row. Nothing is trained and there
are no seeds: one result, `results/<profile>/<backbone>.mt.zero_shot.s0.json`. A call that was cut off goes on
with the next dataset.
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

from benchmark.acquisition.file_origins import origins
from benchmark.cli.progress import Bar, progress
from benchmark.config.backbones import locate
from benchmark.config.cells import ZERO_SHOT, Cell, domain_of
from benchmark.config.deciding_code import stage_code
from benchmark.config.digests import targets
from benchmark.config.folders import Places
from benchmark.config.generators import generator_of
from benchmark.config.params import Backbone, Config
from benchmark.rendering import print_document
from benchmark.runs.dataset_scores import DatasetScores, WrittenAnswer, predictions_table
from benchmark.runs.result_files import keep_results
from benchmark.runs.score_table import score_document
from benchmark.runs.tracked_run import tracked_run
from benchmark.runs.training_plan import use_threads
from benchmark.tracking import environment
from benchmark.tracking.journal import interrupted
from bmt.errors import DataError
from bmt.qa.generation import input_text, open_generator, write_answers
from bmt.qa.generation_settings import GenerationSettings
from bmt.qa.mrqa import Example, read_mrqa
from bmt.runtime.files import file_digest, json_digest, write_json
from bmt.runtime.ranks import rank_device


@dataclass(frozen=True, slots=True)
class Generator:
    """A model that writes its answers.

    Attributes:
        identity: of its weights.
    """

    model: Any
    tokenizer: Any
    identity: str
    settings: GenerationSettings
    batch: int


def score_published(
    config: Config, name: str | None, settings: GenerationSettings, params: str | None = None
) -> None:
    """Answer the dev questions of every dataset out of domain; write the result and its predictions, and log
    them to a run.

    Raises:
        ConfigError: a backbone that writes no answers. ModelError: weights that are absent or no such model.
        DataError: no dev file.
    """
    name, backbone = generator_of(config, name)
    places, cell = Places.of(config), Cell(name, "mt", ZERO_SHOT, False, 0)
    use_threads(config)
    files = dev_files(config, places.raw)
    generator = _open(config, name, backbone, settings)
    sha256 = {dataset: file_digest(path) for dataset, path in files.items()}
    examples = {dataset: list(read_mrqa(path))[: config.data.dev_cap] for dataset, path in files.items()}
    folder, kept = places.run(cell), places.root / ".checkpoints" / "zero_shot" / cell.name
    records, tables = {}, {}
    generation = {f"generation.{key}": value for key, value in asdict(settings).items()}
    tags = {"stage": "unifiedqa", "backbone.identity": generator.identity}
    with (
        tracked_run(config, cell, folder, interrupted(folder), generation, tags) as tracker,
        progress(f"unifiedqa {name}", total=sum(map(len, examples.values())), unit="questions") as bar,
    ):
        for dataset, rows in examples.items():
            digest = sha256[dataset]
            tracker.data_input(f"{dataset}.dev", str(places.raw), digest=digest[:32], context="evaluation")
            record = _record(generator, kept, dataset, digest, rows, bar)
            records[dataset] = record
            answers = [WrittenAnswer(row, text) for row, text in enumerate(record["answers"])]
            tables[dataset] = predictions_table(dataset, np.arange(len(rows)), answers, table_of(rows))
        scores = DatasetScores.of(tables, sha256, targets(config))
        tracker.log(scores.metrics(), step=0)
        known = origins(places.raw)
        hub = [f"{dataset}.dev" for dataset, digest in sha256.items() if known.get(digest) == "hub"]
        about = {"profile": config.profile, "from_hub": hub, "mlflow_run_id": tracker.reference}
        keep_results(config, scores, params, result_record(cell, generator, records) | about)
    shutil.rmtree(kept, ignore_errors=True)
    shortened = ", ".join(
        f"{dataset} {record['cut']}" for dataset, record in records.items() if record["cut"]
    )
    cut = f"inputs cut to {settings.input_tokens} tokens: {shortened or 'none'}"
    print_document(score_document(cell.name, scores, cut))


def _open(config: Config, name: str, backbone: Backbone, settings: GenerationSettings) -> Generator:
    """The model on this process's device."""
    place = locate(name, backbone)
    model, tokenizer = open_generator(place.source, revision=place.revision)
    model.to(rank_device())
    pinned = place.revision or backbone.source != "hub"
    commit = getattr(model.config, "_commit_hash", None) or "unknown"  # as transformers notes it
    identity = place.identity if pinned else f"{backbone.name}@{commit}"
    return Generator(model, tokenizer, identity, settings, config.training.evaluation_batch)


def _record(
    generator: Generator, kept: Path, dataset: str, sha256: str, examples: Sequence[Example], bar: Bar
) -> dict[str, Any]:
    """A dataset's record: the one that is kept, or a new one, which is kept until all datasets are done."""
    decides = {"weights": generator.identity, "settings": asdict(generator.settings)}
    decides["code"] = stage_code("published")
    digest = json_digest(decides | {"data": sha256, "questions": len(examples)})
    path = kept / f"{dataset}-{digest[:16]}.json"
    record = read_kept(path, len(examples))
    if record is not None:
        bar.advance(len(examples), note=dataset)
        return record
    began = time.perf_counter()
    written = write_answers(
        generator.model,
        generator.tokenizer,
        [input_text(example.question, example.context) for example in examples],
        generator.settings,
        generator.batch,
        lambda count, _: bar.advance(count, note=dataset),
    )
    record = {
        "answers": [answer.text for answer in written],
        "tokens": sum(answer.tokens for answer in written),
        "cut": sum(answer.cut for answer in written),
        "seconds": time.perf_counter() - began,
    }
    write_json(path, record)
    return record


def result_record(cell: Cell, generator: Generator, records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What the result says of the run beside its scores."""
    seconds, tokens = (
        sum(float(record[key]) for record in records.values()) for key in ("seconds", "tokens")
    )
    cut = {dataset: record["cut"] for dataset, record in records.items()}
    return {
        **asdict(cell),
        **dict.fromkeys(("K", "p_f", "mask", "regularizer")),
        "cell": cell.name,
        "backbone_revision": generator.identity,
        "generation": asdict(generator.settings) | {"cut": cut},
        "seconds": seconds,
        "tokens_per_second": tokens / seconds if seconds else 0.0,
        "peak_memory_mb": environment.peak_memory_mb(),
    }


def dev_files(config: Config, raw: Path) -> dict[str, Path]:
    """The dev files of the datasets out of domain that the profile scores and has. Raises DataError where
    there is none.
    """
    wanted = targets(config)
    paths = {dataset: raw / domain_of(dataset) / f"{dataset}.dev.jsonl.gz" for dataset in wanted}
    there = {dataset: path for dataset, path in paths.items() if path.is_file()}
    if not there:
        raise DataError(
            f"{raw}: no dev file of {', '.join(wanted) or 'a dataset out of domain'}: name some in "
            "data.evaluate, and run `python -m benchmark.fetch`"
        )
    return there


def table_of(examples: Sequence[Example]) -> pa.Table:
    """The columns of examples that `predictions_table` reads."""
    answers = pa.array([list(example.answers) for example in examples], pa.list_(pa.string()))
    columns = {key: [getattr(example, key) for example in examples] for key in ("id", "context_id")}
    return pa.table(columns | {"answers": answers})


def read_kept(path: Path, questions: int) -> dict[str, Any] | None:
    """A finished dataset's record, or None where there is none of so many questions."""
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = len(record["answers"]) == questions and {"tokens", "cut", "seconds"} <= set(record)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if whole else None
