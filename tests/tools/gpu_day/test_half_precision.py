"""Weights that travel as fp16: their identity says so, and they are trained in fp32."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark.config.backbones import locate
from benchmark.config.params import Backbone, load
from bmt.errors import ModelError
from bmt.qa.model import span_model
from bmt.runtime.files import file_digest
from tests.support.repository import ROOT
from tools.gpu_day.half_precision import write_half_precision
from tools.gpu_day.pack import WHOLE, WHOLE_PROFILE
from tools.gpu_day.rehearsal_project import write_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder in fp32."""
    folder = tmp_path_factory.mktemp("encoder")
    write_encoder(folder, ["the old mill by the river was built in 1804", "nobody knows why"])
    return folder


def test_the_same_bytes_each_time_and_an_identity_of_their_own(encoder: Path, tmp_path: Path) -> None:
    digests = {write_half_precision(encoder, tmp_path / name) for name in ("one", "two")}
    assert len(digests) == 1
    weights, halved = (load_file(folder / "model.safetensors") for folder in (encoder, tmp_path / "one"))
    assert {value.dtype for value in halved.values()} == {torch.float16}
    assert all(torch.equal(halved[name], value.half()) for name, value in weights.items())
    assert json.loads((tmp_path / "one/config.json").read_text())["dtype"] == "float16"
    backbone = Backbone("folder", str(tmp_path / "one"), None, *digests, "span")
    identity = locate("tiny", backbone).identity
    assert identity == f"sha256:{file_digest(tmp_path / 'one/model.safetensors')}"
    assert identity != f"sha256:{file_digest(encoder / 'model.safetensors')}"


def test_fp16_weights_are_trained_in_fp32(encoder: Path, tmp_path: Path) -> None:
    write_half_precision(encoder, tmp_path / "half")
    model, _ = span_model(tmp_path / "half")
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    query = "encoder.layer.1.attention.self.query.weight"
    whole = load_file(encoder / "model.safetensors")[query]
    assert torch.equal(dict(model.named_parameters())[f"bert.{query}"], whole.half().float())
    assert not torch.equal(whole.half().float(), whole)


def test_what_fp16_does_not_have_is_refused(encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    save_file({"w": torch.tensor([1.0, 7e4])}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=r"model\.safetensors: w: values beyond 65504"):
        write_half_precision(tmp_path, tmp_path / "half")
    assert not (tmp_path / "half").exists()


def test_other_weights_than_the_profile_names_are_refused(encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"in fp16, the params file has 000: other weights, or another"):
        write_half_precision(encoder, tmp_path / "half", "000")
    assert not (tmp_path / "half").exists()


def test_weights_that_are_there_are_left(encoder: Path, tmp_path: Path) -> None:
    digest = write_half_precision(encoder, tmp_path / "half")
    before = (tmp_path / "half/model.safetensors").stat().st_mtime_ns
    assert write_half_precision(tmp_path / "absent", tmp_path / "half", digest) == digest
    assert (tmp_path / "half/model.safetensors").stat().st_mtime_ns == before


def test_other_weights_that_are_there_are_made_anew(encoder: Path, tmp_path: Path) -> None:
    """Of an older version, or damaged: results would carry the digest of weights that were not trained."""
    digest = write_half_precision(encoder, tmp_path / "half")
    weights = tmp_path / "half/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert write_half_precision(encoder, tmp_path / "half", digest) == digest == file_digest(weights)


def test_the_profile_names_the_fp16_of_the_package(tmp_path: Path) -> None:
    [backbone] = load(ROOT / "profiles" / "mini_gpu.yaml").backbones.values()
    source = locate(WHOLE, load(ROOT / "profiles" / f"{WHOLE_PROFILE}.yaml").backbones[WHOLE]).source
    assert write_half_precision(Path(source), tmp_path / "half") == backbone.sha256
