"""Rasters and vectors on disk, read and written by window; numpy, never torch."""

from crispmap.geo.caution import keep_careful

keep_careful()
