"""The order of a cell's training, with its parts replaced: what is told, written and removed when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.config.params import as_flat, load
from benchmark.runs import tracked_run, training_plan, training_run
from benchmark.runs.cell_run import CellRun
from bmt.errors import ModelError
from bmt.random_mask import RandomMask
from bmt.runtime.control import RunControl
from bmt.runtime.ranks import Ranks
from bmt.training.losses import NonFiniteLossError
from tests.support.cell_run import cell_run
from tests.support.repository import ROOT

DATA = {"SQuAD.train": {"inputs": {"file_sha256": "a" * 64}}}


class Changing:
    """Masks that change while theta is tuned."""

    def masks(self) -> str:
        return "at last"


class Scene:
    """A training whose parts only note what they are asked."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, name: str, ranks: Ranks) -> None:
        run = cell_run(root, name)
        self.run = replace(run, data=replace(run.data, files=DATA, ids={"SQuAD": ["q"]}), ranks=ranks)
        self.told: list[Any] = []
        self.masks: Any = None
        self.outcome = SimpleNamespace(step=9)
        tracker = SimpleNamespace(
            reference="the tracker's run",
            log=lambda values, step: self.told.append(("log", values, step)),
            data_input=lambda **given: self.told.append(("data", given)),
        )

        @contextmanager
        def tracked(*given: Any) -> Iterator[Any]:
            self.told.append(("tracked", *given[1:]))
            yield tracker

        @contextmanager
        def stoppable(alone: bool) -> Iterator[Any]:
            self.told.append(("stoppable", alone))
            yield self.stop

        @contextmanager
        def bar(what: str, windows: int) -> Iterator[Any]:
            self.told.append(("bar", what))
            yield SimpleNamespace(advance="the bar's")

        def noted(what: str, result: Any = None) -> Any:
            def note(*given: Any, **more: Any) -> Any:
                self.told.append((what, *given, *more.values()))
                return result

            return note

        patch = monkeypatch.setattr
        patch(training_run.CellRun, "of", staticmethod(lambda *given: self.run))
        patch(training_run.CellRun, "open_model", lambda _: ("model", SimpleNamespace(pad_token_id=0)))
        patch(training_run.CellRun, "bar", lambda _, what, windows: bar(what, windows))
        patch(training_run.CellRun, "steps", 11)
        patch(training_run, "_tracked", tracked)
        patch(training_run, "stoppable", stoppable)
        patch(training_run, "masks_and_anchor", self._masks)
        patch(training_run, "train", self._train)
        patch(training_run, "add_adapters", noted("add adapters"))
        patch(training_run, "second_phase", noted("second phase", "phase 2"))
        patch(training_run, "log_masks", lambda _, masks, figures: self.told.append(("masks", masks)))
        patch(training_run, "log_figures", lambda _, outcome: self.told.append(("figures",)))
        patch(training_run, "final_metrics", lambda outcome: {"f1": 1.0})
        patch(training_run, "write_outputs", self._write)
        patch(training_run, "summary", lambda run, trained: "the summary")

    def stop(self) -> bool:
        return False

    def _masks(
        self, run: CellRun, model: Any, data: Any, tracker: Any, *, fresh: bool, control: RunControl
    ) -> Any:
        assert (control.checkpoints, control.ranks) == (self.run.checkpoints, self.run.ranks)
        assert control.stop == self.stop
        self.told.append(("make masks", fresh))
        return self.masks, "anchor"

    def _train(self, model: Any, data: Any, plan: Any, **given: Any) -> Any:
        control = given.pop("control")
        assert given == {
            "steps": 11,
            "seed": self.run.cell.seed,
            "masks": self.masks,
            "anchor": "anchor",
        }
        assert plan == self.run.plan and control.progress == "the bar's" and control.stop == self.stop
        control.checkpoints.write(4, {}, {})
        control.report(5, {"train/loss": 1.0})
        self.told.append(("train",))
        return self.outcome

    def _write(self, run: CellRun, trained: Any) -> None:
        assert self.run.checkpoints.newest() is not None  # until what it is for is there
        kept = (trained.model, trained.masks, trained.outcome, trained.adapters, trained.params)
        self.told.append(("write", *kept, trained.tracked))

    def train(self, **given: Any) -> list[Any]:
        training_run.train_cell(self.run.config, self.run.cell, **given)
        return [entry if len(entry) > 1 else entry[0] for entry in self.told]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    alone = Ranks()
    return lambda name="minilm.mt.mask.s3", ranks=alone: Scene(tmp_path, monkeypatch, name, ranks)


def test_a_training_ends_with_its_outputs_and_then_without_checkpoints(
    scene: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    of = scene()
    of.masks = RandomMask(0.5, 3)
    assert of.train(params="p.yaml") == [
        ("tracked", "p.yaml", False),
        ("stoppable", True),
        (
            "data",
            {
                "name": "SQuAD.train",
                "source": str(of.run.places.raw),
                "digest": "a" * 32,
                "context": "training",
            },
        ),
        ("make masks", False),
        ("masks", of.masks),
        ("bar", "train"),
        ("log", {"train/loss": 1.0}, 5),
        "train",
        ("log", {"f1": 1.0}, 9),
        ("write", "model", of.masks, of.outcome, None, "p.yaml", "the tracker's run"),
        "figures",
    ]
    assert of.run.checkpoints.newest() is None
    assert capsys.readouterr().out == "the summary\n"


def test_masks_that_change_are_told_of_and_kept_as_they_are_at_last(scene: Any) -> None:
    of = scene("minilm.mt.bmt.s3")
    of.masks = Changing()
    config = replace(of.run.config, tracking=replace(of.run.config.tracking, figures=False))
    of.run = replace(of.run, config=config)
    told = of.train()
    assert told[-4:] == [
        "train",
        ("masks", "at last"),
        ("log", {"f1": 1.0}, 9),
        ("write", "model", "at last", of.outcome, None, None, "the tracker's run"),
    ]
    assert [entry for entry in told if entry[0] == "masks"] == [("masks", "at last")]


def test_adapters_come_after_the_masks_and_are_tuned_after_the_joint_training(scene: Any) -> None:
    of = scene("minilm.mt.none.adapter.s3")
    told = of.train()
    words = [entry if isinstance(entry, str) else entry[0] for entry in told]
    order = [words.index(word) for word in ("make masks", "add adapters", "train", "second phase", "write")]
    assert order == sorted(order)
    added = next(entry for entry in told if entry[0] == "add adapters")
    assert added == ("add adapters", "model", (), 3)
    assert told[words.index("write")][4] == "phase 2"


def test_what_cannot_be_written_leaves_the_checkpoints(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    of = scene()

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(training_run, "write_outputs", full)
    with pytest.raises(OSError, match="no space left"):
        of.train()
    assert of.run.checkpoints.newest().step == 4


def test_a_rank_that_is_not_the_first_neither_tracks_nor_writes_nor_prints_nor_removes(
    scene: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(Ranks, "wait", lambda self: waits.append(self.rank))
    of = scene(ranks=Ranks(1, 2))
    of.run.checkpoints.write(2, {}, {})
    told = of.train(fresh=True)
    assert told == [
        ("stoppable", False),
        ("make masks", True),
        ("masks", None),
        ("bar", "train"),
        "train",
    ]
    assert waits == [1]  # for the first one, which removes the older checkpoints
    steps = sorted(path.name for path in of.run.checkpoints.folder.iterdir())
    assert steps == ["step-0000002", "step-0000004"]
    assert capsys.readouterr().out == "" and not of.run.folder.exists()


def test_a_loss_that_is_not_finite_leaves_its_examples_and_the_checkpoints(
    scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = scene()

    def lost(*_: Any, **given: Any) -> Any:
        given["control"].checkpoints.write(4, {}, {})
        raise NonFiniteLossError("no loss", 5, float("nan"), [])

    monkeypatch.setattr(training_run, "train", lost)
    with pytest.raises(ModelError, match="no loss; its examples"):
        of.train()
    text = (of.run.folder / "nonfinite.json").read_text()
    assert '"cell": "minilm.mt.mask.s3"' in text and '"seed": 3' in text
    assert of.run.checkpoints.newest().step == 4


def test_the_tracker_is_told_the_whole_configuration_the_cell_and_what_it_trains_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(training_run, "tracked_run", lambda *given: asked.append(given))
    monkeypatch.setattr(training_run, "interrupted", lambda folder: f"left open in {folder.name}")
    monkeypatch.setattr(training_run.CellRun, "steps", 11)
    monkeypatch.setattr(training_run.CellRun, "windows", 50)
    (tmp_path / "p.yaml").write_bytes(b"")
    run = replace(cell_run(tmp_path), ranks=Ranks(0, 2))
    run.folder.mkdir(parents=True)
    halves = [run.folder / f".{name}.1.part" for name in (*training_run.OUTPUTS, "nonfinite.json", "other")]
    for half in halves:
        half.touch()
    training_run._tracked(run, str(tmp_path / "p.yaml"), False)
    known = {
        f"cell.{key}": getattr(run.cell, key) for key in ("backbone", "regime", "arm", "adapter", "seed")
    }
    tags = {
        "params.sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "backbone.identity": "w",
        "stage": "train",
        "ranks": 2,
    }
    given = (run.config, run.cell, run.folder, "left open in minilm.mt.bmt.s0")
    assert asked == [(*given, known | {"steps": 11, "train_windows": 50}, tags)]
    assert [half.exists() for half in halves] == [False] * 5 + [True]


def test_a_run_is_recorded_in_its_profile_s_experiment_under_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracked_run.tracking, "start", lambda name, **given: (name, given))
    run = cell_run(tmp_path)
    config = replace(run.config, tracking=replace(run.config.tracking, experiment="mine"), profile="mini")
    for name, shown in ((None, "minilm.mt.bmt.s0"), ("a transfer", "a transfer")):
        recorded: Any = tracked_run.tracked_run(
            config, run.cell, tmp_path, "id", {"K": 2}, {"stage": "s"}, name
        )
        assert recorded == (
            shown,
            {
                "experiment": "mine-mini",
                "folder": tmp_path,
                "params": as_flat(config) | {"cell": "minilm.mt.bmt.s0", "K": 2},
                "tags": {"cell": "minilm.mt.bmt.s0", "stage": "s"},
                "run_id": "id",
            },
        )


@pytest.mark.parametrize(("threads", "told"), [(3, [3]), (None, [])])
def test_torch_computes_on_as_many_threads_as_are_asked_for(
    threads: int | None, told: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load(ROOT / "profiles" / "sample.yaml")
    set_threads: list[int] = []
    monkeypatch.setattr(training_plan.torch, "set_num_threads", set_threads.append)
    training_plan.use_threads(replace(config, training=replace(config.training, threads=threads)))
    assert set_threads == told
