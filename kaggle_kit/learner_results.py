"""What a Learner tells: scores, predictions, pictures and files."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from kaggle_kit.checkpoint import load_learner, save_learner
from kaggle_kit.collectors import InputView, PredictionCollector
from kaggle_kit.device import Placement
from kaggle_kit.events import Callback, EventSender
from kaggle_kit.galleries import show_results
from kaggle_kit.inference import class_probabilities, mean_outputs
from kaggle_kit.loaders import check_in_order
from kaggle_kit.random_states import peek_batch
from kaggle_kit.summary import ModelSummary, summarise_model
from kaggle_kit.trees import TensorTree


class LearnerResults(EventSender):
    """Everything of a Learner that does not train; see there for the attributes."""

    loss_fn: Callable[[Any, Any], Tensor]
    placement: Placement

    def _one_pass(self, name: str, batches: Iterable[Any]) -> None:
        """Go through all batches once, "train" or "validate"."""
        raise NotImplementedError

    def validate(self, batches: Iterable[Any] | None = None) -> dict[str, float]:
        """Loss and metrics on the validation batches, or on those given."""
        self._one_pass("validate", self._validation(batches))
        return self._pass_row("")

    def get_preds(
        self,
        batches: Iterable[Any] | None = None,
        with_targets: bool = False,
        with_loss: bool = False,
        activation: Callable[[TensorTree], TensorTree] | None = class_probabilities,
    ) -> TensorTree:
        """Predictions for all batches, in order, on the CPU.

        Args:
            batches: Validation batches by default; `(x, y)` or x alone.
            with_targets: Return the targets too.
            with_loss: Return the loss of each item too, last.
            activation: Applied to each batch of outputs; None returns what the model
                returns.

        Returns:
            Predictions (N, ...) or a tuple of such; with targets and losses if asked
            for, a tuple `(preds, targets, losses)`.

        Raises:
            ValueError: The batches are shuffled and their targets were not asked for,
                so that nothing would tell which row a prediction belongs to.
        """
        if not with_targets:
            check_in_order(self._validation(batches))
        collector = PredictionCollector(activation, self.loss_fn if with_loss else None)
        preds, targets, losses = self._collect(batches, collector)
        if (with_targets or with_loss) and targets is None:
            raise ValueError("targets or losses were asked for, but batches have none")
        extra = [targets] * with_targets + [losses] * with_loss
        return (preds, *extra) if extra else preds

    def tta(
        self,
        views: Sequence[Callable[[Tensor], Tensor]],
        batches: Iterable[Any] | None = None,
        activation: Callable[[TensorTree], TensorTree] = class_probabilities,
    ) -> TensorTree:
        """Mean of the activated predictions over views of each image, on the CPU.

        Args:
            views: Each called with x, (B, C, H, W), as the model sees it; add
                `identity_view` for the image as it is.
            batches: Validation batches by default.
            activation: Applied before averaging.

        Raises:
            ValueError: There are no views, or the batches are shuffled.
        """
        if not views:
            raise ValueError("test-time augmentation needs at least one view")
        check_in_order(self._validation(batches))
        passes = [
            self._collect(batches, PredictionCollector(activation), InputView(view))[0]
            for view in views
        ]
        return mean_outputs(passes)

    def show_results(
        self,
        batches: Iterable[Any] | None = None,
        n: int = 40,
        class_names: Sequence[str] | None = None,
        folder: str | Path = "",
    ) -> Path:
        """Draw images of the first batch, labels above, wrong predictions in red.

        Args:
            batches: Validation batches by default.
            n: Images to show, at most a batch.
            class_names: Names to write for the classes.
            folder: Where `results.png` goes; the output directory by default.
        """
        chosen = self._validation(batches)
        x, y = peek_batch(chosen)
        preds = self.get_preds([(x, y)])
        return show_results(
            chosen, x, y, preds, n=n, class_names=class_names, folder=folder
        )

    def summary(self, x: TensorTree | None = None) -> ModelSummary:
        """Every layer, seen with inputs x or the first batch; see `ModelSummary`."""
        if x is None:
            x, _ = peek_batch(self.data.train)
        x = self.placement.place_inputs(self.model, x)
        return summarise_model(self.model, x)

    def save(self, path: str | Path, config: Mapping[str, Any] | None = None) -> Path:
        """Write weights, optimizer and history; see `save_checkpoint`."""
        return save_learner(self, path, config)

    def load(self, path: str | Path) -> dict[str, Any]:
        """Load what `save` wrote, or weights alone; returns the file's config."""
        return load_learner(self, path)

    def _validation(self, batches: Iterable[Any] | None) -> Iterable[Any]:
        chosen = self.data.valid if batches is None else batches
        if chosen is None:
            raise ValueError("the Learner has no validation batches; pass some")
        return chosen

    def _pass_row(self, prefix: str) -> dict[str, float]:
        row = {f"{prefix or 'valid_'}loss": self.meter.mean_loss()}
        return row | {f"{prefix}{k}": v for k, v in self.meter.result().items()}

    def _collect(
        self,
        batches: Iterable[Any] | None,
        collector: PredictionCollector,
        *others: Callback,
    ) -> tuple[TensorTree, TensorTree, TensorTree]:
        with self._with_callbacks([collector, *others]):
            self.validate(batches)
        return collector.joined()
