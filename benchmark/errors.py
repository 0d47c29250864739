"""`python -m benchmark.errors`: dev examples that all arms get wrong, and those where arms differ, sorted as
the paper's appendix C does.

Reads the predictions that `benchmark.evaluate` kept and the raw files they are of; no torch, no DVC, and
MLflow only for `--track`.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.command_line import command_line
from benchmark.cli.commands import Parser, add_params_options, command_parser, run_command
from benchmark.cli.messages import tell
from bmt.errors import ConfigError

ABOUT = """List the dev examples that all arms get wrong and those where arms differ, with a guess at the
kind of each error."""
EXAMPLE = "python -m benchmark.errors --arms none mask bmt --dataset SQuAD HotpotQA --limit 10"


def error_parser() -> Parser:
    """The command line."""
    parser = command_parser("errors", ABOUT, EXAMPLE)
    add = parser.add_argument
    arms = "bmt, bmt.adapter, … or cells without seed, as minilm.st-SQuAD.none"
    some = f"{arms} (default: of none, mask, bmt, bmt.adapter those with runs)"
    add("--arms", nargs="+", metavar="ARM", help=some)
    seeds = "seeds, as 0,1,2 (default: those that all the arms have); an arm is wrong where all its seeds are"
    add("--seeds", "--seed", metavar="LIST", help=f"{seeds}, right where none is")
    datasets = "only these (default: all that all the runs were scored on)"
    add("--dataset", nargs="+", metavar="NAME", help=datasets)
    metric = "what makes an answer wrong: EM 0 (default), or F1 0, as the paper has it"
    add("--metric", choices=("em", "f1"), default="em", help=metric)
    add("--below", type=float, metavar="PERCENT", help="with --metric f1: F1 below this, of 100")
    limit = "examples shown per dataset and list; 0: counts only (default: %(default)s)"
    add("--limit", type=int, default=5, metavar="N", help=limit)
    add("--backbone", help="of the arms that are named without one (default: the one with most runs)")
    add_params_options(parser)
    add("--results", type=Path, metavar="DIR", help="the results folder (default: results/<profile>)")
    raw = "the raw MRQA files that were scored (default: data/raw/<profile>)"
    add("--data", type=Path, metavar="DIR", help=raw)
    out = "the Markdown file (default: reports/<profile>/errors.md)"
    add("--out", "--output", type=Path, metavar="FILE", help=out)
    track = "also log the file and its counts to MLflow, as the run `errors`"
    add("--track", action="store_true", help=track)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Analyse, print and write; 0 also where there is no error at all."""
    parser = error_parser()
    options = parser.parse_args(arguments)

    from benchmark.config.params import repository_root
    from benchmark.error_analysis.error_document import error_document
    from benchmark.error_analysis.error_request import analyse_request, log_errors
    from benchmark.rendering import print_document, render
    from bmt.runtime.files import write_text

    if options.out and options.out.is_dir():
        raise ConfigError(
            f"--out {options.out}: a folder: name the file, for example {options.out / 'errors.md'}"
        )
    analysis, name, config = analyse_request(options)
    out = options.out or repository_root() / "reports" / name / "errors.md"
    command = command_line(parser, options)
    write_text(out, render(error_document(analysis, command), "markdown"))
    print_document(error_document(analysis, first=1))
    tell(f"wrote {out}")
    if options.track:
        log_errors(analysis, out, name, config)
    return 0


if __name__ == "__main__":
    run_command(main)
