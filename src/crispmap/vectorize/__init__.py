"""From a probability raster of any size to footprints: polygons that never overlap, whole across every seam."""

from crispmap.vectorize.settings import VectorizeSettings
from crispmap.vectorize.writing import write_footprints

__all__ = ["VectorizeSettings", "write_footprints"]
