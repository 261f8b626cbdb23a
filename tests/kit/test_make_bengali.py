"""A competition of Bengali.AI's form, drawn without any font."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bengali_glyphs import DrawnGlyphs, FontGlyphs, find_fonts
from bengali_graphemes import (
    COMPONENTS,
    allot_rows,
    choose_graphemes,
    invent_class_names,
    is_written,
    read_class_map,
    write_grapheme,
)
from handwriting import HEIGHT, WIDTH, Handwriting
from make_bengali import label_table, main, plan_rows, write_images

from kaggle_kit.asked_rows import read_asked_rows
from kaggle_kit.component_labels import read_class_map as read_map_of_the_kit
from kaggle_kit.component_labels import read_component_labels
from kaggle_kit.cropping import crop_resize
from kaggle_kit.image_tables import iter_image_parquet, read_image_parquet

TOOL = Path(__file__).resolve().parents[2] / "benchmarks" / "make_bengali.py"
OPTIONS = ["--classes", "5", "3", "3", "--rows", "60", "--files", "2"]
OPTIONS += ["--graphemes", "12", "--seed", "3"]
SLUG = "bengaliai-cv19"


def make(out, *more):
    return main(["--out", str(out), *OPTIONS, *more])


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Give the folder that the command line wrote into, and what it printed."""
    out = tmp_path_factory.mktemp("made")
    command = [sys.executable, str(TOOL), "--out", str(out), *OPTIONS]
    command += ["--test-rows", "21", "--test-files", "1", "--sheet", str(out / "a.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return out, done.stdout


@pytest.fixture
def made(printed):
    """Give the folder of a small competition, and that of the labels held out."""
    return printed[0] / SLUG, printed[0] / "held_out" / SLUG


def test_the_files_are_kaggles(made):
    folder, held_out = made
    assert sorted(path.name for path in folder.iterdir()) == [
        "class_map.csv",
        "sample_submission.csv",
        "test.csv",
        "test_image_data_0.parquet",
        "train.csv",
        "train_image_data_0.parquet",
        "train_image_data_1.parquet",
    ]
    assert [path.name for path in held_out.iterdir()] == ["test_labels.csv"]
    file = pq.ParquetFile(folder / "train_image_data_1.parquet")
    assert file.metadata.num_row_groups == 1
    assert file.schema_arrow.names == ["image_id", *map(str, range(HEIGHT * WIDTH))]
    assert set(file.schema_arrow.types[1:]) == {pa.uint8()}
    columns = pd.read_csv(folder / "train.csv").columns.tolist()
    assert columns == ["image_id", *COMPONENTS, "grapheme"]


def test_the_kit_reads_what_was_made(made):
    folder, _ = made
    class_map = read_map_of_the_kit(folder / "class_map.csv")
    assert class_map.sizes == (5, 3, 3)
    labels = read_component_labels(folder / "train.csv", class_map)
    paths = sorted(folder.glob("train_*.parquet"))
    tables = list(iter_image_parquet(paths, log=lambda _: None))
    ids = np.concatenate([table.ids for table in tables])
    assert ids.tolist() == [f"Train_{i}" for i in range(60)]
    assert labels.in_order_of(ids).ids.tolist() == ids.tolist()
    for counts in labels.class_counts().values():
        assert counts.min() > 0


def test_the_submission_asks_for_every_component_of_every_test_image(made):
    folder, held_out = made
    answers = pd.read_csv(held_out / "test_labels.csv")
    components = list(COMPONENTS)
    asked = read_asked_rows(
        folder / "test.csv", folder / "sample_submission.csv", components
    )
    asked.check_images(answers["image_id"].tolist())
    assert asked.row_ids[:3].tolist() == [
        "Test_0_consonant_diacritic", "Test_0_grapheme_root", "Test_0_vowel_diacritic",
    ]  # fmt: skip
    assert len(asked.row_ids) == 3 * 21
    found = asked.answers(answers["image_id"].tolist(), answers[components].to_numpy())
    assert found[:3].tolist() == answers.loc[0, sorted(components)].tolist()


def test_seen_says_which_graphemes_training_shows(made):
    folder, held_out = made
    answers = pd.read_csv(held_out / "test_labels.csv")
    shown = set(pd.read_csv(folder / "train.csv")["grapheme"])
    np.testing.assert_array_equal(answers["seen"] == 1, answers["grapheme"].isin(shown))
    assert sorted(set(answers["seen"])) == [0, 1]


def test_images_are_dark_on_light_and_each_another(made):
    folder, _ = made
    table = read_image_parquet(folder / "test_image_data_0.parquet")
    assert np.median(table.images, axis=(1, 2)).min() > 200
    assert table.images[:, 5:-5, 5:-5].min(axis=(1, 2)).max() < 140
    assert len({image.tobytes() for image in table.images}) == len(table)
    assert not len(crop_resize(table.images).odd["border only"])


def test_the_seed_decides_everything():
    names = invent_class_names((5, 3, 3))

    def draw(seed, threads):
        graphemes = choose_graphemes(names, 12, 0.2, seed)
        train, test = plan_rows(graphemes, 30, 20, 0.2, seed)
        glyphs = DrawnGlyphs(graphemes)
        hand = Handwriting(glyphs.em)
        images = write_images(train, glyphs, hand, [seed, 0, 0], threads)
        return label_table("test", test, graphemes), images

    (labels, images), (again, same) = draw(3, 1), draw(3, 3)
    pd.testing.assert_frame_equal(labels, again)
    np.testing.assert_array_equal(images, same)
    other, images_of_another = draw(4, 2)
    assert not other.equals(labels)
    assert not np.array_equal(images_of_another, images)


def test_the_command_line_says_what_it_made(printed):
    out, text = printed
    assert "graphemes        12 seen, 3 only in the test" in text
    assert "grapheme_root        5 classes of " in text
    assert re.search(r"train_image_data_1.parquet +30 rows +\d+\.\d s", text)
    assert f"competition      {out / SLUG}" in text
    assert (out / "a.png").is_file()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--rows", "11"], "11 rows cannot show 12 graphemes: give more rows or fewer"),
        (["--graphemes", "4"], "4 graphemes .* are needed to show every class"),
        (["--graphemes", "44"], "the class map has 45, and "),
        (["--classes", "0", "1", "1"], r"sizes of the components are \(0, 1, 1\)"),
        (["--class-map", "nowhere.csv"], "No such file.*nowhere.csv"),
    ],
)
def test_what_cannot_be_made_is_said(tmp_path, capsys, more, message):
    assert make(tmp_path, *more) == 2
    assert re.search(f"^error: .*{message}", capsys.readouterr().err)
    assert not (tmp_path / SLUG / "train.csv").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fonts", "."], "--fonts writes the graphemes of a --class-map: give both"),
        (["--files", "0"], "--files must be 1 or more"),
        (["--unseen", "1"], "--unseen must be in 0 <= share < 1"),
    ],
)
def test_impossible_options_are_refused(tmp_path, capsys, more, message):
    with pytest.raises(SystemExit):
        make(tmp_path, *more)
    assert message in capsys.readouterr().err


def test_without_raqm_the_way_out_is_said(monkeypatch):
    monkeypatch.setattr("PIL.features.check", lambda feature: False)
    graphemes = choose_graphemes(invent_class_names((2, 1, 1)), 2, 0.0, 0)
    with pytest.raises(RuntimeError, match=r"without raqm.*install Pillow's own wheel"):
        FontGlyphs(graphemes, [])


def test_a_place_without_fonts_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no font .* there that is fit; Debian"
    ):
        find_fonts([tmp_path])


def test_graphemes_are_spelt_in_unicodes_order():
    ka, aa, reph, ya, ra, dot = "ক", "া", "র্", "্য", "্র", "ঁ"
    assert write_grapheme(ka, "0", "0") == ka
    assert write_grapheme(ka, aa, reph) == reph + ka + aa
    assert write_grapheme(ka, aa, "র্য") == reph + ka + ya + aa
    assert write_grapheme(ka, aa, ra) == ka + ra + aa
    assert write_grapheme(ka, aa, dot) == ka + aa + dot
    assert is_written(ka, aa, reph)
    assert not is_written("র", "0", ya)  # spelt like reph over ya
    assert is_written("অ", "0", dot)
    assert not is_written("অ", aa, "0")
    assert not is_written("ং", "0", dot)


def test_a_class_map_that_is_none_is_refused(tmp_path):
    path = tmp_path / "class_map.csv"
    path.write_text("a,b\n")
    with pytest.raises(ValueError, match="line 1 is not component_type,label,"):
        read_class_map(path)
    path.write_text("component_type,label,component\ngrapheme_root,1,k\n")
    with pytest.raises(ValueError, match="line 2: 'grapheme_root,1,k'; expected"):
        read_class_map(path)
    path.write_text("component_type,label,component\ngrapheme_root,0,k\n")
    with pytest.raises(ValueError, match="no class of vowel_diacritic, consonant_diac"):
        read_class_map(path)


def test_rows_are_shared_out_exactly():
    rows = allot_rows(np.array([1.0, 2.0, 7.0]), 103, np.random.RandomState(0))
    assert np.bincount(rows).tolist() == [11, 21, 71]


def test_every_drawn_class_looks_different_in_every_place():
    graphemes = choose_graphemes(invent_class_names((168, 11, 7)), 1295, 0.2, 0)
    glyphs = DrawnGlyphs(graphemes)
    masks = {glyphs.mask(i, 0).tobytes() for i in range(len(graphemes.texts))}
    assert len(masks) == len(graphemes.texts) == 1619


def test_print_is_what_handwriting_of_no_strength_is():
    mask = np.zeros((60, 60), np.uint8)
    mask[10:50, 28:33] = 255
    hand = Handwriting(60, strength=0.0)
    upright = crop_resize(np.stack([hand.write(mask, [i]) for i in range(8)])).images
    slanted = Handwriting(60, strength=3.0)
    bent = crop_resize(np.stack([slanted.write(mask, [i]) for i in range(8)])).images

    def widths(crops):
        inked = crops > 128
        return inked.any(axis=1).sum(axis=1) / inked.any(axis=2).sum(axis=1)

    assert np.median(widths(upright)) < np.median(widths(bent))
