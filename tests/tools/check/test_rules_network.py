"""S05, S06, S25, S31, S32: networks, weights, people and services."""

import pytest
from checking import ONLINE, assert_passes, assert_trips, check, rule_cases

TRIPS = {
    "S05": {
        "alias": """
            import requests as r
            r.get("https://example.org/a.csv")  # !
            """,
        "from import": """
            from urllib.request import urlopen, urlretrieve as fetch
            page = urlopen("https://example.org")  # !
            fetch("https://example.org/a.zip", "a.zip")  # !
            """,
        "session": """
            import requests
            session = requests.Session()
            session.headers["a"] = "b"
            answer = session.post("https://example.org", data={})  # !
            """,
        "session kept in an object": """
            import requests
            class Client:
                def __init__(self):
                    self.session = requests.Session()
                def load(self, url):
                    return self.session.get(url)  # !
            Client().load("https://example.org")
            """,
        "method kept in a name": """
            from requests import get
            download = get
            download("https://example.org")  # !
            """,
        "pip": """
            import subprocess
            import sys
            subprocess.run("pip install ttach", shell=True, check=True)  # !
            subprocess.check_call([sys.executable, "-m", "pip", "install", "timm"])  # !
            command = ["pip3", "install", "-q", "monai==1.3"]
            subprocess.run(command, check=True)  # !
            line = f"{sys.executable} -m pip install ttach"
            subprocess.run(line, shell=True, check=True)  # !
            subprocess.run("pip install a b".split(), check=True)  # !
            """,
        "a failure that is not seen": """
            import subprocess
            try:
                subprocess.run(["pip", "install", "timm"])  # !
            except Exception as error:
                print(error)
            """,
        "one of two commands": """
            import os
            assert os.system("cd /tmp && git clone https://github.com/a/b") == 0  # !
            """,
        "url to pandas": """
            import pandas as pd
            URL = "https://example.org/"
            table = pd.read_csv(URL + "train.csv")  # !
            """,
        "in a function that runs": """
            import httpx
            def load(name):
                return httpx.get(f"https://example.org/{name}")  # !
            load("a")
            """,
        "wandb online": """
            import wandb
            wandb.init(project="digits")  # !
            """,
        "datasets by name": """
            import torchvision
            from datasets import load_dataset
            from sklearn.datasets import fetch_openml
            load_dataset("imdb")  # !
            fetch_openml("mnist_784")  # !
            torchvision.datasets.MNIST("data", download=True)  # !
            """,
        "in a caught block that raises again": """
            import requests
            try:
                requests.get("https://example.org")  # !
            except OSError:
                raise
            """,
    },
    "S06": {
        "timm": """
            import timm
            class CFG:
                pretrained = True
                model = "resnet18"
            net = timm.create_model(CFG.model, pretrained=CFG.pretrained)  # !
            """,
        "torchvision": """
            import torchvision
            from torchvision import models
            from torchvision.models import ResNet50_Weights, resnet50
            a = models.resnet18(pretrained=True)  # !
            b = models.resnet18(weights="DEFAULT")  # !
            c = resnet50(weights=ResNet50_Weights.IMAGENET1K_V2)  # !
            d = models.detection.fasterrcnn_resnet50_fpn(weights="DEFAULT")  # !
            """,
        "by default, in a class of its own": """
            import timm
            class Net:
                def __init__(self, name, pretrained=True):
                    self.body = timm.create_model(name, pretrained=pretrained)  # !
            net = Net("resnet18")
            """,
        "looked up by name": """
            import timm
            from torchvision import models
            a = getattr(models, "resnet18")(pretrained=True)  # !
            b = models.__dict__["resnet18"](weights="DEFAULT")  # !
            c = timm.create_model("resnet18", True)  # !
            """,
        "hub": """
            import torch
            net = torch.hub.load("pytorch/vision", "resnet18")  # !
            """,
        "transformers": """
            from transformers import AutoModel, AutoTokenizer, pipeline
            NAME = "microsoft/deberta-v3-base"
            tokenizer = AutoTokenizer.from_pretrained(NAME)  # !
            model = AutoModel.from_pretrained("bert-base-uncased")  # !
            judge = pipeline("sentiment-analysis")  # !
            """,
        "defaults": """
            import segmentation_models_pytorch as smp  # kaggle-kit: ignore[S03]
            from fastai.vision.all import *
            from tensorflow.keras.applications import ResNet50
            learner = vision_learner(None, resnet18)
            net = smp.Unet("resnet34")  # !
            keras_net = ResNet50(include_top=False)  # !
            """,
        "fastai": """
            from fastai.vision.all import vision_learner, resnet18
            learner = vision_learner(None, resnet18)  # !
            """,
    },
    "S25": {
        "saved as a module": """
            import torch
            from torch import nn
            model = nn.Linear(1, 1)
            model.train()
            torch.save(model, "model.pt")
            again = torch.load("model.pt")  # !
            """,
        "used as a module": """
            import torch
            net = torch.load("/kaggle/input/weights/model.pt").eval()  # !
            other = torch.load("/kaggle/input/weights/b.pt", map_location="cpu")  # !
            other.eval()
            third = torch.load("/kaggle/input/weights/c.pt")  # !
            print(third(torch.zeros(1)))
            """,
    },
    "S31": {
        "asks": """
            import getpass
            from kaggle_secrets import UserSecretsClient
            name = input("name? ")  # !
            word = getpass.getpass()  # !
            token = UserSecretsClient().get_secret("wandb")  # !
            """,
    },
    "S32": {
        "not attached": """
            import kagglehub
            path = kagglehub.dataset_download("somebody/else")  # !
            model = kagglehub.model_download("google/gemma/pytorch/2b")  # !
            """,
    },
}

PASSES = {
    "S05": {
        "only off Kaggle": """
            import os
            import requests
            if "KAGGLE_KERNEL_RUN_TYPE" not in os.environ:
                requests.get("https://example.org")
            ON_KAGGLE = os.path.exists("/kaggle/input")
            def download():
                return requests.get("https://example.org")
            if not ON_KAGGLE:
                download()
            if not os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
                download()
            """,
        "in colab": """
            import sys
            IN_COLAB = "google.colab" in sys.modules
            if IN_COLAB:
                import subprocess
                subprocess.run("pip install timm", shell=True, check=True)
            """,
        "after an early return": """
            import os
            from urllib.request import urlopen
            def fetch():
                if os.path.isdir("/kaggle"):
                    return None
                return urlopen("https://example.org")
            fetch()
            """,
        "wheels": """
            import subprocess
            subprocess.run(
                "pip install --no-index --find-links /kaggle/input/weights ttach",
                shell=True, check=True,
            )
            WHEEL = "/kaggle/input/weights/a-1.whl"
            subprocess.run(["pip", "install", WHEEL], check=True)
            """,
        "own names": """
            class Requests:
                def get(self, url):
                    return url
            requests = Requests()
            requests.get("https://example.org")
            def urlopen(url):
                return url
            urlopen("https://example.org")
            """,
        "words": '''
            """Then run pip install timm, or requests.get("https://x.org")."""
            # requests.get("https://example.org")
            HELP = "pip install timm; git clone https://github.com/a/b"
            print("see https://example.org")
            ''',
        "handled": """
            import requests
            try:
                requests.get("https://example.org", timeout=1)
            except requests.exceptions.RequestException:
                print("offline")
            """,
        "a command that may fail": """
            import subprocess
            try:
                subprocess.run(["pip", "install", "timm"], check=True)
            except subprocess.CalledProcessError:
                print("offline")
            """,
        "local server": """
            import requests
            requests.get("http://localhost:8000/health")
            """,
        "wandb offline": """
            import os
            os.environ["WANDB_MODE"] = "offline"
            import wandb
            wandb.init(project="a")
            """,
        "local files": """
            import pandas as pd
            from datasets import load_dataset
            pd.read_csv("/tmp/train.csv")
            load_dataset("csv", data_files="/tmp/a.csv")
            """,
        "never called off the main guard": """
            if __name__ != "__main__":
                import requests
                requests.get("https://example.org")
            """,
    },
    "S06": {
        "from files": """
            import timm
            import torch
            import torchvision
            from transformers import AutoModel
            PATH = "/kaggle/input/weights/resnet.pth"
            a = timm.create_model("resnet18", pretrained=False)
            b = timm.create_model(
                "resnet18", pretrained=True, pretrained_cfg_overlay=dict(file=PATH)
            )
            c = torchvision.models.resnet18(weights=None)
            c.load_state_dict(torch.load(PATH, weights_only=True))
            d = AutoModel.from_pretrained("/kaggle/input/weights/deberta")
            e = torch.hub.load("/kaggle/input/weights/repo", "net", source="local")
            """,
        "a cache that is filled": """
            import os
            import shutil
            from fastai.vision.all import vision_learner, resnet18
            os.makedirs("/root/.cache/torch/hub/checkpoints", exist_ok=True)
            shutil.copy("/kaggle/input/weights/r.pth",
                        "/root/.cache/torch/hub/checkpoints/resnet18-f37072fd.pth")
            learner = vision_learner(None, resnet18)
            """,
        "a model of its own": """
            from transformers import AutoModel
            def save(model):
                model.save_pretrained("best")
            model = AutoModel.from_pretrained("best")
            """,
        "optional": """
            import timm
            try:
                net = timm.create_model("resnet18", pretrained=True)
            except OSError:
                net = timm.create_model("resnet18", pretrained=False)
            """,
        "off in every call": """
            import timm
            class Net:
                def __init__(self, name, pretrained=True):
                    self.body = timm.create_model(name, pretrained=pretrained)
            net = Net("resnet18", pretrained=False)
            other = Net("resnet34", False)
            """,
        "off by a flag": """
            import timm
            PRETRAINED = False
            net = timm.create_model("resnet18", pretrained=PRETRAINED)
            """,
    },
    "S25": {
        "state dicts": """
            import torch
            from torch import nn
            model = nn.Linear(1, 1)
            torch.save(model.state_dict(), "model.pt")
            model.load_state_dict(torch.load("model.pt"))
            checkpoint = torch.load("/kaggle/input/weights/a.pt", map_location="cpu")
            model.load_state_dict(checkpoint["model"])
            """,
        "said so": """
            import torch
            net = torch.load("/kaggle/input/weights/a.pt", weights_only=False).eval()
            """,
    },
    "S31": {
        "own input": """
            def input(name):
                return name
            table = input("train")
            """,
        "local only": """
            import os
            if not os.path.exists("/kaggle"):
                name = input("name? ")
            """,
    },
    "S32": {
        "attached": """
            import kagglehub
            path = kagglehub.dataset_download("tester/weights")
            """,
    },
}


@pytest.mark.parametrize(("rule", "code"), rule_cases(TRIPS))
def test_trips(tmp_path, rule, code):
    assert_trips(tmp_path, rule, code)


@pytest.mark.parametrize(("rule", "code"), rule_cases(PASSES))
def test_passes(tmp_path, rule, code):
    assert_passes(tmp_path, rule, code)


@pytest.mark.parametrize("rule", ["S05", "S06"])
def test_internet_on_allows_downloads(tmp_path, rule):
    for number, code in enumerate(TRIPS[rule].values()):
        code = code.replace("# !", "")
        assert_passes(tmp_path / str(number), rule, code, **ONLINE)


def test_a_bare_script_is_taken_to_be_offline(tmp_path):
    code = """
        import requests
        requests.get("https://example.org")  # !
        """
    assert_trips(tmp_path, "S05", code, bare=True)


def test_modules_beside_the_kernel_are_checked_in_their_own_files(tmp_path):
    files = {
        "net/__init__.py": "",
        "net/fetch.py": """
            from requests import get as pull

            def load(url):
                return pull(url)  # !
            """,
    }
    code = """
        from net.fetch import load as fetch
        fetch("https://example.org")
        """
    assert_trips(tmp_path, "S05", code, files=files)


def test_a_call_through_a_name_of_another_module(tmp_path):
    files = {"clients.py": "import requests\nSESSION = requests.Session()\n"}
    code = """
        import clients
        from clients import SESSION
        SESSION.get("https://example.org")  # !
        clients.SESSION.get("https://example.org")  # !
        """
    assert_trips(tmp_path, "S05", code, files=files)


def test_the_message_names_the_call(tmp_path):
    code = 'from urllib.request import urlopen as o\no("https://example.org/x")\n'
    (finding,) = check(tmp_path, code)
    assert finding.message == (
        "network call with internet off: o('https://example.org/x')"
    )
    assert "attach" in finding.fix
