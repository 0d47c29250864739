"""A call of `python -m benchmark.plan`: what it asks for, the plan, and the runs that are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.comparison.matching import Matcher, Setting, find_stand_in
from benchmark.config.folders import Folders
from benchmark.config.params import load, repository_root
from benchmark.config.profiles import as_seen
from benchmark.paper import tables as papers
from benchmark.paper.tables import Table
from benchmark.planning import assembly, disk, execution, throughput
from benchmark.planning.assembly import TablePlan
from benchmark.planning.cells import planned_runs
from benchmark.planning.schedule import JobOutcome, makespan
from benchmark.planning.states import ProfileFiles
from benchmark.planning.throughput import Machine
from benchmark.runs import results
from bmt.errors import ConfigError


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What a call asks for.

    Attributes:
        paper_table: number of the table, as `3` or `A.10`.
        params: the params file whose cells they are, as `params_file`; None: the root's params.yaml.
        seeds: of the cells; None: those that the profile lists for a cell, else 0.
        also: further cells by name.
        keep: `best`, or `none`: a cell's model goes when nothing needs it any more.
        gpus: one run at a time on each of these; empty: `slots` runs at a time on this machine's device.
        run: the missing runs are to be made, so a GPU that is named must be there.
    """

    paper_table: str
    params: str | None = None
    seeds: tuple[int, ...] | None = None
    also: tuple[str, ...] = ()
    keep: str = "best"
    slots: int = 1
    gpus: tuple[str, ...] = ()
    run: bool = False


@dataclass(frozen=True, slots=True)
class RequestedPlan:
    """A plan with what it was made from. plan: its commands name no params file (`TablePlan.on`).

    stand_in: as `comparison.matching.find_stand_in`.
    """

    request: PlanRequest
    table: Table
    stand_in: Mapping[str, str]
    plan: TablePlan
    present: ProfileFiles

    @property
    def wall(self) -> float:
        """Seconds of the whole with `slots` runs at a time; where they share one device, each is as much
        slower as there are slots.
        """
        slots = self.request.slots
        stretch = 1 if self.request.gpus else slots
        jobs = assembly.jobs_of(self.plan, self.present)
        return makespan([replace(job, seconds=job.seconds * stretch) for job in jobs], slots)


def plan_table(request: PlanRequest) -> RequestedPlan:
    """The runs that a table needs, with their states, commands and estimates.

    Raises:
        ConfigError: no such table, profile or cell; GPUs that are not on this machine.
    """
    paper = papers.load()
    table = paper.table(request.paper_table)
    config = load(request.params)
    present = ProfileFiles(config, folders := Folders.of(config), results.read(folders.results))
    listed = tuple(config.every_cell)
    stand_in = find_stand_in(table, present.results, paper.requires, listed)
    setting = Setting(config.profile, listed=listed)
    matcher = Matcher(present.results, paper.requires, setting, stand_in)
    needed, unavailable = planned_runs(table, config, matcher, request.seeds, request.also)
    device, gpu = throughput.this_device()
    if request.run and request.gpus and not gpu:
        gpus = ",".join(request.gpus)
        raise ConfigError(f"--gpus {gpus}: not allowed with --run: no GPU is seen on this machine ({device})")
    machine = Machine(device, gpu or bool(request.gpus), throughput.speed_records(folders.root))
    plan = assembly.assemble(needed, unavailable, present, machine, disk.run_folders(folders))
    return RequestedPlan(request, table, stand_in, plan, present)


def make_missing_runs(requested: RequestedPlan) -> Mapping[str, JobOutcome]:
    """Run what the plan lacks, under a copy of the params file; how each job ended, by name."""
    request, present = requested.request, requested.present
    if not requested.plan.to_run:
        return {}
    file = Path(request.params) if request.params else repository_root() / "params.yaml"
    copy = as_seen(execution.frozen_params(file, present.logs))
    jobs = assembly.jobs_of(requested.plan.on(copy), present)
    return execution.run_jobs(jobs, request.gpus, request.slots, request.keep, present.logs)


def chosen_gpus(text: str | None) -> tuple[str, ...]:
    """The GPUs of `--gpus 0,1`, in that order.

    Raises:
        ConfigError: anything else than numbers or UUIDs, each once.
    """
    if text is None:
        return ()
    parts = tuple(part.strip() for part in text.split(","))
    well_formed = all(re.fullmatch(r"\d{1,3}|(GPU|MIG)-[\w/-]+", part) for part in parts)
    if not well_formed or len(set(parts)) < len(parts):
        raise ConfigError(
            f"--gpus {text!r}: not allowed: numbers of GPUs with commas between, each once, as 0,1"
        )
    return parts


def chosen_jobs(jobs: int | None, gpus: tuple[str, ...]) -> int:
    """Runs at a time: those asked for, else one per GPU, else 1.

    Raises:
        ConfigError: fewer than 1, or another number than there are GPUs given.
    """
    if jobs is None:
        return len(gpus) or 1
    if jobs < 1:
        raise ConfigError(f"--jobs {jobs}: not allowed: at least 1")
    if gpus and jobs != len(gpus):
        raise ConfigError(
            f"--jobs {jobs}: not allowed with --gpus {','.join(gpus)}: {len(gpus)}, one on each GPU; leave "
            "it out"
        )
    return jobs
