"""fairchem's tasks: what makes total energies in eV of what a network gives.

A network's energies are normalized. Each task of a checkpoint holds the normalizer and, for the
energy, a reference energy of every element. Forces and stress of a conservative model are
derivatives of its energy and have the same normalizer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from typing import Any

import torch

from irrepress.core.errors import UserError
from irrepress.families.generic.checkpoints import check_modal, plain

_TASK = "fairchem.core.units.mlip_unit.mlip_unit.Task"
_OUTPUT = "fairchem.core.units.mlip_unit.mlip_unit.OutputSpec"
_NORMALIZER = "fairchem.core.modules.normalization.normalizer.Normalizer"
_REFERENCES = "fairchem.core.modules.normalization.element_references.ElementReferences"
# What configs of tasks have fairchem build, losses of the training aside.
TARGETS = {
    *(_TASK, _OUTPUT, _NORMALIZER, _REFERENCES),
    *("torch.DoubleTensor", "torch.FloatTensor", "torch.tensor"),
}
_LEVELS = {"energy": ("system", [1]), "forces": ("atom", [3]), "stress": ("system", [1, 9])}


@dataclass(frozen=True)
class EnergyScale:
    """How a network's energies become total energies: ``rmsd * energy + mean + references``.

    Attributes:
        mean: eV, once for each structure.
        rmsd: eV.
        references: eV, by atomic number.
    """

    mean: float
    rmsd: float
    references: tuple[float, ...]


def choose_dataset(source: object, tasks: Iterable[Mapping[str, Any]], modal: str | None) -> str:
    """Return the dataset that ``modal`` names, of those that tasks give an energy for.

    Raises:
        UserError: there is no such dataset, or there are several and none is named.
    """
    energies = (task["datasets"] for task in tasks if task.get("property") == "energy")
    datasets = sorted({name for names in energies for name in names})
    if not datasets:
        raise UserError(f"{source}: none of its tasks gives an energy")
    if modal is None and len(datasets) == 1:
        return datasets[0]
    check_modal(source, datasets, modal, "tasks")
    return str(modal)


def read_scale(
    source: object, tasks: Iterable[Mapping[str, Any]], dataset: str, numbers: int
) -> EnergyScale:
    """Read the normalizer and references of a dataset's energy.

    Args:
        source: what messages call the checkpoint.
        tasks: fairchem's configs of tasks, as plain data.
        dataset: the dataset.
        numbers: for how many atomic numbers references are wanted.

    Raises:
        UserError: they cannot be read, or forces and stress are scaled differently.
    """
    own = {task["property"]: task for task in tasks if dataset in task["datasets"]}
    mean, rmsd = _normalizer(source, own["energy"])
    for name in ("forces", "stress"):
        if name in own:
            own_mean, own_rmsd = _normalizer(source, own[name])
            if own_mean != 0 or not isclose(own_rmsd, rmsd, rel_tol=1e-5):
                raise UserError(
                    f"{source}: its {name} are scaled by {own_rmsd} and its energies by {rmsd}, so "
                    "that they are no derivatives; irrepress takes conservative models only"
                )
    references = _references(source, own["energy"].get("element_references"))
    padded = [*references, *[0.0] * numbers][:numbers]
    return EnergyScale(mean, rmsd, tuple(padded))


def write_tasks(scale: EnergyScale, dataset: str) -> list[dict[str, Any]]:
    """Return fairchem's configs of the tasks energy, forces and stress of one dataset."""
    references = {"_target_": "torch.DoubleTensor", "_args_": [list(scale.references)]}
    of_energy = {
        "normalizer": {"_target_": _NORMALIZER, "mean": scale.mean, "rmsd": scale.rmsd},
        "element_references": {"_target_": _REFERENCES, "element_references": references},
    }
    of_derivative = {
        "normalizer": {"_target_": _NORMALIZER, "mean": 0.0, "rmsd": scale.rmsd},
        "element_references": None,
    }
    return [
        {
            "_target_": _TASK,
            "name": name,
            "level": level,
            "property": name,
            "loss_fn": None,
            "out_spec": {"_target_": _OUTPUT, "dim": dimension, "dtype": "float32"},
            **(of_energy if name == "energy" else of_derivative),
            "datasets": [dataset],
            "metrics": ["mae"],
        }
        for name, (level, dimension) in _LEVELS.items()
    ]


def dataset_of(native: Mapping[str, Any]) -> str:
    """Return the dataset of a `Model.native`, whose tasks are all its own."""
    return native["tasks_config"][0]["datasets"][0]


def scale_of(native: Mapping[str, Any]) -> EnergyScale:
    """Return what `write_tasks` wrote into a `Model.native`."""
    numbers = native["model_config"]["backbone"]["max_num_elements"]
    return read_scale("model", native["tasks_config"], dataset_of(native), numbers)


def set_references(native: dict[str, Any], references: Sequence[float]) -> None:
    """Write reference energies in eV, by atomic number, into a `Model.native`."""
    scale = replace(scale_of(native), references=tuple(references))
    native["tasks_config"] = plain(write_tasks(scale, dataset_of(native)))


def _normalizer(source: object, task: Mapping[str, Any]) -> tuple[float, float]:
    config = task.get("normalizer") or {}
    found = [*_numbers(config.get("mean", 0.0)), *_numbers(config.get("rmsd", 1.0))]
    if len(found) != 2 or config.get("file") is not None:
        raise UserError(
            f"{source}: the normalizer of its task {task.get('name')!r} cannot be read; it must "
            "hold mean and rmsd as numbers"
        )
    mean, rmsd = found
    return mean, rmsd


def _references(source: object, config: Any) -> list[float]:
    if not config:
        return []
    values = _numbers(config.get("element_references"))
    if not values:
        raise UserError(
            f"{source}: the reference energies of elements cannot be read; they must be numbers in "
            "the config of the energy's task, not the name of a file"
        )
    return values


def _numbers(value: Any) -> list[float]:
    """Return the numbers of a number, a list, or fairchem's config of a tensor."""
    if isinstance(value, Mapping):
        arguments = value.get("_args_") or [value.get("data", [])]
        if not str(value.get("_target_", "")).startswith("torch."):
            return []
        value = arguments[0]
    try:
        return torch.as_tensor(value, dtype=torch.float64).flatten().tolist()
    except (TypeError, ValueError, RuntimeError):
        return []
