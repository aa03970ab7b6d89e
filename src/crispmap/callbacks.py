"""What watches a training run."""

import logging
import math
import time

from lightning.pytorch import Callback, LightningModule, Trainer

log = logging.getLogger("crispmap")


class EpochLine(Callback):
    """One line in the log for each validation: where the run is, its metrics, and the time left."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        self._start = time.monotonic()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes the line; the task has logged its metrics by then."""
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        metrics = {name.removeprefix("val/"): float(value) for name, value in trainer.callback_metrics.items()}
        shown = "  ".join(f"{name} {metrics[name]:.3f}" for name in ("iou", "boundary_f1", "perimeter_ratio"))
        spent = time.monotonic() - self._start
        done, steps = trainer.global_step, max(1, trainer.max_steps)
        left = spent / done * (steps - done) if done else math.nan
        log.info("step %d/%d  %s  %s left", done, steps, shown, _clock(left))


def _clock(seconds: float) -> str:
    return "?" if math.isnan(seconds) else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
