"""Kaggle's Python and package versions, in a cached virtual environment.

The environment lies in the user's cache folder and holds only what the kernels
rehearsed in it import, at the image's versions; a kernel that needs more adds it. The
Python itself must be on this machine already.

The manifest in it is there only while nothing is being changed: an environment whose
making or filling was broken off is made anew, and one process at a time changes one.
"""

import ast
import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from kernel_builder.errors import UsageError
from kernel_builder.files import locked, write_atomic
from kernel_builder.profiles import Profile, normalised_name
from kernel_builder.rehearse.sandbox import Python, outermost

INSTALL_TIMEOUT_S = 3600
LOCK_SECONDS = 0.5
# The image has both; the headless one needs no graphics libraries.
INSTEAD = {"opencv-python": "opencv-python-headless"}
FACTS = (
    "import json, sys; print(json.dumps(['.'.join(map(str, sys.version_info[:3])),"
    " sys.executable, sys.prefix, sys.base_prefix, sys.exec_prefix]))"
)
MOST_NAMED = 8


def imported_modules(texts: Iterable[str]) -> frozenset[str]:
    """Top-level names of everything that Python sources import, anywhere in them."""
    names: set[str] = set()
    for text in texts:
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue  # `check` reports it
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return frozenset(names)


def distributions(profile: Profile, modules: Iterable[str]) -> dict[str, str]:
    """The image's version of each distribution that `modules` come from."""
    names = {profile.distribution(module) for module in modules}
    return {name: profile.version_of(name) for name in sorted(names) if name}


def differences(
    profile: Profile, python: str, versions: Mapping[str, str], wanted: Iterable[str]
) -> tuple[str, ...]:
    """How a Python and its packages differ from the image, one line; empty when not.

    Args:
        profile: the image.
        python: the version that ran.
        versions: the installed version of each distribution, "" or no entry without.
        wanted: the distributions that the kernel uses.
    """
    found = []
    if python.split(".")[:2] != profile.python.split(".")[:2]:
        found.append(f"Python {python} ({profile.python})")
    for name in sorted(wanted):
        theirs, ours = profile.version_of(name), versions.get(name, "")
        # +cu128 and +cpu are builds of one version.
        if theirs and ours.partition("+")[0] != theirs.partition("+")[0]:
            found.append(f"{name} {ours or 'missing'} ({theirs})")
    if not found:
        return ()
    more = len(found) - MOST_NAMED
    listed = ", ".join(found[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
    approximate = ", whose versions are approximate" if profile.approximate else ""
    return (f"{listed}; in brackets: {profile.name}{approximate}",)


def installed_version(distribution: str) -> str:
    """The version in the current Python, "" when it is not installed."""
    for name in (distribution, INSTEAD.get(distribution, distribution)):
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def profile_python(
    profile: Profile, modules: Iterable[str], log: Callable[[str], None]
) -> tuple[Python, Mapping[str, str]]:
    """The profile's interpreter with the packages that `modules` need.

    Returns:
        The interpreter, and the installed versions by distribution.

    Raises:
        UsageError: no such Python here, or the packages cannot be installed.
    """
    base = find_python(profile.python_version, profile.name)
    folder = cache_folder() / f"{profile.name}-{platform.machine().lower()}"
    wanted = distributions(profile, modules)
    with _alone(folder, log) as lock:
        executable = _environment(folder, base, lock, log)
        installed = _installed(folder)
        missing = {n: v for n, v in wanted.items() if installed.get(n) != v}
        if missing:
            # Without a manifest it counts as half-made, whatever ends this process.
            _manifest(folder).unlink()
            try:
                _install(profile, folder, executable, missing, lock, log)
            except UsageError:
                _write_manifest(folder, installed)  # pip took back what it had begun
                raise
            installed |= missing
            _write_manifest(folder, installed)
    return python_at(executable), installed


@contextlib.contextmanager
def _alone(folder: Path, log: Callable[[str], None]) -> Iterator[int | None]:
    """Let one process at a time change an environment; gives the lock's descriptor."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    told = False

    def wait() -> None:
        nonlocal told
        if not told:
            log(f"another process changes {folder}; waiting for it\n")
            told = True
        time.sleep(LOCK_SECONDS)

    with locked(folder.with_name(f"{folder.name}.lock"), wait) as lock:
        yield lock


def cache_folder() -> Path:
    """Where environments are kept: XDG_CACHE_HOME, or what the system has for it."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        root = Path(given)
    elif sys.platform == "win32" and "LOCALAPPDATA" in os.environ:
        root = Path(os.environ["LOCALAPPDATA"])
    else:
        root = Path.home() / ".cache"
    return root / "kaggle-kit" / "environments"


def find_python(version: tuple[int, int], profile: str) -> Path:
    """A Python of this minor version: this one, on PATH, of pyenv, or of uv.

    Raises:
        UsageError: there is none; says how to get one.
    """
    if sys.version_info[:2] == version:
        return Path(sys.executable)
    name = f"{version[0]}.{version[1]}"
    for candidate in _candidates(version):
        facts = _facts(candidate)
        if facts is not None and facts[0].split(".")[:2] == name.split("."):
            return Path(facts[1])
    raise UsageError(
        f"--profile {profile} needs Python {name}; there is none on PATH, in pyenv or "
        f"in uv. Install one: `uv python install {name}`, `pyenv install {name}`, or "
        f"your system's python{name} with its venv package"
    )


def _candidates(version: tuple[int, int]) -> Iterable[Path]:
    name = f"{version[0]}.{version[1]}"
    for program in (f"python{name}", "python3", "python"):
        if found := shutil.which(program):
            yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{name}.*/bin/python{name}"), reverse=True)
    if uv := shutil.which("uv"):
        answer = _run([uv, "python", "find", "--no-python-downloads", name], 60)
        if answer is not None and answer.returncode == 0:
            yield Path(answer.stdout.strip())


def _run(
    command: list[str], timeout: float, lock: int | None = None
) -> "subprocess.CompletedProcess[str] | None":
    """Run to the end or the time-out (None); the child holds `lock` on if we die."""
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            pass_fds=() if lock is None else (lock,),
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _facts(executable: Path) -> list[str] | None:
    """Version, path and prefixes of an interpreter, None when it does not run."""
    answer = _run([str(executable), "-I", "-c", FACTS], 60)
    if answer is None or answer.returncode != 0:
        return None  # a pyenv shim of a version that is not chosen, for example
    facts: list[str] = json.loads(answer.stdout)
    return facts


def python_at(executable: Path) -> Python:
    """Describe an interpreter for the sandbox.

    Raises:
        UsageError: it does not run.
    """
    facts = _facts(executable)
    if facts is None:
        raise UsageError(f"{executable} does not run; delete its environment")
    prefixes = {Path(prefix) for prefix in facts[2:]}
    prefixes |= {executable.parent.parent, executable.resolve().parent.parent}
    return Python(executable, outermost(prefixes), facts[0])


def _environment(
    folder: Path, base: Path, lock: int | None, log: Callable[[str], None]
) -> Path:
    """Make the virtual environment, once; a half-made one is made again."""
    script = folder / (
        "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    )
    if _manifest(folder).is_file() and _facts(script) is not None:
        return script
    if folder.exists():
        log(f"{folder} is not whole (its making was broken off): making it anew\n")
        shutil.rmtree(folder, ignore_errors=True)
    log(f"making an environment with {base} in {folder}\n")
    answer = _run([str(base), "-m", "venv", str(folder)], 600, lock)
    if answer is None or answer.returncode != 0:
        detail = "" if answer is None else (answer.stderr or answer.stdout).strip()
        raise UsageError(f"{base} -m venv {folder} failed: {detail[-500:]}")
    _write_manifest(folder, {})
    return script


def _manifest(folder: Path) -> Path:
    return folder / "kaggle-kit.json"


def _write_manifest(folder: Path, installed: Mapping[str, str]) -> None:
    write_atomic(_manifest(folder), json.dumps(installed, indent=1) + "\n")


def _installed(folder: Path) -> dict[str, str]:
    try:
        value: dict[str, str] = json.loads(_manifest(folder).read_text())
    except (OSError, ValueError):
        return {}
    return value


def _install(
    profile: Profile,
    folder: Path,
    executable: Path,
    missing: Mapping[str, str],
    lock: int | None,
    log: Callable[[str], None],
) -> None:
    """Install with the image's pins for everything that comes along, too."""
    pins = {INSTEAD.get(n, n): v for n, v in profile.packages.items()}
    constraints = folder / "constraints.txt"
    lines = [f"{normalised_name(n)}=={v}\n" for n, v in sorted(pins.items()) if v]
    write_atomic(constraints, "".join(lines))
    wanted = [
        INSTEAD.get(n, n) + (f"=={v}" if v else "") for n, v in sorted(missing.items())
    ]
    log(f"installing {' '.join(wanted)}\n")
    command = [*_installer(executable), "-c", str(constraints), *wanted]
    answer = _run(command, INSTALL_TIMEOUT_S, lock)
    if answer is None or answer.returncode != 0:
        detail = "timed out" if answer is None else (answer.stderr or "").strip()
        raise UsageError(
            f"--profile {profile.name}: these could not be installed: "
            f"{' '.join(wanted)}\n{detail[-1500:]}\n--profile none uses this Python's "
            "own packages instead"
        )


def _installer(executable: Path) -> list[str]:
    """Uv where there is one (minutes faster), else the environment's pip."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--python", str(executable)]
    pip = [str(executable), "-m", "pip", "install", "--disable-pip-version-check"]
    return [*pip, "--no-input", "--progress-bar", "off"]
