"""Labels of several components: read, put in order, and refused."""

import numpy as np
import pytest

from kaggle_kit.component_labels import (
    ClassMap,
    read_class_map,
    read_component_labels,
)

CLASSES = """component_type,label,component
grapheme_root,0,ক
grapheme_root,1,খ
grapheme_root,2,গ
vowel_diacritic,0,0
vowel_diacritic,1,া
consonant_diacritic,0,0
consonant_diacritic,1,ঁ
"""
ROWS = """image_id,grapheme_root,vowel_diacritic,consonant_diacritic,grapheme
Train_0,2,0,1,গঁ
Train_1,0,1,0,কা
Train_2,2,1,1,গাঁ
"""
MAP = ClassMap(
    ("grapheme_root", "vowel_diacritic", "consonant_diacritic"),
    (("ক", "খ", "গ"), ("0", "া"), ("0", "ঁ")),
)


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="train.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write_text


def check_refused(path, text, read=lambda path: read_component_labels(path, MAP)):
    with pytest.raises(ValueError, match=text) as caught:
        read(path)
    assert str(caught.value).startswith(str(path))


def test_the_class_map_gives_names_by_label_in_any_order_of_rows(write):
    assert read_class_map(write(CLASSES)) == MAP
    head, *rows = CLASSES.splitlines()
    assert read_class_map(write("\n".join([head, *rows[::-1]]))) == MAP
    assert MAP.sizes == (3, 2, 2)


def test_other_components_come_in_the_order_asked_for(write):
    path = write("component_type,label,component\nb,0,x\na,0,y\na,1,NA\n")
    expected = ClassMap(("a", "b"), (("y", "NA"), ("x",)))
    assert read_class_map(path, ("a", "b")) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (CLASSES, "", "not readable as CSV: No columns"),
        ("component_type,label", "kind,label", "no column 'component_type'; there are"),
        (
            "grapheme_root,2",
            "root,2",
            "classes of .*root.*; expected grapheme_root, vo",
        ),
        (
            "grapheme_root,2",
            "grapheme_root,3",
            "grapheme_root are not 0 to 2, each once",
        ),
        (
            "vowel_diacritic,1",
            "vowel_diacritic,0",
            "vowel_diacritic are not 0 to 1.*0, 0",
        ),
        (
            "vowel_diacritic,1",
            "vowel_diacritic,",
            "holds no label.* 1 row .4., counted",
        ),
    ],
)
def test_faults_of_the_class_map_are_named(write, old, new, message):
    check_refused(write(CLASSES.replace(old, new)), message, read_class_map)


def test_labels_are_read_with_their_ids(write):
    labels = read_component_labels(write(ROWS), MAP)
    assert labels.ids.tolist() == ["Train_0", "Train_1", "Train_2"]
    assert labels.labels.tolist() == [[2, 0, 1], [0, 1, 0], [2, 1, 1]]
    assert labels.labels.dtype == np.int64
    assert len(labels) == 3
    counts = {name: n.tolist() for name, n in labels.class_counts().items()}
    assert counts == {
        "grapheme_root": [1, 0, 2],
        "vowel_diacritic": [1, 2],
        "consonant_diacritic": [1, 2],
    }


def test_labels_spelt_as_decimals_are_read(write):
    path = write(ROWS.replace("Train_1,0,", "Train_1,1.0,"))
    assert read_component_labels(path, MAP).labels[1].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ROWS, "", "not readable as CSV"),
        (ROWS, ROWS.splitlines()[0], "no rows after the header"),
        ("Train_1,0,1,0", "Train_1,0,1,0,5,6", "not readable as CSV: .*line 3"),
        ("image_id,", "id,", "no column 'image_id'; there are 'id', 'grapheme_root'"),
        ("vowel_diacritic,", "vowel,", "no column 'vowel_diacritic'"),
        (
            "Train_2,2,",
            "Train_2,3,",
            r"'grapheme_root' holds 3, .* 0 to 2: 1 row \(2\)",
        ),
        ("Train_2,2,", "Train_2,,", r"'grapheme_root' holds no label.*1 row \(2\)"),
        ("Train_2,2,1", "Train_2,2,NaN", "'vowel_diacritic' holds no label"),
        ("Train_2,2,1", "Train_2,2,-1", "holds '-1', expected whole numbers from 0 up"),
        ("Train_2,2,1", "Train_2,2,0.5", "holds '0.5', expected"),
        ("Train_2,2,1", "Train_2,2,a", "holds 'a', expected"),
        ("Train_2", "Train_0", r"an id that is there more than once: 2 rows \(0, 2\)"),
        ("Train_2", " ", r"holds no id: 1 row \(2\), counted from 0"),
    ],
)
def test_faults_of_the_labels_are_named(write, old, new, message):
    check_refused(write(ROWS.replace(old, new)), message)


def test_many_faults_are_counted(write):
    rows = [f"Train_{i},9,0,0,x" for i in range(1000)]
    path = write("\n".join([ROWS.splitlines()[0], *rows]))
    check_refused(path, r"holds 9, .*: 1,000 rows \(0, 1, 2, 3, 4, \.\.\.\)")


def test_bytes_that_are_no_text_are_refused(write):
    check_refused(write(ROWS.encode("utf-16")), "not readable as CSV")


def test_missing_files_are_named(tmp_path):
    for read in (read_class_map, lambda path: read_component_labels(path, MAP)):
        with pytest.raises(FileNotFoundError, match=r"nothing\.csv: no such file"):
            read(tmp_path / "nothing.csv")


def test_labels_are_put_in_the_order_of_the_images(write):
    labels = read_component_labels(write(ROWS), MAP)
    images = np.array(["Train_2", "Train_0", "Train_1"], dtype=object)
    ordered = labels.in_order_of(images)
    assert ordered.ids.tolist() == images.tolist()
    assert ordered.labels.tolist() == [[2, 1, 1], [2, 0, 1], [0, 1, 0]]
    assert ordered.class_map == MAP


def test_images_without_a_row_and_rows_without_an_image_are_named_at_once(write):
    labels = read_component_labels(write(ROWS), MAP)
    with pytest.raises(
        ValueError,
        match=r"3 images and 3 rows of labels do not fit together: 1 image \(New\) "
        r"without a row of labels; 1 row \(Train_1\) of labels without an image",
    ):
        labels.in_order_of(["Train_2", "New", "Train_0"])
