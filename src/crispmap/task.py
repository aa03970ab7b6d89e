"""The training task: a network, a loss, an optimiser, and hard metrics on validation windows."""

from dataclasses import asdict
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torchmetrics import MetricCollection

from crispmap.data.scene import IGNORED
from crispmap.errors import SettingError
from crispmap.losses import MixedLoss
from crispmap.losses.distance import uses_distance
from crispmap.metrics import BinaryBoundaryF1, BinaryIoU, BinaryPerimeterRatio
from crispmap.models import SegmentationModel


class SegmentationTask(LightningModule):
    """Trains a `SegmentationModel` with any loss that knows ignored pixels.

    Logged: ``train/loss``, the parts of a `MixedLoss` under ``train/``, and on validation ``val/iou``,
    ``val/boundary_f1`` (convention *pixels*, tolerance 2) and ``val/perimeter_ratio``, all of hard masks.

    Args:
        model: What is trained.
        loss: Called as ``loss(logits, labels)`` with logits (N, 1, H, W) and labels (N, H, W) of 0, 1 and 255;
            its parts get ``ignore_index=255`` unless they have one.
        total_steps: Of the optimiser; the learning rate rises over the first tenth and falls to 0 at the end.
        learning_rate: The highest.
        weight_decay: Of AdamW.

    Raises:
        SettingError: If the loss cannot leave out ignored pixels.
    """

    def __init__(
        self,
        model: SegmentationModel,
        loss: nn.Module,
        *,
        total_steps: int,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = _ignoring(loss)
        self.total_steps = total_steps
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.seed = torch.initial_seed()
        self.val_metrics = MetricCollection(
            {
                "val/iou": BinaryIoU(ignore_index=IGNORED),
                "val/boundary_f1": BinaryBoundaryF1(convention="pixels", tolerance=2.0, ignore_index=IGNORED),
                "val/perimeter_ratio": BinaryPerimeterRatio(ignore_index=IGNORED),
            },
            compute_groups=False,
        )

    def on_train_batch_start(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Makes what dropout drops a function of seed and epoch, so that a run goes on from a checkpoint unchanged."""
        if batch_idx == 0:
            torch.manual_seed(self.seed + self.current_epoch)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """One step of the optimiser."""
        if isinstance(self.loss, MixedLoss):
            self.loss.set_progress(self.global_step / self.total_steps)
        maps = [batch["distance"]] if "distance" in batch and uses_distance(self.loss) else []
        loss: Tensor = self.loss(self._logits(batch["image"]), batch["label"].long(), *maps)
        if not torch.isfinite(loss):
            raise SettingError(f"the loss became {loss.item()} at step {self.global_step}; lower --optim.learning_rate")
        self.log("train/loss", loss, prog_bar=True)
        if isinstance(self.loss, MixedLoss):
            self.log_dict({f"train/{name}": value for name, value in self.loss.parts.items()})
        return loss

    def _logits(self, image: Tensor) -> Tensor:
        try:
            logits: Tensor = self.model(image)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # batch normalisation's words for a single one
                raise
            raise SettingError(
                "a single window leaves this network one value a channel somewhere, which cannot be normalised; raise "
                "--data.batch_size to 2 or more, or --data.window"
            ) from error
        return logits

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Hard masks against labels."""
        self.val_metrics.update(self.model(batch["image"]).float().sigmoid(), batch["label"].long())

    def on_validation_start(self) -> None:
        """Looks at the weights: a checkpoint of broken ones, which comes next, would replace the last good one.

        Raises:
            SettingError: If some are infinite or no numbers.
        """
        if not all(bool(torch.isfinite(weight).all()) for weight in self.model.parameters()):
            raise SettingError(f"the weights became nan by step {self.global_step}; lower --optim.learning_rate")

    def on_validation_epoch_end(self) -> None:
        """Logs the metrics of all validation windows together."""
        self.log_dict({name: value.float() for name, value in self.val_metrics.compute().items()}, prog_bar=True)
        self.val_metrics.reset()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with one cycle of the learning rate."""
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        schedule = OneCycleLR(optimizer, self.learning_rate, total_steps=self.total_steps + 1, pct_start=0.1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what `crispmap.models.load_model` needs to predict with the checkpoint."""
        checkpoint["crispmap"] = asdict(self.model.spec)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Mends the count of logged steps."""
        # Lightning adds one to it, for checkpoints that were written before a step was counted; most come after.
        state = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"]
        state["_batches_that_stepped"] = checkpoint["global_step"] - 1


def _ignoring(loss: nn.Module) -> nn.Module:
    knowing = [part for part in loss.modules() if hasattr(part, "ignore_index")]
    if not knowing:
        raise SettingError(
            f"{type(loss).__name__} has no ignore_index, so it would learn from pixels without a label; "
            "choose a loss that has one"
        )
    for part in knowing:
        if getattr(part, "ignore_index", None) is None:
            setattr(part, "ignore_index", IGNORED)  # noqa: B010 - a Module's own attribute, unknown to the type
    return loss
