"""A project so small that a rehearsal on two CPU cores trains it in seconds: made-up questions, a random encoder with a
tokenizer trained on them.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from unittest import mock

import torch
import yaml
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.params import load
from bmt.qa.model import quiet_transformers
from tools.gpu_day.half_precision import write_half_precision
from tools.gpu_day.pack import PROFILE, project_files, write_pack

NAME = "rehearsal"
ARMS = ("bmt", "fixed_random")
BACKBONE = "tiny-fp16"
TRAIN, EVALUATE = ["SQuAD", "HotpotQA"], ["SQuAD", "HotpotQA", "DROP"]
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_rehearsal_pack(folder: Path, root: Path) -> None:
    """The pack of a tiny project, which is made in the folder `root`."""
    corpus = root / "data" / "raw" / NAME
    write_corpus(corpus)
    encoder = root / "encoder"
    write_encoder(encoder, _texts(corpus))
    sha256 = write_half_precision(encoder, root / "data" / "backbones" / BACKBONE)
    write_params(root / "params.yaml", sha256)
    with mock.patch.dict(os.environ, {"BMT_ROOT": str(root)}):
        config = load()
        prepare(config, workers=1)
        write_pack(folder, project_files(config, root / "params.yaml"), config, {})


def write_params(path: Path, sha256: str) -> None:
    """The params file of `PROFILE`, cut down."""
    profile = Path(__file__).resolve().parents[2] / "profiles" / f"{PROFILE}.yaml"
    values = yaml.safe_load(profile.read_text(encoding="utf-8"))
    values["profile"], values["source"]["manifest"] = NAME, "sample"
    values["data"] |= {"train": TRAIN, "evaluate": EVALUATE, "window": 128, "question": 32, "overlap": 48}
    values["data"] |= {"train_cap": 16, "validation_cap": 4, "dev_cap": 6}
    values["mask"] |= {"steps": 2, "batch": 4}
    values["training"] |= {"batch": 8, "evaluate_every": 2}
    backbone = {"source": "folder", "name": f"data/backbones/{BACKBONE}", "revision": None, "sha256": sha256}
    values["backbones"] = {BACKBONE: {**backbone, "head": "span"}}
    values["cells"] = [f"{BACKBONE}.mt.{arm}.s0" for arm in ARMS]
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def write_encoder(folder: Path, texts: list[str]) -> None:
    """A random BERT of two layers and 32 dimensions, and its WordPiece tokenizer."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=800, special_tokens=list(SPECIAL), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", SPECIAL.index("[CLS]")), ("[SEP]", SPECIAL.index("[SEP]"))],
    )
    names = {f"{word.strip('[]').lower()}_token": word for word in SPECIAL}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(fast),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=130,
    )
    with quiet_transformers():
        BertModel(config).save_pretrained(folder)


def _texts(corpus: Path) -> list[str]:
    texts = []
    for dataset in TRAIN:
        path = corpus / "in_domain" / f"{dataset}.train.jsonl.gz"
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]:
            passage = json.loads(line)
            texts += [passage["context"], *(question["question"] for question in passage["qas"])]
    return texts
