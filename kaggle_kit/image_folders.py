"""Folders of preprocessed images: written whole or not at all."""

import shutil
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2

from kaggle_kit.image_files import FILES_THREADS, ImageArray


def write_image_folder(
    folder: str | Path,
    parts: Iterable[tuple[Sequence[str], ImageArray]],
    suffix: str = ".png",
    force: bool = False,
    threads: int = FILES_THREADS,
    log: Callable[[str], None] = print,
) -> Path:
    """Write a folder of image files, whole or not at all.

    Args:
        folder: must not exist; `list_image_files` and `read_image_files` read it again.
        parts: names and images, (N, H, W) or (N, H, W, 3) uint8 as rgb, block by
            block, so that they need not lie in memory together.
        suffix: ".png" keeps every pixel as it is.
        force: Replace a folder that exists.
        threads: that encode.
        log: told how many were written.

    Raises:
        FileExistsError: the folder exists.
        ValueError: a name is there twice or is no file name, there are not as many
            names as images, or OpenCV cannot write the suffix.
    """
    folder = Path(folder)
    if folder.exists() and not force:
        raise FileExistsError(
            f"{folder} exists; delete it, or replace it by force=True"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    partial.mkdir()
    known: set[str] = set()
    try:
        with ThreadPoolExecutor(max(1, threads)) as pool:
            for names, images in parts:
                _folder_check_names(names, images, known)
                paths = [partial / f"{name}{suffix}" for name in names]
                list(pool.map(_folder_write, paths, images))
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    log(f"{len(known):,} images in {folder}")
    return folder


def _folder_check_names(
    names: Sequence[str], images: ImageArray, known: set[str]
) -> None:
    if len(names) != len(images):
        raise ValueError(f"{len(names)} names for {len(images)} images")
    for name in names:
        if not name or Path(name).name != name or name in (".", ".."):
            raise ValueError(f"{name!r} is no file name")
        if name in known:
            raise ValueError(f"the name {name!r} is there twice")
        known.add(name)


def _folder_write(path: Path, image: ImageArray) -> None:
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(path.suffix, bgr)
    except cv2.error as error:
        raise ValueError(f"OpenCV cannot write {path.suffix!r} files") from error
    if not done:
        raise ValueError(f"{path.name} could not be encoded")
    path.write_bytes(data.tobytes())
