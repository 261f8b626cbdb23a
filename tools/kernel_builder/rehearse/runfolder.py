"""Numbered folders of runs: filled under a temporary name, never over an older one."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PARTIAL = ".running-"


@dataclass
class RunFolder:
    """A folder that gets its number only when it is complete."""

    parent: Path
    path: Path

    def finish(self) -> Path:
        """Give the folder the next free number, in one step."""
        while True:
            target = self.parent / f"{_highest(self.parent) + 1:03d}"
            # Renaming onto a folder with files in it fails, so a concurrent run that
            # took this number first keeps it.
            with contextlib.suppress(OSError):
                self.path.rename(target)
                self.path = target
                return target
            if not target.exists():
                self.path.rename(target)  # raises what really went wrong


def _highest(parent: Path) -> int:
    numbers = [int(p.name) for p in parent.iterdir() if p.name.isdigit()]
    return max(numbers, default=0)


def new_run_folder(parent: Path) -> RunFolder:
    """Make an unfinished folder in `parent`.

    What a killed run left there is numbered first: nothing is lost, nothing piles up.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in sorted(parent.glob(f"{PARTIAL}*")):
        if not _is_running(left.name.removeprefix(PARTIAL).partition("-")[0]):
            RunFolder(parent, left).finish()
    path = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{os.getpid()}-", dir=parent))
    path.chmod(0o755)
    return RunFolder(parent, path)


def _is_running(pid: str) -> bool:
    """Whether a process of this number exists; where that is unknown, say yes."""
    if os.name != "posix" or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for one run, removed whatever the kernel left in it."""
    path = Path(tempfile.mkdtemp(prefix="kaggle-kit-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
