"""irrepress: smaller and faster SO(3)-equivariant atomistic foundation models.

The library behind the Snakemake workflow. Importing it is cheap: the packages of the
families (SevenNet, ...) are imported only when a model of that family is loaded.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("irrepress")
except PackageNotFoundError:  # a source tree on PYTHONPATH, not installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
