"""Where the stages write: one place to look for the layout."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bmt
from benchmark.config.cells import Cell
from benchmark.config.digests import masks_digest, section_digest
from benchmark.config.params import Config, repository_root
from bmt.runtime.files import file_digest, json_digest


@dataclass(frozen=True, slots=True)
class Places:
    """The folders of one profile under a root (the repository's, unless a test says otherwise)."""

    root: Path
    profile: str

    @staticmethod
    def of(config: Config) -> Places:
        """The places of a configuration's profile."""
        return Places(repository_root(), config.profile)

    @property
    def raw(self) -> Path:
        """MRQA files: `<domain>/<Dataset>.<split>.jsonl.gz` and fetch.json."""
        return self.root / "data" / "raw" / self.profile

    def features(self, backbone: str) -> Path:
        """Windows for a backbone's tokenizer: `<Dataset>.<split>/`."""
        return self.root / "data" / "features" / self.profile / backbone

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
            data: digest of the features. backbone: identity of the weights. Both and the code of `bmt` are
                part of the name: masks that
                another state of any of them has made are never taken up.
        """
        key = json_digest(
            {"masks": masks_digest(config, cell), "data": data, "backbone": backbone, "code": code_digest()}
        )
        return self.root / ".checkpoints" / "masks" / f"s{cell.seed}-{key[:20]}.safetensors"


@cache
def code_digest() -> str:
    """Digest of the files of `bmt` as they are installed."""
    folder = Path(bmt.__file__).parent
    return json_digest(
        {str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*.py"))}
    )
