"""`python -m benchmark.unifiedqa [BACKBONE]`: score a published model that writes its answers, zero-shot
(Table 8's first row).

The backbone has `head: generate` in params.yaml (profile `paper`: UnifiedQA's T5-base). It reads `question
\\n context` in lower case,
writes its answer greedily, and is held against all dev questions of the datasets out of domain by the same EM
and F1 as every other row.
Nothing is trained and there are no seeds: one result, `results/<profile>/<backbone>.mt.zero_shot.s0.json`,
which
`benchmark.compare --paper-table 8` finds. A call that was cut off goes on with the next dataset.
"""

from __future__ import annotations

from benchmark.cli.allocator import keep_freed_memory
from benchmark.cli.commands import command_parser, run_command
from benchmark.config.params import load
from benchmark.runs.published_run import score_published
from bmt.qa.generation import GenerationSettings

EXAMPLE = "python -m benchmark.unifiedqa unifiedqa-base --params profiles/paper.yaml"


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and score."""
    parser = command_parser("unifiedqa", __doc__ or "", EXAMPLE)
    defaults = GenerationSettings()
    parser.add_argument(
        "backbone", nargs="?", help="of params.yaml, with head: generate (default: the only one)"
    )
    parser.add_argument("--params", help="params file (default: params.yaml at the repository's root)")
    parser.add_argument(
        "--beams", type=int, default=defaults.beams, help="beams of the search; 1, the default: greedy"
    )
    parser.add_argument(
        "--answer-tokens",
        type=int,
        default=defaults.answer_tokens,
        help="of an answer, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--input-tokens",
        type=int,
        default=defaults.input_tokens,
        help="that are read, at most (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    keep_freed_memory()
    settings = GenerationSettings(given.beams, given.answer_tokens, given.input_tokens)
    score_published(load(given.params), given.backbone, settings, given.params)
    return 0


if __name__ == "__main__":
    run_command(main)
