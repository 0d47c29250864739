"""`python -m benchmark.compare` on fabricated results: values and verdicts, profiles, the commands of missing
cells, usage.
"""

from __future__ import annotations

import json
import shutil
from statistics import fmean, stdev

import pytest
import yaml

from benchmark.compare import main
from benchmark.statistics.reproduction import CellData, judge_cells
from bmt.errors import ConfigError
from tests.support.comparing import PUBLISHED, cells_of, claim_of, compared, copy_of, read, strict_json
from tests.support.repository import ROOT
from tests.support.results_maker import IN_DOMAIN, make_results

pytest_plugins = ("tests.support.compare_fixtures",)
pytestmark = pytest.mark.usefixtures("papers_read_once")


def test_runs_at_the_paper_s_numbers_are_reproduced(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper, status=0)
    assert (report["table"], report["profile"]) == ("3", "paper")
    for arm in ("mask", "bmt"):
        own = cells_of(report, f"roberta-base.mt.{arm}")
        assert list(own) == [*IN_DOMAIN, "average"]
        assert {cell["verdict"] for cell in own.values()} == {"reproduced"}
    assert {cell["verdict"] for cell in report["cells"] if cell["model"] != "RoBERTa-base"} == {"missing"}
    assert report["summary"]["verdicts"] == {"missing": 28, "reproduced": 14}
    assert report["summary"]["sign_agreement"] == [6, 6]
    assert report["summary"]["effect_ratio"] == pytest.approx(1.0, abs=0.15)
    assert report["summary"]["kendall_tau_b"] == 1.0


def test_figures_are_those_of_the_runs_and_of_the_statistics(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper)
    values = {
        (arm, dataset): [
            read(faithful, f"roberta-base.mt.{arm}.s{seed}")["datasets"][dataset]["f1"] for seed in range(3)
        ]
        for arm in ("mask", "bmt")
        for dataset in IN_DOMAIN
    }
    data = []
    for arm in ("mask", "bmt"):
        for dataset in (*IN_DOMAIN, "average"):
            own = values.get((arm, dataset)) or [
                fmean(values[arm, name][seed] for name in IN_DOMAIN) for seed in range(3)
            ]
            cell = cells_of(report, f"roberta-base.mt.{arm}")[dataset]
            assert cell["ours_mean"] == pytest.approx(fmean(own), abs=1e-9)
            assert cell["ours_sd"] == pytest.approx(stdev(own), abs=1e-9)
            assert (cell["n"], cell["runs"]) == (3, [f"roberta-base.mt.{arm}.s{seed}" for seed in range(3)])
            assert cell["delta"] == pytest.approx(
                fmean(own) - PUBLISHED["3", f"roberta-base.mt.{arm}"][dataset], abs=1e-9
            )
            kind = "average" if dataset == "average" else "cell"
            data.append(
                CellData(
                    f"{arm}{dataset}",
                    cell["paper"],
                    1,
                    tuple(own),
                    kind,
                    1.2 if (arm, kind) == ("bmt", "average") else None,
                )
            )
    for verdict, cell in zip(judge_cells(data), [cell for cell in report["cells"] if cell["n"]], strict=True):
        assert cell["verdict"] == verdict.verdict
        assert cell["pi95"] == pytest.approx(verdict.pi95, abs=1e-9)
        assert cell["ci90"] == pytest.approx(verdict.ci90, abs=1e-9)
        assert (cell["cv_star"], cell["p_holm"]) == pytest.approx((verdict.cv_star, verdict.p_holm))


def test_a_shifted_row_is_not_reproduced_and_the_status_says_so(capsys, faithful, small_paper, tmp_path):
    folder = copy_of(faithful, tmp_path / "r")
    make_results(
        folder,
        arms=["bmt"],
        f1=lambda arm, dataset, seed: (
            PUBLISHED["3", "roberta-base.mt.bmt"].get(dataset, 60.0) - 5 + 0.1 * seed
        ),
    )
    report = compared(capsys, folder, small_paper, status=1)
    assert {cell["verdict"] for cell in cells_of(report, "roberta-base.mt.bmt").values()} == {
        "not reproduced"
    }
    assert {cell["verdict"] for cell in cells_of(report, "roberta-base.mt.mask").values()} == {"reproduced"}
    assert "below the paper" in cells_of(report, "roberta-base.mt.bmt")["SQuAD"]["reason"]
    claim = claim_of(report, "bmt-over-mask-roberta-base")
    assert (claim["verdict"], claim["paper_delta"]) == ("contradicted", 1.2)
    assert claim["our_delta"] == pytest.approx(1.2 - 5, abs=0.3)


def test_strict_needs_every_trainable_cell(capsys, faithful, small_paper, tmp_path):
    compared(capsys, faithful, small_paper, "3", "--strict", status=1)  # the other backbones are missing
    table = yaml.safe_load((small_paper / "table_3.yaml").read_text())
    paper = copy_of(small_paper, tmp_path / "p")
    table["rows"] = [row for row in table["rows"] if row["model"] == "RoBERTa-base"]
    literature = {"row": "lit", "model": "L", "ours": "literature", "values": table["rows"][0]["values"]}
    (paper / "table_3.yaml").write_text(yaml.safe_dump(table | {"rows": [*table["rows"], literature]}))
    claims = yaml.safe_load((paper / "claims.yaml").read_text())
    claims["claims"] = [
        claim
        for claim in claims["claims"]
        if claim["table"] == "3" and "base" in claim["a"] and "roberta" in claim["a"]
    ]
    (paper / "claims.yaml").write_text(yaml.safe_dump(claims))
    report = compared(capsys, faithful, paper, "3", "--strict", status=0)
    assert report["summary"]["verdicts"] == {"literature": 7, "reproduced": 14}


def test_seeds_chosen_are_the_seeds_counted(capsys, faithful, small_paper):
    report = compared(capsys, faithful, small_paper, "3", "--seeds", "0,2")
    assert report["summary"]["seeds"] == [0, 2]
    assert cells_of(report, "roberta-base.mt.bmt")["SQuAD"]["n"] == 2
    report = compared(capsys, faithful, small_paper, "3", "--seeds", "0,1,7", status=0)
    cell = cells_of(report, "roberta-base.mt.bmt")["SQuAD"]
    assert (cell["verdict"], cell["reason"], cell["n"]) == (
        "not comparable",
        "missing runs: roberta-base.mt.bmt.s7",
        2,
    )


def test_another_profile_is_never_a_reproduction_but_its_claims_are_tested(capsys, mini):
    report = compared(capsys, mini, None, status=0)
    assert report["summary"]["stand_in"] == {"roberta-base": "minilm"}
    cells = cells_of(report, "roberta-base.mt.bmt")
    for cell in cells.values():
        assert (cell["verdict"], cell["reason"]) == (
            "not comparable",
            "profile mini: backbone minilm instead of roberta-base",
        )
        assert cell["n"] == 3 and cell["ci90"] is None and cell["p_holm"] is None
    assert cells["SQuAD"]["delta"] == pytest.approx(36.0 - 92.4, abs=1.0)
    assert {cell["verdict"] for cell in report["cells"] if cell["model"] == "T5-base"} == {"missing"}
    assert claim_of(report, "bmt-over-mask-roberta-base")["verdict"] == "upheld"
    assert claim_of(report, "bmt-over-mask-t5-base")["verdict"] == "no data"


def test_densities_are_shown_and_inactive_masks_called_so(capsys, mini, faithful, small_paper):
    density = compared(capsys, mini, None)["summary"]["density"]
    assert list(density) == ["roberta-base.mt.bmt"]
    assert density["roberta-base.mt.bmt"]["nearly_inactive"] and density["roberta-base.mt.bmt"][
        "union"
    ] == pytest.approx(1.0)
    assert density["roberta-base.mt.bmt"]["by_dataset"]["SQuAD"] == pytest.approx(0.8)
    for folder, paper, said in ((mini, [], True), (faithful, ["--paper", str(small_paper)], False)):
        main(["--paper-table", "3", "--results", str(folder), *paper])
        text = capsys.readouterr().out
        assert ("mask nearly inactive" in text) == said
        assert "mask density SQuAD" in text and "union" in text


def test_missing_cells_name_the_command_that_makes_them(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("BMT_ROOT", str(tmp_path))
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "profiles" / "sample.yaml", tmp_path / "params.yaml")

    def reasons(*more: str) -> dict[str, str]:
        main(["--paper-table", "2", "--format", "json", *more])
        return {
            cell["row"]: cell["reason"]
            for cell in json.loads(capsys.readouterr().out)["cells"]
            if cell["dataset"] == "SQuAD"
        }

    found = reasons()
    assert found["roberta-base.mt.none"] == "no run of minilm.mt.none: `dvc repro`"
    assert found["t5-base.mt.none"].endswith(
        "profile sample has no t5-base; `python -m benchmark.profile paper` has"
    )
    found = reasons("--seeds", "8")
    name = "minilm.mt.none.s8"
    assert found["roberta-base.mt.none"].endswith(
        f"`python -m benchmark.train {name} && python -m benchmark.evaluate {name}`"
    )
    found = reasons("--profile", "paper")
    assert (
        found["roberta-base.mt.none"]
        == "no run of roberta-base.mt.none: `python -m benchmark.profile paper && dvc repro`"
    )
    found = reasons("--profile", "mini", "--seeds", "8")
    command = (
        "python -m benchmark.profile mini && "
        f"python -m benchmark.train {name} && python -m benchmark.evaluate {name}"
    )
    assert found["roberta-base.mt.none"] == f"no run of minilm.mt.none: `{command}`"
    main(["--paper-table", "1", "--profile", "mini", "--format", "json"])
    counted = strict_json(capsys.readouterr().out)["cells"][0]["reason"]
    assert counted.endswith("`python -m benchmark.profile mini && python -m benchmark.data stats --json`")
    listed = yaml.safe_load((tmp_path / "params.yaml").read_text())["cells"]
    seeds = sorted(int(name.rsplit(".s", 1)[1]) for name in listed if name.startswith("minilm.mt.none."))
    make_results(
        tmp_path / "results" / "sample", profile="sample", backbone="minilm", arms=["none"], seeds=seeds[1:]
    )
    found = reasons()
    assert f"missing runs: minilm.mt.none.s{seeds[0]}" in found["roberta-base.mt.none"]


def test_an_empty_folder_has_only_missing_cells(capsys, small_paper, tmp_path):
    (tmp_path / "r").mkdir()
    report = compared(capsys, tmp_path / "r", small_paper, status=0)
    assert report["summary"]["verdicts"] == {"missing": 42}
    assert {claim["verdict"] for claim in report["claims"]} == {"no data"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper-table", "10"], "--paper-table 10: not allowed: one of 1, 2, 3"),
        (["--paper-table", "3", "--format", "pdf"], "--format 'pdf': not allowed: of terminal, markdown"),
        (["--paper-table", "3", "--format", "json,html"], "several formats need --out"),
        (["--paper-table", "3", "--seeds", "0,x"], "--seeds '0,x': not allowed: whole numbers"),
        (["--paper-table", "3", "--seeds", "1,1"], "--seeds '1,1': not allowed"),
        (["--paper-table", "3", "--seeds", "9" * 5000], "not allowed: whole numbers"),
        (["--paper-table", "3", "--seeds", ""], "--seeds '': not allowed"),
        (["--paper-table", "3", "--results", "README.md"], "--results README.md: no such folder"),
        (["--paper-table", "3", "--results", "absent"], "--results absent: no such folder"),
        (
            ["--paper-table", "3", "--profile", "maxi"],
            "--profile maxi: not allowed: one of grid, mini, mini_gpu, paper, sample",
        ),
        (["--paper-table", "3", "--paper", "absent"], "absent: no such folder"),
    ],
)
def test_wrong_usage_is_one_line(arguments, message):
    with pytest.raises(ConfigError) as caught:
        main(arguments)
    assert message in str(caught.value) and "\n" not in str(caught.value)
