"""The baseline: the question-answering recipe that comes with transformers, as most projects run it.

Features: `datasets.map` over a fast tokenizer that cuts, strides and returns offsets, with a Python loop that
aligns each answer to tokens. Answers: for every example a Python loop over the best starts and ends of its
windows. Scores: the organisers' functions, answer by answer. Only the choice among spans is ours
(log-probabilities over the context and position 0), so that the answers can be held against ours.
"""

from __future__ import annotations

import gzip
import json
import re
import string
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

N_BEST = 20
"""Starts and ends that the recipe tries of each window."""


def questions(path: str | Path) -> Iterator[dict[str, Any]]:
    """One row per question: id, question, context, and answers as SQuAD has them: texts and their first
    characters.
    """
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            record = json.loads(line)
            if "context" not in record:
                continue
            for qa in record["qas"]:
                spans = [
                    (answer["text"], span[0])
                    for answer in qa["detected_answers"]
                    for span in answer["char_spans"]
                ]
                yield {
                    "id": qa["qid"],
                    "question": qa["question"],
                    "context": record["context"],
                    "answers": {
                        "text": [text for text, _ in spans],
                        "answer_start": [start for _, start in spans],
                    },
                }


def features(path: str | Path, tokenizer: Any, window: int, overlap: int, cache: Path, train: bool) -> Any:
    """The windows of an MRQA file as a `datasets.Dataset` whose Arrow file is written to `cache`."""
    import datasets

    rows = datasets.Dataset.from_list(list(questions(path)))
    function = (train_features if train else dev_features)(tokenizer, window, overlap)
    datasets.disable_progress_bars()
    return rows.map(
        function,
        batched=True,
        remove_columns=rows.column_names,
        load_from_cache_file=False,
        cache_file_name=str(cache),
        new_fingerprint=cache.stem,  # spares the recipe the digest of its tokenizer
    )


def _encode(tokenizer: Any, window: int, overlap: int, rows: dict[str, list[Any]]) -> Any:
    return tokenizer(
        [question.strip() for question in rows["question"]],
        rows["context"],
        truncation="only_second",
        max_length=window,
        stride=overlap,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        padding=False,
    )


def train_features(tokenizer: Any, window: int, overlap: int) -> Callable[[dict[str, list[Any]]], Any]:
    """The recipe's function for training: the first answer of each question as token positions, [CLS] where a
    window does not hold it.
    """

    def made(rows: dict[str, list[Any]]) -> Any:
        encoded = _encode(tokenizer, window, overlap, rows)
        source, mapping = encoded.pop("overflow_to_sample_mapping"), encoded.pop("offset_mapping")
        encoded["start_positions"], encoded["end_positions"] = [], []
        for row, offsets in enumerate(mapping):
            ids, sides, answers = (
                encoded["input_ids"][row],
                encoded.sequence_ids(row),
                rows["answers"][source[row]],
            )
            first = last = ids.index(tokenizer.cls_token_id)
            if answers["answer_start"]:
                begin = answers["answer_start"][0]
                end = begin + len(answers["text"][0])
                low = 0
                while sides[low] != 1:
                    low += 1
                high = len(ids) - 1
                while sides[high] != 1:
                    high -= 1
                if offsets[low][0] <= begin and offsets[high][1] >= end:
                    while low < len(offsets) and offsets[low][0] <= begin:
                        low += 1
                    while offsets[high][1] >= end:
                        high -= 1
                    first, last = low - 1, high + 1
            encoded["start_positions"].append(first)
            encoded["end_positions"].append(last)
        return encoded

    return made


def dev_features(tokenizer: Any, window: int, overlap: int) -> Callable[[dict[str, list[Any]]], Any]:
    """The recipe's function for evaluation: the example's id and the offsets of the context's tokens, None
    elsewhere.
    """

    def made(rows: dict[str, list[Any]]) -> Any:
        encoded = _encode(tokenizer, window, overlap, rows)
        source = encoded.pop("overflow_to_sample_mapping")
        encoded["example_id"] = [rows["id"][number] for number in source]
        for row, offsets in enumerate(encoded["offset_mapping"]):
            sides = encoded.sequence_ids(row)
            encoded["offset_mapping"][row] = [
                pair if sides[token] == 1 else None for token, pair in enumerate(offsets)
            ]
        return encoded

    return made


def best_answers(
    examples: Sequence[dict[str, Any]],
    windows: Sequence[dict[str, Any]],
    starts: np.ndarray,
    ends: np.ndarray,
    max_answer_tokens: int,
) -> dict[str, dict[str, Any]]:
    """The recipe's answer to each example, by id: its text, characters, tokens, window and score.

    Args:
        examples: {"id", "context"}.
        windows: {"example_id", "offset_mapping"}, with None where a token is not of the context.
        starts, ends: scores (windows, at least the tokens of the longest).
    """
    of_example = defaultdict(list)
    for row, window in enumerate(windows):
        of_example[window["example_id"]].append(row)
    answers = {}
    for example in examples:
        tried = []
        for row in of_example[example["id"]]:
            offsets = windows[row]["offset_mapping"]
            start, end = _log_probabilities(starts[row], offsets), _log_probabilities(ends[row], offsets)
            first = np.argsort(start)[-1 : -N_BEST - 1 : -1].tolist()
            last = np.argsort(end)[-1 : -N_BEST - 1 : -1].tolist()
            for i in first:
                for j in last:
                    if i >= len(offsets) or j >= len(offsets) or offsets[i] is None or offsets[j] is None:
                        continue
                    if j < i or j - i + 1 > max_answer_tokens:
                        continue
                    tried.append(
                        {
                            "offsets": (offsets[i][0], offsets[j][1]),
                            "score": start[i] + end[j],
                            "tokens": (i, j),
                            "window": row,
                        }
                    )
        best = sorted(tried, key=lambda candidate: candidate["score"], reverse=True)[:N_BEST]
        for candidate in best:
            candidate["text"] = example["context"][candidate["offsets"][0] : candidate["offsets"][1]]
        scores = np.array([candidate["score"] for candidate in best])
        shares = np.exp(scores - scores.max())
        for candidate, share in zip(best, shares / shares.sum(), strict=True):
            candidate["probability"] = share
        answers[example["id"]] = best[0]
    return answers


def _log_probabilities(scores: np.ndarray, offsets: Sequence[Any]) -> np.ndarray:
    """Ours in NumPy: the log-softmax over the context's tokens and position 0, -inf elsewhere."""
    of_window = scores[: len(offsets)]
    allowed = np.array([pair is not None for pair in offsets])
    allowed[0] = True
    high = of_window[allowed].max()
    return np.where(allowed, of_window - high - np.log(np.exp(of_window[allowed] - high).sum()), -np.inf)


def score(texts: Sequence[str], answers: Sequence[Sequence[str]]) -> tuple[list[float], list[float]]:
    """EM and F1 of each text against its gold answers, pair by pair, as the organisers' script does."""
    em = [max(_exact_match(text, gold) for gold in golds) for text, golds in zip(texts, answers, strict=True)]
    f1 = [max(_f1(text, gold) for gold in golds) for text, golds in zip(texts, answers, strict=True)]
    return em, f1


def _normalised(text: str) -> str:
    punctuation = set(string.punctuation)
    kept = "".join(character for character in text.lower() if character not in punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def _exact_match(text: str, gold: str) -> float:
    return float(_normalised(text) == _normalised(gold))


def _f1(text: str, gold: str) -> float:
    words, gold_words = _normalised(text).split(), _normalised(gold).split()
    same = sum((Counter(words) & Counter(gold_words)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(words), same / len(gold_words)
    return 2 * precision * recall / (precision + recall)
