"""irrepress: smaller and faster SO(3)-equivariant atomistic foundation models.

The library behind the Snakemake workflow. Importing it is cheap: the packages of the
families (SevenNet, ...) are imported only when a model of that family is loaded.

Some examples in docstrings use ``model``, a loaded SevenNet-0
(``irrepress.families.get_family("sevennet").load("7net-0")``), ``structures``, a list of four
labelled crystals of two silicon atoms, and ``store``, a `irrepress.data.store.StructureStore` of
these (two to train on, one for validation and one for tests).
"""

__version__ = "0.1.0"

__all__ = ["__version__"]
