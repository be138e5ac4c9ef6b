"""Predictions by fairchem's own code, as users of a saved model run it.

fairchem's calculator hands structures to a predict unit, which rebuilds the network that a file
describes by its inference settings, finds neighbours in every call, and undoes the tasks' scaling.
The settings are those of our calculator, `checkpoint.SETTINGS`.
"""

import io
import logging
import random
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from fairchem.core.datasets.atomic_data import AtomicData
from fairchem.core.units.mlip_unit import MLIPPredictUnit
from fairchem.core.units.mlip_unit.api.inference import inference_settings_batch
from torch import Tensor

from irrepress.core.model import Batch, Model, Prediction
from irrepress.families.escn import checkpoint
from irrepress.families.escn.forward import usual_spin
from irrepress.families.escn.tasks import dataset_of, scale_of
from irrepress.families.generic.gates import is_gated
from irrepress.families.generic.graphs import voigt

# Predict units, and what each was built for; weights are shared and need no look.
_units: "weakref.WeakKeyDictionary[Model, tuple[Any, MLIPPredictUnit]]"
_units = weakref.WeakKeyDictionary()


def predict(model: Model, batch: Batch, create_graph: bool) -> Prediction:
    """Run fairchem's code; see `irrepress.core.family.Family.predict`.

    Predict units cannot be differentiated. With ``create_graph`` the forward pass of the network
    runs, fairchem's too, and only the scaling of the task is ours.

    Raises:
        RuntimeError: the model is gated, which fairchem's code knows nothing of.
    """
    if is_gated(model):
        raise RuntimeError("fairchem's own code does not gate blocks; predict without native=True")
    # Every call turns edges by random angles, which results do not depend on.
    with _undisturbed([model.device] if model.device.type == "cuda" else []):
        if create_graph:
            energy, forces, stress = _differentiable(model, batch)
        else:
            found = _unit(model).predict(_atomic_data(model, batch))
            energy, forces, stress = (found[n].detach() for n in ("energy", "forces", "stress"))
    return Prediction(energy.flatten(), forces, voigt(stress.view(-1, 3, 3)))


def _differentiable(model: Model, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Return total energies, forces and stress of the network's own forward pass."""
    scale = scale_of(model.native)
    network = model.network
    training = network.training
    network.train()  # fairchem keeps the graph of the forces in this mode
    try:
        found = network(_atomic_data(model, batch))
    finally:
        network.train(training)
    references = torch.tensor(scale.references, dtype=torch.float64, device=model.device)
    energy = scale.rmsd * found["energy"]["energy"] + scale.mean
    energy = energy.index_add(0, batch.structure, references[batch.numbers])
    forces, stress = (scale.rmsd * found[name][name] for name in ("forces", "stress"))
    return energy, forces, stress


def _atomic_data(model: Model, batch: Batch) -> AtomicData:
    """Return fairchem's record of the structures, without neighbours, as its calculator makes it.

    Charges and spins are those that the calculator takes for structures that say nothing.
    """
    inputs, device = batch.inputs, batch.numbers.device
    positions = inputs["positions"].detach().clone()
    dataset = dataset_of(model.native)
    structures = len(batch)

    def whole(*shape: int, value: int = 0) -> Tensor:
        return torch.full(shape, value, dtype=torch.long, device=device)

    return AtomicData(
        pos=positions,
        atomic_numbers=batch.numbers,
        cell=inputs["cells"].detach().clone(),
        pbc=inputs["periodic"],
        natoms=batch.num_atoms,
        edge_index=whole(2, 0),
        cell_offsets=positions.new_zeros(0, 3),
        nedges=whole(structures),
        charge=whole(structures),
        spin=whole(structures, value=usual_spin(dataset)),
        fixed=whole(len(positions)),
        tags=whole(len(positions)),
        batch=batch.structure,
        sid=[""] * structures,
        dataset=[dataset] * structures,
    )


def _unit(model: Model) -> MLIPPredictUnit:
    """Return the predict unit of a model, with the model's present weights."""
    purpose = model.dtype, model.device, model.native["tasks_config"]
    built_for, unit = _units.get(model, (None, None))
    if unit is None or built_for != purpose:
        with _undisturbed(range(torch.cuda.device_count())):  # which fairchem seeds
            unit = _build(model)
        _units[model] = purpose, unit
    theirs = dict(unit.model.module.named_parameters())
    for name, parameter in model.network.named_parameters():
        # The same memory: a file would round the weights of a float64 model to float32.
        theirs[name].data = parameter.detach()
    return unit


def _build(model: Model) -> MLIPPredictUnit:
    """Build a predict unit from what the model's file would hold."""
    settings = inference_settings_batch()
    settings.base_precision_dtype = model.dtype
    unit = MLIPPredictUnit(
        io.BytesIO(checkpoint.content(model)),
        device=model.device.type,
        inference_settings=settings,
    )
    unit.device = str(model.device)  # fairchem would take the first GPU
    return unit


@contextmanager
def _undisturbed(devices: Iterable[Any]) -> Iterator[None]:
    """Keep what fairchem changes for the whole process: random numbers, and what is logged.

    Args:
        devices: GPUs whose random numbers it draws or seeds.
    """

    def wanted(record: logging.LogRecord) -> bool:
        return "with inference settings" not in str(record.msg)

    python, numpy = random.getstate(), np.random.get_state()
    logging.root.addFilter(wanted)
    with checkpoint.unlogged(), torch.random.fork_rng(devices):
        try:
            yield
        finally:
            logging.root.removeFilter(wanted)
            random.setstate(python)
            np.random.set_state(numpy)
