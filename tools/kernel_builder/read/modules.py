"""First-party modules: where they lie, what they hold, what their imports load."""

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

from kernel_builder.errors import UsageError
from kernel_builder.read.project import KIT, Project
from kernel_builder.read.sources import (
    Source,
    check_compiles,
    parse_source,
    read_source,
)

MAIN: Final = "__main__"
Context = Literal["top", "guarded", "function", "typing"]

# Modules that some Python from 3.11 on has and another has not: the tool's answer must
# not depend on the Python it runs under.
_REMOVED: Final = frozenset(
    {"aifc", "asynchat", "asyncore", "audioop", "cgi", "cgitb", "chunk", "crypt"}
    | {"distutils", "imghdr", "imp", "lib2to3", "mailcap", "msilib", "nis", "nntplib"}
    | {"ossaudiodev", "pipes", "smtpd", "sndhdr", "spwd", "sunau", "telnetlib", "uu"}
    | {"xdrlib"}
)
STDLIB: Final = frozenset(sys.stdlib_module_names) | _REMOVED


class AnyImport(NamedTuple):
    """An import statement, and the number of the top-level statement it stands in."""

    node: ast.Import | ast.ImportFrom
    context: Context
    statement: int


class LocalImport(NamedTuple):
    """An import statement that loads first-party modules.

    `loads` are the modules it loads, packages included, in Python's order. `context`
    is where it stands: at the top level, under a condition there (`guarded`), in a
    function, or under `if TYPE_CHECKING`.
    """

    node: ast.Import | ast.ImportFrom
    context: Context
    loads: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Module:
    """One first-party source file and its syntax tree.

    `name` is dotted; the kernel itself is `__main__`. `imports` are those that load
    first-party modules, `every_import` all there are.
    """

    name: str
    source: Source
    tree: ast.Module
    is_package: bool
    imports: tuple[LocalImport, ...] = ()
    every_import: tuple[AnyImport, ...] = ()

    @property
    def path(self) -> Path:
        """The file."""
        return self.source.path

    @property
    def label(self) -> str:
        """The file's name for people, the same on every machine."""
        return self.source.label

    @property
    def text(self) -> str:
        """The file's text with plain newlines as line ends."""
        return self.source.text


class Asked(Protocol):
    """A question whose answer is on its way."""

    def answer(self) -> str:
        """Wait for the answer and give it."""


@dataclass(frozen=True)
class Closure:
    """The kernel and every first-party module it may load.

    `modules` excludes the kernel; a module stands after those it needs at load time.
    `namespaces` are the packages without an `__init__.py` on the way to them. `git` is
    what git says of all these files, where that has been asked already.
    """

    project: Project
    entry: Module
    modules: tuple[Module, ...]
    namespaces: tuple[str, ...] = ()
    git: Asked | None = None

    @property
    def everything(self) -> tuple[Module, ...]:
        """All modules, then the kernel."""
        return (*self.modules, self.entry)


@dataclass(frozen=True)
class Found:
    """Where a dotted name leads: a file, a package, or a namespace (no file).

    `folder` holds the file, or the package's modules. A namespace may have more folders
    of its name, in other search folders: they are its `portions`, `folder` included.
    """

    name: str
    path: Path | None
    is_package: bool
    folder: Path
    portions: tuple[Path, ...] = ()


@dataclass
class Finder:
    """Finds first-party modules as `sys.path` would, without running anything."""

    project: Project
    _seen: dict[str, Found | None] = field(default_factory=dict)

    def find(self, name: str) -> Found | None:
        """Find a dotted module name; None if it is not first-party."""
        if name not in self._seen:
            self._seen[name] = self._find(name)
        return self._seen[name]

    def _find(self, name: str) -> Found | None:
        parent, _, last = name.rpartition(".")
        if parent:
            package = self.find(parent)
            if package is None or not package.is_package:
                return None
            return _in_folders(name, last, package.portions or (package.folder,))
        folders = list(self.project.search)
        if name in self.project.named:
            folders.append(self.project.named[name])
        found = _in_folders(name, last, folders)
        if found is None or found.path is not None:
            return found
        if name in sys.stdlib_module_names and name not in _REMOVED:
            return None  # a real module anywhere wins over folders without __init__.py
        # Only code makes a folder a namespace package: `wandb/` full of logs is none.
        code = (any(folder.glob("**/*.py")) for folder in found.portions)
        return found if any(code) else None


def _in_folders(name: str, last: str, folders: Iterable[Path]) -> Found | None:
    """Take the first file or package; folders without one join into a namespace."""
    portions: list[Path] = []
    for folder in folders:
        found = _in_folder(name, last, folder)
        if found is None:
            continue
        if found.path is not None:
            return found
        portions.append(found.folder)
    return Found(name, None, True, portions[0], tuple(portions)) if portions else None


def _in_folder(name: str, last: str, folder: Path) -> Found | None:
    package = folder / last
    init = package / "__init__.py"
    module = folder / f"{last}.py"
    if init.is_file():
        if module.is_file():
            raise UsageError(
                f"{name} is both a module ({module}) and a package ({package}); "
                "Python takes the package: rename one of them"
            )
        return Found(name, init, True, package)
    if module.is_file():
        return Found(name, module, False, folder)
    if module.is_symlink() or init.is_symlink():
        broken = module if module.is_symlink() else init
        raise UsageError(f"{broken}: a link that leads nowhere, or in a circle")
    if package.is_dir():
        return Found(name, None, True, package)
    return None


def load_module(finder: Finder, found: Found) -> Module:
    """Read, parse and resolve one first-party file.

    Raises:
        UsageError: the file is malformed or is not valid Python.
    """
    if found.path is None:
        raise UsageError(f"{found.name}: a namespace package has no file of its own")
    source = read_source(found.path, finder.project.label(found.path))
    tree = parse_source(source)
    if not found.name.startswith(f"{KIT}."):  # the kit's own tests compile it
        check_compiles(source, tree)
    return make_module(finder, found.name, source, tree, found.is_package)


def make_module(
    finder: Finder, name: str, source: Source, tree: ast.Module, is_package: bool
) -> Module:
    """Put together what is known about a file; its imports are resolved."""
    found = tuple(
        AnyImport(node, context, number)
        for number, statement in enumerate(tree.body)
        for node, context in walk_imports([statement])
    )
    parent = name if is_package else name.rpartition(".")[0]
    package = "" if name == MAIN else parent
    local = []
    for item in found:
        loads = tuple(loaded_modules(finder, item.node, package))
        if loads:
            local.append(LocalImport(item.node, item.context, loads))
    return Module(name, source, tree, is_package, tuple(local), found)


def loaded_modules(
    finder: Finder, node: ast.Import | ast.ImportFrom, package: str
) -> Iterator[str]:
    """Give the first-party modules that one statement loads, packages first."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _chain(finder, alias.name)
        return
    base = absolute_base(node, package)
    if not base:
        return
    yield from _chain(finder, base)
    found = finder.find(base)
    if found is not None and found.is_package:
        for alias in node.names:
            full = f"{base}.{alias.name}"
            if alias.name != "*" and finder.find(full) is not None:
                yield full


def absolute_base(node: ast.ImportFrom, package: str) -> str:
    """Give the absolute name after `from`; empty where a relative import leads out."""
    if not node.level:
        return node.module or ""
    parts = package.split(".") if package else []
    if len(parts) < node.level:
        return ""
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _chain(finder: Finder, dotted: str) -> Iterator[str]:
    parts = dotted.split(".")
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        if finder.find(name) is None:
            return
        yield name


def walk_imports(
    body: list[ast.stmt], context: Context = "top"
) -> list[tuple[ast.Import | ast.ImportFrom, Context]]:
    """Give every import statement below `body`, in the order of the text."""
    found: list[tuple[ast.Import | ast.ImportFrom, Context]] = []
    _collect(body, context, found)
    return found


# Statements that hold no other statements; most are of these kinds.
_SIMPLE: Final = frozenset(
    {ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return, ast.Raise}
)


def _collect(
    body: list[ast.stmt],
    context: Context,
    found: list[tuple[ast.Import | ast.ImportFrom, Context]],
) -> None:
    for node in body:
        if node.__class__ in _SIMPLE:
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.append((node, context))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _collect(node.body, _inner(context, "function"), found)
        elif isinstance(node, ast.ClassDef):
            _collect(node.body, _inner(context, "guarded"), found)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            _collect(node.body, "typing", found)
            _collect(node.orelse, _inner(context, "guarded"), found)
        else:
            for block in child_blocks(node):
                _collect(block, _inner(context, "guarded"), found)


def child_blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Give the statement lists inside a compound statement, in order."""
    for name in ("body", "handlers", "orelse", "finalbody", "cases"):
        block = getattr(node, name, None)
        if not isinstance(block, list):
            continue
        if name in ("handlers", "cases"):
            for part in block:
                yield part.body
        else:
            yield block


def is_type_checking(test: ast.expr) -> bool:
    """Say whether an `if` tests typing.TYPE_CHECKING."""
    if isinstance(test, ast.Attribute):
        return test.attr == "TYPE_CHECKING"
    return isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"


def _inner(context: Context, inner: Context) -> Context:
    """Combine contexts: typing and function win over everything inside them."""
    return context if context in ("typing", "function") else inner
