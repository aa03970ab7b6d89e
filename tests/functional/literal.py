"""The boundary losses written down once more, literally and slowly, to test the fast forms against."""

import torch
import torch.nn.functional as F


def pool(x, width):
    """Maximum over width×width windows of (B, H, W), −∞ beyond the edge; ``amax`` shares a tied gradient evenly."""
    height, wide = x.shape[-2:]
    reach = width // 2
    padded = F.pad(x, (reach,) * 4, value=float("-inf"))
    windows = padded.unfold(-2, width, 1).unfold(-2, width, 1)
    assert windows.shape[-4:-2] == (height, wide)
    return windows.amax((-1, -2))


def paper_sums(pred, true, valid, theta0, theta):
    pred_b, true_b = (pool(1 - y, theta0) - (1 - y) for y in (pred, true))
    kept = torch.ones_like(pred)
    if valid is not None:
        reach = (theta0 + theta) // 2 - 1
        kept = 1 - pool((~valid).to(pred), 2 * reach + 1)
    return (
        (kept * pred_b).sum((1, 2)),
        (kept * true_b).sum((1, 2)),
        (kept * pred_b * pool(true_b, theta)).sum((1, 2)),
        (kept * true_b * pool(pred_b, theta)).sum((1, 2)),
    )


def balanced_sums(pred, true, valid, step, theta):
    """Window by window and edge by edge, all maps of the batch beside each other.

    Where autograd meets a kink it takes the slope in the middle, as the symmetric form of a rise, (|r| + r)/2, does,
    or, where the prediction goes back and forth exactly as much as the truth, the one that wants no change.
    """
    valid = torch.ones_like(pred, dtype=torch.bool) if valid is None else valid
    error, amount = pred.sum((1, 2)) * 0, pred.sum((1, 2)) * 0
    for p, t, v in ((pred, true, valid), (pred.mT, true.mT, valid.mT)):
        height, width = p.shape[1:]
        edges = width - step
        reach = theta // 2
        for row in range(height):
            for edge in range(edges):
                rows = slice(max(row - reach, 0), row + reach + 1)
                first, last = max(edge - reach, 0), min(edge + reach, edges - 1)
                kept = v[:, rows, max(edge - reach, 0) : edge + reach + 1].all(1).all(1)
                kept = kept & v[:, rows, max(edge - reach + step, 0) : edge + reach + step + 1].all(1).all(1)
                if not kept.any():
                    continue
                p_rise, p_fall, t_rise, t_fall = (
                    side
                    for y in (p, t)
                    for r in [y[:, rows, first + step : last + step + 1] - y[:, rows, first : last + 1]]
                    for side in ((r.abs() + r).sum((1, 2)) / 2, (r.abs() - r).sum((1, 2)) / 2)
                )
                net = (p_rise - p_fall) - (t_rise - t_fall)
                back = torch.minimum(p_rise, p_fall) - torch.minimum(t_rise, t_fall)
                error = error + kept * (net.abs() + 2 * back.relu())
                amount = amount + kept * (p_rise + p_fall + t_rise + t_fall)
    return error / theta**2, amount / theta**2
