"""The text of a submission file: its rows, what a cell is, what the sample asks for."""

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_ANSWER_INTEGER = re.compile(r"[+-]?[0-9]+")
_ANSWER_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_ANSWER_BOOLEANS = ("True", "False", "TRUE", "FALSE", "true", "false")
_ANSWER_INFINITE = ("inf", "infinity")
# How NaN, None and pandas.NA come out of the usual writers; empty cells apart. The
# first three name no class, the others might ("None" as a kind of defect).
_ANSWER_NOT_TEXT = ("nan", "<na>", "nat")
_ANSWER_MISSING = (*_ANSWER_NOT_TEXT, "none", "null", "na", "n/a", "#n/a")


class AnswerFileError(ValueError):
    """A file of answers cannot be used at all; the message says why."""


def _answer_lines(content: Iterable[bytes]) -> Iterator[str]:
    """Decode line by line, so that an error can name the line."""
    for number, raw in enumerate(content, start=1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise AnswerFileError(
                f"line {number} is not UTF-8 text (byte "
                f"{error.object[error.start]:#04x}); it must be CSV in UTF-8, not "
                "compressed"
            ) from None
        if "\0" in text:
            raise AnswerFileError(f"line {number} holds a NUL byte: this is no CSV")
        yield text


def read_answer_rows(content: Iterable[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every row that is not blank, the header first.

    Args:
        content: The lines of the file, such as the file opened in binary mode.

    Raises:
        AnswerFileError: a line is not UTF-8 or not CSV.
    """
    reader = csv.reader(_answer_lines(content), strict=True)
    # Run-length encoded masks are longer than the csv module's usual limit.
    limit = csv.field_size_limit(2**31 - 1)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise AnswerFileError(
            f"line {reader.line_num} cannot be read as CSV: {error}"
        ) from None
    finally:
        csv.field_size_limit(limit)


def answer_kind(cell: str) -> str:
    """One of: integer, number, boolean, text; empty, missing, infinite.

    >>> [answer_kind(cell) for cell in ("3", "3.0", "cat", "", "NaN", "-inf")]
    ['integer', 'number', 'text', 'empty', 'missing', 'infinite']
    """
    if _ANSWER_INTEGER.fullmatch(cell):
        return "integer"
    if _ANSWER_NUMBER.fullmatch(cell):
        return "infinite" if math.isinf(float(cell)) else "number"
    if cell in _ANSWER_BOOLEANS:
        return "boolean"
    word = cell.strip().lower()
    unsigned = word.lstrip("+-")
    if not word:
        return "empty"
    if unsigned in _ANSWER_MISSING:
        return "missing"
    if unsigned in _ANSWER_INFINITE:
        return "infinite"
    return "text"


@dataclass
class AnswerColumn:
    """What the sample shows about one column, and what was seen in the submission.

    Attributes:
        kinds: Every kind of cell in the sample, with the first such cell.
        seen: Kinds met in the submission.
    """

    kinds: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

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
        kind = answer_kind(cell)
        self.seen.add(kind)
        # Masks may be empty, and a class called None, where the sample shows it.
        return "" if kind in self.kinds else self._fault_of(cell, kind)

    def _fault_of(self, cell: str, kind: str) -> str:
        """The fault of a cell of a kind that the sample does not have."""
        wanted = self.wanted()
        if kind == "empty":
            return "empty cells (NaN or None)" if wanted != "any" else ""
        if kind == "infinite":
            return "infinite values"
        if kind == "missing":
            is_word = cell.strip().lower() not in _ANSWER_NOT_TEXT
            return "" if is_word and wanted == "text" else "missing values"
        if wanted == "number" and kind == "integer":
            return ""
        if wanted == "integer" and kind == "number" and float(cell).is_integer():
            return "whole numbers with a decimal point (convert with .astype(int))"
        return {
            "integer": "must be whole numbers, as in the sample",
            "number": "must be numbers, as in the sample",
            "boolean": "must be True or False, as in the sample",
        }.get(wanted, "")

    def text_not_numbers(self) -> str:
        """An example from the sample, if it has no numbers and the answers only those.

        Empty otherwise.
        """
        numbers = {"integer", "number"}
        if self.wanted() != "text" or self.kinds.keys() & numbers:
            return ""
        words = (self.kinds[kind] for kind in ("text", "boolean") if kind in self.kinds)
        return next(words, "") if self.seen <= numbers else ""


@dataclass(frozen=True)
class SampleAnswers:
    """What a sample submission asks for.

    Attributes:
        name: Of the file, for messages.
        header: All columns, the one of the ids first.
        ids: Id -> line.
        columns: The columns after the first.
    """

    name: str
    header: list[str]
    ids: dict[str, int]
    columns: dict[str, AnswerColumn]


def read_sample_answers(
    content: Iterable[bytes], name: str, real: bool
) -> SampleAnswers:
    """Read sample_submission.csv.

    Args:
        content: The lines of the file.
        name: Its name, for messages.
        real: Whole numbers in it stand for real ones.

    Raises:
        AnswerFileError: it is no usable sample.
    """
    rows = read_answer_rows(content)
    _, header = next(rows, (1, [""]))
    if len(header) < 2 or len(set(header)) < len(header):
        raise AnswerFileError(
            f"the header {','.join(header)!r} does not name an id column and at least "
            "one column of answers, each once"
        )
    columns = {column: AnswerColumn() for column in header[1:]}
    ids: dict[str, int] = {}
    for line, row in rows:
        if len(row) != len(header):
            raise AnswerFileError(
                f"line {line} has {len(row)} cells, the header has {len(header)}"
            )
        if ids.setdefault(row[0], line) != line:
            raise AnswerFileError(f"line {line}: the id {row[0]!r} is there twice")
        for column, cell in zip(columns.values(), row[1:], strict=True):
            column.kinds.setdefault(answer_kind(cell), cell)
    if not ids:
        raise AnswerFileError("no rows after the header")
    for column in columns.values():
        if real and column.wanted() == "integer":
            column.kinds["number"] = "0.5"
    return SampleAnswers(name, header, ids, columns)
