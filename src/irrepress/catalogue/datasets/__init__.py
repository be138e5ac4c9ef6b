"""Published datasets."""
