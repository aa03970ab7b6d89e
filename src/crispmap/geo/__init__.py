"""Rasters and vectors on disk, read and written by window; numpy, never torch."""
