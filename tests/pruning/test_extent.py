import pytest
import torch
from ase.build import bulk

from irrepress.core.fits import Pair
from irrepress.core.plan import Plan
from irrepress.core.structure import Structure
from irrepress.pruning.extent import choose_extent


@pytest.mark.parametrize(("away", "expected"), [("old", 1.0), ("fitted", 0.0), ("both", 0.5)])
def test_the_weights_nearest_to_the_parents_forces_are_taken(small_sevennet_double, away, expected):
    parent = small_sevennet_double
    plan = Plan.identity(parent.groups())
    same = parent.narrow(plan)
    fits = parent.linear_fits(same, plan)[:4]
    truth = [fit.weights() for fit in fits]
    generator = torch.Generator().manual_seed(0)
    noise = [
        {k: 0.1 * w.std() * torch.randn(w.shape, generator=generator) for k, w in each.items()}
        for each in truth
    ]

    def moved(factor):
        return [
            {k: w + factor * n[k] for k, w in each.items()}
            for each, n in zip(truth, noise, strict=True)
        ]

    old = moved({"old": 1, "fitted": 0, "both": 1}[away])
    fitted = moved({"old": 0, "fitted": 1, "both": -1}[away])
    for fit, weights in zip(fits, fitted, strict=True):
        fit.set_weights(weights)

    atoms = bulk("Si").repeat((2, 1, 1))
    atoms.rattle(0.1, seed=1)
    batch = parent.batch([Structure.unlabelled(atoms)])
    extent, left_over = choose_extent(parent, same, fits, old, [Pair(batch, batch)])
    assert extent == expected
    assert left_over == pytest.approx(1.0 if away == "fitted" else 0.0, abs=1e-9)
    forces = same.predict(batch).forces
    assert torch.allclose(forces, parent.predict(batch).forces, atol=1e-9)
