import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from kaggle_kit import device as device_module
from kaggle_kit.device import (
    accepts_channels_last,
    choose_device,
    cpu_computes_bf16,
    device_problem,
    keep_freed_memory,
    move_batch,
    native_half_precision,
)

CPU = torch.device("cpu")


def test_the_cpu_computes():
    assert device_problem(CPU) is None


def test_a_gpu_that_is_there_but_does_not_compute_is_passed_over(monkeypatch):
    # As a P100 with a torch built without its kernels: available, and useless.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(
        device_module, "device_problem", lambda device: "no kernel image is available"
    )
    lines = []
    assert choose_device(log=lines.append) == CPU
    assert lines == [
        "device: cuda:0 is present but does not compute, passed over: "
        "no kernel image is available"
    ]


def test_a_gpu_that_computes_is_taken(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(device_module, "device_problem", lambda device: None)
    assert choose_device() == torch.device("cuda:1")


def test_a_device_asked_for_by_name():
    assert choose_device("cpu") == CPU
    assert choose_device(CPU) == CPU
    with pytest.raises(ValueError, match="'gpu' is unknown; use one of auto, cuda"):
        choose_device("gpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_device_asked_for_by_name_is_an_error():
    with pytest.raises(RuntimeError, match="'cuda' was asked for, but it does not"):
        choose_device("cuda")


def test_images_get_the_memory_format_and_the_rest_stays():
    images, labels = torch.rand(4, 3, 5, 5), torch.arange(4)
    moved = move_batch([{"x": images}, labels, "name"], CPU, torch.channels_last)
    assert moved[0]["x"].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(moved[0]["x"], images)
    assert moved[1] is labels
    assert moved[2] == "name"
    again = move_batch(moved[0]["x"], CPU, torch.channels_last)
    assert again.data_ptr() == moved[0]["x"].data_ptr()


def test_trying_channels_last_changes_no_state():
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
            self.drop = nn.Dropout()

        def forward(self, x):
            return self.drop(self.norm(self.conv(x))).view(len(x), -1)

    flat = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
    flat[1].eval()
    x = torch.rand(8, 1, 6, 6)
    for model, expected in ((Views(), False), (flat, True)):
        model.to(memory_format=torch.channels_last)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        modes = [module.training for module in model.modules()]
        random = torch.get_rng_state()
        assert accepts_channels_last(model, x) is expected
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
        assert [module.training for module in model.modules()] == modes
        assert torch.equal(torch.get_rng_state(), random)


def test_other_errors_of_the_model_are_not_hidden():
    with pytest.raises(RuntimeError, match="expected input"):
        accepts_channels_last(nn.Conv2d(3, 4, 3), torch.rand(2, 1, 6, 6))


CHURN = """
import ctypes, resource, sys, torch
from kaggle_kit.device import Placement
ctypes.CDLL(None).mallopt(-1, 1 << 17)  # glibc's default, and no adapting
if sys.argv[1] == "placed":
    Placement(torch.device("cpu"))
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def batch():
    for size in (8, 2, 12, 4):  # MB, freed at once as activations are
        tensors = [torch.ones(size << 18) for _ in range(4)]
for _ in range(5):
    batch()
before = faults()
for _ in range(20):
    batch()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc trims so")
def test_freed_memory_is_kept_for_the_next_batch(monkeypatch):
    for name in device_module._MALLOC_OPTIONS:
        monkeypatch.delenv(name, raising=False)

    def faults(how):
        command = [sys.executable, "-c", CHURN, how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("plain") > 20_000
    assert faults("placed") < 10_000


def test_memory_is_left_to_who_set_glibcs_own_variables(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_freed_memory()


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((6, 0), None),  # P100
        ((7, 5), torch.float16),  # T4: bf16 would be emulated
        ((8, 0), torch.bfloat16),  # A100
        ((9, 0), torch.bfloat16),  # H100
    ],
)
def test_gpus_get_what_they_compute_natively(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert native_half_precision(torch.device("cuda", 0)) is expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : fpu avx2 avx512f", None),
        ("flags : avx512f avx512_bf16", torch.bfloat16),
        ("flags : amx_bf16 amx_tile", torch.bfloat16),
    ],
)
def test_a_cpu_needs_its_own_instructions(monkeypatch, tmp_path, flags, expected):
    info = tmp_path / "cpuinfo"
    info.write_text(flags)
    monkeypatch.setattr(device_module, "_CPU_INFO", info)
    assert native_half_precision(CPU) is expected


def test_an_unknown_cpu_computes_in_float32(monkeypatch, tmp_path):
    monkeypatch.setattr(device_module, "_CPU_INFO", tmp_path / "absent")
    assert cpu_computes_bf16() is False
    assert native_half_precision(torch.device("mps")) is None
