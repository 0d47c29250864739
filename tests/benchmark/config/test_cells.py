"""Cells by name: every part of it, and one line for a name that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmark.config.cells import MAX_SEED, Cell, domain_of, is_word, known_name, nearest, parse
from bmt.errors import ConfigError
from bmt.settings import IN_DOMAIN, OUT_OF_DOMAIN

WORDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,12}", fullmatch=True)
CELLS = st.builds(
    Cell,
    backbone=WORDS,
    regime=st.sampled_from(["mt", *(f"st-{name}" for name in (*IN_DOMAIN, *OUT_OF_DOMAIN))]),
    arm=WORDS,
    adapter=st.booleans(),
    seed=st.integers(0, MAX_SEED),
)


@pytest.mark.parametrize(
    ("name", "cell", "dataset"),
    [
        ("minilm.mt.bmt.s0", Cell("minilm", "mt", "bmt", False, 0), None),
        ("roberta-base.st-SQuAD.none.s12", Cell("roberta-base", "st-SQuAD", "none", False, 12), "SQuAD"),
        ("t5-base.mt.mask_p30.adapter.s7", Cell("t5-base", "mt", "mask_p30", True, 7), None),
        ("adapter.mt.adapter.adapter.s0", Cell("adapter", "mt", "adapter", True, 0), None),
    ],
)
def test_a_name_says_all_of_the_cell(name: str, cell: Cell, dataset: str | None) -> None:
    assert parse(name) == cell
    assert cell.name == name
    assert cell.dataset == dataset


@given(CELLS)
def test_parse_reads_every_name_back(cell: Cell) -> None:
    assert parse(cell.name) == cell


@given(st.text(alphabet="abs01.-_mt/ ", max_size=24) | st.text(max_size=24))
def test_any_other_text_is_a_config_error_of_one_line(text: str) -> None:
    try:
        cell = parse(text)
    except ConfigError as error:
        assert error.status == 2
        assert "\n" not in str(error)
    else:
        assert cell.name == text


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("minilm.mt.bmt", "not of the form <backbone>.<mt|st-Dataset>.<arm>[.adapter].s<seed>"),
        ("minilm.mt.bmt.adapters.s0", "not of the form"),
        ("minilm.mt.bmt.0", "seed '0': s followed by a whole number"),
        ("minilm.mt.bmt.s01", "seed 's01'"),
        ("minilm.mt.bmt.s-1", "seed 's-1'"),
        ("minilm.mt.bmt.s4294967296", "from 0 to 4294967295"),
        ("minilm.multi.bmt.s0", "regime 'multi': mt or st-<Dataset>"),
        ("minilm.st-Squad.bmt.s0", "dataset: 'Squad' is not known (did you mean SQuAD?)"),
        ("mini/lm.mt.bmt.s0", "backbone 'mini/lm': letters, digits, - and _ only"),
        ("..mt.bmt.s0", "not of the form"),
        (".mt.bmt.s0", "backbone ''"),
    ],
)
def test_a_bad_name_is_told_what_is_wrong(name: str, complaint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(name)
    assert complaint in str(caught.value)
    assert repr(name) in str(caught.value)


def test_nearest_looks_past_case_and_keeps_silent_when_nothing_is_near() -> None:
    assert nearest("squad", ("SQuAD", "DROP")) == " (did you mean SQuAD?)"
    assert nearest("xyz", ("SQuAD", "DROP")) == ""


def test_the_largest_seed_is_one_and_every_dataset_may_be_a_regime() -> None:
    assert parse("b.mt.a.s4294967295").seed == MAX_SEED == 2**32 - 1
    for name in (*IN_DOMAIN, *OUT_OF_DOMAIN):
        assert parse(f"b.st-{name}.a.s0").dataset == name


@pytest.mark.parametrize(
    ("word", "good"),
    [
        ("a", True),
        ("0_-Z", True),
        ("", False),
        ("-a", False),
        ("_a", False),
        ("a.b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("a/b", False),
    ],
)
def test_a_word_of_a_name_is_one_of_a_folder_s(word: str, good: bool) -> None:
    assert is_word(word) == good


def test_domains_and_names_that_are_not_known() -> None:
    assert {domain_of(name) for name in IN_DOMAIN} == {"in_domain"}
    assert {domain_of(name) for name in OUT_OF_DOMAIN} == {"out_of_domain"}
    known_name("DROP", ("SQuAD", "DROP"), "key")
    with pytest.raises(ConfigError) as caught:
        known_name("drop", ("SQuAD", "DROP"), "key")
    assert str(caught.value) == "key: 'drop' is not known (did you mean DROP?): one of SQuAD, DROP"
