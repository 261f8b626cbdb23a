import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from rehearsing import (
    EVERY_WAY,
    GOOD,
    as_built,
    failed,
    message_of,
    run_kernel,
    write_kernel,
)

from kernel_builder.errors import UsageError
from kernel_builder.rehearse import meters
from kernel_builder.rehearse.report import print_report

TOOLS = Path(__file__).resolve().parents[3] / "tools"


def test_a_sound_kernel_passes_and_its_outputs_come_home(tmp_path):
    lines = []
    report = run_kernel(tmp_path, GOOD, echo=lines.append)

    assert report.ok
    assert report.exit_code == 0
    assert report.folder == tmp_path / "out/rehearsals/tiny-kernel/001"
    assert (report.outputs / "submission.csv").read_text().startswith("id,y\n10,0\n")
    assert lines == ["predicted 6 rows\n"]
    assert report.log_path.read_text() == "predicted 6 rows\n"
    log = json.loads(report.log_path.with_name("log.json").read_text())
    assert [set(row) for row in log] == [{"stream_name", "time", "data"}]
    assert report.peak_bytes > 1_000_000


def test_runs_are_numbered_and_nothing_is_overwritten(tmp_path):
    first = run_kernel(tmp_path, GOOD)
    (first.outputs / "submission.csv").write_text("kept")
    second = run_kernel(tmp_path, GOOD)

    assert [first.folder.name, second.folder.name] == ["001", "002"]
    assert (first.outputs / "submission.csv").read_text() == "kept"
    folders = {p.name for p in (tmp_path / "out/rehearsals/tiny-kernel").iterdir()}
    assert folders == {"001", "002"}


def test_a_kernel_that_raises_fails_as_on_kaggle(tmp_path):
    code = "open('early.txt', 'w').write('x')\nraise ValueError('no such class')"
    report = run_kernel(tmp_path, code)

    assert failed(report) == ["R01"]
    assert report.exit_code == 4
    assert report.kaggle == "status ERROR"
    assert "ValueError: no such class" in report.runs[0].traceback
    assert (report.outputs / "early.txt").is_file()


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit(3)", "exit code 3"),
        ("import os; os.kill(os.getpid(), 11)", "exit code 139, a native crash"),
        ("import os; os.kill(os.getpid(), 9)", "exit code 137, killed: usually out of"),
    ],
)
def test_the_exit_code_is_the_kernels_own(code, reason, tmp_path):
    assert reason in message_of(run_kernel(tmp_path, code), "R01")


def test_an_early_exit_with_code_0_is_no_success(tmp_path):
    code = "import os\nprint('kaggle-kit run abc start')\nos._exit(0)"
    report = run_kernel(tmp_path, code, run_id="abc", submission=False)

    assert failed(report) == ["R02"]
    assert "ended early" in message_of(report, "R02")


def test_the_end_marker_proves_that_the_last_line_was_reached(tmp_path):
    code = "print('kaggle-kit run abc end', flush=True)"
    report = run_kernel(tmp_path, code, run_id="abc", submission=False)

    assert report.ok
    assert "R02" in {check.id for check in report.checks}


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ("'id,y\\n10,1\\n'", "6"),
        ("',id,y\\n0,10,1\\n'", "column"),
    ],
)
def test_a_bad_submission_is_a_scoring_error(change, detail, tmp_path):
    code = f"open('submission.csv', 'w').write({change})"
    report = run_kernel(tmp_path, code)

    assert failed(report) == ["R03"]
    assert report.exit_code == 9
    assert report.kaggle == "Submission Scoring Error"
    assert detail in message_of(report, "R03")


def test_a_submission_elsewhere_is_not_found(tmp_path):
    code = "import os; os.mkdir('out'); open('out/submission.csv', 'w').write('id,y')"
    report = run_kernel(tmp_path, code)

    assert report.kaggle == "Submission CSV Not Found"
    assert "found out/submission.csv" in message_of(report, "R03")
    assert report.exit_code == 9


def test_a_run_over_time_is_stopped_and_named(tmp_path):
    code = "import time\nprint('started', flush=True)\ntime.sleep(60)"
    report = run_kernel(tmp_path, code, time_limit_s=4.0)

    assert report.kaggle == "Notebook Timeout"
    assert "exceeded the max allowed execution duration" in message_of(report, "R01")
    assert report.log_path.read_text() == "started\n"
    assert report.exit_code == 4


def test_memory_of_the_whole_tree_is_limited(tmp_path):
    code = """
    import subprocess, sys
    hold = "import time; data = bytearray(120_000_000); time.sleep(30)"
    children = [subprocess.Popen([sys.executable, "-c", hold]) for _ in range(2)]
    children[0].wait()
    """
    report = run_kernel(tmp_path, code, memory_bytes=200_000_000, submission=False)

    assert "R04" in failed(report)
    assert report.kaggle == "Notebook Exceeded Allowed Compute"
    assert report.peak_bytes > 200_000_000


def test_a_kernel_that_would_fill_the_disk_is_stopped(tmp_path, monkeypatch):
    room = iter([10**9, 10**9])
    usage = SimpleNamespace
    monkeypatch.setattr(
        meters.shutil, "disk_usage", lambda path: usage(free=next(room, 10**6))
    )
    report = run_kernel(tmp_path, "import time; time.sleep(60)")

    assert failed(report) == ["R05"]
    assert "before this machine's disk was full" in message_of(report, "R05")
    assert report.exit_code == 4


def test_silence_without_cpu_is_a_hang(tmp_path):
    code = "import time; time.sleep(60)"
    report = run_kernel(tmp_path, code, silence_s=1.0)

    assert failed(report) == ["R07"]
    assert "hang" in message_of(report, "R07")


def test_a_thread_that_keeps_the_process_alive_is_named(tmp_path):
    code = """
    import threading, time
    threading.Thread(target=time.sleep, args=(60,)).start()
    print("kaggle-kit run abc end", flush=True)
    """
    options = {"run_id": "abc", "silence_s": 3.0, "submission": False}
    report = run_kernel(tmp_path, code, **options)

    assert failed(report) == ["R12"]
    assert "a non-daemon thread is left" in message_of(report, "R12")
    assert not report.ok


def running_commands():
    """The command lines of every process on this machine."""
    command = ["ps", "axo", "args"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("way", ["auto", "subprocess"])
def test_a_kernel_that_deletes_its_folder_is_judged(way, tmp_path):
    code = """
    import os, shutil, time
    shutil.rmtree(os.getcwd(), ignore_errors=True)
    time.sleep(0.5)
    """
    report = run_kernel(tmp_path, code, isolation=way, submission=False)

    assert not any(report.outputs.iterdir())


@pytest.mark.parametrize("way", ["auto", "subprocess"])
def test_left_over_processes_are_found_and_killed(way, tmp_path):
    token = uuid.uuid4().hex
    code = f"""
    import subprocess, sys
    sleep = "import time; time.sleep(77)  # {token}"
    subprocess.Popen([sys.executable, "-c", sleep], start_new_session=True)
    """
    report = run_kernel(tmp_path, code, isolation=way, submission=False)

    assert failed(report) == ["R12"]
    assert "time.sleep(77)" in message_of(report, "R12")
    assert report.ok  # a warning
    assert token not in running_commands()


@pytest.mark.parametrize("way", ["auto", "subprocess"])
def test_printed_tokens_are_found_however_they_were_printed(way, tmp_path):
    code = "import os\nfor name in os.environ:\n    print(name, os.environ[name])"
    report = run_kernel(tmp_path, code, submission=False, isolation=way)

    assert failed(report) == ["S22"]
    assert "never print os.environ" in message_of(report, "S22")
    assert report.exit_code == 4


def test_a_long_log_is_stored_and_measured(tmp_path):
    code = "import sys\nfor i in range(60): print('x' * 199_999)"
    report = run_kernel(tmp_path, code, submission=False)

    assert failed(report) == ["S26"]
    assert message_of(report, "S26") == "log is 12.0 MB: Kaggle keeps 10.0 MB"


def test_broken_utf8_and_unfinished_lines_do_not_stop_the_log(tmp_path):
    code = """
    import os
    os.write(1, b"caf\\xc3")
    os.write(1, b"\\xa9 \\xff\\nno end")
    """
    report = run_kernel(tmp_path, code, submission=False)

    assert report.log_path.read_text() == "café \N{REPLACEMENT CHARACTER}\nno end"


def test_a_missing_source_says_where_it_was_looked_for(tmp_path):
    metadata = {"dataset_sources": ["some-one/weights"]}
    with pytest.raises(UsageError, match="input/datasets/some-one/weights") as caught:
        run_kernel(tmp_path, GOOD, metadata=metadata)

    assert "rehearsal.toml" in str(caught.value)
    assert not (tmp_path / "out/rehearsals/tiny-kernel").exists()


def test_the_report_is_short_and_starts_with_the_verdict(tmp_path):
    lines = []
    print_report(run_kernel(tmp_path, GOOD), lines.append)

    assert lines[1] == "REHEARSAL PASSED: tiny-kernel"
    assert any(line.startswith("  ok   R03") for line in lines)
    assert any("cannot be predicted here: GPU architecture" in line for line in lines)
    assert len(lines) < 25


def test_the_stored_report_holds_every_check(tmp_path):
    report = run_kernel(tmp_path, "raise SystemExit(1)")
    stored = json.loads((report.folder / "report.json").read_text())

    assert stored["ok"] is False
    assert stored["exit_code"] == 4
    ids = [check["id"] for run in stored["runs"] for check in run["checks"]]
    assert {"R01", "R04", "R07", "R12"} <= set(ids)


SLEEPS = """
    import time
    open("first.txt", "w").write("x")
    print("working", flush=True)
    time.sleep(88)
"""


def start_rehearsal(folder, kernel, way="auto"):
    """The tool in a process of its own, once the kernel has begun to work."""
    program = f"""
import sys
sys.path[:0] = {[str(TOOLS), str(TOOLS.parent / "tests")]!r}
from pathlib import Path
from rehearsing import RehearsalOptions, as_built, rehearse
from kernel_builder.rehearse.rehearsal import printer
options = RehearsalOptions(
    out=Path("out"), echo=printer(sys.stdout), isolation={way!r}
)
rehearse(as_built(Path({str(kernel)!r})), options)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )
    assert process.stdout.readline() == "working\n"
    return process


def test_ctrl_c_kills_the_tree_and_keeps_what_was_written(tmp_path):
    kernel = write_kernel(tmp_path / "kernel", SLEEPS)
    process = start_rehearsal(tmp_path, kernel)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)

    folder = tmp_path / "out/rehearsals/tiny-kernel/001"
    assert "is in out/rehearsals/tiny-kernel/001" in out
    assert (folder / "output/first.txt").is_file()
    assert (folder / "log.txt").read_text() == "working\n"
    assert str(tmp_path) not in running_commands()


@pytest.mark.parametrize("way", EVERY_WAY)
def test_a_killed_rehearsal_leaves_no_process_and_loses_nothing(way, tmp_path):
    kernel = write_kernel(tmp_path / "kernel", SLEEPS)
    process = start_rehearsal(tmp_path, kernel, way)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 20
    while str(tmp_path) in running_commands() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert str(tmp_path) not in running_commands()

    report = run_kernel(tmp_path, GOOD)
    folder = tmp_path / "out/rehearsals/tiny-kernel"
    assert report.folder == folder / "002"
    assert (folder / "001/output/first.txt").is_file()
    assert {p.name for p in folder.iterdir()} == {"001", "002"}


def test_links_in_the_input_are_followed_for_the_sandbox(tmp_path):
    kernel = write_kernel(tmp_path / "kernel", GOOD)
    data = kernel / "input/competitions/tiny"
    (tmp_path / "elsewhere").mkdir()
    (data / "test.csv").rename(tmp_path / "elsewhere/test.csv")
    (data / "test.csv").symlink_to(tmp_path / "elsewhere/test.csv")

    report = run_kernel(tmp_path, GOOD)

    assert report.ok, report.log_path.read_text()


def test_the_working_tree_is_left_alone(tmp_path):
    kernel = write_kernel(tmp_path / "kernel", GOOD)
    before = {p: p.stat().st_mtime_ns for p in kernel.rglob("*") if p.is_file()}
    run_kernel(tmp_path, GOOD)
    after = {p: p.stat().st_mtime_ns for p in kernel.rglob("*") if p.is_file()}

    assert before.keys() == after.keys()
    assert as_built(kernel).project.slug == "tiny-kernel"
