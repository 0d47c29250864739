"""The knobs of few-shot transfer; form and metadata as in `bmt.settings`."""

from __future__ import annotations

from dataclasses import dataclass

from bmt.settings import knob


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
        8, "training windows an update", low=1, paper="silent", note="As in training on the source datasets."
    )
    lr: float = knob(1e-5, "learning rate of theta, adapter and head", above=0, paper="stated")
    patience: int = knob(
        10,
        "epochs without a gain in validation F1 before it stops",
        low=1,
        paper="stated",
        note="Validation F1 at the start counts: where no epoch reaches it the averaged model itself is tested. Of epochs with equal F1 "
        "the one with the lowest validation loss is taken.",
    )
    test: str = knob(
        "minus_k",
        "what is scored: the dev set without the K examples, or all of it, with those trained on",
        choices=("minus_k", "entire_dev"),
        paper="contradictory",
        note='"Tested on the entire development set", from which the K examples are drawn. Only entire_dev compares with Table 9.',
    )
    mask: str = knob(
        "relearn",
        "mask of an arm with learned masks: learned on the K/2 training examples, or the union of the source datasets' masks",
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
