"""A kernel in embed form behaves as the project it was built from."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from embed_cases import PLAIN
from same_behaviour import assert_same, embed, write_project


@cache
def other_pythons() -> tuple[str, ...]:
    """Find Python 3.12 and 3.13, which Kaggle has, where this machine has them."""
    found = []
    for version in ("3.12", "3.13"):
        homes = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        for python in (*map(str, homes), shutil.which(f"python{version}")):
            if python and _runs(python, version):
                found.append(python)
                break
    return tuple(found)


def _runs(python: str, version: str) -> bool:
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


@pytest.mark.parametrize("name", PLAIN)
def test_built_project_behaves_as_the_project(name: str, tmp_path: Path) -> None:
    project = write_project(PLAIN[name], tmp_path / "project").parent
    embed(project / "main.py", tmp_path / "out")
    assert_same(project, tmp_path / "out", tmp_path / "run", sys.executable)


# Some of the cases: what differs between versions is the machinery.
@pytest.mark.parametrize("name", [*PLAIN][::5])
def test_it_does_under_the_other_pythons(name: str, tmp_path: Path) -> None:
    if not other_pythons():
        pytest.skip("no other Python here")
    project = write_project(PLAIN[name], tmp_path / "project").parent
    embed(project / "main.py", tmp_path / "out")
    python = other_pythons()[len(name) % len(other_pythons())]
    assert_same(project, tmp_path / "out", tmp_path / "run", python)
