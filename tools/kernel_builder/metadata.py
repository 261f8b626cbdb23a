"""kernel-metadata.json: read it, and write it back with every flag explicit."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kernel_builder.errors import UsageError

FILE_NAME: Final = "kernel-metadata.json"
KERNEL_TYPES: Final = ("script", "notebook")

# What the client sends for a missing key. enable_internet is the exception: the client
# sends true although its documentation says false; the tool writes the documented one.
_DEFAULTS: Final[dict[str, Any]] = {
    "language": "python",
    "is_private": True,
    "enable_gpu": False,
    "enable_tpu": False,
    "enable_internet": False,
    "keywords": [],
    "dataset_sources": [],
    "competition_sources": [],
    "kernel_sources": [],
    "model_sources": [],
}
_ORDER: Final = ("id", "id_no", "title", "code_file", "language", "kernel_type")


@dataclass(frozen=True)
class KernelMetadata:
    """The metadata of one kernel as it was read, unknown keys included."""

    raw: dict[str, Any]
    path: Path

    @property
    def kernel_id(self) -> str:
        """`owner/slug`, or an empty string."""
        return str(self.raw.get("id") or "")

    @property
    def owner(self) -> str:
        """The part of the id before the slash, or an empty string."""
        owner, slash, _ = self.kernel_id.partition("/")
        return owner if slash else ""

    @property
    def slug(self) -> str:
        """The part of the id after the slash, or the whole of a bare slug."""
        owner, slash, rest = self.kernel_id.partition("/")
        return rest if slash else owner

    @property
    def code_file(self) -> str:
        """The name of the source file, relative to the metadata's folder."""
        return str(self.raw.get("code_file") or "")

    @property
    def kernel_type(self) -> str:
        """`script` or `notebook`; script when missing or unknown."""
        value = self.raw.get("kernel_type")
        return value if value in KERNEL_TYPES else "script"


def load_metadata(path: Path) -> KernelMetadata:
    """Read kernel-metadata.json at `path`.

    Raises:
        UsageError: the file is missing, unreadable, not UTF-8, not JSON, or not an
            object.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 (byte {error.start})") from None
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}:{error.lineno}:{error.colno}: not JSON: {error.msg}"
        ) from None
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: must hold a JSON object, not {type(raw).__name__}")
    return KernelMetadata(raw=raw, path=path)


def normalised(
    metadata: KernelMetadata, code_file: str, kernel_type: str
) -> dict[str, Any]:
    """Give the metadata with every flag explicit, for the built kernel.

    Keys that the tool does not know are kept: Kaggle ignores them, and `check` says so.
    """
    filled = {**_DEFAULTS, **metadata.raw}
    filled["code_file"] = code_file
    filled["kernel_type"] = kernel_type
    first = [key for key in _ORDER if key in filled]
    return {key: filled[key] for key in [*first, *sorted(filled.keys() - set(first))]}


def to_json(metadata: dict[str, Any]) -> str:
    """Give the text of a kernel-metadata.json file."""
    return json.dumps(metadata, indent=2, ensure_ascii=False) + "\n"
