"""`--docker` with a program in Docker's place: real Docker is not proved here."""

import json
import sys

import pytest
from rehearsing import GOOD, run_kernel

from kernel_builder.errors import UsageError

FAKE = """#!{python}
import json, os, sys, time
from pathlib import Path
here = Path(__file__).parent
with open(here / "calls.jsonl", "a") as file:
    file.write(json.dumps([sys.argv[1:], sorted(os.environ)]) + "\\n")
if sys.argv[1] in ("version", "image"):
    mode = (here / "mode").read_text()
    if mode == sys.argv[1]:
        sys.exit("Cannot connect" if mode == "version" else "No such image")
    print("27.1")
if sys.argv[1] == "run":
    options = [sys.argv[i + 1] for i, a in enumerate(sys.argv) if a == "--mount"]
    parsed = [dict(p.partition("=")[::2] for p in o.split(",")) for o in options]
    mounts = dict((m["target"], Path(m["source"])) for m in parsed)
    assert (mounts["/kaggle/src"] / "script.py").is_file()
    print("in the container", flush=True)
    if (here / "mode").read_text() == "slow":
        time.sleep(60)
    test = (mounts["/kaggle/input/competitions/tiny"] / "test.csv").read_text()
    lines = test.replace("id,x", "id,y")
    (mounts["/kaggle/working"] / "submission.csv").write_text(lines)
    exit = dict(returncode=0, left_overs=[], container_bytes=123_000_000)
    (mounts["/run/kaggle_kit/io"] / "exit.json").write_text(json.dumps(exit))
"""


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A folder with a fake `docker` that comes first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker"
    program.write_text(FAKE.replace("{python}", sys.executable))
    program.chmod(0o755)
    (folder / "mode").write_text("")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def calls_of(docker):
    lines = (docker / "calls.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_the_image_runs_with_kaggles_mounts_limits_and_variables(
    docker, tmp_path, monkeypatch
):
    monkeypatch.setenv("KAGGLE_KEY", "secret-of-the-user")
    report = run_kernel(tmp_path, GOOD, docker="kaggle/python")

    assert report.ok
    assert report.isolation == "docker"
    assert report.peak_bytes == 123_000_000
    assert report.log_path.read_text() == "in the container\n"
    command, variables = calls_of(docker)[-1]
    assert "KAGGLE_KEY" not in variables
    assert not any("secret" in word for word in command)
    joined = " ".join(command)
    assert command[:2] == ["run", "--rm"]
    assert "--network none" in joined
    assert "--memory 32200000000b --memory-swap 32200000000b --cpus 4" in joined
    assert "--env KAGGLE_KERNEL_RUN_TYPE=Batch" in joined
    assert "--env PATH=" not in joined
    assert "--gpus" not in joined
    assert "target=/kaggle/input/competitions/tiny,readonly" in joined
    assert "target=/kaggle/working --" in joined
    image = command.index("kaggle/python")
    assert command[image + 1 :][-2:] == ["python3", "/kaggle/src/script.py"]


def test_a_gpu_kernel_gets_the_gpus(docker, tmp_path):
    metadata = {"enable_gpu": True}
    run_kernel(tmp_path, GOOD, docker="kaggle/python", metadata=metadata)

    command = calls_of(docker)[-1][0]
    assert command[command.index("--gpus") + 1] == "all"


def test_a_container_that_takes_too_long_is_killed_by_name(docker, tmp_path):
    (docker / "mode").write_text("slow")
    report = run_kernel(tmp_path, GOOD, docker="kaggle/python", time_limit_s=4.0)

    assert report.kaggle == "Notebook Timeout"
    (started, _), (ended, _) = calls_of(docker)[-2:]
    assert ended == ["kill", started[started.index("--name") + 1]]


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ("version", "daemon does not answer; start it .Cannot connect"),
        ("image", "docker pull kaggle/python .No such image"),
    ],
)
def test_what_docker_lacks_is_said(mode, problem, docker, tmp_path):
    (docker / "mode").write_text(mode)
    with pytest.raises(UsageError, match=problem):
        run_kernel(tmp_path, GOOD, docker="kaggle/python")


def test_a_missing_docker_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no docker program found"):
        run_kernel(tmp_path, GOOD, docker="kaggle/python")
