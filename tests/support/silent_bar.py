"""A progress bar that nobody sees, for code that is tested without its command."""

from benchmark.cli.progress import Bar, progress


def silent_bar() -> Bar:
    """A bar that only counts."""
    return progress("", shown=False)
