"""Mask learning: the planted support, the gradients' course, and that theta comes back bit for bit."""

from __future__ import annotations

import re
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import bmt.mask_learning
import bmt.mask_selection
from bmt.errors import ConfigError, ModelError
from bmt.gates import HardConcrete
from bmt.mask_learning import gates_by_dataset, learn_masks, mask_settings, model_loss
from bmt.mask_selection import gate_masks, kth_largest, top_density, top_share
from bmt.masks import Masks
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import uniform
from bmt.runtime.stopping import StoppedError
from bmt.settings import MaskSettings
from tests.support import tiny
from tests.support.planted_support import TOY, Regression, planted, squared


@cache
def toy_masks(**changes: Any) -> Masks:
    """Masks of one planted support, learned once for all tests that only read them."""
    return learn_masks(Regression(), {"toy": planted()[1]}, lam=5e-3, **{**TOY, **changes})


def test_the_planted_support_is_found() -> None:
    """Precision and recall above .9 at a support of 10 %; a random mask of that density has precision .1."""
    support, _ = planted()
    found = toy_masks().mask("toy", "encoder.weight").reshape(-1)
    hits = int((found & support).sum())
    assert hits / int(found.sum()) > 0.9
    assert hits / int(support.sum()) > 0.9
    random = torch.rand(200, 200, generator=torch.Generator().manual_seed(3)) < 0.1
    assert float((random & support).sum() / random.sum()) == pytest.approx(0.1, abs=0.02)


def test_more_lambda_gives_less_density() -> None:
    _, batch_at = planted()
    options = {**TOY, "steps": 150}
    densities = [
        learn_masks(Regression(), {"toy": batch_at}, lam=lam, **options).density("toy")
        for lam in (0.0, 1e-3, 3e-1)
    ]
    assert densities[0] > densities[1] > densities[2]


def test_masks_of_two_seeds_overlap_more_than_chance() -> None:
    a, b = toy_masks(density=0.1), toy_masks(density=0.1, seed=1)
    assert a.density("toy") == b.density("toy") == 0.1
    assert a.jaccard("toy", "toy", b) > 0.8  # chance: .1 / 1.9 = .053


def test_theta_requires_grad_and_head_come_back_bit_for_bit() -> None:
    model = tiny.bert(dropout=True)
    model.qa_outputs.bias.requires_grad_(False)
    before = {
        name: (p.detach().clone(), p.data_ptr(), p.requires_grad) for name, p in model.named_parameters()
    }
    ids = torch.randint(5, 90, (4, 12), generator=torch.Generator().manual_seed(0))
    batch = {
        "input_ids": ids,
        "start_positions": torch.tensor([1, 2, 3, 4]),
        "end_positions": torch.tensor([2, 3, 4, 5]),
    }
    seen: list[tuple[str, int, dict[str, float]]] = []
    masks = learn_masks(
        model,
        {"A": [batch], "B": lambda step: batch},
        steps=4,
        alpha0=0.0,
        control=RunControl(report=lambda *row: seen.append(row)),
    )
    for name, parameter in model.named_parameters():
        value, pointer, grad = before[name]
        assert (
            torch.equal(parameter, value)
            and parameter.data_ptr() == pointer
            and parameter.requires_grad == grad
            and parameter.grad is None
        )
    assert masks.datasets == ("A", "B") and not any(name.startswith("qa_outputs") for name in masks.shapes)
    assert [(dataset, step) for dataset, step, _ in seen] == [("A", i) for i in range(4)] + [
        ("B", i) for i in range(4)
    ]
    assert all(set(values) == {"loss", "density", "alpha_mean", "interior"} for *_, values in seen)


def test_the_first_step_learns_as_the_closed_form_says() -> None:
    """With w = 0 only lambda moves alpha at step 0, and Adam's first step has size alpha_lr; w moves by w_lr
    where s > 0.
    """
    _, batch_at = planted()
    course: list[dict[str, float]] = []
    learn_masks(
        Regression(),
        {"toy": batch_at},
        lam=1.0,
        alpha0=0.0,
        alpha_lr=0.1,
        steps=1,
        clip=None,
        loss=squared,
        control=RunControl(report=lambda dataset, step, values: course.append(values)),
    )
    assert course[0]["alpha_mean"] == pytest.approx(-0.1, abs=1e-6)
    assert course[0]["interior"] == pytest.approx(
        1 / 3, abs=0.15
    )  # P(0 < s < 1) at alpha 0 is .333; 200 draws


def test_runs_with_one_seed_are_equal_and_differ_between_seeds() -> None:
    _, batch_at = planted()
    options = {**TOY, "steps": 30, "gate": "sampled"}
    a, b, c = (learn_masks(Regression(), {"toy": batch_at}, seed=seed, **options) for seed in (0, 0, 1))
    assert a.equals(b) and not a.equals(c)


@given(
    st.lists(
        st.one_of(st.sampled_from([0.0, -0.0, 1.5, -1.5, 5.0]), st.floats(width=32, allow_nan=False)),
        min_size=1,
        max_size=60,
    ),
    st.data(),
)
def test_the_kth_largest_is_that_of_a_sort(values: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(values)))
    flat = torch.tensor(values)
    assert kth_largest(flat, count) == sorted(flat.tolist(), reverse=True)[count - 1]
    chosen = top_share({"x": flat}, count / len(values), (0,))["x"]
    assert int(chosen.sum()) == count and (
        not bool((~chosen).any()) or flat[chosen].min() >= flat[~chosen].max()
    )


@pytest.mark.parametrize("target", [0.1, 0.3, 0.6])
def test_a_lagrangian_lambda_meets_a_target_density(target: float) -> None:
    """The expected density ends at the target, whatever the data would have; one draw of 200 gates lies
    around it.
    """
    _, batch_at = planted()
    course: list[float] = []
    masks = learn_masks(
        Regression(),
        {"toy": batch_at},
        lam=1e-3,
        density=target,
        density_by="lagrangian",
        lam_lr=0.1,
        control=RunControl(report=lambda dataset, step, values: course.append(values["density"])),
        **{**TOY, "gate": "sampled"},
    )
    assert course[-1] == pytest.approx(target, abs=0.01) and abs(masks.density("toy") - target) < 0.12


def test_a_mean_gate_opens_where_e_s_is_above_a_half() -> None:
    _, batch_at = planted()
    masks = learn_masks(
        Regression(), {"toy": batch_at}, lam=5e-3, **{**TOY, "gate": "mean", "binarise": "half"}
    )
    assert masks.density("toy") == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(("granularity", "density"), [("row", 1.0), ("column", 0.1), ("tensor", 1.0)])
def test_gates_of_several_weights_open_them_together(granularity: str, density: float) -> None:
    """The planted weight is (1, 200): a column is one weight, a row and a tensor are all of it."""
    support, _ = planted()
    masks = toy_masks(granularity=granularity, steps=500 if granularity == "column" else 200)
    assert masks.density("toy") == pytest.approx(density, abs=0.02)
    if granularity == "column":
        assert int((masks.mask("toy", "encoder.weight").reshape(-1) & support).sum()) > 18


def test_top_share_of_larger_gates_takes_them_while_they_fit() -> None:
    scores = {"x": torch.tensor([[3.0], [1.0], [2.0]]), "y": torch.tensor([0.5])}
    chosen = top_share(scores, 0.5, (0,), {"x": 4, "y": 8})  # of 20 weights: gates of 4, 4, 4 and 8
    assert chosen["x"].reshape(-1).tolist() == [True, False, True] and not bool(chosen["y"])


def test_the_course_of_learning_is_kept_with_the_masks() -> None:
    masks = toy_masks()
    rows = masks.about["course"]["toy"]
    assert [row["step"] for row in rows] == [*range(0, 500, 25), 499]
    assert rows[-1]["loss"] < 0.1 * rows[0]["loss"] and rows[-1]["density"] < rows[0]["density"]
    assert masks.about["expected_density"]["toy"] == pytest.approx(rows[-1]["density"], abs=1e-6)


def test_top_share_is_exact_and_breaks_ties_by_key() -> None:
    scores = {"x": torch.zeros(10, 10), "y": torch.tensor([1.0, 2.0, -1.0])}
    mask = top_share(scores, 0.1, (0,))
    assert sum(int(part.sum()) for part in mask.values()) == round(0.1 * 103)
    assert mask["y"].tolist() == [True, True, False]
    assert torch.equal(mask["x"], top_share(scores, 0.1, (0,))["x"]) and not torch.equal(
        mask["x"], top_share(scores, 0.1, (1,))["x"]
    )


def test_the_histogram_of_alpha_counts_every_gate() -> None:
    alpha = toy_masks(density=0.1).about["alpha"]
    assert len(alpha["edges"]) == 61 and sum(alpha["counts"]["toy"]) == 200
    cut = alpha["cuts"]["toy"]
    inner = sum(
        count for count, left in zip(alpha["counts"]["toy"], alpha["edges"], strict=False) if left >= cut
    )
    outer = sum(
        count for count, right in zip(alpha["counts"]["toy"], alpha["edges"][1:], strict=True) if right >= cut
    )
    assert inner <= 20 <= outer  # the cut leaves 20 of 200 open; it lies inside one bin


def test_bad_input_is_named() -> None:
    _, batch_at = planted()
    with pytest.raises(ConfigError, match=r"density: 1\.5 is not allowed"):
        learn_masks(Regression(), {"toy": batch_at}, density=1.5, loss=squared)
    with pytest.raises(ValueError, match=r"gamma 0\.5 and zeta 1\.5"):
        learn_masks(Regression(), {"toy": batch_at}, gamma=0.5, loss=squared)
    with pytest.raises(ConfigError, match="matches no parameter"):
        learn_masks(Regression(), {"toy": batch_at}, targets=["decoder"], loss=squared)
    with pytest.raises(ConfigError, match="is empty"):
        learn_masks(Regression(), {"toy": []}, loss=squared)
    model = Regression()
    model.encoder_unused = nn.Linear(3, 3)
    with pytest.raises(
        ModelError, match=r"tensor encoder_unused\.weight got no gradient at mask-learning step 0"
    ):
        learn_masks(model, {"toy": batch_at}, steps=1, loss=squared)
    with pytest.raises(ConfigError, match="learn_masks: 'stepz' is not known: one of gamma"):
        learn_masks(Regression(), {"toy": batch_at}, stepz=3, loss=squared)
    with pytest.raises(
        ModelError, match=r"tensor encoder\.weight: the gradient is not finite at mask-learning step 0"
    ):
        learn_masks(Regression(), {"toy": batch_at}, steps=1, loss=lambda m, b: squared(m, b) * float("nan"))
    assert torch.equal(model.encoder.weight, torch.zeros(1, 200)) and model.encoder.weight.grad is None


def test_soft_masks_are_the_gates_and_halves_are_those_above_one_half() -> None:
    _, batch_at = planted()
    own = {**TOY, "steps": 60, "gate": "sampled", "lam": 5e-3}
    soft, positive, half = (
        learn_masks(Regression(), {"toy": batch_at}, **own, binarise=how).mask("toy", "encoder.weight")
        for how in ("none", "positive", "half")
    )
    assert soft.dtype == torch.float16 and 0 < float(((soft > 0) & (soft < 1)).float().mean()) < 1
    assert torch.equal(positive, soft > 0) and bool(
        (half == (soft > 0.5)).float().mean() > 0.99
    )  # float16 rounds about 1/2
    assert half.sum() < positive.sum()


def test_delta_is_kept_only_where_asked_as_the_mean_over_datasets() -> None:
    batches = {"a": planted(0)[1], "b": planted(1)[1]}
    own = {**TOY, "steps": 40, "lam": 1e-3}
    settings = mask_settings(None, {key: value for key, value in own.items() if key != "loss"})
    plain, moved = Regression(), Regression()
    with torch.no_grad():
        for model in (plain, moved):
            model.encoder.weight.fill_(0.25)
    masks = learn_masks(plain, batches, **own)
    assert bool((plain.encoder.weight == 0.25).all())
    kept = learn_masks(moved, batches, **own, keep_delta=True)
    assert masks.equals(kept)
    name, expected = "encoder.weight", torch.full((1, 200), 0.25)
    for dataset, gates in gates_by_dataset(plain, batches, settings, loss=squared):
        expected += masks.mask(dataset, name) * gates.w[name] / 2
    torch.testing.assert_close(moved.encoder.weight.detach(), expected)
    closed = ~masks.union().mask("union", name)
    assert bool(closed.any()) and bool((moved.encoder.weight[closed] == 0.25).all())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gate": "mean"}, "mask.binarise: positive is not allowed: half or none with gate mean"),
        (
            {"gate": "resampled", "density": 0.1},
            "mask.gate: resampled is not allowed: sampled with a top-k density",
        ),
        (
            {"binarise": "none", "density": 0.1},
            "mask.binarise: none is not allowed: positive with a top-k density",
        ),
        (
            {"gate": "resampled", "schedule": "refresh"},
            "mask.gate: resampled is not allowed: another with schedule refresh",
        ),
        (
            {"gate": "resampled", "keep_delta": True},
            "mask.keep_delta: true is not allowed: false with gate resampled",
        ),
        (
            {"keep_delta": True, "schedule": "alternating"},
            "mask.keep_delta: true is not allowed: false with schedule alternating",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        mask_settings(None, changes)


def test_a_delta_is_the_same_after_a_stop_between_two_datasets(tmp_path: Path) -> None:
    """The first dataset's w is in its checkpoint: nothing else has it once another is learned."""
    batches = {"a": planted(0)[1], "b": planted(1)[1]}
    options = {**TOY, "steps": 20, "lam": 1e-3, "keep_delta": True}
    whole, resumed = Regression(), Regression()
    learn_masks(whole, batches, **options)
    calls = iter(range(100))
    control = RunControl(checkpoints=Checkpoints(tmp_path, "f"), stop=lambda: next(calls) == 25)
    with pytest.raises(StoppedError, match="stopped at step 5 of 20"):
        learn_masks(resumed, batches, control=control, **options)
    assert bool((resumed.encoder.weight == 0).all())
    learn_masks(resumed, batches, control=RunControl(checkpoints=Checkpoints(tmp_path, "f")), **options)
    assert torch.equal(whole.encoder.weight, resumed.encoder.weight) and whole.encoder.weight.any()


def test_the_histogram_s_edges_are_as_far_as_adam_can_move_alpha() -> None:
    _, batch_at = planted()
    options = {**TOY, "steps": 6, "alpha0": 1.0, "alpha_lr": 0.05}
    alpha = learn_masks(Regression(), {"toy": batch_at}, **options).about["alpha"]
    assert (alpha["edges"][0], alpha["edges"][-1]) == pytest.approx((0.7, 1.3))
    far = learn_masks(Regression(), {"toy": batch_at}, **{**options, "alpha_lr": 9.0}).about["alpha"]
    assert (far["edges"][0], far["edges"][-1]) == pytest.approx((-19.0, 21.0))


@pytest.mark.parametrize(("density", "count"), [(0.3, 3), (0.25, 2), (0.01, 1), (1.0, 9)])
def test_a_share_of_the_weights_is_rounded_to_the_nearest_number(density: float, count: int) -> None:
    assert int(top_share({"x": torch.arange(9.0)}, density, (0,))["x"].sum()) == count


def test_datasets_with_the_same_batches_have_draws_of_their_own() -> None:
    _, batch_at = planted()
    masks = learn_masks(
        Regression(), {"a": batch_at, "b": batch_at}, **{**TOY, "steps": 3, "gate": "sampled"}
    )
    assert 0.2 < masks.jaccard("a", "b") < 0.8 and masks.densities()["a"] > 0.2


def test_no_dataset_no_loss_and_batches_that_end_are_named() -> None:
    _, batch_at = planted()
    with pytest.raises(ConfigError, match="batches_by_dataset is empty: give at least one dataset"):
        learn_masks(Regression(), {}, steps=1, loss=squared)
    with pytest.raises(ConfigError, match=r"steps: 0 is not allowed: at least 1"):
        learn_masks(Regression(), {"toy": batch_at}, steps=0, loss=squared)
    batches = [batch_at(step) for step in range(2)]
    assert learn_masks(Regression(), {"toy": batches}, steps=5, loss=squared).datasets == ("toy",)
    with pytest.raises(
        ConfigError, match=r"batches_by_dataset\['toy'\] is empty, or an iterator that cannot"
    ):
        learn_masks(Regression(), {"toy": iter(batches)}, steps=5, loss=squared)


def test_a_model_that_returns_no_loss_is_told_to_take_labels() -> None:
    tokens = torch.full((1, 4), 7)
    at = torch.tensor([1])
    batch = {"input_ids": tokens, "start_positions": at, "end_positions": at}
    assert model_loss(tiny.bert(), batch).ndim == 0
    with pytest.raises(
        ConfigError, match="BertForQuestionAnswering returned no loss for a batch with input_ids: add its"
    ):
        model_loss(tiny.bert(), {"input_ids": tokens})


def test_a_dataset_s_checkpoints_are_in_one_folder_whatever_its_name(tmp_path: Path) -> None:
    _, batch_at = planted()
    control = RunControl(checkpoints=Checkpoints(tmp_path / "kept", "f"))
    learn_masks(
        Regression(), {"a/b": batch_at, "a": batch_at, "..": batch_at}, steps=2, loss=squared, control=control
    )
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["%2E.", "a", "a%2Fb"]


@pytest.mark.parametrize(("density", "opened"), [(0.6, 12), (0.59, 8), (0.01, 4), (1.0, 20)])
def test_larger_gates_hold_at_most_the_share_and_one_is_always_open(density: float, opened: int) -> None:
    """Of 20 weights in gates of 4, 4, 4 and 8, by falling score."""
    scores, weights = {"x": torch.tensor([[3.0], [1.0], [2.0]]), "y": torch.tensor([0.5])}, {"x": 4, "y": 8}
    chosen = top_share(scores, density, (0,), weights)
    assert sum(int(mask.sum()) * weights[name] for name, mask in chosen.items()) == opened
    assert bool(chosen["x"][0])


def test_gates_that_hold_one_weight_each_are_chosen_to_the_number() -> None:
    scores = {"x": torch.zeros(7), "y": torch.tensor([1.0])}
    chosen = top_share(scores, 0.5, (3,), {"x": 1, "y": 1})
    assert int(chosen["x"].sum()) == 3 and bool(chosen["y"])
    assert torch.equal(chosen["x"], top_share(scores, 0.5, (3,))["x"])


def test_only_a_top_k_density_is_a_share_of_the_weights() -> None:
    assert top_density(MaskSettings(density=0.3)) == 0.3 and top_density(MaskSettings()) is None
    assert top_density(MaskSettings(density=0.3, density_by="lagrangian")) is None


def test_draws_that_are_equal_too_leave_the_number_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmt.mask_selection, "uniform", lambda shape, *_: torch.full(shape, 0.5))
    assert top_share({"x": torch.zeros(9)}, 4 / 9, (0,))["x"].tolist() == [True] * 4 + [False] * 5


def test_a_gate_becomes_a_mask_as_its_two_settings_say() -> None:
    law, alpha = HardConcrete(), {"x": torch.linspace(-4, 4, 200), "y": torch.linspace(-4, 4, 200)}
    key = (3, "final")
    drawn = {name: law.at(value, uniform(value.shape, (*key, name))) for name, value in alpha.items()}
    for gate, s in (
        ("sampled", drawn),
        ("resampled", drawn),
        ("deterministic", {name: law.deterministic(value) for name, value in alpha.items()}),
        ("mean", {name: law.mean(value) for name, value in alpha.items()}),
    ):
        for binarise, mask in (
            ("positive", lambda s: s > 0),
            ("half", lambda s: s > 0.5),
            ("none", lambda s: s),
        ):
            got = gate_masks(law, alpha, gate, binarise, key)
            for name in alpha:
                assert torch.equal(got[name], mask(s[name])), (gate, binarise, name)
    assert not torch.equal(drawn["x"], drawn["y"])


class TwoMaps(nn.Module):
    """Two linear maps of unlike shapes, 3 x 4 and 2 x 3."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def sum_of_squares(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return (model(x) ** 2).sum()


SHORT = {"alpha0": 0.0, "w_lr": 0.1, "alpha_lr": 0.05, "lam": 0.01, "steps": 6, "loss": sum_of_squares}


@pytest.mark.parametrize("granularity", ["element", "row", "column"])
def test_the_cut_is_the_smallest_alpha_of_all_open_gates_and_the_histogram_counts_weights(
    granularity: str,
) -> None:
    model, batches = TwoMaps(), {"a": [torch.ones(2, 4)], "b": [torch.eye(4)]}
    own = {**SHORT, "density": 0.5, "granularity": granularity}
    about = learn_masks(model, batches, **own, seed=3).about
    settings = mask_settings(None, {key: value for key, value in own.items() if key != "loss"})
    for dataset, gates in gates_by_dataset(model, batches, settings, seed=3, loss=sum_of_squares):
        mask = gates.mask(settings)
        held = {name: alpha.expand(mask[name].shape) for name, alpha in gates.alpha.items()}
        opened = torch.cat([held[name][mask[name]] for name in mask])
        assert about["alpha"]["cuts"][dataset] == float(opened.min())
        assert sum(about["alpha"]["counts"][dataset]) == 18
        low, high = (about["alpha"]["edges"][end] for end in (0, -1))
        values = torch.cat([value.flatten() for value in held.values()]).clamp(low, high)
        assert about["alpha"]["counts"][dataset] == [
            int(count) for count in torch.histc(values, 60, low, high)
        ]


def test_a_tensor_without_an_open_gate_has_no_part_in_the_cut() -> None:
    def loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        return sum_of_squares(model, x) * 0 + 5 * (model.first(x) - 1).square().sum()

    settings = {**SHORT, "loss": loss, "density": 1 / 18, "lam": 0.0, "gate": "sampled", "steps": 12}
    masks = learn_masks(TwoMaps(), {"a": [torch.eye(4)]}, **settings)
    opened = {name: int(masks.mask("a", name).sum()) for name in masks.shapes}
    assert sorted(opened.values()) == [0, 1] and masks.about["alpha"]["cuts"]["a"] < 10


def test_masks_know_how_they_were_made() -> None:
    masks = learn_masks(TwoMaps(), {"a": [torch.ones(2, 4)]}, seed=5, **SHORT)
    settings = {key: value for key, value in SHORT.items() if key != "loss"}
    want = {"kind": "learned", "seed": 5, **asdict(MaskSettings(**settings))}
    assert {key: masks.about[key] for key in want} == want
    assert set(masks.about) - set(want) == {"expected_density", "course", "alpha"}


def test_changes_are_of_the_settings_that_are_given() -> None:
    given = MaskSettings(steps=7, lam=0.25, granularity="row")
    assert mask_settings(given, {"lam": 0.5}) == MaskSettings(steps=7, lam=0.5, granularity="row")
    assert mask_settings(None, {}) == MaskSettings() and given.lam == 0.25
    masks = learn_masks(TwoMaps(), {"a": [torch.ones(2, 4)]}, settings=given, loss=sum_of_squares, steps=2)
    assert masks.about["course"]["a"][-1]["step"] == 1 and masks.about["granularity"] == "row"


@pytest.mark.parametrize(
    "changes",
    [
        {"gate": "mean", "binarise": "half"},
        {"gate": "mean", "density": 0.1},
        {"gate": "resampled", "density": 0.1, "density_by": "lagrangian"},
        {"binarise": "none", "density": 0.1, "density_by": "lagrangian"},
        {"keep_delta": True},
        {"schedule": "refresh"},
    ],
)
def test_settings_that_go_together_are_taken(changes: dict[str, object]) -> None:
    assert mask_settings(None, changes) == MaskSettings(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "mask.steps: -1 is not allowed: at least 0"),
        ({"alpha_lr": 0.0}, "mask.alpha_lr: 0.0 is not allowed: above 0"),
        (
            {"keep_delta": True, "schedule": "refresh"},
            "mask.keep_delta: true is not allowed: false with schedule",
        ),
        (
            {"gate": "resampled", "schedule": "alternating"},
            "mask.gate: resampled is not allowed: another with",
        ),
        ({"binarise": "half", "density": 0.1}, "mask.binarise: half is not allowed: positive with a top-k"),
        (
            {"gate": "mean", "density": 0.1, "density_by": "lagrangian"},
            "mask.binarise: positive is not allowed",
        ),
    ],
)
def test_no_mask_is_learned_under_settings_that_are_not_allowed(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        learn_masks(TwoMaps(), {"a": [torch.ones(2, 4)]}, loss=sum_of_squares, **changes)


def test_progress_is_every_step_of_every_dataset_also_after_a_stop(tmp_path: Path) -> None:
    batches = {"a": [torch.ones(2, 4)], "b": [torch.eye(4)]}
    told: list[tuple[int, str]] = []

    def control(stop_at: int) -> RunControl:
        calls = iter(range(10**6))
        return RunControl(
            progress=lambda count, note: told.append((count, note)),
            checkpoints=Checkpoints(tmp_path, "f"),
            stop=lambda: next(calls) == stop_at,
        )

    with pytest.raises(StoppedError, match=r"^stopped at step 4 of 6 of mask learning$"):
        learn_masks(TwoMaps(), batches, control=control(10), **SHORT)
    assert told == [(1, "")] * 10
    told.clear()
    learn_masks(TwoMaps(), batches, control=control(-1), **SHORT)
    assert told == [(6, "resumed at step 6"), (4, "resumed at step 4"), (1, ""), (1, "")]


@pytest.mark.parametrize("keep_delta", [False, True])
def test_after_the_last_step_one_checkpoint_is_kept_of_what_the_mask_is_made_of(
    keep_delta: bool, tmp_path: Path
) -> None:
    control = RunControl(checkpoints=Checkpoints(tmp_path, "f"))
    learn_masks(TwoMaps(), {"a": [torch.ones(2, 4)]}, control=control, keep_delta=keep_delta, **SHORT)
    [folder] = (tmp_path / "a").iterdir()
    saved = Checkpoints(tmp_path / "a", "f").newest()
    assert saved is not None and folder.name == "step-0000006"
    names = {f"{group}/{name}" for group in ("alpha", "w") for name in ("first.weight", "second.weight")}
    want = {name for name in names if keep_delta or name.startswith("alpha")} | {"lam", "steps"}
    assert set(saved.tensors("gates")) == want


def test_a_checkpoint_is_written_a_minute_after_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 25 s here: the third, the sixth and the ninth come more than 60 s after the last write."""
    seconds, written = iter(range(0, 10**6, 25)), []
    monkeypatch.setattr(bmt.mask_learning, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    real = Checkpoints.write

    def write(own: Checkpoints, step: int, *rest: Any, **options: Any) -> None:
        written.append(step)
        real(own, step, *rest, **options)

    monkeypatch.setattr(Checkpoints, "write", write)
    control = RunControl(checkpoints=Checkpoints(tmp_path, "f"))
    learn_masks(TwoMaps(), {"a": [torch.ones(2, 4)]}, control=control, **{**SHORT, "steps": 10})
    assert written == [3, 6, 9, 10]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["step-0000010"]


def test_a_stop_before_anything_was_learned_writes_nothing(tmp_path: Path) -> None:
    control = RunControl(checkpoints=Checkpoints(tmp_path / "kept", "f"), stop=lambda: True)
    with pytest.raises(StoppedError, match="stopped at step 0 of 6"):
        learn_masks(TwoMaps(), {"a": [torch.ones(2, 4)]}, control=control, **SHORT)
    assert not (tmp_path / "kept").exists()


def test_batches_of_a_function_come_by_their_step_and_those_of_a_list_in_order(tmp_path: Path) -> None:
    asked: list[int] = []

    def batch_at(step: int) -> torch.Tensor:
        asked.append(step)
        return torch.ones(2, 4) * (step + 1)

    learn_masks(TwoMaps(), {"a": batch_at}, **SHORT)
    assert asked == list(range(6))
    used: list[float] = []

    def loss(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
        used.append(float(x[0, 0]))
        return sum_of_squares(model, x)

    batches = [torch.full((2, 4), float(number)) for number in (1, 2, 3, 4)]
    calls = iter(range(100))
    stopped = RunControl(checkpoints=Checkpoints(tmp_path, "f"), stop=lambda: next(calls) == 3)
    with pytest.raises(StoppedError):
        learn_masks(TwoMaps(), {"a": batches}, control=stopped, **{**SHORT, "loss": loss})
    learn_masks(
        TwoMaps(),
        {"a": batches},
        control=RunControl(checkpoints=Checkpoints(tmp_path, "f")),
        **{**SHORT, "loss": loss},
    )
    assert used == [1, 2, 3, 4, 1, 2]


class Elsewhere(torch.Tensor):
    """Says that it is on a GPU, and is not."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_on_a_gpu_the_kth_largest_is_the_same(count: int) -> None:
    values = torch.tensor([3.0, -1.0, 7.0, 7.0, 0.5, 2.0, -8.0, 4.0, 1.0])
    there = values.as_subclass(Elsewhere)
    assert there.device.type == "cuda" and kth_largest(there, count) == kth_largest(values, count)
