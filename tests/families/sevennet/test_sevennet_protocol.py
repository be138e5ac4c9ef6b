"""The Family protocol on SevenNet's published models and on its other architectures."""

import pytest
import torch
from protocol import FamilyProtocol, UntrainedProtocol


class SevenNetProtocol(FamilyProtocol):
    drops_what_is_idle = True
    theirs = "sevenn.nn.sequential.AtomGraphSequential.forward"

    @pytest.fixture(scope="class")
    def family(self, sevennet):
        return sevennet


class TestSevenNet0(SevenNetProtocol):
    """SO(3), orders up to 2, linear self-connection and readout."""

    @pytest.fixture(scope="class")
    def model(self, family):
        return family.load("7net-0", dtype=torch.float64)


class TestMultiModal(SevenNetProtocol):
    """SevenNet-MF-0: two levels of theory as one-hot inputs of linear maps."""

    @pytest.fixture(scope="class")
    def model(self, family):
        return family.load("7net-mf-0", modal="PBE", dtype=torch.float64)


class TestParity(SevenNetProtocol):
    """O(3), self-connection of the NequIP kind, one energy shift for all elements."""

    @pytest.fixture(scope="class")
    def model(self, family, checkpoint_writer, tmp_path_factory):
        path = checkpoint_writer(tmp_path_factory.mktemp("parity") / "model.pth")
        return family.load(path, dtype=torch.float64)


class TestMlpReadout(SevenNetProtocol):
    """MLP readout, filter of a lower order than the features, trainable shift."""

    @pytest.fixture(scope="class")
    def model(self, family, checkpoint_writer, tmp_path_factory):
        path = checkpoint_writer(
            tmp_path_factory.mktemp("mlp") / "model.pth",
            is_parity=False,
            self_connection_type="linear",
            lmax_edge=1,
            readout_as_fcn=True,
            readout_fcn_hidden_neurons=[6, 4],
            readout_fcn_activation="silu",
            train_shift_scale=True,
            shift=[-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0],
        )
        return family.load(path, dtype=torch.float64)


class TestUntrained(UntrainedProtocol):
    """Models with random weights from settings."""

    @pytest.fixture(scope="class")
    def larger(self):
        return {"channel": 48, "num_convolution_layer": 4}

    @pytest.fixture(scope="class")
    def wrong(self):
        return {"self_connection_type": "square"}

    @pytest.fixture(scope="class")
    def family(self, sevennet):
        return sevennet
