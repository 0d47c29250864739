"""Score a published model that writes its answers, zero-shot (Table 8's first row).

The backbone has `head: generate` in the params file (profile `paper`: UnifiedQA's T5-base). It reads
`question \\n context` in lower case, writes its answer greedily, and is held against all dev questions of the
datasets out of domain by the same EM and F1 as every other row. Nothing is trained and there are no seeds:
one result, `results/<profile>/<backbone>.mt.zero_shot.s0.json`, which `benchmark.compare --paper-table 8`
finds. A call that was cut off goes on with the next dataset.
"""

from __future__ import annotations

from benchmark.cli.commands import add_params_options, command_parser, run_command

EXAMPLE = "python -m benchmark.unifiedqa unifiedqa-base --profile paper"
DEFAULTS = {"beams": 1, "answer_tokens": 64, "input_tokens": 512}
"""Of `bmt.qa.generation_settings.GenerationSettings`."""


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and score."""
    parser = command_parser("unifiedqa", __doc__, EXAMPLE)
    parser.set_defaults(**DEFAULTS)
    add = parser.add_argument
    add("backbone", nargs="?", help="of the params file, with head: generate (default: the only one)")
    add_params_options(parser)
    add("--beams", type=int, help="beams of the search; 1, the default: greedy")
    add("--answer-tokens", type=int, help="tokens of an answer, at most (default: %(default)s)")
    add("--input-tokens", type=int, help="tokens that are read, at most (default: %(default)s)")
    options = parser.parse_args(arguments)

    from benchmark.cli.allocator import keep_freed_memory
    from benchmark.config.generators import generator_of
    from benchmark.config.profiles import chosen_config
    from bmt.qa.generation_settings import GenerationSettings

    keep_freed_memory()
    settings = GenerationSettings(**{name: getattr(options, name) for name in DEFAULTS})
    config, file = chosen_config(options)
    generator_of(config, options.backbone)

    from benchmark.runs.published_run import score_published

    score_published(config, options.backbone, settings, file)
    return 0


if __name__ == "__main__":
    run_command(main)
