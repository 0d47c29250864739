"""Windows: their layout, their cut, and every span in them, against plain loops, for the three tokenizer
families.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from bmt.errors import ConfigError
from bmt.qa.mrqa import Example, Passage
from bmt.qa.token_offsets import clean_offsets
from bmt.qa.tokenizer import encoder, text_tokenizer
from bmt.qa.windows import EXAMPLES, WINDOWS, Cut, check_cut, cut_chunk, pieces
from tests.support.tiny_tokenizers import FAMILIES, MARKERS, WITH_MINILM, fast, minilm, prepared

# What real contexts hold and tokenizers stumble over.
FRAGMENTS = [
    "Paris",
    "the",
    "river",
    " ",
    "  ",
    "\r\n",
    "\t",
    "1804",
    "café",
    "cafe\u0301",
    "naïve",
    "😀",
    "👩‍👩‍👧",
    "e\u0301\u0323",
    "\u200b",
    "\u00ad",
    "\ufeff",
    "日本",
    "한국",
    "שָׁלוֹם",
    "[PAR]",
    "[TLE]",
    "[DOC]",
    "[SEP]",
    "</s>",
    "<s>",
    "(",
    ")",
    ".",
    "'s",
    "½",
    "ﬁ",
    "\u3000",
    "\x00",
    "İ",
    "ß",
    "antidisestablishmentarianism",
]
contexts = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=60).map("".join) | st.text(
    min_size=1, max_size=60
)


@st.composite
def passages(draw):
    """One or two contexts with questions whose spans are anywhere, some of them everywhere that their text
    occurs again.
    """
    made = []
    for number in range(draw(st.integers(1, 2))):
        context = draw(contexts.filter(str.strip))
        examples = []
        for row in range(draw(st.integers(1, 3))):
            spans = []
            for _ in range(draw(st.integers(0, 3))):
                start = draw(st.integers(0, len(context) - 1))
                end = draw(st.integers(start + 1, min(len(context), start + 25)))
                if context[start:end].strip():
                    spans.append((start, end))
            if spans and draw(st.booleans()):
                text = context[slice(*spans[0])]
                spans += [(at, at + len(text)) for at in range(len(context)) if context.startswith(text, at)]
            question = draw(
                st.sampled_from(
                    ["Where?", "When was the old mill by the river built in 1804?", " Paris [SEP] </s>  "]
                )
            )
            examples.append(
                Example(
                    f"{number}-{row}",
                    "SQuAD",
                    question,
                    context,
                    f"c{number}",
                    ("x",),
                    tuple(dict.fromkeys(spans)),
                )
            )
        made.append(Passage(context, f"c{number}", tuple(examples)))
    return made


def cut(family, made, size, train=False):
    spec, own = prepared(family)
    return cut_chunk(made, spec, own, size, train)


def by_example(chunk):
    """The windows of each example, as dictionaries."""
    rows = chunk.windows.to_pylist()
    return [[row for row in rows if row["example"] == example] for example in range(len(chunk.examples))]


# To draw passages takes longer than to check them: each is checked with every tokenizer.


@pytest.mark.parametrize("size", [Cut(32, 8, 8), Cut(40, 0, 12), Cut(24, 11, 8), Cut(512, 256, 64)])
@settings(max_examples=40)
@given(made=passages())
def test_windows_hold_what_they_should(size, made):
    for family in WITH_MINILM:
        note(family)
        check_windows(family, size, made)


def check_windows(family, size, made):
    """Layout, coverage, overlap, offsets and spans, by plain loops over the tokenizer's own output."""
    spec, own = prepared(family)
    chunk = cut(family, made, size)
    examples = [example for passage in made for example in passage.examples]
    assert chunk.windows.schema == WINDOWS and chunk.examples.schema == EXAMPLES
    assert chunk.examples["id"].to_pylist() == [example.id for example in examples]
    assert chunk.examples["context"].to_pylist() == [example.context for example in examples]
    assert chunk.questions == len(examples) and not chunk.dropped
    for example, windows in zip(examples, by_example(chunk), strict=True):
        question = own.encode(example.question.strip(), add_special_tokens=False).ids
        context = own.encode(example.context, add_special_tokens=False).ids
        kept = question[: size.question]
        head, tail = [*spec.prefix, *kept, *spec.middle], list(spec.suffix)
        room = size.window - len(head) - len(tail)
        # Coverage and overlap: the context's tokens, each window sharing `overlap` of them with the next one,
        # none too long.
        starts, offset_of = [], {}
        at = 0
        for number, window in enumerate(windows):
            ids, first, flat = window["input_ids"], window["context_start"], window["offsets"]
            length = len(flat) // 2
            assert len(ids) <= size.window and first == len(head)
            assert ids[:first] == head and ids[first + length :] == tail
            assert ids[first : first + length] == context[at : at + length]
            for place in range(length):
                assert offset_of.setdefault(at + place, tuple(flat[2 * place : 2 * place + 2])) == tuple(
                    flat[2 * place : 2 * place + 2]
                )
            starts.append((at, at + length))
            last = number == len(windows) - 1
            assert last or length == room
            at += length - size.overlap
        assert starts[-1][1] == len(context)
        assert all(end - start == size.overlap for (_, end), (start, _) in pairwise(starts))
        assert len(windows) == 1 or len(context) > room
        assert set(offset_of) == set(range(len(context)))
        # Spans: each to the first token that ends after its start … the last that starts before its end; in
        # every window with all of it.
        gold = set()
        for start, end in example.spans:
            tokens = [
                place
                for place, (left, right) in sorted(offset_of.items())
                if left < right and right > start and left < end
            ]
            if tokens:
                gold.add((tokens[0], tokens[-1]))
        for (left, right), window in zip(starts, windows, strict=True):
            inside = sorted(
                (i - left + len(head), j - left + len(head)) for i, j in gold if left <= i and j < right
            )
            assert list(zip(window["spans"][::2], window["spans"][1::2], strict=True)) == inside
        for i, j in gold:
            if j - i + 1 <= size.overlap or len(windows) == 1:
                assert any(left <= i and j < right for left, right in starts), (
                    "a span no longer than the overlap is in some window"
                )


@settings(max_examples=150)
@given(made=passages())
def test_every_gold_span_decodes_to_its_text(made):
    for family in WITH_MINILM:
        note(family)
        check_gold_spans(family, made)


def check_gold_spans(family, made):
    """Exactly where it begins and ends with tokens; else to the shortest run of tokens that contains it."""
    chunk = cut(family, made, Cut(512, 64, 64))
    examples = [example for passage in made for example in passage.examples]
    for example, (window,) in zip(examples, by_example(chunk), strict=True):
        context, flat = example.context, window["offsets"]
        starts, ends = flat[::2], flat[1::2]
        decoded = {
            (starts[i - window["context_start"]], ends[j - window["context_start"]])
            for i, j in zip(window["spans"][::2], window["spans"][1::2], strict=True)
        }
        assert all(context[start:end] == context[start:end].strip() for start, end in decoded)
        if not any(left < right for left, right in zip(starts, ends, strict=True)):
            assert not decoded, "BERT drops every character of this context"
            continue
        for start, end in example.spans:
            text = context[start:end].strip()
            start += context[start:end].index(text)
            end = start + len(text)
            around = [(left, right) for left, right in decoded if left <= start and end <= right]
            assert around, f"{text!r} is in no decoded span of {context!r}"
            straddled = any(
                left < start < right or left < end < right for left, right in zip(starts, ends, strict=True)
            )
            if start in starts and end in ends and not straddled:
                assert (start, end) in decoded


@pytest.mark.parametrize("family", WITH_MINILM)
@settings(max_examples=60)
@given(context=st.lists(st.sampled_from(FRAGMENTS), min_size=15, max_size=60).map("".join), data=st.data())
def test_spans_at_the_edges_of_windows(family, context, data):
    """A span that fits a window decodes to its text there; one that the edge cuts is not in that window; none
    up to the overlap is lost.
    """
    size = Cut(32, 8, 8)
    spec, own = prepared(family)
    offsets = own.encode(context, add_special_tokens=False).offsets
    tokens = clean_offsets(
        np.array(offsets, dtype=np.int64).reshape(-1, 2), [context], np.array([len(offsets)])
    ).tolist()
    room = size.window - spec.specials() - len(own.encode("Where?", add_special_tokens=False).ids)
    starts = range(0, max(1, len(tokens) - size.overlap), room - size.overlap)
    bounds = [(start, min(start + room, len(tokens))) for start in starts]
    edges = sorted({edge + near for pair in bounds for edge in pair for near in (-1, 0, 1)})
    spans = {}
    for _ in range(data.draw(st.integers(1, 6))):
        first = data.draw(st.sampled_from([edge for edge in edges if 0 <= edge < len(tokens)] or [0]))
        last = first + data.draw(st.sampled_from([1, 2, size.overlap, size.overlap + 1, room, room + 1])) - 1
        if last < len(tokens) and tokens[first][0] < tokens[first][1] and tokens[last][0] < tokens[last][1]:
            spans[tokens[first][0], tokens[last][1]] = None
    example = Example("q", "SQuAD", "Where?", context, "c", ("x",), tuple(spans))
    windows = cut(family, [Passage(context, "c", (example,))], size).windows.to_pylist()
    assert len(windows) == len(bounds)
    decoded = [
        {
            (window["offsets"][2 * (i - at)], window["offsets"][2 * (j - at) + 1])
            for i, j in zip(window["spans"][::2], window["spans"][1::2], strict=True)
        }
        for window in windows
        for at in [window["context_start"]]
    ]
    expected = [set() for _ in bounds]
    for start, end in spans:
        inner = [
            row for row, (left, right) in enumerate(tokens) if left < right and right > start and left < end
        ]
        text = tokens[inner[0]][0], tokens[inner[-1]][1]
        shared = any(
            left < start < right or left < end < right for left, right in tokens
        )  # two tokens have a part of one character
        assert text == (start, end) or (shared and text[0] <= start and end <= text[1])
        fits = [left <= inner[0] and inner[-1] < right for left, right in bounds]
        assert any(fits) or inner[-1] - inner[0] + 1 > size.overlap
        for found, fit in zip(expected, fits, strict=True):
            found |= {text} if fit else set()
    assert decoded == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_context_is_encoded_once_however_many_questions_it_has(family):
    spec, own = prepared(family)
    contexts = ["The old mill by the river.", "It rains in Paris."]
    made = [
        Passage(
            text,
            text,
            tuple(
                Example(f"{text}{row}", "SQuAD", f"Where {row % 3}?", text, text, ("x",), ())
                for row in range(7)
            ),
        )
        for text in contexts
    ]
    encoded = []

    class Counting:
        def encode_batch(self, texts, **options):
            encoded.extend(texts)
            return own.encode_batch(texts, **options)

        def encode_batch_fast(self, texts, **options):
            encoded.extend(texts)
            return own.encode_batch_fast(texts, **options)

    chunk = cut_chunk(made, spec, Counting(), Cut(32, 8, 8), False)
    assert len(chunk.examples) == 14
    assert sorted(encoded) == sorted([*contexts, "Where 0?", "Where 1?", "Where 2?"]), (
        "every distinct text once"
    )


@pytest.mark.parametrize("family", WITH_MINILM)
def test_a_window_is_what_the_tokenizer_makes_of_the_pair(family):
    tokenizer = minilm() if family == "minilm" else fast(family)
    question, context = "Where does the river rise?", "[PAR] Paris is by the river, and it rains in Paris."
    example = Example("q", "SQuAD", question, context, "c", ("Paris",), ((6, 11), (45, 50)))
    (window,) = cut(family, [Passage(context, "c", (example,))], Cut(512, 64, 64)).windows.to_pylist()
    pair = tokenizer(question, context, return_offsets_mapping=True)
    assert window["input_ids"] == pair["input_ids"]
    assert window["context_start"] == pair.sequence_ids().index(1)
    found = [
        (
            window["offsets"][2 * (i - window["context_start"])],
            window["offsets"][2 * (j - window["context_start"]) + 1],
        )
        for i, j in zip(window["spans"][::2], window["spans"][1::2], strict=True)
    ]
    assert found == [(6, 11), (45, 50)]


def test_a_hand_made_cut():
    """Ten one-token words, room for five, overlap 2: windows start at 0, 3 and 6, and a span is where it fits
    whole.
    """
    context = ". ? ( ) , : ; . ? ("
    example = Example("q", "SQuAD", ",", context, "c", ("x",), ((0, 1), (6, 9), (6, 15), (18, 19)))
    chunk = cut("bert", [Passage(context, "c", (example,))], Cut(9, 2, 4))
    rows = chunk.windows.to_pylist()
    assert [len(row["offsets"]) // 2 for row in rows] == [5, 5, 4]
    assert [row["offsets"][0] for row in rows] == [0, 6, 12]
    assert [row["context_start"] for row in rows] == [3, 3, 3]
    assert [row["spans"] for row in rows] == [[3, 3, 6, 7], [3, 4, 3, 7], [6, 6]]
    assert chunk.answered == 3 and chunk.spans_lost == {"no token": 0, "in no window": 0}


def test_training_drops_and_names_what_no_window_answers():
    context = ". ? ( ) , : ; . ? ("
    spans = {"fits": ((0, 1),), "long": ((0, 19),), "none": (), "both": ((0, 19), (4, 5))}
    examples = tuple(Example(name, "SQuAD", ",", context, "c", ("x",), own) for name, own in spans.items())
    chunk = cut("bert", [Passage(context, "c", examples)], Cut(9, 2, 4), train=True)
    assert chunk.examples["id"].to_pylist() == ["fits", "both"]
    assert chunk.dropped == [("long", "span in no window"), ("none", "no usable span")]
    assert chunk.windows["example"].to_pylist() == [0, 0, 0, 1, 1, 1]
    assert chunk.windows["spans"].to_pylist() == [[3, 3], [], [], [5, 5], [], []]
    assert chunk.spans_lost == {"no token": 0, "in no window": 2}
    assert chunk.questions == 4 and chunk.answered == 2
    kept = cut("bert", [Passage(context, "c", examples)], Cut(9, 2, 4))
    assert kept.examples["id"].to_pylist() == list(spans) and not kept.dropped


def test_a_span_without_a_token_is_counted():
    context = "\u200b"
    example = Example("q", "SQuAD", ",", context, "c", ("x",), ((0, 1),))
    chunk = cut("bert", [Passage(context, "c", (example,))], Cut(9, 2, 4), train=True)
    assert chunk.dropped == [("q", "span without a token")] and chunk.spans_lost["no token"] == 1
    (row,) = cut("bert", [Passage(context, "c", (example,))], Cut(9, 2, 4)).windows.to_pylist()
    assert row["offsets"] == [] and row["input_ids"][row["context_start"] :] == [3]


def test_long_questions_are_cut_at_their_end_and_counted():
    spec = encoder(fast("bert"), MARKERS)
    long = "the old mill by the river was built in 1804"
    examples = tuple(
        Example(question, "SQuAD", question, "Paris", "c", ("x",), ((0, 5),))
        for question in (long, "the old")
    )
    chunk = cut("bert", [Passage("Paris", "c", examples)], Cut(32, 8, 4))
    rows = chunk.windows.to_pylist()
    whole = text_tokenizer(spec).encode(long, add_special_tokens=False).ids
    assert len(whole) > 4 and rows[0]["input_ids"][1:6] == [*whole[:4], 3]
    assert chunk.truncated == 1
    lost = Example("lost", "SQuAD", f"{long} too", "Paris", "c", ("x",), ())  # dropped: it is no cut question
    made = [Passage("Paris", "c", (lost, *examples))]
    assert cut("bert", made, Cut(32, 8, 4), train=True).truncated == 1
    assert cut("bert", made, Cut(32, 8, 4)).truncated == 2


def test_a_question_of_exactly_as_many_tokens_as_are_kept_is_whole_and_not_counted_as_cut():
    question = "the old mill by the river"
    whole = prepared("bert")[1].encode(question, add_special_tokens=False).ids
    example = Example("q", "SQuAD", question, "Paris", "c", ("x",), ((0, 5),))
    made = [Passage("Paris", "c", (example,))]
    for kept, truncated in ((len(whole) - 1, 1), (len(whole), 0), (len(whole) + 1, 0)):
        chunk = cut("bert", made, Cut(64, 8, kept))
        (row,) = chunk.windows.to_pylist()
        assert row["input_ids"][1 : row["context_start"] - 1] == whole[:kept]
        assert chunk.truncated == truncated


@pytest.mark.parametrize("overlap", [21, 30])
def test_no_room_is_a_configuration_error_that_names_the_settings(overlap):
    check_cut(Cut(32, 20, 8), 3)
    with pytest.raises(
        ConfigError, match=rf"data\.window 32 leaves room for 21 context tokens .* data\.overlap is {overlap}"
    ):
        check_cut(Cut(32, overlap, 8), 3)


def test_pieces():
    values = np.arange(10) * 10
    assert pieces(values, np.array([7, 0, 3]), np.array([2, 0, 3])).tolist() == [70, 80, 30, 40, 50]
    assert pieces(values, np.array([], dtype=int), np.array([], dtype=int)).tolist() == []
