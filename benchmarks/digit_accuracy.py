"""Test accuracy of the digit kernel on the 42,000 / 28,000 analogue, over seeds.

    python benchmarks/make_digit_recognizer.py --idx IDX --out DIR --seed 0
    python benchmarks/digit_accuracy.py --data DIR --seeds 1 2 3

Runs `kernels/digit_recognizer/kernel.py` once per seed (a seed also chooses the rows
that validate), scores each submission with the labels that were kept aside, and prints
every run, the mean and the spread. The labels are read only here, after all runs have
ended. A finished seed is not run again.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
KERNEL = REPOSITORY / "kernels" / "digit_recognizer" / "kernel.py"
COMPETITION = "digit-recognizer"


def train(data: Path, out: Path, seed: int, options: list[str]) -> None:
    """Run the kernel, unless its submission of this seed is there already."""
    if (out / "submission.csv").is_file():
        print(f"seed {seed}: already run, in {out}", flush=True)
        return
    command = [sys.executable, str(KERNEL), "--input", str(data), "--output", str(out)]
    start = time.perf_counter()
    subprocess.run([*command, "--seed", str(seed), *options], check=True)
    print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)


def read_answers(path: Path) -> dict[str, str]:
    """Read the two columns of a submission: image id to label."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return {row[0]: row[1] for row in rows}


def main() -> None:
    """Train every seed, then score all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="what make_digit_recognizer.py wrote"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--out", type=Path, default=Path("out/digit_accuracy"))
    args, options = parser.parse_known_args()
    folders = {seed: args.out / f"seed_{seed}" for seed in args.seeds}
    for seed, folder in folders.items():
        train(args.data / COMPETITION, folder, seed, options)
    truth = read_answers(args.data / "held_out" / COMPETITION / "test_labels.csv")
    scores = []
    for seed, folder in folders.items():
        answers = read_answers(folder / "submission.csv")
        scores.append(sum(answers[i] == truth[i] for i in truth) / len(truth))
        valid = json.loads((folder / "scores.json").read_text())["valid_accuracy"]
        print(f"seed {seed}: test {scores[-1]:.4%}, validation {valid:.4%}")
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    print(f"mean of {len(scores)}: {statistics.mean(scores):.4%}, sd {spread:.4%}")


if __name__ == "__main__":
    main()
