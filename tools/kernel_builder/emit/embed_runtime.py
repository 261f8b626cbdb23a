"""The part of an embed-form kernel that runs inside it: a project's files made real.

`RUNTIME` is the text of `_KkFiles`, copied into the built file as it stands here. It is
ordinary code of this module so that ruff, mypy and the tests see it.
"""

import inspect
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Final

FOLDER_PREFIX: Final = "kaggle-embed-"
"""Every folder is `<temporary folder>/kaggle-embed-<digest>-<random>`."""


class _KkFiles:
    """The project's own files, which follow in readable blocks, as a real folder.

    The folder is new and private, comes first on sys.path, and goes when the program
    ends; what a killed run left behind is removed by the next one. A worker process
    inherits sys.path, finds its parent's folder there, and writes nothing.
    """

    def __init__(self, prefix: str, notebook: bool = False) -> None:
        import sys

        kept = sys.path[:]
        if not (notebook or sys.flags.safe_path):
            del sys.path[:1]  # tempfile must not find a kernel called random.py
        try:
            for module in ("base64", "pathlib", "shutil", "tempfile", "time"):
                __import__(module)
        finally:
            sys.path[:] = kept
        from pathlib import Path

        self.notebook = notebook
        self.written: set[Path] = set()
        self.homes: list[Path] = []
        places = [Path(place) for place in sys.path if isinstance(place, str)]
        found = [p for p in places if p.name.startswith(prefix) and p.is_dir()]
        self.is_worker = bool(found) and not notebook
        self.folder = found[0] if found else self.create(prefix)
        # Shared, and gone with the process however that ends: see `sweep`.
        self.handle = self.lock(self.folder, exclusive=False)
        if not found:
            self.sweep(self.folder.parent)

    def create(self, prefix: str) -> "Path":
        import atexit
        import os
        import tempfile
        from pathlib import Path

        remembered = tempfile.tempdir  # the kernel may still want to set TMPDIR
        try:
            parent = Path(tempfile.gettempdir()).resolve()
            usual = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
            usual += ["/tmp", "/var/tmp", "/usr/tmp"]
            # tempfile's last resort is the working folder, where the outputs go.
            if os.name == "posix" and not any(
                place and Path(place).resolve() == parent for place in usual
            ):
                raise OSError("no temporary folder can be written")
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        except OSError as error:
            raise self.cannot_write(error) from None
        finally:
            tempfile.tempdir = remembered
        self.owner = os.getpid()
        atexit.register(self.remove)
        return folder

    def cannot_write(self, error: OSError) -> RuntimeError:
        return RuntimeError(
            f"this kernel writes its own modules to a temporary folder: {error}; set "
            "the environment variable TMPDIR to a folder that is writable and has room"
        )

    def lock(self, folder: "Path", exclusive: bool) -> int:
        """Lock a folder; -1 where that fails, as on Windows, which has no flock."""
        import os

        handle = -1
        try:
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
        except (ImportError, OSError):
            if handle >= 0:
                os.close(handle)
            return -1
        return handle

    def sweep(self, parent: "Path") -> None:
        """Remove the folders of runs that were killed; a living run holds a lock."""
        import os
        import shutil
        import time

        for old in parent.glob("kaggle-embed-*"):
            try:
                state = old.lstat()
            except OSError:
                continue
            if state.st_mtime > time.time() - 60 or not old.is_dir():
                continue
            if (handle := self.lock(old, exclusive=True)) >= 0:
                shutil.rmtree(old, ignore_errors=True)
                os.close(handle)

    def remove(self) -> None:
        """Remove the folder at exit, but not in a forked copy of the process."""
        import os
        import shutil

        if os.getpid() == self.owner:
            if self.homes:
                self.rescue()
            shutil.rmtree(self.folder, ignore_errors=True)

    def rescue(self) -> None:
        """Take what the kernel wrote beside its `__file__` to beside this file."""
        import shutil
        import sys

        for path in sorted(self.folder.rglob("*")):
            if path in self.written or "__pycache__" in path.parts or path.is_dir():
                continue
            for home in self.homes:
                target = home / path.relative_to(self.folder)
                try:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, target)
                except OSError:
                    continue
                if home != self.homes[0]:
                    sys.stderr.write(f"{path.name}, beside the kernel: see {target}\n")
                break

    def write(
        self,
        path: str,
        text: str,
        encoding: str = "utf-8",
        newline: str = "\n",
        executable: bool = False,
    ) -> None:
        """Write one file; `text` starts with a line break that is not part of it."""
        import base64

        if self.is_worker:
            return
        if encoding == "base64":
            data = base64.b64decode(text)
        else:
            data = text[1:].replace("\n", newline).encode(encoding)
        target = self.folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
            self.written.add(target)
            if executable:
                target.chmod(0o755)
        except OSError as error:
            raise self.cannot_write(error) from None

    def find_spec(
        self, name: str, path: object = None, target: object = None
    ) -> "ModuleSpec | None":
        """Look below the folder, too, for what a relative entry of sys.path holds."""
        import sys
        from importlib.machinery import PathFinder
        from pathlib import Path

        given = [item for item in sys.path if isinstance(item, str) and item]
        places = [str(self.folder / p) for p in given if not Path(p).is_absolute()]
        return PathFinder.find_spec(name, places) if path is None and places else None

    def finish(
        self,
        entry: str,
        set_file: bool = False,
        rescue: bool = False,
        relative: bool = False,
    ) -> None:
        """Put the folder first on sys.path, and the kernel itself into it by name."""
        import sys
        from pathlib import Path

        caller = sys._getframe(1)
        file = caller.f_globals.get("__file__")
        if file and not self.notebook:
            try:
                lines = Path(file).read_text(encoding="utf-8").split("\n")
                begin, end = lines.index("class _KkFiles:"), caller.f_lineno + 1
            except (OSError, ValueError):
                pass  # compiled, or run from elsewhere
            else:
                # Blank lines for this part: the kernel's lines keep their numbers.
                lines[begin:end] = [""] * (end - begin)
                self.write(entry, "\n" + "\n".join(lines))
        if str(self.folder) not in sys.path:
            sys.path.insert(0, str(self.folder))
        if relative:
            sys.meta_path.append(self)
        known = (self.folder / entry).exists()
        if rescue or (set_file and known):
            self.homes = [Path(file).resolve().parent] if file else []
            self.homes += [Path.cwd()]
        if set_file and known:
            caller.f_globals["__file__"] = sys.argv[0] = str(self.folder / entry)


RUNTIME: Final = inspect.getsource(_KkFiles)
