"""Small whole projects, run as they are and built: the same program in every form.

Each file of tests/projects is one project: `flat: ok` or the rule that forbids the flat
form, then its files. Its name says what it is about.
"""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from kernel_builder.emit.build import build
from kernel_builder.emit.flat_tables import FlatRefused
from kernel_builder.read.project import load_project

FOLDER = Path(__file__).parents[2] / "projects"
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))


def unpack(name: str, folder: Path) -> str:
    """Write a project's files; give what its first line says about the flat form."""
    text = (FOLDER / f"{name}.txt").read_text("utf-8")
    head, *parts = re.split(r"^-- (.+?) --\n", text, flags=re.M)
    for file, body in zip(parts[::2], parts[1::2], strict=True):
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body, "utf-8")
    return head.removeprefix("flat: ").strip()


def run(script: Path, folder: Path) -> tuple[int, str, dict[str, bytes]]:
    """Run a script in an empty folder: exit code, stdout, files written."""
    folder.mkdir()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-B", str(script)],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return done.returncode, done.stdout, files


@pytest.fixture(scope="module")
def unbuilt(tmp_path_factory):
    """Run a project as it is, once for all forms."""

    @cache
    def result(name: str) -> tuple[int, str, dict[str, bytes]]:
        folder = tmp_path_factory.mktemp("unbuilt")
        unpack(name, folder / "src")
        return run(folder / "src" / "kernel.py", folder / "work")

    return result


@pytest.mark.parametrize("name", NAMES)
def test_flat_is_the_same_program_or_refused_by_the_right_rule(name, tmp_path, unbuilt):
    rule = unpack(name, tmp_path)
    project = load_project(tmp_path / "kernel.py")
    out = tmp_path / "out"
    if rule != "ok":
        with pytest.raises(FlatRefused, match=re.escape(f"[{rule}]")) as caught:
            build(project, out=out, form="flat")
        for refusal in caught.value.refusals:
            assert (tmp_path / refusal.path).is_file()
            assert refusal.line > 0
        assert not out.exists()
        return
    built = build(project, out=out, form="flat")
    assert run(built.code_path, tmp_path / "work") == unbuilt(name)


@pytest.mark.parametrize("name", NAMES)
def test_embed_is_the_same_program(name, tmp_path, unbuilt):
    unpack(name, tmp_path)
    project = load_project(tmp_path / "kernel.py")
    built = build(project, out=tmp_path / "out", form="embed")
    assert run(built.code_path, tmp_path / "work") == unbuilt(name)


@pytest.mark.parametrize("name", NAMES)
def test_auto_takes_flat_where_it_is_allowed_and_says_why_not(name, tmp_path):
    rule = unpack(name, tmp_path)
    built = build(load_project(tmp_path / "kernel.py"), out=tmp_path / "out")
    assert built.form == ("flat" if rule == "ok" else "embed")
    assert any(f"[{rule}]" in note for note in built.notes) == (rule != "ok")
