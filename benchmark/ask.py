"""Ask a trained model a question about a text."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from benchmark.cli.commands import command_parser, run_command
from benchmark.cli.messages import say

EXAMPLE = (
    'python -m benchmark.ask sample/minilm.mt.bmt.s0 --question "Who built the mill?" \\\n'
    '    --context "The mill was built by Ada Moor."'
)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and answer."""
    parser = command_parser("ask", __doc__, EXAMPLE)
    add = parser.add_argument
    add("run", help="a run's folder, or its name under runs/")
    add("--question", required=True)
    add("--context", help="the text; without it the text is read from standard input")
    add("--adapter", metavar="DATASET", help="whose adapter and head answer (default: the mean of all)")
    add("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)

    from benchmark.runs.trained_runs import answer_of, find_run

    folder = find_run(options.run)
    context = sys.stdin.read() if options.context is None else options.context
    answer = answer_of(folder, options.question, context, options.adapter)
    if options.json:
        print(json.dumps(asdict(answer), ensure_ascii=False))
    else:
        place = f"characters {answer.start} to {answer.end}, log-probability {answer.score:.3f}"
        say(answer.text, f"  {place}")
    return 0


if __name__ == "__main__":
    run_command(main)
