"""One seed for every source of randomness."""

import os
import random

import numpy as np
import torch

SEED_LIMIT = 2**32  # NumPy's global generator takes no larger seed


def seed_everything(seed: int, deterministic: bool = False) -> None:
    """Seed Python, NumPy and PyTorch (CPU and every GPU).

    Args:
        seed: From 0 up to 2**32 - 1.
        deterministic: Also forbid the CUDA kernels whose result depends on timing.
            Slower, and some operations then have no CUDA version at all.

    Raises:
        ValueError: `seed` is out of range.
    """
    if not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if deterministic:
        # cuBLAS is deterministic only with a fixed workspace.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True, warn_only=True)


def torch_generator(seed: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator on `device` with its own state, apart from the global one."""
    return torch.Generator(device=device).manual_seed(seed)


def worker_init(worker_id: int) -> None:
    """Seed Python and NumPy in a DataLoader worker (pass it as `worker_init_fn`).

    PyTorch gives every worker its own seed, anew in each epoch; augmentation that
    draws from `random` or `np.random` must follow it, or all workers draw the same.
    """
    seed = torch.initial_seed() % SEED_LIMIT
    random.seed(seed)
    np.random.seed(seed)
