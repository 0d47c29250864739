"""Every knob of the method, the data and the training, with what the paper says about it.

A field's metadata is its documentation: `doc` (what it does, unit), `low`/`high`/`choices` (what is allowed)
and `paper`: "stated" (the paper gives it), "silent" (it does not), "contradictory" (it says two things) or
"ours" (a matter of this project); `note` says what the paper has and why we chose as we did.
`docs/deviations.md` is generated from it. Values are checked on construction.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
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
    note: str = "",
    *,
    choices: tuple[str, ...] | None = None,
    paper: str = "ours",
    **bounds: Unpack[Bounds],
) -> Any:
    """A documented dataclass field."""
    metadata: dict[str, Any] = {"doc": doc, "choices": choices, "paper": paper, "note": note}
    metadata |= {bound: bounds.get(bound) for bound in BOUNDS}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


# Knobs that the paper states a value for, is silent about, or says two things about.
stated_knob = partial(knob, paper="stated")
silent_knob = partial(knob, paper="silent")
contradictory_knob = partial(knob, paper="contradictory")


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

    train: list[str] = stated_knob(list(IN_DOMAIN), "the source datasets, trained on")
    evaluate: list[str] = stated_knob([*IN_DOMAIN, *OUT_OF_DOMAIN], "the datasets whose dev sets are scored")
    window: int = stated_knob(
        512, "tokens per window, special tokens and question included", low=32, high=4096
    )
    overlap: int = contradictory_knob(
        256,
        "tokens that two neighbouring windows of a context share",
        '"a sliding window of length 256" next to a limit of 512 tokens can mean a step or an '
        "overlap of 256; with windows of "
        "512 both are 256 up to the question's length. We fix the overlap; `overlap` changes it.",
        low=0,
        high=2048,
    )
    question: int = silent_knob(
        64, "tokens kept of a question", "Longer questions are cut at their end.", low=8, high=512
    )
    train_cap: int | None = contradictory_knob(
        80_000,
        "train questions taken per dataset and epoch; null: all",
        '"We sample 80,000 training and 1000 validation examples per epoch" can mean of each dataset '
        "or of all together. Of each: "
        "the day and a half of training is then at most .8 s per step of 8 windows, otherwise over 4 s.",
        low=1,
    )
    validation_cap: int = stated_knob(1000, "validation questions per dataset", low=1)
    dev_cap: int | None = knob(None, "dev questions scored per dataset; null: all", low=1)
    val_source: str = silent_knob(
        "train",
        "where validation questions come from",
        "The paper does not say whether its 1,000 validation examples are dev examples that the "
        "tables then report. We carve them from train, split by context, so that the dev sets are only "
        "ever scored; `dev` is the reading with a leak.",
        choices=("train", "dev"),
    )
    negatives: str = silent_knob(
        "keep",
        "training windows without the answer: kept (labelled [CLS]) or dropped",
        "Windows of a long context that do not hold the answer are kept and labelled [CLS], as BERT "
        "does for SQuAD.",
        choices=("keep", "drop"),
    )
    windows: str = silent_knob(
        "all",
        "training windows of a question: all, or one that holds its answer",
        "`one` is for small budgets.",
        choices=("all", "one"),
    )
    special_tokens: list[str] = silent_knob(
        ["[TLE]", "[DOC]", "[PAR]"],
        "MRQA's markers added to the tokenizer",
        "MRQA's contexts hold these markers; HotpotQA's literal `[SEP]` stays text, so that it "
        "cannot end the context.",
    )


@dataclass(frozen=True, slots=True)
class MaskSettings:
    """How masks are learned: the gates of eq. 10-12, and how a gate becomes a mask."""

    gamma: float = silent_knob(
        -1.5,
        "lower stretch of the gate",
        "The paper asks for gamma < 0 only; DiffPruning's value, whose gate this is.",
        below=0,
    )
    zeta: float = silent_knob(
        1.5, "upper stretch of the gate", "The paper asks for zeta > 1 only; DiffPruning's value.", above=1
    )
    beta: float = stated_knob(1.0, "temperature of the gate", "Eq. 10 has no temperature: 1.", above=0)
    alpha0: float = silent_knob(
        5.0,
        "start of alpha",
        "DiffPruning's 5 keeps 98.8 % of the gates open after a short budget; the small profiles start at 0.",
    )
    lam: float = silent_knob(
        1.25e-7, "lambda of eq. 12, on the sum of P(s > 0)", "DiffPruning's value.", low=0
    )
    alpha_lr: float = silent_knob(
        0.1, "learning rate of alpha (AdamW, no decay)", "DiffPruning's value.", above=0
    )
    alpha_eps: float = silent_knob(
        1e-8,
        "epsilon of alpha's AdamW; with 1e-6 the gates never close",
        "lambda, this and alpha_lr are one knob.",
        above=0,
    )
    w_lr: float = silent_knob(
        1e-5, "learning rate of w (AdamW, from 0)", "The fine-tuning learning rate.", above=0
    )
    alpha_clip: float | None = silent_knob(
        1.0,
        "norm at which alpha's gradient is clipped; null: not",
        "Hugging Face's default for a gradient; the two differ in scale, so neither may use up the "
        "other's norm.",
        above=0,
    )
    clip: float | None = silent_knob(
        1.0, "norm at which w's gradient is clipped; null: not", "As alpha's.", above=0
    )
    steps: int = silent_knob(
        2048, "mask-learning steps per mask", "One of the paper's checkpoint intervals.", low=0
    )
    batch: int = silent_knob(8, "windows per mask-learning step", "As in fine-tuning.", low=1)
    density: float | None = silent_knob(
        None,
        "target density: the share of weights left open; null: the gates decide",
        "The paper reports no density. A short budget with its scale of defaults leaves all gates "
        "open: plain fine-tuning in disguise.",
        above=0,
        high=1,
    )
    density_by: str = silent_knob(
        "top_k",
        "how the target density is met: top_k of alpha over all tensors, or lagrangian: lambda follows "
        "the expected density",
        "Top-k meets it exactly after any budget; a lambda that follows needs steps enough for the "
        "gates to part.",
        choices=("top_k", "lagrangian"),
    )
    lam_lr: float = silent_knob(
        1e-6,
        "step of a lagrangian lambda: what a density that is 1 too large adds to it",
        "Of the order of lambda itself, ten steps for a density off by .1.",
        above=0,
    )
    granularity: str = silent_knob(
        "element",
        "what a gate holds: a weight, a row or a column of a matrix, or a tensor",
        "Eq. 6 multiplies element by element; the 7.3M of Table 7 fits no granularity either.",
        choices=GRANULARITIES,
    )
    gate: str = stated_knob(
        "sampled",
        "the s_d that becomes the mask: one draw, a draw before each step of theta (resampled), Louizos' "
        "deterministic gate, or E[s] (mean)",
        '"By sampling u once to obtain a binary mask vector".',
        choices=("sampled", "resampled", "deterministic", "mean"),
    )
    binarise: str = contradictory_knob(
        "positive",
        "how s_d becomes M_d without a top-k density: s > 0, s > 1/2 (half), or s itself (none), which "
        "does something under Adam only with tuning.apply: update",
        '"To obtain a binary mask vector", and "s_d is not necessarily a binary vector": we binarise s > 0.',
        choices=("positive", "half", "none"),
    )
    keep_delta: bool = contradictory_knob(
        False,
        "whether tuning starts at theta_0 plus the datasets' mean M_d w_d, instead of theta_0",
        "Eq. 6-12 add delta = s * w to theta; eq. 14 uses s alone, as a mask on theta's gradient, "
        "and no delta is in the model that is tested.",
    )
    scope: str = contradictory_knob(
        "per_dataset",
        "one mask a source dataset, one for the mixture, or one learned anew on each training batch",
        '"delta_d is data-specific", while eq. 12 has one alpha under an expectation over datasets, '
        'and section 3.2 speaks of "the different data distributions of each batch" (Table B.11: D_i is '
        "a mini-batch).",
        choices=("per_dataset", "global", "per_batch"),
    )
    schedule: str = contradictory_knob(
        "two_phase",
        "two_phase: masks at theta_0, then tuning; refresh: learned again each epoch at the present "
        "theta; alternating: a step of alpha and w before each step of theta",
        "Section 3 first obtains the mask and then updates with it; that alpha and w are optimised "
        '"jointly" and "dynamically adjust the weight update path" can be read as taking turns.',
        choices=("two_phase", "refresh", "alternating"),
    )
    targets: list[str] | None = silent_knob(
        None,
        "regular expressions for the names of the masked tensors; null: every encoder tensor",
        '"The parameters theta": all of the encoder, embeddings and norms included; the head phi '
        "starts random and is not masked.",
    )
    head_warmup: int = silent_knob(
        0,
        "steps of head-only training before the masks are learned",
        "phi is still random while the mask is learned at theta0.",
        low=0,
    )


def check_mask(mask: MaskSettings, where: str = "mask") -> None:
    """Check the conditions that tie two keys of the mask settings together.

    Raises:
        ConfigError: naming `where.key`, the value and what is allowed.
    """
    top_k = mask.density is not None and mask.density_by == "top_k"
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

    apply: str = contradictory_knob(
        "gradient",
        "what the mask multiplies",
        "Eq. 14 is plain gradient descent, where both are the same; the experiments use AdamW, where "
        "they are not. Title and text say gradient.",
        choices=("gradient", "update"),
    )
    compact_state: bool = knob(
        True,
        "whether the optimizer keeps moments only for weights that some fixed mask opens, where that "
        "saves memory",
    )
    clip: float | None = silent_knob(
        1.0, "gradient norm at which it is clipped; null: not", "Hugging Face's default.", above=0
    )
    clip_order: str = silent_knob(
        "mask_then_clip",
        "whether the norm that is clipped is of the masked gradient, or of the whole one (clip_then_mask, "
        "for arms with one mask)",
        "With several masks in one backward pass the unmasked total does not exist. The same for "
        "every arm that is compared.",
        choices=("mask_then_clip", "clip_then_mask"),
    )


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The loop: budget, optimizer, evaluation, stopping."""

    batch: int = silent_knob(8, "windows per step", "MADE's.", low=1)
    lr: float = stated_knob(1e-5, "learning rate of the encoder, constant", above=0)
    head_lr: float = silent_knob(
        1e-4,
        "learning rate of the span head, constant",
        "Stated for adapters in MADE; 1e-5 for a random head learns slowly.",
        above=0,
    )
    weight_decay: float = stated_knob(0.0, "AdamW's decay", '"HuggingFace default parameters": 0.', low=0)
    eps: float = stated_knob(1e-8, "AdamW's epsilon", "Hugging Face's default.", above=0)
    epochs_mt: float = stated_knob(3, "epochs over all source datasets", above=0)
    epochs_st: float = stated_knob(10, "epochs over one dataset", above=0)
    epochs_adapter: float = silent_knob(
        3,
        "epochs over each dataset's own windows, at most, in which its adapter and head are tuned behind "
        "a frozen encoder",
        "Section 4.5 says only when this second phase begins.",
        above=0,
    )
    evaluate_every: int = stated_knob(2048, "steps between evaluations and checkpoints", low=1)
    patience: int = stated_knob(5, "evaluations without a gain in macro F1 before the run stops", low=1)
    evaluation_batch: int = knob(32, "windows per forward pass in evaluation", low=1)
    dropout: float | None = silent_knob(
        None,
        "dropout of hidden states and attention; null: the backbone's own",
        "BERT, RoBERTa and T5 come with 0.1. On a CPU drawing it takes a fifth of a step, and short "
        "budgets learn better without.",
        low=0,
        below=1,
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
        "fewest passes that keep to it; null: any share. On a CPU: on a GPU a pass costs more than padding "
        "does, and windows go into the passes that cost least",
        low=0,
        below=1,
    )
    precision: str = silent_knob(
        "auto",
        "fp32, bf16 by autocast, or auto: bf16 on CUDA, fp32 elsewhere",
        "The paper's V100 has no bf16; weights, gates and moments are fp32 whatever stands here.",
        choices=("auto", "fp32", "bf16"),
    )
    threads: int | None = knob(None, "CPU threads; null: torch's choice", low=1)


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """Which dataset a batch's windows come from, eq. 15."""

    kind: str = stated_knob(
        "dynamic",
        "dynamic (eq. 15), dynamic_single_task (eq. 15 against the scores of single-task runs, not the "
        "evaluation before), uniform, size (as many windows as a dataset has), or temperature (between "
        "the two)",
        "Eq. 15 weighs by the change of EM + F1 between two validations.",
        choices=SAMPLERS,
    )
    floor: float = silent_knob(
        0.02,
        "least weight of a dataset under eq. 15, whatever it is held against",
        "Eq. 15 alone can starve a dataset for good: no samples, no change, weight 0.",
        low=0,
        below=1,
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

    spans: str = silent_knob(
        "marginal",
        "all gold spans of a window by their total probability, or the first one",
        "MRQA gives every detected occurrence of the answer; the paper's loss names one start and one end.",
        choices=("marginal", "first"),
    )


@dataclass(frozen=True, slots=True)
class DecodeSettings:
    """From logits to an answer."""

    mode: str = contradictory_knob(
        "joint",
        "joint argmax over i <= j, or greedy: the best start, then the best end after it",
        "Eq. 1-2 read literally are greedy; the head they describe gives independent start and end scores.",
        choices=("joint", "greedy"),
    )
    max_answer_tokens: int = silent_knob(
        30, "tokens of the longest answer", "Hugging Face's and MRQA's baseline value.", low=1
    )


@dataclass(frozen=True, slots=True)
class FewShotSettings:
    """Few-shot transfer, section 4.6.2."""

    sizes: list[int] = stated_knob(
        [16, 64, 256], "K, examples of a target dataset: half to train on, half to validate on"
    )
    seeds: list[int] = silent_knob(
        [7, 19, 29],
        "seeds of the K examples and of everything after them",
        '"Three random seeds are generated"; these are MADE\'s.',
    )
    steps: int = stated_knob(300, "updates at most", low=1)
    batch: int = silent_knob(
        8, "training windows per update", "As in training on the source datasets.", low=1
    )
    lr: float = stated_knob(1e-5, "learning rate of theta, adapter and head", above=0)
    patience: int = stated_knob(
        10,
        "epochs without a gain in validation F1 before it stops",
        "Validation F1 at the start counts: where no epoch reaches it the averaged model itself is "
        "tested. Of epochs with equal F1 the one with the lowest validation loss is taken.",
        low=1,
    )
    test: str = contradictory_knob(
        "minus_k",
        "what is scored: the dev set without the K examples, or all of it, with those trained on",
        '"Tested on the entire development set", from which the K examples are drawn. Only '
        "entire_dev compares with Table 9.",
        choices=("minus_k", "entire_dev"),
    )
    mask: str = silent_knob(
        "relearn",
        "mask of an arm with learned masks: learned on the K/2 training examples, or the union of the "
        "source datasets' masks",
        "A target dataset has no mask from the source training.",
        choices=("relearn", "union"),
    )
    literal_weights: bool = contradictory_knob(
        False,
        "whether the mean of adapters is divided once more by their number, as the formula is printed",
        "Weights that sum to 1 are a mean; with the printed 1/|S| six adapters shrink six-fold.",
    )
