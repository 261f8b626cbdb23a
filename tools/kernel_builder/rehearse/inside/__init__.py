"""Programs that a rehearsal copies into the sandbox and runs there, by file.

They run under whatever Python the sandbox has, beside the kernel, so each is one file
that needs the standard library only and imports nothing of this package:

* `enter.py` builds the sandbox's file system where bubblewrap is missing;
* `supervisor.py` starts the kernel and sees what it leaves behind;
* `monitor.py` is the sandbox's `sitecustomize`: it records what the kernel reaches for;
* `notebook.py` executes an .ipynb cell by cell.
"""

from pathlib import Path


def program(name: str) -> str:
    """The text of one of the programs, such as `"supervisor"`."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
