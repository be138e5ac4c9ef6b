"""What dynamics begin with: supercells without rigid motion."""

import pytest
from ase.build import bulk, molecule

from irrepress.core.structure import Structure
from irrepress.data.dynamics import supercell


@pytest.mark.parametrize(
    ("atoms", "least", "expected"),
    [
        (bulk("Cu"), 1, 1),
        (bulk("Cu", cubic=True), 30, 32),
        (bulk("Ti", "hcp", a=2.95, c=4.69), 8, 8),
        (molecule("H2O"), 50, 3),
    ],
    ids=["as it is", "cubic", "hexagonal", "molecule"],
)
def test_structures_are_repeated_where_they_are_periodic(atoms, least, expected):
    found = supercell(Structure.unlabelled(atoms), least)
    assert len(found) == expected
    lengths = found.cell.lengths()
    if atoms.pbc.all() and least > 1:
        assert lengths.max() < 2.2 * lengths.min()
