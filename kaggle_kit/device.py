"""Which device computes, and how batches get there.

`torch.cuda.is_available()` is not proof: a GPU whose architecture the installed torch
has no kernels for answers True and then fails in the first operation. So a device is
chosen only after it has done a small piece of real work.
"""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kaggle_kit.ranks import launched_rank
from kaggle_kit.trees import TensorTree, map_tree

_CPU_INFO = Path("/proc/cpuinfo")
_DEVICE_KINDS = ("auto", "cuda", "mps", "cpu")
_MALLOC_TRIM, _MALLOC_MMAP = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
_MALLOC_OPTIONS = (
    "GLIBC_TUNABLES",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_MMAP_THRESHOLD_",
)


def choose_device(
    preferred: str | torch.device = "auto", log: Callable[[str], None] = print
) -> torch.device:
    """Return the first device that really computes: CUDA, then MPS, then the CPU.

    Args:
        preferred: "auto", or a device that must be used ("cuda", "cuda:1", "mps",
            "cpu" or a `torch.device`).
        log: Told why a device that seemed to be there was passed over.

    Raises:
        ValueError: `preferred` is no device torch knows.
        RuntimeError: `preferred` names a device that does not compute here.
    """
    if preferred != "auto":
        return _required_device(preferred)
    for name, present in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if not present:
            continue
        device = _with_index(torch.device(name))
        problem = device_problem(device)
        if problem is None:
            return device
        log(f"device: {device} is present but does not compute, passed over: {problem}")
    return torch.device("cpu")


def device_problem(device: torch.device) -> str | None:
    """Do a convolution forward and backward on the device; None, or what failed."""
    try:
        x = torch.ones(2, 1, 8, 8, device=device, requires_grad=True)
        weight = torch.ones(4, 1, 3, 3, device=device, requires_grad=True)
        torch.autograd.backward(F.relu(F.conv2d(x, weight)).sum())
        # .item() waits for the device: only then are asynchronous errors known.
        total = 0.0 if weight.grad is None else weight.grad.sum().item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    # 2 images x 6 x 6 positions x 9 weights x 4 filters, all ones
    return None if total == 2592.0 else f"wrong result, {total} instead of 2592"


def native_half_precision(device: torch.device) -> torch.dtype | None:
    """The half-precision type that is faster than float32 on the device, or None.

    bf16 on GPUs from compute capability 8.0; fp16 from 7.0 (T4: `is_bf16_supported()`
    is True there, but emulated and slow); on a CPU bf16 only with its own
    instructions, without which it is many times slower than float32.
    """
    if device.type == "cuda":
        major, _ = torch.cuda.get_device_capability(device)
        if major >= 8:
            return torch.bfloat16
        return torch.float16 if major >= 7 else None
    if device.type == "cpu" and cpu_computes_bf16():
        return torch.bfloat16
    return None


def cpu_computes_bf16() -> bool:
    """Whether the CPU has bf16 instructions (AMX, AVX512-BF16); False where unknown."""
    try:
        flags = _CPU_INFO.read_text()
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def move_batch(
    batch: TensorTree, device: torch.device, memory_format: torch.memory_format
) -> TensorTree:
    """Move tensors in (nested) tuples, lists and dicts to the device.

    Floating (B, C, H, W) tensors get the memory format; tensors already there as
    wanted are returned as they are. Other values pass through.
    """

    def moved(tensor: Tensor) -> Tensor:
        if tensor.device != device:
            # Only CUDA orders a copy that is not waited for before what uses it.
            tensor = tensor.to(device, non_blocking=device.type == "cuda")
        if tensor.ndim == 4 and tensor.is_floating_point():
            tensor = tensor.contiguous(memory_format=memory_format)
        return tensor

    return map_tree(moved, batch)


def keep_freed_memory(size: int = 256 << 20) -> bool:
    """Have the C library keep what freed tensors leave for those of the next batch.

    glibc gives the free end of its heap back to the system, which in every batch has to
    hand out the same pages again, a fault for each: dear on virtual machines such as
    Kaggle's. Holds for the whole process, unless one of glibc's own variables
    (`GLIBC_TUNABLES`, `MALLOC_TRIM_THRESHOLD_`, `MALLOC_MMAP_THRESHOLD_`) is set.

    Args:
        size: bytes that may stay unused; larger arrays than an eighth of it still go
            back at once.

    Returns:
        Whether it was done: only glibc knows these options.
    """
    if any(name in os.environ for name in _MALLOC_OPTIONS):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return False
    kept = mallopt(_MALLOC_TRIM, size)
    return bool(kept and mallopt(_MALLOC_MMAP, size // 8))


def accepts_channels_last(model: nn.Module, inputs: TensorTree) -> bool:
    """Whether the model computes on channels_last inputs.

    A model that flattens with `x.view(len(x), -1)` does not: `view` refuses the
    permuted memory. Tried in evaluation mode without gradients on two items, so that
    neither BatchNorm statistics nor random numbers change.

    Args:
        model: Already in channels_last format, on the device of the inputs.
        inputs: (B, C, H, W) tensor or a tuple of inputs, already moved.
    """
    args = inputs if isinstance(inputs, tuple) else (inputs,)
    few = tuple(a[:2] if isinstance(a, Tensor) else a for a in args)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            model(*few)
    except RuntimeError as error:
        if "view size is not compatible" in str(error):
            return False
        raise
    finally:
        for module, mode in modes:
            module.training = mode
    return True


class Placement:
    """Where a model and its batches live, and in which memory format.

    Args:
        device: From `choose_device`.
        channels_last: None takes it on the CPU, where convolutions are faster with it,
            unless the model turns out not to compute with it.
    """

    def __init__(self, device: torch.device, channels_last: bool | None = None) -> None:
        self.device = device
        if device.type == "cpu":
            keep_freed_memory()
        self._undecided = channels_last is None and device.type == "cpu"
        self.memory_format = (
            torch.channels_last
            if channels_last or self._undecided
            else torch.contiguous_format
        )

    def place_model(self, model: nn.Module) -> nn.Module:
        """Move a model; its parameters stay the same objects."""
        return model.to(self.device).to(memory_format=self.memory_format)

    def place(self, tree: TensorTree) -> TensorTree:
        """Move a batch."""
        return move_batch(tree, self.device, self.memory_format)

    def place_inputs(self, model: nn.Module, x: TensorTree) -> TensorTree:
        """Move the inputs of a placed model; the first ones settle the format."""
        x = self.place(x)
        if self._undecided:
            self._undecided = False
            if not accepts_channels_last(model, x):
                self.memory_format = torch.contiguous_format
                self.place_model(model)
                x = self.place(x)
        return x


def _required_device(preferred: str | torch.device) -> torch.device:
    try:
        device = _with_index(torch.device(preferred))
    except (RuntimeError, AssertionError) as error:
        if str(preferred).split(":")[0] in _DEVICE_KINDS:
            raise RuntimeError(
                f"device {str(preferred)!r} was asked for, but it does not compute "
                f"here: {error}. Use 'auto' to take what works."
            ) from error
        raise ValueError(
            f"device {str(preferred)!r} is unknown; use one of "
            f"{', '.join(_DEVICE_KINDS)} or one with an index such as 'cuda:1'"
        ) from error
    problem = device_problem(device)
    if problem is not None:
        raise RuntimeError(
            f"device {str(preferred)!r} was asked for, but it does not compute here: "
            f"{problem}. Use 'auto' to take what works."
        )
    return device


def _with_index(device: torch.device) -> torch.device:
    # Tensors on "cuda" report "cuda:0"; with the index both compare equal.
    kind, _, index = str(device).partition(":")
    if kind == "cuda" and not index:
        rank = launched_rank()  # one process per device
        own = torch.cuda.current_device() if rank is None else rank
        return torch.device("cuda", own)
    return torch.device("mps", 0) if kind == "mps" else device
