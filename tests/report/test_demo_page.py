import base64
import io
import re

import numpy as np
import pytest
from parsed_page import Page
from PIL import Image
from shapely.geometry import box

from crispmap.report import (
    Chart,
    Curve,
    GallerySample,
    LargeScene,
    MethodResult,
    Metric,
    Prediction,
    Report,
    write_report,
)

RNG = np.random.default_rng(1)
EVIL = "<script>alert('scene')</script> & co"
METRICS = [
    Metric("iou", "IoU", "pixels pooled"),
    Metric("f1", "F1", "pixels pooled"),
    Metric("boundary_f1", "boundary F1 at 3 px", "csurka, distance < 3 px, mean of 2 images"),
    Metric("boundary_iou", "Boundary IoU", "Cheng, bands 2% of the diagonal wide, pixels pooled"),
    Metric("perimeter_ratio", "perimeter ratio", "predicted / true outline", best="nearest 1"),
]


def scene(name: str, bands=3, size=(40, 50)) -> GallerySample:
    image = RNG.integers(0, 255, (bands, *size), dtype=np.uint8)
    truth = np.zeros(size, bool)
    truth[10:20, 10:30] = True
    return GallerySample(name, image, truth, [Prediction(truth, "IoU 1.00"), Prediction(~truth, "IoU 0.00")])


def report(**changes) -> Report:
    settings = {
        "title": "Two losses",
        "lead": "What came of it.",
        "facts": {"Command": "crispmap demo", "Seeds": "1, 2"},
        "metrics": METRICS,
        "methods": [
            MethodResult("plain", "The baseline.", {"iou": 0.8, "f1": 0.9, "perimeter_ratio": 1.3}),
            MethodResult("crisp", "With a term.", {"iou": 0.7, "f1": 0.90004, "perimeter_ratio": 0.9}),
        ],
        "tolerance": 3.0,
        "charts": [Chart("Loss", [Curve("plain", [0, 1], [1, 0.5]), Curve("crisp", [0, 1], [1, 0.4])])],
        "gallery": [scene("east"), scene("west", bands=1, size=(64, 31))],
        "large_scene": LargeScene("wide", RNG.normal(size=(4, 60, 90)), [box(5, 5, 20, 20)], "All at once."),
        "notes": ["One seed is no evidence."],
    }
    return Report(**(settings | changes))


@pytest.fixture
def written(tmp_path):
    def write(**changes) -> str:
        write_report(tmp_path / "page.html", report(**changes))
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    return write


def test_the_page_shows_all_of_it(written):
    page = Page(written())
    for text in (
        "Two losses",
        "What came of it.",
        "crispmap demo",
        "csurka, distance < 3 px, mean of 2 images",
        "bands 2% of the diagonal wide",
        "east",
        "west",
        "IoU 0.00",
        "matched",
        "missed",
        "spurious",
        "1 predicted footprints",
        "One seed is no evidence.",
    ):
        assert text in page.words
    # each scene: image, truth, two predictions with their edges; then the large scene twice
    assert len(page.named("img")) == 2 * 6 + 2 + 1
    assert len(page.named("path")) == 2


def test_nothing_is_fetched_from_outside(written):
    html = written()
    assert "http://" not in html
    assert "https://" not in html
    assert not re.findall(r"url\(|@import", html)
    for _, attributes in Page(html).elements:
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "data:").startswith("data:")


def test_every_picture_decodes(written):
    sources = [image["src"] for image in Page(written()).named("img") if "src" in image]
    assert len(sources) == 14
    shapes = set()
    for source in sources:
        with Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))) as picture:
            picture.load()
            shapes.add(picture.size)
    assert (90, 60) in shapes


def test_names_cannot_become_markup(written):
    html = written(
        title=EVIL,
        lead=EVIL,
        facts={EVIL: EVIL},
        methods=[MethodResult(EVIL, EVIL, {}), MethodResult("b", EVIL, {})],
        charts=[Chart(EVIL, [Curve(EVIL, [0, 1], [0, 1])])],
        gallery=[scene(EVIL)],
        large_scene=LargeScene(EVIL, RNG.normal(size=(1, 9, 9)), [], EVIL),
        notes=[EVIL],
    )
    page = Page(html)
    assert len(page.named("script")) == 1
    assert "alert('scene')" in page.words
    assert any(EVIL in image["alt"] for image in page.named("img"))


def test_the_best_of_each_row_is_marked(written):
    html = written()
    marked = re.findall(r'class="best"[^>]*>([^<]+)<', html)
    # IoU: the higher; F1: both read 0.900; perimeter: 0.9 is nearer to 1 than 1.3; the rest is unknown
    assert marked == ["0.800", "0.900", "0.900", "0.900"]
    assert html.count("<span>–</span>") == 4


def test_one_method_alone_is_not_the_best_of_anything(written):
    sample = scene("east")
    alone = GallerySample("east", sample.image, sample.truth, sample.predictions[:1])
    html = written(
        methods=[MethodResult("only", "", {"iou": 0.5})], charts=[], gallery=[alone], large_scene=None, notes=[]
    )
    assert 'class="best"' not in html
    assert "<h2>Training</h2>" not in html
    assert "<h2>One large scene</h2>" not in html


def test_a_page_that_cannot_be_made_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyError):
        write_report(tmp_path / "page.html", report(charts=[Chart("Loss", [Curve("unknown", [0], [1])])]))
    assert list(tmp_path.iterdir()) == []
