"""Make a competition in the exact form of Kaggle's Bengali.AI (bengaliai-cv19).

Graphemes of the given class map are written in Bengali fonts, or without fonts in an
invented script, and made to look like handwriting. Some occur only in the test set:

    OUT/bengaliai-cv19/train_image_data_0.parquet, ...  image_id, "0" .. "32331"
    OUT/bengaliai-cv19/train.csv         image_id, three labels, grapheme
    OUT/bengaliai-cv19/test_image_data_0.parquet, ...
    OUT/bengaliai-cv19/test.csv          row_id, image_id, component
    OUT/bengaliai-cv19/class_map.csv     component_type, label, component
    OUT/bengaliai-cv19/sample_submission.csv            row_id, target
    OUT/held_out/bengaliai-cv19/test_labels.csv         as train.csv, and: seen

Each parquet file holds its rows in one row group, as Kaggle's do. The labels of the
test set lie outside the competition's folder, where no kernel looks; `seen` is 1 where
training shows the grapheme. The same seed and options give the same rows and labels;
the pixels also depend on the versions of OpenCV and of the fonts.

    python benchmarks/make_bengali.py --class-map class_map.csv \
        --fonts /usr/share/fonts/truetype/fonts-beng-extra \
                /usr/share/fonts/truetype/lohit-bengali \
        --out DIR --rows 24000 --files 4 --seed 0
    python benchmarks/make_bengali.py --out DIR --classes 8 5 3 --rows 600 --files 2
"""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from bengali_glyphs import DrawnGlyphs, FontGlyphs, find_fonts
from bengali_graphemes import (
    COMPONENTS,
    Graphemes,
    allot_rows,
    choose_graphemes,
    invent_class_names,
    read_class_map,
)
from handwriting import HEIGHT, WIDTH, Handwriting

from kaggle_kit.paths import atomic_file

SLUG = "bengaliai-cv19"
SIZES = (168, 11, 7)  # classes of Bengali.AI's components
GRAPHEMES = 1_295  # in Bengali.AI's training set
ROWS_PER_GRAPHEME = 12
PARTS = ("train", "test")

Rows = npt.NDArray[np.int64]
Glyphs = FontGlyphs | DrawnGlyphs


def plan_rows(
    graphemes: Graphemes, train: int, test: int, unseen: float, seed: int
) -> tuple[Rows, Rows]:
    """The grapheme of every row: (train,) and (test,) int64.

    The test set has each seen grapheme as often as training has it, in proportion, and
    the others in a share of `unseen`.
    """
    draw = np.random.RandomState([seed, 1])  # not the stream that chose the graphemes
    seen = graphemes.seen
    rows = allot_rows(graphemes.frequency[seen], train, draw)
    share = np.where(seen, 1 - unseen, unseen) * graphemes.frequency
    for part in (seen, ~seen):
        share[part] /= max(float(graphemes.frequency[part].sum()), 1e-12)
    # A test set may be too small to have every grapheme.
    exact = np.cumsum(share / share.sum() * test)
    counts = np.diff(np.round(exact).astype(np.int64), prepend=0)
    return rows, draw.permutation(np.repeat(np.arange(len(seen)), counts))


def write_images(
    rows: Rows, glyphs: Glyphs, hand: Handwriting, seed: list[int], threads: int
) -> npt.NDArray[np.uint8]:
    """Draw one image per row: (N, 32332) uint8; row i draws from seed + [i]."""
    images = np.empty((len(rows), HEIGHT, WIDTH), np.uint8)

    def write_grapheme_of(grapheme: int) -> None:
        styles = glyphs.styles[grapheme]
        masks = [glyphs.mask(grapheme, style) for style in styles]
        for i in np.flatnonzero(rows == grapheme):
            style = np.random.RandomState([*seed, i, 1]).randint(len(masks))
            images[i] = hand.write(masks[style], [*seed, i])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(write_grapheme_of, np.unique(rows).tolist()))
    return images.reshape(len(rows), HEIGHT * WIDTH)


def write_image_parquet(
    path: Path, ids: Sequence[str], images: npt.NDArray[np.uint8]
) -> None:
    """Write image_id and a uint8 column per pixel, all rows in one row group."""
    columns = np.ascontiguousarray(images.T)  # (pixels, N)
    names = ["image_id", *(str(i) for i in range(len(columns)))]
    table = pa.table([pa.array(ids), *map(pa.array, columns)], names=names)
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, row_group_size=max(1, len(ids)))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table without its index, whole or not at all."""
    with atomic_file(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def label_table(part: str, rows: Rows, graphemes: Graphemes) -> pd.DataFrame:
    """Ids, labels and graphemes of the rows, as in train.csv."""
    labels = {name: graphemes.labels[rows, k] for k, name in enumerate(COMPONENTS)}
    ids = [f"{part.capitalize()}_{i}" for i in range(len(rows))]
    texts = [graphemes.texts[row] for row in rows]
    return pd.DataFrame({"image_id": ids, **labels, "grapheme": texts})


def question_table(ids: Sequence[str]) -> pd.DataFrame:
    """The rows of test.csv: three per image, components in alphabetical order."""
    asked = sorted(COMPONENTS)
    return pd.DataFrame(
        {
            "row_id": [f"{image}_{name}" for image in ids for name in asked],
            "image_id": np.repeat(np.asarray(ids, dtype=object), len(asked)),
            "component": asked * len(ids),
        }
    )


def class_table(graphemes: Graphemes) -> pd.DataFrame:
    """The rows of class_map.csv."""
    rows = [
        (component, label, text)
        for component, texts in zip(COMPONENTS, graphemes.names, strict=True)
        for label, text in enumerate(texts)
    ]
    return pd.DataFrame(rows, columns=["component_type", "label", "component"])


def write_tables(
    folder: Path, held_out: Path, graphemes: Graphemes, train: Rows, test: Rows
) -> None:
    """Write everything that is not pixels."""
    answers = label_table("test", test, graphemes)
    questions = question_table(answers["image_id"].tolist())
    write_csv(folder / "train.csv", label_table("train", train, graphemes))
    write_csv(folder / "test.csv", questions)
    write_csv(folder / "class_map.csv", class_table(graphemes))
    sample = questions[["row_id"]].assign(target=0)
    write_csv(folder / "sample_submission.csv", sample)
    answers["seen"] = graphemes.seen[test].astype(int)
    write_csv(held_out / "test_labels.csv", answers)


def contact_sheet(
    images: npt.NDArray[np.uint8], columns: int = 8
) -> cv2.typing.MatLike:
    """The first images side by side, to be looked at."""
    shown = images[: columns * 12].reshape(-1, HEIGHT, WIDTH)
    tiles = np.pad(shown[: len(shown) // columns * columns], ((0, 0), (1, 1), (1, 1)))
    grid = tiles.reshape(-1, columns, HEIGHT + 2, WIDTH + 2).transpose(0, 2, 1, 3)
    return grid.reshape(-1, columns * (WIDTH + 2))


def make_competition(options: argparse.Namespace) -> None:
    """Write all files, printing what is done."""
    rows = {"train": options.rows, "test": options.test_rows}
    files = {"train": options.files, "test": options.test_files}
    if options.class_map:
        names = read_class_map(options.class_map)
    else:
        names = invent_class_names(tuple(options.classes))
    graphemes = choose_graphemes(names, options.graphemes, options.unseen, options.seed)
    planned = plan_rows(
        graphemes, rows["train"], rows["test"], options.unseen, options.seed
    )
    glyphs: Glyphs = DrawnGlyphs(graphemes)
    if options.fonts:
        glyphs = FontGlyphs(graphemes, find_fonts(options.fonts))
    folder, held_out = options.out / SLUG, options.out / "held_out" / SLUG
    for each in (folder, held_out):
        each.mkdir(parents=True, exist_ok=True)
    report(graphemes, planned, glyphs)
    hand = Handwriting(glyphs.em, options.strength)
    for which, part in enumerate(PARTS):
        bounds = np.linspace(0, rows[part], files[part] + 1).astype(int)
        for i, (start, stop) in enumerate(pairwise(bounds.tolist())):
            began = time.perf_counter()
            seed = [options.seed, which, i]
            images = write_images(
                planned[which][start:stop], glyphs, hand, seed, options.threads
            )
            ids = [f"{part.capitalize()}_{n}" for n in range(start, stop)]
            path = folder / f"{part}_image_data_{i}.parquet"
            write_image_parquet(path, ids, images)
            spent = time.perf_counter() - began
            print(f"{path.name:28} {stop - start:>7,} rows  {spent:6.1f} s", flush=True)
            if which == i == 0 and options.sheet:
                cv2.imwrite(str(options.sheet), contact_sheet(images))
    write_tables(folder, held_out, graphemes, *planned)
    print(f"competition      {folder}\nheld-out labels  {held_out / 'test_labels.csv'}")


def report(graphemes: Graphemes, planned: tuple[Rows, Rows], glyphs: Glyphs) -> None:
    """Print how many graphemes there are, and how rare the rarest classes."""
    seen = int(graphemes.seen.sum())
    test = graphemes.seen[planned[1]]
    print(
        f"graphemes        {seen} seen, {len(graphemes.texts) - seen} only in the test"
    )
    print(f"test images      {test.sum():,} of seen, {(~test).sum():,} of unseen")
    for k, component in enumerate(COMPONENTS):
        size = len(graphemes.names[k])
        counts = np.bincount(graphemes.labels[planned[0], k], minlength=size)
        print(
            f"{component:20} {size} classes of {counts.min():,} to {counts.max():,} "
            "training images"
        )
    print(f"written in       {', '.join(glyphs.names)}", flush=True)


def parse_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line and fill in what depends on other options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--class-map", type=Path, help="Bengali.AI's class_map.csv; else: --classes")
    add(
        "--fonts",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="font files or folders of them; without, glyphs of an invented script",
    )
    add("--out", type=Path, required=True, help="folder to write into")
    add("--rows", type=int, default=24_000, help="training images (24000)")
    add("--files", type=int, default=4, help="parquet files of training images (4)")
    add("--test-rows", type=int, help="test images (a quarter of --rows)")
    add("--test-files", type=int, help="parquet files of test images (as --files)")
    add(
        "--classes",
        type=int,
        nargs=3,
        default=SIZES,
        metavar=("R", "V", "C"),
        help="classes of the components without --class-map (168 11 7)",
    )
    add(
        "--graphemes", type=int, help="in the training set (1295, or a row each twelve)"
    )
    add(
        "--unseen",
        type=float,
        default=0.2,
        help="share of graphemes, and of test images, that training lacks (0.2)",
    )
    add(
        "--strength", type=float, default=1.0, help="of the handwriting, 0 is print (1)"
    )
    add("--threads", type=int, default=2, help="that draw (2)")
    add("--sheet", type=Path, help="a PNG file for a look at the first images")
    add("--seed", type=int, default=0, help="of every draw (0)")
    options = parser.parse_args(arguments)
    if options.test_rows is None:
        options.test_rows = max(1, options.rows // 4)
    options.test_files = options.test_files or options.files
    if options.fonts and not options.class_map:
        parser.error("--fonts writes the graphemes of a --class-map: give both")
    for name in ("files", "test_files", "rows", "test_rows", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")
    if not (0 <= options.unseen < 1 and options.seed >= 0):
        parser.error("--unseen must be in 0 <= share < 1, and --seed 0 or more")
    if options.graphemes is None:
        options.graphemes = min(GRAPHEMES, options.rows // ROWS_PER_GRAPHEME)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    options = parse_options(arguments)
    started = time.perf_counter()
    try:
        make_competition(options)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{time.perf_counter() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
