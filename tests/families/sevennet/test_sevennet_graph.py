"""Our graphs are sevenn's own, up to the order of edges."""

import numpy as np
import pytest
import sevenn._keys as KEY
import torch
from sevenn.atom_graph_data import AtomGraphData
from sevenn.train.dataload import unlabeled_atoms_to_graph
from torch_geometric.loader.dataloader import Collater


def in_order(edges, vectors):
    """Edges as rows of both ends and the vector, in an order that is the same for everybody."""
    rows = np.concatenate([edges.T, vectors], axis=1)
    return rows[np.lexsort(np.round(rows, 6).T)]


def test_graphs_are_sevenns_own(small_sevennet_double, many):
    found = small_sevennet_double.batch(many).inputs
    own = [unlabeled_atoms_to_graph(s.to_atoms(), small_sevennet_double.cutoff) for s in many]
    vectors = np.concatenate([graph[KEY.EDGE_VEC] for graph in own])
    graphs = [AtomGraphData.from_numpy_dict(graph) for graph in own]  # from here on in float32
    expected = Collater(graphs)(graphs)
    for key in (KEY.NODE_FEATURE, KEY.ATOMIC_NUMBERS, KEY.NUM_ATOMS, KEY.BATCH):
        assert torch.equal(found[key], expected[key]), key
        assert found[key].dtype == expected[key].dtype
    volumes = expected[KEY.CELL_VOLUME].numpy()
    assert found[KEY.CELL_VOLUME].numpy() == pytest.approx(volumes, rel=1e-6, abs=1e-9)
    assert found[KEY.EDGE_IDX].dtype == expected[KEY.EDGE_IDX].dtype
    assert found[KEY.EDGE_VEC].dtype == torch.float64
    assert np.allclose(
        in_order(found[KEY.EDGE_IDX].numpy(), found[KEY.EDGE_VEC].numpy()),
        in_order(expected[KEY.EDGE_IDX].numpy(), vectors),
        rtol=0,
        atol=1e-9,
    )
