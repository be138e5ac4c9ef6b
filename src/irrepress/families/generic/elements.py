"""Choosing the elements that a model keeps."""

from collections.abc import Iterable

from ase.data import chemical_symbols

from irrepress.core.errors import UserError
from irrepress.core.model import Model


def check_known(model: Model, numbers: Iterable[int]) -> None:
    """Check that a model knows some elements, by atomic number.

    Raises:
        UserError: it does not.
    """
    if unknown := set(numbers) - set(model.elements):
        names = ", ".join(chemical_symbols[z] for z in sorted(unknown))
        raise UserError(
            f"the model does not know {names}; it knows "
            + ", ".join(chemical_symbols[z] for z in model.elements)
        )


def choose_elements(model: Model, elements: Iterable[int]) -> set[int]:
    """Return the atomic numbers that a model is to be restricted to.

    Raises:
        UserError: none are given, or one that the model does not know.
    """
    chosen = set(map(int, elements))
    check_known(model, chosen)
    if not chosen:
        raise UserError("restricting a model to no elements at all; name at least one")
    return chosen
