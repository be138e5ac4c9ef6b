"""The families of models: one package each, behind one protocol (`irrepress.core.family`)."""

from irrepress.catalogue.families import family_names
from irrepress.families.registry import get_family

__all__ = ["family_names", "get_family"]
