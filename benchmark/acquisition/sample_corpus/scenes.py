"""From a scene, sentences and questions with open slots (wordings.yaml), to one passage with its questions,
answers and spans.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from benchmark.acquisition.sample_corpus.words import WORDS, Cast, Draw

TOKEN = re.compile(r"\[(?:DOC|TLE|PAR|SEP)\]|</?P>|\w+(?:[,.]\d+)*|[^\w\s]")

# Kinds whose slots are filled in order, and whether from the largest: years pass, winners have more.
ORDERED = {"year": False, "modern": False, "votes": True, "score": True}


@dataclass(frozen=True, slots=True)
class Scene:
    """What a passage can tell and be asked. Wordings are separated by ` | `, one of them is drawn.

    `slots`: `name:kind` pairs, those of an `ORDERED` kind in order. A person's surname is `{name_last}`, a
    term's meaning `{name_means}`. `says`: the sentences; one that starts with `title :: ` opens a paragraph
    of that title, in the styles that have paragraphs. `asks`: answers -> questions. The answers are
    alternatives; those that the passage does not hold word for word are aliases.
    """

    slots: str
    says: tuple[str, ...]
    asks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Style:
    """A dataset's style: its scenes, how a passage is laid out with the dataset's markers, and how its
    questions look.

    `titled`, `untitled`: a paragraph with a title, and one without; `page`: around them all. `shuffled`: the
    paragraphs stand in any order. `spaced`: punctuation is set apart, as in NewsQA. `fixed`: the sentences
    keep their order; else all but the first are shuffled. `searched`: questions as one types them into a
    search box. `lower`: answers in lower case.
    """

    dataset: str
    scenes: tuple[Scene, ...]
    titled: str = "{text}"
    untitled: str = "{text}"
    page: str = "{}"
    questions_per_passage: int = 1
    shuffled: bool = False
    spaced: bool = False
    fixed: bool = False
    searched: bool = False
    lower: bool = False


STYLES = msgspec.yaml.decode(
    Path(__file__).with_name("wordings.yaml").read_bytes(), type=dict[str, tuple[Style, ...]]
)
"""The styles by domain."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, all accepted answers, and those that stand in the context with their half-open spans."""

    text: str
    answers: tuple[str, ...]
    detected: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]


@dataclass(frozen=True, slots=True)
class GeneratedPassage:
    """A context and its questions."""

    context: str
    questions: tuple[Question, ...]


def tokens(text: str) -> list[tuple[str, int]]:
    """The tokens of `text` with their character offsets; MRQA's markers are one token each."""
    return [(match.group(), match.start()) for match in TOKEN.finditer(text)]


def occurrences(text: str, answer: str) -> tuple[tuple[int, int], ...]:
    """Half-open spans of `answer` in `text`, as whole words and numbers, in any case."""
    return tuple(
        match.span()
        for match in re.finditer(rf"(?<!\w)(?<!\d[,.]){re.escape(answer)}(?!\w|[,.]\d)", text, re.IGNORECASE)
    )


def fill(slots: str, cast: Cast) -> dict[str, str]:
    """Draw a filler for each slot: slot -> text."""
    kinds = dict(slot.split(":") for slot in slots.split())
    names = {slot: cast.name(kind) for slot, kind in kinds.items()}
    fillers = {slot: name["whole"] for slot, name in names.items()}
    for kind, falling in ORDERED.items():
        ordered = [slot for slot in kinds if kinds[slot] == kind]
        numbers = sorted(
            (fillers[slot] for slot in ordered), key=lambda text: int(text.replace(",", "")), reverse=falling
        )
        fillers |= zip(ordered, numbers, strict=True)
    lasts = {f"{slot}_last": name["last"] for slot, name in names.items() if kinds[slot] == "person"}
    terms = [slot for slot in kinds if kinds[slot] == "term"]
    return fillers | lasts | {f"{slot}_means": WORDS.meanings[fillers[slot]] for slot in terms}


def wording(alternatives: str, draw: Draw, fillers: Mapping[str, str]) -> str:
    """One of the wordings, filled, with a capital at its start."""
    text = draw.pick(alternatives.split(" | ")).format_map(fillers)
    return text[0].upper() + text[1:]


def paragraphs(scene: Scene, style: Style, draw: Draw, fillers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The scene's sentences as (title, text); a sentence without a title continues the paragraph before it,
    or stands under "".
    """
    says = scene.says if style.fixed else (scene.says[0], *draw.shuffled(scene.says[1:]))
    told = []
    for sentence in says:
        title, _, alternatives = sentence.rpartition(" :: ")
        told.append((title.format_map(fillers), wording(alternatives, draw, fillers)))
    return told


def laid_out(told: list[tuple[str, str]], style: Style, draw: Draw) -> str:
    """The paragraphs as a context in the dataset's form."""
    text = " ".join(
        (style.titled if title else style.untitled).format(title=title, text=text)
        for title, text in (draw.shuffled(told) if style.shuffled else told)
    )
    return style.page.format(re.sub(r"(?<=\w)('s\b|[.,;:?](?!\d))", r" \1", text) if style.spaced else text)


def passage(style: Style, split: str, index: int, seed: int) -> GeneratedPassage:
    """GeneratedPassage number `index` of a dataset's split; each twelfth one tells a second scene, so that it
    fills two windows of 128 tokens.
    """
    draw = Draw("bmt-sample", seed, style.dataset, split, index)
    cast = Cast(draw, split)
    scene = style.scenes[index % len(style.scenes)]
    fillers = fill(scene.slots, cast)
    told = paragraphs(scene, style, draw, fillers)
    if index % 12 == 7:
        more = style.scenes[(index + 1) % len(style.scenes)]
        told += paragraphs(more, style, draw, fill(more.slots, cast))
    context = laid_out(told, style, draw)
    questions = []
    for alternatives, asking in draw.shuffled(list(scene.asks.items()))[: style.questions_per_passage]:
        answers = tuple(text.format_map(fillers) for text in alternatives.split(" | "))
        spans: dict[str, dict[tuple[int, int], None]] = {}
        for start, end in (span for text in answers for span in occurrences(context, text)):
            spans.setdefault(context[start:end], {})[start, end] = None
        detected = tuple((text, tuple(places)) for text, places in spans.items())
        question = wording(asking, draw, fillers)
        question = question.rstrip("?").lower() if style.searched else question
        answers = tuple(map(str.lower, answers)) if style.lower else answers
        questions.append(Question(question, answers, detected))
    return GeneratedPassage(context, tuple(questions))
