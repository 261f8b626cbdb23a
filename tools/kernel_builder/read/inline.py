"""Installed pure-Python packages that a kernel carries along (`--inline PACKAGE`).

For packages that the Kaggle image lacks, for example `iterative-stratification`. They
are taken from the environment the tool runs in. Compiled packages cannot travel as
source; the refusal names the file.
"""

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from kernel_builder.errors import UsageError

_COMPILED: Final = (".so", ".pyd", ".dylib", ".dll", ".a", ".o")
_KEPT: Final = ("METADATA", "entry_points.txt", "top_level.txt")
_LICENCES: Final = ("LICEN", "COPYING", "NOTICE", "AUTHORS")


def locate_packages(names: Sequence[str]) -> dict[str, Path]:
    """Find the import names of installed packages, each with the folder it lies in.

    A name may be that of the distribution (`iterative-stratification`) or the one that
    is imported (`iterstrat`).

    Raises:
        UsageError: a package is not installed, is part of the standard library, or
            holds compiled files.
    """
    located: dict[str, Path] = {}
    for name in names:
        for top, folder in _locate(name).items():
            _refuse_compiled(name, top, folder)
            located[top] = folder
    return located


def metadata_files(names: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Give each package's metadata and licences: (place on sys.path, file).

    With them `importlib.metadata.version(...)` works inside the kernel, and the licence
    goes with the code it covers.
    """
    for name in names:
        found = _distribution(name)
        for file in (found.files or []) if found is not None else []:
            info = file.parts[0].endswith((".dist-info", ".egg-info"))
            kept = file.name in _KEPT or file.name.upper().startswith(_LICENCES)
            path = Path(str(file.locate()))
            if info and kept and path.is_file():
                yield file.as_posix(), path


def _locate(name: str) -> dict[str, Path]:
    if name in sys.stdlib_module_names:
        raise UsageError(f"--inline {name}: part of Python, it is there on Kaggle too")
    found = _distribution(name)
    tops = _top_names(found) if found is not None else [name]
    folders = {top: folder for top in tops if (folder := _folder_of(top)) is not None}
    if not folders:
        raise UsageError(
            f"--inline {name}: not installed in {sys.prefix}; install it there "
            f"(pip install {name}) or give its folder's parent with --path"
        )
    return folders


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        owners = importlib.metadata.packages_distributions().get(name, [])
        return importlib.metadata.distribution(owners[0]) if owners else None


def _top_names(found: importlib.metadata.Distribution) -> list[str]:
    """Give what a distribution lets one import: from top_level.txt or its files."""
    listed = (found.read_text("top_level.txt") or "").split()
    if listed:
        return [name for name in listed if name.isidentifier()]
    tops = set()
    for file in found.files or []:
        first = file.parts[0]
        if len(file.parts) == 1 and first.endswith(".py"):
            tops.add(first.removesuffix(".py"))
        elif len(file.parts) > 1 and file.suffix in (".py", *_COMPILED):
            tops.add(first)
    return sorted(
        top for top in tops if top.isidentifier() and not top.startswith("__editable__")
    )


def _folder_of(top: str) -> Path | None:
    """Find the folder that contains a top-level module, without importing it."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve().parent
    if spec.origin and spec.origin not in ("built-in", "frozen"):
        return Path(spec.origin).resolve().parent
    return None


def _refuse_compiled(name: str, top: str, folder: Path) -> None:
    package = folder / top
    files = sorted(package.rglob("*")) if package.is_dir() else []
    files += sorted(folder.glob(f"{top}.*"))
    for file in files:
        if file.suffix in _COMPILED and file.is_file():
            raise UsageError(
                f"--inline {name}: {file.relative_to(folder).as_posix()} is compiled "
                "machine code, only pure-Python packages can be inlined. Attach its "
                "wheel as a dataset and pip install --no-index it, or use what the "
                "Kaggle image has"
            )
