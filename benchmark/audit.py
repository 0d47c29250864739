"""`python -m benchmark.audit`: the paper against itself, from its tables and sentences alone. No run of ours
is looked at.

`benchmark/paper_audit` has the rules. docs/audit.md is what this command finds in the paper that this project
reproduces.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.cli.commands import command_parser, run_command

ABOUT = """Hold a paper's tables and sentences against each other: averages, arrows, percentages, EM and F1,
rows and numbers that are printed twice, scores that fall with K, stated sizes and directions, gains that mix
backbones. Rounding is no finding.
Exit status: 0 nothing found beyond rounding, 1 findings, 2 wrong usage or a paper that cannot be read."""
EXAMPLE = "python -m benchmark.audit --format markdown --out docs/audit.md"


def main(arguments: list[str] | None = None) -> int:
    """Audit, print or write, and say by the status what was found: 0 nothing beyond rounding, 1 findings.

    Raises:
        ConfigError: wrong usage, or a paper's folder that cannot be read or breaks the schema (status 2).
    """
    parser = command_parser("audit", ABOUT, EXAMPLE)
    add = parser.add_argument
    paper = "a folder of tables and claims (docs/compare.md; default: the paper of this project)"
    add("--paper", type=Path, metavar="DIR", help=paper)
    form = "of terminal, markdown, latex, html, json (default: terminal); several need --out"
    add("--format", default="terminal", metavar="F[,F]", help=form)
    out = "write there; a name without suffix gets the format's, several formats one file each"
    add("--out", type=Path, metavar="FILE", help=out)
    options = parser.parse_args(arguments)

    from benchmark.paper.tables import load
    from benchmark.paper_audit.audit import audit_paper
    from benchmark.paper_audit.audit_document import audit_document, audit_json
    from benchmark.rendering import SUFFIXES
    from benchmark.rendering.output import chosen_formats, write_document

    forms = chosen_formats(options.format, tuple(SUFFIXES), options.out)
    audit = audit_paper(load(options.paper))
    write_document(audit_document(audit), forms, options.out, {"json": lambda: audit_json(audit)})
    return audit.status


if __name__ == "__main__":
    run_command(main)
