"""What benchmarks of several trainings print and keep: scores, spread, commit, logs."""

import json
import platform
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[1]
Runs = Mapping[str, Mapping[str, float]]  # a run's name to its scores


def git(*arguments: str) -> str:
    """Output of git in the repository; nothing where there is none."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.strip()


def spread(values: Sequence[float]) -> float:
    """Standard deviation with n - 1; 0 of one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def report(runs: Runs, figures: Sequence[str]) -> None:
    """Print every run, then the mean and the spread of each figure."""
    for name, scores in runs.items():
        words = [f"{figure} {scores[figure]:.4%}" for figure in figures]
        print(f"{name}: {', '.join(words)}")
    for figure in figures:
        values = [scores[figure] for scores in runs.values()]
        mean = statistics.mean(values)
        print(f"{figure}: mean of {len(values)} {mean:.4%}, sd {spread(values):.4%}")


def keep(
    folder: Path,
    command: Sequence[str],
    kernel: str,
    runs: Runs,
    figures: Sequence[str],
    logs: Mapping[str, Path],
) -> None:
    """Write `summary.json`, all that a reader needs to repeat the runs, and the logs.

    Args:
        folder: made if it is not there.
        command: what was called.
        kernel: folder of the kernel, in the repository.
        runs: all scores.
        figures: those whose mean and spread are kept.
        logs: name of each log in the folder, to where it lies.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, log in logs.items():
        shutil.copy(log, folder / name)
    changed = git("status", "--porcelain", kernel, "kaggle_kit")
    columns = {key: [scores[key] for scores in runs.values()] for key in figures}
    summary = {
        "command": " ".join(command),
        "commit": git("rev-parse", "HEAD") + ("+changes" if changed else ""),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "runs": runs,
        "mean": {key: statistics.mean(values) for key, values in columns.items()},
        "sd": {key: spread(values) for key, values in columns.items()},
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
