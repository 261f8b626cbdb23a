"""Which kernel is meant, and where its own modules may be found."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kernel_builder.errors import UsageError
from kernel_builder.metadata import FILE_NAME, KernelMetadata, load_metadata

KIT: Final = "kaggle_kit"


@dataclass(frozen=True)
class Project:
    """A kernel and the places that hold first-party code.

    `kernel` is the folder or file as given, `entry` the absolute path of its source.
    `search` lists the folders whose modules and packages are first-party: the entry's
    own, then every `--path`. `named` holds single packages found elsewhere: kaggle_kit
    and those of `--inline`, each with the folder that contains it. `root` is the top of
    the git work tree, or the entry's folder: file labels are relative to it.
    """

    kernel: Path
    entry: Path
    slug: str
    root: Path
    metadata: KernelMetadata | None
    search: tuple[Path, ...]
    named: Mapping[str, Path] = field(default_factory=dict)
    inline: tuple[str, ...] = ()

    def label(self, path: Path) -> str:
        """Name `path` in the same way on every machine, with forward slashes."""
        for name, folder in self.named.items():
            if path.is_relative_to(folder / name) or path == folder / f"{name}.py":
                return path.relative_to(folder).as_posix()
        for base in (self.root, *self.search):
            if path.is_relative_to(base):
                return path.relative_to(base).as_posix()
        return path.name


def load_project(
    kernel: str | Path, paths: Sequence[str | Path] = (), inline: Sequence[str] = ()
) -> Project:
    """Find the kernel's source, its metadata and its search folders.

    Raises:
        UsageError: there is no such kernel, its metadata is malformed, a `--path` is
            not a folder, or an `--inline` package is not installed or not pure Python.
    """
    given = Path(kernel)
    folder = _absolute(given)
    metadata = _find_metadata(given, folder)
    entry = _entry_of(folder, metadata) if folder.is_dir() else folder
    _check_entry(entry)
    search = [entry.parent, *(_folder(path) for path in paths)]
    named = dict(_kit_folder(search))
    if inline:
        # Looking at installed distributions is slow; few builds need it.
        from kernel_builder.read.inline import locate_packages

        named.update(locate_packages(inline))
    return Project(
        kernel=given,
        entry=entry,
        slug=(metadata.slug if metadata else "") or slugify(entry.stem),
        root=_root(entry.parent),
        metadata=metadata,
        search=tuple(dict.fromkeys(search)),
        named=named,
        inline=tuple(inline),
    )


def slugify(title: str) -> str:
    """Give the slug that Kaggle makes of a title: `My kernel_2` is `my-kernel-2`."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "kernel"


def _absolute(path: Path) -> Path:
    """Make absolute without following links: a linked kernel keeps its own folder."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links


def _find_metadata(given: Path, path: Path) -> KernelMetadata | None:
    if path.is_dir():
        if not (path / FILE_NAME).exists():
            raise UsageError(
                f"{given}: no {FILE_NAME} in this folder. Give the kernel's .py file, "
                f"or write {FILE_NAME} with at least id, title and code_file."
            )
        return load_metadata(path / FILE_NAME)
    beside = path.parent / FILE_NAME
    if beside.is_file():
        metadata = load_metadata(beside)
        # A bare script in a folder whose metadata names another file has none.
        return metadata if metadata.code_file == path.name else None
    return None


def _entry_of(folder: Path, metadata: KernelMetadata | None) -> Path:
    given = metadata.raw.get("code_file") if metadata else None
    if given is not None and not isinstance(given, str):
        raise UsageError(
            f"{folder / FILE_NAME}: code_file must be the name of a file: a string, "
            f"not {json.dumps(given)[:60]}"
        )
    code_file = metadata.code_file if metadata else ""
    if not code_file:
        raise UsageError(
            f"{folder / FILE_NAME}: no code_file; write the name of the kernel's .py"
        )
    return _absolute(folder / code_file)


def _check_entry(entry: Path) -> None:
    if entry.suffix == ".ipynb":
        raise UsageError(
            f"{entry}: a notebook cannot be the source. Write the kernel as a .py file "
            "with `# %%` cells and build it with --type notebook."
        )
    try:
        missing = not entry.is_file()
        # is_file() swallows a link loop; say what it is instead of "missing".
        entry.stat()
    except OSError as error:
        raise UsageError(f"{entry}: cannot be read: {error.strerror}") from None
    if missing:
        raise UsageError(f"{entry}: not a file")
    if entry.suffix != ".py":
        raise UsageError(f"{entry}: the kernel's source must be a .py file")


def _folder(path: str | Path) -> Path:
    folder = _absolute(Path(path))
    if not folder.is_dir():
        raise UsageError(f"--path {path}: not a folder")
    return folder


def _kit_folder(search: Sequence[Path]) -> Mapping[str, Path]:
    """Find kaggle_kit: in a search folder, beside the tool, or installed."""
    for folder in search:
        if (folder / KIT / "__init__.py").is_file() or (folder / f"{KIT}.py").is_file():
            return {}  # the search folders come first, as they would on sys.path
    beside = Path(__file__).resolve().parents[2]
    if (beside / KIT / "__init__.py").is_file():
        return {KIT: beside}
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec(KIT)
    if spec is not None and spec.origin is not None:
        return {KIT: Path(spec.origin).resolve().parents[1]}
    return {}


def _root(folder: Path) -> Path:
    for candidate in (folder, *folder.parents):
        if (candidate / ".git").exists():
            return candidate
    return folder
