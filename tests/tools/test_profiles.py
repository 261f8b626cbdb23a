"""The dated profiles: complete, consistent, and the only place for versions."""

import pytest

from kernel_builder.errors import UsageError
from kernel_builder.profiles import (
    default_profile,
    load_profile,
    normalised_name,
    profile_names,
    version_key,
)

PY312, PY313 = "kaggle-2026-06-py312", "kaggle-2026-10-py313"


def test_names():
    assert profile_names() == (PY312, PY313)
    assert default_profile() == PY312
    assert load_profile().name == PY312


def test_an_unknown_profile():
    with pytest.raises(UsageError, match=f"--profile py3: unknown.*{PY312}, {PY313}"):
        load_profile("py3")


@pytest.mark.parametrize("name", profile_names())
def test_what_every_profile_has(name):
    profile = load_profile(name)
    assert profile.python.startswith("3.1")
    assert profile.packages["pyarrow"] == "18.1.0"
    assert profile.version_of("scikit-learn") == "1.6.1"
    assert profile.version_of("python") == profile.python
    assert profile.limits["kernel_source_bytes"] == 1_000_000
    assert profile.runtime["cwd"] == "/kaggle/working"
    assert profile.machine("NvidiaTeslaP100").name == "NvidiaTeslaT4"
    assert profile.machine("TpuV232").kind == "cpu"
    assert profile.machine("anything") is None
    assert "sm_75" in profile.torch_arch_list_gpu
    assert all(version_key(v) for v in profile.packages.values())


@pytest.mark.parametrize(
    ("name", "python", "torch", "opencv"),
    [(PY312, (3, 12), "2.10.0", "4.13.0.92"), (PY313, (3, 13), "2.11.0", "5.0.0.93")],
)
def test_what_tells_them_apart(name, python, torch, opencv):
    profile = load_profile(name)
    assert profile.python_version == python
    assert profile.version_of("torch") == torch
    assert profile.version_of("opencv_python") == opencv
    assert profile.approximate is (name == PY313)


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("cv2", "opencv-python"),
        ("sklearn", "scikit-learn"),
        ("PIL", "pillow"),
        ("yaml", "pyyaml"),
        ("bs4", "beautifulsoup4"),
        ("skimage", "scikit-image"),
        ("pytorch_lightning", "pytorch-lightning"),
        ("torch", "torch"),
        ("huggingface_hub", "huggingface-hub"),
    ],
)
def test_import_names(module, distribution):
    profile = load_profile()
    assert profile.distribution(module) == distribution
    assert profile.has_module(module)


@pytest.mark.parametrize(
    "module", ["os", "kaggle_secrets", "kaggle_evaluation", "cudf", "imghdr"]
)
def test_modules_without_a_distribution(module):
    assert load_profile().has_module(module)


@pytest.mark.parametrize("module", ["lightning", "iterstrat", "no_such_package"])
def test_modules_that_are_absent(module):
    assert not load_profile().has_module(module)


def test_the_standard_library_is_the_images_own():
    assert "imghdr" in load_profile(PY312).stdlib
    assert "imghdr" not in load_profile(PY313).stdlib
    # Brought back there by a distribution of its own.
    assert load_profile(PY313).has_module("audioop")


def test_every_mapped_import_leads_to_a_distribution_of_some_profile():
    known = {name for item in profile_names() for name in load_profile(item).versions}
    for module, distribution in load_profile().imports.items():
        assert distribution in known, module


def test_every_removal_speaks_of_a_package_of_the_image():
    for item in load_profile().removed:
        if item.package != "python":
            assert item.package in load_profile().versions
        assert version_key(item.since)
        assert item.names or item.arguments


def test_versions_compare_by_number():
    assert version_key("2.10.0+cu128") > version_key("2.9")
    assert version_key("1.0") < version_key("1.0.1")
    assert version_key("") == ()
    assert normalised_name("Ruamel_yaml.clib") == "ruamel-yaml-clib"
