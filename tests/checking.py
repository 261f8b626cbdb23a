"""Kernels for the tests of `check`: written to a folder, checked, findings compared.

A case is the text of a kernel. Lines that end with `# !` must trip the rule, and no
other line may.
"""

import json
from pathlib import Path
from textwrap import dedent

import pytest

from kernel_builder.check.findings import Finding
from kernel_builder.check.preflight import run_checks
from kernel_builder.check.rules import RULES
from kernel_builder.profiles import load_profile
from kernel_builder.read.project import load_project

METADATA = {
    "id": "tester/my-kernel",
    "title": "My Kernel",
    "code_file": "kernel.py",
    "language": "python",
    "kernel_type": "script",
    "is_private": True,
    "enable_gpu": False,
    "enable_tpu": False,
    "enable_internet": False,
    "keywords": [],
    "competition_sources": ["titanic"],
    "dataset_sources": ["tester/weights"],
    "kernel_sources": [],
    "model_sources": [],
}
GPU = {"enable_gpu": True, "machine_shape": "NvidiaTeslaT4"}
ONLINE = {"enable_internet": True}
NOTEBOOK = {"kernel_type": "notebook"}
SEVERITY = {rule.id: rule.severity for rule in RULES}


def rule_cases(table):
    """Rule -> name -> code, as parameters (rule, code) with readable ids."""
    return [
        pytest.param(rule, code, id=f"{rule} {name}")
        for rule, cases in table.items()
        for name, code in cases.items()
    ]


def write_kernel(folder, code, *, files=None, bare=False, without=(), **metadata):
    """Write a kernel (`bare`: without metadata) and give what KERNEL would be."""
    folder.mkdir(parents=True, exist_ok=True)
    text = code if isinstance(code, bytes) else dedent(code).lstrip("\n").encode()
    (folder / "kernel.py").write_bytes(text)
    for name, content in (files or {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(dedent(content).lstrip("\n"))
    if bare:
        return folder / "kernel.py"
    values = {k: v for k, v in (METADATA | metadata).items() if k not in without}
    (folder / "kernel-metadata.json").write_text(json.dumps(values, indent=1))
    return folder


def check(folder, code, *, profile="", ignore=(), paths=(), **options) -> list[Finding]:
    """Check a kernel that is written to `folder`."""
    kernel = write_kernel(folder, code, **options)
    project = load_project(kernel, [folder / path for path in paths])
    return run_checks(project, profile=load_profile(profile), ignore=ignore)


def marked(folder: Path) -> dict[str, list[int]]:
    """Give the lines marked with `# !`, by file name."""
    answer = {}
    for path in sorted(folder.rglob("*.py")):
        lines = path.read_bytes().split(b"\n")
        found = [i for i, text in enumerate(lines, 1) if text.rstrip().endswith(b"# !")]
        if found:
            answer[str(path)] = found
    return answer


def assert_trips(folder, rule, code, *, severity=None, **options) -> list[Finding]:
    """The rule finds exactly the marked lines."""
    findings = [f for f in check(folder, code, **options) if f.id == rule]
    places: dict[str, list[int]] = {}
    for finding in findings:
        places.setdefault(str(Path(finding.path).resolve()), []).append(finding.line)
        assert finding.severity == (severity or SEVERITY[rule])
    expected = {str(Path(k).resolve()): v for k, v in marked(folder).items()}
    assert expected, "the case marks no line"
    assert {path: sorted(set(lines)) for path, lines in places.items()} == expected
    return findings


def assert_passes(folder, rule, code, **options) -> None:
    """The rule finds nothing."""
    found = [str(f) for f in check(folder, code, **options) if f.id == rule]
    assert found == []
