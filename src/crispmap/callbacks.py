"""What watches a training run."""

import logging
from contextlib import ExitStack
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from crispmap.progress import progress_bar

log = logging.getLogger("crispmap")

_SHOWN = ("val/iou", "val/boundary_f1", "val/perimeter_ratio")


class ProgressLines(Callback):
    """A bar over all the steps of the run, and a line in the log with the metrics of each validation."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts up the bar."""
        self._stack = ExitStack()
        self._bar = self._stack.enter_context(progress_bar("training", trainer.max_steps))
        self._bar.advance(trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Moves the bar on."""
        self._bar.advance()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the line."""
        if not trainer.sanity_checking and trainer.is_global_zero:
            metrics = trainer.callback_metrics
            shown = "  ".join(f"{name.removeprefix('val/')} {float(metrics[name]):.3f}" for name in _SHOWN)
            log.info("step %d of %d: %s", trainer.global_step, trainer.max_steps, shown)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Takes the bar down."""
        self._stack.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Takes the bar down."""
        if hasattr(self, "_stack"):
            self._stack.close()
