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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmark.cli.allocator import keep_freed_memory
from benchmark.cli.commands import run_command
from benchmark.cli.progress import progress
from benchmark.config.params import repository_root
from benchmark.tracking import environment
from bmt.errors import ConfigError
from tools.command_line import tool_parser
from tools.performance import core, data, on_gpu, training
from tools.performance.page import PagePart, keep_measurements, print_measurement

EXAMPLES = {
    "core": "python -m tools.performance core --rounds 9 --write",
    "data": "python -m tools.performance data --long --write",
    "train": "python -m tools.performance train --rounds 5 --write",
}
ROWS = {"cpu": (8,), "cuda": (48, 8)}
"""Windows per step of `core`, by device."""
GPU = "gpu"
"""The part of `train` that is measured on a GPU, alone."""
TURNS = "ratios are medians over rounds in which the variants take turns"


def measure_core(options: argparse.Namespace) -> None:
    """Masked steps and mask learning, and the sizes of masks and optimizer state."""
    if options.rounds < 1 or options.tokens < 16 or options.tokens > 512:
        raise ConfigError(
            f"--rounds {options.rounds}, --tokens {options.tokens}: not allowed: at least 1 round, 16 to 512 "
            "tokens"
        )
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    shape = options.shape or ("roberta-base" if device.type == "cuda" else "minilm")
    if options.threads:
        torch.set_num_threads(options.threads)
    made: dict[str, Any] = {}
    for rows in [options.rows] if options.rows else ROWS[device.type]:
        setting = core.CoreSetting(shape, rows, options.tokens, device, device.type == "cuda")
        with progress(
            f"speed core {shape} x{rows}", total=(options.rounds + 1) * core.COUNT, unit="steps"
        ) as bar:
            measurement = core.measured_steps(setting, options.rounds, bar)
        made[f"{rows} windows"] = print_measurement(
            measurement, environment.describe(), device.type, options.rounds
        )
    sizes = core.measured_sizes(shape, device)
    made["sizes"] = print_measurement(sizes, environment.describe(), device.type, options.rounds)
    if options.write:
        head = f"`python -m tools.performance core --rounds {options.rounds}`; {TURNS}."
        keep_measurements(PagePart(f"core {device.type}", f"core-{device.type}", head, list(made)), made)


def measure_data(options: argparse.Namespace) -> None:
    """Features, padding, answers; with --long processes and memory. The rest of the page stays."""
    if options.rounds < 1:
        raise ConfigError(f"--rounds {options.rounds}: not allowed: at least 1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    root = repository_root()
    subject = data.data_subject(
        options.data or root / "data" / "raw" / "mini", root / "profiles" / "mini.yaml"
    )
    made: dict[str, Any] = {}
    for name in data.wanted(options.only or (), options.long):
        measured, steps, _ = data.PARTS[name]
        with progress(f"speed data {name}", total=steps(subject, options.rounds), unit="steps") as bar:
            measurement = measured(subject, options.rounds, bar)
        made[name] = print_measurement(measurement, environment.describe(), "cpu", options.rounds)
    if options.write:
        head = f"`python -m tools.performance data --long`; {TURNS}."
        keep_measurements(PagePart("data cpu", "data", head, list(data.PARTS)), made)


def measure_train(options: argparse.Namespace) -> None:
    """Training and evaluation against HF Trainer. What is not measured stays on the page."""
    if options.rounds < 1 or options.steps < 1:
        raise ConfigError(
            f"--rounds {options.rounds}, --steps {options.steps}: not allowed: at least 1 of each"
        )
    there = torch.cuda.is_available()
    wanted = options.only or ([GPU] if there else list(training.PARTS))
    if GPU in wanted and (not there or len(wanted) > 1):
        why = (
            "not allowed beside other parts: run it alone" if there else "no GPU is there that torch can use"
        )
        raise ConfigError(f"--only {GPU}: {why}")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # before the worker that loads batches is forked
    if options.threads:
        torch.set_num_threads(options.threads)
    root, device = repository_root(), "cuda" if wanted == [GPU] else "cpu"
    source = data.data_subject(
        options.data or root / "data" / "raw" / "mini", root / "profiles" / "mini.yaml"
    )
    subject = training.TrainingSubject(source, steps=options.steps)
    made: dict[str, Any] = {}
    for name in (name for name in [*training.PARTS, GPU] if name in wanted):
        steps = (on_gpu.count if name == GPU else training.PARTS[name][1])(options.rounds)
        with progress(f"speed train {name}", total=steps, unit="steps") as bar:
            if name == GPU:
                paper = root / "profiles" / "paper.yaml"
                scale = on_gpu.PaperScale("roberta-base", paper, torch.device("cuda"))
                measurement = on_gpu.measured(subject, scale, options.rounds, bar)
            else:
                measurement = training.PARTS[name][0](subject, options.rounds, bar)
        made[name] = print_measurement(measurement, environment.describe(), device, options.rounds)
    if options.write:
        head = f"`python -m tools.performance train --rounds {options.rounds}`; {TURNS}."
        order = [GPU] if device == "cuda" else list(training.PARTS)
        keep_measurements(PagePart(f"train {device}", f"train-{device}", head, order), made)


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = tool_parser("performance", __doc__ or "", *EXAMPLES.values())
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
    of["data"].add_argument("--only", action="append", choices=list(data.PARTS), help=only)
    of["train"].add_argument("--steps", type=int, default=12, help="training steps per round (default: 12)")
    parts = [*training.PARTS, GPU]
    of["train"].add_argument(
        "--only", action="append", choices=parts, help=f"{only} ({GPU}: alone, on a GPU)"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and measure: print, and with --write keep docs/performance.md's part."""
    options = parse_arguments(arguments)
    if options.what != "data":
        keep_freed_memory()
    {"core": measure_core, "data": measure_data, "train": measure_train}[options.what](options)
    return 0


if __name__ == "__main__":
    run_command(main)
