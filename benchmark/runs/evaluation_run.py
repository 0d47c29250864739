"""Score a trained cell on the dev sets; keep every prediction."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmark.cli.advice import TRAIN, advice
from benchmark.cli.progress import Bar, progress
from benchmark.config.cells import Cell
from benchmark.config.folders import Places
from benchmark.config.params import Config
from benchmark.rendering import print_document
from benchmark.runs.cell_data import dev_features, dev_questions, file_digests
from benchmark.runs.dataset_scores import DatasetScores, predictions_table
from benchmark.runs.result_files import write_results
from benchmark.runs.score_table import score_document
from benchmark.runs.tracked_run import tracked_run
from benchmark.runs.training_plan import plan_of, use_threads
from benchmark.runs.training_record import read_training
from benchmark.tracking import mlflow_store as tracking
from bmt.qa.adapters import datasets_of
from bmt.qa.answering import load as load_model
from bmt.qa.batches import Vocabulary
from bmt.runtime.files import write_json
from bmt.runtime.ranks import Ranks, rank_device
from bmt.training.validation import answers
from bmt.transfer.zero_shot import zero_shot


def evaluate_cell(config: Config, cell: Cell, params: str | None = None, ranks: Ranks | None = None) -> None:
    """Answer every dev question with a cell's model; write `results/<profile>/<cell>.json` and `.parquet`,
    and log to the cell's run.

    Of several ranks, which all call this, each answers its share of the questions and the first alone writes,
    tracks and prints.

    Raises:
        ModelError: the cell was not trained. DataError: no features.
    """
    ranks, places = ranks or Ranks(), Places.of(config)
    use_threads(config)
    folder = places.run(cell)
    with advice(TRAIN):
        model, tokenizer = load_model(folder)
    trained = read_training(folder)
    model.to(rank_device())
    features = dev_features(
        places.features(cell.backbone),
        config.data.evaluate,
        config.data,
        "there: run `python -m benchmark.prepare`",
    )
    parts = dev_questions(features, config.data)
    sha256 = file_digests(features)
    windows = sum(len(part.shared(ranks)) for part in parts.values())
    tables = {}
    with (
        tracked_run(config, cell, folder, trained["mlflow_run_id"], {}, {})
        if ranks.first
        else tracking.untracked() as tracker,
        progress(f"evaluate {cell.name}", total=windows, unit="windows", shown=ranks.first) as bar,
    ):
        vocabulary, plan = Vocabulary.of(tokenizer), plan_of(config)
        mean = zero_shot(model)  # with adapters: their mean, for datasets that none of them is of
        for name, part in parts.items():
            answering = model if name in datasets_of(model) else mean
            predictions = answers(answering, part, vocabulary, plan, partial(_advance, bar, name), ranks)
            if ranks.first:
                tables[name] = predictions_table(name, part.examples, predictions, features[name].examples)
                digest = sha256[name][:32]
                tracker.data_input(f"{name}.dev", str(places.raw), digest=digest, context="evaluation")
        if not ranks.first:
            return
        scores = DatasetScores.of(tables, sha256, config.data.evaluate)
        write_results(config, cell, trained, scores, params, {"K": None})
        tracker.log(scores.metrics(), step=trained["budget"]["steps"])
        write_json(folder / "metrics.json", headline(scores, trained))
    print_document(score_document(cell.name, scores))


def _advance(bar: Bar, name: str, count: int, note: str) -> None:
    bar.advance(count, note=name)


def headline(scores: DatasetScores, trained: dict[str, Any]) -> dict[str, Any]:
    """The few numbers for `dvc metrics show`."""
    mask, averages = trained["mask"] or {}, scores.averages
    return {
        **{metric: {domain: entry[metric] for domain, entry in averages.items()} for metric in ("f1", "em")},
        "relative_deviation": trained["deviation"]["total"]["relative"],
        "union_density": mask.get("union_density", mask.get("p_f", 1.0)),
    }
