"""Trained runs by name, and their answers to a question."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.cli.advice import TRAIN, advice
from benchmark.config.params import repository_root
from bmt.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from bmt.qa.answering import Answer


def find_run(name: str) -> Path:
    """The folder of a run: a path, a cell's name, or `<profile>/<cell>` under runs/.

    Raises:
        ModelError: there is none. ConfigError: several profiles have the cell.
    """
    if (Path(name) / "config.json").is_file() or (Path(name) / "model").is_dir():
        return Path(name)
    runs = repository_root() / "runs"
    folders = [path for path in (runs / name, *sorted(runs.glob(f"*/{name}"))) if (path / "model").is_dir()]
    if not folders:
        known = ", ".join(sorted(str(path.parent.relative_to(runs)) for path in runs.glob("*/*/model")))
        raise ModelError(
            f"{name}: no trained run there; there are {known or 'none yet: `dvc repro` trains some'}"
        )
    if len(folders) > 1:
        names = " or ".join(str(path.relative_to(runs)) for path in folders)
        raise ConfigError(f"{name}: several profiles have it: say which, {names}")
    return folders[0]


def answer_of(folder: Path, question: str, context: str, adapter: str | None) -> Answer:
    """What the model in `folder` answers. Of a run with adapters: the one of the dataset `adapter`; None:
    their mean.
    """
    from bmt.qa.adapters import averaged, datasets_of
    from bmt.qa.answering import answer, load

    with advice(TRAIN):
        model, tokenizer = load(folder, adapter=adapter)
    if adapter is None and len(datasets_of(model)) > 1:
        model = averaged(model)
    return answer(model, tokenizer, question, context)
