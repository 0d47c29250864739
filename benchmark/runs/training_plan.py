"""The part of a configuration that the training loop, evaluation and transfer read."""

from __future__ import annotations

import torch

from benchmark.config.params import Config
from bmt.training.plan import Plan


def plan_of(config: Config) -> Plan:
    """The settings of params.yaml as the loop takes them."""
    return Plan(config.training, config.tuning, config.sampling, config.loss, config.decode)


def use_threads(config: Config) -> None:
    """Let torch compute on as many threads as `training.threads` says; null: as it chooses."""
    if config.training.threads:
        torch.set_num_threads(config.training.threads)
