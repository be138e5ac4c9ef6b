"""Names of the groups that the families that are built on e3nn have in common."""


def feature_group(layer: int, irrep: str) -> str:
    """Return the name of the group of features that enter a layer."""
    return f"features.{layer}.{irrep}"


def message_group(layer: int, irrep: str) -> str:
    """Return the name of the group of features that a layer's convolution sends."""
    return f"messages.{layer}.{irrep}"


def filter_group(irrep: str) -> str:
    """Return the name of the group of one order of the spherical harmonics."""
    return f"filter.{irrep}"
