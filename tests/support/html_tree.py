"""HTML as a tree, for tests: a strict parser (every element closed, in order) and ways to look into it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"br", "link", "meta"}


@dataclass(slots=True)
class Node:
    """An element. children: elements and texts, in order."""

    tag: str
    attributes: dict[str, str | None]
    children: list[Node | str] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        value = self.attributes[name]
        assert value is not None, f"{name} of <{self.tag}> has no value"
        return value

    @property
    def text(self) -> str:
        """All text below, with single spaces."""
        return " ".join(
            "".join(part if isinstance(part, str) else f" {part.text} " for part in self.children).split()
        )

    def all(self, tag: str | None = None, kind: str | None = None, **attributes: str) -> Iterator[Node]:
        """Every element below, in order, of this tag, with this CSS class and these attributes (`id_` is
        `id`).
        """
        for child in self.children:
            if isinstance(child, Node):
                classes = (child.attributes.get("class") or "").split()
                wanted = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
                same = all(child.attributes.get(key) == value for key, value in wanted.items())
                if (tag is None or child.tag == tag) and (kind is None or kind in classes) and same:
                    yield child
                yield from child.all(tag, kind, **attributes)

    def one(self, tag: str | None = None, kind: str | None = None, **attributes: str) -> Node:
        """The only such element."""
        found = list(self.all(tag, kind, **attributes))
        assert len(found) == 1, f"{len(found)} elements {tag} {kind} {attributes}"
        return found[0]

    def rows(self) -> list[list[str]]:
        """The texts of a table, row by row."""
        cells = [[cell.text for cell in row.all() if cell.tag in ("th", "td")] for row in self.all("tr")]
        return [row for row in cells if row]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Node("", {})]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        node = Node(tag, dict(attributes))
        self.open[-1].children.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        closed = self.open.pop()
        assert closed.tag == tag, f"<{closed.tag}> is closed by </{tag}>, line {self.getpos()[0]}"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parse(text: str) -> Node:
    """The page's root. A page that is not well-formed fails the test."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert len(parser.open) == 1, f"not closed: {[node.tag for node in parser.open[1:]]}"
    return parser.open[0]
