"""Weight-only quantization of path and radial weights, and its packed file.

These weights are scalars that mix channels of one irrep, so that rounding them leaves the
model exactly equivariant.
"""
