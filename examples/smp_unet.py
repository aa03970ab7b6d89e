"""crispmap's losses with segmentation_models_pytorch, on images it makes itself: ``python examples/smp_unet.py``."""

import segmentation_models_pytorch as smp
import torch

from crispmap import BCELoss, BinaryIoU, BinaryPerimeterRatio, BoundaryLoss, IoULoss, MixedLoss, RampWeight

STEPS = 25

torch.manual_seed(0)


def draw_batch(count=4, side=64):
    """Bright squares in noise: images (N, 3, H, W) and masks (N, 1, H, W)."""
    masks = torch.zeros(count, 1, side, side)
    for mask in masks:
        for row, col in torch.randint(side - 16, (3, 2)):
            mask[0, row : row + 16, col : col + 16] = 1
    return masks + torch.randn(count, 3, side, side), masks


network = smp.Unet("resnet18", encoder_depth=3, decoder_channels=(64, 32, 16), encoder_weights=None)  # gives logits
mode = smp.losses.BINARY_MODE
criterion = MixedLoss(
    pixel=BCELoss(mode),
    boundary=BoundaryLoss(mode, theta=5),
    region=IoULoss(mode),
    weight=RampWeight(),
)
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)

network.train()
for step in range(STEPS):
    criterion.set_progress(step / STEPS)
    images, masks = draw_batch()
    loss = criterion(network(images), masks)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

network.eval()
images, masks = draw_batch()
iou, perimeter_ratio = BinaryIoU(), BinaryPerimeterRatio()
with torch.inference_mode():
    for metric in (iou, perimeter_ratio):
        metric.update(network(images), masks.int())
print(f"IoU {iou.compute():.2f}, perimeter ratio {perimeter_ratio.compute():.2f}")
