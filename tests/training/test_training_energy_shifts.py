from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.training.energy_shifts import fit_energy_shifts

SILICON, HYDROGEN, OXYGEN = 14, 1, 8


@pytest.fixture
def shifted(labelled, make_store):
    """Labels that are the parent's plus a constant per element."""
    constant = {SILICON: 2.0, HYDROGEN: -1.0, OXYGEN: 0.5}
    return make_store(
        [replace(s, energy=s.energy + sum(constant[z] for z in s.numbers)) for s in labelled]
    )


def test_recovers_constants_as_far_as_the_compositions_tell(sevennet_0, shifted):
    model = deepcopy(sevennet_0)
    shifts = fit_energy_shifts(model, shifted)
    assert set(shifts) == {SILICON, HYDROGEN, OXYGEN}
    assert shifts[SILICON] == pytest.approx(2.0, abs=1e-4)
    # Water alone does not tell H from O: only 2 H + O is known, both elements take half of it.
    assert shifts[HYDROGEN] == pytest.approx(-1.5 / 2 / 2, abs=1e-4)
    assert shifts[OXYGEN] == pytest.approx(-1.5 / 2, abs=1e-4)

    model.shift_energies(shifts)
    again = fit_energy_shifts(model, shifted)
    assert max(map(abs, again.values())) < 1e-4


def test_leaves_the_model_as_it_was(small_sevennet, shifted):
    model = deepcopy(small_sevennet)
    fit_energy_shifts(model, shifted)
    for name, value in small_sevennet.state_dict().items():
        assert np.array_equal(model.state_dict()[name], value)


def test_structures_without_energy_take_no_part(small_sevennet, labelled, make_store):
    model = deepcopy(small_sevennet)
    holes = [replace(s, energy=np.nan) if len(s) == 3 else s for s in labelled]
    shifts = fit_energy_shifts(model, make_store(holes))
    assert set(shifts) == {SILICON}


def test_forces_alone_move_no_energies_and_it_is_told(small_sevennet, labelled, make_store, caplog):
    store = make_store([replace(s, energy=np.nan) for s in labelled])
    assert fit_energy_shifts(deepcopy(small_sevennet), store) == {}
    assert "the train split has no energies" in caplog.text


def test_an_empty_split_is_refused(small_sevennet, labelled, make_store):
    store = make_store(labelled, train=0.0)
    with pytest.raises(UserError, match="the train split is empty"):
        fit_energy_shifts(deepcopy(small_sevennet), store)


def test_energies_that_are_not_finite_are_an_error(small_sevennet, store):
    model = deepcopy(small_sevennet)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(
        UserError,
        match=r"the model's energy is not finite for \d of the \d structures of a batch, such as",
    ):
        fit_energy_shifts(model, store)
