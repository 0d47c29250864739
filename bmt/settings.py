"""Every knob of the method, the data and the training, with what the paper says about it.

A field's metadata is its documentation: `doc` (what it does, unit), `low`/`high`/`choices` (what is allowed)
and `paper`: "stated" (the paper gives it), "silent" (it does not), "contradictory" (it says two things) or
"ours" (a matter of this project); `note` says what the paper has and why we chose as we did.
`docs/deviations.md` is generated from it. Values are checked on construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from operator import ge, gt, le, lt
from typing import Any, TypedDict, Unpack

from bmt.errors import ConfigError

IN_DOMAIN = ("SQuAD", "HotpotQA", "TriviaQA", "NewsQA", "SearchQA", "NaturalQuestions")
GRANULARITIES = ("element", "row", "column", "tensor")
MASK_KINDS = ("none", "random", "learned", "fixed_random", "fisher", "magnitude")
REGULARIZERS = ("none", "mixout", "l2_sp", "noisy_tune")
SAMPLERS = ("dynamic", "dynamic_single_task", "uniform", "size", "temperature")
OUT_OF_DOMAIN = ("BioASQ", "DROP", "DuoRC", "RACE", "RelationExtraction", "TextbookQA")


class Bounds(TypedDict, total=False):
    """What a number may be: `low` and `high` inclusive, `above` and `below` exclusive."""

    low: float
    high: float
    above: float
    below: float


BOUNDS = {"above": ("above", gt), "low": ("at least", ge), "below": ("below", lt), "high": ("at most", le)}
"""Each bound in words, and as a comparison of a value with it."""


def knob(
    default: Any,
    doc: str,
    *,
    choices: tuple[str, ...] | None = None,
    paper: str = "ours",
    note: str = "",
    **bounds: Unpack[Bounds],
) -> Any:
    """A documented dataclass field."""
    metadata: dict[str, Any] = {"doc": doc, "choices": choices, "paper": paper, "note": note}
    metadata |= {bound: bounds.get(bound) for bound in BOUNDS}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def allowed(metadata: Any) -> str:
    """What a knob allows, in words: `one of a, b`, `at least 0`, `above 0 and at most 1`."""
    if metadata["choices"]:
        return "one of " + ", ".join(metadata["choices"])
    bounds = ((words, metadata[key]) for key, (words, _) in BOUNDS.items())
    return " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)


def check_settings(settings: Any, where: str) -> None:
    """Check every knob's value against its bounds.

    Raises:
        ConfigError: naming `where.key`, the value and what is allowed.
    """
    for entry in fields(settings):
        value, meta = getattr(settings, entry.name), entry.metadata
        if not meta or value is None:
            continue
        good = not meta["choices"] or value in meta["choices"]
        if isinstance(value, int | float) and not isinstance(value, bool):
            bounds = ((meta[key], within) for key, (_, within) in BOUNDS.items())
            good = good and all(bound is None or within(value, bound) for bound, within in bounds)
        if not good:
            raise ConfigError(f"{where}.{entry.name}: {value!r} is not allowed: {allowed(meta)}")


@dataclass(frozen=True, slots=True)
class DataSettings:
    """Which questions, cut how into windows."""

    train: list[str] = knob(list(IN_DOMAIN), "the source datasets, trained on", paper="stated")
    evaluate: list[str] = knob(
        [*IN_DOMAIN, *OUT_OF_DOMAIN], "the datasets whose dev sets are scored", paper="stated"
    )
    window: int = knob(
        512, "tokens per window, special tokens and question included", low=32, high=4096, paper="stated"
    )
    overlap: int = knob(
        256,
        "tokens that two neighbouring windows of a context share",
        low=0,
        high=2048,
        paper="contradictory",
        note='"a sliding window of length 256" next to a limit of 512 tokens can mean a step or an '
        "overlap of 256; with windows of "
        "512 both are 256 up to the question's length. We fix the overlap; `overlap` changes it.",
    )
    question: int = knob(
        64,
        "tokens kept of a question",
        low=8,
        high=512,
        paper="silent",
        note="Longer questions are cut at their end.",
    )
    train_cap: int | None = knob(
        80_000,
        "train questions taken per dataset and epoch; null: all",
        low=1,
        paper="contradictory",
        note='"We sample 80,000 training and 1000 validation examples per epoch" can mean of each dataset '
        "or of all together. Of each: "
        "the day and a half of training is then at most .8 s per step of 8 windows, otherwise over 4 s.",
    )
    validation_cap: int = knob(1000, "validation questions per dataset", low=1, paper="stated")
    dev_cap: int | None = knob(None, "dev questions scored per dataset; null: all", low=1, paper="ours")
    val_source: str = knob(
        "train",
        "where validation questions come from",
        choices=("train", "dev"),
        paper="silent",
        note="The paper does not say whether its 1,000 validation examples are dev examples that the "
        "tables then report. We carve them from train, split by context, so that the dev sets are only "
        "ever scored; `dev` is the reading with a leak.",
    )
    negatives: str = knob(
        "keep",
        "training windows without the answer: kept (labelled [CLS]) or dropped",
        choices=("keep", "drop"),
        paper="silent",
        note="Windows of a long context that do not hold the answer are kept and labelled [CLS], as BERT "
        "does for SQuAD.",
    )
    windows: str = knob(
        "all",
        "training windows of a question: all, or one that holds its answer",
        choices=("all", "one"),
        paper="silent",
        note="`one` is for small budgets.",
    )
    special_tokens: list[str] = knob(
        ["[TLE]", "[DOC]", "[PAR]"],
        "MRQA's markers added to the tokenizer",
        paper="silent",
        note="MRQA's contexts hold these markers; HotpotQA's literal `[SEP]` stays text, so that it "
        "cannot end the context.",
    )


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """How masks are learned: the gates of eq. 10-12, and how a gate becomes a mask."""

    gamma: float = knob(
        -1.5,
        "lower stretch of the gate",
        below=0,
        paper="silent",
        note="The paper asks for gamma < 0 only; DiffPruning's value, whose gate this is.",
    )
    zeta: float = knob(
        1.5,
        "upper stretch of the gate",
        above=1,
        paper="silent",
        note="The paper asks for zeta > 1 only; DiffPruning's value.",
    )
    beta: float = knob(
        1.0, "temperature of the gate", above=0, paper="stated", note="Eq. 10 has no temperature: 1."
    )
    alpha0: float = knob(
        5.0,
        "start of alpha",
        paper="silent",
        note="DiffPruning's 5 keeps 98.8 % of the gates open after a short budget; the small profiles "
        "start at 0.",
    )
    lam: float = knob(
        1.25e-7,
        "lambda of eq. 12, on the sum of P(s > 0)",
        low=0,
        paper="silent",
        note="DiffPruning's value.",
    )
    alpha_lr: float = knob(
        0.1, "learning rate of alpha (AdamW, no decay)", above=0, paper="silent", note="DiffPruning's value."
    )
    alpha_eps: float = knob(
        1e-8,
        "epsilon of alpha's AdamW; with 1e-6 the gates never close",
        above=0,
        paper="silent",
        note="lambda, this and alpha_lr are one knob.",
    )
    w_lr: float = knob(
        1e-5,
        "learning rate of w (AdamW, from 0)",
        above=0,
        paper="silent",
        note="The fine-tuning learning rate.",
    )
    alpha_clip: float | None = knob(
        1.0,
        "norm at which alpha's gradient is clipped; null: not",
        above=0,
        paper="silent",
        note="Hugging Face's default for a gradient; the two differ in scale, so neither may use up the "
        "other's norm.",
    )
    clip: float | None = knob(
        1.0, "norm at which w's gradient is clipped; null: not", above=0, paper="silent", note="As alpha's."
    )
    steps: int = knob(
        2048,
        "mask-learning steps per mask",
        low=0,
        paper="silent",
        note="One of the paper's checkpoint intervals.",
    )
    batch: int = knob(8, "windows per mask-learning step", low=1, paper="silent", note="As in fine-tuning.")
    density: float | None = knob(
        None,
        "target density: the share of weights left open; null: the gates decide",
        above=0,
        high=1,
        paper="silent",
        note="The paper reports no density. A short budget with its scale of defaults leaves all gates "
        "open: plain fine-tuning in disguise.",
    )
    density_by: str = knob(
        "top_k",
        "how the target density is met: top_k of alpha over all tensors, or lagrangian: lambda follows "
        "the expected density",
        choices=("top_k", "lagrangian"),
        paper="silent",
        note="Top-k meets it exactly after any budget; a lambda that follows needs steps enough for the "
        "gates to part.",
    )
    lam_lr: float = knob(
        1e-6,
        "step of a lagrangian lambda: what a density that is 1 too large adds to it",
        above=0,
        paper="silent",
        note="Of the order of lambda itself, ten steps for a density off by .1.",
    )
    granularity: str = knob(
        "element",
        "what a gate holds: a weight, a row or a column of a matrix, or a tensor",
        choices=GRANULARITIES,
        paper="silent",
        note="Eq. 6 multiplies element by element; the 7.3M of Table 7 fits no granularity either.",
    )
    gate: str = knob(
        "sampled",
        "the s_d that becomes the mask: one draw, a draw before each step of theta (resampled), Louizos' "
        "deterministic gate, or E[s] (mean)",
        choices=("sampled", "resampled", "deterministic", "mean"),
        paper="stated",
        note='"By sampling u once to obtain a binary mask vector".',
    )
    binarise: str = knob(
        "positive",
        "how s_d becomes M_d without a top-k density: s > 0, s > 1/2 (half), or s itself (none), which "
        "does something under Adam only with tuning.apply: update",
        choices=("positive", "half", "none"),
        paper="contradictory",
        note='"To obtain a binary mask vector", and "s_d is not necessarily a binary vector": we binarise '
        "s > 0.",
    )
    keep_delta: bool = knob(
        False,
        "whether tuning starts at theta_0 plus the datasets' mean M_d w_d, instead of theta_0",
        paper="contradictory",
        note="Eq. 6-12 add delta = s * w to theta; eq. 14 uses s alone, as a mask on theta's gradient, "
        "and no delta is in the model that is tested.",
    )
    scope: str = knob(
        "per_dataset",
        "one mask a source dataset, one for the mixture, or one learned anew on each training batch",
        choices=("per_dataset", "global", "per_batch"),
        paper="contradictory",
        note='"delta_d is data-specific", while eq. 12 has one alpha under an expectation over datasets, '
        'and section 3.2 speaks of "the different data distributions of each batch" (Table B.11: D_i is '
        "a mini-batch).",
    )
    schedule: str = knob(
        "two_phase",
        "two_phase: masks at theta_0, then tuning; refresh: learned again each epoch at the present "
        "theta; alternating: a step of alpha and w before each step of theta",
        choices=("two_phase", "refresh", "alternating"),
        paper="contradictory",
        note="Section 3 first obtains the mask and then updates with it; that alpha and w are optimised "
        '"jointly" and "dynamically adjust the weight update path" can be read as taking turns.',
    )
    targets: list[str] | None = knob(
        None,
        "regular expressions for the names of the masked tensors; null: every encoder tensor",
        paper="silent",
        note='"The parameters theta": all of the encoder, embeddings and norms included; the head phi '
        "starts random and is not masked.",
    )
    head_warmup: int = knob(
        0,
        "steps of head-only training before the masks are learned",
        low=0,
        paper="silent",
        note="phi is still random while the mask is learned at theta0.",
    )

    @property
    def top_share(self) -> float | None:
        """The density, where the mask is that share of the weights with the largest alpha."""
        return self.density if self.density_by == "top_k" else None


def check_mask(mask: MaskSettings, where: str = "mask") -> None:
    """Check the conditions that tie two keys of the mask settings together.

    Raises:
        ConfigError: naming `where.key`, the value and what is allowed.
    """
    top_k = mask.top_share is not None
    faults = (
        (
            top_k and mask.gate == "resampled",
            "gate",
            mask.gate,
            "sampled with a top-k density, whose mask stays as it is",
        ),
        (
            top_k and mask.binarise != "positive",
            "binarise",
            mask.binarise,
            "positive with a top-k density, which is binary already",
        ),
        (
            not top_k and mask.gate == "mean" and mask.binarise == "positive",
            "binarise",
            mask.binarise,
            "half or none with gate mean: E[s] is above 0 everywhere",
        ),
        (
            mask.gate == "resampled" and mask.schedule != "two_phase",
            "gate",
            mask.gate,
            f"another with schedule {mask.schedule}",
        ),
        (
            mask.gate == "resampled" and mask.keep_delta,
            "keep_delta",
            "true",
            "false with gate resampled, which has no one M_d",
        ),
        (
            mask.keep_delta and mask.schedule != "two_phase",
            "keep_delta",
            "true",
            f"false with schedule {mask.schedule}, whose masks are learned while theta moves",
        ),
    )
    for wrong, key, value, want in faults:
        if wrong:
            raise ConfigError(f"{where}.{key}: {value} is not allowed: {want}")


@dataclass(frozen=True, slots=True)
class TuningSettings:
    """The masked update, eq. 14 and 16."""

    apply: str = knob(
        "gradient",
        "what the mask multiplies",
        choices=("gradient", "update"),
        paper="contradictory",
        note="Eq. 14 is plain gradient descent, where both are the same; the experiments use AdamW, where "
        "they are not. Title and text say gradient.",
    )
    compact_state: bool = knob(
        True,
        "whether the optimizer keeps moments only for weights that some fixed mask opens, where that "
        "saves memory",
    )
    clip: float | None = knob(
        1.0,
        "gradient norm at which it is clipped; null: not",
        above=0,
        paper="silent",
        note="Hugging Face's default.",
    )
    clip_order: str = knob(
        "mask_then_clip",
        "whether the norm that is clipped is of the masked gradient, or of the whole one (clip_then_mask, "
        "for arms with one mask)",
        choices=("mask_then_clip", "clip_then_mask"),
        paper="silent",
        note="With several masks in one backward pass the unmasked total does not exist. The same for "
        "every arm that is compared.",
    )


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The loop: budget, optimizer, evaluation, stopping."""

    batch: int = knob(8, "windows per step", low=1, paper="silent", note="MADE's.")
    lr: float = knob(1e-5, "learning rate of the encoder, constant", above=0, paper="stated")
    head_lr: float = knob(
        1e-4,
        "learning rate of the span head, constant",
        above=0,
        paper="silent",
        note="Stated for adapters in MADE; 1e-5 for a random head learns slowly.",
    )
    weight_decay: float = knob(
        0.0, "AdamW's decay", low=0, paper="stated", note='"HuggingFace default parameters": 0.'
    )
    eps: float = knob(1e-8, "AdamW's epsilon", above=0, paper="stated", note="Hugging Face's default.")
    epochs_mt: float = knob(3, "epochs over all source datasets", above=0, paper="stated")
    epochs_st: float = knob(10, "epochs over one dataset", above=0, paper="stated")
    epochs_adapter: float = knob(
        3,
        "epochs over each dataset's own windows, at most, in which its adapter and head are tuned behind "
        "a frozen encoder",
        above=0,
        paper="silent",
        note="Section 4.5 says only when this second phase begins.",
    )
    evaluate_every: int = knob(2048, "steps between evaluations and checkpoints", low=1, paper="stated")
    patience: int = knob(
        5, "evaluations without a gain in macro F1 before the run stops", low=1, paper="stated"
    )
    evaluation_batch: int = knob(32, "windows per forward pass in evaluation", low=1)
    dropout: float | None = knob(
        None,
        "dropout of hidden states and attention; null: the backbone's own",
        low=0,
        below=1,
        paper="silent",
        note="BERT, RoBERTa and T5 come with 0.1. On a CPU drawing it takes a fifth of a step, and short "
        "budgets learn better without.",
    )
    batch_tokens: int | None = knob(
        None,
        "tokens per step in place of a number of windows, padding not counted: windows are drawn until the "
        "next would exceed it (the head warm-up keeps to `batch`); null: `batch` windows",
        low=32,
    )
    micro_batch: int | None = knob(
        None,
        "windows a forward and backward pass has at most; a step sums over its passes; null: any number",
        low=1,
    )
    micro_tokens: int | None = knob(
        None,
        "tokens that a forward and backward pass has at most, padding counted, as the memory allows; "
        "null: any number",
        low=32,
    )
    padding: float | None = knob(
        0.08,
        "share of padding that the passes of a step may have together: windows of like length go into the "
        "fewest passes that keep to it; null: any share",
        low=0,
        below=1,
    )
    precision: str = knob(
        "auto",
        "fp32, bf16 by autocast, or auto: bf16 on CUDA, fp32 elsewhere",
        choices=("auto", "fp32", "bf16"),
        paper="silent",
        note="The paper's V100 has no bf16; weights, gates and moments are fp32 whatever stands here.",
    )
    threads: int | None = knob(None, "CPU threads; null: torch's choice", low=1)


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Which dataset a batch's windows come from, eq. 15."""

    kind: str = knob(
        "dynamic",
        "dynamic (eq. 15), dynamic_single_task (eq. 15 against the scores of single-task runs, not the "
        "evaluation before), uniform, size (as many windows as a dataset has), or temperature (between "
        "the two)",
        choices=SAMPLERS,
        paper="stated",
        note="Eq. 15 weighs by the change of EM + F1 between two validations.",
    )
    floor: float = knob(
        0.02,
        "least weight of a dataset under eq. 15, whatever it is held against",
        low=0,
        below=1,
        paper="silent",
        note="Eq. 15 alone can starve a dataset for good: no samples, no change, weight 0.",
    )
    temperature: float = knob(
        1.0,
        "T of kind temperature, whose weights go by n^(1/T), n being a dataset's training windows: 1 is "
        "size, a large T uniform",
        low=1,
    )
    single_task_arm: str | None = knob(
        None,
        "for kind dynamic_single_task: the arm of the ST cells (same backbone and seed, no adapter) whose "
        "best validation scores are the reference; null: the cell's own arm",
    )
    single_task_scores: dict[str, float] | None = knob(
        None,
        "for kind dynamic_single_task: the reference itself, EM + F1 of each dataset, 0 to 200; null: "
        "read from the ST cells' runs",
    )


@dataclass(frozen=True, slots=True)
class LossSettings:
    """The span loss."""

    spans: str = knob(
        "marginal",
        "all gold spans of a window by their total probability, or the first one",
        choices=("marginal", "first"),
        paper="silent",
        note="MRQA gives every detected occurrence of the answer; the paper's loss names one start and "
        "one end.",
    )


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """From logits to an answer."""

    mode: str = knob(
        "joint",
        "joint argmax over i <= j, or greedy: the best start, then the best end after it",
        choices=("joint", "greedy"),
        paper="contradictory",
        note="Eq. 1-2 read literally are greedy; the head they describe gives independent start and end "
        "scores.",
    )
    max_answer_tokens: int = knob(
        30,
        "tokens of the longest answer",
        low=1,
        paper="silent",
        note="Hugging Face's and MRQA's baseline value.",
    )


@dataclass(frozen=True, slots=True)
class FewShotSettings:
    """Few-shot transfer, section 4.6.2."""

    sizes: list[int] = knob(
        [16, 64, 256],
        "K, examples of a target dataset: half to train on, half to validate on",
        paper="stated",
    )
    seeds: list[int] = knob(
        [7, 19, 29],
        "seeds of the K examples and of everything after them",
        paper="silent",
        note='"Three random seeds are generated"; these are MADE\'s.',
    )
    steps: int = knob(300, "updates at most", low=1, paper="stated")
    batch: int = knob(
        8, "training windows per update", low=1, paper="silent", note="As in training on the source datasets."
    )
    lr: float = knob(1e-5, "learning rate of theta, adapter and head", above=0, paper="stated")
    patience: int = knob(
        10,
        "epochs without a gain in validation F1 before it stops",
        low=1,
        paper="stated",
        note="Validation F1 at the start counts: where no epoch reaches it the averaged model itself is "
        "tested. Of epochs with equal F1 the one with the lowest validation loss is taken.",
    )
    test: str = knob(
        "minus_k",
        "what is scored: the dev set without the K examples, or all of it, with those trained on",
        choices=("minus_k", "entire_dev"),
        paper="contradictory",
        note='"Tested on the entire development set", from which the K examples are drawn. Only '
        "entire_dev compares with Table 9.",
    )
    mask: str = knob(
        "relearn",
        "mask of an arm with learned masks: learned on the K/2 training examples, or the union of the "
        "source datasets' masks",
        choices=("relearn", "union"),
        paper="silent",
        note="A target dataset has no mask from the source training.",
    )
    literal_weights: bool = knob(
        False,
        "whether the mean of adapters is divided once more by their number, as the formula is printed",
        paper="contradictory",
        note="Weights that sum to 1 are a mean; with the printed 1/|S| six adapters shrink six-fold.",
    )
