"""A competition in Bengali.AI's form, small, and the rows of a CSV file."""

import csv

import pyarrow as pa
import pyarrow.parquet as pq

BENGALI = ("consonant_diacritic", "grapheme_root", "vowel_diacritic")


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def write_parquet_series(folder, files=2, n=3):
    """The form of Bengali.AI: numbered parquet files, three sample rows an image."""
    folder.mkdir(parents=True)
    ids = [f"Test_{i}" for i in range(files * n)]
    for part in range(files):
        own = ids[part * n : (part + 1) * n]
        columns = {"image_id": own}
        for pixel in range(4):
            values = [int(id[5:]) * 10 + pixel for id in own]
            columns[str(pixel)] = pa.array(values, pa.uint8())
        pq.write_table(pa.table(columns), folder / f"test_image_data_{part}.parquet")
    rows = [(f"{id}_{part}", id, part) for id in ids for part in BENGALI]
    test = "".join(",".join(row) + "\n" for row in rows)
    (folder / "test.csv").write_text("row_id,image_id,component\n" + test)
    sample = "".join(f"{row[0]},0\n" for row in rows)
    (folder / "sample_submission.csv").write_text("row_id,target\n" + sample)
    return folder
