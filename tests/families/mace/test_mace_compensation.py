"""Compensation of a real model on real structures."""

import numpy as np
import pytest

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")

from irrepress.core.target import Explicit
from irrepress.evaluation.checks import SYMMETRY_TOLERANCE
from irrepress.evaluation.symmetry import check_symmetry
from irrepress.pruning.budget import plan_for_irreps
from irrepress.pruning.compensation import compensate


def force_error(model, parent, frames) -> float:
    found, expected = (m.predict(m.batch(frames)).forces for m in (model, parent))
    return float((found - expected).abs().mean())


@pytest.mark.slow
def test_unseen_frames_profit(gst, gst_frames):
    """Half of all channels, chosen at random: what is left is fitted to what was there."""
    groups = gst.groups()
    rng = np.random.default_rng(0)
    scores = {g.name: rng.random(g.channels) for g in groups}
    plan = plan_for_irreps(groups, scores, Explicit(irreps="32x0e+32x1o", filter_lmax=3))
    before, after = gst.narrow(plan), gst.narrow(plan)
    frames = sorted(gst_frames, key=len)[:12]
    results = compensate(gst, after, plan, frames[:8], batch_size=2, displacement=0.02)
    assert {result.name for result in results} >= {
        "interactions.0.linear_up",
        "interactions.1.linear",
        "products.1.linear",
        "readouts.0.linear",
        "readouts.1.linear_2",
    }
    assert all(result.after <= result.before for result in results)
    unseen = frames[8:]
    left = force_error(after, gst, unseen) / force_error(before, gst, unseen)
    assert left < 0.7
    for native in (True, False):
        symmetry = check_symmetry(after, frames[0], seed=0, native=native)
        print("CHECKS", native, symmetry)
        assert symmetry.pop("finite_difference") < 1e-5
        assert max(symmetry.values()) < SYMMETRY_TOLERANCE
