"""Table 7: the closed forms against models built on torch's meta device, the verdicts, the remarks, and
another's numbers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import RobertaConfig, RobertaForQuestionAnswering, RobertaModel

from benchmark.compare import main
from benchmark.comparison.parameter_counts import SHAPES, ParameterCount, Shape, count, counted
from benchmark.paper.tables import load
from bmt.layers import target_names
from bmt.masks import Masks
from tests.support.results_maker import IN_DOMAIN, SMALL, make_results

BASE = SHAPES["roberta-base"]
LARGE = Shape(vocabulary=50265, positions=514, token_types=1, hidden=1024, layers=24, intermediate=4096)
SMALL_SHAPE = Shape(vocabulary=96, positions=40, token_types=2, hidden=32, layers=3, intermediate=72)


def config(shape: Shape) -> RobertaConfig:
    return RobertaConfig(
        vocab_size=shape.vocabulary,
        max_position_embeddings=shape.positions,
        type_vocab_size=shape.token_types,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=8,
        intermediate_size=shape.intermediate,
    )


def size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def compared(
    capsys: pytest.CaptureFixture[str], results: Path, *more: str, status: int = 0
) -> tuple[dict[Any, Any], list[str]]:
    assert main(["--paper-table", "7", "--results", str(results), "--format", "json", *more]) == status
    report = json.loads(capsys.readouterr().out)
    return {(cell["row"], cell["metric"]): cell for cell in report["cells"]}, report["summary"]["notes"]


@pytest.mark.parametrize("shape", [BASE, LARGE, SMALL_SHAPE], ids=["base", "large", "small"])
def test_closed_forms_are_the_sizes_of_models_on_the_meta_device(shape: Shape) -> None:
    with torch.device("meta"):
        spans, pooled = (
            RobertaForQuestionAnswering(config(shape)),
            RobertaModel(config(shape), add_pooling_layer=True),
        )
        bottleneck = nn.Sequential(
            nn.Linear(shape.hidden, shape.hidden // 16),
            nn.SiLU(),
            nn.Linear(shape.hidden // 16, shape.hidden),
        )
    assert next(spans.parameters()).is_meta
    assert shape.encoder == size(spans.roberta)
    assert shape.encoder + shape.pooler == size(pooled)
    assert shape.head == size(spans.qa_outputs)
    assert shape.adapter == 2 * shape.layers * size(bottleneck)  # after attention and after feed-forward
    parameters = dict(spans.named_parameters())
    assert shape.delta == 2 * sum(
        parameters[name].numel() for name in target_names(spans)
    )  # alpha and w of what masks act on
    plain = count(shape, adapter=False, learned=False, pooler=False)
    assert (plain.total, plain.trainable) == (size(spans), size(spans))


def test_the_bytes_of_a_mask_are_those_of_masks_in_memory() -> None:
    model = RobertaForQuestionAnswering(config(SMALL_SHAPE))
    shapes = {
        name: parameter.shape
        for name, parameter in model.named_parameters()
        if name in set(target_names(model))
    }
    masks = Masks.of(
        {d: {name: torch.ones(shape, dtype=torch.bool) for name, shape in shapes.items()} for d in "ABC"},
        model,
    )
    assert masks.total == SMALL_SHAPE.encoder
    assert sum(bits.numel() for bits in masks.bits.values()) == 3 * SMALL_SHAPE.mask_bytes


def test_roberta_base_s_numbers() -> None:
    assert (BASE.encoder, BASE.pooler, BASE.head, BASE.adapter) == (124_055_040, 590_592, 1_538, 1_789_056)
    assert count(BASE, adapter=False, learned=False) == ParameterCount(124_647_170, 124_647_170)
    assert count(BASE, adapter=True, learned=False) == ParameterCount(135_389_196, 1_790_594)
    assert count(BASE, adapter=False, learned=True) == ParameterCount(
        124_647_170 + 6 * 248_110_080, 124_647_170 + 6 * 248_110_080
    )
    assert count(BASE, adapter=True, learned=True) == ParameterCount(
        135_389_196 + 6 * 248_110_080, 1_790_594 + 248_110_080
    )
    assert 6 * BASE.mask_bytes == 93_041_280


def test_the_table_is_counted_from_nothing(capsys, tmp_path):
    cells, notes = compared(capsys, tmp_path)
    verdicts = {key: cell["verdict"] for key, cell in cells.items()}
    for row in ("roberta-base.mt.none", "roberta-base.mt.none.adapter"):
        assert {verdicts[row, metric] for metric in ("total_M", "trainable_M", "trainable_pct")} == {"exact"}
    assert [key for key, verdict in verdicts.items() if verdict == "differs"] == [
        ("roberta-base.mt.bmt", "total_M"),
        ("roberta-base.mt.bmt", "trainable_M"),
        ("roberta-base.mt.bmt.adapter", "total_M"),
        ("roberta-base.mt.bmt.adapter", "trainable_M"),
        ("roberta-base.mt.bmt.adapter", "trainable_pct"),
    ]
    cell = cells["roberta-base.mt.bmt.adapter", "trainable_M"]
    assert (cell["paper"], cell["ours_mean"], cell["delta"]) == (9.1, 249.900674, pytest.approx(240.800674))
    text = "\n".join(notes)
    assert (
        "MT(w/o adapter, w/o BMT) 124.1M / 124.1M, 100.0 %" in text
        and "MT(w/ adapter, w/o BMT) 134.8M / 1.8M, 1.3 %" in text
    )
    assert "248.1M per dataset, 1,488.7M for 6; w alone 124.1M and 744.3M" in text
    assert "124,055,040 bits = 15.5 MB per dataset, 93.0 MB for 6" in text
    assert "non-zero: not measured" in text
    assert (
        "the paper's 7.3M for delta_d is not derivable" in text
        and "density of 0.059 (one delta_d) or 0.0098 (6)" in text
    )
    compared(capsys, tmp_path, "--strict", status=1)


def test_non_zero_counts_are_those_at_the_measured_density(capsys, tmp_path):
    def mask(record: dict[str, Any]) -> None:
        if record["arm"] == "bmt":
            record["mask"] = {
                "kind": "learned",
                "density": dict.fromkeys(IN_DOMAIN, 0.25 + 0.1 * record["seed"]),
                "union_density": 0.5,
            }

    make_results(
        tmp_path,
        backbone="minilm",
        profile="mini",
        arms=["none", "bmt"],
        seeds=(0, 1),
        sizes=SMALL,
        change=mask,
    )
    _, notes = compared(capsys, tmp_path)
    (line,) = [note for note in notes if "non-zero: expected" in note]
    assert (
        "density 0.300 (mean of 2 runs of minilm, which stands in): 37.2M open weights per dataset, 223.3M "
        "for 6" in line
    )
    assert line.endswith("62.0M in their union (density 0.500)")
    _, notes = compared(capsys, tmp_path, "--seeds", "0")
    assert any(
        "density 0.250 (mean of 1 run of minilm, which stands in): 31.0M open weights per dataset" in note
        for note in notes
    )
    make_results(
        tmp_path,
        arms=["bmt"],
        seeds=(0,),
        change=lambda record: record.update(mask={"kind": "learned", "density": {"SQuAD": 0.1}}),
    )
    _, notes = compared(capsys, tmp_path)
    assert any(
        note.endswith("density 0.100 (mean of 1 run): 12.4M open weights per dataset, 12.4M for 1")
        for note in notes
    )


def test_a_file_of_somebody_s_numbers_counts_instead_and_ours_stand_below(capsys, tmp_path):
    facts = {
        "schema": 1,
        "table": "7",
        "backbone": "roberta-base",
        "rows": {"roberta-base.mt.bmt": {"total_M": 131.9}},
    }
    (tmp_path / "table_7.json").write_text(json.dumps(facts))
    cells, notes = compared(capsys, tmp_path)
    assert (
        cells["roberta-base.mt.bmt", "total_M"]["verdict"],
        cells["roberta-base.mt.none", "total_M"]["verdict"],
    ) == ("exact", "missing")
    assert notes[0].startswith(
        "ours: the numbers of table_7.json in the results. Counted from roberta-base's configuration"
    )
    assert any(
        note.startswith("counted, total / trainable: MT(w/o adapter, w/o BMT) 124.6M / 124.6M, 100.0 %")
        for note in notes
    )
    (tmp_path / "table_7.json").write_text("{")
    cells, _ = compared(capsys, tmp_path, status=2)
    assert {cell["verdict"] for cell in cells.values()} == {"not comparable"}


def test_only_tables_of_parameters_of_a_known_shape_are_counted() -> None:
    tables = load().tables
    assert [name for name, table in tables.items() if counted(table)] == ["7"]
    table = tables["7"]
    other = replace(table.rows[0], ours=replace(table.rows[0].ours, backbone="t5-base"))
    assert counted(replace(table, rows=(other,))) is None
    assert counted(replace(table, rows=(*table.rows, other))) is None
    assert counted(replace(table, rows=(replace(table.rows[0], ours=None),))) is None


def test_table_7_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from benchmark.compare import main; status = main(['--paper-table', '7', '--results', "
        "sys.argv[1]]); print([name for name in ('torch', 'transformers', 'mlflow', 'dvc') if name in "
        "sys.modules], status)"
    )
    run = [sys.executable, "-c", code, str(tmp_path)]
    found = subprocess.run(
        run, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert found.stdout.splitlines()[-1] == "[] 0"
