"""S06, S25: weights that would be downloaded, and files that torch.load refuses."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import (
    NETWORK_ERRORS,
    Rule,
    Subject,
    argument,
    keyword,
)
from kernel_builder.check.rules_writes import find_writes
from kernel_builder.check.values import UNKNOWN, on_kaggle

_TORCHVISION: Final = re.compile(r"torchvision\.models(\.\w+)*\.[a-z]\w*")
_SMP: Final = re.compile(r"segmentation_models_pytorch\.(\w+)")
_KERAS: Final = re.compile(r"(tensorflow\.)?keras\.applications(\.\w+)*\.[A-Z]\w*")
_FASTAI: Final = re.compile(
    r"fastai(\.\w+)*\.(vision_learner|cnn_learner|unet_learner|create_cnn_model)"
)
_HUB_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")
_NAMED_LOADERS: Final = frozenset(
    (
        "sentence_transformers.SentenceTransformer",
        "sentence_transformers.CrossEncoder",
        "whisper.load_model",
        "clip.load",
        "easyocr.Reader",
        "ultralytics.YOLO",
    )
)
_CACHE_VARIABLES: Final = ("TORCH_HOME", "HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME")
_MODULE_METHODS: Final = frozenset(
    (
        "eval",
        "train",
        "forward",
        "parameters",
        "cuda",
        "half",
        "state_dict",
        "modules",
        "named_parameters",
        "requires_grad_",
        "zero_grad",
        "predict",
        "children",
    )
)


def check_pretrained(subject: Subject) -> Iterator[Finding]:
    """S06: pretrained weights that the library would download."""
    if subject.internet:
        return
    cached = _fills_cache(subject)
    for unit, call, name in subject.live_calls():
        what, attach, by_cache = _downloads(subject, unit, call, name)
        if not what or (by_cache and cached):
            continue
        if subject.caught(unit, call, NETWORK_ERRORS):
            continue
        yield subject.found(
            "S06",
            "error",
            unit,
            call,
            f"pretrained weights would be downloaded: {what}",
            f"attach {attach} and pass its path",
        )


def _fills_cache(subject: Subject) -> bool:
    """Say whether the kernel points a cache at attached files, or fills one."""
    if any(subject.sets_variable(name) for name in _CACHE_VARIABLES):
        return True
    if any(name == "torch.hub.set_dir" for _, _, name in subject.live_calls()):
        return True
    return any(
        re.search(r"hub/checkpoints|\.cache/(torch|huggingface)|\.keras", path)
        for write in find_writes(subject)
        for path in write.paths
    )


def _downloads(
    subject: Subject, unit: Unit, call: ast.Call, name: str
) -> tuple[str, str, bool]:
    """Say what a call downloads, what to attach, and if torch's cache would do."""
    file = "the weights file"
    if not name or name == "builtins.getattr()":
        name = _looked_up(subject, unit, call)
    if name == "timm.create_model" or name.startswith("timm.models."):
        return (_timm(subject, unit, call), file, False)
    if _TORCHVISION.fullmatch(name):
        return (_torchvision(subject, unit, call, name), file, True)
    if name == "torch.hub.load":
        return (_torch_hub(subject, unit, call), "the repository and the weights", True)
    if name.endswith(".from_pretrained"):
        return (_from_pretrained(subject, unit, call), "the model", True)
    if name == "transformers.pipeline":
        return (_pipeline(subject, unit, call), "the model", True)
    if name in _NAMED_LOADERS:
        return (_named(subject, unit, call, name), "the model", True)
    if _FASTAI.fullmatch(name):
        on = subject.may_be(unit, keyword(call, "pretrained"), True)
        given = keyword(call, "pretrained") is not None
        what = f"{_last(name)} (pretrained is on by default)" if not given else ""
        return (_last(name) + "(pretrained=True)" if on else what, file, True)
    if _SMP.fullmatch(name) and _last(name)[:1].isupper():
        return (_encoder(subject, unit, call, name), file, True)
    if _KERAS.fullmatch(name):
        return (_keras(subject, unit, call, name), file, True)
    return ("", "", False)


def _looked_up(subject: Subject, unit: Unit, call: ast.Call) -> str:
    """Name what `getattr(models, name)(...)` or `models.__dict__[name](...)` calls."""
    function = call.func
    if isinstance(function, ast.Subscript):
        base = subject.dotted(unit, function.value).removesuffix(".__dict__")
        return f"{base}.model"
    if (
        isinstance(function, ast.Call)
        and function.args
        and subject.dotted(unit, function.func) == "builtins.getattr"
    ):
        return f"{subject.dotted(unit, function.args[0])}.model"
    return ""


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _timm(subject: Subject, unit: Unit, call: ast.Call) -> str:
    if not subject.may_be(unit, argument(call, 1, "pretrained"), True):
        return ""
    given = ("checkpoint_path", "pretrained_cfg_overlay")
    if any(keyword(call, word) is not None for word in given):
        return ""
    model = subject.texts(unit, argument(call, 0, "model_name"))[0]
    shown = repr(model) if UNKNOWN not in model else "..."
    return f"timm.create_model({shown}, pretrained=True)"


def _torchvision(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    if subject.may_be(unit, keyword(call, "pretrained"), True):
        return f"{_last(name)}(pretrained=True)"
    if subject.may_be(unit, keyword(call, "pretrained_backbone"), True):
        return f"{_last(name)}(pretrained_backbone=True)"
    for word in ("weights", "weights_backbone"):
        weights = keyword(call, word)
        if weights is None:
            continue
        value = subject.constant(unit, weights)
        enumeration = re.search(r"_Weights\.\w+$", subject.dotted(unit, weights))
        if (isinstance(value, str) and value) or enumeration:
            shown = repr(value) if value else _last(enumeration.string)  # type: ignore[union-attr]
            return f"{_last(name)}({word}={shown})"
    if call.args and subject.constant(unit, call.args[0]) is True:
        return f"{_last(name)}(True)"
    return ""


def _torch_hub(subject: Subject, unit: Unit, call: ast.Call) -> str:
    if "local" in subject.texts(unit, keyword(call, "source")):
        return ""
    repository = subject.texts(unit, argument(call, 0, "repo_or_dir"))[0]
    if UNKNOWN in repository[:1] or repository.startswith(("/", ".")):
        return ""
    return f"torch.hub.load({repository.replace(UNKNOWN, '...')!r})"


def _is_hub_name(text: str) -> bool:
    """Say whether a text names a model on the Hugging Face hub, not a folder."""
    if UNKNOWN in text or not _HUB_NAME.fullmatch(text):
        return False
    return not text.startswith((".", "/", "~"))


def _from_pretrained(subject: Subject, unit: Unit, call: ast.Call) -> str:
    if any(keyword(call, word) is not None for word in ("weights_path", "state_dict")):
        return ""
    expr = argument(call, 0, "pretrained_model_name_or_path", "model_name")
    texts = [t for t in subject.texts(unit, expr) if _is_hub_name(t)]
    if expr is None or not texts or _is_saved_here(subject, texts[0]):
        return ""
    return f"{ast.unparse(call.func)}({texts[0]!r})"


def _is_saved_here(subject: Subject, folder: str) -> bool:
    """Say whether the kernel itself writes that folder: a model it has trained."""
    place = on_kaggle(folder)
    for write in find_writes(subject):
        if any(p == place or p.startswith(f"{place}/") for p in write.paths):
            return True
    return False


def _pipeline(subject: Subject, unit: Unit, call: ast.Call) -> str:
    model = argument(call, 1, "model")
    if model is None:
        return "transformers.pipeline (with the task's default model)"
    texts = [text for text in subject.texts(unit, model) if _is_hub_name(text)]
    is_text = isinstance(subject.constant(unit, model), str)
    return f"transformers.pipeline(model={texts[0]!r})" if texts and is_text else ""


def _named(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    if name == "easyocr.Reader":
        off = subject.constant(unit, keyword(call, "download_enabled")) is False
        local = keyword(call, "model_storage_directory") is not None
        return "" if off or local else "easyocr.Reader"
    for text in subject.texts(unit, argument(call, 0, "model_name_or_path", "model")):
        if _is_hub_name(text) and not text.endswith((".yaml", ".yml")):
            return f"{_last(name)}({text!r})"
    return ""


def _encoder(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    weights = keyword(call, "encoder_weights")
    if weights is None:
        return f"{_last(name)}(encoder_weights='imagenet' by default)"
    value = subject.constant(unit, weights)
    return f"{_last(name)}(encoder_weights={value!r})" if isinstance(value, str) else ""


def _keras(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    weights = keyword(call, "weights")
    texts = ("imagenet",) if weights is None else subject.texts(unit, weights)
    default = " (the default)" if weights is None else ""
    return f"{_last(name)}(weights='imagenet'){default}" if "imagenet" in texts else ""


# -- S25


def check_load(subject: Subject) -> Iterator[Finding]:
    """S25: torch.load of a whole pickled module, which it refuses since 2.6."""
    saved = _saved_modules(subject)
    for unit, call, name in subject.live_calls():
        if name != "torch.load" or keyword(call, "weights_only") is not None:
            continue
        if keyword(call, "pickle_module") is not None:
            continue
        paths = set(subject.texts(unit, argument(call, 0, "f")))
        own = sorted(p for p in paths & set(saved) if UNKNOWN not in p)
        if own or _used_as_module(unit, call):
            where = f" ({own[0]} holds a whole module)" if own else ""
            yield subject.found(
                "S25",
                "error",
                unit,
                call,
                f"torch.load refuses this file: Weights only load failed{where}",
                "save a state_dict, or load your own file with weights_only=False",
            )


def _saved_modules(subject: Subject) -> list[str]:
    paths: list[str] = []
    for unit, call, name in subject.live_calls():
        if name == "torch.save" and call.args:
            saved = call.args[0]
            if isinstance(saved, ast.Name) and _is_module(subject, unit, saved):
                paths.extend(subject.texts(unit, argument(call, 1, "f")))
    return paths


def _is_module(subject: Subject, unit: Unit, expr: ast.Name) -> bool:
    """Say whether a name holds a torch module: it is called or trained here."""
    for node in unit.nodes(ast.Attribute):
        if (
            isinstance(node.value, ast.Name)
            and node.value.id == expr.id
            and node.attr in _MODULE_METHODS - {"predict"}
        ):
            return True
    return False


def _used_as_module(unit: Unit, call: ast.Call) -> bool:
    """Say whether what is loaded is used as a module: `torch.load(p).eval()`."""
    above = unit.parent(call)
    if isinstance(above, ast.Attribute):
        return above.attr in _MODULE_METHODS - {"state_dict"}
    if not isinstance(above, ast.Assign) or not isinstance(above.targets[0], ast.Name):
        return False
    name = above.targets[0].id
    scope = unit.scopes.of.get(id(above), unit.scopes.top)
    found = unit.scopes.lookup(name, scope)
    if found is None or len(found[1]) > 1:
        return False
    for node in unit.nodes(ast.Name):
        here = unit.scopes.lookup(name, unit.scopes.of[id(node)])
        if node.id != name or here is None or here[1] is not found[1]:
            continue
        use = unit.parent(node)
        method = use.attr if isinstance(use, ast.Attribute) else ""
        called = isinstance(unit.parent(use), ast.Call) if use is not None else False
        if called and method in _MODULE_METHODS - {"state_dict"}:
            return True
        if isinstance(use, ast.Call) and use.func is node:
            return True
    return False


RULES: Final = (
    Rule("S06", "error", "weights would be downloaded", check_pretrained),
    Rule("S25", "error", "torch.load of a pickled module", check_load),
)
