"""From a repository to a checked submission.csv: every step is the real one.

The unmodified client pushes to a server that runs what it got in the rehearsal's
sandbox and serves state, log and outputs.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsing import write_competition
from stand_in.fixtures import Desk
from stand_in.running import run_rehearsed
from stand_in.server import StandIn

FEATURES = """\
def doubled(value: str) -> int:
    number = int(value)
    if number < 0:
        raise ValueError(f"a negative x: {number}")
    return 2 * number
"""
KERNEL = """\
# %% [markdown]
# # Twice as much

# %%
from dataclasses import dataclass

import pandas as pd

from features import doubled
from kaggle_kit.paths import find_input, output_dir
from kaggle_kit.submission import write_submission


@dataclass(frozen=True)
class CFG:
    competition: str = "tiny"


# %%
folder = find_input(CFG.competition)
test = pd.read_csv(folder / "test.csv", dtype=str)
predictions = [doubled(value) for value in test["x"]]
print("validation accuracy 0.75")
path = write_submission(predictions, folder / "sample_submission.csv", output_dir())
print("wrote", path)
"""


@pytest.fixture
def repository(desk: Desk, kaggle: StandIn) -> Desk:
    desk.write(KERNEL, competition_sources=["tiny"])
    (desk.kernel / "features.py").write_text(FEATURES)
    data = write_competition(desk.folder / "input" / "competitions" / "tiny")
    kaggle.page_size = 1
    kaggle.run = lambda source: run_rehearsed(source, data)
    return desk


def push(desk: Desk, *more: str, first: Path | None = None) -> tuple[int, str]:
    if first is not None:
        paths = [desk.env["PYTHONPATH"], str(first)]
        desk.env["PYTHONPATH"] = os.pathsep.join(paths)
    tool = desk.start("push", str(desk.kernel), "--wait", "--poll", "0.1", *more)
    out, _ = tool.communicate(timeout=120)
    return tool.returncode, out


@pytest.mark.parametrize("client", ["installed", "oldest"])
def test_a_repository_becomes_a_submission(
    repository: Desk, kaggle: StandIn, client: str, request: pytest.FixtureRequest
):
    oldest = request.getfixturevalue("oldest_client") if client == "oldest" else None
    code, out = push(repository, first=oldest)
    assert code == 0, out
    assert "submission.csv is good, checked against" in out
    rows = (repository.runs / "v1" / "submission.csv").read_text().splitlines()
    assert rows[:3] == ["id,y", "10,0", "11,2"]
    sent = kaggle.asked("SaveKernel")[0]["text"]
    assert "def doubled" in sent
    assert "class SubmissionError" in sent
    assert "0.75" in repository.run("runs").out


def test_a_failure_is_led_back_to_the_repository(repository: Desk):
    source = repository.kernel / "features.py"
    source.write_text(FEATURES.replace("number < 0", "number > 3"))
    code, out = push(repository)
    assert code == 6, out
    assert "ValueError: a negative x: 4" in out
    assert "features.py" in out
    assert "line 4" in out or "features.py:4" in out


def test_the_submission_of_an_older_version_is_not_taken(
    repository: Desk, kaggle: StandIn
):
    code, out = push(repository)
    assert code == 0, out
    (repository.kernel / "kernel.py").write_text("print('forgot to write it')\n")
    code, out = push(repository)
    assert code == 9, out
    assert "expected /kaggle/working/submission.csv" in out
    assert not (repository.runs / "v2" / "submission.csv").exists()


def test_in_a_network_of_its_own_the_client_needs_no_proxy(desk: Desk):
    """The cleanest way of all; it needs user namespaces."""
    tests = Path(__file__).parents[2]
    inner = [sys.executable, "-m", "stand_in.alone", str(desk.folder), str(desk.kernel)]
    script = f"ip link set lo up && exec {shlex.join(inner)}"
    try:
        done = subprocess.run(
            ["unshare", "-rn", "sh", "-c", script],
            env=desk.env | {"PYTHONPATH": f"{tests.parent / 'tools'}:{tests}"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("no unshare on this machine")
    if "unshare failed" in done.stderr or "ip: not found" in done.stderr:
        pytest.skip(f"no network namespace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SaveKernel" in done.stdout
    assert (desk.runs / "v1" / "submission.csv").exists()
