"""Run a project as it stands and built, and compare everything that can be seen."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kernel_builder.emit.embed import emit_embed
from kernel_builder.emit.emitted import Emitted
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project

FOLDER = re.compile(r"[^\s\"'()]*/kaggle-embed-[0-9a-f]{8}-[^/\s\"']+/")


@dataclass(frozen=True)
class Seen:
    """What one run showed: `files` are those in its working folder."""

    stdout: str
    code: int
    stderr: str
    files: dict[str, bytes]


def write_project(files: Mapping[str, str | bytes], folder: Path) -> Path:
    """Write a project; gives its kernel."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / "main.py"


def embed(kernel: Path, folder: Path, **options: object) -> Emitted:
    """Build the embed form of `kernel` into `folder`."""
    emitted = emit_embed(find_closure(load_project(kernel, **options)))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / kernel.name).write_text(emitted.text, encoding="utf-8")
    return emitted


def run(script: Path, cwd: Path, python: str = sys.executable, **env: str) -> Seen:
    """Run a script in a new, empty folder."""
    cwd.mkdir(parents=True)
    done = subprocess.run(
        [python, str(script)],
        cwd=cwd,
        check=False,
        capture_output=True,
        timeout=120,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONHASHSEED": "0",
            "PYTHONIOENCODING": "utf-8",
            "HOME": str(cwd.parent),
            **env,
        },
    )
    files = {
        str(path.relative_to(cwd)): path.read_bytes()
        for path in sorted(cwd.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    return Seen(done.stdout.decode(), done.returncode, done.stderr.decode(), files)


def without_places(text: str, *folders: Path) -> str:
    """Take out what must differ: folders, and line numbers in the kernel itself."""
    for folder in folders:
        text = text.replace(f"{folder}/", "<here>/")
    text = FOLDER.sub("<here>/", text)
    return re.sub(r"(<here>/main\.py\"?(?:, line |:))\d+", r"\1N", text)


def assert_same(project: Path, built: Path, work: Path, python: str) -> None:
    """Run both under one Python and compare output, exit code, files and errors."""
    plain = run(project / "main.py", work / "plain", python)
    made = run(built / "main.py", work / "built", python)
    places = (project, built, work / "plain", work / "built")
    assert without_places(made.stdout, *places) == without_places(plain.stdout, *places)
    assert without_places(made.stderr, *places) == without_places(plain.stderr, *places)
    assert made.code == plain.code
    assert made.files == plain.files
