"""What travels beside the code to the GPU's machine, where nothing can be fetched: `tools.gpu_day --pack`.

    .gpu_day/manifest.json   of the files
             files/          the profile, its encoder in fp16 and its questions as features, compressed
             wheels/         packages that the machine lacks
             checkout.json   the commit that the code is of, and what is not committed

Features and not the MRQA files: they are smaller (11.5 MB compressed against 14.8), nothing is left to cut
there, and results carry the digests of the files that they were cut from.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.fetch import fetch, print_report
from benchmark.cli.messages import tell
from benchmark.config.backbones import locate
from benchmark.config.folders import Folders
from benchmark.config.params import Config, load, repository_root
from benchmark.tracking import environment
from bmt.errors import BMTError, ConfigError, DataError
from bmt.runtime.files import file_digest, write_folder_aside, write_json
from tools.gpu_day.half_precision import write_half_precision
from tools.gpu_day.packed_files import pack_files, read_manifest, unpack_files

PROFILE = "mini_gpu"
WHOLE_PROFILE, WHOLE = "mini", "minilm"
"""The profile and the backbone of it that the profile's own is the fp16 of."""
MOST = 60_000_000
"""Bytes that may travel, code included."""
MISSING_THERE = ("msgspec", "isal")
"""Packages that the path imports and the GPU's machine lacks; its Python is 3.12, on x86-64 Linux."""
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")
WHEELS, CHECKOUT = "wheels", "checkout.json"
COMMAND = "python3 -m tools.gpu_day --budget 540 --out $OUT"
"""What the GPU's machine runs in the code's folder; `.gpu_day` has to be carried there."""


def pack(folder: Path) -> list[str]:
    """Make the folder of all that travels: lines that say its sizes, and the command for the GPU's machine.

    What it is made of stays in data/: the real questions, their features, the encoder in fp16.

    Raises:
        ConfigError: the real questions are not at hand, this is no git checkout, or it is larger than `MOST`.
        ModelError: the encoder's package is not installed, or has other weights.
        BMTError: a wheel cannot be had.
    """
    root = repository_root()
    config = load(root / "profiles" / f"{PROFILE}.yaml")
    code = travelling_files(root)
    fetch_questions(config)
    halve_backbone(config)
    prepare(config, workers=1)
    wheels = fetch_wheels(folder / WHEELS, pinned(root / "constraints.txt"))
    params = root / "profiles" / f"{PROFILE}.yaml"
    write_pack(folder, project_files(config, params), config, wheels)
    write_json(folder / CHECKOUT, environment.git_state(root) | {"files": digests_of(root, code)})
    sizes = {
        "code": sum((root / name).stat().st_size for name in code),
        **{part: folder_size(folder / "files" / "data" / part) for part in ("backbones", "features")},
        "wheels": folder_size(folder / WHEELS),
    }
    sizes["all"] = sizes["code"] + folder_size(folder)
    check_size(sizes)
    told = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items())
    return [
        f"{folder}: {told} (at most {MOST / 1e6:.0f} MB)",
        "On the GPU's machine, with .gpu_day carried:",
        COMMAND,
    ]


def check_size(sizes: Mapping[str, int], most: int = MOST) -> None:
    """Raise ConfigError where `sizes["all"]` bytes are more than may travel."""
    if sizes["all"] > most:
        parts = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sizes.items() if name != "all")
        raise ConfigError(
            f"{sizes['all'] / 1e6:.1f} MB would travel, of {most / 1e6:.1f} MB allowed ({parts}): let git "
            "ignore what is no code, or score fewer datasets (data.evaluate)"
        )


def travelling_files(root: Path) -> list[str]:
    """The files of the checkout `root` that travel as code: tracked, or new and not ignored.

    Raises:
        ConfigError: it is no git checkout.
    """
    command = ["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout
    except (OSError, subprocess.CalledProcessError):
        raise ConfigError(f"{root}: no git checkout: pack where the project was cloned") from None
    names = {name.decode() for name in listed.split(b"\0") if name}
    return sorted(name for name in names if (root / name).is_file())


def digests_of(root: Path, names: list[str]) -> dict[str, str]:
    """sha256 of each file; dvc.lock, which decides no result, is left out."""
    return {name: file_digest(root / name) for name in names if name != "dvc.lock"}


def fetch_questions(config: Config) -> None:
    """Get the profile's MRQA files from its manifest, or where that is absent from those of profile mini.

    Raises:
        ConfigError: they are in neither place.
    """
    root, raw = repository_root(), Folders.of(config).raw
    kept = root / "data" / "raw" / "mini"
    try:
        report = fetch(config.source.manifest, raw, root=root)
    except ConfigError as error:
        if not (kept / "manifest.yaml").is_file():
            raise ConfigError(f"{error} ({kept} has none either)") from None
        report = fetch(kept, raw, root=root)
    print_report(report, raw)


def halve_backbone(config: Config) -> None:
    """Write the profile's backbone: that of profile mini in fp16."""
    root = repository_root()
    whole = load(root / "profiles" / f"{WHOLE_PROFILE}.yaml").backbones[WHOLE]
    [(name, backbone)] = config.backbones.items()
    source = locate(f"{name}, which is made of {whole.name}", whole)
    write_half_precision(Path(source.source), root / backbone.name, backbone.sha256)


def project_files(config: Config, params: Path) -> dict[str, Path]:
    """Everything that training and evaluating the profile's cells reads, by its path in a project.

    Args:
        params: the profile's file, which is the project's params.yaml.
    """
    folders = Folders.of(config)
    files = {"params.yaml": params}
    for name, backbone in config.backbones.items():
        for folder in (folders.root / backbone.name, folders.features(name)):
            files |= {
                path.relative_to(folders.root).as_posix(): path
                for path in sorted(folder.rglob("*"))
                if path.is_file() and not path.name.startswith(".")
            }
    return files


def write_pack(folder: Path, files: Mapping[str, Path], config: Config, wheels: Mapping[str, bytes]) -> None:
    """Write a whole pack: files by the path that they are to have, and wheels by their name."""
    with write_folder_aside(folder) as aside:
        pack_files(aside, files, {"profile": config.profile})
        (aside / WHEELS).mkdir()
        for name, data in wheels.items():
            (aside / WHEELS / name).write_bytes(data)


def unpack(folder: Path, root: Path) -> Config:
    """Make a project of a pack in the folder `root`, and say in it which code runs there: its configuration.

    Raises:
        DataError: a file is missing or damaged.
    """
    profile = read_manifest(folder)["profile"]
    unpack_files(folder, root)
    config = load(root / "params.yaml")
    if config.profile != profile:
        raise DataError(
            f"{folder}: a pack of profile {profile!r} with params of {config.profile!r}: pack again"
        )
    code = Path(__file__).resolve().parents[2]
    write_json(root / environment.CHECKOUT, environment.git_state(code) | {"files": {}})
    return config


def pinned(constraints: Path) -> dict[str, str]:
    """The versions of `MISSING_THERE`, as constraints.txt has them."""
    lines = constraints.read_text(encoding="utf-8")
    versions = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", lines, re.MULTILINE))
    return {name: versions[name] for name in MISSING_THERE}


def fetch_wheels(kept: Path, versions: Mapping[str, str]) -> dict[str, bytes]:
    """The wheels by name: those in `kept`, else from the package index into it.

    Raises:
        BMTError: one cannot be had.
    """
    wheels = {}
    for name, version in versions.items():
        pattern = f"{name}-{version}-cp312-*.whl"
        if not list(kept.glob(pattern)):
            _download(name, version, kept)
        [wheel, *_] = [*kept.glob(pattern), None]
        if wheel is None:
            raise BMTError(f"{name}=={version}: no wheel for Python 3.12 on x86-64 Linux in {kept}")
        wheels[wheel.name] = wheel.read_bytes()
    return wheels


def _download(name: str, version: str, folder: Path) -> None:
    tell(f"downloading {name}=={version}")
    platforms = [word for platform in PLATFORMS for word in ("--platform", f"{platform}_x86_64")]
    there = ["--python-version", "3.12", "--implementation", "cp", *platforms]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", *there]
    done = subprocess.run([*command, "-d", str(folder), f"{name}=={version}"], capture_output=True, text=True)
    if done.returncode:
        last: Any = (done.stderr.strip().splitlines() or ["no word from pip"])[-1]
        raise BMTError(f"{name}=={version}: pip cannot download it: {last}")


def folder_size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
