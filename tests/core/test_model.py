"""A model that carries its family: copied, sent to another process, and asked what it cannot do."""

import copy
import pickle
from types import SimpleNamespace

import pytest
import torch

from irrepress.catalogue.families import drops_layers, shortens_cutoff
from irrepress.core.errors import UserError
from irrepress.core.family import DropsLayers, ShortensCutoff


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_has_the_family_and_predicts_the_same(small_sevennet, structures, copied):
    model = copied(small_sevennet)
    assert model.family.name == "sevennet"
    found, expected = (m.predict(m.batch(structures)) for m in (model, small_sevennet))
    assert torch.equal(found.energy, expected.energy)


def test_the_state_holds_the_weights_alone(small_sevennet):
    state = small_sevennet.state_dict()
    assert all(name.startswith("network.") for name in state)
    small_sevennet.load_state_dict(state)


def test_a_batch_lies_with_its_model_or_where_it_is_asked_for(small_sevennet, structures):
    model = small_sevennet
    assert model.batch(structures).num_atoms.device == model.device
    assert model.batch(structures, device="meta").num_atoms.device.type == "meta"


def test_what_a_family_cannot_do_is_refused(small_sevennet):
    model = copy.copy(small_sevennet)
    model.family = SimpleNamespace(name="other")
    with pytest.raises(
        UserError, match="models of the family other cannot be restricted to fewer elements"
    ):
        model.restrict_elements([14])
    with pytest.raises(UserError, match="the family other cannot be shortened; leave it out"):
        model.with_cutoff(0.9 * model.cutoff)
    assert model.with_cutoff(None) is model
    with pytest.raises(UserError, match="the family other cannot be dropped; leave 'layers' out"):
        model.with_layers([0, 2])
    assert model.with_layers(None) is model


def test_the_catalogue_knows_what_the_family_can_do(sevennet):
    assert isinstance(sevennet, ShortensCutoff) == shortens_cutoff(sevennet.name)
    assert isinstance(sevennet, DropsLayers) == drops_layers(sevennet.name)
