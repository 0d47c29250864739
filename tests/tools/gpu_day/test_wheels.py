from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

from tools.gpu_day.wheels import unpack_wheels


def test_wheels_of_what_is_not_installed_are_unpacked(tmp_path: Path) -> None:
    for name in ("no_such_package-1.0-py3-none-any", "numpy-9.9-cp312-cp312-manylinux_2_28_x86_64"):
        with ZipFile(tmp_path / f"{name}.whl", "w") as archive:
            archive.writestr(f"{name.partition('-')[0]}/__init__.py", "VALUE = 1\n")
    assert unpack_wheels(tmp_path, tmp_path / "packages") == ["no_such_package"]
    made = [str(path.relative_to(tmp_path / "packages")) for path in (tmp_path / "packages").rglob("*.py")]
    assert made == ["no_such_package/__init__.py"]
    assert unpack_wheels(tmp_path / "absent", tmp_path / "packages") == []
