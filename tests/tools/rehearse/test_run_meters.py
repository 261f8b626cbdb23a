import json
import os
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kernel_builder.rehearse import meters
from kernel_builder.rehearse.livelog import LiveLog, _lines
from kernel_builder.rehearse.meters import (
    Process,
    folder_size,
    kill_tree,
    process_tree,
    tree_memory,
)
from kernel_builder.rehearse.runfolder import new_run_folder

CHILDREN = """
import subprocess, sys, time
child = "import subprocess, sys, time; " \\
    "subprocess.Popen([sys.executable, '-c', " \\
    "'import time; print(\\"ready\\", flush=True); time.sleep(60)']); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child])
time.sleep(60)
"""


def start_family():
    """Three generations; the youngest speaks once it runs: amid its exec it has 0 B."""
    command = [sys.executable, "-c", CHILDREN]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def test_the_tree_holds_grandchildren_and_is_killed_whole():
    process = start_family()
    tree = process_tree(process.pid)
    assert len(tree) == 3
    assert tree[0].pid == process.pid
    assert all(member.memory > 0 for member in tree)

    kill_tree(process.pid)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    pids = [member.pid for member in tree[1:]]
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(alive(pid) for pid in pids)


def alive(pid):
    """Running, not merely waiting to be collected by its parent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_without_proc_the_tree_is_read_by_ps(monkeypatch):
    monkeypatch.setattr(meters, "_all_processes", meters._from_ps)
    tree = process_tree(os.getpid())

    assert tree[0].pid == os.getpid()
    assert tree[0].memory > 1_000_000


def test_shared_pages_count_once():
    """Forked workers show their parent's memory as their own resident memory."""
    code = """
import os, sys, time
data = bytearray(os.urandom(1000)) * 60_000
for _ in range(3):
    if os.fork() == 0:
        time.sleep(60)
print("ready", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    tree = process_tree(process.pid)
    kept = tree_memory(tree)
    resident = sum(member.memory for member in tree)
    kill_tree(process.pid)
    process.wait()
    process.stdout.close()

    assert len(tree) == 4
    assert resident > 240_000_000
    assert 60_000_000 < kept < 150_000_000


def test_a_process_that_is_gone_has_no_tree():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()

    assert process_tree(process.pid) == []
    assert tree_memory([]) == 0
    assert tree_memory([Process(1, 0, 5, 0.0)]) == 5
    kill_tree(process.pid)


def test_sizes_of_a_folder_do_not_follow_links(tmp_path):
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "out/a").write_bytes(b"123")
    (tmp_path / "out/deep/b").write_bytes(b"12345")
    (tmp_path / "big").write_bytes(b"x" * 10_000)
    (tmp_path / "out/link").symlink_to(tmp_path / "big")

    total, files = folder_size(tmp_path / "out")
    assert files == 3
    assert total < 1000


@given(st.text(max_size=60), st.lists(st.integers(1, 7), max_size=40))
def test_lines_come_whole_however_the_bytes_arrive(text, cuts):
    data = text.encode()
    chunks, place = [], 0
    for cut in cuts:
        chunks.append(data[place : place + cut])
        place += cut
    chunks.append(data[place:])
    lines = list(_lines(chunk for chunk in chunks if chunk))

    assert "".join(lines) == text
    assert all(line.endswith("\n") for line in lines[:-1])
    assert not any("\n" in line[:-1] for line in lines)


def test_both_streams_are_kept_with_their_times(tmp_path):
    shown = []
    log = LiveLog(shown.append)
    code = "import sys; print('out'); print('err', file=sys.stderr); print('end')"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    log.follow(process.stdout, "stdout")
    log.follow(process.stderr, "stderr")
    process.wait()
    log.join(10)
    log.write(tmp_path)

    rows = json.loads((tmp_path / "log.json").read_text())
    by_stream = {
        name: [row["data"] for row in rows if row["stream_name"] == name]
        for name in ("stdout", "stderr")
    }
    assert by_stream == {"stdout": ["out\n", "end\n"], "stderr": ["err\n"]}
    assert sorted(shown) == ["end\n", "err\n", "out\n"]
    assert log.seconds_of("end") >= log.seconds_of("out") >= 0
    assert log.seconds_of("never") is None
    assert log.bytes == 12


def test_concurrent_runs_get_numbers_of_their_own(tmp_path):
    first, second = new_run_folder(tmp_path), new_run_folder(tmp_path)
    for folder in (first, second):
        (folder.path / "report.json").write_text(folder.path.name)

    assert second.finish() == tmp_path / "001"
    assert first.finish() == tmp_path / "002"


def test_a_number_that_another_run_took_is_not_overwritten(tmp_path, monkeypatch):
    folder = new_run_folder(tmp_path)
    (folder.path / "mine").write_text("x")
    (tmp_path / "001").mkdir()
    (tmp_path / "001/theirs").write_text("x")
    numbers = iter([0, 1])
    monkeypatch.setattr(
        "kernel_builder.rehearse.runfolder._highest", lambda path: next(numbers)
    )

    assert folder.finish() == tmp_path / "002"
    assert [path.name for path in (tmp_path / "001").iterdir()] == ["theirs"]
