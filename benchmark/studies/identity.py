"""What makes two calls the same study: a study's F1s can be compared with each other only as long as nothing
but the values differs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import optuna

from bmt.errors import ConfigError
from bmt.runtime.files import json_digest

KEY = "bmt.identity"


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """What all trials of a study share.

    Attributes:
        profile, cell: the cell without its seed, e.g. `minilm.mt.bmt`.
        space: as `Space.plain`.
        objective, pruner, seeds: what a trial is scored by, and when it is given up.
        settings: digest of every other setting that decides a training.
        data, weights: digest of the features, identity of the backbone's weights.
        changed: the changes to the params file (`--set`).
        params_sha256: of the params file; told, not compared, for a comment in it changes nothing.
    """

    profile: str
    cell: str
    space: dict[str, dict[str, Any]]
    objective: str
    pruner: str
    seeds: list[int]
    settings: str
    data: str
    weights: str
    changed: dict[str, Any]
    params_sha256: str

    @property
    def digest(self) -> str:
        """Of all that decides whether two studies are the same."""
        return json_digest(self.deciding())

    def deciding(self) -> dict[str, Any]:
        """All that must be the same."""
        plain = asdict(self)
        del plain["params_sha256"], plain["changed"]  # what a change does stands in `settings`
        return plain


def identity_of(study: optuna.Study) -> StudyIdentity:
    """The identity that a study carries.

    Raises:
        ConfigError: it carries none: it was made by something else.
    """
    try:
        return StudyIdentity(**json.loads(study.user_attrs[KEY]))
    except (KeyError, TypeError, ValueError):
        raise ConfigError(
            f"study {study.study_name!r}: not made by this command: take another --study or --storage"
        ) from None


def claim(study: optuna.Study, ours: StudyIdentity) -> bool:
    """Write our identity on a new study, or check that an old one's is the same; True for a new one.

    Raises:
        ConfigError: the study is another one; names what differs, there and here.
    """
    new = KEY not in study.user_attrs and not study.get_trials(deepcopy=False)
    if new:
        study.set_user_attr(KEY, json.dumps(asdict(ours)))
    theirs = identity_of(study)
    if theirs.digest != ours.digest:
        there, here = theirs.deciding(), ours.deciding()
        odd = [key for key in here if there[key] != here[key]]
        shown = "; ".join(f"{key} {_words(there[key])}, here {_words(here[key])}" for key in odd)
        raise ConfigError(
            f"study {study.study_name!r} is another one: it has {shown}. Take another --study name, or call "
            "it as before"
        )
    return new


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {ends['low']:g} to {ends['high']:g}" for name, ends in value.items())
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
