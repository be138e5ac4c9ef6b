"""Checkpoints of each family, without torch and without the packages of the families."""
