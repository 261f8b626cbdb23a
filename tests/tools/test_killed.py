"""The tool is killed at every step: the next command works, nothing is doubled."""

import subprocess
from collections.abc import Callable

import pytest
from stand_in.fixtures import Desk
from stand_in.running import Outcome, run_source
from stand_in.server import StandIn, wait_until

BIG = {"a.bin": b"a" * 100_000, "b.bin": b"b" * 100_000}


def kill_when(
    desk: Desk, condition: Callable[[], bool], *args: str
) -> subprocess.Popen[str]:
    tool = desk.start(
        "push", str(desk.kernel), "--wait", "--poll", "0.05", "--no-live", *args
    )
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
