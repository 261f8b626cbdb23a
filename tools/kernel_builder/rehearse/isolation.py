"""Find out which way of closing off a run works on this machine.

Each way is tried with a real command in the real file system, because an installed
program proves nothing: containers and hardened kernels refuse user namespaces.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from kernel_builder.errors import UsageError
from kernel_builder.rehearse import sandbox
from kernel_builder.rehearse.clean_process import OPEN, process_command
from kernel_builder.rehearse.meters import Command, kill_tree
from kernel_builder.rehearse.sandbox import Spec

WAYS = ("bubblewrap", "unshare", "subprocess")
PROBE_TIMEOUT_S = 60
PROBE = "import os; assert os.getcwd() == '/kaggle/working'; print('closed off')"


@dataclass(frozen=True)
class Isolation:
    """One way to run a `Spec`.

    Attributes:
        name: "bubblewrap", "unshare", "subprocess" or "docker".
        command: turns a spec into what to start.
        open: what this way does not isolate; empty when nothing is left open.
        tried: why better ways were not taken, one line each.
    """

    name: str
    command: Callable[[Spec], Command]
    open: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()


def choose(wanted: str, python: sandbox.Python) -> Isolation:
    """The best way that works, or the one that was asked for.

    Raises:
        UsageError: the wanted way does not work here; says why.
    """
    if wanted not in ("auto", *WAYS):
        raise UsageError(f"unknown isolation {wanted!r}: auto, {', '.join(WAYS)}")
    tried: list[str] = []
    candidates = [way for way in _candidates() if wanted in ("auto", way.name)]
    for name in ("bubblewrap", "unshare"):
        ways = [way for way in candidates if way.name == name]
        if not ways and wanted in ("auto", name):
            tried.append(f"{name}: not installed")
        for way in ways:
            problem = _problem(way, python)
            if not problem:
                return replace(way, tried=tuple(tried))
            tried.append(f"{name}: {problem}")
    if wanted not in ("auto", "subprocess"):
        raise UsageError(f"--isolation {wanted} does not work here: {'; '.join(tried)}")
    return Isolation("subprocess", process_command, OPEN, tuple(dict.fromkeys(tried)))


def _candidates() -> list[Isolation]:
    """The ways whose program is installed, best first."""
    ways = []
    if bwrap := shutil.which("bwrap"):
        ways.append(_bubblewrap(bwrap))
    if unshare := shutil.which("unshare"):
        ways += [_unshare(unshare, user) for user in (True, False)]
    return ways


# Equal ways are one object, so that each is tried once per process.
@lru_cache(maxsize=8)
def _bubblewrap(program: str) -> Isolation:
    return Isolation("bubblewrap", lambda s: sandbox.bubblewrap_command(s, program))


@lru_cache(maxsize=8)
def _unshare(program: str, user: bool) -> Isolation:
    return Isolation("unshare", lambda s: sandbox.unshare_command(s, program, user))


@lru_cache(maxsize=32)
def _problem(isolation: Isolation, python: sandbox.Python) -> str:
    """Run a one-line kernel this way; the reason why it failed, or ""."""
    with tempfile.TemporaryDirectory(prefix="kaggle-kit-probe-") as name:
        folder = Path(name)
        (folder / "working").mkdir()
        (folder / "scratch").mkdir()
        (folder / "probe.py").write_text(PROBE)
        spec = Spec(folder / "probe.py", folder / "working", folder / "scratch", python)
        sandbox.prepare(spec)
        command = isolation.command(spec)
        try:
            with command.start() as process:
                try:
                    out, complaint = process.communicate(timeout=PROBE_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    kill_tree(process.pid)
                    return f"no answer within {PROBE_TIMEOUT_S} s"
        except OSError as error:
            return str(error)
    if process.returncode == 0 and b"closed off" in out:
        return ""
    lines = complaint.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {process.returncode}"
