"""T5 with the span head on its decoder's outputs: opened, saved, trained under masks, and refused where it
cannot be.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import (
    T5Config,
    T5ForConditionalGeneration,
    T5ForQuestionAnswering,
    T5ForTokenClassification,
)

from benchmark import fetch
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.cells import parse
from benchmark.config.digests import section_digest
from benchmark.config.params import find_cell, load
from benchmark.runs.evaluation_run import evaluate_cell
from benchmark.runs.training_run import train_cell
from bmt.errors import ConfigError, ModelError
from bmt.layers import layer_of, target_names
from bmt.masks import Masks
from bmt.qa.adapters import add_adapters
from bmt.qa.model import open_model, span_model
from tests.support import project

DECODER = "decoder.block.1.layer.1.EncDecAttention.q.weight"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a whole tiny T5, an encoder alone and a BERT; the T5's features are there."""
    folder, corpus = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("corpus")
    write_corpus(corpus)
    texts = project.corpus_texts(corpus)
    for name in ("t5", "encoder"):
        project.write_t5(folder / "backbones" / name, texts)
    project.write_bert(folder / "backbones" / "bert", texts)
    vocabulary = json.loads((folder / "backbones" / "t5" / "config.json").read_text(encoding="utf-8"))[
        "vocab_size"
    ]
    torch.manual_seed(0)
    config = T5Config(vocab_size=vocabulary, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    T5ForConditionalGeneration(config).save_pretrained(folder / "backbones" / "t5")
    values = project.params(["t5"], ["t5.mt.bmt.s0"], manifest=str(corpus))
    values["backbones"]["t5"]["head"] = "span_decoder"
    project.write_params(folder, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(folder))
        assert fetch.main([]) == 0
        prepare(load(), workers=1)
    return folder


@pytest.fixture(autouse=True)
def here(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in that project."""
    monkeypatch.setenv("BMT_ROOT", str(root))
    monkeypatch.setenv("BMT_TRACKING", "journal")


def test_the_switch_opens_the_whole_t5_with_its_weights_and_the_head_on_the_decoder(root: Path) -> None:
    source = root / "backbones" / "t5"
    model, tokenizer = span_model(source, head="span_decoder", seed=3)
    assert isinstance(model, T5ForQuestionAnswering) and model.qa_outputs.weight.shape == (2, 32)
    kept, own = load_file(source / "model.safetensors"), dict(model.named_parameters())
    assert torch.equal(own[DECODER], kept[DECODER]) and torch.equal(
        own["shared.weight"][: kept["shared.weight"].shape[0]], kept["shared.weight"]
    )
    assert len(own["shared.weight"]) >= len(tokenizer)
    assert model.encoder.embed_tokens.weight is model.decoder.embed_tokens.weight is model.shared.weight
    assert torch.equal(
        model.qa_outputs.weight, span_model(source, head="span_decoder", seed=3)[0].qa_outputs.weight
    )
    assert not torch.equal(
        model.qa_outputs.weight, span_model(source, head="span_decoder", seed=4)[0].qa_outputs.weight
    )
    plain, _ = span_model(source)
    assert isinstance(plain, T5ForTokenClassification) and not any(
        name.startswith("decoder") for name, _ in plain.named_parameters()
    )


def test_its_scores_are_the_decoder_s_of_the_input_a_token_behind(root: Path) -> None:
    model, _ = span_model(root / "backbones" / "t5", head="span_decoder")
    model.eval()
    ids = torch.tensor([[5, 9, 7, 30, 1], [8, 6, 1, 0, 0]])
    attention = (ids != 0).long()
    out = model(input_ids=ids, attention_mask=attention)
    assert out.past_key_values is None  # nothing kept for a next token
    behind = torch.cat([torch.zeros(2, 1, dtype=torch.long), ids[:, :-1]], 1)
    encoded = model.encoder(input_ids=ids, attention_mask=attention).last_hidden_state
    decoded = model.decoder(
        input_ids=behind, encoder_hidden_states=encoded, encoder_attention_mask=attention, use_cache=False
    )
    want = model.qa_outputs(decoded.last_hidden_state)
    assert torch.allclose(torch.stack([out.start_logits, out.end_logits], -1), want, atol=1e-6)


def test_it_is_opened_as_it_was_saved(root: Path, tmp_path: Path) -> None:
    ids = torch.tensor([[5, 9, 7, 30, 1]])
    for head, kind in (("span_decoder", T5ForQuestionAnswering), ("span", T5ForTokenClassification)):
        model, tokenizer = span_model(root / "backbones" / "t5", head=head)
        model.save_pretrained(tmp_path / head)
        tokenizer.save_pretrained(tmp_path / head)
        again, _ = open_model(tmp_path / head)
        assert type(again) is kind
        mine, theirs = (
            one.eval()(input_ids=ids, attention_mask=torch.ones_like(ids)) for one in (model, again)
        )
        assert torch.equal(mine[0], theirs[0])


def test_encoder_and_decoder_are_masked_and_their_layers_told_apart(root: Path) -> None:
    model, _ = span_model(root / "backbones" / "t5", head="span_decoder")
    names = target_names(model)
    assert (
        DECODER in names
        and "encoder.block.0.layer.0.SelfAttention.q.weight" in names
        and "shared.weight" in names
    )
    assert [name for name, _ in model.named_parameters() if name not in names] == [
        "qa_outputs.weight",
        "qa_outputs.bias",
    ]
    assert (
        layer_of(DECODER) == "decoder_01"
        and layer_of("encoder.block.1.layer.0.SelfAttention.q.weight") == "layer_01"
    )
    assert layer_of("transformer.encoder.block.1.layer.0.SelfAttention.q.weight") == "layer_01"


def test_a_cell_trains_under_learned_masks_and_is_scored(root: Path) -> None:
    config = load()
    train_cell(config, parse("t5.mt.bmt.s0"))
    evaluate_cell(config, parse("t5.mt.bmt.s0"))
    folder = root / "runs" / "tiny" / "t5.mt.bmt.s0"
    masks = Masks.load(folder / "masks" / "masks.safetensors")
    assert DECODER in masks.shapes and masks.densities() == pytest.approx(
        dict.fromkeys(project.DATASETS, 0.3), abs=1e-4
    )
    start, end, union = (
        load_file(root / "backbones" / "t5" / "model.safetensors"),
        load_file(folder / "model" / "model.safetensors"),
        masks.union(),
    )
    moved = 0
    for name in masks.shapes:
        if name in start and start[name].shape == end[name].shape:
            open_ = union.mask("union", name)
            assert torch.equal(end[name][~open_], start[name][~open_]), name
            moved += int((end[name] != start[name]).sum())
    assert moved > 0 and not torch.equal(start[DECODER], end[DECODER])
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    assert {"layer/layer_00", "layer/decoder_00"} <= set(record["deviation"])
    result = json.loads((root / "results" / "tiny" / "t5.mt.bmt.s0.json").read_text(encoding="utf-8"))
    assert set(result["datasets"]) == {*project.DATASETS, *project.OTHERS}
    model, _ = open_model(folder / "model")
    assert isinstance(model, T5ForQuestionAnswering)


def test_the_head_decides_a_cell_s_digest(root: Path, tmp_path: Path) -> None:
    text = (root / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "p.yaml").write_text(text.replace("span_decoder", "span"), encoding="utf-8")
    assert section_digest(load(tmp_path / "p.yaml"), "t5.mt.bmt.s0") != section_digest(load(), "t5.mt.bmt.s0")


def test_what_cannot_have_it_is_said_in_one_line(root: Path) -> None:
    with pytest.raises(
        ModelError,
        match=r"backbones/bert: head span_decoder is not allowed for a bert: only for T5; "
        r"span has the encoder's head",
    ):
        span_model(root / "backbones" / "bert", head="span_decoder")
    with pytest.raises(
        ModelError,
        match=r"backbones/encoder: head span_decoder needs the whole T5, "
        r"and its weights lack decoder\.block\.0\.",
    ):
        span_model(root / "backbones" / "encoder", head="span_decoder")
    with pytest.raises(
        ConfigError,
        match=r"backbones\.t5\.head: span_decoder is not allowed with adapters: span, whose adapters",
    ):
        find_cell(load(), "t5.mt.bmt.adapter.s0")
    model, _ = span_model(root / "backbones" / "t5", head="span_decoder")
    with pytest.raises(
        ModelError,
        match="T5ForQuestionAnswering cannot get adapters: "
        "only span models on BERT, RoBERTa and T5's encoder",
    ):
        add_adapters(model, ["SQuAD"])
