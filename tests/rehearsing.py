"""Small kernels and a tiny competition for the tests of the rehearsal rooms."""

import json
import textwrap

from kernel_builder.emit.build import Built
from kernel_builder.emit.emitted import Origin
from kernel_builder.emit.source_map import SourceMap
from kernel_builder.errors import UsageError
from kernel_builder.read.project import load_project
from kernel_builder.rehearse import isolation, sandbox
from kernel_builder.rehearse.rehearsal import RehearsalOptions, rehearse

PYTHON = sandbox.current_python()


def _works(way):
    try:
        return isolation.choose(way, PYTHON).name == way
    except UsageError:
        return False


CLOSED = [way for way in ("bubblewrap", "unshare") if _works(way)]
EVERY_WAY = [*CLOSED, "subprocess"]

GOOD = """
    import csv, os
    found = [p for p in ("/kaggle/input/competitions/tiny", "/kaggle/input/tiny")
             if os.path.isdir(p)]
    with open(found[0] + "/test.csv") as file:
        rows = list(csv.DictReader(file))
    with open("submission.csv", "w") as file:
        file.write("id,y\\n" + "".join(f"{r['id']},{r['x']}\\n" for r in rows))
    print("predicted", len(rows), "rows")
"""


def write_competition(folder, n=6):
    """A competition `tiny`: ids from 10, x in 0..4, a sample with zeros."""
    folder.mkdir(parents=True)
    ids = range(10, 10 + n)
    rows = "".join(f"{i},{i % 5}\n" for i in ids)
    (folder / "test.csv").write_text("id,x\n" + rows)
    (folder / "train.csv").write_text("id,x,y\n1,0,0\n2,1,1\n")
    sample = "id,y\n" + "".join(f"{i},0\n" for i in ids)
    (folder / "sample_submission.csv").write_text(sample)
    return folder


def write_kernel(folder, code, **metadata):
    """A kernel folder with `input/competitions/tiny` in it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kernel.py").write_text(textwrap.dedent(code))
    values = {"id": "me/tiny-kernel", "title": "tiny kernel", "code_file": "kernel.py"}
    values |= {"competition_sources": ["tiny"]} | metadata
    (folder / "kernel-metadata.json").write_text(json.dumps(values))
    if not (folder / "input").exists():
        write_competition(folder / "input/competitions/tiny")
    return folder


def as_built(kernel):
    """A built kernel without a build step: the source is the built file."""
    project = load_project(kernel)
    text = project.entry.read_text()
    origins = [Origin("kernel.py", n + 1, "__main__") for n in range(text.count("\n"))]
    source_map = SourceMap(
        "kernel.py", project.slug, "flat", tuple(origins), {"kernel.py": text}
    )
    return Built(
        *(project, project.entry, None, kernel / "none.map.json", source_map),
        *("flat", "script", (), ""),
    )


def run_kernel(folder, code, *, metadata=None, toml="", **options):
    """Write a kernel and rehearse it; returns the report."""
    kernel = write_kernel(folder / "kernel", code, **(metadata or {}))
    if toml:
        (kernel / "rehearsal.toml").write_text(toml)
    options = {"out": folder / "out"} | options
    return rehearse(as_built(kernel), RehearsalOptions(**options))


def failed(report):
    """The ids of failed checks, warnings included, each once and sorted."""
    return sorted({check.id for check in report.checks if not check.ok})


def message_of(report, id):
    """The message of the first failed check with this id, or the first at all."""
    checks = sorted((c for c in report.checks if c.id == id), key=lambda c: c.ok)
    return checks[0].message if checks else ""
