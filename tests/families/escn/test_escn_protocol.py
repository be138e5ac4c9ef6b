"""The Family protocol on small random eSCN-MD models."""

import pytest

from irrepress.testing import FamilyProtocol, UntrainedProtocol


class EscnProtocol(FamilyProtocol):
    ours = "irrepress.families.escn.forward.run"
    theirs = "fairchem.core.units.mlip_unit.MLIPPredictUnit.predict"

    @pytest.fixture(scope="class")
    def family(self, escn):
        return escn

    def row_counts(self, batch):
        return {len(batch.numbers), batch.inputs["index"].shape[1]}


class TestSmall(EscnProtocol):
    """UMA-S's kind: tables of charge and spin, a dataset, fewer components than orders."""

    @pytest.fixture(scope="class")
    def model(self, small_escn):
        return small_escn


class TestSines(EscnProtocol):
    """eSEN's kind: sines of charge and spin, no dataset, all components; orders up to 3."""

    @pytest.fixture(scope="class")
    def model(self, make_escn):
        return make_escn(
            lmax=3,
            mmax=3,
            sphere_channels=8,
            hidden_channels=6,
            edge_channels=6,
            chg_spin_emb_type="pos_emb",
            use_dataset_embedding=False,
            dataset_mapping=None,
        )


class TestUntrained(UntrainedProtocol):
    """Models with random weights from settings."""

    @pytest.fixture(scope="class")
    def larger(self):
        return {"sphere_channels": 48, "lmax": 3}

    @pytest.fixture(scope="class")
    def wrong(self):
        return {"lmax": 1, "mmax": 2}

    @pytest.fixture(scope="class")
    def family(self, escn):
        return escn
