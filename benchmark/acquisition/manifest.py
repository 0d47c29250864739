"""Manifests: which files a data source has, where they are, and the digests that make them what they are.

A manifest is YAML:

    version: mrqa-2019-v2
    base_url: .                       # of the paths below: relative to the manifest, or a `file:` or
        `http(s):` URL
    files:
      - dataset: SQuAD                # one of the twelve MRQA datasets
        domain: in_domain             # or out_of_domain
        split: train                  # or dev
        path: in_domain/SQuAD.train.jsonl.gz     # or `url:`, a whole URL
        md5: …                        # md5 or sha256 must be given, both may be
        questions: 86588              # optional, checked: bytes, contexts, questions
        by_hand: …                    # optional: how a person gets the file
        hub: {split: train, subset: [SQuAD]}     # optional: its rows in the hub's copy
    backbones: {…}                    # optional
    hub: {repo: …, revision: …, files: {train: […], …}}        # optional: the Hugging Face hub's copy, see
        benchmark/acquisition/hub.py
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit

import yaml

from benchmark.config.params import repository_root
from bmt.errors import ConfigError, DataError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

OFFICIAL = Path(__file__).with_name("manifests") / "mrqa2019.yaml"
DOMAINS = {"in_domain": IN_DOMAIN, "out_of_domain": OUT_OF_DOMAIN}
SPLITS = ("train", "dev")
DIGEST_LENGTH = {"md5": 32, "sha256": 64}
ENTRY_KEYS = (
    "dataset",
    "domain",
    "split",
    "path",
    "url",
    "md5",
    "sha256",
    "bytes",
    "contexts",
    "questions",
    "by_hand",
    "hub",
)


@dataclass(frozen=True, slots=True)
class HubRows:
    """Where the questions of a file stand in the hub's copy: its split, and the names its `subset` column may
    have.
    """

    split: str
    subsets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a manifest. None: not stated."""

    dataset: str
    domain: str
    split: str
    url: str
    """Where it is: `http:`, `https:` or `file:`."""
    shown_url: str
    """The same for records and messages; a path of a local manifest stays relative, so that records are alike
    on every machine.
    """
    md5: str | None
    sha256: str | None
    bytes: int | None
    contexts: int | None
    questions: int | None
    by_hand: str | None
    hub: HubRows | None

    @property
    def name(self) -> str:
        """The file's path below the raw folder: `in_domain/SQuAD.train.jsonl.gz`."""
        return f"{self.domain}/{self.dataset}.{self.split}.jsonl.gz"


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset repository of the Hugging Face hub, pinned, with the Parquet files of each split."""

    repo: str
    revision: str
    files: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A backbone of the hub at a revision."""

    hub: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A data source. `setting` is what the params file or the command line calls it; `text` is the file
    itself.
    """

    setting: str
    version: str
    entries: tuple[Entry, ...]
    hub: Hub | None
    by_hand: str | None
    backbones: dict[str, Pinned]
    text: str

    def select(self, only: list[str] | tuple[str, ...] | None) -> tuple[Entry, ...]:
        """The entries of the datasets `only`; all of them without it.

        Raises:
            ConfigError: a name that the manifest does not list.
        """
        listed = sorted({entry.dataset for entry in self.entries})
        for name in only or ():
            if name not in listed:
                raise ConfigError(
                    f"--only {name}: manifest {self.setting} ({self.version}) has no such dataset; it has {', '.join(listed)}"
                )
        return tuple(entry for entry in self.entries if not only or entry.dataset in only)

    def unlisted(self) -> tuple[str, ...]:
        """The MRQA datasets that the manifest does not have."""
        listed = {entry.dataset for entry in self.entries}
        return tuple(name for name in (*IN_DOMAIN, *OUT_OF_DOMAIN) if name not in listed)


def location(setting: str, root: Path) -> str:
    """The URL of the manifest that `setting` names: `mrqa2019`, `real`, or a folder, file or URL (a folder
    means its manifest.yaml).

    A relative path is taken from `root`. `real` is BMT_REAL_DATA, or ../shared/data/mrqa_real as seen from
    the repository.
    `sample` has none: its manifest is generated with it.
    """
    if setting == "mrqa2019":
        return OFFICIAL.as_uri()
    if setting == "real":
        given = os.environ.get("BMT_REAL_DATA")
        setting, root = (given, Path()) if given else ("../shared/data/mrqa_real", repository_root())
    if re.match(r"(https?|file):", setting):
        return setting if setting.endswith((".yaml", ".yml")) else setting.rstrip("/") + "/manifest.yaml"
    path = (root / Path(setting).expanduser()).resolve()
    return (
        path / "manifest.yaml" if path.is_dir() or path.suffix not in (".yaml", ".yml") else path
    ).as_uri()


def local_path(url: str) -> Path:
    """The path of a `file:` URL."""
    return Path(unquote(urlsplit(url).path))


def read_local(setting: str, url: str) -> Manifest:
    """Read and check the manifest at a `file:` URL.

    Raises:
        ConfigError: no such file. DataError: it cannot be used; file, entry, key and what is allowed.
    """
    path = local_path(url)
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        hint = (
            "set BMT_REAL_DATA to the folder of the real data"
            if setting == "real"
            else "give a folder, file or URL of a manifest"
        )
        raise ConfigError(
            f"source.manifest {setting!r}: no such file {_short(path)}: {hint}, or `sample` or `mrqa2019`"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{_short(path)}: no manifest: it is no UTF-8 text") from None
    return parse(text, setting, url)


def parse(text: str, setting: str, url: str, label: str = "") -> Manifest:
    """A manifest's text, found at `url`, checked. `label` is put before relative paths in records
    (`sample:`).

    Raises:
        DataError: the manifest cannot be used; file, entry, key, what was found and what is allowed.
    """
    shown = _short(local_path(url)) if url.startswith("file:") else url
    try:
        values = yaml.load(
            text, yaml.BaseLoader
        )  # every scalar stays text: a digest of digits only is no number
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{shown}:{line} no YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise DataError(f"{shown}: no YAML: {' '.join(str(error).split())}") from None
    if (
        not isinstance(values, dict)
        or not isinstance(values.get("files"), list)
        or not isinstance(values.get("version"), str)
    ):
        raise DataError(
            f"{shown}: no manifest: it must have `version` and a list `files`; benchmark/manifests/mrqa2019.yaml shows the form"
        )
    base = urljoin(url, _text(values, "base_url", shown) or ".")
    base = base if base.endswith("/") else base + "/"
    _check_scheme(base, f"{shown}: base_url")
    local = "base_url" not in values or not urlsplit(values["base_url"]).scheme
    entries: list[Entry] = []
    for number, value in enumerate(values["files"], start=1):
        entry = _entry(value, f"{shown}: file {number}", base)
        if local and entry.url.startswith("file:") and "url" not in value:
            entry = replace(entry, shown_url=label + str(Path(value["path"])))
        if any(entry.name == other.name for other in entries):
            raise DataError(
                f"{shown}: file {number}: {entry.dataset} {entry.split} stands twice: name each file once"
            )
        entries.append(entry)
    if not entries:
        raise DataError(f"{shown}: `files` is empty: list at least one file")
    backbones = {}
    for name, value in _mapping(values, "backbones", shown).items():
        where = f"{shown}: backbones.{name}"
        if not isinstance(value, dict) or not _text(value, "hub", where):
            raise DataError(f"{where}: expected `hub` and `revision`, found {value!r}")
        backbones[name] = Pinned(value["hub"], _text(value, "revision", where))
    return Manifest(
        setting,
        values["version"],
        tuple(entries),
        _hub(_mapping(values, "hub", shown), f"{shown}: hub"),
        _text(values, "by_hand", shown),
        backbones,
        text,
    )


def official() -> Manifest:
    """The official MRQA 2019 release: 18 files and the pinned backbones."""
    return read_local("mrqa2019", OFFICIAL.as_uri())


def _entry(value: Any, where: str, base: str) -> Entry:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected keys and values, found {value!r}")
    for key in value:
        if key not in ENTRY_KEYS:
            raise DataError(f"{where}: unknown key {key!r}: one of {', '.join(ENTRY_KEYS)}")
    dataset, domain, split = (_text(value, key, where) or "" for key in ("dataset", "domain", "split"))
    if domain not in DOMAINS:
        raise DataError(f"{where}: domain {domain!r} is not allowed: one of {', '.join(DOMAINS)}")
    if dataset not in DOMAINS[domain]:
        raise DataError(
            f"{where}: dataset {dataset!r} is not allowed in {domain}: one of {', '.join(DOMAINS[domain])}"
        )
    if split not in SPLITS:
        raise DataError(f"{where}: split {split!r} is not allowed: one of {', '.join(SPLITS)}")
    where = f"{where} ({dataset} {split})"
    path, url = _text(value, "path", where), _text(value, "url", where)
    if (path is None) == (url is None):
        raise DataError(f"{where}: give either `path` (below base_url) or `url`")
    whole = url if url is not None else urljoin(base, quote(path or ""))
    _check_scheme(whole, where)
    md5, sha256 = (_digest(value, key, where) for key in ("md5", "sha256"))
    if md5 is None and sha256 is None:
        raise DataError(f"{where}: neither md5 nor sha256 is given: a file without a digest is not fetched")
    size, contexts, questions = (
        _whole_number(value, key, where) for key in ("bytes", "contexts", "questions")
    )
    hub = _mapping(value, "hub", where)
    rows = None
    if hub:
        subsets = hub.get("subset")
        if (
            not isinstance(hub.get("split"), str)
            or not isinstance(subsets, list)
            or not all(isinstance(name, str) for name in subsets)
        ):
            raise DataError(f"{where}: hub: expected `split` and a list `subset`, found {hub!r}")
        rows = HubRows(hub["split"], tuple(subsets))
    return Entry(
        dataset,
        domain,
        split,
        whole,
        whole,
        md5,
        sha256,
        size,
        contexts,
        questions,
        _text(value, "by_hand", where),
        rows,
    )


def _hub(value: dict[str, Any], where: str) -> Hub | None:
    if not value:
        return None
    repo, revision, files = (
        _text(value, "repo", where),
        _text(value, "revision", where),
        _mapping(value, "files", where),
    )
    if not repo or not revision or not files or not all(isinstance(names, list) for names in files.values()):
        raise DataError(f"{where}: expected `repo`, `revision` and `files` (a list a split)")
    return Hub(repo, revision, {split: tuple(names) for split, names in files.items()})


def _mapping(values: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = values.get(key, {})
    if not isinstance(value, dict):
        raise DataError(f"{where}: {key}: expected keys and values, found {value!r}")
    return value


def _text(values: dict[str, Any], key: str, where: str) -> str | None:
    value = values.get(key)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{where}: {key}: expected text, found {value!r}")
    return value or None


def _digest(values: dict[str, Any], key: str, where: str) -> str | None:
    value = _text(values, key, where)
    if value is not None and not re.fullmatch(rf"[0-9a-fA-F]{{{DIGEST_LENGTH[key]}}}", value):
        raise DataError(f"{where}: {key} {value!r} is not allowed: {DIGEST_LENGTH[key]} hexadecimal digits")
    return value.lower() if value else None


def _whole_number(values: dict[str, Any], key: str, where: str) -> int | None:
    value = _text(values, key, where)
    if value is not None and not re.fullmatch(r"[0-9][0-9_]*", value):
        raise DataError(f"{where}: {key} {value!r} is not allowed: a whole number")
    return int(value) if value else None


def _check_scheme(url: str, where: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https", "file") or (parts.scheme != "file" and not parts.netloc):
        raise DataError(f"{where}: {url!r} is not allowed: an http:, https: or file: URL")


def _short(path: Path) -> str:
    """A path as seen from the working directory, where that is shorter."""
    relative = os.path.relpath(path)
    return relative if len(relative) < len(str(path)) else str(path)
