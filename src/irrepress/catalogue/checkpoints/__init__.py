"""Checkpoints of each family, without importing torch or the families' packages."""
