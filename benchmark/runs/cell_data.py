"""The windows that a cell trains and validates on, and the ones that it is scored on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.cli.advice import PREPARE, advice
from benchmark.config.cells import Cell
from benchmark.config.params import Config
from bmt.errors import DataError
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.features import Features, carve, load, outdated
from bmt.runtime.files import json_digest
from bmt.settings import DataSettings
from bmt.training.data import TrainingData
from bmt.training.validation import Questions


@dataclass(frozen=True, slots=True)
class SourceData:
    """The source datasets of a cell.

    Attributes:
        sets: windows of each train file.
        rows: training windows, by dataset.
        validation: questions of each dataset.
        digest: of all of it: the train files, and the dev files where validation is on these.
        files: what the features say of each file, by `<Dataset>.train`.
        ids: of the examples of each train file, by dataset.
    """

    sets: list[Windows]
    rows: dict[str, np.ndarray]
    validation: list[Questions]
    digest: str
    files: dict[str, dict[str, Any]]
    ids: dict[str, Any]

    def for_model(self, tokenizer: Any) -> TrainingData:
        """What a model with this tokenizer is trained on."""
        return TrainingData(self.sets, self.rows, self.validation, Vocabulary.of(tokenizer))

    @property
    def sha256(self) -> dict[str, str]:
        """The digest of each train file, by `<Dataset>.train`."""
        return {name: meta["inputs"]["file_sha256"] for name, meta in self.files.items()}


def read_features(folder: Path, dataset: str, split: str, data: DataSettings) -> Features:
    """The features of one file. Raises DataError where they were not prepared, or with other settings or code
    than today's.
    """
    place = folder / f"{dataset}.{split}"
    if not (place / "features.json").is_file():
        raise DataError(
            f"{place}: no features there: run `python -m benchmark.prepare`, or `dvc repro prepare`"
        )
    with advice(PREPARE):
        features = load(place)
    if changed := outdated(features.meta, data):
        raise DataError(
            f"{place}: made with another {', '.join(changed)}: run `python -m benchmark.prepare`, or `dvc "
            "repro prepare`"
        )
    return features


def dev_features(
    folder: Path, datasets: Sequence[str], data: DataSettings, otherwise: str
) -> dict[str, Features]:
    """Of the `datasets` those whose dev files were prepared. Raises DataError, `otherwise` in it, where
    none was.
    """
    names = [name for name in datasets if (folder / f"{name}.dev" / "features.json").is_file()]
    if not names:
        raise DataError(f"{folder}: no dev features {otherwise}")
    return {name: read_features(folder, name, "dev", data) for name in names}


def file_digests(features: Mapping[str, Features]) -> dict[str, str]:
    """The digest of each dataset's file."""
    return {name: entry.meta["inputs"]["file_sha256"] for name, entry in features.items()}


def training_data(config: Config, cell: Cell, folder: Path) -> SourceData:
    """Read a cell's source datasets from a features folder and split them by context into training and
    validation.
    """
    data = config.data
    sets, rows, validation, files, ids = [], {}, [], {}, {}
    keys = {}
    for dataset in [cell.dataset] if cell.dataset else data.train:
        features = read_features(folder, dataset, "train", data)
        files[f"{dataset}.train"], keys[f"{dataset}.train"] = features.meta, features.meta["key"]
        windows = Windows.of(features.windows, dataset)
        contexts = features.examples["context_id"].to_pylist()
        carved = data.validation_cap if data.val_source == "train" else 0
        train, held = carve(contexts, carved, data.train_cap, f"validation:{dataset}")
        sets.append(windows)
        ids[dataset] = features.examples["id"]
        rows[dataset] = windows.of_examples(train, negatives=data.negatives, windows=data.windows)
        if data.val_source == "dev":
            features = read_features(folder, dataset, "dev", data)
            keys[f"{dataset}.dev"] = features.meta["key"]
            held = np.arange(min(data.validation_cap, len(features.examples)))
        validation.append(questions(features, dataset, held))
    return SourceData(sets, rows, validation, json_digest(keys), files, ids)


def questions(features: Features, dataset: str, examples: np.ndarray) -> Questions:
    """The given example rows of a file as questions to answer, with every window of theirs."""
    windows = Windows.of(features.windows, dataset)
    return Questions(
        windows,
        windows.of_examples(examples),
        examples,
        features.examples["context"].to_pylist(),
        features.examples["answers"].to_pylist(),
    )


def dev_examples(features: Features, data: DataSettings) -> np.ndarray:
    """Example rows of a dev file that are scored: all, or the first `dev_cap`."""
    count = len(features.examples)
    return np.arange(count if data.dev_cap is None else min(count, data.dev_cap))


def dev_questions(features: Mapping[str, Features], data: DataSettings) -> dict[str, Questions]:
    """The questions of each dataset's dev file that are scored."""
    return {name: questions(entry, name, dev_examples(entry, data)) for name, entry in features.items()}
