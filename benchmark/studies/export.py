"""`studies/NAME.best.yaml`: the best values of a study, as a small file that git and a frozen DVC stage
carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import yaml
from optuna.trial import FrozenTrial

from benchmark.config.params import repository_root
from benchmark.config.record_file import refusal
from benchmark.config.schema import Count, Mapping, Text, read
from benchmark.config.yaml_file import read_yaml
from benchmark.studies.identity import StudyIdentity, identity_of
from benchmark.studies.space import Space
from benchmark.studies.status import counts, finished, front
from bmt.errors import ConfigError
from bmt.runtime.files import write_text

HEAD = (
    "# Written by `python -m benchmark.search --study {name} --export`: the best values of a study,"
    " on validation carved from train.\n"
)


@dataclass(frozen=True, slots=True)
class BestFields:
    """What the file must say; more of it is for people."""

    study: Text
    profile: Text
    cell: Text
    objective: Text
    trial: Count
    values: dict[str, float]
    changed: Mapping | None = None


def best_path(study: str) -> Path:
    """The file of a study's best values."""
    return repository_root() / "studies" / f"{study}.best.yaml"


def export(study: optuna.Study, number: int | None = None) -> Path:
    """Write the best values; with `number` those of another finished trial, such as one of the Pareto front.

    Raises:
        BMTError: no trial has finished. ConfigError: trial `number` has not, or does not exist.
    """
    path = best_path(study.study_name)
    write_text(
        path,
        HEAD.format(name=study.study_name) + yaml.safe_dump(best(study, number), sort_keys=False, width=120),
    )
    return path


def best(study: optuna.Study, number: int | None = None) -> dict[str, Any]:
    """What the file says."""
    done = {trial.number: trial for trial in finished(study)}
    if number is None:
        number = front(study)[0].number
    if number not in done:
        raise ConfigError(f"--trial {number}: not a finished trial: one of {', '.join(map(str, done))}")
    chosen, identity = done[number], identity_of(study)
    said: dict[str, Any] = {
        "study": study.study_name,
        "profile": identity.profile,
        "cell": identity.cell,
        "objective": identity.objective,
        "trial": chosen.number,
        "values": _rounded(chosen, identity),
        "score": score(chosen),
        "trials": {name: count for name, count in counts(study).items() if count},
        "seeds": identity.seeds,
        "pruner": identity.pruner,
        "space": {
            name: {key: ends[key] for key in ("low", "high", "log")} for name, ends in identity.space.items()
        },
        "changed": identity.changed,
        "study_digest": identity.digest,
        "params_sha256": identity.params_sha256,
    }
    default = next((trial for trial in done.values() if trial.user_attrs.get("from") == "params"), None)
    if default is not None:
        said["params_file"] = {"trial": default.number, "score": score(default)}
    if len(study.directions) > 1:
        said["pareto"] = [
            {"trial": trial.number, **score(trial), "values": _rounded(trial, identity)}
            for trial in front(study)
        ]
    return said


def _rounded(trial: FrozenTrial, identity: StudyIdentity) -> dict[str, float]:
    return {part.key: part.rounded(trial.params[part.name]) for part in Space.read(identity.space).ranges}


def score(trial: FrozenTrial) -> dict[str, float]:
    """Macro F1 in percent and union density, rounded as people read them."""
    parts = {"macro_f1": round(trial.values[0], 4)}
    if "density" in trial.user_attrs:
        parts["union_density"] = round(trial.user_attrs["density"], 6)
    return parts


def read_best(study: str) -> dict[str, Any]:
    """The file of a study's best values.

    Raises:
        ConfigError: it is absent, or not such a file.
    """
    path = best_path(study)
    shown = path.relative_to(repository_root()).as_posix()
    remedy = f"`python -m benchmark.search --study {study} --export` writes it from the study's database"
    said: dict[str, Any] = read_yaml(path, shown, remedy)
    read(BestFields, said, lambda fault: ConfigError(f"{shown}: {refusal(fault)}; {remedy}"), foreign=True)
    return said
