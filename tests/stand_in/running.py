"""Run a pushed kernel the way Kaggle runs a script, and keep what it leaves."""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from rehearsing import as_built, write_kernel

from kernel_builder.rehearse.rehearsal import RehearsalOptions, rehearse


@dataclass
class Outcome:
    """How a run ended: the final state, the log as Kaggle stores it, the files."""

    status: str
    log: str
    files: dict[str, bytes] = field(default_factory=dict)
    message: str = ""


def log_json(text: str, stream: str = "stdout") -> str:
    """Lines as the JSON array that Kaggle keeps."""
    lines = text.splitlines(keepends=True)
    return json.dumps(
        [
            {"stream_name": stream, "time": 0.1 * n, "data": line}
            for n, line in enumerate(lines)
        ]
    )


def run_source(source: str, timeout: float = 60.0) -> Outcome:
    """Run `source` alone in an empty folder, in an environment made from nothing."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        script, working = root / "src" / "script.py", root / "working"
        script.parent.mkdir()
        working.mkdir()
        script.write_text(source, encoding="utf-8")
        env = {
            "PATH": os.defpath,
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        }
        started = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-s", str(script)],
            cwd=working,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            out, err = process.communicate(timeout=timeout)
        entries = [
            {"stream_name": name, "time": time.monotonic() - started, "data": line}
            for name, data in (("stdout", out), ("stderr", err))
            for line in data.decode("utf-8", "replace").splitlines(keepends=True)
        ]
        files = {
            str(path.relative_to(working)): path.read_bytes()
            for path in sorted(working.rglob("*"))
            if path.is_file()
        }
    status = "COMPLETE" if process.returncode == 0 else "ERROR"
    return Outcome(status, json.dumps(entries), files)


def run_rehearsed(source: str, competition: Path) -> Outcome:
    """Run `source` in the rehearsal's sandbox, with a competition's data mounted."""
    with tempfile.TemporaryDirectory() as folder:
        kernel = Path(folder) / "kernel"
        metadata = {"competition_sources": [competition.name]}
        write_kernel(kernel, "", **metadata)
        (kernel / "kernel.py").write_text(source, encoding="utf-8")
        options = RehearsalOptions(
            input=competition, out=Path(folder) / "out", submission=False
        )
        report = rehearse(as_built(kernel), options)
        files = {
            path.relative_to(report.outputs).as_posix(): path.read_bytes()
            for path in sorted(report.outputs.rglob("*"))
            if path.is_file()
        }
        log = log_json(report.log_path.read_text(encoding="utf-8"))
    return Outcome("COMPLETE" if report.ok else "ERROR", log, files)


def run_notebook(source: str) -> Outcome:
    """Run the code cells of a pushed notebook one after another."""
    cells = json.loads(source)["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    return run_source("\n".join(code))
