"""Rasters that are whole and yet odd: their bands, values, places, and the files beside them."""

import os
from pathlib import Path

import numpy as np
import rasterio
from bad_rasters import ANY, CHECKED, UNREADABLE, vrt
from bad_table import HANDLED, add, bad
from good_inputs import HEIGHT, PLACE, WIDTH, label, photo, save
from rasterio.transform import Affine


@bad("image", "200 bands|images differ", {"fit|compare|search-weight|suggest-theta": HANDLED, "check-data": CHECKED})
def _two_hundred_bands(folder):
    return save(folder / "a.tif", photo(200))


@bad("mask", "200 bands that differ", {"check-data": "has 200 bands, but"})
def _a_mask_of_two_hundred_bands(folder):
    return save(folder / "a.tif", photo(200))


@bad("image", "holds complex")
def _complex_pixels(folder):
    return save(folder / "a.tif", photo(dtype="complex64"))


@bad("mask", "holds complex")
def _a_mask_of_complex_pixels(folder):
    return save(folder / "a.tif", label().astype("complex64"))


for kind, says in {
    "float64": "holds float64",
    "int8": "holds int8",
    "uint32": "holds uint32",
    "int64": "holds int64",
}.items():
    add(
        f"imagery of {kind}",
        "image",
        lambda folder, kind=kind: save(folder / "a.tif", photo(dtype=kind)),
        HANDLED,
        {"predict": says, "check-data": CHECKED},
    )
    add(
        f"a mask of {kind}",
        "mask",
        lambda folder, kind=kind: save(folder / "a.tif", (label() > 0).astype(kind)),
        HANDLED,
        {"check-data": f"holds {kind}, but"},
    )


def _spoilt(value: float, share: float):
    def make(folder: Path) -> Path:
        pixels = photo(dtype="float32")
        pixels[:, : int(HEIGHT * share)] = value
        return save(folder / "a.tif", pixels)

    return make


add("imagery with NaN", "image", _spoilt(np.nan, 0.2), HANDLED, {"predict": "holds float32"})
add("imagery with infinities", "image", _spoilt(np.inf, 0.2), HANDLED, {"predict": "holds float32"})
add(
    "imagery of nothing but NaN",
    "image",
    _spoilt(np.nan, 1),
    "nothing but nodata|could be measured",
    {"predict": "holds float32", "check-data": CHECKED},
)
add("imagery of huge numbers", "image", _spoilt(1e30, 0.2), HANDLED, {"predict": "holds float32"})


@bad("image", "nothing but nodata|could be measured", {"predict": HANDLED, "check-data": CHECKED})
def _imagery_of_nothing_but_nodata(folder):
    return save(folder / "a.tif", np.zeros_like(photo()), nodata=0)


@bad(
    "mask",
    HANDLED,
    {
        "evaluate.*": "no pixel|nothing to compare|no data",
        "check-data": "holds float32, but",
        "fit|compare|search-weight|suggest-theta": "marks nothing|no building",
    },
)
def _a_mask_of_nothing_but_NaN(folder):
    return save(folder / "a.tif", np.full((HEIGHT, WIDTH), np.nan, "float32"))


@bad("mask", "neither|0…7", {"check-data": "holds 7, which"})
def _a_mask_of_class_numbers(folder):
    return save(folder / "a.tif", (label() // 255 * 7).astype("uint8"))


@bad("mask", "values from -9", {"check-data": "holds int16, but"})
def _a_mask_of_negative_numbers(folder):
    return save(folder / "a.tif", np.where(label() > 0, -9, 0).astype("int16"))


@bad("mask", HANDLED, {"fit|compare|search-weight|suggest-theta": "marks nothing|no building"})
def _an_empty_mask(folder):
    return save(folder / "a.tif", np.zeros((HEIGHT, WIDTH), "uint8"))


@bad("mask", "must share one grid", {"vectorize": HANDLED})
def _a_mask_of_another_size(folder):
    return save(folder / "a.tif", label()[:50, :70])


@bad("mask", "must share one grid", {"vectorize": HANDLED})
def _a_mask_of_one_pixel(folder):
    return save(folder / "a.tif", label()[:1, :1])


@bad("image", "too small|smaller than|does not overlap|no window|window", {"predict": HANDLED, "check-data": CHECKED})
def _imagery_of_one_pixel(folder):
    return save(folder / "a.tif", photo()[:, :1, :1])


NOWHERE = "has no CRS"
AS_THE_IMAGE = ("without a CRS", "without a place", "in a local engineering CRS")  # masks: they have the image's pixels
for how, profile, says in [
    ("without a CRS", {"crs": None}, NOWHERE),
    ("without a place", {"crs": None, "transform": Affine.identity()}, NOWHERE),
    ("in a local engineering CRS", {"crs": 'LOCAL_CS["site",UNIT["metre",1]]'}, "LOCAL_CS|site|CRS"),
    (
        "with its axes swapped",
        {"transform": Affine(0, 0.5, 5_000_000, 0.5, 0, 500_000)},
        "does not overlap|lies|no polygon",
    ),
    ("turned by thirty degrees", {"transform": PLACE @ Affine.rotation(30)}, HANDLED),
    ("with south up", {"transform": Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000 - HEIGHT / 2)}, HANDLED),
    ("mirrored", {"transform": Affine(-0.5, 0, 500_000 + WIDTH / 2, 0, -0.5, 5_000_000)}, HANDLED),
    (
        "of pixels without a size",
        {"transform": Affine(0, 0, 500_000, 0, 0, 5_000_000)},
        "pixels without a size|no size",
    ),
    (
        "of pixels without a height",
        {"transform": Affine(0.5, 0, 500_000, 0, 0, 5_000_000)},
        "pixels without a size|no size",
    ),
    (
        "of pixels that are not numbers",
        {"transform": Affine(np.nan, 0, 500_000, 0, -0.5, 5_000_000)},
        "pixels without a size|no size|not finite",
    ),
    (
        "of infinite coordinates",
        {"transform": Affine(0.5, 0, np.inf, 0, -0.5, 5_000_000)},
        "pixels without a size|no size|not finite",
    ),
    (
        "beyond the poles",
        {"crs": "EPSG:4326", "transform": Affine(0.1, 0, 500, 0, -0.1, 400)},
        "does not overlap|no place",
    ),
    (
        "on the moon",
        {"crs": "+proj=longlat +R=1737400 +no_defs", "transform": Affine(0.1, 0, 10, 0, -0.1, 40)},
        "no way",
    ),
    (
        "across the antimeridian",
        {"crs": "EPSG:4326", "transform": Affine(0.0001, 0, 179.995, 0, -0.0001, 10)},
        "does not overlap|no polygon|in .* but",
    ),
]:
    add(
        f"imagery {how}",
        "image",
        lambda folder, p=profile: save(folder / "a.tif", photo(), **p),
        says,
        {"predict": f"{says}|{HANDLED}", "check-data": CHECKED},
    )
    add(
        f"a mask {how}",
        "mask",
        lambda folder, p=profile: save(folder / "a.tif", label(), **p),
        HANDLED if how in AS_THE_IMAGE else f"{says}|share one grid|warp one",
        {"vectorize": f"{says}|{HANDLED}", "evaluate.*": f"{says}|{UNREADABLE}|share one grid|lies|warp one|{HANDLED}"},
    )


@bad("image", HANDLED)
def _imagery_with_a_garbage_aux_xml(folder):
    (folder / "a.tif.aux.xml").write_text("<PAMDataset><broken")
    return save(folder / "a.tif", photo())


@bad("image", HANDLED)
def _imagery_with_a_garbage_world_file(folder):
    (folder / "a.tfw").write_bytes(os.urandom(50))
    return save(folder / "a.tif", photo())


@bad("image", HANDLED)
def _imagery_with_a_broken_overview_beside_it(folder):
    (folder / "a.tif.ovr").write_bytes(b"II*\0" + bytes(20))
    return save(folder / "a.tif", photo())


@bad("image", HANDLED)
def _imagery_with_a_broken_mask_beside_it(folder):
    (folder / "a.tif.msk").write_bytes(b"II*\0" + bytes(20))
    return save(folder / "a.tif", photo())


@bad("image", UNREADABLE, {"check-data": "can be used"})
def _imagery_whose_overview_is_cut_off(folder):
    path = save(folder / "a.tif", np.tile(photo(), (1, 8, 8)), compress="deflate", tiled=True)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    return path


@bad("image", "holds uint16 but", {"fit|compare|search-weight|suggest-theta": HANDLED, "check-data": CHECKED})
def _imagery_of_sixteen_bits(folder):
    return save(folder / "a.tif", photo(dtype="uint16") * 50)


@bad("image", "1 band", {"fit|compare|search-weight|suggest-theta": HANDLED, "check-data": CHECKED})
def _imagery_of_one_band(folder):
    return save(folder / "a.tif", photo(1))


@bad("image", "no bands of imagery|0 bands")
def _imagery_of_nothing_but_alpha(folder):
    path = save(folder / "a.tif", label())
    with rasterio.open(path, "r+") as file:
        file.colorinterp = [rasterio.enums.ColorInterp.alpha]
    return path


@bad("image", HANDLED)
def _imagery_whose_nodata_is_beyond_its_type(folder):
    (folder / "a.vrt").write_text("")
    path = save(folder / "b.tif", photo())
    bands = "".join(
        f'<VRTRasterBand dataType="Byte" band="{i}"><NoDataValue>-9999</NoDataValue><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{path.name}</SourceFilename><SourceBand>{i}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for i in (1, 2, 3)
    )
    with rasterio.open(path) as file:
        wkt, place = file.crs.to_wkt(), ", ".join(map(str, file.transform.to_gdal()))
    return vrt(f"<SRS>{wkt.replace('<', '&lt;')}</SRS><GeoTransform>{place}</GeoTransform>{bands}")(folder)


@bad(ANY, UNREADABLE)
def _a_raster_whose_CRS_has_a_name_that_is_no_text(folder):
    path = save(folder / "a.tif", photo(), crs='LOCAL_CS["Staedtisches Netz",UNIT["metre",1]]')
    path.write_bytes(path.read_bytes().replace(b"Staedtisches", b"St\xe4dtisches_"))  # as Latin-1 has it
    return path
