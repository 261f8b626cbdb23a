"""One thread per test process: several share the cores, and the tensors are small."""

import torch

torch.set_num_threads(1)
