"""Refuse imports of first-party names that certainly do not exist.

Certainly: the import runs in every run, the module is there, and its text does not hold
the name even as a word, nor anything that could make names appear.
"""

import ast
import re
from functools import cache
from typing import Final

from kernel_builder.errors import UsageError
from kernel_builder.read.modules import MAIN, Closure, Finder, Module, absolute_base
from kernel_builder.read.project import KIT

_MAKES_NAMES: Final = re.compile(
    r"\b(?:globals|locals|vars|setattr|exec|eval|modules|importlib|ModuleType"
    r"|f_globals|f_locals|__getattr__|__dict__|__path__|__class__|__import__"
    r"|load_dynamic)\b|\bimport\s*\*"
)

_PUTS_NAMES: Final = re.compile(r"\b(?:setattr|modules)\b")


def check_names(closure: Closure, finder: Finder, certain: set[str]) -> None:
    """Check every import that every run reaches.

    Raises:
        UsageError: an import names something first-party that is not there.
    """
    modules = {module.name: module for module in closure.everything}
    own = [module for module in closure.everything if not _is_kit(module)]
    if any(_PUTS_NAMES.search(module.text) for module in own):
        # Any name of any module may be made somewhere; the kit's are as they stand.
        modules = {name: m for name, m in modules.items() if _is_kit(m)}
    for module in closure.everything:
        if module.name in certain:
            for node in module.tree.body:
                if isinstance(node, ast.ImportFrom):
                    _check_from(modules, finder, module, node)
                elif isinstance(node, ast.Import):
                    for alias in node.names:
                        _check_module(modules, finder, module, node, alias.name)


def _check_from(
    modules: dict[str, Module],
    finder: Finder,
    module: Module,
    node: ast.ImportFrom,
) -> None:
    package = module.name if module.is_package else module.name.rpartition(".")[0]
    base = absolute_base(node, "" if module.name == MAIN else package)
    place = f"{module.label}:{node.lineno}"
    if not base:
        if module.name == MAIN:
            raise UsageError(
                f"{place}: a relative import in the kernel itself; Python refuses it "
                "in a script: write the module's name without the dot"
            )
        raise UsageError(f"{place}: this relative import leads out of its package")
    _check_module(modules, finder, module, node, base)
    target = modules.get(base)
    if target is None or _may_gain_names(target):
        return
    for alias in node.names:
        name = alias.name
        # Every module has some names with two underscores without binding them.
        if name == "*" or name[:2] == "__" or finder.find(f"{base}.{name}") is not None:
            continue
        if not holds_word(target.text, name) and not _is_patched(name, modules):
            raise UsageError(
                f"{place}: cannot import {name!r} from {base}: {target.label} does "
                "not define it"
            )


def _check_module(
    modules: dict[str, Module],
    finder: Finder,
    module: Module,
    node: ast.stmt,
    dotted: str,
) -> None:
    """A regular first-party package must hold what an import names below it."""
    parent, _, last = dotted.rpartition(".")
    while parent:
        package = modules.get(parent)
        if finder.find(dotted) is None and package is not None:
            if not _may_gain_names(package):
                raise UsageError(
                    f"{module.label}:{node.lineno}: there is no module {dotted!r}: "
                    f"{package.label} is here, but no {last}.py beside it"
                )
            return
        dotted = parent
        parent, _, last = dotted.rpartition(".")


@cache
def _may_gain_names(target: Module) -> bool:
    return not _is_kit(target) and _MAKES_NAMES.search(target.text) is not None


def _is_kit(module: Module) -> bool:
    return module.name.split(".")[0] == KIT


def holds_word(text: str, name: str) -> bool:
    """Say whether a name stands in a text as a word of its own."""
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        around = (text[at - 1 : at], text[end : end + 1])
        if not any(c == "_" or c.isalnum() for c in around):
            return True
        at = text.find(name, end)
    return False


def _is_patched(name: str, modules: dict[str, Module]) -> bool:
    assigned = re.compile(rf"\.\s*{re.escape(name)}\b\s*(?::[^=]+)?=[^=]")
    return any(assigned.search(module.text) for module in modules.values())
