"""docs/metrics.md with its pictures, and docs/results/metric-failures.json: what the metrics mean and what they see.

    .venv/bin/python benchmarks/metrics_page.py

The text is in metrics_page.md.jinja, the failures in metrics_failures.py, and the figures of real imagery come from
docs/results/metric-conventions.json, which `conventions.py` writes. Every other number is computed here.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from jinja2 import Environment, StrictUndefined
from machine import circumstances
from metrics_conventions import summary, table, wrapped
from metrics_failures import SIZE, TOLERANCE, Failure, failures, measurements, values, verdict

from crispmap.functional import boundary_counts, boundary_f1, confusion_counts, iou
from crispmap.functional.band_score import WIDTH, band_width
from crispmap.functional.conventions import Convention, Rules, rules_of
from crispmap.functional.lengths import Length
from crispmap.functional.outline_score import _TURNS, CORNER_RADIUS

BENCHMARKS = Path(__file__).parent
DOCS = BENCHMARKS.parent / "docs"
PAGE, PICTURES = DOCS / "metrics.md", DOCS / "metrics"
CONVENTIONS = DOCS / "results" / "metric-conventions.json"
FAILURES = DOCS / "results" / "metric-failures.json"
COMMAND = "python benchmarks/metrics_page.py"

IMAGES = (  # height, width, metres a pixel where it is known
    ("a photograph, 480 × 640 px", (480, 640), None),
    ("a training window, 256² px of 0.3 m", (256, 256), 0.3),
    ("an INRIA tile, 5000² px of 0.3 m", (5000, 5000), 0.3),
    ("a Potsdam tile, 6000² px of 0.05 m", (6000, 6000), 0.05),
)

PLACES = (  # metric; class; functional twin; what `crispmap evaluate` calls it, and its options
    ("IoU", "BinaryIoU", "functional.iou", "iou", ""),
    ("F1", "BinaryF1", "functional.f1", "f1", ""),
    ("boundary F1", "BinaryBoundaryF1", "functional.boundary_f1", "boundary_f1", "--convention --tolerance"),
    (
        "boundary precision",
        "BinaryBoundaryPrecision",
        "functional.boundary_scores",
        "boundary_precision",
        "--convention --tolerance",
    ),
    (
        "boundary recall",
        "BinaryBoundaryRecall",
        "functional.boundary_scores",
        "boundary_recall",
        "--convention --tolerance",
    ),
    ("Boundary IoU", "BinaryBoundaryIoU", "functional.boundary_iou", "boundary_iou", "--band-width"),
    ("perimeter ratio", "BinaryPerimeterRatio", "functional.perimeter_ratio", "perimeter_ratio", ""),
    ("corner ratio", "BinaryCornerRatio", "functional.corner_ratio", "corner_ratio", ""),
    ("Hausdorff 95", "BinaryHausdorffDistance", "functional.hausdorff_distance", "hausdorff_95", "--distance-cap"),
    (
        "surface distance",
        "BinarySurfaceDistance",
        "functional.mean_surface_distance",
        "mean_surface_distance",
        "--distance-cap",
    ),
    ("object F1", "BinaryObjectF1", "functional.object_f1", "object_f1", ""),
    ("object AP", "BinaryObjectAveragePrecision", "functional.average_precision", "object_average_precision", ""),
    ("merged", "", "functional.match_objects", "merged", ""),
    ("split", "", "functional.match_objects", "split", ""),
    ("PoLiS", "", "evaluate.polygon_score.polis", "polis", ""),
    ("vertex ratio", "", "evaluate.polygon_score.vertex_ratio", "vertex_ratio", ""),
)

DECIMALS = {"score": 3, "ratio": 2, "length": 2, "count": 0}

SAYS = {
    "comb": "All teeth lie within the tolerance of 3 px, so boundary F1 is perfect, and so is object F1. The length of "
    "the outline is not. This is what the boundary loss as published makes of displaced labels, and why the perimeter "
    "ratio belongs beside every boundary score.",
    "shift": "A tolerance forgives whatever is smaller than itself: that is its purpose where labels are no better. "
    "Areas, bands and distances see it; lengths and corners are the same as ever.",
    "corners": "The outline is as long as before: stairs along the arc count as much as the corner that they replace. "
    "The tolerance forgives most of the arc. The corner ratio was made for this.",
    "gap": "Few pixels are wrong, but two buildings have become one. The walls along the gap are missed, however "
    "narrow it is; what boundary F1 makes of that depends on how many other walls there are.",
    "speckle": "Hardly any area, much outline, and each speck an object. Under davis a dot has four boundary pixels, "
    "under csurka and pixels one. Distances react to all specks or, where these are few beside the outlines, to none.",
    "shed": "A small object is a small share of everything that counts pixels. Only scores that count objects give it "
    "the weight of the large one; PoLiS and vertex ratio leave it out, having no partner to compare.",
    "merged": "Thin bridges are next to nothing in area, and most of their boundary is within the tolerance of a wall. "
    "But no building is found any more.",
    "split": "Next to no area, but two objects where there was one, and neither is large enough to match.",
}


def page(conventions: dict[str, Any], found: dict[str, dict[str, float]]) -> str:
    """The page.

    Args:
        conventions: What `conventions.py` measured.
        found: What each metric says of each failure, from `metrics_failures.values`.
    """
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    environment.filters["code"] = lambda text: f"`{text}`"
    environment.filters["wrapped"] = wrapped
    template = environment.from_string((BENCHMARKS / "metrics_page.md.jinja").read_text(encoding="utf-8"))
    rules = {name: rules_of(name) for name in get_args(Convention)}
    text: str = template.render(
        command=COMMAND,
        size=SIZE,
        corner_radius=CORNER_RADIUS,
        turns=_TURNS,
        band_share=100 * WIDTH.value,
        rules=[{"name": name} for name in rules],
        rules_table=_rules_table(list(rules.values())),
        places=[_place(*row) for row in PLACES],
        shares={name: str(each.tolerance) for name, each in rules.items()} | {"band": str(WIDTH)},
        diagonal=[_on_image(name, shape, size) for name, shape, size in IMAGES],
        house=_house(),
        failures=[_failure(failure, found[failure.key]) for failure in failures()],
        table=_failure_table(found),
        never_blind=_never_blind(found),
        conventions=_conventions(conventions),
        citation=_citation(conventions),
    )
    return text


def _rules_table(rules: Sequence[Rules]) -> list[list[str]]:
    """What sets the conventions apart, row by row."""
    values = {math.inf: "∞", 0.0: "0", 1.0: "1"}
    return [
        ["boundary pixel", *(_boundary_pixel(each) for each in rules)],
        ["at the image border", *("boundary" if each.border else "none for being there" for each in rules)],
        ["matched", *("d < tolerance" if each.strict else "d ≤ tolerance" for each in rules)],
        ["own tolerance", *(_own_tolerance(each) for each in rules)],
        ["over images", *("mean of the images" if each.reduction == "image" else "pooled" for each in rules)],
        ["one side without boundary", *(values.get(each.one_empty, "no score (NaN)") for each in rules)],
        ["both without", *(values.get(each.both_empty, "no score (NaN)") for each in rules)],
    ]


def _boundary_pixel(rules: Rules) -> str:
    if rules.inner:
        return "foreground with background above, below, left or right"
    return "differs from the pixel right, below or right below it, on either side"


def _own_tolerance(rules: Rules) -> str:
    if rules.tolerance.unit != "diagonal":
        return str(rules.tolerance)
    return f"{rules.tolerance} of the diagonal, " + ("rounded up" if rules.whole_pixels else "not rounded")


def _place(metric: str, name: str, twin: str, key: str, options: str) -> list[str]:
    command = f"`{key}`" + "".join(f" `{option}`" for option in options.split())
    return [metric, f"`{name}`" if name else "–", f"`{twin}`", command]


def _on_image(name: str, shape: tuple[int, int], size: float | None) -> list[str]:
    """What the shares of the diagonal come to on an image."""
    lengths = [rules_of(convention).resolve(None, shape).value for convention in ("csurka", "davis")]
    lengths.append(band_width(None, shape)[0])
    return [name, *(f"{x:.3g} px" + ("" if size is None else f" = {x * size:.1f} m") for x in lengths)]


def _house() -> dict[str, str]:
    """A house of 40 × 40 pixels and one beside it, judged by what is the tolerance on an INRIA tile."""
    shape, size, side = (5000, 5000), 0.3, 40
    truth = torch.zeros(1, 3 * side, 4 * side, dtype=torch.bool)
    truth[:, side : 2 * side, side : 2 * side] = True
    pred = truth.roll(side, 2)
    own = rules_of("csurka").resolve(None, shape)
    lengths = [own, Length(1.0, "m")]
    scores = boundary_f1(boundary_counts(pred, truth, lengths, "csurka", pixel_size=(size, size)), "csurka").tolist()
    window = rules_of("csurka").resolve(None, (256, 256))
    return {
        "side": f"{side * size:g}",
        "shift": f"{side * size:g}",
        "iou": f"{float(iou(confusion_counts(pred, truth))):g}",
        "f1": f"{scores[0]:.3f}",
        "f1_at_1m": f"{scores[1]:.3f}",
        "times": f"{own.value / window.value:.0f}",
    }


def _failure(failure: Failure, found: dict[str, float]) -> dict[str, str]:
    """What the page says of a failure."""
    by_verdict: dict[str, list[str]] = {"●": [], "◐": [], "○": [], "": []}
    for row in measurements():
        by_verdict[verdict(row.kind, found[row.key])].append(row.label)
    seen, hardly, blind = (", ".join(by_verdict[mark]) or "none" for mark in "●◐○")
    return failure._asdict() | {"says": SAYS[failure.key], "seen": seen, "hardly": hardly, "blind": blind}


def _never_blind(found: dict[str, dict[str, float]]) -> str:
    """The metrics that react to every failure."""
    rows = [
        row for row in measurements() if all(verdict(row.kind, each[row.key]) in ("●", "◐") for each in found.values())
    ]
    return _listed(row.label for row in rows)


def _failure_table(found: dict[str, dict[str, float]]) -> list[list[str]]:
    """The values, row by row."""
    rows = []
    for row in measurements():
        cells = []
        for each in found.values():
            value = each[row.key]
            text = f"{value:.{DECIMALS[row.kind]}f}"
            cells.append("–" if math.isnan(value) else f"{verdict(row.kind, value)} {text}")
        rows.append([row.label, *cells])
    return rows


def _conventions(written: dict[str, Any]) -> dict[str, str]:
    """What the page says of the figures of real imagery."""
    first = written["places"][0]
    scores = [row for row in first["rows"] if row["metric"] == "boundary F1"]
    every = [row[column] for row in scores for column in ("image", "pooled", "mosaic")]
    growths = [math.hypot(*each["mosaic_shape"]) / math.hypot(*each["tile_shape"]) for each in written["places"]]
    scored = next(row["images_with_a_score"] for row in scores if row["convention"] == "csurka")
    return {
        "table": "\n".join(table(written)),
        "summary": "\n".join(map(wrapped, summary(written))),
        "first": first["title"],
        "least": f"{min(every):.3f}",
        "most": f"{max(every):.3f}",
        "at_3px": _listed(f"{row['pooled']:.3f} ({row['convention']})" for row in scores if row["length"] == "3 px"),
        "growth": _listed(f"{growth:.1f}" for growth in growths),
        "empty": f"{first['tiles'] - scored} of {first['tiles']} in {first['title']}",
    }


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}"


def _citation(written: dict[str, Any]) -> str:
    """A sentence that cites a score of the table."""
    place = written["places"][0]
    row = next(row for row in place["rows"] if (row["convention"], row["length"]) == ("csurka", "3 px"))
    height, width = place["tile_shape"]
    return (
        f"boundary F1 {row['image']:.3f} (convention csurka: distance < 3 px, pixels of {place['pixel_size'][0]:g} m; "
        f"mean of {row['images_with_a_score']} of {place['tiles']} images of {height} × {width} px; "
        f"crispmap {written['versions']['crispmap']})."
    )


def main() -> None:
    """Measures, draws and writes."""
    from metrics_pictures import draw

    torch.set_num_threads(1)
    found = values()
    plain = {
        failure: {key: None if math.isnan(value) else value for key, value in each.items()}
        for failure, each in found.items()
    }
    result = {
        "command": COMMAND,
        "size": SIZE,
        "tolerance": TOLERANCE,
        "failures": {failure.key: failure.text for failure in failures()},
        "values": plain,
        **circumstances(),
    }
    FAILURES.write_text(json.dumps(result, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    PICTURES.mkdir(exist_ok=True)
    for failure in failures():
        draw(failure, PICTURES / f"{failure.key}.png")
    conventions = json.loads(CONVENTIONS.read_text(encoding="utf-8"))
    PAGE.write_text(page(conventions, found), encoding="utf-8")
    print(f"{PAGE.relative_to(DOCS.parent)} and {len(found)} pictures written")


if __name__ == "__main__":
    main()
