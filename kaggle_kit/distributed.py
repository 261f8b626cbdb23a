"""Training on several devices: one process each, on torch's own launcher."""

import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.elastic.multiprocessing import (
    DefaultLogsSpecs,
    SignalException,
    Std,
)
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from kaggle_kit.events import Callback, LearnerState
from kaggle_kit.random_states import random_state, restore_random_state
from kaggle_kit.ranks import (
    is_main_process,
    launched_rank,
    process_count,
    process_rank,
)
from kaggle_kit.trees import count_items, map_tree

_Result = TypeVar("_Result")
_distributed_runs: list[str] = []  # of this process


def launch(
    train: Callable[[], _Result],
    n_devices: int | None = None,
    log: Callable[[str], None] = print,
) -> _Result | None:
    """Call `train` in one process per device, and wait for all of them.

    The script is started again for each device, does what stands above this call once
    more, calls `train` and ends there; what stands below is done by the process that
    called, when the others have ended. So `train` must return all that is wanted, or
    leave it in a file:

        launch(train)  # ends with train_or_load(learner, path, ...)
        learner.load(path)

    With fewer than two devices, and in a notebook, `train` is called here.

    Args:
        train: Trains with the callback `Distributed`.
        n_devices: Number of processes; by default one for each CUDA device.
        log: Takes one line of text.

    Returns:
        What `train` returned in the first process. From several processes it comes
        pickled; where it cannot, the log says so, and the answer is None.

    Raises:
        RuntimeError: A process failed; its error stands above in the output. Or it is
            the second call for several devices: its processes would end at the first.
    """
    rank = launched_rank()
    if rank is not None:
        _work(train, rank, log)
        raise SystemExit(0)
    n = torch.cuda.device_count() if n_devices is None else n_devices
    script = Path(sys.argv[0])
    if n > 1 and script.suffix != ".py":
        log(f"not a script ({script.name or 'no file'}): trained in one process")
        n = 1
    if n < 2:
        return train()
    if _distributed_runs:
        raise RuntimeError(
            "launch was called before in this script, and its processes end at the "
            "first call: do all that wants several devices in one function"
        )
    log(f"training in {n} processes")
    sys.stdout.flush()
    run = uuid.uuid4().hex
    _distributed_runs.append(run)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=n,
        run_id=run,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        # Without it the machine's own name, which may lead nowhere without internet.
        local_addr="127.0.0.1",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(redirects=dict.fromkeys(range(1, n), Std.OUT)),
    )
    result = _result_file(run)
    try:
        result.touch(mode=0o600, exist_ok=False)
        elastic_launch(config, sys.executable)("-u", str(script), *sys.argv[1:])
        content = result.read_bytes()
    except ChildFailedError as error:
        raise RuntimeError(
            f"training in {n} processes failed; the error of the process is above"
        ) from error
    except SignalException as error:
        if error.sigval == signal.SIGINT:  # as if nobody had caught it
            raise KeyboardInterrupt from None
        raise
    finally:
        result.unlink(missing_ok=True)
    return pickle.loads(content) if content else None


class Distributed(Callback):
    """Shares every training batch among the processes of `launch`.

    All processes see the same batches (seed the same way in each; at the start of an
    epoch the first one's random state holds for all) and take every n-th item;
    gradients are averaged by DistributedDataParallel, weighted by the number of items,
    so that a step is that of one process on the whole batch. Only BatchNorm, and what
    mixes images, see the share of their own process. Training losses and metrics are
    those of all processes; validation is done by each on all its batches; the first
    process's row of the history is everybody's. Without several processes it does
    nothing.
    """

    # Early at every event: what comes after sees this process's share.
    order = -200
    alters_step = True

    def __init__(self) -> None:
        self._repeats = False
        self._repeated: list[int] = []
        self._factor = 1.0

    def before_fit(self, learner: LearnerState) -> None:
        """Start all processes from the weights of the first."""
        if process_count() > 1:
            cuda = learner.device.type == "cuda"
            learner.forward = DistributedDataParallel(
                learner.model, device_ids=[learner.device.index] if cuda else None
            )

    def before_train(self, learner: LearnerState) -> None:
        """Draw alike from here on: shares of unlike size have used up unlike numbers.

        So a loader that shuffles by the global generators gives all processes the same
        batches, and a resume, which has the first one's random state, is exact.
        """
        self._repeated = []
        if process_count() > 1:
            state = [random_state() | {"cuda": []}]  # each device has its own
            dist.broadcast_object_list(state, 0)
            restore_random_state(state[0])

    def before_batch(self, learner: LearnerState) -> None:
        """Take this process's share of a training batch."""
        n, rank = process_count(), process_rank()
        if n == 1 or not learner.training or learner.forward is None:
            return
        items = count_items(learner.x)
        self._repeats = items < n  # too few to share: each process does them all
        if self._repeats:
            self._factor = 1.0
            return

        def share(tensor: Tensor) -> Tensor:
            return tensor[rank::n]

        learner.x = map_tree(share, learner.x)
        learner.y = learner.target = map_tree(share, learner.target)
        self._factor = count_items(learner.x) * n / items

    def before_backward(self, learner: LearnerState) -> None:
        """Weigh the share by its size; note what another one counts."""
        if self._repeats and process_rank():
            self._repeated.append(len(learner.losses) - 1)
        if self._factor != 1.0:
            learner.loss = learner.loss * self._factor

    def cleanup_train(self, learner: LearnerState) -> None:
        """Put losses and metrics of all processes together, of a cut pass too."""
        if process_count() == 1 or learner.broken_off:  # by an error: of this one alone
            return
        parts = learner.meter.parts()
        for batch in self._repeated:
            parts.weights[batch] = 0
        everyone: list[Any] = [None] * process_count()
        dist.all_gather_object(everyone, parts)
        learner.meter.take_parts(everyone)

    def before_validate(self, learner: LearnerState) -> None:
        """Validate the buffers of the first process, which differ under BatchNorm."""
        if process_count() > 1 and learner.forward is not None:
            for buffer in learner.model.buffers():
                dist.broadcast(buffer, 0)

    def after_epoch(self, learner: LearnerState) -> None:
        """Agree on one row, so that every process decides alike."""
        if process_count() > 1:
            row = [learner.history[-1]]
            dist.broadcast_object_list(row, 0)
            learner.history[-1] = row[0]

    def cleanup_fit(self, learner: LearnerState) -> None:
        """Leave the plain model."""
        learner.forward = None
        self._factor = 1.0


def _work(
    train: Callable[[], object], local_rank: int, log: Callable[[str], None]
) -> None:
    cuda = torch.cuda.is_available() and torch.cuda.device_count() > local_rank
    if cuda:
        torch.cuda.set_device(local_rank)
    threading.Thread(
        target=_end_with_launcher, args=[os.getppid()], daemon=True
    ).start()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        result = train()
        if is_main_process():
            _hand_over(result, log)
        dist.barrier()
    except KeyboardInterrupt:  # it goes to all of them; the one that called tells
        raise SystemExit(128 + signal.SIGINT) from None
    finally:
        dist.destroy_process_group()


def _end_with_launcher(launcher: int) -> None:
    """End this process when the one that waits for it is gone (kill -9, no memory).

    Otherwise it would train on, and write into the files of whoever starts anew.
    """
    while os.getppid() == launcher:
        time.sleep(1)
    os._exit(1)


def _result_file(run: str) -> Path:
    return Path(tempfile.gettempdir(), f"kaggle_kit_{run}.result")


def _hand_over(result: object, log: Callable[[str], None]) -> None:
    """Write the result for the process that called `launch`, which made the file."""
    path = _result_file(os.environ.get("TORCHELASTIC_RUN_ID", ""))
    if not path.is_file():  # started by another launcher: nobody waits for it
        return
    try:
        path.write_bytes(pickle.dumps(result))
    except Exception as error:  # pickle raises anything; the training must not be lost
        path.write_bytes(b"")
        log(f"what was trained is not handed over, leave it in a file: {error}")
