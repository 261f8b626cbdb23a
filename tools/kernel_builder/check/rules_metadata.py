"""M01-M13 but for the sources: kernel-metadata.json and the file that is sent.

P01-P03 need calls of the client: here are their messages, for the rooms that call.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any, Final

from kernel_builder.check.conditions import RERUN
from kernel_builder.check.findings import Finding
from kernel_builder.check.rules_base import Rule, Subject
from kernel_builder.check.rules_text import text_nodes
from kernel_builder.read.project import slugify

_KNOWN: Final = frozenset(
    (
        "id",
        "id_no",
        "title",
        "code_file",
        "language",
        "kernel_type",
        "is_private",
        "enable_gpu",
        "enable_tpu",
        "enable_internet",
        "machine_shape",
        "keywords",
        "dataset_sources",
        "competition_sources",
        "kernel_sources",
        "model_sources",
        "docker_image",
        "docker_image_pinning_type",
        "category_ids",
    )
)
_MEANT: Final = {
    "accelerator": "machine_shape",
    "gpu": "enable_gpu",
    "tpu": "enable_tpu",
    "internet": "enable_internet",
    "private": "is_private",
    "datasets": "dataset_sources",
    "competitions": "competition_sources",
    "competition_source": "competition_sources",
    "dataset_source": "dataset_sources",
    "models": "model_sources",
    "kernels": "kernel_sources",
    "tags": "keywords",
    "type": "kernel_type",
    "file": "code_file",
}
_BOOLEANS: Final = ("is_private", "enable_gpu", "enable_tpu", "enable_internet")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9][A-Za-z0-9-]*")
_PLACEHOLDER: Final = re.compile(r"INSERT_|<[^>]*>|\{\{?")


def raw_metadata(subject: Subject) -> dict[str, Any]:
    """Give the metadata as it was read; empty for a bare script."""
    return subject.metadata.raw if subject.metadata else {}


def check_id(subject: Subject) -> Iterator[Finding]:
    """M01: the id is not owner/slug."""
    if subject.metadata is None:
        return
    kernel = raw_metadata(subject).get("id")
    least = subject.profile.limits["slug_min"]
    text = kernel if isinstance(kernel, str) else ""
    slug = text.partition("/")[2]
    good = _ID.fullmatch(text) and len(slug) >= least and not _PLACEHOLDER.search(text)
    if not good:
        yield subject.in_metadata(
            "M01",
            "error",
            "id",
            f"id must be <owner>/<slug>, slug of {least}+ letters, digits and hyphens, "
            f"no version: got {kernel!r}",
        )


def check_title(subject: Subject) -> Iterator[Finding]:
    """M02: Kaggle makes the slug from the title, whatever the id says."""
    if subject.metadata is None:
        return
    title, slug = raw_metadata(subject).get("title"), subject.metadata.slug
    limits = subject.profile.limits
    low, high = limits["title_min"], limits["title_max"]
    if not isinstance(title, str) or not low <= len(title) <= high:
        shown = f"{title!r} has {len(title)}" if isinstance(title, str) else "none"
        yield subject.in_metadata(
            "M02", "error", "title", f"title must have {low} to {high} letters: {shown}"
        )
    elif (made := _kaggle_slug(title)) != slug:
        yield subject.in_metadata(
            "M02",
            "error",
            "title",
            f"title {title!r} slugifies to {made!r}, id says {slug!r}: "
            "Kaggle will use the title",
            f"write the title {slug.replace('-', ' ').title()!r}, or change the id",
        )


def _kaggle_slug(title: str) -> str:
    """Give the slug Kaggle makes: accents and commas between digits are dropped.

    >>> _kaggle_slug("Café: 1,000 digits")
    'cafe-1000-digits'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    return slugify(re.sub(r"(?<=\d),(?=\d)", "", plain))


def check_size(subject: Subject) -> Iterator[Finding]:
    """M03: the source as it is sent, against Kaggle's limit."""
    if subject.sent is None:
        return
    limit = subject.profile.limits["kernel_source_bytes"]
    size = len(subject.sent)
    largest = ", ".join(f"{name} ({n:,} bytes)" for name, n in subject.parts[:3])
    entry = subject.program.entry
    if size >= limit:
        yield subject.found(
            "M03",
            "error",
            entry,
            entry.tree,
            f"kernel source is {size:,} bytes, Kaggle refuses >= {limit:,}",
            f"move data to a dataset; the largest parts are {largest}",
        )
    elif size >= 0.9 * limit:
        yield subject.found(
            "M03",
            "warning",
            entry,
            entry.tree,
            f"kernel source is {size:,} bytes, close to Kaggle's limit of {limit:,}",
            f"the largest parts are {largest}",
        )


def check_internet(subject: Subject) -> Iterator[Finding]:
    """M04: enable_internet is missing (= on), or on in a code competition."""
    if subject.metadata is None:
        return
    if "enable_internet" not in raw_metadata(subject):
        yield subject.in_metadata(
            "M04",
            "error",
            "enable_internet",
            "enable_internet is missing: Kaggle's client sends a missing key as ON",
            "write it explicitly, true or false",
        )
    elif subject.internet and (reason := _code_competition(subject)):
        yield subject.in_metadata(
            "M04",
            "error",
            "enable_internet",
            f"internet is on, but {reason}: a code competition takes no submission "
            "from a kernel with internet",
            "set enable_internet to false",
        )


def _code_competition(subject: Subject) -> str:
    for unit, _, texts in text_nodes(subject):
        if RERUN in texts:
            return f"{unit.path} asks for {RERUN}"
    for unit in subject.program.units:
        for name in unit.scopes.top.names.values():
            for binding in name:
                if binding.target.partition(".")[0] == "kaggle_evaluation":
                    return f"{unit.path} imports kaggle_evaluation"
    return ""


def check_machine(subject: Subject) -> Iterator[Finding]:
    """M06: a machine_shape that Kaggle replaces silently."""
    shape = raw_metadata(subject).get("machine_shape")
    if not isinstance(shape, str) or not shape or shape in ("None", "CPU"):
        return
    profile = subject.profile
    if shape in profile.accelerators:
        return
    real = profile.retired.get(shape)
    machine = profile.machine(shape)
    same_kind = machine is not None and machine.kind != "cpu"
    known = ", ".join(sorted(name for name in profile.accelerators if name != "CPU"))
    yield subject.in_metadata(
        "M06",
        "warning" if same_kind else "error",
        "machine_shape",
        f"machine_shape {shape} is {'retired' if real else 'unknown'}: Kaggle will run "
        f"{real or 'other hardware'} without telling you",
        f"write {real}" if same_kind else f"the known shapes are {known}",
    )


def check_booleans(subject: Subject) -> Iterator[Finding]:
    """M09: booleans that are not booleans."""
    for key in _BOOLEANS:
        value = raw_metadata(subject).get(key, False)
        good = isinstance(value, bool) or (
            isinstance(value, str) and value.lower() in ("true", "false")
        )
        if not good:
            yield subject.in_metadata(
                "M09", "error", key, f"{key} must be true or false: got {value!r}"
            )


def check_keys(subject: Subject) -> Iterator[Finding]:
    """M10: keys that Kaggle does not know."""
    for key in raw_metadata(subject):
        if key not in _KNOWN:
            meant = _MEANT.get(key)
            yield subject.in_metadata(
                "M10",
                "warning",
                key,
                f"unknown metadata key {key!r}, Kaggle ignores it",
                f"did you mean {meant}?" if meant else "remove it",
            )


def check_type(subject: Subject) -> Iterator[Finding]:
    """M11: the file that is sent does not fit its kernel_type."""
    if subject.metadata is None:
        return
    kind = raw_metadata(subject).get("kernel_type")
    name = subject.metadata.code_file
    if kind not in ("script", "notebook"):
        yield subject.in_metadata(
            "M11",
            "error",
            "kernel_type",
            f"kernel_type must be 'script' or 'notebook': got {kind!r}",
        )
    elif kind == "script" and name.endswith(".ipynb"):
        yield subject.in_metadata(
            "M11",
            "error",
            "kernel_type",
            f"kernel_type is 'script' but code_file is {name}",
            "write kernel_type 'notebook'",
        )
    if subject.notebook and subject.sent is not None:
        yield from _kernelspec(subject)


def _kernelspec(subject: Subject) -> Iterator[Finding]:
    try:
        metadata = json.loads(subject.sent or b"{}").get("metadata", {})
    except (ValueError, AttributeError):
        metadata = {}
    if not metadata.get("kernelspec", {}).get("name"):
        yield subject.in_metadata(
            "M11",
            "error",
            "code_file",
            "the notebook has no kernel name: Kaggle stops with `No kernel name found`",
            "add metadata.kernelspec name=python3",
        )


def check_values(subject: Subject) -> Iterator[Finding]:
    """M13: values that the client refuses at the push, some without a word why."""
    raw = raw_metadata(subject)
    keywords, number = raw.get("keywords", []), raw.get("id_no", 0)
    good = {
        "language": raw.get("language", "python") == "python",
        "keywords": isinstance(keywords, list)
        and all(isinstance(word, str) for word in keywords),
        "docker_image_pinning_type": raw.get("docker_image_pinning_type")
        in (None, "original", "latest"),
        "id_no": number is None or type(number) is int,
    }
    wanted = {
        "language": "'python': no other language is built",
        "keywords": "a list of texts",
        "docker_image_pinning_type": "'original' or 'latest', or left out",
        "id_no": "a whole number, or left out",
    }
    for key in wanted:
        if not good[key]:
            yield subject.in_metadata(
                "M13", "error", key, f"{key} must be {wanted[key]}: got {raw[key]!r}"
            )


def check_image(subject: Subject) -> Iterator[Finding]:
    """M12: a pinned image with another Python than the profile's."""
    image = raw_metadata(subject).get("docker_image")
    if not isinstance(image, str) or not image:
        return
    match = re.search(r"(?:py|python)[-_]?3\.?(\d{1,2})", image.lower())
    tag = re.search(r":(v\d+)", image)
    own = subject.profile.python_version
    pinned = (3, int(match.group(1))) if match else None
    if pinned is None and tag is not None:
        pinned = _python_of_tag(tag.group(1))
    if pinned is not None and pinned != own:
        yield subject.in_metadata(
            "M12",
            "warning",
            "docker_image",
            f"pinned image is py{pinned[0]}.{pinned[1]}, profile "
            f"{subject.profile.name} is py{own[0]}.{own[1]}",
            "remove the pin, or check with the profile of that image (--profile)",
        )


def _python_of_tag(tag: str) -> tuple[int, int] | None:
    from kernel_builder.profiles import load_profile, profile_names

    for name in profile_names():
        profile = load_profile(name)
        if tag in profile.image_tags:
            return profile.python_version
    return None


def push_refused(path: str, line: str) -> Finding:
    """P01: the client's answer does not say `successfully pushed`."""
    return Finding("P01", "error", path, 0, f"push refused: {line}")


def dataset_not_ready(path: str, dataset: str) -> Finding:
    """P02: the run would mount the dataset's previous version."""
    return Finding(
        "P02",
        "warning",
        path,
        0,
        f"dataset {dataset} is still processing, the run would get the previous "
        "version",
        "wait until `kaggle datasets status` says ready",
    )


def quota_short(path: str, needed_hours: float, left_hours: float) -> Finding:
    """P03: less GPU time is left this week than the run is expected to take."""
    return Finding(
        "P03",
        "warning",
        path,
        0,
        f"needs ~{needed_hours:.1f} h, {left_hours:.1f} h of GPU time left this week",
    )


RULES: Final = (
    Rule("M01", "error", "id is not <owner>/<slug>", check_id),
    Rule("M02", "error", "title and id disagree", check_title),
    Rule("M03", "error", "source too large", check_size),
    Rule("M04", "error", "internet left on", check_internet),
    Rule("M06", "warning", "machine_shape retired or unknown", check_machine),
    Rule("M09", "error", "flag is not a boolean", check_booleans),
    Rule("M10", "warning", "unknown metadata key", check_keys),
    Rule("M11", "error", "kernel_type does not fit the file", check_type),
    Rule("M12", "warning", "pinned image has another Python", check_image),
    Rule("M13", "error", "value of the wrong kind", check_values),
)
