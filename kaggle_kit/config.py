"""Settings of a kernel: a frozen dataclass whose fields the command line overrides."""

import dataclasses
import difflib
import sys
import types
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

ConfigT = TypeVar("ConfigT")

CONFIG_PLAIN = (bool, int, float, str, Path)
CONFIG_TRUE_WORDS = ("true", "yes", "on", "1")
CONFIG_FALSE_WORDS = ("false", "no", "off", "0")


def _config_bool(text: str) -> bool:
    if text.lower() in CONFIG_TRUE_WORDS:
        return True
    if text.lower() in CONFIG_FALSE_WORDS:
        return False
    raise ValueError(text)


def _config_tuple(text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    """Read `1,2,3` (or `(1, 2, 3)`) as `tuple[X, ...]` or `tuple[X, Y, Z]`."""
    inner = text.strip().removeprefix("(").removesuffix(")").strip().removesuffix(",")
    items = [item.strip() for item in inner.split(",")] if inner else []
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_config_value(item, kinds[0]) for item in items)
    if len(items) != len(kinds):
        raise ValueError(text)
    return tuple(
        _config_value(item, kind) for item, kind in zip(items, kinds, strict=True)
    )


def _config_union(text: str, kinds: tuple[Any, ...]) -> Any:  # noqa: ANN401
    if type(None) in kinds and text.lower() == "none":
        return None
    # `int | str` means a number where the text is one: str comes last.
    for kind in sorted(kinds, key=lambda kind: kind is str):
        if kind is not type(None):
            try:
                return _config_value(text, kind)
            except ValueError:
                continue
    raise ValueError(text)


def _config_value(text: str, kind: Any) -> Any:  # noqa: ANN401
    """The value of type `kind` that `text` spells.

    Raises:
        ValueError: `text` spells no such value.
        TypeError: no text can spell a value of this type.
    """
    if kind is bool:
        return _config_bool(text)
    if kind in CONFIG_PLAIN:
        return kind(text)
    origin, kinds = get_origin(kind), get_args(kind)
    if origin is Literal:
        for choice in kinds:
            if str(choice) == text:
                return choice
        raise ValueError(text)
    if origin is tuple:
        return _config_tuple(text, kinds)
    if origin in (Union, types.UnionType):
        return _config_union(text, kinds)
    raise TypeError(text)


def _config_spell(kind: Any) -> str:  # noqa: ANN401
    """The type as it stands in the source, such as `int | None`."""
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "")


def _config_parse(name: str, text: str, kind: Any, current: object) -> Any:  # noqa: ANN401
    expected = _config_spell(kind)
    try:
        return _config_value(text, kind)
    except ValueError:
        raise ValueError(
            f"--{name} {text!r}: expected {expected}, such as the default {current!r}"
        ) from None
    except TypeError:
        raise TypeError(
            f"--{name}: a field of type {expected} cannot be set on the command line; "
            "edit it in the config"
        ) from None


def _config_kinds(cfg: object) -> dict[str, Any]:
    """Name and type of every field that can be replaced, in order."""
    if not dataclasses.is_dataclass(cfg) or isinstance(cfg, type):
        raise TypeError(
            "override needs an instance of a dataclass, such as CFG(), not of "
            f"{type(cfg).__name__}"
        )
    named: dict[Any, Any] = {kind.__name__: kind for kind in CONFIG_PLAIN}
    kinds: dict[str, Any] = {}
    for item in dataclasses.fields(cfg):
        if item.init:
            # Under `from __future__ import annotations` a type is mere text.
            is_text = isinstance(item.type, str)
            kinds[item.name] = named.get(item.type, item.type) if is_text else item.type
    return kinds


def _config_next_text(name: str, kind: Any, rest: deque[str]) -> str:  # noqa: ANN401
    """Take the text that belongs to `--name` from the arguments after it."""
    if kind is bool:
        words = CONFIG_TRUE_WORDS + CONFIG_FALSE_WORDS
        return rest.popleft() if rest and rest[0].lower() in words else "true"
    if not rest or rest[0].startswith("--"):
        raise ValueError(
            f"--{name} needs a value of type {_config_spell(kind)}: --{name} VALUE"
        )
    return rest.popleft()


def override(
    cfg: ConfigT,
    argv: Sequence[str] | None = None,
    log: Callable[[str], None] = print,
) -> ConfigT:
    """Return a copy of `cfg` with the fields that `argv` names set anew.

    `--epochs 3`, `--epochs=3`, `--debug`, `--no-debug`, `--debug false`; `-` and `_`
    mean the same in names; the last of several wins. Fields may be bool, int, float,
    str, Path, Literal, tuples of these (`1,2,3`) and unions (`int | None`).

    Arguments that name no field are ignored, because Jupyter and papermill pass their
    own (`-f kernel.json`); outside of a notebook every such option is logged, in one
    those that nearly name a field.

    >>> CFG = dataclasses.make_dataclass("CFG", [("epochs", int, 20)], frozen=True)
    >>> override(CFG(), ["--epochs", "3"])
    CFG(epochs=3)

    Args:
        cfg: An instance of a (frozen) dataclass.
        argv: The arguments, `sys.argv[1:]` if None.
        log: Receives one line for every option that is ignored, see above.

    Raises:
        ValueError: a value is missing or not of the field's type.
        TypeError: `cfg` is no dataclass instance, or the type cannot be given as text.
    """
    kinds = _config_kinds(cfg)
    rest = deque(sys.argv[1:] if argv is None else argv)
    changes: dict[str, Any] = {}
    while rest:
        argument = rest.popleft()
        if not argument.startswith("--"):
            continue
        option, equals, text = argument.removeprefix("--").partition("=")
        name = option.replace("-", "_")
        if name in kinds:
            kind = kinds[name]
            text = text if equals else _config_next_text(name, kind, rest)
            changes[name] = _config_parse(name, text, kind, getattr(cfg, name))
        elif kinds.get(name.removeprefix("no_")) is bool and not equals:
            changes[name.removeprefix("no_")] = False
        elif close := difflib.get_close_matches(name, kinds, n=1, cutoff=0.75):
            log(f"--{option} is no setting and was ignored; did you mean --{close[0]}?")
        elif option and "ipykernel" not in sys.modules:
            log(f"--{option} is no setting and was ignored")
    return dataclasses.replace(cfg, **changes)  # type: ignore[type-var]
