"""What a training kernel hands on: settings, and files that must arrive as written.

An inference kernel that is attached to another's output gets the last version that
completed. The manifest tells it how the weights were made, and that they are whole.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kaggle_kit.paths import atomic_file

_MANIFEST_FILES = "files"
_MANIFEST_BLOCK = 1 << 20


class ManifestError(RuntimeError):
    """A manifest, or a file it names, that cannot be used."""


def write_manifest(
    path: str | Path, files: Iterable[str | Path], **entries: object
) -> Path:
    """Write a manifest as JSON, atomically.

    Args:
        path: The manifest; the files lie in its folder.
        files: Existing files in that folder; their sizes and hashes are kept.
        entries: Settings: anything JSON can hold.

    Raises:
        ValueError: A file lies elsewhere, or an entry is no JSON (NaN).
        FileNotFoundError: A file is not there.
    """
    path = Path(path)
    kept: dict[str, dict[str, object]] = {}
    for file in map(Path, files):
        if file.resolve().parent != path.resolve().parent:
            raise ValueError(f"{file} does not lie in the manifest's folder, {path}")
        kept[file.name] = _manifest_fingerprint(file)
    text = json.dumps({_MANIFEST_FILES: kept, **entries}, indent=2, allow_nan=False)
    with atomic_file(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def read_manifest(path: str | Path) -> tuple[dict[str, Any], list[Path]]:
    """Read a manifest and prove that its files are those that were written.

    Returns:
        The settings, and the paths of the files in their order.

    Raises:
        FileNotFoundError: There is no manifest; the message lists its folder.
        ManifestError: It is broken, or a file is missing or has changed.
    """
    path = Path(path)
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*"))[:12]
        raise FileNotFoundError(
            f"{path} is not there; its folder holds: {', '.join(there) or 'nothing'}. "
            "Run the kernel that writes it to its end, and attach its output"
        )
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        files: dict[str, dict[str, object]] = dict(entries.pop(_MANIFEST_FILES))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{path} is no manifest: {error}") from error
    paths = [path.parent / name for name in files]
    wrong = [problem for p in paths if (problem := _manifest_problem(p, files[p.name]))]
    if wrong:
        raise ManifestError(
            f"{path} does not fit its folder: {'; '.join(wrong)}. Attach the output of "
            "one complete run"
        )
    return entries, paths


def _manifest_fingerprint(path: Path) -> dict[str, object]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_MANIFEST_BLOCK):
            digest.update(block)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def _manifest_problem(path: Path, wanted: dict[str, object]) -> str:
    if not path.is_file():
        return f"{path.name} is missing"
    if path.stat().st_size != wanted["bytes"]:
        return f"{path.name} has {path.stat().st_size} bytes, not {wanted['bytes']}"
    if _manifest_fingerprint(path) != wanted:
        return f"the content of {path.name} has changed"
    return ""
