from __future__ import annotations

import errno
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.tracking import journal
from benchmark.tracking.journal import Journal
from bmt.errors import DataError


def make(folder: Path, key: str = "k1", **options: Any) -> Journal:
    return Journal(folder / journal.FOLDER / f"{key}.jsonl", **options)


def entries(opened: Journal) -> list[dict[str, Any]]:
    return journal.read_entries(opened.path)[0]


def test_entries_are_numbered_lines_of_json(tmp_path):
    opened = make(tmp_path)
    opened.append("run", key="k1", name="a\nb", tags={"ü": "\udce9"})
    opened.metrics({"f1/SQuAD": 1.5, "loss": math.nan, "up": math.inf}, 3)
    opened.close()
    lines = opened.path.read_text().splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2]
    assert [{key: value for key, value in entry.items() if key != "time"} for entry in entries(opened)] == [
        {"seq": 1, "kind": "run", "key": "k1", "name": "a\nb", "tags": {"ü": "\udce9"}},
        {"seq": 2, "kind": "metrics", "values": {"f1/SQuAD": 1.5, "loss": "nan", "up": "inf"}, "step": 3},
    ]


@given(
    st.lists(st.dictionaries(st.text(min_size=1), st.floats(), min_size=1), min_size=1, max_size=5),
    st.integers(0, 400),
)
def test_reading_in_two_parts_and_with_a_torn_end_gives_the_complete_entries(tmp_path_factory, values, cut):
    opened = make(tmp_path_factory.mktemp("journal"))
    for number, metrics in enumerate(values):
        opened.metrics(metrics, number)
    opened.close()
    data = opened.path.read_bytes()
    whole, end = journal.read_entries(opened.path)
    assert [{name: float(value) for name, value in entry["values"].items()} for entry in whole] == [
        {name: pytest.approx(value, nan_ok=True, rel=0, abs=0) for name, value in metrics.items()}
        for metrics in values
    ]
    opened.path.write_bytes(data[:cut])
    first, offset = journal.read_entries(opened.path)
    assert offset <= cut
    opened.path.write_bytes(data)
    rest, again = journal.read_entries(opened.path, offset)
    assert [entry["seq"] for entry in first + rest] == [entry["seq"] for entry in whole]
    assert again == end == len(data)


def test_a_torn_line_is_dropped_and_the_numbers_go_on(tmp_path):
    opened = make(tmp_path)
    opened.append("tag", name="a", value="1")
    opened.close()
    with open(opened.path, "ab") as stream:
        stream.write(b'{"seq": 2, "kin')
    opened = make(tmp_path)
    opened.append("tag", name="b", value="2")
    opened.close()
    assert [(entry["seq"], entry["name"]) for entry in entries(opened)] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("line", [b"{not json", b"[1]", b'{"kind": "tag"}', b"\xff\xfe", b""])
def test_a_damaged_line_is_named(tmp_path, line):
    opened = make(tmp_path)
    opened.append("tag", name="a", value="1")
    opened.close()
    end = opened.path.stat().st_size
    with open(opened.path, "ab") as stream:
        stream.write(line + b"\n")
    for offset in (0, end):
        with pytest.raises(DataError, match=r"k1\.jsonl, line 2: not an entry"):
            journal.read_entries(opened.path, offset)


def test_what_a_killed_process_repeats_is_recorded_once(tmp_path):
    opened = make(tmp_path)
    opened.metrics({"loss": 2.0, "rate": 10.0}, 1)
    opened.metrics({"loss": math.nan}, 2)
    opened.close()
    opened = make(tmp_path)
    opened.metrics(
        {"loss": 2.0, "rate": 11.0}, 1
    )  # the loss is bit-identical after a resume, the rate is not
    opened.metrics({"loss": math.nan}, 2)
    opened.metrics({"loss": 2.0}, 3)
    opened.close()
    assert [(entry["values"], entry["step"]) for entry in entries(opened)[2:]] == [
        ({"rate": 11.0}, 1),
        ({"loss": 2.0}, 3),
    ]


class FullDisk:
    """A stream that takes a few bytes of a line and then no more, as a full disk does."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.room = stream, 0

    def write(self, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.stream.write(data[: self.room])
        self.room = max(0, self.room - written)
        return written

    def truncate(self, size: int) -> int:
        return self.stream.truncate(size)

    def close(self) -> None:
        self.stream.close()


def test_a_full_disk_stops_nothing_and_loses_nothing(tmp_path):
    told: list[str] = []
    opened = make(tmp_path, warn=told.append)
    opened.append("tag", name="a", value="1")
    disk = opened._stream = FullDisk(opened._stream)
    for room in (0, 7):
        disk.room = room
        opened.append("tag", name="b", value=str(room))
    assert opened.lost == 2
    assert [entry["name"] for entry in entries(opened)] == ["a"]
    assert told == [f"{opened.path}: No space left on device: entries wait in memory"]
    disk.room = 10_000
    opened.close()
    assert opened.lost == 0
    assert [(entry["seq"], entry["value"]) for entry in entries(opened)] == [(1, "1"), (2, "0"), (3, "7")]


def test_files_are_kept_below_the_journal_whatever_their_name(tmp_path):
    opened = make(tmp_path)
    opened.keep("mask/a.txt", lambda path: path.write_text("one"))
    opened.keep("/../../b.txt", lambda path: path.write_text("two"))
    source = tmp_path / "c.csv"
    source.write_text("three")
    opened.keep_copy(source, "tables")
    opened.close()
    assert [entry["file"] for entry in entries(opened)] == ["mask/a.txt", "b.txt", "tables/c.csv"]
    found = {
        path.relative_to(opened.files).as_posix(): path.read_text()
        for path in opened.files.rglob("*")
        if path.is_file()
    }
    assert found == {"mask/a.txt": "one", "b.txt": "two", "tables/c.csv": "three"}


def test_a_file_that_cannot_be_kept_is_told_and_has_no_entry(tmp_path):
    told: list[str] = []
    opened = make(tmp_path, warn=told.append)

    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    opened.keep("a.txt", fail)
    opened.keep_copy(tmp_path / "absent")
    opened.keep("..", fail)
    opened.close()
    assert entries(opened) == []
    assert told == [
        f"{opened.files / 'a.txt'}: No space left on device: not kept",
        f"{opened.files / 'absent'}: No such file or directory: not kept",
        "'..' names no file: not kept",
    ]
    assert [path for path in opened.files.rglob("*") if path.is_file()] == []


def test_a_journal_has_one_writer(tmp_path):
    opened = make(tmp_path)
    opened.append("tag", name="a", value="1")
    with journal.locked(opened.path) as free:
        assert not free
    with pytest.raises(BlockingIOError, match=r"k1\.jsonl"):
        make(tmp_path)
    opened.close()
    with journal.locked(opened.path) as free:
        assert free
        with pytest.raises(BlockingIOError, match="another process writes or delivers this journal"):
            make(tmp_path)
        with journal.locked(opened.path) as again:
            assert not again, "one delivery at a time"
    assert len(entries(make(tmp_path))) == 1, "a delivery leaves the entries as they are"


def test_a_journal_that_goes_on_began_with_its_first_entry(tmp_path, monkeypatch):
    now = 1_000
    monkeypatch.setattr(journal, "milliseconds", lambda: now)
    opened = make(tmp_path)
    assert opened.started == 1_000
    opened.append("tag", name="a", value="1")
    now = 9_000
    opened.append("tag", name="b", value="2")
    opened.close()
    assert [entry["time"] for entry in entries(opened)] == [1_000, 9_000]
    assert make(tmp_path).started == 1_000


def test_states_of_several_stores_stand_side_by_side(tmp_path):
    path = make(tmp_path).path
    assert journal.read_state(path, "a") == {}
    journal.write_state(path, "a", {"run_id": "1", "delivered": 3})
    journal.write_state(path, "b", {"run_id": "2", "delivered": 4})
    journal.write_state(path, "a", {"run_id": "1", "delivered": 5})
    assert journal.read_state(path, "a") == {"run_id": "1", "delivered": 5}
    assert journal.run_ids(path) == {"1", "2"}
    journal.state_path(path).write_text("{broken")
    assert journal.read_state(path, "a") == {}
    assert journal.run_ids(path) == set()


def test_journals_are_found_oldest_first_and_by_either_name(tmp_path):
    for cell, key in (("x", "20260102T000000-b"), ("y", "20260101T000000-a")):
        make(tmp_path / cell, key).close()
    (tmp_path / "x" / "other.jsonl").write_text("")
    found = journal.journals([tmp_path, tmp_path / "x"])
    assert [path.stem for path in found] == ["20260101T000000-a", "20260102T000000-b"]
    assert journal.journals([tmp_path / "y" / journal.FOLDER]) == found[:1]
    journal.write_state(found[1], "store", {"run_id": "abc"})
    assert journal.find(tmp_path / "x", "abc") == found[1]
    assert journal.find(tmp_path / "x", "20260102T000000-b") == found[1]
    assert journal.find(tmp_path / "y", "abc") is None


@pytest.mark.parametrize(
    ("status", "found"), [(None, "k2"), ("KILLED", "k2"), ("FAILED", "k2"), ("FINISHED", None)]
)
def test_a_run_that_did_not_finish_is_found_to_be_resumed(tmp_path, status, found):
    assert journal.interrupted(tmp_path) is None
    for key, end in (("k1", None), ("k2", status)):
        opened = make(tmp_path, key)
        opened.append("run", key=key)
        if end:
            opened.append("end", status=end, failure=None)
        opened.close()
    assert journal.interrupted(tmp_path) == found
    make(tmp_path, "k3").close()
    assert journal.interrupted(tmp_path) is None
    (tmp_path / journal.FOLDER / "k4.jsonl").write_text("damaged\n")
    assert journal.interrupted(tmp_path) is None


def test_names_and_values_are_what_mlflow_allows():
    assert journal.allowed_name("f1/HotpotQA") == "f1/HotpotQA"
    assert journal.allowed_name("weights/deviation_l2.a-b: c") == "weights/deviation_l2.a-b: c"
    assert journal.allowed_name("/a//b/../ü%(x)") == "a/ü__x_"
    assert [journal.allowed_name(name) for name in ("", ".", "..", "/")] == ["_", "_", "_", "_"]
    assert len(journal.allowed_name("x" * 300)) == 250
    assert [journal.text_of(value, 9) for value in ("a", 1e-5, None, True, [1, "x"], "0123456789")] == [
        "a",
        "1e-05",
        "null",
        "true",
        '[1, "x"]',
        "01234567…",
    ]
    assert journal.text_of("012345678", 9) == "012345678"  # it fits whole


def test_keys_sort_by_time_and_differ():
    keys = {journal.new_key() for _ in range(50)}
    assert len(keys) == 50
    assert all(len(key) == 24 and key[8] == "T" and key[15] == "-" for key in keys)
