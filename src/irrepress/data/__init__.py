"""Structures: formats, the HDF5 store, splits, sources and summaries."""
