"""Build submission.csv, check it as Kaggle would, and write it whole or not at all.

Everything is checked on the text of the CSV file, because the text is what Kaggle
scores: a table is first rendered exactly as it will be written. The first column of
sample_submission.csv identifies the rows, the others hold the answers.
"""

import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from kaggle_kit.answers import (
    AnswerFileError,
    SampleAnswers,
    read_answer_rows,
    read_sample_answers,
)
from kaggle_kit.paths import atomic_file

SUBMISSION_NAMED = 3  # offending rows named per problem


class SubmissionError(ValueError):
    """The submission would not be scored.

    Attributes:
        problems: One sentence for each thing that is wrong.
    """

    def __init__(self, name: str, problems: list[str]) -> None:
        """Join the problems to one message."""
        super().__init__(f"{name} would not be scored:\n- " + "\n- ".join(problems))
        self.problems = problems


def _submission_render(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode(errors="surrogatepass")


# ------------------------------------------------------------------------- the checks


class _SubmissionFaults:
    """Faults by description: how many rows have each, and the first of them."""

    def __init__(self) -> None:
        self.first: dict[str, list[str]] = {}
        self.count: Counter[str] = Counter()

    def add(self, text: str, where: str) -> None:
        self.count[text] += 1
        named = self.first.setdefault(text, [])
        if len(named) < SUBMISSION_NAMED:
            named.append(where)

    def problems(self) -> list[str]:
        """One sentence each: what, how often, where first."""
        sentences = []
        for text, named in self.first.items():
            rest = self.count[text] - len(named)
            more = f" and {rest:,} more" if rest else ""
            sentences.append(f"{text}: {', '.join(named)}{more}")
        return sentences


def _submission_shorten(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")


def _submission_header_hint(header: list[str], wanted: list[str]) -> str:
    if len(header) > 1 and (not header[0] or header[0].startswith("Unnamed:")):
        return "the first is the index of a table, write with index=False"
    if sorted(header) == sorted(wanted):
        return "they are in another order"
    if [h.strip().lower() for h in header] == [w.strip().lower() for w in wanted]:
        return "capitals or spaces differ"
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        return "cells must be separated by commas"
    twice = [name for name, count in Counter(header).items() if count > 1]
    absent = [name for name in wanted if name not in header]
    extra = [name for name in dict.fromkeys(header) if name not in wanted]
    hints = (("missing", absent), ("not in the sample", extra), ("twice", twice))
    return "; ".join(
        f"{what}: {', '.join(map(_submission_shorten, names[:5]))}"
        for what, names in hints
        if names
    )


class _SubmissionRows:
    """Takes the rows one by one; columns that the header lacks are passed over."""

    def __init__(self, header: list[str], sample: SampleAnswers) -> None:
        self.width, self.sample = len(header), sample
        self.id_name = sample.header[0]
        self.id_place = header.index(self.id_name) if self.id_name in header else None
        self.columns = [
            (name, header.index(name), column)
            for name, column in sample.columns.items()
            if name in header
        ]
        self.count = 0
        self.ids: dict[str, int] = {}  # id -> line
        self.faults = _SubmissionFaults()

    def add(self, line: int, row: list[str]) -> None:
        self.count += 1
        if len(row) != self.width:
            text = f"rows whose number of cells is not {self.width} as in the header"
            self.faults.add(text, f"line {line} ({len(row)} cells)")
            return
        row_id = None if self.id_place is None else row[self.id_place]
        if row_id is not None and self.ids.setdefault(row_id, line) != line:
            text = f"column {self.id_name}: ids appear again"
            self.faults.add(text, self._where(line, row_id))
        for name, place, column in self.columns:
            if fault := column.fault(row[place]):
                cell = _submission_shorten(row[place])
                where = self._where(line, row_id)
                self.faults.add(f"column {name}: {fault}", f"{where} has {cell}")

    def _where(self, line: int, row_id: str | None) -> str:
        if row_id is None:
            return f"line {line}"
        return f"line {line} ({self.id_name} {_submission_shorten(row_id)})"

    def _compare_ids(self) -> None:
        for row_id, line in self.ids.items():
            if row_id not in self.sample.ids:
                where = f"line {line} ({_submission_shorten(row_id)})"
                text = f"column {self.id_name}: ids that {self.sample.name} lacks"
                self.faults.add(text, where)
        for row_id, line in self.sample.ids.items():
            if row_id not in self.ids:
                where = f"{_submission_shorten(row_id)} (line {line} there)"
                text = f"column {self.id_name}: ids of {self.sample.name} are missing"
                self.faults.add(text, where)

    def problems(self) -> list[str]:
        """All problems, once every row was added."""
        found = []
        if self.count != len(self.sample.ids):
            wanted = f"{self.sample.name} has {len(self.sample.ids):,}"
            found.append(f"{self.count:,} rows, {wanted}")
        if self.id_place is not None:
            self._compare_ids()
        found += self.faults.problems()
        for name, _, column in self.columns:
            if self.count and (example := column.text_not_numbers()):
                found.append(
                    f"column {name}: holds only numbers, {self.sample.name} has text "
                    f"such as {_submission_shorten(example)}; decode the labels"
                )
        return found


def _submission_problems(
    content: Iterable[bytes], name: str, sample: SampleAnswers
) -> list[str]:
    try:
        rows = read_answer_rows(content)
        _, header = next(rows, (1, []))
        if not header:
            return [f"{name} is empty"]
        table = _SubmissionRows(header, sample)
        for line, row in rows:
            table.add(line, row)
    except AnswerFileError as error:
        return [str(error)]
    problems = table.problems()
    if header != sample.header:
        hint = _submission_header_hint(header, sample.header)
        wanted = ",".join(sample.header)
        given = _submission_shorten(",".join(header))
        problems.insert(
            0, f"columns are {given}, {sample.name} has {wanted!r} ({hint})"
        )
    return problems


def check_submission(
    submission: pd.DataFrame,
    sample: pd.DataFrame,
    name: str = "submission.csv",
    real: bool = False,
) -> list[str]:
    """What Kaggle would refuse in `submission`, if written without its index.

    Checked are columns and their order, the number of rows, the set of ids, ids that
    appear twice, empty cells, NaN, infinities, and that each answer is of the kind
    which the sample shows: whole numbers, numbers, True or False, or text. The order
    of the rows is free, as it is on Kaggle.

    Args:
        submission: The table to be submitted.
        sample: sample_submission.csv; read it with `dtype=str` if its ids have leading
            zeros.
        name: The file's name in messages.
        real: The answers are real numbers though the sample shows whole ones.

    Returns:
        One sentence per problem, naming the first rows that have it; [] if all is well.
    """
    try:
        wanted = read_sample_answers(
            io.BytesIO(_submission_render(sample)), "the sample", real
        )
    except AnswerFileError as error:
        return [f"the sample cannot be used: {error}"]
    return _submission_problems(
        io.BytesIO(_submission_render(submission)), name, wanted
    )


def _submission_open_problem(path: Path) -> str:
    """Why there is no file to read at `path`; empty if there is one."""
    if path.is_dir():
        return f"{path} is a folder, not a file"
    if not path.is_file():
        there = []
        if path.parent.is_dir():
            there = sorted(other.name for other in path.parent.iterdir())
        some = ", ".join(there[:10]) + ", ..." * (len(there) > 10)
        return f"{path} does not exist; its folder holds: {some or 'nothing'}"
    if path.stat().st_size == 0:
        return f"{path} is empty"
    return ""


def check_submission_file(
    path: str | Path, sample_path: str | Path, real: bool = False
) -> list[str]:
    """Like `check_submission`, for files, which may be anything: garbage is a problem.

    Args:
        path: submission.csv.
        sample_path: sample_submission.csv.
        real: The answers are real numbers though the sample shows whole ones.
    """
    path, sample_path = Path(path), Path(sample_path)
    for file in (sample_path, path):
        if problem := _submission_open_problem(file):
            return [problem]
    try:
        with sample_path.open("rb") as content:
            sample = read_sample_answers(content, sample_path.name, real)
    except AnswerFileError as error:
        return [f"{sample_path} cannot be used as the sample: {error}"]
    with path.open("rb") as content:
        return _submission_problems(content, path.name, sample)


# --------------------------------------------------------------- building and writing


def _submission_table(
    predictions: npt.ArrayLike | pd.DataFrame, sample: SampleAnswers
) -> pd.DataFrame:
    """The table to write: a table as it is, an array in the rows of the sample.

    Raises:
        ValueError: the array's shape does not fit the sample.
    """
    if isinstance(predictions, pd.DataFrame):
        return predictions
    answers = np.asarray(predictions)
    if answers.ndim == 1:
        answers = answers[:, None]  # (N, 1)
    names = sample.header[1:]
    if answers.shape != (len(sample.ids), len(names)):
        hint = ""
        if answers.ndim == 2 and answers.shape[1] > 1 and len(names) == 1:
            hint = "; scores of classes become labels by predictions.argmax(1)"
        raise ValueError(
            f"predictions have the shape {np.shape(predictions)}, {sample.name} has "
            f"{len(sample.ids)} rows and the columns {', '.join(names)}{hint}"
        )
    table = pd.DataFrame({sample.header[0]: list(sample.ids)})
    return table.assign(**{name: answers[:, i] for i, name in enumerate(names)})


def write_submission(
    predictions: npt.ArrayLike | pd.DataFrame,
    sample: str | Path | pd.DataFrame,
    folder: str | Path,
    name: str = "submission.csv",
    real: bool = False,
) -> Path:
    """Build the submission, check it, and write it: whole, or not at all.

    Args:
        predictions: (N,) or (N, K) answers in the order of the sample's rows, for its
            K columns after the first; or a table that has the sample's columns.
        sample: sample_submission.csv or its path. The path is better: ids keep their
            spelling (`007`).
        folder: Where to write; created when missing.
        name: The file's name.
        real: The answers are real numbers though the sample shows whole ones.

    Returns:
        The path of the file written.

    Raises:
        FileNotFoundError: there is no sample.
        ValueError: the sample is broken, or the array's shape does not fit it.
        SubmissionError: the submission would not be scored; nothing is written.
    """
    sample_name = "the sample"
    if isinstance(sample, pd.DataFrame):
        content = _submission_render(sample)
    else:
        content, sample_name = Path(sample).read_bytes(), Path(sample).name
    try:
        wanted = read_sample_answers(io.BytesIO(content), sample_name, real)
    except AnswerFileError as error:
        raise ValueError(f"{sample_name} cannot be used: {error}") from None
    text = _submission_render(_submission_table(predictions, wanted))
    if problems := _submission_problems(io.BytesIO(text), name, wanted):
        raise SubmissionError(name, problems)
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(text)
    return path
