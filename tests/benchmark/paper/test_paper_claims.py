"""The paper's sentences as data: every comparative one is a claim or listed as untestable, and each agrees
with the printed cells.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from benchmark.comparison.claims import DIRECTIONS, paper_delta
from benchmark.paper.tables import OWN_PAPER, load
from bmt.settings import IN_DOMAIN

SHARED = Path(__file__).resolve().parents[4] / "shared" / "paper"
needs_paper = pytest.mark.skipif(
    not (SHARED / "bmt_paper.txt").exists(), reason="../shared/paper is not here"
)


@pytest.fixture(scope="module")
def paper():
    return load()


HEADINGS = {
    "abstract": "ABSTRACT",
    "introduction": "1. Introduction",
    "2": "2. Related work",
    "4.4": "4.4. BMT in multi-data fine-tuning",
    "4.4.1": "4.4.1. Effectiveness",
    "4.4.2": "4.4.2. Effectiveness",
    "4.4.3": "4.4.3. Difference",
    "4.5": "4.5. Effectiveness",
    "4.6": "4.6. Effectiveness",
    "4.6.1": "4.6.1. Zero-shot",
    "4.6.2": "4.6.2. Few-shot",
    "conclusion": "5. Conclusion",
    "after it": "CRediT authorship",
    "appendix A": "Appendix A. Hyperparameter",
    "appendix B": "Appendix B.",
}


@needs_paper
def test_every_quotation_stands_in_its_section(paper):
    raw = (SHARED / "bmt_paper.txt").read_text(encoding="utf-8")
    starts = [*(raw.index(heading) for heading in HEADINGS.values()), len(raw)]
    texts = {
        name: " ".join(raw[start:end].split())
        for name, start, end in zip(HEADINGS, starts, starts[1:], strict=False)
    }
    quotes = [entry for claim in paper.claims for entry in ((claim.section, claim.quote), *claim.also)]
    whole = yaml.safe_load((OWN_PAPER / "claims.yaml").read_text())
    quotes += [(entry["section"], " ".join(entry["quote"].split())) for entry in whole["untestable"]]
    assert len(quotes) > 120
    assert [(section, quote) for section, quote in quotes if quote not in texts[section]] == []


SECTIONS = (
    ("ABSTRACT", "1. Introduction"),
    ("1. Introduction", "2. Related work"),
    ("4.4. BMT in multi-data fine-tuning", "5. Conclusion"),
    ("5. Conclusion", "CRediT authorship"),
    ("Appendix A. Hyperparameter", "Appendix B."),
)
COMPARES = re.compile(
    r"\b(better|best|improv\w*|enhanc\w*|alleviat\w*|mitigat\w*|reduc\w*|outperform\w*|superior\w*|"
    r"inferior|compar\w*|greater|"
    r"larger|more|"
    r"less|fewer|further\w*|significant\w*|increas\w*|decreas\w*|lower|higher|excessive\w*|effectiv\w*|"
    r"efficien\w*|strong|"
    r"robust|accurate|"
    r"helpful|favou?rabl\w*|limited|stable|prone|promot\w*|loses|degrad\w*|undermin\w*|overfit\w*|forget\w*|"
    r"expensive|precise\w*|balanced|"
    r"suitable|weakly|than|ensur\w*)\b",
    re.IGNORECASE,
)
NO_COMPARISON = (
    "has become a new NLP paradigm",
    "imposing extremely high requirements",
    "does not improve after five checkpoints",
    "we follow child-tuning",
    "compare the F1 score on single-data",
    "primarily focus on enhancing the generalization ability",
    "with other models that focus on improving",
    "we compare single-data fine-tuning with multi-data",
    "In this section, we will explore",
    "we introduce the adapter",
    "no longer improves, we freeze",
    "and update the model parameters using BMT",
    "we provide a comparison of the involvement",
    "no longer improves after 10 epochs",
    "In the future, we will explore",
    "The purpose of this experiment",
)
"""Sentences with a word of comparison that compare no two rows: what was done, what comes next, what others
need.
"""


@needs_paper
def test_every_comparative_sentence_is_a_claim_or_listed_as_untestable(paper):
    """Of the abstract, the introduction, sections 4.4 to 4.6, the conclusion and appendix A: none is left
    out, none is added in silence.
    """
    raw = (SHARED / "bmt_paper.txt").read_text(encoding="utf-8")
    whole = yaml.safe_load((OWN_PAPER / "claims.yaml").read_text())
    quotes = {quote for claim in paper.claims for quote in (claim.quote, *(other for _, other in claim.also))}
    quotes |= {" ".join(entry["quote"].split()) for entry in whole["untestable"]}
    sentences, open_ones = 0, []
    for first, last in SECTIONS:
        start = raw.index(first)
        lines = raw[start : raw.index(last, start + len(first))].splitlines()
        text = " ".join(
            " ".join(
                line for line in lines if "\t" not in line and not line.startswith(("Fig.", "Note:", "$$"))
            ).split()
        )
        covered = [
            (found.start(), found.end()) for quote in quotes for found in re.finditer(re.escape(quote), text)
        ]
        at = 0
        for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z(\"])", text):
            at = text.index(sentence, at)
            if COMPARES.search(sentence) and not any(phrase in sentence for phrase in NO_COMPARISON):
                sentences += 1
                if (
                    max((min(at + len(sentence), end) - max(at, begin) for begin, end in covered), default=0)
                    < 20
                ):
                    open_ones.append(sentence)
    assert open_ones == []
    assert sentences > 90


def test_the_two_central_claims_are_tested_by_the_seed(paper):
    claims = {claim.id: claim for claim in paper.claims}
    rows = ("roberta-base.mt.bmt", "roberta-base.mt.none")
    for name, metric in (
        ("deviation-bmt-below-none", "deviation.relative"),
        ("spread-bmt-below-none", "spread.F1"),
    ):
        claim = claims[name]
        assert (claim.a, claim.b, claim.metric, claim.direction, claim.over) == (*rows, metric, "less", None)


def test_stated_sizes_agree_with_the_printed_cells_to_rounding(paper):
    sized = {claim.id: (claim.size, paper_delta(claim, paper)) for claim in paper.claims if claim.size}
    assert len(sized) == 20
    assert {name: delta for name, (size, delta) in sized.items() if abs(abs(delta) - size) > 1e-6} == {}


def test_every_claim_goes_the_way_of_the_printed_cells_but_for_two(paper):
    """Those of deviations have no printed cells."""
    deltas = {claim: paper_delta(claim, paper) for claim in paper.claims}
    unprinted = {claim.metric for claim, delta in deltas.items() if delta is None}
    assert (len(deltas), unprinted) == (66, {"deviation.relative"})
    directed = {claim: delta for claim, delta in deltas.items() if delta is not None}
    against = [
        claim.id
        for claim, delta in directed.items()
        if claim.direction != "comparable" and delta * DIRECTIONS[claim.direction] <= 0
    ]
    assert against == ["adapter-over-none-each-TriviaQA", "bmt-trains-fewer-parameters"]
    assert [claim.id for claim in directed if claim.direction == "comparable"] == [
        "bmt-comparable-with-adapter"
    ]
    assert {claim.direction for claim in deltas if claim not in directed} == {"less", "greater"}


def test_contrasts_and_each_dataset(paper):
    claims = {claim.id: claim for claim in paper.claims}
    assert paper_delta(claims["bmt-gains-more-in-mt"], paper) == pytest.approx((82.9 - 81.7) - (81.1 - 80.9))
    assert paper_delta(claims["spread-bmt-below-none"], paper) == pytest.approx(
        -0.383, abs=1e-3
    )  # sd of 92.4 … less sd of 91.8 …
    assert paper_delta(claims["deviation-bmt-below-none"], paper) is None
    assert paper_delta(claims["bmt-comparable-with-adapter"], paper) == pytest.approx(0.7)
    assert paper_delta(claims["adapter-trains-fewer-parameters"], paper) == pytest.approx(1.8 - 124.6)
    assert paper_delta(claims["bmt-trains-fewer-parameters"], paper) == pytest.approx(
        131.9 - 124.6
    )  # the paper's cells say the opposite
    each = [claim for claim in paper.claims if claim.id.startswith("adapter-over-none-each-")]
    assert [claim.over for claim in each] == list(IN_DOMAIN)
    assert paper_delta(each[IN_DOMAIN.index("TriviaQA")], paper) == pytest.approx(
        -0.1
    )  # the paper's own cell contradicts its sentence
