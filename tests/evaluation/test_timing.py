import pytest
from ase.neighborlist import neighbor_list

from irrepress.evaluation.timing import reference_crystal, time_side_by_side


@pytest.mark.parametrize(("wished", "atoms"), [(64, 64), (8, 8), (60, 64), (1, 8), (100, 96)])
def test_the_crystal_comes_near_the_wished_size(wished, atoms):
    assert len(reference_crystal([14], wished)) == atoms


def test_another_element_has_bonds_of_its_own_length():
    crystal = reference_crystal([6], 8).to_atoms()
    nearest = neighbor_list("d", crystal, 2.5).min()
    assert 1.2 < nearest < 1.8


def test_models_are_timed_in_turn(sevennet, small_sevennet):
    crystal = reference_crystal(small_sevennet.elements, 8)
    seconds = time_side_by_side(
        sevennet, [small_sevennet, small_sevennet], crystal, repeats=3, device="cpu"
    )
    assert len(seconds) == 2
    assert all(s > 0 for s in seconds)
