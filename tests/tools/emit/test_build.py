import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kernel_builder.cli import main
from kernel_builder.emit.build import build, check_fresh
from kernel_builder.errors import ToolError, UsageError
from kernel_builder.metadata import load_metadata, normalised
from kernel_builder.read.project import load_project, slugify

KERNEL = "from helpers import add\n\nprint(add(1, 2))\n"
HELPERS = '"""Sums."""\n\n\ndef add(a, b):\n    return a + b\n'


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, "utf-8")
    return folder


@pytest.fixture
def bare(tmp_path):
    return write(tmp_path / "src", kernel=KERNEL, helpers=HELPERS) / "kernel.py"


@pytest.fixture
def folder(tmp_path):
    place = write(tmp_path / "my-kernel", kernel=KERNEL, helpers=HELPERS)
    metadata = {
        "id": "tester/my-kernel",
        "title": "My kernel",
        "code_file": "kernel.py",
        "kernel_type": "script",
        "enable_gpu": True,
        "accelerator": "unknown key",
    }
    (place / "kernel-metadata.json").write_text(json.dumps(metadata))
    return place


def listing(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


def test_a_bare_file_becomes_one_file_and_the_project_stays_as_it_was(bare, tmp_path):
    before = listing(bare.parent)
    built = build(load_project(bare), out=tmp_path / "out")
    assert listing(tmp_path / "out") == ["kernel.map.json", "kernel.py"]
    assert listing(bare.parent) == before
    assert built.metadata_path is None
    done = subprocess.run(
        [sys.executable, "-I", built.code_path],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == "3\n"


def test_a_kernel_folder_gets_metadata_with_every_flag(folder, tmp_path):
    built = build(load_project(folder), out=tmp_path / "out", kernel_type="notebook")
    assert built.metadata_path is not None
    written = json.loads(built.metadata_path.read_text())
    assert written == {
        "id": "tester/my-kernel",
        "title": "My kernel",
        "code_file": "kernel.ipynb",
        "language": "python",
        "kernel_type": "notebook",
        "accelerator": "unknown key",
        "competition_sources": [],
        "dataset_sources": [],
        "enable_gpu": True,
        "enable_internet": False,
        "enable_tpu": False,
        "is_private": True,
        "kernel_sources": [],
        "keywords": [],
        "model_sources": [],
    }
    assert json.loads(built.code_path.read_text())["nbformat"] == 4


def test_a_file_named_by_its_folders_metadata_uses_it(folder):
    assert load_project(folder / "kernel.py").slug == "my-kernel"
    other = folder / "other_script.py"
    other.write_text("print(1)\n")
    project = load_project(other)
    assert project.metadata is None
    assert project.slug == "other-script"


def test_the_same_sources_give_the_same_bytes_wherever_they_lie(bare, tmp_path):
    first = build(load_project(bare), out=tmp_path / "a")
    moved = tmp_path / "elsewhere" / "deep"
    # A folder copied in another order lists its files in another order.
    moved.mkdir(parents=True)
    for name in ("kernel.py", "helpers.py"):
        shutil.copy(bare.parent / name, moved / name)
    second = build(load_project(moved / "kernel.py"), out=tmp_path / "b")
    third = build(load_project(moved / "kernel.py"), out=tmp_path / "b")
    assert first.code_path.read_bytes() == second.code_path.read_bytes()
    assert first.map_path.read_bytes() == second.map_path.read_bytes()
    assert first.sha256 == second.sha256 == third.sha256


def test_building_a_built_file_changes_nothing_but_the_header(bare, tmp_path):
    first = build(load_project(bare), out=tmp_path / "a").code_path
    second = build(load_project(first), out=tmp_path / "b").code_path

    def body(path: Path) -> list[str]:
        lines = path.read_text().split("\n")
        return [line for line in lines if not line.startswith("#") and line]

    assert body(first) == body(second)


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_another_python_gives_the_same_bytes(version, bare, tmp_path):
    python = shutil.which(f"python{version}")
    if python is None or subprocess.run([python, "-c", ""], check=False).returncode:
        pytest.skip(f"no Python {version} here")
    tool = Path(__file__).parents[3] / "tools" / "build_kernel.py"
    for name, interpreter in (("a", sys.executable), ("b", python)):
        command = [interpreter, "-B", tool, "build", bare, "--out", tmp_path / name]
        subprocess.run(command, check=True, capture_output=True)
    for name in ("kernel.py", "kernel.map.json"):
        assert (tmp_path / "a" / name).read_bytes() == (
            tmp_path / "b" / name
        ).read_bytes()


def test_check_finds_a_stale_or_missing_file(bare, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = ["build", str(bare), "--out", str(out)]
    assert main([*arguments, "--check"]) == 1
    assert "build it" in capsys.readouterr().err
    assert not out.exists()
    assert main(arguments) == 0
    assert main([*arguments, "--check"]) == 0
    (bare.parent / "helpers.py").write_text(HELPERS.replace("a + b", "a - b"))
    assert main([*arguments, "--check"]) == 1
    assert "stale" in capsys.readouterr().err


def test_check_compares_the_metadata_too(folder, tmp_path):
    project = load_project(folder)
    path = build(project, out=tmp_path / "out").metadata_path
    check_fresh(project, out=tmp_path / "out")
    path.write_text(
        path.read_text().replace('"enable_gpu": true', '"enable_gpu": false')
    )
    with pytest.raises(ToolError, match=r"kernel-metadata\.json: stale"):
        check_fresh(project, out=tmp_path / "out")


def test_a_commit_that_touches_no_source_leaves_a_build_fresh(bare, tmp_path):
    root = bare.parent

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.org"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=root, check=True, capture_output=True
        )

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    built = build(load_project(bare), out=tmp_path / "out")
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, check=True
    ).stdout.decode()
    line = f"# git {head.strip()}"
    assert line in built.code_path.read_text().split("\n")
    (root / "notes.txt").write_text("x")
    git("add", ".")
    git("commit", "-qm", "two")
    check_fresh(load_project(bare), out=tmp_path / "out")
    (root / "helpers.py").write_text(HELPERS + "\n# changed\n")
    again = build(load_project(bare), out=tmp_path / "out").code_path.read_text()
    assert "with uncommitted changes" in again


def test_the_built_file_never_overwrites_a_source(bare, folder):
    with pytest.raises(UsageError, match=r"overwrite kernel\.py"):
        build(load_project(bare), out=bare.parent)
    with pytest.raises(UsageError, match=r"overwrite kernel\.py"):
        build(load_project(folder), out=folder)
    assert bare.read_text() == KERNEL


def test_packages_on_path_are_first_party(tmp_path):
    write(tmp_path / "lib" / "tools", __init__="", sums=HELPERS)
    kernel = write(
        tmp_path / "k", kernel="from tools.sums import add\nprint(add(1, 1))\n"
    )
    project = load_project(kernel / "kernel.py", [tmp_path / "lib"])
    text = build(project, out=tmp_path / "out", form="flat").code_path.read_text()
    assert "def add(a, b):" in text
    assert "import add" not in text


def test_the_kit_is_found_beside_the_tool(tmp_path):
    text = "from kaggle_kit.seeding import seed_everything\nseed_everything(1)\n"
    kernel = write(tmp_path, kernel=text) / "kernel.py"
    built = build(load_project(kernel), out=tmp_path / "out")
    assert built.form == "flat"
    assert "kaggle_kit/seeding.py" in built.source_map.sources


def test_a_file_over_the_limit_names_its_largest_parts(tmp_path):
    big = "TEXT = '" + "x" * 1_000_100 + "'\n"
    write(tmp_path, kernel="from big import TEXT\nprint(len(TEXT))\n", big=big)
    for form in ("flat", "auto", "embed"):
        with pytest.raises(ToolError, match=r"big\.py"):
            build(load_project(tmp_path / "kernel.py"), out=tmp_path / "out", form=form)
    assert not (tmp_path / "out").exists()


def test_a_failed_build_leaves_the_old_file_whole(bare, tmp_path):
    out = tmp_path / "out"
    old = build(load_project(bare), out=out).code_path.read_bytes()
    (bare.parent / "helpers.py").write_text("def add(:\n")
    with pytest.raises(UsageError, match=r"helpers\.py:1"):
        build(load_project(bare), out=out)
    assert (out / "kernel.py").read_bytes() == old
    assert listing(out) == ["kernel.map.json", "kernel.py"]


@pytest.mark.parametrize(
    ("kernel", "said"),
    [
        ("nowhere.py", "No such file"),
        ("nowhere", "No such file"),
        (".", "no kernel-metadata.json in this folder"),
        ("notes.txt", "must be a .py file"),
        ("old.ipynb", "a notebook cannot be the source"),
    ],
)
def test_what_is_no_kernel_is_said_without_a_traceback(
    kernel, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "old.ipynb").write_text("{}")
    assert main(["build", kernel, "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"id": "a/b"}', "no code_file"),
        ('{"code_file": {"a": 1}}', 'a string, not {"a": 1}'),
        ('{"code_file": "gone.py"}', "No such file"),
    ],
)
def test_malformed_metadata_is_named(content, said, tmp_path, capsys):
    (tmp_path / "kernel-metadata.json").write_text(content)
    assert main(["build", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_is_not_there_on_path(bare, capsys):
    assert main(["build", str(bare), "--path", "no-such-folder"]) == 2
    assert "--path no-such-folder: not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out", "out/deeper/still"])
def test_a_file_in_place_of_the_output_folder_is_said(name, bare, tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert main(["build", str(bare), "--out", str(tmp_path / name)]) == 2
    said = f"--out {tmp_path / name}: {tmp_path / 'out'} is a file; name a folder"
    assert said in capsys.readouterr().err


def test_nothing_heavy_is_imported_by_a_build(bare, tmp_path):
    code = (
        "import sys; from kernel_builder.cli import main; "
        f"main(['build', {str(bare)!r}, '--out', {str(tmp_path / 'out')!r}]); "
        "heavy = {'torch', 'numpy', 'pandas', 'kaggle', 'nbformat', 'asyncio', 'ssl'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "tools")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_title_makes_the_slug():
    assert slugify("My Kernel_2!") == "my-kernel-2"
    assert slugify("___") == "kernel"


def test_metadata_keeps_what_it_does_not_know(folder):
    metadata = load_metadata(folder / "kernel-metadata.json")
    assert metadata.owner == "tester"
    assert normalised(metadata, "x.py", "script")["accelerator"] == "unknown key"
