"""Predictions and truths of every awkward kind."""

import torch
import torch.nn.functional as F

KINDS = ("random", "mask", "blob", "smooth", "levels", "empty", "full")
LEVELS = (0.0, 0.25, 0.625, 1.0)  # sums of them are exact


def soft_map(kind, shape, seed=0, levels=LEVELS):
    """A float64 map of shape (…, H, W): noise, noisy or smooth masks, soft fields, flat patches, or flat as a whole."""
    *maps, height, width = shape
    generator = torch.Generator().manual_seed(seed)
    if kind == "levels":
        patches = torch.randint(len(levels), (*maps, height // 3 + 1, width // 2 + 1), generator=generator)
        patches = patches.repeat_interleave(3, -2).repeat_interleave(2, -1)[..., :height, :width]
        return torch.tensor(levels, dtype=torch.float64)[patches]
    noise = torch.rand(shape, generator=generator, dtype=torch.float64)
    field = F.avg_pool2d(noise.view(-1, 1, height, width), 5, 1, 2, count_include_pad=False).view(shape)
    return {
        "random": noise,
        "mask": (noise > 0.6).double(),
        "blob": (field > 0.5).double(),
        "smooth": ((field - 0.5) * 9).sigmoid(),
        "empty": torch.zeros_like(noise),
        "full": torch.ones_like(noise),
    }[kind]
