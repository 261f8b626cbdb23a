"""A failure in any file that an embed-form kernel carries leads back to its source."""

from pathlib import Path

import pytest
from same_behaviour import run, write_project

from kernel_builder.emit.build import Built, build
from kernel_builder.emit.source_map import from_json
from kernel_builder.emit.trace import map_log
from kernel_builder.read.project import load_project

FILES = {
    "main.py": """\
import importlib
import multiprocessing as mp

import tool


def own(x):
    return 1 / x


if __name__ == "__main__":
    plugin = importlib.import_module("plug" + "in")
    with mp.get_context("spawn").Pool(1) as pool:
        try:
            pool.map(own, [0])
        except ZeroDivisionError as error:
            print(error.__cause__)
    tool.call(plugin)
""",
    "tool.py": """\
def call(plugin):
    # calls it
    return plugin.fail(__file__)
""",
    "plugin.py": """\
def fail(text):

    return text + 1
""",
}


@pytest.fixture
def built(tmp_path: Path) -> Built:
    kernel = write_project(FILES, tmp_path / "project")
    return build(load_project(kernel), out=tmp_path / "out", form="embed")


def test_frames_of_modules_and_of_the_kernel_are_led_back(
    built: Built, tmp_path: Path
) -> None:
    seen = run(built.code_path, tmp_path / "run")
    mapped = map_log(seen.stderr, built.source_map)
    assert 'File "main.py", line 18, in <module>' in mapped
    assert 'File "tool.py", line 3, in call' in mapped
    assert 'File "plugin.py", line 3, in fail' in mapped
    assert "kaggle-embed-" not in mapped


def test_a_worker_shows_the_kernels_own_line(built: Built, tmp_path: Path) -> None:
    seen = run(built.code_path, tmp_path / "run")
    assert 'File "main.py", line 8, in own' in map_log(seen.stdout, built.source_map)


def test_the_map_holds_the_text_of_modules_that_no_import_names(built: Built) -> None:
    source_map = from_json(built.map_path.read_text("utf-8"))
    assert source_map.sources["plugin.py"] == FILES["plugin.py"].rstrip("\n")
    assert source_map.sources["tool.py"] == FILES["tool.py"]
