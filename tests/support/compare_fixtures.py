"""Results folders for the tests of `benchmark.compare`, fabricated once.

pytest_plugins = ("tests.support.compare_fixtures",) pytestmark = pytest.mark.usefixtures("papers_read_once")
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from benchmark.paper import tables as papers
from benchmark.paper.tables import OWN_PAPER
from tests.support.comparing import PUBLISHED
from tests.support.results_maker import SMALL, make_results, seed_noise


@pytest.fixture(scope="module")
def papers_read_once() -> Iterator[None]:
    """Reading the YAML of ten tables takes a fifth of a second; here each folder is read once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(papers, "load", cache(papers.load))
        yield


@pytest.fixture(scope="session")
def small_paper(tmp_path_factory) -> Path:
    """The project's paper, its dev sets said to have the 300 questions of a fabricated folder."""
    folder = tmp_path_factory.mktemp("paper") / "paper"
    shutil.copytree(OWN_PAPER, folder)
    about = yaml.safe_load((folder / "paper.yaml").read_text())
    about["requires"]["examples"] = SMALL
    (folder / "paper.yaml").write_text(yaml.safe_dump(about))
    return folder


@pytest.fixture(scope="session")
def faithful(tmp_path_factory) -> Path:
    """RoBERTa-base runs that scatter by .1 about the paper's own numbers."""
    folder = tmp_path_factory.mktemp("faithful")
    for arm, table in (("none", "2"), ("mask", "3"), ("bmt", "3")):
        published = PUBLISHED[table, f"roberta-base.mt.{arm}"]
        make_results(
            folder,
            arms=[arm],
            f1=lambda a, dataset, s, p=published: p.get(dataset, 60.0) + 0.1 * seed_noise(a, dataset, s),
            scatter=0,
        )
    return folder


@pytest.fixture(scope="session")
def mini(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mini")
    level = {"none": 30.0, "mask": 30.5, "bmt": 36.0}
    moved = {"none": 0.022, "mask": 0.018, "bmt": 0.011}
    make_results(
        folder,
        profile="mini",
        backbone="minilm",
        sizes={name: 90 for name in SMALL if name != "TextbookQA"},
        density=0.8,
        f1=lambda arm, dataset, seed: level[arm] + 0.4 * seed_noise(arm, dataset, seed),
        deviation=lambda arm, seed: moved[arm] + 0.0003 * seed_noise(arm, "", seed),
    )
    return folder
