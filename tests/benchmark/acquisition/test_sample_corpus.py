"""The embedded corpus: the same bytes everywhere, MRQA's form, train and dev apart, answers that need the
question.
"""

import functools
import gzip
import json
import re
import string
from pathlib import Path

import pytest

from benchmark.acquisition.sample_corpus import scenes, write
from benchmark.acquisition.sample_corpus.scenes import (
    STYLES,
    GeneratedPassage,
    Style,
    fill,
    occurrences,
    tokens,
)
from benchmark.acquisition.sample_corpus.words import DEV_POOLS, WORDS, Cast, Draw, kept
from benchmark.acquisition.sample_corpus.writing import SPLITS, dataset_file, gzip_stored, passages
from bmt.errors import DataError
from bmt.qa import mrqa
from bmt.qa.metrics import normalise
from bmt.runtime.files import file_digest
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

MANIFEST_SHA256 = "0a62e224cf7cfae1ac1a18a29c18174b20c63bdcf2985af1ac2e966dfd666e9b"
# Kinds of filler that answer the same sort of question.
SORTS = dict.fromkeys(("count", "votes", "small", "metres", "feet", "score", "yards"), "number")
SORTS |= dict.fromkeys(("year", "modern", "birth", "death"), "year")
MARKERS = {
    "TriviaQA": ("[DOC] [TLE] ", " [PAR] "),
    "SearchQA": ("[DOC] [TLE] ", " [PAR] ", " ..."),
    "HotpotQA": ("[PAR] [TLE] ", " [PAR] ", " [SEP] "),
    "NaturalQuestions": ("<P> ", " </P>"),
    "NewsQA": (" ( Sample Wire ) -- ",),
}
EVERY_STYLE = [style for styles in STYLES.values() for style in styles]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "corpus"
    write(folder)
    return folder


@pytest.fixture(scope="module")
def lines(corpus: Path) -> dict[tuple[str, str], list[dict]]:
    """(dataset, split) -> the lines of its file, header first."""
    read = {}
    for path in sorted(corpus.glob("*/*.jsonl.gz")):
        dataset, split = path.name.split(".")[:2]
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            read[dataset, split] = [json.loads(line) for line in stream]
    return read


Fillers = list[tuple[str, str]]


@functools.cache
def told(dataset: str) -> list[tuple[GeneratedPassage, Fillers]]:
    """All passages of a dataset's files, each with the fillers (kind, text) that stand in it."""
    domain, style = next(
        (domain, style) for domain, styles in STYLES.items() for style in styles if style.dataset == dataset
    )
    drawn: Fillers = []

    def recorded(slots: str, cast: Cast) -> dict[str, str]:
        fillers = fill(slots, cast)
        drawn.extend((kind, fillers[slot]) for slot, kind in (pair.split(":") for pair in slots.split()))
        return fillers

    passages_told = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "fill", recorded)
        for split in SPLITS[domain]:
            for index in range(len(passages(style, split))):
                drawn.clear()
                passage = scenes.passage(style, split, index, 0)
                context = passage.context.lower()
                passages_told.append((passage, [pair for pair in drawn if pair[1].lower() in context]))
    return passages_told


def pieces(context: str) -> set[str]:
    """The sentences and titles of a context."""
    parts = re.split(r"\[(?:DOC|TLE|PAR|SEP)\]|</?P>", context)
    return {
        piece
        for part in parts
        for piece in re.split(r"(?<=[.!?])\s+", part.strip())
        if piece.strip(string.punctuation + " ")
    }


def test_the_corpus_is_the_same_on_every_machine(corpus: Path, tmp_path: Path) -> None:
    assert (
        file_digest(corpus / "manifest.yaml") == MANIFEST_SHA256
    )  # and with it every file, whose digests it holds
    write(tmp_path / "again")
    files = sorted(path.relative_to(corpus) for path in corpus.rglob("*") if path.is_file())
    assert len(files) == 19
    assert files == sorted(
        path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()
    )
    assert all((corpus / path).read_bytes() == (tmp_path / "again" / path).read_bytes() for path in files)


def test_another_seed_tells_other_passages(lines: dict) -> None:
    contexts = {line["context"] for line in lines["SQuAD", "dev"][1:]}
    squad = next(style for style in EVERY_STYLE if style.dataset == "SQuAD")
    assert not contexts & {passage.context for passage in passages(squad, "dev", seed=1)}


def test_manifest_says_what_is_there(corpus: Path, lines: dict) -> None:
    yaml = pytest.importorskip("yaml")
    manifest = yaml.safe_load((corpus / "manifest.yaml").read_text(encoding="utf-8"))
    assert (manifest["version"], manifest["base_url"]) == ("bmt-sample-1", ".")
    assert len(manifest["files"]) == len(lines) == 18
    for entry in manifest["files"]:
        dataset, split = entry["dataset"], entry["split"]
        domain = "in_domain" if dataset in IN_DOMAIN else "out_of_domain"
        assert (entry["domain"], entry["path"]) == (domain, f"{domain}/{dataset}.{split}.jsonl.gz")
        assert entry["md5"] == file_digest(corpus / entry["path"], "md5")
        assert entry["sha256"] == file_digest(corpus / entry["path"])
        header, *contexts = lines[dataset, split]
        assert header == {
            "header": {
                "dataset": dataset,
                "split": split,
                "sample": True,
                "version": "bmt-sample-1",
                "seed": 0,
            }
        }
        assert entry["contexts"] == len(contexts) >= 9
        assert (
            entry["questions"]
            == sum(len(line["qas"]) for line in contexts)
            == {"train": 90, "dev": 36}[split]
        )
    assert {(entry["dataset"], entry["split"]) for entry in manifest["files"]} == {
        *((name, "train") for name in IN_DOMAIN),
        *((name, "dev") for name in (*IN_DOMAIN, *OUT_OF_DOMAIN)),
    }


def test_reader_finds_nothing_irregular(corpus: Path) -> None:
    for path in corpus.glob("*/*.jsonl.gz"):
        report = mrqa.validate_mrqa(path, strict=True)
        assert not report.counts
        assert report.questions == (90 if ".train." in path.name else 36)
        assert report.repeated_contexts == report.duplicate_spans == 0


def test_tokens_and_spans_slice_to_their_text(lines: dict) -> None:
    qids = []
    for line in (line for file in lines.values() for line in file[1:]):
        context = line["context"]
        for text, listed in [
            (context, line["context_tokens"]),
            *((qa["question"], qa["question_tokens"]) for qa in line["qas"]),
        ]:
            assert all(text[start : start + len(token)] == token for token, start in listed)
            assert "".join(token for token, _ in listed) == "".join(text.split())
        for qa in line["qas"]:
            assert list(qa) == ["qid", "id", "question", "question_tokens", "answers", "detected_answers"]
            assert qa["qid"] == qa["id"]
            assert qa["detected_answers"]
            qids.append(qa["qid"])
            for answer in qa["detected_answers"]:
                assert len(answer["char_spans"]) == len(answer["token_spans"]) > 0
                for (start, end), (first, last) in zip(
                    answer["char_spans"], answer["token_spans"], strict=True
                ):
                    assert context[start : end + 1] == answer["text"]  # ends are inclusive
                    assert line["context_tokens"][first][1] == start
                    assert line["context_tokens"][last][1] + len(line["context_tokens"][last][0]) == end + 1
                # A detected answer is one of the accepted ones, up to case.
                assert answer["text"].lower() in {text.lower() for text in qa["answers"]}
    assert len(set(qids)) == len(qids) == 6 * 90 + 12 * 36


def test_train_and_dev_share_no_passage_no_filled_template_and_no_answer(lines: dict) -> None:
    seen: dict[str, dict[str, set[str]]] = {
        split: {"passage": set(), "sentence": set(), "question": set(), "answer": set()}
        for split in ("train", "dev")
    }
    for (_, split), file in lines.items():
        for line in file[1:]:
            seen[split]["passage"].add(line["context"])
            seen[split]["sentence"] |= {piece.lower() for piece in pieces(line["context"])}
            for qa in line["qas"]:
                seen[split]["question"].add(qa["question"].lower().strip("? ."))
                seen[split]["answer"] |= {
                    normalise(text)
                    for text in (*qa["answers"], *(found["text"] for found in qa["detected_answers"]))
                }
    for what in ("passage", "sentence", "question", "answer"):
        assert not seen["train"][what] & seen["dev"][what], what
        assert len(seen["train"][what]) > 100, what
    assert "" not in seen["train"]["answer"] | seen["dev"]["answer"]


def test_every_style_looks_like_its_dataset(lines: dict) -> None:
    markers = {marker for marks in MARKERS.values() for marker in marks}
    for (dataset, _), file in lines.items():
        for line in file[1:]:
            for marker in markers:
                there = marker in line["context"] or line["context"].startswith(marker)
                assert there == (marker in MARKERS.get(dataset, ())), (dataset, marker)
            for question in (qa["question"] for qa in line["qas"]):
                if dataset == "NaturalQuestions":
                    assert question == question.lower()
                    assert "?" not in question
                elif dataset == "RACE":
                    assert question.endswith("_ .")  # unfinished sentences
                elif dataset == "SearchQA":
                    assert re.search(r"\b[Tt]his\b|\b[Ii]t's the ", question)  # statements
                elif dataset != "TextbookQA":
                    assert question.endswith("?") or question.startswith("List "), question
            if dataset == "RelationExtraction":
                assert len(pieces(line["context"])) <= 2
    per_context = {
        dataset: len(lines[dataset, "dev"][1]["qas"])
        for dataset in ("SQuAD", "NewsQA", "DROP", "DuoRC", "TriviaQA")
    }
    assert per_context == {"SQuAD": 3, "NewsQA": 2, "DROP": 4, "DuoRC": 3, "TriviaQA": 1}
    numbers = [
        qa for line in lines["DROP", "dev"][1:] for qa in line["qas"] if re.search(r"\d", qa["answers"][0])
    ]
    assert len(numbers) >= 18


def test_several_and_repeated_answers_aliases_and_names_beyond_ascii(lines: dict) -> None:
    for split in ("train", "dev"):
        files = [
            (dataset, line, qa)
            for (dataset, of), file in lines.items()
            if of == split
            for line in file[1:]
            for qa in line["qas"]
        ]
        several = {dataset for dataset, _, qa in files if len(qa["detected_answers"]) > 1}
        repeated = {
            dataset
            for dataset, _, qa in files
            if any(len(found["char_spans"]) > 1 for found in qa["detected_answers"])
        }
        aliases = {
            dataset
            for dataset, line, qa in files
            if any(text not in line["context"] for text in qa["answers"])
        }
        unicode = {dataset for dataset, _, qa in files if not qa["answers"][0].isascii()}
        assert {"SQuAD", "HotpotQA", "TriviaQA", "NewsQA", "NaturalQuestions"} <= several
        assert {"HotpotQA", "TriviaQA", "SearchQA"} <= repeated
        assert {"TriviaQA", "SearchQA"} <= aliases
        assert {"SQuAD", "TriviaQA", "NewsQA"} <= unicode


def test_at_least_two_candidates_of_the_answers_sort_in_every_passage() -> None:
    for style in EVERY_STYLE:
        firsts = []
        for passage, fillers in told(style.dataset):
            for question in passage.questions:
                answers = [text.lower() for text in question.answers]
                kind = next(kind for kind, text in fillers if text.lower() in answers)
                sort = SORTS.get(kind, kind)
                candidates = sorted(
                    occurrences(passage.context, text)[0]
                    for kind, text in fillers
                    if SORTS.get(kind, kind) == sort
                )
                gold = {span for _, spans in question.detected for span in spans}
                assert len(candidates) >= 2, (style.dataset, question)
                assert gold & set(candidates) or any(
                    start <= a < b <= end for start, end in candidates for a, b in gold
                )
                firsts.append(candidates[0] in gold)
        # Who knows the sort of answer but does not read the question gets about half of them, at best.
        assert sum(firsts) / len(firsts) < 0.62, style.dataset


def test_wordings_vary_and_every_slot_is_told() -> None:
    for style in EVERY_STYLE:
        for scene in style.scenes:
            slots = [slot.split(":")[0] for slot in scene.slots.split()]
            text = "".join(scene.says)
            assert [slot for slot in slots if not re.search(rf"{{{slot}(_last|_means)?}}", text)] == []
            assert all(" | " in questions for questions in scene.asks.values())
            assert len(scene.asks) >= 3


def test_most_contexts_are_one_window_and_some_are_two() -> None:
    for style in EVERY_STYLE:
        sizes = [len(passage.context.split()) for passage, _ in told(style.dataset)]
        long = [size for size in sizes if size > 1.45 * sorted(sizes)[len(sizes) // 2]]
        assert 0.03 <= len(long) / len(sizes) <= 0.15, style.dataset


def test_nothing_looks_like_personal_data(lines: dict) -> None:
    text = json.dumps(list(lines.values()), ensure_ascii=False)
    assert not re.search(
        r"@|https?:|www\.|\d{3}[ -]\d{3,}[ -]\d{2,}|\b\d{1,5} \w+ (Street|Avenue|Road)\b", text
    )
    names = {(first, last) for first in WORDS.pools["first"] for last in WORDS.pools["last"]}
    people = {
        text
        for style in EVERY_STYLE
        for _, fillers in told(style.dataset)
        for kind, text in fillers
        if kind == "person"
    }
    assert len(people) > 200
    assert all(tuple(person.split(" ", 1)) in names for person in people)  # invented, every one


def test_draw_is_fixed_by_its_key_alone() -> None:
    draw = Draw("bmt-sample", 0)
    assert [draw.below(1000) for _ in range(6)] == [504, 878, 806, 583, 146, 919]
    assert Draw("a").shuffled(range(8)) == [7, 6, 4, 1, 2, 5, 3, 0]
    assert Draw("a", 1).below(10**9) != Draw("a", 2).below(10**9)
    counts = [0] * 6
    draw = Draw("die")
    for _ in range(6000):
        counts[draw.below(6)] += 1
    assert (
        sum((count - 1000) ** 2 / 1000 for count in counts) < 20.5
    )  # chi-squared, 5 degrees of freedom, p > .001


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_cast_repeats_nothing_and_keeps_to_its_split(split: str) -> None:
    cast = Cast(Draw("cast"), split)
    people = [cast.name("person") for _ in range(10)]
    for part in ("first", "last"):
        drawn = [name[part] for name in people]
        assert len(set(drawn)) == 10
        assert all(kept(split, WORDS.pools[part].index(word)) for word in drawn)
    numbers = [int(cast.name("count")["whole"].replace(",", "")) for _ in range(50)]
    assert all((number % 3 == 2) == (split == "dev") for number in numbers)
    assert all(1100 <= number <= 98000 for number in numbers)


def test_pools_are_large_enough_and_overlap_nowhere() -> None:
    for key, words in (WORDS.pools | DEV_POOLS).items():
        assert len(set(words)) == len(words) >= 7, key
    train = {
        normalise(word)
        for words in WORDS.pools.values()
        for index, word in enumerate(words)
        if kept("train", index)
    }
    dev = {
        normalise(word)
        for words in WORDS.pools.values()
        for index, word in enumerate(words)
        if kept("dev", index)
    }
    assert not train & (dev | {normalise(word) for words in DEV_POOLS.values() for word in words})
    for kind, pattern in WORDS.kinds.items():
        parts = set(re.findall(r"{(\w+)}", pattern))
        assert parts <= set(WORDS.pools) | set(WORDS.numbers) | set(WORDS.shared), kind
        assert parts - set(WORDS.shared), kind


def test_years_rise_and_votes_fall() -> None:
    for key in range(20):
        fillers = fill("a:year b:person c:year d:year e:votes f:votes", Cast(Draw(key), "train"))
        assert int(fillers["a"]) < int(fillers["c"]) < int(fillers["d"])
        assert int(fillers["e"].replace(",", "")) > int(fillers["f"].replace(",", ""))


def test_tokens_and_occurrences() -> None:
    assert [token for token, _ in tokens("[PAR] [TLE] X [SEP] in 1,234 (3.5%)? <P> Zoë's </P>")] == [
        *(
            "[PAR]",
            "[TLE]",
            "X",
            "[SEP]",
            "in",
            "1,234",
            "(",
            "3.5",
            "%",
            ")",
            "?",
            "<P>",
            "Zoë",
            "'",
            "s",
            "</P>",
        )
    ]
    assert occurrences("34 of 1,234, 34-yard and Moths: moths 34.", "34") == ((0, 2), (13, 15), (38, 40))
    assert occurrences("Moths and moths", "moths") == ((0, 5), (10, 15))


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 200_000])
def test_stored_gzip_is_read_by_any_gzip(size: int) -> None:
    data = bytes(index * 7 % 251 for index in range(size))
    packed = gzip_stored(data)
    assert gzip.decompress(packed) == data
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time
    assert len(packed) == size + 18 + 5 * max(1, -(-size // 65535))


def test_write_replaces_a_corpus_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"other: exists and is no corpus \(no manifest.yaml\)"):
        write(other)
    assert [path.name for path in tmp_path.rglob("*")] == ["other", "thesis.txt"]

    def full(style: Style, split: str, seed: int) -> tuple[bytes, int, int]:
        if style.dataset == "HotpotQA":
            raise OSError(28, "No space left on device")
        return dataset_file(style, split, seed)

    with monkeypatch.context() as patch:
        patch.setattr("benchmark.acquisition.sample_corpus.writing.dataset_file", full)
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    for old in ("manifest.yaml", "OldQA.dev.jsonl.gz"):
        (tmp_path / "new").mkdir(exist_ok=True)
        (tmp_path / "new" / old).write_text("")
    write(tmp_path / "new")
    assert file_digest(tmp_path / "new" / "manifest.yaml") == MANIFEST_SHA256
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "in_domain",
        "manifest.yaml",
        "out_of_domain",
    ]
