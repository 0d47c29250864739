"""tools.performance train: both sides see the same windows and find the same loss; tokens by hand;
every figure from the command.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForQuestionAnswering

from bmt.errors import ConfigError, DataError
from bmt.qa.batches import Vocabulary
from bmt.settings import DataSettings, LossSettings, SamplingSettings, TrainingSettings
from bmt.training.sampling import Sampler
from tests.support import tiny
from tests.support.mrqa_files import HEADER, passage, question, write
from tests.support.silent_bar import silent_bar
from tools.performance import __main__ as speed
from tools.performance import experiments, hf_trainer, training
from tools.performance import same_windows as paired
from tools.performance.bench import Bench
from tools.performance.figures import MeasuredFigure
from tools.performance.forward_counts import ForwardCounts, watched
from tools.performance.generated_files import squad_like
from tools.performance.hf_trainer import SETTINGS, TrainerSetting
from tools.performance.subject import Subject, SubjectSizes

DATA = DataSettings(window=200, overlap=60, question=130)
"""Room for the longest question: the recipe cuts none."""
TRAINING = TrainingSettings(batch=4, precision="fp32", lr=1e-3)


@pytest.fixture(scope="module")
def subject(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Two source datasets and a BERT of two layers that has dropout."""
    root = tmp_path_factory.mktemp("speed")
    for name, split in (("SQuAD", "train"), ("SQuAD", "dev"), ("NewsQA", "train"), ("NewsQA", "dev")):
        squad_like(root / "raw" / "in_domain" / f"{name}.{split}.jsonl.gz", 8, 2, seed=len(name + split))
    squad_like(root / "raw" / "out_of_domain" / "RACE.dev.jsonl.gz", 2, 1)
    tokenizer.save_pretrained(root / "backbone")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=200, **tiny.SIZE)
    BertForQuestionAnswering(config).save_pretrained(root / "backbone")
    sizes = SubjectSizes(steps=2, questions=3)
    return Subject(root / "raw", tokenizer, str(root / "backbone"), None, DATA, sizes, TRAINING)


@pytest.fixture(scope="module")
def files(subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> list[paired.File]:
    return subject.files("train", Bench(1, silent_bar(), tmp_path_factory.mktemp("features")))


def length(files: list[paired.File], pick: paired.Pick) -> int:
    return len(files[pick[0]].windows.input_ids[pick[1]])


def drawn(files: list[paired.File], steps: int = 2) -> paired.RoundWindows:
    return paired.rounds_of(paired.training_data(files, tiny.VOCAB), 4, steps, 1)[0]


def test_the_source_datasets_are_taken_in_their_order(subject: Subject, files: list[paired.File]) -> None:
    assert [file.windows.dataset for file in files] == ["SQuAD", "NewsQA"]
    assert all(len(file.rows) == len(file.windows) > 16 for file in files)
    assert [path.name for path in subject.paths("dev")] == [
        f"{name}.dev.jsonl.gz" for name in ("NewsQA", "SQuAD", "RACE")
    ]


def test_a_cut_question_is_left_out(subject: Subject, tokenizer: Any, tmp_path: Path) -> None:
    path = subject.folder / "in_domain" / "SQuAD.train.jsonl.gz"
    asked = list(paired.recipe.questions(path))
    lengths = {
        row["id"]: len(tokenizer(row["question"], add_special_tokens=False)["input_ids"]) for row in asked
    }
    assert paired.questions(path, [asked[3]["id"], asked[1]["id"]]) == [asked[1], asked[3]]
    limit = int(np.median(list(lengths.values())))
    cut = paired.File.of(
        path, tokenizer, DataSettings(window=200, overlap=60, question=limit), tmp_path / "cut", train=True
    )
    ids = cut.made.examples["id"].to_pylist()
    kept = {ids[example] for example in cut.windows.example[cut.rows]}
    assert kept == {name for name, length in lengths.items() if length < limit} and 0 < len(kept) < 16


def test_the_grouped_batches_are_trainers_own(
    files: list[paired.File], tokenizer: Any, tmp_path: Path
) -> None:
    """The pool's order is what Trainer(train_sampling_strategy="group_by_length") gives under the same
    generator; a round has no other.
    """
    from datasets import Dataset
    from transformers import Trainer, TrainingArguments

    own = drawn(files, steps=200)
    lengths = [length(files, pick) for part in own.like for pick in part]
    assert len(own.like) == 200 and sorted(pick for part in own.like for pick in part) == sorted(
        pick for part in own.mixed for pick in part
    )
    assert own.mixed != own.like and all(len(part) == 4 for part in own.mixed + own.like)
    sampler = Sampler({file.windows.dataset: file.rows for file in files}, 4, SamplingSettings(), 0)
    pool = [pick for step in range(200) for pick in sampler.draw(step)]
    rows = [{"input_ids": files[which].windows.input_ids[row].tolist()} for which, row in pool]
    arguments = TrainingArguments(
        str(tmp_path),
        per_device_train_batch_size=4,
        train_sampling_strategy="group_by_length",
        use_cpu=True,
        report_to=[],
    )
    theirs = Trainer(
        tiny.bert(), arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
    )._get_train_sampler()
    theirs.generator = torch.Generator().manual_seed(0)
    order = [pool[index] for index in theirs]
    assert sorted(order[at : at + 4] for at in range(0, 800, 4)) == sorted(own.like)
    spread = lambda parts: sum(max(part) - min(part) for part in parts)  # noqa: E731
    by_batch = np.reshape(lengths, (200, 4))
    mixed = [[length(files, pick) for pick in part] for part in own.mixed]
    assert 4 * spread(by_batch.tolist()) < spread(mixed)


@pytest.mark.parametrize("setting", SETTINGS[:2], ids=["to the window", "to the longest"])
def test_the_first_step_has_the_same_loss_on_both_sides(
    subject: Subject,
    files: list[paired.File],
    tokenizer: Any,
    tmp_path: Path,
    setting: TrainerSetting,
) -> None:
    """From the scores that Trainer's first batch gets our loss follows to 1e-5, though ours cuts the batch
    and pads it otherwise.

    Ours: -log p_start - log p_end over the context and position 0. Trainer's: the mean of the two
        cross-entropies over every position,
    the padding's among them.
    """
    by_length = sorted(
        ((which, row) for which, file in enumerate(files) for row in file.rows.tolist()),
        key=lambda pick: length(files, pick),
    )
    model, picks = subject.model(0.0), [by_length[at] for at in (0, -1, 1, -2)]
    rows = paired.recipe_rows(files, picks, tokenizer, DATA)
    order = [rows[pick] for pick in picks]
    scores: list[Any] = []
    handle = model.register_forward_hook(
        lambda module, args, kwargs, out: scores.append(
            (kwargs, out.start_logits.detach(), out.end_logits.detach())
        ),
        with_kwargs=True,
    )
    state = {name: value.clone() for name, value in model.state_dict().items()}
    theirs = hf_trainer.train(model, order, tokenizer, setting, TRAINING, DATA.window, tmp_path)
    handle.remove()
    model.load_state_dict(state)
    first = training.ours(
        model,
        paired.training_data(files, Vocabulary.of(tokenizer)),
        [picks],
        TRAINING,
        LossSettings("first"),
    )
    assert (
        first.passed.windows() == theirs.passed.windows()
        and len(first.passed.passes) > len(theirs.passed.passes) == 1
    )
    [(inputs, start, end)] = scores
    width = DATA.window if setting.whole else max(len(row["input_ids"]) for row in order)
    assert start.shape == (4, width)
    entropy = torch.nn.functional.cross_entropy
    labels = inputs["start_positions"], inputs["end_positions"]
    assert theirs.loss == pytest.approx(
        float(entropy(start, labels[0]) + entropy(end, labels[1])) / 2, abs=1e-5
    )
    allowed = inputs["token_type_ids"].bool() & inputs["attention_mask"].bool()
    last = inputs["attention_mask"].sum(1) - 1
    allowed[torch.arange(4), last] = False  # [SEP]
    allowed[:, 0] = True
    masked = [value.masked_fill(~allowed, -torch.inf) for value in (start, end)]
    assert first.loss == pytest.approx(
        float(entropy(masked[0], labels[0]) + entropy(masked[1], labels[1])), abs=1e-5
    )
    assert theirs.loss != pytest.approx(first.loss / 2, abs=1e-3), "the two definitions differ"


def test_tokens_are_what_is_counted_by_hand(
    subject: Subject, files: list[paired.File], tokenizer: Any, tmp_path: Path
) -> None:
    own = drawn(files)
    rows = paired.recipe_rows(files, [pick for part in own.mixed for pick in part], tokenizer, DATA)
    tokens = sum(len(row["input_ids"]) for row in (rows[pick] for part in own.mixed for pick in part))
    to_longest = sum(4 * max(len(rows[pick]["input_ids"]) for pick in part) for part in own.mixed)
    like = sum(4 * max(len(rows[pick]["input_ids"]) for pick in part) for part in own.like)
    want = {
        SETTINGS[0].name: 8 * 200,
        SETTINGS[1].name: to_longest,
        SETTINGS[2].name: like,
        SETTINGS[3].name: like,
    }
    for setting in SETTINGS:
        order = [rows[pick] for part in (own.like if setting.like else own.mixed) for pick in part]
        ran = hf_trainer.train(
            subject.model(None), order, tokenizer, setting, TRAINING, DATA.window, tmp_path
        )
        assert (ran.passed.tokens, ran.passed.positions) == (tokens, want[setting.name]) and ran.seconds > 0
    ran = training.ours(
        subject.model(None), paired.training_data(files, Vocabulary.of(tokenizer)), own.mixed, TRAINING
    )
    assert ran.passed.tokens == tokens and tokens <= ran.passed.positions <= tokens / (1 - 0.08)
    training.check_same(ran, own, files, "ours")
    with pytest.raises(DataError, match="ours: did not train on the windows of the round"):
        training.check_same(ran, drawn(files, 1), files, "ours")


def test_what_passed_by_hand() -> None:
    ids = torch.tensor([[5, 6, 0], [7, 8, 9]])
    passed = ForwardCounts([(ids, torch.tensor([[1, 1, 0], [1, 1, 1]])), (ids[1:], None)])
    assert (passed.tokens, passed.positions) == (8, 9)
    assert passed.windows() == [(5, 6), (7, 8, 9), (7, 8, 9)]
    model = tiny.bert()
    with watched(model) as seen:
        model(input_ids=ids)
    model(input_ids=ids)
    assert seen.passes == [(ids, None)]


def test_rows_are_padded_to_the_window_in_their_token_columns_alone(tokenizer: Any) -> None:
    rows = [
        {"input_ids": [2, 5, 3], "token_type_ids": [0, 1, 1], "attention_mask": [1] * 3, "example_id": "a"},
        {"input_ids": [2, 3], "token_type_ids": [0, 1], "attention_mask": [1] * 2, "example_id": "b"},
    ]
    pad = tokenizer.pad_token_id
    assert hf_trainer.dataset(rows, tokenizer, 4) == [
        {
            "input_ids": [2, 5, 3, pad],
            "token_type_ids": [0, 1, 1, 0],
            "attention_mask": [1, 1, 1, 0],
            "example_id": "a",
        },
        {
            "input_ids": [2, 3, pad, pad],
            "token_type_ids": [0, 1, 0, 0],
            "attention_mask": [1, 1, 0, 0],
            "example_id": "b",
        },
    ]
    assert hf_trainer.dataset(rows, tokenizer, None) == rows


def test_a_window_that_the_recipe_does_not_make_is_named(files: list[paired.File], tokenizer: Any) -> None:
    with pytest.raises(DataError, match=r"SQuAD.train.jsonl.gz: the recipe makes no window 0 of SQuAD"):
        paired.recipe_rows(files, [(0, 0)], tokenizer, DataSettings(window=150, overlap=10, question=130))


def test_a_special_token_in_a_text_is_text_on_both_sides(tokenizer: Any, tmp_path: Path) -> None:
    text = "rain in Paris [SEP] in spring"
    path = write(tmp_path / "SQuAD.train.jsonl.gz", [HEADER, passage(text, question(text, "spring"))])
    file = paired.File.of(path, tokenizer, DATA, tmp_path / "out", train=True)
    [row] = paired.recipe_rows([file], [(0, 0)], tokenizer, DATA).values()
    sep = tokenizer.sep_token_id
    assert row["input_ids"] == file.windows.input_ids[0].tolist() and row["input_ids"].count(sep) == 2
    assert tokenizer(text)["input_ids"].count(sep) == 2, (
        "the tokenizer given is left as it is: one in the text, one at the end"
    )


NAMES = [
    *(f"times as fast as {setting.name}" for setting in SETTINGS),
    "times as fast as the best of these",
    "times as fast as Trainer.predict, windows padded to the longest allowed",
    "times as fast as Trainer.predict, padded to a batch's longest",
    "a training step: drawing, cutting and padding its batches",
    "an evaluation: answers and scores",
]


def test_the_command_measures_every_part_and_keeps_the_page(
    tmp_path: Path,
    subject: Subject,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "tools.performance.subject.minilm_subject",
        lambda folder, params, steps: replace(subject, sizes=SubjectSizes(steps=steps, questions=2)),
    )
    monkeypatch.setattr(training, "SETTINGS", SETTINGS[:3])  # no process: it costs seconds
    monkeypatch.setattr("tools.performance.page.repository_root", lambda: tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text("a\n<!-- train cpu:begin -->\nold\n<!-- train cpu:end -->\nb\n")
    assert speed.main(["train", "--rounds", "1", "--steps", "1", "--write"]) == 0
    out, kept = capsys.readouterr().out, page.read_text()
    for name in (name for name in NAMES if name != f"times as fast as {SETTINGS[3].name}"):
        assert f"| {name} |" in out and f"| {name} |" in kept
    assert kept.startswith(
        "a\n<!-- train cpu:begin -->\n`python -m tools.performance train --rounds 1`"
    ) and kept.endswith("<!-- train cpu:end -->\nb\n")
    record = json.loads((tmp_path / "reports" / "speed" / "train-cpu.json").read_text())
    assert list(record) == sorted(experiments.TRAIN)
    for part in ("steps", "undropped"):
        runs = record[part]["runs"]
        assert {run["tokens"] for own in runs.values() for run in own} == {runs["ours"][0]["tokens"]}
        found = {figure["name"]: figure["value"] for figure in record[part]["figures"]}
        seconds = {name: own[0]["seconds"] for name, own in runs.items()}
        ratios = [seconds[setting.name] / seconds["ours"] for setting in SETTINGS[:3]]
        assert list(found.values()) == [*ratios, min(ratios)]
        assert [figure["target"] for figure in record[part]["figures"]] == [1.3, None, None, 1.0]
    assert record["evaluation"]["windows"] >= 4 and len(record["evaluation"]["scores"]) == 3
    for part, pairs in (
        ("evaluation", [(name, "ours") for name in training.PREDICT]),
        ("aside", [("batches", "steps"), ("answers", "evaluation")]),
    ):
        seconds = record[part]["seconds"]
        assert [figure["value"] for figure in record[part]["figures"]] == [
            seconds[name][0] / seconds[base][0] for name, base in pairs
        ]
    assert [(figure["target"], figure["unit"]) for figure in record["aside"]["figures"]] == [(0.02, "%")] * 2
    assert (
        record["steps"]["lines"][2].count("dropout 0.1;")
        == record["undropped"]["lines"][2].count("dropout 0.0;")
        == 1
    )

    page.write_text("<!-- train cpu:begin -->\n<!-- train cpu:end -->\n")
    assert speed.main(["train", "--rounds", "1", "--steps", "1", "--only", "aside", "--write"]) == 0
    out, again = capsys.readouterr().out, page.read_text()
    assert "Trainer" not in out and again.index("### Training steps") < again.index(
        "### Evaluation"
    ) < again.index("### What could be")


def test_both_evaluations_read_the_same_and_answer_the_same(
    subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many candidates as there are tokens the recipe finds ours; both files have questions of the
    same ids.
    """
    monkeypatch.setattr(training.recipe, "N_BEST", 200)
    part = training.evaluated(subject, Bench(1, silent_bar(), tmp_path))
    assert len(part.record["scores"]) == 3 and part.record["windows"] >= 4
    assert len({(round(em, 9), round(f1, 9)) for em, f1 in part.record["scores"].values()}) == 1, part.record[
        "scores"
    ]


def test_numbers_and_hours_are_shown() -> None:
    assert MeasuredFigure("a", 12345.6, unit="n").cells() == ("a", "12,346", "", "", "")
    assert MeasuredFigure("b", 0.984, 1, unit="h").cells() == ("b", "0.98 h", "", "at most 1.00 h", "yes")


def test_the_gpus_part_is_measured_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[dict[str, int]] = []
    monkeypatch.setattr(
        "tools.performance.subject.minilm_subject", lambda folder, params, **given: sizes.append(given)
    )

    def wanted(*options: str) -> tuple[str, list[str], list[str]]:
        part, order, chosen = experiments.train_experiments(speed.parse_arguments(["train", *options]))
        return part, list(order), list(chosen)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    lines = ["steps", "hours", "kernels", "trainer", "graph"]
    assert wanted("--steps", "7") == ("train cuda", lines, lines)
    assert wanted("--only", "aside", "--only", "steps") == (
        "train cpu",
        list(experiments.TRAIN),
        ["steps", "aside"],
    )
    with pytest.raises(ConfigError, match=r"^--only gpu: not allowed beside other parts: run it alone$"):
        wanted("--only", "gpu", "--only", "steps")
    with pytest.raises(ConfigError, match=r"--rounds 3, --steps 0: not allowed: at least 1 of each"):
        wanted("--steps", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert wanted() == ("train cpu", list(experiments.TRAIN), list(experiments.TRAIN))
    assert sizes == [{"steps": 7}, {"steps": 12}, {"steps": 12}]


def test_trainers_best_setting_is_the_one_that_is_fastest_in_the_median() -> None:
    seconds = {"ours": [1.0, 1.0, 1.0], training.TO_THE_WINDOW: [1.0, 9.0, 9.0], "b": [3.0, 2.0, 2.5]}
    figures = training._figures(seconds)
    assert [(figure.name, list(figure.measured), figure.target) for figure in figures] == [
        (f"times as fast as {training.TO_THE_WINDOW}", [1.0, 9.0, 9.0], 1.3),
        ("times as fast as b", [3.0, 2.0, 2.5], None),
        ("times as fast as the best of these", [3.0, 2.0, 2.5], 1.0),
    ]
    assert all(figure.at_least for figure in figures)


def test_bad_input_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"--rounds 0, --steps 12: not allowed: at least 1"):
        speed.main(["train", "--rounds", "0"])
    with pytest.raises(ConfigError, match=r"--only gpu: no GPU"):
        speed.main(["train", "--only", "gpu"])
    with pytest.raises(DataError, match=r"absent: no train files .*--data"):
        speed.main(["train", "--only", "aside", "--data", str(tmp_path / "absent")])
