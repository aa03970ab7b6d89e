"""The site is built without a warning, has every public name, and loads nothing from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from shown import ROOT

import crispmap


class Loads(HTMLParser):
    """Collects what a browser fetches to show a page, and the anchors in it."""

    def __init__(self):
        super().__init__()
        self.addresses, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors.add(given.get("id"))
        if tag == "link" and given.get("rel") not in ("canonical", "next", "prev"):
            self.addresses.append(given["href"])
        elif tag != "a":
            self.addresses += [given[name] for name in ("src", "srcset", "data", "poster") if given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def read(path):
    page = Loads()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def test_it_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for path in pages:
        assert [address for address in read(path).addresses if re.match(r"(\w+:)?//", address)] == [], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", path.read_text(encoding="utf-8")), path


def test_every_public_name_has_its_place(site):
    anchors = set().union(*(read(path).anchors for path in (site / "api").glob("*.html")))
    assert {f"crispmap.{name}" for name in crispmap.__all__ if name != "__version__"} <= anchors
    assert {"crispmap.fit.fit", "crispmap.evaluate.evaluate", "crispmap.functional.boundary_counts"} <= anchors


def test_scripts_that_pages_link_to_are_there(site):
    assert (site / "examples" / "plain_pytorch.py").read_text() == (ROOT / "examples" / "plain_pytorch.py").read_text()
    assert (site / "notebooks" / "mapper.ipynb").exists()
    assert 'href="../notebooks/mapper.ipynb"' in (site / "guides" / "mapper.html").read_text()
