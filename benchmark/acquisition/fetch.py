"""Get the files of a data source, each verified before it takes its name.

Writes `<out>/<domain>/<Dataset>.<split>.jsonl.gz`, `<out>/manifest.yaml` (a copy) and `<out>/fetch.json`
(what came from where).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmark.acquisition.acquisition import Acquisition, FetchReport
from benchmark.acquisition.download import Network, Patience, UnavailableError
from benchmark.acquisition.manifest import Manifest, location, parse, read_local
from benchmark.cli.messages import say, tell
from benchmark.cli.text import short
from bmt.errors import ConfigError, DataError

SOURCES = ("files", "hub")
NOT_COMPARABLE = "not comparable with the paper until its examples equal the official ones"


def fetch(
    manifest: str | Path,
    out_dir: str | Path,
    only: Sequence[str] | None = None,
    offline: bool = False,
    *,
    source: str | None = None,
    patience: Patience | None = None,
    root: str | Path = ".",
) -> FetchReport:
    """Bring the manifest's files into `out_dir`; a file that is there with the right digest is left as it is.

    Args:
        manifest: "sample", "real", "mrqa2019", or a folder, file or URL of a manifest.
        only: the datasets wanted; None: all.
        offline: take nothing from the network.
        source: "files": the manifest's own; "hub": the hub's copy; None: the manifest's own, but an intact
            file that is here from the hub stays.
        patience: files at a time, waits and attempts.
        root: what relative paths of manifests are relative to.

    Returns:
        What is there, and what is missing and why. A missing file is no exception: see `FetchReport.missing`.

    Raises:
        ConfigError: no such manifest, dataset or source. DataError: the manifest cannot be used. OSError: the
            disk fails (full); the partial files are removed then.
    """
    if source not in (None, *SOURCES):
        raise ConfigError(f"--source {source}: one of {', '.join(SOURCES)}")
    network = Network(patience or Patience())
    if network.patience.jobs < 1:
        raise ConfigError(f"--jobs {network.patience.jobs}: at least 1")
    with _opened(str(manifest), Path(out_dir), offline, network, Path(root)) as opened:
        if source == "hub" and opened.hub is None:
            raise ConfigError(
                f"--source hub: manifest {opened.setting} ({opened.version}) names no copy on the hub; "
                "mrqa2019 does"
            )
        return Acquisition(opened, Path(out_dir), source, offline, network).run(only)


@contextmanager
def _opened(setting: str, out_dir: Path, offline: bool, network: Network, root: Path) -> Iterator[Manifest]:
    """The manifest; the sample's files exist until the block ends."""
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
    shown, manifest = short(out), report.manifest
    new = sum(file.action == "fetched" for file in report.files)
    total = len(report.files) + len(report.missing)
    megabytes = sum(file.record["bytes"] for file in report.files) / 1e6
    say(
        f"{shown}: {len(report.files)} of {total} files of {manifest.setting} ({manifest.version}) verified, "
        f"{megabytes:.1f} MB: {new} fetched, {len(report.files) - new} already there"
    )
    if unlisted := manifest.unlisted():
        say(f"not in this manifest: {', '.join(unlisted)}")
    if hub := [file.entry.label for file in report.files if file.record["source"] == "hub"]:
        say(f"from the hub: {', '.join(hub)}: {NOT_COMPARABLE}")
    if not report.missing:
        return 0
    for entry, reason in ((file.entry, file.reason) for file in report.missing):
        digests = [f"{name} {value}" for name in ("md5", "sha256") if (value := getattr(entry, name))]
        lines = [f"missing: {entry.label}: {reason}", f"  from {entry.shown_url}"]
        lines += [f"  or by hand as {shown}/{entry.name} ({', '.join(digests)})"]
        lines += [f"  by hand: {entry.by_hand}"] if entry.by_hand not in (None, manifest.by_hand) else []
        tell(*lines)
    if manifest.by_hand:
        tell(f"by hand: {manifest.by_hand}")
    raise DataError(
        f"{len(report.missing)} of {total} files are missing in {shown}: run the same command again, or put "
        "them there by hand"
    )
