"""Appendix C's three categories of errors, by rules: each a small pure function with the sentence that says
what it does.

The paper's authors sorted their examples by hand and state no criteria. These rules are heuristics of ours:
where the rules of exactly one category fire the example is put there, else it is undecided. No annotator has
checked them; analysis.py counts how often the rules that look at the question alone fire on examples that
every arm answers, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from benchmark.error_analysis.context_text import best_span, words
from bmt.qa.metrics import exact_match, f1, normalise
from bmt.qa.mrqa import Example

ANNOTATION, KNOWLEDGE, REASONING, UNDECIDED = (
    "annotation",
    "commonsense and external knowledge",
    "discrete reasoning",
    "undecided",
)
CATEGORIES = (ANNOTATION, KNOWLEDGE, REASONING)
NO_RULE, SEVERAL = f"{UNDECIDED}: no rule", f"{UNDECIDED}: several"
"""Why an example is undecided."""

MOST_WORDS_APART = 3
ALIKE = 0.9
NEARLY = 80.0
FEW_SHARED = 0.2

_COMPARATIVES = (
    r"more|less|fewer|most|least|fewest|first|last|earlier|earliest|later|latest|sooner|older|"
    r"oldest|younger|youngest|newer|larger|largest|bigger|biggest|smaller|smallest|higher|highest|"
    r"lower|lowest|greater|greatest|longer|longest|shorter|shortest|taller|tallest|closer|closest|"
    r"farther|further|before|after"
)
_COMPARISON = re.compile(rf"\b(?:{_COMPARATIVES})\b.*\bor\b|\bor\b.*\b(?:{_COMPARATIVES})\b", re.IGNORECASE)
_BOTH = re.compile(
    r"^\W*(?:are|were|is|was|do|does|did|have|has)\b.*\b(?:both|same|either|and|or)\b", re.IGNORECASE
)
_NUMBER = re.compile(
    r"\bhow (?:many|much)\b|\bhow (?:far|long|old) (?:apart|between)\b|"
    r"\b(?:difference|number of years|ratio) (?:in|between|of)\b|"
    r"\b(?:in total|combined|altogether|on average|percent of)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """A heuristic. of_question: it looks at the question, its gold answers and context alone, and so fires
    for every answer to it.
    """

    name: str
    category: str
    text: str
    fires: Callable[[Example, str], bool]
    of_question: bool = False


def is_boundary(example: Example, prediction: str) -> bool:
    """Whether the words of the prediction are a run within a gold answer's, or the reverse, 1 to
    MOST_WORDS_APART being left over.

    Words are compared as the evaluation does: in lower case, without punctuation and articles.
    """
    predicted = normalise(prediction)
    return any(_boundary(predicted, normalise(answer)) for answer in example.answers)


def _boundary(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    left_over = len(long.split()) - len(short.split())
    return bool(short) and 1 <= left_over <= MOST_WORDS_APART and _is_run(short, long)


def _is_run(words_in_a_row: str, text: str) -> bool:
    return f" {words_in_a_row} " in f" {text} "


def is_spelling(example: Example, prediction: str) -> bool:
    """Whether prediction and a gold answer differ in a few letters (similarity at least ALIKE), no digit
    among them.
    """
    predicted = normalise(prediction)
    return any(_alike(predicted, normalise(answer)) for answer in example.answers)


def _alike(a: str, b: str) -> bool:
    if a == b or re.sub(r"\D", "", a) != re.sub(r"\D", "", b):
        return False
    return SequenceMatcher(None, a, b, autojunk=False).ratio() >= ALIKE


def is_other_span(example: Example, prediction: str) -> bool:
    """Whether the prediction is the text of a span that the file marks as an answer but does not list among
    the answers.
    """
    predicted = normalise(prediction)
    marked = (normalise(example.context[start:end]) for start, end in example.spans)
    return bool(predicted) and not exact_match(prediction, example.answers) and predicted in marked


def is_nearly_right(example: Example, prediction: str) -> bool:
    """Whether F1 is at least NEARLY percent while EM is 0."""
    answers = example.answers
    return 100 * f1(prediction, answers) >= NEARLY and not exact_match(prediction, answers)


def asks_numbers(example: Example, prediction: str = "") -> bool:
    """Whether the question asks for a count, an amount, a difference or a total."""
    return bool(_NUMBER.search(example.question))


def asks_comparison(example: Example, prediction: str = "") -> bool:
    """Whether the question has two things compared: a comparing word and `or`."""
    return bool(_COMPARISON.search(example.question))


def asks_yes_or_no(example: Example, prediction: str = "") -> bool:
    """Whether all gold answers are yes or no, to a question that joins two things."""
    gold = {normalise(answer) for answer in example.answers}
    return bool(_BOTH.search(example.question)) and gold <= {"yes", "no"}


def is_drop(example: Example, prediction: str = "") -> bool:
    """Whether the dataset is DROP."""
    return example.dataset == "DROP"


def shares_few_words(example: Example, prediction: str = "") -> bool:
    """Whether no sentence with a gold answer has FEW_SHARED or more of the question's content words."""
    best = best_span(example.question, example.context, example.spans)
    return best is not None and best[1] < FEW_SHARED


def is_not_in_context(example: Example, prediction: str = "") -> bool:
    """Whether the file marks no usable place of an answer, and no answer stands in the context."""
    answers = (" ".join(words(answer)) for answer in example.answers)
    context = " ".join(words(example.context))
    return not example.spans and not any(_is_run(answer, context) for answer in answers)


RULES = (
    ErrorRule(
        "boundary",
        ANNOTATION,
        "a gold answer contains the prediction's words in a row, or the reverse, with 1 to "
        f"{MOST_WORDS_APART} words left over",
        is_boundary,
    ),
    ErrorRule(
        "spelling",
        ANNOTATION,
        f"the prediction is a gold answer but for a few letters (similarity of at least {ALIKE:g}), no "
        "digit among them",
        is_spelling,
    ),
    ErrorRule(
        "other span",
        ANNOTATION,
        "the prediction is the text of a place that the file marks as an answer but does not list among them",
        is_other_span,
    ),
    ErrorRule("nearly right", ANNOTATION, f"F1 is at least {NEARLY:g} while EM is 0", is_nearly_right),
    ErrorRule(
        "few shared words",
        KNOWLEDGE,
        f"no sentence with a gold answer has {100 * FEW_SHARED:g} % or more of the question's content words",
        shares_few_words,
        True,
    ),
    ErrorRule(
        "not in the context", KNOWLEDGE, "no gold answer stands in the context", is_not_in_context, True
    ),
    ErrorRule(
        "number",
        REASONING,
        "the question asks for a count, an amount, a difference or a total (how many, how much, difference "
        "between, in total, …)",
        asks_numbers,
        True,
    ),
    ErrorRule(
        "comparison",
        REASONING,
        "the question has a comparing word (more, first, earlier, older, …) and “or”",
        asks_comparison,
        True,
    ),
    ErrorRule(
        "yes or no",
        REASONING,
        "every gold answer is yes or no, and the question joins two things (both, same, either, and, or)",
        asks_yes_or_no,
        True,
    ),
    ErrorRule(
        "DROP",
        REASONING,
        "the dataset is DROP, whose questions were written to need discrete reasoning",
        is_drop,
        True,
    ),
)
"""Predictions and answers are compared as the evaluation does it: in lower case, without punctuation and
articles.
"""


def fired(example: Example, wrong: Sequence[str]) -> tuple[ErrorRule, ...]:
    """The rules that fire for at least half of the wrong answers to an example; without an answer those of
    the question.
    """

    def fires(rule: ErrorRule) -> bool:
        answers = [""] if rule.of_question else wrong
        return bool(answers) and 2 * sum(rule.fires(example, answer) for answer in answers) >= len(answers)

    return tuple(filter(fires, RULES))


def category(rules: Sequence[ErrorRule]) -> str:
    """The one category whose rules fired, else UNDECIDED."""
    categories = {rule.category for rule in rules}
    return categories.pop() if len(categories) == 1 else UNDECIDED
