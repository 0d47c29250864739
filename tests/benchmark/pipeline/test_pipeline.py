"""fetch → prepare → train → evaluate → compare on tiny models, in one process; what each leaves, and what bad
input gives.
"""

from __future__ import annotations

import functools
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForQuestionAnswering

import bmt
from benchmark import ask, check, compare, fetch, transfer
from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.cells import parse
from benchmark.config.params import load
from benchmark.runs.evaluation_run import evaluate_cell
from benchmark.runs.trained_runs import find_run
from benchmark.runs.training_run import train_cell
from bmt.errors import BMTError, ConfigError, DataError, ModelError
from bmt.masks import Masks
from bmt.qa.features import load as load_features
from bmt.qa.metrics import f1, score
from tests.support import project

CELLS = ["bert.mt.none.s0", "bert.mt.mask.s0", "bert.mt.bmt.s0", "bert.mt.bmt.s1"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample corpus, written once."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Iterator[Path]:
    """A project whose four cells on a tiny BERT were trained and evaluated."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMT_ROOT", str(root))
        patch.setenv("BMT_TRACKING", "journal")
        project.write_bert(root / "backbones" / "bert", project.corpus_texts(corpus))
        project.write_params(root, project.params(["bert"], CELLS, manifest=str(corpus)))
        run_all(CELLS)
        yield root


def run_all(cells: list[str]) -> None:
    """fetch, prepare, then train and evaluate each cell."""
    assert fetch.main([]) == 0
    config = load()
    prepare(config, workers=1)
    for name in cells:
        train_cell(config, parse(name))
        evaluate_cell(config, parse(name))


def test_a_run_leaves_exactly_these_files(trained: Path) -> None:
    run = trained / "runs" / "tiny" / "bert.mt.bmt.s0"
    assert {path.name for path in run.iterdir()} >= {
        "model",
        "masks",
        "training.json",
        "curve.csv",
        "metrics.json",
    }
    assert {path.name for path in (run / "masks").iterdir()} == {"masks.safetensors", "masks.json"}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in (run / "model").iterdir()
    }
    results = {f"{cell}.{kind}" for cell in CELLS for kind in ("json", "parquet")}
    assert {path.name for path in (trained / "results" / "tiny").iterdir()} == results
    assert not list(trained.rglob("*.part")) and [
        path.name for path in (trained / ".checkpoints").iterdir()
    ] == ["masks"]
    assert (
        len(list((trained / ".checkpoints" / "masks").iterdir())) == 2
    )  # one a BMT cell, for other arms that use the same
    assert {path.name for path in (trained / "runs" / "tiny" / "bert.mt.none.s0" / "masks").iterdir()} == {
        "masks.json"
    }


def test_results_say_what_was_run_and_predictions_re_score_to_them(trained: Path) -> None:
    for cell in CELLS:
        record = json.loads((trained / "results" / "tiny" / f"{cell}.json").read_text())
        rows = pq.read_table(trained / "results" / "tiny" / f"{cell}.parquet").to_pylist()
        assert record["cell"] == cell and record["schema"] == 1 and record["seed"] == int(cell[-1])
        assert (
            set(record["datasets"]) == {*project.DATASETS, *project.OTHERS}
            and record["missing_datasets"] == []
        )
        for name, own in record["datasets"].items():
            mine = [row for row in rows if row["dataset"] == name]
            assert own["examples"] == len(mine) == 6
            assert own["f1"] == pytest.approx(
                100 * np.mean([f1(row["prediction"], row["answers"]) for row in mine]), abs=1e-9
            )
        in_domain = [record["datasets"][name]["f1"] for name in project.DATASETS]
        assert record["averages"]["in_domain"]["f1"] == pytest.approx(np.mean(in_domain))
        assert record["averages"]["out_of_domain"]["datasets"] == list(project.OTHERS)
        assert (
            record["budget"]["steps"] == 8
            and record["budget"]["windows"] == 64
            and record["deviation"]["relative"] > 0
        )


def test_masks_are_learned_at_the_target_density_and_hold(trained: Path) -> None:
    folder = trained / "runs" / "tiny" / "bert.mt.bmt.s0"
    masks = Masks.load(folder / "masks" / "masks.safetensors")
    assert masks.densities() == pytest.approx(dict.fromkeys(project.DATASETS, 0.3), abs=1e-4)
    record = json.loads((folder / "training.json").read_text())
    assert record["mask"]["union_density"] == pytest.approx(masks.union_density())
    assert record["deviation"]["total"]["changed"] <= masks.union_density()
    free = json.loads((trained / "runs" / "tiny" / "bert.mt.none.s0" / "training.json").read_text())
    assert free["mask"] is None and free["deviation"]["total"]["changed"] > masks.union_density()


def test_sampling_weights_leave_uniform(trained: Path) -> None:
    lines = (trained / "runs" / "tiny" / "bert.mt.none.s0" / "curve.csv").read_text().splitlines()
    column = lines[0].split(",").index("weight/SQuAD")
    weights = [float(line.split(",")[column]) for line in lines[1:]]
    assert weights[:2] == [0.5, 0.5] and len(weights) >= 4


def test_a_trained_model_opens_and_answers_with_the_scores_that_evaluation_gave(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained / "runs" / "tiny" / "bert.mt.bmt.s0"
    model, tokenizer = bmt.load(folder)
    plain = AutoModelForQuestionAnswering.from_pretrained(folder / "model")
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), plain.parameters(), strict=True))
    features = load_features(
        trained / "data" / "features" / "tiny" / "bert" / "SQuAD.dev"
    ).examples.to_pylist()
    questions = {row["id"]: row for row in features}
    rows = [
        row
        for row in pq.read_table(trained / "results" / "tiny" / "bert.mt.bmt.s0.parquet").to_pylist()
        if row["dataset"] == "SQuAD"
    ]
    for row in rows:
        own = questions[row["example_id"]]
        found = bmt.answer(model, tokenizer, own["question"], own["context"])
        assert found.text == row["prediction"] == own["context"][found.start : found.end]
        assert found.score == pytest.approx(row["score"], abs=1e-4)
    long = " ".join(row["context"] for row in features[:6])
    found = bmt.answer(model, tokenizer, "Who founded the town?", long)  # several windows
    assert len(long) > 1000 and found.text == long[found.start : found.end]
    assert find_run("bert.mt.bmt.s0") == find_run("tiny/bert.mt.bmt.s0") == folder
    with pytest.raises(
        ModelError, match=r"nowhere: no trained run there; there are tiny/bert\.mt\.bmt\.s0, "
    ):
        find_run("nowhere")
    with pytest.raises(DataError, match="the question is empty"):
        bmt.answer(model, tokenizer, " ", "text")
    capsys.readouterr()
    own = questions[rows[0]["example_id"]]
    monkeypatch.setattr(
        "sys.argv",
        ["ask", "bert.mt.bmt.s0", "--json", "--question", own["question"], "--context", own["context"]],
    )
    assert ask.main() == 0
    said = json.loads(capsys.readouterr().out)
    assert said["text"] == rows[0]["prediction"] and said["score"] == pytest.approx(
        rows[0]["score"], abs=1e-4
    )


def test_compare_says_not_comparable_and_tests_the_claims(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare.main(["--paper-table", "3", "--format", "json"]) == 0
    table = json.loads(capsys.readouterr().out)
    own = [cell for cell in table["cells"] if cell["arm"] == "MT(w/ BMT)" and cell["n"]] or [
        cell for cell in table["cells"] if cell["n"]
    ]
    assert own and all(
        cell["verdict"] == "not comparable" and "profile tiny" in cell["reason"] for cell in own
    )
    assert table["profile"] == "tiny" and len(table["claims"]) >= 1


def test_training_twice_gives_the_same_bits(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = trained / "runs" / "tiny" / "bert.mt.bmt.s1"
    before = (
        (folder / "model" / "model.safetensors").read_bytes(),
        (folder / "masks" / "masks.safetensors").read_bytes(),
    )
    train_cell(load(), parse("bert.mt.bmt.s1"))
    assert before == (
        (folder / "model" / "model.safetensors").read_bytes(),
        (folder / "masks" / "masks.safetensors").read_bytes(),
    )


@pytest.mark.parametrize(
    "switches",
    [{"keep_delta": True}, {"gate": "resampled", "density": None}],
    ids=["keep_delta", "resampled"],
)
def test_switches_of_the_mask_train_a_cell_and_do_so_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switches: dict[str, object]
) -> None:
    for kept in ("backbones", "data"):
        shutil.copytree(trained / kept, tmp_path / kept)
    values = yaml.safe_load((trained / "params.yaml").read_text(encoding="utf-8"))
    values["mask"] |= switches
    project.write_params(tmp_path, values)
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    folder, seen = tmp_path / "runs" / "tiny" / "bert.mt.bmt.s0", []
    for _ in range(
        2
    ):  # with keep_delta the second takes up the masks and the moved weights that the first has kept
        train_cell(load(), parse("bert.mt.bmt.s0"))
        seen.append((folder / "model" / "model.safetensors").read_bytes())
    assert seen[0] == seen[1]
    start = load_file(tmp_path / "backbones" / "bert" / "model.safetensors")
    end, masks = (
        load_file(folder / "model" / "model.safetensors"),
        Masks.load(folder / "masks" / "masks.safetensors"),
    )
    moved = closed = 0.0
    for name in masks.shapes:
        if (
            name in start and end[name].shape == start[name].shape
        ):  # all but the embeddings, to which the markers were added
            difference = end[name] - start[name]
            moved += float(difference.square().sum())
            closed += float(difference[~masks.union().mask("union", name)].abs().sum())
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    if "keep_delta" in switches:
        assert closed == 0 and moved > 0
        assert any(
            path.name.endswith(".theta.safetensors")
            for path in (tmp_path / ".checkpoints" / "masks").iterdir()
        )
    plain = json.loads(
        (trained / "runs" / "tiny" / "bert.mt.bmt.s0" / "training.json").read_text(encoding="utf-8")
    )
    assert record["deviation"]["total"]["l2"] != plain["deviation"]["total"]["l2"]
    assert record["deviation"]["total"]["l2"] ** 2 >= moved * (
        1 - 1e-6
    )  # measured from the pretrained weights


def test_bad_input_is_one_line_and_leaves_nothing(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(trained, root)
    monkeypatch.setenv("BMT_ROOT", str(root))
    config = load()

    def fails(error: type[BMTError], match: str, call: object, *arguments: object) -> None:
        with pytest.raises(error, match=match) as caught:
            call(*arguments)  # type: ignore[operator]
        assert "\n" not in str(caught.value)

    raw = root / "data" / "raw" / "tiny" / "in_domain" / "SQuAD.train.jsonl.gz"
    good = raw.read_bytes()
    raw.write_bytes(good[: len(good) // 2])
    shutil.rmtree(root / "data" / "features")
    fails(DataError, r"SQuAD\.train\.jsonl\.gz, line \d+", prepare, config, 1)
    raw.unlink()
    fails(
        DataError,
        r"SQuAD\.train\.jsonl\.gz: the train file of SQuAD is missing: run `python -m benchmark\.fetch`",
        prepare,
        config,
        1,
    )
    assert not (root / "data" / "features" / "tiny" / "bert" / "features.json").exists()
    fails(
        DataError,
        r"SQuAD\.train: no features there: run `python -m benchmark\.prepare`",
        train_cell,
        config,
        parse("bert.mt.none.s0"),
    )
    shutil.rmtree(root / "runs")
    fails(
        ModelError,
        r"bert\.mt\.none\.s0: no trained model there",
        evaluate_cell,
        config,
        parse("bert.mt.none.s0"),
    )
    raw.write_bytes(good)
    (root / "backbones" / "bert" / "model.safetensors").unlink()
    fails(ModelError, r"backbones\.bert: .*model\.safetensors does not exist", prepare, config, 1)
    values = project.params(["bert"], ["bert.mt.nonne.s0"])
    project.write_params(root, values)
    fails(
        ConfigError,
        r"cells\[0\]: cell 'bert\.mt\.nonne\.s0': arm: 'nonne' is not known \(did you mean none\?\)",
        load,
    )


def test_weights_of_another_digest_are_refused(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = project.params(["bert"], CELLS)
    values["backbones"]["bert"]["sha256"] = "0" * 64
    root = tmp_path / "copy"
    shutil.copytree(trained / "backbones", root / "backbones")
    project.write_params(root, values)
    monkeypatch.setenv("BMT_ROOT", str(root))
    with pytest.raises(ModelError, match=r"the params file 0{64}: other weights"):
        train_cell(load(), parse("bert.mt.none.s0"))


def test_a_full_disk_leaves_nothing_half_written(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write of the predictions fails: results keep their old state."""
    results = trained / "results" / "tiny"
    before = {path.name: path.read_bytes() for path in results.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "disk")

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        evaluate_cell(load(), parse("bert.mt.none.s0"))
    assert {path.name: path.read_bytes() for path in results.iterdir()} == before


@pytest.fixture
def served(corpus: Path) -> Iterator[str]:
    """The corpus behind a local HTTP server: the address of its manifest."""
    handler = functools.partial(QuietHandler, directory=str(corpus))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/manifest.yaml"
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    """A file server that prints nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("kind", ["roberta", "t5"])
def test_the_papers_other_encoders_go_the_same_way(
    kind: str, corpus: Path, served: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RoBERTa and T5 with random weights and tokenizers of their own, data over HTTP: the arms of Table 3
    train, are scored and answer.
    """
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    monkeypatch.setenv("BMT_TRACKING", "journal")
    if kind == "roberta":
        monkeypatch.delenv("BMT_TRACKING")  # the repository's own MLflow store
    project.WRITERS[kind](tmp_path / "backbones" / kind, project.corpus_texts(corpus))
    cells = [f"{kind}.mt.mask.s0", f"{kind}.mt.bmt.s0", f"{kind}.st-SQuAD.bmt.s0"]
    project.write_params(tmp_path, project.params([kind], cells, manifest=served))
    run_all(cells)
    if kind == "roberta":
        in_mlflow(tmp_path, cells)
    model, tokenizer = bmt.load(tmp_path / "runs" / "tiny" / cells[1])
    found = bmt.answer(model, tokenizer, "Who built the mill?", "The mill was built by Ada Moor in 1801.")
    assert found.text and found.text in "The mill was built by Ada Moor in 1801."
    record = json.loads((tmp_path / "results" / "tiny" / f"{cells[2]}.json").read_text())
    assert record["regime"] == "st-SQuAD" and set(record["mask"]["density"]) == {"SQuAD"}


def in_mlflow(root: Path, cells: list[str]) -> None:
    """Each cell is one finished run of the repository's store, with what training and evaluation logged."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{root / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("bmt-tiny")
    runs = {run.data.tags["cell"]: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(runs) == sorted(cells) and all(run.info.status == "FINISHED" for run in runs.values())
    bmt_run = runs[cells[1]]
    result = json.loads((root / "results" / "tiny" / f"{cells[1]}.json").read_text())
    assert bmt_run.info.run_id == result["mlflow_run_id"]
    assert bmt_run.data.metrics["f1/avg_id"] == pytest.approx(result["averages"]["in_domain"]["f1"])
    assert bmt_run.data.metrics["mask/density/SQuAD"] == pytest.approx(0.3, abs=1e-4)
    assert bmt_run.data.metrics["mask/sparsity/layer_00"] == pytest.approx(0.7, abs=0.15)
    assert {
        "em/BioASQ",
        "train/loss",
        "weights/deviation_l2",
        "weights/best_deviation_relative/layer_01",
    } <= set(bmt_run.data.metrics)
    assert {"perf/tokens_per_s", "perf/peak_memory_mb"} <= set(bmt_run.data.metrics)
    assert bmt_run.data.params["mask.gamma"] == "-1.5" and bmt_run.data.params["cell.arm"] == "bmt"
    assert {"device", "params.sha256", "package.torch"} <= set(bmt_run.data.tags)
    inputs = client.get_run(bmt_run.info.run_id).inputs.dataset_inputs
    assert {"SQuAD.train", "SQuAD.dev", "DROP.dev"} <= {entry.dataset.name for entry in inputs}


def test_a_cell_with_adapters_trains_in_two_phases_and_answers_with_its_own_or_their_mean(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kept in ("backbones", "data", ".checkpoints"):
        shutil.copytree(trained / kept, tmp_path / kept)
    shutil.copy(trained / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    name = "bert.mt.bmt.adapter.s0"
    train_cell(load(), parse(name))
    evaluate_cell(load(), parse(name))
    folder = tmp_path / "runs" / "tiny" / name
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    phase = record["adapters"]
    assert phase["parameters"] == 2 * 2 * (2 * 32 * 2 + 2 + 32) and set(phase["tuned"]) == {
        "SQuAD",
        "HotpotQA",
    }
    assert all(one["after"] >= one["before"] and one["steps"] >= 1 for one in phase["tuned"].values())
    masks, plain = (
        Masks.load(folder / "masks" / "masks.safetensors"),
        trained / "runs" / "tiny" / "bert.mt.bmt.s0",
    )
    assert masks.equals(
        Masks.load(plain / "masks" / "masks.safetensors")
    )  # theta's masks, learned once for both
    start, end = (
        load_file(tmp_path / "backbones" / "bert" / "model.safetensors"),
        load_file(folder / "model" / "model.safetensors"),
    )
    whole = [key for key in masks.shapes if key in start and end[key].shape == start[key].shape]
    assert len(whole) > 20
    for key in whole:
        closed = ~masks.union().mask("union", key)
        assert torch.equal(end[key][closed], start[key][closed]), key
    result = json.loads((tmp_path / "results" / "tiny" / f"{name}.json").read_text(encoding="utf-8"))
    assert result["adapter"] is True and set(result["datasets"]) == {"SQuAD", "HotpotQA", "BioASQ", "DROP"}
    predictions = pq.read_table(tmp_path / "results" / "tiny" / f"{name}.parquet").to_pylist()
    for dataset, adapter in (("HotpotQA", "HotpotQA"), ("DROP", "average")):
        model, tokenizer = bmt.load(folder, adapter=adapter)
        examples = load_features(
            tmp_path / "data" / "features" / "tiny" / "bert" / f"{dataset}.dev"
        ).examples.to_pylist()
        row = next(row for row in predictions if row["dataset"] == dataset)
        example = next(one for one in examples if one["id"] == row["example_id"])
        found = bmt.answer(model, tokenizer, example["question"], example["context"])
        assert (found.text, found.score) == (row["prediction"], pytest.approx(row["score"], abs=1e-5))
    few_shot_results(tmp_path, name, folder)


def few_shot_results(root: Path, name: str, folder: Path) -> None:
    """`benchmark.transfer` on the same cell: K = 4, two seeds, updates counted, answers scored without the K
    examples.
    """
    values = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    values["data"]["dev_cap"] = None
    values["fewshot"] |= {"steps": 3, "lr": 1.0e-3}
    project.write_params(root, values)
    evaluate_cell(load(), parse(name))
    assert transfer.main([name, "--k", "4", "--seed", "7", "--seed", "19"]) == 0
    features = {
        n: load_features(root / "data" / "features" / "tiny" / "bert" / f"{n}.dev").examples
        for n in ("BioASQ", "DROP")
    }
    for seed in (7, 19):
        stem = root / "results" / "tiny" / f"bert.mt.bmt.adapter.k4.s{seed}"
        result = json.loads(stem.with_suffix(f".s{seed}.json").read_text(encoding="utf-8"))
        assert (result["K"], result["seed"], result["adapter"], result["source_cell"]) == (
            4,
            seed,
            True,
            name,
        )
        for dataset, own in result["datasets"].items():
            assert own["examples"] == len(features[dataset]) - 4
            one = result["few_shot"]["runs"][dataset]
            assert (
                sum(one["weights"].values()) == pytest.approx(1)
                and one["steps_per_epoch"] == 1
                and 1 <= one["steps"] <= 3
            )
        found = pq.read_table(stem.with_suffix(f".s{seed}.parquet")).to_pylist()
        em, f1_scores = score([row["prediction"] for row in found], [row["answers"] for row in found])
        assert [row["f1"] for row in found] == f1_scores.tolist() and [
            row["em"] for row in found
        ] == em.tolist()
    first = (root / "results" / "tiny" / "bert.mt.bmt.adapter.k4.s7.parquet").read_bytes()
    assert transfer.main([name, "--k", "4", "--seed", "7"]) == 0  # finished: read from its files
    assert (root / "results" / "tiny" / "bert.mt.bmt.adapter.k4.s7.parquet").read_bytes() == first
    assert check.main([str(root / "results" / "tiny")]) == 0
    with pytest.raises(
        ConfigError, match=r"fewshot\.sizes: 256 examples of \w+ are asked for, which has \d+ to give"
    ):
        transfer.main([name, "--k", "256"])
    with pytest.raises(ModelError, match="no trained model there"):
        transfer.main(["bert.mt.none.adapter.s3", "--k", "4"])
