"""MACE's own HDF5 format, written and read as MACE does, for comparison.

Where mace-torch is installed, its functions do the work. Elsewhere the same HDF5 calls are
made here: a group for every frame, with a dataset for every quantity, absent or not
(mace 0.3, ``mace.data.utils.save_configurations_as_HDF5`` and ``mace.data.HDF5Dataset``).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from irrepress.core.structure import Structure

try:
    from mace.data import HDF5Dataset
    from mace.data.utils import Configuration, save_configurations_as_HDF5
except ImportError:
    HDF5Dataset = None

# What mace 0.3.16 keeps for every frame, beside energy, forces and stress.
_ABSENT = (
    "virials", "dipole", "head", "elec_temp", "total_charge", "polarizability", "total_spin",
    "charges",
)  # fmt: skip


def implementation() -> str:
    """Say whose code runs."""
    return "mace-torch" if HDF5Dataset is not None else "the same HDF5 calls (no mace-torch here)"


def write(path: Path, frames: Sequence[Structure]) -> None:
    """Write frames as ``mace_prepare_data`` does."""
    with h5py.File(path, "w") as file:
        file.attrs["drop_last"] = False
        if HDF5Dataset is not None:
            save_configurations_as_HDF5([_configuration(frame) for frame in frames], 0, file)
            return
        batch = file.create_group("config_batch_0")
        for index, frame in enumerate(frames):
            properties, weights = _properties(frame)
            group = batch.create_group(f"config_{index}")
            group["atomic_numbers"] = frame.numbers
            group["positions"] = frame.positions
            values = group.create_group("properties")
            for name, value in properties.items():
                values[name] = "None" if value is None else value
            group["cell"] = frame.cell
            group["pbc"] = frame.pbc
            group["weight"] = 1.0
            values = group.create_group("property_weights")
            for name, weight in weights.items():
                values[name] = weight
            group["config_type"] = "Default"


class Reader:
    """Random access to what `write` wrote; a frame comes as arrays, without a graph."""

    def __init__(self, path: Path):
        if HDF5Dataset is not None:
            self._dataset = HDF5Dataset(str(path), 5.0, None, atomic_dataclass=_Unchanged)
        else:
            self._file = h5py.File(path)
            self._frames = self._file["config_batch_0"]

    def __getitem__(self, index: int) -> Any:
        if HDF5Dataset is not None:
            return self._dataset[index]
        group = self._frames[f"config_{index}"]
        frame = {
            name: {key: _present(group[name][key][()]) for key in group[name]}
            for name in ("properties", "property_weights")
        }
        for name in ("atomic_numbers", "positions", "weight", "config_type", "pbc", "cell"):
            frame[name] = _present(group[name][()])
        return frame

    def close(self) -> None:
        """Close the file, so that it can be written anew."""
        (self._dataset.file if HDF5Dataset is not None else self._file).close()


class _Unchanged:
    """Stands for MACE's graph, whose making is no matter of the file."""

    @staticmethod
    def from_config(config: Any, **_: Any) -> Any:
        return config


def _configuration(frame: Structure) -> Any:
    properties, weights = _properties(frame)
    return Configuration(
        frame.numbers, frame.positions, properties, weights, cell=frame.cell, pbc=frame.pbc
    )


def _properties(frame: Structure) -> tuple[dict[str, Any], dict[str, float]]:
    properties = {"energy": frame.energy, "forces": frame.forces, "stress": frame.stress}
    weights = dict.fromkeys(properties, 1.0)
    return (
        {**properties, **dict.fromkeys(_ABSENT)},
        {**weights, **dict.fromkeys(_ABSENT, 0.0)},
    )


def _present(value: Any) -> Any:
    value = value.decode("utf-8") if isinstance(value, bytes) else value
    return None if isinstance(value, str) and value == "None" else np.asarray(value)
