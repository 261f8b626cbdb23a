"""Which shell commands a kernel runs, through subprocess, os.system or IPython."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Subject, argument, keyword
from kernel_builder.check.values import UNKNOWN

RUNNERS: Final = frozenset(
    f"subprocess.{name}"
    for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput")
) | {"os.system", "os.popen", "subprocess.getstatusoutput"}
_SHELLS: Final = frozenset(("system", "getoutput", "run_line_magic", "run_cell_magic"))
_LOCAL: Final = re.compile(r"https?://(localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])")
_FETCHERS: Final = frozenset(
    (
        "wget",
        "curl",
        "aria2c",
        "axel",
        "gsutil",
        "gcloud",
        "aws",
        "gdown",
        "rclone",
        "apt",
        "apt-get",
        "conda",
        "mamba",
        "npm",
        "ssh",
        "scp",
        "rsync",
        "ping",
    )
)
_NO_INDEX: Final = ("--no-index", "--offline")


@dataclass(frozen=True, eq=False)
class Command:
    """One command of a shell line, split into words; UNKNOWN parts kept."""

    unit: Unit
    call: ast.Call
    name: str
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        """The command as a person would type it."""
        return " ".join(self.words).replace(UNKNOWN, "...")


def find_commands(subject: Subject) -> Iterator[Command]:
    """Give every command that the user's modules may run on Kaggle."""
    for unit, call, name in subject.live_calls():
        if name in RUNNERS or _is_ipython(call, name):
            yield from commands_of(subject, unit, call, name)


def _is_ipython(call: ast.Call, name: str) -> bool:
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    return name.endswith(f"get_ipython().{method}") and method in _SHELLS


def commands_of(
    subject: Subject, unit: Unit, call: ast.Call, name: str
) -> Iterator[Command]:
    """Split one call into its commands; `a && b; c` are three."""
    first = argument(call, 0, "args", "cmd", "command")
    if first is None:
        return
    if isinstance(first, ast.List | ast.Tuple):
        words = tuple(subject.texts(unit, item)[0] for item in first.elts)
        yield Command(unit, call, name, words)
        return
    found = [value for _, value in subject.values.sources(unit, first)]
    lists = [value for value in found if isinstance(value, ast.List | ast.Tuple)]
    for value in lists:
        words = tuple(subject.texts(unit, item)[0] for item in value.elts)
        yield Command(unit, call, name, words)
    for text in subject.texts(unit, _split_base(first)) if not lists else ():
        for part in re.split(r"&&|\|\||;|\n|\|", text):
            words = tuple(_split(part))
            if words:
                yield Command(unit, call, name, words)


def _split_base(expr: ast.expr) -> ast.expr:
    """Look through `"pip install x".split()` and `shlex.split("...")`."""
    if (
        isinstance(expr, ast.Call)
        and isinstance(expr.func, ast.Attribute)
        and expr.func.attr == "split"
    ):
        return expr.args[0] if expr.args else expr.func.value
    return expr


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def is_checked(subject: Subject, command: Command) -> bool:
    """Say whether a command that fails raises an exception."""
    if command.name.endswith(("check_call", "check_output")):
        return True
    check = keyword(command.call, "check")
    return check is not None and subject.constant(command.unit, check) is not False


def needs_network(command: Command) -> str:
    """Name what a command would fetch from the network; empty if nothing."""
    words = [word for word in command.words if word not in ("sudo", "nohup", "time")]
    while words and "=" in words[0] and not words[0].startswith("-"):
        words = words[1:]  # FOO=1 pip install ...
    if not words:
        return ""
    name = words[0].rpartition("/")[2]
    if re.fullmatch(r"python[\d.]*", name) and words[1:2] == ["-m"]:
        words = words[2:]
        name = words[0] if words else ""
    if name == "uv" and words[1:2] == ["pip"]:
        words, name = words[1:], "pip"
    if re.fullmatch(r"pip[\d.]*", name):
        return command.text if _pip_fetches(words[1:]) else ""
    if name == "git":
        fetches = {"clone", "pull", "fetch", "submodule", "lfs"} & set(words)
        return command.text if fetches and not _is_local_clone(words) else ""
    if name in ("kaggle", "huggingface-cli", "hf", "wandb"):
        return command.text
    if name in _FETCHERS:
        return "" if any(_LOCAL.match(word) for word in words) else command.text
    return ""


def _pip_fetches(words: list[str]) -> bool:
    if not words or words[0] not in ("install", "download", "wheel"):
        return False
    if any(word.startswith(_NO_INDEX) for word in words):
        return False
    wanted = [w for w in words[1:] if not w.startswith("-")]
    unknown = any(word == UNKNOWN for word in wanted)
    files = [w for w in wanted if w.startswith(("/", ".")) or ".whl" in w]
    if wanted and len(files) == len(wanted):
        return False  # wheels and folders that are attached
    return bool(wanted) and not (unknown and len(wanted) == 1)


def _is_local_clone(words: list[str]) -> bool:
    return any(word.startswith(("/", "./", "../")) for word in words[2:3])


def is_local_url(url: str) -> bool:
    """Say whether a URL stays on this machine."""
    return bool(_LOCAL.match(url))
