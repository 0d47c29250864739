"""Where in a transformer a tensor sits, read from its name: layer and kind, for densities and deviations; and
which tensors are masked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn

from bmt.errors import ConfigError

_LAYER = re.compile(r"\.(?:layers?|block|h)\.(\d+)\.")
_KINDS = (
    ("adapter", r"adapter"),
    ("head", r"^(qa_outputs|classifier|score|lm_head|heads?)\b"),
    ("norm", r"(layer_?norm|layernorm|\bnorm\d?|_norm)\b"),
    ("position", r"(position_embeddings|relative_attention_bias)\b"),
    ("embedding", r"(embeddings?|shared|embed_tokens|wte|wpe)\b"),
    ("query", r"\b(query|q_proj|q)\b"),
    ("key", r"\b(key|k_proj|k)\b"),
    ("value", r"\b(value|v_proj|v)\b"),
    ("attention_output", r"(attention\.output|\bo|out_proj|o_proj)\b"),
    ("ffn_in", r"(intermediate|\bwi|wi_\d|up_proj|lin1|fc1)\b"),
    ("ffn_out", r"(output\.dense|\bwo|down_proj|lin2|fc2)\b"),
)
_HEADS = ("qa_outputs", "classifier", "score", "lm_head", "head", "heads")


def layer_of(name: str) -> str:
    """`layer_00`, `layer_01`, … for a tensor of a numbered layer; `embeddings`, `head` or `other` elsewhere.

    T5's blocks hold `layer.0`, `layer.1` inside a block: the first number is the layer. Those of its decoder
    are `decoder_00`, ….
    """
    match = _LAYER.search(f".{name}.")
    if match:
        return f"{'decoder' if name.split('.')[0] == 'decoder' else 'layer'}_{int(match.group(1)):02d}"
    kind = kind_of(name)
    return {"head": "head", "embedding": "embeddings", "position": "embeddings"}.get(
        kind, "embeddings" if "embed" in name.lower() else "other"
    )


def kind_of(name: str) -> str:
    """query, key, value, attention_output, ffn_in, ffn_out, norm, embedding, position, adapter, head or
    other; a bias goes with its matrix.
    """
    lowered = name.lower()
    for kind, pattern in _KINDS:
        if re.search(pattern, lowered):
            return kind
    return "other"


def is_head(name: str) -> bool:
    """Whether a tensor belongs to the task head phi, which starts random and is never masked."""
    return name.split(".")[0] in _HEADS


def in_encoder(name: str) -> bool:
    """Whether a tensor belongs to theta.

    Heads phi and adapters psi do not: they start anew, learn at `head_lr` and are never masked.
    """
    return not is_head(name) and kind_of(name) != "adapter"


def target_names(model: nn.Module, targets: Sequence[str] | None = None) -> list[str]:
    """Names of the parameters that masks act on: every encoder tensor, or those whose name matches one of the
    regular expressions.

    Raises:
        ConfigError: a pattern that matches nothing.
    """
    names = [name for name, _ in model.named_parameters()]
    if targets is None:
        return [name for name in names if in_encoder(name)]
    for pattern in targets:
        if not any(re.search(pattern, name) for name in names):
            raise ConfigError(
                f"targets: the pattern {pattern!r} matches no parameter of {type(model).__name__}; names "
                f"look like {names[0]}"
            )
    return [name for name in names if any(re.search(pattern, name) for pattern in targets)]
