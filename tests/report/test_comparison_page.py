"""The page of a comparison, with an example that looks like the real thing, also in a real browser."""

import base64
import io
import json
import math
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from parsed_page import Page
from PIL import Image, ImageDraw

from crispmap.functional.boundary_score import boundary_match
from crispmap.functional.morphology import inner_boundary
from crispmap.report import Chart, Curve, Metric
from crispmap.report.comparison import (
    ComparisonPage,
    Contest,
    ContestedWindow,
    Estimate,
    RankedMethod,
    ScoreCell,
    View,
    axis_of,
    overlay_uri,
    write_comparison_page,
)

EVIL = "<script>alert('loss')</script> & \"co\""
METRICS = (
    Metric("iou", "IoU", "intersection over union, pixels of all tiles pooled"),
    Metric("bf1_1", "Boundary F1, 1 px", "convention pixels: distance ≤ 1 px, pooled"),
    Metric("bf1_2", "Boundary F1, 2 px", "convention pixels: distance ≤ 2 px, pooled"),
    Metric("bf1_3", "Boundary F1, 3 px", "convention pixels: distance ≤ 3 px, pooled"),
    Metric("biou", "Boundary IoU", "Cheng 2021 with inner bands 3 px wide, pooled"),
    Metric("ratio", "Perimeter ratio", "predicted / true length of outlines; 1 is right", best="nearest 1"),
)
LOSSES = {
    "bce": "binary cross entropy",
    "iou": "soft IoU (Jaccard)",
    "dice": "soft Dice",
    "bce+iou": "BCE + soft IoU, the mixtures below without their boundary term",
    "paper": "BCE + w·boundary + (1 − w)·IoU with the published boundary term; w grows from 0 to 0.9",
    "balanced": "the same with crispmap's balanced boundary term: what crispmap fit trains with by default",
}


def town(rng: np.random.Generator, size: int, wobbles: list[float]) -> tuple[np.ndarray, list[np.ndarray]]:
    """Houses, and what several networks make of them: corners moved, one in ten missed."""
    masks = [Image.new("1", (size, size)) for _ in range(1 + len(wobbles))]
    for y in range(24, size, 48):
        for x in range(24, size, 52):
            turn, half = rng.uniform(0, math.pi), rng.uniform(9, 20, 2)
            corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
            corners = corners @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]] + (x, y)
            for mask, wobble in zip(masks, [0.0, *wobbles], strict=True):
                if not wobble or rng.uniform() < 0.9:
                    ImageDraw.Draw(mask).polygon([*map(tuple, corners + rng.normal(0, wobble or 1e-9, (4, 2)))], 1)
    truth, *preds = (np.array(mask) for mask in masks)
    return truth, preds


def contested(names: list[str], seed: int, name: str = "tile_17_04", size: int = 192) -> ContestedWindow:
    rng = np.random.default_rng(seed)
    truth, preds = town(rng, size, [4 - 0.5 * i for i in range(len(names))])
    ground = rng.integers(70, 105, (3, size, size)) + np.array([0, 12, -8])[:, None, None]
    image = np.where(truth, rng.integers(130, 175, (3, size, size)), ground).astype(np.float32)
    views = []
    for method, pred in zip(names, preds, strict=True):
        match = boundary_match(torch.from_numpy(pred), torch.from_numpy(truth), 2.0, "pixels")
        outline = inner_boundary(torch.from_numpy(pred), border=False).numpy()
        views.append(View(method, "IoU 0.71, boundary F1 0.66, perimeter 1.08", outline, *(m.numpy() for m in match)))
    edge = inner_boundary(torch.from_numpy(truth), border=False).numpy()
    place = f"rows 128–{128 + size}, columns 64–{64 + size} of 512×512 pixels as the network sees them; seed 0"
    return ContestedWindow(name, place, image, edge, views)


def estimates(names: list[str], scale: float) -> list[Estimate]:
    rng = np.random.default_rng(3)
    found = []
    for i, name in enumerate(names):
        mean, half = scale * (i - 1) / 4, abs(scale) * rng.uniform(0.15, 0.5)
        found.append(
            Estimate(name, mean, (mean - half, mean + half), (mean - 0.8 * half, mean + 1.4 * half), "p = 0.012")
        )
    return found[::-1]


def example(losses: dict[str, str] | None = None, places: int = 3, **changes) -> ComparisonPage:
    losses = losses or LOSSES
    names = list(losses)
    steps = list(range(30, 301, 30))
    ranked = [
        RankedMethod(
            name,
            i,
            losses[name],
            5,
            [
                ScoreCell(f"{0.65 + 0.02 * i + 0.01 * j:.3f}", f"± {0.006 + 0.002 * j:.3f}", i == len(names) - 1)
                for j in range(len(METRICS))
            ],
            [f"{131 + 9 * i}", f"{1.1 + 2 * i:.1f}", f"{2.1 + 3 * i:.1f}"],
            name == "bce",
        )
        for i, name in reversed(list(enumerate(names)))
    ]
    curves = [
        Curve(name, steps, [0.75 - 0.6 * math.exp(-s / (80 - 6 * i)) - 0.02 * (5 - i) for s in steps])
        for i, name in enumerate(names)
    ]
    settings = {
        "title": "6 losses compared",
        "lead": "6 ways to train, 5 seeds each, 300 steps each. Of one seed all start from the same weights and see "
        "the same windows in the same light and order; only the loss differs. By Boundary F1, 2 px, balanced "
        "comes first: +0.045 against bce, 95 % interval +0.030 to +0.060, p = 0.012.",
        "facts": [
            ("imagery to learn from", "images"),
            ("examined on", "val_images_of_barnarp_2023"),
            ("tiles", "20"),
            ("networks", "Unet/resnet18, from scratch"),
            ("seeds", "0, 1, 2, 3, 4"),
            ("steps", "300 of 8 windows of 128² px"),
            ("reference", "bce"),
        ],
        "metrics": METRICS,
        "ranked_by": "Boundary F1, 2 px",
        "methods": ranked,
        "contests": [
            Contest(
                metric.label,
                "a method's score less the reference's",
                metric.best == "highest",
                estimates(names[1:], 0.06 * (-1) ** j),
            )
            for j, metric in enumerate(METRICS)
        ],
        "legend": (
            "95 % interval over seeds, paired t test: training once more on this ground",
            "95 % interval over seeds and tiles, 4,000 bootstrap draws: other ground too",
        ),
        "charts": [
            Chart(title, curves) for title in ("IoU", "Boundary F1, convention pixels, 2 px", "Perimeter ratio")
        ],
        "costs": [
            ("a step, ms", "median time from the end of a step to that of the next in the runs"),
            ("loss alone, ms", "a forward and a backward pass on one batch, median of passes taken in turns"),
            ("loss keeps, MB", "what autograd keeps of the loss between the two passes"),
        ],
        "windows": [contested(names, n, f"tile_{n + 12}_04") for n in range(places)],
        "failures": [("paper, seed 3", "the loss became nan at step 120; lower --optim.learning_rate")],
        "notes": ["Test: paired t test over seeds, two-sided.", "Scored are the last weights of every run."],
        "made": [
            ("Command", "crispmap compare --images train/images --labels train/masks --out compared --steps 300"),
            ("Versions", "crispmap 0.1.0, torch 2.9.1, Python 3.11"),
            ("Machine", "AMD EPYC, 2 processors, 1 threads, no GPU"),
        ],
    }
    return ComparisonPage(**(settings | changes))


@pytest.fixture
def written(tmp_path):
    def write(page: ComparisonPage) -> str:
        write_comparison_page(tmp_path / "page.html", page)
        return (tmp_path / "page.html").read_text(encoding="utf-8")

    return write


class TestThePage:
    def test_it_shows_all_of_it(self, written):
        page = Page(written(example()))
        for text in (
            "6 losses compared",
            "Unet/resnet18, from scratch",
            "the same with crispmap's balanced boundary term",
            "0.750",
            "± 0.016",
            "Perimeter ratio",
            "+0.045",
            "p = 0.012",
            "loss keeps, MB",
            "176",
            "tile_14_04",
            "IoU 0.71, boundary F1 0.66, perimeter 1.08",
            "paper, seed 3",
            "lower --optim.learning_rate",
            "crispmap compare --images train/images",
            "torch 2.9.1",
        ):
            assert text in page.words, text
        assert len(page.named("path")) == 3 * 6
        assert len(page.named("article")) == 3
        assert len(page.named("img")) == 3 * (1 + 2 * 6)  # the truth, and two overlays of each method

    def test_nothing_is_fetched(self, written):
        html = written(example())
        assert not re.findall(r"https?:|@import", html)
        assert all(url.startswith("data:") for url in re.findall(r'(?:src|href)="([^"]*)"', html))
        assert {source.partition(",")[0] for source in re.findall(r'url\("([^"]+)"\)', html)} == {
            "data:image/jpeg;base64"
        }

    def test_names_cannot_become_markup(self, written):
        evil = RankedMethod(EVIL, 0, EVIL, 1, [ScoreCell(EVIL, EVIL)], [EVIL], True)
        contest = Contest(EVIL, EVIL, True, [Estimate(EVIL, 0.1, (0.0, 0.2), (0.0, 0.2), EVIL)])
        window = ContestedWindow(**vars(contested([EVIL], 1)) | {"name": EVIL, "place": EVIL})
        page = Page(
            written(
                ComparisonPage(
                    EVIL,
                    EVIL,
                    [(EVIL, EVIL)],
                    [Metric("a", EVIL, EVIL)],
                    EVIL,
                    [evil],
                    [contest],
                    (EVIL, EVIL),
                    [Chart(EVIL, [Curve(EVIL, [0, 1], [0, 1])])],
                    [(EVIL, EVIL)],
                    2.0,
                    [window],
                    [(EVIL, EVIL)],
                    [EVIL],
                    [(EVIL, EVIL)],
                )
            )
        )
        assert len(page.named("script")) == 1
        assert page.words.count("alert('loss')") > 20

    def test_parts_without_content_are_left_out(self, written):
        bare = ComparisonPage("t", "l", [], METRICS[:1], "IoU", [RankedMethod("a", 0, "d", 1, [ScoreCell("0.5")], [])])
        page = Page(written(bare))
        for heading in ("Differences", "Learning curves", "Cost", "differ most", "failed"):
            assert heading not in page.words
        assert not page.named("img")
        assert "1 seed" in page.words
        assert "1 seeds" not in page.words

    def test_what_cannot_be_said_draws_nothing(self, written):
        nan = math.nan
        one = Contest("IoU", "", True, [Estimate("iou", 0.02, (nan, nan), (nan, nan), "p –")])
        none = Contest("IoU", "", True, [Estimate("iou", nan, (nan, nan), (nan, nan), "p –")])
        html = written(example(contests=[one]))
        assert 'class="inner" style="left: 0;' in html  # in the key
        assert len(re.findall(r'class="inner"', html)) == 1
        html = written(example(contests=[none]))
        assert "nan" not in html.split("<main>")[1].split("<article")[0].lower().replace("became nan", "")

    @pytest.mark.parametrize("part", ["charts", "contests", "windows"])
    def test_an_unknown_method_leaves_nothing_behind(self, tmp_path, part):
        wrong = {
            "charts": Chart("F1", [Curve("unknown", [0], [1])]),
            "contests": Contest("IoU", "", True, estimates(["unknown"], 1)),
            "windows": contested(["unknown"], 0),
        }
        with pytest.raises(KeyError):
            write_comparison_page(tmp_path / "page.html", example(**{part: [wrong[part]]}))
        assert list(tmp_path.iterdir()) == []


class TestTheAxis:
    @pytest.mark.parametrize(
        "bounds", [(0.01, 0.06), (-3.0, 0.2), (-0.0004, 0.0007), (5.0, 9.0), (-9.0, -5.0), (0.0, 0.0)]
    )
    def test_it_holds_zero_and_everything_with_round_ticks(self, bounds):
        low, high = bounds
        axis = axis_of(Contest("", "", True, [Estimate("a", (low + high) / 2, bounds, (math.nan, math.nan), "")]))
        places = [axis.at(value) for value in (0.0, low, high)]
        assert all(0 <= place <= 100 for place in places)
        assert axis.at(axis.low) == 0
        assert axis.at(axis.high) == 100
        assert 0.0 in axis.ticks
        assert 3 <= len(axis.ticks) <= 6
        assert all(len(f"{abs(tick):.3g}".replace(".", "").strip("0")) <= 3 for tick in axis.ticks)

    def test_places_are_proportional(self):
        axis = axis_of(Contest("", "", True, [Estimate("a", 1.0, (-1.0, 3.0), (-1.0, 3.0), "")]))
        assert axis.at(1.0) == pytest.approx((axis.at(-1.0) + axis.at(3.0)) / 2, abs=0.02)


def test_an_overlay_is_clear_but_for_its_lines_and_later_ones_lie_above():
    a, b = np.zeros((5, 7), bool), np.zeros((5, 7), bool)
    a[1, 2:5] = True
    b[0:3, 3] = True
    uri = overlay_uri([(a, (10, 20, 30)), (b, (200, 100, 50))])
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))
    assert pixels.shape == (5, 7, 4)
    assert ((pixels[..., 3] == 255) == (a | b)).all()
    assert (pixels[1, 2, :3] == (10, 20, 30)).all()
    assert (pixels[1, 3, :3] == (200, 100, 50)).all()
    assert (pixels[..., 3][~(a | b)] == 0).all()


# What a page may load, were it to try: only what it holds. Anything else becomes an error in the console.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
)
TRY = """<script>addEventListener("load", () => {
  const dialog = document.querySelector("dialog"), said = [];
  const press = (key) => dialog.dispatchEvent(new KeyboardEvent("keydown", { key }));
  document.querySelectorAll(".views .view.edges")[1].click();
  said.push(dialog.open, dialog.querySelector("p").textContent.includes("iou"));
  press("ArrowRight"); said.push(dialog.querySelector("p").textContent.includes("dice"));
  press("ArrowLeft"); press("ArrowLeft"); press("ArrowLeft"); said.push(dialog.querySelector("p").textContent);
  dialog.click(); said.push(dialog.open);
  document.querySelector("#show-outlines").click();
  const shown = [...document.querySelectorAll(".views .view")].filter((view) => view.offsetParent);
  said.push(shown.every((view) => !view.classList.contains("edges")), shown.length);
  said.push(document.documentElement.scrollWidth <= innerWidth);
  said.push(getComputedStyle(document.body).backgroundColor);
  document.title = JSON.stringify(said);
});</script>"""


@pytest.fixture
def browser(tmp_path):
    """Opens a page in a real browser and returns what became of it: its title in the end, and its console."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("no Chromium here (Debian: apt install chromium)")

    def open_page(html: str, width: int, dark: bool) -> tuple[str, list[str]]:
        path = tmp_path / "opened.html"
        path.write_text(html, encoding="utf-8")
        flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--enable-logging=stderr",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--window-size={width},1200",
            "--virtual-time-budget=3000",
            "--dump-dom",
        ]
        done = subprocess.run([program, *flags, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
        (title,) = re.findall(r"<title>(.*?)</title>", done.stdout)
        return title, [line for line in done.stderr.splitlines() if "CONSOLE" in line]

    return open_page


class TestInABrowser:
    @pytest.mark.parametrize(("width", "dark"), [(1440, False), (390, True)])
    def test_it_renders_and_zooms_without_an_error_or_an_outside_request(self, written, browser, width, dark):
        html = written(example()).replace("<head>", f"<head>{POLICY}").replace("</body>", f"{TRY}</body>")
        title, console = browser(html, width, dark)
        assert console == []
        opens, second, next_one, before, closed, outlines, count, fits, ground = json.loads(title)
        assert opens
        assert second
        assert next_one
        assert before == "tile_12_04, true outlines"
        assert not closed
        assert outlines
        assert count == 3 * (2 + 6)
        assert fits  # nothing reaches beyond the window
        assert ground == ("rgb(20, 23, 26)" if dark else "rgb(251, 250, 247)")

    @pytest.mark.parametrize("wrong", ['<img src="http://127.0.0.1:9/x.png">', "<script>undefined_name()</script>"])
    def test_the_browser_would_tell(self, written, browser, wrong):
        html = written(example(places=0)).replace("<head>", f"<head>{POLICY}").replace("</main>", f"{wrong}</main>")
        assert browser(html, 800, False)[1]
