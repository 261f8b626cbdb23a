"""Test accuracy of a digit kernel on 42,000 / 28,000 analogues, over splits and seeds.

    python benchmarks/make_digit_recognizer.py --idx IDX --out DIR --seed 0
    python benchmarks/digit_accuracy.py --data DIR --seeds 1 2 3
    python benchmarks/digit_accuracy.py --data A B C --seeds 1 --kernel digit_ensemble

Runs the kernel once per split and seed (a seed also chooses the rows that validate),
scores each submission with the labels that were kept aside, and prints every run, the
mean and the spread. The labels are read only here, after all runs have ended. A
finished run is not repeated; what this program does not know is passed on to the
kernel. With `--results FOLDER` the logs and a `summary.json` go there.
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

from kept_runs import REPOSITORY, keep, report

KERNELS = ("digit_recognizer", "digit_ensemble")
COMPETITION = "digit-recognizer"
FIGURES = ("test", "validation")


def train(kernel: str, data: Path, out: Path, seed: int, options: list[str]) -> None:
    """Run the kernel, unless its submission is there already."""
    if (out / "submission.csv").is_file():
        print(f"{out}: run already", flush=True)
        return
    program = REPOSITORY / "kernels" / kernel / "kernel.py"
    command = [sys.executable, str(program), "--input", str(data), "--output", str(out)]
    start = time.perf_counter()
    subprocess.run([*command, "--seed", str(seed), *options], check=True)
    print(f"{out}: {time.perf_counter() - start:.0f} s", flush=True)


def read_answers(path: Path) -> dict[str, str]:
    """Read the two columns of a submission: image id to label."""
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return {row[0]: row[1] for row in rows}


def test_accuracy(data: Path, out: Path) -> float:
    """Share of the answers that are right."""
    truth = read_answers(data / "held_out" / COMPETITION / "test_labels.csv")
    answers = read_answers(out / "submission.csv")
    return sum(answers[i] == truth[i] for i in truth) / len(truth)


def main() -> None:
    """Train every seed on every split, then score all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        required=True,
        help="splits that make_digit_recognizer.py wrote",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--kernel", choices=KERNELS, default=KERNELS[0])
    parser.add_argument("--out", type=Path, default=Path("out/digit_accuracy"))
    parser.add_argument("--results", type=Path, help="keep logs and scores here")
    args, options = parser.parse_known_args()
    folders = {
        (data, seed): args.out / args.kernel / data.name / f"seed_{seed}"
        for data in args.data
        for seed in args.seeds
    }
    names = {run: f"{run[0].name}_seed_{run[1]}" for run in folders}
    if len(set(names.values())) < len(args.data) * len(args.seeds):
        parser.error("two splits have the same folder name, or a seed is there twice")
    for (data, seed), out in folders.items():
        train(args.kernel, data / COMPETITION, out, seed, options)
    runs, logs = {}, {}
    for run, out in folders.items():
        kept = json.loads((out / "scores.json").read_text())
        validation = kept.get("valid_accuracy", kept.get("oof_accuracy"))
        scores = {"test": test_accuracy(run[0], out), "validation": validation}
        runs[names[run]] = scores
        for log in (*out.glob("history.csv"), *out.glob("log_fold*.csv")):
            logs[f"{names[run]}_{log.name}"] = log
    report(runs, FIGURES)
    if args.results:
        splits = ["--data", *(data.name for data in args.data)]
        seeds = ["--seeds", *map(str, args.seeds), "--kernel", args.kernel]
        program = ["python", "benchmarks/digit_accuracy.py"]
        keep(
            args.results,
            [*program, *splits, *seeds, *options],
            f"kernels/{args.kernel}",
            runs,
            FIGURES,
            logs,
        )


if __name__ == "__main__":
    main()
