import pytest
from rehearsing import run_kernel

from kernel_builder.errors import UsageError
from kernel_builder.rehearse.mounts import (
    Config,
    Source,
    find_sources,
    load_config,
    mounts,
)

SOURCES = {
    "competition_sources": ["tiny"],
    "dataset_sources": ["one/weights"],
    "model_sources": ["two/net/PyTorch/base/3"],
    "kernel_sources": ["three/train"],
}
NEW = [
    "competitions/tiny",
    "datasets/one/weights",
    "models/two/net/pytorch/base/3",
    "notebooks/three/train",
]
OLD = ["tiny", "weights", "net/pytorch/base/3", "train"]


def make(root, names):
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "file.txt").write_text(name)
    return root


@pytest.mark.parametrize("names", [NEW, OLD])
def test_every_kind_of_source_is_found_by_either_convention(names, tmp_path):
    root = make(tmp_path / "input", names)
    found = find_sources(SOURCES, Config(tmp_path), [root])

    assert [source.folder for source in found] == [root / name for name in names]


@pytest.mark.parametrize(("layout", "names"), [("new", NEW), ("old", OLD)])
def test_each_kind_is_mounted_where_kaggle_mounts_it(layout, names, tmp_path):
    root = make(tmp_path / "input", NEW)
    found = find_sources(SOURCES, Config(tmp_path), [root])
    targets = [m.target for m in mounts(found, layout, tmp_path / "stage")]

    assert targets == [f"/kaggle/input/{name}" for name in names]


def test_input_may_be_the_competitions_own_folder(tmp_path):
    data = make(tmp_path, ["digits"]) / "digits"
    only = {"competition_sources": ["tiny"]}

    assert find_sources(only, Config(tmp_path), [], data)[0].folder == data


def test_a_root_without_the_competition_is_not_taken_for_it(tmp_path):
    root = make(tmp_path / "data", ["other"])
    only = {"competition_sources": ["tiny"]}
    with pytest.raises(UsageError, match="the competition tiny has no local folder"):
        find_sources(only, Config(tmp_path), [], root)


def test_a_bare_script_gets_its_input_as_a_competition(tmp_path):
    data = make(tmp_path, ["digits"]) / "digits"
    (source,) = find_sources(None, Config(tmp_path), [], data)

    assert source.target("new") == "/kaggle/input/competitions/digits"


def test_metadata_without_sources_get_no_data(tmp_path):
    data = make(tmp_path, ["digits"]) / "digits"

    assert find_sources({"competition_sources": []}, Config(tmp_path), [], data) == ()


def test_an_input_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"--input .*nowhere: no such folder"):
        find_sources(SOURCES, Config(tmp_path), [], tmp_path / "nowhere")


def test_the_config_names_folders(tmp_path):
    make(tmp_path, ["elsewhere/a", "elsewhere/b"])
    (tmp_path / "rehearsal.toml").write_text(
        '[sources]\n"competitions/tiny" = "elsewhere/a"\n'
        '"models/two/net/PyTorch/base/3" = "elsewhere/b"\n'
    )
    only = {key: SOURCES[key] for key in ("competition_sources", "model_sources")}
    found = find_sources(only, load_config(tmp_path), [])

    assert [s.folder for s in found] == [
        tmp_path / "elsewhere/a",
        tmp_path / "elsewhere/b",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sources = [", "not TOML"),
        ("sample_file = 'x'", "unknown key 'sample_file'; allowed: hidden_rows, id"),
        ("hidden_rows = 'many'", "hidden_rows must be a int"),
        ("hidden_rows = true", "hidden_rows must be a int"),
        ("[sources]\na = 3", "sources: 'a' must name a folder"),
    ],
)
def test_a_wrong_config_is_refused(text, problem, tmp_path):
    (tmp_path / "rehearsal.toml").write_text(text)
    with pytest.raises(UsageError, match=problem):
        load_config(tmp_path)


def test_a_kernels_newest_output_is_taken(tmp_path):
    for name in ("rehearsals/train/002", "rehearsals/train/010"):
        make(tmp_path / "out", [f"{name}/output"])
    only = {"kernel_sources": ["three/train"]}
    (source,) = find_sources(only, Config(tmp_path), [], None, [tmp_path / "out"])
    assert source.folder == tmp_path / "out/rehearsals/train/010/output"

    make(tmp_path / "out", ["runs/train/v9", "runs/train/v12"])
    (source,) = find_sources(only, Config(tmp_path), [], None, [tmp_path / "out"])
    assert source.folder == tmp_path / "out/runs/train/v12"


def test_what_is_missing_is_said_with_every_place(tmp_path):
    with pytest.raises(UsageError) as caught:
        find_sources(SOURCES, Config(tmp_path), [tmp_path / "input"])
    text = str(caught.value)

    assert text.startswith("the competition tiny has no local folder; looked for\n")
    assert str(tmp_path / "input/competitions/tiny") in text
    assert '[sources] "competitions/tiny" = "path"' in text


def test_an_archive_that_was_not_unpacked_is_pointed_out(tmp_path):
    (tmp_path / "competitions").mkdir()
    archive = tmp_path / "competitions/tiny.zip"
    archive.write_bytes(b"")
    with pytest.raises(UsageError, match=rf"unpack {archive} there"):
        find_sources(SOURCES, Config(tmp_path), [tmp_path])


def test_two_sources_at_one_place_are_refused(tmp_path):
    root = make(tmp_path / "input", ["datasets/one/same", "datasets/two/same"])
    both = {"dataset_sources": ["one/same", "two/same"]}
    found = find_sources(both, Config(tmp_path), [root])

    assert len(mounts(found, "new", tmp_path)) == 2
    with pytest.raises(UsageError, match="one/same and two/same"):
        mounts(found, "old", tmp_path)


def test_a_folder_without_links_is_mounted_as_it_is(tmp_path):
    root = make(tmp_path, ["plain", "linked"])
    (root / "linked/more.txt").symlink_to(root / "plain/file.txt")
    stage = tmp_path / "stage"
    plain = Source("competition", "plain", root / "plain")
    linked = Source("competition", "linked", root / "linked")
    found = mounts([plain, linked], "new", stage)

    assert found[0].source == root / "plain"
    assert found[1].source == stage / "1"
    assert not (stage / "1/more.txt").is_symlink()
    assert (stage / "1/more.txt").read_text() == "plain"


def test_all_kinds_are_readable_inside_under_both_layouts(tmp_path):
    make(tmp_path / "kernel/input", NEW)
    code = f"""
    import os
    new = {NEW!r}
    old = {OLD!r}
    names = new if os.path.exists("/kaggle/input/competitions") else old
    for name in names:
        print(open(f"/kaggle/input/{{name}}/file.txt").read())
    """
    options = {"metadata": SOURCES, "layout": "both", "submission": False}
    report = run_kernel(tmp_path, code, **options)

    assert [run.log_path.read_text().split() for run in report.runs] == [NEW, NEW]
