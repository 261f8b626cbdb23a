"""What only running code can name: modules imported by a string, files beside modules.

A static walk finds every module that an import statement names. The embed form carries
more, because it must behave as the folder itself: where the code imports by name, all
modules beside the kernel; where it asks for its own place, the data files there. What
stays out, for its size or its nature, is said in a note.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kernel_builder.errors import UsageError
from kernel_builder.metadata import FILE_NAME
from kernel_builder.read.evidence import (
    asks_place,
    config_names,
    imports_by_name,
    is_spelt,
    lists_folders,
    prefixes,
    strings,
)
from kernel_builder.read.modules import Closure, Finder, Module, load_module
from kernel_builder.read.project import KIT

MAX_FILE: Final = 1_000_000
MAX_IN_FOLDER: Final = 500
MAX_FOLDERS: Final = 1_000
FEW_FILES: Final = 20
FEW_BYTES: Final = 200_000

_PICKLED: Final = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".ckpt")
_SECRET: Final = re.compile(
    r"(?i)^(?:kaggle\.json|access_token|credentials.*|client_secret.*"
    r"|service[-_]account.*|id_(?:rsa|dsa|ecdsa|ed25519).*|.*\.(?:pem|p12|pfx|keystore))$"
)
_SKIPPED_FOLDERS: Final = ("__pycache__", "node_modules", "site-packages")
_SKIPPED_FILES: Final = (".pyc", ".pyo")
# Beside the kernel these are people's and other tools'; in a package they are its own.
_NOT_OURS: Final = (".pyi", "py.typed")
_UNSEEN: Final = (".DS_Store", ".gitignore", ".gitattributes", ".gitkeep")
_BUILT: Final = "# kaggle-kit build"
_MAP: Final = '{"version": '
_NAME: Final = re.compile(r"[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class DataFile:
    """A file that is not Python code but belongs to the first-party code.

    `name` is its place relative to the folder that holds the top-level packages.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class Companions:
    """Modules and files that go along; `notes` say what was left out and why."""

    extra: tuple[Module, ...]
    data: tuple[DataFile, ...]
    notes: tuple[str, ...]


def find_companions(closure: Closure) -> Companions:
    """Find what the kernel may use beyond the modules its imports name."""
    return _Search(closure).run()


def target_of(module: Module) -> str:
    """Give a module's place below a folder on sys.path: `pkg/__init__.py`."""
    return module.name.replace(".", "/") + (
        "/__init__.py" if module.is_package else ".py"
    )


@dataclass
class _Search:
    closure: Closure
    extra: dict[str, Module] = field(default_factory=dict)
    data: dict[str, DataFile] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    folders: int = 0

    def run(self) -> Companions:
        project = self.closure.project
        self.finder = Finder(project)
        self.reached = {target_of(module) for module in self.closure.modules}
        found = dict(self._packages())
        loose = dict(self._files(project.entry.parent, "", set()))
        found = {**loose, **found}
        code = {name: path for name, path in found.items() if name.endswith(".py")}
        files = {name: path for name, path in found.items() if name not in code}
        self._take_code(code, files)
        self._take_data(files, loose)
        if project.inline:
            # Looking at installed distributions is slow; few builds need it.
            from kernel_builder.read.inline import metadata_files

            for name, path in metadata_files(project.inline):
                self.data[name] = DataFile(name, path)
        return Companions(
            tuple(self.extra[name] for name in sorted(self.extra)),
            tuple(self.data[name] for name in sorted(self.data)),
            tuple(dict.fromkeys(self.notes)),
        )

    def _take_code(self, code: dict[str, Path], files: dict[str, Path]) -> None:
        """Take modules that no import names: none, a package's own, or all."""
        installed = [n for n in code if self._is_installed(n.partition("/")[0])]
        self._take_modules({name: code[name] for name in installed})
        # The kit itself imports nothing by name: only a kernel could name its modules.
        own = {n: p for n, p in code.items() if not n.startswith(f"{KIT}/")}
        if self._imports_by_name(own, files):
            named = any(f"{KIT}." in name for name in self._names(files))
            self._take_modules(code if named else own)
            return
        place = self._asks_place()
        for name, path in own.items():
            if (place and self._in_package(name)) or self._is_bare(name):
                self._take_modules({name: path})

    def _take_data(self, files: dict[str, Path], loose: dict[str, Path]) -> None:
        """Take the packages' data, and what lies beside code that asks for its place.

        Of many or large files only those whose name, suffix or folder the code spells
        go along: a kernel at the top of a repository does not take all of it.
        """
        beside = {
            name: path
            for name, path in files.items()
            if name in loose and not self._in_package(name)
        }
        self.data.update(
            (name, DataFile(name, path))
            for name, path in files.items()
            if name not in beside
        )
        if not beside or not self._asks_place():
            return
        wanted = beside
        if len(beside) > FEW_FILES or sum(map(_size, beside.values())) > FEW_BYTES:
            texts = "\n".join((*self._texts(), *self._names(files)))
            listed = any(map(lists_folders, self._texts()))
            wanted = {n: p for n, p in beside.items() if listed or is_spelt(n, texts)}
        self.data.update((name, DataFile(name, path)) for name, path in wanted.items())
        if left := len(beside) - len(wanted):
            self.notes.append(
                f"{left} files beside the kernel that its code does not spell: left out"
            )

    def _tops(self) -> list[str]:
        names = [module.name for module in self.closure.modules]
        names += self.closure.namespaces
        return sorted({name.partition(".")[0] for name in names})

    def _is_bare(self, name: str) -> bool:
        """Say whether a file is in a namespace of which nothing else is reached."""
        return any(
            name.startswith(f"{space.replace('.', '/')}/")
            and not any(
                module.name.startswith(f"{space}.") for module in self.closure.modules
            )
            for space in self.closure.namespaces
        )

    def _packages(self) -> Iterator[tuple[str, Path]]:
        """Give the files of every package that the kernel reaches."""
        for top in self._tops():
            found = self.finder.find(top)
            if found is not None and found.is_package:
                for name, path in self._files(found.folder, f"{top}/", set()):
                    if not (self._is_installed(top) and "/tests/" in name):
                        yield name, path

    def _in_package(self, name: str) -> bool:
        return "/" in name and name.partition("/")[0] in self._tops()

    def _is_installed(self, top: str) -> bool:
        """Say whether a package is an installed one: it comes as a whole."""
        return top in self.closure.project.named and top != KIT

    def _files(
        self, folder: Path, prefix: str, seen: set[str]
    ) -> Iterator[tuple[str, Path]]:
        """Walk a folder in name order; links are followed, circles are not."""
        real = os.path.realpath(folder)
        self.folders += 1
        if real in seen or self.folders > MAX_FOLDERS:
            return
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            return
        plain = [entry for entry in entries if not _is_folder(entry)]
        crowded = sum(not entry.name.endswith(".py") for entry in plain) > MAX_IN_FOLDER
        if crowded:
            self.notes.append(
                f"{prefix or './'}: more than {MAX_IN_FOLDER} files; left out"
            )
        for entry in plain:
            if crowded and not entry.name.endswith(".py"):
                continue
            if self._is_wanted(entry, prefix):
                yield prefix + entry.name, Path(entry.path)
        for entry in entries:
            if _is_folder(entry) and _is_own(entry):
                inner = f"{prefix}{entry.name}/"
                yield from self._files(Path(entry.path), inner, seen | {real})

    def _is_wanted(self, entry: "os.DirEntry[str]", prefix: str) -> bool:
        name = entry.name
        if name.startswith(".") and not self._is_named(name):
            if self._in_package(prefix + name) and name not in _UNSEEN:
                self.notes.append(
                    f"{prefix}{name}: a hidden file that no code names; left out"
                )
            return False
        if name.endswith(_SKIPPED_FILES) or name == FILE_NAME:
            return False
        if name.endswith(_NOT_OURS) and not self._in_package(prefix + name):
            return False
        if name.endswith(".ipynb"):
            if self._in_package(prefix + name):
                self.notes.append(f"{prefix}{name}: a notebook; left out")
            return False
        if Path(entry.path) == self.closure.entry.path:
            return False
        try:
            state = entry.stat()
        except OSError:
            self.notes.append(f"{prefix}{name}: a link that leads nowhere; left out")
            return False
        if prefix + name in self.reached:
            return True
        if _SECRET.match(name) and not name.endswith(".py"):
            self.notes.append(f"{prefix}{name}: looks like a credential; left out")
            return False
        if state.st_size > MAX_FILE:
            self.notes.append(
                f"{prefix}{name}: {state.st_size:,} bytes; left out, attach it as a "
                "dataset"
            )
            return False
        if not stat.S_ISREG(state.st_mode):
            return False  # a pipe or a socket
        made = (name.endswith(".py") and _is_built(Path(entry.path))) or (
            name.endswith(".map.json") and _is_map(Path(entry.path))
        )
        return not made

    def _is_named(self, name: str) -> bool:
        """Say whether the code names a hidden file; secrets stay at home even so."""
        secret = name.startswith((".env", ".git", ".netrc", ".kaggle", ".DS_Store"))
        return not secret and any(name in text for text in self._texts())

    def _texts(self) -> Iterator[str]:
        """Give the project's own texts: an inlined package's data goes along anyway."""
        inlined = self.closure.project.named
        for module in (*self.closure.everything, *self.extra.values()):
            if module.name.partition(".")[0] not in inlined:
                yield module.text

    def _asks_place(self) -> bool:
        return any(map(asks_place, self._texts()))

    def _imports_by_name(self, code: dict[str, Path], files: dict[str, Path]) -> bool:
        """Say whether running code may load a module that is not reached."""
        missed = [_dotted(name) for name in code if name not in self.reached]
        missed += [name.rpartition(".")[2] for name in missed]
        unreached = {part for name in missed for part in prefixes(name)}
        unreached -= {module.name for module in self.closure.modules}
        if not unreached:
            return False
        if any(map(imports_by_name, self._texts())):
            return True
        if self._asks_place() and any(map(lists_folders, self._texts())):
            return True
        if any(name.endswith(_PICKLED) for name in files):
            return True
        names = self._names(files)
        return any(not unreached.isdisjoint(prefixes(name)) for name in names)

    def _names(self, files: dict[str, Path]) -> Iterator[str]:
        """Give every text in the code and its configuration that may name a module."""
        yield from strings(module.tree for module in self.closure.everything)
        yield from config_names(files.values())

    def _take_modules(self, code: dict[str, Path]) -> None:
        for name, path in code.items():
            if name not in self.reached:
                self._take(_dotted(name), name, path)

    def _take(self, dotted: str, name: str, path: Path) -> None:
        """Take one module and what it imports; one that does not parse is data."""
        if dotted in self.extra or name in self.reached:
            return
        found = self.finder.find(dotted) if _NAME.fullmatch(dotted) else None
        if found is None or found.path is None or found.path != path:
            self.data[name] = DataFile(name, path)
            return
        try:
            module = load_module(self.finder, found)
        except UsageError:
            self.data[name] = DataFile(name, path)
            return
        self.extra[dotted] = module
        for item in module.imports:
            for load in item.loads:
                inner = self.finder.find(load)
                if inner is not None and inner.path is not None:
                    self._take(load, _target(load, inner.is_package), inner.path)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_own(entry: "os.DirEntry[str]") -> bool:
    """Say whether a folder holds the user's work: no caches, environments, outputs."""
    name = entry.name
    if name.startswith(".") or name in _SKIPPED_FOLDERS or name.endswith(".egg-info"):
        return False
    path = Path(entry.path)
    if name == "out" and any(
        (path / kind).is_dir() for kind in ("build", "rehearsals")
    ):
        return False
    return not (path / "pyvenv.cfg").exists()


def _is_built(path: Path) -> bool:
    """Recognise an earlier build in the same folder: it must not carry itself."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8", "replace")
    except OSError:
        return False
    return _BUILT in head


def _is_map(path: Path) -> bool:
    """Recognise the source map of an earlier build."""
    try:
        with path.open("rb") as file:
            head = file.read(200).decode("utf-8", "replace")
    except OSError:
        return False
    return head.startswith(_MAP) and '"built": ' in head


def _dotted(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _target(dotted: str, is_package: bool) -> str:
    return dotted.replace(".", "/") + ("/__init__.py" if is_package else ".py")
