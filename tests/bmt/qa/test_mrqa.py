"""The reader: what it reads, what it counts, what it refuses; fuzzing is in test_mrqa_fuzz.py."""

from __future__ import annotations

import gzip
import hashlib
import json
import tracemalloc
from collections import Counter

import pytest
import yaml

from bmt.errors import DataError
from bmt.qa.irregularities import KINDS, MOST_PLACES, Irregularity, ReadingReport, shown
from bmt.qa.mrqa import Example, passages, read_mrqa, validate_mrqa
from tests.support.mrqa_files import HEADER, as_bytes, corpus, passage, question, write

CONTEXT = "The old mill was built in 1804. It was old."


def found(tmp_path, lines, name="SQuAD.train.jsonl"):
    """The examples, and (line, kind) of each irregularity."""
    report = ReadingReport()
    examples = list(read_mrqa(write(tmp_path / name, lines), report))
    assert sum(report.counts.values()) == len(report.places)
    assert set(report.counts) <= set(KINDS)
    return examples, [(place.line, place.kind) for place in report.places]


@pytest.mark.parametrize("name", ["SQuAD.train.jsonl.gz", "SQuAD.train.jsonl"])
def test_reads_an_official_line(tmp_path, name):
    qa = question(CONTEXT, "old", answers=["old", "Old mill"])
    qa["detected_answers"].append({"text": "1804", "char_spans": [[26, 29], [26, 29]]})
    examples, irregular = found(tmp_path, [HEADER, passage(CONTEXT, qa, id="c7")], name)
    assert examples == [
        Example(
            "q1", "SQuAD", "Where is old?", CONTEXT, "c7", ("old", "Old mill"), ((4, 7), (39, 42), (26, 30))
        )
    ]
    assert [CONTEXT[start:end] for start, end in examples[0].spans] == ["old", "old", "1804"]
    assert irregular == []
    report = validate_mrqa(tmp_path / name)
    assert (report.dataset, report.split, report.contexts, report.questions, report.spans) == (
        "SQuAD",
        "train",
        1,
        1,
        3,
    )
    assert report.duplicate_spans == 1
    assert (report.mean_question_tokens(), report.mean_context_tokens()) == (4.0, 10.0)


def test_means_count_a_context_once_a_question_and_words_where_token_lists_are_absent(tmp_path):
    short, long = "in 1804", "one two three four 1804 six"
    lines = [
        HEADER,
        passage(short, question(short, "1804", "a"), question(short, "in", "b", question_tokens=None)),
        passage(long, question(long, "six", "c"), context_tokens=None),
    ]
    report = validate_mrqa(write(tmp_path / "x.jsonl", lines))
    assert report.mean_context_tokens() == (2 + 2 + 6) / 3
    assert report.mean_question_tokens() == (4 + 3 + 4) / 3


@pytest.mark.parametrize(
    ("official", "ours"),
    [
        ("TriviaQA-web", "TriviaQA"),
        ("NaturalQuestionsShort", "NaturalQuestions"),
        ("DuoRC.ParaphraseRC", "DuoRC"),
        ("NewsQA", "NewsQA"),
    ],
)
def test_the_organisers_variants_have_the_datasets_names(tmp_path, official, ours):
    (example,), _ = found(
        tmp_path, [{"header": {"dataset": official}}, passage(CONTEXT, question(CONTEXT, "old"))]
    )
    assert example.dataset == ours


def test_a_context_without_an_id_is_known_by_its_digest_and_a_repeated_text_has_one_id(tmp_path):
    lines = [
        HEADER,
        *(
            passage(text, question(text, "old", str(row)), id=given)
            for row, (text, given) in enumerate(
                [
                    (CONTEXT, ""),
                    (CONTEXT + " old", None),
                    (CONTEXT, "named"),
                    ("old", "first"),
                    ("old", "second"),
                ]
            )
        ),
    ]
    examples, irregular = found(tmp_path, lines)
    ids = [example.context_id for example in examples]
    assert ids[0] == hashlib.sha256(CONTEXT.encode()).hexdigest()[:16]
    assert ids[1] != ids[0] == ids[2] and ids[3:] == ["first", "first"] and not irregular
    assert validate_mrqa(tmp_path / "SQuAD.train.jsonl").repeated_contexts == 2


def old(*detected):
    """A line whose one question has these detected answers, as (text, spans)."""
    return passage(
        CONTEXT,
        question(
            CONTEXT,
            "old",
            detected_answers=[{"text": text, "char_spans": list(spans)} for text, *spans in detected],
        ),
    )


GOOD = question(CONTEXT, "old", "good")
CASES = {  # kind: the lines after the header, the line that is irregular, the questions left
    "second header": ([HEADER, passage(CONTEXT, GOOD)], 2, 1),
    "blank line": ([b" \n", passage(CONTEXT, GOOD)], 2, 1),
    "context without questions": ([passage("x"), passage(CONTEXT, GOOD)], 2, 1),
    "empty context": ([passage(" \n", question("", "old")), passage(CONTEXT, GOOD)], 2, 1),
    "question of a wrong type": ([passage(CONTEXT, "who?", GOOD)], 2, 1),
    "empty question": ([passage(CONTEXT, question(CONTEXT, "mill", question=" "), GOOD)], 2, 1),
    "duplicate question id": ([passage(CONTEXT, GOOD), passage("old", question("old", "old", "good"))], 3, 1),
    "question without answers": (
        [passage(CONTEXT, GOOD, question(CONTEXT, "x", answers=[], detected_answers=[]))],
        2,
        1,
    ),
    "question without a usable span": ([passage(CONTEXT, GOOD, question(CONTEXT, "absent"))], 2, 2),
    "answer of a wrong type": ([passage(CONTEXT, question(CONTEXT, "old", answers=["old", 1804]))], 2, 1),
    "no answers": ([passage(CONTEXT, question(CONTEXT, "old", answers=[]))], 2, 1),
    "lone surrogate": ([passage(CONTEXT + "\ud83d", GOOD)], 2, 1),
    "span text differs in case or space": ([old(("The  OLD", [0, 6]))], 2, 1),
    "span does not slice to its text": ([old(("old", [5, 7], [4, 6]))], 2, 1),
    "span out of range": ([old(("old", [4, 6], [40, 43]))], 2, 1),
    "blank span": ([old((" ", [3, 3]), ("old", [4, 6]))], 2, 1),
    "span of a wrong type": ([old(("old", [4, "6"], [4, 6]))], 2, 1),
}


@pytest.mark.parametrize("kind", CASES)
def test_an_irregularity_is_counted_at_its_line_and_strict_stops_there(tmp_path, kind):
    lines, line, left = CASES[kind]
    examples, irregular = found(tmp_path, [HEADER, *lines])
    assert irregular == [(line, kind)]
    assert len(examples) == left
    path = tmp_path / "SQuAD.train.jsonl"
    with pytest.raises(DataError) as raised:
        list(read_mrqa(path, strict=True))
    assert (
        str(raised.value).startswith(f"{path}, line {line}:")
        and kind in str(raised.value)
        and "\n" not in str(raised.value)
    )


def test_every_kind_of_irregularity_has_a_test():
    assert set(KINDS) == set(CASES) | {"no header", "byte-order mark", "no contexts"}


def test_the_documentation_says_what_becomes_of_each(root):
    lines = (root / "docs" / "data.md").read_text(encoding="utf-8").splitlines()
    first = lines.index("| irregularity | what becomes of it |") + 2
    assert lines[first : first + len(KINDS) + 1] == [
        *(f"| {kind} | {effect} |" for kind, effect in KINDS.items()),
        "",
    ]


def test_a_file_without_a_header_has_the_name_of_the_file(tmp_path):
    examples, irregular = found(
        tmp_path,
        [b"\n", passage(CONTEXT, GOOD), passage("old", question("old", "old"))],
        "NewsQA.dev.jsonl.gz",
    )
    assert [example.dataset for example in examples] == ["NewsQA", "NewsQA"]
    assert irregular == [(1, "blank line"), (2, "no header")]


def test_a_byte_order_mark_is_removed(tmp_path):
    examples, irregular = found(tmp_path, b"\xef\xbb\xbf" + as_bytes([HEADER, passage(CONTEXT, GOOD)]))
    assert len(examples) == 1 and irregular == [(1, "byte-order mark")]


def test_a_header_alone_is_reported(tmp_path):
    assert found(tmp_path, [HEADER]) == ([], [(1, "no contexts")])


def test_crlf_lines_and_a_missing_last_newline_are_fine(tmp_path):
    data = as_bytes([HEADER, passage(CONTEXT, GOOD)]).replace(b"\n", b"\r\n").rstrip()
    examples, irregular = found(tmp_path, data)
    assert len(examples) == 1 and not irregular


@pytest.mark.parametrize(
    "spans",
    [
        [[0, 0, 0]],
        [[True, 3]],
        [[4.0, 6]],
        ["46"],
        [None],
        [[4]],
        [{}],
        [[10**30, 10**31]],
        [[-4, 6]],
        [[6, 4]],
    ],
)
def test_no_span_is_guessed(tmp_path, spans):
    qa = question(CONTEXT, "old", detected_answers=[{"text": "old", "char_spans": spans}])
    (example,), irregular = found(tmp_path, [HEADER, passage(CONTEXT, qa)])
    assert example.spans == () and example.answers == ("old",)
    first, second = (kind for _, kind in irregular)
    assert (
        first in ("span of a wrong type", "span out of range") and second == "question without a usable span"
    )


@pytest.mark.parametrize(
    "detected",
    [
        "old",
        {"text": "old"},
        [7],
        [None],
        [{"text": 3, "char_spans": [[4, 6]]}],
        [{"text": "old", "char_spans": 4}],
        [[]],
    ],
)
def test_detected_answers_of_wrong_types(tmp_path, detected):
    (example,), irregular = found(
        tmp_path, [HEADER, passage(CONTEXT, question(CONTEXT, "old", detected_answers=detected))]
    )
    assert example.spans == ()
    assert irregular == [(2, "span of a wrong type"), (2, "question without a usable span")]


@pytest.mark.parametrize(
    "changes",
    [
        {"qid": None},
        {"qid": 7},
        {"qid": ""},
        {"qid": ["a"]},
        {"question": None},
        {"question": 3},
        {"answers": "old"},
        {"answers": {"a": 1}},
    ],
)
def test_questions_of_wrong_types(tmp_path, changes):
    examples, irregular = found(
        tmp_path, [HEADER, passage(CONTEXT, question(CONTEXT, "old", **changes), GOOD)]
    )
    if "answers" in changes:  # the detected text stands in
        assert irregular == [(2, "answer of a wrong type"), (2, "no answers")] and examples[0].answers == (
            "old",
        )
    else:
        assert irregular == [(2, "question of a wrong type")] and [example.id for example in examples] == [
            "good"
        ]


def test_the_id_may_be_called_id(tmp_path):
    qa = question(CONTEXT, "old", id="other")
    del qa["qid"]
    assert found(tmp_path, [HEADER, passage(CONTEXT, qa)])[0][0].id == "other"


def test_half_a_surrogate_pair_is_replaced_and_a_whole_one_is_not(tmp_path):
    context = "😀 old \ud800 mill"
    qa = question(context, "mill", "q\udc00", answers=["\udfff", "mill"])
    (example,), irregular = found(tmp_path, [HEADER, passage(context, qa)])
    assert (
        example.context == "😀 old \ufffd mill"
        and example.id == "q\ufffd"
        and example.answers == ("\ufffd", "mill")
    )
    assert example.spans == ((8, 12),)
    assert [kind for _, kind in irregular] == ["lone surrogate"] * 3


BROKEN = {
    "not UTF-8 at byte 12 of the line (0xff)": b'{"context": \xff"x", "qas": []}\n',
    "not JSON: Expecting ',' delimiter at character 17 of the line": b'{"context": "x" "qas": []}\n',
    "not usable JSON: maximum recursion depth": b"[" * 200_000 + b"\n",
    "not usable JSON: Exceeds the limit": b'{"context": "x", "qas": ' + b"1" * 5000 + b"}\n",
    "[1] found, a JSON object is needed": b"[1]\n",
    "null": b"null\n",
    '"context" is None, a string is needed': b'{"qas": []}\n',
    '"context" is 7, a string is needed': b'{"context": 7, "qas": []}\n',
    '"qas" is None, a list of questions is needed': b'{"context": "x"}\n',
    "\"qas\" is {'a': 1}, a list of questions is needed": b'{"context": "x", "qas": {"a": 1}}\n',
}


@pytest.mark.parametrize("message", BROKEN)
def test_an_unreadable_line_is_named(tmp_path, message):
    path = write(tmp_path / "x.jsonl", [HEADER, passage(CONTEXT, GOOD), BROKEN[message]])
    reader = read_mrqa(path)
    assert next(reader).id == "good"
    with pytest.raises(DataError) as raised:
        next(reader)
    text = str(raised.value)
    assert (
        text.startswith(f"{path}, line 3: ") and (message in text or message == "null") and "\n" not in text
    )


@pytest.mark.parametrize(
    "header", [None, [], "SQuAD", {}, {"dataset": 3}, {"dataset": ""}, {"dataset": None}]
)
def test_a_header_that_names_no_dataset_is_refused(tmp_path, header):
    path = write(tmp_path / "x.jsonl", [{"header": header}, passage(CONTEXT, GOOD)])
    with pytest.raises(DataError, match=r"x\.jsonl, line 1: the header is "):
        list(read_mrqa(path))


def test_damaged_gzip_is_refused_at_the_line_it_reached(tmp_path):
    whole = write(tmp_path / "x.jsonl.gz", corpus(400)).read_bytes()
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        DataError,
        match=r"cut\.jsonl\.gz, line \d+: the gzip data end too early, the file is truncated: fetch it again",
    ):
        list(read_mrqa(tmp_path / "cut.jsonl.gz"))
    flipped = bytearray(whole)
    flipped[-6] ^= 1  # the checksum
    (tmp_path / "sum.jsonl.gz").write_bytes(flipped)
    with pytest.raises(DataError, match=r"sum\.jsonl\.gz, line \d+: damaged gzip data \(CRC check failed"):
        list(read_mrqa(tmp_path / "sum.jsonl.gz"))
    (tmp_path / "tail.jsonl.gz").write_bytes(whole + b"more than a header")
    with pytest.raises(DataError, match=r"tail\.jsonl\.gz, line \d+: damaged gzip data \(Not a gzipped file"):
        list(read_mrqa(tmp_path / "tail.jsonl.gz"))


def test_files_that_are_none(tmp_path):
    (tmp_path / "page.jsonl.gz").write_bytes(b"<!DOCTYPE html>")
    (tmp_path / "empty.jsonl.gz").write_bytes(b"")
    (tmp_path / "folder.jsonl").mkdir()
    for name, message in [
        ("page.jsonl.gz", r"line 1: neither gzip data nor JSON lines \(first bytes b'<!'\)"),
        ("empty.jsonl.gz", "line 1: the file is empty"),
        ("absent.jsonl.gz", "line 1: cannot be read: No such file or directory"),
        ("folder.jsonl", "line 1: cannot be read: Is a directory"),
    ]:
        with pytest.raises(DataError, match=f"{name}, {message}"):
            list(read_mrqa(tmp_path / name))


def test_a_gz_that_was_unpacked_on_the_way_is_read(tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(as_bytes([HEADER, passage(CONTEXT, GOOD)]))
    assert len(list(read_mrqa(tmp_path / "x.jsonl.gz"))) == 1


def test_an_endless_line_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("bmt.qa.mrqa.LONGEST_LINE", 1 << 20)
    path = write(tmp_path / "x.jsonl.gz", [HEADER, b'{"context": "' + b"x" * (1 << 20)])
    with pytest.raises(DataError, match="line 2: longer than 1 MiB"):
        list(read_mrqa(path))


def test_the_report_says_what_became_of_each_and_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("bmt.qa.mrqa.MOST_PLACES", 2)
    path = write(
        tmp_path / "x.jsonl",
        [HEADER, passage(CONTEXT, *["bad"] * 3, GOOD, question(CONTEXT, "absent", "a'b"))],
    )
    report = validate_mrqa(path)
    assert report.counts == Counter({"question of a wrong type": 3, "question without a usable span": 1})
    assert len(report.places) == 2 and MOST_PLACES == 10_000
    assert report.lines(1) == [
        f"{path}: question of a wrong type: 3 (question dropped)",
        f"{path}: question without a usable span: 1 (question dropped from training, scored in a dev file)",
        f"{path}, line 2: question of a wrong type: 'bad' found, an object with a string \"qid\" is needed",
        f"{path}: and 3 more places",
    ]
    assert len(report.lines(0)) == 2


def test_passages_keep_a_context_with_its_questions(tmp_path):
    path = write(tmp_path / "x.jsonl.gz", corpus(30))
    whole = list(passages(path))
    assert [example for one in whole for example in one.examples] == list(read_mrqa(path))
    assert all(
        example.context is one.context and example.context_id == one.context_id
        for one in whole
        for example in one.examples
    )


def test_memory_does_not_grow_with_the_file(tmp_path):
    """40 MB of text, 200 kB a context: a few lines' worth at the peak."""
    context = "the old mill by the river " * 8000
    line = {"id": "", "context": context, "context_tokens": [], "qas": []}
    path = tmp_path / "x.jsonl.gz"
    with gzip.open(path, "wt", compresslevel=1) as stream:
        stream.write(json.dumps(HEADER) + "\n")
        for row in range(200):
            qa = {
                "qid": str(row),
                "question": "?",
                "answers": ["old"],
                "detected_answers": [{"text": "old", "char_spans": [[4, 6]]}],
            }
            stream.write(
                json.dumps(line | {"id": f"c{row}", "context": f"{context}{row}", "qas": [qa]}) + "\n"
            )
    tracemalloc.start()
    assert sum(1 for _ in read_mrqa(path)) == 200
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


def test_memory_hardly_grows_with_the_questions(tmp_path, monkeypatch):
    """20,000 questions whose ids and contexts take 5 MB as sets of texts; a repeated id is found however far
    apart the two are.
    """
    monkeypatch.setattr("bmt.qa.duplicate_ids.RECENT", 1000)
    monkeypatch.setattr("bmt.qa.mrqa.MOST_PLACES", 10)
    line = json.dumps(
        {
            "context": "the old mill",
            "qas": [{"qid": "#", "question": "?", "answers": ["old"], "detected_answers": []}],
        }
    )
    path = tmp_path / "x.jsonl"
    with path.open("w") as stream:
        stream.write(json.dumps(HEADER) + "\n")
        stream.writelines(
            line.replace("#", f"{row:032x}").replace("mill", f"mill {row}") + "\n"
            for row in [*range(20_000), 7]
        )
    report = ReadingReport()
    tracemalloc.start()
    for _ in passages(path, report):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.counts == {"question without a usable span": 20_000, "duplicate question id": 1}
    assert (report.questions, report.repeated_contexts) == (20_000, 1)
    assert peak < 1_500_000


def test_all_real_files_are_read_without_a_drop(real_data):
    entries = yaml.safe_load((real_data / "manifest.yaml").read_text(encoding="utf-8"))["files"]
    assert len(entries) == 17
    for entry in entries:
        report = validate_mrqa(real_data / entry["path"], strict=True)
        assert (report.dataset, report.split) == (entry["dataset"], entry["split"])
        assert (report.contexts, report.questions) == (entry["contexts"], entry["questions"])
        assert not report.counts and report.spans >= report.questions


def test_a_line_as_long_as_is_allowed_is_read(tmp_path, monkeypatch):
    path = write(tmp_path / "x.jsonl", [HEADER, passage("old mill", question("old mill", "old"))])
    longest = max(len(line) for line in path.read_bytes().splitlines(keepends=True))
    monkeypatch.setattr("bmt.qa.mrqa.LONGEST_LINE", longest)
    assert [example.answers for example in read_mrqa(path)] == [("old",)]
    monkeypatch.setattr("bmt.qa.mrqa.LONGEST_LINE", longest - 1)
    with pytest.raises(DataError, match="line 2: longer than"):
        list(read_mrqa(path))


def test_a_second_header_changes_nothing(tmp_path):
    """Neither the name nor the split: the first header is the file's."""
    second = {"header": {"dataset": "NewsQA", "split": "dev"}}
    path = write(tmp_path / "x.jsonl", [HEADER, second, passage(CONTEXT, GOOD)])
    report = ReadingReport()
    assert [example.dataset for example in read_mrqa(path, report)] == ["SQuAD"]
    assert (report.dataset, report.split) == ("SQuAD", "train") and report.counts == {"second header": 1}
    late = write(tmp_path / "NewsQA.jsonl", [passage(CONTEXT, GOOD), HEADER])
    assert validate_mrqa(late).counts == {"no header": 1, "second header": 1}
    assert validate_mrqa(late).dataset == "NewsQA"


def test_an_id_is_taken_by_a_question_that_is_kept_alone(tmp_path):
    """The first with this id was dropped: the second is the first that is kept, a third is a duplicate."""
    dropped = question(CONTEXT, "x", "good", answers=[], detected_answers=[])
    unanswered = question(CONTEXT, "absent", "b")
    qas = (dropped, GOOD, GOOD, unanswered, question(CONTEXT, "old", "b"))
    examples, irregular = found(tmp_path, [HEADER, passage(CONTEXT, *qas)])
    assert [(example.id, bool(example.spans)) for example in examples] == [("good", True), ("b", False)]
    assert [kind for _, kind in irregular] == [
        "question without answers",
        "duplicate question id",
        "question without a usable span",
        "duplicate question id",
    ]


def test_sizes_are_those_of_what_is_kept(tmp_path):
    """A dropped question counts nowhere, nor a context of which no question is left."""
    bad = question(CONTEXT, "old", "bad", question=" ", question_tokens=[["a", 0]] * 50)
    lines = [
        HEADER,
        passage(CONTEXT, GOOD, bad),
        passage("other text", bad),
        passage("old", bad | {"qid": "c"}),
    ]
    report = validate_mrqa(write(tmp_path / "x.jsonl", lines))
    assert (report.contexts, report.questions, report.spans) == (
        1,
        1,
        len(GOOD["detected_answers"][0]["char_spans"]),
    )
    assert report.context_tokens == report.mean_context_tokens() == len(CONTEXT.split())
    assert report.question_tokens == report.mean_question_tokens() == 4
    empty = ReadingReport()
    assert empty.mean_question_tokens() == empty.mean_context_tokens() == 0.0


def test_without_tokens_the_same_is_read_and_no_token_is_counted(tmp_path):
    path = write(tmp_path / "x.jsonl.gz", corpus(30))
    with_tokens, without = ReadingReport(), ReadingReport()
    assert list(passages(path, with_tokens)) == list(passages(path, without, tokens=False))
    assert (
        (without.question_tokens, without.context_tokens)
        == (0, 0)
        != (
            with_tokens.question_tokens,
            with_tokens.context_tokens,
        )
    )
    assert (without.questions, without.contexts, without.spans) == (
        with_tokens.questions,
        with_tokens.contexts,
        with_tokens.spans,
    )


def test_what_stands_in_for_absent_answers_is_each_detected_text_once(tmp_path):
    detected = [{"text": "old", "char_spans": [[4, 6], [39, 41]]}, {"text": "1804", "char_spans": [[26, 29]]}]
    qa = question(CONTEXT, "old", answers=None, detected_answers=detected)
    (example,), irregular = found(tmp_path, [HEADER, passage(CONTEXT, qa)])
    assert example.answers == ("old", "1804") and irregular == [(2, "no answers")]
    assert example.spans == ((4, 7), (39, 42), (26, 30))


def test_a_file_without_a_context_is_refused_where_all_has_to_be_regular(tmp_path):
    path = write(tmp_path / "x.jsonl", [HEADER])
    with pytest.raises(
        DataError, match=r"x\.jsonl, line 1: no contexts: 1 lines, no question \(strict; other"
    ):
        validate_mrqa(path, strict=True)
    report = ReadingReport()
    list(passages(path, report))
    assert report.path == str(path) and report.counts == {"no contexts": 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [("a" * 58, "'" + "a" * 58 + "'"), ("a" * 59, "'" + "a" * 58 + "…"), (None, "None"), ("a\nb", r"'a\nb'")],
)
def test_a_value_in_a_message_is_one_line_of_at_most_sixty_characters(value, text):
    assert shown(value) == text and len(text) <= 60


def test_places_are_listed_as_they_stand_and_the_rest_is_counted():
    report = ReadingReport(path="f")
    report.counts.update({"blank span": 1, "blank line": 2})  # listed by name
    report.places += [
        Irregularity(3, "blank line", None, "1 bytes"),
        Irregularity(4, "blank span", "q\n1", "[3, 3] is ' '"),
    ]
    heads = ["f: blank line: 2 (skipped)", "f: blank span: 1 (span dropped)"]
    first, second = "f, line 3: blank line: 1 bytes", r"f, line 4: question 'q\n1': blank span: [3, 3] is ' '"
    assert report.lines() == [*heads, first, second, "f: and 1 more places"]
    assert report.lines(1) == [*heads, first, "f: and 2 more places"]
    report.places.append(Irregularity(5, "blank line", None, "2 bytes"))
    assert report.lines(3) == [*heads, first, second, "f, line 5: blank line: 2 bytes"]
