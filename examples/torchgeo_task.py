"""crispmap's losses in torchgeo's segmentation task, on images it makes: ``python examples/torchgeo_task.py``."""

import torch
from lightning.pytorch import Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader
from torchgeo.trainers import SemanticSegmentationTask

from crispmap import BCELoss, BinaryPerimeterRatio, BoundaryLoss, IoULoss, MixedLoss, RampWeight
from crispmap.callbacks import JaggednessGuard


class CrispSegmentationTask(SemanticSegmentationTask):
    def configure_losses(self):
        mode, ignore = self.hparams["task"], self.hparams["ignore_index"]  # the tasks go by the names of our modes
        of_classes = nn.CrossEntropyLoss(ignore_index=-100 if ignore is None else ignore)
        self.criterion = MixedLoss(
            pixel=of_classes if mode == "multiclass" else BCELoss(mode, ignore_index=ignore),
            boundary=BoundaryLoss(mode, theta=5, ignore_index=ignore),
            region=IoULoss(mode, ignore_index=ignore),
            weight=RampWeight(),
        )
        self.criterion.set_progress(0)  # for validation before or without training

    def on_train_batch_start(self, batch, batch_idx):
        self.criterion.set_progress(self.global_step / self.trainer.estimated_stepping_batches)

    def configure_metrics(self):
        super().configure_metrics()
        if self.hparams["task"] == "binary":
            ratio = BinaryPerimeterRatio(ignore_index=self.hparams["ignore_index"])
            self.val_metrics.add_metrics({"perimeter_ratio": ratio})


def draw(count, side=64):
    """Samples as torchgeo's datasets give them: bright squares in noise, the left edge of unknown class."""
    masks = torch.zeros(count, side, side, dtype=torch.long)
    for mask in masks:
        for row, col in torch.randint(side - 16, (3, 2)):
            mask[row : row + 16, col : col + 16] = 1
    images = masks[:, None] + torch.randn(count, 3, side, side)
    masks[:, :, :8] = 255
    return [{"image": image, "mask": mask} for image, mask in zip(images, masks, strict=True)]


seed_everything(0)
task = CrispSegmentationTask(model="fcn", num_filters=16, task="binary", ignore_index=255, lr=3e-3)
guard = JaggednessGuard("val_perimeter_ratio", quality="val_BinaryJaccardIndex")
trainer = Trainer(max_epochs=5, callbacks=[guard], logger=False, enable_checkpointing=False)
trainer.fit(task, DataLoader(draw(80), batch_size=8), DataLoader(draw(8), batch_size=8))
metrics = trainer.callback_metrics
print(f"IoU {metrics['val_BinaryJaccardIndex']:.2f}, perimeter ratio {metrics['val_perimeter_ratio']:.2f}")
