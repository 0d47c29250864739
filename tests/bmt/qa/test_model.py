"""Opening a model for spans: its dropout, its head's seed, rows for the markers, and what is no model."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers.utils import logging as transformers_logging

from bmt.errors import ModelError
from bmt.qa.adapters import add_adapters
from bmt.qa.batches import Batch
from bmt.qa.model import (
    batch_loss,
    grow_embeddings,
    open_model,
    open_tokenizer,
    quiet_transformers,
    span_logits,
    span_model,
)
from tests.support import tiny
from tests.support.tiny_tokenizers import MARKERS, fast


def saved(folder: Path, model: Any, family: str) -> Path:
    """A model with its tokenizer, whose vocabulary is larger than the model's embedding."""
    model.save_pretrained(folder)
    fast(family, []).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["bert", "t5"])
@pytest.mark.parametrize("dropout", [None, 0.0, 0.4])
def test_a_dropout_that_is_set_holds_at_every_place_and_else_the_model_s_own(
    family: str, dropout: float | None, tmp_path: Path
) -> None:
    folder = saved(tmp_path, tiny.bert(dropout=True) if family == "bert" else tiny.t5(), family)
    model, _ = span_model(folder, dropout=dropout)
    encoder = model.bert.encoder if family == "bert" else model.transformer.encoder
    used = {module.p for module in encoder.modules() if isinstance(module, torch.nn.Dropout)}
    usual = 0.1 if family == "bert" else 0.0
    assert used == {usual if dropout is None else dropout}
    if family == "bert":
        assert model.config.attention_probs_dropout_prob == (0.1 if dropout is None else dropout)


def test_new_rows_of_an_embedding_are_the_mean_of_the_old_which_stay_and_none_is_taken_away(
    tmp_path: Path,
) -> None:
    folder = saved(tmp_path, tiny.bert(), "bert")
    old = tiny.bert().get_input_embeddings().weight.detach()
    model, tokenizer = span_model(folder, markers=MARKERS)
    weight = model.get_input_embeddings().weight.detach()
    assert tokenizer.convert_tokens_to_ids("[PAR]") == len(tokenizer) - 1
    assert len(weight) == len(tokenizer) > len(old)
    assert torch.equal(weight[: len(old)], old)
    assert torch.equal(weight[len(old) :], old.mean(0).expand(len(weight) - len(old), -1))
    for count in (len(weight), 10):
        grow_embeddings(model, count)
        assert torch.equal(model.get_input_embeddings().weight, weight)


def test_a_head_is_drawn_under_its_seed(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    tiny.bert().bert.save_pretrained(folder)
    fast("bert", []).save_pretrained(folder)
    one, again, other = (span_model(folder, seed=seed)[0].qa_outputs.weight for seed in (3, 3, 4))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere: no model there \(no config\.json\)"):
        span_model(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"^nowhere: no model there \(no config\.json\): name a folder that"):
        span_model("./nowhere")  # a name that begins so is a folder's, not the hub's
    folder = saved(tmp_path / "broken", tiny.bert(), "bert")
    (folder / "config.json").write_text('{"model_type": "no such"}')
    with pytest.raises(ModelError, match="broken: cannot be opened as a model: "):
        open_model(folder)


def test_weights_of_any_precision_are_opened_in_fp32(tmp_path: Path) -> None:
    """A folder's weights may be in half precision: training and its masks are not."""
    half = tiny.bert().bfloat16()
    folder = saved(tmp_path / "half", half, "bert")
    for model in (span_model(folder)[0], open_model(folder)[0]):
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert torch.equal(model.qa_outputs.weight, half.qa_outputs.weight.float())
    for head, t5 in (("span", tiny.t5()), ("span_decoder", tiny.t5_decoder())):
        model = span_model(saved(tmp_path / head, t5.bfloat16(), "t5"), head=head)[0]
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    adapted = tiny.bert()
    add_adapters(adapted, ["A"])
    folder = saved(tmp_path / "adapted", adapted.bfloat16(), "bert")
    model = open_model(folder)[0]
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_transformers_speaks_again_after_a_model_was_opened(tmp_path: Path) -> None:
    level = transformers_logging.get_verbosity()
    try:
        transformers_logging.set_verbosity_info()
        with quiet_transformers():
            assert transformers_logging.get_verbosity() == logging.ERROR
        assert transformers_logging.get_verbosity() == logging.INFO
        with pytest.raises(InterruptedError), quiet_transformers():
            raise InterruptedError
        assert transformers_logging.get_verbosity() == logging.INFO
    finally:
        transformers_logging.set_verbosity(level)


@pytest.mark.parametrize("head", ["span", "span_decoder"])
@pytest.mark.parametrize("revision", [None, "abc"])
def test_tokenizer_configuration_and_weights_are_of_the_revision(
    head: str, revision: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, Any]] = []
    model = tiny.t5_decoder() if head == "span_decoder" else tiny.bert()

    def of(name: str, value: Any) -> Any:
        class Kind:
            @staticmethod
            def from_pretrained(source: str, **options: Any) -> Any:
                asked.append((name, source, options.get("revision")))
                loading = {"missing_keys": ["qa_outputs.weight"]}
                return (value, loading) if options.get("output_loading_info") else value

        Kind.__name__ = name
        return Kind

    monkeypatch.setattr("transformers.AutoTokenizer", of("AutoTokenizer", fast("bert", [])))
    monkeypatch.setattr("transformers.AutoConfig", of("AutoConfig", model.config))
    kinds = {"span": "AutoModelForQuestionAnswering", "span_decoder": "T5ForQuestionAnswering"}
    monkeypatch.setattr(f"transformers.{kinds[head]}", of(kinds[head], model))
    span_model("org/name", revision=revision, markers=[], head=head)
    assert sorted(asked) == sorted(
        (name, "org/name", revision) for name in ("AutoConfig", "AutoTokenizer", kinds[head])
    )


def test_markers_are_whole_tokens_that_are_neither_special_nor_normalised(tmp_path: Path) -> None:
    folder = saved(tmp_path, tiny.bert(), "bert")
    tokenizer = open_tokenizer(folder, markers=MARKERS)
    added = {token.content: token for token in tokenizer.added_tokens_decoder.values()}
    assert [(added[marker].special, added[marker].normalized) for marker in MARKERS] == [(False, False)] * 3
    ids = tokenizer("old [PAR] mill", add_special_tokens=False)["input_ids"]
    assert ids.count(tokenizer.convert_tokens_to_ids("[PAR]")) == 1
    assert tokenizer.decode(ids, skip_special_tokens=True).count("[PAR]") == 1  # it is text


@pytest.mark.parametrize("spans", ["marginal", "first"])
def test_the_loss_of_a_batch_is_the_mean_over_its_windows_for_the_spans_that_are_named(spans: str) -> None:
    """Position 0 and three tokens of context are allowed; all scores are equal: each has a quarter."""

    class Flat(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
            zeros = torch.zeros(input_ids.shape, dtype=torch.bfloat16)
            return SimpleNamespace(start_logits=zeros, end_logits=zeros)

    allowed = torch.tensor([[1, 0, 0, 1, 1, 1, 0]] * 2, dtype=torch.bool)
    gold = torch.tensor([[[3, 3], [4, 5]], [[0, 0], [-1, -1]]])
    batch = Batch({"input_ids": torch.ones(2, 7, dtype=torch.long)}, allowed, gold, [0, 0], 14)
    start, end = span_logits(Flat(), batch)
    assert start.dtype == end.dtype == torch.float32  # scores of half precision are summed in full
    loss = float(batch_loss(Flat(), batch, spans))
    ways = 2 if spans == "marginal" else 1
    assert loss == pytest.approx((math.log(16 / ways) + math.log(16)) / 2, rel=1e-6)
    assert float(batch_loss(Flat(), batch)) == pytest.approx((math.log(8) + math.log(16)) / 2, rel=1e-6)
