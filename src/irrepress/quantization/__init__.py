"""Weight-only quantization of path and radial weights, and its packed file.

These weights are scalars that mix channels of one irrep, so rounding them preserves equivariance
exactly.
"""
