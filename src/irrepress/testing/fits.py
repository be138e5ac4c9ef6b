"""Linear maps that compensation fits."""

import pickle

import numpy as np
import torch

from irrepress.core.fits import Pair
from irrepress.core.groups import Group
from irrepress.core.model import Batch, Model
from irrepress.core.plan import Plan
from irrepress.testing.comparisons import assert_close
from irrepress.testing.fixtures import FamilyFixtures


class FitTests(FamilyFixtures):
    """Tests of `Model.linear_fits`."""

    def test_fits_are_exact_where_nothing_was_removed(
        self, model: Model, groups: list[Group], batch: Batch
    ) -> None:
        """What should leave the maps is what they make of their inputs."""
        plan = Plan.identity(groups)
        same = model.narrow(plan)
        fits = model.linear_fits(same, plan)
        assert fits and len({fit.name for fit in fits}) == len(fits)
        for fit in fits:
            rows = fit.rows(Pair(batch, batch))
            for irrep, weight in fit.weights().items():
                made = torch.einsum("nci,cd->ndi", rows.inputs[irrep], weight)
                torch.testing.assert_close(made, rows.outputs[irrep], rtol=1e-10, atol=1e-10)

    def test_fits_go_on_where_the_last_one_was(
        self, model: Model, groups: list[Group], batch: Batch
    ) -> None:
        """New weights of earlier maps count, whether networks ran from their start or not."""
        plan, _ = model.native_plan(Plan.random(groups, np.random.default_rng(5)))
        copy = model.narrow(plan)
        source = start = Pair(batch, batch)
        for fit in model.linear_fits(copy, plan):
            rows, anew = fit.rows(source), fit.rows(start)
            for found, expected in ((rows.inputs, anew.inputs), (rows.outputs, anew.outputs)):
                assert found.keys() == expected.keys()
                for irrep in found:
                    torch.testing.assert_close(found[irrep], expected[irrep], rtol=1e-9, atol=1e-9)
            fit.set_weights({irrep: 1.1 * weight for irrep, weight in fit.weights().items()})
            source = pickle.loads(pickle.dumps(rows.progress))

    def test_weights_of_fits_can_be_replaced(
        self, model: Model, groups: list[Group], batch: Batch
    ) -> None:
        rng = np.random.default_rng(7)
        plan, _ = model.native_plan(Plan.random(groups, rng))
        copy = model.narrow(plan)
        before = copy.predict(batch)
        fits = model.linear_fits(copy, plan)
        for fit in fits:
            fit.set_weights(fit.weights())
        assert_close(copy.predict(batch), before, 1e-12)
        for fit in fits:
            doubled = {irrep: 2 * weight for irrep, weight in fit.weights().items()}
            fit.set_weights(doubled)
            for irrep, weight in fit.weights().items():
                torch.testing.assert_close(weight, doubled[irrep], rtol=1e-12, atol=0)
        assert not torch.allclose(copy.predict(batch).forces, before.forces)
