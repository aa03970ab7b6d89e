"""From a model and rasters to probability, mask and footprints.

`plan` says what will be written where, with `mosaic` and `vrt` for several files as one raster; none of them holds
torch. `stream` runs the network (`inference`) over one raster in bands, while a thread reads ahead (`overlap`). `spool`
keeps finished rows, with `identity` for what they follow from; `maps` makes GeoTIFFs of them. `rasters` puts all of it
together, `submission` a part of it for a contest; `shards` and `cluster` do the same on many machines. Footprints are
made by `crispmap.vectorize`.
"""
