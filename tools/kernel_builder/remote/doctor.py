"""Look at everything that must be right before a push, and say how to mend it.

The client and its version, which credential wins and who can read it, the clock, the
connection, accepted rules and datasets of a kernel, bubblewrap, Docker, the Pythons of
the profiles. Exits with the code of the first error.
"""

import argparse
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kernel_builder.errors import ToolError, UsageError
from kernel_builder.profiles import load_profile, profile_names
from kernel_builder.read.project import load_project
from kernel_builder.rehearse.profile_env import find_python
from kernel_builder.remote.client import CallError, KaggleClient, as_error
from kernel_builder.remote.client_setup import KEPT_VARIABLES
from kernel_builder.remote.redaction import config_folders
from kernel_builder.remote.retrying import span
from kernel_builder.remote.shared import add_client_arguments, open_client

SUPPORTED = ("2.2.4", "2.2.5")
# A clock this far off breaks signed links and tokens.
CLOCK_SECONDS = 120.0


@dataclass(frozen=True)
class Symptom:
    """One thing looked at: whether it is well, and what to do when it is not."""

    verdict: Literal["ok", "warning", "error"]
    what: str
    fix: str = ""
    code: int = 0

    def line(self) -> str:
        """As it is printed."""
        return f"{self.verdict:>7}  {self.what}" + (
            f"\n         {self.fix}" * bool(self.fix)
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `doctor`."""
    parser.add_argument(
        "kernel", nargs="?", help="also ask about this kernel's sources"
    )
    parser.add_argument("--offline", action="store_true", help="send nothing to Kaggle")
    add_client_arguments(parser)


def run(args: argparse.Namespace, log: Callable[[str], None] = print) -> int:
    """Print what was found; the exit code is that of the first error."""
    worst = 0
    for symptom in examine(args):
        log(symptom.line())
        worst = worst or symptom.code
    return worst


def examine(args: argparse.Namespace) -> Iterator[Symptom]:
    """Everything `doctor` looks at, in the order in which it matters."""
    yield from look_at_variables(os.environ)
    yield from look_at_files(os.environ)
    try:
        with open_client(args) as client:
            yield from look_at_client(client, args)
    except ToolError as error:
        yield Symptom("error", str(error), code=error.exit_code)
    yield from look_at_machine()


def look_at_variables(env: Mapping[str, str]) -> Iterator[Symptom]:
    """Variables that change what the client does."""
    for name in sorted(env):
        if not name.startswith("KAGGLE_") or name.startswith("KAGGLE_KIT_"):
            continue
        if name not in KEPT_VARIABLES:
            yield Symptom(
                "warning",
                f"{name} is set; the client would take it for configuration",
                "this tool hides it from the client; unset it for your own use",
            )
    if env.get("KAGGLE_API_ENVIRONMENT") == "LOCALHOST":
        yield Symptom(
            "warning", "KAGGLE_API_ENVIRONMENT=LOCALHOST: not the real Kaggle"
        )


def look_at_files(env: Mapping[str, str]) -> Iterator[Symptom]:
    """Which credential wins, where it is, and who else can read it."""
    tokens, legacy = config_folders(env)
    found = [
        *(["KAGGLE_API_TOKEN"] if env.get("KAGGLE_API_TOKEN") else []),
        *(
            str(tokens / n)
            for n in ("access_token", "access_token.txt")
            if (tokens / n).is_file()
        ),
        *(["KAGGLE_USERNAME and KAGGLE_KEY"] if env.get("KAGGLE_KEY") else []),
        *([str(legacy / "kaggle.json")] if (legacy / "kaggle.json").is_file() else []),
        *(
            [str(tokens / "credentials.json")]
            if (tokens / "credentials.json").is_file()
            else []
        ),
    ]
    if not found:
        yield Symptom(
            "error",
            f"no Kaggle credentials: nothing in the environment, {tokens} or {legacy}",
            "kaggle.com > Settings > API > create a token, save it as "
            f"{tokens / 'access_token'} (mode 600)",
            code=10,
        )
        return
    yield Symptom("ok", f"credential that wins: {found[0]}")
    if len(found) > 1:
        yield Symptom("warning", f"never reached: {', '.join(found[1:])}")
    hidden = Path(env.get("XDG_CONFIG_HOME") or tokens.parent / ".config") / "kaggle"
    if legacy == tokens and (hidden / "kaggle.json").is_file():
        yield Symptom(
            "warning",
            f"{hidden / 'kaggle.json'} is not read because {tokens} exists",
            f"move it to {tokens}",
        )
    for path in (Path(name) for name in found if os.sep in name):
        mode = path.stat().st_mode & 0o777
        if os.name == "posix" and mode & 0o077:
            yield Symptom(
                "warning",
                f"{path} can be read by others (mode {mode:o})",
                f"chmod 600 {path}",
            )


def look_at_client(client: KaggleClient, args: argparse.Namespace) -> Iterator[Symptom]:
    """The client's version, whether Kaggle accepts the user, the clock, the sources."""
    if args.offline:
        yield Symptom("ok", f"client's Python: {client.python} (not started)")
        return
    try:
        who = client.call("whoami")
    except CallError as failure:
        error = as_error(failure, "client")
        yield Symptom("error", str(error), code=error.exit_code)
        return
    version = f"kaggle {who['version']} in {client.python}"
    if who["version"] in SUPPORTED:
        yield Symptom("ok", version)
    else:
        yield Symptom("warning", f"{version}: tested are {' and '.join(SUPPORTED)}")
    yield Symptom("ok", f"user {who['username']} by {who['method'].lower()}")
    yield from _look_at_clock(client)
    try:
        gpu = client.call("quota").get("gpu_quota") or {}
    except CallError as failure:
        error = as_error(failure, "Kaggle")
        yield Symptom("error", str(error), code=error.exit_code)
        return
    used, allowed = gpu.get("used", 0.0), gpu.get("allowed", 0.0)
    yield Symptom("ok", f"Kaggle answers; GPU used {span(used)} of {span(allowed)}")
    if args.kernel:
        yield from _look_at_sources(client, args.kernel)
    for note in client.notes:
        yield Symptom("warning", f"the client says: {note}")


def _look_at_clock(client: KaggleClient) -> Iterator[Symptom]:
    try:
        skew = client.call("clock")["skew"]
    except CallError:
        return  # the next question will say that Kaggle cannot be reached
    if skew is None:
        return
    if abs(skew) > CLOCK_SECONDS:
        yield Symptom(
            "warning",
            f"this machine's clock is {span(abs(skew))} off",
            "set it (NTP): tokens and download links have dates",
        )
    else:
        yield Symptom("ok", "the clock agrees with Kaggle's")


def _look_at_sources(client: KaggleClient, kernel: str) -> Iterator[Symptom]:
    metadata = load_project(kernel).metadata
    raw = metadata.raw if metadata else {}
    for name in raw.get("competition_sources") or ():
        rules = f"https://www.kaggle.com/competitions/{name}/rules"
        try:
            known = client.call("competition", name=name)
        except CallError as failure:
            yield Symptom(
                "error",
                f"competition {name}: {failure}",
                f"is the name right, and are the rules accepted? {rules}",
                code=5,
            )
            continue
        if known["entered"] is False:
            yield Symptom(
                "error", f"{name}: rules not accepted", f"open {rules}", code=5
            )
        else:
            kind = "code" if known["kernels_only"] else "file"
            yield Symptom("ok", f"competition {name}: joined ({kind} submissions)")
    for name in raw.get("dataset_sources") or ():
        try:
            status = client.call("dataset_status", dataset=name)["status"]
        except CallError as failure:
            fix = "is owner/slug right, and may you see it?"
            yield Symptom("error", f"dataset {name}: {failure}", fix, code=5)
            continue
        if status == "ready":
            yield Symptom("ok", f"dataset {name}: ready")
        else:
            fix = "a run started now would get the version before"
            yield Symptom("warning", f"dataset {name}: {status}", fix)


def look_at_machine() -> Iterator[Symptom]:
    """What rehearsals use: bubblewrap, Docker, the Pythons of the profiles."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        yield Symptom(
            "warning",
            "bubblewrap is not installed: rehearsals are less isolated",
            "apt install bubblewrap (Linux)",
        )
    elif _works([bwrap, "--ro-bind", "/", "/", "true"]):
        yield Symptom("ok", f"bubblewrap works ({bwrap})")
    else:
        yield Symptom(
            "warning",
            "bubblewrap is installed but cannot make namespaces here",
            "sysctl kernel.unprivileged_userns_clone=1, or an AppArmor profile for it",
        )
    docker = shutil.which("docker")
    if docker is not None and _works([docker, "version"]):
        yield Symptom("ok", "Docker answers: rehearse --docker IMAGE is possible")
    else:
        yield Symptom("ok", "no Docker: rehearse --docker is not possible (not needed)")
    for name in profile_names():
        try:
            found = find_python(load_profile(name).python_version, name)
            yield Symptom("ok", f"profile {name}: {found}")
        except UsageError as error:
            why = str(error).removeprefix(f"--profile {name} ")
            yield Symptom("warning", f"profile {name} {why}")


def _works(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            timeout=20,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
