"""Masks as objects: packing, counts, set operations, files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import bmt.masks
from bmt.errors import ConfigError, ModelError
from bmt.layers import in_encoder, is_head, kind_of, layer_of, target_names
from bmt.masks import Masks, count_open, pack, unpack
from tests.support import tiny
from tests.support.random_masks import learned_masks


@given(st.lists(st.booleans(), min_size=1, max_size=70))
@settings(deadline=None)
def test_pack_and_unpack_are_inverse(values: list[bool]) -> None:
    mask = torch.tensor(values)
    bits = pack(mask)
    assert bits.numel() == -(-len(values) // 8)
    assert torch.equal(unpack(bits, mask.shape), mask)
    assert count_open(bits) == sum(values)


def test_a_weight_takes_one_bit() -> None:
    masks = learned_masks()
    held = sum(bits.numel() for bits in masks.bits.values())
    assert held <= 3 * (masks.total / 8 + len(masks.shapes))


def test_densities_overlaps_and_set_operations_equal_those_of_bool_tensors() -> None:
    masks = learned_masks()
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
    masks = learned_masks()
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
    masks = learned_masks(model=model)
    masks.save(tmp_path / "masks.safetensors")
    back = Masks.load(tmp_path / "masks.safetensors", model)
    assert back.equals(masks) and back.about == masks.about
    assert [path.name for path in tmp_path.iterdir()] == ["masks.safetensors"]


def test_masks_for_another_model_are_refused(tmp_path: Path) -> None:
    learned_masks().save(tmp_path / "masks.safetensors")
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
        learned_masks().density("D")


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
    learned_masks().save(path)
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


def pair() -> torch.nn.Sequential:
    return torch.nn.Sequential(torch.nn.Linear(4, 2, bias=False), torch.nn.Linear(2, 3, bias=False))


def of_rows(**rows: tuple[str, str]) -> Masks:
    """Masks over the eight weights of `pair`'s first map and the six of its second, written as bits."""
    return Masks.of(
        {
            dataset: {
                name: torch.tensor([bit == "1" for bit in bits]).view(shape)
                for name, bits, shape in zip(("0.weight", "1.weight"), both, ((2, 4), (3, 2)), strict=True)
            }
            for dataset, both in rows.items()
        },
        pair(),
        {"kind": "learned", "seed": 3},
    )


def test_counts_overlaps_and_sets_of_three_small_masks_by_hand() -> None:
    masks = of_rows(B=("11110000", "100000"), A=("11000000", "111000"), C=("00000000", "000000"))
    assert masks.total == 14 and masks.datasets == ("B", "A", "C")
    assert masks.densities() == {"B": 5 / 14, "A": 5 / 14, "C": 0.0}
    assert masks.density("A", ["1.weight"]) == 0.5 and masks.density("B", iter(["0.weight"])) == 0.5
    assert masks.density_by("tensor")["A"] == {"0.weight": 0.25, "1.weight": 0.5}
    assert masks.shared("A", "B") == (3, 7) and masks.shared("A", "C") == (0, 5)
    assert masks.overlaps() == {
        "B": {"B": 1.0, "A": 3 / 7, "C": 0.0},
        "A": {"B": 3 / 7, "A": 1.0, "C": 0.0},
        "C": {"B": 0.0, "A": 0.0, "C": 1.0},
    }
    union, common = masks.union(), of_rows(B=("11110000", "100000"), A=("11000000", "111000")).intersection()
    assert union.mask("union", "0.weight").int().tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert common.mask("intersection", "1.weight").int().tolist() == [[1, 0], [0, 0], [0, 0]]
    assert masks.union_density() == 7 / 14 and common.densities() == {"intersection": 3 / 14}
    assert masks.intersection().densities() == {"intersection": 0.0}
    assert union.about == {"kind": "learned", "seed": 3, "union": ["B", "A", "C"]}
    assert common.about == {"kind": "learned", "seed": 3, "intersection": ["B", "A"]}
    assert union.identity == masks.identity and union.shapes == masks.shapes


def test_two_objects_are_compared_each_with_its_own_densities() -> None:
    """n p q / n (p + q - p q), tensor by tensor: 8 weights with 2 and 6 open, 6 weights with 3 and 2 open."""
    one = of_rows(A=("11000000", "111000"), B=("11111111", "111111"))
    other = of_rows(B=("01111110", "000011"), A=("00000000", "000000"))
    both = 8 * 0.25 * 0.75 + 6 * 0.5 / 3
    either = 8 * (0.25 + 0.75 - 0.1875) + 6 * (0.5 + 1 / 3 - 0.5 / 3)
    assert one.chance_jaccard("A", "B", other) == pytest.approx(both / either, rel=1e-12)
    assert other.chance_jaccard("B", "A", one) == pytest.approx(both / either, rel=1e-12)
    assert one.shared("A", "B", other) == (1, 12) and other.shared("B", "A", one) == (1, 12)
    assert one.jaccard("A", "B", other) == 1 / 12 and one.jaccard("B", "A", other) == 0
    with pytest.raises(ModelError, match="dataset 'C' has no mask"):
        one.jaccard("A", "C", other)


def test_masks_are_grouped_by_layer_and_kind_of_their_tensors() -> None:
    model = tiny.bert()
    masks = learned_masks(model=model)
    for group, of in (("layer", layer_of), ("kind", kind_of)):
        densities = masks.density_by(group)
        assert list(densities) == ["A", "B", "C"] and list(densities["B"]) == sorted(densities["B"])
        for key, value in densities["B"].items():
            names = [name for name in masks.shapes if of(name) == key]
            opened = sum(int(masks.mask("B", name).sum()) for name in names)
            assert value == opened / sum(masks.mask("B", name).numel() for name in names)


@pytest.mark.parametrize(
    "other",
    [
        of_rows(A=("11000000", "111001"), B=("11110000", "100000")),
        of_rows(A=("11000000", "111000"), B=("11110001", "100000")),
        of_rows(B=("11000000", "111000"), A=("11110000", "100000")),
        of_rows(A=("11000000", "111000"), C=("11110000", "100000")),
        of_rows(A=("11000000", "111000")),
        replace(of_rows(A=("11000000", "111000"), B=("11110000", "100000")), identity="another"),
    ],
    ids=["a bit", "a bit of the second", "order", "name", "fewer", "architecture"],
)
def test_masks_that_differ_in_anything_but_how_they_were_made_are_not_equal(other: Masks) -> None:
    masks = of_rows(A=("11000000", "111000"), B=("11110000", "100000"))
    assert masks.equals(replace(masks, about={})) and masks.equals(masks)
    assert not masks.equals(other) and not other.equals(masks)


def test_joined_masks_keep_the_order_of_their_parts_and_are_told_how_they_were_made() -> None:
    whole = of_rows(B=("11000000", "111000"), A=("11110000", "100000"), C=("00000001", "000001"))
    two = of_rows(B=("11000000", "111000"), A=("11110000", "100000"))
    joined = Masks.joined([two, of_rows(C=("00000001", "000001"))], {"kind": "some"})
    assert joined.equals(whole) and joined.about == {"kind": "some"}
    assert Masks.joined([two]).about == {}


def test_a_control_says_what_it_was_permuted_with() -> None:
    masks = of_rows(A=("11000000", "111000"))
    assert masks.permuted(8).about == {"kind": "fixed_random", "seed": 3, "permuted_with": 8}
    assert masks.about == {"kind": "learned", "seed": 3}


def test_a_mask_of_another_shape_is_refused_where_it_is_made_and_where_it_is_read(tmp_path: Path) -> None:
    masks = of_rows(A=("11000000", "111000"))
    masks.save(tmp_path / "m.safetensors")
    larger = torch.nn.Sequential(torch.nn.Linear(4, 2, bias=False), torch.nn.Linear(2, 4, bias=False))
    said = (
        r"these masks are for another model: tensor 1\.weight is \[3, 2\] in the masks, and Sequential has "
        r"\[4, 2\] there"
    )
    with pytest.raises(ModelError, match=said):
        Masks.load(tmp_path / "m.safetensors", larger)
    with pytest.raises(ModelError, match=said):
        Masks.of({"A": {"1.weight": torch.ones(3, 2, dtype=torch.bool)}}, larger)


def test_a_soft_gate_that_float16_rounds_to_nothing_is_closed() -> None:
    model = torch.nn.Linear(4, 1, bias=False)
    masks = Masks.of({"A": {"weight": torch.tensor([[1e-9, 1e-3, 0.0, 1.0]])}}, model)
    assert masks.mask("A", "weight").tolist() == [[0, float(torch.tensor(1e-3).half()), 0, 1]]
    assert masks.density("A") == 0.5


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "masks.safetensors"
    first = of_rows(A=("11000000", "111000"))
    first.save(path)

    def half(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(bmt.masks, "save_file", half)
    with pytest.raises(OSError, match="disk full"):
        of_rows(A=("00000000", "000000")).save(path)
    assert Masks.load(path).equals(first) and [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_that_holds_no_masks_is_named(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors", metadata={"masks": "{"})
    (tmp_path / "text.safetensors").write_text("no tensors")
    for name in ("bare", "other", "text"):
        with pytest.raises(ModelError, match=rf"{name}\.safetensors: not a file of masks .*; make it again$"):
            Masks.load(str(tmp_path / f"{name}.safetensors"))
    index = {"format": bmt.masks.FORMAT, "shapes": {"x": [1]}, "datasets": ["A"], "identity": "", "about": {}}
    for key in (*index, "tensor"):
        lacking = {name: value for name, value in index.items() if name != key}
        path = tmp_path / f"no_{key}.safetensors"
        save_file({"y": torch.zeros(1)}, path, metadata={"masks": json.dumps(lacking)})
        reason = "masks of format None" if key == "format" else "not a file of masks .*; make it again$"
        with pytest.raises(ModelError, match=rf"no_{key}\.safetensors: {reason}"):
            Masks.load(path)
    for number, other in enumerate(([], "x", 1, index | {"shapes": []}, index | {"shapes": {"x": 1}})):
        path = tmp_path / f"kind_{number}.safetensors"
        save_file({"x": torch.zeros(1)}, path, metadata={"masks": json.dumps(other)})
        reason = rf"kind_{number}\.safetensors: not a file of masks .*; make it again$"
        with pytest.raises(ModelError, match=reason):
            Masks.load(path)
    with pytest.raises(ModelError, match="no masks there"):
        Masks.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "layer", "kind"),
    [
        ("decoder.block.1.layer.2.DenseReluDense.wo.weight", "decoder_01", "ffn_out"),
        ("decoder.block.0.layer.1.EncDecAttention.k.weight", "decoder_00", "key"),
        ("decoder.final_layer_norm.weight", "other", "norm"),
        ("encoder.block.11.layer.0.SelfAttention.o.weight", "layer_11", "attention_output"),
        ("encoder.block.0.layer.0.layer_norm.weight", "layer_00", "norm"),
        ("model.layers.7.self_attn.q_proj.weight", "layer_07", "query"),
        ("model.layers.7.self_attn.k_proj.bias", "layer_07", "key"),
        ("model.layers.7.self_attn.v_proj.weight", "layer_07", "value"),
        ("model.layers.7.self_attn.o_proj.weight", "layer_07", "attention_output"),
        ("model.layers.7.mlp.up_proj.weight", "layer_07", "ffn_in"),
        ("model.layers.7.mlp.down_proj.weight", "layer_07", "ffn_out"),
        ("model.embed_tokens.weight", "embeddings", "embedding"),
        ("distilbert.transformer.layer.5.ffn.lin1.weight", "layer_05", "ffn_in"),
        ("distilbert.transformer.layer.5.ffn.lin2.weight", "layer_05", "ffn_out"),
        ("distilbert.transformer.layer.5.attention.q_lin.weight", "layer_05", "other"),
        ("transformer.h.3.mlp.fc1.weight", "layer_03", "ffn_in"),
        ("wte.weight", "embeddings", "embedding"),
        ("bert.embeddings.LayerNorm.weight", "embeddings", "norm"),
        ("bert.encoder.layer.3.output.adapter.down.weight", "layer_03", "adapter"),
        ("lm_head.weight", "head", "head"),
        ("score.weight", "head", "head"),
        ("heads.weight", "head", "head"),
        ("bert.pooler.dense.weight", "other", "other"),
        ("bert.encoder.layer.2.to_decoder.weight", "layer_02", "other"),
    ],
)
def test_where_a_tensor_of_another_architecture_sits(name: str, layer: str, kind: str) -> None:
    assert (layer_of(name), kind_of(name)) == (layer, kind)


def test_heads_and_adapters_are_no_part_of_the_encoder() -> None:
    heads = ["qa_outputs.weight", "classifier.bias", "score.weight", "lm_head.bias", "head.0", "heads.weight"]
    assert all(is_head(name) and not in_encoder(name) for name in heads)
    adapter = "bert.encoder.layer.0.adapter.down"
    assert not is_head(adapter) and not in_encoder(adapter)
    for name in ("bert.head.weight", "headless.weight", "bert.classifier.bias", "x"):
        assert not is_head(name) and in_encoder(name), name


def test_targets_are_patterns_found_anywhere_in_a_name_in_the_model_s_order() -> None:
    class Some(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.b, self.a, self.qa_outputs = (torch.nn.Linear(1, 1) for _ in range(3))

    model = Some()
    assert target_names(model) == ["b.weight", "b.bias", "a.weight", "a.bias"]
    assert target_names(model, [r"^a\.", "b.*bias"]) == ["b.bias", "a.weight", "a.bias"]
    assert target_names(model, ["weight"]) == ["b.weight", "a.weight", "qa_outputs.weight"]
    assert target_names(model, ["weight", r"^b\.w"]) == target_names(model, ["weight"])
    with pytest.raises(
        ConfigError,
        match=r"targets: the pattern 'decoder' matches no parameter of Some; names look like b\.weight",
    ):
        target_names(model, ["weight", "decoder"])


class Elsewhere(torch.Tensor):
    """Says that it is on a GPU, and is not."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


def test_on_a_gpu_bits_are_read_in_the_same_order(monkeypatch: pytest.MonkeyPatch) -> None:
    mask = torch.rand(3, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    real = torch.arange
    monkeypatch.setattr(torch, "arange", lambda *ends, device, dtype: real(*ends, dtype=dtype))
    got = unpack(pack(mask).as_subclass(Elsewhere), (3, 7))
    assert got.dtype == torch.bool and got.tolist() == mask.tolist()
