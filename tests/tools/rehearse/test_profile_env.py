import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from rehearsing import failed, run_kernel
from stand_in.server import wait_until

from kernel_builder.errors import UsageError
from kernel_builder.profiles import load_profile
from kernel_builder.rehearse import profile_env, rehearsal
from kernel_builder.rehearse.report import print_report

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
PROFILE = load_profile("kaggle-2026-06-py312")


def tiny_profile(version="1.0", python=f"{HERE}.99"):
    """An image of this Python series with one package, `tinypkg`."""
    return replace(
        PROFILE,
        name="tiny-image",
        python=python,
        packages={"tinypkg": version},
        versions={"tinypkg": version},
    )


def write_wheel(folder, version):
    """A wheel of `tinypkg`, so that nothing is fetched from an index."""
    folder.mkdir(exist_ok=True)
    info = f"tinypkg-{version}.dist-info"
    files = {
        "tinypkg.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tinypkg\n"
        f"Version: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\n"
        "Root-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(folder / f"tinypkg-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            digest = hashlib.sha256(text.encode()).digest()
            code = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            record += f"{name},sha256={code},{len(text)}\n"
            wheel.writestr(name, text)
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One cache for all tests here: making an environment takes seconds."""
    folder = tmp_path_factory.mktemp("profiles")
    write_wheel(folder / "wheels", "1.0")
    return folder


@pytest.fixture
def offline(shared, monkeypatch):
    """A cache of its own, pip with local wheels only, no uv."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shared / "wheels"))
    which = profile_env.shutil.which
    monkeypatch.setattr(
        profile_env.shutil, "which", lambda n: None if n == "uv" else which(n)
    )
    return shared


def test_imports_are_found_anywhere_in_the_sources():
    texts = [
        "import os.path, numpy as np\nfrom a.b import c\nfrom . import d",
        "def f():\n    import torch.nn\n",
        "not python (",
    ]
    names = profile_env.imported_modules(texts)

    assert names == {"os", "numpy", "a", "torch"}


def test_a_kernel_runs_with_the_images_versions_in_a_cached_environment(
    offline, tmp_path, monkeypatch
):
    monkeypatch.setattr(rehearsal, "load_profile", lambda name: tiny_profile())
    code = "import sys, tinypkg\nprint(tinypkg.VERSION, sys.prefix)"
    lines = []
    options = {"profile": "tiny-image", "submission": False, "echo": lines.append}
    report = run_kernel(tmp_path, code, **options)
    again = run_kernel(tmp_path, code, **options)

    assert report.ok, report.log_path.read_text()
    assert report.differences == ()
    lines_of_report = []
    print_report(report, lines_of_report.append)
    assert "versions of what it imports: those of tiny-image" in lines_of_report
    version, prefix = report.log_path.read_text().split()
    assert version == "1.0"
    assert Path(prefix).parent == offline / "cache/kaggle-kit/environments"
    assert again.log_path.read_text() == report.log_path.read_text()
    made = [line for line in lines if line.startswith("making an environment")]
    assert len(made) == 1
    assert sum(line.startswith("installing tinypkg==1.0") for line in lines) == 1


def test_packages_that_cannot_be_installed_are_named(offline):
    with pytest.raises(UsageError, match=r"tinypkg==9.9") as caught:
        profile_env.profile_python(tiny_profile("9.9"), ["tinypkg"], lambda line: None)

    assert "--profile none" in str(caught.value)


@pytest.fixture
def quick_base(tmp_path, monkeypatch):
    """A Python whose `-m venv` makes no more than a folder with an interpreter."""
    base = tmp_path / "base"
    base.write_text(
        '#!/bin/sh\n[ "$2" = venv ] || exit 3\nmkdir -p "$3/bin"\n'
        f'ln -s {sys.executable} "$3/bin/python"\n'
    )
    base.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(profile_env, "find_python", lambda version, name: base)
    return base


def test_a_half_made_environment_is_made_again(quick_base):
    lines = []
    first, _ = profile_env.profile_python(tiny_profile(), [], lines.append)
    first.executable.unlink()
    second, _ = profile_env.profile_python(tiny_profile(), [], lines.append)
    third, _ = profile_env.profile_python(tiny_profile(), [], lines.append)

    assert [line.split()[0] for line in lines].count("making") == 2
    assert second.executable == third.executable
    assert second.executable.is_file()


SLOW_PIP = """\
import sys
from pathlib import Path
from kernel_builder.rehearse import profile_env
from test_profile_env import tiny_profile

folder = Path(sys.argv[1])
profile_env.find_python = lambda version, name: folder / "base"
profile_env._installer = lambda python: ["sh", "-c", f"echo > {folder}/began; sleep 2"]
profile_env.profile_python(tiny_profile(), ["tinypkg"], lambda line: None)
"""


def start_and_kill_while_it_installs(folder):
    """A tool that is killed outright in an installation which goes on alone."""
    rooms = (Path(__file__).parents[3] / "tools", *Path(__file__).parents[:3])
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, rooms))}
    tool = subprocess.Popen([sys.executable, "-c", SLOW_PIP, str(folder)], env=env)
    try:
        wait_until((folder / "began").exists, 60)
    finally:
        tool.kill()
        tool.wait()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such locks")
def test_an_installation_that_was_killed_is_made_anew(
    quick_base, tmp_path, monkeypatch
):
    start_and_kill_while_it_installs(tmp_path)
    (half,) = (tmp_path / "cache").rglob("constraints.txt")
    monkeypatch.setattr(profile_env, "_installer", lambda python: ["true"])
    lines = []
    profile_env.profile_python(tiny_profile(), ["tinypkg"], lines.append)

    told = [line.split(" /")[0] for line in lines]
    assert told[0] == "another process changes"  # the installer outlived its tool
    assert f"{half.parent} is not whole" in lines[1]
    assert told[2] == "making an environment with"
    assert lines[3] == "installing tinypkg==1.0\n"


def test_a_failed_installation_leaves_the_environment_as_it_was(
    offline, tmp_path, monkeypatch
):
    first, _ = profile_env.profile_python(tiny_profile(), ["tinypkg"], print)
    with pytest.raises(UsageError, match=r"tinypkg==9.9"):
        profile_env.profile_python(tiny_profile("9.9"), ["tinypkg"], print)
    lines = []
    again, versions = profile_env.profile_python(
        tiny_profile(), ["tinypkg"], lines.append
    )

    assert lines == []
    assert again == first
    assert versions == {"tinypkg": "1.0"}


def test_a_python_that_is_not_there_is_named_with_the_ways_to_get_it(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    with pytest.raises(UsageError, match=r"needs Python 3\.99") as caught:
        profile_env.find_python((3, 99), "some-image")

    assert "uv python install 3.99" in str(caught.value)
    assert "pyenv install 3.99" in str(caught.value)


def write_python(path, version):
    """A program that answers as an interpreter of this version would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\necho \'["{version}", "{path}", "/p", "/p", "/p"]\'\n')
    path.chmod(0o755)


@pytest.mark.parametrize("place", ["path", "pyenv", "uv"])
def test_a_python_is_found_on_path_in_pyenv_and_in_uv(place, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    # A shim of a version that is not installed fails: the search goes on.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "bin/python3").chmod(0o755)
    wanted = {
        "path": tmp_path / "bin/python3.98",
        "pyenv": tmp_path / "pyenv/versions/3.98.4/bin/python3.98",
        "uv": tmp_path / "uv-python/bin/python3.98",
    }[place]
    write_python(wanted, "3.98.4")
    if place == "uv":
        (tmp_path / "bin/uv").write_text(f"#!/bin/sh\necho {wanted}\n")
        (tmp_path / "bin/uv").chmod(0o755)

    assert profile_env.find_python((3, 98), "some-image") == wanted


def test_differences_name_both_versions_and_ignore_builds():
    versions = {"torch": "2.10.0+cpu", "numpy": "2.4.0"}
    wanted = ["numpy", "pandas", "torch"]
    lines = profile_env.differences(PROFILE, "3.11.2", versions, wanted)

    assert lines == (
        "Python 3.11.2 (3.12.13), numpy 2.4.0 (2.0.2), pandas missing (2.2.2); "
        "in brackets: kaggle-2026-06-py312",
    )
    assert profile_env.differences(PROFILE, "3.12.1", versions, ["torch"]) == ()


def test_the_report_says_how_the_current_python_differs(tmp_path, monkeypatch):
    monkeypatch.setattr(
        rehearsal, "load_profile", lambda name: replace(PROFILE, python="3.99.1")
    )
    report = run_kernel(tmp_path, "print('x')", submission=False)

    assert failed(report) == []
    assert report.differences[0].endswith("(3.99.1); in brackets: kaggle-2026-06-py312")


def test_an_unknown_profile_is_refused(tmp_path):
    with pytest.raises(UsageError, match="kaggle-2026-06-py312"):
        run_kernel(tmp_path, "print('x')", profile="kaggle-1999")
