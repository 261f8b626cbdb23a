"""S01, S29: source files that Kaggle's Python, or the upload, cannot read."""

import ast
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.rules_base import Rule, Subject
from kernel_builder.errors import UsageError
from kernel_builder.profiles import Profile
from kernel_builder.read.modules import Finder, loaded_modules, walk_imports
from kernel_builder.read.project import Project
from kernel_builder.read.sources import Source, read_source

_BOM: Final = b"\xef\xbb\xbf"
_MAGIC: Final = re.compile(
    r"^\s*(?:[\w, ]+=\s*)?(?:%{1,2}[a-zA-Z]|!\S|\?{1,2}\w)|\w\?{1,2}$"
)
_MAX_ERRORS: Final = 20


def check_files(
    project: Project, profile: Profile, names: dict[Path, str]
) -> list[Finding]:
    """Check the text of the kernel and of every module its imports reach.

    What does not decode or parse stops every other rule, so this one walks by itself.
    `names` maps files to the paths shown, and is filled as files are found.
    """
    finder = Finder(project)
    pending: list[tuple[Path, str]] = [(project.entry, "")]
    seen: set[Path] = set()
    findings: list[Finding] = []
    while pending:
        path, package = pending.pop()
        if path in seen:
            continue
        seen.add(path)
        found, tree = check_text(
            path, names.setdefault(path, shown_path(path)), profile
        )
        findings.extend(found)
        for node, _ in walk_imports(tree.body):
            if path == project.entry and isinstance(node, ast.ImportFrom):
                findings.extend(_relative(node, names[path]))
            for name in loaded_modules(finder, node, package):
                module = finder.find(name)
                if module is not None and module.path is not None:
                    inner = name if module.is_package else name.rpartition(".")[0]
                    pending.append((module.path, inner))
    return findings


def _relative(node: ast.ImportFrom, shown: str) -> Iterator[Finding]:
    if node.level:
        name = "." * node.level + (node.module or "")
        message = f"import {name} was not inlined: a script has no package around it"
        fix = "write the module's name without the dot"
        line = node.lineno
        yield Finding(
            "S02", "error", shown, line, message, fix, node.end_lineno or line
        )


def check_text(
    path: Path, shown: str, profile: Profile
) -> tuple[list[Finding], ast.Module]:
    """Check one file's bytes, and parse it; an empty tree if that is impossible."""
    data = path.read_bytes()
    findings: list[Finding] = []
    if data.startswith(_BOM):
        message = "starts with a byte order mark (BOM)"
        findings.append(
            Finding("S29", "error", shown, 1, message, "save as plain UTF-8")
        )
        data = data[len(_BOM) :]
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        declared = _declared(path, shown)
        if declared is not None:
            found, tree = _parse(declared.text, shown, profile)
            return [*found, _other_encoding(shown, declared.encoding)], tree
        line = data[: error.start].count(b"\n") + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        findings.append(Finding("S29", "error", shown, line, message, "save as UTF-8"))
        return findings, ast.Module([], [])
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    errors, tree = _parse(text, shown, profile)
    return [*findings, *errors], tree


def _declared(path: Path, shown: str) -> Source | None:
    """Decode a file in the encoding its first lines declare, if that works."""
    try:
        return read_source(path, shown)
    except UsageError:
        return None


def _other_encoding(shown: str, encoding: str) -> Finding:
    message = f"declares {encoding}; only the built file is UTF-8"
    return Finding("S29", "warning", shown, 1, message, "save as UTF-8", 2)


def _parse(text: str, shown: str, profile: Profile) -> tuple[list[Finding], ast.Module]:
    """Parse, setting aside one bad magic line after the other to find them all."""
    tree = _parsed(text, profile.python_version)
    if tree is not None:
        return [], tree
    findings: list[Finding] = []
    lines = text.split("\n")
    while len(findings) < _MAX_ERRORS:
        error = _syntax_error("\n".join(lines), None)
        if error is None:
            break
        line = min(max(error.lineno or 1, 1), len(lines))
        magic = bool(_MAGIC.search(lines[line - 1]))
        findings.append(_syntax_finding(error, shown, line, magic, profile))
        if not magic:
            return findings, ast.Module([], [])
        indent = lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())]
        lines[line - 1] = f"{indent}pass"
    if findings:
        return findings, ast.Module([], [])
    newer = _syntax_error(text, profile.python_version)
    version = ".".join(map(str, profile.python_version))
    message = f"syntax newer than Python {version} of {profile.name}"
    line = newer.lineno if newer and newer.lineno else 1
    fix = newer.msg if newer else ""
    return [Finding("S01", "error", shown, line, message, fix)], ast.Module([], [])


def _parsed(text: str, version: tuple[int, int]) -> ast.Module | None:
    """Parse what is right in every respect; None if anything is not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, feature_version=version)
            # Some errors, such as a return outside a function, come only here.
            compile(tree, "<kernel>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None
    return tree


def _syntax_error(text: str, version: tuple[int, int] | None) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if version is None:
                compile(text, "<kernel>", "exec", dont_inherit=True)
            else:
                ast.parse(text, feature_version=version)
    except SyntaxError as error:
        return error
    except ValueError as error:  # null bytes, on older Pythons
        return SyntaxError(str(error))
    return None


def _syntax_finding(
    error: SyntaxError, shown: str, line: int, magic: bool, profile: Profile
) -> Finding:
    if magic:
        message = f"line {line}: notebook magic in a script kernel"
        fix = "use subprocess.run([...], check=True) or plain Python"
        return Finding("S01", "error", shown, line, message, fix, line)
    version = ".".join(map(str, profile.python_version))
    message = f"syntax error: {error.msg}"
    fix = f"the image runs Python {version}"
    return Finding("S01", "error", shown, line, message, fix, line)


def shown_path(path: Path) -> str:
    """Give a path as a person here would open it: relative where that is shorter."""
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def _done_before(subject: Subject) -> Iterator[Finding]:
    """Both rules have run by `check_files`, before there was a tree."""
    del subject
    return iter(())


RULES: Final = (
    Rule("S01", "error", "does not parse under Kaggle's Python", _done_before),
    Rule("S29", "error", "not plain UTF-8", _done_before),
)
