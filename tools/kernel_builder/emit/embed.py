"""The embed form: every file of the project in a readable block, made real at start.

For Python that cannot be joined into one namespace. The built kernel writes its blocks
to a temporary folder, puts that folder first on sys.path, and goes on with the kernel's
own code, unchanged: imports, pickles, `inspect`, tracebacks, worker processes and data
files behave as they do in the project.
"""

import ast
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from kernel_builder.emit.embed_blocks import Block, make_block, make_blocks, quoted
from kernel_builder.emit.embed_proof import prove_blocks
from kernel_builder.emit.embed_runtime import FOLDER_PREFIX, RUNTIME
from kernel_builder.emit.emitted import Cell, Emitted, Origin
from kernel_builder.emit.header import header_lines
from kernel_builder.read.companions import find_companions
from kernel_builder.read.modules import MAIN, Closure, Module
from kernel_builder.read.sources import Source

_WIDTH: Final = 88
_COOKIE: Final = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*[-\w.]+.*$", re.ASCII)
_OWN_PLACE: Final = re.compile(r"\b__file__\b|\bargv\s*\[\s*0\s*\]")
_OTHERS_PLACE: Final = re.compile(r"\b(?:__main__|f_globals|f_back)\b")
# Code that sees on which line of which file it stands.
_SEES_ITSELF: Final = re.compile(
    r"%\(lineno\)|\b(?:f_lineno|tb_lineno|co_filename|co_firstlineno|getframeinfo"
    r"|getsourcefile|getsourcelines|findsource|getlineno)\b"
)
# An entry of sys.path may be relative to the project's folder.
_RELATIVE: Final = re.compile(r"\bsys\s*\.\s*path\s*(?:\.\s*\w+\s*\(|\[|\+?=)")
# What needs the kernel as a file even in a notebook: its place, or new processes.
_NEEDS_FILE: Final = re.compile(
    r"\b(?:__file__|multiprocessing|spawn|forkserver|ProcessPoolExecutor|num_workers"
    r"|joblib|getsource\w*|jit)\b"
)


def emit_embed(closure: Closure) -> Emitted:
    """Build the embed form of a kernel.

    Raises:
        ToolError: the modules that the kernel needs do not fit into Kaggle's limit.
    """
    blocks, notes = make_blocks(closure, find_companions(closure))
    return _Page(closure, blocks, notes).emit()


@dataclass
class _Page:
    """The built script while it grows: its lines, their origins and its cells."""

    closure: Closure
    blocks: list[Block]
    notes: list[str]
    text: list[str] = field(default_factory=list)
    origins: list[Origin | None] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)

    def emit(self) -> Emitted:
        entry = self.closure.entry
        head, body = split_head(entry)
        self._entry_cell(head, 1)
        self._runtime()
        for block in self.blocks:
            self._carry(block)
        self._finish()
        self._entry_cell(body, len(entry.text.split("\n")) - len(body) + 1)
        text = "\n".join(self.text).rstrip("\n") + "\n"
        origins = self.origins[: text.count("\n")]
        prove_blocks(text, {block.target: block.digest for block in self.blocks})
        return Emitted(
            text, tuple(origins), "embed", tuple(self.notes), tuple(self.cells)
        )

    def _add(self, lines: list[str], origins: list[Origin | None] | None = None) -> int:
        """Append lines; gives the number of the first one."""
        first = len(self.text) + 1
        self.text += lines
        self.origins += origins or [None] * len(lines)
        return first

    def _entry_cell(self, lines: list[str], number: int) -> None:
        if not any(line.strip() for line in lines):
            return
        label = self.closure.entry.label
        origins: list[Origin | None] = [
            Origin(label, number + k, MAIN) for k in range(len(lines))
        ]
        first = self._add(lines, origins)
        self.cells.append(Cell("code", "", "\n".join(lines), first))

    def _runtime(self) -> None:
        prefix = f"{FOLDER_PREFIX}{_digest(self.blocks)}-"
        runtime = RUNTIME.rstrip("\n").split("\n")
        top = [*_header(self.closure, self.blocks), "", *runtime, "", ""]
        call = f'_kk = _KkFiles("{prefix}"'
        first = self._add([*top, f"{call})", ""])
        shown = "\n".join([*top, f"{call}, notebook=True)"])
        heading = "Files of this project"
        self.cells.append(Cell("code", heading, shown, first, collapsed=True))

    def _carry(self, block: Block) -> None:
        first = self._add([*_banner(block.label), *block.lines(), ""], None)
        size = len(self.text) - 1 - len(block.literal.lines)
        self.origins[size : size + len(block.literal.lines)] = block.origins()
        shown = "\n".join(self.text[first - 1 : -1])
        self.cells.append(
            Cell("code", _shown(block.label), shown, first, collapsed=True)
        )

    def _finish(self) -> None:
        """Close the blocks, and in a notebook also carry the kernel's own text."""
        name = self.closure.entry.path.name
        texts = [module.text for module in self.closure.everything]
        uses_file = self._asks_for_itself()
        call = f"_kk.finish({quoted(name)}"
        if any("__file__" in text for text in texts) and not uses_file:
            call += ", rescue=True"
            self.notes.append(
                "a module asks for its __file__: what it writes beside itself is taken "
                "to beside the built file, or to the working folder, when it ends"
            )
        if any(_RELATIVE.search(text) for text in texts):
            call += ", relative=True"
        clean = "del _kk, _KkFiles"
        script = call + (", set_file=True)" if uses_file else ")")
        banner = _banner(f"{self.closure.entry.label}: the kernel itself")
        self._add([script, clean, "", "", *banner])
        if uses_file:
            self.notes.append(
                f"{self.closure.entry.label}: __file__ leads into the temporary folder "
                "with the project's files; what the kernel writes beside it is taken "
                "to beside the built file, or to the working folder, when it ends"
            )
        if seen := _SEES_ITSELF.search(self.closure.entry.text):
            self.notes.append(
                f"{self.closure.entry.label}: `{seen[0]}`: the kernel's own code "
                "stands in the built file, with that file's name and line numbers"
            )
        shown = [f"{call})", clean]
        stem = re.escape(self.closure.entry.path.stem)
        named = re.compile(rf"\b(?:import|from)\s+{stem}\b|['\"]{stem}(?:\.py)?['\"]")
        own = any(m.path == self.closure.entry.path for m in self.closure.modules)
        asked = any(_NEEDS_FILE.search(t) or named.search(t) for t in texts)
        if own or uses_file or asked:
            data = self.closure.entry.path.read_bytes()
            block = make_block(name, self.closure.entry.label, data)
            shown = [*block.lines(), f"{call}, set_file=True)", clean]
        self.cells.append(Cell("code", "", "\n".join(shown), 0, collapsed=True))

    def _asks_for_itself(self) -> bool:
        """Say whether the kernel's own place may be asked for, by it or by a module."""
        own = self.closure.entry.text
        return bool(_OWN_PLACE.search(own)) or any(
            "__file__" in module.text and _OTHERS_PLACE.search(module.text)
            for module in self.closure.modules
        )


def split_head(entry: Module) -> tuple[list[str], list[str]]:
    """Cut the kernel after its docstring and `from __future__` imports.

    Both parts together are the kernel's lines; a line is cut in two only where a
    statement follows the last import on the same line.
    """
    lines = _without_cookie(entry.source)
    stop = _head_end(entry.tree)
    following = entry.tree.body[stop:]
    if stop == 0:
        count = 1 if lines[0].startswith("#!") else 0
        return lines[:count], lines[count:]
    last = entry.tree.body[stop - 1].end_lineno or 0
    if following and following[0].lineno == last:
        column = len(lines[last - 1].encode()[: following[0].col_offset].decode())
        cut = lines[last - 1]
        return [*lines[: last - 1], cut[:column]], [cut[column:], *lines[last:]]
    return lines[:last], lines[last:]


def _head_end(tree: ast.Module) -> int:
    """Count the statements that must stay first in a file."""
    stop = 1 if ast.get_docstring(tree, clean=False) is not None else 0
    while stop < len(tree.body):
        node = tree.body[stop]
        if not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        stop += 1
    return stop


def _without_cookie(source: Source) -> list[str]:
    """Give the lines; the built file is UTF-8, whatever the kernel's comment says."""
    lines = source.lines
    if source.encoding.lower() not in ("utf-8", "utf8", "utf_8"):
        for number, line in enumerate(lines[:2]):
            if _COOKIE.match(line):
                return [
                    *lines[:number],
                    "# -*- coding: utf-8 -*-",
                    *lines[number + 1 :],
                ]
    return lines


def _header(closure: Closure, blocks: list[Block]) -> list[str]:
    """Give the header; the companions' hashes follow those of the modules."""
    lines = header_lines(closure, "embed")[:-1]
    named = {module.label for module in closure.everything}
    further = [block for block in blocks if block.label not in named]
    lines += [f"#   {block.digest}  {_shown(block.label)}" for block in further]
    return [
        *lines,
        "#",
        "# The project's files follow in readable blocks. They are written to a",
        "# temporary folder that is first on sys.path; then the kernel itself runs.",
        "",
    ]


def _banner(title: str) -> list[str]:
    return [f"# {'-' * (_WIDTH - 2)}", f"# {_shown(title)}", f"# {'-' * (_WIDTH - 2)}"]


def _shown(name: str) -> str:
    """Keep a file's name on one line of comment, whatever it is."""
    return name if name.isprintable() else repr(name)


def _digest(blocks: list[Block]) -> str:
    whole = hashlib.sha256(RUNTIME.encode())
    for block in blocks:
        line = f"{block.target}\0{block.digest}\n"
        whole.update(line.encode("utf-8", "surrogateescape"))
    return whole.hexdigest()[:8]
