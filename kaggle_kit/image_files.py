"""Images from files: a table of names, a folder and a suffix -> uint8 arrays.

All files that are missing, broken or of another size are named together. What does not
fit into memory goes through `kaggle_kit.file_batches`.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

ImageColour = Literal["grey", "rgb"]
ImageArray = npt.NDArray[np.uint8]

FILES_THREADS = 4  # Kaggle's machines have four cores
_FILES_SHOWN = 50
_FILES_JPEG, _FILES_JPEG_SCAN, _FILES_JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"


class ImageFileError(ValueError):
    """Image files that cannot be used.

    Attributes:
        problems: what is wrong, by path.
    """

    def __init__(self, problems: dict[Path, str], total: int) -> None:
        self.problems = problems
        lines = [f"  {path}: {text}" for path, text in problems.items()]
        if len(lines) > _FILES_SHOWN:
            more = len(lines) - _FILES_SHOWN
            lines = [*lines[:_FILES_SHOWN], f"  and {more:,} more"]
        super().__init__(
            f"{len(problems):,} of {total:,} image files cannot be used:\n"
            + "\n".join(lines)
        )


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """Image files with their labels.

    Attributes:
        names: (N,) str as in the table.
        paths: N paths.
        labels: (N,) for one label column, (N, L) for several, None without; int64 or
            float32.
    """

    names: npt.NDArray[Any]
    paths: tuple[Path, ...]
    labels: npt.NDArray[Any] | None

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: npt.NDArray[Any]) -> "ImageFiles":
        """Some of the files, by number or by a mask: for example one fold."""
        chosen = np.arange(len(self))[rows]
        return ImageFiles(
            self.names[chosen],
            tuple(self.paths[i] for i in chosen),
            None if self.labels is None else self.labels[chosen],
        )


def list_image_files(
    table: pd.DataFrame,
    folder: str | Path,
    names: str,
    labels: str | Sequence[str] = (),
    suffix: str = "",
) -> ImageFiles:
    """Take names and labels from a table; nothing is read yet.

    Args:
        table: one row per image.
        folder: where the files are.
        names: column with the files' names, or their beginning.
        labels: one label column, several, or none.
        suffix: what the files' names have more than the column, such as ".png".

    Raises:
        ValueError: a column is missing, a name is empty or there twice, or a label is
            missing or no number.
    """
    columns = [labels] if isinstance(labels, str) else list(labels)
    absent = [name for name in (names, *columns) if name not in table.columns]
    if absent:
        raise ValueError(
            f"no column {absent[0]!r}; there are {', '.join(map(str, table.columns))}"
        )
    given = table[names].astype(str).to_numpy(dtype=object)
    missing = np.flatnonzero(table[names].isna() | (given == ""))
    if not len(given) or len(missing):
        what = f"row {missing[0]} has no name" if len(missing) else "no rows"
        raise ValueError(f"column {names}: {what}")
    if len(twice := pd.Index(given)[pd.Index(given).duplicated()].unique()):
        raise ValueError(f"column {names}: {_files_some(twice)} more than once")
    paths = tuple(Path(folder) / f"{name}{suffix}" for name in given)
    return ImageFiles(given, paths, _files_labels(table, columns))


def _files_labels(
    table: pd.DataFrame, columns: Sequence[str]
) -> npt.NDArray[Any] | None:
    if not columns:
        return None
    values = []
    for name in columns:
        column = table[name]
        if len(empty := np.flatnonzero(column.isna())):
            raise ValueError(
                f"column {name}: {len(empty)} labels are missing, first in row "
                f"{empty[0]}"
            )
        if not pd.api.types.is_numeric_dtype(column):
            raise ValueError(
                f"column {name}: labels are text such as {column.iloc[0]!r}; number "
                "the classes first: codes, classes = pandas.factorize(column)"
            )
        values.append(column.to_numpy())
    whole = all(value.dtype.kind in "iub" for value in values)
    array = np.stack(values, axis=1).astype(np.int64 if whole else np.float32)
    return array[:, 0] if len(columns) == 1 else array


def _files_some(values: Iterable[Any]) -> str:
    names = [str(value) for value in values]
    more = f" and {len(names) - 5:,} others" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


# --------------------------------------------------------------------------- decoding


def decode_image(
    path: Path, colour: ImageColour = "grey", size: tuple[int, int] | None = None
) -> ImageArray:
    """Read one image file.

    Args:
        path: of any format OpenCV knows.
        colour: "grey" or "rgb".
        size: height and width to resize to; None keeps the file's.

    Returns:
        (H, W) or (H, W, 3) uint8.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no image, or is cut off.
    """
    data = path.read_bytes()
    if not data:
        raise ValueError("is empty")
    cut = data.rfind(_FILES_JPEG_END) < data.rfind(_FILES_JPEG_SCAN)
    if data.startswith(_FILES_JPEG) and cut:
        raise ValueError("is cut off")  # OpenCV would fill the rest with grey
    flag = cv2.IMREAD_GRAYSCALE if colour == "grey" else cv2.IMREAD_COLOR
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error}") from error
    if image is None:
        raise ValueError("is no image that OpenCV can decode, or is cut off")
    if colour == "rgb":
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return np.asarray(image if size is None else resize_image(image, size), np.uint8)


def resize_image(image: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Resize to (height, width): averaging where it shrinks, else bilinear."""
    if image.shape[:2] == size:
        return image
    shrinks = size[0] < image.shape[0] and size[1] < image.shape[1]
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (size[1], size[0]), interpolation=kind)


def try_image(
    path: Path, colour: ImageColour, size: tuple[int, int] | None
) -> ImageArray | str:
    """The image, or what is wrong with its file."""
    try:
        return decode_image(path, colour, size)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except ValueError as error:
        return str(error)


def _files_decoded(
    paths: Sequence[Path],
    colour: ImageColour,
    size: tuple[int, int] | None,
    threads: int,
) -> Iterator[ImageArray | str]:
    """Decode in threads and in order, never more than a few images ahead."""
    if colour not in ("grey", "rgb"):
        raise ValueError(f"colour is {colour!r}; choose 'grey' or 'rgb'")
    with ThreadPoolExecutor(max(1, threads)) as pool:
        left = iter(paths)
        ahead: list[Future[ImageArray | str]] = []
        while True:
            wanted = islice(left, 64 * threads - len(ahead))
            ahead += [pool.submit(try_image, p, colour, size) for p in wanted]
            if not ahead:
                return
            ready, ahead = ahead[:16], ahead[16:]
            for future in ready:
                yield future.result()


def check_image_files(
    files: ImageFiles,
    colour: ImageColour = "grey",
    size: tuple[int, int] | None = None,
    threads: int = FILES_THREADS,
) -> tuple[int, int]:
    """Decode every file once and name all that cannot be used.

    Args:
        files: from `list_image_files`.
        colour: "grey" or "rgb".
        size: height and width to resize to; None: all must have the first one's.
        threads: that decode.

    Returns:
        Height and width of the images.

    Raises:
        ImageFileError: files are missing, broken or of another size.
    """
    found = size
    problems: dict[Path, str] = {}
    decoded = _files_decoded(files.paths, colour, size, threads)
    for path, image in zip(files.paths, decoded, strict=True):
        if isinstance(image, str):
            problems[path] = image
            continue
        found = found or (image.shape[0], image.shape[1])
        if image.shape[:2] != found:
            problems[path] = other_size(image, found)
    if problems or found is None:
        raise ImageFileError(problems, len(files))
    return found


def other_size(image: ImageArray, wanted: tuple[int, int]) -> str:
    """Say that an image has another height and width than wanted."""
    return (
        f"is {image.shape[0]} x {image.shape[1]}, others are "
        f"{wanted[0]} x {wanted[1]}; give a size to resize to"
    )


def read_image_files(
    files: ImageFiles,
    colour: ImageColour = "grey",
    size: tuple[int, int] | None = None,
    threads: int = FILES_THREADS,
) -> ImageArray:
    """Read all images into one array, for `DeviceBatches`.

    Args:
        files: from `list_image_files`.
        colour: "grey" or "rgb".
        size: height and width to resize to; None: all must have the first one's.
        threads: that decode.

    Returns:
        (N, H, W) uint8, or (N, H, W, 3) for rgb.

    Raises:
        ImageFileError: names every file that cannot be used.
    """
    images: ImageArray | None = None
    problems: dict[Path, str] = {}
    decoded = _files_decoded(files.paths, colour, size, threads)
    for i, (path, image) in enumerate(zip(files.paths, decoded, strict=True)):
        if isinstance(image, str):
            problems[path] = image
            continue
        if images is None:
            images = np.empty((len(files), *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            problems[path] = other_size(image, images.shape[1:3])
        elif not problems:
            images[i] = image
    if problems or images is None:
        raise ImageFileError(problems, len(files))
    return images
