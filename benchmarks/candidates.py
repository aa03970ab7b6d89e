"""The losses that were compared: baselines, what became the default, and what was tried beside it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.losses._base import ClassMaps, SegmentationLoss


class Density(SegmentationLoss):
    """Boundary densities compared: Σ|A − B| / (Σ(A + B) + 1) and its relatives, written for trying, not for speed.

    Args:
        thetas: Widths of the windows over which densities are taken; the mean over them.
        form: What becomes of a difference: "absolute", "huber", "charbonnier" or "excess" (too much costs half as
            much again as too little).
        delta: Where "huber" and "charbonnier" turn from square to straight, in lengths of a line across the window.
        kernel: "box", or "triangle" (two boxes of about half the width).
        pooled: Whether sums run over the batch.
    """

    def __init__(
        self,
        thetas: tuple[int, ...] = (5,),
        form: str = "absolute",
        delta: float = 0.1,
        kernel: str = "box",
        pooled: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__("binary", True, ignore_index)
        self.thetas = thetas
        self.form = form
        self.delta = delta
        self.kernel = kernel
        self.pooled = pooled

    def _loss(self, maps: ClassMaps) -> Tensor:
        pred, true = inner_boundary(maps.scores.sigmoid()), inner_boundary(maps.truth)
        if maps.valid is not None:
            near = F.max_pool2d((~maps.valid).float(), 3, 1, 1)
            pred, true = pred * (1 - near), true * (1 - near)
        return torch.stack([self._at(pred, true, theta) for theta in self.thetas]).mean()

    def _at(self, pred: Tensor, true: Tensor, theta: int) -> Tensor:
        a, b = (self._density(x, theta) for x in (pred, true))
        difference = a - b
        size = difference.abs()
        if self.form == "huber":
            size = torch.where(size < self.delta, size.square() / (2 * self.delta), size - self.delta / 2)
        elif self.form == "charbonnier":
            size = (difference.square() + self.delta**2).sqrt() - self.delta
        elif self.form == "excess":
            size = torch.where(difference > 0, 1.5 * size, size)
        dims = (0, 1, 2, 3) if self.pooled else (1, 2, 3)
        return (size.sum(dims) / ((a + b).sum(dims) + theta)).mean()

    def _density(self, boundary: Tensor, theta: int) -> Tensor:
        """Boundary pixels in the window over its width: 1 where a straight line crosses it."""
        if self.kernel == "triangle":
            half = (theta + 1) // 2 | 1
            return theta * F.avg_pool2d(F.avg_pool2d(boundary, half, 1, half // 2), half, 1, half // 2)
        return theta * F.avg_pool2d(boundary, theta, 1, theta // 2)


class Oriented(SegmentationLoss):
    """Boundaries compared as vectors: V = box mean of the gradient, Σ|V_pred − V_true| / (Σ(|V_pred| + |V_true|) + 1).

    Teeth that point both ways cancel inside a window: they earn nothing.

    Args:
        thetas: Widths of the windows; the mean over them.
        delta: Below which a difference counts as its square.
        amount: "none", or "excess": where the scalar amount of boundary is too large by more than the vectors differ,
            that counts instead.
        pooled: Whether sums run over the batch.
    """

    def __init__(
        self,
        thetas: tuple[int, ...] = (5,),
        delta: float = 0.01,
        amount: str = "none",
        pooled: bool = True,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__("binary", True, ignore_index)
        self.thetas = thetas
        self.delta = delta
        self.amount = amount
        self.pooled = pooled

    def _loss(self, maps: ClassMaps) -> Tensor:
        pred, true = maps.scores.sigmoid(), maps.truth
        if maps.valid is not None:
            pred, true = pred * maps.valid, true * maps.valid
        return torch.stack([self._at(pred, true, maps.valid, theta) for theta in self.thetas]).mean()

    def _at(self, pred: Tensor, true: Tensor, valid: Tensor | None, theta: int) -> Tensor:
        a, b = (windows_of(gradient(y), theta) for y in (pred, true))
        error = huber((a - b).square().sum(2), self.delta)
        amount = huber(a.square().sum(2), self.delta) + huber(b.square().sum(2), self.delta)
        if self.amount == "excess":
            lengths = [theta * F.avg_pool2d(inner_boundary(y), theta, 1, theta // 2) for y in (pred, true)]
            error = torch.maximum(error, lengths[0] - lengths[1])
            amount = lengths[0] + lengths[1]
        if valid is not None:
            inside = 1 - F.max_pool2d((~valid).float(), theta + 2, 1, theta // 2 + 1)
            error, amount = error * inside, amount * inside
        dims = (0, 1, 2, 3) if self.pooled else (1, 2, 3)
        return (error.sum(dims) / (amount.sum(dims) + theta)).mean()


class Edges(SegmentationLoss):
    """Pixel edges crossed with a sign, each axis by itself: net rise V and gross amount G in a window.

    Σ(|V_pred − V_true| + relu((G − |V|)_pred − (G − |V|)_true)) / (Σ(G_pred + G_true) + 1): what goes up and down again
    inside a window earns nothing, and costs where the truth does not do so too.

    Args:
        thetas: Widths of the windows; the mean over them.
        rough: The weight of the second term.
        pooled: Whether sums run over the batch.
        step: At which distance pixels are compared.
    """

    def __init__(
        self,
        thetas: tuple[int, ...] = (5,),
        rough: float = 1.0,
        pooled: bool = True,
        step: int = 1,
        ignore_index: int | None = None,
    ) -> None:
        super().__init__("binary", True, ignore_index)
        self.thetas = thetas
        self.rough = rough
        self.pooled = pooled
        self.step = step

    def _loss(self, maps: ClassMaps) -> Tensor:
        pred, true = maps.scores.sigmoid(), maps.truth
        return torch.stack([self._at(pred, true, maps.valid, theta) for theta in self.thetas]).mean()

    def _at(self, pred: Tensor, true: Tensor, valid: Tensor | None, theta: int) -> Tensor:
        error, amount = torch.zeros(()), torch.zeros(())
        dims = (0, 1, 2, 3) if self.pooled else (1, 2, 3)
        for axis in (2, 3):
            gross_a, net_a, gross_b, net_b = (
                F.avg_pool2d(x, theta, 1, theta // 2) * theta
                for y in (pred, true)
                for rise in [self._rise(y, axis)]
                for x in (rise.abs(), rise)
            )
            back = F.relu((gross_a - net_a.abs()) - (gross_b - net_b.abs()))
            wrong, all_of_it = (net_a - net_b).abs() + self.rough * back, gross_a + gross_b
            if valid is not None:
                hole = F.max_pool2d((~valid).float(), theta, 1, theta // 2)
                length = hole.shape[axis] - self.step
                inside = (1 - hole.narrow(axis, 0, length)) * (1 - hole.narrow(axis, self.step, length))
                wrong, all_of_it = wrong * inside, all_of_it * inside
            error, amount = error + wrong.sum(dims), amount + all_of_it.sum(dims)
        return (error / (amount + theta)).mean()

    def _rise(self, y: Tensor, axis: int) -> Tensor:
        length = y.shape[axis] - self.step
        return y.narrow(axis, self.step, length) - y.narrow(axis, 0, length)


def gradient(y: Tensor) -> Tensor:
    """Central differences, (N, C, 2, H, W); nothing changes across the border of the image."""
    x = F.pad(y, (1, 1, 1, 1), mode="replicate")
    return torch.stack((x[..., 1:-1, 2:] - x[..., 1:-1, :-2], x[..., 2:, 1:-1] - x[..., :-2, 1:-1]), 2) / 2


def windows_of(field: Tensor, theta: int) -> Tensor:
    """Sum over the window over its width: of length 1 where a straight line crosses it."""
    return theta * F.avg_pool2d(field.flatten(1, 2), theta, 1, theta // 2).view_as(field)


def huber(squared: Tensor, delta: float) -> Tensor:
    """Length of a vector from its square; quadratic below delta."""
    long = squared >= delta**2
    length = torch.where(long, squared, 1.0).sqrt()
    return torch.where(long, length - delta / 2, squared / (2 * delta))


def inner_boundary(y: Tensor) -> Tensor:
    """Y − min over 3×3, ties split evenly."""
    height, width = y.shape[-2:]
    padded = F.pad(y, (1, 1, 1, 1), value=float("inf"))
    windows = [padded[..., i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return y - torch.stack(windows, -1).amin(-1)


def mixed(boundary: Any = None, region: str = "crispmap.IoULoss", weight: Any = 0.0) -> dict[str, Any]:
    """BCE + w·boundary + (1 − w)·region, as YAML has it."""
    parts: dict[str, Any] = {"region": {"class_path": region}, "weight": weight}
    return {"class_path": "crispmap.MixedLoss", "init_args": parts | ({"boundary": boundary} if boundary else {})}


def ramp(to: float, start: float = 0.3, end: float = 0.8) -> dict[str, Any]:
    """A weight that grows."""
    return {"class_path": "crispmap.RampWeight", "init_args": {"to": to, "start": start, "end": end}}


def density(**settings: Any) -> dict[str, Any]:
    """A candidate, as YAML has it."""
    return {"class_path": "candidates.Density", "init_args": settings}


def oriented(**settings: Any) -> dict[str, Any]:
    """A candidate, as YAML has it."""
    return {"class_path": "candidates.Oriented", "init_args": settings}


def edges(**settings: Any) -> dict[str, Any]:
    """A candidate, as YAML has it."""
    return {"class_path": "candidates.Edges", "init_args": settings}


PAPER = {"class_path": "crispmap.BoundaryLoss", "init_args": {"variant": "paper"}}
BALANCED = {"class_path": "crispmap.BoundaryLoss", "init_args": {"reduction": "batch"}}


def with_theta(theta: int) -> dict[str, Any]:
    """The default with another tolerance."""
    return {"class_path": "crispmap.BoundaryLoss", "init_args": {"reduction": "batch", "theta": theta}}


LOSSES: dict[str, Any] = {
    "bce": "crispmap.BCELoss",
    "bce_iou": mixed(),
    "bce_dice": mixed(region="crispmap.DiceLoss"),
    "paper": mixed(PAPER, weight=ramp(0.5)),
    "balanced": mixed(BALANCED, weight=ramp(0.9, 0.0, 0.3)),
    "paper_w0.9": mixed(PAPER, weight=ramp(0.9)),
    "balanced_w0.5": mixed(BALANCED, weight=ramp(0.5, 0.0, 0.3)),
    "balanced_w0.7": mixed(BALANCED, weight=ramp(0.7, 0.0, 0.3)),
    "balanced_theta3": mixed(with_theta(3), weight=ramp(0.9, 0.0, 0.3)),
    "balanced_theta3_w0.5": mixed(with_theta(3), weight=ramp(0.5, 0.0, 0.3)),
    "balanced_theta7": mixed(with_theta(7), weight=ramp(0.9, 0.0, 0.3)),
    "balanced_per_image": mixed({"class_path": "crispmap.BoundaryLoss"}, weight=ramp(0.9, 0.0, 0.3)),
    "density": mixed(density(), weight=ramp(0.9)),
    "density_per_image": mixed(density(pooled=False), weight=ramp(0.9)),
    "density_huber": mixed(density(form="huber"), weight=ramp(0.9)),
    "density_huber_early": mixed(density(form="huber"), weight=ramp(0.9, 0.0, 0.3)),
    "density_huber_w0.5": mixed(density(form="huber"), weight=ramp(0.5)),
    "density_huber_theta7": mixed(density(form="huber", thetas=[7]), weight=ramp(0.9)),
    "density_huber_theta9": mixed(density(form="huber", thetas=[9]), weight=ramp(0.9)),
    "density_huber_theta3": mixed(density(form="huber", thetas=[3]), weight=ramp(0.9)),
    "density_huber_multi": mixed(density(form="huber", thetas=[3, 5, 9]), weight=ramp(0.9)),
    "density_charbonnier": mixed(density(form="charbonnier"), weight=ramp(0.9)),
    "density_excess": mixed(density(form="excess"), weight=ramp(0.9)),
    "density_multi": mixed(density(thetas=[3, 5, 9]), weight=ramp(0.9)),
    "oriented": mixed(oriented(), weight=ramp(0.9)),
    "oriented_w0.5": mixed(oriented(), weight=ramp(0.5)),
    "oriented_early": mixed(oriented(), weight=ramp(0.9, 0.0, 0.3)),
    "oriented_excess": mixed(oriented(amount="excess"), weight=ramp(0.9)),
    "oriented_per_image": mixed(oriented(pooled=False), weight=ramp(0.9)),
    "oriented_theta3": mixed(oriented(thetas=[3]), weight=ramp(0.9)),
    "oriented_theta7": mixed(oriented(thetas=[7]), weight=ramp(0.9)),
    "oriented_theta9": mixed(oriented(thetas=[9]), weight=ramp(0.9)),
    "oriented_multi": mixed(oriented(thetas=[3, 5, 9]), weight=ramp(0.9)),
    "oriented_delta0.1": mixed(oriented(delta=0.1), weight=ramp(0.9)),
    "edges": mixed(edges(), weight=ramp(0.9)),
    "edges_w0.5": mixed(edges(), weight=ramp(0.5)),
    "edges_early": mixed(edges(), weight=ramp(0.9, 0.0, 0.3)),
    "edges_net": mixed(edges(rough=0.0), weight=ramp(0.9)),
    "edges_per_image": mixed(edges(pooled=False), weight=ramp(0.9)),
    "edges_theta3": mixed(edges(thetas=[3]), weight=ramp(0.9)),
    "edges_theta7": mixed(edges(thetas=[7]), weight=ramp(0.9)),
    "edges_theta9": mixed(edges(thetas=[9]), weight=ramp(0.9)),
    "edges_multi": mixed(edges(thetas=[3, 5, 9]), weight=ramp(0.9)),
    "edges_now": mixed(edges(), weight=0.9),
    "edges_now_w0.5": mixed(edges(), weight=0.5),
    "edges_now_theta7": mixed(edges(thetas=[7]), weight=0.9),
    "edges_early_theta7": mixed(edges(thetas=[7]), weight=ramp(0.9, 0.0, 0.3)),
    "edges_early_theta9": mixed(edges(thetas=[9]), weight=ramp(0.9, 0.0, 0.3)),
    "edges_early_multi": mixed(edges(thetas=[3, 5, 9]), weight=ramp(0.9, 0.0, 0.3)),
    "edges_early_per_image": mixed(edges(pooled=False), weight=ramp(0.9, 0.0, 0.3)),
    "oriented_excess_early": mixed(oriented(amount="excess"), weight=ramp(0.9, 0.0, 0.3)),
    "density_early": mixed(density(), weight=ramp(0.9, 0.0, 0.3)),
    "paper_early": mixed(PAPER, weight=ramp(0.9, 0.0, 0.3)),
    "density_triangle": mixed(density(kernel="triangle", thetas=[9]), weight=ramp(0.9)),
}
