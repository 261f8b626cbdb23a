"""Lead merged import lines back to the import that a person wrote.

A library that is missing fails in a line of the joined file that the tool wrote. Its
origin is the first import of the same thing, in the order Python would have run them.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from kernel_builder.emit.emitted import Emitted, Origin
from kernel_builder.read.modules import MAIN, Closure, Module, absolute_base

_Item = tuple[str, str]  # module, and the name taken from it
# A line of an import as `flat_imports` writes it, on one line or a name a line.
_IMPORTING: Final = re.compile(r"(?:import|from) |    \w+(?: as \w+)?,$|\)$")


def with_import_origins(emitted: Emitted, closure: Closure) -> Emitted:
    """Give a flat file's own import lines the places that they stand for."""
    rows = emitted.text.split("\n")
    lines = list(emitted.lines)
    own = [
        "" if lines[number] or not _IMPORTING.match(row) else row
        for number, row in enumerate(rows[:-1])
    ]
    places = _places(closure) if any(own) else {}
    for node in ast.parse("\n".join(own)).body:
        found = [places[item] for item in _items(node, "") if item in places]
        if found:
            end = node.end_lineno or node.lineno
            lines[node.lineno - 1 : end] = [found[0]] * (end - node.lineno + 1)
    return replace(emitted, lines=tuple(lines))


def _places(closure: Closure) -> dict[_Item, Origin]:
    """Give the first import of everything; the kernel's own leading ones come first."""
    found: dict[_Item, Origin] = {}
    local = {id(item.node) for item in closure.entry.imports}
    for number, module in enumerate((closure.entry, *closure.everything)):
        package = module.name if module.is_package else module.name.rpartition(".")[0]
        for node in _imports(module):
            if number == 0 and id(node) in local:
                break  # from here on the modules run first
            for item in _items(node, "" if module.name == MAIN else package):
                origin = Origin(module.label, node.lineno, module.name)
                found.setdefault(item, origin)
    return found


def _imports(module: Module) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in module.tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node


def _items(node: ast.stmt, package: str) -> Iterator[_Item]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = absolute_base(node, package)
        yield from ((base, alias.name) for alias in node.names)
