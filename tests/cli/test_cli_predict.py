"""The `predict` command through the real entry point, in this process and once in its own."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from crispmap import __version__
from crispmap.cli import main
from crispmap.models import ModelSpec, SegmentationModel
from crispmap.predict.spool import Journal


def save_model(folder, bands=3, **spec):
    torch.manual_seed(0)
    given = {"dtype": "uint8", "mean": (100.0,) * bands, "std": (50.0,) * bands, "window": 64} | spec
    model = SegmentationModel(ModelSpec("Unet", "mobilenet_v2", bands, decoder_channels=(16, 8, 8, 8, 8), **given))
    folder.mkdir(parents=True)
    model.save(folder / "model.pt")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def image(tmp_path, write_raster):
    pixels = np.random.default_rng(0).integers(1, 255, (3, 150, 200)).astype("uint8")
    return write_raster(tmp_path / "in" / "a.tif", pixels)


def predict(*arguments):
    return main(["predict", *map(str, arguments)])


def test_an_image_becomes_three_files(tmp_path, run, image, capsys):
    out = tmp_path / "new" / "maps"
    assert predict(run, image, "-o", out, "--patch", "64", "--threshold", "0.4", "--device", "cpu") == 0
    with rasterio.open(image) as source:
        grid = source.shape, source.crs, source.transform
    for kind in ("probability", "mask"):
        with rasterio.open(out / f"a_{kind}.tif") as file:
            assert (file.shape, file.crs, file.transform) == grid
    footprints = gpd.read_file(out / "a_footprints.gpkg")
    assert len(footprints)
    assert footprints.is_valid.all()
    said = capsys.readouterr()
    assert said.out == f"1 image, 0.03 megapixels, {len(footprints)} footprints in {out}\n"
    assert said.err == ""


def test_footprints_are_those_that_vectorize_makes_of_the_probability(tmp_path, run, image):
    area = ["--min-area", "4"]
    how = [*area, "--separate", "0.505", "--regularise"]
    assert predict(run, image, "-o", tmp_path / "out", "--patch", "64", "--device", "cpu", *how) == 0
    probability, alone = tmp_path / "out" / "a_probability.tif", tmp_path / "alone.gpkg"
    assert main(["vectorize", str(probability), "-o", str(alone), *how]) == 0
    ours, theirs = (gpd.read_file(path) for path in (tmp_path / "out" / "a_footprints.gpkg", alone))
    assert len(ours) > 1
    assert ours.equals(theirs)
    plain = tmp_path / "plain.gpkg"
    assert main(["vectorize", str(probability), "-o", str(plain), *area]) == 0
    assert not ours.geometry.equals(gpd.read_file(plain).geometry)


def test_a_folder_of_images_without_footprints(tmp_path, run, image, write_raster, predicted, capsys):
    write_raster(image.parent / "b.png", np.zeros((3, 40, 30), "uint8"))
    out = tmp_path / "maps"
    options = ["--patch", "64", "--overlap", "0.5", "--batch-size", "3", "--nodata", "0", "--no-footprints"]
    assert predict(run / "model.pt", image.parent, "-o", out, *options) == 0
    assert {path.name for path in out.iterdir()} == predicted("a", "b", footprints=False)
    assert capsys.readouterr().out == f"2 images, 0.03 megapixels in {out}\n"
    with rasterio.open(out / "b_probability.tif") as file:
        assert not file.read().any()
        assert not file.dataset_mask().any()


def test_results_are_replaced_only_when_asked(tmp_path, run, image, capsys):
    (tmp_path / "a_mask.tif").write_text("mine")
    assert predict(run, image, "-o", tmp_path) == 2
    assert "a_mask.tif exists already" in capsys.readouterr().err
    assert (tmp_path / "a_mask.tif").read_text() == "mine"
    assert predict(run, image, "-o", tmp_path, "--overwrite", "--patch", "64") == 0
    with rasterio.open(tmp_path / "a_mask.tif") as file:
        assert file.shape == (150, 200)


class Trap:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.mkdir, (str(self.file),)


def no_run(place, image, write_raster):
    return [place / "nowhere", image], "run not found"


def no_model(place, image, write_raster):
    return [place, image], "no model at"


def text_as_model(place, image, write_raster):
    (place / "model.pt").write_text("weights, surely")
    return [place, image], "is not a crispmap model"


def cut_model(place, image, write_raster):
    file = save_model(place / "run") / "model.pt"
    file.write_bytes(file.read_bytes()[:100_000])
    return [file, image], "is not a crispmap model"


def trapped_model(place, image, write_raster):
    (place / "model.pt").write_bytes(pickle.dumps(Trap(place / "out" / "sprung")))
    return [place, image], "is not a crispmap model"


def no_image(place, image, write_raster):
    return ["RUN", image, place / "nowhere.tif"], "image not found"


def text_as_image(place, image, write_raster):
    (place / "text.tif").write_text("hello")
    return ["RUN", image, place / "text.tif"], "cannot be read as a raster"


def empty_folder(place, image, write_raster):
    (place / "empty").mkdir()
    return ["RUN", place / "empty"], "no images in"


def other_bands(place, image, write_raster):
    grey = write_raster(place / "grey.tif", np.ones((1, 9, 9), "uint8"))
    return ["RUN", image, grey], "has 1 band of imagery but the model was trained on 3 bands"


def other_type(place, image, write_raster):
    deep = write_raster(place / "deep.tif", np.ones((3, 9, 9), "uint16"))
    return ["RUN", image, deep], "holds uint16 but the model was trained on uint8"


def same_name(place, image, write_raster):
    twin = write_raster(place / "a.png", np.ones((3, 9, 9), "uint8"))
    return ["RUN", image, twin], "would both be written as a_mask.tif"


def no_ground_resolution(place, image, write_raster):
    run = save_model(place / "metres", resolution=0.5)
    nowhere = write_raster(place / "b.png", np.ones((3, 9, 9), "uint8"))
    return [run, image, nowhere], "its ground resolution is unknown"


def bad_threshold(place, image, write_raster):
    return ["RUN", image, "--threshold", "1.5"], "threshold"


def bad_overlap(place, image, write_raster):
    return ["RUN", image, "--overlap", "1"], "overlap"


def bad_patch(place, image, write_raster):
    return ["RUN", image, "--patch", "big"], "patch"


def bad_nodata(place, image, write_raster):
    return ["RUN", image, "--nodata", "white"], "nodata is 'none' or a number"


def bad_augmentation(place, image, write_raster):
    return ["RUN", image, "--tta", "5"], "1, 4 or 8 flips and turns"


def bad_precision(place, image, write_raster):
    return ["RUN", image, "--precision", "64"], "precision is auto, 32 or bf16"


def no_mosaic(place, image, write_raster):
    coarse = write_raster(place / "b.tif", np.ones((3, 9, 9), "uint8"), transform=from_origin(500_000, 5_000_000, 1, 1))
    return ["RUN", image, coarse, "--mosaic"], "gdalwarp -tr -tap"


def no_address(place, image, write_raster):
    return ["RUN", image, "http://127.0.0.1:9/far.tif"], "image not found: /vsicurl/http://127.0.0.1:9/far.tif"


def bad_device(place, image, write_raster):
    return ["RUN", image, "--device", "abacus"], "no device 'abacus'"


def nothing_to_predict(place, image, write_raster):
    return ["RUN"], "images"


MISTAKES = [
    no_run,
    no_model,
    text_as_model,
    cut_model,
    trapped_model,
    no_image,
    text_as_image,
    empty_folder,
    other_bands,
    other_type,
    same_name,
    no_ground_resolution,
    bad_threshold,
    bad_overlap,
    bad_patch,
    bad_nodata,
    bad_augmentation,
    bad_precision,
    no_mosaic,
    no_address,
    bad_device,
    nothing_to_predict,
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, run, image, write_raster, mistake, capsys):
    (tmp_path / "out").mkdir()
    arguments, words = mistake(tmp_path, image, write_raster)
    capsys.readouterr()
    arguments = [run if argument == "RUN" else argument for argument in arguments]
    assert predict(*arguments, "-o", tmp_path / "out") == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.err.startswith("crispmap predict: ")
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert not list((tmp_path / "out").iterdir())


def test_an_image_that_turns_out_damaged_leaves_no_output(tmp_path, run, image, capsys):
    image.write_bytes(image.read_bytes()[:50_000])
    assert predict(run, image, "-o", tmp_path / "out", "--patch", "64") == 2
    assert "cannot be read as a raster" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".a.partial"]


def test_a_file_where_the_folder_should_be(tmp_path, run, image, capsys):
    assert predict(run, image, "-o", image) == 2
    assert "is a file" in capsys.readouterr().err


def test_help_has_an_example(capsys):
    assert predict("--help") == 0
    assert "crispmap predict runs/houses orthophoto.tif -o maps" in capsys.readouterr().out


def test_wrong_paths_are_found_before_torch_is_loaded(tmp_path, run, image):
    (tmp_path / "a_mask.tif").write_text("")
    for arguments in (["nowhere", image], [run, "nowhere.tif"], [run, image]):
        call = ["predict", *map(str, arguments), "-o", str(tmp_path)]
        code = f"import sys; from crispmap.cli import main; print(main({call}), 'torch' in sys.modules)"
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert said.stdout == "2 False\n"


def maps(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.tif")}


@pytest.mark.long
def test_killed_twice_it_goes_on_to_the_same_bytes(tmp_path, run, write_raster, capsys, predicted):
    """SIGKILL, at a moment of its own in every run of this test; what is left is all that the next start has."""
    pixels = np.random.default_rng(0).integers(1, 255, (3, 900, 400)).astype("uint8")
    image = write_raster(tmp_path / "a.tif", pixels)
    out, call = tmp_path / "out", [run, image, "--patch", "64", "--no-footprints", "--device", "cpu", "-o"]
    code = (
        "import sys; from crispmap.cli import main; from crispmap.predict import spool;"
        "spool._SECONDS_BETWEEN_COMMITS = 0; sys.exit(main(sys.argv[1:]))"
    )
    rows = [0]
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code, "predict", *map(str, call), str(out)])
        least = rows[-1] + np.random.default_rng().integers(1, 250)
        while process.poll() is None and (
            (journal := Journal.read(out / ".a.partial")) is None or journal.rows < least
        ):
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        rows.append(Journal.read(out / ".a.partial").rows)
        assert not maps(out)
    assert 0 < rows[1] < rows[2]
    assert predict(*call, out) == 0
    assert re.search(rf"a: going on from row {rows[2]} of 900", capsys.readouterr().err)
    assert predict(*call, tmp_path / "undisturbed") == 0
    assert maps(out) == maps(tmp_path / "undisturbed")
    assert {path.name for path in out.iterdir()} == predicted("a", footprints=False)


def test_new_maps_without_footprints_do_not_keep_old_ones(tmp_path, run, image, predicted):
    out = tmp_path / "maps"
    assert predict(run, image, "-o", out, "--patch", "64") == 0
    assert predict(run, image, "-o", out, "--patch", "64", "--no-footprints", "--overwrite", "--threshold", "0.4") == 0
    assert {path.name for path in out.iterdir()} == predicted("a", footprints=False)


def test_the_maps_say_where_they_come_from(tmp_path, run, image):
    with rasterio.open(image, "r+") as file:
        file.update_tags(ACQUIRED="2024-05-01")
    assert predict(run, image, "-o", tmp_path / "maps", "--patch", "64", "--threshold", "0.4", "--no-footprints") == 0
    with rasterio.open(tmp_path / "maps" / "a_mask.tif") as file:
        tags = file.tags()
    assert re.fullmatch("[0-9a-f]{16}", tags.pop("CRISPMAP_MODEL"))
    assert tags == {
        "ACQUIRED": "2024-05-01",
        "AREA_OR_POINT": "Area",
        "CRISPMAP_RUN": str(run),
        "CRISPMAP_THRESHOLD": "0.4",
        "CRISPMAP_VERSION": __version__,
    }


@pytest.fixture
def tiles(tmp_path, image, write_raster):
    """The image again, cut into four that touch."""
    with rasterio.open(image) as file:
        pixels, transform = file.read(), file.transform
    for row in (0, 75):
        for col in (0, 100):
            here = transform @ rasterio.Affine.translation(col, row)
            part = pixels[:, row : row + 75, col : col + 100]
            write_raster(tmp_path / "tiles" / f"{row}_{col}.tif", part, transform=here)
    return tmp_path / "tiles"


def test_tiles_as_a_mosaic_give_what_the_whole_gives(tmp_path, run, image, tiles):
    options = ["--patch", "64", "--tta", "4", "--precision", "32", "--no-footprints"]
    assert predict(run, image, "-o", tmp_path / "whole", *options) == 0
    assert predict(run, tiles, "--mosaic", "-o", tmp_path / "parts", *options) == 0
    for kind in ("mask", "probability"):
        with (
            rasterio.open(tmp_path / "whole" / f"a_{kind}.tif") as whole,
            rasterio.open(tmp_path / "parts" / f"mosaic_{kind}.tif") as parts,
        ):
            np.testing.assert_array_equal(parts.read(1), whole.read(1))
            assert (parts.crs, parts.transform) == (whole.crs, whole.transform)


SERVER = """
import re, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

class Ranges(BaseHTTPRequestHandler):
    content = Path(sys.argv[1]).read_bytes()

    def do_HEAD(self):
        self.answer(200, self.content)

    def do_GET(self):
        asked = re.fullmatch(r"bytes=(\\d+)-(\\d+)", self.headers.get("Range", ""))
        first, last = map(int, asked.groups()) if asked else (0, len(self.content) - 1)
        part = self.content[first : last + 1]
        span = f"bytes {first}-{first + len(part) - 1}/{len(self.content)}"
        self.answer(206 if asked else 200, part, **({"Content-Range": span} if asked else {}))
        self.wfile.write(part)

    def answer(self, status, part, **headers):
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(part)), "Accept-Ranges": "bytes"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

server = HTTPServer(("127.0.0.1", 0), Ranges)
print(server.server_port, flush=True)
server.serve_forever()
"""


def test_an_image_behind_an_address(tmp_path, run, image):
    """The server gives parts of a file, as stores of imagery do; in a process of its own, for GDAL waits for it."""
    command = [sys.executable, "-c", SERVER, str(image)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = f"http://127.0.0.1:{int(server.stdout.readline())}/there/a.tif"
            assert predict(run, address, "-o", tmp_path / "far", "--patch", "64", "--no-footprints") == 0
        finally:
            server.kill()
    assert predict(run, image, "-o", tmp_path / "near", "--patch", "64", "--no-footprints") == 0
    assert maps(tmp_path / "far") == maps(tmp_path / "near")
