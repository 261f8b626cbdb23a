import contextlib
import io
import re
import sys
import types
from pathlib import Path

import pytest
from random_programs import Programs

from kernel_builder.emit.flat import emit_flat
from kernel_builder.emit.proof import prove
from kernel_builder.errors import ToolError, UsageError
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project


def run(text: str, folder: Path | None) -> tuple[str, str]:
    """Run a kernel in this process: what it printed and the error that ended it."""
    before = set(sys.modules)
    main = types.ModuleType("__main__")
    kept = sys.modules["__main__"]
    sys.modules["__main__"] = main
    if folder is not None:
        sys.path.insert(0, str(folder))
    printed = io.StringIO()
    error = ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(text, "kernel.py", "exec"), main.__dict__)
    except Exception as problem:
        error = type(problem).__name__
    finally:
        sys.modules["__main__"] = kept
        if folder is not None:
            sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            del sys.modules[name]
    return re.sub(r"0x[0-9a-f]+", "0x", printed.getvalue()), error


def joined(seed: int, folder: Path) -> bool:
    """Compare one random program with its flat form, where it has one."""
    files = Programs(seed).files()
    for name, text in files.items():
        (folder / name).write_text(text)
    try:
        closure = find_closure(load_project(folder / "kernel.py"))
    except UsageError:
        assert run(files["kernel.py"], folder)[1], "refused, but it runs"
        return False
    try:
        emitted = prove(emit_flat(closure), closure)
    except ToolError:
        return False
    assert run(emitted.text, None) == run(files["kernel.py"], folder)
    return bool(closure.modules)


@pytest.mark.parametrize("start", range(0, 400, 40))
def test_a_random_program_is_the_same_joined_or_refused(start, tmp_path):
    accepted = 0
    for seed in range(start, start + 40):
        folder = tmp_path / str(seed)
        folder.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "dont_write_bytecode", True)
            accepted += joined(seed, folder)
    assert accepted > 0  # the comparison compared something
