"""Measurements on models of any family: errors, cost, symmetry."""
