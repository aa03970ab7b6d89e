"""The differentiable surrogate of boundary F1: as published, and balanced."""

from typing import Literal

from torch import Tensor

from crispmap.functional._checks import check_choice, check_odd
from crispmap.functional._reduction import LossReduction, in_full_precision, reduce_losses
from crispmap.functional.boundary_sums import balanced_sums, paper_sums

Variant = Literal["balanced", "paper"]


def boundary_loss(
    y_pred: Tensor,
    y_true: Tensor,
    *,
    theta0: int = 3,
    theta: int = 5,
    variant: Variant = "balanced",
    reduction: LossReduction = "image",
    valid: Tensor | None = None,
    class_weights: Tensor | None = None,
    eps: float = 1e-7,
) -> Tensor:
    """One minus a soft boundary F1 score.

    **paper** (Bokhovkin & Burnaev 2019, arXiv:1905.07852). With pool(x, k) the maximum over a k×k window and
    b = pool(1 − y, θ0) − (1 − y) the boundary of a map y:

        P = Σ pred_b · pool(true_b, θ) / (Σ pred_b + ε)
        R = Σ true_b · pool(pred_b, θ) / (Σ true_b + ε)
        loss = 1 − 2PR / (P + R + ε)

    A maximum is content with one dot in every window, so this form is blind to comb teeth and rewards them where
    labels are inexact.

    **balanced** compares instead, window by window, how far the map rises and falls. With r = y(x + s) − y(x),
    s = (θ0 − 1)/2, the change from pixel to pixel along one axis, and U, F the sums of what rises (r > 0) and what
    falls (−r > 0) over the θ×θ edges around an edge:

        N = Σ |(U − F)_pred − (U − F)_true| + 2·max(0, min(U, F)_pred − min(U, F)_true)
        A = Σ (U + F)_pred + (U + F)_true                        both over all windows of both axes
        loss = N / (A + θ²)

    U + F is the length of boundary in the window, in pixel edges where the map is a mask. It is an F1: the loss is
    1 − 2M / (2M + N) for the matched length M = (A − N)/2. The first term counts net change alone, so whatever goes up
    and down again inside a window, teeth, dots, ripples, earns nothing; the second makes it cost unless the truth does
    the same. The tolerance is gradual: a straight edge that lies d ≤ θ pixels off costs d/θ.

    The two agree where the faults of the first do not bite: both are 0 for a prediction that equals a truth with
    edges in it, and tend to 1 where the boundaries are θ or more apart, or where there is none in the prediction.

    *Convention.* Sums over each class of each image and then the mean of the losses, or what `reduction`
    says. The image border makes no boundary. Computed in float32 at least. The truth takes no gradient. Where
    several pixels attain a maximum they share the gradient, so that it turns and flips with the image.

    Empties: *paper* gives 1 if prediction or truth has no boundary, both included, and then no gradient.
    *balanced* gives A/(A + θ²) for an empty truth: 0 if nothing is predicted, otherwise a gradient that removes what
    is; a prediction of nothing has a gradient towards the truth.

    Ignored pixels: windows that reach one take no part. For *balanced* that is all edges within (θ − 1)/2 of
    them, and pixels that no other window sees have no gradient; for *paper*, boundary pixels within
    (θ0 + θ)/2 − 1.

    Args:
        y_pred: Probabilities in [0, 1], shape (N, C, H, W).
        y_true: Truth in [0, 1], of the same shape.
        theta0: Odd width of the window that finds the boundary, at least 3.
        theta: Odd width of the window in which boundaries are compared, at least 1: a tolerance of (θ − 1)/2
            pixels, which should be about the error of the labels.
        variant: "balanced" or "paper".
        reduction: "image", "batch" (sums pooled over the batch) or "none".
        valid: Bool, false at ignored pixels, shape (N, C, H, W) or (N, 1, H, W).
        class_weights: Shape (C,), for a weighted mean over classes.
        eps: What ε is, in the paper's form.

    Returns:
        A scalar in [0, 1]; shape (N, C) with ``reduction="none"``.

    Raises:
        SettingError: If θ0, θ, variant or reduction is not allowed.
    """
    check_boundary_settings(theta0, theta, variant, reduction)
    pred, true = (y.flatten(0, 1) for y in in_full_precision(y_pred, y_true.detach()))
    kept = None if valid is None else valid.expand_as(y_pred).flatten(0, 1)
    sums = (
        balanced_sums(pred, true, kept, (theta0 - 1) // 2, theta)
        if variant == "balanced"
        else paper_sums(pred, true, kept, theta0, theta)
    )
    by_class = [s.view(y_pred.shape[:2]) for s in sums]
    if reduction == "batch":
        by_class = [s.sum(0) for s in by_class]
    return reduce_losses(
        _balanced(by_class) if variant == "balanced" else _paper(by_class, eps), reduction, class_weights
    )


def _balanced(sums: list[Tensor]) -> Tensor:
    error, amount = sums
    return error / (amount + 1)


def _paper(sums: list[Tensor], eps: float) -> Tensor:
    pred, true, matched_pred, matched_true = sums
    precision, recall = matched_pred / (pred + eps), matched_true / (true + eps)
    return 1 - 2 * precision * recall / (precision + recall + eps)


def check_boundary_settings(theta0: int, theta: int, variant: Variant, reduction: LossReduction) -> None:
    """Checks the settings of `boundary_loss`.

    Raises:
        SettingError: If one of them is not allowed.
    """
    check_odd("theta0", theta0, at_least=3)
    check_odd("theta", theta, at_least=1)
    check_choice("variant", variant, Variant)
    check_choice("reduction", reduction, LossReduction)
