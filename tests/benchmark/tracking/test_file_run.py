"""A run that is one file and its counts, kept where it waits for a store."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.tracking import journal
from benchmark.tracking.file_run import log_file


@pytest.mark.parametrize("config", [None, SimpleNamespace(tracking=SimpleNamespace(experiment="mine"))])
def test_a_file_and_its_counts_are_a_run_of_the_profile(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    (tmp_path / "page.html").write_text("<p>")
    log_file("report", "tiny", config, {"seeds": 3}, {"tables": 9}, tmp_path / "page.html")
    [path] = journal.journals([tmp_path / "runs" / "tiny" / "report"])
    entries = journal.read_entries(path)[0]
    run = entries[0]
    assert (run["name"], run["experiment"]) == ("report", f"{'mine' if config else 'bmt'}-tiny")
    assert (run["params"], run["tags"]["stage"]) == ({"seeds": "3"}, "report")
    assert "package.torch" in run["tags"] and "git.commit" not in run["tags"], "the root is no checkout"
    assert {"tables": 9.0} in [entry["values"] for entry in entries if entry["kind"] == "metrics"]
    assert (path.with_suffix("") / "page.html").read_text() == "<p>"
    assert [entry["file"] for entry in entries if entry["kind"] == "artifact"] == [
        "environment.json",
        "page.html",
    ]
    assert (entries[-1]["kind"], entries[-1]["status"]) == ("end", "FINISHED")
