"""The gradients of each dataset's rows in one backward pass, held against one backward pass per row."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import groupby, product
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from transformers.models.t5.modeling_t5 import T5LayerNorm

from bmt.errors import ModelError
from bmt.masked_updates import mask_updates
from bmt.masks import Masks
from bmt.row_gradients import (
    RowGroups,
    masked_sum,
    masked_sum_one_by_one,
    split_gradients,
    weight_parts,
)

ROWS = 4
OWNERS = [
    [0, 1, 0, 1],  # a dataset's rows with another's between them, twice
    [0, 1, 0, 0],  # one stranger in an otherwise unbroken run
    [1, 0, 0, 1],
    [2, 0, 1, 0],
    [0, 0, 1, 2],
    [1, 1, 1, 1],
]


class Block(nn.Module):
    """Every kind of tensor that can be split: tokens and positions, two norms (one without bias), linear maps
    with and without bias.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.tokens, self.positions = nn.Embedding(9, 6, padding_idx=0), nn.Embedding(5, 6)
        self.norm, self.bare_norm = nn.LayerNorm(6), nn.LayerNorm(8, bias=False)
        self.inner, self.outer = nn.Linear(6, 8), nn.Linear(8, 3, bias=False)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.add_(torch.randn_like(parameter) / 4)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])[None]))
        return self.outer(self.bare_norm(torch.tanh(self.inner(x))))


def batch() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(1, 9, (ROWS, 5), generator=draw)
    ids[1, 3:] = ids[3, 4:] = 0  # padding
    return ids, torch.randn(ROWS, 5, 3, generator=draw)


def random_masks(model: nn.Module, count: int = 3) -> Masks:
    draw = torch.Generator().manual_seed(2)
    return Masks.of(
        {
            f"d{d}": {n: torch.rand(p.shape, generator=draw) < 0.5 for n, p in model.named_parameters()}
            for d in range(count)
        },
        model,
    )


def row_by_row(model: nn.Module, masks: Masks, owner: list[int], autocast: bool = False) -> dict[str, Tensor]:
    """Sum over rows r of M_owner(r) * g_r, each g_r by plain autograd on its row alone."""
    ids, target = batch()
    total = {name: torch.zeros_like(parameter) for name, parameter in model.named_parameters()}
    for row, dataset in enumerate(owner):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = model(ids[row : row + 1])
        ((out.float() - target[row : row + 1]) ** 2).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None
            total[name] += parameter.grad * masks.mask(masks.datasets[dataset], name)
    model.zero_grad()
    return total


def in_one_pass(
    model: nn.Module, masks: Masks, owner: list[int], autocast: bool = False
) -> dict[str, Tensor]:
    ids, target = batch()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
        masked.rows(owner)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            out = model(ids)
        ((out.float() - target) ** 2).sum().backward()
    return {
        name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None
    }


@pytest.mark.parametrize("owner", OWNERS)
def test_one_pass_gives_what_each_row_alone_does(owner: list[int]) -> None:
    """A norm without bias is among the modules; fp32, to rounding."""
    model = Block()
    masks = random_masks(model)
    want, got = row_by_row(model, masks, owner), in_one_pass(model, masks, owner)
    assert got.keys() == want.keys()
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6, msg=name)
        closed = ~torch.stack([masks.mask(masks.datasets[d], name) for d in set(owner)]).any(0)
        assert not got[name][closed].any(), name


@pytest.mark.parametrize("owner", OWNERS[:3])
def test_under_bf16_autocast_the_gradients_are_fp32_and_those_of_each_row(owner: list[int]) -> None:
    """bf16 has 8 bits of mantissa: products agree to a few parts in a hundred of the tensor's norm, closed
    weights exactly.
    """
    model = Block()
    masks = random_masks(model)
    want, got = (
        row_by_row(model, masks, owner, autocast=True),
        in_one_pass(model, masks, owner, autocast=True),
    )
    exact = row_by_row(model, masks, owner)
    for name, value in want.items():
        assert got[name].dtype == torch.float32, name
        assert (got[name] - value).norm() <= 0.03 * value.norm(), name
        assert (got[name] - exact[name]).norm() <= 0.05 * exact[name].norm(), name
        assert torch.equal(got[name] == 0, value == 0), name


@pytest.mark.parametrize("autocast", [False, True])
def test_the_forward_pass_is_the_models_own_bit_for_bit(autocast: bool) -> None:
    model = Block().eval()
    masks = random_masks(model)
    ids, _ = batch()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        plain = model(ids)
        with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
            masked.rows([0, 1, 0, 2])
            assert torch.equal(model(ids), plain)
            with torch.no_grad():
                assert torch.equal(model(ids), plain)
        assert torch.equal(model(ids), plain)


@pytest.mark.parametrize("targets", ["inner.weight", "inner.bias", "norm.weight", "bare_norm.weight"])
def test_a_gradient_penalty_is_refused_where_its_gradient_would_not_be_masked(targets: str) -> None:
    model = Block()
    masks = random_masks(model)
    one = {d: {targets: masks.mask(d, targets)} for d in masks.datasets}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with mask_updates(optimizer, model, Masks.of(one, model)) as masked:
        masked.rows([0, 1, 0, 2])
        out = model(batch()[0])
        (slope,) = torch.autograd.grad(out.square().sum(), model.tokens.weight, create_graph=True)
        with pytest.raises(ModelError, match=r"differentiated once more.* leave out what needs second deriv"):
            slope.square().sum().backward()


def test_a_graph_of_the_gradients_that_nothing_is_made_of_changes_nothing() -> None:
    model, owner = Block(), [0, 1, 0, 2]
    masks = random_masks(model)
    want, (ids, target) = row_by_row(model, masks, owner), batch()
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
        masked.rows(owner)
        got = torch.autograd.grad(
            ((model(ids) - target) ** 2).sum(), list(model.parameters()), create_graph=True
        )
    for (name, value), grad in zip(want.items(), got, strict=True):
        torch.testing.assert_close(grad, value, rtol=1e-5, atol=1e-6, msg=name)


def test_autocast_leaves_a_model_in_fp64_as_it_is() -> None:
    model, owner = Block().double(), [0, 1, 0, 2]
    masks, (ids, _) = random_masks(model), batch()
    want, got = row_by_row(model, masks, owner), in_one_pass(model, masks, owner, autocast=True)
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6, msg=name)
    with torch.autocast("cpu", torch.bfloat16):
        plain = model(ids)
        with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
            masked.rows(owner)
            assert torch.equal(model(ids), plain) and plain.dtype == torch.float64


class Tied(Block):
    """A map that is applied twice, and one that shares its weight; recomputed on the way back or not."""

    def __init__(self, reentrant: bool | None = None) -> None:
        super().__init__()
        self.square, self.reentrant = nn.Linear(8, 8), reentrant
        self.twin = nn.Linear(8, 8, bias=False)
        self.twin.weight = self.square.weight

    def middle(self, x: Tensor) -> Tensor:
        once = torch.tanh(self.square(self.bare_norm(x)))
        twice: Tensor = self.twin(torch.tanh(self.square(once)))
        return twice

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.tokens(ids) + self.positions(torch.arange(ids.shape[1])[None]))
        x = torch.tanh(self.inner(x))
        if self.reentrant is None:
            x = self.middle(x)
        else:
            x = checkpoint(self.middle, x, use_reentrant=self.reentrant)
        y: Tensor = self.outer(x)
        return y


@pytest.mark.parametrize("reentrant", [None, False, True])
@pytest.mark.parametrize("owner", [[0, 1, 1, 2], [2, 0, 1, 0]])
def test_weights_in_two_places_and_blocks_that_are_recomputed(
    owner: list[int], reentrant: bool | None
) -> None:
    plain, model = Tied(), Tied(reentrant)
    masks = random_masks(plain)
    model.load_state_dict(plain.state_dict())
    want, got = row_by_row(plain, masks, owner), in_one_pass(model, masks, owner)
    assert got.keys() == want.keys()
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6, msg=name)


def test_each_row_is_in_its_own_datasets_group_and_in_no_other() -> None:
    """Every way of sharing up to five rows out to three datasets."""
    for count in range(1, 6):
        for owner in product(range(3), repeat=count):
            groups = RowGroups.of(owner, torch.device("cpu"))
            assert groups.owner.tolist() == list(owner) and len(groups) == count
            rows = groups.flat(torch.arange(count)[:, None]).flatten().split(groups.sizes)
            assert {d: part.tolist() for d, part in zip(groups.datasets, rows, strict=True)} == {
                dataset: [r for r in range(count) if owner[r] == dataset] for dataset in set(owner)
            }, owner
            assert (groups.order is None) == (len(list(groupby(owner))) == len(set(owner))), owner
            assert blocks_of(groups) == list(groups.sizes) and stretches_of(groups) == list(groups.datasets)


def blocks_of(groups: RowGroups) -> list[int]:
    """The sizes that the blocks say, after a look at where each of them begins."""
    sizes: list[int] = []
    for group, count, row, size in groups.blocks:
        assert (group, row) == (len(sizes), sum(sizes))
        sizes += [size] * count
    return sizes


def stretches_of(groups: RowGroups) -> list[int]:
    datasets: list[int] = []
    for group, count, dataset in groups.stretches:
        assert group == len(datasets)
        datasets += range(dataset, dataset + count)
    return datasets


def test_neighbours_of_one_size_and_consecutive_datasets_are_taken_together() -> None:
    groups = RowGroups.of([0, 0, 1, 1, 2, 4, 5], torch.device("cpu"))
    assert groups.blocks == ((0, 2, 0, 2), (2, 3, 4, 1)) and groups.stretches == ((0, 3, 0), (3, 2, 4))
    even = RowGroups.of([row // 8 for row in range(48)], torch.device("cpu"))
    assert even.blocks == ((0, 6, 0, 8),) and even.stretches == ((0, 6, 0),)


def test_under_bf16_the_datasets_parts_are_added_in_fp32() -> None:
    """256 + 1 is 256 in bf16, whose numbers have eight bits."""
    model = nn.Linear(1, 1, bias=False)
    masks = Masks.of({d: {"weight": torch.ones(1, 1, dtype=torch.bool)} for d in "AB"}, model)
    x = torch.tensor([[[16.0]], [[1.0]]])
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
        masked.rows([0, 1])
        with torch.autocast("cpu", torch.bfloat16):
            out = model(x)
        (out.float() * x).sum().backward()
    assert out.dtype == torch.bfloat16 and model.weight.grad is not None and float(model.weight.grad) == 257.0


@pytest.mark.parametrize("shape", [(2, 257), (257,)])
def test_under_bf16_a_bias_is_the_sum_of_all_tokens_in_fp32(shape: tuple[int, ...]) -> None:
    """257 ones are 256 in bf16: within a row, and over rows of one token."""
    model = nn.Linear(1, 1)
    masks = Masks.of({d: {"bias": torch.ones(1, dtype=torch.bool)} for d in "AB"}, model)
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
        masked.rows([0] * (shape[0] - 1) + [1])
        with torch.autocast("cpu", torch.bfloat16):
            out = model(torch.ones(*shape, 1))
        out.sum().backward()
    assert out.dtype == torch.bfloat16
    assert model.bias.grad is not None and model.bias.grad.tolist() == [math.prod(shape)]


def test_a_norm_in_bf16_adds_its_rows_in_fp32() -> None:
    """1 added to itself a thousand times stays at 256 in bf16."""
    model = nn.LayerNorm(2, dtype=torch.bfloat16)
    opened = {"A": [True, False], "B": [True, True]}
    masks = Masks.of({d: {"weight": torch.tensor(mask)} for d, mask in opened.items()}, model)
    x = torch.tensor([4.0, -4.0]).bfloat16().expand(2, 1024, 2)  # normalised: 1 and -1
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
        masked.rows([0, 1])
        model(x).sum().backward()
    assert model.weight.grad is not None and model.weight.grad.tolist() == [2048.0, -1024.0]


@pytest.mark.parametrize("of_x", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("of_weight", [torch.float32, torch.bfloat16, torch.float16])
def test_t5_s_norm_gives_what_it_gives_alone_in_any_mixture_of_precisions(
    of_x: torch.dtype, of_weight: torch.dtype
) -> None:
    model = T5LayerNorm(6).to(of_weight)
    draw = torch.Generator().manual_seed(3)
    model.weight.data.normal_(generator=draw)
    x, opened = torch.randn(2, 3, 6, generator=draw).to(of_x), torch.rand(2, 6, generator=draw) < 0.5
    plain, parts = model(x), []
    for row in model(x):
        (grad,) = torch.autograd.grad(row.float().sum(), model.weight, retain_graph=True)
        parts.append(grad)
    groups = RowGroups.of([0, 1], torch.device("cpu"))
    with split_gradients(model, {"weight": opened}, SimpleNamespace(groups=groups)):
        got = model(x)
        got.float().sum().backward()
    assert got.dtype == plain.dtype and torch.equal(got, plain)
    assert model.weight.grad is not None and model.weight.grad.dtype == of_weight
    assert torch.equal(model.weight.grad, parts[0] * opened[0] + parts[1] * opened[1])


@pytest.mark.parametrize(
    "targets",
    [
        r"bias$",
        r"weight$",
        r"^(inner\.weight|norm\.bias)$",
        r"^(inner\.bias|norm\.weight)$",
        r"^tokens",
        r"^positions",
        r"^bare_norm",
        r"^outer",
    ],
)
def test_tensors_beside_the_masked_ones_have_their_whole_gradient(targets: str) -> None:
    """A masked bias beside a free matrix, and the other way round."""
    model, owner = Block(), [1, 0, 2, 1]
    whole = random_masks(model)
    names = [name for name in whole.shapes if re.search(targets, name)]
    assert 0 < len(names) < len(whole.shapes)
    masks = Masks.of({d: {n: whole.mask(d, n) for n in names} for d in whole.datasets}, model)
    opened = {name: torch.ones(shape, dtype=torch.bool) for name, shape in whole.shapes.items()}
    filled = {d: opened | {n: whole.mask(d, n) for n in names} for d in whole.datasets}
    want = row_by_row(model, Masks.of(filled, model), owner)
    got = in_one_pass(model, masks, owner)
    assert got.keys() == want.keys()
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("where", ["tokens", "norm", "inner"])
def test_a_batch_of_other_rows_than_were_named_is_refused_by_the_first_module_it_meets(where: str) -> None:
    model = Block()
    whole = random_masks(model)
    names = [name for name in whole.shapes if name.startswith(f"{where}.")]
    masks = Masks.of({d: {n: whole.mask(d, n) for n in names} for d in whole.datasets}, model)
    with mask_updates(torch.optim.SGD(model.parameters(), lr=0.0), model, masks) as masked:
        for rows in ([0, 1, 2], [0, 1, 2, 0, 1]):
            masked.rows(rows)
            with pytest.raises(
                ModelError,
                match=rf"^{where}: the batch has 4 rows and masked\.rows\(…\) named {len(rows)}: name one",
            ):
                model(batch()[0])


class Own(nn.Linear):
    """A linear map whose forward may be anything."""


@pytest.mark.parametrize(
    "module",
    [nn.LayerNorm((2, 3)), nn.Conv1d(2, 2, 1), nn.BatchNorm1d(3), Own(3, 3), nn.Bilinear(2, 2, 2)],
    ids=lambda module: type(module).__name__,
)
def test_a_module_whose_gradient_cannot_be_split_is_named_and_none_is_left_replaced(
    module: nn.Module,
) -> None:
    model = nn.Sequential(nn.Linear(3, 3), module, nn.Linear(3, 3))
    masks = Masks.of(
        {d: {n: torch.ones(p.shape, dtype=torch.bool) for n, p in model.named_parameters()} for d in "AB"},
        model,
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with (
        pytest.raises(
            ModelError,
            match=rf"^tensor 1\.weight stands in a {type(module).__name__}, whose gradient cannot be split "
            r"by dataset: leave it out with targets=, or use one mask for all datasets$",
        ),
        mask_updates(optimizer, model, masks),
    ):
        pass
    assert not any("forward" in part.__dict__ for part in model.modules())
    beside = {d: {n: masks.mask(d, n) for n in masks.shapes if not n.startswith("1.")} for d in "AB"}
    with mask_updates(optimizer, model, Masks.of(beside, model)):
        assert ["forward" in part.__dict__ for part in model] == [True, False, True]
    assert not any("forward" in part.__dict__ for part in model.modules())


def layouts(count: int) -> list[list[int]]:
    """Random ways of sharing one to seven rows out to four datasets, half of them in order."""
    draw = torch.Generator().manual_seed(5)
    owners = []
    for number in range(count):
        rows = int(torch.randint(1, 8, (), generator=draw))
        owner = torch.randint(4, (rows,), generator=draw).tolist()
        owners.append(sorted(owner) if number % 2 else owner)
    return owners


def test_all_parts_together_and_one_by_one_are_the_sum_over_rows() -> None:
    """fp64, to rounding: what an accelerator and what a CPU does; bits and soft masks; 2-d and 3-d input."""
    draw = torch.Generator().manual_seed(6)
    for owner, tokens in product(layouts(40), [(), (1,), (3,), (2, 3)]):
        groups = RowGroups.of(owner, torch.device("cpu"))
        dy, x = (torch.randn(len(owner), *tokens, n, generator=draw, dtype=torch.float64) for n in (3, 5))
        soft = torch.rand(4, 3, 5, generator=draw).half()
        for masks in (soft, soft > 0.5):
            want = sum(
                masks[dataset] * (dy[row].reshape(-1, 3).T @ x[row].reshape(-1, 5))
                for row, dataset in enumerate(owner)
            )
            for got in (
                masked_sum(weight_parts(dy, x, groups), groups, masks),
                masked_sum_one_by_one(dy, x, groups, masks),
            ):
                torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12, msg=str(owner))


@pytest.mark.parametrize("kind", ["bits", "soft"])
def test_parts_in_bf16_are_masked_and_added_in_fp32(kind: str) -> None:
    """256 + 1 is 256 in bf16, and 255.75 is too."""
    groups = RowGroups.of([0, 1], torch.device("cpu"))
    dy, x = torch.tensor([[16.0], [1.0]]).bfloat16(), torch.tensor([[16.0], [1.0]]).bfloat16()
    masks = torch.ones(2, 1, 1, dtype=torch.bool if kind == "bits" else torch.float16)
    if kind == "soft":
        masks[0] = 1 - 2.0**-10
    want = 257.0 if kind == "bits" else 256.75
    for got in (
        masked_sum(weight_parts(dy, x, groups), groups, masks),
        masked_sum_one_by_one(dy, x, groups, masks),
    ):
        assert got.dtype == torch.float32 and float(got) == want


def test_the_gradients_of_a_norm_and_of_a_bias_are_the_sum_over_rows_in_fp64() -> None:
    """Random layouts; hard and soft masks; a norm whose weight or bias alone is masked; frozen input."""
    draw = torch.Generator().manual_seed(7)
    for number, owner in enumerate(layouts(24)):
        groups = RowGroups.of(owner, torch.device("cpu"))
        x = torch.randn(len(owner), 3, 5, generator=draw, dtype=torch.float64, requires_grad=number % 3 > 0)
        out = torch.randn(len(owner), 3, 5, generator=draw, dtype=torch.float64)
        norm = nn.LayerNorm(5).double()
        linear = nn.Linear(5, 5).double()
        for parameter in (*norm.parameters(), *linear.parameters()):
            parameter.data.normal_(generator=draw)
        soft = {
            f"{m}.{n}": torch.rand(4, *p.shape, generator=draw).half()
            for m, module in (("0", norm), ("1", linear))
            for n, p in module.named_parameters()
        }
        masks = soft if number % 2 else {name: mask > 0.5 for name, mask in soft.items()}
        for left_out in ("none", "0.weight", "0.bias", "1.weight", "1.bias"):
            model, left = nn.Sequential(norm, linear), {n: m for n, m in masks.items() if n != left_out}
            want = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
            for row, dataset in enumerate(owner):
                model.zero_grad()
                (model(x[row : row + 1]) * out[row]).sum().backward()
                for name, p in model.named_parameters():
                    want[name] += p.grad * (left[name][dataset] if name in left else 1)
            model.zero_grad()
            x.grad = None
            with split_gradients(model, left, SimpleNamespace(groups=groups)):
                got = model(x)
                (got * out).sum().backward()
            for name, p in model.named_parameters():
                torch.testing.assert_close(p.grad, want[name], rtol=1e-10, atol=1e-10, msg=f"{owner} {name}")
            if x.requires_grad:
                dx, again = x.grad, x.detach().requires_grad_()
                (model(again) * out).sum().backward()
                torch.testing.assert_close(dx, again.grad, rtol=1e-12, atol=1e-12)
                x.grad = None


class Launches(TorchDispatchMode):
    """Counts operations that are no views and no mere memory: each is a kernel's launch at least."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.removeprefix("aten::")
        self.names[name] += not func.is_view and name not in ("_unsafe_view", "detach", "new_empty")
        return func(*args, **(kwargs or {}))


SUM = {"mul_": 1, "sum": 1}
BIAS = {"sum": 1, "index_select": 1, "mul": 1}
EVEN = [dataset for dataset in range(6) for _ in range(8)]


@pytest.mark.parametrize(
    ("module", "rows", "more"),
    [
        (nn.Linear(4, 5, bias=False), EVEN, {"mm": -1, "bmm": 1, **SUM}),
        (nn.Linear(4, 5, bias=False), [0, 0, 1, 1, 2, 3, 4, 5], {"mm": -1, "bmm": 2, **SUM}),
        (nn.Linear(4, 5, bias=False), [0, 0, 0, 1, 1, 3, 3, 3, 3], {"mm": -1, "bmm": 3, "mul_": 2, "sum": 1}),
        (nn.Linear(4, 5), EVEN, {"mm": -1, "bmm": 1, **SUM, "index_select": 1, "mul": 1, "sum": 2}),
        (
            nn.LayerNorm(4),
            [0, 0, 1, 1, 2, 3, 4, 5],
            {"native_layer_norm_backward": 1, "index_select": 2, "mul": 2, "sum": 2},
        ),
        (nn.Embedding(9, 4), EVEN, {"mul": 2, "add": 1, "index_select": 1}),
    ],
)
def test_masks_add_few_launches_to_a_step_whatever_the_number_of_datasets(
    module: nn.Module, rows: list[int], more: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on an accelerator, on tensors without values: six datasets' products in one launch per run of equal
    sizes, then one that masks and one that adds, where a plain step makes one product per weight.
    """
    model, device = nn.Sequential(module).to("meta"), torch.device("meta")
    masks = {
        name: torch.ones(6, *p.shape, dtype=torch.bool, device=device) for name, p in model.named_parameters()
    }
    x = torch.ones(len(rows), 3, 4, device=device, requires_grad=True)
    if isinstance(module, nn.Embedding):
        x = torch.ones(len(rows), 3, device=device, dtype=torch.long)
    real = torch.is_autocast_enabled
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind != "meta" and real(kind))
    counts = []
    for groups in (None, RowGroups.of(rows, device)):
        with split_gradients(model, masks, SimpleNamespace(groups=groups)):
            y = model(x)
            dy = torch.ones_like(y)
            with Launches() as launches:
                y.backward(dy)
        counts.append(launches.names)
        model.zero_grad()
        x.grad = None
    counts[1].subtract(counts[0])
    assert {name: count for name, count in counts[1].items() if count} == more
