"""The sandbox's `sitecustomize`: record what the kernel reaches for, hide what it must.

Python imports this before the kernel's first statement, in every process that the
kernel starts too. `monitor.json` beside it says what to do:

    events      file to append one JSON line per observation to
    allowed     path prefixes that exist on Kaggle
    own         folders of this run and of Python, wherever they lie
    hidden      top-level packages installed from the user's own folders
    python      folders of Python itself and its packages
    forbid      true where nothing else isolates: then outside files are "not found",
                read-only places are EROFS and the network is unreachable
    denied      folders of the user, wherever they lie; with `forbid` they are hidden
    read_only   with `forbid`: folders not to write to
    kaggle      with `forbid`: the real folder that stands for /kaggle
"""

import builtins
import errno
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, ClassVar

MOST_EVENTS = 200
LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::")
# Audit events whose first argument is a path, and whether they change it.
PATH_EVENTS = {
    "os.listdir": False,
    "os.scandir": False,
    "os.mkdir": True,
    "os.remove": True,
    "os.rmdir": True,
    "os.rename": True,
    "os.truncate": True,
}

# Functions of `os` that Python code reaches files with.
REDIRECTED = (
    *("stat", "lstat", "listdir", "scandir", "open", "mkdir", "rmdir", "remove"),
    *("unlink", "rename", "replace", "access", "chdir", "readlink", "utime", "chmod"),
    *("symlink", "link", "truncate", "statvfs"),
)


def _absolute(path: object) -> str | None:
    """The absolute path of what was passed to `open`, None for a file descriptor."""
    if not isinstance(path, str | bytes):
        return None
    text = os.fsdecode(path)
    try:
        return os.path.abspath(text).replace(os.sep, "/")
    except OSError:  # the working directory is gone
        return text


def _inside(path: str, folders: Sequence[str]) -> bool:
    """Whether `path` is or lies in one of them; "/root/." means its dot files."""
    return any(
        path.startswith(f) if f.endswith("/.") else (path + "/").startswith(f + "/")
        for f in folders
    )


class Monitor:
    """The audit hook: one observation per distinct path or host."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.events: str = config["events"]
        self.allowed: list[str] = config["allowed"]
        self.own: list[str] = config["own"]
        self.forbid: bool = config["forbid"]
        self.denied: list[str] = config["denied"]
        self.read_only: list[str] = config["read_only"]
        self.seen: set[tuple[str, str]] = set()
        self.busy = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        """Handle one audit event; errors of the monitor never reach the kernel."""
        if event == "open":
            flags = args[2] if isinstance(args[2], int) else 0
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            self.path(args[0], writes)
        elif event in PATH_EVENTS:
            self.path(args[0], PATH_EVENTS[event])
        elif event == "socket.connect" or event == "socket.sendto":
            self.connect(args[1])
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            self.resolve(args[0])

    def record(self, kind: str, what: str) -> None:
        """Append an observation, once."""
        if (kind, what) in self.seen or len(self.seen) >= MOST_EVENTS or self.busy:
            return
        self.seen.add((kind, what))
        self.busy = True  # opening the file is itself an audit event
        try:
            handle = os.open(self.events, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            line = json.dumps({"kind": kind, "what": what, "pid": os.getpid()}) + "\n"
            os.write(handle, line.encode())
            os.close(handle)
        except OSError:
            pass
        finally:
            self.busy = False

    def path(self, given: object, writes: bool) -> None:
        """A file or folder is about to be opened."""
        path = None if self.busy else _absolute(given)
        if path is None:
            return
        if not _inside(path, self.own):
            denied = _inside(path, self.denied)
            if denied or not _inside(path, self.allowed):
                self.record("write" if writes else "read", path)
            if denied and self.forbid:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if self.forbid and writes and _inside(path, self.read_only):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    def connect(self, address: object) -> None:
        """A socket is about to talk to `address`: (host, port, ...) or a local path."""
        if not isinstance(address, tuple) or len(address) < 2:
            return
        host = str(address[0])
        if not host.startswith(LOOPBACK):
            self.record("network", f"{host}:{address[1]}")
            if self.forbid:
                raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    def resolve(self, host: object) -> None:
        """A host name is about to be looked up."""
        name = host.decode(errors="replace") if isinstance(host, bytes) else host
        if not isinstance(name, str) or not name or name.startswith(LOOPBACK):
            return
        if not name.strip("0123456789.") or ":" in name:
            return  # an address, not a name: connecting to it is what counts
        if hasattr(os, "uname") and name == os.uname().nodename:
            return
        self.record("network", name)
        if self.forbid:
            from socket import EAI_AGAIN, gaierror

            raise gaierror(EAI_AGAIN, "Temporary failure in name resolution")


class VisiblePackages(importlib.machinery.PathFinder):
    """Python's own finder, blind to the user's packages that lie beside torch.

    Those are found only where the kernel itself put them (embedded modules), never in
    the folders of Python: on Kaggle they are not installed.
    """

    hidden: ClassVar[set[str]] = set()
    python: ClassVar[list[str]] = []

    @classmethod
    def find_spec(
        cls,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Look a hidden package up outside Python's own folders, others as usual."""
        if path is None and fullname in cls.hidden:
            folders = [p or os.getcwd() for p in sys.path]
            path = [p for p in folders if not _inside(os.path.abspath(p), cls.python)]
        return super().find_spec(fullname, path, target)


def _hide_packages(names: Sequence[str], python: Sequence[str]) -> None:
    VisiblePackages.hidden, VisiblePackages.python = set(names), list(python)
    sys.meta_path[:] = [
        VisiblePackages if finder is importlib.machinery.PathFinder else finder
        for finder in sys.meta_path
    ]


def _forget_editable(allowed: Sequence[str]) -> None:
    """Drop what .pth files of editable installs put on the import path."""
    sys.path[:] = [p for p in sys.path if not p or _inside(os.path.abspath(p), allowed)]
    sys.meta_path[:] = [
        finder
        for finder in sys.meta_path
        if not getattr(finder, "__module__", "").startswith("__editable__")
    ]


def _redirected(function: Callable[..., Any], root: str) -> Callable[..., Any]:
    """Let a function that takes paths find /kaggle/... below `root`."""

    def moved(value: Any) -> Any:  # noqa: ANN401 - whatever the kernel passed
        if not isinstance(value, str | os.PathLike):
            return value
        text = os.fspath(value)
        if isinstance(text, str) and (text + "/").startswith("/kaggle/"):
            return root + text[len("/kaggle") :]
        return value

    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return function(*map(moved, args), **{k: moved(v) for k, v in kwargs.items()})

    call.__name__ = call.__qualname__ = getattr(function, "__name__", "call")
    return call


def _redirect_kaggle(root: str) -> None:
    """Map /kaggle to `root` for files opened by Python code (not by C libraries)."""
    for name in REDIRECTED:
        if hasattr(os, name):
            setattr(os, name, _redirected(getattr(os, name), root))
    opener = _redirected(io.open, root)
    io.open = builtins.open = opener


def _start() -> None:
    config_path = os.path.join(os.path.dirname(__file__), "monitor.json")
    with open(config_path, encoding="utf-8") as file:
        config = json.load(file)
    _forget_editable([*config["own"], *config["python"]])
    _hide_packages(config["hidden"], config["python"])
    # A pipe is block-buffered: without this the log would come in lumps of 8 kB.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    if config["forbid"] and config["kaggle"]:
        _redirect_kaggle(config["kaggle"])
    sys.addaudithook(Monitor(config))


def _run_the_next() -> None:
    """Run the sitecustomize that this one stands before, if Python has one."""
    here = os.path.dirname(__file__)
    places = [p for p in sys.path if os.path.abspath(p or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", places)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if __name__ == "sitecustomize":
    _start()
    _run_the_next()
