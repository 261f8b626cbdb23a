"""M07, M08: the data sources of the metadata, against what the code opens."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject
from kernel_builder.check.rules_metadata import raw_metadata
from kernel_builder.check.rules_text import is_probed, mounts

_PREFIX: Final = re.compile(
    r"^(competitions|datasets|models|code|kernels|notebooks|c|d|https?:)/"
)
_PART: Final = r"[\w][\w.-]*"
_FINDERS: Final = {
    "kaggle_kit.paths.find_input": "competition",
    "kaggle_kit.paths.find_dataset": "dataset",
    "kaggle_kit.paths.find_model": "model",
    "kaggle_kit.paths.find_kernel_output": "kernel_output",
}


def check_sources(subject: Subject) -> Iterator[Finding]:
    """M07: malformed sources, and data the code opens but the metadata lacks."""
    if subject.metadata is None:
        return
    yield from _malformed(subject)
    seen: set[tuple[str, str]] = set()
    attached = ", ".join(subject.sources.everything) or "nothing"
    for unit, node, kind, slug in _opened(subject):
        if (kind, slug) in seen or subject.sources.holds(kind, slug):
            continue
        seen.add((kind, slug))
        yield subject.found(
            "M07",
            "error",
            unit,
            node,
            f"code opens {slug} but metadata attaches {attached}",
            f"add it to {_list_of(kind)} in {subject.metadata_path}",
        )


def _list_of(kind: str) -> str:
    name = {"kernel_output": "kernel"}.get(kind, kind)
    return "the sources" if kind == "flat" else f"{name}_sources"


def _malformed(subject: Subject) -> Iterator[Finding]:
    shapes = {
        "competition_sources": (rf"{_PART}", "the competition's slug alone"),
        "dataset_sources": (rf"{_PART}/{_PART}(/\d+)?", "<owner>/<slug>"),
        "kernel_sources": (rf"{_PART}/{_PART}(/\d+)?", "<owner>/<slug>"),
        "model_sources": (
            rf"{_PART}/{_PART}/{_PART}/{_PART}/\d+",
            "<owner>/<model>/<framework>/<variation>/<version number>",
        ),
    }
    for key, (shape, form) in shapes.items():
        value = raw_metadata(subject).get(key, [])
        items = value if isinstance(value, list) else [value]
        if not isinstance(value, list):
            yield subject.in_metadata(
                "M07", "error", key, f"{key} must be a list of {form}: got {value!r}"
            )
            continue
        for item in items:
            text = item if isinstance(item, str) else ""
            if not re.fullmatch(shape, text) or _is_prefixed(key, text):
                yield subject.in_metadata(
                    "M07", "error", key, f"{key} entry {item!r} must be {form}"
                )


def _is_prefixed(key: str, text: str) -> bool:
    """Say whether an entry of two parts is `datasets/slug`, without its owner."""
    return key != "model_sources" and bool(_PREFIX.match(text))


def _opened(subject: Subject) -> Iterator[tuple[Unit, ast.expr, str, str]]:
    for unit, node, text, kind, slug in mounts(subject):
        if subject.reach.conditions.exists(text) is False and is_probed(
            subject, unit, node
        ):
            continue
        yield unit, node, kind, slug
    for unit, call, name in subject.live_calls():
        kind = _FINDERS.get(name, "")
        if kind and call.args:
            for text in subject.texts(unit, call.args[0]):
                if "\0" not in text:
                    slug = "/".join(text.split("/")[:2])
                    yield unit, call, kind, slug


def check_pins(subject: Subject) -> Iterator[Finding]:
    """M08: version suffixes that Kaggle drops."""
    for key in ("dataset_sources", "kernel_sources"):
        value = raw_metadata(subject).get(key, [])
        for item in value if isinstance(value, list) else []:
            if isinstance(item, str) and re.fullmatch(rf"{_PART}/{_PART}/\d+", item):
                yield subject.in_metadata(
                    "M08",
                    "warning",
                    key,
                    f"version pins are ignored by Kaggle, the latest ready version of "
                    f"{item.rpartition('/')[0]} is mounted",
                    "take the version off, and check the data's version in the code",
                )


RULES: Final = (
    Rule("M07", "error", "sources malformed or not attached", check_sources),
    Rule("M08", "warning", "version pins are ignored", check_pins),
)
