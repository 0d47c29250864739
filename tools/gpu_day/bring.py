"""Bring home what came back from a GPU's machine: `python -m tools.gpu_day --bring DIR`.

The records become parts of docs/performance.md; results and journals go where `benchmark.compare` and
`benchmark.track sync` read them. All of it is looked at before anything is written.
"""

from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

from benchmark.config.params import repository_root
from bmt.errors import BMTError, ConfigError, DataError
from bmt.runtime.files import write_aside
from tools.gpu_day.day_page import PARTS, part_text
from tools.gpu_day.run_archive import ARCHIVE
from tools.performance.page import renew_page

PAGE = "docs/performance.md"
PLACES = ("results", "runs")
SYNC = "python -m benchmark.track sync"


def bring(folder: Path) -> list[str]:
    """Write the page's parts, results and journals of the day in `folder`; lines that say what was written.

    Raises:
        ConfigError: there is no record, it is a rehearsal's or a CPU's, or results of these names that differ
            are here already: nothing is written then.
        DataError: a record or the archive cannot be read.
    """
    root = repository_root()
    records = records_of_a_gpu(folder)
    archive = folder / ARCHIVE
    files = read_archive(archive) if archive.exists() else {}
    check_new(files, root, folder)
    lines = []
    driver = driver_of(records)
    for name, record in records.items():
        renew_page(root / PAGE, PARTS[name], part_text(record, driver))
    lines.append(f"{PAGE}: {', '.join(PARTS[name] for name in records)}")
    for name, data in files.items():
        with write_aside(root / name) as aside:
            aside.write_bytes(data)
    profiles = sorted({PurePosixPath(name).parts[1] for name in files})
    for profile in profiles:
        here = f"results/{profile}/"
        cells = sum(name.startswith(here) and name.endswith(".json") for name in files)
        lines.append(f"results/{profile}, runs/{profile}: {cells} cells")
        lines += synced(root / "runs" / profile)
    return lines


def records_of_a_gpu(folder: Path) -> dict[str, dict[str, Any]]:
    """The records of a day, by the part's name.

    Raises:
        ConfigError: there is none, or one is a rehearsal's or was made without a GPU.
        DataError: one cannot be read.
    """
    records: dict[str, dict[str, Any]] = {}
    for name in PARTS:
        path = folder / f"{name}.json"
        if not path.is_file():
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            rehearsal, gpus = record["rehearsal"], record["environment"].get("gpu_count")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: no record of a day ({type(error).__name__}: {error})") from None
        if rehearsal or gpus == 0:
            why = "a rehearsal's" if rehearsal else "made without a GPU"
            raise ConfigError(f"{path}: {why}: figures of a CPU are not brought home; run the day on a GPU")
        records[name] = record
    known = [record["environment"] for record in records.values() if record["environment"]]
    if not known:
        wanted = ", ".join(f"{name}.json" for name in PARTS)
        raise ConfigError(f"{folder}: no record of a day there: name the folder that has {wanted}")
    for record in records.values():
        record["environment"] = record["environment"] or known[0]  # a part that could not even begin
    return records


def driver_of(records: dict[str, dict[str, Any]]) -> str | None:
    """The GPU's driver, as part 1 has read it."""
    measured = records.get("machine", {}).get("measurements", [])
    return next((one["record"]["driver"] for one in measured if "driver" in one["record"]), None)


def read_archive(path: Path) -> dict[str, bytes]:
    """The files of an archive of runs, by their path in the project.

    Raises:
        DataError: it is damaged, or holds what is neither a result nor a run.
    """
    files = {}
    try:
        data = gzip.decompress(path.read_bytes())  # whole: a checksum comes after all that tarfile reads
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as archive:
            for member in archive:
                place = PurePosixPath(member.name)
                inside = len(place.parts) > 2 and place.parts[0] in PLACES and ".." not in place.parts
                stream = archive.extractfile(member) if member.isfile() and inside else None
                if stream is None:
                    raise DataError(f"{path}: {member.name}: neither a result nor a run: not unpacked")
                files[member.name] = stream.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}): copy it again") from None
    return files


def check_new(files: dict[str, bytes], root: Path, folder: Path) -> None:
    """Raise ConfigError where a file is here already with another content."""
    here = {name: root / name for name in files if (root / name).exists()}
    other = [name for name, path in here.items() if _content(path) != files[name]]
    if other:
        places = ", ".join(sorted({"/".join(PurePosixPath(name).parts[:2]) for name in other}))
        raise ConfigError(
            f"{folder}: {len(other)} files are here with another content, the first {other[0]}: move "
            f"{places} aside, and bring again; nothing was written"
        )


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def synced(runs: Path) -> list[str]:
    """Deliver the journals to MLflow: its lines, or one that says how to do it later."""
    if find_spec("mlflow") is None:
        return [f"no MLflow here: `{SYNC}` delivers the journals where it is installed"]
    from benchmark.tracking.journal_overview import deliver

    try:
        lines, _ = deliver([runs])
    except BMTError as error:
        return [f"{error}: `{SYNC}` delivers the journals"]
    return lines[-1:]
