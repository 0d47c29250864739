"""`python -m benchmark.data`: what it prints, what it writes, and its exit status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmark import data
from benchmark.acquisition.dataset_table import beside_the_paper, table_1
from benchmark.acquisition.inspection import inspected, marked, mrqa_files, split_of
from benchmark.cli.text import short
from benchmark.paper import tables as papers
from benchmark.rendering.document import phrases, plain_text
from bmt.errors import ConfigError, DataError
from bmt.qa.features import build
from bmt.qa.irregularities import ReadingReport
from bmt.settings import DataSettings
from tests.support import project
from tests.support.mrqa_files import HEADER, corpus, passage, question, write
from tests.support.tiny_tokenizers import fast

CONTEXT = "[PAR] The old mill was built in 1804.\nIt was old."


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A repository's root of its own."""
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    return tmp_path


@pytest.fixture
def folder(root):
    """Raw files of three datasets: SQuAD train and dev, DROP dev, and one that nobody knows."""
    raw = root / "raw"
    write(raw / "in_domain" / "SQuAD.train.jsonl.gz", corpus(4))
    write(
        raw / "in_domain" / "SQuAD.dev.jsonl.gz",
        [HEADER, passage(CONTEXT, question(CONTEXT, "old", "d1"), question(CONTEXT, "1804", "d2"))],
    )
    drop = [
        {"header": {"dataset": "DROP", "split": "dev"}},
        passage("in 1804", question("in 1804", "1804", "r1"), question("in 1804", "x", "r2")),
    ]
    write(raw / "out_of_domain" / "DROP.dev.jsonl.gz", drop)
    write(
        raw / "Mine.jsonl",
        [{"header": {"dataset": "Mine"}}, passage("old mill", question("old mill", "mill", "m1"))],
    )
    return raw


def run(*arguments):
    return data.main(list(map(str, arguments)))


@pytest.mark.parametrize("words", [["stats"], ["check"], ["show", "7"]])
def test_params_and_profile_stand_before_the_subcommand_or_after_it(words, capsys):
    for option, value in (("--params", "x.yaml"), ("--profile", "mini")):
        wanted = {"params": None, "profile": None} | {option.removeprefix("--"): value}
        for line in ([option, value, *words], [*words, option, value]):
            options = vars(data.parse_arguments(line))
            assert {name: options[name] for name in wanted} == wanted
    options = data.parse_arguments(words)
    assert (options.params, options.profile) == (None, None)
    for line in (
        ["--params", "x", *words, "--profile", "y"],
        ["--profile", "y", *words, "--params", "x"],
        [*words, "--params", "x", "--profile", "y"],
    ):
        with pytest.raises(SystemExit) as left:
            data.parse_arguments(line)
        assert left.value.code == 2
        assert re.match(r"error: argument --(params|profile): not allowed with ", capsys.readouterr().err)


def test_stats_prints_a_line_a_file_in_the_papers_order(folder, capsys):
    assert run("stats", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[3:7]] == [
        ["SQuAD", "train"],
        ["SQuAD", "dev"],
        ["DROP", "dev"],
        ["Mine", "?"],
    ]
    assert lines[2].split() == [
        "dataset",
        "split",
        "contexts",
        "questions",
        "spans",
        "Q",
        "words",
        "C",
        "words",
        "irregular",
    ]
    assert lines[4].split() == ["SQuAD", "dev", "1", "2", "3", "4.0", "11.0", "0"]
    assert lines[5].split() == ["DROP", "dev", "1", "2", "1", "4.0", "2.0", "1"]
    assert (
        lines[8].startswith("no file of HotpotQA, TriviaQA")
        and "SQuAD" not in lines[8]
        and "TextbookQA" in lines[8]
    )


def test_stats_prints_table_1_beside_the_papers(folder, capsys):
    assert run("stats", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.replace("no data", "none").split()[1:] for line in lines[12:24]}
    train = str(sum(len(line["qas"]) for line in corpus(4)[1:]))
    assert lines[10].startswith("Table 1 of the paper, beside these files")
    names = [f"{name} {whose}" for name in ("Q", "C", "Train", "Dev", "Test") for whose in ("paper", "ours")]
    assert lines[11].split() == f"dataset {' '.join(names)}".split()
    assert (
        len(table) == 12
        and table["SQuAD"][:2] == ["11", "4.0"]
        and table["SQuAD"][4:] == ["86588", train, "10507", "2", "-", "-"]
    )
    assert table["DROP"] == ["11", "4.0", "243", "2.0", "-", "-", "1503", "2", "1501", "none"]
    assert table["TextbookQA"] == ["11", "none", "657", "none", "-", "-", "1503", "none", "1508", "none"]
    assert lines[24:26] == ["  Q, C: mean words of a question, of its context; counts are questions", ""]
    assert lines[26:] == ["0 of the 18 Train and Dev counts that the paper prints are these files'"]


def test_table_1_counts_what_agrees():
    rows = {
        "SQuAD": {"Q": 11.2, "C": 137.0, "Train": 86588, "Dev": 10507, "Test": None},
        "HotpotQA": {"Train": 72928, "Dev": 5901},
    }
    table, said = beside_the_paper(rows, papers.load().tables["1"])
    assert table.groups[0].rows[0].cells == (
        "SQuAD",
        "11",
        "11.2",
        "137",
        "137.0",
        "86588",
        "86588",
        "10507",
        "10507",
        "-",
        "-",
    )
    assert said.text == "3 of the 18 Train and Dev counts that the paper prints are these files'"
    more = {"SQuAD": rows["SQuAD"] | {"Train": 86589.0}, "HotpotQA": {"Train": 72928, "Dev": 9999}}
    _, said = beside_the_paper(more, papers.load().tables["1"])
    assert said.text == "2 of the 18 Train and Dev counts that the paper prints are these files'"


def test_words_are_the_train_files_where_there_is_one():
    """Else the dev file's; counts are each split's own."""

    def report(dataset: str, questions: int, words: int) -> ReadingReport:
        return ReadingReport(
            dataset=dataset,
            questions=questions,
            question_tokens=words * questions,
            context_tokens=10 * words * questions,
        )

    reports = [
        ("dev", report("SQuAD", 2, 5)),
        ("train", report("SQuAD", 4, 7)),
        ("train", report("NewsQA", 3, 6)),
        ("dev", report("DROP", 1, 8)),
        ("test", report("RACE", 1, 9)),
        ("dev", report("Mine", 1, 1)),
    ]
    made = table_1(reports, "p")
    assert made == {"schema": 1, "table": "1", "profile": "p", "backbone": None, "rows": made["rows"]}
    assert made["rows"] == {
        "SQuAD": {"Q": 7.0, "C": 70.0, "Train": 4, "Dev": 2, "Test": None},
        "NewsQA": {"Q": 6.0, "C": 60.0, "Train": 3, "Dev": None, "Test": None},
        "DROP": {"Q": 8.0, "C": 80.0, "Train": None, "Dev": 1, "Test": None},
    }


def test_a_files_split_is_what_its_name_says_else_its_header(tmp_path):
    for name, header, split in (
        ("SQuAD.dev.jsonl.gz", "train", "dev"),
        ("a.test.jsonl", "", "test"),
        ("development.jsonl", "train", "train"),
        ("train.jsonl", "dev", "train"),
        ("a.jsonl", "", "?"),
    ):
        assert split_of(tmp_path / name, ReadingReport(split=header)) == split


def test_files_are_all_there_are_in_order_but_no_hidden_ones(tmp_path):
    for name in ("b/a.jsonl", "c.jsonl.gz", "a.jsonl.gz", "a.jsonl", ".h.jsonl", "b/.p.jsonl.gz", "d.json"):
        write(tmp_path / name, [HEADER])
    there = [str(path.relative_to(tmp_path)) for path in mrqa_files(tmp_path)]
    assert there == ["a.jsonl", "a.jsonl.gz", "b/a.jsonl", "c.jsonl.gz"]


def test_without_a_folder_the_profiles_own_is_looked_at(root, monkeypatch):
    project.write_params(root, project.params(["bert"], ["bert.mt.none.s0"], profile="tiny"))
    folder, places = inspected(None, None)
    assert (folder, places.profile) == (root / "data" / "raw" / "tiny", "tiny")
    mine = root / "mine.yaml"
    mine.write_text((root / "params.yaml").read_text().replace("profile: tiny", "profile: other"))
    assert inspected(None, str(mine))[0] == root / "data" / "raw" / "other"
    (root / "raw").mkdir()
    monkeypatch.chdir(root / "raw")
    folder, places = inspected(".", None)
    assert (str(folder), places.profile, places.root) == (".", "raw", root), "a folder goes by its own name"


def test_files_of_no_known_dataset_have_no_table_1(root, capsys):
    write(root / "x" / "Mine.jsonl", [{"header": {"dataset": "Mine"}}, passage("a", question("a", "a"))])
    assert run("stats", root / "x") == 0
    out = capsys.readouterr().out
    assert "Mine" in out and "Table 1" not in out


def test_stats_json_is_table_1_as_compare_reads_it(folder, root, capsys):
    from benchmark.runs.results import read_facts

    assert run("stats", folder, "--json") == 0
    written = root / "results" / "raw" / "table_1.json"
    assert capsys.readouterr().out.splitlines()[-1] == f"wrote {written}"
    facts, fault = read_facts(written.parent, "1")
    assert fault is None and facts["profile"] == "raw"
    assert set(facts["rows"]) == {"SQuAD", "DROP"}
    assert facts["rows"]["DROP"] == {"Q": 4.0, "C": 2.0, "Train": None, "Dev": 2, "Test": None}
    assert facts["rows"]["SQuAD"]["Dev"] == 2 and facts["rows"]["SQuAD"]["Train"] == sum(
        len(line["qas"]) for line in corpus(4)[1:]
    )
    assert facts["rows"]["SQuAD"]["C"] > 11, "of the train file"


def test_stats_stops_at_a_file_that_cannot_be_read(folder):
    write(folder / "in_domain" / "NewsQA.dev.jsonl.gz", [HEADER, b"{"])
    with pytest.raises(DataError, match=r"NewsQA\.dev\.jsonl\.gz, line 2: not JSON"):
        run("stats", folder)


def test_check_reports_every_file_and_goes_on_after_a_broken_one(folder, capsys):
    broken = write(
        folder / "in_domain" / "NewsQA.dev.jsonl.gz",
        [HEADER, passage(CONTEXT, question(CONTEXT, "old")), b"{"],
    )
    assert run("check", folder) == 1
    out = capsys.readouterr().out
    drop = folder / "out_of_domain" / "DROP.dev.jsonl.gz"
    assert f"error: {broken}, line 3: not JSON" in out
    assert (
        f"{drop}: question without a usable span: 1 (question dropped from training, scored in a dev file)\n"
        in out
    )
    assert f"{drop}, line 2: question 'r2': question without a usable span: answers ['x']\n" in out
    assert f"{drop}: 1 contexts, 2 questions, 1 spans; 1 irregular\n" in out
    assert f"{folder / 'Mine.jsonl'}: 1 contexts, 1 questions, 1 spans; nothing irregular\n" in out
    questions = sum(len(line["qas"]) for line in corpus(4)[1:]) + 2 + 2 + 1 + 1
    assert out.splitlines()[-1] == (
        f"5 files, {questions} questions: 1 files with irregularities, 1 not read to their end"
    )
    broken.unlink()
    assert run("check", folder) == 0
    capsys.readouterr()
    assert run("check", folder, "--list", "0") == 0
    assert "question 'r2'" not in capsys.readouterr().out


def test_a_file_can_be_irregular_and_not_be_read_to_its_end(root, capsys):
    file = write(
        root / "x" / "SQuAD.dev.jsonl", [HEADER, passage(CONTEXT, question(CONTEXT, "absent", "q")), b"{"]
    )
    assert run("check", root / "x") == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"{file}, line 2: question 'q': question without a usable span: answers ['absent']" in lines
    assert lines[-1] == "1 files, 1 questions: 1 files with irregularities, 1 not read to their end"


def test_what_is_usual_is_told_and_is_no_irregularity(root, capsys):
    double = question(CONTEXT, "1804")
    double["detected_answers"] *= 2
    other = question(CONTEXT, "old", "q2")
    file = write(root / "x" / "SQuAD.dev.jsonl", [HEADER, passage(CONTEXT, double), passage(CONTEXT, other)])
    assert run("check", root / "x", "--strict") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f"{file}: 2 contexts, 2 questions, 3 spans, 1 duplicate spans, 1 repeated contexts; "
        "nothing irregular",
        "1 files, 2 questions: 0 files with irregularities, 0 not read to their end",
    ]


def test_places_are_listed_up_to_the_number_that_is_asked_for(root, capsys):
    asked = [question(CONTEXT, "absent", f"q{number}") for number in range(12)]
    file = write(root / "x" / "SQuAD.dev.jsonl", [HEADER, passage(CONTEXT, *asked)])
    for options, most in (((), 10), (("--list", "2"), 2), (("--list", "20"), 12)):
        assert run("check", root / "x", *options) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum("line 2: question" in line for line in lines) == most
        more = f"{file}: and {12 - most} more places"
        assert (more in lines) == (most < 12)


def test_check_strict_fails_on_an_irregularity(folder, capsys):
    assert run("check", folder / "in_domain", "--strict") == 0
    assert run("check", folder, "--strict") == 1
    assert (
        "DROP.dev.jsonl.gz, line 2: question 'r2': question without a usable span" in capsys.readouterr().out
    )
    with pytest.raises(ConfigError, match="--list: -1 is not allowed"):
        run("check", folder, "--list", "-1")


def test_show_marks_spans_in_the_context_and_in_every_window(folder, root, capsys):
    settings = DataSettings(window=14, overlap=4, question=4)
    file = folder / "in_domain" / "SQuAD.dev.jsonl.gz"
    made = build(
        file, fast("bert"), settings, root / "data" / "features" / "raw" / "tiny" / "SQuAD.dev", train=False
    )
    build(
        file,
        fast("bert"),
        replace(settings, window=60),
        root / "data" / "features" / "raw" / "wide" / "SQuAD.dev",
        train=False,
    )
    assert run("show", "d1", "--data", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"SQuAD  d1  ({short(file)}, context ") and lines[1] == ""
    assert lines[2:5] == ["question  Where is old?", "answers   old", "spans     characters 10–13, 45–48"]
    assert lines[5] == "context   [PAR] The «old» mill was built in 1804. It was «old»."
    windows = [row for row in made.windows.to_pylist() if row["example"] == 0]
    where = short(root / "data" / "features" / "raw" / "tiny" / "SQuAD.dev")
    about = f"{len(windows)} of at most 14 tokens, overlap 4 ({where}), question: Where is old?"
    assert len(windows) > 1 and lines[6] == f"windows   {about}"
    assert len(lines) == 7 + 3 * len(windows)
    assert lines[7] == "" and lines[8] == "1. 14 tokens, 7 of the context (characters 0–31); tokens 8–8 'old'"
    assert lines[9].startswith("   text  [PAR] The «old» mill")
    assert lines[-1].endswith("«old».") and lines[-2].startswith(f"{len(windows)}. ")
    assert run("show", "d1", "--data", folder, "--backbone", "wide") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[6].startswith("windows   1 of at most 60 tokens")
    assert lines[9].strip().removeprefix("text  ") == lines[5].removeprefix("context   ")
    assert (
        run(
            "show",
            "d1",
            "--data",
            root / "absent",
            "--features",
            root / "data" / "features" / "raw" / "wide",
        )
        == 0
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "d1" and lines[2].startswith("windows  1 of at most 60 tokens"), (
        "the windows alone, where the raw files are gone"
    )


def test_show_finds_a_question_without_a_span_and_windows_without_an_answer(folder, root, capsys):
    assert run("show", "r2", "--data", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("DROP  r2  (")
    assert lines[3] == "answers   x" and lines[5] == "context   in 1804"
    assert lines[4] == "spans     none that is usable"
    where = root / "data" / "features" / "raw" / "tiny" / "SQuAD.dev"
    settings = DataSettings(window=14, overlap=2, question=4)
    made = build(folder / "in_domain" / "SQuAD.dev.jsonl.gz", fast("bert"), settings, where, train=False)
    rows = [row for row in made.windows.to_pylist() if row["example"] == 1]
    assert run("show", "d2", "--data", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if re.match(r"\d+\. ", line)]
    assert [line.endswith("; no answer") for line in heads] == [not row["spans"] for row in rows]
    assert any(not row["spans"] for row in rows) and any(row["spans"] for row in rows)
    assert sum("'1804'" in line for line in heads) == sum(bool(row["spans"]) for row in rows)


def test_show_takes_the_file_that_the_windows_are_of(folder, root, capsys):
    """Where two files have a question of the same id, text and windows are of one of them."""
    where = root / "data" / "features" / "raw" / "tiny" / "SQuAD.dev"
    file = folder / "in_domain" / "SQuAD.dev.jsonl.gz"
    build(file, fast("bert"), DataSettings(window=60, overlap=4, question=4), where, train=False)
    write(folder / "A.jsonl", [HEADER, passage("another text", question("another text", "text", "d1"))])
    assert run("show", "d1", "--data", folder) == 0
    out = capsys.readouterr().out
    assert "another text" not in out and f"({short(file)}, context " in out.splitlines()[0]
    assert run("show", "d1", "--data", folder, "--backbone", "tin") == 0  # a part of the name is no name
    assert "context   another «text»" in capsys.readouterr().out
    assert run("show", "d1", "--data", folder, "--backbone", "absent") == 0
    assert "context   another «text»" in capsys.readouterr().out, "no windows say which: the first"


def test_show_without_features_says_how_to_make_them_and_an_unknown_id_is_an_error(folder, capsys):
    assert run("show", "m1", "--data", folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[5] == "context   old «mill»"
        and lines[6].startswith("windows   none")
        and "`python -m benchmark.prepare`" in lines[6]
    )
    with pytest.raises(DataError, match="nobody: no question with this id in"):
        run("show", "nobody", "--data", folder)


def test_marked_joins_overlapping_spans_and_cuts_to_the_window():
    for spans, start, end, text in (
        ([(1, 3), (2, 4)], 0, 6, "a«bcd»ef"),
        ([(4, 5), (1, 2)], 1, 5, "«b»cd«e»"),
        ([(1, 5), (2, 3)], 0, 6, "a«bcde»f"),
        ([(1, 3), (1, 5), (2, 4)], 0, 6, "a«bcde»f"),
        ([(1, 2), (2, 3)], 0, 6, "a«b»«c»def"),
        ([], 0, 6, "abcdef"),
    ):
        assert plain_text(marked("abcdef", start, end, spans)) == text
    strong = [phrase.text for phrase in phrases(marked("abcdef", 0, 6, [(1, 3)])) if phrase.look == "strong"]
    assert strong == ["«bc»"]


def test_a_terminal_gets_bold_spans_and_lines_of_its_width(folder, monkeypatch, capsys):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert run("show", "d1", "--data", folder) == 0
    shown = capsys.readouterr().out
    assert shown.count("\x1b[1;32m«old»") == 2
    plain = re.sub("\x1b\\[[0-9;]*m", "", shown).splitlines()
    assert max(map(len, plain)) <= 40
    assert [line.rstrip() for line in plain if "mill" in line or "«old»." in line] == [
        "context   [PAR] The «old» mill was built",
        "          in 1804. It was «old».",
    ]


def test_a_text_cannot_steer_the_terminal(folder, capsys):
    context = "a\x1b[31m\r\n\tb\u202e é 日本 mill"
    write(
        folder / "Evil.jsonl",
        [{"header": {"dataset": "Evil"}}, passage(context, question(context, "mill", "e1"))],
    )
    assert run("show", "e1", "--data", folder) == 0
    assert "context   a\ufffd[31m   b\ufffd é 日本 «mill»\n" in capsys.readouterr().out


def test_an_empty_folder_and_a_single_file(folder, root, capsys):
    (root / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty: no \*\.jsonl\.gz or \*\.jsonl there: run `python -m benchmark\.fetch`"
    ):
        run("stats", root / "empty")
    assert run("stats", folder / "Mine.jsonl") == 0
    assert "Mine" in capsys.readouterr().out


def test_the_command_line(folder):
    """Exit statuses and one-line errors of the real process; help with an example for each command."""

    def command(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "benchmark.data", *map(str, arguments)],
            capture_output=True,
            text=True,
            env=os.environ,
            cwd=data.__file__.rsplit("/", 2)[0],
        )

    done = command("check", folder / "absent")
    assert (
        done.returncode == 1
        and done.stdout == ""
        and done.stderr.startswith("error: ")
        and done.stderr.count("\n") == 1
    )
    done = command("show", "--help")
    assert done.returncode == 0 and "example:\n  python -m benchmark.data show" in done.stdout
    assert command("nothing").returncode == 2


def test_table_1_of_the_real_files_has_their_published_sizes(real_data, root, capsys):
    assert run("stats", real_data, "--json") == 0
    facts = json.loads((root / "results" / real_data.name / "table_1.json").read_text(encoding="utf-8"))
    rows = facts["rows"]
    assert len(rows) == 11 and "TextbookQA" not in rows
    assert (rows["SQuAD"]["Train"], rows["SQuAD"]["Dev"]) == (1690, 447)
    assert round(rows["SQuAD"]["Q"], 1) == 11.5 and round(rows["SQuAD"]["C"]) == 145
    assert round(rows["DuoRC"]["Q"], 1) == 8.8 and round(rows["DuoRC"]["C"]) == 723
    assert "no file of TextbookQA" in capsys.readouterr().out
