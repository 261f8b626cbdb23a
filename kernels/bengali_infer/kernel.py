"""Bengali graphemes, second of two kernels: from trained weights to submission.csv."""

# %% [markdown]
# # Bengali graphemes: inference
# The weights and all settings come from the output of `bengali_train`. The test images
# are read, cropped and predicted file by file, however many there are, so that the
# hidden test set of 200,000 images needs no more memory than one of its files.

# %%
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kaggle_kit.asked_rows import read_asked_rows
from kaggle_kit.batches import DeviceBatches
from kaggle_kit.checkpoint import load_checkpoint, load_model_state
from kaggle_kit.config import override
from kaggle_kit.cropped_files import iter_cropped_parquet
from kaggle_kit.device import choose_device
from kaggle_kit.heads import head_probabilities, make_multi_head
from kaggle_kit.inference import get_preds, mean_outputs
from kaggle_kit.manifest import read_manifest
from kaggle_kit.paths import find_input, find_kernel_output, output_dir
from kaggle_kit.priors import PriorCorrection
from kaggle_kit.submission import write_submission
from kaggle_kit.trees import join_tree


# %%
@dataclass(frozen=True)
class CFG:
    """What can be tried; in a local run any field is an option: `--batch-size 64`."""

    competition: str = "bengaliai-cv19"
    training: str = "your-name/bengali-train-kaggle-kit"  # as in kernel_sources
    input: str = ""  # folder of test.csv, where it is not in a usual place
    models: str = ""  # folder with the training kernel's output, likewise
    output: str = ""  # folder for submission.csv
    batch_size: int = 256
    prior: bool = True  # favour rare classes as fitted in training


cfg = override(CFG())
device = choose_device()
data, out = find_input(cfg.competition, cfg.input), output_dir(cfg.output)
trained = Path(cfg.models) if cfg.models else find_kernel_output(cfg.training)

# %% [markdown]
# ## The models
# One for each fold that was trained; the manifest proves that they arrived whole.

# %%
settings, weight_files = read_manifest(trained / "bengali.json")
sizes = tuple(settings["sizes"])
models = []
for path in weight_files:
    model = make_multi_head(settings["model"], sizes)
    load_model_state(model, load_checkpoint(path)["model"], path)
    models.append(model)
print(f"{len(models)} x {settings['model']} from {trained}, on {device}")

# %% [markdown]
# ## Prediction, file by file

# %%
sample = data / "sample_submission.csv"
asked = read_asked_rows(data / "test.csv", sample, settings["components"])
ids, parts = [], []
files = sorted(data.glob("test_image_data_*.parquet"))
for block in iter_cropped_parquet(files, size=settings["image_size"]):
    if not len(block):
        continue
    batches = DeviceBatches(
        block.images,
        batch_size=cfg.batch_size,
        device=device,
        mean=settings["mean"],
        std=settings["std"],
    )
    activation = head_probabilities(sizes)
    each = [get_preds(model, batches, device, activation) for model in models]
    ids += list(block.ids)
    parts.append(mean_outputs(each))
asked.check_images(ids)
probabilities = join_tree(parts)

# %% [markdown]
# ## The submission
# One row for each component of an image, in the order of sample_submission.csv.

# %%
if cfg.prior:
    powers, counts = settings["prior_powers"], settings["prior_counts"]
    correction = PriorCorrection(tuple(powers), tuple(map(tuple, counts)))
    probabilities = correction.apply(probabilities)
labels = np.stack([np.argmax(head, axis=1) for head in probabilities], axis=1)
path = write_submission(asked.answers(ids, labels), sample, out)
print(f"{len(ids):,} images, {len(asked.row_ids):,} rows: wrote {path}")
