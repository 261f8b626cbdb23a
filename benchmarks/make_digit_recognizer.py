"""Write Kaggle's Digit Recognizer from the MNIST files, with the test labels aside.

The 60,000 + 10,000 images are joined, shuffled and split into 42,000 for training and
28,000 for testing, the sizes of the competition:

    OUT/digit-recognizer/train.csv, test.csv, sample_submission.csv
    OUT/held_out/digit-recognizer/test_labels.csv

The labels lie outside the competition's folder, where no kernel looks. The CSV form is
Kaggle's, down to the line ends: the sizes of Kaggle's train.csv and test.csv (73.22 and
48.75 MiB) add up to what these 70,000 images take with a carriage return in each line.

    python benchmarks/make_digit_recognizer.py --idx DIR --out DIR --seed 0
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kaggle_kit.paths import atomic_file
from kaggle_kit.preprocess import read_idx_part, write_pixel_csv

SLUG = "digit-recognizer"
TRAIN_ROWS = 42_000
PARTS = ("train", "t10k")


def read_all(folder: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """All images and labels, the training part first."""
    images, labels = zip(*(read_idx_part(folder, part) for part in PARTS), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def write_answers(path: Path, labels: npt.NDArray[np.integer]) -> None:
    """Write the columns ImageId, from 1, and Label."""
    lines = [f"{i},{label}" for i, label in enumerate(labels, start=1)]
    with atomic_file(path) as temporary:
        text = "\r\n".join(["ImageId,Label", *lines, ""])
        temporary.write_bytes(text.encode())


def make_competition(idx: Path, out: Path, seed: int) -> tuple[Path, Path]:
    """Write all files; return the competition's folder and the held-out labels."""
    images, labels = read_all(idx)
    if len(images) <= TRAIN_ROWS:
        raise ValueError(f"{idx}: {len(images)} images, more than {TRAIN_ROWS} needed")
    # The legacy generator's stream is frozen by numpy, so a seed names the same split
    # with every version; default_rng makes no such promise.
    order = np.random.RandomState(seed).permutation(len(images))
    train, test = order[:TRAIN_ROWS], order[TRAIN_ROWS:]
    folder, held_out = out / SLUG, out / "held_out" / SLUG
    for each in (folder, held_out):
        each.mkdir(parents=True, exist_ok=True)
    write_pixel_csv(folder / "train.csv", images[train], labels[train])
    write_pixel_csv(folder / "test.csv", images[test])
    write_answers(folder / "sample_submission.csv", np.zeros(len(test), np.int64))
    write_answers(held_out / "test_labels.csv", labels[test])
    return folder, held_out / "test_labels.csv"


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--idx", type=Path, required=True, help="folder of MNIST files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=0, help="of the split (default 0)")
    options = parser.parse_args()
    started = time.perf_counter()
    try:
        folder, labels = make_competition(options.idx, options.out, options.seed)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"competition      {folder}")
    print(f"held-out labels  {labels}")
    print(f"{time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
