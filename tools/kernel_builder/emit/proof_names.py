"""Prove that every global name a joined file reads is bound in it.

`check_names` asks Python's own compiler for the names of the whole text. Where the text
is known to be made of whole statements of the sources, `check_left_out` need only look
for the names that went: as words, then with the compiler in the statements that hold
such a word.
"""

import ast
import builtins
import re
import symtable
import unicodedata
import warnings
from bisect import bisect
from collections.abc import Iterable, Iterator
from typing import Final

from kernel_builder.emit.emitted import Emitted
from kernel_builder.emit.flat_tables import is_skipped
from kernel_builder.emit.flat_units import statement_lines
from kernel_builder.emit.proof_lines import Used
from kernel_builder.errors import ToolError
from kernel_builder.read.missing import holds_word
from kernel_builder.read.modules import Closure, Module, walk_imports

_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
# What `__name` in a class stands for.
_MANGLED: Final = re.compile(r"_[^_].*__")


class ProofFailed(ToolError):
    """The tool's own output is not what it should be: a fault of the tool."""

    def __init__(self, message: str) -> None:
        super().__init__(
            f"the built text failed its proof: {message}. This is a fault of the tool; "
            "nothing was written. --form embed may help"
        )


def check_left_out(
    emitted: Emitted, closure: Closure, used: Used, own: Iterable[ast.stmt]
) -> None:
    """Check a text that holds the statements `used` of the sources, and `own` imports.

    Raises:
        ProofFailed: a name is read that no longer is bound.
    """
    there = {name for node in own for name in _surely_bound(node)}
    gone: set[str] = set()
    for module in closure.everything:
        for number, node in enumerate(module.tree.body):
            if (module.label, number) in used:
                there |= _surely_bound(node)
            else:
                gone |= _perhaps_bound(module, node)
    lost = gone - there
    if any(not name.isascii() or _MANGLED.match(name) for name in lost):
        check_names(emitted, closure, set())  # spelled in more ways than one
    elif any(_reads(*place, lost) for place in _holders(emitted, closure, lost)):
        check_names(emitted, closure, set())


def _holders(
    emitted: Emitted, closure: Closure, names: set[str]
) -> set[tuple[Module, int]]:
    """Give the statements, by number, that hold one of the names as a word."""
    modules = {module.label: module for module in closure.everything}
    starts: dict[str, list[int]] = {}
    holders: set[tuple[Module, int]] = set()
    for at in _rows_with(emitted.text, names):
        origin = emitted.lines[at]
        if origin is None:
            continue  # an import, or a comment
        module = modules[origin.path]
        if origin.path not in starts:
            starts[origin.path] = [statement_lines(n)[0] for n in module.tree.body]
        number = bisect(starts[origin.path], origin.line) - 1
        # Statements may share a line.
        while number >= 0:
            holders.add((module, number))
            if starts[origin.path][number] != origin.line:
                break
            number -= 1
    return holders


def _rows_with(text: str, names: set[str]) -> Iterator[int]:
    """Give the numbers, from 0, of the lines in which a name is a word."""
    for name in names:
        at = text.find(name)
        while at >= 0:
            end = text.find("\n", at)
            if holds_word(text[text.rfind("\n", 0, at) + 1 : end], name):
                yield text.count("\n", 0, at)
            at = text.find(name, end)
    if not text.isascii():
        # The compiler normalises names: others may be spelled like these.
        for number, row in enumerate(text.split("\n")):
            if not row.isascii():
                row = unicodedata.normalize("NFKC", row)
                if any(name in row for name in names):
                    yield number


def _reads(module: Module, number: int, names: set[str]) -> bool:
    """Say whether a statement reads one of the names as a global."""
    text = _text_of(module, module.tree.body[number])
    try:
        return not names.isdisjoint(_global_reads(_table(text)))
    except (SyntaxError, ValueError):
        return True  # it shares a line with what stands before it


def _text_of(module: Module, node: ast.stmt) -> str:
    first, last = statement_lines(node)
    return "\n".join(module.source.lines[first - 1 : last])


def _surely_bound(node: ast.stmt) -> set[str]:
    """Give names that a statement certainly binds."""
    if isinstance(node, _Definition):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return set(_imported(node))
    if isinstance(node, ast.Assign):
        return {item.id for item in node.targets if isinstance(item, ast.Name)}
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        return {node.target.id} if isinstance(node.target, ast.Name) else set()
    return set()


def _perhaps_bound(module: Module, node: ast.stmt) -> set[str]:
    """Give every name that a statement may bind in its module."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return set(_imported(node))
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return set()
    if isinstance(node, _Definition):
        text = _text_of(module, node)
        outward = "global" in text or ":=" in text
        return {node.name, *(_bound_from_within(node) if outward else ())}
    return {name for item in ast.walk(node) for name in _binds(item)}


def _bound_from_within(node: _Definition) -> Iterator[str]:
    """Give what inner scopes bind outside: by `global`, a walrus in a default."""
    for item in ast.walk(node):
        if isinstance(item, ast.Global):
            yield from item.names
    outer: list[ast.AST] = list(node.decorator_list)
    if isinstance(node, ast.ClassDef):
        outer += [*node.bases, *node.keywords]
    else:
        outer += [node.args, *([node.returns] if node.returns else [])]
    for part in outer:
        for item in ast.walk(part):
            if isinstance(item, ast.NamedExpr):
                yield item.target.id


def _binds(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from _imported(node)
    elif isinstance(node, ast.Global):
        yield from node.names
    else:  # definitions, handlers, patterns, type parameters
        for part in ("name", "rest"):
            value = getattr(node, part, None)
            if isinstance(value, str):
                yield value


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for alias in node.names:
        dotted = isinstance(node, ast.Import) and not alias.asname
        yield alias.name.split(".")[0] if dotted else alias.asname or alias.name


def check_names(emitted: Emitted, closure: Closure, renamed: set[str]) -> None:
    """Check the whole text; `renamed` are names that stand for an imported one.

    Raises:
        ProofFailed: a name is read that is bound in a source and not in the text.
    """
    try:
        top = _table(emitted.text)
    except (SyntaxError, ValueError) as error:
        raise ProofFailed(f"it does not parse: {error}") from None
    read = _global_reads(top)
    bound = _bound_names(top)
    missing = read - bound - set(dir(builtins))
    if not missing:
        return
    # A name that a source reads without binding it is missing there too.
    sources = [(module, _table(module.text)) for module in closure.everything]
    bindings = [(module, table, _bound_names(table)) for module, table in sources]
    for _, table, names in bindings:
        missing -= _global_reads(table) - names
    for module, table, names in bindings:
        names -= _skipped_names(module)
        lost = sorted(missing & names & (_global_reads(table) | renamed))
        if lost:
            raise ProofFailed(f"`{lost[0]}` of {module.label} is missing")


def _bound_names(table: symtable.SymbolTable) -> set[str]:
    names = {s.get_name() for s in table.get_symbols() if _is_bound(s)}
    return names | _declared_global(table)


def _skipped_names(module: Module) -> set[str]:
    """Names that only blocks bind which never run."""
    return {
        alias.asname or alias.name
        for node in module.tree.body
        if is_skipped(node, False) and isinstance(node, ast.If)
        for item, _ in walk_imports(node.body)
        for alias in item.names
    }


def _table(text: str) -> symtable.SymbolTable:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return symtable.symtable(text, "<built>", "exec")


def _is_bound(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()


def _global_reads(table: symtable.SymbolTable) -> set[str]:
    names: set[str] = set()
    work = [table]
    while work:
        current = work.pop()
        top = current.get_type() == "module"
        for symbol in current.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                names.add(symbol.get_name())
        work.extend(current.get_children())
    return names


def _declared_global(table: symtable.SymbolTable) -> set[str]:
    names: set[str] = set()
    work = list(table.get_children())
    while work:
        current = work.pop()
        names.update(
            s.get_name()
            for s in current.get_symbols()
            if s.is_declared_global() and s.is_assigned()
        )
        work.extend(current.get_children())
    return names
