"""Mask learning: the planted support, the gradients' course, and that theta comes back bit for bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bmt.errors import ConfigError, ModelError
from bmt.mask_learning import gates_by_dataset, learn_masks, mask_settings, model_loss
from bmt.mask_selection import kth_largest, top_share
from bmt.runtime.checkpoints import Checkpoints
from bmt.runtime.control import RunControl
from bmt.runtime.stopping import StoppedError
from tests.support import tiny


class Regression(nn.Module):
    """y = x . theta, theta 0; the right mask is the support of the planted weights."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(200, 1, bias=False)
        nn.init.zeros_(self.encoder.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.encoder(x).squeeze(-1)


def planted(seed: int = 0):
    """True weights with 10 % support, and a batch function."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.zeros(200)
    support = torch.randperm(200, generator=generator)[:20]
    weights[support] = (torch.randint(0, 2, (20,), generator=generator) * 2 - 1) * (
        1 + torch.rand(20, generator=generator)
    )

    def batch_at(step: int) -> dict[str, torch.Tensor]:
        x = torch.randn(64, 200, generator=torch.Generator().manual_seed(1000 + step))
        return {"x": x, "y": x @ weights}

    return weights != 0, batch_at


def squared(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


TOY = {"alpha0": 0.0, "w_lr": 0.05, "alpha_lr": 0.05, "steps": 500, "loss": squared, "gate": "deterministic"}


def test_the_planted_support_is_found() -> None:
    """Precision and recall above .9 at a support of 10 %; a random mask of that density has precision .1."""
    support, batch_at = planted()
    found = (
        learn_masks(Regression(), {"toy": batch_at}, lam=5e-3, **TOY)
        .mask("toy", "encoder.weight")
        .reshape(-1)
    )
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
    _, batch_at = planted()
    a, b = (
        learn_masks(Regression(), {"toy": batch_at}, lam=5e-3, density=0.1, seed=seed, **TOY)
        for seed in (0, 1)
    )
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
    support, batch_at = planted()
    masks = learn_masks(Regression(), {"toy": batch_at}, lam=5e-3, granularity=granularity, **TOY)
    assert masks.density("toy") == pytest.approx(density, abs=0.02)
    if granularity == "column":
        assert int((masks.mask("toy", "encoder.weight").reshape(-1) & support).sum()) > 18


def test_top_share_of_larger_gates_takes_them_while_they_fit() -> None:
    scores = {"x": torch.tensor([[3.0], [1.0], [2.0]]), "y": torch.tensor([0.5])}
    chosen = top_share(scores, 0.5, (0,), {"x": 4, "y": 8})  # of 20 weights: gates of 4, 4, 4 and 8
    assert chosen["x"].reshape(-1).tolist() == [True, False, True] and not bool(chosen["y"])


def test_the_course_of_learning_is_kept_with_the_masks() -> None:
    _, batch_at = planted()
    masks = learn_masks(Regression(), {"toy": batch_at}, lam=5e-3, **TOY)
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
    _, batch_at = planted()
    alpha = learn_masks(Regression(), {"toy": batch_at}, lam=5e-3, density=0.1, **TOY).about["alpha"]
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
