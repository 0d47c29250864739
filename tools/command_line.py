"""The command line of a tool."""

from __future__ import annotations

import argparse


def tool_parser(tool: str, description: str, *examples: str) -> argparse.ArgumentParser:
    """The parser of `python -m tools.<tool>`; `--help` ends with the examples."""
    return argparse.ArgumentParser(
        prog=f"python -m tools.{tool}",
        description=description,
        epilog="\n  ".join(["example:", *examples]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
