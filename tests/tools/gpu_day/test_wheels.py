from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

from tools.gpu_day.wheels import PYTHON, unpack_wheels


def test_wheels_of_what_is_not_installed_are_unpacked(tmp_path: Path) -> None:
    for name in ("no_such_package-1.0-py3-none-any", "numpy-9.9-cp312-cp312-manylinux_2_28_x86_64"):
        with ZipFile(tmp_path / f"{name}.whl", "w") as archive:
            archive.writestr(f"{name.partition('-')[0]}/__init__.py", "VALUE = 1\n")
    assert unpack_wheels(tmp_path, tmp_path / "packages") == ["no_such_package"]
    made = [str(path.relative_to(tmp_path / "packages")) for path in (tmp_path / "packages").rglob("*.py")]
    assert made == ["no_such_package/__init__.py"]
    assert unpack_wheels(tmp_path / "absent", tmp_path / "packages") == []


def test_a_wheel_that_is_damaged_or_of_another_python_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, cut = (
        tmp_path / "no_such_whole-1.0-py3-none-any.whl",
        tmp_path / "no_such_cut-1.0-py3-none-any.whl",
    )
    other = tmp_path / "no_such_other-1.0-cp27-cp27-manylinux1_x86_64.whl"
    changed = tmp_path / "no_such_changed-1.0-py3-none-any.whl"
    for wheel in (whole, cut, other, changed):
        with ZipFile(wheel, "w") as archive:
            archive.writestr(f"{wheel.name.partition('-')[0]}/__init__.py", "VALUE = 1\n")
    cut.write_bytes(cut.read_bytes()[:40])
    changed.write_bytes(changed.read_bytes().replace(b"VALUE = 1", b"VALUE = 2"))
    assert unpack_wheels(tmp_path, tmp_path / "packages") == ["no_such_whole"]
    assert [path.name for path in (tmp_path / "packages").iterdir()] == ["no_such_whole"]
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(": not unpacked")[0] for line in told] == [str(changed), str(cut), str(other)]
    assert f"(of cp27, this is {PYTHON})" in told[2]
