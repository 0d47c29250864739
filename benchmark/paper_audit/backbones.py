"""Whether two rows have the same backbone, as far as their labels say."""

from __future__ import annotations

import re

from benchmark.paper.tables import Row


def same_backbone(a: Row, b: Row) -> bool:
    """Whether two rows share a backbone: that of `ours` where both have it, otherwise by the model as
    printed.

    A label names a backbone by its last two words ("Multi-Task BERT_large": bert large), or does so in
    parentheses ("LinkBERT (RoBERTa-base)"). A letter more or less in a word of five or more is a slip of
    spelling: RoBERT-base is RoBERTa-base.
    """
    if a.ours and b.ours:
        return a.ours.backbone == b.ours.backbone
    return any(_alike(one, other) for one in _names(a) for other in _names(b))


def _names(row: Row) -> set[tuple[str, ...]]:
    """The backbones that a row's label can mean, each as its last two words."""
    inside = re.findall(r"\(([^()]*)\)", row.model)
    texts = [re.sub(r"\([^()]*\)", " ", row.model), *inside, *([row.ours.backbone] if row.ours else [])]
    return {tuple(words[-2:]) for text in texts if (words := re.findall(r"[^\W_]+", text.lower()))}


def _alike(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    return len(a) == len(b) and all(map(_spelled_alike, a, b))


def _spelled_alike(a: str, b: str) -> bool:
    """Whether two words are equal, or the longer one is the other with one letter put in."""
    short, long = sorted((a, b), key=len)
    if len(long) - len(short) != 1 or len(short) < 5:
        return a == b
    return any(long[:place] + long[place + 1 :] == short for place in range(len(long)))
