"""Ten kernels as people write them: `check` has nothing to say about them."""

from pathlib import Path

import pytest
from checking import GPU, METADATA, NOTEBOOK, write_kernel

from kernel_builder.check.preflight import run_checks
from kernel_builder.profiles import load_profile, profile_names
from kernel_builder.read.project import load_project

FOLDER = Path(__file__).parents[2] / "public_style_kernels"
# kernel: what its owner would write into the metadata
KERNELS = {
    "torch_cnn_training": {"competition_sources": ["digit-recognizer"], **GPU},
    "timm_inference": {
        "competition_sources": ["cassava-leaf-disease-classification"],
        "dataset_sources": ["someuser/cassava-effnet-weights"],
        **GPU,
    },
    "fastai_pets": {
        "competition_sources": ["plant-pathology-2020-fgvc7"],
        "dataset_sources": ["pytorch/resnet34"],
        **GPU,
    },
    "lightgbm_tabular": {"competition_sources": ["titanic"]},
    "albumentations_kfold": {
        "competition_sources": ["siim-isic-melanoma-classification"],
        "dataset_sources": ["someone/resnet-weights"],
        **GPU,
    },
    "inference_server": {
        "competition_sources": ["jane-street-real-time-market-data-forecasting"],
        "dataset_sources": ["someone/js-xgb-models"],
    },
    "seaborn_eda": {
        "competition_sources": ["house-prices-advanced-regression-techniques"],
    },
    "keras_digits": {"competition_sources": ["digit-recognizer"], **GPU},
    "transformers_local": {
        "competition_sources": ["feedback-prize-english-language-learning"],
        "dataset_sources": ["jonathanchan/huggingface-deberta-v3-base"],
        **GPU,
    },
    "blend_csvs": {
        "competition_sources": ["playground-series-s4e8"],
        "kernel_sources": ["someone/s4e8-lgbm", "someone/s4e8-xgb", "someone/s4e8-nn"],
    },
}


def test_the_table_names_every_kernel():
    assert sorted(KERNELS) == sorted(path.stem for path in FOLDER.glob("*.py"))
    assert len(KERNELS) == 10


@pytest.mark.parametrize("name", KERNELS)
def test_nothing_is_found_in_a_bare_script(name):
    project = load_project(FOLDER / f"{name}.py")
    assert [str(finding) for finding in run_checks(project)] == []


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("name", KERNELS)
def test_nothing_is_found_with_metadata(tmp_path, name, profile):
    code = (FOLDER / f"{name}.py").read_text()
    lists = {"dataset_sources": [], "competition_sources": []}
    metadata = METADATA | lists | KERNELS[name]
    project = load_project(write_kernel(tmp_path, code, **metadata))
    found = run_checks(project, profile=load_profile(profile))
    assert [str(finding) for finding in found] == []


@pytest.mark.parametrize("name", KERNELS)
def test_nothing_is_found_in_a_notebook(tmp_path, name):
    code = (FOLDER / f"{name}.py").read_text()
    lists = {"dataset_sources": [], "competition_sources": []}
    metadata = METADATA | lists | KERNELS[name] | NOTEBOOK
    found = run_checks(load_project(write_kernel(tmp_path, code, **metadata)))
    assert [str(finding) for finding in found] == []
