"""`python -m benchmark.transfer CELL`: few-shot transfer of a trained cell to the datasets out of domain
(section 4.6.2, Table 9).

For each K and seed of `fewshot:` in params.yaml and each target dataset: K of its dev questions, half to
train on and half to validate on,
the mean of the cell's adapters weighted by their loss on the K, some updates under the arm's mask, the
answers to the other questions. One
result a (K, seed): `results/<profile>/<backbone>.<regime>.<arm>[.adapter].k<K>.s<seed>.json`. What a call
that was cut off has finished is
not done again; SIGTERM ends a call at its next update, from which the next call goes on. (Zero-shot is what
`benchmark.evaluate` scores out
of domain: the plain mean of adapters.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from benchmark.tracking import mlflow_store as tracking
from benchmark.cli.allocator import keep_freed_memory
from benchmark.runs.cell_data import dev_examples, questions, read_features
from benchmark.config.cells import Cell
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import Config, as_flat, find_cell, load
from benchmark.config.digests import section_digest
from benchmark.runs.evaluation_run import averages_of, dev_metrics, lines, predictions_table, read_training, write_results
from benchmark.tracking.journal import interrupted
from benchmark.runs.nonfinite import NAME, batches_kept
from benchmark.config.folders import Places
from benchmark.config.cells import domain_of
from benchmark.cli.progress import progress
from benchmark.runs.results import Identity
from benchmark.cli.signals import stoppable
from benchmark.runs.training_run import device_for_training, plan_of
from bmt.qa.answering import load as load_model
from bmt.qa.batches import Vocabulary
from bmt.runtime.checkpoints import Checkpoints
from bmt.qa.decoding import Prediction
from bmt.errors import ConfigError, DataError
from bmt.transfer.few_shot import TargetMasks
from bmt.few_shot_settings import FewShotSettings
from bmt.runtime.files import file_digest
from bmt.runtime.leftover_files import remove_leftovers
from bmt.masks import Masks
from bmt.settings import OUT_OF_DOMAIN
from bmt.training.loop import Questions
from bmt.transfer.transfer_runs import few_shot_runs, target_masks



def transfer_cell(config: Config, cell: Cell, settings: FewShotSettings, params: str | None = None) -> None:
    """Transfer a trained cell to every target dataset for every K and seed of `settings`; write a result for
    each (K, seed).

    Raises:
        ConfigError: an arm with a regularizer, a K that a dataset does not have. ModelError: the cell was not
            trained.
        DataError: no target.
    """
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
    arm, places = config.arms[cell.arm], Places.of(config)
    if arm.regularizer != "none":
        raise ConfigError(f"cell {cell.name!r}: an arm with a regularizer ({arm.regularizer}) has no few-shot transfer: name another")
    folder = places.run(cell)
    model, tokenizer = load_model(folder)
    trained = read_training(folder)
    model.to(device_for_training())
    features = {name: read_features(places.features(cell.backbone), name, "dev", config.data) for name in targets_of(config, places, cell)}
    targets = {name: questions(found, name, dev_examples(found, config.data)) for name, found in features.items()}
    source = folder / "masks" / "masks.safetensors"
    kept = Masks.load(source) if source.is_file() else None
    vocabulary, plan = Vocabulary.of(tokenizer), plan_of(config)
    weights = file_digest(folder / "model" / "model.safetensors")
    data = ",".join(found.meta["key"] for found in features.values())

    units = len(settings.sizes) * len(settings.seeds) * len(targets)
    ids = {name: found.examples["id"] for name, found in features.items()}
    with (
        progress(f"transfer {cell.name}", total=units, unit="transfers") as bar,
        stoppable() as stop,
        batches_kept(folder / "transfer" / NAME, ids, {"cell": cell.name}),
    ):

        def masks(seed: int, checkpoints: Checkpoints) -> TargetMasks | None:
            return target_masks(
                arm.mask, config.mask, plan, vocabulary, config.fewshot, seed=seed, p_f=arm.p_f, rescale=arm.rescale, source=kept,
                checkpoints=checkpoints, stop=stop,
            )

        records = few_shot_runs(
            model, list(targets.values()), vocabulary, plan, settings, places.root / ".checkpoints" / "transfer" / cell.name,
            fingerprint=f"{section_digest(config, cell)}:{weights}:{data}", data=config.data, masks=masks,
            done=lambda record: bar.advance(1, note=f"{record['dataset']} K={record['k']}"), stop=stop,
        )
    missing = [name for name in OUT_OF_DOMAIN if name in config.data.evaluate and name not in targets]
    for k in settings.sizes:
        for seed in settings.seeds:
            own = [record for record in records if (record["k"], record["seed"]) == (k, seed)]
            write_one(config, cell, k, seed, own, features, targets, trained, missing, params)


def targets_of(config: Config, places: Places, cell: Cell) -> list[str]:
    """The datasets out of domain that the profile scores and has data of. Raises DataError where there is
    none.
    """
    wanted = [name for name in OUT_OF_DOMAIN if name in config.data.evaluate]
    there = [name for name in wanted if (places.features(cell.backbone) / f"{name}.dev" / "features.json").is_file()]
    if not there:
        raise DataError(
            f"{places.features(cell.backbone)}: no dev features of {', '.join(wanted) or 'a dataset out of domain'}: "
            "name some in data.evaluate, and run `python -m benchmark.prepare`"
        )
    return there


def write_one(
    config: Config, cell: Cell, k: int, seed: int, records: list[dict[str, Any]], features: dict[str, Any], targets: dict[str, Questions],
    trained: dict[str, Any], missing: list[str], params: str | None,
) -> None:
    """Score one (K, seed) on every target, write its result and log it to a run of its own."""
    places, name = Places.of(config), f"{Identity(cell.backbone, cell.regime, cell.arm, cell.adapter, k).stem}.s{seed}"
    tables, datasets = [], {}
    for record in records:
        dataset = record["dataset"]
        found = [Prediction(**one) for one in record["found"]]
        table = predictions_table(dataset, np.asarray(record["test"]), found, features[dataset].examples)
        tables.append(table)
        datasets[dataset] = {
            "domain": domain_of(dataset), "em": 100 * float(np.mean(table["em"])), "f1": 100 * float(np.mean(table["f1"])),
            "examples": len(table), "contexts": len(set(table["context_id"].to_pylist())),
            "data_sha256": features[dataset].meta["inputs"]["file_sha256"],
        }
    averages = averages_of(datasets)
    shown = ("losses", "weights", "windows", "steps", "steps_an_epoch", "best_step", "best_f1")
    tuned = {record["dataset"]: {key: record[key] for key in shown} for record in records}
    folder = places.run(cell) / "transfer" / f"k{k}.s{seed}"
    with tracking.start(
        name, experiment=f"{config.tracking.experiment}-{config.profile}", folder=folder, run_id=interrupted(folder),
        params=as_flat(config) | {"cell": cell.name, "K": k, "seed": seed}, tags={"cell": cell.name, "stage": "transfer"},
    ) as run:
        for dataset, one in tuned.items():
            run.log({f"few_shot/{key}/{dataset}": float(one[key]) for key in shown[2:]}, step=one["steps"])
        run.log(dev_metrics(datasets, averages), step=max(one["steps"] for one in tuned.values()))
        reference = run.reference
    more = {
        "cell": name, "seed": seed, "K": k, "source_cell": cell.name, "source_run_id": trained["mlflow_run_id"], "mlflow_run_id": reference,
        "few_shot": {"settings": {"test": config.fewshot.test, "mask": config.fewshot.mask}, "runs": tuned},
    }
    remove_leftovers(places.results, f"{name}.json", f"{name}.parquet")
    write_results(places.results, config, cell, trained, pa.concat_tables(tables), datasets, averages, missing, params, more)
    for line in lines(name, datasets, averages, missing):
        print(line)
    updates = Counter(one["steps"] for one in tuned.values())
    print(f"  updates: {', '.join(f'{steps} on {count} datasets' for steps, count in sorted(updates.items()))}")
