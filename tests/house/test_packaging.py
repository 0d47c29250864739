from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.support.repository import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = [
    Requirement(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])
]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    matches = [
        re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.]+)", line)
        for line in lines
        if not line.startswith("#")
    ]
    assert all(matches), "a line of constraints.txt is not name==version without URL and local suffix"
    return {canonicalize_name(match[1]): Version(match[2]) for match in matches if match}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.name)
def test_the_lock_holds_every_dependency_within_its_range(requirement: Requirement) -> None:
    assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_s_torch_is_the_documented_one() -> None:
    assert pins()["torch"] == Version("2.13.0")


def test_the_mlflow_release_that_cannot_be_installed_is_excluded() -> None:
    mlflow = next(requirement for requirement in REQUIREMENTS if requirement.name == "mlflow")
    assert Version("3.18.0") not in mlflow.specifier
    assert Version("3.18.1") in mlflow.specifier


def test_the_citation_names_the_paper_and_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    paper = citation["preferred-citation"]
    assert paper["doi"] == "10.1016/j.knosys.2025.113505"
    assert [author["family-names"] for author in paper["authors"]] == ["Gong", "Wei", "Zhu", "Miao"]
