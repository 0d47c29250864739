"""`python -m tools.gpu_day`: a quarter of an hour on a GPU, every figure and every path that needs one.

--pack      here: make the folder that travels with the checkout (code, features, encoder, wheels)
--out DIR   there: run the parts in the order of their worth, within --budget seconds; DIR comes back
--bring DIR here: docs/performance.md's GPU parts, results where compare reads them, runs for MLflow
--rehearse  every part on a CPU, with tiny shapes

Each part is a process of its own with a time limit, and its results are on disk as soon as they are there: a
part that fails, hangs or is killed leaves what it has measured, and the next begins.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.cli.commands import command_parser, run_command
from benchmark.cli.messages import say
from bmt.errors import ConfigError
from tools.gpu_day.day import BUDGET, FAULTS, PARTS, REHEARSAL_BUDGET, REHEARSED, ROOT, DaySetting, run_day

COMMAND = "python -m tools.gpu_day"
EXAMPLES = (
    f"{COMMAND} --pack",
    f"{COMMAND} --budget 600 --out $OUT",
    f"{COMMAND} --bring day",
    f"{COMMAND} --rehearse --out rehearsal",
)
PACK = ROOT / ".gpu_day"
SHORTEST, LONGEST = 30, 3600
NAMES = [part.name for part in PARTS]


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("gpu_day", __doc__, "\n  ".join(EXAMPLES), package="tools")
    budget = f"seconds for everything (default: {BUDGET}, of a rehearsal {REHEARSAL_BUDGET})"
    parser.add_argument("--budget", type=int, metavar="SECONDS", help=budget)
    out = "folder of the day's records, log and summary; needed but for a rehearsal"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with tiny shapes")
    only = "this part alone, renewed where DIR holds a day; may be given again"
    parser.add_argument("--only", action="append", choices=NAMES, help=only)
    packed = "the folder that --pack has made (default: .gpu_day in the repository's root)"
    parser.add_argument("--packed", type=Path, metavar="FOLDER", default=PACK, help=packed)
    other = parser.add_mutually_exclusive_group()
    pack = "make the folder that travels (default: .gpu_day in the repository's root), and say its size"
    other.add_argument("--pack", type=Path, nargs="?", const=PACK, metavar="FOLDER", help=pack)
    bring = "bring home what came back: docs/, results, runs"
    other.add_argument("--bring", type=Path, metavar="DIR", help=bring)
    inject = f"for tests: a fault in a part once it has measured something, of {', '.join(FAULTS)}"
    parser.add_argument("--inject", action="append", default=[], metavar="PART:FAULT", help=inject)
    options = parser.parse_args(arguments)
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    """Raise ConfigError where options do not go together, or are out of their range."""
    if options.pack or options.bring:
        verb = "--pack" if options.pack else "--bring"
        if options.out or options.rehearse or options.only or options.budget or options.inject:
            raise ConfigError(f"{verb}: not allowed with the options of a day: give it alone")
        return
    if not options.out and not options.rehearse:
        raise ConfigError("--out: missing: the folder of the day's records; or --rehearse, --pack, --bring")
    if options.budget is not None and not SHORTEST <= options.budget <= LONGEST:
        raise ConfigError(f"--budget {options.budget}: not allowed: {SHORTEST} to {LONGEST} seconds")
    if options.out and options.out.exists() and not options.out.is_dir():
        raise ConfigError(f"--out {options.out}: is a file: name a folder, which may be new")
    if options.out and options.out.absolute().is_relative_to(options.packed.absolute()):
        raise ConfigError(f"--out {options.out}: lies in the pack, {options.packed}: name another folder")
    for text in options.inject:
        part, _, fault = text.partition(":")
        if part not in NAMES or fault not in FAULTS:
            allowed = f"a part ({', '.join(NAMES)}), a colon and a fault ({', '.join(FAULTS)})"
            raise ConfigError(f"--inject {text}: not allowed: {allowed}")


def setting_of(options: argparse.Namespace, out: Path, began: float) -> DaySetting:
    """The day that is asked for.

    Raises:
        ConfigError: the folder holds a day already, there is no GPU, or nothing was packed.
    """
    parts = [part for part in PARTS if not options.only or part.name in options.only]
    earlier = next((name for name in NAMES if (out / f"{name}.json").exists()), None)
    if earlier and not options.only:
        todo = "name another folder, or renew parts of it with --only PART"
        raise ConfigError(f"--out {out}: holds a day already ({earlier}.json): {todo}")
    if options.rehearse:
        parts = [replace(part, seconds=REHEARSED) for part in parts]
    else:
        _check_machine(options, [part.name for part in parts if part.packed])
    return DaySetting(
        out=out.absolute(),
        pack=options.packed.absolute(),
        budget=options.budget or (REHEARSAL_BUDGET if options.rehearse else BUDGET),
        began=began,
        rehearsal=options.rehearse,
        faults=dict(text.split(":") for text in options.inject),
        parts=parts,
    )


def _check_machine(options: argparse.Namespace, packed: Sequence[str]) -> None:
    """Raise ConfigError without a GPU, or without what the parts `packed` need."""
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(f"no GPU is seen by torch {torch.__version__}: --rehearse needs none")
    if packed and not options.packed.is_dir():
        rest = " ".join(f"--only {part.name}" for part in PARTS if not part.packed)
        todo = f"`{COMMAND} --pack` makes it; {rest} need none"
        raise ConfigError(f"{options.packed}: no such folder, and {', '.join(packed)} reads it: {todo}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line; run the day, or pack for it, or bring it home."""
    began = time.monotonic()
    options = parse_arguments(arguments)
    if options.pack:
        from tools.gpu_day.pack import pack

        say(*pack(options.pack))
        return 0
    if options.bring:
        from tools.gpu_day.bring import bring

        say(*bring(options.bring))
        return 0
    with TemporaryDirectory(prefix="bmt-rehearsal-") as temporary:
        return run_day(setting_of(options, options.out or Path(temporary), began))


if __name__ == "__main__":
    run_command(main)
