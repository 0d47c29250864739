"""A whole small project in a folder: tiny random backbones with tokenizers trained on the sample corpus, a
params file, and MRQA files.

Every command runs on it in seconds, through BMT_ROOT.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
)

from tests.support.repository import ROOT

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
DATASETS = ("SQuAD", "HotpotQA")
OTHERS = ("BioASQ", "DROP")


def corpus_texts(corpus: Path) -> list[str]:
    """Contexts and questions of a folder of MRQA files."""
    texts = []
    for path in sorted(corpus.rglob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for line in stream:
                record = json.loads(line)
                texts += (
                    [record["context"], *(qa["question"] for qa in record["qas"])]
                    if "context" in record
                    else []
                )
    return texts


def write_bert(folder: Path, texts: list[str], **sizes: int) -> None:
    """A random BERT and its WordPiece tokenizer. sizes: of its configuration, where they are not SMALL's."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=800, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(fast), max_position_embeddings=130, **SMALL | sizes)
    BertForMaskedLM(config).save_pretrained(folder)


def write_roberta(folder: Path, texts: list[str]) -> None:
    """A random RoBERTa and its byte-level BPE tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        bos_token="<s>",
        eos_token="</s>",
        mask_token="<mask>",
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(fast), max_position_embeddings=132, pad_token_id=1, type_vocab_size=1, **SMALL
    )
    RobertaForMaskedLM(config).save_pretrained(folder)


def write_t5(folder: Path, texts: list[str]) -> None:
    """A random T5 encoder and its Unigram tokenizer."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=800, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>"
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    T5EncoderModel(
        T5Config(vocab_size=len(fast), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    ).save_pretrained(folder)


def write_whole_t5(folder: Path, texts: list[str]) -> None:
    """A random T5 with its decoder and the head that writes, and its tokenizer."""
    write_t5(folder, texts)
    vocabulary = json.loads((folder / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    torch.manual_seed(1)
    config = T5Config(
        vocab_size=vocabulary,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        decoder_start_token_id=0,
    )
    T5ForConditionalGeneration(config).save_pretrained(folder)


WRITERS = {"bert": write_bert, "roberta": write_roberta, "t5": write_t5}


def params(
    backbones: list[str], cells: list[str], manifest: str = "sample", profile: str = "tiny"
) -> dict[str, Any]:
    """A whole params file for tiny models: the sample profile's, cut down."""
    values = yaml.safe_load((ROOT / "profiles" / "sample.yaml").read_text(encoding="utf-8"))
    values["profile"], values["source"]["manifest"] = profile, manifest
    values["data"] |= {
        "train": list(DATASETS),
        "evaluate": [*DATASETS, *OTHERS],
        "train_cap": 16,
        "validation_cap": 4,
        "dev_cap": 6,
    }
    values["mask"] |= {"steps": 2, "batch": 4}
    values["training"] |= {
        "batch": 8,
        "epochs_mt": 2,
        "evaluate_every": 1,
        "patience": 20,
        "evaluation_batch": 16,
    }
    values["backbones"] = {
        name: {
            "source": "folder",
            "name": f"backbones/{name}",
            "revision": None,
            "sha256": None,
            "head": "span",
        }
        for name in backbones
    }
    values["cells"] = cells
    values["tracking"]["figures"] = False
    return values


def write_params(root: Path, values: dict[str, Any]) -> None:
    """Write a project's params.yaml."""
    (root / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
