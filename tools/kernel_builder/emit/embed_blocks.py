"""The files an embed-form kernel carries: which, how written, and what fits."""

import hashlib
import json
import stat
from dataclasses import dataclass
from typing import Final

from kernel_builder.emit.embed_runtime import RUNTIME
from kernel_builder.emit.embed_text import Literal, quote_bytes
from kernel_builder.emit.emitted import MAX_BYTES, Origin
from kernel_builder.errors import ToolError
from kernel_builder.read.companions import Companions, target_of
from kernel_builder.read.modules import Closure, Module

_RESERVE: Final = 20_000  # for the header, the banners and a notebook's JSON quoting


@dataclass(frozen=True)
class Block:
    """One file that the kernel carries.

    `target` is its place in the temporary folder. `module` is empty for a data file.
    A block that is not `needed` may be left out to keep the kernel below the limit.
    """

    target: str
    label: str
    module: str
    literal: Literal
    digest: str
    text_lines: int
    executable: bool
    needed: bool

    @property
    def size(self) -> int:
        """The bytes it takes in the kernel."""
        return sum(len(line.encode()) + 1 for line in self.literal.lines)

    def lines(self) -> list[str]:
        """Give the statement that writes the file."""
        options = list(self.literal.options)
        if self.executable:
            options.append("executable=True")
        first, *rest = self.literal.lines
        lines = [f"_kk.write({quoted(self.target)}, {first}", *rest]
        lines[-1] += "".join(f", {option}" for option in options) + ")"
        return lines

    def origins(self) -> list[Origin | None]:
        """Give the origin of each of `lines()`."""
        count = len(self.literal.lines)
        shown = self.text_lines if self.module and self.literal.readable else 0
        lines = [Origin(self.label, k, self.module) for k in range(1, shown + 1)]
        return [None, *lines, *[None] * count][:count]


def make_blocks(
    closure: Closure, companions: Companions
) -> tuple[list[Block], list[str]]:
    """Give the blocks of a kernel that fit, and notes on what was left out.

    Raises:
        ToolError: the modules that the kernel needs do not fit into Kaggle's limit.
    """
    notes = list(companions.notes)
    entry = closure.entry.path
    blocks = [
        _module_block(module, needed=module in closure.modules)
        for module in (*closure.modules, *companions.extra)
        if module.path != entry  # the running kernel writes itself
    ]
    for item in companions.data:
        label = closure.project.label(item.path)
        try:
            data, mode = item.path.read_bytes(), item.path.stat().st_mode
        except OSError as error:
            notes.append(f"{label}: {error.strerror}; left out")
            continue
        blocks.append(make_block(item.name, label, data, mode=mode))
    return _fit(blocks, len(closure.entry.text.encode()), notes), notes


def _module_block(module: Module, needed: bool) -> Block:
    data = module.path.read_bytes()
    return make_block(target_of(module), module.label, data, module.name, needed=needed)


def make_block(
    target: str,
    label: str,
    data: bytes,
    module: str = "",
    mode: int = 0,
    needed: bool = False,
) -> Block:
    """Make the block of one file."""
    return Block(
        target,
        label,
        module,
        quote_bytes(data),
        hashlib.sha256(data).hexdigest(),
        text_lines=data.count(b"\n") + (not data.endswith(b"\n")),
        executable=bool(mode & stat.S_IXUSR),
        needed=needed,
    )


def _fit(blocks: list[Block], entry: int, notes: list[str]) -> list[Block]:
    """Leave out the largest files that no import names until the kernel fits.

    Raises:
        ToolError: the modules the kernel imports do not fit; the largest are named.
    """
    room = MAX_BYTES - _RESERVE - entry - len(RUNTIME)
    total = sum(block.size for block in blocks)
    optional = sorted(
        (block for block in blocks if not block.needed),
        key=lambda block: (-block.size, block.target),
    )
    dropped = set()
    for block in optional:
        if total <= room:
            break
        total -= block.size
        dropped.add(block.target)
        notes.append(
            f"{block.label}: left out, the kernel would pass {MAX_BYTES:,} bytes with "
            f"its {block.size:,}; attach it as a dataset if the kernel reads it"
        )
    if total > room:
        parts = {block.label: block.size for block in blocks}
        raise ToolError(too_large(total + entry, {**parts, "the kernel": entry}))
    return [block for block in blocks if block.target not in dropped]


def too_large(total: int, parts: dict[str, int]) -> str:
    """Say that a kernel passes Kaggle's limit, and which parts are the largest."""
    largest = sorted(parts.items(), key=lambda part: (-part[1], part[0]))[:5]
    named = ", ".join(f"{label} ({size:,} bytes)" for label, size in largest)
    return (
        f"the built kernel would have {total:,} bytes and Kaggle refuses "
        f"{MAX_BYTES:,} or more; the largest parts are {named}. Move data to a Kaggle "
        "dataset, or import less"
    )


def quoted(name: str) -> str:
    """Write a file's name as a string; one that cannot be shown is escaped."""
    return json.dumps(name, ensure_ascii=False) if name.isprintable() else repr(name)
