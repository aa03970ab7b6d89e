"""Tables of scores: a row for each metric with the definition printed beside it, a column for each prediction."""

from crispmap.evaluate.definitions import Definitions
from crispmap.evaluate.evaluation import Evaluation, Scores
from crispmap.functional.conventions import rules_of
from crispmap.functional.lengths import Length
from crispmap.functional.outline_score import CORNER_RADIUS
from crispmap.report import MethodResult, Metric


def metrics_of(evaluation: Evaluation) -> list[Metric]:
    """The rows of a table of scores, those that have nothing to say about these files left out."""
    definitions = evaluation.definitions
    unit, iou = definitions.cap.unit, f"{definitions.object_iou:g}"
    measured = f"{evaluation.boundary_f1_images} of {evaluation.n_images}"
    rows = [
        Metric("iou", "IoU", "pixels pooled"),
        Metric("f1", "F1", "pixels pooled"),
        Metric("precision", "precision", "pixels pooled"),
        Metric("recall", "recall", "pixels pooled"),
        *(
            Metric(f"boundary_f1_{_key(length)}", f"boundary F1 at {length}", _boundary(definitions, length, measured))
            for length in definitions.tolerances
        ),
        Metric("boundary_precision", "boundary precision", f"likewise, at {definitions.tolerances[0]}"),
        Metric("boundary_recall", "boundary recall", f"likewise, at {definitions.tolerances[0]}"),
        Metric("boundary_iou", "Boundary IoU", f"Cheng, bands {_band(definitions.band)} wide, pixels pooled"),
        Metric(
            "perimeter_ratio",
            "perimeter ratio",
            "predicted / true outline in pixel edges, pooled; above 1 jagged or full of specks",
            best="nearest 1",
        ),
        Metric(
            "corner_ratio",
            "corner ratio",
            f"predicted / true outline that turns within {CORNER_RADIUS} px, pooled",
            best="nearest 1",
        ),
        Metric(
            "hausdorff_95",
            f"Hausdorff 95, {unit}",
            f"95th percentile of distances, pooled, measured up to {definitions.cap}",
            best="lowest",
        ),
        Metric(
            "mean_surface_distance",
            f"surface distance, {unit}",
            f"mean of both directions, pooled, distances above {definitions.cap} counted as that",
            best="lowest",
        ),
        Metric("object_f1", "object F1", f"objects matched at IoU ≥ {iou}"),
        Metric("object_precision", "object precision", "share of predicted objects that are matched"),
        Metric("object_recall", "object recall", "share of true objects that are matched"),
        Metric("object_average_precision", "object AP", "mean of TP / (TP + FP + FN) over IoU 0.5, 0.55, …, 0.95"),
        Metric(
            "merged",
            "merged",
            f"predicted objects that hold several true ones, of {evaluation.n_predicted:,}",
            best="lowest",
        ),
        Metric(
            "split", "split", f"true objects that hold several predicted ones, of {evaluation.n_true:,}", best="lowest"
        ),
        Metric("polis", "PoLiS, m", "mean over matched polygons", best="lowest"),
        Metric("vertex_ratio", "vertex ratio", "predicted / true vertices of matched polygons", best="nearest 1"),
    ]
    return [row for row in rows if row.key not in ("polis", "vertex_ratio") or evaluation.flat()[row.key] is not None]


def result_of(name: str, scores: Scores, definitions: Definitions, description: str = "") -> MethodResult:
    """A column of a table of scores."""
    flat = scores.flat()
    censored = scores.hausdorff_95 == float("inf")
    if censored:
        flat["hausdorff_95"] = scores.hausdorff_95
    return MethodResult(name, description, flat, {"hausdorff_95": f"> {definitions.cap}"} if censored else {})


def _key(length: Length) -> str:
    return str(length).replace(" ", "")


def _boundary(definitions: Definitions, length: Length, measured: str) -> str:
    rules = rules_of(definitions.convention)
    sign = "<" if rules.strict else "≤"
    over = f"mean of {measured} images" if rules.reduction == "image" else "pixels pooled"
    return f"{definitions.convention}, distance {sign} {length}{_of_diagonal(length)}, {over}"


def _band(length: Length) -> str:
    return f"{length}{_of_diagonal(length)}"


def _of_diagonal(length: Length) -> str:
    return " of the diagonal" if length.unit == "diagonal" else ""
