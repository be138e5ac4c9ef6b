"""Small eSCN-MD models with random weights, as no trained ones can be had without an account."""

import pytest
import torch

REASON = "fairchem-core is not installed in this environment"
SMALL = {
    "sphere_channels": 16,
    "hidden_channels": 12,
    "edge_channels": 8,
    "num_distance_basis": 8,
    "max_num_elements": 20,
    "cutoff": 3.5,
    "mmax": 1,
}


def random_model(dtype=torch.float64, dataset="omat", **sizes):
    """A model all of whose parameters are random, those too that start as 0 or 1."""
    from irrepress.families import get_family
    from irrepress.families.escn import untrained
    from irrepress.families.escn.checkpoint import make_model

    family = get_family("escn")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # Built in its type: constants of a converted model stay rounded.
        config = untrained.native_config(dataset, **{**SMALL, **sizes})
        model = family.build(config, dtype=dtype)
        with torch.no_grad():
            for name, parameter in model.network.named_parameters():
                last = name.split(".")[-1]
                if last in ("bias", "affine_weight", "affine_bias"):
                    parameter.add_(0.3 * torch.randn(parameter.shape))
                elif "_embedding.weight" in name:
                    parameter.copy_(torch.randn(parameter.shape))
    return make_model(model.network, model.native, model.modal)


@pytest.fixture(scope="session")
def escn():
    """The adapter of eSCN-MD."""
    pytest.importorskip("fairchem.core", reason=REASON)
    from irrepress.families import get_family

    return get_family("escn")


@pytest.fixture(scope="session")
def make_escn():
    """`random_model`."""
    return random_model


@pytest.fixture(scope="session")
def small_escn(make_escn):
    """A random float64 model of order 2; tests that change it must work on a deep copy."""
    return make_escn()
