"""S11, S12, S21, S22, S24, S26: what a batch run does not have, shows, or must not."""

import pytest
from checking import NOTEBOOK, assert_passes, assert_trips, check, rule_cases

SCRIPT_TRIPS = {
    "S12": {
        "argv": """
            import sys
            from sys import argv
            name = sys.argv[1]  # !
            other = argv[2]  # !
            if sys.argv[3] == "train":  # !
                print(name, other)
            """,
        "required": """
            import argparse
            parser = argparse.ArgumentParser()
            parser.add_argument("data")  # !
            parser.add_argument("--fold", type=int, required=True)  # !
            args = parser.parse_args()
            """,
        "environment": """
            import os
            root = os.environ["DATA_DIR"]  # !
            folds = int(os.getenv("FOLDS"))  # !
            """,
    },
    "S21": {
        "show": """
            import matplotlib.pyplot as plt
            plt.plot([1])
            plt.show()  # !
            """,
        "display": """
            import pandas as pd
            display(pd.DataFrame())  # !
            get_ipython().run_line_magic("matplotlib", "inline")  # !
            from IPython.display import display as show
            show(1)  # !
            """,
    },
    "S22": {
        "tokens": """
            TOKEN = "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345678"  # !
            # old: ghp_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789  # !
            headers = {"Authorization": "Bearer sk-proj-aB3dE5fG7hJ9kL1mN3pQ5rS7"}  # !
            import os
            os.environ["KAGGLE_KEY"] = "0123456789abcdef0123456789abcdef"  # !
            URL = "https://me:s3cr3tPass@example.org/a"  # !
            """,
        "the environment": """
            import os
            import json
            import logging
            print(os.environ)  # !
            print(dict(os.environ))  # !
            print(json.dumps(dict(os.environ), indent=1))  # !
            for key, value in os.environ.items():
                print(key, value)  # !
            print(os.environ["KAGGLE_USER_SECRETS_TOKEN"])  # !
            print(os.environ.get("KAGGLE_API_V1_TOKEN"))  # !
            assert os.system("env") == 0  # !
            logging.info("%s", os.environ.copy())  # !
            print({key: os.environ[key] for key in os.environ})  # !
            """,
        "the key's file": """
            import shutil
            shutil.copy("/kaggle/input/weights/kaggle.json", "/tmp/a")  # !
            """,
    },
    "S24": {
        "swallowed": """
            def train():
                return 1
            try:
                train()
            except:  # !
                pass
            try:
                train()
            except Exception:  # !
                ...
            """,
        "unchecked": """
            import os
            import subprocess
            os.system("python train.py")  # !
            subprocess.run(["python", "train.py"])  # !
            subprocess.call("unzip a.zip", shell=True)  # !
            subprocess.run("make", check=False)  # !
            """,
    },
    "S26": {
        "each batch": """
            import torch
            train_loader = []
            for epoch in range(10):
                for x, y in train_loader:
                    print(x, y)  # !
            """,
        "in a function": """
            def train_one_epoch(loader, loss):
                for step, (x, y) in enumerate(loader):
                    value = loss(x, y)
                    value.backward()
                    print(f"step {step}: {value}")  # !
            train_one_epoch([], None)
            """,
    },
}
SCRIPT_PASSES = {
    "S11": {
        "a script may": """
            import argparse
            import sys
            print(__file__)
            args = argparse.ArgumentParser().parse_args()
            sys.exit(0)
            """,
    },
    "S12": {
        "with defaults": """
            import argparse
            import os
            import sys
            parser = argparse.ArgumentParser()
            parser.add_argument("--data", default=".")
            parser.add_argument("name", nargs="?")
            args = parser.parse_args()
            debug = os.environ.get("DEBUG")
            root = os.environ.get("ROOT", ".")
            kind = os.environ["KAGGLE_KERNEL_RUN_TYPE"]
            home = os.environ["HOME"]
            os.environ["MODE"] = "a"
            mode = os.environ["MODE"]
            first = sys.argv[1] if len(sys.argv) > 1 else "train"
            rest = sys.argv[1:]
            if sys.argv[1:]:
                first = sys.argv[1]
            """,
        "asked first": """
            import os
            if "DATA_DIR" in os.environ:
                root = os.environ["DATA_DIR"]
            try:
                fold = os.environ["FOLD"]
            except KeyError:
                fold = "0"
            """,
    },
    "S21": {
        "saved": """
            import matplotlib.pyplot as plt
            plt.plot([1])
            plt.savefig("a.png")
            plt.show()
            """,
        "asked": """
            try:
                shell = get_ipython()
            except NameError:
                shell = None
            def display(x):
                print(x)
            display(1)
            """,
    },
    "S22": {
        "placeholders": """
            import os
            TOKEN = "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            OTHER = "hf_YOUR_TOKEN_HERE"
            KEY = os.environ.get("WANDB_API_KEY")
            sha = "0123456789abcdef0123456789abcdef01234567"
            name = "sk-learn"
            URL = "https://example.org:8080/a@b"
            """,
        "one variable": """
            import os
            print(os.environ.get("KAGGLE_KERNEL_RUN_TYPE"))
            print(len(os.environ), sorted(os.environ))
            print("KAGGLE_URL_BASE" in os.environ)
            for key in os.environ:
                print(key)
            copy = dict(os.environ)
            print([key for key in os.environ if key.startswith("KAGGLE_")])
            """,
    },
    "S24": {
        "seen": """
            import logging
            import subprocess
            import sys
            try:
                import cupy
            except Exception:
                pass
            try:
                logging.info("a")
            except ValueError:
                pass
            try:
                open("a")
            except Exception as error:
                print("failed:", error)
            subprocess.run(["make"], check=True)
            subprocess.check_call(["make"])
            result = subprocess.run(["make"])
            assert result.returncode == 0
            """,
        "harmless": """
            import os
            import subprocess
            os.system("nvidia-smi")
            subprocess.run(["ls", "-l"])
            os.system("mkdir -p /tmp/a && ls /tmp/a")
            try:
                os.remove("/tmp/a")
            except Exception:
                pass
            """,
    },
    "S26": {
        "each epoch": """
            for fold in range(5):
                for epoch in range(10):
                    print(fold, epoch)
            for step, batch in enumerate([]):
                print(step)
            """,
        "every hundred": """
            train_loader = []
            for epoch in range(10):
                for step, batch in enumerate(train_loader):
                    if step % 100 == 0:
                        print(step)
                print(epoch)
            for x, y in train_loader:
                print(x.shape)
                break
            """,
    },
}
NOTEBOOK_TRIPS = {
    "S11": {
        "all three": """
            import argparse
            import sys
            from pathlib import Path
            ROOT = Path(__file__).parent  # !
            parser = argparse.ArgumentParser()
            args = parser.parse_args()  # !
            if args is None:
                sys.exit(1)  # !
            if ROOT is None:
                raise SystemExit("no root")  # !
            print(args)
            """,
    },
}
NOTEBOOK_PASSES = {
    "S11": {
        "what works": """
            import argparse
            parser = argparse.ArgumentParser()
            args, _ = parser.parse_known_args()
            again = parser.parse_args([])
            try:
                here = __file__
            except NameError:
                here = "."
            if "__file__" in globals():
                print(__file__)
            """,
        "a success": """
            import sys
            def main():
                if not __doc__:
                    sys.exit(0)
                raise SystemExit
            sys.exit(main())
            """,
    },
    "S21": {
        "figures": """
            import matplotlib.pyplot as plt
            import pandas as pd
            plt.plot([1])
            plt.show()
            display(pd.DataFrame())
            """,
    },
}


@pytest.mark.parametrize(("rule", "code"), rule_cases(SCRIPT_TRIPS))
def test_trips(tmp_path, rule, code):
    assert_trips(tmp_path, rule, code)


@pytest.mark.parametrize(("rule", "code"), rule_cases(SCRIPT_PASSES))
def test_passes(tmp_path, rule, code):
    assert_passes(tmp_path, rule, code)


@pytest.mark.parametrize(("rule", "code"), rule_cases(NOTEBOOK_TRIPS))
def test_trips_in_a_notebook(tmp_path, rule, code):
    assert_trips(tmp_path, rule, code, **NOTEBOOK)


@pytest.mark.parametrize(("rule", "code"), rule_cases(NOTEBOOK_PASSES))
def test_passes_in_a_notebook(tmp_path, rule, code):
    assert_passes(tmp_path, rule, code, **NOTEBOOK)


def test_a_secret_is_never_shown(tmp_path):
    secret = "hf_aBcDeFgHiJkLmNoPqRsTuVwXyZ012345678"
    (finding,) = check(tmp_path, f'TOKEN = "{secret}"\n')
    assert finding.id == "S22"
    assert secret not in str(finding)
    assert "hf_a..." in finding.message


def test_the_hidden_command_is_named(tmp_path):
    (finding,) = check(tmp_path, 'import os\nos.system("python train.py --fold 1")\n')
    assert finding.message == "failure of `python train.py --fold 1` would be hidden"
