"""S07-S10, S20, S27: paths that are not there, not writable, or slow."""

import pytest
from checking import assert_passes, assert_trips, check, rule_cases

TRIPS = {
    "S07": {
        "homes": """
            import pandas as pd
            from pathlib import Path
            a = pd.read_csv("/home/me/train.csv")  # !
            b = pd.read_csv(r"C:\\data\\train.csv")  # !
            c = Path("~/data") / "train.csv"  # !
            d = "/Users/me/kaggle"  # !
            print(pd.read_csv(d))
            e = open("/content/drive/MyDrive/x.csv")  # !
            """,
        "what was read is shown": """
            print(open("/home/me/stats.json").read())  # !
            """,
        "any other root": """
            import pandas as pd
            a = pd.read_csv("/data/train.csv")  # !
            """,
        "a default": """
            import argparse
            parser = argparse.ArgumentParser()
            parser.add_argument("--data", default="/mnt/ssd/digits")  # !
            """,
        "a setting that is read": """
            class CFG:
                root = "/content/data"  # !
            print(open(CFG.root + "/train.csv"))
            """,
        "an f-string": """
            USER = "me"
            with open(f"/home/{USER}/notes.txt") as file:  # !
                print(file.read())
            """,
        "the branch for Kaggle": """
            import os
            if os.path.exists("/kaggle/input"):
                ROOT = "/home/me/input"  # !
            else:
                ROOT = "/Users/me/input"
            print(os.listdir(ROOT))
            """,
    },
    "S08": {
        "old": """
            import pandas as pd
            train = pd.read_csv("/kaggle/input/titanic/train.csv")  # !
            test = pd.read_csv("/kaggle/input/titanic/test.csv")
            """,
        "new": """
            from pathlib import Path
            ROOT = Path("/kaggle/input/competitions/titanic")  # !
            """,
        "relative": """
            import pandas as pd
            train = pd.read_csv("../input/titanic/train.csv")  # !
            """,
        "joined": """
            import os
            BASE = "/kaggle/input"
            path = os.path.join(BASE, "titanic", "train.csv")  # !
            """,
    },
    "S09": {
        "input": """
            import pandas as pd
            from pathlib import Path
            ROOT = Path("/kaggle/input/titanic")
            train = pd.read_csv(ROOT / "train.csv")
            train.to_parquet(ROOT / "train.parquet")  # !
            (ROOT / "cache").mkdir(exist_ok=True)  # !
            with open(ROOT / "labels.cache", "w") as file:  # !
                file.write("x")
            """,
        "after chdir": """
            import os
            os.chdir("/kaggle/input/titanic")
            open("cache.txt", "w").close()  # !
            os.chdir("/kaggle/working")
            open("cache.txt", "w").close()
            """,
        "unzip": """
            import zipfile
            with zipfile.ZipFile("../input/titanic/train.zip") as archive:
                archive.extractall("../input/titanic")  # !
            """,
        "beside the script": """
            import torch
            from pathlib import Path
            HERE = Path(__file__).parent
            torch.save({}, HERE / "model.pt")  # !
            with Path(__file__).with_suffix(".log").open("w") as file:  # !
                file.write("x")
            """,
        "through parameters": """
            import pandas as pd
            class Saver:
                def __init__(self, folder):
                    self.folder = folder
                def save(self, table, name):
                    table.to_csv(f"{self.folder}/{name}")  # !
            def write(path, text="x"):
                with open(path, "w") as file:  # !
                    file.write(text)
            Saver("/kaggle/input/titanic").save(pd.DataFrame(), "a.csv")
            write("/kaggle/input/titanic/b.txt")
            """,
        "through a constant of a class": """
            import os
            class CFG:
                out = "/kaggle/input/titanic/out"
            os.makedirs(CFG.out)  # !
            """,
    },
    "S10": {
        "a file that does not go along": """
            import json
            import os
            from pathlib import Path
            a = json.load(open(Path(__file__).parent / "missing.json"))  # !
            b = open(os.path.join(os.path.dirname(__file__), "missing.json"))  # !
            """,
        "too many parents": """
            from pathlib import Path
            ROOT = Path(__file__).resolve().parents[3]  # !
            """,
        "the repository": """
            from pathlib import Path
            ROOT = Path(__file__).resolve().parents[1]
            text = (ROOT / "shared" / "names.txt").read_text()  # !
            """,
    },
    "S20": {
        "through a parameter": """
            import glob
            def first(pattern):
                return glob.glob(pattern, recursive=True)[0]  # !
            train = first("/kaggle/input/**/train.csv")
            """,
        "walks": """
            import glob
            import os
            from pathlib import Path
            for folder, _, names in os.walk("/kaggle/input"):  # !
                print(folder, names)
            a = glob.glob("/kaggle/input/**/*.csv", recursive=True)  # !
            b = list(Path("/kaggle/input").rglob("*.png"))  # !
            c = sorted(Path("../input").glob("**/*.png"))  # !
            """,
    },
    "S27": {
        "caches": """
            import os
            os.environ["HF_HOME"] = "/kaggle/working/hf"  # !
            os.environ.setdefault("TORCH_HOME", "./torch")  # !
            """,
        "cache_dir": """
            from transformers import AutoModel
            m = AutoModel.from_pretrained("/tmp/m", cache_dir="/kaggle/working/c")  # !
            """,
        "every epoch": """
            import torch
            for fold in range(5):
                for epoch in range(30):
                    torch.save({}, f"model_{fold}_{epoch}.pth")  # !
            """,
    },
}
PASSES = {
    "S07": {
        "settings that nothing reads": """
            class CFG:
                output = "/content/model"
            class Net:
                def __init__(self):
                    self.output = 3
                def run(self):
                    return self.output
            print(CFG, Net().run())
            """,
        "places on Kaggle": """
            import os
            import pandas as pd
            a = pd.read_csv("/kaggle/input/titanic/train.csv")
            b = open("/tmp/x.txt", "w")
            c = open("/proc/cpuinfo")
            d = os.path.expanduser("~/.cache/torch/hub/checkpoints")
            e = os.listdir("/usr/share/fonts")
            f = "/root/.cache/torch"
            """,
        "texts": '''
            """Copy it from /home/me/data."""
            import re
            print("on my machine this was /home/me/data")
            if "/home/" in str({}):
                raise ValueError("/home/me is no place")
            URL = "https://example.org/home/me"
            formula = "y ~ x"
            tilde = "~"
            pattern = re.compile("/home/.*")
            route = "/api/v1/items"
            ''',
        "only elsewhere": """
            import os
            from pathlib import Path
            ROOT = Path("/kaggle/input/titanic")
            if not ROOT.exists():
                ROOT = Path("/home/me/titanic")
            ON_KAGGLE = "KAGGLE_KERNEL_RUN_TYPE" in os.environ
            OUT = "/kaggle/working" if ON_KAGGLE else "/home/me/out"
            """,
        "candidates": """
            from pathlib import Path
            PLACES = ["/kaggle/input/titanic", "/home/me/titanic"]
            ROOT = next(p for p in PLACES if Path(p).exists())
            for place in (Path("/mnt/data"), Path("/kaggle/input/titanic")):
                if place.is_dir():
                    break
            """,
        "in Colab": """
            try:
                from google.colab import drive
                drive.mount("/content/drive")
                ROOT = "/content/drive/MyDrive"
            except ImportError:
                ROOT = "/kaggle/input/titanic"
            try:
                import google.colab
                IN_COLAB = True
            except ImportError:
                IN_COLAB = False
            OUT = "/content/out" if IN_COLAB else "/kaggle/working"
            """,
        "on Windows": """
            import os
            import platform
            import sys
            if os.name == "nt":
                ROOT = "C:\\\\data"
            elif sys.platform == "darwin":
                ROOT = "/Users/me/data"
            elif platform.system() == "Windows":
                ROOT = "D:\\\\data"
            """,
    },
    "S08": {
        "both": """
            from pathlib import Path
            ROOT = Path("/kaggle/input/competitions/titanic")
            if not ROOT.exists():
                ROOT = Path("/kaggle/input/titanic")
            """,
        "the kit": """
            from kaggle_kit.paths import find_input
            ROOT = find_input("titanic")
            """,
        "one slug, two layouts": """
            SLUG = "titanic"
            PLACES = [f"/kaggle/input/competitions/{SLUG}", f"/kaggle/input/{SLUG}"]
            """,
        "no slug": """
            import os
            print(os.listdir("/kaggle/input"))
            """,
    },
    "S09": {
        "working": """
            import os
            import shutil
            import pandas as pd
            from pathlib import Path
            pd.DataFrame().to_csv("/kaggle/working/a.csv")
            pd.DataFrame().to_csv("a.csv")
            os.makedirs("/tmp/scratch", exist_ok=True)
            shutil.copy("/kaggle/input/titanic/train.csv", "/tmp/train.csv")
            open("/kaggle/input/titanic/train.csv").close()
            Path("/kaggle/temp").mkdir()
            """,
        "through parameters": """
            import os
            def write(path, text="x"):
                with open(path, "w") as file:
                    file.write(text)
            write("/tmp/b.txt")
            if not os.path.exists("/kaggle"):
                write("/kaggle/input/titanic/b.txt")
            """,
        "not on Kaggle": """
            import os
            import pandas as pd
            if not os.path.exists("/kaggle"):
                pd.DataFrame().to_csv("/kaggle/input/titanic/a.csv")
            """,
        "other methods of those names": """
            class Box:
                def save(self, place):
                    return place
            Box().save(3)
            names = {"a": 1}.copy()
            """,
    },
    "S10": {
        "a file that goes along": """
            import json
            from pathlib import Path
            a = json.loads((Path(__file__).parent / "config.json").read_text())
            b = list((Path(__file__).parent / "tables").glob("*.txt"))
            """,
        "its own name": """
            import os
            import sys
            from pathlib import Path
            print(Path(__file__).name, os.path.basename(__file__))
            sys.path.insert(0, str(Path(__file__).parent))
            sys.path.append(os.path.join(os.path.dirname(__file__), "missing"))
            """,
        "asked first": """
            from pathlib import Path
            CONFIG = Path(__file__).parent / "missing.json"
            text = CONFIG.read_text() if CONFIG.exists() else "{}"
            """,
    },
    "S20": {
        "one folder": """
            import glob
            import os
            from pathlib import Path
            a = glob.glob("/kaggle/input/*/train.csv")
            b = list(Path("/kaggle/input/titanic/images").rglob("*.png"))
            c = os.listdir("/kaggle/input")
            d = next(os.walk("/kaggle/input"))
            """,
        "bounded": """
            import os
            for folder, folders, names in os.walk("/kaggle/input"):
                if "train.csv" in names:
                    break
            for folder, folders, names in os.walk("/kaggle/input"):
                folders[:] = []
            """,
    },
    "S27": {
        "scratch and the best": """
            import os
            import torch
            os.environ["HF_HOME"] = "/tmp/hf"
            best = 0
            for fold in range(5):
                for epoch in range(30):
                    if epoch > best:
                        torch.save({}, f"best_{epoch}.pth")
                    torch.save({}, "last.pth")
                torch.save({}, f"fold{fold}.pth")
                torch.save({}, f"/tmp/epoch{fold}.pth")
            """,
    },
}


FILES = {"config.json": "{}", "tables/a.txt": "a"}


@pytest.mark.parametrize(("rule", "code"), rule_cases(TRIPS))
def test_trips(tmp_path, rule, code):
    assert_trips(tmp_path, rule, code, files=FILES)


@pytest.mark.parametrize(("rule", "code"), rule_cases(PASSES))
def test_passes(tmp_path, rule, code):
    assert_passes(tmp_path, rule, code, files=FILES)


def test_the_layouts_are_those_of_the_profile(tmp_path):
    (finding,) = check(tmp_path, 'a = open("/kaggle/input/titanic/a.csv")\n')
    assert finding.message == (
        "only one mount layout: titanic may be at "
        "/kaggle/input/competitions/titanic or /kaggle/input/titanic"
    )


def test_a_dataset_is_named_with_its_own_layouts(tmp_path):
    (finding,) = check(tmp_path, 'a = open("/kaggle/input/weights/a.csv")\n')
    assert "/kaggle/input/datasets/<owner>/weights or" in finding.message


def test_a_constant_of_another_module(tmp_path):
    files = {"config.py": 'ROOT = "/kaggle/input/titanic"\nOUT = ROOT + "/out"\n'}
    code = """
        import config
        from config import OUT
        open(OUT + "/a.txt", "w")  # !
        open(f"{config.ROOT}/a.txt", "w")  # !
        """
    assert_trips(tmp_path, "S09", code, files=files)


def test_a_path_of_another_machine_in_a_module(tmp_path):
    files = {"config.py": '\nROOT = "/home/me/titanic"  # !\n'}
    assert_trips(tmp_path, "S07", "from config import ROOT\n", files=files)
