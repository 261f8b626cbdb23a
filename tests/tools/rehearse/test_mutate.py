"""Hidden test sets made from the visible one: rows, ids, images, files."""

import csv
import random

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parquet_series import BENGALI, rows_of, write_parquet_series
from rehearsing import write_competition

from kernel_builder.errors import UsageError
from kernel_builder.rehearse import mutate
from kernel_builder.rehearse.mounts import Config, load_config
from kernel_builder.rehearse.tables import read_table
from kernel_builder.rehearse.testset import read_test_set


def made(folder, kind, out, **config):
    return next(mutate.mutations(folder, Config(folder, **config), out, [kind]))


def write_positional(folder, n=8):
    """Digit Recognizer's form: the test has no ids, the sample counts from 1."""
    folder.mkdir(parents=True)
    test = "".join(f"{i},{i * 2}\n" for i in range(n))
    (folder / "test.csv").write_text("pixel0,pixel1\n" + test)
    sample = "".join(f"{i + 1},0\n" for i in range(n))
    (folder / "sample_submission.csv").write_text("ImageId,Label\n" + sample)
    return folder


def write_images(folder, n=6, table=False):
    """An image folder; the sample's ids are the stems."""
    (folder / "test_images").mkdir(parents=True)
    names = [f"{i * 37:04x}{i}" for i in range(n)]
    for name in names:
        (folder / f"test_images/{name}.png").write_bytes(name.encode())
    sample = "".join(f"{name},0\n" for name in names)
    (folder / "sample_submission.csv").write_text("id,label\n" + sample)
    if table:
        (folder / "test.csv").write_text(
            "id,width\n" + "".join(f"{name},{i}\n" for i, name in enumerate(names))
        )
    return folder


def test_more_rows_of_a_csv_are_clones_under_new_ids(tmp_path):
    folder = write_competition(tmp_path / "tiny", n=6)
    test = made(folder, "more rows", tmp_path / "out")

    rows = rows_of(test.entries["test.csv"])
    sample = rows_of(test.sample)
    assert rows[:7] == rows_of(folder / "test.csv")
    assert [row[0] for row in rows] == [row[0] for row in sample]
    assert [row[0] for row in rows[7:]] == ["16", "17", "18", "19", "20", "21"]
    content = dict(rows_of(folder / "test.csv"))
    assert all(row[1] == content[test.origin[row[0]]] for row in rows[1:])


def test_one_row_keeps_the_first(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    test = made(folder, "one row", tmp_path / "out")

    assert rows_of(test.entries["test.csv"]) == [["id", "x"], ["10", "0"]]
    assert rows_of(test.sample) == [["id", "y"], ["10", "0"]]


def test_unseen_ids_share_none_with_the_visible_test(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    test = made(folder, "unseen ids", tmp_path / "out")

    new = [row[0] for row in rows_of(test.sample)[1:]]
    old = [row[0] for row in rows_of(folder / "sample_submission.csv")[1:]]
    assert not set(new) & set(old)
    assert [row[1] for row in rows_of(test.entries["test.csv"])[1:]] == [
        row[1] for row in rows_of(folder / "test.csv")[1:]
    ]
    assert list(test.origin.values()) == old


def test_shuffled_moves_test_and_sample_alike(tmp_path):
    folder = write_competition(tmp_path / "tiny", n=20)
    test = made(folder, "shuffled", tmp_path / "out")

    rows = rows_of(test.entries["test.csv"])
    assert sorted(rows) == sorted(rows_of(folder / "test.csv"))
    assert rows != rows_of(folder / "test.csv")
    assert [row[0] for row in rows] == [row[0] for row in rows_of(test.sample)]


def test_ids_that_are_row_numbers_stay_row_numbers(tmp_path):
    folder = write_positional(tmp_path / "digits")
    config = Config(folder)
    tests = {t.kind: t for t in mutate.mutations(folder, config, tmp_path / "out")}

    assert set(tests) == {"more rows", "one row", "shuffled"}
    more = rows_of(tests["more rows"].sample)
    assert [row[0] for row in more[1:]] == [str(i) for i in range(1, 17)]
    shuffled = rows_of(tests["shuffled"].entries["test.csv"])[1:]
    ids = [row[0] for row in rows_of(tests["shuffled"].sample)[1:]]
    assert ids == [str(i) for i in range(1, 9)]
    # Row i of the shuffled test is the content that `origin` says.
    for id, row in zip(ids, shuffled, strict=True):
        assert row[0] == str(int(tests["shuffled"].origin[id]) - 1)


@pytest.mark.parametrize("table", [False, True])
def test_images_are_renamed_with_their_rows(table, tmp_path):
    folder = write_images(tmp_path / "leaves", table=table)
    test = made(folder, "unseen ids", tmp_path / "out")

    ids = [row[0] for row in rows_of(test.sample)[1:]]
    images = test.entries["test_images"]
    assert sorted(p.stem for p in images.iterdir()) == sorted(ids)
    for id in ids:
        assert (images / f"{id}.png").read_bytes().decode() == test.origin[id]
    if table:
        assert [row[0] for row in rows_of(test.entries["test.csv"])[1:]] == ids


def test_more_images_are_cloned(tmp_path):
    folder = write_images(tmp_path / "leaves", n=4)
    test = made(folder, "more rows", tmp_path / "out")

    assert len(list(test.entries["test_images"].iterdir())) == 8
    assert len(rows_of(test.sample)) == 9
    assert test.units == 8


def test_images_in_a_folder_of_the_test_folder_are_found(tmp_path):
    folder = write_images(tmp_path / "leaves")
    (folder / "test").mkdir()
    (folder / "test_images").rename(folder / "test/images")
    (folder / "test/readme.txt").write_text("kept")
    test = made(folder, "unseen ids", tmp_path / "out")

    ids = sorted(row[0] for row in rows_of(test.sample)[1:])
    top = test.entries["test"]
    assert sorted(p.stem for p in (top / "images").iterdir()) == ids
    assert (top / "readme.txt").read_text() == "kept"


def test_ids_that_are_paths_keep_folder_and_suffix(tmp_path):
    """Classify Leaves: train and test images share a folder that the ids name."""
    folder = tmp_path / "leaves"
    (folder / "images").mkdir(parents=True)
    for number in range(6):
        (folder / f"images/{number}.jpg").write_text(str(number))
    (folder / "train.csv").write_text("image,label\nimages/0.jpg,a\nimages/1.jpg,b\n")
    names = [f"images/{number}.jpg" for number in range(2, 6)]
    (folder / "test.csv").write_text("image\n" + "\n".join(names) + "\n")
    rows = "".join(f"{name},a\n" for name in names)
    (folder / "sample_submission.csv").write_text("image,label\n" + rows)
    test = made(folder, "unseen ids", tmp_path / "out")

    ids = [row[0] for row in rows_of(test.sample)[1:]]
    assert ids == [f"images/{number}.jpg" for number in range(6, 10)]
    images = test.entries["images"]
    found = {p.name: p.read_text() for p in images.iterdir()}
    assert found["0.jpg"] == "0"
    assert found["6.jpg"] == "2"
    assert len(found) == 6
    assert rows_of(test.entries["test.csv"])[1:] == [[id] for id in ids]


def test_a_test_folder_that_is_not_understood_is_no_silent_guess(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    (folder / "test_audio").mkdir()
    (folder / "test_audio/part_a.bin").write_text("x")
    with pytest.raises(UsageError, match="its files bear none of the ids"):
        made(folder, "unseen ids", tmp_path / "out")

    assert made(folder, "unseen ids", tmp_path / "two", test="test.csv").units == 6


def test_a_name_that_only_holds_test_is_no_test_file(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    (folder / "latest.csv").write_text("id,v\n10,1\n")

    assert set(made(folder, "one row", tmp_path / "out").entries) == {
        "test.csv",
        "sample_submission.csv",
    }


@pytest.mark.parametrize(
    ("ids", "new"),
    [
        (["7", "9"], ["10", "11"]),
        (["007", "009"], ["010", "011"]),
        (["a_08.png", "a_09.png"], ["a_10.png", "a_11.png"]),
        (["Test_0"], ["Test_1", "Test_2"]),
    ],
)
def test_new_ids_count_on(ids, new):
    assert mutate._fresh_ids(ids, len(new), random.Random(0)) == new


@given(
    ids=st.lists(
        st.text("abcdef0123_", min_size=1, max_size=6), min_size=1, unique=True
    ),
    count=st.integers(0, 30),
)
def test_new_ids_are_new_and_distinct(ids, count):
    new = mutate._fresh_ids(ids, count, random.Random(1))

    assert len(new) == len(set(new)) == count
    assert not set(new) & set(ids)


def test_an_image_of_a_parquet_series_changes_everywhere(tmp_path):
    folder = write_parquet_series(tmp_path / "bengali")
    test = made(folder, "unseen ids", tmp_path / "out")

    first = pq.read_table(test.entries["test_image_data_0.parquet"])
    old = pq.read_table(folder / "test_image_data_0.parquet")
    assert first.column("image_id").to_pylist() == ["Test_6", "Test_7", "Test_8"]
    assert first.schema.equals(old.schema)
    assert first.column("3").to_pylist() == old.column("3").to_pylist()
    assert rows_of(test.entries["test.csv"])[1] == [
        "Test_6_consonant_diacritic",
        "Test_6",
        "consonant_diacritic",
    ]
    assert rows_of(test.sample)[3] == ["Test_6_vowel_diacritic", "0"]


def test_one_row_leaves_no_file_of_a_series_empty(tmp_path):
    folder = write_parquet_series(tmp_path / "bengali")
    test = made(folder, "one row", tmp_path / "out")

    kept = [
        pq.read_table(test.entries[f"test_image_data_{part}.parquet"])
        for part in range(2)
    ]
    assert [t.column("image_id").to_pylist() for t in kept] == [["Test_0"], ["Test_3"]]
    assert len(rows_of(test.sample)) == 7


def test_more_files_continue_the_series(tmp_path):
    folder = write_parquet_series(tmp_path / "bengali")
    test = made(folder, "more files", tmp_path / "out")

    new = sorted(set(test.entries) - {p.name for p in folder.iterdir()})
    assert new
    assert set(new) <= {"test_image_data_2.parquet", "test_image_data_3.parquet"}
    ids = [
        id
        for name in test.entries
        if name.endswith("parquet")
        for id in pq.read_table(test.entries[name]).column("image_id").to_pylist()
    ]
    assert len(ids) == len(set(ids)) == 12
    assert {row[0] for row in rows_of(test.sample)[1:]} == {
        f"{id}_{part}" for id in ids for part in BENGALI
    }


def test_more_files_need_a_series(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    with pytest.raises(UsageError, match="no numbered test files"):
        made(folder, "more files", tmp_path / "out")


def test_the_same_seed_gives_the_same_test(tmp_path):
    folder = write_images(tmp_path / "leaves")
    texts = [
        made(folder, "more rows", tmp_path / name).sample.read_text()
        for name in ("one", "two")
    ]
    assert texts[0] == texts[1]


def test_only_the_ids_of_a_csv_row_are_rewritten(tmp_path):
    folder = write_competition(tmp_path / "tiny", n=2)
    text = 'id,x\n10,"a, ""b"""\n11,"two\nlines"\n'
    (folder / "test.csv").write_text(text)
    shuffled = made(folder, "shuffled", tmp_path / "one").entries["test.csv"]
    unseen = made(folder, "unseen ids", tmp_path / "two").entries["test.csv"]

    assert sorted(shuffled.read_text()) == sorted(text)
    assert rows_of(unseen)[1:] == [["12", 'a, "b"'], ["13", "two\nlines"]]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_reading_and_writing_a_csv_is_lossless(data, tmp_path_factory):
    cells = st.text(
        st.characters(codec="utf-8", exclude_characters="\r\x00"), max_size=5
    )
    width = data.draw(st.integers(2, 4))
    rows = data.draw(st.lists(st.lists(cells, min_size=width, max_size=width)))
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f"c{i}" for i in range(width)])
        writer.writerows(rows)
    table = read_table(path)
    copy = path.with_name("copy.csv")
    table.write(copy, [(i, str) for i in range(len(table))], list(table.keys))

    assert copy.read_text() == path.read_text()


def test_a_csv_with_a_short_row_is_refused(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    (folder / "test.csv").write_text("id,x\n10,1\n11\n")
    with pytest.raises(UsageError, match=r"test.csv: .* row 2 has 1 of 2 cells"):
        made(folder, "one row", tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda f: (f / "sample_submission.csv").unlink(), "no sample_submission"),
        (lambda f: (f / "test.csv").unlink(), "no test file or folder"),
        (lambda f: (f / "test.csv").write_text("a,b\n1,2\n"), "nothing links"),
    ],
)
def test_a_test_set_that_is_not_understood_says_how_to_help(change, problem, tmp_path):
    folder = write_competition(tmp_path / "tiny")
    change(folder)
    with pytest.raises(UsageError, match=f"{problem}.*rehearsal.toml"):
        made(folder, "one row", tmp_path / "out")


def test_an_unknown_kind_is_refused(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    with pytest.raises(UsageError, match="'fewer rows': more rows, one row"):
        made(folder, "fewer rows", tmp_path / "out")


def test_the_config_names_files_and_ids(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    (folder / "test.csv").rename(folder / "unlabelled.csv")
    test = made(folder, "one row", tmp_path / "out", test="unlabelled.csv", id="id")

    assert rows_of(test.entries["unlabelled.csv"]) == [["id", "x"], ["10", "0"]]


def test_a_competitions_own_hook_makes_the_test(tmp_path):
    folder = write_competition(tmp_path / "tiny")
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    (kernel / "rehearsal.toml").write_text('mutate = "hidden.py"')
    (kernel / "hidden.py").write_text(
        "def mutate(folder, out, kind, seed):\n"
        "    (out / 'test.csv').write_text(f'id,x\\n7,{len(kind)}\\n')\n"
        "    (out / 'sample_submission.csv').write_text('id,y\\n7,0\\n')\n"
    )
    tests = list(mutate.mutations(folder, load_config(kernel), tmp_path / "out"))

    assert [t.kind for t in tests] == list(mutate.USUAL)
    assert tests[1].entries["test.csv"].read_text() == "id,x\n7,7\n"
    assert tests[1].sample.read_text() == "id,y\n7,0\n"


@pytest.mark.parametrize(
    ("hook", "problem"),
    [
        ("x = 1", "must define mutate"),
        ("def mutate(*a): raise ValueError('bad')", "ValueError: bad"),
        ("def mutate(*a): pass", "wrote no file"),
    ],
)
def test_a_broken_hook_is_named(hook, problem, tmp_path):
    folder = write_competition(tmp_path / "tiny")
    (tmp_path / "hidden.py").write_text(hook)
    with pytest.raises(UsageError, match=problem):
        made(folder, "one row", tmp_path / "out", mutate=tmp_path / "hidden.py")


def test_units_of_a_long_sample_are_its_images(tmp_path):
    folder = write_parquet_series(tmp_path / "bengali", files=1, n=2)
    test = read_test_set(folder, Config(folder))

    assert test.column == "image_id"
    assert test.units == ("Test_0", "Test_1")
    assert test.sample_rows == {"Test_0": [0, 1, 2], "Test_1": [3, 4, 5]}
    assert not test.positional
