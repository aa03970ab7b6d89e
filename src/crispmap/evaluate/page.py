"""The page of an evaluation, of one prediction or of several against one truth."""

from collections.abc import Sequence
from pathlib import Path

from crispmap.evaluate.evaluation import Evaluation
from crispmap.evaluate.score_rows import metrics_of, result_of
from crispmap.evaluate.worst import worst_windows
from crispmap.report import Chart, Curve, EvaluationPage, MethodResult, write_evaluation_page


def write_page(
    path: Path, evaluations: Sequence[tuple[str, Evaluation]], truth: Path, *, per_image: bool, command: str, made: str
) -> None:
    """Writes it.

    Args:
        path: The HTML file.
        evaluations: The name of each prediction and its evaluation, under the same definitions.
        truth: What they were compared with.
        per_image: Whether the page lists the scores of every image.
        command: That made the page.
        made: When, by which version, on which machine.
    """
    first = evaluations[0][1]
    definitions, cap = first.definitions, first.definitions.cap
    facts = [("truth", truth.name), ("images", f"{first.n_images:,}"), ("pixels", f"{first.n_pixels:,}")]
    if first.resolution is not None:
        facts.append(("ground resolution", f"{first.resolution:.3g} m"))
    curves = [Curve(name, *zip(*evaluation.curve, strict=True)) for name, evaluation in evaluations]
    page = EvaluationPage(
        title=" and ".join(name for name, _ in evaluations) + " against the truth",
        facts=facts,
        metrics=metrics_of(first),
        predictions=[result_of(name, evaluation, definitions) for name, evaluation in evaluations],
        curve=Chart("boundary F1 (csurka) over the tolerance", curves, axis=f"tolerance, {cap.unit}"),
        per_image=_images(evaluations) if per_image else None,
        windows=worst_windows(evaluations),
        notes=[f"{name}: {note}" for name, evaluation in evaluations for note in evaluation.notes],
        command=command,
        made=made,
    )
    write_evaluation_page(path, page)


def _images(evaluations: Sequence[tuple[str, Evaluation]]) -> list[tuple[str, list[MethodResult]]]:
    rows: dict[str, list[MethodResult]] = {}
    for name, evaluation in evaluations:
        for image in evaluation.images:
            rows.setdefault(image.name, []).append(result_of(name, image, evaluation.definitions))
    return list(rows.items())
