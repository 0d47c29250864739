"""`python -m tools.performance core|data|train`: how fast the project is, as ratios inside one run.

core    masked steps and mask learning against the plain training step, on random weights; sizes of masks and
optimizer state
data    features against the tokenizer alone and the transformers recipe, padding, decoding and scoring; with
--long also what a second
        process brings and the memory that a large file takes
train   training steps and evaluation against HF Trainer on the transformers recipe's features; on a GPU the
paper's scale

core on a CPU: MiniLM's shape in fp32, 8 windows of 384 tokens. On a GPU: RoBERTa-base's in bf16, 48 windows
of 384 tokens, and 8 beside it.
data: MiniLM's tokenizer, windows of 512 tokens that share 256, on the real subset and on generated files.
train on a CPU: MiniLM in fp32, mixed batches of 8 of those windows. On a GPU: RoBERTa-base's shape in bf16.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmark.cli.allocator import keep_freed_memory
from benchmark.cli.commands import command_parser, run_command
from benchmark.cli.progress import progress
from benchmark.config.params import repository_root
from benchmark.tracking import environment
from bmt.errors import ConfigError
from bmt.runtime.files import write_json, write_text
from tools.performance import core, data, on_gpu, training
from tools.performance.figures import Part
from tools.performance.paired_timing import Timing

EXAMPLE = "python -m tools.performance core --rounds 9 --write"
DATA_EXAMPLE = "python -m tools.performance data --long --write"
TRAIN_EXAMPLE = "python -m tools.performance train --rounds 5 --write"
ROWS = {"cpu": (8,), "cuda": (48, 8)}
GPU = "gpu"


def core_lines(setting: core.Setting, found: dict[str, Timing]) -> list[str]:
    """A Markdown table of one setting's timings."""
    tokens = setting.rows * setting.tokens
    base = median(found[core.PLAIN].seconds)
    title = f"{setting.shape}, {setting.rows} windows of {setting.tokens} tokens, {'bf16' if setting.bf16 else 'fp32'}"
    lines = [f"### {title}: {base:.3f} s and {tokens / base:,.0f} tokens/s a plain step", ""]
    lines += [
        "| step | ratio to the plain step | smallest to largest | at most | kept |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, timing in found.items():
        if name == core.PLAIN:
            continue
        target = core.TARGETS.get(name)
        kept = "" if target is None else "yes" if timing.ratio <= target else "no"
        spread = f"{min(timing.ratios):.2f} to {max(timing.ratios):.2f}"
        lines.append(
            f"| {name} | {timing.ratio:.3f} | {spread} | {'' if target is None else f'{target:.2f}'} | {kept} |"
        )
    return [*lines, ""]


def size_lines(sizes: dict[str, float], state: tuple[float, float, float], shape: str) -> list[str]:
    """Sizes of masks and optimizer state."""
    megabyte = 1e6
    return [
        f"Six masks of RoBERTa-base's encoder ({sizes['weights'] / megabyte:.1f}M weights): {sizes['memory'] / megabyte:.1f} MB in memory, "
        f"{sizes['disk'] / megabyte:.1f} MB on disk, index included (at most 100 MB).",
        "",
        f"AdamW's moments for {shape} under one mask that opens 2 % of the embeddings and 60 % of the layers: "
        f"{state[0] / megabyte:.1f} MB dense, {state[1] / megabyte:.1f} MB compact, values and index counted ({state[2]:.0%} saved).",
        "",
    ]


def run_core(given: argparse.Namespace) -> int:
    """Measure, print, and with --write keep docs/performance.md's part and a JSON file."""
    if given.rounds < 1 or given.tokens < 16 or given.tokens > 512:
        raise ConfigError(
            f"--rounds {given.rounds}, --tokens {given.tokens}: not allowed: at least 1 round, 16 to 512 tokens"
        )
    device = torch.device("cuda" if torch.cuda.is_available() and not given.cpu else "cpu")
    shape = given.shape or ("roberta-base" if device.type == "cuda" else "minilm")
    if given.threads:
        torch.set_num_threads(given.threads)
    described = environment.describe()
    lines: list[str] = []
    record: dict[str, Any] = {"environment": described, "threads": torch.get_num_threads(), "settings": []}
    for rows in [given.rows] if given.rows else ROWS[device.type]:
        setting = core.Setting(shape, rows, given.tokens, device, device.type == "cuda")
        with progress(
            f"speed core {shape} x{rows}", total=(given.rounds + 1) * core.COUNT, unit="steps"
        ) as bar:
            found = core.measure(setting, given.rounds, bar)
        lines += core_lines(setting, found)
        timings = {
            name: {"ratio": timing.ratio, "ratios": timing.ratios, "seconds": timing.seconds}
            for name, timing in found.items()
        }
        record["settings"].append({"shape": shape, "rows": rows, "tokens": given.tokens, "timings": timings})
    sizes, state = core.mask_sizes(), core.optimizer_bytes(shape, device)
    lines += size_lines(sizes, state, shape)
    record |= {"mask_bytes": sizes, "optimizer_bytes": {"dense": state[0], "compact": state[1]}}
    where = (
        described["device"]
        if device.type == "cuda"
        else f"{described['cpu']}, {torch.get_num_threads()} threads"
    )
    git = described["git"]
    head = f"`python -m tools.performance core --rounds {given.rounds}` on {where}; torch {torch.__version__}, commit {str(git['commit'])[:7]}"
    head += f"{', with uncommitted changes' if git['dirty'] else ''}. Medians over {given.rounds} rounds; the variants take turns."
    print("\n".join(lines))
    if given.write:
        keep(repository_root() / "docs" / "performance.md", f"core {device.type}", [head, "", *lines])
        write_json(repository_root() / "reports" / "speed" / f"core-{device.type}.json", record)
    return 0


def run_data(given: argparse.Namespace) -> int:
    """Measure, print, and with --write keep docs/performance.md's part and a JSON file; parts that were not
    measured stay as they are.
    """
    if given.rounds < 1:
        raise ConfigError(f"--rounds {given.rounds}: not allowed: at least 1")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    root = repository_root()
    subject = data.subject(given.data or root / "data" / "raw" / "mini", root / "profiles" / "mini.yaml")
    found: dict[str, Any] = {}
    for name in data.wanted(given.only or (), given.long):
        measured, steps, _ = data.PARTS[name]
        with progress(f"speed data {name}", total=steps(subject, given.rounds), unit="steps") as bar:
            found[name] = told(
                measured(subject, given.rounds, bar), environment.describe(), "cpu", given.rounds
            )
    if given.write:
        head = "`python -m tools.performance data --long`; ratios are medians over rounds in which the variants take turns."
        keep_parts("data", "cpu", "data", head, list(data.PARTS), found)
    return 0


def run_train(given: argparse.Namespace) -> int:
    """Measure, print, and with --write keep docs/performance.md's part and a JSON file; parts that were not
    measured stay as they are.
    """
    if given.rounds < 1 or given.steps < 1:
        raise ConfigError(f"--rounds {given.rounds}, --steps {given.steps}: not allowed: at least 1 of each")
    there = torch.cuda.is_available()
    wanted = given.only or ([GPU] if there else list(training.PARTS))
    if GPU in wanted and (not there or len(wanted) > 1):
        raise ConfigError(
            f"--only {GPU}: "
            + (
                "not allowed beside other parts: run it alone"
                if there
                else "no GPU is there that torch can use"
            )
        )
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # before the worker that loads batches is forked
    if given.threads:
        torch.set_num_threads(given.threads)
    keep_freed_memory()
    root = repository_root()
    source = data.subject(given.data or root / "data" / "raw" / "mini", root / "profiles" / "mini.yaml")
    subject = training.Subject(source, steps=given.steps)
    found: dict[str, Any] = {}
    for name in [*training.PARTS, GPU]:
        if name not in wanted:
            continue
        device = "cuda" if name == GPU else "cpu"
        steps = (on_gpu.count if name == GPU else training.PARTS[name][1])(given.rounds)
        with progress(f"speed train {name}", total=steps, unit="steps") as bar:
            if name == GPU:
                scale = on_gpu.Scale("roberta-base", root / "profiles" / "paper.yaml", torch.device("cuda"))
                part = on_gpu.measured(subject, scale, given.rounds, bar)
            else:
                part = training.PARTS[name][0](subject, given.rounds, bar)
        found[name] = told(part, environment.describe(), device, given.rounds)
    if given.write:
        device = "cuda" if wanted == [GPU] else "cpu"
        head = f"`python -m tools.performance train --rounds {given.rounds}`; ratios are medians over rounds in which the variants take turns."
        keep_parts(
            "train",
            device,
            f"train-{device}",
            head,
            [GPU] if device == "cuda" else list(training.PARTS),
            found,
        )
    return 0


def told(part: Part, described: dict[str, Any], device: str, rounds: int) -> dict[str, Any]:
    """Print a part with the machine it was measured on; what the JSON file keeps of it."""
    git = described["git"]
    where = described["device"] if device == "cuda" else described["cpu"]
    where += f", commit {str(git['commit'])[:7]}{', with uncommitted changes' if git['dirty'] else ''}"
    lines = [
        *part.lines(),
        f"Measured on {where}; {rounds} rounds." if part.repeated else f"Measured on {where}.",
        "",
    ]
    print("\n".join(lines))
    return {
        "environment": described,
        "lines": lines,
        "figures": [asdict(figure) for figure in part.figures],
        **part.record,
    }


def keep_parts(what: str, device: str, file: str, head: str, order: list[str], found: dict[str, Any]) -> None:
    """Put the parts that were measured beside those kept in reports/speed/, and all of them on the page."""
    root = repository_root()
    record = root / "reports" / "speed" / f"{file}.json"
    kept = (json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}) | found
    lines = [line for name in order if name in kept for line in kept[name]["lines"]]
    keep(root / "docs" / "performance.md", f"{what} {device}", [head, "", *lines])
    write_json(record, kept)


def keep(path: Path, name: str, lines: list[str]) -> None:
    """Put lines between the page's markers for `name`. Raises ConfigError where it has none."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ConfigError(
            f"{path}: the lines {begin} and {end} must stand in it once each: the figures go between them"
        )
    before, after = text[: text.index(begin) + len(begin)], text[text.index(end) :]
    write_text(path, before + "\n" + "\n".join(lines).strip() + "\n" + after)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = command_parser("speed", __doc__ or "", f"{EXAMPLE}\n  {DATA_EXAMPLE}\n  {TRAIN_EXAMPLE}")
    verbs = parser.add_subparsers(dest="what", required=True, metavar="core|data|train")
    own: Any = verbs.add_parser(
        "core", help="masked steps and mask learning against the plain step", epilog=f"example:\n  {EXAMPLE}"
    )
    own.add_argument("--rounds", type=int, default=5, help="timed rounds of every variant (default: 5)")
    own.add_argument(
        "--shape",
        choices=list(core.SHAPES),
        help="whose shape (default: minilm on a CPU, roberta-base on a GPU)",
    )
    own.add_argument("--rows", type=int, help="windows a step (default: 8 on a CPU; 48, then 8, on a GPU)")
    own.add_argument("--tokens", type=int, default=384, help="tokens a window (default: 384)")
    own.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    own.add_argument("--cpu", action="store_true", help="the CPU even where a GPU is")
    own.add_argument(
        "--write", action="store_true", help="keep the figures in docs/performance.md and reports/speed/"
    )
    own = verbs.add_parser(
        "data", help="features, padding, answers, memory", epilog=f"example:\n  {DATA_EXAMPLE}"
    )
    own.add_argument(
        "--data",
        type=Path,
        help="folder of MRQA files, <domain>/<Dataset>.<split>.jsonl.gz (default: data/raw/mini)",
    )
    own.add_argument("--rounds", type=int, default=3, help="timed rounds of every variant (default: 3)")
    own.add_argument(
        "--long",
        action="store_true",
        help="also a second process and a large file's memory: ten minutes more",
    )
    own.add_argument(
        "--only", action="append", choices=list(data.PARTS), help="this part alone; may be given again"
    )
    own.add_argument(
        "--write", action="store_true", help="keep the figures in docs/performance.md and reports/speed/"
    )
    own = verbs.add_parser(
        "train", help="training and evaluation against HF Trainer", epilog=f"example:\n  {TRAIN_EXAMPLE}"
    )
    own.add_argument(
        "--data",
        type=Path,
        help="folder of MRQA files, <domain>/<Dataset>.<split>.jsonl.gz (default: data/raw/mini)",
    )
    own.add_argument("--rounds", type=int, default=3, help="timed rounds of every variant (default: 3)")
    own.add_argument("--steps", type=int, default=12, help="training steps a round (default: 12)")
    own.add_argument("--threads", type=int, help="CPU threads (default: torch's choice)")
    own.add_argument(
        "--only",
        action="append",
        choices=[*training.PARTS, GPU],
        help=f"this part alone; may be given again ({GPU}: alone, on a GPU)",
    )
    own.add_argument(
        "--write", action="store_true", help="keep the figures in docs/performance.md and reports/speed/"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and measure."""
    given = parse_arguments(arguments)
    if given.what == "data":
        return run_data(given)
    if given.what == "train":
        return run_train(given)
    keep_freed_memory()
    return run_core(given)


if __name__ == "__main__":
    run_command(main)
