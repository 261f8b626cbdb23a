"""Build submission.csv, check it as Kaggle would, and write it whole or not at all.

Everything is checked on the text of the CSV file, because the text is what Kaggle
scores: a table is first rendered exactly as it will be written. The first column of
sample_submission.csv identifies the rows, the others hold the answers.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from kaggle_kit.paths import atomic_file

SUBMISSION_NAMED = 3  # offending rows named per problem
SUBMISSION_REMEMBERED = 10_000  # good cells remembered per column

SUBMISSION_INTEGER = re.compile(r"[+-]?[0-9]+")
SUBMISSION_BOOLEANS = ("True", "False", "TRUE", "FALSE", "true", "false")
# How NaN, None and pandas.NA come out of the usual writers; empty cells apart. The
# first three name no class, the others might ("None" as a kind of defect).
SUBMISSION_NOT_TEXT = ("nan", "<na>", "nat")
SUBMISSION_MISSING = (*SUBMISSION_NOT_TEXT, "none", "null", "na", "n/a", "#n/a")


class SubmissionError(ValueError):
    """The submission would not be scored.

    Attributes:
        problems: One sentence for each thing that is wrong.
    """

    def __init__(self, name: str, problems: list[str]) -> None:
        """Join the problems to one message."""
        super().__init__(f"{name} would not be scored:\n- " + "\n- ".join(problems))
        self.problems = problems


class _SubmissionFileError(ValueError):
    """The file as a whole cannot be used; the message says why."""


# ------------------------------------------------------------- from bytes to CSV rows


def _submission_lines(content: Iterable[bytes]) -> Iterator[str]:
    """Decode line by line, so that an error can name the line."""
    for number, raw in enumerate(content, start=1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _SubmissionFileError(
                f"line {number} is not UTF-8 text (byte {raw[error.start]:#04x}); "
                "it must be CSV in UTF-8, not compressed"
            ) from None
        if "\0" in text:
            raise _SubmissionFileError(f"line {number} holds a NUL byte: no CSV text")
        yield text


def _submission_rows(content: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank, the header first."""
    reader = csv.reader(_submission_lines(content), strict=True)
    # Run-length encoded masks are longer than the csv module's usual limit.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise _SubmissionFileError(
            f"line {reader.line_num} cannot be read as CSV: {error}"
        ) from None
    finally:
        csv.field_size_limit(limit)


def _submission_render(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False, lineterminator="\n").encode()


# ------------------------------------------------------- what the sample file asks for


def _submission_cell_kind(cell: str) -> str:
    """One of: integer, number, boolean, text; empty, missing, infinite."""
    if SUBMISSION_INTEGER.fullmatch(cell):
        return "integer"
    if cell in SUBMISSION_BOOLEANS:
        return "boolean"
    if not cell.strip():
        return "empty"
    if cell.strip().lower() in SUBMISSION_MISSING:
        return "missing"
    try:
        return "number" if math.isfinite(float(cell)) else "infinite"
    except ValueError:
        return "text"


@dataclass
class _SubmissionColumn:
    """What the sample shows about one column of answers.

    Attributes:
        kinds: Every kind of cell in the sample, with the first such cell.
        seen: Kinds met in the submission.
        good: Cells of the submission found good before.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    good: set[str] = field(default_factory=set)

    def wanted(self) -> str:
        """The narrowest kind that fits every filled cell, "any" if none is filled."""
        filled = self.kinds.keys() - {"empty", "missing"}
        if not filled:
            return "any"
        if filled <= {"integer"}:
            return "integer"
        if filled <= {"boolean"}:
            return "boolean"
        return "number" if filled <= {"integer", "number", "infinite"} else "text"

    def fault(self, cell: str) -> str:
        """What is wrong with an answer; empty if nothing is."""
        if cell in self.good:
            return ""
        kind, wanted = _submission_cell_kind(cell), self.wanted()
        self.seen.add(kind)
        fault = ""
        if kind in self.kinds:
            pass  # run-length masks may be empty where the sample has empty cells
        elif kind == "empty":
            fault = "empty cells (NaN or None)"
        elif kind == "infinite":
            fault = "infinite values"
        elif wanted == "text":
            if cell.strip().lower() in SUBMISSION_NOT_TEXT:
                fault = "missing values"
        elif kind == "missing":
            fault = "missing values"
        elif wanted == "integer":
            fault = "must be whole numbers as in the sample"
        elif wanted == "boolean":
            fault = "must be True or False as in the sample"
        elif wanted == "number" and kind != "integer":
            fault = "must be numbers as in the sample"
        if not fault and len(self.good) < SUBMISSION_REMEMBERED:
            self.good.add(cell)
        return fault

    def numbers_for_text(self) -> bool:
        """Whether all answers are numbers and the sample's are not."""
        return self.wanted() == "text" and self.seen <= {"integer", "number"}


@dataclass(frozen=True)
class _SubmissionSample:
    """What sample_submission.csv asks for."""

    name: str
    header: list[str]
    ids: dict[str, int]  # id -> line
    columns: dict[str, _SubmissionColumn]


def _submission_sample(
    content: Iterable[bytes], name: str, real: bool
) -> _SubmissionSample:
    rows = _submission_rows(content)
    _, header = next(rows, (1, [""]))
    if len(header) < 2 or len(set(header)) < len(header):
        raise _SubmissionFileError(
            f"the header {','.join(header)!r} does not name an id column and at least "
            "one column of answers, each once"
        )
    columns = {name: _SubmissionColumn() for name in header[1:]}
    ids: dict[str, int] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise _SubmissionFileError(
                f"line {line} has {len(row)} cells, the header has {len(header)}"
            )
        if ids.setdefault(row[0], line) != line:
            raise _SubmissionFileError(f"line {line}: id {row[0]!r} is there twice")
        for column, cell in zip(columns.values(), row[1:], strict=True):
            column.kinds.setdefault(_submission_cell_kind(cell), cell)
    if not ids:
        raise _SubmissionFileError("no rows after the header")
    if real:
        for column in columns.values():
            if column.wanted() == "integer":
                column.kinds["number"] = "0.5"
    return _SubmissionSample(name, header, ids, columns)


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
        f"{what}: {', '.join(map(repr, names[:5]))}" for what, names in hints if names
    )


def _submission_id_faults(
    ids: dict[str, int], sample: _SubmissionSample, faults: _SubmissionFaults
) -> None:
    for row_id, line in ids.items():
        if row_id not in sample.ids:
            where = f"line {line} ({_submission_shorten(row_id)})"
            faults.add(f"ids that are not in {sample.name}", where)
    for row_id, line in sample.ids.items():
        if row_id not in ids:
            where = f"{_submission_shorten(row_id)} (line {line} there)"
            faults.add(f"ids of {sample.name} are missing", where)


def _submission_row_faults(
    rows: Iterator[tuple[int, list[str]]],
    header: list[str],
    sample: _SubmissionSample,
) -> list[str]:
    """Problems in the rows; columns that the header lacks are passed over."""
    faults, count = _SubmissionFaults(), 0
    id_name, ids = sample.header[0], dict[str, int]()
    id_place = header.index(id_name) if id_name in header else None
    places = [
        (name, header.index(name), column)
        for name, column in sample.columns.items()
        if name in header
    ]
    for line, row in rows:
        count += 1
        if len(row) != len(header):
            faults.add(
                f"rows whose number of cells is not {len(header)} as in the header",
                f"line {line} ({len(row)} cells)",
            )
            continue
        where = f"line {line}"
        if id_place is not None:
            row_id = row[id_place]
            where = f"line {line} ({id_name} {_submission_shorten(row_id)})"
            if ids.setdefault(row_id, line) != line:
                faults.add(f"ids that appeared before in column {id_name}", where)
        for name, place, column in places:
            if fault := column.fault(row[place]):
                cell = _submission_shorten(row[place])
                faults.add(f"column {name}: {fault}", f"{where} has {cell}")
    if id_place is not None:
        _submission_id_faults(ids, sample, faults)
    problems = faults.problems()
    for name, _, column in places:
        if count and column.numbers_for_text():
            example = _submission_shorten(column.kinds["text"])
            problems.append(
                f"column {name}: holds only numbers, the sample has text such as "
                f"{example}; are the labels still encoded?"
            )
    if count != len(sample.ids):
        lengths = f"{count:,} rows, {sample.name} has {len(sample.ids):,}"
        problems.insert(0, lengths)
    return problems


def _submission_problems(
    content: Iterable[bytes], name: str, sample: _SubmissionSample
) -> list[str]:
    try:
        rows = _submission_rows(content)
        _, header = next(rows, (1, []))
        if not header:
            return [f"{name} is empty"]
        problems = _submission_row_faults(rows, header, sample)
    except _SubmissionFileError as error:
        return [str(error)]
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
        wanted = _submission_sample(
            io.BytesIO(_submission_render(sample)), "the sample", real
        )
    except _SubmissionFileError as error:
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
            sample = _submission_sample(content, sample_path.name, real)
    except _SubmissionFileError as error:
        return [f"{sample_path} cannot be used as the sample: {error}"]
    with path.open("rb") as content:
        return _submission_problems(content, path.name, sample)


# --------------------------------------------------------------- building and writing


def _submission_table(
    predictions: npt.ArrayLike | pd.DataFrame, sample: _SubmissionSample
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
        wanted = _submission_sample(io.BytesIO(content), sample_name, real)
    except _SubmissionFileError as error:
        raise ValueError(f"{sample_name} cannot be used: {error}") from None
    text = _submission_render(_submission_table(predictions, wanted))
    if problems := _submission_problems(io.BytesIO(text), name, wanted):
        raise SubmissionError(name, problems)
    path = Path(folder) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_bytes(text)
    return path
