"""The families of models: one package each, behind one protocol (`families.base`)."""

from irrepress.families.registry import family_names, get_family

__all__ = ["family_names", "get_family"]
