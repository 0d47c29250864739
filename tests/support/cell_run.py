"""A run of one cell of the sample profile, without data or weights."""

from __future__ import annotations

from pathlib import Path

from benchmark.config.backbones import Located
from benchmark.config.cells import parse
from benchmark.config.folders import Places
from benchmark.config.params import load
from benchmark.runs.cell_data import SourceData
from benchmark.runs.cell_run import CellRun
from bmt.runtime.ranks import Ranks
from tests.support.repository import ROOT


def cell_run(root: Path, name: str = "minilm.mt.bmt.s0", weights: str = "w", data: str = "d") -> CellRun:
    """A run whose data are a digest alone."""
    config = load(ROOT / "profiles" / "sample.yaml")
    source = SourceData([], {}, [], data, {}, {})
    located = Located(root, None, weights)
    return CellRun(config, parse(name), Places(root, config.profile), located, source, Ranks())
