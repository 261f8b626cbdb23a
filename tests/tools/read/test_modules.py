from pathlib import Path

import pytest

from kernel_builder.errors import UsageError
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project


def closure(folder: Path, files: dict[str, str | bytes]):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(data)
    return find_closure(load_project(folder / "kernel.py"))


def names(found) -> list[str]:
    return [module.name for module in found.modules]


def test_modules_stand_in_the_order_python_loads_them(tmp_path):
    found = closure(
        tmp_path,
        {
            "kernel.py": "from b import x\nimport pkg.late\n"
            "def f():\n    import lazy\n",
            "b.py": "import a\nx = 1\n",
            "a.py": "",
            "lazy.py": "import deeper\n",
            "deeper.py": "",
            "pkg/__init__.py": "from . import first\n",
            "pkg/first.py": "",
            "pkg/late.py": "from . import first\n",
        },
    )
    assert names(found) == ["a", "b", "pkg.first", "pkg", "pkg.late", "deeper", "lazy"]


def test_only_reached_modules_are_read(tmp_path):
    found = closure(
        tmp_path,
        {
            "kernel.py": "import json, used\nfrom typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    import typed\n",
            "used.py": "",
            "typed.py": "broken (",
            "unused.py": "broken (",
        },
    )
    assert names(found) == ["used"]


def test_a_folder_without_code_is_no_package(tmp_path):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "log.txt").write_text("x")
    assert names(closure(tmp_path, {"kernel.py": "import wandb\n"})) == []


def test_a_folder_without_init_never_hides_the_standard_library(tmp_path):
    files = {
        "kernel.py": "import json, html.parser, own.page\n",
        "json/scratch.py": "",
        "html/page.py": "",
        "own/page.py": "",
    }
    assert names(closure(tmp_path, files)) == ["own.page"]


BAD = {
    "an empty kernel": ({"kernel.py": " \n"}, r"kernel\.py: empty"),
    "a byte order mark": (
        {"kernel.py": b"\xef\xbb\xbfprint(1)\n"},
        r"kernel\.py: starts with a byte order mark",
    ),
    "a byte order mark in a module": (
        {"kernel.py": "import m\n", "m.py": b"\xef\xbb\xbfx = 1\n"},
        r"m\.py: starts with a byte order mark",
    ),
    "not UTF-8": (
        {"kernel.py": b"x = 1\ny = '\xe9'\n"},
        r"kernel\.py:2: byte 0xe9 is not utf-8; save the file as UTF-8",
    ),
    "an unknown encoding": (
        {"kernel.py": "# coding: klingon\n"},
        r"kernel\.py: unknown encoding 'klingon'",
    ),
    "a null byte": ({"kernel.py": "x = 1\n\0\n"}, r"kernel\.py:2: holds a null byte"),
    "a syntax error": (
        {"kernel.py": "import m\n", "m.py": "x = 1\n\tif True print(2)\n"},
        r"m\.py:2: syntax error: unexpected indent",
    ),
    "a syntax error with its caret": (
        {"kernel.py": "def f():\n    return (1 +* 2)\n"},
        r"kernel\.py:2: syntax error: invalid syntax\n"
        r"    return \(1 \+\* 2\)\n               \^",
    ),
    "what only the compiler finds": (
        {"kernel.py": "print(1)\nreturn 2\n"},
        r"kernel\.py:2: syntax error: 'return' outside function\n    return 2\n    \^",
    ),
    "a module and a package of one name": (
        {"kernel.py": "import m\n", "m.py": "", "m/__init__.py": ""},
        "m is both a module .* and a package",
    ),
    "a hidden standard module": (
        {"kernel.py": "import random\n", "random.py": "x = 1\n"},
        r"random\.py: hides the standard library's module 'random'",
    ),
    "a name that is not there": (
        {"kernel.py": "from m import missing_name\n", "m.py": "x = 1\n"},
        r"kernel\.py:1: cannot import 'missing_name' from m: m\.py does not define",
    ),
    "a submodule that is not there": (
        {"kernel.py": "import json\nimport pkg.gone\n", "pkg/__init__.py": ""},
        r"kernel\.py:2: there is no module 'pkg\.gone': pkg/__init__\.py is here",
    ),
    "a relative import of something that is not there": (
        {
            "kernel.py": "import pkg.a\n",
            "pkg/__init__.py": "",
            "pkg/a.py": "\nfrom .b import x\n",
        },
        r"pkg/a\.py:2: there is no module 'pkg\.b'",
    ),
    "a name the kit does not have": (
        {"kernel.py": "import sys\nfrom kaggle_kit.paths import find_inptu\n"},
        r"kernel\.py:2: cannot import 'find_inptu' from kaggle_kit\.paths",
    ),
    "a module the kit does not have": (
        {"kernel.py": "from kaggle_kit.pahts import find_input\nsys.modules\n"},
        r"kernel\.py:1: there is no module 'kaggle_kit\.pahts'",
    ),
    "a relative import in the kernel": (
        {"kernel.py": "from .m import x\n", "m.py": "x = 1\n"},
        r"kernel\.py:1: a relative import in the kernel itself",
    ),
    "a relative import that leads out": (
        {"kernel.py": "import pkg\n", "pkg/__init__.py": "from ..x import y\n"},
        r"pkg/__init__\.py:1: this relative import leads out of its package",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case, tmp_path):
    files, said = BAD[case]
    with pytest.raises(UsageError, match=said):
        closure(tmp_path, files)


GOOD = {
    "an optional module with a fault": {
        "kernel.py": "try:\n    import m\nexcept SyntaxError:\n    m = None\n",
        "m.py": "broken (",
    },
    "an optional name": {
        "kernel.py": "try:\n    from m import gone\n"
        "except ImportError:\n    gone = 1\n",
        "m.py": "x = 1\n",
    },
    "a name made at run time": {
        "kernel.py": "from m import made\n",
        "m.py": "globals()['ma' + 'de'] = 1\n",
    },
    "a name put there by another module": {
        "kernel.py": "import patch\nfrom m import added\n",
        "patch.py": "import m\nm.added = 1\n",
        "m.py": "",
    },
    "what every module has": {
        "kernel.py": "from m import __doc__, __name__\n",
        "m.py": "",
    },
    "a module replaced by an object": {
        "kernel.py": "from m import anything\n",
        "m.py": "from sys import modules\nmodules[__name__] = object()\n",
    },
    "a lazy attribute": {
        "kernel.py": "from m import lazy\n",
        "m.py": "def __getattr__(name):\n    return name\n",
    },
    "a declared encoding": {
        "kernel.py": "from m import x\n",
        "m.py": "# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"),
    },
    "a package module named like a standard one": {
        "kernel.py": "import random\nfrom pkg.random import x\n",
        "pkg/__init__.py": "",
        "pkg/random.py": "x = 1\n",
    },
}


@pytest.mark.parametrize("case", GOOD)
def test_what_python_accepts_is_accepted(case, tmp_path):
    assert closure(tmp_path, GOOD[case]).modules


def test_text_is_read_as_python_reads_it(tmp_path):
    found = closure(
        tmp_path,
        {
            "kernel.py": "import m\r\nx = '''a\r\nb'''\r\n",
            "m.py": "# -*- coding: latin-1 -*-\rx = 'é'\r".encode("latin-1"),
        },
    )
    assert found.entry.text == "import m\nx = '''a\nb'''\n"
    assert found.modules[0].text == "# -*- coding: latin-1 -*-\nx = 'é'\n"
    assert found.modules[0].source.encoding == "latin-1"


def test_a_link_in_a_circle_is_named(tmp_path):
    (tmp_path / "m.py").symlink_to("m.py")
    with pytest.raises(UsageError, match=r"m\.py: a link that leads nowhere"):
        closure(tmp_path, {"kernel.py": "import m\n"})
    (tmp_path / "loop.py").symlink_to("loop.py")
    with pytest.raises(UsageError, match="symbolic links"):
        load_project(tmp_path / "loop.py")


def test_a_linked_folder_that_contains_itself_ends(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "up").symlink_to("..")
    found = closure(tmp_path, {"kernel.py": "import pkg.m\n", "pkg/m.py": ""})
    assert names(found) == ["pkg.m"]
    assert found.namespaces == ("pkg",)


def test_a_namespace_package_may_lie_in_several_folders(tmp_path):
    (tmp_path / "kernel.py").write_text("from ns.a import x\nfrom ns.b import y\n")
    for folder, name in (("ns", "a"), ("lib/ns", "b"), ("lib/ns", "a")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{name}.py").write_text("x = y = 1\n")
    project = load_project(tmp_path / "kernel.py", [tmp_path / "lib"])
    found = find_closure(project)
    assert [module.label for module in found.modules] == ["ns/a.py", "lib/ns/b.py"]
