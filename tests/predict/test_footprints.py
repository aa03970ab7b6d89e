import numpy as np
import pytest
import shapely
from pyproj import Geod, Transformer
from rasterio import Affine
from rasterio.features import rasterize
from rasterio.transform import from_origin
from scipy import ndimage
from shapely import affinity, box

from crispmap.geo.raster import Raster
from crispmap.predict.footprints import trace

PLACES = {
    "utm": ("EPSG:32633", from_origin(500_000, 6_600_000, 0.5, 0.5)),
    "utm turned": ("EPSG:32633", Affine.translation(5e5, 6.6e6) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)),
    "south up": ("EPSG:32633", from_origin(500_000, 6_600_000, 0.5, -0.5)),
    "degrees": ("EPSG:4326", from_origin(15, 60, 8e-6, 5e-6)),
    "web mercator": ("EPSG:3857", from_origin(1.67e6, 8.4e6, 1, 1)),
}


@pytest.fixture
def traced(tmp_path, write_raster):
    """Traces a mask and its levels: `traced(mask, levels=None, crs, transform, **settings)`."""

    def call(mask, levels=None, crs="EPSG:32633", transform=PLACES["utm"][1], **settings):
        profile = {"crs": crs, "transform": transform}
        file = write_raster(tmp_path / "mask.tif", mask.astype("uint8") * 255, **profile)
        levels = np.full(mask.shape, 200) if levels is None else levels
        probability = write_raster(tmp_path / "probability.tif", levels.astype("uint8"), **profile)
        return *trace(Raster.of(file), file, probability, **settings), Raster.of(file)

    return call


def drawing():
    """A rectangle with a courtyard, two blobs that touch at a corner, and a speck."""
    mask = np.zeros((80, 100), bool)
    mask[10:40, 20:60] = True
    mask[20:30, 30:40] = False
    mask[50:60, 10:22] = mask[60:70, 22:30] = True
    mask[75:77, 90:92] = True
    return mask, [
        box(20, 10, 60, 40).difference(box(30, 20, 40, 30)),
        box(10, 50, 22, 60),
        box(22, 60, 30, 70),
    ]


def geodesic_area(polygon, crs):
    degrees = shapely.transform(
        polygon,
        lambda xy: np.stack(Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*xy.T), axis=-1),
    )
    rings = [abs(Geod(ellps="WGS84").geometry_area_perimeter(ring)[0]) for ring in shapely.get_rings(degrees)]
    return rings[0] - sum(rings[1:])


@pytest.mark.parametrize("place", PLACES)
def test_a_drawing_comes_back_in_its_place_with_its_area(traced, place):
    crs, transform = PLACES[place]
    mask, shapes = drawing()
    polygons, attributes, _ = traced(mask, crs=crs, transform=transform, min_area=2)
    assert len(polygons) == 3
    for shape in shapes:
        truth = affinity.affine_transform(shape, transform.to_shapely())
        at = [i for i, polygon in enumerate(polygons) if polygon.symmetric_difference(truth).area < 1e-6 * truth.area]
        assert len(at) == 1
        assert attributes["area_m2"][at[0]] == pytest.approx(geodesic_area(truth, crs), rel=1e-4, abs=0.01)
    assert sorted(len(polygon.interiors) for polygon in polygons) == [0, 0, 1]


def test_without_a_place_lengths_are_pixels(traced):
    mask, shapes = drawing()
    polygons, attributes, _ = traced(mask, crs=None, transform=None)
    assert sorted(attributes["area_px"]) == sorted(shape.area for shape in shapes)
    assert shapely.union_all(polygons).equals(shapely.union_all(shapes))
    assert len(traced(mask, crs=None, transform=None, min_area=4)[0]) == 4
    assert len(traced(mask, crs=None, transform=None, min_area=90)[0]) == 2


def test_the_least_area_is_in_square_metres(traced):
    mask, _ = drawing()  # at 0.25 m² a pixel: 275, 30, 20 and 1 m²
    assert [len(traced(mask, min_area=least)[0]) for least in (0, 2, 25, 200, 400)] == [4, 3, 2, 1, 0]
    _, attributes, _ = traced(mask, min_area=400)
    assert {name: len(values) for name, values in attributes.items()} == {"area_m2": 0, "probability": 0}


def test_the_mean_probability_is_that_of_the_pixels(traced):
    mask, _ = drawing()
    levels = np.random.default_rng(0).integers(0, 256, mask.shape)
    polygons, attributes, raster = traced(mask, levels, min_area=0)
    for polygon, probability in zip(polygons, attributes["probability"], strict=True):
        inside = rasterize([polygon], mask.shape, transform=raster.transform) > 0
        assert probability == pytest.approx(levels[inside].mean() / 255, abs=1e-4)


def test_nothing_mapped(traced):
    polygons, attributes, _ = traced(np.zeros((20, 30), bool))
    assert len(polygons) == 0
    assert list(attributes) == ["area_m2", "probability"]


def test_walls_of_any_direction_lose_their_staircase_and_stay_in_place(traced):
    for angle in (0, 7, 20, 33, 45, 61, 88):
        truth = affinity.rotate(box(40, 50, 110, 90), angle)
        mask = rasterize([truth], (140, 150)) > 0
        (polygon,), _, _ = traced(mask, crs=None, transform=None)
        assert len(polygon.exterior.coords) < 16
        assert polygon.intersection(truth).area / polygon.union(truth).area > 0.965
        assert polygon.exterior.hausdorff_distance(truth.exterior) < 1.5


def test_the_tolerance_is_in_metres(traced):
    mask = rasterize([affinity.rotate(box(40, 50, 110, 90), 20)], (140, 150)) > 0
    for place in ("utm", "degrees"):
        crs, transform = PLACES[place]
        traces = [traced(mask, crs=crs, transform=transform, tolerance=t)[0][0] for t in (0, 0.2, 0.6, 20)]
        vertices = [len(polygon.exterior.coords) for polygon in traces]
        assert vertices[0] > 100
        assert vertices[1] == pytest.approx(vertices[0], rel=0.5)
        assert vertices[2] < 16
        assert 4 <= vertices[3] <= 5


@pytest.mark.parametrize("sigma", [0.0, 0.8, 1.5, 3.0])
@pytest.mark.parametrize("tolerance", [0.0, 0.55, 2.0])
def test_no_outline_crosses_itself(traced, sigma, tolerance):
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=(150, 170)), sigma)
    mask = noise > np.median(noise)
    polygons, attributes, raster = traced(mask, tolerance=tolerance, min_area=0)
    assert shapely.is_valid(polygons).all()
    assert set(shapely.get_type_id(polygons)) == {shapely.GeometryType.POLYGON}
    _, blobs = ndimage.label(mask)
    assert len(polygons) == blobs
    if tolerance == 0:
        np.testing.assert_array_equal(rasterize(polygons.tolist(), mask.shape, transform=raster.transform) > 0, mask)
        assert attributes["area_m2"].sum() == pytest.approx(mask.sum() * 0.25, rel=2e-3)


def test_very_many_holes_take_no_very_long_time(traced):
    mask = np.ones((400, 400), bool)
    mask[1:-1:3, 1:-1:3] = False
    (polygon,), _, _ = traced(mask)
    assert polygon.is_valid
    assert len(polygon.interiors) == (~mask).sum()
