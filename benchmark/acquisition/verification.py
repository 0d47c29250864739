"""Is a file what its manifest says? Digests, size, and the contexts and questions in it."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.acquisition.manifest import Entry

# In JSON a quote inside a text is always escaped, so these bytes can only be the keys.
KEYS = {"contexts": re.compile(rb'"qas"\s*:'), "questions": re.compile(rb'"qid"\s*:')}


def measure(path: Path) -> dict[str, Any]:
    """md5, sha256 and bytes (the size) of a file, in one pass."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            md5.update(block)
            sha256.update(block)
            size += len(block)
    return {"md5": md5.hexdigest(), "sha256": sha256.hexdigest(), "bytes": size}


def digest_fault(entry: Entry, measured: Mapping[str, Any]) -> str | None:
    """What contradicts the manifest's size and digests, with both values; None when nothing does."""
    faults = []
    if entry.bytes not in (None, measured["bytes"]):
        faults.append(f"it has {measured['bytes']} bytes, the manifest says {entry.bytes}")
    for name in ("md5", "sha256"):
        stated, actual = getattr(entry, name), measured[name]
        if stated not in (None, actual):
            faults.append(f"its {name} is {actual}, the manifest says {stated}")
            break  # one digest says it
    return "; ".join(faults) or None


def count_fault(entry: Entry, path: Path) -> str | None:
    """What contradicts the manifest's numbers of contexts and questions (counted without parsing the file);
    None when nothing does or none is stated.
    """
    if entry.contexts is None and entry.questions is None:
        return None
    counts = dict.fromkeys(KEYS, 0)
    try:
        with gzip.open(path, "rb") as stream:
            for line in stream:
                for name, key in KEYS.items():
                    counts[name] += len(key.findall(line))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return f"it is no whole gzip file ({' '.join(str(error).split())})"
    for name, actual in counts.items():
        stated = getattr(entry, name)
        if stated not in (None, actual):
            return f"it holds {actual} {name}, the manifest says {stated}"
    return None


def looks_packed(path: Path) -> bool:
    """Whether the file starts as gzip files do: an error page does not."""
    with path.open("rb") as stream:
        return stream.read(2) == b"\x1f\x8b"
