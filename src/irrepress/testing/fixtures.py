"""What the tests of a family begin with."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from ase.build import bulk, molecule

from irrepress.core.groups import Group
from irrepress.core.model import Batch, Model, Prediction
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure


def sample_structures() -> list[Structure]:
    """A crystal, a salt and a molecule, rattled; with labels that no model would give."""
    silicon = bulk("Si", cubic=True)
    salt = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    ethanol = molecule("CH3CH2OH")
    result = []
    for seed, atoms in enumerate([silicon, salt, ethanol]):
        atoms.rattle(0.1, seed=seed)
        structure = Structure.unlabelled(atoms, group=atoms.get_chemical_formula())
        rng = np.random.default_rng(seed)
        result.append(
            replace(
                structure,
                energy=-5.0 * len(structure) + rng.normal(),
                forces=rng.normal(size=(len(structure), 3)),
                stress=rng.normal(size=6) * 0.01 if structure.pbc.all() else np.full(6, np.nan),
            )
        )
    return result


class FamilyFixtures:
    """Models and batches that all tests of a family share; a subclass gives two fixtures.

    - ``family``: the adapter, an `irrepress.core.family.Family`.
    - ``model``: a float64 model of it that knows H, C, O, Na, Si and Cl, and one element more;
      a small one, since the tests build it anew some dozens of times.

    Attributes:
        relative: how far masked and narrowed predictions may be apart, relative to the largest.
        ours: dotted name of a function that runs in irrepress's faster code only.
        theirs: dotted name of a function that runs in the family's own code.
    """

    relative: ClassVar[float] = 1e-9
    ours: ClassVar[str] = "irrepress.families.e3nn.fast_products.ChannelwiseProduct.__call__"
    theirs: ClassVar[str] = ""

    @pytest.fixture(scope="class")
    def structures(self) -> list[Structure]:
        """`sample_structures`."""
        return sample_structures()

    def row_counts(self, batch: Batch) -> set[int]:
        """How many rows an observer may see of features of a group: one for each atom."""
        return {len(batch.numbers)}

    @pytest.fixture(scope="class")
    def groups(self, model: Model) -> list[Group]:
        """Groups of the unpruned model."""
        return model.groups()

    @pytest.fixture(scope="class")
    def batch(self, model: Model, structures: list[Structure]) -> Batch:
        """A batch of all structures."""
        return model.batch(structures)

    @pytest.fixture(scope="class")
    def whole(self, model: Model, batch: Batch) -> Prediction:
        """The prediction of the unpruned model."""
        return model.predict(batch)

    @pytest.fixture(scope="class")
    def narrowed(self, model: Model, groups: list[Group]) -> Model:
        """A ragged narrowed model that keeps all orders."""
        rng = np.random.default_rng(3)
        return model.narrow(model.native_plan(Plan.random(groups, rng))[0])
