"""The comment at the top of every built file: what it was made of, and how.

No time and no path of this machine: the same sources give the same bytes anywhere.
"""

import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from kernel_builder import __version__
from kernel_builder.read.modules import Closure

GIT_LINE: Final = "# git "
_TIME_OUT: Final = 10.0


def header_lines(
    closure: Closure, form: str, contents: Sequence[tuple[int, str]] = ()
) -> list[str]:
    """Give the header: tool, kernel, git state, contents, and a hash per source.

    `contents` are titles of sections with the number of lines below the header at
    which each starts.
    """
    lines = [
        f"# kaggle-kit build {__version__}, {form} form, of {closure.entry.label}",
        "# Made by a tool: change the sources below and build again.",
    ]
    git = (closure.git or GitQuestion(closure)).answer()
    if git:
        lines.append(GIT_LINE + git)
    sources = [
        "#",
        "# Sources (sha256)",
        *(f"#   {item.source.sha256}  {item.label}" for item in closure.everything),
        "",
    ]
    if contents:
        lines += ["#", "# Contents (line)"]
        below = len(lines) + len(contents) + len(sources)
        width = len(str(below + contents[-1][0]))
        lines += [f"#   {below + at:>{width}}  {title}" for at, title in contents]
    return [*lines, *sources]


class GitQuestion:
    """Asks git about the sources of a closure, while the build goes on."""

    def __init__(self, closure: Closure) -> None:
        root = closure.project.root
        self._process: subprocess.Popen[bytes] | None = None
        self._answer: str | None = None
        if not (root / ".git").exists():
            return
        files = [module.path for module in closure.everything]
        inside = [str(path) for path in files if path.is_relative_to(root)]
        command = ["git", "-C", str(root), "status", "--porcelain=v2", "--branch"]
        command += ["--untracked-files=all", "--no-renames", "--", *inside]
        # No git here: the hashes still say what went in.
        with suppress(OSError):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            )

    def answer(self) -> str:
        """Give `commit` or `commit, with uncommitted changes`; empty if none."""
        if self._answer is None:
            self._answer = self._read()
        return self._answer

    def close(self) -> None:
        """Stop asking, where the answer is not wanted any more."""
        if self._process is not None and self._answer is None:
            self._process.kill()
            self._process.communicate()

    def _read(self) -> str:
        if self._process is None:
            return ""
        try:
            output, _ = self._process.communicate(timeout=_TIME_OUT)
        except subprocess.TimeoutExpired:
            self.close()
            return ""
        if self._process.returncode != 0:
            return ""
        lines = output.decode("utf-8", "replace").splitlines()
        heads = [line for line in lines if line.startswith("# branch.oid")]
        commit = heads[0].split()[-1] if heads else "(initial)"
        if commit == "(initial)":
            return ""
        dirty = any(not line.startswith("#") for line in lines)
        return commit + (", with uncommitted changes" if dirty else "")
