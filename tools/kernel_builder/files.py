"""Write files so that a crash, a full disk or Ctrl-C never leaves half of one."""

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write `data` (text as UTF-8) to `path`, whole or not at all.

    The bytes go to a temporary file in the same folder, are flushed to disk, and the
    file is renamed over `path`. The folder is created when missing.

    Raises:
        OSError: the folder or the file cannot be written; `path` is then unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = data.encode("utf-8") if isinstance(data, str) else data
    # Not `tempfile`: it takes longer to import than all the rest of a small build.
    new = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        with new.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def locked(path: Path, wait: Callable[[], None]) -> Iterator[int | None]:
    """Hold the lock file `path`; the system lets go of it when the process dies.

    Gives the descriptor: a child that inherits it holds the lock on after its parent
    was killed. None on Windows, which has no such locks.

    Args:
        path: the lock file; its folder must exist.
        wait: called while another process holds it, between two tries; may raise.
    """
    try:
        fcntl: Any = importlib.import_module("fcntl")
    except ImportError:  # Windows
        yield None
        return
    with path.open("w", encoding="utf-8") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                wait()
        yield lock.fileno()
