"""Structures with similar elements in place of their own."""

from collections.abc import Iterable

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii

from irrepress.core.errors import UserError
from irrepress.core.structure import Structure
from irrepress.data.dynamics import supercell
from irrepress.data.sources.config import Substituted
from irrepress.data.sources.drawing import Drawing, Turn
from irrepress.data.sources.strain import deformed, draw_strain, periodic_directions
from irrepress.data.store import StructureStore

_NOBLE_GASES = {2, 10, 18, 36, 54, 86}


class Substitutions(Drawing[Substituted]):
    """Structures in which some elements are replaced by similar ones; see the base class.

    Elements are similar if they are close on Pettifor's scale (J. Phys. C 19, 285, 1986), as
    pymatgen has it. Cells and positions are scaled by the sum of the covalent radii.

    Args:
        store: the dataset to draw from.
        config: settings.
        name: name of the dataset that is made.
        elements: atomic numbers that may replace others, such as those that a model knows.

    Example:
        >>> from irrepress.catalogue.model_ref import ModelRef
        >>> labels = ModelRef(family="sevennet", checkpoint="7net-0")
        >>> config = Substituted(source="substituted", of="silicon", count=3, labels=labels)
        >>> drawing = Substitutions(store, config, "substituted", elements=[6, 14, 32])
        >>> {int(number) for structure in drawing for number in structure.numbers} <= {6, 32}
        True
    """

    what = "structures with replaced elements"

    def __init__(
        self, store: StructureStore, config: Substituted, name: str, elements: Iterable[int]
    ):
        super().__init__(store, config, name)
        self.elements = np.array(sorted(set(elements) - _NOBLE_GASES), dtype=np.int64)
        self.scale = _pettifor_scale({*self.elements.tolist(), *store.elements})

    def draw(
        self, parent: Structure, turn: Turn, amplitude: float, rng: np.random.Generator
    ) -> Atoms:
        """Replace at least one element everywhere, and scale the structure."""
        atoms = supercell(parent, self.config.atoms)
        own = np.unique(atoms.numbers)
        replaced = rng.choice(own, size=rng.integers(1, len(own) + 1), replace=False)
        numbers = atoms.numbers.copy()
        taken = set(own.tolist())
        for element in replaced:
            new = self._similar(int(element), taken, rng)
            numbers[atoms.numbers == element] = new
            taken.add(new)
        factor = covalent_radii[numbers].sum() / covalent_radii[atoms.numbers].sum()
        atoms.numbers = numbers
        atoms.set_cell(np.array(atoms.cell) * factor, scale_atoms=False)
        atoms.positions *= factor
        directions = periodic_directions(parent)
        return deformed(atoms, draw_strain(directions, self.config.strain * amplitude, rng))

    def _similar(self, element: int, taken: set[int], rng: np.random.Generator) -> int:
        others = np.array([number for number in self.elements if number not in taken])
        if not len(others):
            raise UserError(
                f"datasets.{self.name}: the labelling model knows no element that could replace "
                f"{chemical_symbols[element]}"
            )
        distances = np.abs([self.scale[int(n)] - self.scale[element] for n in others])
        weights = np.exp(-(distances - distances.min()) / self.config.distance)
        return int(rng.choice(others, p=weights / weights.sum()))


def _pettifor_scale(elements: Iterable[int]) -> dict[int, float]:
    try:
        from pymatgen.core import Element
    except ImportError:
        raise UserError(
            "source: substituted needs pymatgen, which has Pettifor's scale; install it with 'pip "
            "install pymatgen'"
        ) from None
    return {number: float(Element.from_Z(number).mendeleev_no) for number in elements}
