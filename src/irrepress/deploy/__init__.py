"""A compressed model in the form of each runtime, as a folder with its proof."""
