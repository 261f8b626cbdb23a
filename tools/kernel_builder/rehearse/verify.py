"""Would Kaggle score this submission.csv? One check for rehearse, push and fetch."""

import csv
import itertools
from pathlib import Path

from kernel_builder.errors import UsageError

NAME = "submission.csv"
SAMPLES = ("sample_submission.csv", "sampleSubmission.csv")
MOST_NAMED = 8
TRAIN_ROWS = 1000
# Zeros in a sample may stand for classes or for a price: only a person knows.
REAL_HINT = (
    "if this competition takes real numbers, say so: --real, or real = true in "
    "rehearsal.toml"
)


def find_sample(folder: Path, name: str = "") -> Path | None:
    """The sample submission in a competition's folder, None when there is none.

    Raises:
        UsageError: the file that `rehearsal.toml` names does not exist.
    """
    if name:
        if not (folder / name).is_file():
            raise UsageError(f"{folder / name}: no such sample submission")
        return folder / name
    for candidate in SAMPLES:
        if (folder / candidate).is_file():
            return folder / candidate
    others = [*folder.glob("*sample*ubmission*.csv"), *folder.glob("*_submission.csv")]
    return min(others, default=None)


def verify_submission(
    folder: Path, sample_path: Path | None, name: str = NAME, real: bool = False
) -> list[str]:
    """What is wrong with `folder/name`, judged by the sample; empty if it would score.

    Without a sample only what every submission needs is checked: a header and rows.

    Args:
        folder: where the submission is.
        sample_path: the competition's sample, None where it is not known.
        name: the submission's file name.
        real: the answers are real numbers although the sample shows whole ones; known
            without being told where train.csv beside the sample has such a target.

    Raises:
        UsageError: kaggle_kit or pandas, which read the table, are not installed.
    """
    path = folder / name
    if not path.is_file():
        return [_not_found(folder, name)]
    if sample_path is None:
        return _without_sample(path)
    try:
        from kaggle_kit.submission import check_submission_file
    except ImportError as error:
        raise UsageError(
            f"checking {name} needs kaggle_kit and pandas beside the tool: {error}"
        ) from error
    real = real or _has_real_target(sample_path)
    problems = check_submission_file(path, sample_path, real)
    if problems and not real and not check_submission_file(path, sample_path, True):
        problems.append(REAL_HINT)
    return problems


def _has_real_target(sample_path: Path) -> bool:
    """Whether train.csv holds answers, and ones that are no whole numbers."""
    try:
        with (
            sample_path.open(encoding="utf-8-sig", newline="") as sample,
            (sample_path.parent / "train.csv").open(
                encoding="utf-8-sig", newline=""
            ) as train,
        ):
            targets = next(csv.reader(sample), [])[1:]
            rows = itertools.islice(csv.DictReader(train), TRAIN_ROWS)
            return any(
                float(row[name]) % 1 > 0  # inf and NaN are not
                for row in rows
                for name in targets
                if row.get(name)
            )
    except (OSError, ValueError, csv.Error):
        return False  # no table of answers, or answers that are no numbers


def _not_found(folder: Path, name: str) -> str:
    if (folder / name).is_symlink():
        return (
            f"{name} is a link to {(folder / name).readlink()}, which Kaggle does not "
            f"keep: write the file itself to /kaggle/working/{name}"
        )
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.csv"))
    found = ", ".join(files[:MOST_NAMED]) or "no CSV at all"
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return f"expected /kaggle/working/{name}, found {found}{more}"


def _without_sample(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        return [f"{path.name} is not UTF-8 (byte {error.start})"]
    if len(lines) < 2:
        return [f"{path.name} has {len(lines)} lines: a header and rows are needed"]
    return []
