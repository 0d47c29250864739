"""A project so small that a rehearsal on two CPU cores trains it in seconds: made-up questions, and a random
encoder with a tokenizer trained on them.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from unittest import mock

import torch
import yaml
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers import BertConfig, PreTrainedTokenizerFast

from benchmark.acquisition.feature_files import prepare
from benchmark.acquisition.sample_corpus import write as write_corpus
from benchmark.config.params import load
from bmt.runtime.files import write_text
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
    for path in corpus.rglob("*.dev.jsonl.gz"):
        if path.name.partition(".")[0] not in EVALUATE:
            path.unlink()  # not to be prepared
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
    write_text(path, yaml.safe_dump(values, sort_keys=False))


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
    config = BertConfig(
        vocab_size=len(fast),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=130,
        architectures=["BertModel"],
    )
    config.save_pretrained(folder)
    save_file(_random_weights(config), folder / "model.safetensors", metadata={"format": "pt"})


def _random_weights(config: BertConfig) -> dict[str, Tensor]:
    """The weights of a BERT by transformers' names, which takes seconds to import its own class of it."""
    random, width, inner = torch.Generator().manual_seed(0), config.hidden_size, config.intermediate_size
    weights: dict[str, Tensor] = {}

    def normed(name: str) -> None:
        weights[f"{name}.LayerNorm.weight"] = torch.ones(width)
        weights[f"{name}.LayerNorm.bias"] = torch.zeros(width)

    def linear(name: str, rows: int, columns: int) -> None:
        weights[f"{name}.weight"] = 0.02 * torch.randn(rows, columns, generator=random)
        weights[f"{name}.bias"] = torch.zeros(rows)

    rows = {
        "word": config.vocab_size,
        "position": config.max_position_embeddings,
        "token_type": config.type_vocab_size,
    }
    for kind, count in rows.items():
        values = 0.02 * torch.randn(count, width, generator=random)
        weights[f"embeddings.{kind}_embeddings.weight"] = values
    normed("embeddings")
    for number in range(config.num_hidden_layers):
        layer = f"encoder.layer.{number}"
        for name in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{name}", width, width)
        linear(f"{layer}.attention.output.dense", width, width)
        linear(f"{layer}.intermediate.dense", inner, width)
        linear(f"{layer}.output.dense", width, inner)
        normed(f"{layer}.attention.output")
        normed(f"{layer}.output")
    return weights


def _texts(corpus: Path) -> list[str]:
    texts = []
    for dataset in TRAIN:
        path = corpus / "in_domain" / f"{dataset}.train.jsonl.gz"
        for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]:
            passage = json.loads(line)
            texts += [passage["context"], *(question["question"] for question in passage["qas"])]
    return texts
