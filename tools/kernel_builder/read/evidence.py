"""Signs in code that it will ask, when it runs, for what no import statement names."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

# Code that may load a module no import statement names.
_BY_NAME: Final = re.compile(
    r"\b(?:import_module|__import__|spec_from_file_location|SourceFileLoader|exec_module"
    r"|find_spec|find_loader|load_module|walk_packages|iter_modules|resolve_name"
    r"|run_module|run_path|import_string|locate|extend_path|entry_points|Popen"
    r"|subprocess|addsitedir|__path__|get_data|resources|pkg_resources"
    r"|discover|loadTestsFromName)\b"
    r"|\bsys\s*\.\s*(?:path|meta_path|path_hooks|executable)\b"
    r"|\bos\s*\.\s*(?:system|exec\w+|spawn\w+|posix_spawn\w*)\b"
    r"|(?<![.\w])(?:exec|eval)\s*\("
)
# Code that may look for files beside itself.
_BY_PLACE: Final = re.compile(
    r"\b(?:__file__|__path__|__spec__|__loader__|pkgutil|resources|pkg_resources"
    r"|get_data|getsourcefile|getfile|getabsfile|find_spec|importlib|inspect|co_filename"
    r"|FileSystemLoader|PackageLoader)\b"
    r"|\bsys\s*\.\s*(?:path|modules|argv)\b"
)
_LISTS: Final = re.compile(r"\b(?:listdir|scandir|iterdir|r?glob|walk)\b")
_CONFIG: Final = (".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".txt", ".xml")
# No part of a word starts a match: that would take quadratic time on base64 text.
_DOTTED: Final = re.compile(r"(?<!\w)[A-Za-z_]\w*+(?:\.[A-Za-z_]\w*+)+")
_NAME: Final = re.compile(r"[A-Za-z_][\w.]*(?::[\w.]+)?")


def imports_by_name(text: str) -> bool:
    """Say whether code may load a module that no import statement names."""
    return _BY_NAME.search(text) is not None


def asks_place(text: str) -> bool:
    """Say whether code may look for files beside itself."""
    return _BY_PLACE.search(text) is not None


def lists_folders(text: str) -> bool:
    """Say whether code may list a folder."""
    return _LISTS.search(text) is not None


def is_spelt(name: str, texts: str) -> bool:
    """Say whether code spells a file's name, its suffix, or a folder it is in.

    >>> is_spelt("lang/en.json", "open(f'{HERE}/lang/{code}.json')")
    True
    >>> is_spelt("docs/notes.md", "open(HERE / 'settings.json')")
    False
    """
    *folders, last = name.split("/")
    suffix = re.escape(last[last.rfind(".") :]) if "." in last[1:] else ""
    if last in texts or (suffix and re.search(rf"(?<!\w){suffix}\b", texts)):
        return True
    return any(re.search(rf"['\"/]{re.escape(part)}['\"/]", texts) for part in folders)


def prefixes(name: str) -> Iterator[str]:
    """Give a dotted name's packages and the name itself."""
    parts = name.replace(":", ".").split(".")
    for count in range(1, len(parts) + 1):
        yield ".".join(parts[:count])


def strings(trees: Iterable[ast.Module]) -> Iterator[str]:
    """Give the strings of the code that could be a module's name or a script's."""
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value.removesuffix(".py").strip("./").replace("/", ".")
                if _NAME.fullmatch(name):
                    yield name


def config_names(paths: Iterable[Path]) -> Iterator[str]:
    """Give the dotted names in configuration files."""
    for path in paths:
        if path.suffix in _CONFIG:
            try:
                yield from _DOTTED.findall(path.read_text("utf-8", "replace"))
            except OSError:
                continue
