"""Masks as objects: packing, counts, set operations, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bmt.errors import ModelError
from bmt.layers import kind_of, layer_of, target_names
from bmt.masks import Masks, count_open, pack, unpack
from tests.support import tiny


def made(density: float = 0.3, seed: int = 0, model: torch.nn.Module | None = None) -> Masks:
    model = tiny.bert() if model is None else model
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(model.named_parameters())
    names = target_names(model)
    masks = {
        d: {name: torch.rand(parameters[name].shape, generator=generator) < density for name in names}
        for d in ("A", "B", "C")
    }
    return Masks.of(masks, model, {"kind": "learned"})


@given(st.lists(st.booleans(), min_size=1, max_size=70))
@settings(deadline=None)
def test_pack_and_unpack_are_inverse(values: list[bool]) -> None:
    mask = torch.tensor(values)
    bits = pack(mask)
    assert bits.numel() == -(-len(values) // 8)
    assert torch.equal(unpack(bits, mask.shape), mask)
    assert count_open(bits) == sum(values)


def test_a_weight_takes_one_bit() -> None:
    masks = made()
    held = sum(bits.numel() for bits in masks.bits.values())
    assert held <= 3 * (masks.total / 8 + len(masks.shapes))


def test_densities_overlaps_and_set_operations_equal_those_of_bool_tensors() -> None:
    masks = made()
    dense = {d: torch.cat([masks.mask(d, name).reshape(-1) for name in masks.shapes]) for d in masks.datasets}
    for d, mask in dense.items():
        assert masks.density(d) == pytest.approx(mask.double().mean().item(), abs=1e-15)
    union = dense["A"] | dense["B"] | dense["C"]
    assert masks.union_density() == pytest.approx(union.double().mean().item(), abs=1e-15)
    both = dense["A"] & dense["B"] & dense["C"]
    assert masks.intersection().density("intersection") == pytest.approx(
        both.double().mean().item(), abs=1e-15
    )
    jaccard = (dense["A"] & dense["B"]).sum() / (dense["A"] | dense["B"]).sum()
    assert masks.jaccard("A", "B") == pytest.approx(jaccard.item())
    assert masks.overlaps()["A"]["A"] == 1.0
    by_layer = masks.density_by("layer")["A"]
    assert set(by_layer) == {"embeddings", "layer_00", "layer_01"}
    names = [name for name in masks.shapes if layer_of(name) == "layer_01"]
    layer = torch.cat([masks.mask("A", name).reshape(-1) for name in names])
    assert by_layer["layer_01"] == pytest.approx(layer.double().mean().item())


def test_permuted_masks_keep_density_per_tensor_and_every_overlap() -> None:
    masks = made()
    control = masks.permuted(5)
    assert control.density_by("tensor") == masks.density_by("tensor")
    assert control.overlaps() == masks.overlaps()
    assert control.union_density() == masks.union_density()
    assert not control.equals(masks)
    assert control.equals(masks.permuted(5)) and not control.equals(masks.permuted(6))
    assert 0.1 < control.jaccard("A", "A", masks) < 0.25  # chance at density .3 is .3 / 1.7 = .176


def test_the_overlap_of_chance_is_that_of_independent_masks_with_the_densities_of_each_tensor() -> None:
    """By hand on two tensors; and large independent masks have it."""
    model = torch.nn.Sequential(torch.nn.Linear(400, 500, bias=False), torch.nn.Linear(500, 100, bias=False))
    draw = torch.Generator().manual_seed(0)
    densities = {"A": (0.1, 0.6), "B": (0.3, 0.6)}
    masks = Masks.of(
        {
            d: {
                n: torch.rand(p.shape, generator=draw) < x
                for (n, p), x in zip(model.named_parameters(), own, strict=True)
            }
            for d, own in densities.items()
        },
        model,
    )
    want = (200_000 * 0.03 + 50_000 * 0.36) / (200_000 * 0.37 + 50_000 * 0.84)
    assert masks.chance_jaccard("A", "B") == pytest.approx(want, rel=0.01)
    assert masks.jaccard("A", "B") == pytest.approx(masks.chance_jaccard("A", "B"), rel=0.02)
    assert masks.jaccard("A", "A") == 1 > masks.chance_jaccard("A", "A")


def test_masks_come_back_from_a_file(tmp_path: Path) -> None:
    model = tiny.bert()
    masks = made(model=model)
    masks.save(tmp_path / "masks.safetensors")
    back = Masks.load(tmp_path / "masks.safetensors", model)
    assert back.equals(masks) and back.about == masks.about
    assert [path.name for path in tmp_path.iterdir()] == ["masks.safetensors"]


def test_masks_for_another_model_are_refused(tmp_path: Path) -> None:
    made().save(tmp_path / "masks.safetensors")
    with pytest.raises(
        ModelError,
        match=r"another model: tensor bert\.embeddings\.word_embeddings\.weight .* "
        r"RobertaForQuestionAnswering has no such tensor",
    ):
        Masks.load(tmp_path / "masks.safetensors", tiny.roberta())
    with pytest.raises(ModelError, match=r"nowhere\.safetensors: no masks there"):
        Masks.load(tmp_path / "nowhere.safetensors")
    data = (tmp_path / "masks.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match="not a file of masks"):
        Masks.load(tmp_path / "cut.safetensors")
    with pytest.raises(ModelError, match="dataset 'D' has no mask: there are masks for A, B, C"):
        made().density("D")


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("bert.embeddings.word_embeddings.weight", "embeddings", "embedding"),
        ("bert.embeddings.position_embeddings.weight", "embeddings", "position"),
        ("bert.encoder.layer.3.attention.self.query.weight", "layer_03", "query"),
        ("bert.encoder.layer.3.attention.output.dense.weight", "layer_03", "attention_output"),
        ("bert.encoder.layer.3.attention.output.LayerNorm.bias", "layer_03", "norm"),
        ("bert.encoder.layer.10.intermediate.dense.weight", "layer_10", "ffn_in"),
        ("bert.encoder.layer.10.output.dense.bias", "layer_10", "ffn_out"),
        ("roberta.encoder.layer.0.attention.self.key.bias", "layer_00", "key"),
        ("transformer.encoder.block.1.layer.0.SelfAttention.v.weight", "layer_01", "value"),
        ("transformer.encoder.block.1.layer.1.DenseReluDense.wi.weight", "layer_01", "ffn_in"),
        (
            "transformer.encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            "layer_00",
            "position",
        ),
        ("transformer.shared.weight", "embeddings", "embedding"),
        ("qa_outputs.weight", "head", "head"),
        ("classifier.bias", "head", "head"),
    ],
)
def test_where_a_tensor_sits(name: str, layer: str, kind: str) -> None:
    assert (layer_of(name), kind_of(name)) == (layer, kind)


def test_two_tensors_of_equal_shape_are_permuted_differently() -> None:
    """The same bits in both before; after it each has its own order, and only chance is common to them."""
    model = torch.nn.Sequential(torch.nn.Linear(60, 50, bias=False), torch.nn.Linear(50, 60, bias=False))
    model[1].weight = torch.nn.Parameter(torch.zeros(50, 60))
    bits = torch.rand(50, 60, generator=torch.Generator().manual_seed(0)) < 0.3
    control = Masks.of({"A": {"0.weight": bits, "1.weight": bits}}, model).permuted(5)
    first, second = control.mask("A", "0.weight"), control.mask("A", "1.weight")
    assert int(first.sum()) == int(second.sum()) == int(bits.sum())
    for one, other in ((first, second), (first, bits), (second, bits)):
        assert 0.12 < float((one & other).sum() / (one | other).sum()) < 0.24  # chance: .3 / 1.7 = .176


def test_the_bits_of_a_file_are_most_significant_first() -> None:
    assert pack(torch.tensor([True] + 8 * [False] + [True])).tolist() == [128, 64]
    assert unpack(
        torch.tensor([128, 64], dtype=torch.uint8), (2, 5)
    ).flatten().nonzero().flatten().tolist() == [0, 9]


def test_masks_of_a_model_with_other_parameters_beside_are_refused(tmp_path: Path) -> None:
    """Every masked tensor fits; the digest of the architecture does not."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4))
    Masks.of({"A": {"0.weight": torch.ones(4, 3, dtype=torch.bool)}}, model).save(tmp_path / "m.safetensors")
    larger = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 2))
    Masks.load(tmp_path / "m.safetensors").check_fits(larger)
    with pytest.raises(ModelError, match="another model than this Sequential: other parameters stand beside"):
        Masks.load(tmp_path / "m.safetensors", larger)


def test_two_empty_masks_overlap_wholly() -> None:
    model = torch.nn.Linear(3, 4)
    masks = Masks.of({d: {"weight": torch.zeros(4, 3, dtype=torch.bool)} for d in "AB"}, model)
    assert masks.jaccard("A", "B") == masks.chance_jaccard("A", "B") == 1.0


def test_masks_of_another_format_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "masks.safetensors"
    made().save(path)
    with safe_open(path, framework="pt") as stream:
        index = json.loads(stream.metadata()["masks"])
    assert index["format"] == "bmt-masks-1"
    text = json.dumps(index | {"format": "bmt-masks-2"})
    save_file(load_file(path), path, metadata={"masks": text})
    with pytest.raises(ModelError, match="masks of format 'bmt-masks-2'; this version reads 'bmt-masks-1'"):
        Masks.load(path)


def test_masks_over_different_tensors_are_not_compared() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    both = {name: torch.ones(p.shape, dtype=torch.bool) for name, p in model.named_parameters()}
    one = {name: mask for name, mask in both.items() if name.startswith("0")}
    large, small = Masks.of({"A": both}, model), Masks.of({"A": one}, model)
    assert large.jaccard("A", "A", large) == small.jaccard("A", "A", small) == 1
    for left, right in ((large, small), (small, large)):
        with pytest.raises(ModelError, match="masks over different tensors cannot be compared"):
            left.jaccard("A", "A", right)
