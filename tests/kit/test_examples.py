"""The examples in the docstrings of the library."""

import doctest
import importlib
import pkgutil

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
