"""Summaries of datasets: counts, distributions and suspicious structures, in one pass."""
