"""What fetch.json says of the files' origins, and what a missing or damaged one says: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmark.acquisition.file_origins import origins, records


def test_origins_go_by_the_files_digest(tmp_path: Path) -> None:
    files = {
        name: {"sha256": f"{name}{name}", "source": source, "url": "u", "questions": 3}
        for name, source in (("a", "hub"), ("b", "http"))
    }
    incomplete = {"c": {"sha256": "cc", "source": "http"}, "d": {"source": "http", "url": "u"}}
    (tmp_path / "fetch.json").write_text(json.dumps({"files": files | incomplete}))
    assert records(tmp_path) == files
    assert origins(tmp_path) == {"aa": "hub", "bb": "http"}


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "{}", '{"files": []}', '{"files": null}', '{"files": {"a": 1}}', "\udcff", "1"],
)
def test_without_a_readable_record_the_files_are_as_if_put_there_by_hand(
    text: str | None, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "fetch.json").write_bytes(text.encode(errors="surrogateescape"))
    assert records(tmp_path) == origins(tmp_path) == {}
