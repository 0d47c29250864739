"""Special tokens written in a text stay text, in all three tokenizer families; the project's markers are
tokens of their own.
"""

from __future__ import annotations

import json
import pickle

import pytest
from tokenizers import Tokenizer, models, processors

from bmt.errors import ConfigError
from bmt.qa.tokenizer import encoder, text_tokenizer
from tests.support.tiny_tokenizers import FAMILIES, MARKERS, backend, fast

SPECIALS = {
    "bert": ["[SEP]", "[CLS]", "[PAD]", "[UNK]", "[MASK]"],
    "roberta": ["<s>", "</s>", "<pad>", "<mask>", "<unk>"],
    "t5": ["</s>", "<pad>", "<unk>", "<extra_id_0>"],
}
EVERY = sorted({token for tokens in SPECIALS.values() for token in tokens})


def special_ids(tokenizer, family):
    unknown = {"bert": "[UNK]", "roberta": None, "t5": "<unk>"}[
        family
    ]  # the id of unknown text is no special in a text
    return {tokenizer.convert_tokens_to_ids(token) for token in SPECIALS[family] if token != unknown}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", [*EVERY, "x {} y", "{}{}", "[PAR] [TLE] Kyu {} The tank{}"])
def test_special_tokens_in_a_text_stay_text(family, text):
    tokenizer = fast(family)
    own = text_tokenizer(encoder(tokenizer, MARKERS))
    for special in SPECIALS[family]:
        filled = text.replace("{}", special)
        encoding = own.encode(filled, add_special_tokens=False)
        assert not special_ids(tokenizer, family) & set(encoding.ids), (
            f"{special} in {filled!r} became a special token"
        )
        covered = {place for start, end in encoding.offsets for place in range(start, end)}
        assert all(place in covered for place, character in enumerate(filled) if not character.isspace())
        assert all(0 <= start <= end <= len(filled) for start, end in encoding.offsets)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokenizers_themselves_do_make_specials_of_text(family):
    tokenizer = fast(family)
    ids = tokenizer(f"x {SPECIALS[family][0]} y", add_special_tokens=False)["input_ids"]
    assert set(ids) & {tokenizer.convert_tokens_to_ids(SPECIALS[family][0])}, (
        "else the tests above would show nothing"
    )


def test_turning_special_tokens_off_is_not_enough_for_unigram():
    backend = Tokenizer.from_str(fast("t5").backend_tokenizer.to_str())
    backend.encode_special_tokens = True
    assert backend.token_to_id("</s>") in backend.encode("x </s> y", add_special_tokens=False).ids


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("special", [False, True])
def test_markers_are_single_tokens_however_they_were_added(family, special):
    tokenizer = fast(family, special=special)
    own = text_tokenizer(encoder(tokenizer, MARKERS))
    text = "[PAR] [TLE] Paris [DOC]x[tle]"
    encoding = own.encode(text, add_special_tokens=False)
    expected = [tokenizer.convert_tokens_to_ids(marker) for marker in ("[PAR]", "[TLE]", "[DOC]")]
    assert [
        number for number in encoding.ids if number in expected
    ] == expected  # "[tle]" is text, also in lower case
    for number, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        if number in expected:
            assert text[start:end] == tokenizer.convert_ids_to_tokens(number)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "text",
    ["Paris rises in 1804?", "  A café  by the\r\nriver [PAR] in Paris", "日本 e\u0301 👩‍👩‍👧", "[TLE]", ""],
)
def test_other_text_is_encoded_as_the_tokenizer_does(family, text):
    tokenizer = fast(family)
    own = text_tokenizer(encoder(tokenizer, MARKERS))
    assert (
        own.encode(text, add_special_tokens=False).ids
        == tokenizer(text, add_special_tokens=False)["input_ids"]
    )


@pytest.mark.parametrize(
    ("family", "prefix", "middle", "suffix"),
    [("bert", [2], [3], [3]), ("roberta", [0], [2, 2], [2]), ("t5", [], [1], [1])],
)
def test_template(family, prefix, middle, suffix):
    spec = encoder(fast(family), MARKERS)
    assert (list(spec.prefix), list(spec.middle), list(spec.suffix)) == (prefix, middle, suffix)
    assert spec.specials() == len(prefix + middle + suffix)


def test_padding_and_truncation_left_on_by_a_caller_change_nothing():
    plain, used = fast("bert"), fast("bert")
    used.backend_tokenizer.enable_padding(length=12)
    used.backend_tokenizer.enable_truncation(8)
    assert encoder(used, MARKERS) == encoder(plain, MARKERS)


def test_the_digest_knows_the_tokenizer_and_the_markers():
    digests = {encoder(fast(family), MARKERS).digest for family in FAMILIES}
    digests.add(encoder(fast("bert", MARKERS[:2]), MARKERS[:2]).digest)
    changed = fast("bert")
    parts = json.loads(changed.backend_tokenizer.to_str())
    parts["normalizer"]["lowercase"] = False
    digests.add(encoder(Tokenizer.from_str(json.dumps(parts)), MARKERS).digest)
    assert len(digests) == 5
    assert encoder(fast("bert"), MARKERS).digest in digests


def test_the_encoder_travels_to_a_process():
    spec = encoder(fast("t5"), MARKERS)
    copy = pickle.loads(pickle.dumps(spec))
    assert copy == spec
    assert text_tokenizer(copy).encode("Paris </s>").ids == text_tokenizer(spec).encode("Paris </s>").ids


def test_a_marker_that_the_tokenizer_lacks_is_named():
    with pytest.raises(ConfigError, match=r"data\.special_tokens: the tokenizer lacks \[DOC\], \[PAR\]"):
        encoder(fast("bert", ["[TLE]"]), MARKERS)


def test_a_slow_tokenizer_is_refused():
    with pytest.raises(ConfigError, match="object is not a fast tokenizer"):
        encoder(object(), [])


def test_a_template_that_puts_the_context_first_is_refused():
    from tokenizers import processors

    tokenizer = fast("bert", [])
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A", pair="$B [SEP] $A", special_tokens=[("[SEP]", 3)]
    )
    with pytest.raises(ConfigError, match="does not put a question before a context"):
        encoder(tokenizer, [])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_special_token_outside_the_models_vocabulary_stays_text_too(family):
    tokenizer = fast(family)
    tokenizer.add_tokens(["<turn>"], special_tokens=True)
    number = tokenizer.convert_tokens_to_ids("<turn>")
    assert number in tokenizer("old <turn> mill", add_special_tokens=False)["input_ids"]
    own = text_tokenizer(encoder(tokenizer, MARKERS))
    assert number not in own.encode("old <turn> mill", add_special_tokens=False).ids
    assert own.encode("[TLE]").ids == [tokenizer.convert_tokens_to_ids("[TLE]")]


def test_added_tokens_that_the_vocabulary_holds_are_found_unless_they_are_special_and_no_markers() -> None:
    """A word added for its own sake, and a marker that the tokenizer was trained with as special."""
    plain = Tokenizer.from_str(backend("bert").to_str())
    words = plain.get_vocab() | {"[PAR]": plain.get_vocab_size()}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer, tokenizer.post_processor = plain.pre_tokenizer, plain.post_processor
    tokenizer.add_tokens(["the"])
    tokenizer.add_special_tokens(["[SEP]", "[PAR]"])
    assert [tokenizer.token_to_id(token) for token in ("the", "[PAR]")] == [words["the"], words["[PAR]"]]
    ids = text_tokenizer(encoder(tokenizer, ["[PAR]"])).encode("the [PAR] [SEP]").ids
    assert ids[:2] == [words["the"], words["[PAR]"]] and words["[SEP]"] not in ids


def test_every_part_of_the_template_is_in_the_digest() -> None:
    """What stands before, between and after the two texts."""
    pairs = [
        "[CLS] $A [SEP] $B:1 [SEP]:1",
        "$A [SEP] $B:1 [SEP]:1",
        "[CLS] $A $B:1 [SEP]:1",
        "[CLS] $A [SEP] $B:1",
    ]
    encoders = []
    for pair in pairs:
        tokenizer = Tokenizer.from_str(backend("bert").to_str())
        specials = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A", pair=pair, special_tokens=specials
        )
        encoders.append(encoder(tokenizer, []))
    cls, sep = encoders[0].prefix, encoders[0].middle
    assert [(one.prefix, one.middle, one.suffix) for one in encoders] == [
        (cls, sep, sep),
        ((), sep, sep),
        (cls, (), sep),
        (cls, sep, ()),
    ]
    assert len({one.digest for one in encoders}) == 4


def test_added_tokens_whose_ids_would_move_are_refused() -> None:
    """Loading gives added tokens the ids behind the vocabulary's: of a larger one, others than they have."""
    tokenizer = Tokenizer.from_str(fast("bert").backend_tokenizer.to_str())
    assert encoder(tokenizer, MARKERS).specials() == 3
    words = tokenizer.get_vocab(with_added_tokens=False)
    tokenizer.model = models.WordPiece(
        words | {f"more{i}": len(words) + i for i in range(9)}, unk_token="[UNK]"
    )
    with pytest.raises(
        ConfigError, match=r"the ids of the added tokens \[TLE\], \[DOC\], \[PAR\] are not in order: save it"
    ):
        encoder(tokenizer, MARKERS)
