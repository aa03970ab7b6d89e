"""crispmap's losses, metrics and guard in Lightning, on images it makes: ``python examples/lightning_module.py``."""

import torch
from lightning.pytorch import LightningModule, Trainer, seed_everything
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchmetrics import MetricCollection

from crispmap import BCELoss, BinaryIoU, BinaryPerimeterRatio, BoundaryLoss, IoULoss, MixedLoss, RampWeight
from crispmap.callbacks import JaggednessGuard


class Segmentation(LightningModule):
    def __init__(self, network):
        super().__init__()
        self.network = network
        self.criterion = MixedLoss(
            pixel=BCELoss(), boundary=BoundaryLoss(theta=5), region=IoULoss(), weight=RampWeight()
        )
        self.val_metrics = MetricCollection({"val/iou": BinaryIoU(), "val/perimeter_ratio": BinaryPerimeterRatio()})

    def training_step(self, batch, batch_idx):
        images, labels = batch
        self.criterion.set_progress(self.global_step / self.trainer.estimated_stepping_batches)
        loss = self.criterion(self.network(images), labels)
        self.log_dict({f"train/{name}": part for name, part in self.criterion.parts.items()})
        return loss

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        self.val_metrics.update(self.network(images), labels)
        self.log_dict(self.val_metrics)

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


def draw(count, side=64):
    """Bright squares in noise: images (N, 3, H, W) and labels (N, H, W)."""
    labels = torch.zeros(count, side, side, dtype=torch.long)
    for label in labels:
        for row, col in torch.randint(side - 16, (3, 2)):
            label[row : row + 16, col : col + 16] = 1
    return TensorDataset(labels[:, None] + torch.randn(count, 3, side, side), labels)


seed_everything(0)
network = nn.Sequential(
    nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 1, 1)
)
trainer = Trainer(max_epochs=4, callbacks=[JaggednessGuard()], logger=False, enable_checkpointing=False)
trainer.fit(Segmentation(network), DataLoader(draw(120), batch_size=8), DataLoader(draw(8), batch_size=8))
metrics = trainer.callback_metrics
print(f"IoU {metrics['val/iou']:.2f}, perimeter ratio {metrics['val/perimeter_ratio']:.2f}")
