"""From a model and rasters to probability, mask and footprints.

`plan` says what will be written where and holds no torch; `stream` runs the network over one raster in bands;
`rasters` writes what comes out; `footprints` turns a mask into polygons.
"""
