"""What goes along because only running code can name it, and what stays out."""

import os
from pathlib import Path

import pytest
from same_behaviour import embed, run, write_project

from kernel_builder.emit.embed import emit_embed
from kernel_builder.errors import ToolError
from kernel_builder.read.closure import find_closure
from kernel_builder.read.companions import Companions, find_companions
from kernel_builder.read.project import load_project

BY_NAME = "import importlib\nimportlib.import_module('a' + 'b')\n"
BY_PLACE = "import os\nprint(os.path.dirname(__file__))\n"


def companions(files: dict[str, str | bytes], folder: Path) -> Companions:
    return find_companions(find_closure(load_project(write_project(files, folder))))


def names(found: Companions) -> list[str]:
    return [module.name for module in found.extra] + [file.name for file in found.data]


def test_nothing_goes_along_with_plain_imports(tmp_path: Path) -> None:
    files = {
        "main.py": "import one\n",
        "one.py": "",
        "other.py": "",
        "notes.txt": "",
    }
    assert names(companions(files, tmp_path)) == []


def test_modules_beside_go_along_when_something_is_imported_by_name(
    tmp_path: Path,
) -> None:
    files = {"main.py": BY_NAME, "one.py": "", "pkg/deep.py": "", "notes.txt": ""}
    assert names(companions(files, tmp_path)) == ["one", "pkg.deep", "notes.txt"]


def test_data_goes_along_when_the_code_asks_for_its_place(tmp_path: Path) -> None:
    files = {
        "main.py": "import one\n",
        "one.py": BY_PLACE,
        "two.py": "",
        "d/a.csv": "",
        "b.json": "",
    }
    assert names(companions(files, tmp_path)) == ["b.json", "d/a.csv"]


def test_of_many_files_only_those_the_code_spells_go_along(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {f"docs/{n}.md": "" for n in range(20)}
    files |= {
        "main.py": "from pathlib import Path\nHERE = Path(__file__).parent\n"
        "print(HERE / 'labels', f'{HERE}/assets/{1}', HERE / (str(2) + '.csv'))\n",
        "labels": "",
        "assets/1": "",
        "2.csv": "",
        "3.tsv": "",
        "LICENSE": "",
    }
    found = companions(files, tmp_path)
    assert names(found) == ["2.csv", "assets/1", "labels"]
    assert found.notes == (
        "22 files beside the kernel that its code does not spell: left out",
    )


def test_a_packages_data_always_goes_along(tmp_path: Path) -> None:
    files = {"main.py": "import pkg\n", "pkg/__init__.py": "", "pkg/words.txt": "x"}
    assert names(companions(files, tmp_path)) == ["pkg/words.txt"]


@pytest.mark.parametrize(
    "text", ["'plugins.one'", "'plugins.one:main'", "'plugins/one.py'", "'plugins'"]
)
def test_a_string_that_names_a_module_takes_it_along(text: str, tmp_path: Path) -> None:
    files = {"main.py": f"TARGET = {text}\n", "plugins/one.py": ""}
    assert names(companions(files, tmp_path)) == ["plugins.one"]


def test_environments_caches_outputs_and_earlier_builds_stay_out(
    tmp_path: Path,
) -> None:
    files = {
        "main.py": BY_NAME + BY_PLACE,
        ".venv/lib/x.py": "",
        "env/pyvenv.cfg": "",
        "env/lib/y.py": "",
        "__pycache__/main.cpython-311.pyc": b"",
        "node_modules/z.json": "",
        "out/build/main/main.py": "",
        "dist/main.py": "# kaggle-kit build 0.1.0, embed form, of main.py\n",
        "dist/main.map.json": '{"version": 1, "built": "main.py", "kernel": "main.py"}',
        "draft.ipynb": "{}",
        "kernel-metadata.json": "{}",
        "x.egg-info/PKG-INFO": "",
        "kept.py": "",
    }
    assert names(companions(files, tmp_path)) == ["kept"]


def test_a_package_takes_along_what_is_its_own(tmp_path: Path) -> None:
    files = {
        "main.py": "import pkg\n",
        "pkg/__init__.py": BY_PLACE,
        "pkg/py.typed": "",
        "pkg/fast.pyi": "",
        "pkg/labels.map.json": "{}",
        "pkg/.defaults": "",
        "pkg/.gitignore": "",
        "pkg/draft.ipynb": "{}",
        "pkg/credentials.json": "{}",
        "stubs/fast.pyi": "",
    }
    found = companions(files, tmp_path)
    assert names(found) == ["pkg/fast.pyi", "pkg/labels.map.json", "pkg/py.typed"]
    assert found.notes == (
        "pkg/.defaults: a hidden file that no code names; left out",
        "pkg/credentials.json: looks like a credential; left out",
        "pkg/draft.ipynb: a notebook; left out",
    )


@pytest.mark.parametrize(
    "name", ["kaggle.json", ".env", "id_rsa", "server.pem", "credentials.json"]
)
def test_credentials_stay_at_home(name: str, tmp_path: Path) -> None:
    files = {
        "main.py": BY_PLACE + f"open('{name}')\n",
        name: "top secret",
        "kept.txt": "x",
    }
    assert names(companions(files, tmp_path / "p")) == ["kept.txt"]
    assert "top secret" not in embed(tmp_path / "p" / "main.py", tmp_path / "o").text


def test_large_files_and_crowded_folders_are_left_out_with_a_note(
    tmp_path: Path,
) -> None:
    files: dict[str, str | bytes] = {f"images/{n}.png": b"" for n in range(501)}
    files |= {"main.py": BY_PLACE, "weights.pt": b"\0" * 1_000_001, "small.txt": "x"}
    found = companions(files, tmp_path)
    assert names(found) == ["small.txt"]
    assert found.notes == (
        "weights.pt: 1,000,001 bytes; left out, attach it as a dataset",
        "images/: more than 500 files; left out",
    )


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    kernel = (
        write_project(
            {"p/main.py": BY_NAME, "p/a/one.py": "", "q/two.py": ""}, tmp_path
        ).parent
        / "p"
        / "main.py"
    )
    (tmp_path / "p" / "a" / "loop").symlink_to(tmp_path / "p")
    (tmp_path / "p" / "linked").symlink_to(tmp_path / "q")
    (tmp_path / "p" / "broken.txt").symlink_to(tmp_path / "nowhere")
    found = find_companions(find_closure(load_project(kernel)))
    assert names(found) == ["a.one", "linked.two"]
    assert found.notes == ("broken.txt: a link that leads nowhere; left out",)


def test_a_module_that_does_not_parse_goes_along_as_a_file(tmp_path: Path) -> None:
    files = {"main.py": BY_NAME, "python2.py": "print 'x'\n", "my-script.py": ""}
    assert names(companions(files, tmp_path)) == ["my-script.py", "python2.py"]


def test_what_is_not_needed_is_left_out_to_keep_the_limit(tmp_path: Path) -> None:
    files = {
        "main.py": BY_PLACE + "SUFFIX = '.txt'\n",
        "big.txt": "x" * 700_000,
        "half.txt": "y" * 400_000,
        "small.txt": "z",
    }
    emitted = embed(write_project(files, tmp_path / "p"), tmp_path / "o")
    assert len(emitted.text.encode()) < 1_000_000
    kept = "yyy" in emitted.text  # apart: pytest would compare the whole text
    assert kept
    assert any(
        note.startswith("big.txt: left out, the kernel") for note in emitted.notes
    )


def test_modules_that_do_not_fit_are_refused_with_the_largest(tmp_path: Path) -> None:
    files = {
        "main.py": "import small, large\n",
        "small.py": "",
        "large.py": f"X = '{'x' * 990_000}'\n",
    }
    closure = find_closure(load_project(write_project(files, tmp_path)))
    with pytest.raises(ToolError, match=r"refuses 1,000,000.*largest parts are large"):
        emit_embed(closure)


def test_a_kernel_that_does_not_fit_is_named_itself(tmp_path: Path) -> None:
    files = {"main.py": f"X = '{'x' * 1_000_000}'\n"}
    closure = find_closure(load_project(write_project(files, tmp_path)))
    with pytest.raises(ToolError, match=r"largest parts are the kernel \(1,000,0"):
        emit_embed(closure)


def test_executable_files_stay_executable(tmp_path: Path) -> None:
    files = {
        "main.py": "import os, pkg\np = os.path.dirname(pkg.__file__) + '/run.sh'\n"
        "print(os.access(p, os.X_OK))\n",
        "pkg/__init__.py": "",
        "pkg/run.sh": "#!/bin/sh\n",
    }
    kernel = write_project(files, tmp_path)
    (tmp_path / "pkg" / "run.sh").chmod(0o755)
    emitted = emit_embed(find_closure(load_project(kernel)))
    assert "executable=True" in emitted.text


def test_pipes_stay_out_and_odd_names_come_along(tmp_path: Path) -> None:
    files = {
        "main.py": "import os, pkg\nfolder = os.path.dirname(pkg.__file__)\n"
        "names = [n for n in os.listdir(folder) if n[0] != '_']\n"
        "print(sorted(map(os.fsencode, names)))\n",
        "pkg/__init__.py": "",
        "pkg/a\n'b' \"c\".txt": "x",
    }
    kernel = write_project(files, tmp_path / "p")
    (tmp_path / "p" / "pkg" / os.fsdecode(b"bad\xff.txt")).write_text("y")
    os.mkfifo(tmp_path / "p" / "pkg" / "pipe")
    embed(kernel, tmp_path / "o")
    seen = run(tmp_path / "o" / "main.py", tmp_path / "run")
    assert seen.stdout == "[b'a\\n\\'b\\' \"c\".txt', b'bad\\xff.txt']\n", seen.stderr
