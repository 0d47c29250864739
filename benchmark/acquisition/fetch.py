"""Get the files of a data source, each verified before it takes its name.

    python -m benchmark.fetch                                        # what params.yaml's `source.manifest`
    names
    python -m benchmark.fetch --manifest mrqa2019 --out data/raw/paper --only SQuAD DROP
    python -m benchmark.fetch --source hub                           # the same questions from the Hugging
    Face hub
    python -m benchmark.fetch --offline                              # nothing from the network: verify what
    is there

Writes `<out>/<domain>/<Dataset>.<split>.jsonl.gz`, `<out>/manifest.yaml` (a copy) and `<out>/fetch.json`
(what came from where).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmark.acquisition.acquisition import Acquisition, FetchedFile, FetchReport, NewBar
from benchmark.acquisition.download import Network, Patience, UnavailableError
from benchmark.acquisition.manifest import Manifest, location, parse, read_local
from bmt.errors import ConfigError, DataError

SOURCES = ("files", "hub")
NOT_COMPARABLE = "not comparable with the paper until its examples equal the official ones"


def fetch(
    manifest: str | Path | Manifest,
    out_dir: str | Path,
    only: list[str] | tuple[str, ...] | None = None,
    offline: bool = False,
    jobs: int = 4,
    progress: NewBar | None = None,
    *,
    source: str | None = None,
    patience: Patience | None = None,
    root: str | Path = ".",
) -> FetchReport:
    """Bring the manifest's files into `out_dir`; a file that is there with the right digest is left as it is.

    Args:
        manifest: "sample", "real", "mrqa2019", a folder, file or URL of a manifest, or one that was read.
        only: the datasets wanted; None: all.
        offline: take nothing from the network.
        jobs: files at a time.
        progress: makes the bar, given the number of files.
        source: "files": the manifest's own; "hub": the hub's copy; None: the manifest's own, but an
            intact file that is here from the hub stays.
        patience: waits and attempts.
        root: what relative paths of manifests are relative to.

    Returns:
        What is there, and what is missing and why. A missing file is no exception: see `FetchReport.missing`.

    Raises:
        ConfigError: no such manifest, dataset or source. DataError: the manifest cannot be used. OSError: the
            disk fails (full); the
        partial files are removed then.
    """
    if source not in (None, *SOURCES):
        raise ConfigError(f"--source {source}: one of {', '.join(SOURCES)}")
    if jobs < 1:
        raise ConfigError(f"--jobs {jobs}: at least 1")
    network = Network(patience or Patience())
    with _opened(manifest, Path(out_dir), offline, network, Path(root)) as opened:
        if source == "hub" and opened.hub is None:
            raise ConfigError(
                f"--source hub: manifest {opened.setting} ({opened.version}) names no copy on the hub; mrqa2019 does"
            )
        return Acquisition(opened, Path(out_dir), source, offline, jobs, network).run(only, progress)


@contextmanager
def _opened(
    manifest: str | Path | Manifest, out_dir: Path, offline: bool, network: Network, root: Path
) -> Iterator[Manifest]:
    """The manifest; the sample's files exist until the block ends."""
    if isinstance(manifest, Manifest):
        yield manifest
        return
    setting = str(manifest)
    if setting == "sample":
        from benchmark.acquisition import sample_corpus

        with tempfile.TemporaryDirectory(prefix="bmt-sample-") as folder:
            sample_corpus.write(Path(folder))
            path = Path(folder) / "manifest.yaml"
            yield parse(path.read_text(encoding="utf-8"), "sample", path.as_uri(), label="sample:")
        return
    url = location(setting, root)
    if url.startswith("file:"):
        yield read_local(setting, url)
        return
    if offline:
        copy = out_dir / "manifest.yaml"
        if not copy.exists():
            raise DataError(
                f"{copy}: no such file: offline, {url} cannot be read; run once without --offline"
            )
        text = copy.read_text(encoding="utf-8")
    else:
        try:
            text = network.text(url)
        except UnavailableError as error:
            raise UnavailableError(
                f"manifest {url}: {error}; save it beside its files and give that folder instead"
            ) from None
    yield parse(text, setting, url)


def print_report(report: FetchReport, out: Path) -> int:
    """Say what is in `out` and what is missing; 0. Raises DataError where a file is missing."""
    shown = os.path.relpath(out) if len(os.path.relpath(out)) < len(str(out)) else str(out)
    new = [file for file in report.files if file.action == "fetched"]
    total = len(report.files) + len(report.missing)
    megabytes = sum(file.bytes for file in report.files) / 1e6
    print(
        f"{shown}: {len(report.files)} of {total} files of {report.manifest} ({report.version}) verified, {megabytes:.1f} MB: "
        f"{len(new)} fetched, {len(report.files) - len(new)} already there"
    )
    if report.unlisted:
        print(f"not in this manifest: {', '.join(report.unlisted)}")
    if from_hub := [file for file in report.files if file.source == "hub"]:
        print(f"from the hub: {_names(from_hub)}: {NOT_COMPARABLE}")
    if not report.missing:
        return 0
    for file in report.missing:
        wanted = ", ".join(
            f"{name} {value}" for name, value in (("md5", file.md5), ("sha256", file.sha256)) if value
        )
        print(f"missing: {file.dataset} {file.split}: {file.reason}", file=sys.stderr)
        print(f"  from {file.url}", file=sys.stderr)
        print(f"  or by hand as {shown}/{file.name} ({wanted})", file=sys.stderr)
        if file.by_hand and file.by_hand != report.by_hand:
            print(f"  by hand: {file.by_hand}", file=sys.stderr)
    if report.by_hand:
        print(f"by hand: {report.by_hand}", file=sys.stderr)
    raise DataError(
        f"{len(report.missing)} of {total} files are missing in {shown}: run the same command again, or put them there by hand"
    )


def _names(files: list[FetchedFile]) -> str:
    return ", ".join(f"{file.dataset} {file.split}" for file in files)
