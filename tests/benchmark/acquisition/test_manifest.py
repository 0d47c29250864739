"""Manifests: the official one exactly, what a good one means, and one clear line for a bad one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from benchmark.acquisition.manifest import OFFICIAL, Manifest, location, parse, read_local
from bmt.errors import ConfigError, DataError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

SHARED = Path(__file__).resolve().parents[4] / "shared"
FILE: dict[str, Any] = {
    "dataset": "SQuAD",
    "domain": "in_domain",
    "split": "train",
    "path": "a/b c.gz",
    "md5": "0" * 31 + "A",
    "questions": "7",
}
URL = "file:///data/manifest.yaml"


def text(changes: dict[str, Any] | None = None, **top: Any) -> str:
    """A manifest of one file, changed; a value None takes the key away."""
    file = {key: value for key, value in (FILE | (changes or {})).items() if value is not None}
    return yaml.safe_dump({"version": "v1", "files": [file], **top})


def one(changes: dict[str, Any] | None = None, url: str = URL, **top: Any) -> Any:
    return parse(text(changes, **top), "mine", url).entries[0]


def test_the_official_manifest_has_the_organisers_18_files():
    manifest = read_local("mrqa2019", OFFICIAL.as_uri())
    assert manifest.version == "mrqa-2019-v2"
    assert sorted(entry.name for entry in manifest.entries) == sorted(
        [f"in_domain/{name}.{split}.jsonl.gz" for name in IN_DOMAIN for split in ("train", "dev")]
        + [f"out_of_domain/{name}.dev.jsonl.gz" for name in OUT_OF_DOMAIN]
    )
    assert manifest.unlisted() == ()
    assert (
        len({entry.md5 for entry in manifest.entries}) == len({entry.url for entry in manifest.entries}) == 18
    )
    assert sum(entry.questions or 0 for entry in manifest.entries) == 584_673
    assert all(re.fullmatch("[0-9a-f]{40}", pinned.revision or "") for pinned in manifest.backbones.values())
    (bioasq,) = (entry for entry in manifest.entries if entry.dataset == "BioASQ")
    assert bioasq.url == "http://participants-area.bioasq.org/MRQA2019/"
    assert "register" in (bioasq.by_hand or "")
    assert "https://mrqa.github.io/2019/shared.html" in (manifest.by_hand or "")


@pytest.mark.skipif(not (SHARED / "reference/mrqa2019_manifest.yaml").exists(), reason="../shared is absent")
def test_the_official_manifest_is_the_reference():
    reference = yaml.safe_load((SHARED / "reference/mrqa2019_manifest.yaml").read_text())
    manifest = read_local("mrqa2019", OFFICIAL.as_uri())
    keys = ("dataset", "domain", "split", "url", "md5", "questions")
    (hotpot,) = (
        file for file in reference["files"] if (file["dataset"], file["split"]) == ("HotpotQA", "dev")
    )
    assert hotpot["questions"] == 5904
    hotpot["questions"] = 5901  # what the file holds, see mrqa2019.yaml
    assert [{key: getattr(entry, key) for key in keys} for entry in manifest.entries] == reference["files"]
    assert {name: pinned.hub for name, pinned in manifest.backbones.items()} == {
        n: b["hub"] for n, b in reference["backbones"].items()
    }
    stated = {
        name: backbone["revision"]
        for name, backbone in reference["backbones"].items()
        if "revision" in backbone
    }
    assert {name: manifest.backbones[name].revision for name in stated} == stated


def test_what_a_file_entry_means():
    entry = one()
    assert (entry.name, entry.url, entry.shown_url) == (
        "in_domain/SQuAD.train.jsonl.gz",
        "file:///data/a/b%20c.gz",
        "a/b c.gz",
    )
    assert (entry.md5, entry.sha256, entry.bytes, entry.contexts, entry.questions) == (
        "0" * 31 + "a",
        None,
        None,
        None,
        7,
    )


@pytest.mark.parametrize(
    ("manifest", "base", "url"),
    [
        ("http://host/x/manifest.yaml", None, "http://host/x/a/b%20c.gz"),
        ("http://host/x/manifest.yaml", ".", "http://host/x/a/b%20c.gz"),
        ("http://host/x/manifest.yaml", "../y", "http://host/y/a/b%20c.gz"),
        ("http://host/x/manifest.yaml", "https://other/z", "https://other/z/a/b%20c.gz"),
        (URL, "https://other/z/", "https://other/z/a/b%20c.gz"),
        (URL, "sub", "file:///data/sub/a/b%20c.gz"),
        (URL, "file:///elsewhere", "file:///elsewhere/a/b%20c.gz"),
    ],
)
def test_where_a_path_lies(manifest: str, base: str | None, url: str):
    entry = one(url=manifest, **({"base_url": base} if base else {}))
    assert entry.url == url
    assert entry.shown_url == ("a/b c.gz" if url.startswith("file:///data") else url)


def test_a_digest_may_be_given_in_capitals_and_an_empty_key_states_nothing():
    entry = one({"md5": "", "sha256": "AB" * 32, "bytes": "", "hub": {}, "by_hand": "", "url": ""})
    assert (entry.md5, entry.sha256, entry.bytes, entry.hub, entry.by_hand) == (
        None,
        "ab" * 32,
        None,
        None,
        None,
    )
    zero = one({"bytes": 0, "contexts": 0, "questions": 0})
    assert (zero.bytes, zero.contexts, zero.questions) == (0, 0, 0)


def test_a_whole_url_is_shown_whole_also_below_a_local_manifest():
    for url in ("file:///d/a.gz", "https://host/a%20b.gz"):
        entry = one({"path": None, "url": url})
        assert (entry.url, entry.shown_url) == (url, url)
    sample = parse(text(), "sample", URL, label="sample:").entries[0]
    assert (sample.url, sample.shown_url) == ("file:///data/a/b%20c.gz", "sample:a/b c.gz")


def test_some_datasets_are_selected_in_the_order_of_the_manifest():
    files = [
        FILE | {"dataset": dataset, "split": split}
        for dataset, split in (("SQuAD", "train"), ("NewsQA", "dev"), ("SQuAD", "dev"), ("HotpotQA", "dev"))
    ]
    manifest = parse(yaml.safe_dump({"version": "v", "files": files}), "mine", URL)
    labels = [entry.label for entry in manifest.select(["HotpotQA", "SQuAD"])]
    assert labels == ["SQuAD train", "SQuAD dev", "HotpotQA dev"]
    assert manifest.select(None) == manifest.select([]) == manifest.entries
    with pytest.raises(
        ConfigError,
        match=r"^--only DROP: manifest mine \(v\) has no such dataset; it has HotpotQA, NewsQA, SQuAD$",
    ):
        manifest.select(["SQuAD", "DROP"])


def test_a_digest_of_digits_only_is_no_number():
    digits = "00000000000000000000000000000012"
    assert parse(text({"md5": "DIGITS"}).replace("DIGITS", digits), "mine", URL).entries[0].md5 == digits
    assert parse(text({"md5": "1e5" + "0" * 29}), "mine", URL).entries[0].md5 == "1e5" + "0" * 29


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "Squad"}, "dataset 'Squad' is not allowed in in_domain: one of SQuAD, HotpotQA,"),
        ({"dataset": "DROP"}, "dataset 'DROP' is not allowed in in_domain: one of"),
        ({"domain": "indomain"}, "domain 'indomain' is not allowed: one of in_domain, out_of_domain"),
        ({"split": "test"}, "split 'test' is not allowed: one of train, dev"),
        ({"split": None}, "split '' is not allowed"),
        (
            {"md5": None},
            "(SQuAD train): neither md5 nor sha256 is given: a file without a digest is not fetched",
        ),
        (
            {"md5": None, "bytes": 5, "contexts": 1},  # any file of that size would do
            "(SQuAD train): neither md5 nor sha256 is given: a file without a digest is not fetched",
        ),
        ({"md5": "abc"}, "(SQuAD train): md5 'abc' is not allowed: 32 hexadecimal digits"),
        ({"sha256": "g" * 64}, f"(SQuAD train): sha256 '{'g' * 64}' is not allowed: 64 hexadecimal digits"),
        ({"questions": -1}, "(SQuAD train): questions '-1' is not allowed: a whole number"),
        ({"bytes": "1.5"}, "(SQuAD train): bytes '1.5' is not allowed: a whole number"),
        ({"path": None}, "(SQuAD train): give either `path` (below base_url) or `url`"),
        ({"url": "http://host/f"}, "(SQuAD train): give either `path` (below base_url) or `url`"),
        (
            {"path": None, "url": "ftp://host/f"},
            "(SQuAD train): 'ftp://host/f' is not allowed: an http:, https: or file: URL",
        ),
        (
            {"path": None, "url": "here"},
            "(SQuAD train): 'here' is not allowed: an http:, https: or file: URL",
        ),
        (
            {"path": None, "url": "http:///f"},
            "(SQuAD train): 'http:///f' is not allowed: an http:, https: or file: URL",
        ),
        (
            {"path": None, "url": "http://[x/f"},
            "(SQuAD train): 'http://[x/f' is not allowed: an http:, https: or file: URL",
        ),
        ({"shasum": "0"}, "unknown key 'shasum': one of dataset, domain, split, path, url, md5,"),
        ({"dataset": ["SQuAD"]}, "dataset: expected text, found ['SQuAD']"),
        ({"hub": {"split": "train"}}, "(SQuAD train): hub: expected `split` and a list `subset`"),
    ],
)
def test_a_bad_entry_is_one_line_that_names_it(changes: dict[str, Any], message: str):
    with pytest.raises(DataError) as caught:
        one(changes)
    assert str(caught.value).startswith("/data/manifest.yaml: file 1")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "/data/manifest.yaml: line 1 no YAML: "),
        ("a: \x01", "/data/manifest.yaml: no YAML: "),
        ("- 1", "no manifest: it must have `version` and a list `files`"),
        ("", "no manifest: it must have `version` and a list `files`"),
        ("version: v\nfiles: []", "`files` is empty: list at least one file"),
        ("version: v\nfiles: [1]", "file 1: expected keys and values, found '1'"),
        (text(base_url="ftp://x"), "base_url: 'ftp://x/' is not allowed"),
        (text(backbones={"b": "c"}), "backbones.b: expected `hub` and `revision`, found 'c'"),
        (text(hub={"repo": "r"}), "hub: expected `repo`, `revision` and `files`"),
        (
            yaml.safe_dump({"version": "v", "files": [FILE, FILE]}),
            "file 2: SQuAD train stands twice: name each file once",
        ),
    ],
)
def test_a_bad_manifest_is_one_line(content: str, message: str):
    with pytest.raises(DataError) as caught:
        parse(content, "mine", URL)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.text(max_size=60) | st.builds(yaml.safe_dump, VALUES))
def test_any_text_is_a_manifest_or_a_data_error(content: str):
    try:
        assert isinstance(parse(content, "mine", URL), Manifest)
    except DataError as error:
        assert "\n" not in str(error)


@given(st.sampled_from(sorted([*FILE, "sha256", "bytes", "hub", "url"])), VALUES)
def test_any_value_in_an_entry_is_taken_or_a_data_error(key: str, value: Any):
    try:
        entry = one({key: value})
    except DataError as error:
        assert "\n" not in str(error)
    else:
        assert entry.domain == "in_domain" and (entry.md5 or entry.sha256)


def test_locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/manifest.yaml").write_text(text())
    manifest = (tmp_path / "data/manifest.yaml").as_uri()
    assert (
        location("data", tmp_path)
        == location("data/manifest.yaml", tmp_path)
        == location(str(tmp_path / "data"), Path("/"))
        == manifest
    )
    assert (
        location("http://host/x", tmp_path)
        == location("http://host/x/", tmp_path)
        == "http://host/x/manifest.yaml"
    )
    assert location("https://host/mine.yml", tmp_path) == "https://host/mine.yml"
    assert location("file:///d", tmp_path) == "file:///d/manifest.yaml"
    assert location("mrqa2019", tmp_path).endswith("/benchmark/acquisition/manifests/mrqa2019.yaml")
    monkeypatch.setenv("BMT_REAL_DATA", str(tmp_path / "data"))
    assert location("real", Path("/")) == manifest
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BMT_REAL_DATA", "data")  # relative to where one is, as a shell completes it
    assert location("real", Path("/")) == manifest
    monkeypatch.setenv("HOME", str(tmp_path))
    assert location("~/data", Path("/")) == manifest
    assert location("absent", tmp_path) == (tmp_path / "absent/manifest.yaml").as_uri()
    assert location("mine.yml", tmp_path) == (tmp_path / "mine.yml").as_uri()
    (tmp_path / "folder.yaml").mkdir()
    assert location("folder.yaml", tmp_path) == (tmp_path / "folder.yaml/manifest.yaml").as_uri()
    monkeypatch.delenv("BMT_REAL_DATA")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path / "data"))
    assert location("real", Path("/")) == (tmp_path / "shared/data/mrqa_real/manifest.yaml").as_uri()
    assert read_local("data", manifest).entries[0].url == (tmp_path / "data/a/b%20c.gz").as_uri().replace(
        "%25", "%"
    )


def test_an_absent_manifest_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read_local("real", (tmp_path / "manifest.yaml").as_uri())
    hint = "set BMT_REAL_DATA to the folder of the real data, or `sample` or `mrqa2019`"
    assert str(caught.value) == f"source.manifest 'real': no such file manifest.yaml: {hint}"
    assert caught.value.status == 2
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"'mine': no such file file/manifest\.yaml: give a folder, file or"
    ):
        read_local("mine", (tmp_path / "file/manifest.yaml").as_uri())
    (tmp_path / "manifest.yaml").write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"^manifest\.yaml: no manifest: it is no UTF-8 text$"):
        read_local("mine", (tmp_path / "manifest.yaml").as_uri())


@pytest.mark.skipif(
    not (SHARED / "data/mrqa_real/manifest.yaml").exists() and "BMT_REAL_DATA" not in os.environ,
    reason="the real subset is absent",
)
def test_the_real_subset_is_a_manifest():
    manifest = read_local("real", location("real", Path()))
    assert len(manifest.entries) == 17
    assert manifest.unlisted() == ("TextbookQA",)
    assert sum(entry.questions or 0 for entry in manifest.entries) == 10_728
