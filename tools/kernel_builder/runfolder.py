"""Numbered folders of runs: filled under a temporary name, never over an older one."""

import contextlib
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
    """Make an unfinished folder in `parent`."""
    parent.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=parent))
    path.chmod(0o755)
    return RunFolder(parent, path)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder for one run, removed whatever the kernel left in it."""
    path = Path(tempfile.mkdtemp(prefix="kaggle-kit-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
