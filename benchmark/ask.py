"""`python -m benchmark.ask RUN --question … --context …`: ask a trained model a question about a text."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import repository_root
from bmt.errors import ConfigError, ModelError


def find_run(name: str) -> Path:
    """The folder of a run: a path, a cell's name, or `<profile>/<cell>` under runs/.

    Raises:
        ModelError: there is none. ConfigError: several profiles have the cell.
    """
    if (Path(name) / "config.json").is_file() or (Path(name) / "model").is_dir():
        return Path(name)
    runs = repository_root() / "runs"
    found = [path for path in (runs / name, *sorted(runs.glob(f"*/{name}"))) if (path / "model").is_dir()]
    if not found:
        known = sorted(str(path.parent.relative_to(runs)) for path in runs.glob("*/*/model"))
        raise ModelError(
            f"{name}: no trained run there; there are {', '.join(known) if known else 'none yet: `dvc repro` trains some'}"
        )
    if len(found) > 1:
        raise ConfigError(
            f"{name}: several profiles have it: say which, {' or '.join(str(path.relative_to(runs)) for path in found)}"
        )
    return found[0]


def main() -> int:
    """Parse the command line and answer."""
    parser = command_parser(
        "ask",
        __doc__ or "",
        'python -m benchmark.ask sample/minilm.mt.bmt.s0 --question "Who built the mill?" --context "The mill was built by Ada Moor."',
    )
    parser.add_argument("run", help="a run's folder, or its name under runs/")
    parser.add_argument("--question", required=True)
    parser.add_argument("--context", help="the text; without it the text is read from standard input")
    parser.add_argument(
        "--adapter",
        metavar="DATASET",
        help="whose adapter and head answer, of a run with adapters (default: their mean)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    folder = find_run(arguments.run)
    context = sys.stdin.read() if arguments.context is None else arguments.context
    from bmt.qa.adapters import averaged, datasets_of
    from bmt.qa.answering import answer, load

    model, tokenizer = load(folder, adapter=arguments.adapter)
    if arguments.adapter is None and len(datasets_of(model)) > 1:
        model = averaged(model)
    found = answer(model, tokenizer, arguments.question, context)
    if arguments.json:
        print(json.dumps(asdict(found), ensure_ascii=False))
    else:
        print(f"{found.text}\n  characters {found.start} to {found.end}, log-probability {found.score:.3f}")
    return 0


if __name__ == "__main__":
    run_command(main)
