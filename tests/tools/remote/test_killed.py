"""The tool is killed at every step: the next command works, nothing is doubled."""

import subprocess
from collections.abc import Callable

import pytest
from stand_in.fixtures import Desk
from stand_in.running import Outcome, run_source
from stand_in.server import StandIn, wait_until

BIG = {"a.bin": b"a" * 100_000, "b.bin": b"b" * 100_000}


PUSH = ("push", "--wait", "--no-live")
SUBMIT = ("submit", "-m", "only once")


def kill_when(
    desk: Desk, condition: Callable[[], bool], *command: str
) -> subprocess.Popen[str]:
    name, *options = command or PUSH
    tool = desk.start(name, str(desk.kernel), "--poll", "0.05", *options)
    try:
        wait_until(condition, 30)
    finally:
        tool.kill()
        tool.communicate()
    return tool


def test_before_the_push(desk: Desk, kaggle: StandIn):
    kaggle.fail("GetKernelSessionStatus", hang=30)
    kill_when(desk, lambda: bool(kaggle.asked("GetKernelSessionStatus")))
    assert kaggle.kernels == {}
    assert desk.run("wait").code == 2
    assert desk.push().code == 0
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_while_the_push_is_answered(desk: Desk, kaggle: StandIn):
    kaggle.fail("SaveKernel", hang=30, after=True)
    kill_when(desk, lambda: bool(kaggle.kernels))
    result = desk.run("wait")
    assert result.code == 0, result.text
    assert (desk.runs / "v1" / "submission.csv").exists()
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_a_push_that_never_arrived_is_told_apart(desk: Desk, kaggle: StandIn):
    kaggle.fail("SaveKernel", hang=30)
    kill_when(desk, lambda: bool(kaggle.asked("SaveKernel")))
    kaggle.closing.set()
    result = desk.run("wait")
    assert result.code == 2
    assert "push again" in result.err


def test_while_the_kernel_runs(desk: Desk, kaggle: StandIn):
    def slow(source: str) -> Outcome:
        kaggle.closing.wait(2.0)
        return run_source(source)

    kaggle.run = slow
    kill_when(desk, lambda: len(kaggle.asked("GetKernelSessionStatus")) > 3)
    result = desk.run("wait")
    assert result.code == 0, result.text
    assert len(kaggle.kernels["tester/my-kernel"]) == 1


def test_in_the_middle_of_a_download(desk: Desk, kaggle: StandIn):
    kaggle.run = lambda source: Outcome("COMPLETE", run_source(source).log, BIG)
    kaggle.fail("GET", cut=200_000)
    kaggle.fail("GET", hang=30)
    kill_when(desk, lambda: len(kaggle.gets) == 2)
    assert not (desk.runs / "v1").exists()
    before = len(kaggle.gets)
    result = desk.run("fetch")
    assert result.code == 0, result.text
    assert (desk.runs / "v1" / "b.bin").read_bytes() == BIG["b.bin"]
    # a.bin had come: it is not downloaded again.
    assert len(kaggle.gets) == before + 1
    assert list(desk.runs.glob(".partial-*")) == []


def test_in_the_middle_of_a_build(desk: Desk, kaggle: StandIn):
    """What a killed build left behind neither stops nor enters the next one."""
    pushed = desk.folder / "out" / "pushed"
    kill_when(desk, pushed.exists)
    assert desk.run("wait").code == 2
    assert desk.push().code == 0
    assert len(kaggle.kernels["tester/my-kernel"]) == 1
    assert len([line for line in desk.record if line["event"] == "push"]) == 1


@pytest.fixture
def finished(desk: Desk, kaggle: StandIn) -> Desk:
    """A run that has ended well, ready to be handed in."""
    desk.write(competition_sources=["digits"])
    desk.write_sample()
    assert desk.push().code == 0
    return desk


def test_before_a_submission_is_sent(finished: Desk, kaggle: StandIn):
    kaggle.fail("StartSubmissionUpload", hang=30)
    kill_when(finished, lambda: bool(kaggle.asked("StartSubmissionUpload")), *SUBMIT)
    result = finished.run("submit", "-m", "only once")
    assert result.code == 0, result.text
    assert "does not list it" in result.out
    assert len(kaggle.asked("CreateSubmission")) == 1


def test_while_a_submission_is_answered(finished: Desk, kaggle: StandIn):
    kaggle.fail("CreateSubmission", hang=30, after=True)
    kill_when(finished, lambda: bool(kaggle.listed), *SUBMIT)
    result = finished.run("submit", "-m", "other words now")
    assert result.code == 0, result.text
    assert "it arrived (ref 777)" in result.out
    assert "public score 0.98765" in result.out
    assert len(kaggle.asked("CreateSubmission")) == 1


def test_while_the_score_is_awaited(finished: Desk, kaggle: StandIn):
    kaggle.scores = [{"status": "PENDING"}]
    kill_when(finished, lambda: len(kaggle.asked("GetSubmission")) > 2, *SUBMIT)
    kaggle.submissions[777] = [{"status": "COMPLETE", "publicScore": "0.5"}]
    result = finished.run("submit", "-m", "only once")
    assert result.code == 0, result.text
    assert "public score 0.5" in result.out
    assert len(kaggle.asked("CreateSubmission")) == 1
    assert "0.5" in finished.run("runs").out


@pytest.mark.parametrize("torn", ["", '{"run": "2026', "\n\n"])
def test_between_the_download_and_the_record(desk: Desk, kaggle: StandIn, torn: str):
    desk.push()
    record = desk.folder / "kaggle-runs.jsonl"
    lines = record.read_text().splitlines()
    record.write_text("\n".join(lines[:-2]) + "\n" + torn)
    result = desk.run("fetch")
    assert result.code == 0, result.text
    assert "complete" in desk.run("runs").out
    assert record.read_text().splitlines()[-1].endswith("}")
