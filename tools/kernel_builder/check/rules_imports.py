"""S01-S04, S23, S30: what the kernel imports, against what the image has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import (
    IMPORT_ERRORS,
    Rule,
    Subject,
    keyword,
)
from kernel_builder.check.rules_commands import find_commands
from kernel_builder.check.values import BESIDE, UNKNOWN
from kernel_builder.profiles import Removal, normalised_name, version_key
from kernel_builder.read.modules import STDLIB, walk_imports

ImportNode = ast.Import | ast.ImportFrom
_MAX_SEARCHED: Final = 2000
_PATH_CHANGES: Final = ("sys.path.append", "sys.path.insert", "sys.path.extend")


def _imports(subject: Subject) -> Iterator[tuple[Unit, ImportNode, str]]:
    """Give every import that may run on Kaggle and leaves the kernel's own modules.

    Third: the top-level name, with leading dots for what a relative import leaves.
    """
    for unit in subject.program.units:
        local = {id(item.node) for item in unit.module.imports}
        for node, context in walk_imports(unit.tree.body):
            if context == "typing" or not subject.live(unit, node):
                continue
            if subject.caught(unit, node, IMPORT_ERRORS):
                continue
            for root in _roots(node):
                if not (id(node) in local and _is_local(subject, root)):
                    yield unit, node, root


def _roots(node: ImportNode) -> list[str]:
    if isinstance(node, ast.Import):
        return list(dict.fromkeys(a.name.partition(".")[0] for a in node.names))
    if node.level:
        return ["." * node.level + (node.module or node.names[0].name)]
    return [(node.module or "").partition(".")[0]]


def _is_local(subject: Subject, root: str) -> bool:
    names = {unit.name.partition(".")[0] for unit in subject.program.units}
    namespaces = subject.closure.namespaces if subject.closure else ()
    return root.startswith(".") or root in names or root in namespaces


# -- S02, S03, S04


def check_own(subject: Subject) -> Iterator[Finding]:
    """S02: an import of the user's own code that is not inlined."""
    by_hand = _own_folders_added(subject)
    for unit, node, root in _imports(subject):
        place = _own_place(subject, root)
        if place is None or (by_hand and _goes_along(subject, place)):
            continue
        where = f" (it is at {place})" if place else ""
        yield subject.found(
            "S02",
            "error",
            unit,
            node,
            f"import {root} was not inlined; only one file is uploaded{where}",
            _own_fix(subject, place),
        )


def _own_folders_added(subject: Subject) -> bool:
    """Say whether the kernel puts folders beside it on sys.path: they go along."""
    return any(
        text.startswith((BESIDE, UNKNOWN)) or not text.startswith("/")
        for unit, call, name in subject.program.calls()
        if name in _PATH_CHANGES and call.args
        for text in subject.texts(unit, call.args[-1])
    )


def _goes_along(subject: Subject, place: str) -> bool:
    path = subject.project.root / place
    return any(path == file or path in file.parents for file in subject.carried())


def _own_place(subject: Subject, root: str) -> str | None:
    """Find the user's own module of that name outside the search folders."""
    if root.startswith("."):
        return ""
    if subject.profile.has_module(root) or root in STDLIB:
        return None
    return _nearby_modules(subject).get(root)


def _own_fix(subject: Subject, place: str) -> str:
    folder = str(Path(place).parent)
    return (
        f"add --path {folder}" if place else "import from a package beside the kernel"
    )


def _nearby_modules(subject: Subject) -> dict[str, str]:
    """Name the modules and packages of the repository by their import name."""
    root = subject.project.root
    found: dict[str, str] = {}
    candidates = sorted(root.glob("*")) + sorted(root.glob("*/*"))
    for path in candidates[:_MAX_SEARCHED]:
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        label = path.relative_to(root).as_posix()
        if path.suffix == ".py" and path != subject.project.entry:
            found.setdefault(path.stem, label)
        elif path.is_dir() and any(path.glob("*.py")):
            found.setdefault(path.name, label)
    return found


def check_image(subject: Subject) -> Iterator[Finding]:
    """S03: a package that the image does not have."""
    installed = _installed(subject)
    scripts = {
        name.partition("/")[2].replace("-", "_") for name in subject.sources.kernels
    }
    for unit, node, root in _imports(subject):
        if root.startswith(".") or root in scripts or installed is None:
            continue
        if subject.profile.has_module(root) or root in _python_removed(subject):
            continue
        if subject.tpu and root in subject.profile.tpu_only:
            continue
        if normalised_name(root) in installed or _own_place(subject, root) is not None:
            continue
        package = subject.profile.absent.get(root, root)
        yield subject.found(
            "S03",
            "error",
            unit,
            node,
            f"{root} is not in the Kaggle image ({subject.profile.name})",
            f"vendor it (--inline {package} if it is pure Python), or attach wheels "
            "and pip install --no-index",
        )


def _installed(subject: Subject) -> set[str] | None:
    """Name what the kernel installs or adds itself; None where that may be anything."""
    names: set[str] = set()
    for command in find_commands(subject):
        words = command.words
        if "install" in words and any(w.startswith(("pip", "uv")) for w in words):
            for word in words[words.index("install") + 1 :]:
                if UNKNOWN in word or word in ("-r", "-e") or word.endswith(".txt"):
                    return None
                names |= _distribution_names(subject, word)
    for unit, call, name in subject.program.calls():
        if name in _PATH_CHANGES:
            texts = subject.texts(unit, call.args[-1] if call.args else None)
            if any(UNKNOWN in text or "input" in text for text in texts):
                return None
    return names


def _distribution_names(subject: Subject, word: str) -> set[str]:
    if word.startswith("-"):
        return set()
    stem = word.rpartition("/")[2]
    name = re.split(r"[=<>!~\[; @]|-\d", stem)[0]
    plain = normalised_name(name)
    absent = subject.profile.absent.items()
    return {plain, *(normalised_name(m) for m, d in absent if d == plain)}


def check_gpu_packages(subject: Subject) -> Iterator[Finding]:
    """S04: a package that only the GPU image has."""
    if subject.gpu is not False:
        return
    for unit, node, root in _imports(subject):
        if root in subject.profile.gpu_only:
            yield subject.found(
                "S04",
                "warning",
                unit,
                node,
                f"{root} exists only in the GPU image, and the GPU is off",
                "turn the GPU on, or import it in a try",
            )


# -- S23


def check_stalls(subject: Subject) -> Iterator[Finding]:
    """S23: imports and loggers that wait for a network that is not there."""
    if subject.internet:
        return
    yield from _albumentations(subject)
    if subject.sets_variable("WANDB_MODE") or subject.sets_variable("WANDB_DISABLED"):
        return
    for unit, call, name in subject.live_calls():
        last = name.rpartition(".")[2]
        if (
            last in ("WandbLogger", "WandbCallback", "WandbMetricsLogger")
            and subject.constant(unit, keyword(call, "offline")) is not True
        ):
            yield _wandb(subject, unit, call, f"{last}(...)")
        report = keyword(call, "report_to")
        if report is not None and "wandb" in _listed(subject, unit, report):
            yield _wandb(subject, unit, call, "report_to='wandb'")


def _listed(subject: Subject, unit: Unit, expr: ast.expr) -> tuple[str, ...]:
    parts = expr.elts if isinstance(expr, ast.List | ast.Tuple) else [expr]
    return tuple(text for part in parts for text in subject.texts(unit, part))


def _wandb(subject: Subject, unit: Unit, node: ast.AST, what: str) -> Finding:
    return subject.found(
        "S23",
        "warning",
        unit,
        node,
        f"{what} waits for the network, and internet is off",
        "set os.environ['WANDB_MODE'] = 'offline' first",
    )


def _albumentations(subject: Subject) -> Iterator[Finding]:
    settings = subject.sets_variable("NO_ALBUMENTATIONS_UPDATE")
    for unit, node, root in _imports(subject):
        if root != "albumentations":
            continue
        before = [
            (where, place)
            for where, place, _ in settings
            if where is not unit or place.lineno < node.lineno  # type: ignore[attr-defined]
        ]
        if not before:
            yield subject.found(
                "S23",
                "warning",
                unit,
                node,
                "albumentations asks for updates at import: about 60 s without network",
                "set os.environ['NO_ALBUMENTATIONS_UPDATE'] = '1' before the import",
            )
            return


# -- S30


def check_removed(subject: Subject) -> Iterator[Finding]:
    """S30: names and arguments that the image's versions no longer have."""
    present = [item for item in subject.profile.removed if _applies(subject, item)]
    names = {name: item for item in present for name in item.names}
    calls: dict[str, list[Removal]] = {}
    for item in present:
        for function in item.arguments:
            calls.setdefault(function, []).append(item)
    yield from _removed_imports(subject, names)
    for unit, node in subject.program.nodes(ast.Attribute):
        name = subject.dotted(unit, node)
        if (
            name in names
            and not _is_stored(node)
            and subject.live(unit, node)
            and not subject.caught(unit, node, ("AttributeError",))
        ):
            yield _removed(subject, unit, node, name, names[name])
    for unit, call, name in subject.live_calls():
        for pattern in (name, f"*.{name.rpartition('.')[2]}"):
            for item in calls.get(pattern, ()):
                if pattern[0] == "*" and not name.startswith(f"{item.package}."):
                    continue
                yield from _removed_arguments(subject, unit, call, name, pattern, item)


def _applies(subject: Subject, item: Removal) -> bool:
    profile = subject.profile
    if item.package != "python" and item.package not in profile.versions:
        return False
    # Packages whose version is not known are built from their newest release.
    version = profile.version_of(item.package)
    return not version or version_key(version) >= version_key(item.since)


def _image_version(subject: Subject, package: str) -> str:
    version = subject.profile.version_of(package)
    return f"the image has {version or 'a newer one'}"


def _is_stored(node: ast.Attribute) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _removed_imports(subject: Subject, names: dict[str, Removal]) -> Iterator[Finding]:
    for unit, node, _ in _imports(subject):
        if isinstance(node, ast.ImportFrom):
            whole = [
                node.module or "",
                *(f"{node.module}.{a.name}" for a in node.names),
            ]
        else:
            whole = [alias.name for alias in node.names]
        for name in whole:
            if name in names:
                yield _removed(subject, unit, node, name, names[name])


def _python_removed(subject: Subject) -> set[str]:
    return {
        name
        for item in subject.profile.removed
        if item.package == "python" and _applies(subject, item)
        for name in item.names
    }


def _removed(
    subject: Subject, unit: Unit, node: ast.AST, name: str, item: Removal
) -> Finding:
    return subject.found(
        "S30",
        "warning",
        unit,
        node,
        f"{name.replace('()', '')} was {item.was} in {item.package} {item.since} "
        f"({_image_version(subject, item.package)})",
        f"use {item.names[name]}",
    )


def _removed_arguments(
    subject: Subject,
    unit: Unit,
    call: ast.Call,
    name: str,
    pattern: str,
    item: Removal,
) -> Iterator[Finding]:
    for word, instead in item.arguments[pattern].items():
        value = keyword(call, word)
        if value is not None:
            yield subject.found(
                "S30",
                "warning",
                unit,
                value,
                f"{name.replace('()', '')}({word}=...) was {item.was} in "
                f"{item.package} {item.since} "
                f"({_image_version(subject, item.package)})",
                f"use {instead}",
            )


RULES: Final = (
    Rule("S02", "error", "own module not inlined", check_own),
    Rule("S03", "error", "package not in the image", check_image),
    Rule("S04", "warning", "package of the GPU image only", check_gpu_packages),
    Rule("S23", "warning", "waits for a network that is off", check_stalls),
    Rule("S30", "warning", "name removed in the image's version", check_removed),
)
