"""The comment at the top of every built file: what it was made of, and how.

No time and no path of this machine: the same sources give the same bytes anywhere.
"""

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from kernel_builder import __version__
from kernel_builder.modules import Closure

GIT_LINE: Final = "# git "
_TIME_OUT: Final = 10.0


def header_lines(
    closure: Closure, form: str, contents: Sequence[tuple[int, str]] = ()
) -> list[str]:
    """Give the header: tool, kernel, git state, contents, and a hash per source.

    `contents` are titles of sections with the number of lines below the header at
    which each starts.
    """
    project = closure.project
    lines = [
        f"# kaggle-kit build {__version__}, {form} form, of {closure.entry.label}",
        "# Made by a tool: change the sources below and build again.",
    ]
    git = git_state(project.root, [module.path for module in closure.everything])
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


def git_state(root: Path, files: Iterable[Path]) -> str:
    """Give `commit` or `commit, with uncommitted changes` of `files`; empty if none."""
    if not (root / ".git").exists():
        return ""
    inside = [str(path) for path in files if path.is_relative_to(root)]
    command = ["git", "-C", str(root), "status", "--porcelain=v2", "--branch"]
    command += ["--untracked-files=all", "--no-renames", "--", *inside]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_TIME_OUT, env=environment, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""  # no git here: the hashes still say what went in
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid")]
    if not commits or commits[0] == "(initial)":
        return ""
    dirty = any(not line.startswith("#") for line in lines)
    return commits[0] + (", with uncommitted changes" if dirty else "")
