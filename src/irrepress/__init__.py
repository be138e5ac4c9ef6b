"""irrepress: smaller and faster SO(3)-equivariant atomistic foundation models.

The library behind the Snakemake workflow. Importing it is cheap: the packages of the
families (SevenNet, ...) are imported only when a model of that family is loaded.
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
