"""A fabricated project folder for the report: results with masks, deviations and environments, and the runs'
curves and journals.

Every figure is a closed form of names and seeds, so that a test can say what must stand on the page.

    python -m tests.support.report_folder /tmp/folder      # results/sample and runs/sample below it, to look
    at
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark import report
from tests.support.html_tree import Node, parse
from tests.support.repository import ROOT
from tests.support.results_maker import IN_DOMAIN, make_results, seed_noise

LAYERS = ("embeddings", *(f"layer_{index:02d}" for index in range(6)))
SMALL = dict.fromkeys((*IN_DOMAIN, "BioASQ", "DROP"), 60)
ARMS = ("none", "mask", "bmt", "fixed_random")
LEVEL = {"none": 62.0, "mask": 62.4, "bmt": 63.6, "fixed_random": 62.9}
MOVED = {"none": 0.033, "mask": 0.029, "bmt": 0.024, "fixed_random": 0.026}
STEPS = (20, 40, 60, 80, 100)
KEPT = 80


def density(dataset: str, layer: str, seed: int) -> float:
    """Share of weights open: few in the embeddings, more further up; datasets differ by a hundredth, seeds by
    a thousandth.
    """
    depth = LAYERS.index(layer)
    return 0.02 + 0.1 * depth + 0.01 * IN_DOMAIN.index(dataset) + 0.001 * seed


def jaccard(a: str, b: str, seed: int) -> float:
    """Overlap of two datasets' masks: neighbours in the list agree most."""
    return 1.0 if a == b else 0.56 - 0.02 * abs(IN_DOMAIN.index(a) - IN_DOMAIN.index(b)) + 0.001 * seed


def layer_deviation(arm: str, layer: str, seed: int) -> float:
    """Relative deviation of a layer."""
    return MOVED[arm] * (0.4 + 0.2 * LAYERS.index(layer)) + 0.0001 * seed


def macro_f1(arm: str, seed: int, step: int) -> float:
    """Validation macro F1: it rises, and falls a little after KEPT."""
    return LEVEL[arm] - 40 * 0.5 ** (step / 20) + 0.4 * seed - (1.5 if step > KEPT else 0.0)


def weights(step: int, seed: int) -> dict[str, float]:
    """Sampling weights: uniform at the first two evaluations, then the datasets take turns."""
    if step <= STEPS[1]:
        return dict.fromkeys(IN_DOMAIN, 1 / 6)
    first = (STEPS.index(step) + seed) % 6
    return {name: 0.35 if index == first else 0.13 for index, name in enumerate(IN_DOMAIN)}


def environment(seed: int) -> dict[str, Any]:
    """Where a run was made: one machine for seeds 0 and 1, another for the rest."""
    device = "Test CPU" if seed < 2 else "Test GPU"
    return {
        "cpu": "Test CPU",
        "cpu_count": 2,
        "device": device,
        "python": "3.11.7",
        "packages": {"torch": "2.13.0", "numpy": "2.4.6"},
        "git": {"commit": f"{seed:040d}", "dirty": False},
        "cuda": None,
    }


def add_evidence(record: dict[str, Any]) -> None:
    """What benchmark.evaluate writes beyond the documented fields."""
    arm, seed = record["arm"], record["seed"]
    if arm in ("bmt", "fixed_random"):
        record["mask"] = {
            "kind": "learned" if arm == "bmt" else "fixed_random",
            "density": dict.fromkeys(IN_DOMAIN, 0.3),
            "union_density": 0.52,
            "by_layer": {name: {layer: density(name, layer, seed) for layer in LAYERS} for name in IN_DOMAIN},
            "overlap": {a: {b: jaccard(a, b, seed) for b in IN_DOMAIN} for a in IN_DOMAIN},
        }
    record["deviation_by"] = {
        "total": {"relative": record["deviation"]["relative"], "l2": 1.0},
        "kind/query": {"relative": 0.5},
        **{f"layer/{layer}": {"relative": layer_deviation(arm, layer, seed), "l2": 1.0} for layer in LAYERS},
    }
    record["budget"] |= {"steps": STEPS[-1], "best_step": KEPT}
    record |= {
        "trained_with": environment(seed),
        "device": environment(seed)["device"],
        "git": environment(seed)["git"],
        "mlflow_run_id": f"run-{record['cell']}",
        "seconds": 90.0,
        "tokens_per_second": 1234.5,
        "peak_memory_mb": 2048.0,
    }


def write_run(folder: Path, cell: str, arm: str, seed: int) -> None:
    """curve.csv, training.json and a journal, as training leaves them."""
    folder.mkdir(parents=True)
    rows = [
        {"step": float(step), "loss": 1.0, "macro_f1": macro_f1(arm, seed, step)}
        | {f"weight/{name}": share for name, share in weights(step, seed).items()}
        for step in STEPS
    ]
    with open(folder / "curve.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "training.json").write_text(
        json.dumps({"mlflow_run_id": f"run-{cell}", "budget": {"best_step": KEPT}})
    )
    (folder / "journal").mkdir()
    entry = {
        "seq": 1,
        "time": 0,
        "kind": "run",
        "name": cell,
        "tags": {"mlflow.source.name": f"python -m benchmark.train {cell}"},
    }
    (folder / "journal" / "20260101T000000-00000000.jsonl").write_text(json.dumps(entry) + "\n")


def make_project(
    root: Path, arms: Iterable[str] = ARMS, seeds: Iterable[int] = (0, 1, 2), profile: str = "sample"
) -> Path:
    """Write `results/<profile>` and `runs/<profile>` below `root`; returns the results folder."""
    results = root / "results" / profile
    for arm in arms:
        cells = make_results(
            results,
            profile=profile,
            backbone="minilm",
            arms=[arm],
            seeds=seeds,
            sizes=SMALL,
            change=add_evidence,
            f1=lambda name, dataset, seed: (
                LEVEL[name] - 9 * (dataset not in IN_DOMAIN) + 0.5 * seed_noise(name, dataset, seed)
            ),
            deviation=lambda name, seed: MOVED[name] + 0.0005 * seed_noise(name, "deviation", seed),
        )
        for cell, seed in zip(cells, seeds, strict=True):
            write_run(root / "runs" / profile / cell, cell, arm, seed)
    return results


def make_root(root: Path) -> None:
    """The same, with profiles and the sample profile's params.yaml: a folder for BMT_ROOT."""
    shutil.copytree(ROOT / "profiles", root / "profiles")
    shutil.copy(ROOT / "profiles" / "sample.yaml", root / "params.yaml")
    make_project(root)


def page_of(tmp_path: Path, *arguments: str) -> Node:
    """The page that a report command writes."""
    out = tmp_path / "out" / "page.html"
    assert report.main([*arguments, "--out", str(out)]) == 0
    return parse(out.read_text(encoding="utf-8"))


def table_of(part: Node, caption: str) -> list[list[str]]:
    """The rows of the table with this caption, without its head."""
    (found,) = [table for table in part.all("table") if table.one("caption").text == caption]
    return found.rows()[1:]


if __name__ == "__main__":
    print(make_project(Path(sys.argv[1])))
