"""From a scene, sentences and questions with open slots, to one passage with its questions, answers and
spans.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmark.acquisition.sample_corpus.words import MEANINGS, Cast, Draw

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
    asks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Style:
    """A dataset's style: its scenes, how a passage is laid out, and how its questions look.

    `frame`: paragraphs (title, text) and a draw -> the context. `question`, `alias`: rewrite
    a question, an answer. `fixed`: the sentences keep their order; else all but the first are shuffled.
    """

    dataset: str
    scenes: tuple[Scene, ...]
    frame: Callable[[list[tuple[str, str]], Draw], str]
    questions_per_passage: int = 1
    question: Callable[[str], str] = str
    alias: Callable[[str], str] = str
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its kind of answer, all accepted answers, and those that stand in the context with their
    half-open spans.
    """

    text: str
    kind: str
    answers: tuple[str, ...]
    detected: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]


@dataclass(frozen=True, slots=True)
class GeneratedPassage:
    """A context, its questions, and the fillers (kind, text) that stand in it."""

    context: str
    questions: tuple[Question, ...]
    fillers: tuple[tuple[str, str], ...]


def tokens(text: str) -> list[tuple[str, int]]:
    """The tokens of `text` with their character offsets; MRQA's markers are one token each."""
    return [(match.group(), match.start()) for match in TOKEN.finditer(text)]


def occurrences(text: str, answer: str) -> tuple[tuple[int, int], ...]:
    """Half-open spans of `answer` in `text`, as whole words and numbers, in any case."""
    return tuple(
        match.span()
        for match in re.finditer(rf"(?<!\w)(?<!\d[,.]){re.escape(answer)}(?!\w|[,.]\d)", text, re.IGNORECASE)
    )


def fill(slots: str, cast: Cast) -> tuple[dict[str, str], dict[str, str]]:
    """Draw a filler for each slot: (slot -> text, slot -> kind)."""
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
    meanings = {f"{slot}_means": MEANINGS[fillers[slot]] for slot, kind in kinds.items() if kind == "term"}
    return fillers | lasts | meanings, kinds


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


def passage(style: Style, split: str, index: int, seed: int) -> GeneratedPassage:
    """GeneratedPassage number `index` of a dataset's split; each twelfth one tells a second scene, so that it
    fills two windows of 128 tokens.
    """
    draw = Draw("bmt-sample", seed, style.dataset, split, index)
    cast = Cast(draw, split)
    scene = style.scenes[index % len(style.scenes)]
    fillers, kinds = fill(scene.slots, cast)
    told = paragraphs(scene, style, draw, fillers)
    mentioned = [(kind, fillers[slot]) for slot, kind in kinds.items()]
    if index % 12 == 7:
        more = style.scenes[(index + 1) % len(style.scenes)]
        others, other_kinds = fill(more.slots, cast)
        told += paragraphs(more, style, draw, others)
        mentioned += [(kind, others[slot]) for slot, kind in other_kinds.items()]
    context = style.frame(told, draw)
    questions = []
    for alternatives, asking in draw.shuffled(list(scene.asks.items()))[: style.questions_per_passage]:
        answers = tuple(text.format_map(fillers) for text in alternatives.split(" | "))
        spans = dict.fromkeys(span for text in answers for span in occurrences(context, text))
        surfaces = dict.fromkeys(context[start:end] for start, end in spans)
        detected = tuple(
            (text, tuple(span for span in spans if context[slice(*span)] == text)) for text in surfaces
        )
        kind = kinds[re.findall(r"\{(\w+?)(?:_last)?\}", alternatives)[0]]
        aliases = tuple(style.alias(text) for text in answers)
        questions.append(Question(style.question(wording(asking, draw, fillers)), kind, aliases, detected))
    present = tuple(dict.fromkeys(pair for pair in mentioned if pair[1].lower() in context.lower()))
    return GeneratedPassage(context, tuple(questions), present)
