"""Which of several training processes this is; alone unless torch says otherwise."""

import os

import torch
import torch.distributed as dist


def process_rank() -> int:
    """Number of this process, 0 when it is alone."""
    return dist.get_rank() if _several() else 0


def process_count() -> int:
    """How many processes train together, 1 when it is alone."""
    return dist.get_world_size() if _several() else 1


def is_main_process() -> bool:
    """Whether this process is the one that writes files and lines.

    Of processes that `launch` started it is the first, also above that call.
    """
    return process_rank() == 0 if _several() else launched_rank() in (None, 0)


def launched_rank() -> int | None:
    """Local rank of a process that torch's launcher has started, else None."""
    rank = os.environ.get("LOCAL_RANK")  # others set it too, without a launcher
    return int(rank) if rank and "TORCHELASTIC_RUN_ID" in os.environ else None


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any of the processes; all must ask."""
    if not _several():
        return flag
    votes = torch.tensor(int(flag))
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return bool(votes.item())


def mean_of_processes(value: float) -> float:
    """Mean of the processes' values, the same number in each; all must ask."""
    if not _several():
        return value
    total = torch.tensor(value, dtype=torch.float64)
    dist.all_reduce(total)
    return total.item() / dist.get_world_size()


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()
