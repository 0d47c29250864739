"""`python -m tools.performance core|data|train`: how fast the project is, as ratios inside one run.

core    masked steps and mask learning against the plain training step, on random weights; sizes of masks and
        optimizer state
data    features against the tokenizer alone and the transformers recipe, padding, decoding and scoring; with
        --long also what a second process brings and the memory that a large file takes
train   training steps and evaluation against HF Trainer on the transformers recipe's features; on a GPU the
        paper's scale

core on a CPU: MiniLM's shape in fp32, 8 windows of 384 tokens. On a GPU: RoBERTa-base's in bf16, 48 windows
of 384 tokens, and 8 beside it. data: MiniLM's tokenizer, windows of 512 tokens that share 256, on the real
subset and on generated files. train on a CPU: MiniLM in fp32, mixed batches of 8 of those windows. On a GPU:
RoBERTa-base's shape in bf16.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmark.cli.allocator import keep_freed_memory
from benchmark.cli.commands import command_parser, run_command
from benchmark.cli.progress import progress
from benchmark.config.params import repository_root
from bmt.errors import ConfigError
from tools.performance import core, data, on_gpu, subject, training
from tools.performance.bench import Bench
from tools.performance.figures import Measurement
from tools.performance.page import keep_measurements, print_measurement

COMMAND = "python -m tools.performance"
EXAMPLES = {
    "core": f"{COMMAND} core --rounds 9 --write",
    "data": f"{COMMAND} data --long --write",
    "train": f"{COMMAND} train --rounds 5 --write",
}
ROWS = {"cpu": (8,), "cuda": (48, 8)}
"""Windows per step of `core`, by device."""
GPU = "gpu"
"""The part of `train` that is measured on a GPU, alone."""

Experiment = Callable[[Bench], Measurement]
OfSubject = Callable[[subject.Subject, Bench], Measurement]
Experiments = tuple[str, Iterable[str], Mapping[str, Experiment]]
"""The part of the page that they renew, the names that it holds, and those that are measured now."""
DATA: dict[str, OfSubject] = {
    "features": data.features,
    "padding": data.padded,
    "answers": data.decoded,
    "processes": data.processes,
    "memory": data.memory,
}
LONG = ("processes", "memory")
"""What `--long` is needed for."""
TRAIN: dict[str, OfSubject] = {
    "steps": training.trained,
    "undropped": partial(training.trained, title="Training steps without dropout", dropout=0.0),
    "evaluation": training.evaluated,
    "aside": training.aside,
}


def core_experiments(options: argparse.Namespace) -> Experiments:
    """Masked steps and mask learning, and the sizes of masks and optimizer state."""
    if options.rounds < 1 or options.tokens < 16 or options.tokens > 512:
        raise ConfigError(
            f"--rounds {options.rounds}, --tokens {options.tokens}: not allowed: at least 1 round, 16 to 512 "
            "tokens"
        )
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    on_cuda = device.type == "cuda"
    shape, precision = ("roberta-base", "bf16") if on_cuda else ("minilm", "fp32")
    shape = options.shape or shape
    chosen: dict[str, Experiment] = {}
    for rows in [options.rows] if options.rows else ROWS[device.type]:
        setting = core.CoreSetting(shape, rows, options.tokens, device, precision)
        chosen[f"{rows} windows"] = partial(core.measured_steps, setting)
    chosen["sizes"] = partial(core.measured_sizes, shape, device)
    return f"core {device.type}", chosen, chosen


def data_experiments(options: argparse.Namespace) -> Experiments:
    """Features, padding, answers; with --long processes and memory."""
    if options.rounds < 1:
        raise ConfigError(f"--rounds {options.rounds}: not allowed: at least 1")
    wanted = options.only or [name for name in DATA if options.long or name not in LONG]
    measured = _subject(options)
    chosen = {name: partial(measure, measured) for name, measure in DATA.items() if name in wanted}
    return "data cpu", DATA, chosen


def train_experiments(options: argparse.Namespace) -> Experiments:
    """Training and evaluation against HF Trainer; on a GPU the paper's scale."""
    if options.rounds < 1 or options.steps < 1:
        raise ConfigError(
            f"--rounds {options.rounds}, --steps {options.steps}: not allowed: at least 1 of each"
        )
    there = torch.cuda.is_available()
    wanted = options.only or ([GPU] if there else list(TRAIN))
    if GPU in wanted and (not there or len(wanted) > 1):
        why = (
            "not allowed beside other parts: run it alone" if there else "no GPU is there that torch can use"
        )
        raise ConfigError(f"--only {GPU}: {why}")
    measured = _subject(options, steps=options.steps)
    if GPU in wanted:
        scale = on_gpu.PaperScale(torch.device("cuda"))
        return "train cuda", wanted, {GPU: partial(on_gpu.measured, measured, scale)}
    chosen = {name: partial(measure, measured) for name, measure in TRAIN.items() if name in wanted}
    return "train cpu", TRAIN, chosen


def _subject(options: argparse.Namespace, **sizes: int) -> subject.Subject:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # before the worker that loads batches is forked
    root = repository_root()
    folder = options.data or root / "data" / "raw" / "mini"
    return subject.minilm_subject(folder, root / "profiles" / "mini.yaml", **sizes)


VERBS = {"core": core_experiments, "data": data_experiments, "train": train_experiments}


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    examples = "\n  ".join(EXAMPLES.values())
    parser = command_parser("performance", __doc__, examples, package="tools")
    verbs = parser.add_subparsers(dest="what", required=True, metavar="|".join(EXAMPLES))
    about = {
        "core": (5, "masked steps and mask learning against the plain step"),
        "data": (3, "features, padding, answers, memory"),
        "train": (3, "training and evaluation against HF Trainer"),
    }
    of: dict[str, argparse.ArgumentParser] = {}
    for verb, (rounds, text) in about.items():
        verb_parser = of[verb] = verbs.add_parser(verb, help=text, epilog=f"example:\n  {EXAMPLES[verb]}")
        rounds_help = f"timed rounds of every variant (default: {rounds})"
        verb_parser.add_argument("--rounds", type=int, default=rounds, help=rounds_help)
        keep = "keep the figures in docs/performance.md and reports/speed/"
        verb_parser.add_argument("--write", action="store_true", help=keep)
        if verb != "core":
            files = "folder of MRQA files, <domain>/<Dataset>.<split>.jsonl.gz (default: data/raw/mini)"
            verb_parser.add_argument("--data", type=Path, help=files)
        if verb != "data":
            verb_parser.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    shape = "whose shape (default: minilm on a CPU, roberta-base on a GPU)"
    of["core"].add_argument("--shape", choices=list(core.SHAPES), help=shape)
    rows = "windows per step (default: 8 on a CPU; 48, then 8, on a GPU)"
    of["core"].add_argument("--rows", type=int, help=rows)
    of["core"].add_argument("--tokens", type=int, default=384, help="tokens per window (default: 384)")
    of["core"].add_argument("--cpu", action="store_true", help="the CPU even where a GPU is")
    long = "also a second process and a large file's memory: ten minutes more"
    of["data"].add_argument("--long", action="store_true", help=long)
    only = "this part alone; may be given again"
    of["data"].add_argument("--only", action="append", choices=list(DATA), help=only)
    of["train"].add_argument("--steps", type=int, default=12, help="training steps per round (default: 12)")
    parts = [*TRAIN, GPU]
    of["train"].add_argument(
        "--only", action="append", choices=parts, help=f"{only} ({GPU}: alone, on a GPU)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and measure: print, and with --write keep docs/performance.md's part."""
    options = parse_arguments(arguments)
    if options.what != "data":
        keep_freed_memory()
        if options.threads:
            torch.set_num_threads(options.threads)
    part, order, chosen = VERBS[options.what](options)
    made = {}
    for name, measure in chosen.items():
        label = f"speed {options.what} {name}"
        with progress(label) as bar, TemporaryDirectory(prefix="bmt-speed-") as folder:
            bench = Bench(options.rounds, bar, Path(folder))
            measurement = measure(bench)
        made[name] = print_measurement(measurement, bench, part.endswith("cuda"))
    if options.write:
        how = "--long" if options.what == "data" else f"--rounds {options.rounds}"
        keep_measurements(part, f"{COMMAND} {options.what} {how}", order, made)
    return 0


if __name__ == "__main__":
    run_command(main)
