"""The examples in the docstrings of the library."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import pytest

import kaggle_kit

MODULES = [module.name for module in pkgutil.iter_modules(kaggle_kit.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_show_what_happens(name):
    module = importlib.import_module(f"kaggle_kit.{name}")
    assert doctest.testmod(module).failed == 0


def test_there_are_examples():
    examples = [
        example
        for name in ("answers", "config", "folds")
        for test in doctest.DocTestFinder().find(
            importlib.import_module(f"kaggle_kit.{name}")
        )
        for example in test.examples
    ]
    assert len(examples) > 4


@pytest.mark.parametrize(
    "name", ["config", "folds", "paths", "preprocess", "submission"]
)
def test_data_modules_start_without_the_heavy_libraries(name):
    heavy = "{'torch', 'sklearn', 'scipy', 'matplotlib', 'seaborn', 'cv2'}"
    program = f"import sys, kaggle_kit.{name}; print({heavy} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"
