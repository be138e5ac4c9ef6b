"""Fewer layers: what stays as it was, and where compensation starts."""

import copy
from dataclasses import replace

import pytest
import torch

from irrepress.core.errors import UserError
from irrepress.core.fits import Pair
from irrepress.core.plan import Plan
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.pruning.compensation import compensate
from irrepress.pruning.layers import choose_layers, fewest_layers
from irrepress.testing import assert_close, masked_and_narrowed, random_plan


@pytest.fixture(scope="module")
def deep(escn, make_escn):
    """Four layers."""
    return make_escn(num_layers=4)


def predict(model, structures):
    return model.predict(model.batch(structures))


def whole(parent, layers):
    """The plan that drops layers and nothing else."""
    return replace(Plan.identity(parent.with_layers(layers).groups()), layers=tuple(layers))


def rattled(structures, count):
    """Structures of a few elements, moved from seed to seed."""
    found = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        base = structures[seed % len(structures)]
        moved = 0.05 * torch.randn(base.positions.shape, generator=generator)
        found.append(replace(base, positions=base.positions + moved.numpy()))
    return found


@pytest.mark.parametrize("layers", [(0, 1, 3), (0, 3), (1, 3), (3,)])
def test_layers_that_go_add_nothing(deep, structures, layers):
    fewer, silent = deep.with_layers(layers), copy.deepcopy(deep)
    for t in {0, 1, 2, 3} - {*layers}:
        block = silent.network.backbone.blocks[t]
        for module in (block.edge_wise.so2_conv_2, block.atom_wise.so3_linear_2):
            for parameter in module.parameters():
                parameter.data.zero_()
    for native in (True, False):
        expected = silent.predict(silent.batch(structures), native=native)
        found = fewer.predict(fewer.batch(structures), native=native)
        assert_close(found, expected, 1e-9, periodic=[0, 1])
    assert fewer.shape() == {
        **deep.shape(),
        "layers": len(layers),
        "irreps": deep.shape()["irreps"][: len(layers)],
    }


def test_groups_are_those_of_the_layers_that_stay(deep):
    names = deep.groups_with_layers([0, 3])
    assert names["messages.1"] == "messages.3" and names["update.0"] == "update.0"
    assert names["radial2.1"] == "radial2.3" and names["features"] == "features"
    assert names["readout1"] == "readout1" and names["order.1e"] == "order.1e"
    assert names["component.1e"] == "component.1e" and "messages.3" not in names


def test_layers_elements_and_blocks_go_together(escn, deep, structures, tmp_path):
    fewer = deep.with_layers([0, 2, 3])
    plan, _ = fewer.native_plan(random_plan(fewer.groups(), 3, 1, None))
    masked, found, _ = masked_and_narrowed(fewer, plan, structures)
    assert_close(found, masked, 1e-9, periodic=[0, 1])
    narrowed = deep.narrow(replace(plan, layers=(0, 2, 3)))
    assert_close(predict(narrowed, structures), found, 1e-12, periodic=[0, 1])
    small = narrowed.restrict_elements([1, 6, 8, 11, 14, 17])
    small.save(tmp_path / "small.pt")
    assert escn.load(tmp_path / "small.pt", modal=small.modal).layers == 3


def test_a_number_of_layers_is_spread_evenly(deep):
    assert choose_layers(deep, 3) == (0, 2, 3)
    assert choose_layers(deep, 2) == (0, 3) == fewest_layers(deep)
    assert choose_layers(deep, 1) == (3,)


@pytest.mark.parametrize("layers", [(), (0, 4), (3, 0), (0, 1)])
def test_layers_that_are_not_there_are_refused(deep, layers):
    with pytest.raises(
        UserError, match=r"layers .*: the model has the layers 0 to 3; name .* with 3, which"
    ):
        deep.with_layers(layers)


def test_a_layer_is_fitted_to_what_the_dropped_ones_added(deep, structures):
    """Before the first layer that stays, its messages are; behind one, its update."""
    layers = (1, 3)
    plan = whole(deep, layers)
    narrowed = deep.narrow(plan)
    added = {}
    hooks = [
        module.register_forward_hook(
            lambda _, inputs, output, name=name: added.__setitem__(name, output.detach())
        )
        for t, block in enumerate(deep.network.backbone.blocks)
        for name, module in (((t, "edges"), block.edge_wise), ((t, "atoms"), block.atom_wise))
    ]
    predict(deep, structures)
    for hook in hooks:
        hook.remove()
    source, found = Pair.of(deep, narrowed, structures), {}
    for fit in deep.linear_fits(narrowed, plan):
        rows = fit.rows(source)
        source, found[fit.name] = rows.progress, rows.outputs
    for name, parts in {
        "0.edge_wise": [(0, "edges"), (0, "atoms"), (1, "edges")],
        "0.atom_wise.so3_linear_2": [(1, "atoms"), (2, "edges"), (2, "atoms")],
        "1.edge_wise": [(3, "edges")],
        "1.atom_wise.so3_linear_2": [(3, "atoms")],
    }.items():
        total = sum(added[part] for part in parts)
        outputs = found[f"backbone.blocks.{name}"]
        torch.testing.assert_close(outputs["0e"][:, :, 0], total[:, 0])
        torch.testing.assert_close(outputs["1e"], total[:, 1:4].mT)


@pytest.mark.slow
def test_compensation_makes_of_fewer_layers_a_start(deep, structures):
    frames = rattled(structures, 16)
    layers = (0, 3)
    plan = whole(deep, layers)
    plain, fitted = deep.narrow(plan), deep.narrow(plan)
    compensate(deep, fitted, plan, frames[:12])
    target = predict(deep, frames[12:]).forces
    errors = [
        float((predict(model, frames[12:]).forces - target).norm()) for model in (plain, fitted)
    ]
    assert errors[1] < 0.3 * errors[0]
    for native in (True, False):
        symmetry = check_symmetry(fitted, frames[0], native=native)
        assert all(symmetry[name] < 1e-9 for name in ("rotation", "translation", "permutation"))
