"""Which first-party modules a kernel reaches, in the order Python would load them."""

import ast
from collections.abc import Iterable

from kernel_builder.errors import UsageError
from kernel_builder.read.missing import check_names
from kernel_builder.read.modules import (
    MAIN,
    STDLIB,
    Closure,
    Context,
    Finder,
    Found,
    Module,
    load_module,
    make_module,
)
from kernel_builder.read.project import Project
from kernel_builder.read.sources import (
    Source,
    check_compiles,
    parse_source,
    read_source,
    sha256_of,
)


def find_closure(project: Project) -> Closure:
    """Find every first-party module that the kernel's imports reach.

    Raises:
        UsageError: a file is missing, empty, malformed, not parsable, or shadows the
            standard library; or an import names something first-party that is not
            there.
    """
    return _Walk(project).run()


class _Walk:
    """One depth-first walk over the imports, in Python's loading order.

    `certain` are the modules that every run loads: only there is a fault of theirs a
    fault of the kernel; what stands under a condition may be meant to fail.
    """

    def __init__(self, project: Project) -> None:
        self.finder = Finder(project)
        self.project = project
        self.loaded: dict[str, Module] = {}
        self.order: list[Module] = []
        self.namespaces: dict[str, None] = {}
        self.certain: set[str] = {MAIN}

    def run(self) -> Closure:
        entry_path = self.project.entry
        source = read_source(entry_path, self.project.label(entry_path))
        if not source.text.strip():
            raise UsageError(f"{source.label}: empty; there is nothing to build")
        tree = parse_source(source)
        check_compiles(source, tree)
        entry = make_module(self.finder, MAIN, source, tree, False)
        self._follow(entry, ("top",))
        self._follow(entry, ("guarded",))
        # What a function imports is loaded when it runs: after everything else.
        pending = [entry, *self.order]
        for module in pending:
            before = len(self.order)
            self._follow(module, ("function",))
            pending.extend(self.order[before:])
        closure = Closure(
            self.project, entry, tuple(self.order), tuple(self.namespaces)
        )
        check_names(closure, self.finder, self.certain)
        return closure

    def _follow(self, module: Module, contexts: Iterable[Context]) -> None:
        for item in module.imports:
            if item.context in contexts:
                certain = item.context == "top" and module.name in self.certain
                for name in item.loads:
                    if certain:
                        self.certain.add(name)
                    self._load(name)

    def _load(self, name: str) -> None:
        if name in self.loaded or name in self.namespaces:
            return
        found = self.finder.find(name)
        if found is None:
            return
        if "." not in name and name in STDLIB:
            raise UsageError(
                f"{self.project.label(found.path or found.folder)}: hides the standard "
                f"library's module {name!r}, for every library that imports it too; "
                "rename the file"
            )
        if found.path is None:
            self.namespaces[name] = None
            return
        try:
            module = load_module(self.finder, found)
        except UsageError:
            if name in self.certain:
                raise
            module = self._unreadable(found)
        self.loaded[name] = module
        self._follow(module, ("top", "guarded"))
        self.order.append(module)

    def _unreadable(self, found: Found) -> Module:
        """Take along a broken module that may never be imported, as it is."""
        path = found.path or found.folder
        label = self.project.label(path)
        source = Source(path, label, "", "utf-8", sha256_of(path))
        return Module(found.name, source, ast.Module([], []), found.is_package)
