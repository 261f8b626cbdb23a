"""How fast the Learner trains, as ratios to named alternatives, in the same run.

    python benchmarks/training_speed.py [--device auto] [--rounds 5]

Four questions, on pixels that are drawn at random (speed does not depend on them):

loop      What does the loop cost? A linear layer, batches of 128 resident on the
          device, 468 steps: a plain PyTorch loop, ours, and fastai and Lightning where
          they are installed (python -m pip install fastai lightning).
pipeline  What do resident batches save? The classic notebook loop (a Dataset of PIL
          images with ToTensor, RandomRotation and RandomAffine in a DataLoader) and
          ours with the same augmentation, each with the same small network.
augment   How many images a second can be warped, each with its own draw?
compile   What do torch.compile and CUDA graphs add to resident batches, and how much of
          the time is the device busy? On a GPU; elsewhere with --compile, which takes
          some minutes, without graphs and without the share.

Contestants run in turn (A B C A B C ...), so that a drift of the machine's speed meets
all of them; the median of the rounds counts. On a CPU it is the time of the process on
one thread, which other work on the machine does not lengthen.
"""

import argparse
import contextlib
import io
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from kaggle_kit.augment import RandomAffine
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.device import choose_device
from kaggle_kit.events import Callback
from kaggle_kit.learner import Learner
from kaggle_kit.models import DigitResNet
from kaggle_kit.precision import MixedPrecision

BATCH, IMAGES = 128, 60_000
Contestant = Callable[[], float]


class ResidentBatches:
    """The batches every loop gets: float vectors on the device, shuffled."""

    def __init__(self, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.rand(IMAGES, 784, generator=generator).to(device)
        self.y = torch.randint(0, 10, (IMAGES,), generator=generator).to(device)

    def __len__(self) -> int:
        return IMAGES // BATCH

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(IMAGES, device=self.x.device)
        for chosen in order.split(BATCH)[: len(self)]:
            yield self.x[chosen], self.y[chosen]


class PictureDataset(Dataset[tuple[Tensor, int]]):
    """The classic notebook: a PIL image and a chain of transforms per item."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomRotation(12),
                transforms.RandomAffine(0, translate=(0.1, 0.1), scale=(0.9, 1.1)),
                transforms.ToTensor(),
                transforms.Normalize((0.5,), (0.29,)),
            ]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index])
        return self.transform(picture), int(self.labels[index])


def stopwatch(device: torch.device) -> float:
    """Seconds so far, all work on the device included."""
    if device.type == "cpu":
        return time.process_time()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def linear() -> nn.Module:
    """The smallest network: what remains is the loop."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def small_cnn() -> nn.Module:
    """Two convolutions and two linear layers, as in many first notebooks."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(), nn.Linear(64, 10)),
    )


def plain_epoch(model: nn.Module, batches: object, device: torch.device) -> float:
    """Seconds of one epoch of a hand-written loop."""
    model = model.to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    loss_function = nn.CrossEntropyLoss()
    start = stopwatch(device)
    for x, y in batches:
        loss = loss_function(model(x.to(device)), y.to(device))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return stopwatch(device) - start


def our_epoch(
    model: nn.Module,
    batches: object,
    device: torch.device,
    callbacks: Sequence[Callback] = (),
) -> float:
    """Seconds of one epoch of the Learner."""
    learner = Learner(
        model,
        (batches,),
        nn.CrossEntropyLoss(),
        optimizer=torch.optim.SGD,
        lr=0.01,
        callbacks=callbacks,
        device=device,
        log=lambda line: None,
    )
    start = stopwatch(device)
    learner.fit(1)
    return stopwatch(device) - start


def fastai_epoch(batches: ResidentBatches, device: torch.device) -> float:
    """Seconds of one epoch of fastai's Learner, without bars."""
    import fastai.callback.progress  # noqa: F401 - brings no_bar
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner as FastLearner
    from fastai.optimizer import OptimWrapper

    learner = FastLearner(
        DataLoaders(batches, [], device=device),
        linear().to(device),
        loss_func=nn.CrossEntropyLoss(),
        opt_func=lambda params, **kw: OptimWrapper(params, torch.optim.SGD, lr=0.01),
        train_bn=False,
    )
    learner._do_epoch_validate = lambda *args, **kw: None
    start = stopwatch(device)
    with learner.no_bar(), learner.no_logging():
        learner.fit(1)
    return stopwatch(device) - start


def lightning_epoch(batches: ResidentBatches, device: torch.device) -> float:
    """Seconds of one epoch of Lightning's Trainer with everything switched off."""
    import lightning

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = linear()

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            x, y = batch
            return nn.functional.cross_entropy(self.model(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    times: list[float] = []

    class Clock(lightning.Callback):
        def on_train_epoch_start(self, *args: object) -> None:
            times.append(stopwatch(device))

        def on_train_epoch_end(self, *args: object) -> None:
            times.append(stopwatch(device))

    trainer.callbacks.append(Clock())
    trainer.fit(Module(), batches)
    return times[-1] - times[0]


def race(contestants: dict[str, Contestant], rounds: int) -> dict[str, float]:
    """Median seconds of each, run in turn; one round to warm up does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in list(contestants.items()):
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    taken = run()
            except ImportError as error:
                print(f"  {name}: not installed ({error.name})")
                del contestants[name], seconds[name]
                continue
            if number:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def loop_question(device: torch.device, rounds: int) -> None:
    """Overhead of the loop in milliseconds a step."""
    batches = ResidentBatches(device)
    print(f"loop: Linear(784, 10), batch {BATCH}, {len(batches)} steps")
    seconds = race(
        {
            "plain PyTorch": lambda: plain_epoch(linear(), batches, device),
            "kaggle_kit": lambda: our_epoch(linear(), batches, device),
            "fastai": lambda: fastai_epoch(batches, device),
            "Lightning, bare": lambda: lightning_epoch(batches, device),
        },
        rounds,
    )
    plain = seconds["plain PyTorch"]
    for name, value in seconds.items():
        per_step = value / len(batches) * 1e3
        more = (value - plain) / len(batches) * 1e3
        ratio = value / plain
        print(f"  {name:16} {per_step:7.3f} ms/step  {more:+.3f}  ratio {ratio:.2f}")


def pipeline_question(device: torch.device, rounds: int, n_images: int) -> None:
    """Resident, batch-wise augmented images against the classic notebook."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n_images, 28, 28), dtype=np.uint8)
    labels = random.integers(0, 10, n_images)
    loader = DataLoader(PictureDataset(images, labels), BATCH, shuffle=True)
    warp = RandomAffine(rotate=12, translate=0.1, zoom=0.1)
    resident = DeviceBatches(
        images,
        labels,
        batch_size=BATCH,
        device=device,
        mean=0.5,
        std=0.29,
        augment=warp,
        shuffle=True,
    )
    for title, make in (("linear layer", linear), ("small CNN", small_cnn)):
        print(f"pipeline: {title}, {n_images} images, augmented one by one")
        seconds = race(
            {
                "classic notebook": lambda m=make: plain_epoch(m(), loader, device),
                "kaggle_kit": lambda m=make: our_epoch(m(), resident, device),
                "kaggle_kit, MixedPrecision": lambda m=make: our_epoch(
                    m(), resident, device, [MixedPrecision()]
                ),
            },
            rounds,
        )
        for name, value in seconds.items():
            ratio = seconds["classic notebook"] / value
            print(f"  {name:26} {n_images / value:9.0f} images/s  {ratio:5.1f} times")


def augment_question(device: torch.device, rounds: int) -> None:
    """Images a second through one batched warp."""
    print("augment: rotation, shift and zoom of 28 x 28, each image its own draw")
    warp = RandomAffine(rotate=12, translate=0.1, zoom=0.1)
    generator = torch.Generator(device).manual_seed(0)
    x = torch.rand(1024, 1, 28, 28, device=device)

    def run() -> float:
        start = stopwatch(device)
        for _ in range(10):
            warp(x, generator)
        return stopwatch(device) - start

    value = race({"warp": run}, rounds)["warp"]
    print(f"  {10 * len(x) / value:.0f} images/s on {device}")


def busy_share(run: Contestant) -> float:
    """Share of the time in which the GPU computes."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        seconds = run()
    events = profiler.key_averages()
    return sum(event.self_device_time_total for event in events) / 1e6 / seconds


def compile_question(device: torch.device, rounds: int, n_images: int) -> None:
    """Epochs a second of one network as it is, compiled, and as CUDA graphs."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (n_images, 28, 28), dtype=np.uint8)
    resident = DeviceBatches(
        images,
        random.integers(0, 10, n_images),
        batch_size=512,
        device=device,
        mean=0.5,
        std=0.29,
        augment=RandomAffine(rotate=12, translate=0.1, zoom=0.1),
        shuffle=True,
        drop_last=True,
    )
    cuda = device.type == "cuda"
    # Each compiles once, in the round that does not count.
    models = {
        "as it is": DigitResNet(),
        "torch.compile": torch.compile(DigitResNet()),
    }
    if cuda:
        models["CUDA graphs"] = torch.compile(DigitResNet(), mode="reduce-overhead")
    runs = {
        name: lambda model=model: our_epoch(model, resident, device)
        for name, model in models.items()
    }
    print(f"compile: DigitResNet, {n_images} images in batches of 512")
    seconds = race(runs, rounds)
    for name, value in seconds.items():
        busy = f"  device busy {busy_share(runs[name]):4.0%}" if cuda else ""
        ratio = seconds["as it is"] / value
        print(f"  {name:16} {1 / value:7.2f} epochs/s  {ratio:5.2f} times{busy}")


def main() -> None:
    """Read the options and ask the questions."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--images", type=int, default=4096, help="of the pipelines")
    parser.add_argument("--compile", action="store_true", help="ask it on a CPU too")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of the frameworks, about missing workers
    device = choose_device(args.device)
    print(f"torch {torch.__version__} on {device}")
    loop_question(device, args.rounds)
    pipeline_question(device, args.rounds, args.images)
    augment_question(device, args.rounds)
    if args.compile or device.type == "cuda":
        n_images = IMAGES if device.type == "cuda" else args.images
        compile_question(device, args.rounds, n_images)


if __name__ == "__main__":
    main()
