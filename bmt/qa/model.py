"""Span extraction on pretrained encoders: start and end scores of every token, and the loss over gold spans.

BERT and RoBERTa are `AutoModelForQuestionAnswering`; T5's encoder carries the same head as
`T5ForTokenClassification` with two labels, or the whole T5 does on its decoder's outputs
(`head="span_decoder"`): the decoder reads the input once more, a token behind, and `qa_outputs` scores what
it makes of each token (`T5ForQuestionAnswering`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from bmt.errors import ModelError
from bmt.qa.adapters import adapters_of, add_adapters
from bmt.qa.cpu_dropout import takes_key_masks
from bmt.runtime.checkpoints import load_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bmt.qa.batches import Batch


def span_model(
    source: str | Path,
    *,
    revision: str | None = None,
    markers: Sequence[str] = ("[TLE]", "[DOC]", "[PAR]"),
    seed: int = 0,
    dropout: float | None = None,
    head: str = "span",
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A pretrained encoder with a fresh span head, and its tokenizer with MRQA's markers.

    The head is drawn under `seed`; a marker's embedding starts as the mean of all embeddings.

    Args:
        source: a folder or a name on the hub; revision: the hub's commit.
        dropout: probability at every place where the encoder drops out; None: as its configuration has it.
        head: "span", or "span_decoder" for a whole T5.

    Raises:
        ModelError: no such model, or one that cannot have this head.
    """
    from transformers import AutoConfig

    tokenizer = open_tokenizer(source, revision=revision, markers=markers)
    with quiet_transformers():
        torch.manual_seed(seed)
        config = _open(AutoConfig, source, revision)
        places = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout_rate")
        options = {key: dropout for key in places if dropout is not None and hasattr(config, key)}
        if head == "span_decoder":
            model = _open_with_decoder(source, revision, config, options)
        else:
            model = _open(_encoder_class(config), source, revision, options)
    grow_embeddings(model, len(tokenizer))
    return model, tokenizer


def open_model(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A span model, with its adapters if it has some, and its tokenizer as `save_pretrained` left them.

    Raises:
        ModelError: they cannot be opened, or the weights do not fit the configuration beside them.
    """
    import transformers  # its classes are imported as they are named

    with quiet_transformers():
        config = _open(transformers.AutoConfig, folder, None)
        if hasattr(config, "bmt_adapters"):
            return _open_adapters(folder, config), open_tokenizer(folder)
        decoding = config.model_type == "t5" and "T5ForQuestionAnswering" in (config.architectures or ())
        kind = transformers.T5ForQuestionAnswering if decoding else _encoder_class(config)
        return _open(kind, folder, None), open_tokenizer(folder)


def _open_with_decoder(
    source: str | Path, revision: str | None, config: Any, options: Mapping[str, Any]
) -> PreTrainedModel:
    """A pretrained T5 with its decoder and a fresh head on the decoder's outputs."""
    from transformers import T5ForQuestionAnswering

    if config.model_type != "t5":
        raise ModelError(
            f"{source}: head span_decoder is not allowed for a {config.model_type}: only for T5; span has "
            "the encoder's head"
        )
    model, loading = _open(T5ForQuestionAnswering, source, revision, {**options, "output_loading_info": True})
    if lacking := sorted(name for name in loading["missing_keys"] if not name.startswith("qa_outputs.")):
        raise ModelError(
            f"{source}: head span_decoder needs the whole T5, and its weights lack {lacking[0]} and "
            f"{len(lacking) - 1} more: an encoder alone takes head span"
        )
    if getattr(config, "decoder_start_token_id", None) is None:
        model.config.decoder_start_token_id = config.pad_token_id  # T5's, where a configuration leaves it out
    # Every token is read at once: nothing is kept for a next one.
    model.config.use_cache = model.decoder.config.use_cache = False
    return cast("PreTrainedModel", model)


def _encoder_class(config: Any) -> Any:
    """The class of a span model with its head on the encoder."""
    import transformers

    if config.model_type == "t5":
        return transformers.T5ForTokenClassification
    return transformers.AutoModelForQuestionAnswering


def _open_adapters(folder: Path, config: Any) -> PreTrainedModel:
    """A model with adapters: built from its configuration, then filled.

    Its head is none that `from_pretrained` knows.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, described = folder / "model.safetensors", config.bmt_adapters
    kind = _encoder_class(config)
    model: PreTrainedModel = kind.from_config(config) if hasattr(kind, "from_config") else kind(config)
    try:
        add_adapters(model, described["datasets"], bottleneck=described["bottleneck"])
        load_tensors(model.float(), load_file(path))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: cannot be read ({error}): save the model again") from error
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"{folder}/config.json: bmt_adapters: {described!r}: expected datasets and bottleneck, as "
            "add_adapters writes"
        ) from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return model


def open_tokenizer(
    source: str | Path, *, revision: str | None = None, markers: Sequence[str] = ()
) -> PreTrainedTokenizerBase:
    """A fast tokenizer to which `markers` are added as whole tokens."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    tokenizer = _open(AutoTokenizer, source, revision)
    tokenizer.add_tokens([AddedToken(marker, normalized=False, special=False) for marker in markers])
    return tokenizer


def _open(kind: Any, source: str | Path, revision: str | None, more: Mapping[str, Any] | None = None) -> Any:
    options: dict[str, Any] = {**(more or {}), **({} if revision is None else {"revision": revision})}
    if kind.__name__.startswith(("AutoModel", "T5For")):
        options["dtype"] = torch.float32
    if kind.__name__.startswith("T5For"):
        options["num_labels"] = 2
    if kind.__name__ == "T5ForTokenClassification":
        options["classifier_dropout"] = 0.0
    if isinstance(source, Path) or str(source).startswith((".", "/")):
        folder = Path(source)
        if not (folder / "config.json").is_file():
            raise ModelError(
                f"{folder}: no model there (no config.json): name a folder that save_pretrained wrote"
            )
    try:
        return kind.from_pretrained(str(source), **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{source}: cannot be opened as a model: {reason}") from error


@torch.no_grad()
def grow_embeddings(model: PreTrainedModel, vocabulary: int) -> None:
    """Give the embedding at least `vocabulary` rows; new rows are the mean of the old ones."""
    old = model.get_input_embeddings().weight
    if old.shape[0] >= vocabulary:
        return
    count, mean = old.shape[0], old.mean(0)
    model.resize_token_embeddings(vocabulary, mean_resizing=False)
    model.get_input_embeddings().weight[count:] = mean


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep back transformers' remarks and bars on loading: that the head is new is what we want."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def span_logits(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Start and end scores, float32 (rows, tokens) each.

    Rows of a training batch pass their own dataset's adapter and head.

    Raises:
        ModelError: several adapters and no gradient: say whose adapter answers, with
            `bmt.qa.adapters.adapters_of(model).only(dataset)`.
    """
    adapters = adapters_of(model)
    if takes_key_masks(model):
        batch = batch.with_known_padding()
    with nullcontext() if adapters is None else adapters.reading(batch.owner):
        out = model(**batch.inputs)
    if hasattr(out, "start_logits"):
        return out.start_logits.float(), out.end_logits.float()
    return out.logits[..., 0].float(), out.logits[..., 1].float()


def log_probabilities(logits: Tensor, allowed: Tensor) -> Tensor:
    """Log-softmax over the allowed positions, -inf elsewhere. Shapes (rows, tokens)."""
    return logits.masked_fill(~allowed, -torch.inf).log_softmax(-1)


def span_nll(start: Tensor, end: Tensor, batch: Batch, spans: str = "marginal") -> Tensor:
    """-log p of each window's answer, (rows,): p = sum over gold spans (i, j) of p_start(i) p_end(j), or of
    the first span alone.

    Args:
        start, end: scores (rows, tokens).
        spans: "marginal" or "first".
    """
    gold = batch.spans if spans == "marginal" else batch.spans[:, :1]
    there = gold[..., 0] >= 0
    first, last = gold[..., 0].clamp(min=0), gold[..., 1].clamp(min=0)
    total = log_probabilities(start, batch.allowed).gather(1, first) + log_probabilities(
        end, batch.allowed
    ).gather(1, last)
    return -total.masked_fill(~there, -torch.inf).logsumexp(-1)


def batch_loss(model: nn.Module, batch: Batch, spans: str = "marginal") -> Tensor:
    """Mean `span_nll` over the batch's windows."""
    return span_nll(*span_logits(model, batch), batch, spans).mean()
