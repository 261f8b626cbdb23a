"""Measure the augmentation: images a second, beside the usual per-image pipeline.

    python benchmarks/augmentation_speed.py [--device cpu] [--size 28] [--threads 1]

The images are random; the time does not depend on what they show. The usual pipeline
is that of most digit notebooks: one PIL image at a time through torchvision's
RandomRotation, RandomAffine, ToTensor and Normalize.
"""

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from kaggle_kit.augment import (
    BrightnessContrast,
    HorizontalFlip,
    RandomAffine,
    RandomCrop,
)
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.erasing import RandomCopy, RandomErase
from kaggle_kit.warps import RandomPerspective, RandomResizedCrop

TRANSFORMS = {
    "none (read and normalise)": None,
    "RandomAffine": RandomAffine(rotate=12, translate=0.1, zoom=0.1),
    "RandomCrop": RandomCrop(2),
    "HorizontalFlip": HorizontalFlip(),
    "RandomPerspective": RandomPerspective(),
    "RandomResizedCrop": RandomResizedCrop(),
    "BrightnessContrast": BrightnessContrast(),
    "RandomErase": RandomErase(),
    "RandomCopy": RandomCopy(),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Print images a second for every transform, and the ratio to the usual loop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--size", type=int, default=28)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    generator = np.random.default_rng(0)
    shape = (args.images, args.size, args.size)
    images = generator.integers(0, 256, shape, dtype=np.uint8)
    print(f"{args.images} images of {args.size} x {args.size}, {args.device}")

    usual = best_rate(lambda: run_usual(images[:1024]), 1024, args.repeats)
    print(f"{'usual per-image pipeline':28}{usual:12,.0f} images/s     1.0")
    for name, augment in TRANSFORMS.items():
        batches = DeviceBatches(
            images,
            batch_size=args.batch_size,
            device=args.device,
            mean=0.5,
            std=0.3,
            augment=augment,
            shuffle=True,
        )
        rate = best_rate(lambda b=batches: run_batches(b), args.images, args.repeats)
        print(f"{name:28}{rate:12,.0f} images/s{rate / usual:8.1f}")


def best_rate(run: Callable[[], None], n: int, repeats: int) -> float:
    """Images a second of the fastest of some runs, after one to warm up."""
    run()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return n / min(seconds)


def run_usual(images: np.ndarray) -> None:
    """Transform one image after the other, as a Dataset in a DataLoader does."""
    pipeline = transforms.Compose(
        [
            transforms.RandomRotation(12),
            transforms.RandomAffine(0, translate=(0.1, 0.1), scale=(0.9, 1.1)),
            transforms.ToTensor(),
            transforms.Normalize((0.5,), (0.3,)),
        ]
    )
    torch.stack([pipeline(Image.fromarray(image)) for image in images])


def run_batches(batches: DeviceBatches) -> None:
    """Go through all batches and wait for the device."""
    for _ in batches:
        pass
    if batches.device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
