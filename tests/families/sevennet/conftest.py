"""Checkpoints of SevenNet's other architectures, made with sevenn's own constructor."""

import copy
from pathlib import Path

import pytest
import torch

pytest.importorskip("sevenn", reason="SevenNet is not installed in this environment")

import sevenn
from sevenn import _const as defaults
from sevenn.model_build import build_E3_equivariant_model
from sevenn.util import chemical_species_preprocess


def write_checkpoint(path: Path, **changes) -> Path:
    """Write a small checkpoint with random weights: sevenn's default config, and changes."""
    config = copy.deepcopy(
        {
            **defaults.DEFAULT_E3_EQUIVARIANT_MODEL_CONFIG,
            **defaults.DEFAULT_DATA_CONFIG,
            **defaults.DEFAULT_TRAINING_CONFIG,
        }
    )
    config.update(chemical_species_preprocess(["H", "C", "O", "Na", "Si", "Cl", "Ge"]))
    config.update(
        {
            "version": sevenn.__version__,
            "_model_type": "E3_equivariant_model",
            "cutoff": 4.0,
            "channel": 5,
            "lmax": 2,
            "num_convolution_layer": 3,
            "weight_nn_hidden_neurons": [8, 8],
            "conv_denominator": 8.0,
            "shift": -1.5,
            "scale": 2.0,
            "radial_basis": {"radial_basis_name": "bessel", "bessel_basis_num": 4},
        }
    )
    config.update(changes)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_E3_equivariant_model(config)
    content = {
        "config": config,
        "epoch": 1,
        "model_state_dict": network.state_dict(),
        "optimizer_state_dict": {},
        "scheduler_state_dict": {},
        "time": "now",
        "hash": "0",
    }
    torch.save(content, path)
    return path


@pytest.fixture(scope="session")
def checkpoint_writer():
    """`write_checkpoint`."""
    return write_checkpoint
