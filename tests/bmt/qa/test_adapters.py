"""Adapter banks: a mixed batch against one pass a row, counts, near-identity, means, phase 2, files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    PreTrainedModel,
    RobertaConfig,
    RobertaForQuestionAnswering,
    T5ForTokenClassification,
)

import bmt
from bmt.deviation import pretrained_copy
from bmt.errors import ConfigError, ModelError
from bmt.layers import in_encoder, is_head, kind_of, layer_of, target_names
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.qa.adapters import (
    AdapterBank,
    Adapters,
    HeadBank,
    adapter_size,
    adapters_of,
    add_adapters,
    alone,
    averaged,
    banks,
    check_order,
    dataset_adapter,
    datasets_of,
)
from bmt.qa.batches import collate
from bmt.qa.model import open_model, span_logits, span_nll
from bmt.transfer.adapter_tuning import only_adapter
from tests.support import tiny
from tests.support.tiny_tokenizers import fast

NAMES = ("A", "B", "C")
OWNER = [0, 2, 0, 1, 2, 2]
BUILDS = [tiny.bert, tiny.roberta, tiny.t5]


@torch.no_grad()
def stirred(model: PreTrainedModel, seed: int = 5) -> PreTrainedModel:
    """Every adapter and head far from where it started, each dataset's its own."""
    generator = torch.Generator().manual_seed(seed)
    for bank in banks(model):
        for parameter in bank.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def adapted(
    build: Callable[[], PreTrainedModel] = tiny.bert, names: tuple[str, ...] = NAMES
) -> PreTrainedModel:
    model = build().eval()
    add_adapters(model, names, seed=1)
    return stirred(model)


def inputs(rows: int = 6) -> dict[str, torch.Tensor]:
    tokens = torch.randint(5, 90, (rows, 11), generator=torch.Generator().manual_seed(0))
    attention = torch.ones_like(tokens)
    attention[2, 8:] = 0
    return {"input_ids": tokens, "attention_mask": attention}


def scores(model: nn.Module, given: dict[str, torch.Tensor]) -> torch.Tensor:
    out = model(**given)
    return torch.stack([out.start_logits, out.end_logits], -1) if hasattr(out, "start_logits") else out.logits


class PlainAdapter(nn.Module):
    """The oracle: one dataset's adapter of two `nn.Linear`."""

    def __init__(self, bank: AdapterBank, row: int) -> None:
        super().__init__()
        self.down = nn.Linear(bank.down.shape[2], bank.down.shape[1])
        self.up = nn.Linear(bank.down.shape[1], bank.down.shape[2])
        with torch.no_grad():
            self.down.weight.copy_(bank.down[row])
            self.down.bias.copy_(bank.down_bias[row])
            self.up.weight.copy_(bank.up[row])
            self.up.bias.copy_(bank.up_bias[row])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.up(F.silu(self.down(x)))


class Oracle:
    """A plain model for one dataset, with `nn.Linear` adapters and head that hold a bank's values; parameters
    by the bank's names.
    """

    def __init__(self, build: Callable[[], PreTrainedModel], model: PreTrainedModel, row: int) -> None:
        self.model = build().eval()
        head = "qa_outputs" if hasattr(self.model, "qa_outputs") else "classifier"
        theta = dict(model.named_parameters())
        self.own: dict[str, torch.Tensor] = {}
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if in_encoder(name):
                    parameter.copy_(theta[name])
                else:
                    parameter.copy_(theta[name][row])
                    self.own[name] = parameter
        places = dict(self.model.named_modules())
        for name, module in model.named_modules():
            if isinstance(module, AdapterBank):
                plain = PlainAdapter(module, row)
                place: Any = places[name.removesuffix(".adapter")]
                place.dropout = nn.Sequential(place.dropout, plain)
                for key, parameter in (("down", plain.down), ("up", plain.up)):
                    self.own[f"{name}.{key}"], self.own[f"{name}.{key}_bias"] = (
                        parameter.weight,
                        parameter.bias,
                    )
        assert f"{head}.weight" in self.own


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("owner", [OWNER, [0, 0, 1, 1, 1, 2], [1] * 6])
def test_a_mixed_batch_is_each_row_through_its_own_adapter(
    build: Callable[[], PreTrainedModel], owner: list[int]
) -> None:
    model, given = adapted(build), inputs()
    target = torch.randn(6, 11, 2, generator=torch.Generator().manual_seed(3))
    handle = adapters_of(model)
    assert handle is not None
    handle.rows([NAMES[row] for row in owner])
    found = scores(model, given)
    ((found - target) ** 2).sum().backward()

    oracles = [Oracle(build, model, row) for row in range(3)]
    want = torch.cat(
        [
            scores(oracles[who].model, {key: value[i : i + 1] for key, value in given.items()})
            for i, who in enumerate(owner)
        ]
    )
    ((want - target) ** 2).sum().backward()
    torch.testing.assert_close(found, want, rtol=1e-6, atol=3e-6)

    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        if in_encoder(name):
            grads = [dict(oracle.model.named_parameters())[name].grad for oracle in oracles]
            expected = torch.stack([grad for grad in grads if grad is not None]).sum(0)
        else:
            grads = [oracle.own[name].grad for oracle in oracles]
            expected = torch.stack(
                [torch.zeros_like(parameter[0]) if grad is None else grad for grad in grads]
            )
        # The key's bias shifts all scores of a query alike: its gradient is 0 but for rounding, so the bound
        # is absolute there.
        assert (parameter.grad - expected).norm() <= 3e-6 * expected.norm() + 1e-4, name
        if "key.bias" not in name:
            assert (parameter.grad - expected).norm() <= 3e-6 * expected.norm() + 1e-7, name
    assert len({name for name, _ in model.named_parameters() if not in_encoder(name)}) == 4 * 4 + 2


def test_one_dataset_alone_needs_no_rows_and_is_what_it_was_among_the_others() -> None:
    model, given = adapted(), inputs()
    handle = adapters_of(model)
    assert handle is not None
    handle.rows([1] * 6)
    want = scores(model, given)
    handle.rows(torch.tensor(OWNER))
    with handle.only("B"):  # wins over the rows
        torch.testing.assert_close(scores(model, given), want, rtol=1e-6, atol=1e-6)
    single = alone(model, "B")
    assert datasets_of(single) == ("B",) and datasets_of(model) == NAMES and datasets_of(tiny.bert()) == ()
    torch.testing.assert_close(scores(single, given), want, rtol=1e-6, atol=1e-6)
    assert not torch.equal(scores(model, given), want)  # outside the block the rows hold again


def test_rows_that_were_not_said_are_an_error() -> None:
    model, given = adapted(), inputs()
    handle = adapters_of(model)
    assert handle is not None
    with pytest.raises(
        ModelError, match=r"adapters for 3 datasets \(A, B, C\) and nobody said whose the batch's rows are"
    ):
        model(**given)
    handle.rows([0, 1])
    with pytest.raises(ModelError, match=r"the batch has 6 rows and adapters_of\(model\).rows\(…\) named 2"):
        model(**given)
    with pytest.raises(
        ModelError,
        match=r"dataset .TextbookQA. has no adapter: there are adapters for A, B, C; .*adapter='average'",
    ):
        handle.rows(["A", "TextbookQA"])
    with pytest.raises(ModelError, match="dataset 3 has no adapter"):
        handle.rows([3])
    with pytest.raises(ModelError, match="dataset 'D' has no adapter"), handle.only("D"):
        pass


def test_training_on_other_datasets_or_in_another_order_is_refused() -> None:
    check_order(adapted(), NAMES)
    check_order(tiny.bert(), ("X",))
    check_order(averaged(adapted()), ("X",))
    for other in (("A", "C", "B"), ("A", "B")):
        with pytest.raises(
            ModelError, match=f"adapters for A, B, C, and is trained on {', '.join(other)}: give the same"
        ):
            check_order(adapted(), other)


def test_a_dataset_is_answered_by_its_own_adapter() -> None:
    model, given = adapted(), inputs()
    with dataset_adapter(model, "C"):
        mine = scores(model, given)
    with adapters_of(model).only("C"):  # type: ignore[union-attr]
        assert torch.equal(scores(model, given), mine)
        with dataset_adapter(model, "A"):  # what was chosen for a purpose stays
            assert torch.equal(scores(model, given), mine)
    with pytest.raises(ModelError, match="dataset 'BioASQ' has no adapter"), dataset_adapter(model, "BioASQ"):
        pass
    for other in (tiny.bert(), averaged(model)):
        with dataset_adapter(other, "BioASQ"):
            scores(other, given)


def test_a_training_batch_says_its_rows_and_a_batch_without_gradients_is_not_believed() -> None:
    model = adapted()
    handle = adapters_of(model)
    assert handle is not None
    sets = [tiny.windows(name, 5, seed, cue=7 + seed) for seed, name in enumerate(NAMES)]
    batch = collate(sets, [(2, 0), (0, 1), (2, 3), (1, 2)], tiny.VOCAB)
    assert batch.owner == [0, 1, 2, 2]
    start, end = span_logits(model, batch)
    handle.rows([0, 1, 2, 2])
    want = scores(model, batch.inputs)
    assert torch.equal(torch.stack([start, end], -1), want)
    span_logits(model, batch)
    with pytest.raises(ModelError, match="nobody said"):  # what a batch said does not hold for the next one
        model(**batch.inputs)
    with torch.no_grad():
        with pytest.raises(ModelError, match="nobody said"):
            span_logits(model, batch)
        with handle.only("C"):
            mine = span_nll(*span_logits(model, batch), batch)
        handle.rows([2, 2, 2, 2])
        assert torch.equal(span_nll(*span_logits(model, batch), batch), mine)


@pytest.mark.parametrize("build", BUILDS)
def test_a_fresh_adapter_is_near_the_identity(build: Callable[[], PreTrainedModel]) -> None:
    plain, model = build().eval(), build().eval()
    add_adapters(model, NAMES, seed=1)
    before, after = (encoder_output(one, inputs()) for one in (plain, model))
    assert 0 < (after - before).norm() < 1e-3 * before.norm() and (after - before).abs().max() < 1e-3
    want = scores(plain, inputs())
    adapters_of(model).rows(OWNER)  # type: ignore[union-attr]
    assert (scores(model, inputs()) - want).norm() < 1e-3 * want.norm()  # each head starts as the model's own


def encoder_output(model: Any, given: dict[str, torch.Tensor]) -> torch.Tensor:
    """The last hidden states, rows of all datasets in one batch."""
    handle = adapters_of(model)
    if handle is not None:
        handle.rows(OWNER if len(handle.datasets) > 1 else [0] * 6)
    with torch.no_grad():
        out: torch.Tensor = getattr(model, model.base_model_prefix)(**given)[0]
    return out


def test_a_fresh_adapter_is_near_the_identity_at_the_size_of_a_base_model() -> None:
    torch.manual_seed(0)
    size = {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "intermediate_size": 128,
    }  # narrow inside, where no adapter is: twice as fast
    model = BertForQuestionAnswering(BertConfig(vocab_size=100, **size)).eval()
    plain = encoder_output(model, inputs())
    add_adapters(model, ("A",), seed=0)
    fresh = encoder_output(model, inputs())
    assert (
        1e-5 * plain.norm() < (fresh - plain).norm() < 1e-3 * plain.norm()
        and (fresh - plain).abs().max() < 1e-3 * plain.abs().max()
    )


def test_fresh_adapters_are_drawn_by_seed_and_dataset() -> None:
    def downs(names: tuple[str, ...], **options: Any) -> torch.Tensor:
        model = tiny.bert()
        add_adapters(model, names, **options)
        return torch.stack([bank.down.detach() for bank in banks(model) if isinstance(bank, AdapterBank)], 1)

    three = downs(NAMES, seed=1)
    assert torch.equal(three, downs(NAMES, seed=1)) and not torch.equal(three, downs(NAMES, seed=2))
    assert torch.equal(downs(("C", "X"), seed=1)[0], three[2])  # whatever other datasets there are
    assert not torch.equal(three[0], three[1]) and not torch.equal(three[0, 0], three[0, 1])
    same = downs(NAMES, seed=1, alike=True)
    assert torch.equal(same[0], same[1]) and torch.equal(same[0], same[2])
    many = downs(NAMES, seed=1, bottleneck=400).double()
    assert float(many.abs().max()) <= 2e-3
    assert float(many.std()) == pytest.approx(0.8796e-3, rel=0.01)  # of a normal cut at 2 sd
    assert all(
        not bool(bank.down_bias.any() | bank.up_bias.any())
        for bank in banks(fresh())
        if isinstance(bank, AdapterBank)
    )


def fresh() -> PreTrainedModel:
    model = tiny.bert()
    add_adapters(model, NAMES)
    return model


def test_parameters_are_counted_and_named() -> None:
    with torch.device("meta"):
        base = RobertaForQuestionAnswering(
            RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)
        )
    plain = sum(parameter.numel() for parameter in base.parameters())
    add_adapters(base, ("SQuAD", "HotpotQA", "TriviaQA", "NewsQA", "SearchQA", "NaturalQuestions"))
    assert adapter_size(base) == 1_789_056 == 24 * (768 * 48 + 48 + 48 * 768 + 768)
    assert sum(parameter.numel() for parameter in base.parameters()) == plain + 6 * 1_789_056 + 5 * (
        2 * 768 + 2
    )
    for model in (fresh(), adapted(tiny.roberta), adapted(tiny.t5)):
        own = [name for name, _ in model.named_parameters() if not in_encoder(name)]
        assert not set(own) & set(target_names(model)) and not set(own) & set(pretrained_copy(model))
        assert {kind_of(name) for name in own} == {"adapter", "head"} and sum(map(is_head, own)) == 2
        assert {layer_of(name) for name in own} == {"layer_00", "layer_01", "head"}
        assert adapter_size(model) == 4 * (32 * 2 + 2 + 2 * 32 + 32)
        assert all(parameter.shape[0] == 3 for bank in banks(model) for parameter in bank.parameters())
    assert "bert.encoder.layer.1.attention.output.adapter.up_bias" in dict(fresh().named_parameters())


def test_masks_act_on_theta_and_leave_adapters_and_heads_alone() -> None:
    """One backward of masked theta: adapters' gradients are the plain ones, theta's are masked by dataset."""
    model, given = adapted(), inputs()
    handle = adapters_of(model)
    assert handle is not None
    owner = [0, 0, 1, 1, 2, 2]
    handle.rows(owner)
    scores(model, given).square().sum().backward()
    plain = {
        name: parameter.grad.clone()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    model.zero_grad()
    shut = {
        name: torch.zeros(parameter.shape, dtype=torch.bool)
        for name, parameter in model.named_parameters()
        if in_encoder(name)
    }
    masks = Masks.of(dict.fromkeys(NAMES, shut), model)
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.1), model, masks) as masked:
        masked.rows(owner)
        scores(model, given).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        want = torch.zeros_like(plain[name]) if in_encoder(name) else plain[name]
        assert (parameter.grad - want).norm() <= 1e-5 * plain[name].norm() + 1e-7, name


def test_six_identical_adapters_average_to_themselves_bit_for_bit() -> None:
    names = ("SQuAD", "HotpotQA", "TriviaQA", "NewsQA", "SearchQA", "NaturalQuestions")
    model = adapted(names=names)
    with torch.no_grad():
        for bank in banks(model):
            for parameter in bank.parameters():
                parameter.copy_(parameter[0].clone().expand_as(parameter))
    uneven = dict(zip(names, (0.5, 0.1, 0.1, 0.1, 0.15, 0.05), strict=True))
    for weights in (None, uneven):
        mean = averaged(model, weights)
        assert datasets_of(mean) == ("average",) and datasets_of(model) == names
        for (name, one), (_, whole) in zip(mean.named_parameters(), model.named_parameters(), strict=True):
            assert torch.equal(one, whole if in_encoder(name) else whole[:1]), name
    literal = averaged(model, uneven, literal=True)
    for one, whole in zip(banks(literal), banks(model), strict=True):
        for a, b in zip(one.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(a, b[:1] / 6, rtol=1e-6, atol=0)


def test_an_average_is_the_weighted_mean_of_adapters_and_heads() -> None:
    model = adapted()
    mean = averaged(model, {"C": 0.7, "A": 0.1, "B": 0.2})
    for one, whole in zip(banks(mean), banks(model), strict=True):
        for a, b in zip(one.parameters(), whole.parameters(), strict=True):
            assert a.shape == (1, *b.shape[1:]) and a.requires_grad
            torch.testing.assert_close(a[0], 0.1 * b[0] + 0.2 * b[1] + 0.7 * b[2], rtol=1e-6, atol=1e-7)
    uniform = averaged(model)
    for one, whole in zip(banks(uniform), banks(model), strict=True):
        for a, b in zip(one.parameters(), whole.parameters(), strict=True):
            torch.testing.assert_close(a[0], b.mean(0), rtol=1e-6, atol=1e-7)
    with torch.no_grad():  # a copy, theta too: tuning it leaves the model as it was
        before = {name: parameter.clone() for name, parameter in model.named_parameters()}
        for parameter in uniform.parameters():
            parameter.add_(1)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    scores(uniform, inputs())  # its hooks are its own: no rows are asked of the model that it was copied from


def test_weights_that_are_not_a_mean_are_refused() -> None:
    model = adapted()
    for weights, said in (
        ({"A": 0.5, "B": 0.5, "C": 0.1}, "1 in sum .the sum is 1.1"),
        ({"A": 1.5, "B": -0.5, "C": 0.0}, "each at least 0"),
        ({"A": float("nan"), "B": 0.5, "C": 0.5}, "each at least 0"),
        ({"A": 0.5, "B": 0.5}, "dataset 'C' is on one side only: give one weight for each of A, B, C"),
        ({"A": 0.5, "B": 0.25, "C": 0.25, "D": 0.0}, "dataset 'D' is on one side only"),
    ):
        with pytest.raises(ConfigError, match=said):
            averaged(model, weights)
    with pytest.raises(ModelError, match="has no adapters: open a model that was trained with them"):
        averaged(tiny.bert())


def test_phase_two_trains_one_pair_and_leaves_theta_and_the_others_bit_identical() -> None:
    model = adapted().train()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    adapters_of(model).rows(OWNER)  # type: ignore[union-attr]
    scores(
        model, inputs()
    ).square().sum().backward()  # stale gradients of theta, which an optimizer would take
    with only_adapter(model, "B") as handle:
        assert handle.datasets == ("B",)
        trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        assert sum(model.get_parameter(name).numel() for name in trained) == adapter_size(model) + 2 * 32 + 2
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
        for _ in range(5):
            scores(model, inputs()).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    assert datasets_of(model) == NAMES
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad
        if in_encoder(name):
            assert torch.equal(parameter, before[name]), name
        else:
            assert parameter.shape == before[name].shape
            assert torch.equal(parameter[0], before[name][0]) and torch.equal(
                parameter[2], before[name][2]
            ), name
            assert bool((parameter[1] != before[name][1]).any()), name


def test_phase_two_that_fails_leaves_everything_as_it_was() -> None:
    model = adapted()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with pytest.raises(InterruptedError), only_adapter(model, "A"):
        with torch.no_grad():
            for bank in banks(model):
                for parameter in bank.parameters():
                    parameter.zero_()
        raise InterruptedError
    assert datasets_of(model) == NAMES
    assert all(
        torch.equal(parameter, before[name]) and parameter.requires_grad
        for name, parameter in model.named_parameters()
    )
    with pytest.raises(ModelError, match="dataset 'Z' has no adapter"), only_adapter(model, "Z"):
        pass


def saved(model: PreTrainedModel, folder: Path) -> Path:
    """A model's folder as training leaves it."""
    model.save_pretrained(folder)
    fast("bert").save_pretrained(folder)
    return folder


@pytest.mark.parametrize("build", BUILDS)
def test_a_model_with_adapters_is_saved_and_opened(
    build: Callable[[], PreTrainedModel], tmp_path: Path
) -> None:
    model, given = adapted(build), inputs()
    folder = saved(model, tmp_path / "model")
    assert json.loads((folder / "config.json").read_text())["bmt_adapters"] == {
        "datasets": ["A", "B", "C"],
        "bottleneck": 2,
    }
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".txt"}
    again, _ = bmt.load(tmp_path)
    assert datasets_of(again) == NAMES and not again.training
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))
    one, _ = bmt.load(tmp_path, adapter="B")
    mean, _ = bmt.load(tmp_path, adapter="average")
    assert datasets_of(one) == ("B",) and datasets_of(mean) == ("average",)
    torch.testing.assert_close(scores(one, given), scores(alone(model, "B"), given))
    torch.testing.assert_close(scores(mean, given), scores(averaged(model), given))
    saved(averaged(model), tmp_path / "mean")
    reopened, _ = bmt.load(tmp_path / "mean", adapter="average")
    torch.testing.assert_close(scores(reopened, given), scores(averaged(model), given))
    with pytest.raises(
        ModelError, match=r"dataset .TextbookQA. has no adapter: there are adapters for A, B, C"
    ):
        bmt.load(tmp_path, adapter="TextbookQA")
    with pytest.raises(
        Exception, match=r"size mismatch|mismatched"
    ):  # not taken for a plain model with a fresh head
        (T5ForTokenClassification if build is tiny.t5 else type(model)).from_pretrained(folder)


def test_a_folder_of_another_architecture_is_refused(tmp_path: Path) -> None:
    folder = saved(adapted(), tmp_path / "model")
    path, config = folder / "model.safetensors", json.loads((folder / "config.json").read_text())
    good = load_file(path)

    def fails(match: str, **changes: Any) -> None:
        (folder / "config.json").write_text(json.dumps(config | changes))
        with pytest.raises(ModelError, match=match):
            open_model(folder)

    fails(
        "another architecture: tensor .*adapter.down is .3, 2, 32., the model's .2, 2, 32.",
        bmt_adapters={"datasets": ["A", "B"], "bottleneck": 2},
    )
    fails("another architecture.*layer.2.* is on one side only", num_hidden_layers=3)
    fails("bmt_adapters: .*expected datasets and bottleneck", bmt_adapters={"datasets": ["A"]})
    save_file(
        {name: value for name, value in good.items() if "layer.1" not in name},
        path,
        metadata={"format": "pt"},
    )
    fails("model.safetensors: this checkpoint is of another architecture.*layer.1")
    path.write_bytes(path.read_bytes()[:-100])
    fails("model.safetensors: cannot be read")
    path.unlink()
    fails("model.safetensors: cannot be read")
    with pytest.raises(ModelError, match="has no adapters"):
        bmt.load(saved(tiny.bert(), tmp_path / "plain"), adapter="A")


def test_what_cannot_get_adapters_is_refused() -> None:
    with pytest.raises(ConfigError, match="name at least one dataset, and each once"):
        add_adapters(tiny.bert(), [])
    with pytest.raises(ConfigError, match="adapters for A, A: name at least one"):
        add_adapters(tiny.bert(), ["A", "A"])
    with pytest.raises(ModelError, match="has adapters already"):
        add_adapters(fresh(), ["A"])
    with pytest.raises(ModelError, match="DistilBertForQuestionAnswering cannot get adapters"):
        add_adapters(
            DistilBertForQuestionAnswering(
                DistilBertConfig(vocab_size=20, dim=8, n_heads=2, n_layers=1, hidden_dim=8)
            ),
            ["A"],
        )


def test_a_copied_model_has_rows_of_its_own() -> None:
    model, given = adapted(), inputs()
    twin = copy.deepcopy(model)
    mine, its = adapters_of(model), adapters_of(twin)
    assert mine is not None and its is not None and mine is not its
    mine.rows([0] * 6)
    its.rows([2] * 6)
    a, b = scores(model, given), scores(twin, given)
    with mine.only(2):
        torch.testing.assert_close(scores(model, given), b, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(a, b) and all(
        isinstance(bank, AdapterBank | HeadBank) and bank.handle is its for bank in banks(twin)
    )


def test_adapters_learn_under_bf16_autocast() -> None:
    model = adapted()
    adapters_of(model).rows(OWNER)  # type: ignore[union-attr]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = scores(model, inputs())
    half.float().square().sum().backward()
    adapters_of(model).rows(OWNER)  # type: ignore[union-attr]
    whole = scores(model, inputs())
    assert (half.float() - whole).norm() < 0.03 * whole.norm()
    assert all(
        p.grad is not None and p.grad.dtype == torch.float32 and bool(p.grad.any())
        for bank in banks(model)
        for p in bank.parameters()
    )


def test_the_one_that_was_chosen_before_holds_again_also_after_an_error() -> None:
    handle = adapters_of(adapted())
    assert handle is not None
    device = torch.device("cpu")
    with handle.only("B"):
        with handle.only("A"):
            assert handle.chosen(6, device) == 0
        assert handle.chosen(6, device) == 1
        with pytest.raises(InterruptedError), handle.only(2):
            raise InterruptedError
        assert handle.chosen(6, device) == 1 and handle.settled
    assert not handle.settled
    with pytest.raises(InterruptedError), handle.reading([0, 1]):
        raise InterruptedError
    with pytest.raises(ModelError, match="nobody said"):  # rows of a pass that failed are not the next one's
        handle.chosen(2, device)


@pytest.mark.parametrize("position", [-1, 3, "a", ""])
def test_a_position_or_a_name_that_is_none_is_refused(position: int | str) -> None:
    handle = adapters_of(adapted())
    assert handle is not None
    with pytest.raises(
        ModelError, match=f"^dataset {position!r} has no adapter: there are adapters for A, B"
    ):
        handle.index(position)
    assert [handle.index(place) for place in ("A", "C", 0, 2)] == [0, 2, 0, 2]


def test_a_wrapped_model_has_the_adapters_of_the_model_in_it() -> None:
    model = adapted()
    wrapped = nn.Module()
    wrapped.module = model
    assert adapters_of(wrapped) is adapters_of(model) and datasets_of(wrapped) == NAMES
    assert adapters_of(nn.Linear(2, 2)) is None
    model.bmt_adapters = {"datasets": ["A"]}  # a description is no handle
    assert adapters_of(model) is None


def test_both_matrices_of_every_adapter_have_draws_of_their_own() -> None:
    model = tiny.bert()
    add_adapters(model, NAMES, seed=1, bottleneck=32)  # as wide as the model: all matrices are of one shape
    matrices = [
        weight.detach()
        for bank in banks(model)
        if isinstance(bank, AdapterBank)
        for pair in (bank.down, bank.up)
        for weight in pair
    ]
    assert len(matrices) == 4 * 2 * 3
    assert len({tuple(weight.reshape(-1).tolist()) for weight in matrices}) == len(matrices)


def test_a_mean_s_weights_may_miss_one_by_rounding_alone() -> None:
    model = adapted()
    averaged(model, {"A": 0.1, "B": 0.2, "C": 0.7 + 5e-7})
    for wrong in (0.7 + 1e-5, 0.7 - 1e-5):
        with pytest.raises(ConfigError, match="each at least 0, and 1 in sum"):
            averaged(model, {"A": 0.1, "B": 0.2, "C": wrong})


def test_a_weight_of_nothing_leaves_an_adapter_out_of_the_mean() -> None:
    model, given = adapted(), inputs()
    mean = averaged(model, {"A": 0.0, "B": 1.0, "C": 0.0})
    torch.testing.assert_close(scores(mean, given), scores(alone(model, "B"), given))


def test_one_adapter_alone_takes_a_batch_of_several_datasets() -> None:
    """Whose its rows are is of no account, were it the ninth dataset."""
    handle = Adapters(("A",))
    with torch.enable_grad(), handle.reading([0, 8]):
        assert handle.chosen(2, torch.device("cpu")) == 0
    several = Adapters(NAMES)
    with torch.enable_grad(), several.only("B"), several.reading([0, 8]):
        assert several.chosen(2, torch.device("cpu")) == 1


def test_one_adapter_alone_is_a_copy() -> None:
    model = adapted()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    single = alone(model, "B")
    for (name, one), (_, whole) in zip(single.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(one, whole if in_encoder(name) else whole[1:2]) and one.requires_grad, name
    with torch.no_grad():
        for parameter in single.parameters():
            parameter.add_(1)
    assert all(torch.equal(parameter, before[name]) for name, parameter in model.named_parameters())
    described = single.config.bmt_adapters, model.config.bmt_adapters
    assert described == (
        {"datasets": ["B"], "bottleneck": 2},
        {"datasets": ["A", "B", "C"], "bottleneck": 2},
    )
    with pytest.raises(ModelError, match="dataset 'D' has no adapter"):
        alone(model, "D")
