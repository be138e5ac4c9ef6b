"""The Family protocol on SevenNet's published models and on its other architectures."""

import pytest
import torch

from irrepress.testing import FamilyProtocol, UntrainedProtocol, assert_close, gates_of, random_plan


class SevenNetProtocol(FamilyProtocol):
    drops_what_is_idle = True
    theirs = "sevenn.nn.sequential.AtomGraphSequential.forward"

    @pytest.fixture(scope="class")
    def family(self, sevennet):
        return sevennet


# What the configs of SevenNet-0 and SevenNet-MF-0 have beside widths and depth.
SEVENNET_0 = {
    "is_parity": False,
    "self_connection_type": "linear",
    "cutoff_function": {"cutoff_function_name": "XPLOR", "cutoff_on": 3.5},
}
SEVENNET_MF_0 = SEVENNET_0 | {
    "use_modality": True,
    "_number_of_modalities": 2,
    "_modal_map": {"R2SCAN": 0, "PBE": 1},
    "use_modal_node_embedding": False,
    "use_modal_self_inter_intro": True,
    "use_modal_self_inter_outro": True,
    "use_modal_output_block": True,
    "use_modal_wise_shift": True,
    "shift": [
        [-7.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.0],
        [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0],
    ],
}


class TestSevenNet0(SevenNetProtocol):
    """SO(3), orders up to 2, linear self-connection and readout: SevenNet-0's kind."""

    @pytest.fixture(scope="class")
    def model(self, family, checkpoint_writer, tmp_path_factory):
        path = checkpoint_writer(tmp_path_factory.mktemp("so3") / "model.pth", **SEVENNET_0)
        return family.load(path, dtype=torch.float64)


class TestMultiModal(SevenNetProtocol):
    """Two levels of theory as one-hot inputs of linear maps: SevenNet-MF-0's kind."""

    @pytest.fixture(scope="class")
    def model(self, family, checkpoint_writer, tmp_path_factory):
        path = checkpoint_writer(tmp_path_factory.mktemp("modal") / "model.pth", **SEVENNET_MF_0)
        return family.load(path, modal="PBE", dtype=torch.float64)


@pytest.fixture(scope="module")
def sevennet_mf_0(sevennet):
    """SevenNet-MF-0 in float64."""
    return sevennet.load("7net-mf-0", modal="PBE", dtype=torch.float64)


@pytest.mark.parametrize("published", ["sevennet_0_double", "sevennet_mf_0"])
def test_published_models_are_narrowed_saved_and_loaded(
    request, sevennet, published, structures, tmp_path
):
    """Of the whole published models: masked is narrowed, and what is read is what was written."""
    model = request.getfixturevalue(published)
    groups = model.groups()
    plan, _ = model.native_plan(random_plan(groups, 1, 1, None))
    batch = model.batch(structures)
    with model.gated(gates_of(groups, plan, model.dtype)):
        masked = model.predict(batch)
    narrowed = model.narrow(plan)
    assert_close(narrowed.predict(batch), masked, 1e-9, periodic=[0, 1])
    cost = model.cost_model()(plan.widths(groups))
    assert cost.parameters == narrowed.parameter_count() < model.parameter_count()

    narrowed.save(tmp_path / "model.pt")
    loaded = sevennet.load(tmp_path / "model.pt", modal=model.modal, dtype=torch.float64)
    assert_close(loaded.predict(batch), masked, 1e-4, floor=1e-3, periodic=[0, 1])


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
