"""Prove a built text against its sources, without trusting whoever wrote it.

Any text must parse. A flat one must also hold no first-party import, and its statements
must be the sources' statements, letter for letter and in order, minus what may be left
out: docstrings, imports, blocks that never run, and definitions whose names nothing in
the text reads.
"""

import ast
import warnings
from collections.abc import Iterable, Iterator
from typing import Final

from kernel_builder.emit.emitted import Emitted, Origin
from kernel_builder.emit.flat_tables import is_skipped
from kernel_builder.emit.flat_units import statement_lines
from kernel_builder.emit.proof_lines import Used, own_lines, used_statements
from kernel_builder.emit.proof_names import ProofFailed, check_left_out, check_names
from kernel_builder.read.modules import MAIN, Closure, Finder, Module, walk_imports

__all__ = ["ProofFailed", "prove"]

_DEFINITIONS: Final = (
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign),
    *(ast.AugAssign, ast.If, ast.Try, ast.Pass, ast.Expr),
)
_IMPORTS: Final = (ast.Import, ast.ImportFrom)


def prove(emitted: Emitted, closure: Closure) -> Emitted:
    """Give `emitted` back if it is proved.

    Raises:
        ProofFailed: it is not the sources' program.
    """
    if len(emitted.lines) != emitted.text.count("\n"):
        raise ProofFailed("the source map does not have one entry per line")
    if emitted.form != "flat":
        _parse(emitted.text)
        return emitted
    used = used_statements(emitted, closure)
    if used is None:
        tree = _parse(emitted.text)
        _no_local_import((node for node, _ in walk_imports(tree.body)), closure)
        used = _statements(tree, emitted, closure)
        renamed = {_value_name(node) for node in tree.body if _is_alias(node)}
        _left_out(used, closure)
        check_names(emitted, closure, renamed)
    else:
        imported = _all_imports(closure)
        own = _parse("\n".join(own_lines(emitted))).body
        for node in own:
            _check_own(node, imported)
        written = [node for node in own if isinstance(node, _IMPORTS)]
        _no_local_import([*written, *_kept_imports(used, closure)], closure)
        _left_out(used, closure)
        check_left_out(emitted, closure, used, own)
    return emitted


def _parse(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ProofFailed(f"it does not parse: {error}") from None


def _no_local_import(
    nodes: Iterable[ast.Import | ast.ImportFrom], closure: Closure
) -> None:
    finder = Finder(closure.project)
    for node in nodes:
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif node.level:
            raise ProofFailed(f"line {node.lineno} is a relative import")
        for name in names:
            if finder.find(name.split(".")[0]) is not None:
                raise ProofFailed(f"line {node.lineno} imports {name}, first-party")


def _statements(
    tree: ast.Module, emitted: Emitted, closure: Closure
) -> set[tuple[str, int]]:
    """Match every statement of the text with one of the sources, in order."""
    sources = {module.label: module for module in closure.everything}
    index = {label: _by_place(module) for label, module in sources.items()}
    order = {module.label: number for number, module in enumerate(closure.everything)}
    lines = emitted.text.split("\n")
    used: set[tuple[str, int]] = set()
    last = (-1, -1)
    ahead = True
    imported = _all_imports(closure)
    for position, node in enumerate(tree.body):
        first, end = statement_lines(node)
        origin = emitted.lines[first - 1]
        if origin is None:
            _check_own(node, imported)
            continue
        free = [
            number
            for number in index[origin.path].get(origin.line, ())
            if (origin.path, number) not in used
        ]
        number = _match(node, origin, free, sources[origin.path], lines)
        if number is None:
            continue  # an alias in place of an import
        # Before the modules may stand what the kernel does before it imports them.
        ahead = ahead and origin.module == MAIN
        place = (-1 if ahead else order[origin.path], number)
        docstring = position == 0 and number == 0 and origin.module == MAIN
        if not docstring and place <= last:
            raise ProofFailed(f"line {first} is out of order")
        last = last if docstring else place
        used.add((origin.path, number))
        if any(emitted.lines[n - 1] is None for n in range(first, end + 1)):
            raise ProofFailed(f"line {first}: a statement the tool wrote into")
    return used


def _by_place(module: Module) -> dict[int, list[int]]:
    """Give the numbers of the statements that start on each line."""
    places: dict[int, list[int]] = {}
    for number, node in enumerate(module.tree.body):
        places.setdefault(statement_lines(node)[0], []).append(number)
    return places


def _match(
    node: ast.stmt,
    origin: Origin,
    numbers: list[int],
    module: Module,
    lines: list[str],
) -> int | None:
    for number in numbers:
        if _same(node, module.tree.body[number], lines, module):
            return number
    for number in numbers:
        if isinstance(module.tree.body[number], ast.ImportFrom) and _is_alias(node):
            return None
    raise ProofFailed(
        f"line {node.lineno} is not the statement of {origin.path}:{origin.line}"
    )


def _same(node: ast.stmt, source: ast.stmt, lines: list[str], module: Module) -> bool:
    """The same lines parsed between the same borders are the same statement."""
    if type(node) is not type(source):
        return False
    first, last = statement_lines(node)
    source_first, source_last = statement_lines(source)
    texts = lines[first - 1 : last]
    columns = (node.col_offset, node.end_col_offset)
    whole = columns == (source.col_offset, source.end_col_offset)
    if whole and texts == module.source.lines[source_first - 1 : source_last]:
        return True
    return ast.dump(node) == ast.dump(source)


def _is_alias(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Name)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
    )


def _kept_imports(
    used: Used, closure: Closure
) -> Iterator[ast.Import | ast.ImportFrom]:
    for module in closure.everything:
        for item in module.every_import:
            if (module.label, item.statement) in used:
                yield item.node


def _all_imports(closure: Closure) -> set[tuple[str, str, str | None]]:
    return {item for module in closure.everything for item in _imported(module)}


def _value_name(node: ast.stmt) -> str:
    value = node.value if isinstance(node, ast.Assign) else None
    return value.id if isinstance(value, ast.Name) else ""


def _imported(module: Module) -> Iterator[tuple[str, str, str | None]]:
    for node, _, _ in module.every_import:
        for alias in node.names:
            if isinstance(node, ast.Import):
                yield "", alias.name, alias.asname
            else:
                asname = alias.asname if alias.asname != alias.name else None
                yield node.module or "", alias.name, asname


def _check_own(node: ast.stmt, imported: set[tuple[str, str, str | None]]) -> None:
    """What the tool itself writes is an import that stands in some source."""
    if isinstance(node, ast.Import):
        found = {("", alias.name, alias.asname) for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
        found = {(node.module or "", alias.name, alias.asname) for alias in node.names}
    else:
        raise ProofFailed(f"line {node.lineno} comes from no source")
    if not found <= imported:
        raise ProofFailed(f"line {node.lineno} imports what no source imports")


def _left_out(used: set[tuple[str, int]], closure: Closure) -> None:
    for module in closure.everything:
        main = module.name == MAIN
        for number, node in enumerate(module.tree.body):
            if (module.label, number) in used or isinstance(node, _IMPORTS):
                continue
            if is_skipped(node, main):
                continue
            if main or not isinstance(node, (*_DEFINITIONS, _type_alias())):
                raise ProofFailed(f"{module.label}:{node.lineno} is missing")
            if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
                raise ProofFailed(f"{module.label}:{node.lineno} is missing")


def _type_alias() -> type[ast.stmt]:
    found: type[ast.stmt] = getattr(ast, "TypeAlias", ast.Pass)  # Python 3.12
    return found
