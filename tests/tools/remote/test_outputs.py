import json
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stand_in.fixtures import Desk
from stand_in.running import Outcome, log_json, run_source
from stand_in.server import StandIn, wait_until

from kernel_builder.errors import NetworkFailed
from kernel_builder.remote.outputs import check_name

BIG = bytes(range(256)) * 8000


def also(files: dict[str, bytes]):
    """The kernel's own run, with more output files."""

    def run(source: str) -> Outcome:
        done = run_source(source)
        return Outcome(done.status, done.log, {**done.files, **files})

    return run


def test_five_hundred_files_on_many_pages(desk: Desk, kaggle: StandIn):
    files = {f"parts/{n:03}.txt": b"x" * n for n in range(500)}
    kaggle.run = also(files)
    kaggle.page_size = 60
    result = desk.push()
    assert result.code == 0, result.text
    assert len(list((desk.runs / "v1" / "parts").iterdir())) == 500
    assert (desk.runs / "v1" / "parts" / "499.txt").stat().st_size == 499
    assert len(kaggle.asked("ListKernelSessionOutput")) > 8


@pytest.mark.parametrize("name", ["../escape.txt", "/tmp/escape.txt", "a/../../e.txt"])
def test_a_name_that_would_leave_the_folder_is_refused(
    desk: Desk, kaggle: StandIn, name: str
):
    kaggle.run = also({name: b"evil"})
    result = desk.push()
    assert result.code == 8
    assert "leaves the folder of the run" in result.err
    assert not (desk.runs / "v1").exists()
    assert list(desk.folder.rglob("e*.txt")) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "~/x",
        "C:\\x",
        "c:/x",
        "a\\..\\b",
        "a\nb",
        "a/",
        "./../a",
        "a\0b",
        "//a",
    ],
)
def test_names_that_are_no_plain_paths(name: str):
    with pytest.raises(NetworkFailed, match="leaves the folder"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "a b/ü.csv", "..a/b..", "a/.hidden", "~x"[1:]])
def test_names_that_are_plain_paths(name: str):
    check_name(name)


@pytest.mark.parametrize("reset", [True, False])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(
    desk: Desk, kaggle: StandIn, reset: bool
):
    kaggle.run = also({"model.bin": BIG})
    kaggle.fail("GET", cut=700_000, reset=reset)
    result = desk.push()
    assert result.code == 0, result.text
    assert (desk.runs / "v1" / "model.bin").read_bytes() == BIG
    ranges = [headers["Range"] for _, headers in kaggle.gets if "Range" in headers]
    assert len(ranges) == 1


def test_a_file_that_stays_truncated_is_not_taken(desk: Desk, kaggle: StandIn):
    kaggle.run = also({"model.bin": BIG})
    kaggle.fail("GET", cut=10, times=99)
    result = desk.push()
    assert result.code == 8
    assert "model.bin" in result.err
    assert "`fetch` goes on where it stopped" in result.err
    assert not (desk.runs / "v1").exists()
    kaggle.faults.clear()
    again = desk.run("fetch")
    assert again.code == 0, again.text
    assert (desk.runs / "v1" / "model.bin").read_bytes() == BIG


@pytest.mark.parametrize("status", [403, 404])
def test_links_that_expired_are_asked_for_anew(
    desk: Desk, kaggle: StandIn, status: int
):
    kaggle.fail("GET", status=status, body="<html>expired</html>")
    result = desk.push()
    assert result.code == 0, result.text
    assert "expired" not in (desk.runs / "v1" / "submission.csv").read_text()


def test_an_error_page_is_not_saved_as_the_file(desk: Desk, kaggle: StandIn):
    kaggle.fail("GET", status=502, body="<html>502</html>", times=99)
    result = desk.push()
    assert result.code == 8
    assert not (desk.runs / "v1").exists()


def test_a_page_that_says_200_is_not_saved_as_the_file(desk: Desk, kaggle: StandIn):
    page = {"status": 200, "body": "<html>Sign in</html>"}
    kaggle.run = also({"z.html": b"<html>mine</html>"})
    kaggle.fail("GET", **page)
    result = desk.push()
    assert result.code == 0, result.text
    assert "a web page came instead of the file; asking again" in result.out
    assert (desk.runs / "v1" / "submission.csv").read_bytes().startswith(b"id,label")
    assert (desk.runs / "v1" / "z.html").read_bytes() == b"<html>mine</html>"


def test_an_older_run_s_folder_is_never_touched(desk: Desk, kaggle: StandIn):
    desk.push()
    first = desk.runs / "v1" / "submission.csv"
    first.write_text("mine now\n")
    result = desk.push()
    assert result.code == 0, result.text
    assert first.read_text() == "mine now\n"
    assert (desk.runs / "v2" / "submission.csv").exists()
    # The kernel was deleted on Kaggle and made anew: versions start at 1 again.
    kaggle.kernels.clear()
    result = desk.push()
    assert result.code == 0, result.text
    assert first.read_text() == "mine now\n"
    assert len(list(desk.runs.glob("v1-*/submission.csv"))) == 1


def test_fetching_again_downloads_nothing(desk: Desk, kaggle: StandIn):
    desk.push()
    gets = len(kaggle.gets)
    result = desk.run("fetch")
    assert result.code == 0, result.text
    assert len(kaggle.gets) == gets


def test_an_output_called_like_the_log_keeps_its_name(desk: Desk, kaggle: StandIn):
    kaggle.run = also({"my-kernel.log": b"the kernel's own"})
    desk.push()
    assert (desk.runs / "v1" / "my-kernel.log").read_bytes() == b"the kernel's own"
    record = json.loads((desk.runs / "v1" / "kaggle-kit-run.json").read_text())
    assert "validation" in (desk.runs / "v1" / record["log"]).read_text()


def test_a_version_pushed_elsewhere_is_fetched_when_it_is_named(
    desk: Desk, kaggle: StandIn
):
    kaggle.add_version("tester/my-kernel", Outcome("COMPLETE", "[]", {"a.txt": b"a"}))
    kaggle.polls_queued = 0
    assert desk.run("fetch").code == 2
    result = desk.run("fetch", "--foreign", "--version", "1")
    assert result.code == 0, result.text
    assert (desk.runs / "v1" / "a.txt").read_bytes() == b"a"


def test_outputs_of_a_run_that_came_in_between_are_not_taken(
    desk: Desk, kaggle: StandIn
):
    """A server that does not pin versions, and a newer run that ends meanwhile."""
    kaggle.pins_versions = False
    newer = log_json("kaggle-kit run 20991231-000000-0000 start\n")

    def overtaken(source: str) -> Outcome:
        done = run_source(source)
        threading.Thread(target=overtake, args=[done]).start()
        return done

    def overtake(done: Outcome) -> None:
        wait_until(lambda: len(kaggle.asked("ListKernelSessionOutput")) > 0)
        kaggle.add_version("tester/my-kernel", Outcome("COMPLETE", newer, done.files))
        kaggle.kernels["tester/my-kernel"][-1].stage = "COMPLETE"

    kaggle.run = overtaken
    kaggle.slow["ListKernelSessionOutput"] = 0.4
    desk.run("push")
    result = desk.run("wait", "--deadline", "0.04")
    assert result.code in (7, 8)
    assert "another run" in result.err
    assert list(desk.runs.glob("v*")) == []


def test_a_full_disk_is_not_taken_for_the_network(desk: Desk, kaggle: StandIn):
    desk.run("push")
    (desk.folder / "out" / "runs").mkdir(parents=True)
    blocked = desk.runs
    blocked.write_text("a file where a folder must be")
    result = desk.run("wait")
    assert result.code == 1
    assert str(blocked.relative_to(desk.folder)) in result.err


@given(st.text(max_size=30))
def test_a_name_that_is_taken_stays_inside(name: str):
    try:
        check_name(name)
    except NetworkFailed:
        return
    folder = "/srv/run"
    path = os.path.normpath(f"{folder}/{name}")
    assert path == folder or path.startswith(folder + "/")


def test_two_terminals_fetch_one_run(desk: Desk, kaggle: StandIn):
    kaggle.run = also({f"{n}.txt": b"x" * n for n in range(20)})
    assert desk.run("push").code == 0
    kaggle.slow["ListKernelSessionOutput"] = 0.2
    first, second = (
        desk.start("wait", str(desk.kernel), "--poll", "0.05") for _ in range(2)
    )
    for tool in (first, second):
        out, _ = tool.communicate(timeout=60)
        assert tool.returncode == 0, out
    assert [path.name for path in desk.runs.iterdir()] == ["v1"]
    assert len([path for path, _ in kaggle.gets if path.startswith("/files")]) == 21


def test_bytes_that_drip_do_not_outlive_the_deadline(desk: Desk, kaggle: StandIn):
    kaggle.run = also({"model.bin": bytes(1 << 22)})
    desk.run("push")
    kaggle.fail("GET", drip=0.02, times=9)
    result = desk.run("wait", "--deadline", "0.03")
    assert result.code == 7
    assert "the deadline passed while it came" in result.err
    assert not (desk.runs / "v1").exists()
