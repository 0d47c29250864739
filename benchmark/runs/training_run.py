"""Train one cell: make its masks, tune under them, keep model, masks and course."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from benchmark.cli.messages import say
from benchmark.cli.signals import stoppable
from benchmark.config.cells import Cell
from benchmark.config.digests import params_digest
from benchmark.config.params import Config
from benchmark.runs import nonfinite
from benchmark.runs.adapters import second_phase
from benchmark.runs.cell_masks import masks_and_anchor
from benchmark.runs.cell_run import CellRun
from benchmark.runs.tracked_run import tracked_run
from benchmark.runs.training_outputs import OUTPUTS, CellOutcome, summary, write_outputs
from benchmark.tracking import mlflow_store as tracking
from benchmark.tracking.journal import interrupted
from benchmark.tracking.run_metrics import final_metrics, log_figures, log_masks
from bmt.masks import Masks
from bmt.qa.adapters import add_adapters
from bmt.random_mask import RandomMask
from bmt.runtime.control import RunControl
from bmt.runtime.files import remove_half_written
from bmt.runtime.ranks import Ranks
from bmt.training.loop import train

if TYPE_CHECKING:
    from bmt.training.applied_masks import UpdateMasks


def train_cell(
    config: Config, cell: Cell, params: str | None = None, fresh: bool = False, ranks: Ranks | None = None
) -> None:
    """Train a cell and write `runs/<profile>/<cell>/`; resumes from its checkpoints unless `fresh`.

    Of several ranks, which all call this, the first alone writes, tracks and prints. SIGTERM ends it with a
    checkpoint of the step that it is at, and SystemExit(143).

    Raises:
        ModelError: a loss that is not finite (`nonfinite.json` in the run's folder has its examples), or a
            checkpoint of another configuration.
    """
    run = CellRun.of(config, cell, ranks or Ranks())
    first, checkpoints = run.ranks.first, run.checkpoints
    if fresh and first:
        checkpoints.remove()
    run.ranks.wait()
    model, tokenizer = run.open_model()
    data = run.data.for_model(tokenizer)
    with (
        _tracked(run, params, fresh) if first else tracking.untracked() as tracker,
        stoppable(run.ranks.world == 1) as stop,
        _examples_kept(run),
    ):
        for name, digest in run.data.sha256.items():
            source = str(run.places.raw)
            tracker.data_input(name=name, source=source, digest=digest[:32], context="training")
        control = RunControl(
            report=lambda step, metrics: tracker.log(metrics, step=step),
            checkpoints=checkpoints,
            ranks=run.ranks,
            stop=stop,
        )
        masks, anchor = masks_and_anchor(run, model, data, tracker, fresh=fresh, control=control)
        fixed = masks is None or isinstance(masks, Masks | RandomMask)
        if fixed:
            log_masks(tracker, _at_last(masks), run.config.tracking.figures)
        if cell.adapter:
            # after the masks: they are theta's, and the same as without adapters
            add_adapters(model, data.datasets, seed=cell.seed)
        with run.bar("train", run.trained_windows) as bar:
            outcome = train(
                model,
                data,
                run.plan,
                steps=run.steps,
                seed=cell.seed,
                masks=masks,
                anchor=anchor,
                control=replace(control, progress=bar.advance),
            )
        adapters = second_phase(run, model, data, control) if cell.adapter else None
        if not first:
            return
        last = _at_last(masks)
        if not fixed:
            log_masks(tracker, last, run.config.tracking.figures)
        tracker.log(final_metrics(outcome), step=outcome.step)
        trained = CellOutcome(model, tokenizer, last, outcome, adapters, params, tracker.reference)
        write_outputs(run, trained)
        if run.config.tracking.figures:
            log_figures(tracker, outcome)
    checkpoints.remove()
    say(*summary(run, trained).splitlines())


def _at_last(masks: UpdateMasks | None) -> Masks | RandomMask | None:
    """The masks themselves, or as they are after their last change."""
    return masks if masks is None or isinstance(masks, Masks | RandomMask) else masks.masks()


def _tracked(run: CellRun, params: str | None, fresh: bool) -> AbstractContextManager[Any]:
    """The tracker's run; it goes on with one that a crash has left open."""
    known = {f"cell.{key}": value for key, value in asdict(run.cell).items()}
    known |= {"steps": run.steps, "train_windows": run.windows}
    tags = {
        "params.sha256": params_digest(params),
        "backbone.identity": run.backbone.identity,
        "stage": "train",
        "ranks": run.ranks.world,
    }
    crashed = None if fresh else interrupted(run.folder)
    remove_half_written(run.folder, *OUTPUTS, nonfinite.NAME)
    return tracked_run(run.config, run.cell, run.folder, crashed, known, tags)


def _examples_kept(run: CellRun) -> AbstractContextManager[None]:
    """What a loss that is not finite was trained on goes to a file of the first rank."""
    if not run.ranks.first:
        return nullcontext()
    about = {"cell": run.cell.name, "seed": run.cell.seed}
    return nonfinite.batches_kept(run.folder / nonfinite.NAME, run.data.ids, about)
