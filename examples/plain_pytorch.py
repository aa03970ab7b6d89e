"""crispmap's losses in a plain PyTorch loop, on images it makes itself: ``python examples/plain_pytorch.py``."""

import torch
from torch import nn

from crispmap import BCELoss, BinaryIoU, BinaryPerimeterRatio, BoundaryLoss, IoULoss, MixedLoss, RampWeight

STEPS = 60
UNKNOWN = 255  # the label of pixels of which nothing is known

torch.manual_seed(0)


def draw_batch(count=8, side=64):
    """Bright squares in noise: images (N, 3, H, W) and labels (N, H, W)."""
    labels = torch.zeros(count, side, side, dtype=torch.long)
    for label in labels:
        for row, col in torch.randint(side - 16, (3, 2)):
            label[row : row + 16, col : col + 16] = 1
    images = labels[:, None] + torch.randn(count, 3, side, side)
    labels[:, :, :8] = UNKNOWN
    return images, labels


network = nn.Sequential(
    nn.Conv2d(3, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 1, 1)
)
criterion = MixedLoss(
    pixel=BCELoss(ignore_index=UNKNOWN),
    boundary=BoundaryLoss(theta=5, ignore_index=UNKNOWN),
    region=IoULoss(ignore_index=UNKNOWN),
    weight=RampWeight(),  # of the boundary: it grows to 0.9 over the first 30 % of training
)
optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)

for step in range(STEPS):
    criterion.set_progress(step / STEPS)
    images, labels = draw_batch()
    loss = criterion(network(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

images, labels = draw_batch()
iou, perimeter_ratio = BinaryIoU(ignore_index=UNKNOWN), BinaryPerimeterRatio(ignore_index=UNKNOWN)
for metric in (iou, perimeter_ratio):
    metric.update(network(images), labels)
print(f"IoU {iou.compute():.2f}, perimeter ratio {perimeter_ratio.compute():.2f}")
