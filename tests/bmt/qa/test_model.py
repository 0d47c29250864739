"""Opening a model for spans: its dropout, its head's seed, rows for the markers, and what is no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from bmt.errors import ModelError
from bmt.qa.model import grow_embeddings, open_model, span_model
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
    folder = saved(tmp_path / "broken", tiny.bert(), "bert")
    (folder / "config.json").write_text('{"model_type": "no such"}')
    with pytest.raises(ModelError, match="broken: cannot be opened as a model: "):
        open_model(folder)
