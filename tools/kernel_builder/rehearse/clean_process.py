"""The way of last resort: a child process with a clean environment and Python hooks."""

import os
import shutil
import sys
from pathlib import Path

from kernel_builder.rehearse import sandbox
from kernel_builder.rehearse.meters import Command
from kernel_builder.rehearse.sandbox import Spec

OPEN = (
    "the file system: programs and C libraries can read your repository and home "
    "folder; only Python's own file functions are stopped",
    "the network: only Python's sockets are stopped; started programs can reach it",
    "/kaggle: Python code is sent to a folder in its place; C libraries (pyarrow, cv2) "
    "do not find /kaggle/input by a literal path",
    "processes and /tmp are this machine's own",
)


def process_command(spec: Spec) -> Command:
    """The run as a plain child process: a clean environment, and hooks in Python.

    /kaggle is the folder SCRATCH/kaggle; Python code that opens /kaggle/... is sent
    there, and the library's own path resolver is told by its environment variables.
    """
    kaggle, real = spec.scratch / "kaggle", spec.scratch.resolve()
    kaggle.mkdir(exist_ok=True)
    places = {"src": real / "src", "lib": real / "lib", "input": real / "input"}
    for name, place in {**places, "working": spec.working.resolve()}.items():
        if not (kaggle / name).exists():
            _link(kaggle / name, place)
    for mount in spec.mounts:
        link = sandbox.mount_point(mount, real / "input")
        link.rmdir() if link.is_dir() else link.unlink()
        _mirror(mount.source.resolve(), link)
    sandbox.write_monitor(spec, _monitor_outside(spec, kaggle))
    env = sandbox.environment(spec) | {
        "HOME": str(real / "home"),
        "TMPDIR": str(real / "tmp"),
        "PYTHONPATH": f"{kaggle}/lib/kagglegym{os.pathsep}{kaggle}/lib",
        "PYTHONUSERBASE": str(real / "home/.local"),
        "KAGGLE_KIT_ROOT": str(kaggle),
        "KAGGLE_KIT_OUTPUT": str(spec.working.resolve()),
    }
    if sys.platform == "win32":  # sockets and random numbers need it there
        env["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    argv = sandbox.kernel_command(
        spec, f"{real}/programs", f"{real}/io", f"{kaggle}/src"
    )
    return Command(argv, env, spec.working)


def _mirror(source: Path, place: Path) -> None:
    """Real folders of links to files: `os.walk` does not go into linked folders."""
    if not source.is_dir():
        _link(place, source)
        return
    for parent, _, names in os.walk(source):
        folder = place / Path(parent).relative_to(source)
        folder.mkdir()
        for name in names:
            _link(folder / name, Path(parent, name))


def _link(link: Path, target: Path) -> None:
    """Link to a file or folder; copy where links need a privilege (Windows)."""
    try:
        link.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        if target.is_dir():
            shutil.copytree(target, link)
        else:
            shutil.copyfile(target, link)


def _monitor_outside(spec: Spec, kaggle: Path) -> dict[str, object]:
    """The monitor's settings where nothing else isolates: it forbids by itself."""
    settings = sandbox.monitor_settings(spec)
    sources = [str(mount.source.resolve()) for mount in spec.mounts]
    real = str(spec.scratch.resolve())
    own = [str(kaggle), real, str(spec.scratch), str(spec.working.resolve()), *sources]
    own += [str(prefix) for prefix in spec.python.prefixes]
    return settings | {
        "events": f"{real}/io/events.jsonl",
        "allowed": [path for path in sandbox.ON_KAGGLE if not path.startswith("/root")],
        "own": [path.replace(os.sep, "/") for path in own],
        "forbid": True,
        "denied": [str(path.resolve()) for path in spec.hidden],
        "read_only": [
            *(f"{real}/input", f"{real}/src", f"{kaggle}/input", f"{kaggle}/src"),
            *sources,
        ],
        "kaggle": str(kaggle),
    }
