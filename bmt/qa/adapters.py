"""Houlsby adapters psi_d and span heads phi_d, one per dataset, around a shared encoder theta (section 4.5,
eq. 17).

    x  ->  x + up_d( swish( down_d(x) ) )       H -> H/16 -> H, behind the attention's and behind the
    feed-forward's output projection
                                                (and its dropout), before the residual is added and the norm
                                                taken

A bank holds one place's parameters of all datasets, (datasets, …). A batch's rows pick theirs by index and
are multiplied in one batched product, so that a mixed batch costs what a uniform one does. Which row is whose
the model is told through `adapters_of(model)`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmt.errors import ConfigError, ModelError
from bmt.runtime.devices import to_device
from bmt.runtime.keyed_random import key_number

AVERAGE = "average"  # the dataset name of a mean of adapters
REDUCTION = 16
# Houlsby's standard deviation of fresh weights: the branch adds about 1e-4 of what goes through it.
INITIAL = 1e-3
_ENCODERS = ("bert", "roberta", "xlm-roberta", "t5")
_HEADS = ("qa_outputs", "classifier")
M = TypeVar("M", bound=nn.Module)


class Adapters:
    """What a model has adapters and heads for, and whose the rows of the next forward pass are.

    Attributes:
        datasets: names of the datasets, in the banks' order.
    """

    def __init__(self, datasets: Sequence[str]) -> None:
        self.datasets = tuple(datasets)
        self._owner: Tensor | None = None
        self._only: int | None = None

    def index(self, dataset: str | int) -> int:
        """Position of a dataset, given by name or position. Raises ModelError where it has no adapter."""
        if isinstance(dataset, str) and dataset in self.datasets:
            return self.datasets.index(dataset)
        if isinstance(dataset, int) and 0 <= dataset < len(self.datasets):
            return dataset
        raise ModelError(
            f"dataset {dataset!r} has no adapter: there are adapters for {', '.join(self.datasets)}; for a "
            "dataset that was not trained on take their mean: bmt.load(folder, adapter='average')"
        )

    def rows(self, datasets: Sequence[str] | Sequence[int] | Tensor) -> None:
        """Say whose the rows of the next batch are: names or positions in `datasets`, in any order, one entry
        a row.

        Not needed with one adapter, nor inside `only`. Holds until it is said anew, or to the end of a
        `bmt.qa.model.span_logits`, which says it from the batch.

        Raises:
            ModelError: a dataset without an adapter.
        """
        entries = datasets.tolist() if isinstance(datasets, Tensor) else datasets
        self._owner = torch.tensor([self.index(entry) for entry in entries])

    @contextmanager
    def only(self, dataset: str | int) -> Iterator[None]:
        """While the block runs, every row passes this dataset's adapter and head, whatever `rows` says."""
        before, self._only = self._only, self.index(dataset)
        try:
            yield
        finally:
            self._only = before

    @contextmanager
    def reading(self, owner: Sequence[int]) -> Iterator[None]:
        """While the block runs, rows are whose a training batch says they are (`Batch.owner`); after it
        nothing is said.

        Without gradients a batch is not believed: `bmt.qa.decoding.predict` makes batches of one dataset,
        whose owners are all 0.
        """
        if torch.is_grad_enabled() and not self.settled:
            self.rows(owner)
        try:
            yield
        finally:
            self._owner = None

    @property
    def settled(self) -> bool:
        """Whether one adapter is every row's: there is one, or `only` chose it."""
        return self._only is not None or len(self.datasets) == 1

    def chosen(self, rows: int, device: torch.device) -> int | Tensor:
        """The one adapter of a batch with so many rows, or the one of each row, (rows,).

        Raises:
            ModelError: several adapters and nobody said whose the rows are, or of another number of rows.
        """
        if self.settled:
            return self._only or 0
        if self._owner is None:
            raise ModelError(
                f"there are adapters for {len(self.datasets)} datasets ({', '.join(self.datasets)}) and "
                "nobody said whose the batch's rows are: call adapters_of(model).rows(…) before the "
                "forward pass, or run it inside adapters_of(model).only(dataset); one adapter alone, or "
                "their mean, is what bmt.load(folder, adapter=…) opens"
            )
        if len(self._owner) != rows:
            raise ModelError(
                f"the batch has {rows} rows and adapters_of(model).rows(…) named {len(self._owner)}: name "
                "one dataset per row"
            )
        self._owner = to_device(self._owner, device)
        return self._owner


class Bank(nn.Module):
    """Parameters (datasets, …) of one place in the model."""

    def __init__(self, handle: Adapters) -> None:
        super().__init__()
        self.handle = handle

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor, owner: int | Tensor) -> Tensor:
        """x (rows, tokens, in) by each row's own weight (datasets, out, in) and bias (datasets, out)."""
        if isinstance(owner, int):
            return F.linear(x, weight[owner], bias[owner])
        # index_select and not weight[owner]: its backward adds whole matrices
        return torch.baddbmm(
            bias.index_select(0, owner).unsqueeze(1), x, weight.index_select(0, owner).transpose(1, 2)
        )


class AdapterBank(Bank):
    """The adapters of all datasets at one place: down (datasets, H/16, H), up (datasets, H, H/16), and their
    biases.
    """

    def __init__(self, handle: Adapters, hidden: int, bottleneck: int) -> None:
        super().__init__(handle)
        count = len(handle.datasets)
        self.down = nn.Parameter(torch.zeros(count, bottleneck, hidden))
        self.down_bias = nn.Parameter(torch.zeros(count, bottleneck))
        self.up = nn.Parameter(torch.zeros(count, hidden, bottleneck))
        self.up_bias = nn.Parameter(torch.zeros(count, hidden))

    def forward(self, x: Tensor) -> Tensor:
        """x + up(swish(down(x))), (rows, tokens, H)."""
        owner = self.handle.chosen(len(x), x.device)
        inner = F.silu(self.linear(x, self.down, self.down_bias, owner))
        return x + self.linear(inner, self.up, self.up_bias, owner)

    def behind(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        """As a forward hook of the module that the adapter stands behind.

        A method, so that a copied model's hook is the copy's.
        """
        out: Tensor = self(output)
        return out


class HeadBank(Bank):
    """The span heads of all datasets: weight (datasets, 2, H), bias (datasets, 2)."""

    def __init__(self, handle: Adapters, head: nn.Linear) -> None:
        super().__init__(handle)
        count = len(handle.datasets)
        self.weight = nn.Parameter(head.weight.detach().expand(count, -1, -1).clone())
        self.bias = nn.Parameter(head.bias.detach().expand(count, -1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Start and end scores, (rows, tokens, 2)."""
        return self.linear(x, self.weight, self.bias, self.handle.chosen(len(x), x.device))


def adapters_of(model: nn.Module) -> Adapters | None:
    """The handle of a model's adapters, or None where it has none.

    A wrapper's `module` (DistributedDataParallel) is looked into.
    """
    handle = getattr(getattr(model, "module", model), "bmt_adapters", None)
    return handle if isinstance(handle, Adapters) else None


@contextmanager
def dataset_adapter(model: nn.Module, dataset: str) -> Iterator[None]:
    """While the block runs, a model with several adapters answers with this dataset's, unless `only` says
    another; others just answer.

    Raises:
        ModelError: several adapters, none of them this dataset's.
    """
    handle = adapters_of(model)
    if handle is None or handle.settled:
        yield
        return
    with handle.only(dataset):
        yield


def check_order(model: nn.Module, datasets: Sequence[str]) -> None:
    """Raise ModelError unless `datasets`, whose positions a training batch's owners are, are those of the
    model's several adapters.
    """
    handle = adapters_of(model)
    if handle is not None and not handle.settled and tuple(datasets) != handle.datasets:
        raise ModelError(
            f"the model has adapters for {', '.join(handle.datasets)}, and is trained on "
            f"{', '.join(datasets)}: give the same datasets in the same order"
        )


def datasets_of(model: nn.Module) -> tuple[str, ...]:
    """The datasets that a model has adapters for; none where it has no adapters."""
    handle = adapters_of(model)
    return () if handle is None else handle.datasets


def add_adapters(
    model: nn.Module,
    datasets: Sequence[str],
    *,
    seed: int = 0,
    bottleneck: int | None = None,
    alike: bool = False,
) -> Adapters:
    """Put an adapter behind both projections of every layer and a head per dataset on a span model, in place.

    Fresh adapters are near the identity (weights: normal with sd 1e-3 cut at 2 sd, biases: 0); every head is
    a copy of the model's own.

    Args:
        model: a span model on BERT, RoBERTa or T5's encoder.
        datasets: names; one adapter and one head each.
        seed: of the adapters' weights.
        bottleneck: width of an adapter; None: hidden / 16, Houlsby's.
        alike: whether all datasets' adapters start with the same weights; else each has draws of its own, as
            AdapterHub makes them.

    Returns:
        the handle, which `adapters_of(model)` gives too.

    Raises:
        ConfigError: no dataset, one twice. ModelError: another architecture, or a model that has adapters.
    """
    if not datasets or len(set(datasets)) < len(datasets):
        raise ConfigError(
            f"adapters for {', '.join(datasets) or 'no dataset'}: name at least one dataset, and each once"
        )
    if adapters_of(model) is not None:
        raise ModelError(
            f"this {type(model).__name__} has adapters already: open the plain model to add others"
        )
    config: Any = model.config
    sites, hidden = _sites(model), int(config.hidden_size)
    handle, width = Adapters(datasets), bottleneck or max(1, hidden // REDUCTION)
    for where, site in sites.items():
        bank = AdapterBank(handle, hidden, width)
        for row, dataset in enumerate(datasets):
            for name in ("down", "up"):
                key = (seed, "adapter", "" if alike else dataset, where, name)
                draws = torch.Generator().manual_seed(key_number(key))
                weights = getattr(bank, name).data[row]
                nn.init.trunc_normal_(weights, 0.0, INITIAL, -2 * INITIAL, 2 * INITIAL, draws)
        site.adapter = bank.to(next(model.parameters()).device)
        site.dropout.register_forward_hook(bank.behind)
    head = next(name for name in _HEADS if isinstance(getattr(model, name, None), nn.Linear))
    setattr(model, head, HeadBank(handle, getattr(model, head)))
    _describe(model, handle, width)
    return handle


def _sites(model: nn.Module) -> dict[str, Any]:
    """The modules whose `dropout` ends a layer's attention and its feed-forward, by a name of their own."""
    config: Any = getattr(model, "config", None)
    kind = getattr(config, "model_type", None)
    heads = [isinstance(getattr(model, name, None), nn.Linear) for name in _HEADS]
    base: Any = getattr(model, getattr(model, "base_model_prefix", ""), None)
    if kind not in _ENCODERS or base is None or not any(heads):
        raise ModelError(
            f"{type(model).__name__} cannot get adapters: only span models on BERT, RoBERTa and T5's "
            "encoder, as bmt.span_model"
        )
    if kind == "t5":
        pairs = [tuple(block.layer) for block in base.encoder.block]
    else:
        pairs = [(layer.attention.output, layer.output) for layer in base.encoder.layer]
    places = ("attention", "ffn")
    return {f"{i}.{j}": part for i, pair in enumerate(pairs) for j, part in zip(places, pair, strict=True)}


def _describe(model: nn.Module, handle: Adapters, bottleneck: int) -> None:
    """Let the model and its configuration, which is saved with it, say what adapters it has."""
    described: Any = model
    described.config.bmt_adapters = {"datasets": list(handle.datasets), "bottleneck": bottleneck}
    described.bmt_adapters = handle


def banks(model: nn.Module) -> list[Bank]:
    """Every bank of a model."""
    return [module for module in model.modules() if isinstance(module, Bank)]


def adapter_size(model: nn.Module) -> int:
    """Parameters of one dataset's adapter, its head not counted."""
    return sum(
        parameter[0].numel()
        for bank in banks(model)
        if isinstance(bank, AdapterBank)
        for parameter in bank.parameters()
    )


def averaged(model: M, weights: Mapping[str, float] | None = None, *, literal: bool = False) -> M:
    """A copy of the model with one adapter and one head, named `average`: the weighted means of all datasets'
    parameters.

    Args:
        weights: by dataset, at least 0, summing to 1; None: uniform, which is zero-shot transfer (section
            4.6.1).
        literal: the few-shot formula as printed (section 4.6.2), phi' = 1/|S| sum_i alpha_i phi_i: the mean
            once more divided by the number of datasets. Off, because alpha already sums to 1: six identical
            adapters would not average to themselves but shrink six-fold.

    Raises:
        ConfigError: a dataset without weight, a weight without dataset, weights below 0 or that do not sum to
            1. ModelError: no adapters.
    """
    handle = needed_adapters(model)
    shares = _shares(handle, weights)
    scaled = shares / len(shares) if literal else shares

    def mean(whole: Tensor) -> Tensor:
        return torch.einsum("d...,d->...", whole.double(), scaled.to(whole.device)).to(whole.dtype)[None]

    return _with_one(model, AVERAGE, mean)


def alone(model: M, dataset: str) -> M:
    """A copy of the model with one dataset's adapter and head. Raises ModelError where it has none."""
    index = needed_adapters(model).index(dataset)
    return _with_one(model, dataset, lambda whole: whole[index : index + 1].clone())


@torch.no_grad()
def _with_one(model: M, name: str, of: Callable[[Tensor], Tensor]) -> M:
    single, handle = copy.deepcopy(model), Adapters((name,))
    for bank in banks(single):
        bank.handle = handle
        for key, whole in list(bank.named_parameters(recurse=False)):
            setattr(bank, key, nn.Parameter(of(whole.detach())))
    config: Any = single.config
    _describe(single, handle, config.bmt_adapters["bottleneck"])
    return single


def _shares(handle: Adapters, weights: Mapping[str, float] | None) -> Tensor:
    """Weights in the datasets' order, float64 (datasets,)."""
    count = len(handle.datasets)
    if weights is None:
        return torch.full((count,), 1 / count, dtype=torch.float64)
    odd = sorted(set(weights) ^ set(handle.datasets))
    if odd:
        raise ConfigError(
            f"weights: dataset {odd[0]!r} is on one side only: give one weight for each of "
            f"{', '.join(handle.datasets)}"
        )
    shares = torch.tensor([float(weights[name]) for name in handle.datasets], dtype=torch.float64)
    if not bool((shares >= 0).all()) or abs(float(shares.sum()) - 1) > 1e-6:
        raise ConfigError(
            f"weights: {shares.tolist()} are not allowed: each at least 0, and 1 in sum (the sum is "
            f"{float(shares.sum()):g})"
        )
    return shares


def needed_adapters(model: nn.Module) -> Adapters:
    """The handle of a model's adapters. Raises ModelError where it has none."""
    handle = adapters_of(model)
    if handle is None:
        raise ModelError(
            f"this {type(model).__name__} has no adapters: open a model that was trained with them, or "
            "add_adapters first"
        )
    return handle
