"""Every push is recorded in the user's repository, so a score leads back to its source.

The record is `kaggle-runs.jsonl` at the repository's root: one JSON object per line,
only ever appended to. A crash can at most leave half of a last line behind; reading
skips it and the next line starts afresh.
"""

import argparse
import ast
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from kernel_builder.errors import UsageError
from kernel_builder.remote.retrying import span

FILE_NAME = "kaggle-runs.jsonl"


@dataclass(frozen=True)
class Run:
    """One push and what became of it. `version` is None until Kaggle has told it."""

    run_id: str
    kernel: str
    pushed_at: str = ""
    version: int | None = None
    taken: bool = False  # Kaggle answered that it took the push
    url: str = ""
    built: str = ""
    commit: str = ""
    dirty: bool = False
    sha256: str = ""
    accelerator: str = ""
    competition: str = ""
    cfg: dict[str, Any] = field(default_factory=dict)
    refused: str = ""
    status: str = ""
    message: str = ""
    seconds: float | None = None
    validation: float | None = None
    outputs: str = ""
    submission: int | None = None
    submitted_to: str = ""
    asked_at: float = 0.0  # a submission was sent then, and nothing answered so far
    asked_for: str = ""
    asked_with: str = ""
    public: str = ""
    private: str = ""
    score_error: str = ""

    @property
    def label(self) -> str:
        """`owner/slug version N`."""
        number = "?" if self.version is None else str(self.version)
        return f"{self.kernel} version {number}"

    @property
    def state(self) -> str:
        """What is known, in one word."""
        if self.refused:
            return "refused"
        known = self.version or self.taken
        return self.status.lower() or ("pushed" if known else "unknown")


def new_run_id() -> str:
    """An id that sorts by time and is not met twice."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{stamp}-{secrets.token_hex(4)}"


def record_event(root: Path, run: str, event: str, **what: Any) -> None:  # noqa: ANN401
    """Append one line to the record of `root`, in a single write."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = json.dumps({"run": run, "event": event, "time": moment, **what})
    path = root / FILE_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.lseek(handle, 0, os.SEEK_END)
        torn = False
        if size:
            os.lseek(handle, size - 1, os.SEEK_SET)
            torn = os.read(handle, 1) != b"\n"
        os.write(handle, (("\n" if torn else "") + line + "\n").encode("utf-8"))
        os.fsync(handle)
    finally:
        os.close(handle)


def from_root(root: Path, path: Path) -> str:
    """`path` as the record names it: from the repository's root where it lies inside.

    >>> from_root(Path("/repo"), Path("/repo/out/runs/v1"))
    'out/runs/v1'
    """
    whole = path.absolute()
    inside = whole.is_relative_to(root)
    return whole.relative_to(root).as_posix() if inside else str(whole)


def read_runs(root: Path) -> list[Run]:
    """All recorded pushes, oldest first."""
    path = root / FILE_NAME
    if not path.exists():
        return []
    runs: dict[str, Run] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            event = json.loads(line)
            name, kind = str(event["run"]), str(event["event"])
        except (ValueError, KeyError, TypeError):
            continue  # half a line, from a crash
        if kind == "push":
            runs[name] = Run(name, "", pushed_at=str(event.get("time", "")))
        if name in runs:
            runs[name] = _with_event(runs[name], event)
    return list(runs.values())


def _with_event(run: Run, event: dict[str, Any]) -> Run:
    known = {item.name for item in fields(Run)} - {"run_id", "pushed_at"}
    return replace(run, **{k: v for k, v in event.items() if k in known})


def find_run(
    root: Path, kernel: str, run_id: str = "", version: int | None = None
) -> Run:
    """The newest push of `kernel` that Kaggle did not refuse, or the one named.

    Raises:
        UsageError: there is none; the message lists what there is.
    """
    mine = [r for r in read_runs(root) if r.kernel == kernel]
    for run in reversed(mine):
        wanted = not run_id or run.run_id == run_id
        if wanted and not run.refused and version in (None, run.version):
            return run
    known = ", ".join(f"{r.run_id} ({r.state})" for r in mine[-5:]) or "none"
    raise UsageError(
        f"{root / FILE_NAME}: no such push of {kernel}; the latest known: {known}. "
        "`push` makes one; a version that was pushed elsewhere comes with `fetch "
        "--foreign --version N`"
    )


def git_state(folder: Path) -> tuple[str, bool]:
    """The commit checked out and whether the work tree differs; ("", False) without.

    The tool's own record and outputs do not count as differences.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    own = [f":(top,exclude){name}" for name in (FILE_NAME, "out")]
    status = _git(folder, "status", "--porcelain", "--", ":(top)", *own)
    return commit, bool(commit and status)


def _git(folder: Path, *args: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *args],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def read_cfg(source: str) -> dict[str, Any]:
    r"""The literal fields of the kernel's `class CFG`.

    >>> read_cfg("class CFG:\n    epochs: int = 3\n    lr = 1e-3")
    {'epochs': 3, 'lr': 0.001}
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}
    found: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == "CFG":
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and item.value is not None:
                    _keep_literal(found, item.target, item.value)
                elif isinstance(item, ast.Assign) and len(item.targets) == 1:
                    _keep_literal(found, item.targets[0], item.value)
    return found


def _keep_literal(found: dict[str, Any], target: ast.expr, value: ast.expr) -> None:
    try:
        literal = ast.literal_eval(value)
        json.dumps(literal)
    except (ValueError, TypeError):
        return
    if isinstance(target, ast.Name):
        found[target.id] = literal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `runs`."""
    parser.add_argument("kernel", nargs="?", help="only this one: owner/slug or slug")
    parser.add_argument("--root", default=".", help="the repository (default: here)")
    parser.add_argument("--best", action="store_true", help="best scores first")
    parser.add_argument(
        "--lowest", action="store_true", help="the same where lower scores are better"
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Print the recorded pushes as a table."""
    runs = [r for root in find_records(Path(args.root)) for r in read_runs(root)]
    runs.sort(key=lambda r: r.pushed_at)
    if args.kernel:
        slug = args.kernel.rstrip("/").rsplit("/", 1)[-1]
        runs = [r for r in runs if r.kernel == args.kernel or r.kernel.endswith(slug)]
    if args.best or args.lowest:
        runs = sorted(runs, key=_by_score(-1 if args.lowest else 1), reverse=True)
    lines = [json.dumps(vars(r)) for r in runs] if args.json else table(runs)
    log("\n".join(lines) if lines else "no push is recorded here yet")
    return 0


def find_records(folder: Path) -> list[Path]:
    """Roots that have a record: the nearest upwards, else those of kernels below.

    Outside a git repository a kernel's record lies in the kernel's own folder.
    """
    start = folder.absolute()
    for candidate in (start, *start.parents):
        if (candidate / FILE_NAME).exists():
            return [candidate]
        if (candidate / ".git").exists():
            break
    below = [*start.glob(f"*/{FILE_NAME}"), *start.glob(f"*/*/{FILE_NAME}")]
    return sorted(path.parent for path in below)


def _by_score(sign: int) -> Callable[[Run], tuple[float, float]]:
    """A key for sorting: the public score, then the validation score, none last."""
    none = float("-inf")

    def key(run: Run) -> tuple[float, float]:
        try:
            public = sign * float(run.public)
        except ValueError:
            public = none
        return public, none if run.validation is None else sign * run.validation

    return key


def cfg_differences(runs: Sequence[Run]) -> list[str]:
    """For each run the CFG fields in which these runs are not all alike.

    >>> cfg_differences([Run("a", "k", cfg={"lr": 1}), Run("b", "k", cfg={"lr": 2})])
    ['lr=1', 'lr=2']
    """
    names = dict.fromkeys(name for run in runs for name in run.cfg)
    missing = object()
    differing = [
        name
        for name in names
        if any(
            run.cfg.get(name, missing) != runs[0].cfg.get(name, missing) for run in runs
        )
    ]
    return [
        " ".join(f"{name}={run.cfg[name]}" for name in differing if name in run.cfg)
        for run in runs
    ]


def table(runs: Sequence[Run]) -> list[str]:
    """The pushes as lines of a table, empty when there is none."""
    if not runs:
        return []
    heads = ("pushed", "kernel", "v", "commit", "source", "on", "state", "took")
    rows = [(*heads, "valid", "public", "CFG where it differs", "outputs")]
    for r, cfg in zip(runs, cfg_differences(runs), strict=True):
        commit = r.commit[:8] + ("+" if r.dirty else "")
        rows.append(
            (
                r.pushed_at.removesuffix("Z").replace("T", " "),
                r.kernel,
                "?" if r.version is None else str(r.version),
                commit or "-",
                r.sha256[:8] or "-",
                r.accelerator or "cpu",
                r.state,
                "-" if r.seconds is None else span(r.seconds),
                "-" if r.validation is None else f"{r.validation:.5g}",
                r.public or r.score_error or "-",
                cfg or "-",
                r.outputs or "-",
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
