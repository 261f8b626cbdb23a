"""Submissions drawn at random, whole and with one fault put in."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_kit.submission import check_submission, write_submission

LABELS = {
    "integer": st.integers(-5, 10**6),
    "number": st.floats(-1e9, 1e9).map(lambda x: x + 0.25),
    "text": st.sampled_from(["cat", "dog", "emu gnu", "a,b", 'say "hi"', "ä"]),
    "boolean": st.booleans(),
}
BAD_CELLS = {
    "integer": ["", "nan", "None", "inf", "1.5", "2.0", "cat", "True", "1 2"],
    "number": ["", "NaN", "null", "-inf", "cat", "False", "1 2", "1e999"],
    "text": ["", "nan", "<NA>"],
    "boolean": ["", "nan", "1", "0.0", "cat", "inf"],
}


@st.composite
def good_submissions(draw):
    kinds = draw(st.lists(st.sampled_from(sorted(LABELS)), min_size=1, max_size=3))
    n = draw(st.integers(2, 12))
    spelled = draw(st.sampled_from(["{}", "{:05}", "img_{}", "a,{}"]))
    ids = [spelled.format(i) for i in draw(st.permutations(range(n)))]
    columns = {
        f"y{place}": draw(st.lists(LABELS[kind], min_size=n, max_size=n))
        for place, kind in enumerate(kinds)
    }
    sample = pd.DataFrame({"id": ids} | {k: v[:1] * n for k, v in columns.items()})
    return kinds, sample, pd.DataFrame({"id": ids} | columns)


def text_of(table):
    return table.astype(object).map(str)


@given(case=good_submissions())
def test_every_good_submission_passes(case):
    _, sample, submission = case
    assert check_submission(submission, sample) == []
    assert check_submission(submission.sample(frac=1, random_state=0), sample) == []


@given(case=good_submissions(), data=st.data())
def test_every_bad_cell_is_found(case, data):
    kinds, sample, submission = case
    place = data.draw(st.integers(0, len(kinds) - 1))
    row = data.draw(st.integers(0, len(submission) - 1))
    bad = data.draw(st.sampled_from(BAD_CELLS[kinds[place]]))
    table = text_of(submission)
    table.iloc[row, place + 1] = bad
    (problem,) = check_submission(table, sample)
    assert problem.startswith(f"column y{place}: ")
    assert f"line {row + 2} (id {submission['id'][row]!r}) has {bad!r}" in problem


def drop_row(table, row):
    return table.drop(index=row)


def repeat_row(table, row):
    return pd.concat([table, table.iloc[[row]]])


def repeat_id(table, row):
    other = (row + 1) % len(table)
    return table.assign(
        id=[*table["id"][:row], table["id"][other], *table["id"][row + 1 :]]
    )


def new_id(table, row):
    return table.assign(id=[*table["id"][:row], "new", *table["id"][row + 1 :]])


def no_id(table, row):
    return table.assign(id=[*table["id"][:row], None, *table["id"][row + 1 :]])


def reverse_columns(table, row):
    return table[table.columns[::-1]]


def extra_column(table, row):
    return table.assign(extra=1)


def drop_column(table, row):
    return table.drop(columns=table.columns[row % table.shape[1]])


def rename_column(table, row):
    return table.rename(columns={table.columns[row % table.shape[1]]: "other"})


def index_column(table, row):
    return table.reset_index(names="")


FAULTS = {
    drop_row: "ids of the sample are missing",
    repeat_row: "ids appear again",
    repeat_id: "ids appear again",
    new_id: "ids that the sample lacks",
    no_id: "ids that the sample lacks",
    reverse_columns: "in another order",
    extra_column: "not in the sample: 'extra'",
    drop_column: "missing: ",
    rename_column: "not in the sample: 'other'",
    index_column: "index=False",
}


@settings(max_examples=25)
@pytest.mark.parametrize("inject", FAULTS, ids=lambda inject: inject.__name__)
@given(case=good_submissions(), row=st.integers(0, 11))
def test_every_fault_of_rows_and_columns_is_found(inject, case, row):
    _, sample, submission = case
    problems = check_submission(inject(submission, row % len(submission)), sample)
    assert FAULTS[inject] in "\n".join(problems)


@settings(max_examples=50)
@given(case=good_submissions())
def test_what_is_written_reads_back_as_it_was(tmp_path_factory, case):
    _, sample, submission = case
    folder = tmp_path_factory.getbasetemp()
    path = write_submission(submission, sample, folder)
    read = pd.read_csv(path, dtype={"id": str}, keep_default_na=False)
    pd.testing.assert_frame_equal(read, submission, check_dtype=False)
