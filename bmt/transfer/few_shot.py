"""Few-shot transfer to one dataset (section 4.6.2): K of its dev questions, a mean of adapters, some updates,
the test.

    K examples drawn under the seed ──┬─ K/2 train ──────────────▶ updates of theta, phi', psi' under the
      │                               │                             arm's mask
      │                               └─ K/2 validation ─────────▶ when to stop, which epoch is best
      └─ loss of each adapter on all K
           alpha = softmax(-loss)  ──▶  phi' = sum alpha_i phi_i, psi' likewise: where the updates start
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from bmt.errors import ModelError
from bmt.qa.adapters import adapters_of, averaged
from bmt.qa.batches import Windows
from bmt.qa.decoding import Prediction
from bmt.runtime.checkpoints import load_tensors, tensors
from bmt.runtime.control import RunControl
from bmt.runtime.keyed_random import key_number
from bmt.runtime.stopping import StoppedError, until
from bmt.settings import check_settings
from bmt.training.data import TrainingData
from bmt.training.validation import Questions, answers
from bmt.transfer.protocol import FewShotProtocol
from bmt.transfer.target_split import Split, draw, those_of
from bmt.transfer.target_tuning import TuningOutcome, mean_loss, tune

if TYPE_CHECKING:
    from bmt.training.applied_masks import UpdateMasks

TargetMasks = Callable[[nn.Module, TrainingData], "UpdateMasks | None"]
"""(model as it starts, the target's training examples) -> what the updates are under."""


@dataclass(frozen=True, slots=True)
class FewShot:
    """One (dataset, K, seed).

    Attributes:
        losses, weights: of each source adapter on the K examples; empty for a model without adapters.
        predictions: answers to the test examples.
    """

    dataset: str
    k: int
    seed: int
    losses: dict[str, float]
    weights: dict[str, float]
    split: Split
    tuned: TuningOutcome
    predictions: list[Prediction]


def few_shot(
    model: nn.Module,
    target: Questions,
    k: int,
    seed: int,
    protocol: FewShotProtocol,
    *,
    masks: TargetMasks | None = None,
    control: RunControl | None = None,
) -> FewShot:
    """Tune a copy of `model` on K examples of a target dataset and answer its test questions. The model
    itself stays as it is.

    The same (model, dataset, K, seed) gives the same answers, on a CPU bit for bit.

    Args:
        model: trained on the source datasets; one with several adapters starts from their loss-weighted mean,
            another as it is.
        target: the target's dev questions.
        masks: what the updates are under (bmt.transfer.target_masks); None: nothing.
        control: `report` gets (update, metrics) at each epoch; a stop, asked for between two updates and in
            the evaluations, keeps what was done in `checkpoints`, whose fingerprint is of the model and all
            arguments. To be removed by the caller.

    Raises:
        ConfigError: a setting that is not allowed, K odd or larger than the dataset.
        ModelError: a loss that is not finite.
        StoppedError: `control.stop` asked; the checkpoint is written.
    """
    control, settings, windows = control or RunControl(), protocol.settings, target.windows
    check_settings(settings, "fewshot")
    split = draw(target, k, seed, settings.test)
    losses = adapter_losses(model, windows, np.concatenate([split.train, split.validation]), protocol)
    weights = loss_weights(losses) if losses else {}
    started = averaged(model, weights, literal=settings.literal_weights) if weights else copy.deepcopy(model)
    rows, validation = protocol.rows(windows, split.train), those_of(target, split.validation)
    data = TrainingData([windows], {windows.dataset: rows}, [validation], protocol.vocabulary)
    checkpoints = control.checkpoints
    saved = None if checkpoints is None else checkpoints.newest()
    if saved is not None and "tuned" in saved.state:  # stopped while the test was answered
        load_tensors(started, saved.tensors("model"))
        tuned = TuningOutcome(**saved.state["tuned"])
    else:
        tuned = tune(
            started,
            data,
            protocol.target_plan,
            settings,
            seed=key_number((seed, "few-shot", windows.dataset, k)),
            masks=None if masks is None else masks(started, data),
            control=control,
        )
    try:
        predictions = answers(
            started,
            those_of(target, split.test),
            protocol.vocabulary,
            protocol.plan,
            until(control.stop),
        )
    except StoppedError:
        if checkpoints is not None:
            checkpoints.write(settings.steps + 1, {"model": tensors(started)}, {"tuned": asdict(tuned)})
        raise
    return FewShot(windows.dataset, k, seed, losses, weights, split, tuned, predictions)


def adapter_losses(
    model: nn.Module, windows: Windows, examples: np.ndarray, protocol: FewShotProtocol
) -> dict[str, float]:
    """The mean loss on the training windows of `examples` with each of the model's adapters and heads, by its
    dataset; nothing for a model without adapters.
    """
    handle, losses = adapters_of(model), {}
    if handle is None:
        return {}
    rows = protocol.rows(windows, examples)
    for name in handle.datasets:
        with handle.only(name):
            losses[name] = mean_loss(model, windows, rows, protocol.vocabulary, protocol.plan)
    return losses


def loss_weights(losses: Mapping[str, float]) -> dict[str, float]:
    """alpha_i = softmax(-loss_i): at least 0, 1 in sum."""
    values = np.asarray(list(losses.values()), dtype=np.float64)
    if not np.isfinite(values).all():
        raise ModelError(
            f"the few-shot losses of the adapters are {dict(losses)}: all must be finite; train the model "
            "again"
        )
    powers = np.exp(values.min(initial=np.inf) - values)
    return dict(zip(losses, (powers / powers.sum()).tolist(), strict=True))
