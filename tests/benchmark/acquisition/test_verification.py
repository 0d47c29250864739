"""Is a file what its manifest says: digests, size and counts, each alone and in files of every size."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest

from benchmark.acquisition.manifest import Entry
from benchmark.acquisition.verification import count_fault, digest_fault, looks_packed, measure

MEASURED = {"md5": "a" * 32, "sha256": "b" * 64, "bytes": 3}


def entry(**stated: Any) -> Entry:
    return Entry(dataset="SQuAD", domain="in_domain", split="dev", url="file:///f", **stated)


@pytest.mark.parametrize("size", [0, 5, (1 << 20) - 1, 1 << 20, (2 << 20) + 7])
def test_the_digests_are_of_the_whole_file(size: int, tmp_path: Path) -> None:
    content = bytes(range(251)) * (size // 251 + 1)
    (tmp_path / "f").write_bytes(content[:size])
    assert measure(tmp_path / "f") == {
        "md5": hashlib.md5(content[:size]).hexdigest(),
        "sha256": hashlib.sha256(content[:size]).hexdigest(),
        "bytes": size,
    }


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ({}, None),
        (MEASURED, None),
        ({"bytes": 0}, "it has 3 bytes, the manifest says 0"),
        ({"md5": "c" * 32}, f"its md5 is {'a' * 32}, the manifest says {'c' * 32}"),
        ({"sha256": "c" * 64}, f"its sha256 is {'b' * 64}, the manifest says {'c' * 64}"),
        (
            {"md5": "a" * 32, "sha256": "c" * 64},
            f"its sha256 is {'b' * 64}, the manifest says {'c' * 64}",
        ),
        (
            {"bytes": 4, "md5": "c" * 32, "sha256": "c" * 64},
            f"it has 3 bytes, the manifest says 4; its md5 is {'a' * 32}, the manifest says {'c' * 32}",
        ),
    ],
)
def test_whatever_the_manifest_states_is_held_against_the_file(stated: Any, fault: str | None) -> None:
    assert digest_fault(entry(**stated), MEASURED) == fault


def test_contexts_and_questions_are_counted_by_their_keys(tmp_path: Path) -> None:
    lines = [
        b'{"header": {}}',
        b'{"qas" : [{"qid":"1"}, {"qid"  : "a \\"qid\\": b"}], "context": "\\"qas\\":"}',
    ]
    (tmp_path / "f").write_bytes(gzip.compress(b"\n".join([*lines, lines[1]])))
    assert count_fault(entry(contexts=2, questions=4), tmp_path / "f") is None
    for stated, fault in (
        ({"contexts": 0}, "it holds 2 contexts, the manifest says 0"),
        ({"questions": 3}, "it holds 4 questions, the manifest says 3"),
        ({"contexts": 2, "questions": 5}, "it holds 4 questions, the manifest says 5"),
        ({"contexts": 1, "questions": 5}, "it holds 2 contexts, the manifest says 1"),
    ):
        assert count_fault(entry(**stated), tmp_path / "f") == fault


def test_a_damaged_gzip_file_is_a_fault_and_no_traceback(tmp_path: Path) -> None:
    whole = gzip.compress(bytes(range(256)) * 40)
    for damaged in (b"<html>", whole[:-9], whole[:12] + b"\xff" * 40 + whole[52:]):
        (tmp_path / "f").write_bytes(damaged)
        fault = count_fault(entry(questions=1), tmp_path / "f")
        assert fault is not None and fault.startswith("it is no whole gzip file (") and "\n" not in fault
        assert count_fault(entry(), tmp_path / "f") is None, "nothing is stated: nothing is read"


def test_what_starts_as_gzip_files_do_looks_packed(tmp_path: Path) -> None:
    for content, packed in ((b"\x1f\x8b\x08", True), (b"\x1f", False), (b"", False), (b"<html>", False)):
        (tmp_path / "f").write_bytes(content)
        assert looks_packed(tmp_path / "f") is packed
