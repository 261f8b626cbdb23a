"""What may be called, inherited or decorated with while a module is imported."""

import builtins
from typing import Final

PURE_BUILTINS: Final = frozenset(
    {"abs", "all", "any", "bin", "bool", "bytearray", "bytes", "chr", "complex", "dict"}
    | {"divmod", "enumerate", "float", "frozenset", "hex", "int", "len", "list", "max"}
    | {"min", "object", "oct", "ord", "pow", "range", "repr", "reversed", "round"}
    | {"set", "slice", "sorted", "str", "sum", "tuple", "zip"}
)
# Whole families of functions that neither print nor depend on when they are called.
PURE_FAMILIES: Final = ("math.", "operator.", "itertools.", "collections.", "decimal.")
PURE_CALLS: Final = frozenset(
    {"re.compile", "pathlib.Path", "pathlib.PurePosixPath", "pathlib.PurePath"}
    | {"typing.TypeVar", "typing.NewType", "typing.ParamSpec", "typing.NamedTuple"}
    | {"typing.TypedDict", "typing.cast", "dataclasses.field", "enum.auto"}
    | {"functools.partial", "types.MappingProxyType", "types.SimpleNamespace"}
    | {"fractions.Fraction", "datetime.timedelta", "datetime.date"}
    | {"string.Template", "os.path.join", "threading.Lock", "threading.RLock"}
    | {"numpy.array", "numpy.asarray", "numpy.dtype", "numpy.arange", "numpy.linspace"}
    | {"numpy.float32", "numpy.float64", "numpy.uint8", "numpy.int64", "numpy.sqrt"}
    | {"numpy.zeros", "numpy.ones", "numpy.eye", "torch.Size", "torch.device"}
)
PURE_METHODS: Final = frozenset(
    {"copy", "count", "encode", "format", "fromkeys", "get", "index", "items", "join"}
    | {"joinpath", "keys", "lower", "replace", "split", "splitlines", "startswith"}
    | {"endswith", "strip", "title", "union", "upper", "values", "with_suffix"}
)
PURE_DECORATORS: Final = frozenset(
    {"abc.abstractmethod", "contextlib.asynccontextmanager"}
    | {"contextlib.contextmanager", "dataclasses.dataclass", "enum.unique"}
    | {"functools.cache", "functools.cached_property", "functools.lru_cache"}
    | {"functools.singledispatch", "functools.total_ordering", "functools.wraps"}
    | {"torch.enable_grad", "torch.inference_mode", "torch.no_grad", "typing.final"}
    | {"typing.no_type_check", "typing.overload", "typing.override"}
    | {"typing.runtime_checkable"}
)
PURE_BUILTIN_DECORATORS: Final = frozenset({"classmethod", "property", "staticmethod"})
PURE_BASES: Final = frozenset(
    {"abc.ABC", "torch.nn.Module", "torch.autograd.Function", "torch.optim.Optimizer"}
    | {"torch.optim.optimizer.Optimizer", "torch.utils.data.Dataset"}
    | {"torch.utils.data.IterableDataset", "torch.utils.data.Sampler"}
    | {"torch.optim.lr_scheduler.LRScheduler", "threading.Thread"}
    | {"json.JSONEncoder", "string.Formatter", "argparse.Action"}
)
PURE_BASE_FAMILIES: Final = ("typing.", "enum.", "collections.", "collections.abc.")
BUILTIN_NAMES: Final = frozenset(dir(builtins))
BUILTIN_BASES: Final = frozenset(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
) | {"object", "dict", "list", "set", "tuple", "str", "int", "float"}
CALLED_BACK: Final = frozenset({"max", "min", "sorted", "map", "filter"})
