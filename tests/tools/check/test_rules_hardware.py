"""S16-S19: what the code expects of the machine."""

import pytest
from checking import GPU, NOTEBOOK, assert_passes, assert_trips, rule_cases

TRIPS = {
    "S16": {
        "autocast": """
            import torch
            print(torch.cuda.get_device_name(0))
            with torch.autocast("cuda", dtype=torch.bfloat16):  # !
                pass
            """,
        "arguments": """
            from transformers import AutoModel, TrainingArguments
            a = TrainingArguments("out", bf16=True)  # !
            b = AutoModel.from_pretrained(  # !
                "/tmp/m", attn_implementation="flash_attention_2"
            )
            """,
        "the supported question is always yes": """
            import torch
            kind = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.half  # !
            """,
    },
    "S17": {
        "a number": """
            from torch.utils.data import DataLoader
            loader = DataLoader([], num_workers=8)  # !
            """,
        "a constant": """
            from torch.utils.data import DataLoader
            class CFG:
                num_workers = 4 * 2
            loader = DataLoader([], batch_size=2, num_workers=CFG.num_workers)  # !
            """,
    },
    "S18": {
        "spawn": """
            import multiprocessing as mp
            def work(x):
                return x
            context = mp.get_context("spawn")
            with context.Pool(4) as pool:  # !
                pool.map(work, range(4))
            """,
        "torch": """
            import torch.multiprocessing as mp
            def main(rank):
                print(rank)
            mp.spawn(main, nprocs=2)  # !
            """,
        "a pool": """
            from multiprocessing import Pool
            def work(x):
                return x
            pool = Pool(4)  # !
            """,
        "in a function that is called at once": """
            from concurrent.futures import ProcessPoolExecutor
            def run():
                with ProcessPoolExecutor(4) as pool:  # !
                    return list(pool.map(abs, [1]))
            run()
            """,
    },
    "S19": {
        "data parallel": """
            import torch
            from torch import nn
            net = nn.Linear(1, 1)
            if torch.cuda.device_count() > 1:
                net = nn.DataParallel(net)  # !
            """,
        "lightning": """
            import pytorch_lightning as pl
            trainer = pl.Trainer(accelerator="gpu", max_epochs=3)  # !
            """,
    },
}
PASSES = {
    "S16": {
        "the architecture is asked": """
            import torch
            native = torch.cuda.get_device_capability()[0] >= 8
            kind = torch.bfloat16 if native else torch.float16
            """,
        "half": """
            import torch
            with torch.autocast("cuda", dtype=torch.float16):
                pass
            print(torch.zeros(1).dtype == torch.bfloat16)
            """,
    },
    "S17": {
        "as many as there are": """
            import os
            from torch.utils.data import DataLoader
            a = DataLoader([], num_workers=4)
            b = DataLoader([], num_workers=os.cpu_count())
            c = DataLoader([], num_workers=min(8, 4))
            d = DataLoader([])
            """,
    },
    "S18": {
        "guarded": """
            import multiprocessing as mp
            def work(x):
                return x
            def main():
                with mp.get_context("spawn").Pool(4) as pool:
                    print(pool.map(work, range(4)))
            if __name__ == "__main__":
                main()
            """,
        "threads": """
            from concurrent.futures import ThreadPoolExecutor
            from multiprocessing.pool import ThreadPool
            with ThreadPoolExecutor(4) as pool:
                print(list(pool.map(abs, [1])))
            pool = ThreadPool(4)
            """,
    },
    "S19": {
        "one is chosen": """
            import os
            os.environ["CUDA_VISIBLE_DEVICES"] = "0"
            from torch import nn
            net = nn.DataParallel(nn.Linear(1, 1))
            """,
        "one device": """
            import pytorch_lightning as pl
            trainer = pl.Trainer(accelerator="gpu", devices=1)
            cpu = pl.Trainer(accelerator="cpu")
            """,
    },
}


@pytest.mark.parametrize(("rule", "code"), rule_cases(TRIPS))
def test_trips(tmp_path, rule, code):
    assert_trips(tmp_path, rule, code, **GPU)


@pytest.mark.parametrize(("rule", "code"), rule_cases(PASSES))
def test_passes(tmp_path, rule, code):
    assert_passes(tmp_path, rule, code, **GPU)


@pytest.mark.parametrize("rule", ["S16", "S19"])
@pytest.mark.parametrize("shape", ["NvidiaL4X1", "NvidiaH100"])
def test_another_gpu_has_what_the_t4_lacks(tmp_path, rule, shape):
    machine = {"enable_gpu": True, "machine_shape": shape}
    for number, code in enumerate(TRIPS[rule].values()):
        code = code.replace("# !", "")
        assert_passes(tmp_path / str(number), rule, code, **machine)


def test_the_default_gpu_is_a_t4(tmp_path):
    code = TRIPS["S16"]["autocast"]
    assert_trips(tmp_path, "S16", code, enable_gpu=True)


def test_a_notebook_cannot_spawn_at_all(tmp_path):
    code = """
        import torch.multiprocessing as mp
        def main(rank):
            print(rank)
        if __name__ == "__main__":
            mp.spawn(main, nprocs=2)  # !
        """
    assert_trips(tmp_path / "a", "S18", code, **NOTEBOOK)
    assert_passes(tmp_path / "b", "S18", code.replace("# !", ""))
