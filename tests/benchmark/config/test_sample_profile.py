"""The sample profile keeps its promises: budget, evaluations, and an untrained head that knows nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.backbones import locate
from benchmark.config.cells import parse
from benchmark.config.params import load
from benchmark.runs.cell_data import dev_examples, questions, read_features, training_data
from bmt.qa.batches import Vocabulary
from bmt.qa.model import span_model
from bmt.settings import IN_DOMAIN
from bmt.training.plan import Plan, total_steps
from bmt.training.validation import evaluate
from tests.support.repository import ROOT


def test_the_sample_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell trains on at most 900 windows and learns masks on at most 900, evaluates four times; untrained
    F1 is under 15.
    """
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    config = load(ROOT / "profiles" / "sample.yaml")
    write_corpus(tmp_path / "data" / "raw" / "sample")
    prepare(config, workers=1)
    cell = parse("minilm.mt.none.s0")
    features = tmp_path / "data" / "features" / "sample" / "minilm"
    data = training_data(config, cell, features)
    windows = sum(len(rows) for rows in data.rows.values())
    steps = total_steps(windows, config.training.epochs_mt, config.training.batch)
    assert steps * config.training.batch <= 900
    assert len(data.sets) * config.mask.steps * config.mask.batch <= 900
    assert steps // config.training.evaluate_every >= 4
    assert max(own.lengths.max() for own in data.sets) <= 128
    for own, held in zip(data.sets, data.validation, strict=True):  # no validation context is trained on
        assert not set(own.example[data.rows[own.dataset]].tolist()) & set(held.examples.tolist())
    place = locate("minilm", config.backbones["minilm"])
    model, tokenizer = span_model(place.source, markers=config.data.special_tokens)
    dev = []
    for name in IN_DOMAIN:
        own_features = read_features(features, name, "dev", config.data)
        dev.append(questions(own_features, name, dev_examples(own_features, config.data)))
    scores = evaluate(model, dev, Vocabulary.of(tokenizer), Plan(config.training, decode=config.decode))
    assert np.mean([f1 for _, f1 in scores.values()]) < 15


def test_small_profiles_evaluate_at_least_four_times() -> None:
    for name, questions_a_dataset in (("sample", None), ("mini", 150)):
        config = load(ROOT / "profiles" / f"{name}.yaml")
        count = (questions_a_dataset or config.data.train_cap or 0) * len(config.data.train)
        assert (
            total_steps(count, config.training.epochs_mt, config.training.batch)
            // config.training.evaluate_every
            >= 4
        )
