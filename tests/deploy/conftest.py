"""The compressed model that is deployed."""

import numpy as np
import pytest

from irrepress.core.target import Explicit
from irrepress.pruning.budget import plan_for_irreps


@pytest.fixture(scope="session")
def compressed(sevennet_0):
    """SevenNet-0 without order 2: still with forces of about 1 eV/Å, which narrower ones lack."""
    groups = sevennet_0.groups()
    scores = {group.name: np.zeros(group.channels) for group in groups}
    irreps = ["128x0e", *["128x0e+64x1e"] * 4, "128x0e"]
    plan = plan_for_irreps(groups, scores, Explicit(irreps=irreps, filter_lmax=1))
    return sevennet_0.narrow(plan)
