"""The commands of a user by group, each with its one line: what `python -m benchmark` prints."""

from __future__ import annotations

GROUPS: dict[str, dict[str, str]] = {
    "the pipeline, which `dvc repro` runs": {
        "digests": "write what decides each stage, for DVC",
        "fetch": "get the files of a data source, each verified",
        "prepare": "cut the questions into windows for every backbone",
        "train": "train one cell: learn its masks, tune under them",
        "evaluate": "score a trained cell on the dev sets",
        "transfer": "few-shot transfer of a trained cell (Table 9)",
        "unifiedqa": "score a published model zero-shot (Table 8)",
        "compare": "a table of the paper beside our runs, with verdicts",
        "report": "everything that the results say, as one HTML page",
    },
    "settings and work to do": {
        "profile": "show the active profile, or switch to another",
        "plan": "the runs that a table needs, their cost, and running them",
        "search": "search an arm's parameters with Optuna",
    },
    "a closer look": {
        "data": "sizes, examples and irregularities of MRQA files",
        "masks": "what trained masks open, and how far they agree",
        "contrast": "the difference between two arms' runs",
        "errors": "examples that arms get wrong, sorted as in appendix C",
        "ask": "ask a trained model a question about a text",
    },
    "checks and records": {
        "check": "is a results folder what it says it is?",
        "audit": "the paper against itself",
        "track": "runs' journals, and their delivery to MLflow",
    },
}
