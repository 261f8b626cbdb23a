"""Reading and cropping a full-size Bengali.AI file, as ratios to the usual notebook.

    python benchmarks/preprocessing.py [--file train_image_data_0.parquet] [--rounds 1]

Without --file one of 50,210 rows is made first (a few thousand drawn images, repeated
in another order of rows) and removed afterwards. Contestants, each a process of its
own, so that the peak memory is its own, in turn (A B C A B C ...):

pandas    df = pd.read_parquet(file), and the pixels as one array (`.values`)
usual     the public starter: the same, inverted, reshaped to images and cast; then for
          each image: scale by its maximum, crop_resize, append
read      kaggle_kit's read_image_parquet
crop      kaggle_kit's read_image_parquet and crop_in_place, timed apart
file      kaggle_kit's read_cropped_parquet

The median of the rounds counts. Wall-clock time is what a user waits for, with as many
processors as there are; processor time is what all of them worked, which other work on
the machine lengthens less. The crops of `usual` and of the kit are compared by the
checksum of every image; where the starter fails, there is nothing to compare with.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

HEIGHT, WIDTH, SIZE = 137, 236, 128
ROWS, DRAWN_ROWS = 50_210, 4_000
Images = npt.NDArray[np.uint8]


class Stopwatch:
    """Wall-clock and processor seconds of named parts."""

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.parts[name] = {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
        }


def starter_box(image: Images) -> tuple[int, int, int, int]:
    """First and last row and column that hold anything."""
    rows = np.where(np.any(image, axis=1))[0][[0, -1]]
    columns = np.where(np.any(image, axis=0))[0][[0, -1]]
    return rows[0], rows[1], columns[0], columns[1]


def starter_crop(image: Images) -> Images:
    """The public starter's arithmetic for one image, inverted and scaled."""
    top, bottom, left, right = starter_box(image[5:-5, 5:-5] > 80)
    left = left - 13 if left > 13 else 0
    top = top - 10 if top > 10 else 0
    right = right + 13 if right < WIDTH - 13 else WIDTH
    bottom = bottom + 10 if bottom < HEIGHT - 10 else HEIGHT
    cut = image[top:bottom, left:right]
    cut[cut < 28] = 0
    across, down = right - left, bottom - top
    side = max(across, down) + 16
    margins = [((side - down) // 2,), ((side - across) // 2,)]
    return cv2.resize(np.pad(cut, margins, mode="constant"), (SIZE, SIZE))


def checksums(crops: Images) -> list[int]:
    """One number for the pixels of each image."""
    return [zlib.crc32(crop) for crop in crops]


def run_pandas(file: Path, watch: Stopwatch) -> list[int]:
    """The bare read by pandas."""
    import pandas as pd

    with watch.part("read"):
        pixels = pd.read_parquet(file).iloc[:, 1:].values
    return [len(pixels)]


def run_usual(file: Path, watch: Stopwatch) -> list[int]:
    """The public starter's notebook; 0 where it fails."""
    import pandas as pd

    with watch.part("file"):
        with watch.part("read"):
            table = pd.read_parquet(file)
            pixels = table.iloc[:, 1:].values
            images = 255 - pixels.reshape(-1, HEIGHT, WIDTH).astype(np.uint8)
        with watch.part("crop"):
            crops = []
            for i in range(len(images)):
                image = (images[i] * (255.0 / images[i].max())).astype(np.uint8)
                try:
                    crops.append(starter_crop(image))
                except IndexError:
                    crops.append(None)
    return [0 if crop is None else zlib.crc32(crop) for crop in crops]


def run_read(file: Path, watch: Stopwatch) -> list[int]:
    """The bare read by the kit."""
    from kaggle_kit.image_tables import read_image_parquet

    with watch.part("read"):
        table = read_image_parquet(file)
    return [len(table)]


def run_crop(file: Path, watch: Stopwatch) -> list[int]:
    """The kit's reader and crop_in_place, one after the other."""
    from kaggle_kit.cropped_files import crop_in_place
    from kaggle_kit.image_tables import read_image_parquet

    with watch.part("read"):
        table = read_image_parquet(file)
    with watch.part("crop"):
        crops = crop_in_place(table.images, SIZE)
    return checksums(crops.images)


def run_file(file: Path, watch: Stopwatch) -> list[int]:
    """The kit's way for a whole file."""
    from kaggle_kit.cropped_files import read_cropped_parquet
    from kaggle_kit.cropping import odd_in_words

    with watch.part("file"):
        table = read_cropped_parquet(file, size=SIZE)
    print(f"odd images: {odd_in_words(table.odd)}", flush=True)
    return checksums(table.images)


CONTESTANTS: dict[str, Callable[[Path, Stopwatch], list[int]]] = {
    "pandas": run_pandas,
    "usual": run_usual,
    "read": run_read,
    "crop": run_crop,
    "file": run_file,
}


def run_contestant(name: str, file: Path, out: Path) -> None:
    """Run one contestant in this process and write what it measured."""
    watch = Stopwatch()
    sums = CONTESTANTS[name](file, watch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # GB, on Linux
    out.write_text(json.dumps({"parts": watch.parts, "peak": peak, "sums": sums}))


def measure(name: str, file: Path) -> dict:
    """Run one contestant in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "measured.json"
        # Started as users start Python; numpy's threads would only idle.
        command = [sys.executable, __file__, "--file", str(file)]
        subprocess.run([*command, "--contestant", name, "--to", str(out)], check=True)
        return json.loads(out.read_text())


def make_file(path: Path, rows: int) -> None:
    """Draw some images of an invented script and repeat them to a file of `rows`."""
    from bengali_glyphs import DrawnGlyphs
    from bengali_graphemes import choose_graphemes, invent_class_names
    from handwriting import Handwriting
    from make_bengali import plan_rows, write_image_parquet, write_images

    graphemes = choose_graphemes(invent_class_names((168, 11, 7)), 400, 0.0, 0)
    drawn, _ = plan_rows(graphemes, min(rows, DRAWN_ROWS), 0, 0.0, 0)
    glyphs = DrawnGlyphs(graphemes)
    images = write_images(drawn, glyphs, Handwriting(glyphs.em), [0], 2)
    draw = np.random.RandomState(0)
    order = [draw.permutation(len(images)) for _ in range(-(-rows // len(images)))]
    ids = [f"Train_{i}" for i in range(rows)]
    write_image_parquet(path, ids, images[np.concatenate(order)[:rows]])


def report(rounds: dict[str, list[dict]], rows: int) -> None:
    """Print times, then the ratios that matter, each with its goal."""

    def median(name: str, part: str, kind: str) -> float:
        return statistics.median(run["parts"][part][kind] for run in rounds[name])

    def peak(name: str) -> float:
        return max(run["peak"] for run in rounds[name])

    print(
        f"\n{'':8} {'part':6} {'wall s':>8} {'cpu s':>8} {'images/s':>9} {'peak GB':>8}"
    )
    for name, runs in rounds.items():
        for part in runs[0]["parts"]:
            wall, cpu = median(name, part, "wall"), median(name, part, "cpu")
            print(
                f"{name:8} {part:6} {wall:8.2f} {cpu:8.2f} {rows / wall:9,.0f} "
                f"{peak(name):8.2f}"
            )
    goals = [
        (
            "cropping, images per second, usual : kit",
            "usual",
            "crop",
            "crop",
            "crop",
            20,
        ),
        ("whole file, time, usual : kit", "usual", "file", "file", "file", 5),
        ("bare read, time, pandas : kit", "pandas", "read", "read", "read", 1),
    ]
    print(f"\n{'ratio':44} {'wall':>6} {'cpu':>6}  goal")
    for text, old, old_part, new, new_part, goal in goals:
        ratios = [
            median(old, old_part, kind) / median(new, new_part, kind)
            for kind in ("wall", "cpu")
        ]
        print(f"{text:44} {ratios[0]:6.2f} {ratios[1]:6.2f}  at least {goal}")
    over = [
        median("file", "file", kind) / median("read", "read", kind)
        for kind in ("wall", "cpu")
    ]
    text = "whole file : bare read, both the kit's"
    print(f"{text:44} {over[0]:6.2f} {over[1]:6.2f}  at most 1.5")
    shares = peak("file") / peak("usual"), peak("read") / peak("pandas")
    text = "peak memory, whole file, kit : usual"
    print(f"{text:44} {shares[0]:6.2f} {'':6}  at most 0.25")
    text = "peak memory, bare read, kit : pandas"
    print(f"{text:44} {shares[1]:6.2f}")


def compare(rounds: dict[str, list[dict]]) -> bool:
    """Whether every crop is the starter's, where the starter has one."""
    expected = np.array(rounds["usual"][0]["sums"])
    there = expected != 0
    same = [
        np.array_equal(np.array(run["sums"])[there], expected[there])
        for name in ("crop", "file")
        for run in rounds[name]
    ]
    print(
        f"\ncrops equal to the starter's: {'all' if all(same) else 'NOT ALL'} of "
        f"{int(there.sum()):,}; the starter fails on {int((~there).sum()):,}"
    )
    return all(same)


def compete(file: Path, n_rounds: int) -> bool:
    """Run all rounds and print the result."""
    rounds: dict[str, list[dict]] = {name: [] for name in CONTESTANTS}
    for number in range(1, n_rounds + 1):
        for name in CONTESTANTS:
            before = os.getloadavg()[0]
            rounds[name].append(measure(name, file))
            print(f"round {number}: {name} (load before: {before:.1f})", flush=True)
    report(rounds, len(rounds["usual"][0]["sums"]))
    return compare(rounds)


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="a parquet file of Bengali.AI's form")
    parser.add_argument("--rows", type=int, default=ROWS, help="of a made file (50210)")
    parser.add_argument("--rounds", type=int, default=1, help="each counts (1)")
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--to", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        run_contestant(options.contestant, options.file, options.to)
        return 0
    if options.file:
        return 0 if compete(options.file, options.rounds) else 1
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train_image_data_0.parquet"
        print(f"making {options.rows:,} rows ...", flush=True)
        make_file(file, options.rows)
        return 0 if compete(file, options.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
