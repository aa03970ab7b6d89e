"""The page of an evaluation, with an example that looks like the real thing."""

import base64
import io
import itertools
import math
import re

import numpy as np
import pytest
import torch
from parsed_page import Page
from PIL import Image, ImageDraw

from crispmap.functional.boundary_score import boundary_match
from crispmap.report import Chart, Curve, EdgeWindow, EvaluationPage, MethodResult, Metric, write_evaluation_page
from crispmap.report.chart import lay_out
from crispmap.report.edges import (
    BOTH,
    GROUND,
    HATCH,
    IGNORED,
    MATCHED,
    MISSED,
    PALETTE,
    PREDICTED_ONLY,
    SPURIOUS,
    TRUE_ONLY,
    window_picture,
    window_thumbnail,
)
from crispmap.report.table import number, row

EVIL = "<script>alert('scene')</script> & \"co\""
METRICS = (
    Metric("iou", "IoU", "intersection over union, pixels of all images pooled"),
    Metric("boundary_f1", "Boundary F1", "convention csurka, distance < 3 px, mean over images"),
    Metric("boundary_iou", "Boundary IoU", "Cheng 2021, bands 2% of the diagonal wide, pixels pooled"),
    Metric("perimeter_ratio", "Perimeter ratio", "predicted / true length of outlines, pooled", best="nearest 1"),
    Metric("hd95", "Hausdorff 95", "95th percentile of boundary distances in metres, mean over images", best="lowest"),
    Metric("polis", "PoLiS", "mean distance of matched outlines in metres", best="lowest"),
)


def result(name: str, description: str = "", texts: dict[str, str] | None = None, **scores: float | None):
    return MethodResult(name, description, scores, texts or {})


def town(rng: np.random.Generator, size: tuple[int, int], wobble: float) -> tuple[np.ndarray, np.ndarray]:
    """Houses, and what a network makes of them: corners moved, one in ten missed, one in fifteen made up."""
    truth, pred = (Image.new("1", size[::-1]) for _ in range(2))
    for y in range(30, size[0], 62):
        for x in range(30, size[1], 70):
            turn, half = rng.uniform(0, math.pi), rng.uniform(9, 26, 2)
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
            corners = corners @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]] + (x, y)
            moved = corners + rng.normal(0, wobble, (4, 2))
            luck = rng.uniform()
            if luck > 1 / 15:
                ImageDraw.Draw(truth).polygon([*map(tuple, corners)], 1)
            if luck < 0.9:
                ImageDraw.Draw(pred).polygon([*map(tuple, moved)], 1)
    return np.array(pred), np.array(truth)


def window(
    prediction: str, image="tile_17_04", size=(512, 512), wobble=2.0, seed=0, place="rows 0–512, columns 0–512"
) -> EdgeWindow:
    pred, truth = town(np.random.default_rng(seed), size, wobble)
    valid = np.ones(size, bool)
    valid[: size[0] // 6, size[1] * 2 // 3 :] = False
    match = boundary_match(*map(torch.from_numpy, (pred, truth)), 3.0, valid=torch.from_numpy(valid))
    edges = {name: getattr(match, name).numpy() for name in ("matched", "spurious", "missed")}
    wrong = float((edges["spurious"] | edges["missed"]).sum())
    right = float(edges["matched"].sum())
    return EdgeWindow(prediction, image, place, right / (right + wrong / 2), wrong, pred, truth, **edges, valid=valid)


def example(predictions: int = 3, images: int = 40, worst: int = 7, **changes) -> EvaluationPage:
    """What comes of several networks on an aerial survey."""
    names = ["unet_bce_iou", "unet_boundary", "unet_boundary_seed2_finetuned_potsdam"]
    names = (names + [f"candidate {n}" for n in range(4, 11)])[:predictions]
    rng = np.random.default_rng(3)

    def scored(name: str, i: int, description: str = "") -> MethodResult:
        return result(
            name,
            description,
            iou=0.8 + 0.03 * i + rng.normal(0, 0.05) * (not description),
            boundary_f1=0.61 + 0.07 * i + rng.normal(0, 0.07) * (not description),
            boundary_iou=0.52 + 0.05 * i + rng.normal(0, 0.05) * (not description),
            perimeter_ratio=1.3 - 0.12 * i + rng.normal(0, 0.1) * (not description),
            hd95=14.21 - 3 * i,
            polis=None if not description else 0.9 - 0.1 * i,
        )

    overall = [scored(name, i, f"Folder maps/{name}, 40 rasters at 0.3 m.") for i, name in enumerate(names)]
    overall[0] = MethodResult(
        overall[0].name, overall[0].description, {**overall[0].scores, "hd95": math.inf}, {"hd95": "> 100 m"}
    )
    per_image = [
        (f"tile_{n // 8 + 12}_{n % 8:02d}", [scored(name, i) for i, name in enumerate(names)]) for n in range(images)
    ]
    tolerances = [0.3, 0.6, 0.9, 1.5, 3.0, 4.5, 6.0]
    curves = [
        Curve(name, tolerances, [1 - (0.62 - 0.05 * i) * math.exp(-t / (1.3 - 0.1 * i)) - 0.02 * i for t in tolerances])
        for i, name in enumerate(names)
    ]
    settings = {
        "title": "Three maps of Potsdam against the land register",
        "facts": [
            ("predictions", f"{predictions}"),
            ("images", f"{images}"),
            ("pixels", "1,440,000,000"),
            ("ignored pixels", "12,345,678 (0.9%)"),
            ("ground resolution", "0.30 m"),
            ("truth", "register/buildings_2024_epsg25833.gpkg"),
        ],
        "metrics": METRICS,
        "predictions": overall,
        "curve": Chart("Boundary F1", curves, "tolerance in m"),
        "per_image": per_image,
        "windows": [
            window(
                names[n % len(names)],
                image=f"tile_{12 + n}_04",
                size=[(1024, 1024), (512, 512), (512, 300), (200, 640)][n % 4],
                wobble=1.5 + 0.7 * n,
                seed=n,
            )
            for n in range(worst)
        ],
        "notes": ["Buildings younger than the imagery count as missed.", "Intervals are over images, not seeds."],
        "command": "crispmap evaluate maps/unet_bce_iou maps/unet_boundary register/buildings.gpkg --html page.html",
        "made": "2026-02-03 14:05 UTC, crispmap 0.1.0, torch 2.9.1, 16 cores, in 3 min 12 s",
    }
    return EvaluationPage(**(settings | changes))


class TablePage(Page):
    """A page with the cells of its table of images, of which rows and cells need no end."""

    def __init__(self, html: str) -> None:
        self.rows: list[list[str]] = []
        super().__init__(html)

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "tr") and "tbody" in self.open:
            while self.open[-1] in ("td", "th", "tr")[: 3 if tag == "tr" else 2]:
                self.open.pop()
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        super().handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        while tag == "tbody" and self.open[-1] in ("td", "th", "tr"):
            self.open.pop()
        super().handle_endtag(tag)

    def handle_data(self, data):
        super().handle_data(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()


@pytest.fixture
def written(tmp_path):
    def write(page: EvaluationPage) -> str:
        write_evaluation_page(tmp_path / "page.html", page)
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    return write


def decoded(source: str) -> Image.Image:
    head, data = source.split(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


class TestThePage:
    def test_it_shows_all_of_it(self, written):
        page = TablePage(written(example()))
        for text in (
            "Three maps of Potsdam against the land register",
            "12,345,678 (0.9%)",
            "convention csurka, distance < 3 px, mean over images",
            "Folder maps/unet_boundary, 40 rasters at 0.3 m.",
            "tolerance in m",
            "tile_18_04",
            "rows 0–512, columns 0–512",
            "tile_16_07",
            "Intervals are over images, not seeds.",
            "crispmap evaluate maps/unet_bce_iou maps/unet_boundary register/",
            "crispmap 0.1.0, torch 2.9.1",
        ):
            assert text in page.words
        assert len(page.named("path")) == 2 * 3  # the chart for wide and for narrow windows
        assert len(page.named("img")) == 2 * 7

    def test_nothing_is_fetched_and_every_link_leads_somewhere(self, written):
        html = written(example())
        page = TablePage(html)
        assert not re.findall(r"https?:|url\(|@import|<link", html)
        ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
        assert len(ids) == sum("id" in attributes for _, attributes in page.elements)
        for link in page.named("a"):
            assert link["href"].startswith("#")
            assert link["href"][1:] in ids
        assert all(image["src"].startswith("data:image/png") for image in page.named("img"))

    def test_names_cannot_become_markup(self, written):
        evil = result(EVIL, EVIL, {"iou": EVIL}, iou=0.5)
        metric = Metric("iou", EVIL, EVIL)
        first = window(EVIL)
        page = TablePage(
            written(
                EvaluationPage(
                    EVIL,
                    [(EVIL, EVIL)],
                    [metric, metric],
                    [evil, result("b", iou=0.4)],
                    Chart(EVIL, [Curve(EVIL, [0, 1], [0, 1])], EVIL),
                    [(EVIL, [evil])],
                    [EdgeWindow(**vars(first) | {"image": EVIL, "place": EVIL})],
                    [EVIL],
                    EVIL,
                    EVIL,
                )
            )
        )
        assert len(page.named("script")) == 1
        assert page.words.count("alert('scene')") > 15
        assert any(EVIL in image["alt"] for image in page.named("img"))

    def test_parts_without_content_are_left_out(self, written):
        bare = written(EvaluationPage("t", [], METRICS, [result("only", iou=0.5)]))
        page = Page(bare)
        for heading in ("Over the tolerance", "Where outlines go wrong", "Image by image", "What the numbers mean"):
            assert heading not in page.words
        assert not {"img", "svg", "fieldset"} & {tag for tag, _ in page.elements}
        assert 'class="best"' not in bare

    @pytest.mark.parametrize("part", ["curve", "windows"])
    def test_a_page_that_cannot_be_made_leaves_nothing_behind(self, tmp_path, part):
        wrong = {"curve": Chart("F1", [Curve("unknown", [0], [1])]), "windows": [window("unknown")]}
        with pytest.raises(KeyError):
            write_evaluation_page(tmp_path / "page.html", example(**{part: wrong[part]}))
        assert list(tmp_path.iterdir()) == []


class TestTheTableOfScores:
    @pytest.mark.parametrize(
        ("best", "values", "marked"),
        [
            ("highest", [0.2, 0.7, 0.5], [1]),
            ("highest", [0.7001, 0.7, 0.5], [0, 1]),  # they read alike
            ("lowest", [3.0, 1.5, 2.0], [1]),
            ("lowest", [3.0, math.inf], [0]),
            ("lowest", [math.inf, math.inf], []),
            ("nearest 1", [1.3, 0.9, math.inf], [1]),
            ("lowest", [math.nan, 1.0, None], []),  # nothing to compare it with
            ("lowest", [], []),
        ],
    )
    def test_the_best_is_marked(self, best, values, marked):
        cells = row(Metric("m", "", "", best), [result(str(i), m=value) for i, value in enumerate(values)]).cells
        assert [i for i, cell in enumerate(cells) if cell.best] == marked

    def test_the_example_s_marks_as_written(self, written):
        html = written(example())
        marked = re.findall(r'class="best"[^>]*>([^<]+)<', html)
        assert marked == ["0.860", "0.750", "0.620", "1.060", "8.210", "0.700"]

    @pytest.mark.parametrize(
        ("value", "text"),
        [(0.12345, "0.123"), (None, "–"), (math.nan, "–"), (math.inf, "∞"), (-math.inf, "−∞"), (12.0, "12.000")],
    )
    def test_numbers(self, value, text):
        assert number(value) == text
        assert row(METRICS[0], [result("a", iou=value)]).cells[0].text == text

    def test_a_text_stands_in_for_its_number(self):
        results = [result("a", texts={"hd95": "> 100 px"}, hd95=math.inf), result("b", hd95=3.0), result("c")]
        cells = row(METRICS[4], results).cells
        assert [(cell.text, cell.best) for cell in cells] == [("> 100 px", False), ("3.000", True), ("–", False)]

    def test_descriptions_keep_the_colour_of_their_column(self, written):
        html = written(EvaluationPage("t", [], METRICS, [result("a"), result("b", "The second.")]))
        ((number_of_it, _),) = re.findall(r'<dt><span class="method m(\d)[^>]*><span>(b)<', html.replace("\n", ""))
        assert number_of_it == "1"


class TestTheTableOfImages:
    def test_cells_stand_metric_by_metric_and_by_prediction(self, written):
        per_image = [
            ("west", [result("b", iou=0.25, hd95=math.inf), result("a", iou=0.5, hd95=7.0)]),
            ("east", [result("a", iou=0.75, boundary_f1=math.nan)]),
        ]
        html = written(EvaluationPage("t", [], METRICS, [result("a"), result("b")], per_image=per_image))
        page = TablePage(html)
        assert page.rows[-2:] == [["west", "0.500", "0.250", "7.000", "∞"], ["east", "0.750", "–", "–", "–"]]
        assert page.rows[-4:-2] == [["Image", "IoU", "Hausdorff 95"], ["a", "b", "a", "b"]]
        columns = [int(head["data-column"]) for head in page.named("th") if "data-column" in head]
        assert columns == [0, 1, 2, 3, 4]
        assert re.findall(r"<td class=b>([\d.]+)", html) == ["0.500", "7.000"]

    def test_choosing_a_metric_leaves_its_columns(self, written):
        """The selectors count from 1, the image's name among them."""
        html = written(example(predictions=3, images=2))
        shown = re.findall(
            r"#only-(\d):checked\) :is\(tbody td:not\(:nth-child\(n\+(\d+)\):nth-child\(-n\+(\d+)\)", html
        )
        assert [tuple(map(int, found)) for found in shown] == [(i + 1, 2 + 3 * i, 4 + 3 * i) for i in range(5)]
        radios = TablePage(html).named("input")
        assert [("checked" in radio, radio.get("id")) for radio in radios[:2]] == [(True, "only-1"), (False, "only-2")]
        assert len(radios) == 5 + 1

    def test_one_prediction_has_a_column_for_each_metric(self, written):
        page = TablePage(written(example(predictions=1, images=2)))
        assert page.rows[-3] == ["Image", "IoU", "Boundary F1", "Boundary IoU", "Perimeter ratio", "Hausdorff 95"]
        assert not page.named("input")

    def test_many_images_stay_lean(self, written):
        """At most 20 bytes for a cell beside what it says, which is 5 here."""
        few, many = (len(written(example(images=n, worst=0))) for n in (100, 2100))
        assert (many - few) / 2000 < 15 * 20 + 40


def literal(shown: EdgeWindow, i: int, j: int) -> set[int]:
    """What may stand for one pixel of a window."""
    for line, what in ((shown.missed, MISSED), (shown.spurious, SPURIOUS), (shown.matched, MATCHED)):
        if line[i, j]:
            return {what}
    if not shown.valid[i, j]:
        return {IGNORED, HATCH}
    masks = {(0, 0): GROUND, (0, 1): TRUE_ONLY, (1, 0): PREDICTED_ONLY, (1, 1): BOTH}
    return {masks[int(shown.pred[i, j]), int(shown.truth[i, j])]}


class TestThePictures:
    def test_every_pixel_is_what_it_is(self):
        shown = window("a", size=(90, 130), wobble=4)
        picture = window_picture(shown)
        assert picture.shape == (90, 130)
        assert all(picture[i, j] in literal(shown, i, j) for i, j in np.ndindex(picture.shape))
        assert set(np.unique(picture)) == set(PALETTE)

    def test_the_page_holds_them_whole(self, written):
        shown = window("unet_boundary", size=(700, 1024))
        images = TablePage(written(example(windows=[shown]))).named("img")
        small, full = (decoded(image["src"]) for image in images)
        assert full.size == (1024, 700)
        assert small.size == (512, 350)
        colours = np.array(list(PALETTE.values()), np.uint8)
        assert (np.asarray(full.convert("RGB")) == colours[window_picture(shown)]).all()

    @pytest.mark.parametrize("size", [(1024, 1024), (1023, 600), (513, 40), (512, 512), (60, 33)])
    def test_thumbnails_lose_no_line(self, size):
        """Each block with a line shows that line or one above it."""
        shown = window("a", size=size, wobble=4)
        picture, step = window_thumbnail(shown), -(-max(size) // 512)
        assert picture.shape == tuple(-(-side // step) for side in size)
        assert max(picture.shape) <= 512
        full = window_picture(shown)
        rank = {MATCHED: 1, SPURIOUS: 2, MISSED: 3}
        for i, j in np.argwhere(full >= MATCHED):
            assert rank.get(picture[i // step, j // step], 0) >= rank[full[i, j]]

    def test_lines_and_ground_are_told_apart_with_any_colour_vision(self):
        """As people without one kind of cone see them (Machado 2009), by more than three times what is noticed."""
        lab = pytest.importorskip("skimage.color").rgb2lab
        views = {
            "all cones": np.eye(3),
            "no L": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
            "no M": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
            "no S": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        }
        colours = np.array([PALETTE[what] for what in (MATCHED, SPURIOUS, MISSED, GROUND, BOTH, IGNORED)]) / 255
        linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
        for name, view in views.items():
            seen = (linear @ np.transpose(view)).clip(0, 1)
            seen = lab(np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055))
            apart = np.linalg.norm(seen[:3, None] - seen[None], axis=-1)[~np.eye(3, 6, dtype=bool)]
            assert apart.min() > 20, name


class TestTheChart:
    def test_labels_of_ten_long_names_fit(self):
        names = [f"unet_resnet34_boundary_w{i}_finetunedonpotsdamwithoutdsm" for i in range(10)]
        for size in ((372, 266), (760, 330)):
            chart = Chart("F1", [Curve(name, [1, 2], [0.5, 0.9]) for name in names], "tolerance in px")
            drawing = lay_out(chart, {name: i for i, name in enumerate(names)}, *size)
            ends = sorted((label.y, label.y + len(label.lines) * drawing.line_height) for label in drawing.labels)
            assert all(above[1] <= below[0] for above, below in itertools.pairwise(ends))
            assert ends[0][0] >= 0
            assert ends[-1][1] <= drawing.height
            assert drawing.left + 100 < drawing.right < drawing.width == size[0]
            assert ["".join(label.lines) for label in sorted(drawing.labels, key=lambda label: label.method)] == names

    def test_each_of_ten_curves_looks_different(self, written):
        page = TablePage(written(example(predictions=10, images=0, worst=0)))
        looks = [path["class"] for path in page.named("path")]
        assert len(looks) == 20
        assert len(set(looks)) == 10
