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
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmark.cli.commands import command_parser, run_command
from bmt.errors import ConfigError

COMMAND = "python -m tools.performance"
EXAMPLES = {
    "core": f"{COMMAND} core --rounds 9 --write",
    "data": f"{COMMAND} data --long --write",
    "train": f"{COMMAND} train --rounds 5 --write",
}
SHAPES = ("minilm", "roberta-base")
DATA = ("features", "padding", "answers", "processes", "memory")
TRAIN = ("steps", "undropped", "evaluation", "aside", "gpu")
"""What may be chosen of `tools.performance.experiments`, which is too large to be imported for `--help`."""


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
    of["core"].add_argument("--shape", choices=SHAPES, help=shape)
    rows = "windows per step (default: 8 on a CPU; 48, then 8, on a GPU)"
    of["core"].add_argument("--rows", type=int, help=rows)
    of["core"].add_argument("--tokens", type=int, default=384, help="tokens per window (default: 384)")
    of["core"].add_argument("--cpu", action="store_true", help="the CPU even where a GPU is")
    long = "also a second process and a large file's memory: ten minutes more"
    of["data"].add_argument("--long", action="store_true", help=long)
    only = "this part alone; may be given again"
    of["data"].add_argument("--only", action="append", choices=DATA, help=only)
    of["train"].add_argument("--steps", type=int, default=12, help="training steps per round (default: 12)")
    alone = f"{only} (gpu: alone, on a GPU)"
    of["train"].add_argument("--only", action="append", choices=TRAIN, help=alone)
    options = parser.parse_args(arguments)
    _check_sizes(options)
    return options


def _check_sizes(options: argparse.Namespace) -> None:
    """Raise ConfigError where rounds, steps or tokens are out of their range."""
    if options.what == "core" and (options.rounds < 1 or not 16 <= options.tokens <= 512):
        given = f"--rounds {options.rounds}, --tokens {options.tokens}"
        raise ConfigError(f"{given}: not allowed: at least 1 round, 16 to 512 tokens")
    if options.what == "data" and options.rounds < 1:
        raise ConfigError(f"--rounds {options.rounds}: not allowed: at least 1")
    if options.what == "train" and (options.rounds < 1 or options.steps < 1):
        given = f"--rounds {options.rounds}, --steps {options.steps}"
        raise ConfigError(f"{given}: not allowed: at least 1 of each")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and measure: print, and with --write keep docs/performance.md's part."""
    options = parse_arguments(arguments)

    import torch

    from benchmark.cli.allocator import keep_freed_memory
    from benchmark.cli.progress import progress
    from tools.performance.bench import Bench
    from tools.performance.experiments import VERBS
    from tools.performance.page import keep_measurements, print_measurement

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
