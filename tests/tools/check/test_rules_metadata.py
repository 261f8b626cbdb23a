"""M01-M13: kernel-metadata.json, its sources, and the file that is sent."""

import json

import pytest
from checking import GPU, NOTEBOOK, assert_passes, assert_trips, check, write_kernel

from kernel_builder.check.findings import Finding
from kernel_builder.check.rules_metadata import (
    dataset_not_ready,
    push_refused,
    quota_short,
)
from kernel_builder.profiles import load_profile

# rule: (metadata that trips it, a part of the message)
TRIPS = [
    ("M01", {"id": "my-kernel"}, "id must be <owner>/<slug>"),
    ("M01", {"id": "tester/abc", "title": "abc"}, "5"),
    ("M01", {"id": "tester/my-kernel/3"}, "no version"),
    ("M01", {"id": "tester/INSERT_KERNEL_SLUG_HERE"}, "INSERT_KERNEL"),
    ("M01", {"id": 7}, "got 7"),
    ("M01", {"without": ("id",)}, "got None"),
    ("M02", {"title": "Another Kernel"}, "'another-kernel', id says 'my-kernel'"),
    ("M02", {"title": "abc"}, "5 to 50 letters"),
    ("M02", {"title": "x" * 51, "id": f"tester/{'x' * 51}"}, "has 51"),
    ("M02", {"without": ("title",)}, "none"),
    ("M04", {"without": ("enable_internet",)}, "missing key as ON"),
    ("M06", {"machine_shape": "NvidiaTeslaP100"}, "retired: Kaggle will run Nvidia"),
    ("M06", {"machine_shape": "NvidiaTeslaT4x2"}, "is unknown"),
    ("M06", {"machine_shape": "TpuV232"}, "Kaggle will run CPU"),
    ("M07", {"dataset_sources": ["datasets/tester/w"]}, "must be <owner>/<slug>"),
    ("M07", {"dataset_sources": ["weights"]}, "'weights' must be"),
    ("M07", {"competition_sources": ["competitions/titanic"]}, "slug alone"),
    ("M07", {"model_sources": ["google/gemma/pytorch/2b"]}, "<version number>"),
    ("M07", {"kernel_sources": "tester/other"}, "must be a list"),
    ("M08", {"dataset_sources": ["tester/weights/3"]}, "latest ready version of tes"),
    ("M08", {"kernel_sources": ["tester/other/12"]}, "tester/other is mounted"),
    ("M09", {"enable_gpu": "yes"}, "enable_gpu must be true or false: got 'yes'"),
    ("M09", {"is_private": 1}, "got 1"),
    ("M10", {"accelerator": "gpu"}, "unknown metadata key 'accelerator'"),
    ("M10", {"gpu": True}, "'gpu'"),
    ("M11", {"kernel_type": "py"}, "must be 'script' or 'notebook'"),
    ("M12", {"docker_image": "gcr.io/kaggle-images/python-3.13:x"}, "is py3.13"),
    ("M13", {"language": "r"}, "language must be 'python'"),
    ("M13", {"language": "Python"}, "got 'Python'"),
    ("M13", {"keywords": "vision"}, "keywords must be a list of texts: got 'vision'"),
    ("M13", {"keywords": ["vision", 3]}, "must be a list of texts"),
    ("M13", {"docker_image_pinning_type": "newest"}, "'original' or 'latest'"),
    ("M13", {"id_no": "123"}, "id_no must be a whole number, or left out: got '123'"),
]
PASSES = [
    ("M01", {}),
    ("M01", {"id": "your-name/my-kernel"}),
    ("M02", {"title": "My kernel!"}),
    ("M02", {"title": "Café: 1,000 digits", "id": "tester/cafe-1000-digits"}),
    ("M02", {"title": "Don't Overfit", "id": "tester/don-t-overfit"}),
    ("M02", {"title": "x" * 50, "id": f"tester/{'x' * 50}"}),
    ("M04", {}),
    ("M04", {"enable_internet": True}),
    ("M06", {"machine_shape": "NvidiaL4"}),
    ("M06", {"machine_shape": ""}),
    ("M07", {"model_sources": ["google/gemma/pytorch/2b-it/1"]}),
    ("M07", {"dataset_sources": ["tester/weights/3"]}),
    ("M07", {"competition_sources": [], "dataset_sources": []}),
    ("M08", {"model_sources": ["google/gemma/pytorch/2b/3"]}),
    ("M09", {"enable_gpu": "true", "is_private": "False"}),
    ("M10", {"id_no": 3, "docker_image": "x", "docker_image_pinning_type": "latest"}),
    ("M11", NOTEBOOK),
    ("M11", {}),
    ("M12", {"docker_image": "gcr.io/kaggle-images/python:v170"}),
    ("M12", {"docker_image": "gcr.io/kaggle-images/python@sha256:0123"}),
    ("M13", {"language": "python", "keywords": ["computer vision"], "id_no": 12}),
    ("M13", {"docker_image_pinning_type": "original"}),
]


def _ids(rows):
    return [f"{row[0]} {json.dumps(row[1])[:60]}" for row in rows]


@pytest.mark.parametrize(("rule", "metadata", "text"), TRIPS, ids=_ids(TRIPS))
def test_trips(tmp_path, rule, metadata, text):
    found = [f for f in check(tmp_path, "print(1)\n", **metadata) if f.id == rule]
    assert len(found) == 1
    assert text in found[0].message
    assert found[0].path.endswith("kernel-metadata.json")


@pytest.mark.parametrize(("rule", "metadata"), PASSES, ids=_ids(PASSES))
def test_passes(tmp_path, rule, metadata):
    assert_passes(tmp_path, rule, "print(1)\n", **metadata)


def test_the_line_is_that_of_the_key(tmp_path):
    findings = check(tmp_path, "print(1)\n", machine_shape="NvidiaTeslaP100")
    lines = (tmp_path / "kernel-metadata.json").read_text().split("\n")
    (finding,) = findings
    assert "machine_shape" in lines[finding.line - 1]


@pytest.mark.parametrize(
    ("shape", "severity"),
    [("NvidiaTeslaP100", "warning"), ("TpuV38", "warning"), ("TpuV2256", "error")],
)
def test_a_retired_shape_stops_only_where_the_accelerator_is_lost(
    tmp_path, shape, severity
):
    (finding,) = check(tmp_path, "print(1)\n", machine_shape=shape)
    assert finding.severity == severity


def test_an_unknown_shape_stops_a_push(tmp_path):
    (finding,) = check(tmp_path, "print(1)\n", machine_shape="gpu")
    assert (finding.id, finding.severity) == ("M06", "error")
    assert "NvidiaTeslaT4" in finding.fix


def test_a_pinned_tag_is_looked_up_in_the_profiles(tmp_path):
    image = {"docker_image": "gcr.io/kaggle-images/python:v170"}
    (finding,) = check(tmp_path, "print(1)\n", profile="kaggle-2026-10-py313", **image)
    assert finding.message.startswith("pinned image is py3.12, profile")


# -- M03


def test_a_source_over_the_limit(tmp_path):
    code = f"DATA = {'x' * 1_000_000!r}\nprint(len(DATA))\n"
    found = [f for f in check(tmp_path, code) if f.id == "M03"]
    assert [f.severity for f in found] == ["error"]
    assert "Kaggle refuses >= 1,000,000" in found[0].message
    assert "kernel.py (1,000,0" in found[0].fix


def test_a_source_near_the_limit(tmp_path):
    code = f"DATA = {'x' * 950_000!r}\nprint(len(DATA))\n"
    found = [f for f in check(tmp_path, code) if f.id == "M03"]
    assert [f.severity for f in found] == ["warning"]


def test_a_notebook_is_measured_as_the_client_sends_it(tmp_path):
    # Each of these letters is 3 bytes in UTF-8 and 6 in the client's JSON.
    code = f"DATA = '{'€' * 170_000}'\nprint(len(DATA))\n"
    script = [f for f in check(tmp_path / "a", code) if f.id == "M03"]
    notebook = [f for f in check(tmp_path / "b", code, **NOTEBOOK) if f.id == "M03"]
    assert script == []
    assert [f.severity for f in notebook] == ["error"]


# -- M04, M05, M07: the code against the metadata


def test_internet_in_a_code_competition(tmp_path):
    code = """
        import os
        if os.environ.get("KAGGLE_IS_COMPETITION_RERUN"):
            print("hidden")
        open("submission.csv", "w").write("a")
        """
    (finding,) = check(tmp_path, code, enable_internet=True)
    assert (finding.id, finding.severity) == ("M04", "error")
    assert "KAGGLE_IS_COMPETITION_RERUN" in finding.message


M05_TRIPS = {
    "cuda()": "import torch\nnet = torch.nn.Linear(1, 1).cuda()  # !\n",
    "to": 'import torch\nDEVICE = "cuda:0"\nx = torch.zeros(1).to(DEVICE)  # !\n',
    "device": 'import torch\nd = torch.device("cuda")  # !\n',
    "keyword": 'import torch\nx = torch.zeros(3, device="cuda")  # !\n',
    "map_location": 'import torch\nx = torch.load("a", map_location="cuda")  # !\n',
    "properties": "import torch\np = torch.cuda.get_device_properties(0)  # !\n",
    "catboost": """
        from catboost import CatBoostClassifier
        model = CatBoostClassifier(task_type="GPU")  # !
        """,
    "an assertion": "import torch\nassert torch.cuda.is_available()  # !\n",
    "a refusal": """
        import torch
        if not torch.cuda.is_available():  # !
            raise RuntimeError("no GPU")
        """,
    "lightning": """
        import pytorch_lightning as pl
        trainer = pl.Trainer(accelerator="gpu", devices=1)  # !
        """,
    "config": """
        import torch
        class CFG:
            device = "cuda"
        x = torch.zeros(1).to(CFG.device)  # !
        """,
}
M05_PASSES = {
    "chosen": """
        import torch
        d = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        x = torch.zeros(1).to(d)
        y = torch.zeros(1, device=d)
        """,
    "guarded": """
        import torch
        net = torch.nn.Linear(1, 1)
        if torch.cuda.is_available():
            net = net.cuda()
            print(torch.cuda.get_device_name(0))
        torch.cuda.empty_cache()
        torch.cuda.manual_seed_all(1)
        """,
    "asked in some way": """
        import torch
        x = torch.zeros(1)
        for i in range(torch.cuda.device_count()):
            print(torch.cuda.get_device_name(i))
        if x.is_cuda:
            torch.cuda.synchronize()
        def pick():
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        device = pick()
        if device.type == "cuda":
            x = x.cuda()
        class CFG:
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if CFG.device == "cuda":
            torch.cuda.set_device(0)
        """,
    "tried": """
        import torch
        try:
            x = torch.zeros(1).cuda()
        except (RuntimeError, AssertionError):
            x = torch.zeros(1)
        """,
    "kept in a variable": """
        import torch
        USE_GPU = torch.cuda.is_available()
        DEVICE = "cuda" if USE_GPU else "cpu"
        x = torch.zeros(1).to(DEVICE)
        """,
    "returned early": """
        import torch
        def move(x):
            if not torch.cuda.is_available():
                return x
            return x.cuda()
        move(torch.zeros(1))
        """,
    "autocast": """
        import torch
        with torch.autocast("cuda"):
            x = torch.zeros(1)
        """,
}


@pytest.mark.parametrize("code", M05_TRIPS.values(), ids=M05_TRIPS)
def test_cuda_without_a_gpu(tmp_path, code):
    assert_trips(tmp_path, "M05", code)


@pytest.mark.parametrize("code", M05_PASSES.values(), ids=M05_PASSES)
def test_cuda_that_is_optional(tmp_path, code):
    assert_passes(tmp_path, "M05", code)


@pytest.mark.parametrize("code", M05_TRIPS.values(), ids=M05_TRIPS)
def test_cuda_with_a_gpu(tmp_path, code):
    assert_passes(tmp_path, "M05", code, **GPU)


def test_an_empty_shape_leaves_the_choice_to_kaggle(tmp_path):
    code = M05_TRIPS["cuda()"]
    found = check(tmp_path, code, enable_gpu=True, machine_shape="")
    assert [(f.id, f.severity) for f in found] == [("M05", "warning")]


M07_TRIPS = {
    "old layout": 'a = open("/kaggle/input/house-prices/train.csv")  # !\n',
    "new layout": 'a = open("/kaggle/input/competitions/spaceship/a.csv")  # !\n',
    "relative": 'a = open("../input/other-data/a.csv")  # !\n',
    "dataset": 'a = open("/kaggle/input/datasets/tester/other/a.csv")  # !\n',
    "kit": """
        from kaggle_kit.paths import find_dataset, find_input
        a = find_input("house-prices")  # !
        b = find_dataset("tester/other")  # !
        """,
}
M07_PASSES = {
    "attached": """
        a = open("/kaggle/input/titanic/train.csv")
        b = open("/kaggle/input/competitions/titanic/train.csv")
        c = open("/kaggle/input/weights/a.pt")
        d = open("/kaggle/input/datasets/tester/weights/a.pt")
        e = open("../input/Titanic/test.csv")
        """,
    "kit": """
        from kaggle_kit.paths import find_dataset, find_input
        a = find_input("titanic")
        b = find_dataset("tester/weights")
        """,
    "asked first": """
        from pathlib import Path
        OTHER = Path("/kaggle/input/other-data")
        if OTHER.exists():
            print(OTHER / "a.csv")
        """,
    "unknown": """
        import os
        for name in os.listdir("/kaggle/input"):
            print(open(f"/kaggle/input/{name}/train.csv"))
        """,
}


@pytest.mark.parametrize("code", M07_TRIPS.values(), ids=M07_TRIPS)
def test_data_that_is_not_attached(tmp_path, code):
    assert_trips(tmp_path, "M07", code)


@pytest.mark.parametrize("code", M07_PASSES.values(), ids=M07_PASSES)
def test_data_that_is_attached(tmp_path, code):
    assert_passes(tmp_path, "M07", code)


def test_data_of_models_and_other_kernels(tmp_path):
    code = """
        a = open("/kaggle/input/models/google/gemma/pytorch/2b/1/config.json")
        b = open("/kaggle/input/notebooks/tester/train-it/model.pt")
        c = open("/kaggle/input/train-it/model.pt")
        d = open("/kaggle/input/gemma/pytorch/2b/1/config.json")
        """
    sources = {
        "model_sources": ["google/gemma/PyTorch/2b/1"],
        "kernel_sources": ["tester/train-it"],
    }
    assert_passes(tmp_path, "M07", code, **sources)


def test_a_bare_script_has_no_metadata_to_complain_about(tmp_path):
    code = 'a = open("/kaggle/input/whatever/train.csv")\n'
    found = check(tmp_path, code, bare=True)
    assert {f.id for f in found} == {"S08"}


# -- P01-P03, for the rooms that call the client


def test_the_client_rules_are_findings():
    assert push_refused("k", "Kernel push error: x") == Finding(
        "P01", "error", "k", 0, "push refused: Kernel push error: x"
    )
    assert "tester/w is still processing" in dataset_not_ready("k", "tester/w").message
    assert quota_short("k", 9, 2.5).message == (
        "needs ~9.0 h, 2.5 h of GPU time left this week"
    )


def test_limits_come_from_the_profile(tmp_path):
    assert load_profile().limits["kernel_source_bytes"] == 1_000_000
    kernel = write_kernel(tmp_path, "print(1)\n")
    assert (kernel / "kernel-metadata.json").is_file()
