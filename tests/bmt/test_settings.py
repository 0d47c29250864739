"""Bounds of knobs, at and beside them, and how they are told."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest

from bmt.errors import ConfigError
from bmt.settings import (
    DataSettings,
    DecodeSettings,
    FewShotSettings,
    MaskSettings,
    SamplingSettings,
    TrainingSettings,
    allowed,
    check_mask,
    check_settings,
    knob,
)
from tests.support.sections import SECTIONS


@dataclass(frozen=True)
class Knobs:
    low: float = knob(1, "", low=1)
    high: float = knob(1, "", high=1)
    above: float = knob(1, "", above=0)
    below: float = knob(0, "", below=1)
    share: float | None = knob(None, "", above=0, high=1)
    kind: str | None = knob("a", "", choices=("a", "b"))
    switch: bool = knob(True, "", low=5)
    name: str = knob("", "", low=5)
    plain: int = -1  # no knob


@pytest.mark.parametrize(
    ("key", "good", "bad", "words"),
    [
        ("low", [1, 2], [0.99], "at least 1"),
        ("high", [1, -3], [1.01], "at most 1"),
        ("above", [0.01], [0, -1], "above 0"),
        ("below", [0.99], [1, 2], "below 1"),
        ("share", [None, 0.01, 1.0], [0, 1.01], "above 0 and at most 1"),
        ("kind", ["a", "b", None], ["c", 3], "one of a, b"),
        ("switch", [True, False], [], "at least 5"),  # a switch is no number
        ("name", ["a"], [], "at least 5"),  # nor is a name
    ],
)
def test_a_value_is_held_against_its_bounds(
    key: str, good: list[object], bad: list[object], words: str
) -> None:
    assert next(allowed(entry.metadata) for entry in fields(Knobs) if entry.name == key) == words
    for value in good:
        check_settings(Knobs(**{key: value}), "x")  # type: ignore[arg-type]
    for value in [*bad, *([float("nan")] if key not in ("kind", "switch", "name") else [])]:
        with pytest.raises(ConfigError, match=rf"^x\.{key}: {value!r} is not allowed: {words}$"):
            check_settings(Knobs(**{key: value}), "x")  # type: ignore[arg-type]


TOP_K = {"density": 0.2, "density_by": "top_k"}
PULLED = {"density": 0.2, "density_by": "lagrangian"}


@pytest.mark.parametrize(
    ("together", "said"),
    [
        (TOP_K, ""),
        ({"density": None}, ""),
        (TOP_K | {"gate": "resampled"}, "gate: resampled is not allowed: sampled with a top-k density"),
        (PULLED | {"gate": "resampled"}, ""),
        ({"density": None, "density_by": "top_k", "gate": "resampled"}, ""),
        (TOP_K | {"binarise": "half"}, "binarise: half is not allowed: positive with a top-k density"),
        (TOP_K | {"binarise": "none"}, "binarise: none is not allowed: positive with a top-k density"),
        (PULLED | {"binarise": "half"}, ""),
        ({"density": None, "density_by": "top_k", "binarise": "none"}, ""),
        (PULLED | {"gate": "mean"}, "binarise: positive is not allowed: half or none with gate mean"),
        ({"density": None, "gate": "mean"}, "binarise: positive is not allowed: half or none with gate mean"),
        (PULLED | {"gate": "mean", "binarise": "half"}, ""),
        (TOP_K | {"gate": "mean"}, ""),
        (
            PULLED | {"gate": "resampled", "schedule": "refresh"},
            "gate: resampled is not allowed: another with",
        ),
        (TOP_K | {"schedule": "alternating"}, ""),
        (
            PULLED | {"gate": "resampled", "keep_delta": True},
            "keep_delta: true is not allowed: false with gate resampled",
        ),
        (TOP_K | {"keep_delta": True}, ""),
        (
            TOP_K | {"keep_delta": True, "schedule": "refresh"},
            "keep_delta: true is not allowed: false with schedule refresh",
        ),
    ],
)
def test_mask_settings_that_do_not_go_together_are_refused_and_others_are_not(
    together: dict[str, Any], said: str
) -> None:
    if not said:
        check_mask(MaskSettings(**together))
        return
    with pytest.raises(ConfigError) as caught:
        check_mask(MaskSettings(**together), "m")
    assert str(caught.value).startswith(f"m.{said}")


def test_a_list_is_not_shared_between_settings() -> None:
    one = DataSettings()
    one.train.append("another")
    assert DataSettings().train != one.train


SOURCES = ["SQuAD", "HotpotQA", "TriviaQA", "NewsQA", "SearchQA", "NaturalQuestions"]
TARGETS = ["BioASQ", "DROP", "DuoRC", "RACE", "RelationExtraction", "TextbookQA"]
# What the page of deviations does not tell: the defaults that the paper states or that are ours, and what is
# allowed.
STATED = {
    "data.train": (SOURCES, ""),
    "data.evaluate": ([*SOURCES, *TARGETS], ""),
    "data.window": (512, "at least 32 and at most 4096"),
    "data.validation_cap": (1000, "at least 1"),
    "mask.beta": (1.0, "above 0"),
    "mask.gate": ("sampled", "one of sampled, resampled, deterministic, mean"),
    "training.lr": (1e-5, "above 0"),
    "training.weight_decay": (0.0, "at least 0"),
    "training.eps": (1e-8, "above 0"),
    "training.epochs_mt": (3, "above 0"),
    "training.epochs_st": (10, "above 0"),
    "training.evaluate_every": (2048, "at least 1"),
    "training.patience": (5, "at least 1"),
    "sampling.kind": ("dynamic", "one of dynamic, dynamic_single_task, uniform, size, temperature"),
    "fewshot.sizes": ([16, 64, 256], ""),
    "fewshot.steps": (300, "at least 1"),
    "fewshot.lr": (1e-5, "above 0"),
    "fewshot.patience": (10, "at least 1"),
}
OURS = {
    "data.dev_cap": (None, "at least 1"),
    "tuning.compact_state": (True, ""),
    "training.evaluation_batch": (32, "at least 1"),
    "training.batch_tokens": (None, "at least 32"),
    "training.micro_batch": (None, "at least 1"),
    "training.micro_tokens": (None, "at least 32"),
    "training.padding": (0.08, "at least 0 and below 1"),
    "training.threads": (None, "at least 1"),
    "sampling.temperature": (1.0, "at least 1"),
    "sampling.single_task_arm": (None, ""),
    "sampling.single_task_scores": (None, ""),
}


@pytest.mark.parametrize(("paper", "want"), [("stated", STATED), ("ours", OURS)])
def test_defaults_and_bounds_of_knobs_that_are_no_deviation(
    paper: str, want: dict[str, tuple[object, str]]
) -> None:
    have = {
        f"{section}.{entry.name}": (getattr(settings(), entry.name), allowed(entry.metadata))
        for section, settings in SECTIONS.items()
        for entry in fields(settings)
        if entry.metadata["paper"] == paper
    }
    assert have == want


def test_the_defaults_of_every_section_are_allowed_and_an_error_names_section_key_and_value() -> None:
    for section, settings in SECTIONS.items():
        check_settings(settings(), section)
    for section, settings, said in (
        ("training", TrainingSettings(batch=0), "training.batch: 0 is not allowed: at least 1"),
        ("decode", DecodeSettings(mode=""), "decode.mode: '' is not allowed: one of joint, greedy"),
        ("fewshot", FewShotSettings(lr=0), "fewshot.lr: 0 is not allowed: above 0"),
        ("sampling", SamplingSettings(floor=1), "sampling.floor: 1 is not allowed: at least 0 and below 1"),
    ):
        with pytest.raises(ConfigError) as caught:
            check_settings(settings, section)
        assert str(caught.value) == said and caught.value.status == 2
