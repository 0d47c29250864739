"""bmt.qa.cpu_dropout: the formulas against autograd under the same draws, the rates, the seed, and a model
that is given back as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from bmt.qa import cpu_dropout as dropout
from bmt.qa.batches import Batch, Vocabulary, collate
from bmt.qa.cpu_dropout import attention, dropped, kept, quick_dropout, takes_key_masks
from bmt.qa.model import span_logits
from tests.support import tiny

SCALE = 8**-0.5


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), requires_grad=True)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("p", [0.1, 0.5])
def test_attention_and_its_gradients_are_those_of_the_plain_formulas(p: float, padded: bool) -> None:
    q, k, v = (drawn(3, 2, 11, 8, seed=seed) for seed in range(3))
    shut = torch.zeros(3, 11, dtype=torch.bool)
    if padded:
        shut[1, 7:] = shut[2, 10:] = True
    torch.manual_seed(5)
    keep, factor = kept((3, 2, 11, 11), p)
    scores = (q @ k.transpose(-1, -2) * SCALE).masked_fill(shut[:, None, None], -torch.inf)
    want = (scores.softmax(-1) * keep * factor) @ v
    torch.manual_seed(5)
    found = attention(q, k, v, shut[:, None] if padded else None, p, SCALE)
    assert torch.allclose(found, want, atol=1e-6) and not torch.allclose(
        found, scores.softmax(-1) @ v, atol=1e-2
    )
    weights = torch.randn(want.shape)
    for own, other in zip(
        torch.autograd.grad((found * weights).sum(), (q, k, v)),
        torch.autograd.grad((want * weights).sum(), (q, k, v)),
        strict=True,
    ):
        assert torch.allclose(own, other, atol=2e-6)


def test_nothing_dropped_is_torchs_attention() -> None:
    q, k, v = (drawn(2, 3, 20, 8, seed=seed) for seed in range(3))
    want = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    assert torch.allclose(attention(q, k, v, None, 1e-9, SCALE), want, atol=1e-6)


def test_rates_and_means() -> None:
    """Of a million entries the rate within 5 standard deviations; the factor keeps the mean; forward and
    backward drop the same entries.
    """
    torch.manual_seed(0)
    for p in (0.1, 0.3):
        keep, factor = kept((1000, 1000), p)
        assert abs(float(keep.double().mean()) - (1 - p)) < 5 * np.sqrt(
            p * (1 - p) / 1e6
        ) and factor == pytest.approx(1 / (1 - p), rel=1e-4)
    x = torch.ones(501, 3, requires_grad=True)
    out = dropped(x, 0.3)
    [grad] = torch.autograd.grad(out.sum(), x)
    assert torch.equal(out, grad) and out.unique().tolist() == [0, pytest.approx(1 / 0.7, rel=1e-4)]
    assert bool(kept((9,), 0.0)[0].all()) and kept((9,), 0.0)[1] == 1


def test_a_seed_fixes_the_draws_and_each_call_has_its_own() -> None:
    torch.manual_seed(3)
    first, second = kept((50, 7), 0.5)[0], kept((50, 7), 0.5)[0]
    torch.manual_seed(3)
    assert torch.equal(kept((50, 7), 0.5)[0], first) and not torch.equal(first, second)


def loss_of(model: torch.nn.Module, seed: int = 0) -> torch.Tensor:
    torch.manual_seed(seed)
    ids = torch.randint(1, 90, (4, 12))
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    loss: torch.Tensor = model(
        input_ids=ids, attention_mask=mask, start_positions=torch.arange(4), end_positions=torch.arange(4) + 1
    ).loss
    return loss


def test_a_model_uses_it_in_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"attention": 0, "dropped": 0}

    def counted(name: str, own: object) -> object:
        def call(*args: object) -> object:
            calls[name] += 1
            return own(*args)  # type: ignore[operator]

        return call

    for name in calls:
        monkeypatch.setattr(dropout, name, counted(name, getattr(dropout, name)))
    model = tiny.bert(dropout=True).train()
    before = loss_of(model)
    with quick_dropout(model):
        inside, again = loss_of(model), loss_of(model)
        assert (
            calls == {"attention": 4, "dropped": 2 * (1 + 2 * 2)}
            and torch.equal(inside, again)
            and not torch.equal(inside, before)
        )
        inside.backward()
        assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters() if p.grad is not None)
        model.eval()
        quiet = loss_of(model)
        model.train()
    assert (
        calls["attention"] == 4
        and torch.equal(loss_of(model), before)
        and model.config._attn_implementation == "sdpa"
    )
    model.eval()
    assert float(quiet.detach()) == pytest.approx(float(loss_of(model).detach()), abs=1e-6)
    assert not any("forward" in vars(module) for module in model.modules())


def test_the_mean_loss_is_that_of_torchs_dropout() -> None:
    """Two hundred draws of each: means within five standard errors, and spreads within a quarter."""
    model = tiny.bert(dropout=True).train()
    with torch.no_grad():
        torchs = torch.stack([loss_of_draw(model, seed) for seed in range(200)])
        with quick_dropout(model):
            ours = torch.stack([loss_of_draw(model, seed) for seed in range(200)])
    error = float(torch.sqrt((torchs.var() + ours.var()) / 200))
    assert abs(float(torchs.mean() - ours.mean())) < 5 * error and float(
        ours.std() / torchs.std()
    ) == pytest.approx(1, abs=0.25)


def loss_of_draw(model: torch.nn.Module, seed: int) -> torch.Tensor:
    ids = torch.arange(1, 49).reshape(4, 12)
    torch.manual_seed(seed)
    loss: torch.Tensor = model(
        input_ids=ids, start_positions=torch.arange(4), end_positions=torch.arange(4) + 1
    ).loss
    return loss


@pytest.mark.parametrize("build", [tiny.bert, tiny.roberta, tiny.t5])
def test_a_mask_that_is_known_gives_the_same_scores(
    build: Callable[[], PreTrainedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padded and unpadded passes alike; transformers then asks no mask whether all of it is true."""
    own, model = [tiny.windows("A", 12)], build().eval()
    vocabulary = Vocabulary(pad=1, token_types=model.config.model_type == "bert")
    assert takes_key_masks(model) == (model.config.model_type != "t5")
    longest = int(own[0].lengths.argmax())
    for picks in ([(0, row) for row in range(12)], [(0, longest)]):
        batch = collate(own, picks, vocabulary)
        out = model(**batch.inputs)
        want = (out.start_logits, out.end_logits) if takes_key_masks(model) else out.logits.unbind(-1)
        with monkeypatch.context() as patch:
            if takes_key_masks(model):
                assert ("attention_mask" in batch.with_known_padding().inputs) == (len(picks) > 1)
                patch.setattr(torch.Tensor, "all", lambda *_: pytest.fail("a mask was looked at"))
            found = span_logits(model, batch)
        for given, wanted in zip(found, want, strict=True):
            assert torch.allclose(given[batch.allowed], wanted[batch.allowed], atol=1e-6)


def test_other_models_are_left_alone() -> None:
    for model in (tiny.t5(), torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Dropout(0.5))):
        model = copy.deepcopy(model).train()
        with quick_dropout(model):
            assert not any("forward" in vars(module) for module in model.modules())
    model = tiny.bert()  # without dropout the attention is torch's
    with quick_dropout(model):
        inside = loss_of(model)
    assert torch.equal(inside, loss_of(model))


def test_a_block_that_fails_gives_the_model_back_as_it_was() -> None:
    model = tiny.bert(dropout=True).train()
    before = loss_of(model)
    with pytest.raises(InterruptedError), quick_dropout(model):
        assert model.config._attn_implementation == dropout.NAME
        raise InterruptedError
    assert model.config._attn_implementation == "sdpa" and torch.equal(loss_of(model), before)
    assert not any("forward" in vars(module) for module in model.modules())


def test_half_precision_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("attention", "dropped"):
        monkeypatch.setattr(dropout, name, lambda *_: pytest.fail("fp32 alone is ours"))
    model = tiny.bert(dropout=True).train().bfloat16()
    with quick_dropout(model):
        assert bool(torch.isfinite(loss_of(model)))


def test_a_dropout_of_everything_or_nothing_is_torchs() -> None:
    x = torch.ones(1_000_000)  # sixteen bits decide: at a rate of 1 some fifteen of these would stay
    for p in (0.0, 1.0):
        module = torch.nn.Dropout(p).train()
        torch.manual_seed(0)
        assert torch.equal(dropout._forward_of(module)(x), module(x)) and bool((module(x) == 1 - p).all())
    module = torch.nn.Dropout(0.5).eval()
    assert torch.equal(dropout._forward_of(module)(x), x)


def test_a_model_that_attends_otherwise_or_decodes_is_left_alone() -> None:
    for changes in ({"_attn_implementation": "eager"}, {"is_decoder": True}):
        model = tiny.bert(dropout=True).train()
        for key, value in changes.items():
            setattr(model.config, key, value)
        assert not takes_key_masks(model)
        with quick_dropout(model):
            assert not any("forward" in vars(module) for module in model.modules())
            assert model.config._attn_implementation == changes.get("_attn_implementation", "sdpa")


@pytest.mark.parametrize("scaling", [None, 0.7])
@pytest.mark.parametrize("padded", [False, True])
def test_a_layer_s_attention_has_its_mask_its_scale_and_its_rate(padded: bool, scaling: float | None) -> None:
    q, k, v = (drawn(3, 2, 11, 8, seed=seed).detach() for seed in range(3))
    seen = torch.ones(3, 1, 1, 11, dtype=torch.bool)
    seen[1, ..., 7:] = seen[2, ..., 10:] = False
    mask = seen.expand(3, 1, 11, 11) if padded else None
    torch.manual_seed(5)
    found, _ = dropout._for_transformers(torch.nn.Module(), q, k, v, mask, dropout=0.3, scaling=scaling)
    torch.manual_seed(5)
    want = attention(q, k, v, ~seen[:, 0] if padded else None, 0.3, scaling or SCALE)
    assert torch.equal(found, want.transpose(1, 2)) and found.is_contiguous()
    other = attention(q, k, v, None if padded else ~seen[:, 0], 0.3, scaling or SCALE)
    assert not torch.allclose(found, other.transpose(1, 2))


@pytest.mark.parametrize("build", [tiny.bert, tiny.roberta])
def test_padding_is_not_attended_to_where_there_is_dropout(build: Callable[..., PreTrainedModel]) -> None:
    """Under the same draws, other tokens in the padding change no score of a real token."""
    model = build().train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.2
    own = [tiny.windows("A", 12)]
    batch = collate(own, [(0, row) for row in range(12)], Vocabulary(pad=1, token_types=False))
    real = batch.inputs["attention_mask"].bool()
    scores = []
    for filling in (1, 5):
        batch.inputs["input_ids"][~real] = filling
        torch.manual_seed(4)
        with quick_dropout(model), torch.no_grad():
            inputs = batch.inputs | {"position_ids": torch.arange(real.shape[1]).expand(real.shape) + 2}
            given = Batch(inputs, batch.allowed, batch.spans, batch.owner, batch.tokens)
            scores.append(span_logits(model, given))
    for one, other in zip(*scores, strict=True):
        assert torch.allclose(one[real], other[real], atol=1e-6) and not torch.allclose(
            one[~real], other[~real]
        )
