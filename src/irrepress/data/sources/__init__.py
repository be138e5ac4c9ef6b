"""Structures that are made rather than read: generated and perturbed ones."""
