"""MACE models: of random weights for every architecture, and two with real ones."""

import json
import struct
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

ELEMENTS = [1, 6, 8, 11, 14, 17, 32]
ENERGIES = [-0.5, -1.5, -2.0, -0.3, -0.8, -0.4, -0.9]
CONFIG = {
    "model": "ScaleShiftMACE",
    "r_max": 4.0,
    "num_bessel": 4,
    "num_polynomial_cutoff": 5,
    "max_ell": 2,
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticInteractionBlock",
    "num_interactions": 2,
    "num_elements": len(ELEMENTS),
    "hidden_irreps": "6x0e+6x1o",
    "MLP_irreps": "5x0e",
    "atomic_energies": ENERGIES,
    "avg_num_neighbors": 8.0,
    "atomic_numbers": ELEMENTS,
    "correlation": [2, 2],
    "gate": "silu",
    "pair_repulsion": False,
    "apply_cutoff": True,
    "use_reduced_cg": False,
    "use_so3": False,
    "use_agnostic_product": False,
    "use_last_readout_only": False,
    "distance_transform": "None",
    "edge_irreps": None,
    "use_edge_irreps_first": False,
    "radial_MLP": [6, 5],
    "radial_type": "bessel",
    "heads": ["Default"],
    "readout_cls": "NonLinearReadoutBlock",
    "keep_last_layer_irreps": False,
    "trained": [],
    "atomic_inter_scale": 1.3,
    "atomic_inter_shift": 0.2,
}
# The architectures that published checkpoints use, and their combinations.
ARCHITECTURES = {
    "agnostic": {},
    "residual": {
        "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
        "hidden_irreps": "5x0e+5x1o+5x2e",
        "correlation": [3, 3],
    },
    "density": {
        "interaction_cls": "RealAgnosticDensityResidualInteractionBlock",
        "interaction_cls_first": "RealAgnosticDensityInteractionBlock",
        "distance_transform": "Agnesi",
        "trained": ["radial_embedding.bessel_fn.bessel_weights"],
        "pair_repulsion": True,
    },
    "nonlinear": {
        "interaction_cls": "RealAgnosticResidualNonLinearInteractionBlock",
        "interaction_cls_first": "RealAgnosticResidualNonLinearInteractionBlock",
        "readout_cls": "NonLinearBiasReadoutBlock",
        "edge_irreps": "4x0e+3x1o+2x2e",
        "use_edge_irreps_first": True,
        "hidden_irreps": "10x0e+10x1o+10x2e",  # mace fixes 64 channels of a network beside it
        "radial_MLP": [8, 8],
        "apply_cutoff": False,
        "use_agnostic_product": True,
        "heads": ["pbe", "r2scan"],
        "atomic_energies": [ENERGIES, [2 * energy for energy in ENERGIES]],
        "atomic_inter_scale": [1.3, 1.1],
        "atomic_inter_shift": [0.2, -0.1],
    },
    "deep": {
        "model": "MACE",
        "num_interactions": 3,
        "correlation": [2, 1, 3],
        "heads": ["pbe", "r2scan"],
        "atomic_energies": [ENERGIES, [2 * energy for energy in ENERGIES]],
        "use_last_readout_only": False,
        "radial_type": "gaussian",
    },
}


def make_network(dtype: torch.dtype = torch.float64, **changes) -> torch.nn.Module:
    """Build a small network with random weights of size 1 in all its parts."""
    from irrepress.families.mace.code import settle
    from irrepress.families.mace.config import build_network

    config = {**CONFIG, **changes}
    if config["model"] == "MACE":
        config = {k: v for k, v in config.items() if not k.startswith("atomic_inter")}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(config, dtype)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "embedding.weight" in name or name.endswith(("bias", "beta")):
                    parameter.normal_()  # mace begins with next to nothing
    return settle(network)


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file: length of a JSON table, the table, the numbers."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    table, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    kinds = {"F64": np.float64, "F32": np.float32}
    return {
        name: torch.from_numpy(
            np.frombuffer(numbers[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).copy()
        ).reshape(entry["shape"])
        for name, entry in table.items()
        if name != "__metadata__"
    }


@pytest.fixture(scope="session")
def network_maker():
    """`make_network`."""
    return make_network


@pytest.fixture(scope="session")
def mace():
    """The adapter of MACE."""
    from irrepress.families import get_family

    return get_family("mace")


@pytest.fixture(scope="session")
def architecture_file(tmp_path_factory):
    """A function from the name of an architecture to a file of a model, with its modal."""

    def write(name: str) -> tuple[Path, str | None]:
        changes = ARCHITECTURES[name]
        path = tmp_path_factory.mktemp(name) / f"{name}.model"
        torch.save(make_network(**changes), path)
        return path, changes.get("heads", [None])[-1]

    return write


@pytest.fixture(scope="session")
def real_file(shared_data, tmp_path_factory):
    """A function from the name of real weights to the file of the model that they belong to.

    The weights are those of published models; constants come from MACE's constructor.
    """
    from irrepress.families.mace.config import build_network

    def write(name: str) -> Path:
        stem = shared_data.parent / "checkpoints" / name
        if not stem.with_name(f"{name}.json").is_file():
            pytest.skip(f"real weights are not at {stem}")
        found = json.loads(stem.with_name(f"{name}.json").read_text())
        given = {"model": found["model"], **found["config"]}
        config = {key: given.get(key, CONFIG[key]) for key in CONFIG}
        config["distance_transform"] = str(config["distance_transform"])
        config["correlation"] = [given["correlation"]] * given["num_interactions"]
        network = build_network(config, getattr(torch, found["dtype"]))
        weights = read_safetensors(stem.with_name(f"{name}.safetensors"))
        parameters = dict(network.named_parameters())
        assert parameters.keys() == weights.keys()
        with torch.no_grad():
            for key, parameter in parameters.items():
                parameter.copy_(weights[key].reshape(parameter.shape))
        path = tmp_path_factory.mktemp("real") / f"{name}.model"
        torch.save(network, path)
        return path

    return write


@pytest.fixture(scope="session")
def gst(mace, real_file):
    """The model for Ge-Sb-Te in float64: 64x0e+64x1o."""
    return mace.load(real_file("mace-gst-64x0e+64x1o"), dtype=torch.float64)


@pytest.fixture(scope="session")
def gst_frames(shared_data):
    """Real frames of Ge-Sb-Te."""
    from irrepress.core.structure import Structure

    frames = ase.io.read(shared_data / "crystals" / "gst-valid.extxyz.xz", ":")
    return [Structure.unlabelled(atoms) for atoms in frames]


@pytest.fixture(scope="session")
def mp_large(mace):
    """A network of the shape of MACE-MP-0 large, for 89 elements, with random weights."""
    config = {
        **CONFIG,
        "r_max": 6.0,
        "num_bessel": 10,
        "max_ell": 3,
        "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
        "hidden_irreps": "128x0e+128x1o+128x2e",
        "MLP_irreps": "16x0e",
        "correlation": [3, 3],
        "radial_MLP": [64, 64, 64],
        "num_elements": 89,
        "atomic_numbers": list(range(1, 90)),
        "atomic_energies": [-1.0] * 89,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return mace.build(config)
