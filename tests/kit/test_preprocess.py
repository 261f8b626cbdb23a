"""CSV files of pixels."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kaggle_kit.preprocess import read_pixel_csv, write_pixel_csv

HEADER = "label,pixel0,pixel1,pixel2,pixel3"
GOOD = "3,0,255,7,10"
# Examples share the test's temporary folder, each overwriting the file.
same_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50
)


def random_images(n, height=4, width=4, *channels):
    shape = (n, height, width, *channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def csv_file(tmp_path):
    """Writes lines (or bytes) as a CSV file and returns its path."""

    def write(*lines, end="\n", encoding="utf-8"):
        path = tmp_path / "train.csv"
        if isinstance(lines[0], bytes):
            path.write_bytes(lines[0])
        else:
            path.write_bytes("".join(line + end for line in lines).encode(encoding))
        return path

    return write


# ---------------------------------------------------------------------- good CSV files


@same_folder
@given(data=st.data(), side=st.integers(1, 6), n=st.integers(1, 20))
def test_images_and_labels_survive_the_csv_file(tmp_path, data, side, n):
    images = data.draw(arrays(np.uint8, (n, side, side)))
    labels = data.draw(st.none() | arrays(np.int64, n, elements=st.integers(0, 10**9)))
    path = tmp_path / "images.csv"
    write_pixel_csv(path, images, labels)
    table = read_pixel_csv(path, label=None if labels is None else "label")
    np.testing.assert_array_equal(table.images, images)
    assert table.images.dtype == np.uint8
    if labels is None:
        assert table.labels is None
    else:
        np.testing.assert_array_equal(table.labels, labels)
        assert table.labels.dtype == np.int64
    oracle = pd.read_csv(path)
    assert table.columns == tuple(oracle.columns)
    pixels = oracle.drop(columns="label", errors="ignore").to_numpy()
    np.testing.assert_array_equal(table.images.reshape(n, -1), pixels)


def test_the_file_has_kaggles_form(tmp_path):
    images = np.array([[[0, 1], [20, 255]], [[9, 8], [7, 6]]], np.uint8)
    path = tmp_path / "train.csv"
    write_pixel_csv(path, images, [5, 0])
    assert path.read_bytes() == (
        b"label,pixel0,pixel1,pixel2,pixel3\r\n5,0,1,20,255\r\n0,9,8,7,6\r\n"
    )
    write_pixel_csv(path, images)
    assert path.read_bytes().startswith(b"pixel0,pixel1,pixel2,pixel3\r\n0,1,20,255")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 3)), None, "got float64 images of shape"),
        (random_images(2), [1], r"shape \(2, 4, 4\) and 1 labels"),
    ],
)
def test_writing_checks_its_arguments(tmp_path, images, labels, message):
    with pytest.raises(ValueError, match=message):
        write_pixel_csv(tmp_path / "train.csv", images, labels)
    assert list(tmp_path.iterdir()) == []


def test_several_blocks_are_joined_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("kaggle_kit.preprocess.CSV_BLOCK", 1000)
    images = random_images(200, 5, 5)
    write_pixel_csv(tmp_path / "train.csv", images, np.arange(200))
    table = read_pixel_csv(tmp_path / "train.csv", label="label")
    np.testing.assert_array_equal(table.images, images)
    assert table.labels.tolist() == list(range(200))


def test_rows_longer_than_a_block_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("kaggle_kit.preprocess.CSV_BLOCK", 10)
    images = np.full((3, 60, 60), 255, np.uint8)
    write_pixel_csv(tmp_path / "test.csv", images)
    np.testing.assert_array_equal(read_pixel_csv(tmp_path / "test.csv").images, images)


@pytest.mark.parametrize(
    "lines",
    [
        ["a,b,c,d", "1,2,3,4"],
        ["pixel1,pixel2,pixel3,pixel4", "1,2,3,4"],
        ["0,1,2,3", "1,2,3,4"],
        ["1x1,1x2,2x1,2x2", "1,2,3,4"],
        ["0x0,0x1,1x0,1x1", "1,2,3,4"],
        ['"pixel0","pixel1","pixel2","pixel3"', '"1","2","3","4"'],
        ["pixel0,pixel1,pixel2,pixel3", "001, 2,3 ,4"],
        ["pixel0,pixel1,pixel2,pixel3", "", "1,2,3,4", ""],
        ["\ufeffpixel0,pixel1,pixel2,pixel3", "1,2,3,4"],
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_usual_headers_and_spellings_are_understood(csv_file, lines, end):
    table = read_pixel_csv(csv_file(*lines, end=end))
    assert table.images.tolist() == [[[1, 2], [3, 4]]]


def test_a_file_without_a_last_line_end_is_whole(csv_file):
    path = csv_file((HEADER + "\n" + GOOD).encode())
    assert read_pixel_csv(path, label="label").images.tolist() == [[[0, 255], [7, 10]]]


def test_the_shape_comes_from_names_of_a_grid_or_from_the_argument(csv_file):
    path = csv_file("1x1,1x2,1x3,2x1,2x2,2x3", "1,2,3,4,5,6")
    assert read_pixel_csv(path).images.tolist() == [[[1, 2, 3], [4, 5, 6]]]
    path = csv_file("p0,p1,p2,p3,p4,p5", "1,2,3,4,5,6")
    images = read_pixel_csv(path, size=(3, 2)).images
    assert images.tolist() == [[[1, 2], [3, 4], [5, 6]]]


@pytest.mark.parametrize("header", ["id,label", "label,id"])
def test_labels_and_ids_may_come_in_either_order(csv_file, header):
    row = {"id": "img_7", "label": "3"}
    cells = ",".join(row[name] for name in header.split(","))
    path = csv_file(f"{header},pixel0", f"{cells},9")
    table = read_pixel_csv(path, label="label", id="id")
    assert table.ids.tolist() == ["img_7"]
    assert table.labels.tolist() == [3]
    assert table.images.tolist() == [[[9]]]


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["1", "20"], [1, 20]),
        (["007", "20"], ["007", "20"]),
        (["a", "1"], ["a", "1"]),
        (["1", "9" * 30], ["1", "9" * 30]),
    ],
)
def test_ids_become_numbers_only_if_their_spelling_survives(csv_file, ids, expected):
    path = csv_file("id,pixel0", *(f"{i},0" for i in ids))
    assert read_pixel_csv(path, id="id").ids.tolist() == expected


# ----------------------------------------------------------------------- bad CSV files


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("pixel0,pixel1", "line 1: no label column 'label'; the columns are 'pixel0'"),
        ("Label,pixel0", "no label column 'label'; the columns are 'Label', 'pixel0'$"),
        (
            "pixel0,label",
            "the label column 'label' is column 2 of 2; it must stand bef",
        ),
        ("pixel0,label,pixel1,pixel2,pixel3", "'label' is column 2 of 5; it must stan"),
        ("label,pixel0,pixel1,pixel2", "3 pixel columns make no square images; is a"),
        ("label,pixel0,pixel1,pixel3", "column 4 is 'pixel3', expected 'pixel2': a p"),
        (
            "label,pixel0,pixel2,pixel1,pixel3",
            "column 3 is 'pixel2', expected 'pixel1'",
        ),
        (
            "label,pixel2,pixel3,pixel4,pixel5",
            "column 2 is 'pixel2', expected 'pixel0'",
        ),
        ("label,pixel0,pixel1,other,pixel3", "column 4, 'other', is no pixel column"),
        ("label,pixel0,pixel1,piksel2,pixel3", "column 4, 'piksel2', is no pixel col"),
        (
            "label,pixel0,pixel0,pixel2,pixel3",
            "'pixel0' is there 2 times, as columns 2",
        ),
        ("label,label,pixel0", "column 'label' is there 2 times, as columns 1, 2"),
        ("label,1x1,1x2,2x2,2x1", "1x1 to 2x1 are incomplete or out of order"),
        ("label,1x1,1x2,2x1,2x3", "incomplete or out of order, first at '1x2'|order"),
        ("label,2x1,2x2,3x1,3x2", "incomplete or out of order, first at '2x1'"),
        (",label,pixel0", "column 1 has no name; .* write the file with index=False"),
        ("label", "0 pixel columns make no square images"),
        ("7,0,0,0,0", "line 1: numbers, expected the names of the columns"),
        ("", "line 1 is empty, expected the names"),
        ('"label,pixel0', "no label column"),
    ],
)
def test_a_bad_header_is_refused(csv_file, header, message):
    path = csv_file(header, GOOD)
    with pytest.raises(ValueError, match=message) as caught:
        read_pixel_csv(path, label="label")
    assert str(caught.value).startswith(f"{path}")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (HEADER, "column 1, 'label', is no pixel column such as 'pixel0'; if it holds"),
        ("pixel0,pixel1,pixel2,pixel3,label", "column 5, 'label', is no pixel column"),
        (",pixel0,pixel1,pixel2", "column 1 has no name; if it is the index of a tabl"),
    ],
)
def test_a_column_that_was_not_named_is_no_pixel(csv_file, header, message):
    with pytest.raises(ValueError, match=message):
        read_pixel_csv(csv_file(header, GOOD))


def test_a_size_that_does_not_fit_is_refused(csv_file):
    with pytest.raises(ValueError, match="4 pixel columns make no 3 x 2 images"):
        read_pixel_csv(csv_file(HEADER, GOOD), label="label", size=(3, 2))


WHOLE = "expected a whole number"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3,0,12.5,7,10", f"column 'pixel1': 12.5 is no whole number, {WHOLE} 0..255"),
        ("3,0,12.0,7,10", f"column 'pixel1': 12.0 is no whole number, {WHOLE}"),
        ("3,0,1e2,7,10", f"column 'pixel1': 1e2 is no whole number, {WHOLE}"),
        ("3,0,256,7,10", f"column 'pixel1': 256 is out of range, {WHOLE} 0..255"),
        ("3,0,-1,7,10", f"column 'pixel1': -1 is out of range, {WHOLE} 0..255"),
        ("3,0,,7,10", f"column 'pixel1': empty cell, {WHOLE} 0..255"),
        ("3,0, ,7,10", f"column 'pixel1': empty cell, {WHOLE} 0..255"),
        ("3,0,NaN,7,10", f"column 'pixel1': NaN is no whole number, {WHOLE}"),
        ("3,0,inf,7,10", f"column 'pixel1': inf is no whole number, {WHOLE}"),
        ("3,0,NA,7,10", f"column 'pixel1': 'NA' is no number, {WHOLE}"),
        ("3,0,black,7,10", f"column 'pixel1': 'black' is no number, {WHOLE}"),
        ("3,0,1,7,300", f"column 'pixel3': 300 is out of range, {WHOLE}"),
        (f"3,0,{'9' * 5000},7,1", f"column 'pixel1': {'9' * 20} is out of range"),
        ("cat,0,1,7,10", f"column 'label': 'cat' is no number, {WHOLE} from 0 up"),
        ("3.0,0,1,7,10", f"column 'label': 3.0 is no whole number, {WHOLE} from 0 up"),
        (",0,1,7,10", f"column 'label': empty cell, {WHOLE} from 0 up"),
        ("nan,0,1,7,10", f"column 'label': nan is no whole number, {WHOLE}"),
        ("-3,0,1,7,10", f"column 'label': -3 is out of range, {WHOLE} from 0 up"),
        (f"{2**63},0,1,7,10", f"column 'label': {2**63} is out of range"),
        ("3,0,255,7", "4 cells, the header has 5 columns"),
        ("3,0,255,7,10,11", "6 cells, the header has 5 columns"),
        ("3", "1 cells, the header has 5 columns"),
        ("3;0;255;7;10", "1 cells, the header has 5 columns"),
    ],
)
@pytest.mark.parametrize("before", [0, 3])
def test_a_bad_row_is_named_by_line_and_column(csv_file, row, message, before):
    path = csv_file(HEADER, *[GOOD] * before, row, GOOD, row)
    with pytest.raises(ValueError, match=f"line {before + 2}[:,]") as caught:
        read_pixel_csv(path, label="label")
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}, line ")


def test_blank_lines_count_as_lines(csv_file):
    with pytest.raises(ValueError, match="line 5, column 'pixel3': 999"):
        read_pixel_csv(csv_file(HEADER, GOOD, "", "", "3,0,0,0,999"), label="label")


@same_folder
@given(
    n=st.integers(1, 30),
    where=st.tuples(st.integers(0, 29), st.integers(0, 4)),
    cell=st.sampled_from(["", "nan", "1.5", "-1", "x", "\u00e9", "1 2", "0.0"]),
)
def test_any_bad_cell_in_a_larger_file_is_found(tmp_path, n, where, cell):
    row, column = where[0] % n, where[1]
    rows = [GOOD.split(",") for _ in range(n)]
    rows[row][column] = cell
    path = tmp_path / "train.csv"
    path.write_text("\n".join([HEADER, *map(",".join, rows)]), encoding="utf-8")
    name = HEADER.split(",")[column]
    with pytest.raises(ValueError, match=f"line {row + 2}, column '{name}': "):
        read_pixel_csv(path, label="label")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty, expected the names of the columns"),
        (b"\r\n\r\n", "line 1 is empty"),
        (HEADER.encode(), "no rows after the header"),
        (HEADER.encode() + b"\r\n\r\n", "no rows after the header"),
        ((HEADER + "\n" + GOOD).encode("utf-16"), "line 1: not UTF-8 text .byte 0xff"),
        (b"PK\x03\x04\x14\x00\xff", "line 1: not UTF-8 text .byte 0xff.* unpack it"),
        (gzip.compress(HEADER.encode(), mtime=0), "line 1: not UTF-8 text .byte 0x8b"),
        (HEADER.encode() + b"\n3,0,\xe9,7,1\n", "line 2, column 'pixel1': not UTF-8"),
        (
            HEADER.encode() + b"\n3,0,\0,7,1\n",
            r"line 2, column 'pixel1': '.x00' is no n",
        ),
        (
            HEADER.encode() + b"\n3,0,1\r,7,1\n",
            "line 2: not readable as CSV|line 2: 3 ce",
        ),
        (
            HEADER.encode() + b'\n3,"0,1,7,1\n' + b"3,0,1,7,1\n" * 20_000,
            "line [0-9]+: ",
        ),
        (HEADER.encode() + b"\r" + GOOD.encode() + b"\r", "line 1: not readable as"),
    ],
)
def test_other_content_is_refused(csv_file, content, message):
    with pytest.raises(ValueError, match=message):
        read_pixel_csv(csv_file(content), label="label")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_pixel_csv(tmp_path / "absent.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,0", "b,0", "a,0"], "line 4, column 'id': 'a' is on line 2 too"),
        (["7,0", "7,0"], "line 3, column 'id': '7' is on line 2 too"),
        (["a,0", ",0"], "line 3, column 'id': empty cell, expected an id"),
        (["a,0", " ,0"], "line 3, column 'id': empty cell, expected an id"),
    ],
)
def test_bad_ids_are_refused(csv_file, rows, message):
    with pytest.raises(ValueError, match=message):
        read_pixel_csv(csv_file("id,pixel0", *rows), id="id")


def test_an_id_may_be_any_text(csv_file):
    path = csv_file("id,pixel0", "a\tb,1", "ä \x01,2")
    assert read_pixel_csv(path, id="id").ids.tolist() == ["a\tb", "ä \x01"]
    path = csv_file("id,pixel0", "a\tb,1", "ä,x")
    with pytest.raises(ValueError, match="line 3, column 'pixel0': 'x' is no number"):
        read_pixel_csv(path, id="id")


def test_an_id_that_is_not_utf8_is_refused(csv_file):
    with pytest.raises(ValueError, match="line 2, column 'id': not UTF-8 text"):
        read_pixel_csv(csv_file(b"id,pixel0\n\xe9,1\n"), id="id")
