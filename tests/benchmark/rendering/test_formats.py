"""The same document in every format, letter by letter; where output goes; numbers and names in sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from benchmark.rendering import output, render, terminal
from benchmark.rendering.document import (
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
    labelled,
    phrases,
    text_table,
)
from benchmark.rendering.markdown import inline
from benchmark.rendering.output import output_path, usual_format, write_document
from benchmark.rendering.phrases import counted, enumerated, fixed
from benchmark.rendering.web_page import render_page
from tests.support.html_tree import parse

TABLE = TextTable(
    (Column("", "left", label="dataset"), Column("F1"), Column("verdict", "left")),
    (
        RowGroup((TextRow(("a", "1.0", TextCell("bad", "bad")), ("of a",)),), "one", "part", ("of one",)),
        RowGroup((TextRow(("mean", "-", "3"), strong=True),), "two", "part"),
    ),
    title="Title of it",
    notes=("of all",),
    group_name="arm",
)
DOCUMENT = Document(
    "Name",
    (
        Heading("Part"),
        Paragraph(("say ", Phrase("loud", "strong"), Phrase(" code", "code")), "quiet"),
        Heading("Within", 3),
        Remark("broken", "fault", "bad"),
        Remark("no label"),
        TextList((ListItem("x", "label", ("y", ListItem("z", "deep"))), ListItem("w", "other"))),
        TextList(("first", ListItem("second", "b")), numbered=True),
        TABLE,
        Figure("Drawn", "a line", Markup("<svg></svg>")),
    ),
    about="about it",
    source="numbers of ours",
    level=2,
)
MARKDOWN = """\
## Name

about it

### Part

say **loud**`  code `

#### Within

**fault**: broken

no label

- **label**: x
    - y
    - **deep**: z
- **other**: w

1. first
2. **b**: second

**Title of it**

| arm | dataset | F1 | verdict |
| --- | --- | ---: | --- |
| part one | a<br>of a | 1.0 | bad |
| part two | **mean** | - | **3** |

- part one: of one
- of all

**Drawn**: a line

<sub>numbers of ours</sub>
"""
LATEX = r"""% needs \usepackage{booktabs,longtable}
\section*{Name}
about it

\subsection*{Part}

say \textbf{loud}\texttt{ code}

\subsubsection*{Within}

\textbf{fault}: broken

no label

\begin{itemize}
\item \textbf{label}: x
\begin{itemize}
\item y
\item \textbf{deep}: z
\end{itemize}
\item \textbf{other}: w
\end{itemize}

\begin{enumerate}
\item first
\item \textbf{b}: second
\end{enumerate}

\begin{longtable}{lrl}
\caption{Title of it} \\
\toprule
 & F1 & verdict \\
\midrule
\multicolumn{3}{l}{\textbf{part one}} \\
a & 1.0 & bad \\
\multicolumn{3}{p{.95\linewidth}}{\footnotesize of a} \\
\multicolumn{3}{p{.95\linewidth}}{\footnotesize of one} \\
\midrule
\multicolumn{3}{l}{\textbf{part two}} \\
\textbf{mean} & \textbf{-} & \textbf{3} \\
\bottomrule
\end{longtable}
{\footnotesize of all}

\textbf{Drawn}: a line

{\footnotesize numbers of ours}
"""
TERMINAL = """\
Name
numbers of ours
about it

Part
say loud` code`

Within
fault: broken
no label

label  x
       -     y
       deep  z

other  w

1. first
2. b: second

Title of it
part
  one
           F1  verdict
    a     1.0  bad
    of a
    of one
  two
    mean    -  3
    of all

Drawn
  a line
"""


@pytest.mark.parametrize(
    ("form", "text"), [("markdown", MARKDOWN), ("latex", LATEX), ("terminal", TERMINAL)], ids=lambda x: x[:8]
)
def test_a_document_of_every_block_is_written_letter_by_letter(form, text):
    assert render(DOCUMENT, form) == text


def test_a_page_has_every_block_with_its_tones_scopes_and_levels():
    page = parse(render(DOCUMENT, "html"))
    assert (page.one("title").text, page.one("h1").text, page.one("h2").text, page.one("h3").text) == (
        "Name",
        "Name",
        "Part",
        "Within",
    )
    main = page.one("main")
    texts = [(node.attributes.get("class"), node.text) for node in main.all("p")]
    assert texts == [
        (None, "about it"),
        ("quiet", "numbers of ours"),
        ("quiet", "say loud code"),
        (None, "fault : broken"),
        (None, "no label"),
        ("quiet", "of all"),
    ]
    assert main.one("b", "bad").text == "fault"
    terms = main.one("dl")
    assert [node.text for node in terms.all("dt")] == ["label", "other"]
    assert [node.text for node in terms.one("ul").all("li")] == ["y", "deep : z"]
    assert [node.text for node in main.one("ol").all("li")] == ["first", "b : second"]
    table = main.one("table")
    assert (table.one("caption").text, main.one("div", "wide")["aria-label"]) == (
        "Title of it",
        "Title of it",
    )
    heads = [(node["scope"], node.text) for node in table.all("th")]
    assert heads == [
        ("col", "dataset"),
        ("col", "F1"),
        ("col", "verdict"),
        ("rowgroup", "part one"),
        ("row", "a of a"),
        ("rowgroup", "part two"),
        ("row", "mean"),
    ]
    assert [node.text for node in table.all("th", "right")] == ["F1"]
    assert [(node.attributes.get("class"), node.text) for node in table.all("td")] == [
        ("right", "1.0"),
        ("bad", "bad"),
        ("remark", "of one"),
        ("right", "-"),
        (None, "3"),
    ]
    assert table.one("tr", "strong").text == "mean - 3" and table.one("span", "notes").text == "of a"
    assert (next(main.all("b")).text, main.one("code").text) == ("loud", "code")
    untitled = parse(render(Document("", (text_table(["a"], [["x"]]),)), "html"))
    assert not list(untitled.all("caption")) and not list(untitled.all("h1"))
    assert [node.text for node in untitled.all("th")] == ["a", "x"]


def test_looks_tones_and_links_are_elements_one_within_the_other():
    phrase = Phrase("a<b", "emphasis", "good", "https://x.y?a=1&b=2")
    page = render(Document("", (Paragraph(phrase),)), "html")
    assert '<a href="https://x.y?a=1&amp;b=2"><span class="good"><i>a&lt;b</i></span></a>' in page
    written = render(Document("", (Paragraph(Phrase("word", "emphasis", link="#a")),)), "latex")
    assert r"\href{\#a}{\emph{word}}" in written
    shown = (
        ("see ", Phrase("it", link="docs/a.md"), "."),
        Phrase("https://a.b", link="https://a.b"),
        Phrase("make", "code"),
    )
    blocks = tuple(Paragraph(text) for text in shown)
    assert render(Document("", blocks), "terminal") == "see it <docs/a.md>.\nhttps://a.b\n`make`\n"
    assert render(Document("", blocks), "markdown") == (
        "see [it](<docs/a.md>).\n\n[https://a.b](<https://a.b>)\n\n`make`\n"
    )
    items = (TextList((Phrase("it", link="#a"), (" ", Phrase("it", link="#a")), "[it](<#a>)")),)
    assert render(Document("", items), "markdown") == "- [it](<#a>)\n- [it](<#a>)\n- \\[it\\](\\<#a\\>)\n"


def test_a_list_within_a_list_stands_apart_from_the_next_entry_alone():
    nested = (ListItem("x", items=("y",)), ListItem("z", items=("w",)))
    assert render(Document("", (TextList(nested),)), "terminal") == "- x\n  - y\n\n- z\n  - w\n"


def test_json_leaves_out_what_is_empty_and_keeps_what_is_not():
    document = Document(
        "t",
        (
            TextList(("a", ListItem(("b", Phrase("c", "code", link="#d")))), numbered=True),
            text_table([Column("n", drop=2)], [TextRow((TextCell("1", "good"),), strong=True)]),
        ),
    )
    assert json.loads(render(document, "json")) == {
        "kind": "Document",
        "title": "t",
        "blocks": [
            {
                "kind": "TextList",
                "items": [
                    "a",
                    {
                        "kind": "ListItem",
                        "text": [{"text": "b"}, {"text": "c", "look": "code", "link": "#d"}],
                    },
                ],
                "numbered": True,
            },
            {
                "kind": "TextTable",
                "columns": [{"kind": "Column", "name": "n", "align": "right", "drop": 2, "least": 0}],
                "groups": [
                    {
                        "kind": "RowGroup",
                        "rows": [
                            {
                                "kind": "TextRow",
                                "cells": [{"kind": "TextCell", "text": "1", "tone": "good"}],
                                "strong": True,
                            }
                        ],
                    }
                ],
                "group_name": "row",
            },
        ],
        "level": 1,
        "wrapped": True,
    }
    assert render(document, "json").endswith("}\n") and "é" in render(Document("é", ()), "json")


def test_a_first_table_without_a_title_has_the_documents_in_latex():
    table = text_table(["a", Column("b", least=1), Column("c", least=1)], [["x", "y" * 31, "z" * 31]])
    written = render(Document("Name", (table, table), about="about"), "latex")
    assert written.startswith(
        "% needs \\usepackage{booktabs,longtable}\n\n"
        "\\begin{longtable}{lp{0.25\\linewidth}p{0.25\\linewidth}}\n"
        "\\caption{Name about} \\\\\n\\toprule\na & b & c \\\\\n\\midrule\nx & "
    )
    assert written.count(r"\caption") == 1 and r"\section" not in written
    titled = render(Document("Name", (text_table(["a"], [["x"]], "Own"),)), "latex")
    assert r"\section*{Name}" in titled and r"\caption{Own} \\" in titled
    whole = text_table([Column("a", "left"), Column("b", least=1)], [["x" * 31, "y"]])
    assert r"\begin{longtable}{lr}" in render(Document("", (whole,)), "latex")  # that may not be wrapped
    at_most = text_table([Column("a", "left", least=1)], [["x" * 30]])
    assert r"\begin{longtable}{l}" in render(Document("", (at_most,)), "latex")


def test_a_terminal_shows_tones_in_colours(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    long = Phrase("word " * 12 + "end", tone="open")
    table = text_table(["a", "v"], [["x", TextCell("fine", "good")]])
    terminal.print_document(
        Document("Name", (Remark("it", "fault", "bad"), table, Paragraph(long)), source="s")
    )
    shown = capsys.readouterr().out
    for piece in (
        "\x1b[1mName\x1b[0m",
        "\x1b[2ms\x1b[0m",
        "\x1b[1;31mfault: ",
        "\x1b[32mfine\x1b[0m",
        "\x1b[33mword ",
    ):
        assert piece in shown, piece
    assert shown.count("\x1b[33m") == 2  # as wide as the terminal


def test_a_label_and_the_addresses_of_phrases():
    assert labelled("l", ("a", "b")) == (Phrase("l", "strong"), ": ", "a", "b")
    assert labelled("", "a") == "a"
    assert phrases(("", Phrase("a", link="java:x"))) == (Phrase("a"),)
    assert [RowGroup((), title, section).name for title, section in (("t", "s"), ("t", ""), ("", "s"))] == [
        "s t",
        "t",
        "s",
    ]
    assert [column.align for column in text_table(["a", "b", Column("c", "left")], []).columns] == [
        "left",
        "right",
        "left",
    ]


# --- where output goes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "form", "several", "path"),
    [
        ("reports/x", "markdown", False, "reports/x.md"),
        ("reports/x.txt", "markdown", False, "reports/x.txt"),  # the only one: as it was named
        ("reports/x", "latex", True, "reports/x.tex"),
        ("reports/table_A.10", "markdown", True, "reports/table_A.10.md"),
        ("reports/table_A.10", "json", True, "reports/table_A.10.json"),
        ("v1.2/x", "terminal", False, "v1.2/x.txt"),
        ("v1.2/x", "html", True, "v1.2/x.html"),
    ],
)
def test_a_formats_suffix_is_put_to_the_whole_name(out, form, several, path):
    assert output_path(Path(out), form, several) == Path(path)


def test_a_schema_of_its_own_is_written_for_its_format_alone(tmp_path, capsys):
    document, texts = Document("t", ()), {"json": lambda: "own"}
    write_document(document, ["json"], None, texts)
    assert capsys.readouterr().out == "own"
    write_document(document, ["terminal", "json"], tmp_path / "x.y", texts)
    assert (tmp_path / "x.y.txt").read_text() == "t\n" and (tmp_path / "x.y.json").read_text() == "own"
    assert capsys.readouterr().out == ""


def test_the_usual_format_depends_on_where_output_goes(monkeypatch):
    for terminal_there, form in ((True, "terminal"), (False, "markdown")):
        monkeypatch.setattr(output.sys.stdout, "isatty", lambda there=terminal_there: there)
        assert usual_format() == form


def test_a_page_lacks_no_value_and_values_are_no_markup():
    with pytest.raises(UndefinedError):
        render_page("document.html.j2", document=Document("t", (Paragraph("p"),)))


# --- sentences ----------------------------------------------------------------------------------------------


def test_numbers_and_names_in_sentences():
    assert [counted(number, "run") for number in (0, 1, 2, 2000)] == [
        "0 runs",
        "1 run",
        "2 runs",
        "2,000 runs",
    ]
    assert [enumerated("abcd"[:number]) for number in range(5)] == [
        "",
        "a",
        "a, b",
        "a, b, c",
        "a, b, c and 1 other",
    ]
    assert enumerated((str(index) for index in range(2000)), 2) == "0, 1 and 1,998 others"
    assert [fixed(value, 1, True) for value in (None, -1.25, 0.0, 2.0)] == ["–", "−1.2", "+0.0", "+2.0"]
    assert (fixed(-1.255), fixed(1e3, 0)) == ("−1.25", "1000") and fixed(0.0) == "0.00"


@pytest.mark.parametrize(
    ("text", "in_table", "shown"),
    [
        ((".", Phrase("a", "strong"), "."), False, ".**a**."),  # marks count beside spaces and punctuation
        (("x", Phrase("a", "strong"), "."), False, "x<b>a</b>."),
        ((".", Phrase("a", "emphasis"), "x"), False, ".<i>a</i>x"),
        ((".", Phrase(" a", "emphasis"), "."), False, ".<i> a</i>."),
        (Phrase("a|b", "code"), False, "`a|b`"),
        (Phrase("a|b", "code"), True, r"<code>a\|b</code>"),  # a bar would end the cell
        (Phrase("ab", "code"), True, "`ab`"),
        (Phrase(" ", "code"), False, "<code> </code>"),
        (Phrase("`a", "code"), False, "`` `a ``"),
        (Phrase("a`", "code"), False, "`` a` ``"),
        (("a]", "(b)"), False, r"a]\(b)"),  # no link by chance
        (("a]", "b"), False, "a]b"),
        (("a]", Phrase("(b)", link="#x")), False, "a][(b)](<#x>)"),
        (("a]", Phrase("(b)", "code")), False, "a]`(b)`"),
        (("a]", Phrase("(b)", "strong")), False, "a]**(b)**"),
    ],
)
def test_markdown_marks_by_what_stands_beside_them(text, in_table, shown):
    assert inline(text, in_table=in_table) == shown


def test_a_document_without_blocks_is_its_title_in_latex():
    assert r"\section*{Name}" in render(Document("Name", ()), "latex")
