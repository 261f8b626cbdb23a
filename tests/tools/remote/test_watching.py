import json
import signal
import threading
import time
from collections.abc import Callable

import pytest
from stand_in.fixtures import GOOD, Desk
from stand_in.running import Outcome, log_json, run_source
from stand_in.server import StandIn, wait_until

from kernel_builder.remote import conclude, logs
from kernel_builder.remote.kernel_log import log_text

OLD_FILES = {"submission.csv": b"id,label\n1,0\n2,0\n"}
OLD_LOG = log_json("kaggle-kit run 20260101-000000-0000 start\nold\n")


def slowly(kaggle: StandIn, seconds: float) -> Callable[[str], Outcome]:
    def run(source: str) -> Outcome:
        kaggle.closing.wait(seconds)
        return run_source(source)

    return run


@pytest.mark.parametrize("status", ["COMPLETE", "ERROR"])
def test_an_older_run_is_never_taken_for_the_new_one(
    desk: Desk, kaggle: StandIn, status: str
):
    """A server (or the client 2.2.4) that answers with the latest finished run."""
    kaggle.pins_versions = False
    kaggle.add_version("tester/my-kernel", Outcome(status, OLD_LOG, OLD_FILES, "old"))
    kaggle.kernels["tester/my-kernel"][0].stage = "COMPLETE"
    kaggle.run = slowly(kaggle, 1.0)
    result = desk.push()
    assert result.code == 0, result.text
    assert "an older run's answer is not taken" in result.out
    assert (desk.runs / "v2" / "submission.csv").read_text().startswith("id,label\n1,7")


@pytest.mark.parametrize(
    "log", [OLD_LOG, log_json("no mark at all\n"), "", "[]"], ids=range(4)
)
def test_an_end_that_is_not_proven_ends_at_the_deadline(
    desk: Desk, kaggle: StandIn, log: str
):
    kaggle.run = lambda source: Outcome("COMPLETE", log, OLD_FILES)
    desk.run("push")
    result = desk.run("wait", "--deadline", "0.015")
    assert result.code == 7
    assert "still shows the end of another run" in result.err
    assert not (desk.runs / "v1").exists()


def test_a_run_without_end_ends_at_the_deadline_and_is_picked_up_later(
    desk: Desk, kaggle: StandIn
):
    going_on = threading.Event()

    def endless(source: str) -> Outcome:
        going_on.wait(60)
        return run_source(source)

    kaggle.run = endless
    desk.run("push")
    result = desk.run("wait", "--deadline", "0.015")
    assert result.code == 7
    assert "still RUNNING" in result.err
    assert "`wait` picks it up again" in result.err
    going_on.set()
    again = desk.run("wait")
    assert again.code == 0, again.text
    assert (desk.runs / "v1" / "submission.csv").exists()


def test_a_cancelled_run_is_a_failure_and_its_partial_output_comes_home(
    desk: Desk, kaggle: StandIn
):
    def cancelled(source: str) -> Outcome:
        done = run_source(source)
        return Outcome("CANCEL_ACKNOWLEDGED", done.log, done.files)

    kaggle.run = cancelled
    result = desk.push()
    assert result.code == 6
    assert "CANCEL_ACKNOWLEDGED" in result.err
    assert (desk.runs / "v1" / "submission.csv").exists()


def test_kaggle_s_own_reason_is_shown(desk: Desk, kaggle: StandIn):
    reason = "Your notebook tried to allocate more memory than is available."
    kaggle.run = lambda source: Outcome("ERROR", run_source(source).log, {}, reason)
    result = desk.push()
    assert result.code == 6
    assert reason in result.err


def test_input_that_was_not_there_comes_with_what_may_be_the_reason(desk: Desk):
    desk.write("open('/kaggle/input/competitions/digits/train.csv')\n")
    result = desk.push("--no-check")
    assert result.code == 6
    assert "may not see it yet (then push again)" in result.out
    desk.write("open('nothing.csv')\n")
    assert "may not see it yet" not in desk.push("--no-check", "--force").out


def test_a_run_that_fails_before_its_first_line_is_a_failure(
    desk: Desk, kaggle: StandIn
):
    def refused(source: str) -> Outcome:
        time.sleep(0.5)
        return Outcome("ERROR", log_json("No kernel name found\n", "stderr"))

    kaggle.run = refused
    result = desk.push("--deadline", "0.5")
    assert result.code == 6
    assert "No kernel name found" in result.out


@pytest.mark.parametrize("log", ["", log_json("no space left\n", "stderr")])
def test_a_first_version_that_fails_at_once_without_a_mark(
    desk: Desk, kaggle: StandIn, log: str
):
    kaggle.run = lambda source: Outcome("ERROR", log, {}, "no image")
    kaggle.polls_queued = 0
    result = desk.push("--deadline", "0.5")
    assert result.code == 6
    assert "no image" in result.err


def test_the_marks_are_found_in_pieces_of_lines(desk: Desk, kaggle: StandIn):
    def torn(source: str) -> Outcome:
        done = run_source(source)
        text = log_text(done.log)
        pieces = [{"data": text[n : n + 7]} for n in range(0, len(text), 7)]
        return Outcome("COMPLETE", json.dumps(pieces), done.files)

    kaggle.run = torn
    assert desk.push().code == 0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_say_what_still_runs(desk: Desk, kaggle: StandIn, how: int):
    kaggle.run = slowly(kaggle, 60)
    tool = desk.start("push", str(desk.kernel), "--wait", "--poll", "0.05")
    wait_until(lambda: len(kaggle.asked("GetKernelSessionStatus")) > 3, 30)
    tool.send_signal(how)
    out, _ = tool.communicate(timeout=20)
    assert tool.returncode == 130
    assert "stopped looking. tester/my-kernel version 1 still runs on Kaggle" in out
    assert "cancel the run at https://www.kaggle.com/code/tester/my-kernel" in out
    assert "kaggle kernels delete tester/my-kernel" in out


def test_a_crash_says_what_still_runs(
    desk: Desk, kaggle: StandIn, monkeypatch: pytest.MonkeyPatch
):
    kaggle.run = slowly(kaggle, 60)

    def crash(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(conclude, "await_end", crash)
    result = desk.push()
    assert result.code == 1
    assert "broken off. Unless it has ended, tester/my-kernel version 1 still" in (
        result.out
    )
    assert "no space left on device" in result.err


def test_complete_without_the_last_line_is_a_failure(desk: Desk):
    desk.write(f"import os\n\n{GOOD}\nprint('leaving', flush=True)\nos._exit(0)\n")
    result = desk.push()
    assert result.code == 6
    assert "never came to its last line" in result.err
    assert (desk.runs / "v1" / "submission.csv").exists()


def test_a_script_may_end_by_an_exit_of_its_own(desk: Desk):
    desk.write(f"import sys\n\n{GOOD}\nif __name__ == '__main__':\n    sys.exit(0)\n")
    result = desk.push()
    assert result.code == 0, result.text


def test_an_exit_before_the_last_statement_is_a_failure(desk: Desk):
    desk.write(f"import sys\n\n{GOOD}\nif sys.argv:\n    sys.exit(0)\nprint('more')\n")
    result = desk.push()
    assert result.code == 6, result.text
    assert "never came to its last line" in result.err


def test_a_log_that_kaggle_cut_is_no_failure(desk: Desk, kaggle: StandIn):
    def cut(source: str) -> Outcome:
        done = run_source(source)
        return Outcome("COMPLETE", done.log[:10_000_000], done.files)

    kaggle.run = cut
    desk.write(GOOD + "for _ in range(1100):\n    print('x' * 10_000)\n")
    result = desk.push()
    assert result.code == 0, result.text
    assert (desk.runs / "v1" / "my-kernel.log").stat().st_size > 9_000_000


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 502, "body": "<html>502 Bad Gateway</html>"},
        {"status": 429, "headers": {"Retry-After": "0"}},
        {"reset": True},
    ],
    ids=["500", "502 page", "429", "reset"],
)
def test_trouble_while_waiting_is_put_up_with(desk: Desk, kaggle: StandIn, fault: dict):
    kaggle.fail("GetKernelSessionStatus", status=404)
    kaggle.fail("GetKernelSessionStatus", times=2, **fault)
    kaggle.fail("ListKernelSessionOutput", times=1, **fault)
    result = desk.push()
    assert result.code == 0, result.text
    assert "no answer" in result.out


def test_a_server_that_never_answers_again_is_a_network_failure(
    desk: Desk, kaggle: StandIn
):
    desk.run("push")
    kaggle.fail("GetKernelSessionStatus", status=500, times=999)
    result = desk.run("wait", "--deadline", "0.04")
    assert result.code == 8
    assert "still runs on Kaggle" in result.err


def test_a_key_withdrawn_while_waiting(desk: Desk, kaggle: StandIn):
    desk.run("push")
    kaggle.keys.clear()
    result = desk.run("wait")
    assert result.code == 10


def test_wait_without_a_push_says_what_there_is(desk: Desk):
    result = desk.run("wait")
    assert result.code == 2
    assert "the latest known: none" in result.err


def test_logs_are_mapped_and_follow(desk: Desk, kaggle: StandIn):
    desk.write("def load():\n    raise RuntimeError('no such column')\n\n\nload()\n")
    desk.push()
    shown = desk.run("logs")
    assert shown.code == 0
    assert "RuntimeError: no such column" in shown.out
    raw = json.loads(kaggle.kernels["tester/my-kernel"][0].outcome.log)
    assert raw[0]["data"] in desk.run("logs", "--raw").out


def test_from_another_folder_the_lines_are_led_back_as_well(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
):
    desk.write("def load():\n    raise RuntimeError('no such column')\n\n\nload()\n")
    desk.push()
    monkeypatch.chdir(desk.folder.parent)
    shown = desk.run("logs")
    assert shown.code == 0, shown.text
    assert "kernel.py:2" in shown.out or 'kernel.py", line 2' in shown.out
    assert desk.record[0]["built"].startswith("out/pushed/my-kernel/")
    assert desk.record[-1]["outputs"] == "out/runs/my-kernel/v1"


def test_the_log_is_shown_while_the_kernel_runs(desk: Desk, kaggle: StandIn):
    def followed(source: str) -> Outcome:
        wait_until(lambda: any("/stream/" in path for path, _ in kaggle.gets), 60)
        return run_source(source)

    kaggle.run = followed
    assert desk.run("push").code == 0
    result = desk.run("logs", "--follow")
    assert result.code == 0, result.text
    assert "  | validation accuracy 0.97" in result.out


def test_a_log_that_could_not_be_followed_is_shown_at_the_end(
    desk: Desk, kaggle: StandIn, monkeypatch: pytest.MonkeyPatch
):
    """The run is over before the client that follows it has started."""
    assert desk.run("push").code == 0
    monkeypatch.setattr(logs.LiveLog, "start", lambda self: None)
    result = desk.run("logs", "--follow")
    assert result.code == 0, result.text
    assert "validation accuracy 0.97" in result.out


def test_a_state_that_the_client_does_not_know_makes_no_sense(
    desk: Desk, kaggle: StandIn
):
    desk.run("push")
    kaggle.answers["GetKernelSessionStatus"] = {"status": "PAUSED"}
    result = desk.run("wait", "--deadline", "0.015")
    assert result.code == 8
    assert "KeyError: 'PAUSED'" in result.err


def test_states_in_lower_case(desk: Desk, kaggle: StandIn):
    desk.run("push")
    failed = {"status": "error", "failureMessage": "out of memory"}
    kaggle.answers["GetKernelSessionStatus"] = failed
    result = desk.run("wait")
    assert result.code == 6
    assert "out of memory" in result.err
