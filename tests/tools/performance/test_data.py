"""tools.performance data: the recipe and ours give the same windows, spans and answers; padding by
hand; generated files; the page.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from benchmark.rendering.markdown import to_markdown
from bmt.errors import ConfigError, DataError
from bmt.qa.batches import Vocabulary, Windows
from bmt.qa.features import build
from bmt.qa.metrics import score
from bmt.qa.mrqa import read_mrqa, validate_mrqa
from bmt.qa.windows import WINDOWS
from bmt.settings import DataSettings, DecodeSettings
from bmt.training.data import TrainingData
from bmt.training.validation import Questions
from tests.support import tiny
from tests.support.mrqa_files import HEADER, write
from tests.support.mrqa_files import passage as line
from tests.support.mrqa_files import question as asked
from tests.support.repository import ROOT
from tests.support.silent_bar import silent_bar
from tools.performance import __main__ as speed
from tools.performance import answers, data, experiments, recipe
from tools.performance import feature_building as building
from tools.performance import separate_process as apart
from tools.performance.bench import Bench, ratios
from tools.performance.figures import MeasuredFigure, Measurement
from tools.performance.generated_files import large, passage, squad_like
from tools.performance.subject import Subject, SubjectSizes, minilm_subject

DATA = DataSettings(window=200, overlap=60, question=130)
"""Room for the longest question: the recipe cuts none."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return squad_like(tmp_path / "SQuAD.train.jsonl.gz", 12, 3)


def test_a_generated_file_is_good_mrqa_and_the_same_each_time(tmp_path: Path) -> None:
    paths = [
        squad_like(tmp_path / name / "SQuAD.train.jsonl.gz", 9, 5, seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again and first != other and first[3] == 0, (
        "no file name in the gzip header: it would hold the process id"
    )
    report = validate_mrqa(paths[0], strict=True)
    assert (report.dataset, report.split, report.contexts, report.questions, report.spans) == (
        "SQuAD",
        "train",
        9,
        45,
        45,
    )
    assert report.repeated_contexts == 0 and 100 <= report.mean_context_tokens() <= 180
    for example in read_mrqa(paths[0]):
        assert [example.context[start:end] for start, end in example.spans] == list(example.answers)


@pytest.fixture(autouse=True)
def a_fine_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's clock of CPU time may tick in hundredths of a second: work of this size can take none."""
    monkeypatch.setattr("time.process_time", time.perf_counter)
    monkeypatch.setattr("os.times", lambda: (time.perf_counter(), 0.0, 0.0, 0.0, 0.0))


def test_a_large_file_has_its_size_and_no_context_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.performance.generated_files.POOL", 3)
    path = large(tmp_path / "TriviaQA.train.jsonl.gz", 60_000)
    assert 60_000 <= path.stat().st_size < 2_000_000
    report = validate_mrqa(path, strict=True)
    assert report.questions == report.contexts > 3 and report.repeated_contexts == 0
    for number, example in enumerate(read_mrqa(path)):
        assert example.context.endswith(f" {number:08d}") and example.context_id == f"{number:08d}"
        assert example.context[slice(*example.spans[0])] == example.answers[0]
    assert large(tmp_path / "b" / "TriviaQA.train.jsonl.gz", 60_000).read_bytes() == path.read_bytes()


def test_a_generated_passage_asks_for_its_own_words() -> None:
    import random

    made = passage(random.Random(3), "n", 50, 2)
    for word, at in made["context_tokens"]:
        assert made["context"][at : at + len(word)] == word
    assert len(made["context_tokens"]) == 50 and [qa["qid"] for qa in made["qas"]] == ["n-0", "n-1"]
    for qa in made["qas"]:
        found = qa["detected_answers"][0]
        first, last = found["token_spans"][0]
        assert found["text"] == " ".join(word for word, _ in made["context_tokens"][first : last + 1])


def test_the_recipe_cuts_the_same_windows_with_the_same_spans(
    file: Path, tokenizer: Any, tmp_path: Path
) -> None:
    ours = build(file, tokenizer, DATA, tmp_path / "train", train=True).windows.to_pylist()
    theirs = recipe.features(file, tokenizer, DATA.window, DATA.overlap, tmp_path / "a.arrow", train=True)
    assert len(theirs) == len(ours) > 36, "some contexts take several windows"
    assert theirs["input_ids"][:] == [window["input_ids"] for window in ours]
    assert all(
        sum(types) == len(ids) - at
        for types, ids, at in zip(
            theirs["token_type_ids"],
            theirs["input_ids"],
            (window["context_start"] for window in ours),
            strict=True,
        )
    )
    spans = [tuple(window["spans"]) or (0, 0) for window in ours]
    assert list(zip(theirs["start_positions"], theirs["end_positions"], strict=True)) == spans
    assert (0, 0) in spans and len(set(spans)) > 10


def test_the_recipe_keeps_the_same_offsets_for_evaluation(file: Path, tokenizer: Any, tmp_path: Path) -> None:
    made = build(file, tokenizer, DATA, tmp_path / "dev", train=False)
    theirs = recipe.features(file, tokenizer, DATA.window, DATA.overlap, tmp_path / "b.arrow", train=False)
    ids = made.examples["id"].to_pylist()
    for own, other in zip(made.windows.to_pylist(), theirs, strict=True):
        assert other["example_id"] == ids[own["example"]]
        pairs = other["offset_mapping"]
        assert [at for at, pair in enumerate(pairs) if pair is not None] == list(
            range(own["context_start"], own["context_start"] + len(own["offsets"]) // 2)
        )
        assert [edge for pair in pairs if pair is not None for edge in pair] == own["offsets"]


def test_the_recipe_reads_what_a_file_says(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl.gz",
        [HEADER, line("rain in Paris in spring", asked("rain in Paris in spring", "in"))],
    )
    assert list(recipe.questions(path)) == [
        {
            "id": "q1",
            "question": "Where is in?",
            "context": "rain in Paris in spring",
            "answers": {"text": ["in"] * 4, "answer_start": [2, 5, 14, 20]},
        }
    ]


def scored(count: int = 30, seed: int = 0) -> answers.ScoredWindows:
    """Windows of two an example, with the word of the context's first letters as gold."""
    own = tiny.windows("A", count, seed)
    rows = np.arange(count, dtype=np.int32) // 2
    windows = Windows("A", rows, own.input_ids, own.context_start, own.offsets, own.spans)
    texts = [f"the {chr(97 + row % 26)}b ,a c{row} d e f g h i j k" for row in range(count // 2)]
    return answers.scores(
        Questions(
            windows, np.arange(count), np.arange(count // 2), texts, [[text[4:9], text[:3]] for text in texts]
        ),
        tiny.VOCAB,
        4,
        seed,
    )


@pytest.mark.parametrize("longest", [1, 4, 30])
def test_both_give_the_same_answers(longest: int) -> None:
    own, decode = scored(), DecodeSettings("joint", longest)
    assert answers.differences(own, decode) == {"windows": 0, "answers": 0, "em": 0, "f1": 0}
    texts, *found = answers.ours(own, decode)
    assert len(texts) == 15 and len(set(texts)) > 5
    given = answers.recipe_input(own)
    assert answers.by_recipe(given, decode)[0] == texts
    assert found == [part.tolist() for part in score(texts, given.answers)]


def test_scores_that_differ_either_way_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a", "b", "c", "d"]
    monkeypatch.setattr(answers, "ours", lambda *given: (texts, [1.0, 0.0, 1.0, 0.0], [0.5, 0.0, 1.0, 0.7]))
    other = (["a", "x", "c", "d"], [0.0, 1.0, 1.0, 0.0], [0.6, 0.1, 1.0 - 1e-13, 0.2])
    monkeypatch.setattr(answers, "by_recipe", lambda *given: other)
    monkeypatch.setattr(answers, "ours_spans", lambda *given: np.array([[1.0, 2.0, 9.0], [3.0, 3.0, 9.0]]))
    best = {"0": {"tokens": (1, 2)}, "1": {"tokens": (3, 4)}}
    monkeypatch.setattr(answers.RecipeInput, "best", lambda self, decode: best)
    found = answers.differences(scored(), DecodeSettings())
    assert found == {"windows": 1, "answers": 1, "em": 2, "f1": 3}


def test_a_difference_is_counted() -> None:
    own = scored()
    other = replace(own, starts=own.starts[::-1].copy())  # the recipe reads other scores than ours
    found = answers.differences(other, DecodeSettings())
    assert found["windows"] > 10 and found["answers"] > 3 and found["f1"] >= found["em"] >= 0


def test_the_recipes_answer_by_hand() -> None:
    """The best two tokens, "de fg", have 3 + 2.5, the best token alone, "abc", has 1 + 4; [CLS] and the last
    token never answer.
    """
    windows = [{"example_id": "x", "offset_mapping": [None, (0, 3), (4, 6), (7, 9), None]}]
    starts, ends = np.array([[9, 1, 3, 0, 50]], np.float32), np.array([[9, 4, 0, 2.5, 50]], np.float32)
    found = recipe.best_answers([{"id": "x", "context": "abc de fg"}], windows, starts, ends, 2)["x"]
    assert (found["tokens"], found["text"], found["window"]) == ((2, 3), "de fg", 0)
    normal = np.log(np.exp([9.0, 1, 3, 0]).sum()) + np.log(np.exp([9.0, 4, 0, 2.5]).sum())
    assert found["score"] == pytest.approx(5.5 - normal, abs=1e-5)
    assert (
        recipe.best_answers([{"id": "x", "context": "abc de fg"}], windows, starts, ends, 1)["x"]["text"]
        == "abc"
    )


def test_the_recipes_scores_are_the_organisers() -> None:
    texts, golds = (
        ["The Old Mill!", "a", "red mill", ""],
        [["old mill", "x"], ["the"], ["the red red mill", "blue"], ["b"]],
    )
    em, f1 = recipe.score(texts, golds)
    assert em == [1, 1, 0, 0] and f1 == [1, 0, pytest.approx(0.8), 0]
    ours = score(texts, golds)
    assert em == ours[0].tolist() and f1 == pytest.approx(ours[1].tolist())


def test_padding_by_hand() -> None:
    assert data.waste([[3, 1], [2, 2]]) == pytest.approx(1 - 8 / 10)
    assert data.waste([[5], [1]]) == 0


def windows_of(name: str, lengths: list[int]) -> Windows:
    rows = {
        "example": list(range(len(lengths))),
        "input_ids": [[1] * length for length in lengths],
        "context_start": [1] * len(lengths),
        "offsets": [[] for _ in lengths],
        "spans": [[] for _ in lengths],
    }
    return Windows.of(pa.table(rows, schema=WINDOWS), name)


def test_padding_of_drawn_steps() -> None:
    """Two windows a step, of 10 and 30 tokens in any mixture: alone they waste nothing; together with the
    other, a third.
    """
    source = TrainingData(
        [windows_of("A", [10] * 5), windows_of("B", [30] * 5)],
        {"A": np.arange(5), "B": np.arange(5)},
        [],
        tiny.VOCAB,
    )
    whole, ours, parts, tokens = data.padding(source, lambda picks: [picks], 2, 200)
    assert parts == 1 and whole == ours
    mixed, alone, parts, _ = data.padding(source, lambda picks: [[pick] for pick in picks], 2, 200)
    assert parts == 2 and mixed == whole and alone == 0
    drawn = tokens * 400  # 10 a + 30 b, a + b = 400
    b = (drawn - 4000) / 20
    assert b == pytest.approx(round(b)) and 150 < b < 250
    # of m mixed steps each wastes 20 of 60: waste = 20 m / (drawn + 20 m)
    m = drawn * mixed / (1 - mixed) / 20
    assert m == pytest.approx(round(m)) and 60 < m < 140


def test_texts_are_distinct_and_grouped(tmp_path: Path) -> None:
    lines = [
        HEADER,
        line("rain in Paris", asked("rain in Paris", "in", "a"), asked("rain in Paris", "in", "b")),
    ]
    path = write(
        tmp_path / "a.jsonl.gz", [*lines, line("rain in Paris", asked("rain in Paris", "Paris", "c"))]
    )
    seen = {"Where is Rome?"}
    assert building.texts(path, seen) == (["rain in Paris"], ["Where is in?", "Where is Paris?"])
    assert building.texts(path, seen) == ([], []) and len(seen) == 4
    assert list(building.grouped(["abc", "d", "ef", "g"], 3)) == [["abc"], ["d", "ef"], ["g"]]
    assert list(building.grouped([], 3)) == []


def test_every_variant_of_features_runs_on_the_same_questions(
    file: Path, tokenizer: Any, tmp_path: Path
) -> None:
    other = squad_like(tmp_path / "SQuAD.dev.jsonl.gz", 2, 2, seed=1)
    subject, bench = Subject(tmp_path, tokenizer, "nowhere", None, DATA), Bench(2, silent_bar(), tmp_path)
    bench.bar.resume_at(0, 15)
    seconds, windows = building.timed(subject, [file, other], bench)
    assert bench.bar.count == bench.bar.total == 3 * (2 * 2 + 1)
    assert (
        set(seconds) == {building.FLOOR, building.PREPARE, building.RECIPE}
        and windows[building.PREPARE] == windows[building.RECIPE] > 36
    )
    assert all(len(taken) == 2 and min(taken) > 0 for taken in seconds.values())
    made = building.figures(seconds, "here", 1.35, 0.5)
    assert [figure.target for figure in made] == [1.35, 0.5, None]
    assert made[1].measured == ratios(seconds, building.PREPARE, building.RECIPE)


def test_figures_are_judged_and_written() -> None:
    spread = MeasuredFigure("a", [1.3, 1.1, 1.2], 1.35)
    assert spread.value == 1.2
    assert spread.cells() == ("a", "1.20", "1.10 to 1.30", "at most 1.35", "yes")
    assert MeasuredFigure("b", [9.5], 10, at_least=True).cells() == ("b", "9.50", "", "at least 10.00", "no")
    assert MeasuredFigure("c", 0.0834, 0.08, unit="%").cells() == ("c", "8.3 %", "", "at most 8.0 %", "no")
    assert MeasuredFigure("d", 1234.4, unit="MB").cells() == ("d", "1,234 MB", "", "", "")
    assert MeasuredFigure("e", [3, 1, 2], 2).kept and not MeasuredFigure("e", [3, 1, 2], 2.5, True).kept


def test_a_measurement_is_a_part_of_a_page() -> None:
    made = Measurement("T", (MeasuredFigure("a", 1.0), MeasuredFigure("b", [2.0, 4.0], 2)), ("One.", "Two."))
    assert to_markdown(made.document("Measured here.")).splitlines() == [
        "### T",
        "",
        "One. Two.",
        "",
        "| | measured | smallest to largest | target | kept |",
        "| --- | ---: | ---: | ---: | --- |",
        "| a | 1.00 |  |  |  |",
        "| b | 3.00 | 2.00 to 4.00 | at most 2.00 | no |",
        "",
        "Measured here.",
    ]


def test_turns_take_the_given_clock(tmp_path: Path) -> None:
    ticks = iter(range(100))
    found = Bench(1, silent_bar(), tmp_path).take_turns(
        {"a": lambda: next(ticks), "b": lambda: None}, clock=lambda: float(next(ticks))
    )
    assert found == {"a": [2.0], "b": [1.0]}
    calls: list[int] = []
    alone = Bench(3, silent_bar(), tmp_path).take_turns({"a": lambda: calls.append(1)}, warm=False)
    assert len(alone["a"]) == len(calls) == 3


def test_work_apart_tells_its_questions_and_memory(file: Path) -> None:
    job = apart.FileJob(file, "nowhere", None, DATA)
    found = apart.in_new_process(job)
    assert found.questions == 36 and 5e6 < found.peak < 1e9 and found.seconds > 0
    assert apart.do_job(replace(job, questions=7)).questions == 7
    with pytest.raises(DataError, match=r"the measuring process failed: .*absent.jsonl.gz"):
        apart.in_new_process(replace(job, path=file.with_name("absent.jsonl.gz")))


SIZES = SubjectSizes(contexts=4, padded_steps=20, windows=30, seconds=0.01, bytes=30_000)


@pytest.fixture
def subject(tmp_path: Path, tokenizer: Any) -> Subject:
    """Two small datasets and a backbone's folder with a tokenizer alone."""
    for name, split in (("SQuAD", "train"), ("SQuAD", "dev"), ("NewsQA", "train")):
        squad_like(tmp_path / "raw" / "in_domain" / f"{name}.{split}.jsonl.gz", 8, 2, seed=len(name + split))
    tokenizer.save_pretrained(tmp_path / "backbone")
    (tmp_path / "backbone" / "config.json").write_text('{"model_type": "bert"}')
    return Subject(tmp_path / "raw", tokenizer, str(tmp_path / "backbone"), None, DATA, SIZES)


def test_the_command_measures_every_part_and_keeps_the_page(
    tmp_path: Path,
    subject: Subject,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("tools.performance.generated_files.POOL", 3)
    monkeypatch.setattr(data, "in_new_process", apart.do_job)
    monkeypatch.setattr("tools.performance.subject.minilm_subject", lambda folder, params: subject)
    monkeypatch.setattr("tools.performance.page.repository_root", lambda: tmp_path)
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text("a\n<!-- data cpu:begin -->\nold\n<!-- data cpu:end -->\nb\n")
    assert speed.main(["data", "--rounds", "1", "--write", "--long"]) == 0
    out, kept = capsys.readouterr().out, page.read_text()
    names = [
        "real files: prepare to the tokenizer alone",
        "real files: prepare to the recipe",
        "generated, five questions per context: prepare to the recipe",
        "a step's windows padded to the longest of them",
        "ours",
        "decoding and scoring: times as fast as the recipe",
        "two processes: times as fast as one",
        "peak memory of making features",
        "peak memory of reading alone",
    ]
    for name in names:
        assert f"| {name} |" in out and f"| {name} |" in kept
    assert kept.startswith(
        "a\n<!-- data cpu:begin -->\n`python -m tools.performance data --long`"
    ) and kept.endswith("<!-- data cpu:end -->\nb\n")
    assert "old" not in kept and "30 windows of" in kept
    assert ": too little work to judge; the same bytes." in kept
    record = json.loads((tmp_path / "reports" / "speed" / "data.json").read_text())
    assert list(record) == sorted(experiments.DATA)
    assert set(record["features"]["seconds"]) == {
        f"{where}: {name}"
        for where in ("real files", "generated, five questions per context")
        for name in ("tokenizer alone", "prepare", "recipe")
    }
    assert (
        record["answers"]["differences"] == {"answers": 0, "em": 0, "f1": 0, "windows": 0}
        and record["processes"]["same bytes"] is True
    )
    to_longest, to_window, ours = record["padding"]["figures"]
    assert ours["name"] == "ours" and ours["target"] == 0.08 and to_longest["target"] is None
    assert 0 <= ours["value"] <= to_longest["value"] + 1e-9 <= to_window["value"] + 2e-9 < 1
    seconds = record["answers"]["seconds"]
    [figure] = record["answers"]["figures"]
    assert figure["value"] == seconds["recipe"][0] / seconds["ours"][0]
    assert (figure["target"], figure["at_least"]) == (10.0, True)

    page.write_text("<!-- data cpu:begin -->\n<!-- data cpu:end -->\n")
    assert speed.main(["data", "--only", "padding", "--rounds", "1", "--write"]) == 0
    out, again = capsys.readouterr().out, page.read_text()
    assert "| ours |" in out and "prepare" not in out
    assert all(f"| {name} |" in again for name in names), "what was not measured now stays"
    assert (
        again.index("### Features")
        < again.index("### Padding")
        < again.index("### Answers")
        < again.index("### Memory")
    )


def noted(usages: Any, jobs: list[apart.FileJob], contents: Any = lambda job: b"same") -> Any:
    """What stands in for a process: `usages(job)`, with files of `contents(job)` where features go."""

    def do(job: apart.FileJob) -> apart.Usage:
        jobs.append(job)
        if job.out is not None:
            job.out.mkdir()
            for name in ("windows.arrow", "examples.arrow"):
                (job.out / name).write_bytes(contents(job))
        return usages(job)

    return do


@pytest.mark.parametrize(("seconds", "same"), [(90.0, True), (60.0, True), (59.9, False)])
def test_what_a_second_process_brings_by_hand(
    seconds: float, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial says how much work is enough; then one and two processes take turns."""
    jobs: list[apart.FileJob] = []
    sizes: list[int] = []

    def usage(job: apart.FileJob) -> apart.Usage:
        if len(jobs) == 1:
            return apart.Usage(3.0, 3.0, 1, 1)
        return apart.Usage(seconds / job.workers, 100.0 + 10 * job.workers, 1, 1)

    def contents(job: apart.FileJob) -> bytes:
        return b"same" if same else str(job.workers).encode()

    monkeypatch.setattr(data, "in_new_process", noted(usage, jobs, contents))
    monkeypatch.setattr(data, "squad_like", lambda path, contexts: sizes.append(contexts) or path)
    given = Subject(tmp_path, None, "s", "r", DATA, SubjectSizes(contexts=20, seconds=90.0))
    bench = Bench(2, silent_bar(), tmp_path)
    made = data.processes(given, bench)
    assert sizes == [20, 600] and [job.workers for job in jobs] == [1, 1, 2, 2, 1]
    assert bench.bar.count == bench.bar.total == 5
    assert bench.seconds == {"1": [seconds] * 2, "2": [seconds / 2] * 2}
    assert [list(figure.measured) for figure in made.figures] == [[2.0, 2.0], [120 / 110] * 2]
    assert (made.figures[0].target, made.figures[0].at_least) == (1.7, True)
    assert made.record == {"same bytes": same}
    assert ("too little work to judge" in made.notes[0]) is (seconds < 60)
    assert ("; the same bytes." in made.notes[0]) is same and ("DIFFERENT bytes" in made.notes[0]) is not same


def test_memory_on_a_large_file_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs: list[apart.FileJob] = []
    megabytes = lambda job: 900 if job.out else 300 if job.questions is None else 270  # noqa: E731

    def large_file(path: Path, size: int) -> Path:
        path.write_bytes(bytes(size))
        return path

    usage = lambda job: apart.Usage(1.0, 1.0, megabytes(job) * 10**6, 1234)  # noqa: E731
    monkeypatch.setattr(data, "in_new_process", noted(usage, jobs))
    monkeypatch.setattr(data, "large", large_file)
    given = Subject(tmp_path, None, "s", None, DATA, SubjectSizes(bytes=3_000_000))
    made = data.memory(given, Bench(1, silent_bar(), tmp_path))
    assert [(figure.value, figure.target, figure.unit) for figure in made.figures] == [
        (900.0, 1000.0, "MB"),
        (300.0, None, "MB"),
        (30.0, 50.0, "MB"),
    ]
    assert [job.questions for job in jobs] == [None, 123, None]
    assert made.notes[0].startswith("A generated gz file of 3 MB, 1,234 questions")


def test_sides_that_disagree_are_not_compared(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their difference is told, and torch has its threads again."""
    counts = {"windows": 0, "answers": 2, "em": 0, "f1": 1}
    monkeypatch.setattr(answers, "differences", lambda *given: counts)
    threads = torch.get_num_threads()
    with pytest.raises(
        DataError, match=r"ours and the recipe disagree \(windows 0, answers 2, em 0, f1 1\): their speeds"
    ):
        data.decoded(subject, Bench(1, silent_bar(), tmp_path))
    assert torch.get_num_threads() == threads


def test_parts_that_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.performance.subject.minilm_subject", lambda folder, params: None)

    def wanted(*options: str) -> list[str]:
        return list(experiments.data_experiments(speed.parse_arguments(["data", *options]))[2])

    assert wanted() == ["features", "padding", "answers"] and wanted("--long") == list(experiments.DATA)
    assert wanted("--only", "memory", "--only", "padding") == ["padding", "memory"]


def test_bad_input_is_named(tmp_path: Path, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--rounds 0"):
        speed.main(["data", "--rounds", "0"])
    absent = minilm_subject(tmp_path / "absent", ROOT / "profiles" / "mini.yaml")
    assert Vocabulary.of(absent.tokenizer) == Vocabulary(0, True) and absent.data.window == 512
    with pytest.raises(
        DataError,
        match=r"absent: no MRQA files .* `python -m benchmark.fetch --manifest real --out data/raw/mini`",
    ):
        absent.paths()
    with pytest.raises(DataError, match=r"raw: \d+ windows, 100000 are needed"):
        data.decoded(
            replace(subject, sizes=replace(SIZES, windows=100_000)), Bench(1, silent_bar(), tmp_path)
        )
