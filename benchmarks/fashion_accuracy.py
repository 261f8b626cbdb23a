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
import subprocess
import sys
import time
from pathlib import Path

from kept_runs import REPOSITORY, keep, report

KERNEL = REPOSITORY / "kernels" / "fashion_mnist"
FIGURES = ("test_accuracy", "test_accuracy_flip_tta")


def train(idx: Path, out: Path, seed: int, options: list[str]) -> dict[str, float]:
    """Run the kernel, unless its scores of this seed are there already."""
    scores = out / "scores.json"
    if not scores.is_file():
        command = [sys.executable, str(KERNEL / "kernel.py"), "--input", str(idx)]
        subprocess.run(
            [*command, "--output", str(out), "--seed", str(seed), *options], check=True
        )
    found: dict[str, float] = json.loads(scores.read_text())
    return found


def main() -> None:
    """Train every seed, then print and keep the scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--idx", type=Path, required=True, help="the four idx files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--out", type=Path, default=Path("out/fashion_accuracy"))
    parser.add_argument("--results", type=Path, help="keep logs and scores here")
    args, options = parser.parse_known_args()
    runs, logs = {}, {}
    for seed in args.seeds:
        start, folder = time.perf_counter(), args.out / f"seed_{seed}"
        runs[f"seed_{seed}"] = train(args.idx, folder, seed, options)
        logs[f"seed_{seed}.csv"] = folder / "history.csv"
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
    report(runs, FIGURES)
    if args.results:
        seeds = ["--seeds", *map(str, args.seeds)]
        program = ["python", "benchmarks/fashion_accuracy.py", "--idx", "DIR"]
        keep(
            args.results, [*program, *seeds, *options], str(KERNEL), runs, FIGURES, logs
        )


if __name__ == "__main__":
    main()
