"""Images kept on disk, to be made once and read in a second: npy, feather, parquet.

The suffix says which. `.npy` is the fastest and can be mapped into memory; a file
`NAME.npy.json` beside it holds the ids. `.feather` and `.parquet` hold one column of
bytes per image and are smaller. A cache is written whole or not at all, and knows the
`key` of what it was made from, so that other settings never meet old images.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq

from kaggle_kit.image_tables import ImageTable, table_ids
from kaggle_kit.paths import atomic_file

CACHE_SUFFIXES = (".npy", ".feather", ".parquet")
_CACHE_FORMAT = b"kaggle_kit images 1"


class ImageCacheError(ValueError):
    """A cache cannot be used; the message says why and what to do."""


def _cache_suffix(path: Path) -> str:
    if path.suffix not in CACHE_SUFFIXES:
        raise ValueError(
            f"{path}: the suffix {path.suffix!r} is no kind of cache; give one of "
            f"{', '.join(CACHE_SUFFIXES)}"
        )
    return path.suffix


def _cache_ids_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _cache_write_npy(path: Path, table: ImageTable, key: str) -> None:
    # The images go first and come last: whoever finds them finds their own ids.
    path.unlink(missing_ok=True)
    with atomic_file(_cache_ids_path(path)) as temporary:
        words = {"key": key, "ids": table.ids.tolist()}
        temporary.write_text(json.dumps(words), encoding="utf-8")
    with atomic_file(path) as temporary:
        np.save(temporary, table.images, allow_pickle=False)


def _cache_arrow(table: ImageTable, key: str) -> pa.Table:
    images = np.ascontiguousarray(table.images)
    n, height, width = images.shape
    size = pa.binary(height * width)
    pixels = pa.Array.from_buffers(size, n, [None, pa.py_buffer(images)])
    about = {
        b"format": _CACHE_FORMAT,
        b"key": key.encode(),
        b"size": f"{height} {width}".encode(),
    }
    ids = pa.array(table.ids.tolist(), pa.string())
    columns = pa.table({"image_id": ids, "image": pixels})
    return columns.replace_schema_metadata(about)


def write_image_cache(path: str | Path, table: ImageTable, key: str = "") -> None:
    """Write images and ids, whole or not at all.

    Args:
        path: `.npy`, `.feather` or `.parquet`; its folder is created when missing.
        table: what to keep.
        key: whatever the images depend on, such as the settings and the sources.

    Raises:
        ValueError: another suffix.
    """
    path = Path(path)
    suffix = _cache_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == ".npy":
        _cache_write_npy(path, table, key)
        return
    columns = _cache_arrow(table, key)
    with atomic_file(path) as temporary:
        if suffix == ".feather":
            pa_feather.write_feather(columns, str(temporary), compression="lz4")
        else:
            pq.write_table(columns, temporary, use_dictionary=["image_id"])


def _cache_read_npy(path: Path, mmap: bool) -> tuple[ImageTable, str]:
    words = json.loads(_cache_ids_path(path).read_text(encoding="utf-8"))
    images = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    if images.dtype != np.uint8 or images.ndim != 3:
        raise ValueError(f"holds {images.dtype} of shape {images.shape}, not images")
    return ImageTable(table_ids(words["ids"], str(path)), images), str(words["key"])


def _cache_read_arrow(path: Path) -> tuple[ImageTable, str]:
    if path.suffix == ".feather":
        columns = pa_feather.read_table(path, memory_map=False)
    else:
        columns = pq.read_table(path)
    columns.validate(full=True)  # pyarrow trusts a feather file and may crash on it
    about = columns.schema.metadata or {}
    if about.get(b"format") != _CACHE_FORMAT:
        raise ValueError("was not written by write_image_cache")
    height, width = map(int, about[b"size"].split())
    images = np.empty((len(columns), height, width), np.uint8)
    start = 0
    for piece in columns.column("image").chunks:
        part = images[start : start + len(piece)]
        skip = piece.offset * height * width
        pixels = np.frombuffer(piece.buffers()[1], np.uint8, offset=skip)
        part[:] = pixels[: part.size].reshape(part.shape)
        start += len(piece)
    ids = table_ids(columns.column("image_id").to_pylist(), str(path))
    return ImageTable(ids, images), about[b"key"].decode()


def read_image_cache(path: str | Path, key: str = "", mmap: bool = False) -> ImageTable:
    """Read what `write_image_cache` wrote.

    Args:
        path: of the cache.
        key: as when it was written.
        mmap: leave the images of a `.npy` on disk until they are used; they are then
            read-only.

    Raises:
        FileNotFoundError: no such file.
        ImageCacheError: another key, or broken.
        ValueError: another suffix.
    """
    path = Path(path)
    suffix = _cache_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such cache")
    try:
        npy = suffix == ".npy"
        table, found = _cache_read_npy(path, mmap) if npy else _cache_read_arrow(path)
    except MemoryError:
        raise
    except Exception as e:  # bytes of any kind raise errors of any kind
        reason = (str(e).strip().splitlines() or [repr(e)])[0]
        raise ImageCacheError(
            f"{path}: this cache is broken ({reason}); delete it, and it is made again"
        ) from None
    if found != key:
        raise ImageCacheError(
            f"{path}: this cache was made for {found!r}, not for {key!r}; delete it, "
            "or give another path"
        )
    return table


def source_key(*paths: str | Path) -> str:
    """What sources are, for the `key` of a cache: names, sizes, times of change."""
    parts = []
    for path in map(Path, paths):
        about = path.stat()
        parts.append(f"{path.name} {about.st_size} {about.st_mtime_ns}")
    return "; ".join(parts)


def cached_images(
    path: str | Path,
    make: Callable[[], ImageTable],
    key: str = "",
    mmap: bool = False,
    log: Callable[[str], None] = print,
) -> ImageTable:
    """Read a cache, or make the images and write it.

    A cache of another key, or a broken one, is made again.

    Args:
        path: of the cache.
        make: gives the images.
        key: whatever the images depend on, see `source_key`.
        mmap: see `read_image_cache`.
        log: gets a line that says which of both happened.
    """
    path = Path(path)
    started = time.perf_counter()
    table = None
    try:
        table = read_image_cache(path, key, mmap)
    except FileNotFoundError:
        pass
    except ImageCacheError as error:
        log(f"made again: {error}")
    verb = "read"
    if table is None:
        table, verb = make(), "made and written"
        write_image_cache(path, table, key)
    spent = time.perf_counter() - started
    log(f"{path.name}: {len(table):,} images {verb} in {spent:.1f} s")
    return table
