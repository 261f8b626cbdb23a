"""What a cell of a submission is, and what the sample asks for."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_kit.answers import (
    AnswerColumn,
    AnswerFileError,
    answer_kind,
    read_answer_rows,
    read_sample_answers,
)


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("integer", ["0", "-1", "+3", "007", "9" * 40]),
        ("number", ["0.0", "1.", ".5", "-1e-3", "1E5", "3e0"]),
        ("boolean", ["True", "false", "TRUE"]),
        ("empty", ["", " ", "\t"]),
        ("missing", ["nan", "NaN", "<NA>", "None", "null", "NaT", "N/A", " nan"]),
        ("infinite", ["inf", "-inf", "+Infinity", "1e999", "-1e999"]),
        ("text", ["cat", "1 2", "1,5", "0x10", "1_000", "1e", ".", " 3", "١", "yes"]),
    ],
)
def test_kinds_of_cells(kind, cells):
    assert {cell: answer_kind(cell) for cell in cells} == dict.fromkeys(cells, kind)


@given(st.floats())
def test_every_float_that_python_writes_has_its_kind(value):
    kind = {0: "number", 1: "infinite", 2: "missing"}
    expected = kind[2 if value != value else int(abs(value) == float("inf"))]
    assert answer_kind(repr(value)) == expected
    assert answer_kind(f"{value:+.3e}") in (expected, "infinite")


@given(st.text())
def test_every_cell_has_a_kind(cell):
    kinds = "integer number boolean text empty missing infinite"
    assert answer_kind(cell) in kinds.split()


@pytest.mark.parametrize(
    ("sample", "wanted"),
    [
        (["0", "9"], "integer"),
        (["0", "0.5"], "number"),
        (["True", "False"], "boolean"),
        (["cat", "1"], "text"),
        (["True", "1"], "text"),
        (["", ""], "any"),
        (["", "0"], "integer"),
        (["nan", "0.5"], "number"),
    ],
)
def test_the_sample_shows_what_is_wanted(sample, wanted):
    column = AnswerColumn()
    for cell in sample:
        column.kinds.setdefault(answer_kind(cell), cell)
    assert column.wanted() == wanted


WHOLE = "must be whole numbers, as in the sample"
POINT = r"whole numbers with a decimal point (convert with .astype(int))"
NUMBERS = "must be numbers, as in the sample"
BOOLEANS = "must be True or False, as in the sample"
EMPTY = "empty cells (NaN or None)"


@pytest.mark.parametrize(
    ("sample", "cell", "fault"),
    [
        ("0", "7", ""),
        ("0", "-7", ""),
        ("0", "7.0", POINT),
        ("0", "7.5", WHOLE),
        ("0", "cat", WHOLE),
        ("0", "True", WHOLE),
        ("0", " 7", WHOLE),
        ("0", "", EMPTY),
        ("0", "nan", "missing values"),
        ("0", "None", "missing values"),
        ("0", "inf", "infinite values"),
        ("0.5", "0.1", ""),
        ("0.5", "1", ""),
        ("0.5", "", EMPTY),
        ("0.5", "NaN", "missing values"),
        ("0.5", "-inf", "infinite values"),
        ("0.5", "cat", NUMBERS),
        ("0.5", "True", NUMBERS),
        ("True", "False", ""),
        ("True", "1", BOOLEANS),
        ("True", "cat", BOOLEANS),
        ("cat", "dog", ""),
        ("cat", "None", ""),
        ("cat", "7", ""),
        ("cat", "nan", "missing values"),
        ("cat", "<NA>", "missing values"),
        ("cat", "", EMPTY),
        ("cat", "inf", "infinite values"),
        ("", "", ""),
        ("", "1 2 3 4", ""),
        ("", "7", ""),
    ],
)
def test_faults_of_single_cells(sample, cell, fault):
    column = AnswerColumn({answer_kind(sample): sample})
    assert column.fault(cell) == fault


def test_masks_may_be_empty_where_the_sample_has_empty_cells():
    column = AnswerColumn({"text": "1 2", "empty": ""})
    assert column.fault("") == ""
    assert column.fault("nan") == "missing values"


@pytest.mark.parametrize(
    ("sample", "cells", "example"),
    [
        (["cat", "dog"], ["1", "2.5"], "cat"),
        (["cat", "dog"], ["1", "dog"], ""),
        (["cat", "7"], ["1", "2"], ""),
        (["", "1 2"], ["1", "2"], "1 2"),
        (["0"], ["1"], ""),
    ],
)
def test_numbers_instead_of_text_are_noticed(sample, cells, example):
    column = AnswerColumn()
    for cell in sample:
        column.kinds.setdefault(answer_kind(cell), cell)
    for cell in cells:
        column.fault(cell)
    assert column.text_not_numbers() == example


# ------------------------------------------------------------------------------- rows


def rows_of(content):
    return list(read_answer_rows(io.BytesIO(content)))


def test_rows_carry_the_number_of_their_line():
    assert rows_of(b"\xef\xbb\xbfid,a\r\n1,2\r\n\r\n3,4") == [
        (1, ["id", "a"]),
        (2, ["1", "2"]),
        (4, ["3", "4"]),
    ]
    assert rows_of(b'id,a\n1,"x\ny"\n2,z\n')[2] == (4, ["2", "z"])


def test_long_masks_are_read_and_the_limit_of_csv_is_put_back():
    before = csv.field_size_limit()
    mask = b"1 2 " * 100_000
    assert rows_of(b"id,mask\n1," + mask)[1] == (2, ["1", mask.decode()])
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,a\n1,\xe9\n", r"line 2 is not UTF-8 text \(byte 0xe9\)"),
        ("id,a\n1,2\n".encode("utf-16"), "line 1 is not UTF-8 text"),
        (b"id,a\n1,\0\n", "line 2 holds a NUL byte"),
        (b'id,a\n1,"2\n3,4\n', "line 3 cannot be read as CSV"),
        (b'id,a\n1,"2"x\n', "line 2 cannot be read as CSV"),
        (b"id,a\r1,2\r", "line 1 cannot be read as CSV"),
    ],
)
def test_garbage_is_named_by_line(content, message):
    before = csv.field_size_limit()
    with pytest.raises(AnswerFileError, match=message):
        rows_of(content)
    assert csv.field_size_limit() == before


# ------------------------------------------------------------------------- the sample


def sample_of(content, real=False):
    return read_sample_answers(io.BytesIO(content), "sample.csv", real)


def test_the_sample_keeps_ids_as_they_are_spelled():
    sample = sample_of(b"id,a,b\n007,0,x\n1.0,1,y\n")
    assert sample.ids == {"007": 2, "1.0": 3}
    assert sample.header == ["id", "a", "b"]
    assert {n: c.wanted() for n, c in sample.columns.items()} == {
        "a": "integer",
        "b": "text",
    }


def test_whole_numbers_may_stand_for_real_ones():
    sample = sample_of(b"id,a,b\n1,0,x\n", real=True)
    assert sample.columns["a"].fault("0.25") == ""
    assert sample.columns["a"].fault("1") == ""
    assert sample.columns["a"].fault("x") == NUMBERS
    assert sample.columns["b"].wanted() == "text"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the header '' does not name an id column and at least one"),
        (b"id\n1\n", "the header 'id' does not name"),
        (b"id,a,a\n1,2,3\n", "the header 'id,a,a' does not name"),
        (b"id,a\n", "no rows after the header"),
        (b"id,a\n1,2\n1,3\n", "line 3: the id '1' is there twice"),
        (b"id,a\n1,2,3\n", "line 2 has 3 cells, the header has 2"),
        (b"\xff\xfe", "line 1 is not UTF-8"),
    ],
)
def test_a_broken_sample_is_refused(content, message):
    with pytest.raises(AnswerFileError, match=message):
        sample_of(content)
