"""S01-S04, S23, S29, S30: what does not parse, is not there, or has changed."""

import sys

import pytest
from checking import (
    GPU,
    NOTEBOOK,
    ONLINE,
    assert_passes,
    assert_trips,
    check,
    rule_cases,
)

TRIPS = {
    "S01": {
        "magics": """
            import os
            !pip install timm  # !
            %matplotlib inline  # !
            if True:
                %time print(1)  # !
            files = !ls  # !
            """,
        "a cell magic": """
            %%time  # !
            print(1)
            """,
        "an error": """
            x = 1
            y = = 2  # !
            """,
        "a return outside": """
            x = 1
            return x  # !
            """,
    },
    "S03": {
        "absent": """
            import iterstrat.ml_stratifiers  # !
            from ultralytics import YOLO  # !
            import numpy as np, monai  # !
            """,
        "in a function": """
            def load():
                import segmentation_models_pytorch as smp  # !
                return smp
            load()
            """,
        "caught but raised again": """
            try:
                import ttach  # !
            except ImportError:
                raise SystemExit("install ttach")
            """,
    },
    "S04": {
        "cudf": """
            import cudf  # !
            from cuml.ensemble import RandomForestClassifier  # !
            """,
    },
    "S23": {
        "albumentations": """
            import os
            import albumentations as A  # !
            os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
            """,
        "wandb": """
            from transformers import TrainingArguments
            from pytorch_lightning.loggers import WandbLogger
            a = TrainingArguments("out", report_to="wandb")  # !
            b = TrainingArguments("out", report_to=["tensorboard", "wandb"])  # !
            c = WandbLogger(project="digits")  # !
            """,
    },
    "S30": {
        "numpy": """
            import numpy as np
            from numpy import in1d  # !
            a = np.float_(3)  # !
            b = np.in1d([1], [2])  # !
            c = np.zeros(3, dtype=np.float)  # !
            d = np.Inf  # !
            """,
        "pandas": """
            import pandas as pd
            table = pd.DataFrame()
            table = table.append({"a": 1}, ignore_index=True)  # !
            rows = pd.read_csv("a.csv", error_bad_lines=False)  # !
            for name, column in rows.iteritems():  # !
                print(name, column)
            """,
        "arguments": """
            import albumentations as A
            import lightgbm as lgb
            from sklearn.metrics import mean_squared_error
            score = mean_squared_error([1], [2], squared=False)  # !
            lgb.train({}, None, early_stopping_rounds=10)  # !
            crop = A.RandomResizedCrop(
                height=224,  # !
                width=224,  # !
            )
            """,
        "methods of a model": """
            from lightgbm import LGBMClassifier
            model = LGBMClassifier(n_estimators=100)
            model.fit([[1]], [1], early_stopping_rounds=10)  # !
            """,
        "modules": """
            import imp  # !
            from sklearn.externals import joblib  # !
            from PIL import Image
            mode = Image.ANTIALIAS  # !
            """,
        "any loader": """
            import torch
            from transformers import AutoModel
            m = AutoModel.from_pretrained("/tmp/m", torch_dtype=torch.float16)  # !
            """,
    },
}
PASSES = {
    "S01": {
        "operators and texts": '''
            a = 7 % 3
            b = a != 2
            """
            %matplotlib inline
            !pip install timm
            """
            match a:
                case 1:
                    print(f"{a!r}")
            ''',
        "newest syntax of the image": """
            try:
                print(1)
            except* ValueError:
                print(2)
            """,
    },
    "S03": {
        "in the image": """
            import cv2, PIL.Image, sklearn, yaml, skimage, bs4, dateutil, git, wandb
            import albumentations, fastai, timm, torchvision, transformers, kornia
            import catboost, optuna, pydicom, SimpleITK, torchinfo, ignite, easyocr
            import kaggle_secrets, kagglehub, tensorflow as tf, jax, polars, pyarrow
            import pytorch_lightning as pl, segment_anything, openslide, umap, h5py
            from mpl_toolkits.mplot3d import Axes3D
            from google.cloud import bigquery
            """,
        "optional": """
            try:
                import ttach
            except ImportError:
                ttach = None
            from contextlib import suppress
            with suppress(ImportError):
                import monai
            from typing import TYPE_CHECKING
            if TYPE_CHECKING:
                import ultralytics
            """,
        "installed from wheels": """
            import subprocess
            subprocess.run(
                ["pip", "install", "--no-index", "--find-links",
                 "/kaggle/input/weights", "segmentation-models-pytorch", "monai==1.3"],
                check=True,
            )
            import monai
            import segmentation_models_pytorch as smp
            """,
        "put on the path": """
            import sys
            sys.path.append("/kaggle/input/weights/timm-0.4")
            import effdet
            """,
        "not on Kaggle": """
            import os
            if not os.path.exists("/kaggle"):
                import ultralytics
            """,
        "asked first": """
            import importlib.util
            if importlib.util.find_spec("ultralytics") is not None:
                import ultralytics
            if importlib.util.find_spec("monai"):
                import monai
            """,
        "own": """
            from lightning import strike
            strike()
            """,
    },
    "S04": {
        "optional": """
            try:
                import cudf as pd
            except ImportError:
                import pandas as pd
            import torch
            if torch.cuda.is_available():
                import cupy
            """,
    },
    "S23": {
        "set before": """
            import os
            os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
            os.environ["WANDB_MODE"] = "offline"
            import albumentations as A
            from transformers import TrainingArguments
            a = TrainingArguments("out", report_to="wandb")
            """,
        "none": """
            from transformers import TrainingArguments
            a = TrainingArguments("out", report_to="none")
            """,
    },
    "S30": {
        "what is there": """
            import numpy as np
            import pandas as pd
            rows = []
            rows.append(1)
            a = np.float64(3) + np.inf
            b = np.isin([1], [2])
            table = pd.concat([pd.DataFrame(rows)])
            c = pd.read_csv("a.csv", on_bad_lines="skip")
            """,
        "asked for": """
            import numpy as np
            try:
                kind = np.float_
            except AttributeError:
                kind = np.float64
            """,
        "own names": """
            class np:
                float_ = 3
            print(np.float_)
            """,
    },
}


OWN = {"lightning.py": "def strike():\n    return 1\n"}


@pytest.mark.parametrize(("rule", "code"), rule_cases(TRIPS))
def test_trips(tmp_path, rule, code):
    assert_trips(tmp_path, rule, code)


@pytest.mark.parametrize(("rule", "code"), rule_cases(PASSES))
def test_passes(tmp_path, rule, code):
    assert_passes(tmp_path, rule, code, files=OWN)


def test_gpu_packages_with_a_gpu(tmp_path):
    assert_passes(tmp_path, "S04", "import cudf\n", **GPU)


def test_tpu_packages(tmp_path):
    code = "import torch_xla.core.xla_model as xm\n"
    assert_trips(tmp_path / "a", "S03", code.replace("\n", "  # !\n"))
    tpu = {"enable_tpu": True, "machine_shape": "TpuV5E8"}
    assert_passes(tmp_path / "b", "S03", code, **tpu)


def test_stalls_need_no_network_to_be_off(tmp_path):
    assert_passes(tmp_path, "S23", "import albumentations\n", **ONLINE)


# -- S01, S29: files that stop everything else


def test_a_syntax_error_in_a_module(tmp_path):
    files = {"tools_of_mine.py": "def f(:  # !\n    pass\n"}
    assert_trips(tmp_path, "S01", "import tools_of_mine\n", files=files)


def test_syntax_newer_than_the_image(tmp_path):
    if sys.version_info < (3, 13):
        pytest.skip("this Python cannot parse anything newer than the images")
    code = "def first[T = int](x: T) -> T:\n    return x\n"
    assert any("newer" in f.message for f in check(tmp_path, code) if f.id == "S01")


@pytest.mark.parametrize("file", ["kernel.py", "mine.py"])
@pytest.mark.parametrize(
    ("data", "line", "text"),
    [
        (b"x = 1\ny = '\xe9'\n", 2, "byte 0xe9 is not UTF-8"),
        (b"\xef\xbb\xbfx = 1\n", 1, "byte order mark"),
        (b"# -*- coding: ascii -*-\nx = '\xe9'\n", 2, "0xe9 is not UTF-8"),
    ],
)
def test_files_that_are_not_plain_utf8(tmp_path, file, data, line, text):
    if file == "kernel.py":
        found = check(tmp_path, data)
    else:
        found = check(tmp_path, "import mine\n", files={"mine.py": data})
    (finding,) = (f for f in found if f.id == "S29")
    assert (finding.line, finding.severity) == (line, "error")
    assert text in finding.message
    assert finding.path.endswith(file)


def test_a_declared_encoding_is_read_and_warned_about(tmp_path):
    code = "# -*- coding: latin-1 -*-\nprint('\xe9')\n".encode("latin-1")
    (finding,) = check(tmp_path, code)
    assert (finding.id, finding.severity, finding.line) == ("S29", "warning", 1)


def test_utf8_beyond_ascii_is_fine(tmp_path):
    assert check(tmp_path, "# café €\nNAME = '数字'\nprint(NAME)\n") == []


def test_other_rules_still_speak_of_a_kernel_that_does_not_parse(tmp_path):
    code = '!ls\nTOKEN = "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345678"\n'
    found = check(tmp_path, code, machine_shape="gpu")
    assert {f.id for f in found} == {"S01", "S22", "M06"}


def test_magics_are_errors_in_a_notebook_too(tmp_path):
    # The source is Python in either case; the tool makes the notebook of it.
    assert_trips(tmp_path, "S01", "x = 1\n%time x  # !\n", **NOTEBOOK)


# -- S02


def test_a_package_of_the_repository_that_is_not_on_the_path(tmp_path):
    (tmp_path / ".git").mkdir()
    files = {"../../src/common/__init__.py": "", "../../src/common/a.py": "A = 1\n"}
    code = "from common.a import A  # !\nprint(A)\n"
    (finding,) = assert_trips(tmp_path / "kernels" / "one", "S02", code, files=files)
    assert "import common was not inlined" in finding.message
    assert "src/common" in finding.message
    assert finding.fix.startswith("add --path ")


def test_the_same_package_with_path(tmp_path):
    (tmp_path / ".git").mkdir()
    files = {"../../src/common/__init__.py": "", "../../src/common/a.py": "A = 1\n"}
    code = "from common.a import A\nprint(A)\n"
    folder = tmp_path / "kernels" / "one"
    assert check(folder, code, files=files, paths=["../../src"]) == []


def test_a_relative_import_of_the_kernel(tmp_path):
    code = "from .helpers import help_me  # !\nprint(help_me)\n"
    files = {"helpers.py": "help_me = 1\n"}
    assert_trips(tmp_path, "S02", code, files=files)


def test_a_folder_that_the_kernel_adds_to_the_path_itself(tmp_path):
    files = {"lib/deep.py": "DEPTH = 3\n"}
    code = """
        import sys
        from pathlib import Path
        sys.path.insert(0, str(Path(__file__).parent / "lib"))
        import deep
        print(deep.DEPTH)
        """
    assert check(tmp_path, code, files=files) == []


def test_imports_that_every_python_has(tmp_path):
    code = "from __future__ import annotations\nimport __main__\nimport _thread\n"
    assert check(tmp_path, code) == []


def test_a_package_of_the_image_is_not_taken_for_the_repositorys_own(tmp_path):
    (tmp_path / ".git").mkdir()
    files = {"../../timm/helpers.py": "A = 1\n"}
    code = "import timm\nprint(timm)\n"
    assert_passes(tmp_path / "kernels" / "one", "S02", code, files=files)


# -- profiles decide


def test_modules_that_left_the_standard_library(tmp_path):
    code = "import imghdr\nprint(imghdr)\n"
    assert_passes(tmp_path / "a", "S30", code)
    found = check(tmp_path / "b", code, profile="kaggle-2026-10-py313")
    (finding,) = found
    assert finding.id == "S30"
    assert finding.message == (
        "imghdr was removed in python 3.13 (the image has 3.13.15)"
    )


def test_what_opencv_5_has_no_more(tmp_path):
    code = 'import cv2\nfaces = cv2.CascadeClassifier("a.xml")\nprint(cv2.ml)\n'
    assert_passes(tmp_path / "a", "S30", code)
    found = check(tmp_path / "b", code, profile="kaggle-2026-10-py313")
    assert [(f.id, f.line) for f in found] == [("S30", 2), ("S30", 3)]


def test_a_utility_script_is_not_a_missing_package(tmp_path):
    code = "import my_helpers\nprint(my_helpers)\n"
    sources = {"kernel_sources": ["tester/my-helpers"]}
    assert_passes(tmp_path, "S03", code, **sources)


def test_the_fix_names_the_distribution(tmp_path):
    (finding,) = check(tmp_path, "import iterstrat\n")
    assert "--inline iterative-stratification" in finding.fix
