"""The sections of a params file that a settings class of `bmt` describes."""

from __future__ import annotations

from bmt.settings import (
    DataSettings,
    DecodeSettings,
    FewShotSettings,
    LossSettings,
    MaskSettings,
    SamplingSettings,
    TrainingSettings,
    TuningSettings,
)

SECTIONS = {
    "data": DataSettings,
    "mask": MaskSettings,
    "tuning": TuningSettings,
    "training": TrainingSettings,
    "sampling": SamplingSettings,
    "loss": LossSettings,
    "decode": DecodeSettings,
    "fewshot": FewShotSettings,
}
