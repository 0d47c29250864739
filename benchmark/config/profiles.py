"""Switch params.yaml to another profile, or show which one is active.

`python -m benchmark.profile` alone shows the active profile and what params.yaml changes in it; with a name
it copies `profiles/<name>.yaml` over params.yaml and says what that overwrites.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmark.cli.text import nearest
from benchmark.config.params import Config, load, repository_root
from benchmark.config.yaml_file import read_yaml
from bmt.errors import ConfigError
from bmt.runtime.files import write_text

ABSENT = "absent"


def profiles() -> dict[str, Path]:
    """The profiles by name: the files of profiles/."""
    return {path.stem: path for path in sorted((repository_root() / "profiles").glob("*.yaml"))}


def active_profile() -> str | None:
    """The profile that the root's params.yaml names; None where there is no such file, or no name in it.

    Raises:
        ConfigError: the file is there and cannot be read as YAML.
    """
    path = repository_root() / "params.yaml"
    values = read_yaml(path, "params.yaml") if path.exists() else None
    name = values.get("profile") if isinstance(values, dict) else None
    return name if isinstance(name, str) else None


def params_file(params: str | None, profile: str | None) -> str | None:
    """The file that `--params FILE` or `--profile NAME` names, as `params.load` takes it; None: the root's
    params.yaml, which neither of them names.

    A profile is the root's params.yaml where it is active there (the edits of that file are what its cells
    were trained with), else profiles/NAME.yaml.

    Raises:
        ConfigError: there is no such profile.
    """
    if profile is None or profile == active_profile():
        return params
    known = profiles()
    if profile not in known:
        raise unknown_profile(profile)
    return as_seen(known[profile])


def chosen_config(options: argparse.Namespace) -> tuple[Config, str | None]:
    """The configuration that a command's options `--params` or `--profile` name, and its file as
    `params_file` has it.
    """
    file = params_file(options.params, options.profile)
    return load(file), file


def unknown_profile(name: str, also: str = "") -> ConfigError:
    """The refusal of `--profile NAME`; `also`: what is allowed beside the profiles."""
    known = profiles()
    names = ", ".join(known) or "those with a file in profiles/"
    return ConfigError(f"--profile {name}: not allowed{nearest(name, known)}: one of {names}{also}")


def as_seen(path: Path) -> str:
    """A path as a command that is started in the working directory can name it."""
    near = os.path.relpath(path)
    return str(path) if near.startswith("..") else near


def profile_path(name: str) -> Path:
    """The file of the profile `name`.

    Raises:
        ConfigError: there is none; names those that there are.
    """
    known = profiles()
    if name not in known:
        near, names = nearest(name, known), ", ".join(known)
        raise ConfigError(f"profile {name!r}: profiles/ has none of that name{near}: one of {names}")
    return known[name]


def differences(ours: Any, theirs: Any, key: str = "") -> list[tuple[str, str, str]]:
    """(key, value in `ours`, value in `theirs`) wherever two params files differ; lists by what each has more
    than the other.
    """
    if isinstance(ours, dict) and isinstance(theirs, dict):
        differing: list[tuple[str, str, str]] = []
        for name in {**theirs, **ours}:
            inner = f"{key}.{name}" if key else str(name)
            if name in ours and name in theirs:
                differing += differences(ours[name], theirs[name], inner)
            else:
                mine, other = (_shown(side[name]) if name in side else ABSENT for side in (ours, theirs))
                differing.append((inner, mine, other))
        return differing
    if isinstance(ours, list) and isinstance(theirs, list):
        more = [item for item in ours if item not in theirs]
        less = [item for item in theirs if item not in ours]
        if not more and not less:
            return [] if ours == theirs else [(key, "another order", "the profile's order")]
        return [(key, _entries(more), _entries(less))]
    # 1 and 1.0 are the same setting, 1 and true are not
    same = ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)
    return [] if same else [(key, _shown(ours), _shown(theirs))]


def show() -> list[str]:
    """Lines about the active profile: its name, what params.yaml changes in it, and the others.

    Raises:
        ConfigError: params.yaml is absent, invalid, or names a profile that does not exist.
    """
    config = load()
    changed = differences(_values(repository_root() / "params.yaml"), _values(profile_path(config.profile)))
    lines = [f"params.yaml: profile {config.profile}, {len(config.cells)} cells"]
    if changed:
        lines += [f"differs from profiles/{config.profile}.yaml in {_count(changed)}:", *_lines(changed)]
    else:
        lines.append(f"equal to profiles/{config.profile}.yaml")
    others = [name for name in profiles() if name != config.profile]
    return [*lines, f"others: {', '.join(others)}; `python -m benchmark.profile NAME` switches"]


def switch(name: str) -> list[str]:
    """Make params.yaml a copy of the profile `name`; lines that say what was overwritten.

    Raises:
        ConfigError: no such profile, or its file is not valid; params.yaml is then as it was.
    """
    source, target = profile_path(name), repository_root() / "params.yaml"
    config = load(source)
    lines = _overwritten(target)
    write_text(target, source.read_text(encoding="utf-8"))
    return [*lines, f"params.yaml: profile {name}, {len(config.cells)} cells; run `dvc repro`"]


def _overwritten(target: Path) -> list[str]:
    """What is lost with the present params.yaml: its edits, each one."""
    if not target.exists():
        return []
    if target.read_bytes() in [path.read_bytes() for path in profiles().values()]:
        return [f"overwrites profile {_values(target)['profile']}, unchanged"]
    try:
        values = _values(target)
    except ConfigError as error:
        return [f"overwrites a file that could not be read: {error}"]
    name = values.get("profile") if isinstance(values, dict) else None
    if not isinstance(name, str) or name not in profiles():
        return [f"overwrites a params.yaml of a profile that profiles/ does not have: {name!r}"]
    changed = differences(values, _values(profile_path(name)))
    if not changed:
        return [f"overwrites profile {name}, changed in its comments or layout only"]
    return [f"overwrites profile {name} and {_count(changed)} changed in it, now lost:", *_lines(changed)]


def _values(path: Path) -> Any:
    return read_yaml(path, path.relative_to(repository_root()).as_posix())


def _count(changed: list[tuple[str, str, str]]) -> str:
    return "1 key" if len(changed) == 1 else f"{len(changed)} keys"


def _lines(changed: list[tuple[str, str, str]]) -> list[str]:
    return [f"  {key}: {ours} (profile: {theirs})" for key, ours, theirs in changed]


def _entries(items: list[Any]) -> str:
    return f"{len(items)} more: {', '.join(str(item) for item in items)}" if items else "no more"


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return ", ".join(str(item) for item in value) if isinstance(value, list | dict) else str(value)
