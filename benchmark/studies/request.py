"""What a call that runs trials asks for, checked before torch and Optuna are imported."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from benchmark.config.cells import Cell
from benchmark.config.params import Config, find_cell
from benchmark.studies.settings import Settings, read_settings
from benchmark.studies.space import Space, space_of
from bmt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class StudyRequest:
    """The options of a call and what they name: settings, the cell (of the first seed), the space."""

    options: argparse.Namespace
    settings: Settings
    config: Config
    cell: Cell
    space: Space


def read_request(options: argparse.Namespace) -> StudyRequest:
    """What `options` ask for.

    Raises:
        ConfigError: something in the call or the params file does not fit.
    """
    settings = read_settings(options.params, options.profile, options.changes)
    config = settings.config()
    check_validation(config)
    backbone = options.backbone or next(iter(config.backbones))
    cell = find_cell(config, f"{backbone}.{options.regime}.{options.arm}.s{options.seeds[0]}")
    return StudyRequest(options, settings, config, cell, _space(options, settings, config))


def check_validation(config: Config) -> None:
    """Raises ConfigError where validation questions would be dev questions."""
    if config.data.val_source != "train":
        raise ConfigError(
            f"data.val_source: {config.data.val_source} is not allowed for a study: train, or it would "
            "be tuned on the dev sets that the tables report"
        )


def _space(options: argparse.Namespace, settings: Settings, config: Config) -> Space:
    names = None
    if options.search is not None:
        names = [name.strip() for name in options.search.split(",") if name.strip()]
    space = space_of(config, options.arm, names, options.ranges, options.objective == "f1_density")
    for end in ("low", "high"):  # what the params file's other checks say of the ends
        settings.config({part.key: getattr(part, end) for part in space.ranges})
    return space
