"""What a dataset holds: counts, distributions and suspicious structures, in one pass."""
