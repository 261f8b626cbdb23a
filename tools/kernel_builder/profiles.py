"""What a Kaggle image holds, allows and runs on: dated facts, kept as package data.

`profiles.json` beside this module has one profile per image that was live in 2026. A
new image means new data there, not new code.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from kernel_builder.errors import UsageError

_DATA: Final = Path(__file__).with_name("profiles.json")
AcceleratorKind = Literal["gpu", "tpu", "cpu"]


@dataclass(frozen=True)
class Accelerator:
    """One `machine_shape`.

    `capability` is the CUDA compute capability times ten (75 for a T4), 0 without CUDA.
    """

    name: str
    kind: AcceleratorKind
    devices: int
    capability: int
    note: str


@dataclass(frozen=True)
class Removal:
    """Names and arguments that a package lost (or deprecated) in one version.

    `names` maps a dotted name to its replacement; `X()` in a name stands for an
    instance of X. `arguments` maps a call to {keyword: replacement}. `was` is what
    happened: `removed`, `deprecated`, ...
    """

    package: str
    since: str
    was: str
    names: Mapping[str, str]
    arguments: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Profile:
    """One Kaggle image and the machine around it.

    `packages` are the pins a parity environment installs; `versions` is everything in
    the image by normalised distribution name, with an empty version where unknown.
    `imports` maps import names to distributions where the two differ; `absent` does so
    for well-known packages that the image lacks.
    """

    name: str
    python: str
    approximate: bool
    evidence: str
    collected: str
    packages: Mapping[str, str]
    versions: Mapping[str, str]
    imports: Mapping[str, str]
    stdlib: frozenset[str]
    provided: frozenset[str]
    absent: Mapping[str, str]
    gpu_only: frozenset[str]
    tpu_only: frozenset[str]
    image_tags: tuple[str, ...]
    limits: Mapping[str, int]
    runtime: Mapping[str, Any]
    accelerators: Mapping[str, Accelerator]
    retired: Mapping[str, str]
    default_gpu: str
    default_tpu: str
    removed: tuple[Removal, ...]
    torch_arch_list_gpu: tuple[str, ...]
    torch_local_suffix: Mapping[str, str]

    @property
    def python_version(self) -> tuple[int, int]:
        """Major and minor version, such as (3, 12)."""
        major, minor = self.python.split(".")[:2]
        return int(major), int(minor)

    def distribution(self, module: str) -> str:
        """Name the distribution that brings the top-level module `module`, if any."""
        name = self.imports.get(module) or normalised_name(module)
        return name if name in self.versions else ""

    def has_module(self, module: str) -> bool:
        """Say whether `import module` works in the image (GPU image included)."""
        if (
            module == "__main__"
            or module in self.stdlib | self.provided | self.gpu_only
        ):
            return True
        return module not in self.absent and bool(self.distribution(module))

    def version_of(self, package: str) -> str:
        """Give the version of a distribution; empty if absent or unknown."""
        if package == "python":
            return self.python
        return self.versions.get(normalised_name(package), "")

    def machine(self, shape: str) -> Accelerator | None:
        """Give what Kaggle runs for a `machine_shape`; None if it is unknown."""
        return self.accelerators.get(self.retired.get(shape, shape))


def normalised_name(distribution: str) -> str:
    """Normalise a distribution name as PyPI does: `Scikit_Learn` is `scikit-learn`.

    >>> normalised_name("jaraco.classes")
    'jaraco-classes'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def version_key(version: str) -> tuple[int, ...]:
    """Make a version comparable by its leading numbers; `2.10.0+cu128` is (2, 10, 0).

    >>> version_key("2.10.0+cu128") > version_key("2.9")
    True
    """
    parts = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in parts.group().split(".")) if parts else ()


def profile_names() -> tuple[str, ...]:
    """Name every profile, the oldest first."""
    return tuple(_read()["order"])


def default_profile() -> str:
    """Name the profile that is used where none is asked for."""
    return str(_read()["default"])


@lru_cache(maxsize=8)
def load_profile(name: str = "") -> Profile:
    """Load one profile; the default one for an empty name.

    Raises:
        UsageError: there is no profile of that name.
    """
    data = _read()
    name = name or data["default"]
    if name not in data["profiles"]:
        known = ", ".join(data["order"])
        raise UsageError(f"--profile {name}: unknown; the known profiles are {known}")
    own = data["profiles"][name]
    column = data["order"].index(name)
    version = ".".join(own["python"].split(".")[:2])
    machines = data["accelerators"]
    return Profile(
        name=name,
        python=own["python"],
        approximate=own["approximate"],
        evidence=own["evidence"],
        collected=data["collected"],
        packages=own["packages"],
        versions={
            package: row[column]
            for package, row in data["versions"].items()
            if row[column] is not None
        },
        imports=data["imports"],
        stdlib=frozenset(data["stdlib"]["common"] + data["stdlib"].get(version, [])),
        provided=frozenset(data["provided"]),
        absent=data["absent"],
        gpu_only=frozenset(data["gpu_only"]),
        tpu_only=frozenset(data["tpu_only"]),
        image_tags=tuple(own["image_tags"]),
        limits=data["limits"],
        runtime=data["runtime"],
        accelerators={
            shape: Accelerator(shape, **value)
            for shape, value in machines["valid"].items()
        }
        | {"CPU": Accelerator("CPU", "cpu", 0, 0, "no accelerator")},
        retired=machines["retired"],
        default_gpu=machines["default_gpu"],
        default_tpu=machines["default_tpu"],
        removed=tuple(_removal(item) for item in data["removed"]),
        torch_arch_list_gpu=tuple(own["torch_arch_list_gpu"]),
        torch_local_suffix=own["torch_local_suffix"],
    )


def _removal(item: Mapping[str, Any]) -> Removal:
    return Removal(
        package=item["package"],
        since=item["since"],
        was=item["was"],
        names=item.get("names", {}),
        arguments=item.get("arguments", {}),
    )


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(_DATA.read_bytes())
    return data
