"""One fetch at work: what is there already, what is brought by whom, what could not be had, and the record of
it all (fetch.json).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmark.acquisition import hub
from benchmark.acquisition.download import FetchStoppedError, Network, UnavailableError, copy
from benchmark.acquisition.manifest import Entry, Hub, Manifest, local_path
from benchmark.acquisition.verification import (
    Measured,
    count_fault,
    digest_fault,
    looks_packed,
    measure,
)
from benchmark.cli.progress import Bar, silent
from bmt.errors import DataError
from bmt.runtime.files import write_json, write_text

Item = TypeVar("Item")
Done = TypeVar("Done")
NewBar = Callable[[int], AbstractContextManager[Bar]]


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that is in its place and verified. What it says of itself is what fetch.json records."""

    name: str
    dataset: str
    domain: str
    split: str
    source: str
    """http, file, sample, hub, or "by hand"."""
    url: str
    md5: str
    sha256: str
    bytes: int
    contexts: int | None
    questions: int | None
    ids_sha256: str | None
    """Of a file from the hub: digest of its sorted question ids."""
    manifest_version: str
    action: str
    """fetched, or kept: it was there."""


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that could not be had: why, where it is, where to put it by hand."""

    name: str
    dataset: str
    split: str
    reason: str
    url: str
    md5: str | None
    sha256: str | None
    by_hand: str | None


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch came to. `unlisted`: the MRQA datasets that the manifest does not have."""

    manifest: str
    version: str
    files: tuple[FetchedFile, ...]
    missing: tuple[MissingFile, ...]
    unlisted: tuple[str, ...]
    by_hand: str | None


class Acquisition:
    """One manifest into one folder. See `benchmark.fetch.fetch` for the arguments."""

    def __init__(
        self, manifest: Manifest, out: Path, source: str | None, offline: bool, network: Network
    ) -> None:
        self.manifest, self.out, self.source = manifest, out, source
        self.offline, self.network = offline, network
        self.records = _records(out / "fetch.json")

    def run(self, only: list[str] | tuple[str, ...] | None, new_bar: NewBar | None) -> FetchReport:
        """Fetch the datasets `only` (None: all)."""
        entries = self.manifest.select(only)
        settled: dict[Entry, FetchedFile | MissingFile] = {}
        self.out.mkdir(parents=True, exist_ok=True)
        with new_bar(len(entries)) if new_bar else contextlib.nullcontext(silent()) as bar:
            try:
                for entry, done in self._parallel(lambda entry: self._settle(entry, bar), entries):
                    if done is not None:
                        settled[entry] = done
                        bar.advance(isinstance(done, FetchedFile))
                if waiting := [entry for entry in entries if entry not in settled]:
                    for entry, done in self._from_hub(waiting, bar):
                        settled[entry] = done
                        bar.advance(isinstance(done, FetchedFile))
            except BaseException as error:
                self.network.stop.set()
                full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
                if full:  # leave nothing that takes room
                    for entry in entries:
                        self._part(entry).unlink(missing_ok=True)
                    shutil.rmtree(self.out / ".hub", ignore_errors=True)
                with contextlib.suppress(OSError):
                    self._save(settled.values())
                raise
        self._save(settled.values())
        return FetchReport(
            self.manifest.setting,
            self.manifest.version,
            tuple(done for entry in entries if isinstance(done := settled[entry], FetchedFile)),
            tuple(done for entry in entries if isinstance(done := settled[entry], MissingFile)),
            self.manifest.unlisted(),
            self.manifest.by_hand,
        )

    def _parallel(self, work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[tuple[Item, Done]]:
        """Each item and what `work` made of it, as they are done, some at a time. An exception of one stops
        the others.
        """

        def stopping(item: Item) -> Done:
            # The worker itself sets the stop: its thread takes the next item before the main thread looks.
            if self.network.stop.is_set():
                raise FetchStoppedError
            try:
                return work(item)
            except BaseException:
                self.network.stop.set()
                raise

        with ThreadPoolExecutor(self.network.patience.jobs, thread_name_prefix="fetch") as pool:
            futures = {pool.submit(stopping, item): item for item in items}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            except BaseException:
                self.network.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                for future in futures:  # the cause, not the stop that it led to
                    error = None if future.cancelled() else future.exception()
                    if error is not None and not isinstance(error, FetchStoppedError):
                        raise error from None
                raise

    def _settle(self, entry: Entry, bar: Bar) -> FetchedFile | MissingFile | None:
        """The file in its place, verified, or why it is not; None: it is to come from the hub."""
        target = self.out / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        problem = self._look(entry, target) if target.exists() else None
        if isinstance(problem, FetchedFile):
            return problem
        if self.offline and (self.source == "hub" or not entry.url.startswith("file:")):
            return self._missing(entry, problem or "it is not there, and --offline forbids to download it")
        if self.source == "hub":
            return None
        try:
            return self._bring(entry, target, self._part(entry), bar)
        except UnavailableError as error:
            return self._missing(entry, f"{error}; {problem}" if problem else str(error))

    def _look(self, entry: Entry, target: Path) -> FetchedFile | str:
        """The file that is in its place, or what is wrong with it; one that fetch did not bring is moved
        aside then.
        """
        with named(target):
            measured = measure(target)
        record = self.records.get(entry.name, {})
        ours = record.get("sha256") == measured.sha256
        version, source = record.get("manifest_version"), record.get("source")
        if ours and source == "hub" and version == self.manifest.version and self.source != "files":
            kept = self._file(entry, measured, source, record["url"], "kept", record.get("ids_sha256"))
            return replace(kept, contexts=record.get("contexts"), questions=record.get("questions"))
        counts = (record.get("contexts"), record.get("questions"))
        counted = ours and counts == (entry.contexts, entry.questions)
        fault = digest_fault(entry, measured) or (None if counted else count_fault(entry, target))
        if fault is None:
            origin, url = (record["source"], record["url"]) if ours else ("by hand", entry.shown_url)
            return self._file(entry, measured, origin, url, "kept")
        if ours:  # verified once, for another manifest or from the hub: it stays until the right one is here
            return f"the file in its place belongs to {version} (source {source})"
        return f"the file in its place is another: {fault}; kept aside as {_aside(target, target)}"

    def _bring(self, entry: Entry, target: Path, part: Path, bar: Bar) -> FetchedFile | MissingFile:
        """Transfer, verify, name. Bytes that came in pieces are fetched anew once before the source is blamed
        for a wrong digest.
        """
        with named(target), bar.task(f"{entry.dataset} {entry.split}", unit="bytes") as meter:
            fault = None
            for last in (False, True):
                whole = self._transfer(entry, part, meter)
                measured = measure(part)
                fault = digest_fault(entry, measured) or count_fault(entry, part)
                if fault is None:
                    os.replace(part, target)
                    origin = (
                        "sample"
                        if self.manifest.setting == "sample"
                        else entry.url.partition(":")[0].replace("https", "http")
                    )
                    return self._file(entry, measured, origin, entry.shown_url, "fetched")
                if whole or last:
                    break
                part.unlink()
            if not looks_packed(part):
                fault = f"{fault} (it is no gzip file: perhaps a web page that asks for something)"
            return self._missing(entry, f"not the right file: {fault}; kept aside as {_aside(part, target)}")

    def _transfer(self, entry: Entry, part: Path, meter: Bar) -> bool:
        """Bring the bytes to `part`; whether a wrong digest is then the source's doing."""
        if not entry.url.startswith("file:"):
            return self.network.download(entry.url, part, meter)
        copy(local_path(entry.url), part, meter, self.network.stop)
        return True

    def _from_hub(self, entries: list[Entry], bar: Bar) -> Iterator[tuple[Entry, FetchedFile | MissingFile]]:
        """The entries' rows in the hub's copy, a split at a time. Its Parquet files stay (to be continued)
        only when one did not arrive.
        """
        source = self.manifest.hub
        assert source is not None  # checked by fetch
        shards, arrived = self.out / ".hub", True
        shards.mkdir(exist_ok=True)
        for entry in entries:
            if entry.hub is None or entry.hub.split not in source.files:
                yield (
                    entry,
                    self._missing(entry, "the manifest does not say where its rows stand in the hub's copy"),
                )
        for split, files in source.files.items():
            wanted = [entry for entry in entries if entry.hub and entry.hub.split == split]
            if not wanted:
                continue
            download = partial(self._download_shard, source, shards, bar)
            faults = dict(self._parallel(download, files))
            fault = next((faults[file] for file in files if faults[file]), None)
            if fault:
                arrived = False
                yield from ((entry, self._missing(entry, fault)) for entry in wanted)
            else:
                yield from self._convert(
                    wanted, [shards / Path(file).name for file in files], source, bar
                ).items()
        if arrived:
            shutil.rmtree(shards)

    def _download_shard(self, source: Hub, shards: Path, bar: Bar, file: str) -> str | None:
        """A Parquet file of the hub into the folder `shards`; why it could not be had."""
        url, path = hub.parquet_url(source, file), shards / Path(file).name
        if path.exists():
            return None
        part = path.with_name(f".{path.name}.part")
        with named(path), bar.task(path.name, unit="bytes") as meter:
            try:
                self.network.download(url, part, meter)
            except UnavailableError as error:
                return f"{url}: {error}"
            os.replace(part, path)
        return None

    def _convert(
        self, wanted: list[Entry], shards: list[Path], source: Hub, bar: Bar
    ) -> dict[Entry, FetchedFile | MissingFile]:
        parts = {entry: self._part(entry) for entry in wanted}
        settled: dict[Entry, FetchedFile | MissingFile] = {}
        with named(self.out), bar.task(f"rows of {source.repo}", unit="questions") as meter:
            try:
                converted = hub.convert(shards, parts, meter)
            except DataError as error:
                for entry, part in parts.items():
                    part.unlink(missing_ok=True)
                    settled[entry] = self._missing(entry, str(error))
                return settled
        for entry, what in converted.items():
            target = self.out / entry.name
            if fault := hub.conversion_fault(entry, what):
                settled[entry] = self._missing(
                    entry, f"{fault}; kept aside as {_aside(parts[entry], target)}"
                )
                continue
            measured = measure(parts[entry])
            os.replace(parts[entry], target)
            url = f"https://huggingface.co/datasets/{source.repo}/tree/{source.revision}"
            done = self._file(entry, measured, "hub", url, "fetched", what.ids_sha256)
            settled[entry] = replace(done, contexts=what.contexts, questions=what.questions)
        return settled

    def _part(self, entry: Entry) -> Path:
        target = self.out / entry.name
        return target.with_name(f".{target.name}.part")

    def _file(
        self, entry: Entry, measured: Measured, source: str, url: str, action: str, ids: str | None = None
    ) -> FetchedFile:
        return FetchedFile(
            entry.name,
            entry.dataset,
            entry.domain,
            entry.split,
            source,
            url,
            measured.md5,
            measured.sha256,
            measured.bytes,
            entry.contexts,
            entry.questions,
            ids,
            self.manifest.version,
            action,
        )

    def _missing(self, entry: Entry, reason: str) -> MissingFile:
        return MissingFile(
            entry.name,
            entry.dataset,
            entry.split,
            reason,
            entry.shown_url,
            entry.md5,
            entry.sha256,
            entry.by_hand,
        )

    def _save(self, settled: Iterable[FetchedFile | MissingFile]) -> None:
        """fetch.json: this fetch's files, and those of earlier ones that are still there."""
        settled = list(settled)
        files = {name: record for name, record in self.records.items() if (self.out / name).exists()}
        for done in settled:
            if isinstance(done, FetchedFile):
                files[done.name] = {
                    key: value
                    for key, value in asdict(done).items()
                    if key not in ("name", "action") and value is not None
                }
        write_json(
            self.out / "fetch.json",
            {
                "schema": 1,
                "manifest": self.manifest.setting,
                "version": self.manifest.version,
                "files": files,
            },
        )
        write_text(self.out / "manifest.yaml", self.manifest.text)


def _records(path: Path) -> dict[str, dict[str, Any]]:
    """The files of an earlier fetch.json; none when there is no readable one, and then each file is verified
    as if put by hand.
    """
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {
            name: dict(record) for name, record in files.items() if {"sha256", "source", "url"} <= set(record)
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _aside(bad: Path, target: Path) -> str:
    """Move `bad` to `<target>.bad`; its new name."""
    place = target.with_name(target.name + ".bad")
    os.replace(bad, place)
    return place.name


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of the disk say which file it was."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise
