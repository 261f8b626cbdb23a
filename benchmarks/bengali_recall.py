"""Hierarchical recall of the two Bengali kernels on test images that were kept aside.

    python benchmarks/make_bengali.py --class-map class_map.csv --fonts DIR ... \
        --out DIR --rows 24000 --files 4 --seed 0
    python benchmarks/bengali_recall.py --data DIR

Runs `kernels/bengali_train` and then `kernels/bengali_infer` on its output, as on
Kaggle but un-built, and scores the submission: on test images of graphemes that
training has seen, on those it has not, and on all. Other options go to the training
kernel. The labels are read only here, after both kernels have ended; a training that
is there is not repeated.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from kaggle_kit.metrics import hierarchical_macro_recall, macro_recall

REPOSITORY = Path(__file__).resolve().parents[1]
KERNELS = REPOSITORY / "kernels"
COMPETITION = "bengaliai-cv19"
COMPONENTS = ["grapheme_root", "vowel_diacritic", "consonant_diacritic"]


def run_kernel(name: str, options: list[str]) -> None:
    """Run an un-built kernel."""
    command = [sys.executable, str(KERNELS / name / "kernel.py"), *options]
    subprocess.run(command, check=True)


def read_answers(path: Path) -> pd.DataFrame:
    """A submission as a table: image ids, and a column for each component."""
    rows = pd.read_csv(path)
    parts = rows["row_id"].str.extract(rf"^(.*)_({'|'.join(COMPONENTS)})$")
    table = rows.assign(image_id=parts[0], component=parts[1])
    return table.pivot(index="image_id", columns="component", values="target")


def describe(name: str, answers: pd.DataFrame, truth: pd.DataFrame) -> str:
    """Score some images: the competition's metric, and the recall of every head."""
    predicted = answers.loc[truth["image_id"], COMPONENTS].to_numpy()
    actual = truth[COMPONENTS].to_numpy()
    heads = [macro_recall(predicted[:, i], actual[:, i]) for i in range(3)]
    score = hierarchical_macro_recall(list(predicted.T), actual)
    each = ", ".join(f"{n} {h:.4f}" for n, h in zip(COMPONENTS, heads, strict=True))
    return f"{name:20} {score:.4f}  ({len(truth):,} images: {each})"


def main() -> None:
    """Train, predict, then score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="what make_bengali.py wrote"
    )
    parser.add_argument("--out", type=Path, default=Path("out/bengali_recall"))
    args, options = parser.parse_known_args()
    trained, answered = args.out / "train", args.out / "infer"
    data = ["--input", str(args.data / COMPETITION)]
    run_kernel("bengali_train", [*data, "--output", str(trained), *options])
    places = ["--models", str(trained), "--output", str(answered)]
    run_kernel("bengali_infer", [*data, *places])
    answers = read_answers(answered / "submission.csv")
    folder = args.data / "held_out" / COMPETITION
    truth = pd.read_csv(folder / "test_labels.csv")
    seen = truth["seen"] == 1
    scores = json.loads((trained / "scores.json").read_text())
    logs = [pd.read_csv(path) for path in sorted(trained.glob("log_fold*.csv"))]
    minutes = sum(log["seconds"].sum() for log in logs) / 60
    print(f"{sum(map(len, logs))} epochs in {minutes:.1f} min")
    print(f"{'validation':20} {scores['recall']:.4f}  (the epoch that was best there)")
    print(describe("test, seen", answers, truth[seen]))
    if len(truth[~seen]):
        print(describe("test, unseen", answers, truth[~seen]))
    print(describe("test, all", answers, truth))


if __name__ == "__main__":
    main()
