"""The whole job on real handwritten digits, with nothing to download: `make demo`.

Writes scikit-learn's 1,797 digits (8x8, UCI ML hand-written digits) as a Kaggle
competition, rehearses `kernels/digit_recognizer` on it as one built file, and scores
the submission with the labels that were kept aside. Everything lands in `demo/`.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from kernel_builder.cli import main as kaggle_kit
from kernel_builder.files import write_atomic

REPOSITORY = Path(__file__).resolve().parents[1]
KERNEL = REPOSITORY / "kernels" / "digit_recognizer"
COMPETITION = "digit-recognizer"
N_TEST = 500


def pixel_frame(images: np.ndarray) -> pd.DataFrame:
    """Lay out (N, H, W) uint8 images as Kaggle's pixel0, pixel1, ... columns."""
    flat = images.reshape(len(images), -1)
    return pd.DataFrame(flat, columns=[f"pixel{i}" for i in range(flat.shape[1])])


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a table without its index, whole or not at all."""
    write_atomic(path, frame.to_csv(index=False, lineterminator="\n"))


def write_competition(folder: Path, labels_path: Path) -> None:
    """Write train.csv, test.csv and sample_submission.csv; keep the test labels aside.

    Args:
        folder: the competition's folder, `<input>/competitions/digit-recognizer`.
        labels_path: where the test labels go; outside `folder`, so no kernel sees them.
    """
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # the set has 0..16
    train, test, train_labels, test_labels = train_test_split(
        images, digits.target, test_size=N_TEST, stratify=digits.target, random_state=0
    )
    table = pixel_frame(train)
    table.insert(0, "label", train_labels)
    image_id = np.arange(1, N_TEST + 1)
    write_csv(table, folder / "train.csv")
    write_csv(pixel_frame(test), folder / "test.csv")
    sample = pd.DataFrame({"ImageId": image_id, "Label": 0})
    write_csv(sample, folder / "sample_submission.csv")
    write_csv(sample.assign(Label=test_labels), labels_path)


def accuracy(submission: Path, labels: Path) -> float:
    """Share of the submission's rows that agree with the held-out labels."""
    answers = pd.read_csv(submission).merge(
        pd.read_csv(labels), on="ImageId", suffixes=("", "_true"), validate="1:1"
    )
    return float((answers["Label"] == answers["Label_true"]).mean())


def run(command: list[str]) -> int:
    """Show a command as a user would type it, then run it in this process."""
    print(f"\n$ kaggle-kit {shlex.join(command)}", flush=True)
    return kaggle_kit(command)


def newest(folder: Path) -> Path:
    """The rehearsal with the highest number."""
    numbered = (path for path in folder.iterdir() if path.name.isdigit())
    return max(numbered, key=lambda path: int(path.name))


def relative(path: Path) -> str:
    """A path as the user would type it from here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def main() -> int:
    """Write the data, rehearse the kernel, print the score. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"))
    out = parser.parse_args().out.resolve()
    data = out / "input" / "competitions" / COMPETITION
    labels = out / "held_out" / "test_labels.csv"
    write_competition(data, labels)
    print(f"competition written to {relative(data)} (1,297 train, 500 test images)")
    code = run(
        [
            *("rehearse", relative(KERNEL)),
            *("--input", relative(data)),
            *("--out", relative(out)),
        ]
    )
    if code:
        return code
    metadata = json.loads((KERNEL / "kernel-metadata.json").read_text())
    slug = metadata["id"].partition("/")[2]
    outputs = newest(out / "rehearsals" / slug) / "output"
    submission = outputs / "submission.csv"
    scores = json.loads((outputs / "scores.json").read_text())
    plots = sorted(path.name for path in outputs.glob("*.png"))
    print(f"\nbuilt kernel         {relative(outputs.parent / 'kernel.py')}")
    print(f"submission           {relative(submission)}")
    print(f"plots                {relative(outputs)}/{{{','.join(plots)}}}")
    print(f"validation accuracy  {scores['valid_accuracy']:.4f}")
    print(f"test accuracy        {accuracy(submission, labels):.4f}  (held-out labels)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
