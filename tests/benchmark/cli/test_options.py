"""What the options of a command come to: the arguments of the one call that it makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark import digests, evaluate, fetch, prepare, train, transfer
from benchmark.acquisition import feature_files
from benchmark.acquisition import fetch as fetching
from benchmark.cli import allocator
from benchmark.config.params import load
from benchmark.pipeline import digest_files
from benchmark.runs import evaluation_run, training_run, transfer_run
from bmt.errors import ConfigError
from tests.support.project import ROOT

PARAMS = str(ROOT / "profiles" / "mini.yaml")  # not the root's
CELL = "minilm.mt.bmt.s0"
Calls = list[tuple[tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What was called with what, in the place of each command's call."""
    kept: Calls = []

    def noting(value: Any) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            kept.append((given, named))
            return value

        return call

    monkeypatch.setattr(allocator, "keep_freed_memory", lambda: None)
    for place, name in (
        (training_run, "train_cell"),
        (evaluation_run, "evaluate_cell"),
        (transfer_run, "transfer_cell"),
        (feature_files, "prepare"),
        (fetching, "fetch"),
    ):
        monkeypatch.setattr(place, name, noting(None))
    monkeypatch.setattr(fetching, "print_report", lambda report, out: 0)
    return kept


def test_a_training_is_fresh_where_it_is_asked_to_be_and_of_the_named_params(calls: Calls) -> None:
    assert train.main([CELL, "--params", PARAMS]) == train.main([CELL, "--fresh", "--profile", "mini"]) == 0
    assert [(given[0].profile, given[1].name, given[3]) for given, _ in calls] == [
        ("mini", CELL, False),
        ("mini", CELL, True),
    ]
    assert [Path(given[2]).resolve() for given, _ in calls] == [Path(PARAMS)] * 2
    assert evaluate.main([CELL, "--params", PARAMS]) == 0
    config, cell, file, _ = calls[-1][0]
    assert (config.profile, cell.name, file) == ("mini", CELL, PARAMS)


def test_a_transfer_is_of_the_named_sizes_and_seeds_else_of_the_profile_s(calls: Calls) -> None:
    listed = load(PARAMS).fewshot
    for words, sizes, seeds in (
        ([], listed.sizes, listed.seeds),
        (["--k", "4", "--k", "16"], [4, 16], listed.seeds),
        (["--seed", "0"], listed.sizes, [0]),
        (["--k", "4", "--seed", "7", "--seed", "5"], [4], [7, 5]),
    ):
        assert transfer.main([CELL, "--params", PARAMS, *words]) == 0
        settings = calls[-1][0][2]
        assert (settings.sizes, settings.seeds, settings.steps) == (sizes, seeds, listed.steps)
    for words, said in (
        (["--k", "-2"], "--k: -2 is not allowed: whole numbers from 0 on, each once"),
        (["--seed", "-1"], "--seed: -1 is not"),
        (["--seed", "3", "--seed", "3"], "--seed: 3, 3 is not"),
    ):
        with pytest.raises(ConfigError, match=said):
            transfer.main([CELL, "--params", PARAMS, *words])
    assert len(calls) == 4


def test_a_preparation_is_strict_or_of_one_backbone_where_it_is_asked_to_be(calls: Calls) -> None:
    assert prepare.main(["--params", PARAMS, "--workers", "1"]) == 0
    assert prepare.main(["minilm", "--params", PARAMS, "--workers", "3", "--strict"]) == 0
    assert [given[1:] for given, _ in calls] == [(1, False, None), (3, True, "minilm")]


def test_a_fetch_takes_what_is_named_from_where_it_is_named(calls: Calls) -> None:
    words = ["--manifest", "m", "--out", "o", "--only", "SQuAD", "DROP", "--offline"]
    assert fetch.main([*words, "--source", "hub", "--jobs", "2"]) == 0
    assert fetch.main(["--manifest", "m", "--out", "o"]) == fetch.main(["--params", PARAMS]) == 0
    assert fetch.main(["--manifest", "m", "--params", PARAMS]) == 0
    root = Path(load(PARAMS).profile)
    assert [given[:4] for given, _ in calls[:2]] == [
        ("m", "o", ["SQuAD", "DROP"], True),
        ("m", "o", None, False),
    ]
    assert [(named["source"], named["patience"].jobs) for _, named in calls[:2]] == [("hub", 2), (None, 4)]
    # a manifest of the params file lies as seen from the root, one of the command line as seen from here
    assert [(named["root"] == Path(), Path(given[1]).name) for given, named in calls] == [
        (True, "o"),
        (True, "o"),
        (False, root.name),
        (True, root.name),
    ]
    assert calls[2][0][0] == load(PARAMS).source.manifest


def test_each_kind_of_digests_is_written_by_its_own_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells: list[str] = []

    def scores(config: Any, cell: SimpleNamespace, places: Any) -> int:
        cells.append(cell.name)
        return 4

    for number, name in enumerate(("digests", "inputs", "references"), 1):
        monkeypatch.setattr(digest_files, f"write_{name}", lambda *_, number=number: number)
    monkeypatch.setattr(digest_files, "write_scores", scores)
    for words in ([], ["inputs"], ["references"], ["scores", "minilm.st-SQuAD.none.s0"]):
        assert digests.main([*words, "--params", PARAMS]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 files of settings written",
        "2 files of inputs written",
        "3 files of references written",
        "4 files of scores written",
    ]
    assert cells == ["minilm.st-SQuAD.none.s0"]
    for words, said in (
        (["scores"], "scores: needs a cell"),
        (["inputs", CELL], "inputs: takes no cell"),
        (["settings", CELL], "settings: takes no cell"),
    ):
        with pytest.raises(ConfigError, match=said):
            digests.main([*words, "--params", PARAMS])
