"""Run a command, then record how it ended and which processes it left behind.

    python -I -S supervisor.py EXIT_FILE CPUS COMMAND...

Inside a PID namespace this process is the kernel's parent and can see everything that
runs beside it; elsewhere it adopts orphans (child subreaper), so that a daemonised
process cannot escape the count. Left-overs are killed before it exits.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 2.0  # multiprocessing's resource tracker and joblib's workers need a moment


def _prctl(option: int, value: int) -> None:
    """Call prctl(2) where there is one (Linux)."""
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _parents() -> dict[int, int]:
    """The parent of every visible process, without zombies."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError, ValueError):
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                parents[int(name)] = int(fields[1])
    return parents


def _descendants() -> list[int]:
    """Every living process below this one."""
    parents, found = _parents(), []
    frontier = {os.getpid()}
    while frontier:
        frontier = {pid for pid, parent in parents.items() if parent in frontier}
        found += sorted(frontier)
    return found


def _command_of(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read(400).replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def _reap() -> None:
    """Collect children that have ended, so that they do not count as alive."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def left_overs() -> list[dict[str, object]]:
    """Processes still alive a moment after the kernel ended."""
    deadline = time.monotonic() + GRACE_S
    while True:
        _reap()
        pids = _descendants()
        if not pids or time.monotonic() > deadline:
            return [{"pid": pid, "command": _command_of(pid)} for pid in pids]
        time.sleep(0.05)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _limit_cpus(count: int) -> None:
    """Stay on `count` processors, as many as Kaggle's machine has; 0 is no limit."""
    if count and hasattr(os, "sched_setaffinity"):
        usable = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, usable[:count])


def _usage() -> dict[str, float]:
    """CPU seconds and the largest process of everything that ran."""
    try:
        import resource
    except ImportError:  # Windows
        return {}
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS
    return {
        "largest_process_bytes": usage.ru_maxrss * unit,
        "cpu_s": usage.ru_utime + usage.ru_stime,
    }


def _container_bytes() -> int:
    """Highest memory of this cgroup, where it is ours (in a container); else 0."""
    for name in ("memory.peak", "memory/memory.max_usage_in_bytes"):
        with (
            contextlib.suppress(OSError, ValueError),
            open(f"/sys/fs/cgroup/{name}", encoding="ascii") as file,
        ):
            return int(file.read())
    return 0


def _give_to_owner(folder: str) -> None:
    """Let whoever owns the mounted folder own what root wrote into it."""
    owner = os.stat(folder)
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or owner.st_uid == 0:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                os.lchown(os.path.join(parent, name), owner.st_uid, owner.st_gid)


def main(argv: list[str]) -> int:
    """Run the command; the exit code is the kernel's (128 + signal when killed)."""
    exit_file, cpus, command = argv[0], int(argv[1]), argv[2:]
    _die_with_parent()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _limit_cpus(cpus)
    # Children inherit the wish to die with this process across exec.
    die = _die_with_parent if os.name == "posix" else None
    code = subprocess.Popen(command, preexec_fn=die).wait()
    left = left_overs()
    _kill(_descendants())
    record = {
        "returncode": code,
        "left_overs": left,
        "container_bytes": _container_bytes(),
        **_usage(),
    }
    with open(exit_file + ".part", "w", encoding="utf-8") as file:
        json.dump(record, file)
    os.replace(exit_file + ".part", exit_file)
    _give_to_owner(os.path.dirname(exit_file))
    _give_to_owner(os.getcwd())
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
