"""Few-shot transfer of a trained cell to the datasets out of domain (section 4.6.2, Table 9)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.cli.advice import TRAIN, advice
from benchmark.cli.progress import progress
from benchmark.cli.signals import stoppable
from benchmark.config.cells import Cell
from benchmark.config.deciding_code import cell_traits, stage_code
from benchmark.config.digests import section_digest, targets
from benchmark.config.folders import Places
from benchmark.config.params import Config
from benchmark.rendering import print_document
from benchmark.runs import nonfinite
from benchmark.runs.cell_data import dev_features, dev_questions, file_digests
from benchmark.runs.dataset_scores import DatasetScores, predictions_table
from benchmark.runs.result_files import write_results
from benchmark.runs.results import Identity
from benchmark.runs.score_table import score_document
from benchmark.runs.tracked_run import tracked_run
from benchmark.runs.training_plan import plan_of, use_threads
from benchmark.runs.training_record import read_training
from benchmark.tracking.journal import interrupted
from bmt.errors import ConfigError
from bmt.masks import Masks
from bmt.qa.answering import load as load_model
from bmt.qa.batches import Vocabulary
from bmt.qa.decoding import Prediction
from bmt.qa.features import Features
from bmt.random_mask import RandomMask
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.files import file_digest, json_digest, remove_half_written
from bmt.runtime.ranks import rank_device
from bmt.runtime.stopping import Stop
from bmt.settings import FewShotSettings
from bmt.transfer.few_shot import TargetMasks
from bmt.transfer.protocol import FewShotProtocol
from bmt.transfer.target_masks import target_masks
from bmt.transfer.transfer_runs import MasksOfSeed, few_shot_runs

TUNED = ("losses", "weights", "windows", "steps", "steps_per_epoch", "best_step", "best_f1")
"""What a result says of the tuning on each dataset; all but the first two are numbers for the tracker."""


@dataclass(frozen=True, slots=True)
class TransferRun:
    """A trained cell and the dev files of the datasets that it is transferred to.

    Attributes:
        trained: training.json.
        features: of each target dataset's dev file.
        params: the params file; None: the root's.
    """

    config: Config
    cell: Cell
    places: Places
    trained: dict[str, Any]
    features: dict[str, Features]
    params: str | None


def transfer_cell(config: Config, cell: Cell, settings: FewShotSettings, params: str | None = None) -> None:
    """Transfer a trained cell to every target dataset for every K and seed of `settings`; write a result for
    each (K, seed).

    Raises:
        ConfigError: an arm with a regularizer, a K that a dataset does not have.
        ModelError: the cell was not trained.
        DataError: no target.
    """
    use_threads(config)
    arm, places = config.arms[cell.arm], Places.of(config)
    if arm.regularizer != "none":
        raise ConfigError(
            f"cell {cell.name!r}: an arm with a regularizer ({arm.regularizer}) has no few-shot transfer: "
            "name another"
        )
    folder = places.run(cell)
    with advice(TRAIN):
        model, tokenizer = load_model(folder)
    trained = read_training(folder)
    model.to(rank_device())
    features = target_features(config, places, cell)
    run = TransferRun(config, cell, places, trained, features, params)
    protocol = FewShotProtocol(Vocabulary.of(tokenizer), plan_of(config), settings, config.data)
    records = _transferred(run, model, protocol)
    for k in settings.sizes:
        for seed in settings.seeds:
            _write_one(run, k, seed, [one for one in records if (one["k"], one["seed"]) == (k, seed)])


def target_features(config: Config, places: Places, cell: Cell) -> dict[str, Features]:
    """Of the datasets out of domain that the profile scores, those that were prepared. Raises DataError where
    none was.
    """
    wanted = targets(config)
    otherwise = (
        f"of {', '.join(wanted) or 'a dataset out of domain'}: name some in data.evaluate, and run `python "
        "-m benchmark.prepare`"
    )
    return dev_features(places.features(cell.backbone), wanted, config.data, otherwise)


def _transferred(run: TransferRun, model: Any, protocol: FewShotProtocol) -> list[dict[str, Any]]:
    """The records of all transfers (`few_shot_runs`)."""
    config, cell, settings = run.config, run.cell, protocol.settings
    parts = list(dev_questions(run.features, config.data).values())
    ids = {name: entry.examples["id"] for name, entry in run.features.items()}
    folder = run.places.run(cell)
    weights = file_digest(folder / "model" / "model.safetensors")
    data = ",".join(entry.meta["key"] for entry in run.features.values())
    code = json_digest(stage_code("transfer", cell_traits(config, cell)))
    kept = Checkpoints(
        run.places.root / ".checkpoints" / "transfer" / cell.name,
        f"{section_digest(config, cell)}:{code}:{weights}:{data}",
    )
    count = len(settings.sizes) * len(settings.seeds) * len(parts)
    with (
        progress(f"transfer {cell.name}", total=count, unit="transfers") as bar,
        stoppable() as stop,
        nonfinite.batches_kept(folder / "transfer" / nonfinite.NAME, ids, {"cell": cell.name}),
    ):
        return few_shot_runs(
            model,
            parts,
            protocol,
            kept,
            masks=_masks_of_seed(run, protocol, stop),
            done=lambda record: bar.advance(1, note=f"{record['dataset']} K={record['k']}"),
            stop=stop,
        )


def _masks_of_seed(run: TransferRun, protocol: FewShotProtocol, stop: Stop) -> MasksOfSeed:
    """What the arm's updates on a target are under, by seed."""
    arm, mask = run.config.arms[run.cell.arm], run.config.mask
    path = run.places.run(run.cell) / "masks" / "masks.safetensors"
    source = Masks.load(path) if path.is_file() else None

    def masks(seed: int, checkpoints: Checkpoints) -> TargetMasks | None:
        random = RandomMask(arm.p_f or 0, seed, mask.targets, arm.rescale) if arm.mask == "random" else None
        control = RunControl(checkpoints=checkpoints, stop=stop)
        return target_masks(
            arm.mask, mask, protocol, seed=seed, random=random, source=source, control=control
        )

    return masks


def _write_one(run: TransferRun, k: int, seed: int, records: list[dict[str, Any]]) -> None:
    """Score one (K, seed) on every target, write its result and log it to a run of its own."""
    config, cell, places = run.config, run.cell, run.places
    name = f"{Identity(cell.backbone, cell.regime, cell.arm, cell.adapter, k).stem}.s{seed}"
    tables = {
        record["dataset"]: predictions_table(
            record["dataset"],
            np.asarray(record["test"]),
            [Prediction(**prediction) for prediction in record["predictions"]],
            run.features[record["dataset"]].examples,
        )
        for record in records
    }
    scores = DatasetScores.of(tables, file_digests(run.features), targets(config))
    tuned = {record["dataset"]: {key: record[key] for key in TUNED} for record in records}
    more = {
        "cell": name,
        "seed": seed,
        "K": k,
        "source_cell": cell.name,
        "source_run_id": run.trained["mlflow_run_id"],
        "mlflow_run_id": _tracked(run, name, k, seed, scores, tuned),
        "few_shot": {"settings": {"test": config.fewshot.test, "mask": config.fewshot.mask}, "runs": tuned},
    }
    remove_half_written(places.results, f"{name}.json", f"{name}.parquet")
    write_results(config, cell, run.trained, scores, run.params, more)
    updates = Counter(entry["steps"] for entry in tuned.values())
    told = ", ".join(f"{steps} on {count} datasets" for steps, count in sorted(updates.items()))
    print_document(score_document(name, scores, f"updates: {told}"))


def _tracked(
    run: TransferRun, name: str, k: int, seed: int, scores: DatasetScores, tuned: dict[str, Any]
) -> str | None:
    """Log a transfer to a tracker's run of its own: the run's name there."""
    config, cell = run.config, run.cell
    folder = run.places.run(cell) / "transfer" / f"k{k}.s{seed}"
    known = {"K": k, "seed": seed}
    with tracked_run(
        config, cell, folder, interrupted(folder), known, {"stage": "transfer"}, name
    ) as tracker:
        for dataset, entry in tuned.items():
            values = {f"few_shot/{key}/{dataset}": float(entry[key]) for key in TUNED[2:]}
            tracker.log(values, step=entry["steps"])
        tracker.log(scores.metrics(), step=max(entry["steps"] for entry in tuned.values()))
        reference: str | None = tracker.reference
    return reference
