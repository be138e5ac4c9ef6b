"""Structures that are built here or made from those of other datasets."""
