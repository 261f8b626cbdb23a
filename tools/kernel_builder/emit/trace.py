"""Print a traceback or a Kaggle log with the original files, lines and text.

LOG is a file, or `-` for standard input: a traceback, or a Kaggle log as text or as its
JSON array. The source map is found beside LOG, beside the built kernel, or by --map.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Final

from kernel_builder.emit.emitted import Origin
from kernel_builder.emit.source_map import SourceMap, from_json
from kernel_builder.errors import UsageError

_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_FRAME: Final = re.compile(
    r'^(?P<indent>\s*)File "(?P<path>[^"]+)", line (?P<line>\d+)'
)
_PLACE: Final = re.compile(r"(?P<path>[^\s:\"'()]+\.py):(?P<line>\d+)(?=[:\s)]|$)")
_CELL: Final = re.compile(
    r"(?:Cell In|Input In |<ipython-input-|In )\[?\s?(?P<cell>\d+)[^,\n]*?, line "
    r"(?P<line>\d+)"
)
# IPython 7 names a file or an input, then points at the line with an arrow.
_INPUT: Final = re.compile(
    r"(?:/tmp/ipykernel_\d+/\d+\.py|<ipython-input-(?P<cell>\d+)-\w+>) in "
)
_ARROW: Final = re.compile(r"^-+> (?P<line>\d+) (?P<text>.*)$")
# What Kaggle and the rehearsal call the file, whatever its own name was.
_SCRIPT_NAMES: Final = ("script.py", "__script__.py")
_EMBED_FOLDER: Final = re.compile(r"[/\\]kaggle-embed-[^/\\]*[/\\](?P<rest>.+)$")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `trace`."""
    parser.add_argument("log", metavar="LOG", help="a file, or - for standard input")
    parser.add_argument(
        "--map", type=Path, metavar="FILE", help="the <stem>.map.json of the build"
    )


def run(args: argparse.Namespace) -> int:
    """Print the log with its places led back."""
    text = read_log(args.log)
    sys.stdout.write(map_log(text, find_map(args.log, args.map)))
    return 0


def read_log(name: str) -> str:
    """Read a log; Kaggle's JSON array becomes the text it holds.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from None
    return log_text(data.decode("utf-8", "replace"))


def log_text(text: str) -> str:
    """Give the text of a Kaggle log: a JSON array of pieces, or text already."""
    if not text.lstrip().startswith("["):
        return text
    try:
        pieces = json.loads(text)
    except json.JSONDecodeError:
        return _cut_log(text)
    if isinstance(pieces, list) and all(isinstance(piece, dict) for piece in pieces):
        return "".join(str(piece.get("data", "")) for piece in pieces)
    return text


def _cut_log(text: str) -> str:
    """Read what there is of a JSON log that was cut off in the middle."""
    decoder = json.JSONDecoder()
    found = []
    position = text.index("[") + 1
    while (brace := text.find("{", position)) >= 0:
        try:
            piece, position = decoder.raw_decode(text, brace)
        except json.JSONDecodeError:
            break
        found.append(str(piece.get("data", "")))
    return "".join(found) if found else text


def find_map(log: str, given: Path | None) -> SourceMap:
    """Find the source map that belongs to a log.

    Raises:
        UsageError: there is none, or several could be meant.
    """
    if given is not None:
        return _read_map(given)
    folders = [] if log == "-" else [Path(log).parent, Path(log).parent.parent]
    for folder in folders:
        found = sorted(folder.glob("*.map.json"))
        if len(found) == 1:
            return _read_map(found[0])
    found = sorted(Path("out", "build").glob("*/*.map.json"))
    if len(found) == 1:
        return _read_map(found[0])
    if not found:
        raise UsageError("no source map found: name it with --map FILE.map.json")
    names = ", ".join(str(path) for path in found[:10])
    raise UsageError(f"several source maps: choose one with --map: {names}")


def _read_map(path: Path) -> SourceMap:
    try:
        return from_json(path.read_text("utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None


def map_log(text: str, source_map: SourceMap) -> str:
    """Give a log with every place in the built file led back to its source."""
    rows = text.split("\n")
    out: list[str] = []
    asked: re.Match[str] | None = None  # the input whose arrow is still to come
    for number, row in enumerate(rows):
        plain = _ANSI.sub("", row)
        arrow = _ARROW.match(plain) if asked else None
        if asked and arrow:
            origin = _at_arrow(asked["cell"], arrow, source_map)
            out.append(f"{row}  [{origin.path}:{origin.line}]" if origin else row)
            asked = None
            continue
        asked = _INPUT.search(plain) or asked
        following = rows[number + 1] if number + 1 < len(rows) else ""
        out.extend(_mapped(row, following, source_map))
    return "\n".join(out)


def _at_arrow(
    count: str | None, arrow: re.Match[str], source_map: SourceMap
) -> Origin | None:
    """Find the line an arrow points at: by its cell, or by its text if that is unique.

    The name of a file that a notebook's cell was given does not tell which cell it is.
    """
    line = int(arrow["line"])
    if count is not None:
        return _in_cell(int(count), line, source_map)
    found = {
        origin
        for number in range(len(source_map.cells))
        if (origin := source_map.lookup(line, cell=number)) is not None
        and source_map.text_at(origin) == arrow["text"].strip()
    }
    return found.pop() if len(found) == 1 else None


def _mapped(row: str, following: str, source_map: SourceMap) -> list[str]:
    plain = _ANSI.sub("", row)
    frame = _FRAME.match(plain)
    if frame:
        origin = _origin(frame["path"], int(frame["line"]), source_map)
        if origin is None:
            return [row]
        rest = plain[frame.end() :]
        shown = [f'{frame["indent"]}File "{origin.path}", line {origin.line}{rest}']
        text = source_map.text_at(origin)
        deeper = len(following) - len(following.lstrip()) > len(frame["indent"])
        if text and not (deeper and not _FRAME.match(following)):
            shown.append(f"{frame['indent']}  {text}")
        return shown
    cell = _CELL.search(plain)
    if cell:
        found = _in_cell(int(cell["cell"]), int(cell["line"]), source_map)
        if found is not None:
            return [f"{row}  [{found.path}:{found.line}]"]
        return [row]
    return [_PLACE.sub(lambda match: _replaced(match, source_map), row)]


def _replaced(match: re.Match[str], source_map: SourceMap) -> str:
    origin = _origin(match["path"], int(match["line"]), source_map)
    return f"{origin.path}:{origin.line}" if origin else match[0]


def _origin(path: str, line: int, source_map: SourceMap) -> Origin | None:
    embedded = _EMBED_FOLDER.search(path)
    if embedded:
        return _embedded(embedded["rest"].replace("\\", "/"), line, source_map)
    name = re.split(r"[/\\]", path)[-1]
    if name == source_map.built or name in _SCRIPT_NAMES:
        return source_map.lookup(line)
    return None


def _embedded(target: str, line: int, source_map: SourceMap) -> Origin | None:
    """A file that the embed form wrote has its source's lines.

    Except the kernel itself: a script writes itself there with the built file's lines.
    """
    for label in source_map.sources:
        if label == target or label.endswith("/" + target):
            if label == source_map.kernel and source_map.built.endswith(".py"):
                return source_map.lookup(line)
            return Origin(label, line, target.removesuffix(".py").replace("/", "."))
    return None


def _in_cell(count: int, line: int, source_map: SourceMap) -> Origin | None:
    """Cells are numbered in the order they ran: the n-th code cell."""
    code = [index for index, cell in enumerate(source_map.cells) if cell]
    if not 0 < count <= len(code):
        return None
    return source_map.lookup(line, cell=code[count - 1])
