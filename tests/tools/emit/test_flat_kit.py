"""Every module of kaggle_kit goes flat, all of them together."""

import ast
from pathlib import Path

import pytest

from kernel_builder.emit import flat_seen
from kernel_builder.emit.build import build
from kernel_builder.emit.flat import plan_flat
from kernel_builder.emit.flat_reach import make_plan
from kernel_builder.emit.flat_tables import build_tables
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project

KIT = Path(__file__).parents[3] / "kaggle_kit"
MODULES = sorted(path.stem for path in KIT.glob("*.py") if path.stem != "__init__")

# What the kit does that a user's module may not, read and found harmless: the class of
# a value is compared, called or named in an error, and never shown on success.
REVIEWED = {
    "kaggle_kit/backbones.py",  # networks by name
    "kaggle_kit/checkpoint.py",  # error classes of pickle; the type of a refused value
    "kaggle_kit/config.py",  # the types of CFG's fields, to read the command line
    "kaggle_kit/distributed.py",  # starts the running file again, whichever that is
    "kaggle_kit/cross_validation.py",  # the result type in a Callable[...]
    "kaggle_kit/events.py",  # the same, and which methods a callback overrides
    "kaggle_kit/image_caches.py",  # numpy's save and load, of plain arrays only
    "kaggle_kit/layers.py",  # activations by name
    "kaggle_kit/learner.py",  # which exception cancels what
    "kaggle_kit/models.py",  # partial(ResidualBlock, ...)
    "kaggle_kit/plots.py",  # is this a notebook?
    "kaggle_kit/progress.py",  # is this a notebook?
    "kaggle_kit/resnets.py",  # which pooling layer
}


def names_of(module: str) -> list[str]:
    found: list[str] = []
    for node in ast.parse((KIT / f"{module}.py").read_text("utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found += [target.id for target in targets if isinstance(target, ast.Name)]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Give a kernel that uses every top-level name of the kit, private ones too."""
    folder = tmp_path_factory.mktemp("kit")
    lines = [
        f"from kaggle_kit.{module} import {', '.join(names)}"
        for module in MODULES
        if (names := names_of(module))
    ]
    used = [f"{name} is None" for module in MODULES for name in names_of(module)]
    (folder / "kernel.py").write_text("\n".join([*lines, *used]) + "\n")
    return load_project(folder / "kernel.py")


def test_all_modules_go_flat_together_with_every_name(everything, tmp_path):
    built = build(everything, out=tmp_path, form="flat")
    text = built.code_path.read_text("utf-8")
    found = ast.parse(text)
    defined = {getattr(node, "name", "") for node in found.body}
    for module in MODULES:
        for node in ast.parse((KIT / f"{module}.py").read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.name in defined
    assert "kaggle_kit" not in {
        (node.module or "").split(".")[0]
        for node in ast.walk(found)
        if isinstance(node, ast.ImportFrom)
    }


def test_what_the_kit_may_do_is_what_was_reviewed(everything, monkeypatch):
    monkeypatch.setattr(flat_seen, "_TRUSTED", "nobody.")
    plan = make_plan(build_tables(find_closure(everything)))
    assert {refusal.path for refusal in flat_seen.check_seen(plan)} <= REVIEWED


@pytest.mark.parametrize("module", ["metrics", "submission", "paths"])
def test_a_kernel_takes_only_what_it_needs(module, tmp_path):
    name = next(n for n in names_of(module) if n[0] != "_" and n.islower())
    text = f"from kaggle_kit.{module} import {name}\nprint({name}.__name__)\n"
    (tmp_path / "kernel.py").write_text(text)
    plan = plan_flat(find_closure(load_project(tmp_path / "kernel.py")))
    labels = {table.label for table in plan.tables.inlined}
    assert f"kaggle_kit/{module}.py" in labels
    assert "kaggle_kit/plots.py" not in labels
    assert "kaggle_kit/learner.py" not in labels
