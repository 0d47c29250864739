"""One fetch at work: what is there already, what is brought by whom, what could not be had, and the record of
it all (fetch.json).
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmark.acquisition import hub
from benchmark.acquisition.download import FetchStoppedError, Network, UnavailableError, copy
from benchmark.acquisition.file_origins import Record, records
from benchmark.acquisition.manifest import Entry, Hub, Manifest, local_path
from benchmark.acquisition.verification import (
    count_fault,
    digest_fault,
    looks_packed,
    measure,
)
from benchmark.cli.progress import Bar, progress
from bmt.errors import DataError
from bmt.runtime.files import write_json, write_text

Item = TypeVar("Item")
Done = TypeVar("Done")


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that is in its place and verified.

    record: what fetch.json has of it: dataset, domain, split, source (http, file, sample, hub or "by hand"),
    url, md5, sha256, bytes, contexts and questions where they are known, of a file from the hub ids_sha256
    (the digest of its sorted question ids), and the version of its manifest. action: fetched, or kept: it
    was there.
    """

    entry: Entry
    action: str
    record: Record


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that could not be had, and why."""

    entry: Entry
    reason: str


Settled = FetchedFile | MissingFile


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch came to."""

    manifest: Manifest
    files: tuple[FetchedFile, ...]
    missing: tuple[MissingFile, ...]


class Acquisition:
    """One manifest into one folder. See `fetch.fetch` for the arguments."""

    def __init__(
        self, manifest: Manifest, out: Path, source: str | None, offline: bool, network: Network
    ) -> None:
        self.manifest, self.out, self.source = manifest, out, source
        self.offline, self.network = offline, network
        self.records = records(out)

    def run(self, only: Sequence[str] | None) -> FetchReport:
        """Fetch the datasets `only` (None: all)."""
        entries = self.manifest.select(only)
        settled: dict[Entry, Settled] = {}
        self.out.mkdir(parents=True, exist_ok=True)
        with progress("fetch", total=len(entries), unit="files") as bar:
            try:
                for done in self._settled(entries, bar):
                    settled[done.entry] = done
                    bar.advance(isinstance(done, FetchedFile))
            except BaseException as error:
                self.network.stop.set()
                full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
                if full:  # leave nothing that takes room
                    for entry in entries:
                        _part(self.out / entry.name).unlink(missing_ok=True)
                    shutil.rmtree(self.out / ".hub", ignore_errors=True)
                with contextlib.suppress(OSError):
                    self._save(settled.values())
                raise
        self._save(settled.values())
        return FetchReport(
            self.manifest,
            tuple(done for entry in entries if isinstance(done := settled[entry], FetchedFile)),
            tuple(done for entry in entries if isinstance(done := settled[entry], MissingFile)),
        )

    def _settled(self, entries: Sequence[Entry], bar: Bar) -> Iterator[Settled]:
        waiting = []
        for entry, done in self._parallel(lambda entry: self._settle(entry, bar), entries):
            if done:
                yield done
            else:
                waiting.append(entry)
        if waiting:
            yield from self._from_hub(sorted(waiting, key=entries.index), bar)

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

    def _settle(self, entry: Entry, bar: Bar) -> Settled | None:
        """The file in its place, verified, or why it is not; None: it is to come from the hub."""
        target = self.out / entry.name
        target.parent.mkdir(parents=True, exist_ok=True)
        problem = self._look(entry, target) if target.exists() else None
        if isinstance(problem, FetchedFile):
            return problem
        if self.offline and (self.source == "hub" or not entry.url.startswith("file:")):
            return MissingFile(entry, problem or "it is not there, and --offline forbids to download it")
        if self.source == "hub":
            return None
        try:
            return self._bring(entry, target, bar)
        except UnavailableError as error:
            return MissingFile(entry, f"{error}; {problem}" if problem else str(error))

    def _look(self, entry: Entry, target: Path) -> FetchedFile | str:
        """The file that is in its place, or what is wrong with it; one that fetch did not bring is moved
        aside then.
        """
        with named(target):
            measured = measure(target)
        record = self.records.get(entry.name, {})
        ours = record.get("sha256") == measured["sha256"]
        version, source = record.get("manifest_version"), record.get("source")
        if ours and source == "hub" and version == self.manifest.version and self.source != "files":
            return FetchedFile(entry, "kept", record | measured)
        counts = (record.get("contexts"), record.get("questions"))
        counted = ours and counts == (entry.contexts, entry.questions)
        fault = digest_fault(entry, measured) or (None if counted else count_fault(entry, target))
        if fault is None:
            origin, url = (record["source"], record["url"]) if ours else ("by hand", entry.shown_url)
            return FetchedFile(entry, "kept", self._record(entry, measured, origin, url))
        if ours:  # verified once, for another manifest or from the hub: it stays until the right one is here
            return f"the file in its place belongs to {version} (source {source})"
        return f"the file in its place is another: {fault}; kept aside as {_aside(target, target)}"

    def _bring(self, entry: Entry, target: Path, bar: Bar) -> Settled:
        """Transfer, verify, name. Bytes that came in pieces are fetched anew once before the source is blamed
        for a wrong digest.
        """
        part = _part(target)
        with named(target), bar.task(entry.label, unit="bytes") as meter:
            fault = None
            for last in (False, True):
                whole = self._transfer(entry, part, meter)
                measured = measure(part)
                fault = digest_fault(entry, measured) or count_fault(entry, part)
                if fault is None:
                    os.replace(part, target)
                    sample = self.manifest.setting == "sample"
                    origin = "sample" if sample else entry.url.partition(":")[0].replace("https", "http")
                    record = self._record(entry, measured, origin, entry.shown_url)
                    return FetchedFile(entry, "fetched", record)
                if whole or last:
                    break
                part.unlink()
            if not looks_packed(part):
                fault = f"{fault} (it is no gzip file: perhaps a web page that asks for something)"
            return MissingFile(entry, f"not the right file: {fault}; kept aside as {_aside(part, target)}")

    def _transfer(self, entry: Entry, part: Path, meter: Bar) -> bool:
        """Bring the bytes to `part`; whether a wrong digest is then the source's doing."""
        if not entry.url.startswith("file:"):
            return self.network.download(entry.url, part, meter)
        copy(local_path(entry.url), part, meter, self.network.stop)
        return True

    def _from_hub(self, entries: list[Entry], bar: Bar) -> Iterator[Settled]:
        """The entries' rows in the hub's copy, a split at a time. Its Parquet files stay (to be continued)
        only when one did not arrive.
        """
        source = self.manifest.hub
        assert source is not None  # checked by fetch
        shards, arrived = self.out / ".hub", True
        shards.mkdir(exist_ok=True)
        for entry in entries:
            if entry.hub is None or entry.hub.split not in source.files:
                reason = "the manifest does not say where its rows stand in the hub's copy"
                yield MissingFile(entry, reason)
        for split, files in source.files.items():
            wanted = [entry for entry in entries if entry.hub and entry.hub.split == split]
            if not wanted:
                continue
            faults = dict(self._parallel(partial(self._download_shard, source, shards, bar), files))
            if fault := next((faults[file] for file in files if faults[file]), None):
                arrived = False
                yield from (MissingFile(entry, fault) for entry in wanted)
            else:
                yield from self._convert(wanted, [shards / Path(file).name for file in files], source, bar)
        if arrived:
            shutil.rmtree(shards)

    def _download_shard(self, source: Hub, shards: Path, bar: Bar, file: str) -> str | None:
        """A Parquet file of the hub into the folder `shards`; why it could not be had."""
        url, path = hub.parquet_url(source, file), shards / Path(file).name
        if path.exists():
            return None
        with named(path), bar.task(path.name, unit="bytes") as meter:
            try:
                self.network.download(url, _part(path), meter)
            except UnavailableError as error:
                return f"{url}: {error}"
            os.replace(_part(path), path)
        return None

    def _convert(self, wanted: list[Entry], shards: list[Path], source: Hub, bar: Bar) -> Iterator[Settled]:
        parts = {entry: _part(self.out / entry.name) for entry in wanted}
        with named(self.out), bar.task(f"rows of {source.repo}", unit="questions") as meter:
            try:
                converted = hub.convert(shards, parts, meter)
            except DataError as error:
                for entry, part in parts.items():
                    part.unlink(missing_ok=True)
                    yield MissingFile(entry, str(error))
                return
        url = f"https://huggingface.co/datasets/{source.repo}/tree/{source.revision}"
        for entry, rows in converted.items():
            target = self.out / entry.name
            if fault := hub.conversion_fault(entry, rows):
                yield MissingFile(entry, f"{fault}; kept aside as {_aside(parts[entry], target)}")
                continue
            measured = measure(parts[entry])
            os.replace(parts[entry], target)
            counts = {"contexts": rows.contexts, "questions": rows.questions, "ids_sha256": rows.ids_sha256}
            yield FetchedFile(entry, "fetched", self._record(entry, measured, "hub", url, **counts))

    def _record(self, entry: Entry, measured: Record, source: str, url: str, **counts: Any) -> Record:
        record = {
            "dataset": entry.dataset,
            "domain": entry.domain,
            "split": entry.split,
            "source": source,
            "url": url,
            **measured,
            "contexts": entry.contexts,
            "questions": entry.questions,
            **counts,
            "manifest_version": self.manifest.version,
        }
        return {key: value for key, value in record.items() if value is not None}

    def _save(self, settled: Iterable[Settled]) -> None:
        """fetch.json: this fetch's files, and those of earlier ones that are still there."""
        files = {name: record for name, record in self.records.items() if (self.out / name).exists()}
        files |= {done.entry.name: done.record for done in settled if isinstance(done, FetchedFile)}
        record = {"schema": 1, "manifest": self.manifest.setting, "version": self.manifest.version}
        write_json(self.out / "fetch.json", {**record, "files": files})
        write_text(self.out / "manifest.yaml", self.manifest.text)


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


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
