"""Parts of pages that a command renews: what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->`."""

from __future__ import annotations


def markers(name: str) -> tuple[str, str]:
    """The two markers of a part."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def between_markers(name: str, text: str) -> str:
    """`text` between its markers."""
    return f"\n{text}\n".join(markers(name))


def with_new_part(page: str, name: str, text: str) -> str | None:
    """`page` with `text` between its markers for `name`; None where each of the two does not stand in it
    once, the first before the second.
    """
    begin, end = markers(name)
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    if page.count(begin) != 1 or page.count(end) != 1 or end in before:
        return None
    return before + between_markers(name, text) + after
