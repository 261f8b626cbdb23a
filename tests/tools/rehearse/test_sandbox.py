import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsing import (
    CLOSED,
    EVERY_WAY,
    GOOD,
    PYTHON,
    failed,
    message_of,
    run_kernel,
    write_competition,
    write_kernel,
)

from kernel_builder.errors import UsageError
from kernel_builder.rehearse import isolation, sandbox

REPOSITORY = Path(__file__).resolve().parents[3]

LOOK_AROUND = """
    import importlib.util, json, os, sys, socket
    def attempt(action):
        try:
            return repr(action())
        except BaseException as error:
            return f"{type(error).__name__} {getattr(error, 'errno', '')}"
    seen = {
        "argv": sys.argv, "file": __file__, "cwd": os.getcwd(), "path0": sys.path[0],
        "name": __name__, "env": dict(os.environ),
        "write_input": attempt(lambda: open("/kaggle/input/new", "w")),
        "write_data": attempt(
            lambda: open("/kaggle/input/competitions/tiny/test.csv", "a")),
        "write_src": attempt(lambda: open("/kaggle/src/new", "w")),
        "temp": attempt(lambda: os.makedirs("/kaggle/temp")),
        "connect": attempt(lambda: socket.create_connection(("192.0.2.1", 80), 3)),
        "resolve": attempt(lambda: socket.getaddrinfo("kaggle.invalid", 80)),
        "secret": attempt(lambda: open(SECRET).read()),
        "repository": attempt(lambda: os.listdir(REPOSITORY)),
        "kit": attempt(lambda: __import__("kaggle_kit")),
        "tool": attempt(lambda: __import__("kernel_builder")),
        "spec": attempt(lambda: importlib.util.find_spec("kaggle_kit")),
        "numpy": attempt(lambda: __import__("numpy").__name__),
        "stdin": sys.stdin.read(),
        "files": sorted(os.listdir("/proc/self/fd")),
        "commands": [
            # A process of somebody else may end between the listing and the reading.
            attempt(lambda: open(f"/proc/{pid}/cmdline").read().replace("\\0", " "))
            for pid in os.listdir("/proc") if pid.isdigit()
        ],
    }
    json.dump(seen, open("seen.json", "w"))
"""


def look_around(folder, way, monkeypatch):
    monkeypatch.setenv("KAGGLE_KEY", "secret-of-the-user")
    (folder / "kernel").mkdir(parents=True)
    secret = folder / "kernel/secret.txt"
    secret.write_text("secret")
    code = LOOK_AROUND.replace("SECRET", repr(str(secret)))
    code = code.replace("REPOSITORY", repr(str(folder / "kernel")))
    options = {"submission": False, "isolation": way}
    report = run_kernel(folder, code, **options)
    assert report.isolation == way
    assert failed(report) == ["R08", "R09"], report.log_path.read_text()
    return json.loads((report.outputs / "seen.json").read_text()), report


@pytest.mark.parametrize("way", CLOSED)
def test_a_closed_sandbox_is_what_a_script_sees_on_kaggle(way, tmp_path, monkeypatch):
    seen, report = look_around(tmp_path, way, monkeypatch)

    assert seen["argv"] == ["/kaggle/src/script.py"]
    assert seen["file"] == "/kaggle/src/script.py"
    assert seen["cwd"] == "/kaggle/working"
    assert seen["path0"] == "/kaggle/src"
    assert seen["repository"] == "FileNotFoundError 2"
    assert report.not_isolated == ()
    # No command line of another process tells where the user keeps things.
    assert 2 <= len(seen["commands"]) <= 4
    assert not any(str(tmp_path) in command for command in seen["commands"])
    assert len(seen["files"]) <= 4


@pytest.mark.parametrize("way", EVERY_WAY)
def test_every_way_hides_files_network_credentials_and_the_kit(
    way, tmp_path, monkeypatch
):
    seen, report = look_around(tmp_path, way, monkeypatch)

    assert seen["name"] == "__main__"
    assert seen["write_input"] == seen["write_src"] == "OSError 30"
    assert seen["write_data"] == "OSError 30"
    assert seen["temp"] == "None"
    assert seen["connect"] == "OSError 101"
    assert seen["resolve"] == "gaierror -3"
    assert seen["secret"] == "FileNotFoundError 2"
    assert seen["kit"] == seen["tool"] == "ModuleNotFoundError "
    assert seen["spec"] == "None"
    assert seen["numpy"] == "'numpy'"
    assert seen["stdin"] == ""
    assert "kaggle.invalid" in message_of(report, "R08")
    assert "192.0.2.1:80" in message_of(report, "R08")
    assert "secret.txt" in message_of(report, "R09")


@pytest.mark.parametrize("way", EVERY_WAY)
def test_the_environment_is_kaggles_and_holds_nothing_of_the_users(
    way, tmp_path, monkeypatch
):
    env = look_around(tmp_path, way, monkeypatch)[0]["env"]

    assert env["KAGGLE_KERNEL_RUN_TYPE"] == "Batch"
    assert env["KAGGLE_KIT_REHEARSAL"] == "1"
    assert env["KAGGLE_USER_SECRETS_TOKEN"] == sandbox.NO_TOKEN
    assert env["KAGGLE_URL_BASE"] == "https://www.kaggle.com"
    assert "KAGGLE_IS_COMPETITION_RERUN" not in env
    assert not {"USER", "LOGNAME", "KAGGLE_KEY", "KAGGLE_API_V1_TOKEN"} & env.keys()
    assert not any("secret" in value for value in env.values())
    if way in CLOSED:
        assert env["HOME"] == "/root"
        assert env["PYTHONPATH"] == "/kaggle/lib/kagglegym:/kaggle/lib"


@pytest.mark.parametrize("way", EVERY_WAY)
def test_the_machine_finds_itself_by_its_own_name(way, tmp_path):
    """Several processes that train together look for each other by it."""
    code = """
    import socket
    print(socket.gethostname(), socket.gethostbyname(socket.gethostname()))
    """
    report = run_kernel(tmp_path, code, isolation=way, submission=False)

    name, address = report.log_path.read_text().split()
    assert address.startswith("127.") or way not in CLOSED
    assert name == "kaggle" or way not in CLOSED
    assert failed(report) == []


@pytest.mark.parametrize("way", EVERY_WAY)
@pytest.mark.parametrize("layout", ["new", "old"])
def test_the_competition_is_mounted_in_the_layout_asked_for(way, layout, tmp_path):
    code = "import os; print(sorted(os.listdir('/kaggle/input')))" + GOOD
    # The first line of GOOD is indented like the rest; put it on its own line.
    code = code.replace(")" + GOOD, ")\n" + __import__("textwrap").dedent(GOOD))

    report = run_kernel(tmp_path, code, isolation=way, layout=layout)

    assert report.ok, report.log_path.read_text()
    first = report.log_path.read_text().splitlines()[0]
    assert first == ("['competitions']" if layout == "new" else "['tiny']")


@pytest.mark.parametrize("way", EVERY_WAY)
def test_a_walk_over_the_input_finds_every_file(way, tmp_path):
    """The first cell of most notebooks on Kaggle."""
    data = write_competition(tmp_path / "kernel/input/competitions/tiny")
    (data / "images").mkdir()
    (data / "images/1.png").write_bytes(b"x")
    code = """
    import os
    for folder, _, names in os.walk("/kaggle/input"):
        for name in sorted(names):
            print(os.path.basename(folder), name, os.path.getsize(folder + "/" + name))
    """
    report = run_kernel(tmp_path, code, isolation=way, submission=False)

    assert sorted(report.log_path.read_text().splitlines()) == [
        "images 1.png 1",
        "tiny sample_submission.csv 35",
        "tiny test.csv 35",
        "tiny train.csv 19",
    ]


def test_both_layouts_are_two_runs_with_outputs_of_their_own(tmp_path):
    report = run_kernel(tmp_path, GOOD, layout="both")

    assert [run.name for run in report.runs] == ["new layout", "old layout"]
    assert all((run.outputs / "submission.csv").is_file() for run in report.runs)


def test_without_namespaces_the_report_says_what_stays_open(tmp_path):
    report = run_kernel(tmp_path, GOOD, isolation="subprocess")

    assert report.ok
    text = " ".join(report.not_isolated)
    assert "repository" in text
    assert "network" in text
    assert "C libraries" in text


def test_a_missing_bubblewrap_leads_to_the_next_best_way(tmp_path, monkeypatch):
    which = isolation.shutil.which
    monkeypatch.setattr(
        isolation.shutil, "which", lambda name: None if name == "bwrap" else which(name)
    )
    chosen = isolation.choose("auto", PYTHON)

    assert chosen.name in ("unshare", "subprocess")
    assert "bubblewrap: not installed" in chosen.tried


def test_a_bubblewrap_that_is_refused_leads_on_with_its_reason(tmp_path, monkeypatch):
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\necho 'setting up uid map: Permission denied' >&2\nexit 1"
    )
    fake.chmod(0o755)
    (tmp_path / "unshare").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    chosen = isolation.choose("auto", PYTHON)

    assert chosen.name == "subprocess"
    assert chosen.tried == (
        "bubblewrap: setting up uid map: Permission denied",
        "unshare: exit code 7",
    )
    with pytest.raises(UsageError, match="uid map: Permission denied"):
        isolation.choose("bubblewrap", PYTHON)


def test_an_unknown_isolation_is_refused():
    with pytest.raises(UsageError, match="auto, bubblewrap, unshare, subprocess"):
        isolation.choose("jail", PYTHON)


def test_only_the_interpreters_own_folders_are_bound(tmp_path):
    spec = sandbox.Spec(
        tmp_path / "k.py", tmp_path, tmp_path, PYTHON, hidden=(REPOSITORY,)
    )
    targets = {step.target for step in sandbox.file_system(spec)}

    assert {str(p) for p in PYTHON.prefixes if Path("/usr") not in p.parents} <= targets
    assert str(REPOSITORY) not in targets
    assert str(Path.home()) not in targets - {"/root"}
    assert "/etc" not in targets
    assert "/etc/shadow" not in targets


def test_a_repository_below_usr_is_covered(tmp_path):
    python = sandbox.Python(Path("/usr/src/app/.venv/bin/python"), (), "3.12.0")
    spec = sandbox.Spec(
        *(tmp_path / "k.py", tmp_path, tmp_path),
        sandbox.Python(python.executable, (Path("/opt/py"),), "3.12.0"),
        hidden=(Path("/usr/src/app"),),
    )
    steps = sandbox.file_system(spec)
    kinds = [(s.kind, s.target) for s in steps]

    assert kinds.index(("ro", "/usr")) < kinds.index(("tmpfs", "/usr/src/app"))


@pytest.mark.skipif("bubblewrap" not in CLOSED, reason="bubblewrap does not work here")
def test_an_editable_install_does_not_make_the_repository_importable(tmp_path):
    """A virtual environment inside the repository, with a .pth file to its root."""
    repository = tmp_path / "repo"
    (repository / "mypackage").mkdir(parents=True)
    (repository / "mypackage/__init__.py").write_text("")
    venv = repository / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    packages = next(venv.glob("lib/python*/site-packages"))
    (packages / "editable.pth").write_text(f"{repository}\n")
    (packages / "local_one").mkdir()
    (packages / "local_one/__init__.py").write_text("")
    kernel = write_kernel(
        repository / "kernel",
        """
        import os, sys
        for name in ("mypackage", "local_one"):
            try:
                __import__(name)
                print("found", name)
            except ModuleNotFoundError as error:
                print(error)
        print(os.listdir(REPO), REPO in sys.path)
        """.replace("REPO", repr(str(repository))),
    )
    program = f"""
import sys
sys.path[:0] = {[str(REPOSITORY / "tools"), str(REPOSITORY / "tests")]!r}
from pathlib import Path
from kernel_builder.rehearse import sandbox
sandbox.packages_from_folders = lambda: ("local_one",)
from rehearsing import RehearsalOptions, as_built, rehearse
options = RehearsalOptions(out=Path("out"), submission=False)
print(rehearse(as_built(Path({str(kernel)!r})), options).log_path.read_text())
"""
    answer = subprocess.run(
        [venv / "bin/python", "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )

    assert answer.stdout.splitlines()[:3] == [
        "No module named 'mypackage'",
        "No module named 'local_one'",
        "['.venv'] False",
    ], answer.stderr


@pytest.mark.parametrize("way", EVERY_WAY)
def test_child_processes_are_watched_and_see_the_same_room(way, tmp_path):
    code = """
    import subprocess, sys
    child = "open('/kaggle/working/from_child.txt', 'w').write('x');" \\
            "import socket\\ntry: socket.getaddrinfo('child.example', 1)\\n" \\
            "except OSError: pass"
    subprocess.run([sys.executable, "-c", child], check=True)
    """
    report = run_kernel(tmp_path, code, isolation=way, submission=False)

    assert (report.outputs / "from_child.txt").is_file(), report.log_path.read_text()
    assert "child.example" in message_of(report, "R08")


@pytest.mark.parametrize("way", CLOSED)
def test_a_package_with_an_embedded_copy_is_found_where_the_kernel_put_it(
    way, tmp_path
):
    code = """
    import os, sys, tempfile
    folder = tempfile.mkdtemp()
    os.mkdir(folder + "/kaggle_kit")
    open(folder + "/kaggle_kit/__init__.py", "w").write("ORIGIN = 'embedded'")
    sys.path.insert(0, folder)
    import kaggle_kit
    print(kaggle_kit.ORIGIN)
    """
    report = run_kernel(tmp_path, code, isolation=way, submission=False)

    assert report.log_path.read_text() == "embedded\n"
