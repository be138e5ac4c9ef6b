"""The tests that every family of models has to pass, for authors of families to inherit.

They need pytest and hypothesis, which ``pip install irrepress[test]`` brings. A test module of a
family subclasses the two protocols, once for each of its architectures, and gives the fixtures
that `FamilyFixtures` and `UntrainedProtocol` name:

    import pytest
    import torch
    from irrepress.families import get_family
    from irrepress.testing import FamilyProtocol, UntrainedProtocol

    class TestMyFamily(FamilyProtocol):
        theirs = "mypackage.model.Network.forward"

        @pytest.fixture(scope="class")
        def family(self):
            return get_family("mine")

        @pytest.fixture(scope="class")
        def model(self, family):
            return family.load("tests/small.pt", dtype=torch.float64)

    class TestUntrained(UntrainedProtocol):
        @pytest.fixture(scope="class")
        def family(self):
            return get_family("mine")

        @pytest.fixture(scope="class")
        def larger(self):
            return {"channels": 48}

        @pytest.fixture(scope="class")
        def wrong(self):
            return {"channels": -1}

``pytest.register_assert_rewrite("irrepress.testing")`` in conftest.py, before the first import,
shows the values of assertions that fail.
"""

from irrepress.testing.comparisons import assert_close, labels_of
from irrepress.testing.costs import CostTests
from irrepress.testing.depth import DepthTests
from irrepress.testing.files import FileTests
from irrepress.testing.fits import FitTests
from irrepress.testing.fixtures import FamilyFixtures, sample_structures
from irrepress.testing.gates import GateTests
from irrepress.testing.narrowing import NarrowingTests
from irrepress.testing.plans import gates_of, masked_and_narrowed, random_plan
from irrepress.testing.predictions import PredictionTests
from irrepress.testing.symmetry import SymmetryTests
from irrepress.testing.targets import TargetTests
from irrepress.testing.training import TrainingTests
from irrepress.testing.untrained import UntrainedProtocol

__all__ = [
    "CostTests",
    "DepthTests",
    "FamilyFixtures",
    "FamilyProtocol",
    "FileTests",
    "FitTests",
    "GateTests",
    "NarrowingTests",
    "PredictionTests",
    "SymmetryTests",
    "TargetTests",
    "TrainingTests",
    "UntrainedProtocol",
    "assert_close",
    "gates_of",
    "labels_of",
    "masked_and_narrowed",
    "random_plan",
    "sample_structures",
]


class FamilyProtocol(
    PredictionTests,
    GateTests,
    NarrowingTests,
    DepthTests,
    CostTests,
    SymmetryTests,
    FileTests,
    FitTests,
    TrainingTests,
    TargetTests,
):
    """All tests of an `irrepress.core.family.Family` and its models; see `FamilyFixtures`."""
