"""Overriding a config from the command line."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaggle_kit.config import override


@dataclass(frozen=True)
class CFG:
    debug: bool = False
    augment: bool = True
    no_plots: bool = False
    epochs: int = 20
    lr: float = 1e-3
    model_name: str = "digit"
    data: Path = Path("input")
    limit: int | None = None
    schedule: Literal["cosine", "flat"] = "cosine"
    folds: tuple[int, ...] = (0, 1)
    size: tuple[int, float] = (28, 0.5)
    table: dict[str, int] = dataclasses.field(default_factory=dict)
    derived: int = dataclasses.field(default=7, init=False)


@pytest.mark.parametrize(
    ("argv", "changes"),
    [
        ([], {}),
        (["--epochs", "3"], {"epochs": 3}),
        (["--epochs=3"], {"epochs": 3}),
        (["--epochs", "3", "--epochs", "4"], {"epochs": 4}),
        (["--lr", "1e-2"], {"lr": 0.01}),
        (["--lr", "-1"], {"lr": -1.0}),
        (["--model-name", "big"], {"model_name": "big"}),
        (["--model_name=a=b"], {"model_name": "a=b"}),
        (["--model_name="], {"model_name": ""}),
        (["--data", "a/b"], {"data": Path("a/b")}),
        (["--debug"], {"debug": True}),
        (["--debug", "--epochs", "1"], {"debug": True, "epochs": 1}),
        (["--debug", "true"], {"debug": True}),
        (["--debug=TRUE"], {"debug": True}),
        (["--augment", "off"], {"augment": False}),
        (["--no-augment"], {"augment": False}),
        (["--no_augment"], {"augment": False}),
        (["--no-plots"], {"no_plots": True}),
        (["--no-no-plots"], {}),
        (["--limit", "10"], {"limit": 10}),
        (["--limit", "None"], {}),
        (["--schedule", "flat"], {"schedule": "flat"}),
        (["--folds", "2"], {"folds": (2,)}),
        (["--folds", "2,3, 4"], {"folds": (2, 3, 4)}),
        (["--folds", "(2, 3,)"], {"folds": (2, 3)}),
        (["--folds", ""], {"folds": ()}),
        (["--size", "32,1"], {"size": (32, 1.0)}),
    ],
)
def test_arguments_set_fields(argv, changes):
    assert override(CFG(), argv, log=pytest.fail) == dataclasses.replace(
        CFG(), **changes
    )


def test_the_config_given_stays_as_it_was():
    cfg = CFG()
    assert override(cfg, ["--epochs", "3"]) is not cfg
    assert cfg.epochs == 20


@pytest.mark.parametrize(
    "argv",
    [
        ["-f", "/root/.local/share/jupyter/runtime/kernel-1.json"],
        ["--HistoryManager.hist_file=:memory:", "--ip=127.0.0.1"],
        ["script.py", "3", "--verbose", "-v", "--"],
        ["--derived", "9"],
    ],
)
def test_in_a_notebook_arguments_that_name_no_field_are_ignored(argv, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    assert override(CFG(), argv, log=pytest.fail) == CFG()


def test_in_a_script_every_option_that_is_ignored_is_logged(monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    lines = []
    argv = ["-f", "x", "--", "3", "--dropout", "0.3", "--hidden=1"]
    assert override(CFG(), argv, log=lines.append) == CFG()
    assert lines == [
        "--dropout is no setting and was ignored",
        "--hidden is no setting and was ignored",
    ]


def test_without_argv_the_command_line_is_read(monkeypatch):
    monkeypatch.setattr("sys.argv", ["kernel.py", "--epochs", "5", "-f", "x.json"])
    assert override(CFG()).epochs == 5


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--epoch", "3"], "--epoch is no setting and was ignored; did you mean --epo"),
        (["--no-augmentt"], "did you mean --augment"),
        (["--no-epochs"], "--no-epochs is no setting"),
    ],
)
@pytest.mark.parametrize("notebook", [True, False])
def test_a_near_miss_is_ignored_but_logged(argv, said, notebook, monkeypatch):
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", sys)
    lines = []
    assert override(CFG(), argv, log=lines.append) == CFG()
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--epochs", "many"], "--epochs 'many': expected int, such as the default 20"),
        (["--epochs", "1e3"], "--epochs '1e3': expected int"),
        (["--epochs", "3.0"], "--epochs '3.0': expected int"),
        (["--lr", "fast"], "--lr 'fast': expected float"),
        (["--debug=maybe"], "--debug 'maybe': expected bool"),
        (["--limit", "all"], r"--limit 'all': expected int \| None"),
        (
            ["--schedule", "step"],
            r"--schedule 'step': expected Literal\['cosine', 'flat'\]",
        ),
        (["--folds", "1,b"], r"--folds '1,b': expected tuple\[int, \.\.\.\]"),
        (["--size", "1"], r"--size '1': expected tuple\[int, float\]"),
        (["--epochs"], "--epochs needs a value of type int: --epochs VALUE"),
        (["--epochs", "--debug"], "--epochs needs a value of type int"),
    ],
)
def test_a_bad_value_names_field_value_and_type(argv, message):
    with pytest.raises(ValueError, match=message):
        override(CFG(), argv)


def test_a_type_without_a_spelling_says_so():
    with pytest.raises(TypeError, match=r"--table: a field of type dict\[str, int\]"):
        override(CFG(), ["--table", "{}"])


@pytest.mark.parametrize("cfg", [CFG, {"epochs": 3}, None])
def test_only_instances_of_dataclasses_are_configs(cfg):
    with pytest.raises(TypeError, match=r"an instance of a dataclass, such as CFG\(\)"):
        override(cfg, [])


def test_types_given_as_text_are_known_by_name():
    text = dataclasses.make_dataclass(
        "Text",
        [("epochs", "int", 3), ("debug", "bool", False), ("limit", "int | None", None)],
    )
    cfg = override(text(), ["--epochs", "5", "--debug"])
    assert (cfg.epochs, cfg.debug) == (5, True)
    with pytest.raises(
        TypeError, match=r"--limit: a field of type int \| None cannot be"
    ):
        override(text(), ["--limit", "3"])


@given(
    epochs=st.integers(),
    lr=st.floats(allow_nan=False),
    name=st.text().filter(lambda text: not text.startswith("--")),
    folds=st.lists(st.integers()).map(tuple),
)
def test_any_value_survives_the_command_line(epochs, lr, name, folds):
    argv = ["--epochs", str(epochs), "--lr", str(lr), "--model-name", name]
    cfg = override(CFG(), [*argv, "--folds", str(folds)])
    assert cfg == CFG(epochs=epochs, lr=lr, model_name=name, folds=folds)
