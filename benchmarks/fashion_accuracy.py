"""Test accuracy of the Fashion-MNIST kernel after its last epoch, over seeds.

    python benchmarks/fashion_accuracy.py --idx DIR --seeds 1 2 3 4 5
    python benchmarks/fashion_accuracy.py --idx DIR --seeds 1 2 3 4 5 --epochs 20 ...

Runs `kernels/fashion_mnist/kernel.py` once per seed, on all 60,000 training images; the
kernel looks at the 10,000 test images once, after its last epoch. Prints every run, the
mean and the spread. With `--results FOLDER` the log of each seed goes there as
`seed_N.csv`, and `summary.json` holds the scores, the command and the commit. What this
program does not know is passed on to the kernel. A finished seed is not run again.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parents[1]
KERNEL = REPOSITORY / "kernels" / "fashion_mnist" / "kernel.py"
FIGURES = ("test_accuracy", "test_accuracy_flip_tta")


def train(idx: Path, out: Path, seed: int, options: list[str]) -> dict[str, float]:
    """Run the kernel, unless its scores of this seed are there already."""
    scores = out / "scores.json"
    if not scores.is_file():
        command = [sys.executable, str(KERNEL), "--input", str(idx)]
        subprocess.run(
            [*command, "--output", str(out), "--seed", str(seed), *options], check=True
        )
    found: dict[str, float] = json.loads(scores.read_text())
    return found


def git(*arguments: str) -> str:
    """Output of git in the repository; nothing where there is none."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return run.stdout.strip()


def describe(
    runs: dict[int, dict[str, float]], options: list[str]
) -> dict[str, object]:
    """Everything about the runs that a reader needs to repeat them."""
    seeds = " ".join(map(str, runs))
    changed = git("status", "--porcelain", "kernels/fashion_mnist", "kaggle_kit")
    command = f"python benchmarks/fashion_accuracy.py --idx DIR --seeds {seeds}"
    return {
        "command": " ".join([command, *options]),
        "commit": git("rev-parse", "HEAD") + ("+changes" if changed else ""),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "runs": {f"seed_{seed}": scores for seed, scores in runs.items()},
        "mean": {k: statistics.mean(r[k] for r in runs.values()) for k in FIGURES},
        "sd": {k: spread([r[k] for r in runs.values()]) for k in FIGURES},
    }


def spread(values: list[float]) -> float:
    """Standard deviation with n - 1; 0 of one value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0


def main() -> None:
    """Train every seed, then print and keep the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--idx", type=Path, required=True, help="the four idx files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, default=Path("out/fashion_accuracy"))
    parser.add_argument("--results", type=Path, help="keep logs and scores here")
    args, options = parser.parse_known_args()
    runs = {}
    for seed in args.seeds:
        start, folder = time.perf_counter(), args.out / f"seed_{seed}"
        runs[seed] = train(args.idx, folder, seed, options)
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
        if args.results:
            args.results.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "history.csv", args.results / f"seed_{seed}.csv")
    summary = describe(runs, options)
    if args.results:
        text = json.dumps(summary, indent=2) + "\n"
        (args.results / "summary.json").write_text(text)
    for seed, scores in runs.items():
        plain, flipped = (scores[key] for key in FIGURES)
        print(f"seed {seed}: test {plain:.4%}, with flip TTA {flipped:.4%}")
    for key in FIGURES:
        values = [scores[key] for scores in runs.values()]
        mean, sd = statistics.mean(values), spread(values)
        print(f"{key}: mean of {len(values)} {mean:.4%}, sd {sd:.4%}")


if __name__ == "__main__":
    main()
