"""What conditions, constants and paths are on Kaggle, as far as the text tells."""

import ast

import pytest
from checking import GPU, NOTEBOOK, write_kernel

from kernel_builder.check.preflight import _subject
from kernel_builder.check.rules_text import mount_of
from kernel_builder.check.values import (
    BESIDE,
    UNKNOWN,
    join_paths,
    on_kaggle,
    parent_of,
)
from kernel_builder.profiles import load_profile
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project

HEAD = """
import os
import platform
import sys
from pathlib import Path
import torch
from os import environ as env
from kaggle_kit.paths import is_rerun, runtime
import settings

DEBUG = False
ON_KAGGLE = os.path.exists("/kaggle/input")
TWICE = 1
TWICE = 2
HERE = "/kaggle/input"

def local():
    return "KAGGLE_KERNEL_RUN_TYPE" not in os.environ

class CFG:
    debug = False
    root = "/home/me" if local() else HERE + "/titanic"
    folds = 5
    device = "cuda" if torch.cuda.is_available() else "cpu"
"""
FILES = {"settings.py": "LOCAL = False\nNAMES = {'data': 'train.csv'}\n"}


def _inspect(folder, expression, **metadata):
    code = f"{HEAD}\nRESULT = {expression}\n"
    kernel = write_kernel(folder, code, files=FILES, **metadata)
    project = load_project(kernel)
    closure = find_closure(project)
    subject = _subject(project, closure, load_profile(), None, "embed", False)
    entry = subject.program.entry
    last = entry.tree.body[-1]
    assert isinstance(last, ast.Assign)
    return subject, entry, last.value


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("os.path.exists('/kaggle')", True),
        ("Path('/kaggle/working').is_dir()", True),
        ("os.path.exists('/kaggle/input/titanic')", None),
        ("os.path.exists('/kaggle/input/other')", False),
        ("os.path.isdir('/content')", False),
        ("Path('/home/me').exists()", False),
        ("os.path.exists('model.pt')", None),
        ("os.path.exists('../input')", True),
        ("'KAGGLE_KERNEL_RUN_TYPE' in os.environ", True),
        ("'KAGGLE_KERNEL_RUN_TYPE' in env", True),
        ("os.environ.get('KAGGLE_KERNEL_RUN_TYPE', '') == 'Batch'", True),
        ("os.environ.get('KAGGLE_KERNEL_RUN_TYPE') == 'Interactive'", False),
        ("os.getenv('KAGGLE_KERNEL_RUN_TYPE') in ('Batch', 'Interactive')", True),
        ("os.environ['KAGGLE_URL_BASE'].startswith('https')", None),
        ("bool(os.environ.get('KAGGLE_DATA_PROXY_TOKEN'))", True),
        ("os.environ.get('MY_SWITCH')", None),
        ("os.getenv('KAGGLE_IS_COMPETITION_RERUN')", None),
        ("is_rerun()", None),
        ("'google.colab' in sys.modules", False),
        ("runtime() == 'local'", False),
        ("runtime().startswith('kaggle')", None),
        ("__name__ == '__main__'", True),
        ("sys.platform == 'win32'", False),
        ("os.name != 'nt'", True),
        ("platform.system() == 'Windows'", False),
        ("sys.version_info >= (3, 11)", True),
        ("sys.version_info < (3, 12)", False),
        ("sys.version_info[0] == 3", True),
        ("torch.cuda.is_available()", False),
        ("torch.cuda.device_count() > 1", False),
        ("DEBUG", False),
        ("CFG.debug", False),
        ("CFG().debug", False),
        ("CFG.folds > 3", True),
        ("CFG.device == 'cuda'", False),
        ("settings.LOCAL", False),
        ("not ON_KAGGLE", False),
        ("ON_KAGGLE and DEBUG", False),
        ("ON_KAGGLE and os.environ.get('MY_SWITCH')", None),
        ("DEBUG or ON_KAGGLE", True),
        ("local()", False),
        ("TWICE == 2", None),
        ("len(sys.argv) > 1", None),
        ("'__file__' in globals()", True),
    ],
)
def test_conditions(tmp_path, condition, expected):
    subject, unit, expression = _inspect(tmp_path, condition)
    assert subject.reach.conditions.truth(unit, expression) is expected


@pytest.mark.parametrize(
    ("condition", "metadata", "expected"),
    [
        ("torch.cuda.is_available()", GPU, True),
        ("torch.cuda.device_count() > 1", GPU, None),
        ("'ipykernel' in sys.modules", NOTEBOOK, True),
        ("'__file__' in globals()", NOTEBOOK, False),
        ("os.path.exists('/kaggle/input/other')", {"bare": True}, None),
        ("torch.cuda.is_available()", {"bare": True}, None),
    ],
)
def test_conditions_that_the_metadata_decides(tmp_path, condition, metadata, expected):
    subject, unit, expression = _inspect(tmp_path, condition, **metadata)
    assert subject.reach.conditions.truth(unit, expression) is expected


@pytest.mark.parametrize(("rerun", "expected"), [(True, True), (False, False)])
@pytest.mark.parametrize(
    "condition",
    [
        "os.getenv('KAGGLE_IS_COMPETITION_RERUN')",
        "'KAGGLE_IS_COMPETITION_RERUN' in os.environ",
        "bool(os.environ.get('KAGGLE_IS_COMPETITION_RERUN', ''))",
        "is_rerun()",
    ],
)
def test_conditions_that_the_rerun_decides(tmp_path, condition, rerun, expected):
    subject, unit, expression = _inspect(tmp_path, condition)
    conditions = subject.reach_when(rerun).conditions
    assert conditions.truth(unit, expression) is expected


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        ("HERE", ("/kaggle/input",)),
        ("HERE + '/a' + '.csv'", ("/kaggle/input/a.csv",)),
        ("f'{HERE}/{os.name}/a'", (f"/kaggle/input/{UNKNOWN}/a",)),
        ("Path(HERE) / 'a' / 'b.csv'", ("/kaggle/input/a/b.csv",)),
        ("os.path.join(HERE, 'a', 'b')", ("/kaggle/input/a/b",)),
        ("'%s/%s.csv' % (HERE, 'a')", ("/kaggle/input/a.csv",)),
        ("'{}/{}'.format(HERE, 'a')", ("/kaggle/input/a",)),
        ("'{folder}/a'.format(folder=HERE)", (f"{UNKNOWN}/a",)),
        ("str(Path(HERE).joinpath('a'))", ("/kaggle/input/a",)),
        ("Path(HERE).parent", ("/kaggle",)),
        ("Path(HERE).with_name('lib')", ("/kaggle/lib",)),
        ("os.path.dirname(HERE)", ("/kaggle",)),
        ("Path.cwd() / 'a'", ("/kaggle/working/a",)),
        ("CFG.root", ("/kaggle/input/titanic",)),
        ("CFG().root + '/a'", ("/kaggle/input/titanic/a",)),
        ("settings.NAMES['data']", ("train.csv",)),
        ("os.environ.get('OUT', 'here')", ("here", UNKNOWN)),
        ("'a' if DEBUG else 'b'", ("b",)),
        ("'a' if os.environ.get('X') else 'b'", ("a", "b")),
        ("input()", (UNKNOWN,)),
        ("TWICE", ("1", "2")),
    ],
)
def test_texts(tmp_path, expression, texts):
    subject, unit, node = _inspect(tmp_path, expression)
    assert subject.texts(unit, node) == texts


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("CFG.folds * 2", 10),
        ("-3", -3),
        ("min(8, os.cpu_count())", 8),
        ("10 // 3 + 1", 4),
        ("1 // 0", None),
        ("TWICE", None),
        ("os.cpu_count()", None),
    ],
)
def test_constants(tmp_path, expression, value):
    subject, unit, node = _inspect(tmp_path, expression)
    assert subject.constant(unit, node) == value


def test_names_that_depend_on_themselves_are_unknown(tmp_path):
    subject, unit, node = _inspect(tmp_path, "again")
    code = "again = again + 'x'\nother = other\ndef f(x=f): return f(x)\n"
    kernel = write_kernel(tmp_path / "b", f"{code}print(again, other, f)\n")
    closure = find_closure(load_project(kernel))
    subject = _subject(closure.project, closure, load_profile(), None, "auto", False)
    for name in subject.program.entry.nodes(ast.Name):
        assert UNKNOWN in "".join(subject.texts(subject.program.entry, name))
    assert unit is not None
    assert node is not None


def test_paths():
    assert on_kaggle("submission.csv") == "/kaggle/working/submission.csv"
    assert on_kaggle("../input/a/../b") == "/kaggle/input/b"
    assert on_kaggle("~/x") == "~/x"
    assert on_kaggle("C:\\x") == "C:\\x"
    assert on_kaggle(UNKNOWN + "/x") == UNKNOWN + "/x"
    assert join_paths(["/a", "/b", "c"]) == "/b/c"
    assert join_paths(["/a", BESIDE + "/b", "c"]) == BESIDE + "/b/c"
    assert parent_of(BESIDE + "/a/b") == BESIDE + "/a"
    assert parent_of("a") == "."


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/kaggle/input/titanic/train.csv", ("flat", "titanic")),
        ("../input/titanic", ("flat", "titanic")),
        ("/kaggle/input/competitions/titanic", ("competition", "titanic")),
        ("/kaggle/input/competitions", None),
        ("/kaggle/input/datasets/me/data/a.csv", ("dataset", "me/data")),
        ("/kaggle/input/datasets/me", None),
        ("/kaggle/input/notebooks/me/train", ("kernel_output", "me/train")),
        ("/kaggle/input/models/g/m/pytorch/a/1", ("model", "g/m")),
        ("/kaggle/input/*/train.csv", None),
        ("/kaggle/input/train.csv", None),
        ("/kaggle/working/a", None),
    ],
)
def test_mounts(path, mount):
    assert mount_of(path) == mount
