"""The room a rehearsal runs in: what is visible there, and how it is closed off.

One list of steps describes the file system (`file_system`); bubblewrap, `unshare` and
Docker each get it in their own words. `isolation.py` finds out which of them works.

Kaggle runs `python3 /kaggle/src/script.py` as root in /kaggle/working with a read-only
/kaggle/input; see `environment` for its variables. Two things differ on purpose: the
tokens are a placeholder, which the log is searched for afterwards, and Python's stdout
is line-buffered so that the log is live.
"""

import json
import os
import shutil
import site
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kernel_builder.rehearse.inside import program
from kernel_builder.rehearse.meters import Command
from kernel_builder.rehearse.mounts import Mount

# What a kernel prints of this it would print of the session's tokens.
NO_TOKEN = "rehearsal-instead-of-a-token"
IO, PROGRAMS = "/run/kaggle_kit/io", "/run/kaggle_kit/programs"
SYSTEM_FOLDERS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
# Of /etc only what libraries need to start; no host names, users or keys.
ETC = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime"),
    *("timezone", "fonts", "mime.types", "nsswitch.conf", "protocols", "services"),
    *("os-release", "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "OpenCL"),
)
# "/root/." stands for the dot files there: libraries look for their configuration.
ON_KAGGLE = (
    *("/kaggle", "/tmp", "/var/tmp", "/usr", "/bin", "/sbin", "/lib", "/lib32"),
    *("/lib64", "/libx32", "/etc", "/proc", "/sys", "/dev", "/opt", "/run", "/root/."),
)


@dataclass(frozen=True)
class Python:
    """An interpreter and the folders that it and its packages need, symlinks too."""

    executable: Path
    prefixes: tuple[Path, ...]
    version: str
    user_site: Path | None = None


@dataclass(frozen=True)
class Spec:
    """Everything one run needs.

    Attributes:
        code: the built file; a `.ipynb` is executed as a notebook.
        working: host folder that becomes /kaggle/working.
        scratch: an empty host folder for this run's temporary files.
        hidden: folders of the user that must not be visible (repository, home).
        hidden_packages: top-level packages installed from the user's own folders.
        variables: environment variables on top of Kaggle's.
        gpu: show the machine's NVIDIA devices.
        cpus, memory_bytes: what it may use at most; 0 for no limit.
    """

    code: Path
    working: Path
    scratch: Path
    python: Python
    mounts: tuple[Mount, ...] = ()
    hidden: tuple[Path, ...] = ()
    hidden_packages: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    gpu: bool = False
    cpus: int = 0
    memory_bytes: int = 0


@dataclass(frozen=True)
class Step:
    """One entry of the file system: kind `ro rw dev symlink dir tmpfs proc devices`."""

    kind: str
    source: str
    target: str


def current_python() -> Python:
    """The interpreter this tool runs under, with its virtual environment."""
    prefixes = {Path(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    hop = Path(sys.executable)
    prefixes.add(hop.parent.parent)
    while hop.is_symlink():  # a venv's python may go through several links
        hop = hop.parent / hop.readlink()
        prefixes.add(Path(os.path.normpath(hop)).parent.parent)
    version = ".".join(str(part) for part in sys.version_info[:3])
    user = Path(site.getusersitepackages())
    user_site = user if site.ENABLE_USER_SITE and user.is_dir() else None
    return Python(Path(sys.executable), outermost(prefixes), version, user_site)


def outermost(prefixes: Iterable[Path]) -> tuple[Path, ...]:
    """These folders and what they link to, without those inside another, sorted."""
    given = set(prefixes)
    every = given | {path.resolve() for path in given}
    return tuple(sorted(path for path in every if not every & set(path.parents)))


def packages_from_folders() -> tuple[str, ...]:
    """Top-level names of packages that pip installed from a local folder.

    They are on no other machine, so a kernel must not find them. This tool and its
    library are among them even when installed from an index.
    """
    names = {"kaggle_kit", "kernel_builder"}
    for folder in {Path(p) for p in sys.path if p.endswith(("-packages",))}:
        for origin in folder.glob("*.dist-info/direct_url.json"):
            if '"file://' in origin.read_text(encoding="utf-8", errors="replace"):
                names |= _top_level_names(origin.with_name("RECORD"))
    return tuple(sorted(names))


def _top_level_names(record: Path) -> set[str]:
    """The modules a distribution's RECORD lists (rows are `path,hash,size`)."""
    if not record.is_file():
        return set()
    rows = record.read_text(encoding="utf-8").splitlines()
    roots = {row.split(",")[0].split("/")[0] for row in rows if ".py," in row}
    return {root.removesuffix(".py") for root in roots if root != ".."}


def prepare(spec: Spec) -> None:
    """Fill the scratch folder: the programs, the kernel, the monitor, mount points."""
    scratch = spec.scratch
    for name in ("tmp", "home", "io", "etc", "input", "lib/kagglegym", "src", "root"):
        (scratch / name).mkdir(parents=True, exist_ok=True)
    (scratch / "programs").mkdir(exist_ok=True)
    (scratch / "top").mkdir(exist_ok=True)
    for name in ("supervisor", "notebook", "enter"):
        (scratch / f"programs/{name}.py").write_text(program(name), encoding="utf-8")
    shutil.copyfile(spec.code, scratch / "src" / code_name(spec))
    (scratch / "lib/sitecustomize.py").write_text(program("monitor"), encoding="utf-8")
    (scratch / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\n")
    (scratch / "etc/group").write_text("root:x:0:\n")
    (scratch / "etc/hosts").write_text("127.0.0.1 localhost kaggle\n::1 localhost\n")
    for mount in spec.mounts:
        mount_point(mount, scratch / "input")
    write_monitor(spec, monitor_settings(spec))


def mount_point(mount: Mount, root: Path) -> Path:
    """An empty file or folder to mount on: /kaggle/input itself is read-only inside."""
    place = root / mount.target.removeprefix("/kaggle/input/")
    if mount.source.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
    return place


def write_monitor(spec: Spec, config: dict[str, object]) -> None:
    """Tell the monitor what to record, hide and forbid."""
    text = json.dumps(config, indent=1)
    (spec.scratch / "lib/monitor.json").write_text(text, encoding="utf-8")


def monitor_settings(spec: Spec) -> dict[str, object]:
    """The monitor's settings where a mount namespace hides everything already."""
    python = [str(prefix) for prefix in spec.python.prefixes]
    # The user's home may be /root itself, which exists inside (and is empty).
    inside = {Path(name) for name in (*ON_KAGGLE, "/root")}
    hidden = {path.resolve() for path in spec.hidden}
    denied = sorted(
        str(h) for h in hidden if not any(h in (p, *p.parents) for p in inside)
    )
    return {
        "events": f"{IO}/events.jsonl",
        "allowed": list(ON_KAGGLE),
        "own": ["/kaggle", *python],
        "python": [*python, "/usr/lib", "/usr/local/lib", "/root/.local"],
        "hidden": list(spec.hidden_packages),
        "forbid": False,
        "denied": denied,
        "read_only": [],
        "kaggle": "",
    }


def code_name(spec: Spec) -> str:
    """The file's name in /kaggle/src."""
    return "notebook.ipynb" if spec.code.suffix == ".ipynb" else "script.py"


def file_system(spec: Spec) -> list[Step]:
    """What is visible inside, parents before children."""
    scratch = spec.scratch
    steps = _system_steps(scratch)
    steps += [
        Step("rw", str(scratch / "tmp"), "/tmp"),
        Step("rw", str(scratch / "home"), "/root"),
        # On disk, not in memory: kernels keep caches in /kaggle/temp.
        Step("rw", str(scratch / "top"), "/kaggle"),
        Step("rw", str(scratch / "io"), IO),
        Step("ro", str(scratch / "programs"), PROGRAMS),
        Step("ro", str(scratch / "lib"), "/kaggle/lib"),
        Step("ro", str(scratch / "src"), "/kaggle/src"),
        Step("ro", str(scratch / "input"), "/kaggle/input"),
        Step("rw", str(spec.working.resolve()), "/kaggle/working"),
    ]
    steps += [Step("ro", str(m.source.resolve()), m.target) for m in spec.mounts]
    steps += _python_steps(spec.python)
    visible = [Path(step.target) for step in steps if step.kind == "ro"]
    for folder in {path.resolve() for path in spec.hidden}:
        if any(place in folder.parents for place in visible):
            steps.insert(0, Step("tmpfs", "", str(folder)))
    if spec.gpu:
        steps += [Step("dev", str(path), str(path)) for path in gpu_devices()]
    return sorted(steps, key=lambda step: len(Path(step.target).parts))


def gpu_devices() -> list[Path]:
    """The device files of this machine's NVIDIA GPUs."""
    return sorted(Path("/dev").glob("nvidia*"))


def _system_steps(scratch: Path) -> list[Step]:
    steps = [Step("ro", "/usr", "/usr"), Step("rw", str(scratch / "tmp"), "/var/tmp")]
    for name in SYSTEM_FOLDERS:
        path = Path("/", name)
        if path.is_symlink():
            steps.append(Step("symlink", str(path.readlink()), str(path)))
        elif path.is_dir():
            steps.append(Step("ro", str(path), str(path)))
    steps += [
        Step("ro", f"/etc/{n}", f"/etc/{n}") for n in ETC if Path("/etc", n).exists()
    ]
    for name in ("passwd", "group", "hosts"):
        steps.append(Step("ro", str(scratch / "etc" / name), f"/etc/{name}"))
    if Path("/sys").is_dir():
        steps.append(Step("ro", "/sys", "/sys"))
    return [*steps, Step("proc", "", "/proc"), Step("devices", "", "/dev")]


def _python_steps(python: Python) -> list[Step]:
    """Exactly the interpreter's own folders; whatever lies beside them stays hidden."""
    covered = [Path("/usr")]
    steps = [
        Step("ro", str(prefix), str(prefix))
        for prefix in python.prefixes
        if not any(prefix == c or c in prefix.parents for c in covered)
    ]
    if python.user_site is not None:
        series = ".".join(python.version.split(".")[:2])
        place = f"/root/.local/lib/python{series}/site-packages"
        steps.append(Step("ro", str(python.user_site), place))
    return steps


def environment(spec: Spec) -> dict[str, str]:
    """Kaggle's variables for a pushed run, no real token, and nothing of the user's.

    From the runtime of the 2026 images; KAGGLE_KIT_REHEARSAL is ours.
    """
    env = {
        "PATH": f"{spec.python.executable.parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": "/kaggle/lib/kagglegym:/kaggle/lib",
        "PYTHONUSERBASE": "/root/.local",
        "MKL_THREADING_LAYER": "GNU",
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
        "KAGGLE_URL_BASE": "https://www.kaggle.com",
        "KAGGLE_DATA_PROXY_URL": "https://dp.kaggle.net",
        "KAGGLE_DATA_PROXY_PROJECT": "kaggle-161607",
        "KAGGLE_DATA_PROXY_TOKEN": NO_TOKEN,
        "KAGGLE_USER_SECRETS_TOKEN": NO_TOKEN,
        "KAGGLE_KERNEL_INTEGRATIONS": "",
        "KAGGLE_GRPC_DATA_PROXY_URL": "dp.kaggle.net:443",
        "KAGGLE_DOCKER_IMAGE": "rehearsal",
        "KAGGLE_CONTAINER_NAME": "rehearsal",
        "KAGGLE_GCP_ZONE": "rehearsal",
        "KAGGLE_KIT_REHEARSAL": "1",
        **spec.variables,
    }
    if spec.code.suffix != ".ipynb":  # a notebook's figures go into its cells
        env["MPLBACKEND"] = "agg"
    return env


def kernel_command(spec: Spec, programs: str, io: str, src: str) -> list[str]:
    """The supervisor and, below it, the kernel as Kaggle starts it."""
    python = str(spec.python.executable)
    supervisor = [python, "-I", "-S", f"{programs}/supervisor.py", f"{io}/exit.json"]
    code = f"{src}/{code_name(spec)}"
    if spec.code.suffix == ".ipynb":
        run = [python, f"{programs}/notebook.py", code, f"{io}/executed.ipynb"]
    else:
        run = [python, code]
    return [*supervisor, str(spec.cpus), *run]


def bubblewrap_command(spec: Spec, bwrap: str) -> Command:
    """The run under bubblewrap: own mounts, processes, network and host name."""
    words = ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    words += ["--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    words += ["--clearenv", "--hostname", "kaggle"]
    if os.geteuid() == 0:
        words += ["--cap-drop", "ALL"]
        for capability in ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL"):
            words += ["--cap-add", f"CAP_{capability}"]
    else:
        words += ["--unshare-user", "--uid", "0", "--gid", "0"]
    kinds = {"ro": "ro-bind", "rw": "bind", "dev": "dev-bind", "symlink": "symlink"}
    for step in file_system(spec):
        if step.kind in kinds:
            words += [f"--{kinds[step.kind]}", step.source, step.target]
        else:
            kind = "dev" if step.kind == "devices" else step.kind
            words += [f"--{kind}", step.target]
    for name, value in environment(spec).items():
        words += ["--setenv", name, value]
    words += ["--chdir", "/kaggle/working"]
    arguments = spec.scratch / "bwrap-arguments"
    arguments.write_bytes(b"".join(os.fsencode(word) + b"\0" for word in words))
    argv = [bwrap, "--args", "{FD}", "--"]
    argv += kernel_command(spec, PROGRAMS, IO, "/kaggle/src")
    env = {"PATH": "/usr/bin:/bin"}
    return Command(argv, env, spec.scratch, arguments=arguments)


def unshare_command(spec: Spec, unshare: str, user: bool) -> Command:
    """The same run with `unshare` and our own mounts, where bubblewrap is missing."""
    plan = {
        "root": str(spec.scratch / "root"),
        "steps": [[s.kind, s.source, s.target] for s in file_system(spec)],
        "cwd": "/kaggle/working",
        "environment": environment(spec),
        "command": kernel_command(spec, PROGRAMS, IO, "/kaggle/src"),
    }
    path = spec.scratch / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    # `unshare --kill-child` ends the kernel when unshare dies; setpriv (of util-linux)
    # makes unshare die with this tool, as bubblewrap does by itself.
    tether = shutil.which("setpriv")
    argv = [tether, "--pdeathsig", "KILL"] if tether else []
    argv += [unshare, *(["--user", "--map-root-user"] if user else [])]
    argv += ["--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"]
    enter = str(spec.scratch / "programs/enter.py")
    argv += [str(spec.python.executable), "-I", "-S", enter, str(path)]
    return Command(argv, {"PATH": "/usr/bin:/bin"}, spec.scratch)


def exit_file(spec: Spec) -> Path:
    """Where the supervisor writes how the kernel ended."""
    return spec.scratch / "io/exit.json"


def events_file(spec: Spec) -> Path:
    """Where the monitor writes what it saw."""
    return spec.scratch / "io/events.jsonl"
