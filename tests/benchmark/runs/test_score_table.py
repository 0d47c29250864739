"""What evaluation, transfer and UnifiedQA print of their scores."""

from __future__ import annotations

from benchmark.rendering import render
from benchmark.runs.score_table import score_document
from tests.support.dataset_scores import scores


def test_every_dataset_the_averages_and_what_has_no_data() -> None:
    document = score_document("minilm.mt.bmt.s0", scores(), "updates: 3 on 2 datasets")
    assert render(document, "terminal").splitlines() == [
        "minilm.mt.bmt.s0",
        "",
        "  dataset           EM     F1",
        "  DROP           100.0  100.0  1 questions",
        "  NewsQA           0.0   25.0  2 questions",
        "  SQuAD           50.0   62.5  4 questions",
        "  in-domain       25.0   43.8  mean of 2 datasets",
        "  out-of-domain  100.0  100.0  mean of 1 datasets",
        "  TextbookQA         -      -  no data",
        "  BioASQ             -      -  no data",
        "  updates: 3 on 2 datasets",
    ]
