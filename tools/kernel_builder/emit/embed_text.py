"""Write any file as Python source that reads like the file and gives it back exactly.

A text becomes a raw string in triple quotes, so every line stands in the built kernel
as it stands in the file, on a line of its own. A text with both kinds of triple quotes
changes from one to the other at a line's start. Only what Python source cannot hold (a
NUL, a lone carriage return) is escaped, line by line, and only bytes that are no text
become base64.
"""

import base64
import re
from dataclasses import dataclass
from typing import Final

_QUOTES: Final = ("'''", '"""')
# \x0c is an ordinary sight in old sources; the rest of C0 means "this is not text".
_BINARY: Final = re.compile("[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")
_COOKIE: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")


@dataclass(frozen=True, slots=True)
class Literal:
    """Source lines whose value is a line break and then a file's text.

    `lines[0]` only opens the quotes; `lines[k]` shows line k of the file (not for
    base64). `options` are the further arguments that the kernel's writer needs.
    """

    lines: tuple[str, ...]
    options: tuple[str, ...] = ()
    readable: bool = True


def quote_bytes(data: bytes) -> Literal:
    """Choose the most readable form that gives exactly `data` back."""
    decoded = _decode(data)
    if decoded is None:
        return _base64(data)
    text, options = decoded
    if not text:
        return Literal(("''",), options)
    return Literal(tuple(quote_text("\n" + text)), options)


def quote_text(text: str) -> list[str]:
    r"""Give the lines of a Python expression (inside brackets) equal to `text`.

    >>> print("\n".join(quote_text("\nx = 1\n")))
    r'''
    x = 1
    '''
    """
    if "\r" in text or _BINARY.search(text):
        return _escaped(text)
    for quote in _QUOTES:
        if quote not in text and _may_end(text, quote):
            return f"r{quote}{text}{quote}".split("\n")
    return " ".join(_pieces(text)).split("\n")


def _decode(data: bytes) -> tuple[str, tuple[str, ...]] | None:
    """Decode to a text with plain line ends and the writer's options, if exact."""
    for encoding in ("utf-8", _declared(data)):
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        options = () if encoding == "utf-8" else (f"encoding={encoding!r}",)
        plain = text.replace("\r\n", "\n")
        if text.encode(encoding) != data:
            continue
        if "\r" in text and plain.replace("\n", "\r\n") == text:
            return plain, (*options, 'newline="\\r\\n"')
        if len(_BINARY.findall(text)) > len(text) // 100:
            return None
        return text, options
    return None


def _declared(data: bytes) -> str:
    """Name the encoding in a source's coding comment; one that always fails if none."""
    for line in data.split(b"\n", 2)[:2]:
        found = _COOKIE.match(line)
        if found:
            return found.group(1).decode("ascii", "replace")
    return "utf-8"


def _may_end(text: str, quote: str) -> bool:
    """Say whether the closing quotes may follow `text` in a raw string."""
    slashes = len(text) - len(text.rstrip("\\"))
    return slashes % 2 == 0 and not text.endswith(quote[0])


def _pieces(text: str) -> list[str]:
    """Cut a text with both triple quotes into raw strings, at line starts if possible.

    Each piece takes the quotes that carry it farthest. Where not even one line's rest
    can be a raw string, that rest is an escaped one.
    """
    pieces = []
    start = 0
    while start < len(text):
        reach = {quote: _reach(text, quote, start) for quote in _QUOTES}
        quote = max(_QUOTES, key=lambda quote: reach[quote])
        stop = _cut(text, start, reach[quote], quote)
        if stop == start:
            stop = text.find("\n", start) + 1 or len(text)
            # A line break cannot be shown as one here, or the lines would be one off.
            pieces.append(repr(text[start:stop].removesuffix("\n")))
            stop -= text[start:stop].endswith("\n")
        else:
            pieces.append(f"r{quote}{text[start:stop]}{quote}")
        start = stop
    return pieces


def _reach(text: str, quote: str, start: int) -> int:
    found = text.find(quote, start)
    return len(text) if found < 0 else found


def _cut(text: str, start: int, reach: int, quote: str) -> int:
    """Find where a raw piece that could go up to `reach` should end."""
    if reach == len(text) and _may_end(text[start:], quote):
        return reach
    line_start = text.rfind("\n", start, reach) + 1
    if line_start > start:
        return line_start
    while reach > start and not _may_end(text[start:reach], quote):
        reach -= 1
    return reach


def _escaped(text: str) -> list[str]:
    """Write each line as an escaped string: source cannot hold a CR or a NUL."""
    return [repr(line) for line in re.findall(r"[^\n]*\n|[^\n]+", text)]


def _base64(data: bytes) -> Literal:
    lines = base64.encodebytes(data).decode("ascii").split("\n")
    return Literal(("'''", *lines[:-1], "'''"), ('encoding="base64"',), readable=False)
