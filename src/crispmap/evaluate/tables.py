"""Evaluations as JSON and CSV."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crispmap.evaluate.evaluation import Evaluation


def write_json(path: Path, evaluations: Sequence[tuple[str, Evaluation]], *, per_image: bool) -> None:
    """Writes one prediction's scores as a flat object, those of several by their names under "predictions"."""
    found = {name: _with_images(evaluation, per_image) for name, evaluation in evaluations}
    content = next(iter(found.values())) if len(found) == 1 else {"predictions": found}
    path.write_text(json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, evaluations: Sequence[tuple[str, Evaluation]], *, per_image: bool) -> None:
    """Writes a row for each prediction, or for each prediction and image and one, named "all", for the set."""
    rows = []
    for name, evaluation in evaluations:
        if per_image:
            rows += [{"prediction": name, "image": image.name} | image.flat() for image in evaluation.images]
        rows.append({"prediction": name} | ({"image": "all"} if per_image else {}) | evaluation.to_dict())
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _with_images(evaluation: Evaluation, per_image: bool) -> dict[str, Any]:
    images = {"images": {image.name: image.flat() for image in evaluation.images}} if per_image else {}
    return evaluation.to_dict() | images
