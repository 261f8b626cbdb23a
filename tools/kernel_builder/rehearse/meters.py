"""Run a command under watch: time, memory, silence, output, left-over processes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernel_builder.rehearse.livelog import LiveLog

# After the kernel's last statement only its left-over threads keep it alive.
AFTER_END_S = 60.0
FAST_POLL_S, SLOW_POLL_S = 0.05, 0.5
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True)
class Command:
    """What to start on this machine, with which environment, from where.

    `stop` ends what the command started elsewhere (a container), which killing the
    command's own processes does not. `arguments` is a file that the command reads from
    the descriptor whose number stands for {FD} in `argv`: the kernel sees the process
    list, and what is not on a command line is not in it.
    """

    argv: list[str]
    env: dict[str, str]
    cwd: Path
    stop: tuple[str, ...] = ()
    arguments: Path | None = None

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it with its output in pipes, in a session of its own."""
        with contextlib.ExitStack() as opened:
            argv = self.argv
            passed: list[int] = []
            if self.arguments is not None:
                passed.append(opened.enter_context(self.arguments.open("rb")).fileno())
                argv = [word.replace("{FD}", str(passed[0])) for word in argv]
            return subprocess.Popen(
                argv,
                env=self.env,
                cwd=self.cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=passed,
                start_new_session=True,  # Ctrl-C is ours to handle, not the kernel's
            )


@dataclass(frozen=True)
class Limits:
    """What a run may use; `of` a profile they are the figures of Kaggle's machines.

    Attributes:
        wall_s: seconds until the run is stopped.
        rerun_s: the same for a rerun on the hidden test.
        memory_bytes: memory of the process tree at which it is killed.
        working_bytes, working_files: size of /kaggle/working.
        log_bytes: size at which Kaggle cuts the log.
        cpus: processors the run may use.
        silence_s: seconds without output and without CPU time that count as a hang.
        free_bytes: room that is left on this machine's disk at least.
    """

    wall_s: float
    rerun_s: float
    memory_bytes: int
    working_bytes: int
    working_files: int
    log_bytes: int
    cpus: int
    silence_s: float = 600
    free_bytes: int = 300_000_000

    @classmethod
    def of(cls, known: Mapping[str, int], tpu: bool = False) -> "Limits":
        """The limits that a profile knows, for a session with or without a TPU."""
        session = known["session_s_tpu" if tpu else "session_s_cpu_gpu"]
        return cls(
            wall_s=session,
            rerun_s=min(session, known["code_comp_rerun_s_typical"]),
            memory_bytes=known["ram_bytes"],
            working_bytes=known["working_bytes"],
            working_files=known["working_files"],
            log_bytes=known["log_bytes"],
            cpus=known["cpu_count"],
        )


@dataclass(frozen=True)
class Outcome:
    """How a run ended and what it used.

    Attributes:
        returncode: the kernel's own exit code, negative for a signal; None when it
            was stopped from outside.
        stopped: why it was stopped: "time", "memory", "silence", "disk", "not exiting"
            or "".
        cpu_s: processor seconds of the whole tree.
        peak_bytes: highest memory of the process tree; 0 where it cannot be read.
        left_overs: command lines of processes that outlived the kernel.
        events: what the monitor saw, as (kind, what), kind "network"/"read"/"write".
    """

    returncode: int | None
    stopped: str
    wall_s: float
    cpu_s: float
    peak_bytes: int
    log: LiveLog
    left_overs: tuple[str, ...] = ()
    events: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Process:
    """One process of the tree: memory in bytes, CPU in seconds."""

    pid: int
    parent: int
    memory: int
    cpu_s: float


@dataclass
class _Watched:
    """What the watch loop has seen so far."""

    start: float
    peak: int = 0
    cpu_s: float = 0.0
    last_cpu: float = 0.0
    last_active: float = 0.0
    stopped: str = ""
    left_overs: list[str] = field(default_factory=list)


def process_tree(root: int) -> list[Process]:
    """The process `root` and everything below it; empty where nothing can be read."""
    table = {p.pid: p for p in _all_processes()}
    children: dict[int, list[int]] = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found, frontier = [], [root]
    while frontier:
        pid = frontier.pop()
        frontier += children.get(pid, [])
        if pid in table:
            found.append(table[pid])
    return found


def _all_processes() -> list[Process]:
    if Path("/proc/self/stat").exists():
        return _from_proc()
    return _from_ps() if sys.platform != "win32" else []


def _from_proc() -> list[Process]:
    """Every process, from /proc/PID/stat (proc(5), fields 4, 14-17 and 24)."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
            cpu = sum(int(ticks) for ticks in stat[11:15]) / TICKS
            memory = int(stat[21]) * PAGE
            found.append(Process(int(entry.name), int(stat[1]), memory, cpu))
    return found


def _from_ps() -> list[Process]:
    """Every process, where there is no /proc (macOS)."""
    command = ["ps", "-axo", "pid=,ppid=,rss=,time="]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found = []
    for line in answer.stdout.splitlines():
        with contextlib.suppress(ValueError):
            pid, parent, rss, clock = line.split()
            parts = [float(part) for part in clock.replace("-", ":").split(":")]
            seconds = sum(p * 60**i for i, p in enumerate(reversed(parts)))
            found.append(Process(int(pid), int(parent), int(rss) * 1024, seconds))
    return found


def tree_memory(tree: Sequence[Process]) -> int:
    """Bytes the tree really holds: pages that several processes share count once."""
    if len(tree) <= 1:
        return sum(process.memory for process in tree)
    return sum(_proportional(process) for process in tree)


def _proportional(process: Process) -> int:
    """Proportional set size (proc(5), smaps_rollup), or plain RSS without it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        return int(rollup.partition("\nPss:")[2].split()[0]) * 1024
    return process.memory


def kill_tree(root: int) -> None:
    """Kill a process and everything below it, children of killed parents included."""
    if sys.platform == "win32":
        command = ["taskkill", "/T", "/F", "/PID", str(root)]
        subprocess.run(command, capture_output=True, check=False)
        return
    for _ in range(3):  # a process may fork while its relatives are being killed
        tree = process_tree(root)
        for process in tree or [Process(root, 0, 0, 0.0)]:
            with contextlib.suppress(OSError):
                os.kill(process.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        if len(tree) <= 1:
            return


def supervise(
    command: Command,
    *,
    limits: Limits,
    log: LiveLog,
    working: Path,
    exit_file: Path,
    events_file: Path,
    end_marker: str | None = None,
) -> Outcome:
    """Run `command` to its end or to a limit; the whole tree is gone afterwards.

    Raises:
        KeyboardInterrupt: Ctrl-C; the tree has been killed by then.
        OSError: the command cannot be started.
    """
    process = command.start()
    watched = _Watched(start=time.monotonic(), last_active=time.monotonic())
    try:
        for stream, name in ((process.stdout, "stdout"), (process.stderr, "stderr")):
            if stream is not None:
                log.follow(stream, name)
        _watch(process, watched, limits, log, working, end_marker)
    finally:
        if process.poll() is None:
            _stop(command)
            kill_tree(process.pid)
            process.wait()
        log.join(5.0)
    return _outcome(command, process, watched, log, exit_file, events_file)


def _stop(command: Command) -> None:
    if command.stop:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                command.stop,
                env=command.env,
                capture_output=True,
                timeout=30,
                check=False,
            )


def _watch(
    process: "subprocess.Popen[bytes]",
    watched: _Watched,
    limits: Limits,
    log: LiveLog,
    working: Path,
    end_marker: str | None,
) -> None:
    """Sample the tree until the process ends or a limit is passed."""
    poll = FAST_POLL_S
    # Where less is free from the start, half of that must stay.
    least_free = min(limits.free_bytes, shutil.disk_usage(working.parent).free // 2)
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(poll)
            return
        poll = min(SLOW_POLL_S, poll * 1.2)
        _sample(process.pid, watched, log)
        watched.stopped = _limit_passed(watched, limits, log, end_marker)
        # The parent: a kernel may delete its folder where that is no mount point.
        if shutil.disk_usage(working.parent).free < least_free:
            watched.stopped = "disk"
        if watched.stopped:
            return


def _sample(pid: int, watched: _Watched, log: LiveLog) -> None:
    tree = process_tree(pid)
    # Reading PSS costs milliseconds: only when RSS says that there is a new peak.
    if sum(process.memory for process in tree) > watched.peak:
        watched.peak = max(watched.peak, tree_memory(tree))
    watched.cpu_s = sum(process.cpu_s for process in tree)
    now = time.monotonic()
    if abs(watched.cpu_s - watched.last_cpu) > 0.05 or not tree:
        watched.last_cpu, watched.last_active = watched.cpu_s, now
    watched.last_active = max(watched.last_active, log.last_output)


def _limit_passed(
    watched: _Watched, limits: Limits, log: LiveLog, end_marker: str | None
) -> str:
    now = time.monotonic()
    quiet = now - watched.last_active
    if watched.peak > limits.memory_bytes:
        return "memory"
    if now - watched.start > limits.wall_s:
        return "time"
    after_end = min(AFTER_END_S, limits.silence_s)
    if quiet > after_end and end_marker and log.seconds_of(end_marker) is not None:
        return "not exiting"
    return "silence" if quiet > limits.silence_s else ""


def _outcome(
    command: Command,
    process: "subprocess.Popen[bytes]",
    watched: _Watched,
    log: LiveLog,
    exit_file: Path,
    events_file: Path,
) -> Outcome:
    record = json.loads(exit_file.read_text()) if exit_file.is_file() else {}
    code = record.get("returncode", process.returncode)
    return Outcome(
        returncode=None if watched.stopped else code,
        stopped=watched.stopped,
        wall_s=time.monotonic() - watched.start,
        cpu_s=max(watched.cpu_s, record.get("cpu_s", 0.0)),
        peak_bytes=max(
            *(watched.peak, record.get("largest_process_bytes", 0)),
            record.get("container_bytes", 0) if command.stop else 0,
        ),
        log=log,
        left_overs=tuple(p["command"] for p in record.get("left_overs", ())),
        events=_events(events_file),
    )


def _events(path: Path) -> tuple[tuple[str, str], ...]:
    """What the monitor wrote: distinct (kind, what) pairs in the order they came."""
    lines = path.read_text().splitlines() if path.is_file() else []
    pairs = []
    for line in lines:
        with contextlib.suppress(ValueError, KeyError):
            event = json.loads(line)
            pairs.append((str(event["kind"]), str(event["what"])))
    return tuple(dict.fromkeys(pairs))


def folder_size(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files below `folder`, links not followed."""
    total = count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += Path(parent, name).lstat().st_size
                count += 1
    return total, count
