"""Installed pure-Python packages travel with the kernel; compiled ones are refused."""

import importlib
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from same_behaviour import embed, write_project

from kernel_builder.errors import UsageError
from kernel_builder.read.inline import locate_packages, metadata_files


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages: `tiny-tool` (package `tinytool`) is in it."""
    folder = tmp_path / "site"
    files = {
        "tinytool/__init__.py": "import importlib.metadata\n"
        "from tinytool.parts import double\n"
        "__version__ = importlib.metadata.version('tiny-tool')\n",
        "tinytool/parts.py": "import pkgutil\ndef double(x):\n"
        "    return x * int(pkgutil.get_data('tinytool', 'factor.txt'))\n",
        "tinytool/plugins/extra.py": "NAME = 'extra'\n",
        "tinytool/factor.txt": "2",
        "tinytool/tests/test_x.py": "raise SystemExit\n",
        "tiny_tool-1.5.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny-tool\n"
        "Version: 1.5\n",
        "tiny_tool-1.5.dist-info/LICENSE": "Anybody may do anything.\n",
        "tiny_tool-1.5.dist-info/INSTALLER": "pip\n",
    }
    write_project(files, folder)
    record = "".join(f"{name},,\n" for name in files)
    (folder / "tiny_tool-1.5.dist-info" / "RECORD").write_text(record)
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    return folder


@pytest.mark.parametrize("name", ["tiny-tool", "tiny_tool", "tinytool"])
def test_a_package_is_found_by_either_name(name: str, site: Path) -> None:
    assert locate_packages([name]) == {"tinytool": site}


def test_an_inlined_package_works_without_being_installed(
    site: Path, tmp_path: Path
) -> None:
    kernel = write_project(
        {
            "main.py": "import importlib, tinytool\n"
            "print(tinytool.double(4), tinytool.__version__)\n"
            "print(importlib.import_module('tinytool.plugins.extra').NAME)\n"
        },
        tmp_path / "project",
    )
    emitted = embed(kernel, tmp_path / "out", inline=["tiny-tool"])
    assert "Anybody may do anything." in emitted.text
    assert "raise SystemExit" not in emitted.text
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(tmp_path / "out" / "main.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("8 1.5\nextra\n", "")


def test_a_real_package_and_its_licence(tmp_path: Path) -> None:
    kernel = write_project(
        {
            "main.py": "import pathlib, iniconfig\n"
            "pathlib.Path('x.ini').write_text('[a]\\nb = 1\\n')\n"
            "print(iniconfig.IniConfig('x.ini')['a']['b'])\n"
        },
        tmp_path / "project",
    )
    embed(kernel, tmp_path / "out", inline=["iniconfig"])
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(tmp_path / "out" / "main.py")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
    names = [name for name, _ in metadata_files(["iniconfig"])]
    assert any("LICEN" in name for name in names)


def test_a_compiled_package_is_refused_with_the_file() -> None:
    with pytest.raises(UsageError, match=r"--inline numpy: numpy/\S+\.so is compiled"):
        locate_packages(["numpy"])


def test_a_compiled_module_beside_the_package_is_refused(site: Path) -> None:
    (site / "tinytool" / "_fast.cpython-311-x86_64-linux-gnu.so").write_bytes(b"")
    with pytest.raises(UsageError, match=r"tinytool/_fast\.\S+ is compiled"):
        locate_packages(["tiny-tool"])


def test_a_missing_package_says_how_to_install_it() -> None:
    with pytest.raises(UsageError, match=r"not installed in .*pip install no-such-one"):
        locate_packages(["no-such-one"])


def test_the_standard_library_needs_no_inlining() -> None:
    with pytest.raises(UsageError, match="--inline json: part of Python"):
        locate_packages(["json"])
