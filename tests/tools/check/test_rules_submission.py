"""S13-S15, S28: whether a submission is written, where, when, and from what."""

import pytest
from checking import assert_passes, assert_trips, check, rule_cases

TRIPS = {
    "S13": {
        "name": """
            import pandas as pd
            pd.DataFrame().to_csv("my_submission.csv", index=False)  # !
            """,
        "folder": """
            import os
            import pandas as pd
            os.makedirs("output", exist_ok=True)
            pd.DataFrame().to_csv("output/submission.csv", index=False)  # !
            """,
        "scratch": """
            from pathlib import Path
            import pandas as pd
            OUT = Path("/tmp")
            pd.DataFrame().to_csv(OUT / "submission.csv", index=False)  # !
            """,
        "after chdir": """
            import os
            import pandas as pd
            os.chdir("/tmp")
            pd.DataFrame().to_csv("submission.csv", index=False)  # !
            """,
    },
    "S14": {
        "length": """
            import pandas as pd
            test = pd.read_csv("/kaggle/input/titanic/test.csv")
            assert len(test) == 418  # !
            if test.shape[0] != 418:  # !
                raise ValueError("wrong file")
            assert (418, 11) == test.shape  # !
            """,
        "length of a table under another name": """
            import pandas as pd
            frame = pd.read_csv("/kaggle/input/titanic/test.csv")
            if len(frame) == 3:  # !
                print("public")
            """,
        "ids": """
            import pandas as pd
            sub = pd.read_csv("/kaggle/input/titanic/sample_submission.csv")
            sub.loc[sub["PassengerId"] == 892, "Survived"] = 1  # !
            sub.to_csv("submission.csv", index=False)
            """,
        "a copy": """
            import pandas as pd
            best = pd.read_csv("/kaggle/input/weights/best.csv")
            best.to_csv("submission.csv", index=False)  # !
            """,
        "another copy": """
            import shutil
            shutil.copy("/kaggle/input/weights/sub.csv", "submission.csv")  # !
            """,
    },
    "S15": {
        "rerun only": """
            import os
            import pandas as pd
            if os.getenv("KAGGLE_IS_COMPETITION_RERUN"):
                pd.DataFrame().to_csv("submission.csv", index=False)  # !
            """,
        "visible run only": """
            import os
            import sys
            import pandas as pd
            RERUN = bool(os.environ.get("KAGGLE_IS_COMPETITION_RERUN"))
            def main():
                if RERUN:
                    return
                pd.DataFrame().to_csv("submission.csv", index=False)  # !
            main()
            """,
        "left before": """
            import os
            import sys
            import pandas as pd
            if "KAGGLE_IS_COMPETITION_RERUN" not in os.environ:
                sys.exit(0)
            pd.DataFrame().to_csv("submission.csv", index=False)  # !
            """,
        "in a function": """
            import os
            import pandas as pd
            def save():
                pd.DataFrame().to_csv("submission.csv", index=False)  # !
            if os.environ.get("KAGGLE_IS_COMPETITION_RERUN", "") != "":
                save()
            """,
    },
    "S28": {
        "a long loop": """
            import pandas as pd
            EPOCHS = 500
            def train(loader, loss):
                for epoch in range(EPOCHS):  # !
                    for x, y in loader:
                        loss(x, y).backward()
            train([], None)
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
        "a function for each epoch": """
            import pandas as pd
            def train_one_epoch(model, loader):
                for x in loader:
                    model(x).backward()
            for epoch in range(200):  # !
                train_one_epoch(print, [])
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
        "an endless loop": """
            import pandas as pd
            loader, loss = [], None
            while True:  # !
                for x, y in loader:
                    loss(x, y).backward()
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
    },
}
PASSES = {
    "S13": {
        "in its place": """
            import os
            import pandas as pd
            from pathlib import Path
            pd.DataFrame().to_csv("submission.csv", index=False)
            pd.DataFrame().to_csv("oof.csv", index=False)
            pd.DataFrame().to_csv("submission_fold0.csv", index=False)
            """,
        "in full": """
            import os
            import pandas as pd
            OUT = "/kaggle/working"
            pd.DataFrame().to_csv(os.path.join(OUT, "submission.csv"), index=False)
            """,
        "an unknown folder": """
            import os
            import pandas as pd
            OUT = os.environ.get("OUT", ".")
            pd.DataFrame().to_csv(f"{OUT}/submission.csv", index=False)
            """,
        "no submission": """
            import pandas as pd
            pd.DataFrame().to_csv("train_folds.csv", index=False)
            subset = pd.DataFrame()
            subset.to_csv("subset.csv")
            """,
        "there and back": """
            import os
            import pandas as pd
            os.chdir("/kaggle/input/titanic")
            names = os.listdir(".")
            os.chdir("/kaggle/working")
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
        "the kit": """
            from kaggle_kit.paths import find_input, output_dir
            from kaggle_kit.submission import write_submission
            root = find_input("titanic")
            write_submission([0], root / "sample_submission.csv", output_dir())
            """,
        "the gateway writes it": """
            import kaggle_evaluation.default_inference_server as server
            def predict(test):
                test.to_csv("/tmp/submission_part.csv")
                return test
            server.run(predict)
            """,
    },
    "S14": {
        "other lengths": """
            import pandas as pd
            train = pd.read_csv("/kaggle/input/titanic/train.csv")
            test = pd.read_csv("/kaggle/input/titanic/test.csv")
            preds = [0] * len(test)
            assert len(preds) == len(test)
            assert len(train) == 891
            if len(test) == 0:
                print("nothing to do")
            assert test.shape[1] == 11
            """,
        "a blend": """
            import pandas as pd
            a = pd.read_csv("/kaggle/input/weights/a.csv")
            b = pd.read_csv("/kaggle/input/weights/b.csv")
            a["Survived"] = 0.5 * a["Survived"] + 0.5 * b["Survived"]
            a.to_csv("submission.csv", index=False)
            """,
        "the sample, first": """
            import pandas as pd
            sample = pd.read_csv("/kaggle/input/titanic/sample_submission.csv")
            sample.to_csv("submission.csv", index=False)
            """,
        "ids of the training data": """
            import pandas as pd
            train = pd.read_csv("/kaggle/input/titanic/train.csv")
            train.loc[train["PassengerId"] == 62, "Embarked"] = "S"
            """,
    },
    "S15": {
        "both": """
            import os
            import pandas as pd
            test = pd.DataFrame()
            if os.environ.get("KAGGLE_IS_COMPETITION_RERUN"):
                test = pd.concat([test])
            test.to_csv("submission.csv", index=False)
            """,
        "a short cut": """
            import os
            import pandas as pd
            if os.getenv("KAGGLE_IS_COMPETITION_RERUN"):
                pd.DataFrame([1]).to_csv("submission.csv", index=False)
            else:
                pd.DataFrame([2]).to_csv("submission.csv", index=False)
            """,
        "a gateway": """
            import os
            import kaggle_evaluation.core.templates as templates
            server = templates.InferenceServer(print)
            if os.getenv("KAGGLE_IS_COMPETITION_RERUN"):
                server.serve()
            else:
                server.run_local_gateway(("/kaggle/input/titanic/",))
            """,
    },
    "S28": {
        "a clock": """
            import time
            import pandas as pd
            start = time.time()
            for epoch in range(500):
                if time.time() - start > 8 * 3600:
                    break
                for x in []:
                    x.backward()
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
        "early stopping": """
            import pandas as pd
            for epoch in range(500):
                for x in []:
                    x.backward()
                if epoch > 3:
                    break
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
        "a few epochs": """
            import pandas as pd
            for epoch in range(30):
                for x in []:
                    x.backward()
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
        "a submission before": """
            import pandas as pd
            pd.DataFrame().to_csv("submission.csv", index=False)
            for epoch in range(500):
                for x in []:
                    x.backward()
            pd.DataFrame().to_csv("submission.csv", index=False)
            """,
    },
}


@pytest.mark.parametrize(("rule", "code"), rule_cases(TRIPS))
def test_trips(tmp_path, rule, code):
    assert_trips(tmp_path, rule, code)


@pytest.mark.parametrize(("rule", "code"), rule_cases(PASSES))
def test_passes(tmp_path, rule, code):
    assert_passes(tmp_path, rule, code)


def test_what_was_found_is_named(tmp_path):
    code = 'import pandas as pd\npd.DataFrame().to_csv("out/sub.csv")\n'
    (finding,) = check(tmp_path, code)
    assert finding.message == (
        "expected /kaggle/working/submission.csv, found /kaggle/working/out/sub.csv"
    )


def test_the_folder_that_chdir_went_to_is_named(tmp_path):
    code = TRIPS["S13"]["after chdir"].replace("# !", "")
    (finding,) = check(tmp_path, code)
    assert finding.message.endswith("found /tmp/submission.csv")


def test_the_missing_case_is_named(tmp_path):
    code = TRIPS["S15"]["rerun only"].replace("# !", "")
    (finding,) = (f for f in check(tmp_path, code) if f.id == "S15")
    assert finding.message == "no submission when KAGGLE_IS_COMPETITION_RERUN is unset"
