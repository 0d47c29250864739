"""The gate, reason by reason: each of them alone is enough for "not comparable", and nothing else is said
then.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from benchmark.comparison.gate import data_reasons, run_reasons, seed_reasons, table_data
from benchmark.paper.tables import Requirements
from benchmark.runs.results import Fault, Identity, Run
from tests.support.comparing import cells_of, compared, copy_of, edit
from tests.support.results_maker import IN_DOMAIN, make_results

pytest_plugins = ("tests.support.compare_fixtures",)

DIGEST, OTHER = "a" * 64, "b" * 64
REVISION = f"hub/roberta-base@{'1' * 40}"
REQUIRES = Requirements(
    profile="paper",
    evaluator="mrqa-2019/1",
    backbones={"roberta-base": REVISION},
    epochs={"mt": 3, "st": 10},
    examples={"SQuAD": 300},
    data_sha256={"SQuAD": DIGEST},
)


def scored(examples: int = 300, sha256: str | None = DIGEST) -> Any:
    return SimpleNamespace(em=80.0, f1=85.0, examples=examples, sha256=sha256)


def run(seed: int = 0, **changes: Any) -> Run:
    """A run to which the gate has no objection."""
    identity = changes.pop("identity", Identity("roberta-base", "mt", "bmt", False))
    return replace(
        Run(
            f"roberta-base.mt.bmt.s{seed}",
            "paper",
            identity,
            seed,
            {"SQuAD": scored()},
            revision=REVISION,
            evaluator="mrqa-2019/1",
            epochs=3,
            mask_steps=18,
        ),
        **changes,
    )


def reasons(runs: list[Run], p_f: float | None = None, missing: tuple[str, ...] = ()) -> list[str]:
    """Every reason against SQuAD's number of a row on roberta-base."""
    data = table_data(runs, ("SQuAD",))
    found = run_reasons(runs, REQUIRES, "roberta-base", p_f, data)
    found += seed_reasons(runs, [], missing, data.copies) + data_reasons(runs, "SQuAD", REQUIRES, data)
    return [reason.text for reason in found]


def test_runs_of_the_paper_s_setting_pass():
    assert reasons([run(0), run(1)]) == []


ALL_RUNS = {
    "another profile": ({"profile": "mini"}, "profile mini"),
    "another backbone": (
        {"identity": Identity("minilm", "mt", "bmt", False), "revision": None},
        "backbone minilm instead of roberta-base",
    ),
    "another revision": (
        {"revision": f"hub/roberta-base@{'2' * 40}"},
        "backbone revision hub/roberta-base@222222222222 instead of hub/roberta-base@111111111111 "
        "(roberta-base.mt.bmt.s0)",
    ),
    "no revision": (
        {"revision": None},
        "backbone revision not recorded instead of hub/roberta-base@111111111111 (roberta-base.mt.bmt.s0)",
    ),
    "another evaluator": (
        {"evaluator": "squad/2"},
        "evaluator squad/2 instead of mrqa-2019/1 (roberta-base.mt.bmt.s0)",
    ),
    "no evaluator": (
        {"evaluator": None},
        "evaluator not recorded instead of mrqa-2019/1 (roberta-base.mt.bmt.s0)",
    ),
    "fewer epochs": (
        {"epochs": 2.5},
        "step budget 2.5 epochs instead of 3 epochs (roberta-base.mt.bmt.s0)",
    ),
    "no epochs": (
        {"epochs": None},
        "step budget not recorded instead of 3 epochs (roberta-base.mt.bmt.s0)",
    ),
    "epochs that are no number": (
        {"epochs": float("nan")},
        "step budget nan epochs instead of 3 epochs (roberta-base.mt.bmt.s0)",
    ),
    "another digest": (
        {"datasets": {"SQuAD": scored(sha256=OTHER)}},
        "data digest bbbbbbbbbbbb instead of aaaaaaaaaaaa",
    ),
    "no digest": (
        {"datasets": {"SQuAD": scored(sha256=None)}},
        "data digest not recorded instead of aaaaaaaaaaaa",
    ),
    "no epoch at all": (
        {"epochs": 0},
        "step budget 0 epochs instead of 3 epochs (roberta-base.mt.bmt.s0)",
    ),
    "fewer questions": ({"datasets": {"SQuAD": scored(299)}}, "split size 299 instead of 300"),
    "the hub's data": (
        {"from_hub": ("SQuAD.dev",)},
        "data of the hub's copy, not known to be the official examples: SQuAD.dev (roberta-base.mt.bmt.s0)",
    ),
}


@pytest.mark.parametrize(("change", "reason"), ALL_RUNS.values(), ids=ALL_RUNS)
def test_one_difference_of_all_runs_is_enough(change, reason):
    assert reasons([run(0, **change), run(1, **change)]) == [reason]


ONE_RUN = {
    "no digest": (
        {"datasets": {"SQuAD": scored(sha256=None)}},
        "data digest not recorded instead of aaaaaaaaaaaa",
    ),
    "no revision": (ALL_RUNS["no revision"][0], ALL_RUNS["no revision"][1].replace(".s0", ".s1")),
    "no evaluator": (ALL_RUNS["no evaluator"][0], ALL_RUNS["no evaluator"][1].replace(".s0", ".s1")),
    "no epochs": (ALL_RUNS["no epochs"][0], ALL_RUNS["no epochs"][1].replace(".s0", ".s1")),
    "the hub's data": (ALL_RUNS["the hub's data"][0], ALL_RUNS["the hub's data"][1].replace(".s0", ".s1")),
    "another profile": ({"profile": "mini"}, "mixed profiles: mini, paper"),
    "other mask steps": ({"mask_steps": 99}, "mixed step budgets: 18, 99 mask steps"),
    "no mask steps": ({"mask_steps": None}, "mixed step budgets: 18, None mask steps"),
}


@pytest.mark.parametrize(("change", "reason"), ONE_RUN.values(), ids=ONE_RUN)
def test_one_difference_of_the_second_run_is_enough(change, reason):
    assert reasons([run(0), run(1, **change)]) == [reason]


def test_runs_of_another_profile_that_differ_are_mixed_too():
    runs = [run(0, profile="mini"), run(1, profile="mini", mask_steps=99)]
    assert reasons(runs) == ["profile mini", "mixed step budgets: 18, 99 mask steps"]


def test_data_that_differ_between_runs_leave_no_mean():
    for change, text in (
        (
            scored(sha256=OTHER),
            "mixed data digests: aaaaaaaa in roberta-base.mt.bmt.s0, bbbbbbbb in roberta-base.mt.bmt.s1",
        ),
        (
            scored(299),
            "mixed numbers of examples: 300 in roberta-base.mt.bmt.s0, 299 in roberta-base.mt.bmt.s1",
        ),
    ):
        runs = [run(0), run(1, datasets={"SQuAD": change})]
        data = table_data(runs, ("SQuAD",))
        assert (data.differences["SQuAD"].text, data.differences["SQuAD"].mixed) == (text, True)
        assert data_reasons(runs, "SQuAD", REQUIRES, data)[0] == data.differences["SQuAD"]
        assert len(data_reasons(runs, "SQuAD", REQUIRES, data)) == 2


def test_few_shot_runs_of_another_k_may_have_fewer_questions_of_the_same_k_not():
    def shots(K: int | None, seed: int, examples: int) -> Run:
        identity = Identity("roberta-base", "mt", "bmt", True, K)
        return run(seed, identity=identity, cell=f"k{K}.s{seed}", datasets={"SQuAD": scored(examples)})

    assert (
        table_data([shots(16, 0, 284), shots(64, 0, 236), shots(None, 0, 300)], ("SQuAD",)).differences == {}
    )
    mixed = table_data([shots(16, 0, 284), shots(16, 1, 283)], ("SQuAD",)).differences["SQuAD"]
    assert mixed.text == "mixed numbers of examples: 284 in k16.s0, 283 in k16.s1"


def test_what_the_paper_asks_of_trained_runs_is_not_asked_of_others():
    few = Identity("roberta-base", "mt", "bmt", True, 16)
    assert reasons([run(0, identity=few, epochs=None), run(1, identity=few, epochs=None)]) == []
    single = Identity("roberta-base", "st-SQuAD", "none", False)
    assert reasons([run(0, identity=single, epochs=10), run(1, identity=single, epochs=10)]) == []
    assert reasons([run(0, identity=single), run(1, identity=single)]) == [
        "step budget 3 epochs instead of 10 epochs (roberta-base.mt.bmt.s0)"
    ]


def test_a_model_scored_as_published_is_held_against_no_budget_and_has_no_seeds():
    published = Identity("roberta-base", "mt", "zero_shot", False)
    assert reasons([run(0, identity=published, epochs=None)]) == [
        "scored as it was published: it has no seeds, so nothing says how far from the printed numbers is "
        "too far"
    ]


def test_a_paper_that_requires_nothing_has_no_objection_and_a_requirement_is_one_by_itself():
    foreign = [
        run(seed, profile="theirs", revision=None, evaluator=None, epochs=None, datasets={"SQuAD": scored(5)})
        for seed in (0, 1)
    ]
    foreign = [replace(one, datasets={"SQuAD": scored(5, None)}) for one in foreign]

    def against(requires: Requirements) -> list[str]:
        data = table_data(foreign, ("SQuAD",))
        found = run_reasons(foreign, requires, "roberta-base", None, data)
        return [reason.text for reason in found + data_reasons(foreign, "SQuAD", requires, data)]

    first = "(roberta-base.mt.bmt.s0)"
    assert against(Requirements()) == []
    assert against(Requirements(evaluator="e/1")) == [f"evaluator not recorded instead of e/1 {first}"]
    assert against(Requirements(epochs={"mt": 3})) == [
        f"step budget not recorded instead of 3 epochs {first}"
    ]
    assert against(Requirements(epochs={"st": 3}, examples={"DROP": 1}, data_sha256={"DROP": "a"})) == []
    assert against(Requirements(examples={"SQuAD": 1500})) == ["split size 5 instead of 1,500"]
    assert against(Requirements(data_sha256={"SQuAD": "a" * 64})) == [
        "data digest not recorded instead of aaaaaaaaaaaa"
    ]
    assert against(Requirements(profile="paper", evaluator="e/1", examples={"SQuAD": 300})) == [
        "profile theirs"
    ]


def test_another_profile_on_another_backbone_is_one_reason_and_mixed_profiles_need_no_other():
    other = Identity("minilm", "mt", "bmt", False)
    both = [run(seed, profile="mini", identity=other) for seed in (0, 1)]
    assert reasons(both) == ["profile mini: backbone minilm instead of roberta-base"]
    assert reasons([both[0], replace(both[1], profile="maxi")]) == ["mixed profiles: maxi, mini"]


def test_evaluators_are_compared_over_the_whole_table_and_those_that_are_not_recorded_count_as_none():
    data = table_data([run(0, evaluator="b/1"), run(1, evaluator=None), run(2, evaluator="a/1")])
    assert data.evaluators == ("a/1", "b/1")
    (reason,) = run_reasons([run(0), run(1)], Requirements(), "roberta-base", None, data)
    assert (reason.text, reason.mixed) == ("mixed evaluator versions: a/1, b/1", True)


def test_examples_that_differ_between_runs_leave_no_mean_and_digests_that_do_say_so_first():
    runs = [run(0), run(1)]
    data = table_data(runs, ("SQuAD",), {"SQuAD": "those of x are not those of y", "DROP": "z"})
    assert data.differences["SQuAD"].text == "mixed examples: those of x are not those of y"
    assert data.differences["SQuAD"].mixed and data.differences["DROP"].text == "mixed examples: z"
    unlike = [run(0), run(1, datasets={"SQuAD": scored(sha256=OTHER)})]
    data = table_data(unlike, ("SQuAD",), {"SQuAD": "those of x are not those of y"})
    assert data.differences["SQuAD"].text.startswith("mixed data digests: aaaaaaaa in ")
    assert table_data([run(0), run(1, datasets={})], ("SQuAD",)).differences == {}
    assert table_data([run(0), run(1, datasets={"SQuAD": scored(sha256=None)})], ("SQuAD",)).differences == {}


def test_p_f_of_a_random_mask_is_the_row_s():
    assert reasons([run(0, p_f=0.5), run(1, p_f=0.5)], p_f=0.5) == []
    assert reasons([run(0, p_f=0.5), run(1, p_f=0.3)], p_f=0.5) == ["p_F 0.3 instead of 0.5"]
    assert reasons([run(0, p_f=0.5), run(1)], p_f=0.5) == ["p_F not recorded instead of 0.5"]
    assert reasons([run(0, p_f=0.5), run(1, p_f=0.5)]) == []


def test_seeds_that_are_one_twice_or_missing():
    assert reasons([run(0)]) == ["one seed (0): at least 2 are needed"]
    assert reasons([run(0), run(1)], missing=("x.s2", "x.s3")) == ["missing runs: x.s2, x.s3"]
    assert reasons([run(0), run(1), run(1)]) == [
        "duplicate seeds: 1 in roberta-base.mt.bmt.s1, roberta-base.mt.bmt.s1"
    ]
    again = seed_reasons([run(0), run(1)], [], [], {"roberta-base.mt.bmt.s1": "roberta-base.mt.bmt.s0"})
    assert [(reason.text, reason.mixed) for reason in again] == [
        ("duplicate runs: every score of roberta-base.mt.bmt.s1 is that of roberta-base.mt.bmt.s0", True)
    ]
    damaged = seed_reasons([run(0), run(1)], [Fault("x.s2.json", "no JSON")], [], {})
    assert [(reason.text, reason.mixed) for reason in damaged] == [("unreadable x.s2.json: no JSON", False)]
    assert seed_reasons([], [], [], {}) == []
    twice = seed_reasons([run(3), run(3), run(1), run(1)], [], [], {})
    assert [(reason.text, reason.mixed) for reason in twice] == [
        ("duplicate seeds: 1 in roberta-base.mt.bmt.s1, roberta-base.mt.bmt.s1", True)
    ]
    elsewhere = {"roberta-base.mt.none.s1": "roberta-base.mt.none.s0"}
    assert seed_reasons([run(0), run(1)], [], [], elsewhere) == []


def test_another_profile_alone_makes_a_table_not_comparable(capsys, faithful, small_paper, tmp_path):
    """On the paper's backbone, revision, data and budget, with numbers that would be called reproduced."""
    folder = copy_of(faithful, tmp_path / "r")
    for path in sorted(folder.glob("*.json")):
        edit(folder, path.stem, lambda record: record.update(profile="mini"))
    cells = cells_of(compared(capsys, folder, small_paper, status=0), "roberta-base.mt.bmt")
    assert {cell["verdict"] for cell in cells.values()} == {"not comparable"}
    assert {cell["reason"] for cell in cells.values()} == {"profile mini"}
    assert all(cell["p_holm"] is None and cell["ci90"] is None for cell in cells.values())


def test_an_average_over_datasets_with_different_seeds_is_not_judged(capsys, small_paper, tmp_path):
    """Runs of one dataset each may have seeds of their own; the average is then over those that all have."""
    for dataset in IN_DOMAIN:
        seeds = (0, 1) if dataset == "NewsQA" else (0, 1, 2)
        make_results(tmp_path / "r", regime=f"st-{dataset}", arms=["none"], seeds=seeds)
    cells = cells_of(compared(capsys, tmp_path / "r", small_paper, "5"), "roberta-base.st.none")
    assert (cells["average"]["verdict"], cells["average"]["reason"]) == (
        "not comparable",
        "its datasets have different seeds",
    )
    assert cells["average"]["n"] == 2 and cells["average"]["p_holm"] is None
    assert {cells[dataset]["reason"] for dataset in IN_DOMAIN} & {
        "its datasets have different seeds"
    } == set()
