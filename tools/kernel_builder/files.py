"""Write files so that a crash, a full disk or Ctrl-C never leaves half of one."""

import os
from pathlib import Path


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
