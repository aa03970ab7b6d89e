"""From a probability raster of any size to footprints: polygons that never overlap, whole across every seam."""

from crispmap.vectorize.settings import VectorizeSettings

__all__ = ["VectorizeSettings"]
