"""The Family protocol on every architecture of MACE that published checkpoints use."""

import pytest
import torch

from irrepress.testing import FamilyProtocol, UntrainedProtocol

# Not "mace" alone: that is the name of this folder, too.
pytest.importorskip("mace.modules", reason="MACE is not installed in this environment")


class MACEProtocol(FamilyProtocol):
    relative = 1e-10
    theirs = "mace.modules.blocks.EquivariantProductBasisBlock.forward"
    architecture = ""

    @pytest.fixture(scope="class")
    def family(self, mace):
        return mace

    @pytest.fixture(scope="class")
    def model(self, family, architecture_file):
        path, modal = architecture_file(self.architecture)
        return family.load(path, modal=modal, dtype=torch.float64)


class TestAgnostic(MACEProtocol):
    """Elements select messages in the first layer, features pass the second."""

    architecture = "agnostic"


class TestResidual(MACEProtocol):
    """Features pass every layer; orders up to 2, products of order 3."""

    architecture = "residual"


class TestDensity(MACEProtocol):
    """Messages divided by a learnt density, transformed distances, pair repulsion."""

    architecture = "density"


class TestNonLinear(MACEProtocol):
    """Gated messages, several heads, readout with biases, messages of their own widths."""

    architecture = "nonlinear"


class TestDeep(MACEProtocol):
    """Three layers, several heads, no scale and shift, another order of products in each layer."""

    architecture = "deep"


class TestUntrained(UntrainedProtocol):
    """Models with random weights from settings."""

    @pytest.fixture(scope="class")
    def larger(self):
        return {"hidden_irreps": "48x0e+48x1o+48x2e", "correlation": 3}

    @pytest.fixture(scope="class")
    def wrong(self):
        return {"hidden_irreps": "32y0e"}

    @pytest.fixture(scope="class")
    def family(self, mace):
        return mace
