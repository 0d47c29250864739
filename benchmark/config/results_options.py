"""What the commands that read a results folder are asked for: seeds, the folder and its profile."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.config.params import Config, load, repository_root
from benchmark.config.profiles import active_profile, params_file, profiles, unknown_profile
from bmt.errors import ConfigError


def chosen_seeds(text: str | None) -> tuple[int, ...] | None:
    """The seeds of `--seeds 0,1,2`, sorted; None: all. Raises ConfigError for anything else."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and len(part) <= 10 for part in parts) or len(set(map(int, parts))) < len(
        parts
    ):
        raise ConfigError(
            f"--seeds {text!r}: not allowed: whole numbers with commas between, each once, as 0,1,2"
        )
    return tuple(sorted(map(int, parts)))


def results_place(
    results_option: Path | None, profile: str | None, params: str | None = None
) -> tuple[Path, str, Config | None, bool]:
    """The results folder, the profile ("" where only the runs can say), its configuration if there is one,
    and whether that is params.yaml's.

    Args:
        results_option: `--results`.
        profile, params: as `profiles.params_file` takes them; without `--results` a profile may also be the
            name of a folder in results/ alone.
    """
    if results_option is not None and not results_option.is_dir():
        raise ConfigError(
            f"--results {results_option}: no such folder: a folder of <cell>.json and <cell>.parquet "
            "(docs/compare.md)"
        )
    meant = results_option is None or profile or params
    config, active = configuration(profile, params) if meant else (None, False)
    name = profile or (config.profile if config else "")
    folder = results_option or repository_root() / "results" / name
    if results_option is None and config is None and not folder.is_dir():
        raise unknown_profile(name, f", or one with a folder results/{name}")
    return folder, name, config, active


def configuration(profile: str | None, params: str | None = None) -> tuple[Config | None, bool]:
    """The configuration of a profile or a params file (both None: the active one), and whether it is
    params.yaml's; None for a profile without a file.
    """
    if profile not in (None, active_profile()) and profile not in profiles():
        return None, False
    file = params_file(params, profile)
    return load(file), file is None


def shown_folder(folder: Path) -> str:
    """The folder relative to the repository where it is in it: reports hold no path of this machine."""
    root = repository_root().resolve()
    shown = str(folder.resolve().relative_to(root)) if folder.resolve().is_relative_to(root) else folder.name
    return os.fsencode(shown).decode(
        "utf-8", "replace"
    )  # a folder's name need not be UTF-8, a report must be
