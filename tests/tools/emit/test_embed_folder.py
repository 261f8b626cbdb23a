"""The temporary folder: where it is, who may remove it, what happens without one."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from same_behaviour import embed, run, write_project

SHOW = {
    "main.py": "import pkg\nprint(pkg.__file__)\n",
    "pkg.py": "V = 1\n",
}


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    """A temporary folder for the kernels alone: what they leave is seen."""
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


def build(files: dict[str, str | bytes], tmp_path: Path) -> Path:
    embed(write_project(files, tmp_path / "project"), tmp_path / "out")
    return tmp_path / "out" / "main.py"


def old_folder(temp: Path, name: str = "kaggle-embed-00000000-dead") -> Path:
    folder = temp / name
    folder.mkdir()
    (folder / "pkg.py").write_text("")
    hour_ago = time.time() - 3600
    os.utime(folder, (hour_ago, hour_ago))
    return folder


def test_the_folder_is_in_the_temporary_one_and_gone_at_the_end(
    tmp_path: Path, temp: Path
) -> None:
    seen = run(build(SHOW, tmp_path), tmp_path / "run", TMPDIR=str(temp))
    assert seen.stdout.startswith(f"{temp.resolve()}/kaggle-embed-")
    assert seen.files == {}
    assert list(temp.iterdir()) == []


@pytest.mark.parametrize(
    ("ending", "code"),
    [("raise ValueError('x')", 1), ("import sys; sys.exit(3)", 3)],
)
def test_the_folder_is_gone_after_an_error(
    ending: str, code: int, tmp_path: Path, temp: Path
) -> None:
    files = {**SHOW, "main.py": f"import pkg\n{ending}\n"}
    seen = run(build(files, tmp_path), tmp_path / "run", TMPDIR=str(temp))
    assert seen.code == code
    assert list(temp.iterdir()) == []


def test_a_killed_run_is_cleaned_up_by_the_next_one(tmp_path: Path, temp: Path) -> None:
    files = {**SHOW, "main.py": "import os, pkg\nos._exit(9)\n"}
    assert run(build(files, tmp_path), tmp_path / "run", TMPDIR=str(temp)).code == 9
    (left,) = temp.iterdir()
    run(build(SHOW, tmp_path / "b"), tmp_path / "run2", TMPDIR=str(temp))
    assert left.exists(), "a folder this young may be somebody's start"
    os.utime(left, (time.time() - 3600, time.time() - 3600))
    run(build(SHOW, tmp_path / "c"), tmp_path / "run3", TMPDIR=str(temp))
    assert not left.exists()


def test_a_living_runs_folder_is_never_removed(tmp_path: Path, temp: Path) -> None:
    files = {
        **SHOW,
        "main.py": "import pkg\nprint(pkg.__file__, flush=True)\ninput()\n",
    }
    living = subprocess.Popen(
        [sys.executable, str(build(files, tmp_path))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temp)},
        text=True,
    )
    try:
        assert living.stdout is not None
        folder = Path(living.stdout.readline().strip()).parent
        os.utime(folder, (time.time() - 3600, time.time() - 3600))
        dead = old_folder(temp)
        run(build(SHOW, tmp_path / "b"), tmp_path / "run", TMPDIR=str(temp))
        assert folder.exists()
        assert not dead.exists()
    finally:
        living.communicate("\n", timeout=30)
    assert list(temp.iterdir()) == []


def test_only_own_folders_without_a_lock_are_swept(tmp_path: Path, temp: Path) -> None:
    locked = old_folder(temp, "kaggle-embed-11111111-x")
    other = old_folder(temp, "somebody-else")
    outside = tmp_path / "outside"
    outside.mkdir()
    link = temp / "kaggle-embed-22222222-link"
    link.symlink_to(outside)
    handle = os.open(locked, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        run(build(SHOW, tmp_path), tmp_path / "run", TMPDIR=str(temp))
        assert locked.exists()
        assert other.exists()
        assert outside.exists()
    finally:
        os.close(handle)


def test_several_at_once_do_not_meet(tmp_path: Path, temp: Path) -> None:
    script = build(SHOW, tmp_path)
    runs = [
        subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(temp)},
            text=True,
        )
        for _ in range(4)
    ]
    places = {process.communicate(timeout=60)[0] for process in runs}
    assert len(places) == 4
    assert [process.returncode for process in runs] == [0] * 4
    assert list(temp.iterdir()) == []


def test_a_worker_finds_its_parents_folder(tmp_path: Path, temp: Path) -> None:
    files = {
        "main.py": "import multiprocessing as mp, os, pkg\n"
        "if __name__ == '__main__':\n"
        "    with mp.get_context('spawn').Pool(1) as pool:\n"
        "        print(pool.apply(pkg.where) == pkg.where())\n"
        "    print(len(os.listdir(os.environ['TMPDIR'])))\n",
        "pkg.py": "def where():\n    return __file__\n",
    }
    seen = run(build(files, tmp_path), tmp_path / "run", TMPDIR=str(temp))
    assert seen.stdout == "True\n1\n", seen.stderr


def test_the_kernel_may_still_choose_its_temporary_folder(
    tmp_path: Path, temp: Path
) -> None:
    files = {
        **SHOW,
        "main.py": "import os, pkg, tempfile\nos.makedirs('mine')\n"
        "os.environ['TMPDIR'] = os.path.abspath('mine')\n"
        "print(os.path.basename(tempfile.gettempdir()))\n",
    }
    seen = run(build(files, tmp_path), tmp_path / "run", TMPDIR=str(temp))
    assert seen.stdout == "mine\n"


WRITES = {
    "main.py": "import pathlib, helper\nhere = pathlib.Path(__file__).parent\n"
    "(here / 'new' / 'deep').mkdir(parents=True)\n"
    "(here / 'new' / 'deep' / 'a.txt').write_text('kept')\n"
    "(here / 'b.txt').write_text('also')\n",
    "helper.py": "",
}


def test_what_the_kernel_writes_beside_itself_is_kept_beside_the_built_file(
    tmp_path: Path, temp: Path
) -> None:
    script = build(WRITES, tmp_path)
    seen = run(script, tmp_path / "run", TMPDIR=str(temp))
    assert seen.stderr == ""
    assert seen.files == {}
    assert (script.parent / "new" / "deep" / "a.txt").read_text() == "kept"
    assert (script.parent / "b.txt").read_text() == "also"
    assert {path.name for path in script.parent.iterdir()} == {
        "main.py",
        "new",
        "b.txt",
    }
    assert list(temp.iterdir()) == []


def test_where_the_built_files_folder_refuses_it_goes_to_the_working_folder(
    tmp_path: Path, temp: Path
) -> None:
    script = build(WRITES, tmp_path)
    (script.parent / "b.txt").mkdir()
    seen = run(script, tmp_path / "run", TMPDIR=str(temp))
    assert seen.files == {"b.txt": b"also"}
    assert seen.stderr == f"b.txt, beside the kernel: see {tmp_path}/run/b.txt\n"


def test_what_a_module_writes_beside_itself_is_kept_too(
    tmp_path: Path, temp: Path
) -> None:
    files: dict[str, str | bytes] = {
        "main.py": "import store\nstore.keep()\n",
        "store.py": "from pathlib import Path\n\n\ndef keep():\n"
        "    (Path(__file__).parent / 'kept.txt').write_text('kept')\n",
    }
    emitted = embed(write_project(files, tmp_path / "project"), tmp_path / "out")
    assert any("a module asks for its __file__" in note for note in emitted.notes)
    run(tmp_path / "out" / "main.py", tmp_path / "run", TMPDIR=str(temp))
    assert (tmp_path / "out" / "kept.txt").read_text() == "kept"
    assert list(temp.iterdir()) == []


@pytest.mark.parametrize("change", ["append('src')", "insert(0, './src')"])
def test_a_relative_entry_of_the_path_leads_into_the_project(
    change: str, tmp_path: Path
) -> None:
    files: dict[str, str | bytes] = {
        "main.py": f"import sys\nsys.path.{change}\nimport inner\nprint(inner.V)\n",
        "src/inner.py": "import inner_too\nV = inner_too.V\n",
        "src/inner_too.py": "V = 7\n",
    }
    seen = run(build(files, tmp_path), tmp_path / "run")
    assert (seen.stdout, seen.stderr) == ("7\n", "")


@pytest.mark.parametrize("line", ["f_lineno", "co_filename"])
def test_a_kernel_that_sees_its_own_lines_is_told_so(line: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"main.py": f"import pkg  # {line}\n", "pkg.py": ""}
    emitted = embed(write_project(files, tmp_path / "project"), tmp_path / "out")
    assert emitted.notes == (
        f"main.py: `{line}`: the kernel's own code stands in the built file, with that "
        "file's name and line numbers",
    )


def test_interrupting_cleans_up(tmp_path: Path, temp: Path) -> None:
    # Whoever runs tests in the background has SIGINT ignored, and processes inherit it.
    heed = "import pkg, signal, time\nsignal.signal(2, signal.default_int_handler)\n"
    wait = "print('up', flush=True)\ntime.sleep(60)\n"
    files = {**SHOW, "main.py": heed + wait}
    process = subprocess.Popen(
        [sys.executable, str(build(files, tmp_path))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temp)},
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in error
    assert list(temp.iterdir()) == []


NO_TEMP = """\
import sys, tempfile, runpy, os
{patch}
runpy.run_path(sys.argv[1], run_name="__main__")
"""


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (
            # What tempfile finds when every usual place refuses: the working folder.
            "tempfile.tempdir = os.getcwd()\nos.environ.pop('TMPDIR', None)",
            "no temporary folder can be written",
        ),
        (
            "def full(*a, **k): raise OSError(28, 'No space left on device')\n"
            "import pathlib; pathlib.Path.write_bytes = full",
            "No space left on device",
        ),
        (
            "def full(*a, **k): raise OSError(30, 'Read-only file system')\n"
            "tempfile.mkdtemp = full",
            "Read-only file system",
        ),
    ],
)
def test_no_room_for_the_folder_is_a_clear_error(
    patch: str, message: str, tmp_path: Path, temp: Path
) -> None:
    script = build(SHOW, tmp_path)
    (tmp_path / "start.py").write_text(NO_TEMP.format(patch=patch))
    (tmp_path / "cwd").mkdir()
    done = subprocess.run(
        [sys.executable, str(tmp_path / "start.py"), str(script)],
        cwd=tmp_path / "cwd",
        env={**os.environ, "TMPDIR": str(temp)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("RuntimeError: this kernel writes its own modules")
    assert message in last
    assert "set the environment variable TMPDIR" in last
    assert list(temp.iterdir()) == []
    assert list((tmp_path / "cwd").iterdir()) == []
