"""The part of a configuration that the training loop, evaluation and transfer read."""

from __future__ import annotations

from benchmark.config.params import Config
from bmt.training.plan import Plan


def plan_of(config: Config) -> Plan:
    """The settings of params.yaml as the loop takes them."""
    return Plan(config.training, config.tuning, config.sampling, config.loss, config.decode)
