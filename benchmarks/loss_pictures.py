"""What the losses compared by `loss_comparison.py` make of one synthetic scene: docs/research/boundary-loss-masks.png.

.venv/bin/python benchmarks/loss_pictures.py    # after: loss_comparison.py train synthetic --losses … --seeds 0
"""

import matplotlib
import torch
from loss_comparison import ROOT, WORK, folders

from crispmap.data.folder import find_scenes
from crispmap.models import load_model

matplotlib.use("Agg")
from matplotlib import pyplot as plt

SHOWN = {"bce_iou": "BCE + IoU", "paper_early": "with the published term", "balanced": "with the balanced term"}
SCENE, CROP = 4, slice(30, 190)


def main() -> None:
    """Draws image, truth and masks side by side."""
    where = folders("synthetic")
    scene = find_scenes(where["val_images"], where["val_labels"], scale=0.5)[SCENE]
    window = scene.image.window
    sample = scene.read(window, (window.height // 2, window.width // 2))
    panels = [("image", sample.image.transpose(1, 2, 0) / 255), ("truth", sample.label == 1)]
    for loss, title in SHOWN.items():
        model = load_model(WORK / "synthetic" / f"{loss}-300-0").eval()
        with torch.inference_mode():
            panels.append((title, (model(torch.from_numpy(sample.image)[None])[0, 0] > 0).numpy()))
    figure, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3.3), layout="constrained")
    for axis, (title, picture) in zip(axes, panels, strict=True):
        axis.imshow(picture[CROP, CROP], cmap="gray", interpolation="nearest")
        axis.set_title(title)
        axis.set_axis_off()
    figure.savefig(ROOT / "docs" / "research" / "boundary-loss-masks.png", dpi=110)


if __name__ == "__main__":
    main()
