"""Building, checking and writing submission.csv."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kaggle_kit.submission import (
    SubmissionError,
    check_submission,
    check_submission_file,
    write_submission,
)

SAMPLE = pd.DataFrame({"ImageId": range(1, 9), "Label": 0})
GOOD = SAMPLE.assign(Label=[3, 1, 4, 1, 5, 9, 2, 6])
WHOLE = "column Label: must be whole numbers, as in the sample"
POINT = "column Label: whole numbers with a decimal point (convert with .astype(int))"


def with_answers(values, dtype=object):
    return GOOD.assign(Label=pd.Series(values, dtype=dtype))


def changed(row, value):
    return with_answers([*GOOD["Label"][:row], value, *GOOD["Label"][row + 1 :]])


# ------------------------------------------------------------------------ checked only


def test_a_good_submission_has_no_problems():
    assert check_submission(GOOD, SAMPLE) == []


def test_the_order_of_the_rows_is_free():
    assert check_submission(GOOD[::-1], SAMPLE) == []


def test_the_index_of_a_table_does_not_count():
    assert check_submission(GOOD.set_index(pd.Index(range(50, 58))), SAMPLE) == []


@pytest.mark.parametrize("dtype", ["int8", "uint64", "Int64", "category", "str"])
def test_whole_numbers_of_any_type_are_whole_numbers(dtype):
    assert check_submission(GOOD.astype({"Label": dtype}), SAMPLE) == []


@pytest.mark.parametrize(
    ("table", "problems"),
    [
        (
            GOOD[["Label", "ImageId"]],
            [
                "columns are 'Label,ImageId', the sample has 'ImageId,Label' (they are "
                "in another order)"
            ],
        ),
        (
            GOOD.rename(columns={"Label": "label "}),
            ["columns are 'ImageId,label ', the sample has 'ImageId,Label' (capitals"],
        ),
        (
            GOOD.rename(columns={"ImageId": "id", "Label": "y"}),
            ["(missing: 'ImageId', 'Label'; not in the sample: 'id', 'y')"],
        ),
        (
            GOOD.assign(score=1.0),
            ["the sample has 'ImageId,Label' (not in the sample: 'score')"],
        ),
        (
            pd.concat([GOOD, GOOD["Label"]], axis=1),
            ["'ImageId,Label,Label', the sample has 'ImageId,Label' (twice: 'Label')"],
        ),
        (GOOD[["ImageId"]], ["(missing: 'Label')"]),
        (GOOD.set_index("ImageId"), ["(missing: 'ImageId')"]),
        (
            GOOD.reset_index(names="Unnamed: 0"),
            ["(the first is the index of a table, write with index=False)"],
        ),
        (
            GOOD.reset_index(names=""),
            ["(the first is the index of a table, write with index=False)"],
        ),
        (
            GOOD[:6],
            [
                "6 rows, the sample has 8",
                "column ImageId: ids of the sample are missing: '7' (line 8 there), "
                "'8' (line 9 there)",
            ],
        ),
        (
            pd.concat([GOOD, GOOD[:2]]),
            [
                "10 rows, the sample has 8",
                "column ImageId: ids appear again: line 10 (ImageId '1'), "
                "line 11 (ImageId '2')",
            ],
        ),
        (
            GOOD.assign(ImageId=GOOD["ImageId"] - 1),
            [
                "column ImageId: ids that the sample lacks: line 2 ('0')",
                "column ImageId: ids of the sample are missing: '8' (line 9 there)",
            ],
        ),
        (
            GOOD.assign(ImageId=1),
            [
                "ids appear again: line 3 (ImageId '1'), line 4 (ImageId '1'), "
                "line 5 (ImageId '1') and 4 more",
                "ids of the sample are missing: '2' (line 3 there), '3' (line 4 there),"
                " '4' (line 5 there) and 4 more",
            ],
        ),
        (
            GOOD.astype({"ImageId": float}),
            ["ids that the sample lacks: line 2 ('1.0')", "are missing: '1' (line 2"],
        ),
        (
            changed(2, np.nan),
            ["empty cells (NaN or None): line 4 (ImageId '3') has ''"],
        ),
        (changed(2, None), ["empty cells (NaN or None): line 4 (ImageId '3') has ''"]),
        (changed(2, pd.NA), ["empty cells (NaN or None): line 4 (ImageId '3') has ''"]),
        (changed(2, "nan"), ["missing values: line 4 (ImageId '3') has 'nan'"]),
        (changed(2, np.inf), ["infinite values: line 4 (ImageId '3') has 'inf'"]),
        (changed(2, 3.5), [f"{WHOLE}: line 4 (ImageId '3') has '3.5'"]),
        (changed(2, 3.0), [f"{POINT}: line 4 (ImageId '3') has '3.0'"]),
        (changed(2, "cat"), [f"{WHOLE}: line 4 (ImageId '3') has 'cat'"]),
        (changed(2, True), [f"{WHOLE}: line 4 (ImageId '3') has 'True'"]),
        (changed(2, [3]), [f"{WHOLE}: line 4 (ImageId '3') has '[3]'"]),
        (changed(2, "\ud800"), ["line 4 is not UTF-8 text"]),
        (
            with_answers([*"abc", 1, 2, 3, 4, 5]),
            [f"{WHOLE}: line 2 (ImageId '1') has 'a', line 3 (ImageId '2') has 'b', "],
        ),
        (
            GOOD[:0],
            ["0 rows, the sample has 8", "ids of the sample are missing: '1' (line 2"],
        ),
    ],
)
def test_each_fault_is_named_with_its_first_rows(table, problems):
    found = check_submission(table, SAMPLE)
    assert len(found) == len(problems)
    for problem, expected in zip(found, problems, strict=True):
        assert expected in problem


def test_several_faults_are_all_named():
    table = GOOD.assign(ImageId=[1, 1, *range(3, 9)], Label=[0.5, np.nan, *"345678"])
    text = "\n".join(check_submission(table[["Label", "ImageId"]], SAMPLE))
    for part in ("another order", "ids appear again", "missing: '2'", WHOLE, "empty"):
        assert part in text


def test_labels_that_are_still_encoded_are_noticed():
    sample = pd.DataFrame({"id": [1, 2], "breed": ["boxer", "boxer"]})
    assert check_submission(sample.assign(breed=["boxer", "pug"]), sample) == []
    (problem,) = check_submission(sample.assign(breed=[0, 7]), sample)
    assert problem == (
        "column breed: holds only numbers, the sample has text such as 'boxer'; decode "
        "the labels"
    )


def test_long_cells_are_cut_in_messages():
    (problem,) = check_submission(changed(0, "x" * 10_000), SAMPLE)
    assert len(problem) < 200


def test_real_answers_are_allowed_when_asked_for():
    table = with_answers(np.linspace(0, 1, 8))
    assert WHOLE in "\n".join(check_submission(table, SAMPLE))
    assert check_submission(table, SAMPLE, real=True) == []
    assert check_submission(changed(0, np.inf), SAMPLE, real=True)


def test_a_sample_that_is_none_is_a_problem_of_its_own():
    (problem,) = check_submission(GOOD, SAMPLE[["ImageId"]])
    assert problem.startswith("the sample cannot be used: the header 'ImageId' does n")


# ------------------------------------------------------------------------------- files


@pytest.fixture
def sample_path(tmp_path):
    path = tmp_path / "input" / "sample_submission.csv"
    path.parent.mkdir()
    SAMPLE.to_csv(path, index=False, lineterminator="\r\n")
    return path


def test_a_good_file_has_no_problems(tmp_path, sample_path):
    for i, end in enumerate(("\n", "\r\n")):
        GOOD.to_csv(tmp_path / f"{i}.csv", index=False, lineterminator=end)
        assert check_submission_file(tmp_path / f"{i}.csv", sample_path) == []


def test_a_file_written_with_its_index_is_noticed(tmp_path, sample_path):
    GOOD.to_csv(tmp_path / "submission.csv")
    (problem,) = check_submission_file(tmp_path / "submission.csv", sample_path)
    assert problem == (
        "columns are ',ImageId,Label', sample_submission.csv has 'ImageId,Label' "
        "(the first is the index of a table, write with index=False)"
    )


HEADER = b"ImageId,Label\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "submission.csv is empty"),
        (b"\n\r\n", "submission.csv is empty"),
        (HEADER, "0 rows, sample_submission.csv has 8"),
        (b"PK\x03\x04\xff", "line 1 is not UTF-8 text (byte 0xff); it must be CSV in"),
        (b"\x89PNG\r\n\x1a\n\0\0", "line 1 is not UTF-8 text (byte 0x89)"),
        (b"{}\0", "line 1 holds a NUL byte: this is no CSV"),
        ("ImageId,Label\n1,0\n".encode("utf-16"), "line 1 is not UTF-8 text"),
        (HEADER + b"1,\xff\n", "line 2 is not UTF-8 text (byte 0xff)"),
        (HEADER + b'1,"0\n2,0\n', "line 3 cannot be read as CSV: unexpected end of da"),
        (b"ImageId;Label\n1;0\n", "(cells must be separated by commas)"),
        (b"ImageId\tLabel\n1\t0\n", "(cells must be separated by commas)"),
        (
            HEADER + b"1,0\n2,0,7\n3\n",
            "not 2 as in the header: line 3 (3 cells), line 4",
        ),
        (b"1,0\n2,0\n", "columns are '1,0', sample_submission.csv has 'ImageId,Label'"),
        (b"[1, 2]", "columns are '[1, 2]', sample"),
        (
            HEADER + b"1, 0\n",
            "must be whole numbers, as in the sample: line 2 (ImageId",
        ),
        (b"x" * 300_000, "columns are 'xxx"),
    ],
)
def test_garbage_is_a_problem_not_a_crash(tmp_path, sample_path, content, problem):
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    problems = check_submission_file(path, sample_path)
    assert problem in "\n".join(problems)
    assert all(len(sentence) < 400 for sentence in problems)


@given(content=st.binary(max_size=60))
def test_any_bytes_are_judged(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp()
    (folder / "sample.csv").write_bytes(b"id,y\n1,0\n2,0\n")
    (folder / "any.csv").write_bytes(content)
    assert check_submission_file(folder / "any.csv", folder / "sample.csv") != []
    (folder / "good.csv").write_bytes(b"id,y\n2,5\n1,4\n")
    (problem,) = check_submission_file(folder / "good.csv", folder / "any.csv")
    assert f"{folder / 'any.csv'} " in problem


def test_a_missing_file_says_what_is_there_instead(tmp_path, sample_path):
    GOOD.to_csv(tmp_path / "submision.csv", index=False)
    (problem,) = check_submission_file(tmp_path / "submission.csv", sample_path)
    assert problem.endswith("does not exist; its folder holds: input, submision.csv")
    (problem,) = check_submission_file(tmp_path / "a" / "submission.csv", sample_path)
    assert problem.endswith("does not exist; its folder holds: nothing")
    (tmp_path / "submission.csv").mkdir()
    (problem,) = check_submission_file(tmp_path / "submission.csv", sample_path)
    assert problem.endswith("submission.csv is a folder, not a file")
    (problem,) = check_submission_file(tmp_path / "submision.csv", tmp_path / "no.csv")
    assert "no.csv does not exist" in problem


# ----------------------------------------------------------------------------- writing


@pytest.mark.parametrize(
    "answers",
    [
        list(GOOD["Label"]),
        GOOD["Label"].to_numpy(),
        GOOD["Label"].to_numpy()[:, None],
        GOOD["Label"],
        torch.tensor(GOOD["Label"]),
        GOOD,
        GOOD["Label"].astype("Int64"),
    ],
)
def test_answers_of_every_form_give_the_same_file(tmp_path, sample_path, answers):
    path = write_submission(answers, sample_path, tmp_path / "out")
    assert path == tmp_path / "out" / "submission.csv"
    expected = b"ImageId,Label\n1,3\n2,1\n3,4\n4,1\n5,5\n6,9\n7,2\n8,6\n"
    assert path.read_bytes() == expected
    assert check_submission_file(path, sample_path) == []
    path = write_submission(answers, SAMPLE, tmp_path, name="again.csv")
    assert path.read_bytes() == expected


def test_several_columns_of_answers(tmp_path):
    sample = pd.DataFrame({"id": ["a", "b"], "cat": 0.5, "dog": 0.5})
    scores = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    path = write_submission(scores, sample, tmp_path)
    assert path.read_text() == "id,cat,dog\na,0.25,0.75\nb,1.0,0.0\n"


def test_ids_keep_the_spelling_of_the_sample(tmp_path):
    sample = tmp_path / "sample_submission.csv"
    sample.write_text('id,y\n007,0\n"a,b",0\n1.50,0\n')
    path = write_submission([1, 2, 3], sample, tmp_path)
    assert path.read_text() == 'id,y\n007,1\n"a,b",2\n1.50,3\n'


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (
            [1, 2],
            r"have the shape \(2,\), sample_submission.csv has 8 rows and the col",
        ),
        (
            np.zeros((8, 10)),
            r"shape \(8, 10\).* become labels by predictions.argmax\(1",
        ),
        (np.zeros((8, 1, 1)), r"shape \(8, 1, 1\)"),
        (3, r"shape \(\)"),
    ],
)
def test_answers_of_the_wrong_shape_are_refused(
    tmp_path, sample_path, answers, message
):
    with pytest.raises(ValueError, match=message):
        write_submission(answers, sample_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        (GOOD["Label"].astype(float), "whole numbers with a decimal point"),
        (GOOD["Label"].replace(9, np.nan), "empty cells"),
        (list("abcdefgh"), "must be whole numbers"),
        (GOOD[:5], "5 rows, sample_submission.csv has 8"),
        (GOOD.rename(columns={"Label": "label"}), "capitals or spaces differ"),
    ],
)
def test_a_bad_submission_is_never_written(tmp_path, sample_path, answers, message):
    old = tmp_path / "submission.csv"
    old.write_text("old")
    with pytest.raises(SubmissionError, match=message) as caught:
        write_submission(answers, sample_path, tmp_path)
    assert str(caught.value).startswith("submission.csv would not be scored:\n- ")
    assert caught.value.problems
    assert old.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input", "submission.csv"]


def test_a_broken_or_missing_sample_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        write_submission([1], tmp_path / "absent.csv", tmp_path)
    (tmp_path / "sample.csv").write_bytes(b"id,y\n")
    with pytest.raises(ValueError, match=r"sample.csv cannot be used: no rows after"):
        write_submission([1], tmp_path / "sample.csv", tmp_path)


def test_a_submission_replaces_the_one_before(tmp_path, sample_path):
    write_submission(np.zeros(8, int), sample_path, tmp_path)
    write_submission(GOOD, sample_path, tmp_path)
    assert pd.read_csv(tmp_path / "submission.csv").equals(GOOD)
