"""How long a whole `build` takes, beside two public bundlers, in the same run.

    python -m pip install stickytape cribo
    python benchmarks/build_speed.py

Each command is a process of its own, started in turn (A B C A B C ...) so that a drift
of the machine's speed meets all of them; ratios are taken turn by turn, and the median
counts. Wall seconds depend on what else the machine does, processor seconds (user and
system) hardly. Every build is a whole one: nothing is kept from the build before, but
Python's own byte code of the tools, as after any first run. The bundlers get the same
kernel and the same first-party folders. They do less (no readable text, no proof, no
checks); they are here as the pace to keep up with.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def largest_kernel() -> Path:
    """The kernel folder whose built file is the largest."""
    with tempfile.TemporaryDirectory() as name:
        sizes = {}
        for metadata in sorted((REPOSITORY / "kernels").glob("*/kernel-metadata.json")):
            out = Path(name) / metadata.parent.name
            command = our_command(metadata.parent, out)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            sizes[metadata.parent] = max(p.stat().st_size for p in out.glob("*.py"))
    return max(sizes, key=lambda kernel: sizes[kernel])


def our_command(kernel: Path, out: Path) -> list[str]:
    """The tool's own command line."""
    tool = str(REPOSITORY / "tools" / "build_kernel.py")
    return [sys.executable, tool, "build", str(kernel), "--out", str(out)]


def commands(kernel: Path, out: Path) -> dict[str, list[str]]:
    """One command line per contestant; a bundler that is not installed is left out."""
    entry = next(kernel.glob("*.py"))
    table = {"kaggle-kit build": our_command(kernel, out / "ours")}
    if stickytape := shutil.which("stickytape", path=str(Path(sys.executable).parent)):
        table["stickytape"] = [
            *(stickytape, str(entry), "--add-python-path", str(REPOSITORY)),
            *("--output-file", str(out / "stickytape.py")),
        ]
    if cribo := shutil.which("cribo", path=str(Path(sys.executable).parent)):
        config = out / "cribo.toml"
        config.write_text(f'src = ["{REPOSITORY}"]\n')
        table["cribo"] = [
            *(cribo, "--entry", str(entry), "--output", str(out / "cribo.py")),
            *("--config", str(config)),
        ]
    return table


def seconds(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of one whole process."""
    ignored = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")
    environment = {k: v for k, v in os.environ.items() if k not in ignored}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, busy


def main() -> None:
    """Time every contestant in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    kernel = largest_kernel()
    print(f"kernel {kernel.name}, {runs} runs each, whole processes, medians")
    with tempfile.TemporaryDirectory() as name:
        table = commands(kernel, Path(name))
        for command in table.values():  # warm the disk cache
            seconds(command)
        times: dict[str, list[tuple[float, float]]] = {label: [] for label in table}
        for _ in range(runs):
            for label, command in table.items():
                times[label].append(seconds(command))
    print(
        f"  {'':18} {'wall':>8} {'ours/this':>10} {'processor':>10} {'ours/this':>10}"
    )
    for label, values in times.items():
        row = f"  {label:18}"
        for kind, width in ((0, 7), (1, 9)):
            ours = [pair[kind] for pair in times["kaggle-kit build"]]
            theirs = [pair[kind] for pair in values]
            ratios = [mine / its for mine, its in zip(ours, theirs, strict=True)]
            row += f" {statistics.median(theirs):{width}.3f}s"
            row += f" {statistics.median(ratios):10.2f}"
        print(row)
    for missing in {"stickytape", "cribo"} - set(times):
        print(f"  {missing}: not installed beside {sys.executable}, not measured")


if __name__ == "__main__":
    main()
