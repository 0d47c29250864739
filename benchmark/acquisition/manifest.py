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
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urljoin, urlsplit

from msgspec import Meta

from benchmark.cli.text import nearest, short
from benchmark.config.params import repository_root
from benchmark.config.schema import COMPUTED, SchemaFault, read, shown
from benchmark.config.yaml_file import parse_yaml
from bmt.errors import ConfigError, DataError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

OFFICIAL = Path(__file__).with_name("manifests") / "mrqa2019.yaml"
DOMAINS = {"in_domain": IN_DOMAIN, "out_of_domain": OUT_OF_DOMAIN}

Text = Annotated[str, Meta(min_length=1, description="text")]
WholeNumber = Annotated[int, Meta(ge=0, description="a whole number")]
Md5 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{32}\Z", description="32 hexadecimal digits")]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}\Z", description="64 hexadecimal digits")]


@dataclass(frozen=True, slots=True)
class HubRows:
    """Where the questions of a file stand in the hub's copy: its split, and the names its `subset` column may
    have.
    """

    split: str
    subset: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset repository of the Hugging Face hub, pinned, with the Parquet files of each split."""

    repo: Text
    revision: Text
    files: Annotated[dict[str, tuple[str, ...]], Meta(min_length=1)]


@dataclass(frozen=True, slots=True)
class Pinned:
    """A backbone of the hub at a revision."""

    hub: Text
    revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a manifest. None: not stated.

    url: where it is: `http:`, `https:` or `file:`. shown_url: the same for records and messages; a path of a
    local manifest stays relative, so that records are alike on every machine.
    """

    dataset: Annotated[str, Meta(description="text")] = ""
    domain: Annotated[
        Literal["in_domain", "out_of_domain"], Meta(description="one of in_domain, out_of_domain")
    ]
    split: Annotated[Literal["train", "dev"], Meta(description="one of train, dev")]
    path: Text | None = None
    url: Text = ""
    md5: Md5 | None = None
    sha256: Sha256 | None = None
    bytes: WholeNumber | None = None
    contexts: WholeNumber | None = None
    questions: WholeNumber | None = None
    by_hand: Text | None = None
    hub: Annotated[HubRows, Meta(description="`split` and a list `subset`")] | None = None
    shown_url: str = field(default="", metadata=COMPUTED)

    @property
    def name(self) -> str:
        """The file's path below the raw folder: `in_domain/SQuAD.train.jsonl.gz`."""
        return f"{self.domain}/{self.dataset}.{self.split}.jsonl.gz"

    @property
    def label(self) -> str:
        """The file in a message: `SQuAD train`."""
        return f"{self.dataset} {self.split}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A data source.

    `setting` is what the params file or the command line calls it; `text` is the file itself; `entries` are
    its `files`, checked.
    """

    version: Text
    files: list[Any]
    base_url: Text | None = None
    by_hand: Text | None = None
    backbones: dict[str, Annotated[Pinned, Meta(description="`hub` and `revision`")]] = field(
        default_factory=dict
    )
    hub: Annotated[Hub, Meta(description="`repo`, `revision` and `files` (a list per split)")] | None = None
    setting: str = field(default="", metadata=COMPUTED)
    entries: tuple[Entry, ...] = field(default=(), metadata=COMPUTED)
    text: str = field(default="", metadata=COMPUTED)

    def select(self, only: Sequence[str] | None) -> tuple[Entry, ...]:
        """The entries of the datasets `only`; all of them without it.

        Raises:
            ConfigError: a name that the manifest does not list.
        """
        listed = sorted({entry.dataset for entry in self.entries})
        for name in only or ():
            if name not in listed:
                raise ConfigError(
                    f"--only {name}: manifest {self.setting} ({self.version}) has no such dataset; it has "
                    f"{', '.join(listed)}"
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
    the repository. `sample` has none: its manifest is generated with it.
    """
    if setting == "mrqa2019":
        return OFFICIAL.as_uri()
    if setting == "real":
        folder = os.environ.get("BMT_REAL_DATA")
        setting, root = (folder, Path()) if folder else ("../shared/data/mrqa_real", repository_root())
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
            f"source.manifest {setting!r}: no such file {short(path)}: {hint}, or `sample` or `mrqa2019`"
        ) from None
    except UnicodeDecodeError:
        raise DataError(f"{short(path)}: no manifest: it is no UTF-8 text") from None
    return parse(text, setting, url)


def parse(text: str, setting: str, url: str, label: str = "") -> Manifest:
    """A manifest's text, found at `url`, checked.

    `label` is put before relative paths in records (`sample:`).

    Raises:
        DataError: the manifest cannot be used; file, entry, key, what was found and what is allowed.
    """
    name = short(local_path(url)) if url.startswith("file:") else url
    values = _stated(parse_yaml(text, name, DataError, as_text=True))
    manifest = read(
        Manifest, values, lambda fault: _manifest_refusal(fault, name), foreign=True, as_text=True
    )
    if not manifest.files:
        raise DataError(f"{name}: `files` is empty: list at least one file")
    base = _joined(url, manifest.base_url or ".", f"{name}: base_url", folder=True)
    local = not urlsplit(manifest.base_url or "").scheme
    entries: dict[str, Entry] = {}
    for number, value in enumerate(manifest.files, start=1):
        entry = _entry(value, f"{name}: file {number}", base)
        if local and entry.path and entry.url.startswith("file:"):
            entry = replace(entry, shown_url=label + str(Path(entry.path)))
        if entry.name in entries:
            raise DataError(f"{name}: file {number}: {entry.label} stands twice: name each file once")
        entries[entry.name] = entry
    return replace(manifest, setting=setting, entries=tuple(entries.values()), text=text)


def _entry(value: Any, where: str, base: str) -> Entry:
    entry = read(Entry, _stated(value), lambda fault: _file_refusal(fault, where, value), as_text=True)
    if entry.dataset not in DOMAINS[entry.domain]:
        wanted = f"one of {', '.join(DOMAINS[entry.domain])}"
        raise DataError(f"{where}: dataset {entry.dataset!r} is not allowed in {entry.domain}: {wanted}")
    where = f"{where} ({entry.label})"
    if bool(entry.path) == bool(entry.url):
        raise DataError(f"{where}: give either `path` (below base_url) or `url`")
    if entry.md5 is None and entry.sha256 is None:
        raise DataError(f"{where}: neither md5 nor sha256 is given: a file without a digest is not fetched")
    url = _joined(base, quote(entry.path), where) if entry.path else _joined("", entry.url, where)
    md5, sha256 = (digest and digest.lower() for digest in (entry.md5, entry.sha256))
    return replace(entry, url=url, shown_url=url, md5=md5, sha256=sha256)


def _stated(values: Any) -> Any:
    """The values without the keys that stand there empty."""
    if not isinstance(values, dict):
        return values
    return {key: value for key, value in values.items() if value not in ("", {})}


def _manifest_refusal(fault: SchemaFault, where: str) -> DataError:
    if fault.path in ((), ("version",), ("files",)):
        form = "benchmark/acquisition/manifests/mrqa2019.yaml shows the form"
        return DataError(f"{where}: no manifest: it must have `version` and a list `files`; {form}")
    return _refusal(fault, where)


def _file_refusal(fault: SchemaFault, where: str, values: Any) -> DataError:
    if fault.problem == "value" and fault.key not in ("domain", "split", "dataset"):
        where = f"{where} ({values.get('dataset')} {values.get('split')})"
    return _refusal(fault, where)


def _refusal(fault: SchemaFault, where: str) -> DataError:
    """A fault in words."""
    key, value = fault.key, shown(fault.value)
    if fault.problem == "unknown":
        close = nearest(key, fault.known)
        return DataError(f"{where}: unknown key {key!r}: one of {', '.join(fault.known)}{close}")
    if fault.problem == "missing":
        return DataError(f"{where}: {key} '' is not allowed: {fault.wanted}")
    if fault.problem == "object" or not isinstance(fault.value, str) or fault.wanted.startswith("`"):
        return DataError(f"{where}: {key}{key and ': '}expected {fault.wanted}, found {value}")
    return DataError(f"{where}: {key} {value} is not allowed: {fault.wanted}")


def _joined(base: str, url: str, where: str, folder: bool = False) -> str:
    """`url` seen from `base`, checked. folder: it ends with a slash."""
    try:
        whole = urljoin(base, url)
        whole = whole + "/" if folder and not whole.endswith("/") else whole
        parts = urlsplit(whole)
        good = parts.scheme == "file" or (parts.scheme in ("http", "https") and bool(parts.netloc))
    except ValueError:  # a bracket without its fellow
        whole, good = url, False
    if not good:
        raise DataError(f"{where}: {whole!r} is not allowed: an http:, https: or file: URL")
    return whole
