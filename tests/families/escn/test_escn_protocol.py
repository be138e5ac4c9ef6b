"""The Family protocol on small random eSCN-MD models."""

import pytest
from protocol import FamilyProtocol


class EscnProtocol(FamilyProtocol):
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
