"""Would Kaggle score this submission.csv? One check for rehearse, push and fetch."""

from pathlib import Path

from kernel_builder.errors import UsageError

NAME = "submission.csv"
SAMPLES = ("sample_submission.csv", "sampleSubmission.csv")
MOST_NAMED = 8


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
    folder: Path, sample_path: Path | None, name: str = NAME
) -> list[str]:
    """What is wrong with `folder/name`, judged by the sample; empty if it would score.

    Without a sample only what every submission needs is checked: a header and rows.

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
    return [str(problem) for problem in check_submission_file(path, sample_path)]


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
