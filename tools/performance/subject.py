"""What data's way and training are measured on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from benchmark.config.backbones import locate
from benchmark.config.params import load
from bmt.errors import DataError
from bmt.qa.model import open_tokenizer, span_model
from bmt.settings import IN_DOMAIN, DataSettings, TrainingSettings
from tools.performance.bench import Bench
from tools.performance.same_windows import File

PRECISION = "fp32"


@dataclass(frozen=True, slots=True)
class SubjectSizes:
    """How much is measured. The defaults are what the targets are stated for; tests take less."""

    contexts: int = 2000  # of the generated set, five questions each
    padded_steps: int = 1000  # whose padding is counted
    windows: int = 10_000  # that are decoded
    seconds: float = 90.0  # of work in one process, judged by a trial whose start counts too
    bytes: int = 300_000_000  # of the large file
    steps: int = 12  # of training, per round
    questions: int = 12  # of each dataset that are evaluated


@dataclass(frozen=True, slots=True)
class Subject:
    """A folder of MRQA files, the backbone's tokenizer and where it lies, the settings."""

    folder: Path
    tokenizer: Any
    source: str
    revision: str | None
    data: DataSettings
    sizes: SubjectSizes = SubjectSizes()
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(precision=PRECISION))

    def paths(self, split: str = "*") -> list[Path]:
        """The MRQA files; of one split or of both. Raises DataError where there is none."""
        paths = sorted(self.folder.glob(f"*_domain/*.{split}.jsonl.gz"))
        if not paths:
            raise DataError(
                f"{self.folder}: no {split if split != '*' else 'MRQA'} files (<domain>/<Dataset>.<split>"
                ".jsonl.gz) there: fetch them with `python -m benchmark.fetch --manifest real --out "
                "data/raw/mini`, or name their folder with --data"
            )
        return paths

    def files(self, split: str, bench: Bench, limit: int | None = None) -> list[File]:
        """Features of the source datasets' files, in the order of `IN_DOMAIN`; of `limit` questions each."""
        paths = {path.name.split(".")[0]: path for path in self.paths(split)}
        files = []
        for name in (name for name in IN_DOMAIN if name in paths):
            bench.bar.advance(0, f"features of {name}")
            out, train = bench.folder / split / name, split == "train"
            files.append(File.of(paths[name], self.tokenizer, self.data, out, train=train, limit=limit))
        return files

    def model(self, dropout: float | None) -> nn.Module:
        """The backbone with a fresh head; dropout None: as its configuration has it."""
        markers = self.data.special_tokens
        return span_model(self.source, revision=self.revision, markers=markers, dropout=dropout)[0].train()


def minilm_subject(folder: Path, params: Path, **sizes: int) -> Subject:
    """A folder with MiniLM, as the params file names it, and the project's default windows."""
    place, data = locate("minilm", load(params).backbones["minilm"]), DataSettings()
    tokenizer = open_tokenizer(place.source, revision=place.revision, markers=data.special_tokens)
    return Subject(folder, tokenizer, str(place.source), place.revision, data, SubjectSizes(**sizes))
