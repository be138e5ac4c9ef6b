"""What plans of a small model are made with."""

import pytest

from irrepress.pruning.budget import Costs, Measure


@pytest.fixture(scope="session")
def groups(small_sevennet):
    return small_sevennet.groups()


@pytest.fixture(scope="session")
def measure(small_sevennet, groups):
    return Measure(groups, Costs(small_sevennet.cost_model()), "parameters")
