"""Paths that lead nowhere, in circles, to pipes and devices, or where nothing can be written; and odd names."""

import os
import shutil
from pathlib import Path

from bad_table import HANDLED, add, bad
from good_inputs import footprints, label, layer, model, photo, save

SUFFIX = {
    "image": ".tif",
    "mask": ".tif",
    "vectors": ".gpkg",
    "model": "",
    "config": ".yaml",
    "recipe": ".yaml",
    "losses": ".yaml",
    "list": ".txt",
}
PIPE = "pipe|device|socket|no file"
NOT_FOUND = "not found|no model|cannot be read|no images|no labels|no loss|required|missing|No such"


def _fifo(folder: Path, suffix: str) -> Path:
    os.mkfifo(folder / f"a{suffix}")
    return folder / f"a{suffix}"


def _loop(folder: Path, suffix: str) -> Path:
    (folder / f"a{suffix}").symlink_to(folder / f"b{suffix}")
    (folder / f"b{suffix}").symlink_to(folder / f"a{suffix}")
    return folder / f"a{suffix}"


def _dangling(folder: Path, suffix: str) -> Path:
    (folder / f"a{suffix}").symlink_to(folder / "gone")
    return folder / f"a{suffix}"


def _long(folder: Path, suffix: str) -> Path:
    return folder / ("x" * 300 + suffix)


def _folder(folder: Path, suffix: str) -> Path:
    (folder / f"a{suffix}").mkdir()
    return folder / f"a{suffix}"


for kind, suffix in SUFFIX.items():
    for what, make, says in [
        ("a pipe", _fifo, PIPE),
        ("a loop of links", _loop, "loop|symbolic links|" + NOT_FOUND),
        ("a dangling link", _dangling, NOT_FOUND),
        ("a name too long", _long, NOT_FOUND + "|too long"),
        ("an empty folder", _folder, NOT_FOUND + "|folder|directory|no masks"),
        ("a device", lambda folder, suffix: Path("/dev/zero"), PIPE + "|no loss"),
    ]:
        add(f"{what} as {kind}", kind, lambda folder, make=make, suffix=suffix: make(folder, suffix), says)


@bad("model", PIPE)
def _a_pipe_as_model_in_a_run(folder):
    (folder / "run").mkdir()
    os.mkfifo(folder / "run" / "model.pt")
    return folder / "run"


@bad("image", PIPE, {"check-data": "can be used"})
def _a_folder_of_pipes(folder):
    os.mkfifo(folder / "a.tif")
    return folder


@bad(
    ("mask", "vectors"),
    PIPE + "|no labels|no masks|folder|directory|no partner|no label|without a|cannot be read as a raster",
)
def _a_folder_with_a_pipe(folder):
    os.mkfifo(folder / "a.geojson")
    return folder


@bad("image", "cannot be read as a raster|not found|folder|directory")
def _a_folder_of_folders_called_tif(folder):
    (folder / "a.tif").mkdir()
    return folder


@bad("image", "cannot be read as a raster|not found|loop")
def _a_folder_of_links_in_circles(folder):
    _loop(folder, ".tif")
    return folder


ODD = {
    "spaces": "a b  c", "quotes": "it's \"quoted\"", "a leading dash": "-v", "a newline": "two\nlines",
    "letters of many scripts": "Häuser_東京_बाढ़", "a right-to-left mark": "abc\u202edef", "percent signs": "50%25",
    "markup": "<img src=x onerror=alert(1)>", "a semicolon and a dollar": "a;$HOME`id`", "braces": "{0}[b]*?",
    "emoji": "🏠", "a backslash": "a\\b", "an ampersand": "a&b<c>", "bytes that are no text": os.fsdecode(b"caf\xe9"),
    "a tab": "a\tb", "only a suffix before it": ".hidden", "a colon": "C:a", "a hash": "a#b?c=d",
}  # fmt: skip
for what, stem in ODD.items():
    says = "no text in UTF-8" if "bytes" in what else HANDLED
    taken_apart = "by that name" if set(stem) & set(";!\t\n") else says  # names of vector files, by pyogrio
    add(
        f"an image with {what} in its name",
        "image",
        lambda f, s=stem: save(f / "x.tif", photo()).rename(f / f"{s}.tif"),
        says,
        {"predict": taken_apart, "check-data": HANDLED},  # which gives it a name of its own
    )
    add(
        f"a mask with {what} in its name",
        "mask",
        lambda f, s=stem: save(f / "x.tif", label()).rename(f / f"{s}.tif"),
        says,
        {"check-data": HANDLED},
    )
    add(
        f"vectors with {what} in their name",
        "vectors",
        lambda f, s=stem: layer(f / "x.gpkg", footprints(), layer="x").rename(f / f"{s}.gpkg"),
        taken_apart,
    )
    add(
        f"a run with {what} in its name",
        "model",
        lambda f, s=stem: model(f / "x" / "model.pt").parent.rename(f / s),
        says,
    )
    add(
        f"an output with {what} in its name",
        "out",
        lambda f, s=stem: f / s,
        says,
        {"predict|vectorize|synthesize|demo": taken_apart},
    )


@bad("out", "is no folder|Not a directory|File exists|cannot be written")
def _an_output_inside_a_file(folder):
    (folder / "file").write_text("mine")
    return folder / "file" / "out"


@bad("out", "No such file|Permission|denied|not permitted|cannot be written|Read-only|Function not implemented")
def _an_output_in_proc(folder):
    return Path("/proc/crispmap/out")


@bad("out", "Permission|denied|not permitted|cannot be written|Read-only|No such")
def _an_output_in_sys(folder):
    return Path("/sys/kernel/out")


@bad("out", "too long")
def _an_output_with_a_name_too_long(folder):
    return folder / ("x" * 300)


@bad("out", "loop|symbolic links|exists|Too many")
def _an_output_in_a_loop_of_links(folder):
    return _loop(folder, "") / "out"


@bad("out", "exists already|is a file|holds", {"vectorize": HANDLED, "export": HANDLED})
def _an_output_that_is_there(folder):
    (folder / "out").mkdir()
    (folder / "out" / "report.html").write_text("mine")
    for name in ("a_mask.tif", "town_mask.tif"):
        (folder / "out" / name).write_text("mine")
    return folder / "out"


@bad("out", "Not a directory|is no folder")
def _an_output_on_a_device(folder):
    return Path("/dev/null/out")


def _dataset(change):
    def make(folder: Path) -> Path:
        root = folder / "AerialImageDataset"
        for name, pixels in (("images", photo()), ("gt", label())):
            (root / "train" / name).mkdir(parents=True)
            for tile in ("austin1", "austin6"):
                save(root / "train" / name / f"{tile}.tif", pixels)
        change(root)
        return root

    return make


NOTHING = "nothing of|can be used|cannot be read|share one grid|nothing to"
add("a dataset of empty folders", "dataset", _dataset(lambda r: [p.unlink() for p in r.rglob("*.tif")]), NOTHING)
add("a dataset of labels alone", "dataset", _dataset(lambda r: shutil.rmtree(r / "train" / "images")), NOTHING)
add(
    "a dataset of pipes",
    "dataset",
    _dataset(lambda r: [(p.unlink(), os.mkfifo(p)) for p in r.rglob("*.tif")]),
    NOTHING + "|" + PIPE,
)
add(
    "a dataset of damaged labels",
    "dataset",
    _dataset(lambda r: [p.write_bytes(b"II*\0") for p in r.glob("*/gt/*")]),
    NOTHING,
)
add(
    "a dataset that holds itself",
    "dataset",
    _dataset(lambda r: (r / "self").symlink_to(r)),
    "more than once|" + HANDLED,
)
add("a dataset that is a file", "dataset", lambda f: save(f / "a.tif", photo()), "not found|folder|directory")
