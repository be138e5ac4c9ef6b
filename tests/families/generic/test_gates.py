"""Gates and observers on sites, on a network of two modules."""

import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.groups import Group
from irrepress.core.model import Model
from irrepress.families.generic.gates import (
    Axis,
    Observed,
    Site,
    at,
    gated,
    is_gated,
    layer_norm,
    side_by_side,
    start,
)

GROUPS = [
    Group("features.0e", 0, "0e", 2, "0e"),
    Group("features.1e", 0, "1e", 2, "1e"),
    Group("hidden", 0, "0e", 4, "hidden"),
]
SCALARS, VECTORS, HIDDEN = GROUPS
# Three atoms of two structures; an edge leaves each of the last two.
STRUCTURE, FIRST_ATOMS = torch.tensor([0, 0, 1]), torch.tensor([1, 2])


@pytest.fixture
def model():
    network = torch.nn.ModuleDict({"features": torch.nn.Identity(), "norm": torch.nn.LayerNorm(4)})
    return Model(network, family="none", native={}, cutoff=5.0, elements=[1])


@pytest.fixture
def features():
    return torch.arange(24.0).reshape(3, 8) + 1


def run(model, features):
    start(model, STRUCTURE, FIRST_ATOMS)
    return model.network["features"](features)


def test_channels_are_multiplied_with_all_their_components(model, features):
    site = side_by_side(model.network["features"], [SCALARS, VECTORS])
    gates = {"features.1e": torch.tensor([0.5, 2.0])}
    with gated(model, GROUPS, [site], gates, None):
        found = run(model, features)
    expected = torch.tensor([1, 1, 0.5, 0.5, 0.5, 2, 2, 2]) * features
    assert torch.equal(found, expected)
    assert torch.equal(run(model, features), features)


def test_each_structure_has_its_own_gates(model, features):
    """Beside gates that all structures share."""
    site = side_by_side(model.network["features"], [SCALARS, VECTORS])
    gates = {
        "features.0e": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        "features.1e": torch.tensor([0.0, 1.0]),
    }
    with gated(model, GROUPS, [site], gates, None):
        found = run(model, features) / features
    assert found.tolist() == [[1, 2, 0, 0, 0, 1, 1, 1]] * 2 + [[3, 4, 0, 0, 0, 1, 1, 1]]


def test_rows_of_edges_belong_to_their_first_atom(model):
    site = side_by_side(model.network["features"], [HIDDEN], "edges")
    gates = {"hidden": torch.tensor([[2.0] * 4, [3.0] * 4])}
    with gated(model, GROUPS, [site], gates, None):
        found = run(model, torch.ones(2, 4))
    assert found[:, 0].tolist() == [2, 3]


def test_gates_of_several_axes_are_multiplied(model):
    """One channel is never removed."""
    first = Axis(("features.0e", None), torch.tensor([2, 0, 1]))
    second = Axis(("hidden",), torch.arange(4), axis=2)
    gates = {"features.0e": torch.tensor([2.0, 3.0]), "hidden": torch.tensor([1.0, 0, 0, 1])}
    site = Site(model.network["features"], (first, second))
    with gated(model, GROUPS, [site], gates, None):
        found = run(model, torch.ones(3, 3, 4))
    assert found[0].tolist() == [[1, 0, 0, 1], [2, 0, 0, 2], [3, 0, 0, 3]]


def test_observers_see_gated_features_by_group(model, features):
    site = side_by_side(model.network["features"], [SCALARS, VECTORS])
    seen = {}
    gates = {"features.0e": torch.tensor([1.0, 0.0])}
    with gated(model, GROUPS, [site], gates, seen.__setitem__):
        run(model, features)
    assert seen["features.0e"].tolist() == [[[1], [0]], [[9], [0]], [[17], [0]]]
    assert torch.equal(seen["features.1e"], features[:, 2:].reshape(3, 2, 3))


def test_what_is_observed_only_is_not_changed(model, features):
    point = Observed(model.network["features"], lambda given: [("hidden", given[:, :, None])])
    seen = {}
    with gated(model, GROUPS, [point], {}, seen.__setitem__):
        assert torch.equal(run(model, features), features)
    assert torch.equal(seen["hidden"], features[:, :, None])
    with gated(model, GROUPS, [point], {}, None):
        assert not model.network["features"]._forward_hooks


def test_tensors_in_mappings_and_inputs_are_gated(model, features):
    module = model.network["features"]
    gates = {"features.0e": torch.zeros(2)}
    for site in (
        side_by_side(module, [SCALARS, VECTORS], key="x"),
        side_by_side(module, [SCALARS, VECTORS], argument=0),
    ):
        with gated(model, GROUPS, [site], gates, None):
            found = run(model, {"x": features.clone()} if site.key else features)
        found = found["x"] if site.key else found
        assert torch.equal(found[:, :2], torch.zeros(3, 2))
        assert torch.equal(found[:, 2:], features[:, 2:])


def test_tensors_without_a_module_are_gated_by_name(model):
    axis = Axis(("features.0e",), torch.arange(2))
    site = Site("system", (axis,), "structures")
    given = torch.ones(2, 2)
    assert at(model, "system", given) is given
    with gated(model, GROUPS, [site], {"features.0e": torch.tensor([0.0, 5.0])}, None):
        assert at(model, "system", given).tolist() == [[0, 5]] * 2


def test_contexts_are_nested(model, features):
    """Both gates hold inside, and each ends with its own context."""
    site = side_by_side(model.network["features"], [SCALARS, VECTORS])
    outer = {"features.0e": torch.tensor([[2.0, 2.0], [3.0, 3.0]])}
    inner = {"features.0e": torch.tensor([5.0, 5.0])}
    assert not is_gated(model)
    with gated(model, GROUPS, [site], outer, None):
        with gated(model, GROUPS, [site], inner, None):
            assert (run(model, features) / features)[:, 0].tolist() == [10, 10, 15]
        assert (run(model, features) / features)[:, 0].tolist() == [2, 2, 3]
        assert is_gated(model)
    assert not is_gated(model)


def test_a_norm_counts_kept_channels_alone(model):
    norm = model.network["norm"]
    given = torch.randn(2, 4)
    gates = {"hidden": torch.tensor([1.0, 0.0, 1.0, 1.0])}
    with gated(model, GROUPS, [layer_norm(norm, "hidden", "edges")], gates, None):
        start(model, STRUCTURE, FIRST_ATOMS)
        found = norm(given)
    kept = [0, 2, 3]
    assert torch.allclose(found[:, kept], torch.nn.functional.layer_norm(given[:, kept], (3,)))


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"hiden": torch.ones(4)}, "no group 'hiden'; did you mean 'hidden'"),
        ({"hidden": torch.ones(3)}, r"shape \(3,\), expected \[4\] or \[structures, 4\]"),
        ({"hidden": torch.ones(1, 1, 4)}, r"shape \(1, 1, 4\)"),
    ],
)
def test_gates_that_fit_no_group_are_refused(model, gates, message):
    with pytest.raises(UserError, match=message), gated(model, GROUPS, [], gates, None):
        pass
