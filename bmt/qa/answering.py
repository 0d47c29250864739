"""Use what was trained: open a model's folder and ask it a question about a text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmt.errors import DataError, ModelError
from bmt.qa.adapters import AVERAGE, alone, averaged, datasets_of
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.decoding import predict
from bmt.qa.model import open_model
from bmt.qa.mrqa import Example, Passage
from bmt.qa.tokenizer import encoder, text_tokenizer
from bmt.qa.windows import Cut, check_cut, cut_chunk
from bmt.settings import DataSettings, DecodeSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer out of a context.

    Attributes:
        text: the context's own characters, `context[start:end]`.
        start, end: half-open character span.
        score: log-probability of the span in its window, at most 0.
    """

    text: str
    start: int
    end: int
    score: float


def load(
    folder: str | Path, *, adapter: str | None = None
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Open a trained model and its tokenizer from `runs/<profile>/<cell>` or its `model/` folder; the model
    is in evaluation mode.

    Args:
        adapter: of a model with adapters: one dataset's alone, or "average", their uniform mean, for
            questions of any other origin; None: all of them, and
            `bmt.qa.adapters.adapters_of(model).only(dataset)` says which one answers.

    Raises:
        ModelError: no model there, or one that cannot be opened; an adapter that it does not have.
    """
    folder = Path(folder)
    inner = folder / "model" if (folder / "model" / "config.json").is_file() else folder
    if not (inner / "config.json").is_file():
        raise ModelError(f"{folder}: no trained model there (no config.json, nor model/config.json)")
    model, tokenizer = open_model(inner)
    if adapter is not None:
        model = (
            averaged(model)
            if adapter == AVERAGE and AVERAGE not in datasets_of(model)
            else alone(model, adapter)
        )
    return model.eval(), tokenizer


def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, question: str, context: str) -> Answer:
    """The best span of `context` as the answer to `question`; a long context is read in overlapping windows.

    Window, overlap, question length and decoding are those that the model was trained and evaluated with
    (`model.config.bmt`); a model from elsewhere gets the project's defaults, cut to what it can read.

    Raises:
        DataError: an empty question or context.
    """
    if not question.strip() or not context.strip():
        raise DataError(f"the {'question' if not question.strip() else 'context'} is empty: give some text")
    trained_with: dict[str, Any] = getattr(model.config, "bmt", None) or {}
    defaults = DataSettings()
    markers = [marker for marker in defaults.special_tokens if marker in tokenizer.get_vocab()]
    spec = encoder(tokenizer, markers)
    window = min(trained_with.get("window", defaults.window), readable_length(model))
    overlap = trained_with.get("overlap", window // 2)
    cut = Cut(window, overlap, trained_with.get("question", min(defaults.question, window // 4)))
    check_cut(cut, spec.specials())
    example = Example("question", "asked", question, context, "context", (), ())
    chunk = cut_chunk([Passage(context, "context", (example,))], spec, text_tokenizer(spec), cut, train=False)
    windows = Windows.of(chunk.windows, "asked")
    decode = DecodeSettings(**trained_with.get("decode", {}))
    predictions = predict(model, windows, [context], Vocabulary.of(tokenizer), decode)
    if not predictions:
        raise DataError("the context holds no token that the model knows: give some text")
    best = predictions[0]
    return Answer(best.text, best.start, best.end, best.score)


def readable_length(model: PreTrainedModel) -> int:
    """Tokens that a model's positions allow: RoBERTa's table holds two more than it reads; T5's positions are
    relative.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None:
        return DataSettings().window
    return int(positions) - 2 if model.config.model_type in ("roberta", "xlm-roberta") else int(positions)
