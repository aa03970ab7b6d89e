"""What watches a training run."""

import logging
import math
from contextlib import ExitStack
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn

from crispmap.errors import SettingError
from crispmap.losses import BoundaryLoss, ConstantWeight, MixedLoss
from crispmap.progress import progress_bar

log = logging.getLogger("crispmap")

_SHOWN = ("val/iou", "val/boundary_f1", "val/perimeter_ratio")


class ProgressLines(Callback):
    """A bar over all the steps of the run, and a line in the log with the metrics of each validation."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts up the bar."""
        self._stack = ExitStack()
        shown = trainer.max_steps if trainer.is_global_zero else None
        self._bar = self._stack.enter_context(progress_bar("training", shown))
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


class SavedLogs(Callback):
    """Sees to it that what was logged up to a validation is on disk when its checkpoint is."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Writes it; checkpoints come after all other callbacks."""
        for logger in trainer.loggers:
            logger.save()


class JaggednessGuard(Callback):
    """Warns, with the remedy, when the masks of a network in training turn jagged.

    Boundary losses and boundary F1 scores are blind to teeth shorter than their tolerance, and IoU barely sees
    them; the length of the outlines does. The guard reads the perimeter ratio (`crispmap.BinaryPerimeterRatio`:
    predicted length over true length, of hard masks) that a module logs on validation, and writes one line to
    the log ``crispmap`` when the ratio rises above `threshold`. It works in any `LightningModule` that logs such
    a ratio, and changes nothing about training.

    *When it speaks.* An untrained network's masks are noise, which clears. So a validation counts only if the
    area is about right, `quality` being at least `min_quality`, and a ratio above the threshold is let pass while
    it is still falling, its excess over 1 less by a quarter or more than at the validation before; at the first
    one nothing is said. Where no score of the area is logged (`quality=None`), validations count from the first
    ratio on that lies between 1/`threshold` and `threshold`. One warning is given for each worsening: the next
    one comes when the excess has grown by half since the last, or, once it has fallen to half of the
    threshold's, when the ratio is above the threshold anew.

    *What it leaves alone.* Ratios below 1: networks learn large objects first, so short outlines are usual for a
    while, and missed, merged and rounded objects, which ask for different remedies, look the same in it. NaN,
    which is the ratio where the truth has no outline, counts as nothing.

    Args:
        monitor: The name under which the perimeter ratio is logged.
        threshold: The ratio above which outlines are jagged, more than 1. Sound runs on imagery ended between 1.0
            and 1.3; teeth of two by two pixels along every edge make it 2.
        quality: The name under which a score of the area is logged, such as IoU; None for none.
        min_quality: That score, from 0 to 1, from which on outlines mean something: an IoU of one half says that
            masks and truth share as much as they differ. Lower it for thin classes, such as roads.

    Raises:
        SettingError: If an argument is out of range; on validation, if the module does not log what is watched.
    """

    def __init__(
        self,
        monitor: str = "val/perimeter_ratio",
        threshold: float = 1.5,
        *,
        quality: str | None = "val/iou",
        min_quality: float = 0.5,
    ) -> None:
        if not threshold > 1:
            raise SettingError(f"threshold is {threshold}; give a perimeter ratio of more than 1")
        if not 0 <= min_quality <= 1:
            raise SettingError(f"min_quality is {min_quality}; give a score from 0 to 1")
        self.monitor = monitor
        self.threshold = threshold
        self.quality = quality
        self.min_quality = min_quality
        self._forget()

    def _forget(self) -> None:
        self._tolerated = self.threshold
        self._previous: float | None = None
        self._best: _Seen | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier run."""
        self._forget()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the metrics of the validation, and warns where they ask for it."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        ratio = _logged(trainer, pl_module, self.monitor, "monitor")
        quality = None if self.quality is None else _logged(trainer, pl_module, self.quality, "quality")
        if not math.isfinite(ratio):
            return
        clearing = self._previous is None or ratio - 1 <= 0.75 * (self._previous - 1)
        self._previous = ratio
        if not self._counts(ratio, quality):
            return
        if ratio > self._tolerated and not clearing:
            self._tolerated = 1 + 1.5 * (ratio - 1)
            if trainer.is_global_zero:
                log.warning("%s", self._warning(_Seen(ratio, trainer.global_step), quality, pl_module))
        elif ratio <= 1 + (self.threshold - 1) / 2:
            self._tolerated = self.threshold
        if self._best is None or abs(ratio - 1) < abs(self._best.ratio - 1):
            self._best = _Seen(ratio, trainer.global_step)

    def _counts(self, ratio: float, quality: float | None) -> bool:
        if quality is not None:
            return quality >= self.min_quality
        return self._best is not None or 1 / self.threshold <= ratio <= self.threshold

    def _warning(self, now: "_Seen", quality: float | None, module: nn.Module) -> str:
        best = f", and were {self._best.ratio:.2f} times at step {self._best.step}" if self._best else ""
        area = f" The area hardly shows it ({self.quality} {quality:.2f})." if quality is not None else ""
        return (
            f"step {now.step}: the masks are jagged: their outlines are {now.ratio:.2f} times as long as the true ones"
            f"{best} ({self.monitor}; 1 is right, more than {self.threshold:g} is jagged or full of specks).{area} "
            f"{_remedy(module)}"
        )


class _Seen(NamedTuple):
    ratio: float
    step: int


def _logged(trainer: Trainer, module: LightningModule, name: str, argument: str) -> float:
    if name not in trainer.callback_metrics:
        raise SettingError(
            f"JaggednessGuard looks for '{name}', which {type(module).__name__} does not log on validation; it logs "
            f"{', '.join(sorted(trainer.callback_metrics)) or 'nothing'}: name what it should read with {argument}="
        )
    return float(trainer.callback_metrics[name])


def _remedy(module: nn.Module) -> str:
    """What to do about long outlines under the loss that a module trains with, as far as it can be seen in it."""
    mixture = next((part for part in module.modules() if isinstance(part, MixedLoss) and part.parts), None)
    within = module if mixture is None else mixture.boundary
    boundary = next((part for part in within.modules() if isinstance(part, BoundaryLoss)), None)
    weight = None if mixture is None else float(mixture.parts["weight"])
    if weight == 0 or (mixture is None and boundary is None):
        return (
            "No BoundaryLoss is at work here, so the cause lies elsewhere: train longer or at a lower learning rate, "
            "and look at the labels for gaps and for shifts, which `crispmap suggest-theta` measures."
        )
    steps = []
    if boundary is not None and boundary.variant != "balanced":
        steps.append(f'use variant="balanced" instead of "{boundary.variant}", which rewards teeth')
    if boundary is not None:
        steps.append(
            f"raise theta (now {boundary.theta}, which covers labels {(boundary.theta - 1) // 2} px off) to cover the "
            "labels' misregistration, which `crispmap suggest-theta` measures"
        )
    if mixture is None:
        steps.append("give the boundary less weight, beside losses of pixels and area (crispmap.MixedLoss)")
    else:
        steps.append(f"lower the boundary weight (now {weight:.2f})")
        constant = isinstance(mixture.schedule, ConstantWeight)
        steps.append(
            f"let it grow after a warm-up, weight=RampWeight(to={weight:.2f}, start=0.3, end=0.8)"
            if constant
            else f"warm up longer than {mixture.schedule} does"
        )
    return f"To mend it, in this order: {'; '.join(steps)}."
