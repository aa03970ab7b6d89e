"""Pages show names as they are, and load nothing from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from good_inputs import label, save

from crispmap.cli import main
from crispmap.report import render

EVIL = "<img src=x onerror=alert(1)>'\"&{{7*7}}"


class Elements(HTMLParser):
    """Every element of a page, with its attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page on a file whose name, folder and all are markup."""
    folder = tmp_path_factory.mktemp("page") / EVIL
    folder.mkdir()
    truth, pred = label(), label()
    pred[20:30, 20:30] = 0
    save(folder / "x.tif", pred).rename(folder / f"{EVIL}.tif")
    save(folder / "t.tif", truth)
    out = folder / "page.html"
    assert (
        main(["evaluate", str(folder / f"{EVIL}.tif"), str(folder / "t.tif"), "--html", str(out), "--per-image"]) == 0
    )
    return out.read_text(encoding="utf-8")


def test_names_are_text_and_no_markup(page):
    assert "&amp;{{7*7}}" in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<img src=x" not in page
    for tag, attributes in Elements(page).found:
        assert not [name for name in attributes if name.startswith("on")], tag


def test_nothing_is_loaded_from_outside(page):
    for tag, attributes in Elements(page).found:
        for name in ("src", "href", "data", "action", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
    assert all(target.strip("'\"").startswith(("data:", "#")) for target in re.findall(r"url\(([^)]*)\)", page))
    assert "@import" not in page
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|import)\s*\(", page)


def test_browsers_are_told_so_too(page):
    [policy] = [
        attributes["content"]
        for tag, attributes in Elements(page).found
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def test_every_template_is_escaped_and_has_the_policy():
    paths = sorted(Path(render.__file__).parent.glob("*.html"))
    templates = [path for path in paths if path.name != "macros.html"]
    assert len(templates) >= 3
    for path in paths:
        text = path.read_text(encoding="utf-8")
        marked = re.findall(r"[^{]*\|\s*safe", text)
        assert all('"_<wbr>"' in part for part in marked), path.name
        assert "autoescape" not in text
    assert all("Content-Security-Policy" in path.read_text(encoding="utf-8") for path in templates)
