"""Whatever stands in a results folder: `benchmark.compare` ends with 0, 1 or 2, and shows no number that is
none.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.compare import main
from tests.support.comparing import strict_json
from tests.support.results_maker import SMALL, make_results

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_results(folder, sizes=dict.fromkeys(SMALL, 12))
    return folder


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    return [here, *(place for key, entry in inner for place in places(entry, (*here, key)))]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10**6),
    st.integers(10**300, 10**400),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["\ud800", "\x1b[31m", "</script>", "_{}%&\\", "SQuAD"]),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(
        st.sampled_from(["SQuAD", "f1", ""]), st.one_of(st.floats(), st.none(), st.integers(0, 3)), max_size=2
    ),
)


VERDICTS = {"reproduced", "not reproduced", "inconclusive", "not comparable", "missing", "no data"}


@settings(max_examples=40)
@given(data=st.data())
def test_no_content_of_any_file_gives_a_traceback_or_a_number_that_is_none(
    tiny, small_paper, tmp_path_factory, data
):
    folder = tmp_path_factory.mktemp("fuzzed") / "r"
    shutil.copytree(tiny, folder)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(folder.iterdir())))
        if path.suffix == ".json" and data.draw(st.booleans()):
            record = json.loads(path.read_bytes())
            *start, last = data.draw(st.sampled_from(places(record)[1:]))
            target = record
            for part in start:
                target = target[part]
            target[last] = data.draw(JUNK)
            path.write_text(json.dumps(record))
        else:
            content = bytearray(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size))])
            for place in (
                data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)) if content else []
            ):
                content[place] ^= data.draw(st.integers(1, 255))
            path.write_bytes(content)
            if path.suffix == ".json":
                break  # no JSON any more
    for form in ("json", data.draw(st.sampled_from(["terminal", "markdown", "latex", "html"]))):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err):
            status = main(
                [
                    "--paper-table",
                    "3",
                    "--results",
                    str(folder),
                    "--paper",
                    str(small_paper),
                    "--format",
                    form,
                ]
            )
            out.flush()
        shown = out.buffer.getvalue().decode()
        assert status in (0, 1, 2)
        if form == "json":
            report = strict_json(shown)
            assert {cell["verdict"] for cell in report["cells"]} <= VERDICTS
            assert bool(report["summary"]["unreadable"]) == (status == 2)
        else:
            assert not re.search(r"[\s|>(\[+-](nan|inf)[\s|<),\]]", shown)
