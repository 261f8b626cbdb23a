"""Read Python source files exactly as Python would, or say why that is impossible."""

import ast
import hashlib
import re
import sys
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from kernel_builder.errors import UsageError

# PEP 263: a comment in one of the first two lines; a code line ends the search.
_COOKIE: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK: Final = re.compile(rb"^[ \t\f]*(?:#.*)?$")
_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class Source:
    """One decoded source file.

    `text` has plain newlines as line ends. `encoding` is the one the file declares,
    `utf-8` if none. `sha256` is that of the file's bytes.
    """

    path: Path
    label: str
    text: str
    encoding: str
    sha256: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines as Python counts them: a form feed or U+2028 ends none."""
        return self.text.split("\n")


def read_source(path: Path, label: str) -> Source:
    """Read and decode one file.

    Raises:
        UsageError: the file is missing or unreadable, starts with a byte order mark,
            is not in the encoding it declares, or holds null bytes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{label}: cannot be read: {error.strerror}") from None
    if data.startswith(_BOM):
        raise UsageError(
            f"{label}: starts with a byte order mark (BOM); save it as plain UTF-8"
        )
    encoding = _encoding(data)
    text = _decode(data, encoding, label)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UsageError(f"{label}:{line}: holds a null byte; this is not a text file")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return Source(path, label, text, encoding, hashlib.sha256(data).hexdigest())


def parse_source(source: Source) -> ast.Module:
    """Parse a source file.

    Raises:
        UsageError: a syntax error, with file, line and a caret under the place.
    """
    try:
        with warnings.catch_warnings():
            # Python itself warns about invalid escapes when the kernel runs.
            warnings.simplefilter("ignore")
            return ast.parse(source.text, source.label)
    except SyntaxError as error:
        raise UsageError(syntax_message(error, source.label) + _age()) from None
    except (RecursionError, MemoryError):
        raise UsageError(f"{source.label}: nested too deeply to be parsed") from None
    except ValueError as error:
        raise UsageError(f"{source.label}: cannot be parsed: {error}") from None


def check_compiles(source: Source, tree: ast.Module) -> None:
    """Find the errors that only the compiler sees, such as a `return` in no function.

    Raises:
        UsageError: the file does not compile, with file, line and a caret.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(tree, source.label, "exec", dont_inherit=True)
    except SyntaxError as error:
        if error.text is None and error.lineno and error.lineno <= len(source.lines):
            error.text = source.lines[error.lineno - 1]
        raise UsageError(syntax_message(error, source.label)) from None
    except (RecursionError, MemoryError, ValueError) as error:
        raise UsageError(f"{source.label}: cannot be compiled: {error}") from None


def sha256_of(path: Path) -> str:
    """Give the hash of a file's bytes, empty if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def syntax_message(error: SyntaxError, label: str) -> str:
    """Say where a syntax error is, as Python does: file, line, text, caret."""
    message = f"{label}:{error.lineno}: syntax error: {error.msg}"
    if error.text is None:
        return message
    text = error.text.rstrip("\n").replace("\t", " ").replace("\f", " ")
    shown = text.lstrip()
    indent = len(text) - len(shown)
    start = max((error.offset or 1) - 1 - indent, 0)
    same_line = error.end_lineno == error.lineno
    end = max((error.end_offset or 0) - 1 - indent if same_line else 0, start + 1)
    width = min(end, max(len(shown), start + 1)) - start
    return f"{message}\n    {shown}\n    {' ' * start}{'^' * width}"


def _age() -> str:
    """Say so where the tool runs under a Python older than Kaggle's."""
    if sys.version_info >= (3, 12):
        return ""
    read = f"{sys.version_info.major}.{sys.version_info.minor}"
    return (
        f"\n    (read as Python {read}; newer syntax needs a newer one to run the tool)"
    )


def _encoding(data: bytes) -> str:
    for line in data.split(b"\n", 2)[:2]:
        line = line.rstrip(b"\r")
        match = _COOKIE.match(line)
        if match:
            return match.group(1).decode("ascii")
        if not _BLANK.match(line):
            break
    return "utf-8"


def _decode(data: bytes, encoding: str, label: str) -> str:
    try:
        return data.decode(encoding)
    except LookupError:
        raise UsageError(f"{label}: unknown encoding {encoding!r}") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{label}:{line}: byte 0x{data[error.start]:02x} is not {encoding}; "
            "save the file as UTF-8"
        ) from None
