"""The analytic cost against the matrix products that PyTorch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

pytest.importorskip("fairchem.core", reason="fairchem-core is not installed in this environment")

from irrepress.core.plan import Plan
from irrepress.families.escn import forward


@pytest.mark.parametrize(
    ("sizes", "order", "component"),
    [({}, 2, 1), ({"lmax": 3, "mmax": 3}, 3, 3), ({"lmax": 3, "mmax": 2}, 2, 1), ({}, 0, 0)],
    ids=str,
)
def test_flops_are_those_of_matrix_products(make_escn, structures, sizes, order, component):
    model = make_escn(sphere_channels=24, hidden_channels=20, edge_channels=16, **sizes)
    groups = model.groups()
    plan = Plan.identity(groups).cut_order(groups, order)
    keep = {
        name: () if name.startswith("component.") and int(name[10:-1]) > component else kept
        for name, kept in plan.keep.items()
    }
    small = model.narrow(Plan(keep, plan.channels))
    batch = small.batch(structures)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        state = forward.begin(small, batch.inputs)
        rotations = counter.get_total_flops()
        forward.read_out(small, forward.run(small, state))
    atoms, edges = len(batch.numbers), batch.inputs["index"].shape[1]
    cost = model.cost_model(neighbours=edges / atoms)
    widths = Plan(keep, plan.channels).widths(groups)
    found = atoms * cost(widths).flops
    assert rotations < counter.get_total_flops()
    # Wigner matrices and the embedding of structures are left out.
    assert found <= counter.get_total_flops()
    assert found == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_cost_falls_with_every_width(small_escn):
    cost = small_escn.cost_model()
    whole = cost({})
    assert whole.parameters == small_escn.parameter_count()
    highest = max(g.l for g in small_escn.groups() if g.axis == "order")
    for g in small_escn.groups():
        if g.channels > g.floor and (g.axis != "order" or g.l == highest):
            fewer = cost({g.width: g.channels - 1})
            assert fewer.flops < whole.flops
            assert fewer.parameters < whole.parameters
