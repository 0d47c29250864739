"""Where a document goes (`--format`, `--out`): to the terminal, into a file, or into a file per format."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmark.cli.messages import tell
from benchmark.rendering import SUFFIXES, print_document, render
from benchmark.rendering.document import Document
from bmt.errors import ConfigError


def chosen_formats(text: str, known: Sequence[str], out: Path | None) -> list[str]:
    """The formats of `--format F[,F]`.

    Raises:
        ConfigError: one that is not known, or several without `--out`.
    """
    forms = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for form in forms:
        if form not in known:
            raise ConfigError(f"--format {form!r}: not allowed: of {', '.join(known)}")
    if len(forms) > 1 and out is None:
        raise ConfigError(
            f"--format {text}: several formats need --out, a name that each format's suffix is put to"
        )
    return forms


def output_path(out: Path, form: str, several: bool) -> Path:
    """The file of one format: `out` itself if it has a suffix and is the only one, else with the format's
    suffix.
    """
    return out if out.suffix and not several else out.with_name(out.name + SUFFIXES[form])


def write_document(
    document: Document,
    forms: Sequence[str],
    out: Path | None = None,
    texts: Mapping[str, Callable[[], str]] | None = None,
) -> None:
    """Print a document, or write it to `out`, in every format of `forms`. texts: formats that have a schema
    of their own.
    """
    for form in forms:
        if out is None and form == "terminal":
            print_document(document)
            continue
        text = texts[form]() if texts and form in texts else render(document, form)
        if out is None:
            sys.stdout.write(text)
        else:
            from bmt.runtime.files import write_text

            path = output_path(out, form, len(forms) > 1)
            write_text(path, text)
            tell(f"wrote {path}")


def usual_format() -> str:
    """`terminal` on a terminal; `markdown` elsewhere, of commands whose tables are pasted into pages."""
    return "terminal" if sys.stdout.isatty() else "markdown"
