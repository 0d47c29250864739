"""Fabricates results folders in the documented schema, for tests: predictions whose means are exactly what a
test asks for.

    from results_maker import make_results
    make_results(folder, arms=("none", "bmt"), seeds=(0, 1, 2), f1=lambda arm, dataset, seed: 80.0 + seed)

As a command, a folder at the scale of the paper (68,000 dev examples x 9 arms x 5 seeds):

    python tests/support/results_maker.py /tmp/paper_scale
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

IN_DOMAIN = ("SQuAD", "HotpotQA", "TriviaQA", "NewsQA", "SearchQA", "NaturalQuestions")
OUT_OF_DOMAIN = ("BioASQ", "DROP", "DuoRC", "RACE", "RelationExtraction", "TextbookQA")
SMALL = dict.fromkeys((*IN_DOMAIN, *OUT_OF_DOMAIN), 300)
PAPER_SIZES = {
    "SQuAD": 10507,
    "HotpotQA": 5901,
    "TriviaQA": 7785,
    "NewsQA": 4212,
    "SearchQA": 16980,
    "NaturalQuestions": 12836,
    "BioASQ": 1504,
    "DROP": 1503,
    "DuoRC": 1501,
    "RACE": 674,
    "RelationExtraction": 2948,
    "TextbookQA": 1503,
}
REVISIONS = {
    "roberta-base": "FacebookAI/roberta-base@e2da8e2f811d1448a5b465c236feacd80ffbac7b",
    "roberta-large": "FacebookAI/roberta-large@722cf37b1afa9454edce342e7895e588b6ff1d59",
    "t5-base": "google-t5/t5-base@a9723ea7f1b39c1eae772870f3b547bf6ef7e6c1",
}
ORDER = ["dataset", "example_id", "context_id", "prediction", "score", "em", "f1", "answers"]
"""Of the columns of predictions."""
P_F = {"mask": 0.5, "mask_p30": 0.3, "mask_p70": 0.7}
Level = Callable[[str, str, int], float]


def seed_noise(arm: str, dataset: str, seed: int) -> float:
    """A standard normal that depends on its arguments only."""
    digest = hashlib.sha256(f"{arm}/{dataset}/{seed}".encode()).digest()
    return float(np.random.default_rng(int.from_bytes(digest[:8], "big")).standard_normal())


def make_results(
    folder: Path,
    *,
    profile: str = "paper",
    backbone: str = "roberta-base",
    regime: str = "mt",
    arms: Iterable[str] = ("none", "mask", "bmt"),
    adapter: bool = False,
    K: int | None = None,
    seeds: Iterable[int] = (0, 1, 2),
    sizes: dict[str, int] | None = None,
    per_context: int = 3,
    f1: Level = lambda arm, dataset, seed: 80.0 + 0.3 * seed_noise(arm, dataset, seed),
    em_below: float = 10.0,
    deviation: Callable[[str, int], float] = lambda arm, seed: (
        0.02 + 0.001 * seed_noise(arm, "deviation", seed)
    ),
    density: float = 0.3,
    scatter: float = 0.5,
    change: Callable[[dict[str, Any]], None] | None = None,
) -> list[str]:
    """Write `<cell>.json` and `<cell>.parquet` of every arm and seed; returns the names of the cells.

    f1(arm, dataset, seed): the run's mean F1 in percent, met exactly; EM is `em_below` less. scatter: how
    much runs differ in which examples they get right (0: in their number only). change: edits each JSON
    before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sizes = SMALL if sizes is None else sizes
    cells = []
    for arm in arms:
        for seed in seeds:
            parts = [
                backbone,
                regime,
                arm,
                *(["adapter"] if adapter else []),
                *([f"k{K}"] if K else []),
                f"s{seed}",
            ]
            cell = ".".join(parts)
            levels = {dataset: f1(arm, dataset, seed) for dataset in sizes}
            table, datasets = _predictions(sizes, levels, em_below, per_context, scatter, f"{arm}/{seed}")
            pq.write_table(table, folder / f"{cell}.parquet", compression="zstd")
            moved = deviation(arm, seed)
            record = {
                "schema": 1,
                "cell": cell,
                "profile": profile,
                "backbone": backbone,
                "backbone_revision": REVISIONS.get(backbone),
                "regime": regime,
                "arm": arm,
                "adapter": adapter,
                "seed": seed,
                "p_f": P_F.get(arm),
                "K": K,
                "datasets": datasets,
                "averages": _averages(datasets),
                "missing_datasets": [name for name in SMALL if name not in datasets],
                "mask": _mask(arm, sizes, density),
                "deviation": {"l2": 10 * moved, "relative": moved},
                "budget": {
                    "steps": 9,
                    "epochs": 3 if regime == "mt" else 10,
                    "windows": 9,
                    "tokens": 9,
                    "mask_steps": 18 * (arm == "bmt"),
                },
                "evaluator_version": "mrqa-2019/1",
                "params_sha256": "0" * 64,
                "git": {"commit": "0" * 40, "dirty": False},
                "device": "none",
                "environment": {},
                "mlflow_run_id": None,
                "predictions_sha256": "0" * 64,
                "tokens_per_second": 1.0,
                "seconds": 1.0,
            }
            if change:
                change(record)
            (folder / f"{cell}.json").write_text(json.dumps(record))
            cells.append(cell)
    return cells


def _mask(arm: str, sizes: dict[str, int], density: float) -> dict[str, Any] | None:
    if arm != "bmt":
        return {"kind": "random", "p_f": P_F[arm]} if arm in P_F else None
    return {
        "kind": "learned",
        "density": {name: density for name in IN_DOMAIN if name in sizes},
        "union_density": min(1.0, density * 1.5),
    }


def _averages(datasets: dict[str, Any]) -> dict[str, Any]:
    averages = {}
    for domain, names in (("in_domain", IN_DOMAIN), ("out_of_domain", OUT_OF_DOMAIN)):
        own = [name for name in names if name in datasets and datasets[name]["examples"]]
        if own:
            averages[domain] = {
                key: float(np.mean([datasets[name][key] for name in own])) for key in ("em", "f1")
            } | {"datasets": own}
    return averages


def scores_with_mean(order: np.ndarray, mean: float) -> np.ndarray:
    """Scores 0 or 1 (one of them between) in the order of `order`, with exactly this mean."""
    total = mean * len(order)
    whole = int(total)
    scores = np.zeros(len(order))
    scores[order[:whole]] = 1.0
    if whole < len(order):
        scores[order[whole]] = total - whole
    return scores


@cache
def _examples(dataset: str, count: int, per_context: int) -> tuple[np.ndarray, int, dict[str, pa.Array]]:
    """Difficulty, number of contexts and columns of a dataset's examples: the same for every run."""
    difficulty = np.random.default_rng(sum(map(ord, dataset))).random(count)
    contexts = pa.array([f"{dataset}-c{number // per_context:06d}" for number in range(count)], pa.string())
    texts = pa.array(["an answer"] * count)
    columns = {
        "dataset": pa.array([dataset] * count),
        "example_id": pa.array([f"{dataset}-{number:06d}" for number in range(count)], pa.string()),
        "context_id": contexts,
        "prediction": texts,
        "answers": pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32), texts),
    }
    return difficulty, len(contexts.unique()), columns


def _predictions(
    sizes: dict[str, int],
    levels: dict[str, float],
    em_below: float,
    per_context: int,
    scatter: float,
    salt: str,
) -> tuple[pa.Table, dict[str, Any]]:
    tables, datasets = [], {}
    for dataset, count in sizes.items():
        if not count:
            datasets[dataset] = {
                "domain": _domain(dataset),
                "em": None,
                "f1": None,
                "examples": 0,
                "contexts": 0,
                "data_sha256": "0" * 64,
            }
            continue
        difficulty, contexts, columns = _examples(dataset, count, per_context)
        noise = np.random.default_rng(
            int.from_bytes(hashlib.sha256(f"{salt}/{dataset}".encode()).digest()[:8], "big")
        ).random(count)
        order = np.argsort(difficulty + scatter * noise)
        f1, em = (
            scores_with_mean(order, levels[dataset] / 100),
            scores_with_mean(order, max(0.0, levels[dataset] - em_below) / 100),
        )
        scores = {"score": noise, "em": em, "f1": f1}
        tables.append(pa.table(columns | scores).select(ORDER))
        datasets[dataset] = {
            "domain": _domain(dataset),
            "em": 100 * float(em.mean()),
            "f1": 100 * float(f1.mean()),
            "examples": count,
            "contexts": contexts,
            "data_sha256": hashlib.sha256(dataset.encode()).hexdigest(),
        }
    return pa.concat_tables(tables), datasets


def _domain(dataset: str) -> str:
    return "in_domain" if dataset in IN_DOMAIN else "out_of_domain"


def make_paper_scale(folder: Path, seeds: Iterable[int] = range(5)) -> list[str]:
    """Nine arms of MT runs (three backbones x no mask, random mask, BMT), each on the full dev sets."""
    cells = []
    for backbone, level in (("roberta-base", 81.5), ("roberta-large", 82.7), ("t5-base", 68.1)):
        for arm, gain in (("none", 0.0), ("mask", 0.2), ("bmt", 1.4)):
            cells += make_results(
                folder,
                backbone=backbone,
                arms=[arm],
                seeds=seeds,
                sizes=PAPER_SIZES,
                f1=lambda arm, dataset, seed, mean=level + gain: mean + 0.3 * seed_noise(arm, dataset, seed),
            )
    return cells


if __name__ == "__main__":
    print(f"{len(make_paper_scale(Path(sys.argv[1])))} cells in {sys.argv[1]}")
