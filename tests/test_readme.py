"""What the README shows is what the program has."""

import re
from pathlib import Path

import pytest

from kernel_builder import cli, errors

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_kernel_excerpt_is_the_kernels_own_text():
    (excerpt,) = re.findall(r"## A kernel\n.*?```python\n(.*?)```", README, re.DOTALL)
    kernel = REPOSITORY / "kernels" / "digit_recognizer" / "kernel.py"
    source = kernel.read_text(encoding="utf-8")
    parts = [part.strip("\n") for part in re.split(r"(?m)^ *\.\.\.\n", excerpt)]
    assert len(parts) >= 3
    for part in parts:
        for line in part.splitlines():
            # The one call that the kernel wraps in train_or_load stands alone here.
            assert line in source or line == FIT, line


FIT = "learner.fit_one_cycle(epochs, weight_decay=cfg.weight_decay)"


def test_the_table_lists_every_command(capsys):
    listed = set(re.findall(r"(?m)^\| `(\w+)[^`]*` \|", README))
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    shown = capsys.readouterr().out.partition("commands:")[2]
    assert listed == set(re.findall(r"(?m)^  (\w+)  ", shown))


def test_the_table_lists_every_exit_code():
    listed = {int(code) for code in re.findall(r"(?m)^\| (\d+) \|", README)}
    kinds = [errors.ToolError, *errors.ToolError.__subclasses__()]
    assert listed == {0, 130, *(kind.exit_code for kind in kinds)}


def test_every_command_of_a_benchmark_is_there():
    for script in re.findall(
        r"python ((?:benchmarks|kernels|tools)/[\w/.]+\.py)", README
    ):
        assert (REPOSITORY / script).is_file(), script


def test_the_changelog_begins_with_the_version():
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    (version,) = re.findall(r'(?m)^version = "(.+)"', project)
    assert re.findall(r"(?m)^## (\S+)", changelog)[0] == version
