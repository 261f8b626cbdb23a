"""One thread per test process: several of them share the cores, and tensors are small."""

import torch

torch.set_num_threads(1)
