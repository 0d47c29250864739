"""A document's writers: no text of a file can become markup, a command, a second line or an escape sequence,
and none is lost.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from rich.console import Console, Group

from benchmark.rendering import SUFFIXES, latex, render, terminal
from benchmark.rendering.document import (
    Block,
    Column,
    Document,
    Figure,
    Heading,
    ListItem,
    Paragraph,
    Phrase,
    Remark,
    RowGroup,
    TextCell,
    TextList,
    TextRow,
    TextTable,
    plain_text,
    text_table,
    with_code,
)
from benchmark.rendering.output import chosen_formats, write_document
from bmt.errors import ConfigError
from tests.support.html_tree import Node, parse

HOSTILE = [
    "\x1b[31mred\x1b[0m \x1b]8;;http://evil\x07link\x1b]8;;\x07 \x9b2J",
    "a | b || c \\| d \\\\| e",
    "`code` ``two`` ```\nfence",
    "<script>alert(1)</script> <img src=x onerror=alert(1)> &lt;b&gt; &#60; &amp;",
    "$x$ $$y$$ \\input{/etc/passwd} \\\\ % & # _ ^ ~ {} -- --- `` ''",
    "one\ntwo\r\nthree\u2028four\u0085five\x0bsix",
    "\u202eright to left\u202c \u2066isolate\u2069 \u200f",
    "[a](javascript:alert(1)) ![i](http://x) [r]: http://x [^1] <http://x>",
    "# heading",
    "- item",
    "1. one",
    "1) one",
    "+ plus",
    "> quote",
    "    code",
    "***",
    "---",
    "===",
    "~~~",
    "[ ] box",
    "[x]",
    "_u_ *s* **b** ~~d~~ [bold]rich[/bold] [/] [link=x]y",
    "{{ 7 * 7 }} {% raw %}",
    "\ud800 half \x00 nul \x7f",
    "* star first",
    "[0.1, 0.2]",
    "ends with a backslash\\",
]
ALPHABET = st.sampled_from("aB1 |`*_<>&;#[]()!~$\\{}%^-+=.:\"'\n\t\x1b\u202e\u200bé語−…“”{%/")
texts = st.one_of(st.sampled_from(HOSTILE), st.text(ALPHABET, max_size=24), st.text(max_size=12))
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def whole(text: str) -> Document:
    """A document that has `text` in every place."""
    inline = (
        Phrase(text, "strong"),
        text,
        Phrase(text, "emphasis", "quiet"),
        Phrase(text, "code"),
        Phrase(text, link="https://a.b"),
    )
    row = TextRow((text, TextCell(text, "good"), inline), (text, inline))
    table = TextTable(
        (Column(text, "left"), Column("", label=text), Column(text, least=12)),
        (
            RowGroup((row, TextRow((text, text, text), strong=True)), text, text, (text,)),
            RowGroup((row,), text, text),
        ),
        title=text,
        notes=(text,),
        group_name=text,
    )
    blocks: tuple[Block, ...] = (
        Heading(text),
        Paragraph(inline),
        Paragraph(text),
        table,
        Remark(text, text),
        TextList((text, ListItem(text, text, (text,)))),
        TextList((ListItem(text, text), text), numbered=True),
        Figure(text, text, svg=Markup("<svg></svg>")),
        text_table([text], [[text]], text, text),
    )
    return Document(text, blocks, about=text, source=text)


def words(text: str) -> str:
    """What is left of a text when line breaks and white space do not count."""
    return "".join(text.split())


def every_text(test):
    """Run a test on every hostile text, and on what hypothesis makes up."""
    for text in HOSTILE:
        test = example(text)(test)
    return settings(max_examples=60, deadline=None)(given(texts)(test))


@every_text
def test_no_format_holds_a_character_that_steers(text):
    for form in SUFFIXES:
        shown = render(whole(text), form)
        assert all(character.isprintable() or character == "\n" for character in shown), form
        shown.encode("utf-8")


@every_text
def test_the_terminal_shows_every_text_and_colours_come_from_rich_alone(text):
    document = Document(
        "t",
        (Paragraph(text), Remark(text, "fault", "bad"), TextList((ListItem(text, "label"),))),
        wrapped=False,
    )
    lines = render(document, "terminal").splitlines()
    shown = plain_text(text).rstrip()
    blank = [] if not shown else [line for line in lines if line == shown]
    assert bool(blank) == bool(shown)
    assert [line for line in lines if line.startswith("fault: ")] == [
        f"fault: {shown}".rstrip() if shown else "fault: "
    ][: len(shown)]
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, color_system="truecolor", width=90, highlight=False)
    console.print(Group(*terminal._parts(whole(text), 90)))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert "\x1b" not in plain and "\x9b" not in plain


def content(tokens: list[Token]) -> str:
    return "".join(
        part.content
        for token in tokens
        for part in [*(token.children or []), *([] if token.children else [token])]
    )


@every_text
def test_markdown_says_the_text_and_nothing_else(text):
    """Read by a Markdown parser: only the elements of the writer, and the very words."""
    document = Document(
        "t",
        (
            Heading(text),
            Paragraph(text),
            TextList((text, ListItem(text, "label"))),
            text_table(["a", "b"], [[text, "x"]]),
        ),
    )
    tokens = MARKDOWN.parse(render(document, "markdown"))
    kinds = [token.type for token in tokens if token.type.endswith("_open")]
    shown = words(plain_text(text))
    empty = not plain_text(text).strip()
    cells = [
        "table_open",
        "thead_open",
        "tr_open",
        *["th_open"] * 2,
        "tbody_open",
        "tr_open",
        *["td_open"] * 2,
    ]
    items = ["bullet_list_open", "list_item_open", "paragraph_open", "list_item_open", "paragraph_open"]
    if not empty:
        assert kinds == ["heading_open", "heading_open", "paragraph_open", *items, *cells]
    for token in tokens:
        for part in token.children or []:
            assert part.type in ("text", "text_special", "strong_open", "strong_close"), part
    assert words(content(tokens)) == "t" + shown * 3 + "label:" + shown + "ab" + shown + "x"


@every_text
def test_markdown_keeps_looks_apart_from_the_words(text):
    """Bold, italic, code and links show the very words, whatever stands beside them."""
    looks = [
        Phrase(text, "strong"),
        Phrase(text, "emphasis"),
        Phrase(text, "code"),
        Phrase(text, link="https://a.b/c"),
    ]
    for phrase in looks:
        for around in ("", "x", ".", "]", "("):
            document = Document(
                "t", (Paragraph((around or "y ", phrase, around or " y")), text_table(["a"], [[phrase]]))
            )
            tokens = MARKDOWN.parse(render(document, "markdown"))
            markup = {
                part.content
                for token in tokens
                for part in token.children or []
                if part.type == "html_inline"
            }
            assert markup <= {"<b>", "</b>", "<i>", "</i>", "<code>", "</code>"}
            texts = [part for token in tokens for part in token.children or [] if part.type != "html_inline"]
            said = words("".join(part.content for part in texts))
            shown = words(plain_text(text))
            assert said == "t" + (around or "y") + shown + (around or "y") + "a" + shown
            links = {part.attrGet("href") for part in texts if part.type == "link_open"}
            assert links == ({"https://a.b/c"} if phrase.link and shown else links and {"https://a.b/c"})


@every_text
def test_html_is_whole_and_says_the_text(text):
    page = render(whole(text), "html")
    root = parse(page)
    allowed = {
        "html",
        "head",
        "meta",
        "link",
        "title",
        "style",
        "body",
        "main",
        "h1",
        "h2",
        "p",
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "span",
        "b",
        "i",
        "code",
        "a",
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "figure",
        "figcaption",
        "svg",
    }
    nodes: list[Node] = list(root.all())
    assert {node.tag for node in nodes} <= allowed
    for node in nodes:
        assert not any(name.startswith("on") or name == "src" for name in node.attributes)
        assert node.attributes.get("href") in (None, "https://a.b", "data:,")
    shown = words(plain_text(text))
    assert words("".join(heading.text for heading in root.all("h1"))) == shown
    assert words(root.one("figcaption").text) == shown
    assert words(next(root.all("td")).text) == shown
    assert words(root.one("div", role="img")["aria-label"]) == shown


COMMANDS = {
    "section*",
    "subsection*",
    "subsubsection*",
    "begin",
    "end",
    "item",
    "textbf",
    "emph",
    "texttt",
    "href",
    "footnotesize",
} | {
    "multicolumn",
    "linewidth",
    "caption",
    "toprule",
    "midrule",
    "bottomrule",
    "usepackage",
}
SYMBOLS = {
    command for value in latex.SPECIAL.values() for command in re.findall(r"\\([A-Za-z]+|.)", value)
} | {"\\"}


@every_text
def test_latex_has_only_the_commands_of_the_writer_and_balanced_braces(text):
    written = render(whole(text), "latex")
    assert set(re.findall(r"\\((?:sub)*section\*|[A-Za-z]+|.)", written)) <= COMMANDS | SYMBOLS
    bare = re.sub(r"\\[&%$#_{}\\]", "", written)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert not re.search(r"\\\\\s*[\[*]|\\item [\[]", written)  # read as the argument of a line's end
    assert "%" not in bare.removeprefix("% needs")


def test_an_address_brings_no_command_into_latex():
    link = r"https://a.b/50%_#x&y~{}\input{/etc/passwd}"
    written = render(Document("", (Paragraph(Phrase("there", link=link)),)), "latex")
    address = r"https://a.b/50\%\_\#x\&y\textasciitilde{}\{\}\textbackslash{}input\{/etc/passwd\}"
    assert rf"\href{{{address}}}{{there}}" in written


@every_text
def test_latex_can_be_read_back(text):
    back = {value: key for key, value in latex.SPECIAL.items()} | {"{}": ""}
    pattern = re.compile("|".join(map(re.escape, sorted(back, key=len, reverse=True))))
    shown = plain_text(text)
    assert pattern.sub(lambda match: back[match[0]], latex.escaped(shown)) == shown.replace("''", "”")


@every_text
def test_json_has_the_text(text):
    value = json.loads(render(whole(text), "json"))
    assert value["kind"] == "Document" and value.get("title", "") == plain_text(text)
    assert [block["kind"] for block in value["blocks"]][:4] == [
        "Heading",
        "Paragraph",
        "Paragraph",
        "TextTable",
    ]


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "JAVASCRIPT:x",
        "java\nscript:x",
        "vbscript:x",
        "file:///etc/passwd",
        "https://a b",
    ],
)
def test_addresses_that_are_more_than_an_address_are_dropped(link):
    page = parse(render(Document("t", (Paragraph(Phrase("word", link=link)),)), "html"))
    assert not list(page.all("a")) and page.one("p").text == "word"
    assert "](" not in render(Document("t", (Paragraph(Phrase("word", link=link)),)), "markdown")


@pytest.mark.parametrize(
    "link",
    [
        "https://a.b/c?d=e&f=g",
        "http://a.b",
        "mailto:a@b.c",
        "#part",
        "docs/compare.md",
        "../x",
        "report.html",
    ],
)
def test_addresses_stay(link):
    page = parse(render(Document("t", (Paragraph(Phrase("word", link=link)),)), "html"))
    assert page.one("a")["href"] == link


def test_a_figure_is_drawn_in_html_and_said_elsewhere():
    figure = Document("", (Figure("Caption", "what it shows", Markup("<svg></svg>")),))
    page = parse(render(figure, "html")).one("figure")
    assert page.one("div", role="img")["aria-label"] == "what it shows" and page.one("svg")
    assert page.one("figcaption").text == "Caption"
    assert render(figure, "markdown") == "**Caption**: what it shows\n"
    assert r"\textbf{Caption}: what it shows" in render(figure, "latex")
    assert render(figure, "terminal") == "Caption\n  what it shows\n"


def test_what_stands_between_backticks_is_code():
    assert with_code("run `dvc repro` or `make`.") == (
        "run ",
        Phrase("dvc repro", "code"),
        " or ",
        Phrase("make", "code"),
        ".",
    )
    assert plain_text(with_code("no `end")) == "no `end"


TABLE = TextTable(
    (
        Column("", "left"),
        Column("paper"),
        Column("interval", drop=2),
        Column("CV*", drop=1),
        Column("verdict", "left", least=10),
    ),
    (
        RowGroup(
            (TextRow(("SQuAD", "92.0", "[-40.29, 214.36]", "13.25", TextCell("not comparable", "open"))),),
            "one",
            "RoBERTa",
        ),
        RowGroup(
            (
                TextRow(("NaturalQuestions", "1.0", "-", "-", "exact")),
                TextRow(("average", "1.0", "-", "-", "exact"), strong=True),
            ),
            "two",
        ),
    ),
)


def test_the_columns_of_all_groups_are_equally_wide_and_narrow_terminals_drop_secondary_ones():
    assert terminal.column_widths(TABLE, 100) == {0: 16, 1: 5, 2: 16, 3: 5, 4: 14}
    assert terminal.column_widths(TABLE, 16 + 5 + 16 + 5 + 14 + 8) == {0: 16, 1: 5, 2: 16, 3: 5, 4: 14}
    assert terminal.column_widths(TABLE, 16 + 5 + 16 + 5 + 10 + 8) == {0: 16, 1: 5, 2: 16, 3: 5, 4: 10}
    assert terminal.column_widths(TABLE, 16 + 5 + 16 + 5 + 10 + 7) == {0: 16, 1: 5, 2: 16, 4: 14}
    assert terminal.column_widths(TABLE, 50) == {0: 16, 1: 5, 4: 14}
    assert terminal.column_widths(TABLE, 25) == {0: 8, 1: 5, 4: 8}
    text = render(Document("title", (TABLE,)), "terminal")
    assert text == (
        "title\n\nRoBERTa\n  one\n"
        "                      paper          interval    CV*  verdict\n"
        "    SQuAD              92.0  [-40.29, 214.36]  13.25  not comparable\n"
        "  two\n"
        "    NaturalQuestions    1.0                 -      -  exact\n"
        "    average             1.0                 -      -  exact\n"
    )


def test_no_heading_loses_a_letter_and_a_long_word_is_broken():
    columns = (Column("row", "left", least=4), Column("commonsense and more", least=6), Column("n", drop=1))
    table = text_table(columns, [["internationalization", "1", "2"]])
    assert terminal.column_widths(table, 60) == {0: 20, 1: 20, 2: 1}
    assert terminal.column_widths(table, 20) == {0: 4, 1: 11, 2: 1}
    assert terminal.column_widths(table, 19) == {0: 4, 1: 13}
    assert terminal.column_widths(table, 9) == {0: 4, 1: 11}  # the heading's longest word stays whole
    stream = io.StringIO()
    Console(file=stream, width=22, color_system=None).print(
        Group(*terminal._parts(Document("", (table,)), 22))
    )
    lines = [line.rstrip() for line in stream.getvalue().splitlines()]
    assert lines == [
        "        commonsense",
        "  row      and more  n",
        "  inte            1  2",
        "  rnat",
        "  iona",
        "  liza",
        "  tion",
    ]


def test_a_group_is_a_first_column_in_markdown_and_a_row_elsewhere():
    assert render(Document("title", (TABLE,), level=3), "markdown") == (
        "### title\n\n"
        "| row | | paper | interval | CV\\* | verdict |\n| --- | --- | ---: | ---: | ---: | --- |\n"
        "| RoBERTa one | SQuAD | 92.0 | [-40.29, 214.36] | 13.25 | not comparable |\n"
        "| two | NaturalQuestions | 1.0 | - | - | exact |\n"
        "| two | **average** | **1.0** | - | - | **exact** |\n"
    )
    assert r"\multicolumn{5}{l}{\textbf{RoBERTa one}} \\" in render(Document("title", (TABLE,)), "latex")
    page = parse(render(Document("title", (TABLE,)), "html"))
    assert [row.text for row in page.all("tr", "group")] == ["RoBERTa one", "two"]
    assert page.one("td", "open").text == "not comparable"


def test_lines_that_are_not_to_be_broken_stay_whole():
    long = "word " * 60 + "end"
    blocks = (
        Remark(long, "fault", "bad"),
        TextList((ListItem(long, "a"),)),
        text_table(["a", "b"], [["x", long]]),
    )
    assert (
        sum(
            line.endswith(" end")
            for line in render(Document("t", blocks, wrapped=False), "terminal").splitlines()
        )
        == 3
    )
    assert max(map(len, render(Document("t", blocks), "terminal").splitlines())) <= terminal.WIDTH


def test_a_document_without_a_title_begins_with_its_first_block():
    document = Document("", (Paragraph("first"), text_table(["a", "b"], [["x", "1"]])))
    assert render(document, "markdown") == "first\n\n| a | b |\n| --- | ---: |\n| x | 1 |\n"
    assert render(document, "terminal") == "first\n\n  a  b\n  x  1\n"
    assert not list(parse(render(document, "html")).all("h1"))
    assert "section" not in render(document, "latex")


def test_files_and_the_output_get_what_was_asked_for(tmp_path, capsys):
    document = Document("t", (Paragraph("p"),))
    write_document(document, ["markdown", "json", "html"], tmp_path / "a.b" / "x", {"json": lambda: "{}"})
    assert sorted(path.name for path in (tmp_path / "a.b").iterdir()) == ["x.html", "x.json", "x.md"]
    assert (tmp_path / "a.b" / "x.json").read_text() == "{}"
    assert [line.removeprefix("wrote ") for line in capsys.readouterr().err.splitlines()] == [
        str(tmp_path / "a.b" / name) for name in ("x.md", "x.json", "x.html")
    ]
    write_document(document, ["markdown"], tmp_path / "only.txt")
    assert (tmp_path / "only.txt").read_text() == "# t\n\np\n"
    capsys.readouterr()
    write_document(document, ["terminal"])
    write_document(document, ["latex"])
    assert capsys.readouterr().out == render(document, "terminal") + render(document, "latex")


@pytest.mark.parametrize(
    ("text", "out", "message"),
    [
        ("pdf", None, "--format 'pdf': not allowed: of terminal, markdown"),
        ("markdown,", None, "--format '': not allowed: of terminal, markdown"),
        ("markdown,terminal", None, "--format markdown,terminal: several formats need --out"),
    ],
)
def test_formats_that_cannot_be_are_refused(text, out, message):
    with pytest.raises(ConfigError, match=message):
        chosen_formats(text, ["terminal", "markdown"], out)
    assert chosen_formats("markdown,markdown", ["terminal", "markdown"], None) == ["markdown"]
    assert chosen_formats("markdown, terminal,markdown", ["terminal", "markdown"], Path("x")) == [
        "markdown",
        "terminal",
    ]


def test_what_lacks_least_gets_its_room_first_and_notes_are_as_wide_as_the_table():
    note = "a note longer than all columns of its row, on lines of its own that are as wide as they may be"
    columns = (Column("claim", "left", least=20), Column("ours"), Column("verdict", "left", least=6))
    rows = (
        TextRow(("a claim of some thirty letters", "1.0", "contradicted"), (note,)),
        TextRow(("another", "2.0", "upheld")),
        TextRow(("a third", "3.0", "upheld")),
    )
    table = TextTable(columns, (RowGroup(rows),))
    assert terminal.column_widths(table, 46) == {0: 26, 1: 4, 2: 12}
    text = render(Document("", (table,)), "terminal")
    assert text == (
        "  claim                           ours  verdict\n"
        "  a claim of some thirty letters   1.0  contradicted\n"
        f"  {note}\n"
        "\n"
        "  another                          2.0  upheld\n"
        "\n"
        "  a third                          3.0  upheld\n"
    )


def test_blocks_of_the_terminal_stand_apart():
    table, nested = text_table(["a"], [["1"]]), TextList((ListItem("x", items=("y",)), "z"))
    text = render(Document("", (table, table, nested, nested, Heading("h", 3), Heading("i", 4))), "terminal")
    parts = ["  a\n  1", "  a\n  1", "- x\n  - y", "- z", "- x\n  - y", "- z", "h\ni"]
    assert text == "\n\n".join(parts) + "\n"


def test_only_columns_of_long_texts_wrap_in_latex():
    columns = (Column("row", "left", least=10), Column("n"), Column("verdict", "left", least=10))
    short = render(Document("", (text_table(columns, [["a", "1", "b"]]),)), "latex")
    long = render(Document("", (text_table(columns, [["a" * 31, "1", "b"]]),)), "latex")
    assert r"\begin{longtable}{lrl}" in short and r"\begin{longtable}{p{0.5\linewidth}rl}" in long
