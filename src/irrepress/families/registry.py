"""The adapters of the families, which import their packages."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from irrepress.catalogue.families import missing_packages
from irrepress.core.errors import UserError

if TYPE_CHECKING:  # imports torch
    from irrepress.core.family import Family

# family name -> module that holds the adapter class, class
_ADAPTERS = {
    "escn": ("irrepress.families.escn.family", "EscnFamily"),
    "mace": ("irrepress.families.mace.family", "MACEFamily"),
    "sevennet": ("irrepress.families.sevennet.family", "SevenNetFamily"),
}


def get_family(name: str) -> Family:
    """Return the adapter of a family.

    Raises:
        UserError: no such family, or its package is not installed in this environment.
    """
    if missing := missing_packages(name):
        raise UserError(
            f"family {name!r} needs the package {missing[0]!r}, which is not installed in this "
            f"Python; install it with: pip install 'irrepress[{name}]'"
        )
    module, cls = _ADAPTERS[name]
    return getattr(importlib.import_module(module), cls)()
