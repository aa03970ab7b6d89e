"""What the tests of footprints share: masks, the truth about their outlines, and rasters on disk."""

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import shapes
from rasterio.transform import from_origin
from scipy import ndimage
from shapely.geometry import shape

PLACE = from_origin(500_000, 6_600_000, 0.5, 0.5)


@pytest.fixture
def blobs():
    """Random masks of any texture: `blobs(seed)`."""

    def draw(seed: int, largest: int = 24) -> np.ndarray:
        rng = np.random.default_rng(seed)
        size = rng.integers(1, largest, 2)
        noise = ndimage.gaussian_filter(rng.normal(size=size), rng.choice([0, 0.6, 1.2, 2]))
        return noise > rng.normal() * 0.2

    return draw


@pytest.fixture
def outlines():
    """The polygons of a label image at once, by GDAL, by label; a mask's objects are its labels."""

    def trace(labels: np.ndarray) -> dict[int, shapely.Polygon]:
        labels = ndimage.label(labels)[0] if labels.dtype == bool else labels
        found = list(shapes(labels.astype("int32"), mask=labels > 0, connectivity=4))
        assert len({label for _, label in found}) == len(found)
        return {int(label): shape(outline) for outline, label in found}

    return trace


@pytest.fixture
def levels_file(tmp_path):
    """Writes a raster of one band: `levels_file(pixels, crs=..., transform=..., scale=...)`."""

    def write(pixels, crs="EPSG:32633", transform=PLACE, scale=None, name="p.tif"):
        height, width = pixels.shape
        place = {"crs": crs, "transform": transform}
        size = {"height": height, "width": width, "count": 1, "dtype": pixels.dtype}
        with rasterio.open(tmp_path / name, "w", **size, **place) as file:
            file.write(pixels, 1)
            if scale:
                file.scales = (scale,)
        return tmp_path / name

    return write
