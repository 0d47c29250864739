"""Where the stages write: one place to look for the layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.config.cells import Cell
from benchmark.config.digests import masks_digest, section_digest
from benchmark.config.params import Config, repository_root
from bmt.runtime.files import json_digest


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of one profile under a root (the repository's, unless a test says otherwise)."""

    root: Path
    profile: str

    @staticmethod
    def of(config: Config) -> Folders:
        """The folders of a configuration's profile."""
        return Folders(repository_root(), config.profile)

    @property
    def raw(self) -> Path:
        """MRQA files: `<domain>/<Dataset>.<split>.jsonl.gz` and fetch.json."""
        return self.root / "data" / "raw" / self.profile

    def features(self, backbone: str) -> Path:
        """Windows for a backbone's tokenizer: `<Dataset>.<split>/`."""
        return self.root / "data" / "features" / self.profile / backbone

    @property
    def digests(self) -> Path:
        """What decides each instance of a stage (`benchmark.digests`), for DVC: `<stage>/<instance>.json`."""
        return self.root / "data" / "digests" / self.profile

    @property
    def inputs(self) -> Path:
        """Which data each cell reads, by digest: `<stage>/<cell>.json`."""
        return self.root / "data" / "inputs" / self.profile

    @property
    def scores(self) -> Path:
        """Validation scores of the ST cells that sampling is held against: `<ST cell>.json`; and
        `needed.json`, by whom.
        """
        return self.root / "data" / "scores" / self.profile

    @property
    def references(self) -> Path:
        """The scores that each cell's own sampling is held against: `<cell>.json`."""
        return self.root / "data" / "references" / self.profile

    def run(self, cell: Cell) -> Path:
        """What training a cell leaves: model/, masks/, training.json, curve.csv."""
        return self.root / "runs" / self.profile / cell.name

    @property
    def results(self) -> Path:
        """What evaluation leaves: `<cell>.json` and `<cell>.parquet`."""
        return self.root / "results" / self.profile

    def checkpoints(self, config: Config, cell: Cell, data: str) -> Path:
        """Checkpoints of a run, outside DVC's outs; `data` is the digest of its features."""
        return self.root / ".checkpoints" / f"{cell.name}-{section_digest(config, cell)[:12]}-{data[:8]}"

    def masks(self, config: Config, cell: Cell, data: str, backbone: str) -> Path:
        """Masks that a cell has learned, kept for its resume and for the cells that use the same ones.

        Args:
            data: digest of the features. backbone: identity of the weights. Both are part of the name, with
                the settings and the
                code that decide the masks: those that another state of any of them has made are never taken
                    up.
        """
        key = json_digest({"masks": masks_digest(config, cell), "data": data, "backbone": backbone})
        return self.root / ".checkpoints" / "masks" / f"s{cell.seed}-{key[:20]}.safetensors"
